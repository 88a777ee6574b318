//! How much a tenant may have. What counts is looked at under the tenant's lock, after the thing was made and before it
//! is committed, so that parallel creation passes no bound.

use sqlx::{MySql, Transaction};

use crate::ids::TenantId;
use crate::storage::{within, zones};
use crate::tenancy::Quotas;

use super::{Error, Result, Services};

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

/// Whether there is room for one more, such as one that is restored.
pub async fn check_room_for_zone(services: &Services, tenant: TenantId) -> Result<()> {
    let usual = services.platform.settings().await?.terms.quotas;
    let look = async {
        let mut tx = services.db.begin().await?;
        let settings = zones::lock_tenant(&mut tx, tenant).await?;
        Ok((settings, zones::count(&mut tx, tenant).await?))
    };
    let (settings, count) = within(look).await?;
    let most = Quotas::read(&settings, usual).max_domains;
    if count >= u64::from(most) { Err(exceeded("max_domains", most)) } else { Ok(()) }
}
