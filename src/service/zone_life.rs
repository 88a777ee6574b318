//! The later life of a zone: deleted so that it can be taken back, restored, removed for good.

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::authz::{Caller, Permission, Visibility, ZoneAccess};
use crate::ids::{TenantId, ZoneId};
use crate::storage::zones::{self as zones_stored, ZoneRow};
use crate::storage::{live_names, within};
use crate::tenancy::ZoneStatus;

use super::audit;
use super::context::{ActorRecord, RequestInfo};
use super::zone_writer::{Departure, Move, claimed};
use super::zones::{ZoneDetail, detail, load, load_with_deleted, zone_resource};
use super::{Context, Error, Result, Services};

/// Deletes a zone so that it can be restored, until it is purged. A live one is served no more.
pub async fn delete(services: &Services, context: &Context, id: ZoneId) -> Result<()> {
    let (_, access) = load(services, context, id, Permission::DomainsDelete).await?;
    services.writer.set_status(change_of_status(context, access), Move::Delete).await
}

/// Takes a deletion back: the zone is again what it was.
pub async fn restore(services: &Services, context: &Context, id: ZoneId) -> Result<ZoneDetail> {
    let (row, access) = load_with_deleted(services, context, id, Permission::DomainsDelete).await?;
    if row.status != ZoneStatus::Deleted {
        return Err(Error::conflict("domain_not_deleted", "The domain is not deleted"));
    }
    services.writer.set_status(change_of_status(context, access), Move::Restore).await?;
    let (row, access) = load(services, context, id, Permission::DomainsDelete).await?;
    detail(services, row, &access).await
}

/// Removes a zone for good: a live one is withdrawn first, since a DELETE cannot be guarded.
pub async fn delete_for_good(services: &Services, context: &Context, id: ZoneId) -> Result<()> {
    let (row, access) = load_with_deleted(services, context, id, Permission::DomainsDelete).await?;
    if row.status == ZoneStatus::Active {
        services.writer.set_status(change_of_status(context, access.clone()), Move::Withdraw).await?;
    }
    let values = (last_state(&row), Value::Null);
    services.writer.delete(departure(services, context, &row, access, "domain.delete", values)).await
}

/// Lets whoever holds a name make room for a claim on it that has been proven. A live zone does so only if the
/// platform's admin has decided it.
pub(super) async fn make_room(services: &Services, context: &Context, claim: &ZoneRow, force: bool) -> Result<()> {
    let holder = within(live_names::live_of_name(&services.db, claim.name.as_str())).await?;
    let Some(holder) = holder.filter(|holder| *holder != claim.id) else { return Ok(()) };
    let Some(row) = within(zones_stored::find(&services.db, &Visibility::system(), holder)).await? else {
        return Ok(());
    };
    if row.status == ZoneStatus::Active && !force {
        return Err(claimed());
    }
    // told to the holder as what has happened to it, not by whom, unless it was the platform
    let by_proof = nobody("another tenant's proof", row.tenant);
    let context = if force { context } else { &by_proof };
    let access = ZoneAccess::system(row.reference(), Permission::DomainsDelete);
    if row.status == ZoneStatus::Active {
        services.writer.set_status(change_of_status(context, access.clone()), Move::Withdraw).await?;
    }
    let values = (json!({ "holds_name": true }), json!({ "holds_name": false, "record_count": 0 }));
    services.writer.make_room(departure(services, context, &row, access, "domain.update", values)).await
}

/// Removes what was deleted long enough ago, the oldest first; how many it were.
pub async fn purge(services: &Services) -> Result<u64> {
    const ZONES_PER_RUN: u32 = 50; // each takes a DELETE and two commits; the next run goes on
    let before = services.clock.now() - services.platform.settings().await?.terms.purge_after;
    let mut purged = 0;
    for row in within(zones_stored::deleted_before(&services.db, before, ZONES_PER_RUN)).await? {
        let context = nobody("purge", row.tenant);
        let access = ZoneAccess::system(row.reference(), Permission::DomainsDelete);
        let values = (last_state(&row), Value::Null);
        let request = departure(services, &context, &row, access, "domain.purge", values);
        let still =
            move |row: &ZoneRow| row.status == ZoneStatus::Deleted && row.deleted_at.is_some_and(|at| at < before);
        match services.writer.delete_if(request, still).await {
            Ok(is_gone) => purged += u64::from(is_gone),
            // one zone that cannot be removed now must not hold up the others
            Err(error) => tracing::warn!(zone = %row.name, %error, "a deleted zone could not be purged yet"),
        }
    }
    Ok(purged)
}

/// Removes claims that were never proven, the oldest first; how many it were.
pub async fn remove_unproven(services: &Services) -> Result<u64> {
    const CLAIMS_PER_RUN: u32 = 100; // some statements and a commit each; the next run goes on
    const KEPT: time::Duration = time::Duration::days(30); // contract
    let before = services.clock.now() - KEPT;
    let mut removed = 0;
    for row in within(zones_stored::claimed_before(&services.db, before, CLAIMS_PER_RUN)).await? {
        let context = nobody("expiry", row.tenant);
        let access = ZoneAccess::system(row.reference(), Permission::DomainsDelete);
        let values = (last_state(&row), Value::Null);
        let request = departure(services, &context, &row, access, "domain.purge", values);
        // since the list was read it may have gone live, and been withdrawn
        let still = move |row: &ZoneRow| row.status == ZoneStatus::PendingValidation && row.created_at < before;
        match services.writer.delete_if(request, still).await {
            Ok(is_gone) => removed += u64::from(is_gone),
            Err(error) => tracing::warn!(zone = %row.name, %error, "an unproven claim could not be removed yet"),
        }
    }
    Ok(removed)
}

/// What no request of the tenant's asked for.
fn nobody(name: &'static str, tenant: TenantId) -> Context {
    Context { caller: Caller::system(name, tenant), request: RequestInfo::none() }
}

fn last_state(row: &ZoneRow) -> Value {
    json!({ "name": row.name.as_str(), "domain_type": row.zone_type.as_str(), "record_count": row.record_count })
}

/// A step in a zone's life with the audit entry that tells of it.
fn departure(
    services: &Services,
    context: &Context,
    row: &ZoneRow,
    access: ZoneAccess,
    action: &str,
    values: (Value, Value),
) -> Departure {
    let actor = ActorRecord::from(&context.caller.actor);
    let resource = zone_resource(row.id, &row.name);
    let now: OffsetDateTime = services.clock.now();
    let entry = audit::entry(&actor, &context.request, Some(row.tenant), action, resource, values, now);
    Departure { access, actor, request: context.request.clone(), audit: vec![entry] }
}

/// A step that tells of itself.
pub(super) fn change_of_status(context: &Context, access: ZoneAccess) -> Departure {
    let actor = ActorRecord::from(&context.caller.actor);
    Departure { access, actor, request: context.request.clone(), audit: Vec::new() }
}
