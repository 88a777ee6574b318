//! Settling: one transaction, conditional on still holding the intent, that makes a batch part of history and lets the
//! zone's lock go. Writer and recovery settle by this one function.

use time::OffsetDateTime;

use crate::storage::history::NewChange;
use crate::storage::intents::{BatchOutcome, Intent};
use crate::storage::record_ids::RecordIdRow;
use crate::storage::settlement::{self, Rows, Settled, Settlement};
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{
    Db, Result, StorageError, emptied as emptied_zones, fences, import_parts, secondary_zones, signing, staged,
    validations, within_write,
};
use crate::tenancy::ZoneStatus;

use super::payload::{Emptied, Entry, IdRow, Kind, Payload};

/// How a batch ended, with what is known of PowerDNS now.
pub struct Ending<'a> {
    pub outcome: BatchOutcome,
    pub detail: &'a str,
    /// Of the zone now.
    pub serial: Option<u32>,
    /// The one that the change itself led to, where the zone has moved on since.
    pub change_serial: Option<u32>,
    pub drift: bool,
    pub now: OffsetDateTime,
}

/// Settles, if the intent is still held under this epoch; else nothing is written.
///
/// A deadlock is repeated, the condition makes that exact. Any other error leaves the outcome of the commit unknown:
/// look by the change's id, never settle blindly again.
pub async fn settle(db: &Db, intent: &Intent, payload: &Payload, ending: &Ending<'_>) -> Result<Settled> {
    const ATTEMPTS: u32 = 5; // deadlocks in a row are rare even under load
    for _ in 1..ATTEMPTS {
        match within_write(attempt(db, intent, payload, ending)).await {
            Err(StorageError::Deadlock(_)) => {}
            other => return other,
        }
    }
    within_write(attempt(db, intent, payload, ending)).await
}

async fn attempt(db: &Db, intent: &Intent, payload: &Payload, ending: &Ending<'_>) -> Result<Settled> {
    let ids_put: Vec<_> = payload.ids_put.iter().filter_map(IdRow::to_row).collect();
    let settlement = settlement(intent, payload, &ids_put, ending)?;
    if ending.outcome != BatchOutcome::Applied || (payload.kind == Kind::Edit && payload.part.is_none()) {
        return settlement::settle(db, &settlement).await;
    }
    let mut tx = db.begin().await?;
    // the zone's row first, as everywhere: one order of locks, no deadlocks of our own making
    let row = zones::lock(&mut tx, intent.zone).await?;
    let settled = settlement::settle_within(&mut tx, &settlement).await?;
    if settled == Settled::NotHeld {
        return Ok(settled);
    }
    if let Some(row) = row {
        take_step(&mut tx, &row, intent, &payload.kind, ending.now).await?;
    }
    if let Some(part) = payload.part {
        import_parts::settle(&mut tx, part.key(), intent.change).await?;
    }
    tx.commit().await?;
    Ok(settled)
}

fn settlement<'a>(
    intent: &'a Intent,
    payload: &'a Payload,
    ids_put: &'a [RecordIdRow],
    ending: &Ending<'a>,
) -> Result<Settlement<'a>> {
    let Payload { kind: _, tenant, revision, entries, audit, ids_removed, ids_put: _, record_count, .. } = payload;
    let Ending { outcome, detail, serial, change_serial, drift, now } = ending;
    // a withdrawn zone has none: PowerDNS says 0 while the SOA is disabled
    let serial = serial.filter(|serial| *serial != 0);
    let rows = Rows {
        tenant: *tenant,
        revision: *revision,
        serial: change_serial.or(serial),
        changes: new_changes(entries)?,
        audit,
        ids_removed,
        ids_put,
        record_count: *record_count,
    };
    Ok(Settlement { intent, outcome: *outcome, detail, serial, drift: *drift, now: *now, rows })
}

/// What an applied change of this kind means for the zone beyond its content.
async fn take_step(
    tx: &mut sqlx::Transaction<'static, sqlx::MySql>,
    row: &ZoneRow,
    intent: &Intent,
    kind: &Kind,
    now: OffsetDateTime,
) -> Result<()> {
    match kind {
        Kind::Edit | Kind::Clear => Ok(()),
        Kind::Sweep { fences } => fences::delete(tx, &intent.zone_name, fences).await,
        Kind::GoLive { validation } | Kind::SecondaryGoLive { validation, .. } => {
            zones::set_status(tx, row, ZoneStatus::Active, now).await?;
            staged::clear(tx, intent.zone).await?;
            if let Some(validation) = validation {
                validations::set_status(tx, *validation, "validated", now).await?;
            }
            validations::close_open(tx, intent.zone, "cancelled", now).await.map(|_| ())
        }
        Kind::SetStatus { status, emptied } => {
            zones::set_status(tx, row, *status, now).await?;
            match emptied {
                Some(Emptied { disabled, is_partial }) => {
                    emptied_zones::insert(tx, intent.zone, disabled, *is_partial).await
                }
                None if *status == ZoneStatus::Active => emptied_zones::delete(tx, intent.zone).await,
                None => Ok(()),
            }
        }
        Kind::Switch { is_partial } => emptied_zones::set_partial(tx, intent.zone, *is_partial).await,
        Kind::Signing { .. } => signing::settle_step(tx, row, now).await,
        Kind::Outgoing { settings, outgoing: _ } => zones::set_settings(tx, row, settings, now).await,
        Kind::Masters { source, incoming: _ } => secondary_zones::update(tx, intent.zone, source).await,
        Kind::SecondaryStatus { status, incoming: _ } => zones::set_status(tx, row, *status, now).await,
        Kind::Delete => zones::delete(tx, row).await,
        Kind::MakeRoom => zones::displace(tx, row).await,
    }
}

/// The rows of history that entries make.
pub fn new_changes(entries: &[Entry]) -> Result<Vec<NewChange>> {
    let json = |value: std::result::Result<String, serde_json::Error>| {
        value.map_err(|error| StorageError::Corrupt(error.to_string()))
    };
    entries
        .iter()
        .map(|Entry { change, actor, request, changes }| {
            Ok(NewChange {
                id: *change,
                actor: json(serde_json::to_string(actor))?,
                ip_address: request.ip_address.map(|address| address.to_string()),
                request_id: request.request_id.clone(),
                changes: json(serde_json::to_string(changes))?,
            })
        })
        .collect()
}
