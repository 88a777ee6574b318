//! What tenants, partners, users, groups and zones are: their standing and kind. No I/O, no permissions.

mod quotas;
mod signing_terms;
mod zone;

use serde::{Deserialize, Serialize};

pub use quotas::Quotas;
pub use signing_terms::{DAYS_MAX, SigningTerms};
pub use zone::{ZoneStatus, ZoneType};

/// Whether a partner, tenant, user or group may act. Written upper case by ScaiKey, lower case here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    Active,
    Suspended,
    /// Deleted at ScaiKey; the row stays for the audit log.
    Inactive,
}

impl Standing {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Inactive => "inactive",
        }
    }

    /// Reads either case; whatever is not known to be active or suspended may not act.
    pub fn parse(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "active" => Self::Active,
            "suspended" => Self::Suspended,
            _ => Self::Inactive,
        }
    }
}

/// The admin role that ScaiKey states for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminRole {
    None,
    /// All of its own tenant.
    TenantAdmin,
    /// Tenant admin in every tenant of its partner.
    PartnerAdmin,
    /// The platform's admin.
    SuperAdmin,
}

impl AdminRole {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::TenantAdmin => "tenant_admin",
            Self::PartnerAdmin => "partner_admin",
            Self::SuperAdmin => "super_admin",
        }
    }

    /// The strongest of the roles named; unknown names give nothing.
    pub fn strongest<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut strongest = Self::None;
        for name in names {
            let role = match name {
                "super_admin" => Self::SuperAdmin,
                "partner_admin" => Self::PartnerAdmin,
                "tenant_admin" => Self::TenantAdmin,
                _ => Self::None,
            };
            if role.rank() > strongest.rank() {
                strongest = role;
            }
        }
        strongest
    }

    fn rank(self) -> u8 {
        match self {
            Self::None => 0,
            Self::TenantAdmin => 1,
            Self::PartnerAdmin => 2,
            Self::SuperAdmin => 3,
        }
    }
}
