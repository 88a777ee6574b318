//! What has had its time, removed in bounded steps: entries of the audit log where the operator has said how long they
//! are kept.

use super::{Db, Result};

/// Removes the oldest entries beyond their time.
pub async fn audit_entries(db: &Db, keep_days: u32) -> Result<u64> {
    let sql = "DELETE FROM audit_log WHERE created_at < NOW(6) - INTERVAL ? DAY ORDER BY created_at LIMIT 1000";
    Ok(sqlx::query(sql).bind(keep_days).execute(db.pool()).await?.rows_affected())
}
