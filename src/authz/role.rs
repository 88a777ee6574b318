//! Roles: what every installation has, and what tenants make of their own.

use std::sync::Arc;

use uuid::Uuid;

use crate::ids::RoleId;

use super::permission::{Permission, PermissionSet};

/// A role as somebody holds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    System(SystemRole),
    Custom(Arc<CustomRole>),
}

/// A tenant's own role.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CustomRole {
    pub id: RoleId,
    pub name: String,
    pub permissions: PermissionSet,
}

impl Role {
    pub fn permissions(&self) -> PermissionSet {
        match self {
            Self::System(role) => role.permissions(),
            Self::Custom(role) => role.permissions,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::System(role) => role.as_str(),
            Self::Custom(role) => &role.name,
        }
    }

    pub fn id(&self) -> RoleId {
        match self {
            Self::System(role) => role.id(),
            Self::Custom(role) => role.id,
        }
    }
}

impl From<SystemRole> for Role {
    fn from(role: SystemRole) -> Self {
        Self::System(role)
    }
}

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

    /// The same in every installation, and no id that is ever made.
    pub fn id(self) -> RoleId {
        RoleId(Uuid::from_u128(match self {
            Self::PlatformAdmin => 1,
            Self::TenantAdmin => 2,
            Self::DomainAdmin => 3,
            Self::DomainManager => 4,
            Self::RecordEditor => 5,
            Self::ReadOnly => 6,
            Self::ValidationBypass => 7,
        }))
    }

    pub fn by_id(id: RoleId) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.id() == id)
    }

    /// What it is for, to show.
    pub fn description(self) -> &'static str {
        match self {
            Self::PlatformAdmin => "Everything, in every tenant",
            Self::TenantAdmin => "Everything in the tenant but the bypass of validation",
            Self::DomainAdmin => "Records, DNSSEC and access grants of a domain",
            Self::DomainManager => "Records of a domain",
            Self::RecordEditor => "Creates and changes records, deletes none",
            Self::ReadOnly => "Looks at domains, records, DNSSEC and templates",
            Self::ValidationBypass => "Creates domains without proof",
        }
    }

    pub fn permissions(self) -> PermissionSet {
        use Permission as P;
        let records = [P::RecordsRead, P::RecordsCreate, P::RecordsUpdate, P::RecordsDelete];
        match self {
            Self::PlatformAdmin => PermissionSet::all(),
            Self::TenantAdmin => PermissionSet::all().without(PermissionSet::of_platform()),
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
