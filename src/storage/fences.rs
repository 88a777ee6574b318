//! Fences that recovery has put up in PowerDNS, and names that rest after a hard deletion of unknown outcome. Both
//! are void once PowerDNS has been started anew, or after [`KEEP_SECONDS`].

use sqlx::{MySql, QueryBuilder, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ids::ChangeId;

use super::{Db, Result};

/// Longer than any call stays on its way.
pub const KEEP_SECONDS: u32 = 3_600;

/// A start time read from an uptime in whole seconds wavers by one; two starts are told apart from three on.
const RESTART_TOLERANCE_SECONDS: u32 = 3;

/// Notes a fence before it is put up.
pub async fn insert(
    db: &Db,
    zone_name: &str,
    change: ChangeId,
    server_started_at: Option<OffsetDateTime>,
) -> Result<()> {
    sqlx::query(
        "INSERT IGNORE INTO fences (zone_name, change_id, server_started_at, created_at) VALUES (?, ?, ?, NOW(6))",
    )
    .bind(zone_name)
    .bind(change.0)
    .bind(server_started_at)
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Fences of a zone that have done their duty by age alone.
pub async fn expired_at(db: &Db, zone_name: &str) -> Result<Vec<ChangeId>> {
    let rows: Vec<Uuid> = sqlx::query_scalar(
        "SELECT change_id FROM fences WHERE zone_name = ? AND created_at < NOW(6) - INTERVAL ? SECOND LIMIT 100",
    )
    .bind(zone_name)
    .bind(KEEP_SECONDS)
    .fetch_all(db.pool())
    .await?;
    Ok(rows.into_iter().map(ChangeId).collect())
}

/// Zones with fences to remove: old, or put up before this start of PowerDNS.
pub async fn removable(db: &Db, server_started_at: OffsetDateTime, limit: u32) -> Result<Vec<(String, ChangeId)>> {
    let rows: Vec<(String, Uuid)> = sqlx::query_as(
        "SELECT zone_name, change_id FROM fences WHERE created_at < NOW(6) - INTERVAL ? SECOND \
         OR server_started_at < ? - INTERVAL ? SECOND ORDER BY created_at LIMIT ?",
    )
    .bind(KEEP_SECONDS)
    .bind(server_started_at)
    .bind(RESTART_TOLERANCE_SECONDS)
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

/// Forgets every fence of a zone that is gone.
pub async fn delete_all(tx: &mut Transaction<'_, MySql>, zone_name: &str) -> Result<()> {
    sqlx::query("DELETE FROM fences WHERE zone_name = ?").bind(zone_name).execute(&mut **tx).await?;
    Ok(())
}

/// Lets a name rest: a DELETE for it may still land.
pub async fn rest(db: &Db, zone_name: &str, server_started_at: Option<OffsetDateTime>) -> Result<()> {
    sqlx::query(
        "INSERT INTO resting_names (zone_name, server_started_at, created_at) VALUES (?, ?, NOW(6)) \
         ON DUPLICATE KEY UPDATE server_started_at = VALUES(server_started_at), created_at = VALUES(created_at)",
    )
    .bind(zone_name)
    .bind(server_started_at)
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Whether a name rests still, given when PowerDNS was started.
pub async fn is_resting(db: &Db, zone_name: &str, server_started_at: OffsetDateTime) -> Result<bool> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM resting_names WHERE zone_name = ? AND created_at >= NOW(6) - INTERVAL ? SECOND \
         AND (server_started_at IS NULL OR server_started_at >= ? - INTERVAL ? SECOND)",
    )
    .bind(zone_name)
    .bind(KEEP_SECONDS)
    .bind(server_started_at)
    .bind(RESTART_TOLERANCE_SECONDS)
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

/// Forgets fences in a zone that is not served.
pub async fn forget(db: &Db, zone_name: &str, changes: &[ChangeId]) -> Result<()> {
    let mut tx = db.begin().await?;
    delete(&mut tx, zone_name, changes).await?;
    tx.commit().await?;
    Ok(())
}
