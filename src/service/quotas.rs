//! How much a tenant may have. What counts is looked at under the tenant's lock, after the thing was made and before it
//! is committed, so that parallel creation passes no bound.

use sqlx::{MySql, Transaction};

use crate::ids::TenantId;
use crate::storage::{self, Db, within, zones};
use crate::tenancy::Quotas;

use super::{Error, Result};

/// The refusal, which names the bound.
pub fn exceeded(bound: &str, most: u32) -> Error {
    let message = format!("The tenant may not have more: its {bound} is {most}");
    Error::Forbidden { message, code: "quota_exceeded" }
}

/// Whether the tenant may have the zones that it has by now: for the transaction that has just made one, and has called
/// [`zones::lock_tenant`] before. `usual`: what the platform gives every tenant.
pub async fn check_zones(
    tx: &mut Transaction<'_, MySql>,
    tenant: TenantId,
    settings: &str,
    usual: Quotas,
) -> Result<()> {
    let most = Quotas::read(settings, usual).max_domains;
    if zones::count(tx, tenant).await? > u64::from(most) { Err(exceeded("max_domains", most)) } else { Ok(()) }
}

/// Whether there is room for one more, such as one that is to be restored: for the transaction that restores it, or takes
/// the intent that does. Locks the tenant, so it comes first.
pub async fn has_room_for_zone(
    tx: &mut Transaction<'_, MySql>,
    tenant: TenantId,
    usual: Quotas,
) -> storage::Result<bool> {
    let settings = zones::lock_tenant(tx, tenant).await?;
    Ok(zones::count(tx, tenant).await? < u64::from(Quotas::read(&settings, usual).max_domains))
}

/// What is said where there is none.
pub async fn no_room_for_zone(db: &Db, tenant: TenantId, usual: Quotas) -> Error {
    match within(zones::tenant_settings(db, tenant)).await {
        Ok(settings) => exceeded("max_domains", Quotas::read(&settings, usual).max_domains),
        Err(error) => error.into(),
    }
}
