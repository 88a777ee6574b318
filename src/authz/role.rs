//! The system roles: names and what they hold.

use super::permission::{Permission, PermissionSet};

/// Roles that every installation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SystemRole {
    PlatformAdmin,
    TenantAdmin,
    DomainAdmin,
    DomainManager,
    RecordEditor,
    ReadOnly,
    ValidationBypass,
}

impl SystemRole {
    pub const ALL: [Self; 7] = [
        Self::PlatformAdmin,
        Self::TenantAdmin,
        Self::DomainAdmin,
        Self::DomainManager,
        Self::RecordEditor,
        Self::ReadOnly,
        Self::ValidationBypass,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::PlatformAdmin => "platform_admin",
            Self::TenantAdmin => "tenant_admin",
            Self::DomainAdmin => "domain_admin",
            Self::DomainManager => "domain_manager",
            Self::RecordEditor => "record_editor",
            Self::ReadOnly => "read_only",
            Self::ValidationBypass => "validation_bypass",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    pub fn permissions(self) -> PermissionSet {
        use Permission as P;
        let records = [P::RecordsRead, P::RecordsCreate, P::RecordsUpdate, P::RecordsDelete];
        match self {
            Self::PlatformAdmin => PermissionSet::all(),
            Self::TenantAdmin => {
                let beyond = [P::ValidationBypass, P::PlatformRead, P::PlatformManage];
                PermissionSet::all().without(beyond.into_iter().collect())
            }
            Self::DomainAdmin => [
                P::DomainsRead,
                P::DomainsUpdate,
                P::DnssecRead,
                P::DnssecEnable,
                P::DnssecDisable,
                P::DnssecRotate,
                P::AccessGrantsRead,
                P::AccessGrantsCreate,
                P::AccessGrantsUpdate,
                P::AccessGrantsDelete,
            ]
            .into_iter()
            .chain(records)
            .collect(),
            Self::DomainManager => [P::DomainsRead].into_iter().chain(records).collect(),
            Self::RecordEditor => {
                [P::DomainsRead, P::RecordsRead, P::RecordsCreate, P::RecordsUpdate].into_iter().collect()
            }
            Self::ReadOnly => [P::DomainsRead, P::RecordsRead, P::DnssecRead, P::TemplatesRead].into_iter().collect(),
            Self::ValidationBypass => [P::ValidationBypass].into_iter().collect(),
        }
    }
}
