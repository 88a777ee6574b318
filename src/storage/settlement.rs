//! Settling a batch: the transaction by which a change of zone content becomes history and its zone's lock goes, as
//! one block that MariaDB runs by itself. As single statements it would be a dozen round trips under the lock.
//!
//! Rows go over as JSON documents, so that the block reads the same for one change and for five hundred.

use serde_json::{Value, json};
use sqlx::mysql::{MySqlArguments, MySqlRow};
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::{MySql, Row, Transaction};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::ids::{RecordId, TenantId};

use super::audit::{self, AuditEntry};
use super::history::NewChange;
use super::intents::{BatchOutcome, Intent};
use super::record_ids::RecordIdRow;
use super::{Db, Result, datetime};

/// What is written when a batch has ended.
pub struct Settlement<'a> {
    pub intent: &'a Intent,
    pub outcome: BatchOutcome,
    pub detail: &'a str,
    /// Of the zone now; None: left as it is.
    pub serial: Option<u32>,
    /// Somebody wrote behind our back.
    pub drift: bool,
    pub now: OffsetDateTime,
    /// Written only if the batch was applied.
    pub rows: Rows<'a>,
}

/// What an applied batch leaves behind.
pub struct Rows<'a> {
    pub tenant: TenantId,
    /// Of the zone before the batch; each change is one revision on.
    pub revision: u64,
    /// The one that the changes led to.
    pub serial: Option<u32>,
    pub changes: Vec<NewChange>,
    pub audit: &'a [AuditEntry],
    pub ids_removed: &'a [RecordId],
    pub ids_put: &'a [RecordIdRow],
    pub record_count: u32,
}

/// The block: the zone's row first, as everywhere; then nothing unless the intent is still held under this epoch.
macro_rules! block {
    ($before:literal, $after:literal) => {
        concat!(
            "BEGIN NOT ATOMIC
                DECLARE zone BINARY(16) DEFAULT ?;
                DECLARE tenant BINARY(16) DEFAULT ?;
                DECLARE batch BINARY(16) DEFAULT ?;
                DECLARE applied BOOLEAN DEFAULT ?;
                DECLARE zone_serial INT UNSIGNED DEFAULT ?;
                DECLARE at DATETIME(6) DEFAULT ?;
                DECLARE drift BOOLEAN DEFAULT ?;
                DECLARE removed LONGTEXT DEFAULT ?;
                DECLARE locked BINARY(16);
                DECLARE held INT;
                DECLARE wanted BOOLEAN;
                DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
                ",
            $before,
            "
                SELECT id, wanted_at > NOW(6) - INTERVAL 1 SECOND INTO locked, wanted
                    FROM zones WHERE id = zone FOR UPDATE;
                DELETE FROM zone_intents WHERE zone_name = ? AND change_id = batch AND epoch = ?;
                SET held = ROW_COUNT();
                IF held = 1 THEN
                    INSERT INTO settled_batches (change_id, zone_id, outcome, detail, settled_at)
                        VALUES (batch, zone, ?, ?, at);
                    IF locked IS NOT NULL AND applied THEN
                        INSERT INTO zone_changes (id, batch_id, ordinal, zone_id, tenant_id, revision, serial, actor,
                                ip_address, request_id, changes, created_at)
                            SELECT UNHEX(j.id), batch, j.n - 1, zone, tenant, ? + j.n, ?, j.actor, j.ip_address,
                                j.request_id, j.changes, at
                            FROM JSON_TABLE(?, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$.id',
                                actor LONGTEXT PATH '$.actor', ip_address VARCHAR(45) PATH '$.ip_address',
                                request_id VARCHAR(128) PATH '$.request_id', changes LONGTEXT PATH '$.changes')) j;
                        INSERT INTO audit_log (id, tenant_id, batch_id, ordinal, actor_type, actor_id, actor_email,
                                action, resource_type, resource_id, resource_name, details, ip_address, user_agent,
                                request_id, created_at)
                            SELECT UNHEX(j.id), UNHEX(j.tenant), batch, j.n - 1, j.actor_type, j.actor_id,
                                j.actor_email, j.action, j.resource_type, j.resource_id, j.resource_name, j.details,
                                j.ip_address, j.user_agent, j.request_id, j.created_at
                            FROM JSON_TABLE(?, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$.id',
                                tenant CHAR(32) PATH '$.tenant', actor_type VARCHAR(16) PATH '$.actor_type',
                                actor_id VARCHAR(64) PATH '$.actor_id', actor_email VARCHAR(320) PATH '$.actor_email',
                                action VARCHAR(64) PATH '$.action', resource_type VARCHAR(32) PATH '$.resource_type',
                                resource_id VARCHAR(64) PATH '$.resource_id',
                                resource_name VARCHAR(512) PATH '$.resource_name',
                                details LONGTEXT PATH '$.details', ip_address VARCHAR(45) PATH '$.ip_address',
                                user_agent VARCHAR(512) PATH '$.user_agent',
                                request_id VARCHAR(128) PATH '$.request_id',
                                created_at DATETIME(6) PATH '$.created_at')) j;
                        IF removed <> '[]' THEN
                            DELETE r FROM JSON_TABLE(removed, '$[*]' COLUMNS (id CHAR(32) PATH '$')) j
                                STRAIGHT_JOIN record_ids r ON r.zone_id = zone AND r.id = UNHEX(j.id);
                        END IF;
                        REPLACE INTO record_ids (zone_id, id, digest, created_at, updated_at)
                            SELECT zone, UNHEX(j.id), UNHEX(j.digest), j.created_at, j.updated_at
                            FROM JSON_TABLE(?, '$[*]' COLUMNS (id CHAR(32) PATH '$.id', digest CHAR(32) PATH '$.digest',
                                created_at DATETIME(6) PATH '$.created_at',
                                updated_at DATETIME(6) PATH '$.updated_at')) j;
                        UPDATE zones SET revision = revision + ?, serial = COALESCE(zone_serial, serial),
                            last_change = batch, record_count = ?, drift_noted_at = IF(drift, at, drift_noted_at),
                            updated_at = at, wanted_at = NULL WHERE id = zone;
                    ELSEIF zone_serial IS NOT NULL OR drift THEN
                        UPDATE zones SET serial = COALESCE(zone_serial, serial),
                            drift_noted_at = IF(drift, at, drift_noted_at) WHERE id = zone;
                    END IF;
                END IF;
                ",
            $after,
            "
                SELECT held, wanted;
            END"
        )
    };
}

/// How a settle came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    Done {
        /// Somebody else waits for the zone.
        wanted: bool,
    },
    /// The intent is no longer held: nothing was written.
    NotHeld,
}

/// Settles in a transaction of its own: one round trip. After `Unavailable` the outcome is unknown.
///
/// A connection on which the block has not come to its end is not used again: if the statement was killed from outside,
/// no handler of the block has run and its transaction is still open. Nor if the caller gives up: the time is the
/// caller's to bound.
pub async fn settle(db: &Db, settlement: &Settlement<'_>) -> Result<Settled> {
    const BLOCK: &str = block!("START TRANSACTION;", "COMMIT;");
    let mut connection = Suspect { connection: db.pool().acquire().await?, is_cleared: false };
    let settled = outcome(&bind(BLOCK, settlement).fetch_one(&mut *connection.connection).await?)?;
    connection.is_cleared = true;
    Ok(settled)
}

/// A connection that is closed, not used again, unless it is cleared.
struct Suspect {
    connection: PoolConnection<MySql>,
    is_cleared: bool,
}

impl Drop for Suspect {
    fn drop(&mut self) {
        if !self.is_cleared {
            self.connection.close_on_drop();
        }
    }
}

/// The same within a transaction that goes on; to be rolled back where the intent was not held.
pub async fn settle_within(tx: &mut Transaction<'_, MySql>, settlement: &Settlement<'_>) -> Result<Settled> {
    const BLOCK: &str = block!("", "");
    outcome(&bind(BLOCK, settlement).fetch_one(&mut **tx).await?)
}

fn outcome(row: &MySqlRow) -> Result<Settled> {
    let wanted: Option<i64> = row.try_get("wanted")?;
    let is_held = row.try_get::<i64, _>("held")? == 1;
    Ok(if is_held { Settled::Done { wanted: wanted == Some(1) } } else { Settled::NotHeld })
}

fn bind<'q>(block: &'static str, settlement: &Settlement<'q>) -> Query<'q, MySql, MySqlArguments> {
    const DETAIL_CHARACTERS_MAX: usize = 1_000;
    let Settlement { intent, outcome, detail, serial, drift, now, rows } = settlement;
    let Rows { tenant, revision, serial: change_serial, changes, audit, ids_removed, ids_put, record_count } = rows;
    let Intent { zone_name, zone, change, epoch, kind: _, payload: _ } = intent;
    sqlx::query(block)
        .bind(zone.0)
        .bind(tenant.0)
        .bind(change.0)
        .bind(*outcome == BatchOutcome::Applied)
        .bind(*serial)
        .bind(datetime(now))
        .bind(*drift)
        .bind(documents(ids_removed, |id| Value::String(hex::encode(id.0))))
        .bind(zone_name.as_str())
        .bind(*epoch)
        .bind(outcome.as_str())
        .bind(detail.chars().take(DETAIL_CHARACTERS_MAX).collect::<String>())
        .bind(*revision)
        .bind(*change_serial)
        .bind(documents(changes, change_document))
        .bind(documents(audit, audit_document))
        .bind(documents(ids_put, id_document))
        .bind(changes.len() as u64)
        .bind(*record_count)
}

fn documents<T>(rows: &[T], document: impl Fn(&T) -> Value) -> String {
    Value::Array(rows.iter().map(document).collect()).to_string()
}

fn change_document(change: &NewChange) -> Value {
    let NewChange { id, actor, ip_address, request_id, changes } = change;
    json!({
        "id": hex::encode(id.0),
        "actor": actor,
        "ip_address": ip_address,
        "request_id": request_id,
        "changes": changes,
    })
}

fn audit_document(entry: &AuditEntry) -> Value {
    let AuditEntry {
        id,
        tenant,
        actor_type,
        actor_id,
        actor_email,
        action,
        resource_type,
        resource_id,
        resource_name,
        details,
        ip_address,
        user_agent,
        request_id,
        created_at,
    } = entry;
    json!({
        "id": hex::encode(id.0),
        "tenant": tenant.map(|tenant| hex::encode(tenant.0)),
        "actor_type": actor_type,
        "actor_id": actor_id,
        "actor_email": actor_email,
        "action": action,
        "resource_type": resource_type,
        "resource_id": resource_id,
        "resource_name": resource_name.as_deref().map(audit::shown_name),
        "details": details.to_string(),
        "ip_address": ip_address,
        "user_agent": user_agent,
        "request_id": request_id,
        "created_at": time_text(*created_at),
    })
}

fn id_document(row: &RecordIdRow) -> Value {
    let RecordIdRow { id, digest, created_at, updated_at } = row;
    json!({
        "id": hex::encode(id.0),
        "digest": hex::encode(digest),
        "created_at": time_text(*created_at),
        "updated_at": time_text(*updated_at),
    })
}

fn time_text(time: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]");
    datetime(time).format(format).unwrap_or_default()
}
