//! Validation challenges.

use sqlx::mysql::MySqlRow;
use sqlx::{FromRow, MySql, Row, Transaction};
use time::OffsetDateTime;

use crate::authz::ZoneAccess;
use crate::ids::{ValidationId, ZoneId};

use super::{Db, Result};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationRow {
    pub id: ValidationId,
    pub zone: ZoneId,
    pub validation_type: String,
    /// `pending`, `verifying`, `failed`, `validated`, `expired` or `cancelled`.
    pub status: String,
    pub challenge_value: String,
    pub expires_at: OffsetDateTime,
    pub created_at: OffsetDateTime,
}

impl FromRow<'_, MySqlRow> for ValidationRow {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: ValidationId(row.try_get("id")?),
            zone: ZoneId(row.try_get("zone_id")?),
            validation_type: row.try_get("validation_type")?,
            status: row.try_get("status")?,
            challenge_value: row.try_get("challenge_value")?,
            expires_at: row.try_get("expires_at")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

/// The newest challenge that can still be checked.
pub async fn open(db: &Db, access: &ZoneAccess) -> Result<Option<ValidationRow>> {
    let sql = "SELECT id, zone_id, validation_type, status, challenge_value, expires_at, created_at FROM validations \
               WHERE zone_id = ? AND status IN ('pending', 'verifying', 'failed') ORDER BY id DESC LIMIT 1";
    Ok(sqlx::query_as(sql).bind(access.zone().id.0).fetch_optional(db.pool()).await?)
}

/// The newest challenge, however it ended.
pub async fn latest(db: &Db, access: &ZoneAccess) -> Result<Option<ValidationRow>> {
    let sql = "SELECT id, zone_id, validation_type, status, challenge_value, expires_at, created_at FROM validations \
               WHERE zone_id = ? ORDER BY id DESC LIMIT 1";
    Ok(sqlx::query_as(sql).bind(access.zone().id.0).fetch_optional(db.pool()).await?)
}

/// Makes a challenge; those that were open before are superseded. The caller holds the zone's row.
pub async fn supersede(tx: &mut Transaction<'_, MySql>, row: &ValidationRow) -> Result<()> {
    close_open(tx, row.zone, "cancelled", row.created_at).await?;
    let ValidationRow { id, zone, validation_type, status, challenge_value, expires_at, created_at } = row;
    sqlx::query(
        "INSERT INTO validations (id, zone_id, validation_type, status, challenge_value, expires_at, created_at, \
         updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(id.0)
    .bind(zone.0)
    .bind(validation_type)
    .bind(status)
    .bind(challenge_value)
    .bind(super::datetime(expires_at))
    .bind(super::datetime(created_at))
    .bind(super::datetime(created_at))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends whatever is open; how many there were.
pub async fn close_open(
    tx: &mut Transaction<'_, MySql>,
    zone: ZoneId,
    status: &str,
    now: OffsetDateTime,
) -> Result<u64> {
    let done = sqlx::query(
        "UPDATE validations SET status = ?, updated_at = ? \
         WHERE zone_id = ? AND status IN ('pending', 'verifying', 'failed')",
    )
    .bind(status)
    .bind(super::datetime(now))
    .bind(zone.0)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// Moves one challenge on, unless it has been ended meanwhile.
pub async fn set_status(
    tx: &mut Transaction<'_, MySql>,
    id: ValidationId,
    status: &str,
    now: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE validations SET status = ?, updated_at = ? \
         WHERE id = ? AND status IN ('pending', 'verifying', 'failed')",
    )
    .bind(status)
    .bind(super::datetime(now))
    .bind(id.0)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether a challenge can still be met; locks it until the transaction ends.
pub async fn is_open(tx: &mut Transaction<'_, MySql>, id: ValidationId) -> Result<bool> {
    let status: Option<String> = sqlx::query_scalar("SELECT status FROM validations WHERE id = ? FOR UPDATE")
        .bind(id.0)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(status.is_some_and(|status| matches!(status.as_str(), "pending" | "verifying" | "failed")))
}

/// Challenges whose time is over and of which nothing says so yet, the oldest first.
pub async fn overdue(db: &Db, now: OffsetDateTime, limit: u32) -> Result<Vec<ValidationRow>> {
    let sql = "SELECT v.id, v.zone_id, v.validation_type, v.status, v.challenge_value, v.expires_at, v.created_at \
               FROM validations v JOIN zones z ON z.id = v.zone_id \
               WHERE v.status IN ('pending', 'verifying', 'failed') AND v.expires_at < ? ORDER BY v.expires_at LIMIT ?";
    Ok(sqlx::query_as(sql).bind(super::datetime(now)).bind(limit).fetch_all(db.pool()).await?)
}
