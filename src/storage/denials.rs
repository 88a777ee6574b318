//! Refusals by right, counted by all replicas together until their minute is over; then each is one audit entry.

use sqlx::{MySql, Transaction};
use time::OffsetDateTime;

use super::audit::{self, AuditEntry};
use super::{Db, Result, StorageError};

/// Replicas write down what they have counted some seconds late.
const GRACE_SECONDS: u32 = 5;
/// Rows that become entries in one transaction.
const ROWS_PER_STEP: u32 = 200;

/// What was refused to one actor on one route in one minute, as far as one replica knows.
#[derive(Clone, Debug)]
pub struct Refusals {
    pub minute: OffsetDateTime,
    pub digest: [u8; 32],
    /// Of the first.
    pub entry: AuditEntry,
    pub count: u64,
}

/// Adds to what is counted already.
pub async fn add(db: &Db, refusals: &Refusals) -> Result<()> {
    let Refusals { minute, digest, entry, count } = refusals;
    let entry = serde_json::to_string(entry).map_err(|error| StorageError::Corrupt(error.to_string()))?;
    sqlx::query(
        "INSERT INTO denials (minute, digest, entry, refusals) VALUES (?, ?, ?, ?) \
         ON DUPLICATE KEY UPDATE refusals = refusals + VALUES(refusals)",
    )
    .bind(super::datetime(*minute))
    .bind(&digest[..])
    .bind(entry)
    .bind(count)
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Makes audit entries of those whose minute is over before `now`, and forgets them; how many.
pub async fn settle(db: &Db, now: OffsetDateTime) -> Result<u64> {
    let over = now - time::Duration::seconds(60 + i64::from(GRACE_SECONDS));
    let mut tx = db.begin().await?;
    let rows: Vec<(time::PrimitiveDateTime, Vec<u8>, String, u64)> =
        sqlx::query_as("SELECT minute, digest, entry, refusals FROM denials WHERE minute <= ? LIMIT ? FOR UPDATE")
            .bind(super::datetime(over))
            .bind(ROWS_PER_STEP)
            .fetch_all(&mut *tx)
            .await?;
    let mut entries = Vec::with_capacity(rows.len());
    for (minute, digest, entry, count) in &rows {
        entries.push(counted(entry, *count)?);
        forget(&mut tx, *minute, digest).await?;
    }
    if !entries.is_empty() {
        audit::append(&mut tx, None, &entries).await?;
    }
    tx.commit().await?;
    Ok(entries.len() as u64)
}

fn counted(entry: &str, count: u64) -> Result<AuditEntry> {
    let mut entry: AuditEntry =
        serde_json::from_str(entry).map_err(|error| StorageError::Corrupt(format!("a refusal: {error}")))?;
    entry.details["after"]["count"] = count.into();
    Ok(entry)
}

async fn forget(tx: &mut Transaction<'_, MySql>, minute: time::PrimitiveDateTime, digest: &[u8]) -> Result<()> {
    let query = sqlx::query("DELETE FROM denials WHERE minute = ? AND digest = ?").bind(minute).bind(digest);
    query.execute(&mut **tx).await?;
    Ok(())
}
