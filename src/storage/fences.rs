//! Fences that recovery has put up in PowerDNS, and names that rest after a hard deletion of unknown outcome. Both
//! are void once PowerDNS has been started anew, or after [`KEEP_SECONDS`].

use sqlx::{MySql, QueryBuilder, Transaction};
use uuid::Uuid;

use crate::ids::ChangeId;

use super::{Db, Result};

/// Longer than any call stays on its way.
pub const KEEP_SECONDS: u32 = 3_600;

/// Notes a fence before it is put up, and again each time it is.
pub async fn insert(db: &Db, zone_name: &str, change: ChangeId, server_uptime: u64) -> Result<()> {
    sqlx::query(
        "INSERT INTO fences (zone_name, change_id, server_uptime, created_at) VALUES (?, ?, ?, NOW(6)) \
         ON DUPLICATE KEY UPDATE server_uptime = VALUES(server_uptime), created_at = VALUES(created_at)",
    )
    .bind(zone_name)
    .bind(change.0)
    .bind(server_uptime)
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Every fence of a name; they outlive the zone they stood in, and stand in the next one of that name.
pub async fn of_name(db: &Db, zone_name: &str) -> Result<Vec<ChangeId>> {
    let rows: Vec<Uuid> = sqlx::query_scalar("SELECT change_id FROM fences WHERE zone_name = ? ORDER BY created_at")
        .bind(zone_name)
        .fetch_all(db.pool())
        .await?;
    Ok(rows.into_iter().map(ChangeId).collect())
}

/// Fences that may go: old, or put up before the last start of PowerDNS (its uptime is smaller now).
pub async fn removable(db: &Db, server_uptime: u64, limit: u32) -> Result<Vec<(String, ChangeId)>> {
    let rows: Vec<(String, Uuid)> = sqlx::query_as(
        "SELECT zone_name, change_id FROM fences WHERE created_at < NOW(6) - INTERVAL ? SECOND \
         OR server_uptime > ? ORDER BY created_at LIMIT ?",
    )
    .bind(KEEP_SECONDS)
    .bind(server_uptime)
    .bind(limit)
    .fetch_all(db.pool())
    .await?;
    Ok(rows.into_iter().map(|(name, change)| (name, ChangeId(change))).collect())
}

/// Forgets fences that a PATCH has taken down.
pub async fn delete(tx: &mut Transaction<'_, MySql>, zone_name: &str, changes: &[ChangeId]) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut query = QueryBuilder::new("DELETE FROM fences WHERE zone_name = ");
    query.push_bind(zone_name.to_owned()).push(" AND change_id IN (");
    let mut list = query.separated(", ");
    for change in changes {
        list.push_bind(change.0);
    }
    query.push(")");
    query.build().execute(&mut **tx).await?;
    Ok(())
}

/// Forgets fences of a name that is not served; going live takes down what is left of them in a dark zone.
pub async fn forget(db: &Db, zone_name: &str, changes: &[ChangeId]) -> Result<()> {
    let mut tx = db.begin().await?;
    delete(&mut tx, zone_name, changes).await?;
    tx.commit().await?;
    Ok(())
}

/// Lets a name rest before a DELETE is sent that may land late.
pub async fn rest(db: &Db, zone_name: &str, server_uptime: u64) -> Result<()> {
    sqlx::query(
        "INSERT INTO resting_names (zone_name, server_uptime, created_at) VALUES (?, ?, NOW(6)) \
         ON DUPLICATE KEY UPDATE server_uptime = VALUES(server_uptime), created_at = VALUES(created_at)",
    )
    .bind(zone_name)
    .bind(server_uptime)
    .execute(db.pool())
    .await?;
    Ok(())
}

/// The DELETE got its answer: nothing may land late any more.
pub async fn end_rest(db: &Db, zone_name: &str) -> Result<()> {
    sqlx::query("DELETE FROM resting_names WHERE zone_name = ?").bind(zone_name).execute(db.pool()).await?;
    Ok(())
}

/// Whether a name rests still, given how long PowerDNS has been up.
pub async fn is_resting(db: &Db, zone_name: &str, server_uptime: u64) -> Result<bool> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM resting_names WHERE zone_name = ? AND created_at >= NOW(6) - INTERVAL ? SECOND \
         AND (server_uptime IS NULL OR server_uptime <= ?)",
    )
    .bind(zone_name)
    .bind(KEEP_SECONDS)
    .bind(server_uptime)
    .fetch_optional(db.pool())
    .await?;
    Ok(found.is_some())
}

/// Drops rests that are over by age.
pub async fn sweep_rests(db: &Db) -> Result<u64> {
    let done = sqlx::query("DELETE FROM resting_names WHERE created_at < NOW(6) - INTERVAL ? SECOND LIMIT 1000")
        .bind(KEEP_SECONDS)
        .execute(db.pool())
        .await?;
    Ok(done.rows_affected())
}
