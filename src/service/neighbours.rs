//! Whose zones stand near a name, and what that means for a claim on it that nobody has proven.

use crate::dns::ZoneName;
use crate::ids::TenantId;
use crate::storage::{Db, live_names, within};
use crate::tenancy::ZoneStatus;

use super::Result;

/// The live zones around a name, as one tenant's claim on it sees them.
pub struct Neighbours {
    /// The nearest zone at or above the name is the tenant's and served.
    is_below_own: bool,
    /// Another tenant's zone is at the name or above it.
    has_foreign_above: bool,
    /// Another tenant's zone is below the name.
    has_foreign_below: bool,
}

impl Neighbours {
    pub async fn of(db: &Db, name: &ZoneName, tenant: TenantId) -> Result<Self> {
        let above = within(live_names::live_at_or_above(db, name)).await?;
        let active = ZoneStatus::Active.as_str();
        Ok(Self {
            is_below_own: above.first().is_some_and(|zone| zone.tenant_id == tenant.0 && zone.status == active),
            has_foreign_above: above.iter().any(|zone| zone.tenant_id != tenant.0),
            has_foreign_below: within(live_names::foreign_live_below(db, name, tenant)).await?,
        })
    }

    /// Whether having the zone above says enough.
    pub fn vouch(&self) -> bool {
        self.is_below_own && !self.has_foreign_below
    }

    /// Whether only a proof counts, whatever the caller may do without one.
    pub fn demand_proof(&self) -> bool {
        !self.vouch() && (self.has_foreign_above || self.has_foreign_below)
    }
}
