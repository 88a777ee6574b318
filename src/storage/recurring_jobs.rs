//! What recurs: when each was run, what came of it, when it is due. Whoever takes a run of it keeps others away for as
//! long as its lease; that a run may overlap with one that was thought dead is for the job itself to bear.

use sqlx::mysql::MySqlRow;
use sqlx::{FromRow, MySql, QueryBuilder, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Db, Result};

const ERROR_CHARACTERS_MAX: usize = 2_048; // the column's

/// What is known of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecurringRow {
    pub name: String,
    pub look_at: OffsetDateTime,
    pub running: bool,
    pub runs: u64,
    pub failures: u64,
    pub total_count: u64,
    pub last_count: Option<u64>,
    pub last_outcome: Option<String>,
    pub last_error: Option<String>,
    pub started_at: Option<OffsetDateTime>,
    pub finished_at: Option<OffsetDateTime>,
}

/// One run of it.
#[derive(Clone, Copy, Debug)]
pub struct RunHold {
    name: &'static str,
    epoch: u32,
}

/// Makes those known that are new; due at once.
pub async fn ensure(db: &Db, names: &[&str]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let mut query = QueryBuilder::<MySql>::new("INSERT IGNORE INTO recurring_jobs (name, look_at) ");
    query.push_values(names, |mut row, name| {
        row.push_bind((*name).to_owned()).push("NOW(6)");
    });
    query.build().execute(db.pool()).await?;
    Ok(())
}

/// Not due before these seconds have passed: somebody has just done it otherwise.
pub async fn postpone(db: &Db, name: &str, seconds: u32) -> Result<()> {
    const QUERY: &str = "INSERT INTO recurring_jobs (name, look_at) VALUES (?, NOW(6) + INTERVAL ? SECOND) \
                         ON DUPLICATE KEY UPDATE look_at = GREATEST(look_at, VALUES(look_at))";
    sqlx::query(QUERY).bind(name).bind(seconds).execute(db.pool()).await?;
    Ok(())
}

/// The names of those that are due.
pub async fn due(db: &Db) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar("SELECT name FROM recurring_jobs WHERE look_at <= NOW(6)").fetch_all(db.pool()).await?)
}

/// Takes a run if it is due. None: it is not, or somebody else has it.
pub async fn take(db: &Db, name: &'static str, lease_seconds: u32) -> Result<Option<RunHold>> {
    let known: Option<u32> =
        sqlx::query_scalar("SELECT epoch FROM recurring_jobs WHERE name = ? AND look_at <= NOW(6)")
            .bind(name)
            .fetch_optional(db.pool())
            .await?;
    let Some(epoch) = known else { return Ok(None) };
    let done = sqlx::query(
        "UPDATE recurring_jobs SET epoch = epoch + 1, running = TRUE, started_at = NOW(6), \
         look_at = NOW(6) + INTERVAL ? SECOND WHERE name = ? AND epoch = ? AND look_at <= NOW(6)",
    )
    .bind(lease_seconds)
    .bind(name)
    .bind(epoch)
    .execute(db.pool())
    .await?;
    Ok((done.rows_affected() == 1).then_some(RunHold { name, epoch: epoch + 1 }))
}

/// Notes what came of a run and when the next is due; nothing if another has taken over meanwhile.
pub async fn note(db: &Db, run: RunHold, outcome: &std::result::Result<u64, String>, pause_seconds: u32) -> Result<()> {
    let (count, error) = match outcome {
        Ok(count) => (Some(*count), None),
        Err(error) => (None, Some(error.chars().take(ERROR_CHARACTERS_MAX).collect::<String>())),
    };
    sqlx::query(
        "UPDATE recurring_jobs SET running = FALSE, look_at = NOW(6) + INTERVAL ? SECOND, finished_at = NOW(6), \
         runs = runs + 1, failures = failures + ?, total_count = total_count + ?, last_count = ?, last_outcome = ?, \
         last_error = COALESCE(?, last_error) WHERE name = ? AND epoch = ?",
    )
    .bind(pause_seconds)
    .bind(u32::from(error.is_some()))
    .bind(count.unwrap_or_default())
    .bind(count)
    .bind(if error.is_some() { "failed" } else { "succeeded" })
    .bind(error)
    .bind(run.name)
    .bind(run.epoch)
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Where a job that walks through everything goes on; None: from the beginning.
pub async fn place(db: &Db, name: &str) -> Result<Option<Uuid>> {
    let query = sqlx::query_scalar("SELECT place FROM recurring_jobs WHERE name = ?").bind(name);
    Ok(query.fetch_optional(db.pool()).await?.flatten())
}

pub async fn set_place(db: &Db, name: &str, place: Option<Uuid>) -> Result<()> {
    sqlx::query("UPDATE recurring_jobs SET place = ? WHERE name = ?").bind(place).bind(name).execute(db.pool()).await?;
    Ok(())
}

/// All of them, by name.
pub async fn list(db: &Db) -> Result<Vec<RecurringRow>> {
    let query = "SELECT name, look_at, running, runs, failures, total_count, last_count, last_outcome, last_error, \
                 started_at, finished_at FROM recurring_jobs ORDER BY name";
    Ok(sqlx::query_as(query).fetch_all(db.pool()).await?)
}

impl FromRow<'_, MySqlRow> for RecurringRow {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            look_at: row.try_get("look_at")?,
            running: row.try_get("running")?,
            runs: row.try_get("runs")?,
            failures: row.try_get("failures")?,
            total_count: row.try_get("total_count")?,
            last_count: row.try_get("last_count")?,
            last_outcome: row.try_get("last_outcome")?,
            last_error: row.try_get("last_error")?,
            started_at: row.try_get("started_at")?,
            finished_at: row.try_get("finished_at")?,
        })
    }
}
