//! The inbox: events that ScaiKey has told, each once, until they are done with.

use sqlx::{MySql, Row, Transaction};

use super::{Db, Result};

/// How long what is done is remembered: ScaiKey tells nothing again after that.
const KEEP_DAYS: u32 = 30;

/// Rows that one statement removes.
const SWEPT_PER_STATEMENT: u32 = 1_000;

const ERROR_CHARACTERS_MAX: usize = 512; // the column's

/// How an event ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    /// It was tried as often as events are.
    GivenUp,
}

impl End {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::GivenUp => "given_up",
        }
    }
}

/// One that waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub body: String,
    /// How often it was tried in vain.
    pub attempts: u32,
}

/// Takes an event in. False: it was told before.
pub async fn insert(db: &Db, event_id: &str, event_type: &str, body: &str, lease_seconds: u32) -> Result<bool> {
    const QUERY: &str = "INSERT IGNORE INTO webhook_events (event_id, event_type, state, body, look_at, received_at) \
                         VALUES (?, ?, 'waiting', ?, NOW(6) + INTERVAL ? SECOND, NOW(6))";
    let query = sqlx::query(QUERY).bind(event_id).bind(event_type).bind(body).bind(lease_seconds);
    Ok(query.execute(db.pool()).await?.rows_affected() == 1)
}

/// Locks one that waits. None: it is done with.
pub async fn lock(tx: &mut Transaction<'_, MySql>, event_id: &str) -> Result<Option<Waiting>> {
    const QUERY: &str = "SELECT body, attempts FROM webhook_events WHERE event_id = ? AND state = 'waiting' FOR UPDATE";
    let row = sqlx::query(QUERY).bind(event_id).fetch_optional(&mut **tx).await?;
    let read = |row: sqlx::mysql::MySqlRow| -> sqlx::Result<Waiting> {
        Ok(Waiting { body: row.try_get("body")?, attempts: row.try_get("attempts")? })
    };
    Ok(row.map(read).transpose()?)
}

/// Done with; what it said is in the mirror and the audit log, and goes from here.
pub async fn end(tx: &mut Transaction<'_, MySql>, event_id: &str) -> Result<()> {
    const QUERY: &str = "UPDATE webhook_events SET state = ?, body = '', error = NULL WHERE event_id = ?";
    sqlx::query(QUERY).bind(End::Done.as_str()).bind(event_id).execute(&mut **tx).await?;
    Ok(())
}

/// Notes an attempt in vain: it is tried again in `pause_seconds`, or, without them, given up, with its body kept.
pub async fn note_failure(db: &Db, event_id: &str, error: &str, pause_seconds: Option<u32>) -> Result<()> {
    const QUERY: &str = "UPDATE webhook_events SET attempts = attempts + 1, error = ?, state = ?, \
                         look_at = NOW(6) + INTERVAL ? SECOND WHERE event_id = ? AND state = 'waiting'";
    let state = if pause_seconds.is_some() { "waiting" } else { End::GivenUp.as_str() };
    let error: String = error.chars().take(ERROR_CHARACTERS_MAX).collect();
    let query = sqlx::query(QUERY).bind(error).bind(state).bind(pause_seconds.unwrap_or_default()).bind(event_id);
    query.execute(db.pool()).await?;
    Ok(())
}

/// What failed before may have missed what has come now: it is tried again at once.
pub async fn hurry(tx: &mut Transaction<'_, MySql>) -> Result<()> {
    const QUERY: &str = "UPDATE webhook_events SET look_at = NOW(6) WHERE state = 'waiting' AND attempts > 0 \
                         AND look_at > NOW(6) LIMIT 100";
    sqlx::query(QUERY).execute(&mut **tx).await?;
    Ok(())
}

/// Those that are to be tried, in the order that they came; no more than `most`.
pub async fn due(db: &Db, most: u32) -> Result<Vec<String>> {
    const QUERY: &str = "SELECT event_id FROM webhook_events WHERE state = 'waiting' AND look_at <= NOW(6) \
                         ORDER BY look_at LIMIT ?";
    Ok(sqlx::query_scalar(QUERY).bind(most).fetch_all(db.pool()).await?)
}

/// Forgets those that were done with long ago.
pub async fn sweep(db: &Db) -> Result<u64> {
    const QUERY: &str = "DELETE FROM webhook_events WHERE received_at < NOW(6) - INTERVAL ? DAY \
                         AND state <> 'waiting' LIMIT ?";
    Ok(sqlx::query(QUERY).bind(KEEP_DAYS).bind(SWEPT_PER_STATEMENT).execute(db.pool()).await?.rows_affected())
}
