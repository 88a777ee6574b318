//! What is kept of the signing of zones: one row each, from the first step of signing to the last of unsigning.
//!
//! While a step is not applied only the holder of the zone's lock writes the row; everybody writes it only if it still
//! has the version that was read.

use sqlx::mysql::MySqlRow;
use sqlx::types::Json;
use sqlx::{FromRow, MySql, Row, Transaction};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::dns::dnssec::{Phase, Signing};
use crate::ids::ZoneId;

use super::audit::{self, AuditEntry};
use super::zones::{self, ZoneRow};
use super::{Db, Result, StorageError};

/// The signing of a zone.
#[derive(Clone, Debug)]
pub struct SigningRow {
    pub zone: ZoneId,
    pub state: Signing,
    pub version: u64,
    /// Written when the step under way has been applied.
    pub audit: Vec<AuditEntry>,
    pub alarm: Option<String>,
    pub due_at: OffsetDateTime,
}

/// Whoever began a step has taken it to its end by then; else a worker does, once recovery has freed the zone.
const GOES_ON_AFTER: Duration = Duration::seconds(20);

const COLUMNS: &str = "s.zone_id, s.state, s.version, s.audit, s.alarm, s.due_at";

impl FromRow<'_, MySqlRow> for SigningRow {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        Ok(Self {
            zone: ZoneId(row.try_get("zone_id")?),
            state: row.try_get::<Json<Signing>, _>("state")?.0,
            version: row.try_get("version")?,
            audit: row.try_get::<Json<Vec<AuditEntry>>, _>("audit")?.0,
            alarm: row.try_get("alarm")?,
            due_at: row.try_get("due_at")?,
        })
    }
}

pub async fn find(db: &Db, zone: ZoneId) -> Result<Option<SigningRow>> {
    let sql = format!("SELECT {COLUMNS} FROM zone_signing s WHERE s.zone_id = ?");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(zone.0).fetch_optional(db.pool()).await?)
}

/// A step is about to be taken, within the transaction that takes the zone's lock. `version`: of the row that it was
/// decided on, None where there was none. False: it is another one by now.
pub async fn begin_step(
    tx: &mut Transaction<'_, MySql>,
    zone: ZoneId,
    version: Option<u64>,
    state: &Signing,
    audit: &[AuditEntry],
    now: OffsetDateTime,
) -> Result<bool> {
    let (state_json, audit_json) = (json(state)?, json(&audit)?);
    let done = match version {
        None => sqlx::query(
            "INSERT IGNORE INTO zone_signing (zone_id, phase, state, version, audit, due_at, created_at, updated_at) \
                 VALUES (?, ?, ?, 1, ?, ?, ?, ?)",
        )
        .bind(zone.0)
        .bind(state.phase.as_str())
        .bind(state_json)
        .bind(audit_json)
        .bind(super::datetime(now + GOES_ON_AFTER))
        .bind(super::datetime(now))
        .bind(super::datetime(now))
        .execute(&mut **tx)
        .await?,
        Some(version) => {
            sqlx::query(
                "UPDATE zone_signing SET phase = ?, state = ?, version = version + 1, audit = ?, due_at = ?, \
                 updated_at = ? WHERE zone_id = ? AND version = ?",
            )
            .bind(state.phase.as_str())
            .bind(state_json)
            .bind(audit_json)
            .bind(super::datetime(now + GOES_ON_AFTER))
            .bind(super::datetime(now))
            .bind(zone.0)
            .bind(version)
            .execute(&mut **tx)
            .await?
        }
    };
    Ok(done.rows_affected() == 1)
}

/// Keeps the ids of keys just made; the caller holds the zone's lock and the step is its own. False: it is not.
pub async fn keep_keys(db: &Db, zone: ZoneId, version: u64, state: &Signing, now: OffsetDateTime) -> Result<bool> {
    let sql =
        "UPDATE zone_signing SET state = ?, version = version + 1, updated_at = ? WHERE zone_id = ? AND version = ?";
    let done = sqlx::query(sql)
        .bind(json(state)?)
        .bind(super::datetime(now))
        .bind(zone.0)
        .bind(version)
        .execute(db.pool())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes back a step of which nothing was done, if the row is still that of the version. None: there was no row before.
pub async fn restore(
    db: &Db,
    zone: ZoneId,
    version: u64,
    before: Option<&SigningRow>,
    now: OffsetDateTime,
) -> Result<()> {
    let Some(SigningRow { zone: _, state, version: _, audit, alarm: _, due_at: _ }) = before else {
        let sql = "DELETE FROM zone_signing WHERE zone_id = ? AND version = ?";
        sqlx::query(sql).bind(zone.0).bind(version).execute(db.pool()).await?;
        return Ok(());
    };
    sqlx::query(
        "UPDATE zone_signing SET phase = ?, state = ?, audit = ?, version = version + 1, updated_at = ? \
         WHERE zone_id = ? AND version = ?",
    )
    .bind(state.phase.as_str())
    .bind(json(state)?)
    .bind(json(audit)?)
    .bind(super::datetime(now))
    .bind(zone.0)
    .bind(version)
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Keeps what was learned, if the row is still that of the version. False: it is not.
/// `entries` go into the audit log with it.
pub async fn keep(db: &Db, row: &SigningRow, entries: &[AuditEntry], now: OffsetDateTime) -> Result<bool> {
    let SigningRow { zone, state, version, audit, alarm, due_at } = row;
    let mut tx = db.begin().await?;
    let done = sqlx::query(
        "UPDATE zone_signing SET phase = ?, state = ?, version = version + 1, audit = ?, alarm = ?, due_at = ?, \
         updated_at = ? WHERE zone_id = ? AND version = ?",
    )
    .bind(state.phase.as_str())
    .bind(json(state)?)
    .bind(json(audit)?)
    .bind(alarm)
    .bind(super::datetime(*due_at))
    .bind(super::datetime(now))
    .bind(zone.0)
    .bind(version)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    if !entries.is_empty() {
        audit::append(&mut tx, None, entries).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// How many zones are in each alarm.
pub async fn alarms(db: &Db) -> Result<Vec<(String, u64)>> {
    let sql = "SELECT alarm, COUNT(*) FROM zone_signing WHERE alarm IS NOT NULL GROUP BY alarm";
    let found: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(db.pool()).await?;
    Ok(found.into_iter().map(|(alarm, zones)| (alarm, u64::try_from(zones).unwrap_or(0))).collect())
}

/// The step under way has been applied: the row says so, and the zone's with it. The caller holds the zone's row.
pub async fn settle_step(tx: &mut Transaction<'_, MySql>, zone: &ZoneRow, now: OffsetDateTime) -> Result<()> {
    let sql = format!("SELECT {COLUMNS} FROM zone_signing s WHERE s.zone_id = ? FOR UPDATE");
    let row: Option<SigningRow> =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(zone.id.0).fetch_optional(&mut **tx).await?;
    let Some(row) = row else { return Ok(()) };
    if row.state.phase == Phase::Unsigning {
        sqlx::query("DELETE FROM zone_signing WHERE zone_id = ?").bind(zone.id.0).execute(&mut **tx).await?;
        return zones::set_denial(tx, zone, None).await;
    }
    let state = row.state.applied(now);
    sqlx::query(
        "UPDATE zone_signing SET state = ?, version = version + 1, audit = '[]', due_at = ?, updated_at = ? \
         WHERE zone_id = ?",
    )
    .bind(json(&state)?)
    .bind(super::datetime(now))
    .bind(super::datetime(now))
    .bind(zone.id.0)
    .execute(&mut **tx)
    .await?;
    zones::set_denial(tx, zone, Some(state.denial)).await
}

/// Zones that somebody is to look at, those that wait longest first.
pub async fn due(db: &Db, now: OffsetDateTime, limit: u32) -> Result<Vec<ZoneId>> {
    let sql = "SELECT zone_id FROM zone_signing WHERE due_at <= ? ORDER BY due_at LIMIT ?";
    let found: Vec<Uuid> = sqlx::query_scalar(sql).bind(super::datetime(now)).bind(limit).fetch_all(db.pool()).await?;
    Ok(found.into_iter().map(ZoneId).collect())
}

/// Takes a due zone, so that no other worker looks at it meanwhile. False: another one has it.
pub async fn lease(db: &Db, zone: ZoneId, now: OffsetDateTime, until: OffsetDateTime) -> Result<bool> {
    let done = sqlx::query("UPDATE zone_signing SET due_at = ? WHERE zone_id = ? AND due_at <= ?")
        .bind(super::datetime(until))
        .bind(zone.0)
        .bind(super::datetime(now))
        .execute(db.pool())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Sets when a zone is looked at next.
pub async fn postpone(db: &Db, zone: ZoneId, until: OffsetDateTime) -> Result<()> {
    sqlx::query("UPDATE zone_signing SET due_at = ? WHERE zone_id = ?")
        .bind(super::datetime(until))
        .bind(zone.0)
        .execute(db.pool())
        .await?;
    Ok(())
}

/// A signed zone as operators see it.
#[derive(Clone, Debug)]
pub struct SignedZone {
    pub name: String,
    pub tenant: crate::ids::TenantId,
    pub row: SigningRow,
}

impl FromRow<'_, MySqlRow> for SignedZone {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            tenant: crate::ids::TenantId(row.try_get("tenant_id")?),
            row: SigningRow::from_row(row)?,
        })
    }
}

/// Which signed zones an operator wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedFilter {
    All,
    /// Somebody is to look at them by now.
    Due,
    /// Their wait is not over.
    Waiting,
    /// Something is wrong.
    Stuck,
}

impl SignedFilter {
    fn condition(self) -> &'static str {
        match self {
            Self::All => "? IS NOT NULL",
            Self::Due => "s.due_at <= ?",
            Self::Waiting => "s.due_at > ?",
            Self::Stuck => "s.alarm IS NOT NULL AND ? IS NOT NULL",
        }
    }
}

/// Where a page begins.
#[derive(Clone, Debug)]
pub enum SignedStart {
    Offset(u64),
    /// Behind this zone.
    After(String, ZoneId),
}

/// One page of signed zones of all tenants by name, and how many there are; for operators.
pub async fn page(
    db: &Db,
    filter: SignedFilter,
    now: OffsetDateTime,
    start: &SignedStart,
    limit: u32,
) -> Result<(Vec<SignedZone>, u64)> {
    let condition = filter.condition();
    let count = format!("SELECT COUNT(*) FROM zone_signing s JOIN zones z ON z.id = s.zone_id WHERE {condition}");
    let total: i64 =
        sqlx::query_scalar(sqlx::AssertSqlSafe(count)).bind(super::datetime(now)).fetch_one(db.pool()).await?;
    let (name, zone, offset) = match start {
        SignedStart::Offset(offset) => (String::new(), Uuid::nil(), *offset),
        SignedStart::After(name, zone) => (name.clone(), zone.0, 0),
    };
    let rows = format!(
        "SELECT {COLUMNS}, z.name, z.tenant_id FROM zone_signing s JOIN zones z ON z.id = s.zone_id WHERE {condition} \
         AND (z.name > ? OR (z.name = ? AND z.id > ?)) ORDER BY z.name, z.id LIMIT ? OFFSET ?"
    );
    let found = sqlx::query_as(sqlx::AssertSqlSafe(rows))
        .bind(super::datetime(now))
        .bind(&name)
        .bind(&name)
        .bind(zone)
        .bind(limit)
        .bind(offset)
        .fetch_all(db.pool())
        .await?;
    Ok((found, u64::try_from(total).unwrap_or(0)))
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StorageError::Corrupt(error.to_string()))
}
