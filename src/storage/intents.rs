//! Intents: what a writer is about to do to a zone. The row is the zone's lock, across all replicas.

use sqlx::mysql::MySqlRow;
use sqlx::{FromRow, MySql, MySqlExecutor, Row, Transaction};

use crate::ids::{ChangeId, JobId, ZoneId};
use crate::tenancy::ZoneStatus;

use super::{Db, Result};

/// How long a writer has before recovery looks; of comfort only, safety does not depend on it.
pub const DEADLINE_SECONDS: u32 = 15;

/// That a change is under way at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntentMark {
    pub zone: ZoneId,
    pub change: ChangeId,
    pub overdue: bool,
}

/// A whole intent.
#[derive(Clone, Debug)]
pub struct Intent {
    pub zone_name: String,
    pub zone: ZoneId,
    pub change: ChangeId,
    pub epoch: u32,
    pub kind: String,
    pub payload: String,
}

impl FromRow<'_, MySqlRow> for Intent {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        Ok(Self {
            zone_name: row.try_get("zone_name")?,
            zone: ZoneId(row.try_get("zone_id")?),
            change: ChangeId(row.try_get("change_id")?),
            epoch: row.try_get("epoch")?,
            kind: row.try_get("kind")?,
            payload: row.try_get("payload")?,
        })
    }
}

/// Takes the zone's lock. The key `PRIMARY` violated: another change is under way.
pub async fn insert(tx: &mut Transaction<'_, MySql>, intent: &Intent) -> Result<()> {
    let Intent { zone_name, zone, change, epoch, kind, payload } = intent;
    sqlx::query(
        "INSERT INTO zone_intents (zone_name, zone_id, change_id, epoch, kind, payload, deadline, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, NOW(6) + INTERVAL ? SECOND, NOW(6))",
    )
    .bind(zone_name)
    .bind(zone.0)
    .bind(change.0)
    .bind(epoch)
    .bind(kind)
    .bind(payload)
    .bind(DEADLINE_SECONDS)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What of a zone's row a decision rested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub revision: u64,
    pub status: ZoneStatus,
    pub last_change: Option<ChangeId>,
    pub default_ttl: u32,
    pub dnssec_enabled: bool,
    pub held_by: Option<JobId>,
}

/// [`insert`] in one round trip: takes the lock only if the zone's row still stands as the decision found it. False: it
/// does not. The row is read under its lock; at READ COMMITTED an insert from a plain select could go through although
/// the row has moved meanwhile.
pub async fn take<'c>(connection: impl MySqlExecutor<'c>, intent: &Intent, standing: &Standing) -> Result<bool> {
    let Intent { zone_name, zone, change, epoch, kind, payload } = intent;
    let Standing { revision, status, last_change, default_ttl, dnssec_enabled, held_by } = standing;
    let done = sqlx::query(
        "INSERT INTO zone_intents (zone_name, zone_id, change_id, epoch, kind, payload, deadline, created_at) \
         SELECT ?, z.id, ?, ?, ?, ?, NOW(6) + INTERVAL ? SECOND, NOW(6) FROM zones z WHERE z.id = ? \
         AND z.revision = ? AND z.status = ? AND z.last_change <=> ? AND z.default_ttl = ? AND z.dnssec_enabled = ? \
         AND z.held_by <=> ? FOR UPDATE",
    )
    .bind(zone_name)
    .bind(change.0)
    .bind(epoch)
    .bind(kind)
    .bind(payload)
    .bind(DEADLINE_SECONDS)
    .bind(zone.0)
    .bind(revision)
    .bind(status.as_str())
    .bind(last_change.map(|change| change.0))
    .bind(default_ttl)
    .bind(dnssec_enabled)
    .bind(held_by.map(|job| job.0))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn find(db: &Db, change: ChangeId) -> Result<Option<Intent>> {
    let sql = "SELECT zone_name, zone_id, change_id, epoch, kind, payload FROM zone_intents WHERE change_id = ?";
    Ok(sqlx::query_as(sql).bind(change.0).fetch_optional(db.pool()).await?)
}

/// One that is past its deadline.
pub async fn find_overdue(db: &Db, change: ChangeId) -> Result<Option<Intent>> {
    let sql = "SELECT zone_name, zone_id, change_id, epoch, kind, payload FROM zone_intents \
               WHERE change_id = ? AND deadline < NOW(6)";
    Ok(sqlx::query_as(sql).bind(change.0).fetch_optional(db.pool()).await?)
}

/// Whether a change of this very zone is under way; the caller holds the zone's row.
pub async fn exists_for_zone(tx: &mut Transaction<'_, MySql>, zone: ZoneId) -> Result<bool> {
    let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM zone_intents WHERE zone_id = ?")
        .bind(zone.0)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(found.is_some())
}

/// The same of changes of one kind.
pub async fn is_under_way(tx: &mut Transaction<'_, MySql>, zone: ZoneId, kind: &str) -> Result<bool> {
    let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM zone_intents WHERE zone_id = ? AND kind = ?")
        .bind(zone.0)
        .bind(kind)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(found.is_some())
}

/// Intents past their deadline, oldest first.
pub async fn overdue(db: &Db, limit: u32) -> Result<Vec<Intent>> {
    let sql = "SELECT zone_name, zone_id, change_id, epoch, kind, payload FROM zone_intents \
               WHERE deadline < NOW(6) ORDER BY deadline LIMIT ?";
    Ok(sqlx::query_as(sql).bind(limit).fetch_all(db.pool()).await?)
}

/// A change under way, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIntent {
    pub zone_name: String,
    pub change: ChangeId,
    pub kind: String,
    pub age_seconds: i64,
    /// How often recovery has taken it up.
    pub attempts: u32,
}

/// Changes under way, oldest first.
pub async fn open(db: &Db, limit: u32) -> Result<Vec<OpenIntent>> {
    let sql = "SELECT zone_name, change_id, kind, CAST(TIMESTAMPDIFF(SECOND, created_at, NOW(6)) AS SIGNED) AS age, epoch \
               FROM zone_intents ORDER BY created_at LIMIT ?";
    let rows = sqlx::query(sql).bind(limit).fetch_all(db.pool()).await?;
    let open = |row: &MySqlRow| {
        Ok(OpenIntent {
            zone_name: row.try_get("zone_name")?,
            change: ChangeId(row.try_get("change_id")?),
            kind: row.try_get("kind")?,
            age_seconds: row.try_get("age")?,
            attempts: row.try_get("epoch")?,
        })
    };
    rows.iter().map(open).collect()
}

/// Recovery takes an intent over: whoever raises the epoch owns it. False: somebody else did.
pub async fn take_over(db: &Db, intent: &Intent) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE zone_intents SET epoch = epoch + 1, deadline = NOW(6) + INTERVAL ? SECOND \
         WHERE zone_name = ? AND change_id = ? AND epoch = ?",
    )
    .bind(DEADLINE_SECONDS)
    .bind(&intent.zone_name)
    .bind(intent.change.0)
    .bind(intent.epoch)
    .execute(db.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whoever holds an intent writes into it how far the change is, and raises the epoch: who has read it before cannot take
/// it over any more. False: somebody has taken it over. The deadline stays.
pub async fn renew(db: &Db, intent: &Intent, payload: &str) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE zone_intents SET epoch = epoch + 1, payload = ? WHERE zone_name = ? AND change_id = ? AND epoch = ?",
    )
    .bind(payload)
    .bind(&intent.zone_name)
    .bind(intent.change.0)
    .bind(intent.epoch)
    .execute(db.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    Applied,
    /// PowerDNS refused it: nothing ran.
    Refused,
    /// It never ran and never will.
    Dropped,
}

impl BatchOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
            Self::Dropped => "dropped",
        }
    }
}

/// How a batch ended, if it has.
pub async fn outcome(db: &Db, change: ChangeId) -> Result<Option<(BatchOutcome, String)>> {
    let found: Option<(String, String)> =
        sqlx::query_as("SELECT outcome, detail FROM settled_batches WHERE change_id = ?")
            .bind(change.0)
            .fetch_optional(db.pool())
            .await?;
    Ok(found.map(|(outcome, detail)| {
        let outcome = match outcome.as_str() {
            "applied" => BatchOutcome::Applied,
            "refused" => BatchOutcome::Refused,
            _ => BatchOutcome::Dropped,
        };
        (outcome, detail)
    }))
}

/// Forgets how batches ended that nobody asks about any more, in bounded steps.
pub async fn sweep_outcomes(db: &Db) -> Result<u64> {
    const KEEP_DAYS: u32 = 7; // a writer that looks its change up does so within minutes
    let sql = "DELETE FROM settled_batches WHERE settled_at < NOW(6) - INTERVAL ? DAY ORDER BY settled_at LIMIT 1000";
    Ok(sqlx::query(sql).bind(KEEP_DAYS).execute(db.pool()).await?.rows_affected())
}
