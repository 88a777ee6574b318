//! What waits, and what was out of the ordinary: for metrics and for `scaidns doctor`.

use sqlx::FromRow;

use super::{Db, Result};

/// What is counted over time is counted over the last day.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Backlog {
    /// Changes between their intent and their settle.
    pub intents: i64,
    /// Of them, those whose deadline is over: recovery has not been able to settle them.
    pub intents_overdue: i64,
    pub oldest_intent_seconds: Option<i64>,
    /// Put up by recovery, to go once nothing can be fenced by them any more.
    pub fences: i64,
    /// Changes that recovery found done, and not done.
    pub recovered_applied: i64,
    pub recovered_dropped: i64,
    /// Changes that our rules allow and PowerDNS refused.
    pub refused: i64,
    /// Zones that somebody else wrote to.
    pub suspects: i64,
    /// Jobs that are due and that nobody has taken.
    pub jobs_waiting: i64,
    pub oldest_job_seconds: Option<i64>,
    /// Events of ScaiKey that could not be taken in so far, and those that are not tried any more.
    pub events_waiting: i64,
    pub events_given_up: i64,
    /// What recurs and failed the last time: names, comma separated.
    pub failing: Option<String>,
    /// What recurs and should have run five minutes ago.
    pub late: Option<String>,
}

pub async fn read(db: &Db) -> Result<Backlog> {
    let sql = "SELECT i.*, \
               (SELECT COUNT(*) FROM fences) AS fences, \
               s.*, \
               (SELECT COUNT(*) FROM zones WHERE drift_noted_at > NOW(6) - INTERVAL 1 DAY) AS suspects, \
               j.*, \
               (SELECT COUNT(*) FROM webhook_events WHERE state = 'waiting') AS events_waiting, \
               (SELECT COUNT(*) FROM webhook_events WHERE state = 'given_up') AS events_given_up, \
               (SELECT GROUP_CONCAT(name ORDER BY name SEPARATOR ', ') FROM recurring_jobs \
                WHERE last_outcome = 'failed') AS failing, \
               (SELECT GROUP_CONCAT(name ORDER BY name SEPARATOR ', ') FROM recurring_jobs \
                WHERE look_at < NOW(6) - INTERVAL 5 MINUTE) AS late \
               FROM (SELECT COUNT(*) AS intents, \
                     CAST(COALESCE(SUM(deadline < NOW(6)), 0) AS SIGNED) AS intents_overdue, \
                     CAST(TIMESTAMPDIFF(SECOND, MIN(created_at), NOW(6)) AS SIGNED) AS oldest_intent_seconds \
                     FROM zone_intents) i, \
               (SELECT CAST(COALESCE(SUM(detail = 'settled by recovery' AND outcome = 'applied'), 0) AS SIGNED) \
                AS recovered_applied, \
                CAST(COALESCE(SUM(detail = 'settled by recovery' AND outcome = 'dropped'), 0) AS SIGNED) \
                AS recovered_dropped, \
                CAST(COALESCE(SUM(outcome = 'refused'), 0) AS SIGNED) AS refused \
                FROM settled_batches WHERE settled_at > NOW(6) - INTERVAL 1 DAY) s, \
               (SELECT COUNT(*) AS jobs_waiting, \
                CAST(TIMESTAMPDIFF(SECOND, MIN(look_at), NOW(6)) AS SIGNED) AS oldest_job_seconds \
                FROM jobs WHERE look_at < NOW(6)) j";
    Ok(sqlx::query_as(sql).fetch_one(db.pool()).await?)
}
