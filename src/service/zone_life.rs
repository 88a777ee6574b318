//! The later life of a zone: deleted so that it can be taken back, restored, removed for good.

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::authz::{Permission, ZoneAccess};
use crate::ids::ZoneId;
use crate::storage::zones::ZoneRow;
use crate::tenancy::ZoneStatus;

use super::audit;
use super::context::ActorRecord;
use super::zone_writer::{Departure, Move};
use super::zones::{ZoneDetail, detail, load, load_with_deleted, zone_resource};
use super::{Context, Error, Result, Services};

/// Deletes a zone so that it can be restored, until it is purged. A live one is served no more.
pub async fn delete(services: &Services, context: &Context, id: ZoneId) -> Result<()> {
    let (row, access) = load(services, context, id, Permission::DomainsDelete).await?;
    let values = status_values(row.status, ZoneStatus::Deleted);
    let request = departure(services, context, &row, access, "domain.delete", values);
    services.writer.set_status(request, Move::Delete).await
}

/// Takes a deletion back: the zone is again what it was.
pub async fn restore(services: &Services, context: &Context, id: ZoneId) -> Result<ZoneDetail> {
    let (row, access) = load_with_deleted(services, context, id, Permission::DomainsDelete).await?;
    if row.status != ZoneStatus::Deleted {
        return Err(Error::conflict("domain_not_deleted", "The domain is not deleted"));
    }
    let was = row.status_before.unwrap_or(ZoneStatus::Inactive);
    let request = departure(services, context, &row, access, "domain.restore", status_values(row.status, was));
    services.writer.set_status(request, Move::Restore).await?;
    let (row, access) = load(services, context, id, Permission::DomainsDelete).await?;
    detail(services, row, &access).await
}

/// Removes a zone for good: a live one is withdrawn first, since a DELETE cannot be guarded.
pub async fn delete_for_good(services: &Services, context: &Context, id: ZoneId) -> Result<()> {
    let (row, access) = load_with_deleted(services, context, id, Permission::DomainsDelete).await?;
    if row.status == ZoneStatus::Active {
        let values = status_values(row.status, ZoneStatus::Inactive);
        let withdrawal = departure(services, context, &row, access.clone(), "domain.update", values);
        services.writer.set_status(withdrawal, Move::Withdraw).await?;
    }
    let values = (last_state(&row), Value::Null);
    services.writer.delete(departure(services, context, &row, access, "domain.delete", values)).await
}

fn last_state(row: &ZoneRow) -> Value {
    json!({ "name": row.name.as_str(), "domain_type": row.zone_type.as_str(), "record_count": row.record_count })
}

/// A step in a zone's life with the audit entry that tells of it.
pub(super) fn departure(
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

pub(super) fn status_values(before: ZoneStatus, after: ZoneStatus) -> (Value, Value) {
    (json!({ "status": before }), json!({ "status": after }))
}
