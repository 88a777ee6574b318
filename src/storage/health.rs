//! What the database says of itself.

use time::{OffsetDateTime, PrimitiveDateTime};

use super::{Db, Result};

/// 1: a commit that was acknowledged survives a crash.
pub async fn flush_log_at_commit(db: &Db) -> Result<i64> {
    let sql = "SELECT CAST(@@innodb_flush_log_at_trx_commit AS SIGNED)";
    Ok(sqlx::query_scalar(sql).fetch_one(db.pool()).await?)
}

/// The time by its clock.
pub async fn time(db: &Db) -> Result<OffsetDateTime> {
    let time: PrimitiveDateTime = sqlx::query_scalar("SELECT UTC_TIMESTAMP(6)").fetch_one(db.pool()).await?;
    Ok(time.assume_utc())
}

pub async fn version(db: &Db) -> Result<String> {
    Ok(sqlx::query_scalar("SELECT VERSION()").fetch_one(db.pool()).await?)
}
