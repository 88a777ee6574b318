//! Jobs: work that no request waits for. The row says what is to be done, how far it is, and who works on it: a claim is
//! a lease that ends by itself, so that the job of a worker that died is gone on with by another.

use serde_json::Value;
use sqlx::mysql::MySqlRow;
use sqlx::{FromRow, MySql, QueryBuilder, Row, Transaction};
use time::OffsetDateTime;

use crate::authz::Visibility;
use crate::ids::{JobId, TenantId, ZoneId};

use super::{Db, Result, intents, zones};

/// How long a claim holds without being renewed: a worker that is alive renews it several times in this time.
pub const LEASE_SECONDS: u32 = 30;

/// The key that says that a job of this kind is under way for the zone already.
pub const BUSY_ZONE: &str = "jobs_busy_zone";

const MESSAGE_CHARACTERS_MAX: usize = 512; // the column's
const ERROR_CHARACTERS_MAX: usize = 2_048; // the column's

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStatus {
    Queued,
    Running,
    Succeeded,
    Failed,
}

impl JobStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Queued, Self::Running, Self::Succeeded, Self::Failed].into_iter().find(|status| status.as_str() == text)
    }
}

/// A job to be done.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub id: JobId,
    pub kind: &'static str,
    /// None: the platform's own.
    pub tenant: Option<TenantId>,
    /// Where given, the zone has no other unfinished job of this kind: [`BUSY_ZONE`].
    pub zone: Option<ZoneId>,
    pub requested_by: Value,
    pub parameters: Value,
    pub total: Option<u64>,
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub total: Option<u64>,
    pub message: Option<String>,
}

/// A job as it is shown: without its parameters and its state.
#[derive(Clone, Debug)]
pub struct JobRow {
    pub id: JobId,
    pub kind: String,
    pub tenant: Option<TenantId>,
    pub zone: Option<ZoneId>,
    pub requested_by: Value,
    pub status: JobStatus,
    pub look_at: Option<OffsetDateTime>,
    pub attempts: u32,
    pub progress: Progress,
    pub result: Option<Value>,
    pub error: Option<String>,
    pub created_at: OffsetDateTime,
    pub started_at: Option<OffsetDateTime>,
    pub finished_at: Option<OffsetDateTime>,
    pub updated_at: OffsetDateTime,
}

/// A job that is due.
#[derive(Clone, Debug)]
pub struct DueJob {
    pub id: JobId,
    pub kind: String,
    epoch: u32,
}

/// A job that is held, with all that working on it needs.
#[derive(Clone, Debug)]
pub struct ClaimedJob {
    pub hold: Hold,
    pub kind: String,
    pub tenant: Option<TenantId>,
    pub zone: Option<ZoneId>,
    pub requested_by: Value,
    pub parameters: Value,
    pub state: Option<Value>,
    pub progress: Progress,
    /// This one counted.
    pub attempts: u32,
    /// How often it was given back because somebody it needs was away.
    pub waits: u32,
}

/// Who holds a job: its epoch is nobody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    pub job: JobId,
    epoch: u32,
}

/// Writes a job down, in the transaction of what asks for it.
pub async fn create(tx: &mut Transaction<'_, MySql>, job: &NewJob) -> Result<()> {
    let NewJob { id, kind, tenant, zone, requested_by, parameters, total } = job;
    sqlx::query(
        "INSERT INTO jobs (id, kind, tenant_id, zone_id, requested_by, parameters, status, look_at, total, created_at, \
         updated_at) VALUES (?, ?, ?, ?, ?, ?, 'queued', NOW(6), ?, NOW(6), NOW(6))",
    )
    .bind(id.0)
    .bind(kind)
    .bind(tenant.map(|tenant| tenant.0))
    .bind(zone.map(|zone| zone.0))
    .bind(requested_by.to_string())
    .bind(parameters.to_string())
    .bind(total)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether a job of this kind is not over yet.
pub async fn is_under_way(db: &Db, kind: &str) -> Result<bool> {
    let query = sqlx::query_scalar::<_, i64>("SELECT 1 FROM jobs WHERE look_at IS NOT NULL AND kind = ? LIMIT 1");
    Ok(query.bind(kind).fetch_optional(db.pool()).await?.is_some())
}

/// Jobs of these kinds that nobody holds, those that wait longest first.
pub async fn due(db: &Db, kinds: &[&str], limit: u32) -> Result<Vec<DueJob>> {
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let mut query =
        QueryBuilder::<MySql>::new("SELECT id, kind, epoch FROM jobs WHERE look_at <= NOW(6) AND kind IN (");
    let mut list = query.separated(", ");
    for kind in kinds {
        list.push_bind((*kind).to_owned());
    }
    query.push(") ORDER BY look_at LIMIT ").push_bind(limit);
    let rows: Vec<(uuid::Uuid, String, u32)> = query.build_query_as().fetch_all(db.pool()).await?;
    Ok(rows.into_iter().map(|(id, kind, epoch)| DueJob { id: JobId(id), kind, epoch }).collect())
}

/// Takes a job that is due for [`LEASE_SECONDS`]. None: somebody else was faster.
pub async fn claim(db: &Db, due: &DueJob) -> Result<Option<ClaimedJob>> {
    let DueJob { id, kind: _, epoch } = due;
    let done = sqlx::query(
        "UPDATE jobs SET status = 'running', epoch = epoch + 1, attempts = attempts + 1, \
         look_at = NOW(6) + INTERVAL ? SECOND, started_at = COALESCE(started_at, NOW(6)), updated_at = NOW(6) \
         WHERE id = ? AND epoch = ? AND look_at <= NOW(6)",
    )
    .bind(LEASE_SECONDS)
    .bind(id.0)
    .bind(epoch)
    .execute(db.pool())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    const JOB: &str = "SELECT kind, tenant_id, zone_id, requested_by, parameters, state, done, total, message, attempts, \
                       waits FROM jobs WHERE id = ? AND epoch = ?";
    let row = sqlx::query(JOB).bind(id.0).bind(epoch + 1).fetch_optional(db.pool()).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(ClaimedJob {
        hold: Hold { job: *id, epoch: epoch + 1 },
        kind: row.try_get("kind")?,
        tenant: row.try_get::<Option<_>, _>("tenant_id")?.map(TenantId),
        zone: row.try_get::<Option<_>, _>("zone_id")?.map(ZoneId),
        requested_by: json(&row, "requested_by")?.unwrap_or_default(),
        parameters: json(&row, "parameters")?.unwrap_or_default(),
        state: json(&row, "state")?,
        progress: progress(&row)?,
        attempts: row.try_get("attempts")?,
        waits: row.try_get("waits")?,
    }))
}

/// Renews the lease. False: it is not held any more.
pub async fn renew(db: &Db, hold: Hold) -> Result<bool> {
    let query = "UPDATE jobs SET look_at = NOW(6) + INTERVAL ? SECOND \
                 WHERE id = ? AND epoch = ? AND status = 'running'";
    let done = sqlx::query(query).bind(LEASE_SECONDS).bind(hold.job.0).bind(hold.epoch).execute(db.pool()).await?;
    Ok(done.rows_affected() == 1)
}

/// Notes how far it is and where to go on, and renews the lease; in the transaction of the step itself where that step
/// must not be done twice. False: it is not held any more, and the transaction is not to be committed.
pub async fn checkpoint(
    tx: &mut Transaction<'_, MySql>,
    hold: Hold,
    progress: &Progress,
    state: Option<&Value>,
) -> Result<bool> {
    let Progress { done, total, message } = progress;
    let updated = sqlx::query(
        "UPDATE jobs SET look_at = NOW(6) + INTERVAL ? SECOND, attempts = 0, waits = 0, done = ?, total = ?, \
         message = ?, state = COALESCE(?, state), updated_at = NOW(6) WHERE id = ? AND epoch = ? AND status = 'running'",
    )
    .bind(LEASE_SECONDS)
    .bind(done)
    .bind(total)
    .bind(message.as_deref().map(|text| cut(text, MESSAGE_CHARACTERS_MAX)))
    .bind(state.map(Value::to_string))
    .bind(hold.job.0)
    .bind(hold.epoch)
    .execute(&mut **tx)
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// Lets go of a zone that the job holds, in the transaction that ends it; the zone's row stays locked. False: a change of
/// the zone has no outcome yet, which may be the job's own and would come after its end.
pub async fn let_go(tx: &mut Transaction<'_, MySql>, hold: Hold, succeeded: bool) -> Result<bool> {
    let query = sqlx::query_scalar("SELECT zone_id FROM jobs WHERE id = ?").bind(hold.job.0);
    let zone: Option<Option<uuid::Uuid>> = query.fetch_optional(&mut **tx).await?;
    let Some(zone) = zone.flatten().map(ZoneId) else { return Ok(true) };
    let row = zones::lock(tx, zone).await?;
    if row.is_none_or(|row| row.held_by != Some(hold.job)) {
        return Ok(true);
    }
    // of a job that has succeeded all is settled
    if !succeeded && intents::exists_for_zone(tx, zone).await? {
        return Ok(false);
    }
    zones::let_go(tx, zone, hold.job).await?;
    Ok(true)
}

/// The job is done. False: it is not held any more, and the transaction is not to be committed.
pub async fn succeed(tx: &mut Transaction<'_, MySql>, hold: Hold, result: &Value) -> Result<bool> {
    finish(tx, hold, JobStatus::Succeeded, Some(result), None).await
}

/// The job has failed for good. False: it is not held any more, and the transaction is not to be committed.
pub async fn fail(tx: &mut Transaction<'_, MySql>, hold: Hold, error: &str) -> Result<bool> {
    finish(tx, hold, JobStatus::Failed, None, Some(error)).await
}

async fn finish(
    tx: &mut Transaction<'_, MySql>,
    hold: Hold,
    status: JobStatus,
    result: Option<&Value>,
    error: Option<&str>,
) -> Result<bool> {
    // what it was made of may be large and is of no use any more
    let done = sqlx::query(
        "UPDATE jobs SET status = ?, look_at = NULL, result = ?, error = ?, parameters = 'null', state = NULL, \
         finished_at = NOW(6), updated_at = NOW(6) WHERE id = ? AND epoch = ? AND status = 'running'",
    )
    .bind(status.as_str())
    .bind(result.map(Value::to_string))
    .bind(error.map(|text| cut(text, ERROR_CHARACTERS_MAX)))
    .bind(hold.job.0)
    .bind(hold.epoch)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives the job back for as long as somebody it needs is away, which is no attempt. False: it is not held any more.
pub async fn wait(db: &Db, hold: Hold, pause_seconds: u32, error: &str) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE jobs SET status = 'queued', look_at = NOW(6) + INTERVAL ? SECOND, error = ?, \
         attempts = GREATEST(attempts, 1) - 1, waits = waits + 1, updated_at = NOW(6) \
         WHERE id = ? AND epoch = ? AND status = 'running'",
    )
    .bind(pause_seconds)
    .bind(cut(error, ERROR_CHARACTERS_MAX))
    .bind(hold.job.0)
    .bind(hold.epoch)
    .execute(db.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives the job back, to be gone on with after `pause_seconds`; why, where something went wrong. False: it is not held
/// any more.
pub async fn give_back(db: &Db, hold: Hold, pause_seconds: u32, error: Option<&str>) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE jobs SET status = 'queued', look_at = NOW(6) + INTERVAL ? SECOND, error = COALESCE(?, error), \
         updated_at = NOW(6) WHERE id = ? AND epoch = ? AND status = 'running'",
    )
    .bind(pause_seconds)
    .bind(error.map(|text| cut(text, ERROR_CHARACTERS_MAX)))
    .bind(hold.job.0)
    .bind(hold.epoch)
    .execute(db.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The job of this id, if it is visible.
pub async fn find(db: &Db, visible: &Visibility, id: JobId) -> Result<Option<JobRow>> {
    let mut query = QueryBuilder::<MySql>::new(SHOWN);
    query.push(" WHERE id = ").push_bind(id.0);
    if let Some(tenant) = visible.tenant() {
        query.push(" AND tenant_id = ").push_bind(tenant.0);
    }
    Ok(query.build_query_as().fetch_optional(db.pool()).await?)
}

/// Jobs of every tenant, the newest first, and how many there are. For the platform's admin.
pub async fn list(
    db: &Db,
    status: Option<JobStatus>,
    kind: Option<&str>,
    after: Option<JobId>,
    (offset, limit): (u64, u32),
) -> Result<(Vec<JobRow>, u64)> {
    let narrow = |query: &mut QueryBuilder<MySql>| {
        query.push(" WHERE TRUE");
        if let Some(status) = status {
            query.push(" AND status = ").push_bind(status.as_str());
        }
        if let Some(kind) = kind {
            query.push(" AND kind = ").push_bind(kind.to_owned());
        }
    };
    let mut count = QueryBuilder::<MySql>::new("SELECT COUNT(*) FROM jobs");
    narrow(&mut count);
    let total: i64 = count.build_query_scalar().fetch_one(db.pool()).await?;
    let mut query = QueryBuilder::<MySql>::new(SHOWN);
    narrow(&mut query);
    if let Some(id) = after {
        query.push(" AND id < ").push_bind(id.0);
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(offset);
    Ok((query.build_query_as().fetch_all(db.pool()).await?, u64::try_from(total).unwrap_or_default()))
}

/// Whether an unfinished job of this kind is there for the zone.
pub async fn is_busy(db: &Db, kind: &str, zone: ZoneId) -> Result<bool> {
    let query = "SELECT 1 FROM jobs WHERE zone_id = ? AND kind = ? AND look_at IS NOT NULL LIMIT 1";
    let found: Option<i64> = sqlx::query_scalar(query).bind(zone.0).bind(kind).fetch_optional(db.pool()).await?;
    Ok(found.is_some())
}

/// Removes what was finished long ago, in bounded steps.
pub async fn sweep(db: &Db) -> Result<u64> {
    const KEEP_DAYS: u32 = 30; // as long as somebody may ask what became of it
    let query = "DELETE FROM jobs WHERE finished_at < NOW(6) - INTERVAL ? DAY ORDER BY finished_at LIMIT 1000";
    Ok(sqlx::query(query).bind(KEEP_DAYS).execute(db.pool()).await?.rows_affected())
}

const SHOWN: &str = "SELECT id, kind, tenant_id, zone_id, requested_by, status, look_at, attempts, done, total, message, \
                     result, error, created_at, started_at, finished_at, updated_at FROM jobs";

impl FromRow<'_, MySqlRow> for JobRow {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        let status: String = row.try_get("status")?;
        Ok(Self {
            id: JobId(row.try_get("id")?),
            kind: row.try_get("kind")?,
            tenant: row.try_get::<Option<_>, _>("tenant_id")?.map(TenantId),
            zone: row.try_get::<Option<_>, _>("zone_id")?.map(ZoneId),
            requested_by: json(row, "requested_by")?.unwrap_or_default(),
            status: JobStatus::parse(&status)
                .ok_or_else(|| sqlx::Error::Decode(format!("the job's status {status:?}").into()))?,
            look_at: row.try_get("look_at")?,
            attempts: row.try_get("attempts")?,
            progress: progress(row)?,
            result: json(row, "result")?,
            error: row.try_get("error")?,
            created_at: row.try_get("created_at")?,
            started_at: row.try_get("started_at")?,
            finished_at: row.try_get("finished_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

fn progress(row: &MySqlRow) -> sqlx::Result<Progress> {
    Ok(Progress { done: row.try_get("done")?, total: row.try_get("total")?, message: row.try_get("message")? })
}

fn json(row: &MySqlRow, column: &str) -> sqlx::Result<Option<Value>> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| sqlx::Error::Decode(error.into()))
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

#[cfg(all(test, feature = "dev"))]
mod tests;
