//! Which zones have the platform's nameservers as they are now. The mark in a zone's row follows what was written to the
//! zone and never runs ahead of it: a zone that is marked too low is looked at once more, and that is all.

use sqlx::mysql::MySqlRow;
use sqlx::{FromRow, Row};

use crate::authz::ZoneRef;
use crate::ids::{TenantId, ZoneId};

use super::{Db, Result};

/// Live, and its content ours to write.
const WHERE: &str = "status = 'active' AND nameservers_version < ? AND domain_type <> 'secondary'";

/// A zone that is to be looked at.
#[derive(Clone, Debug)]
pub struct DueZone {
    pub zone: ZoneRef,
    pub name: String,
}

impl FromRow<'_, MySqlRow> for DueZone {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        let zone = ZoneRef { id: ZoneId(row.try_get("id")?), tenant: TenantId(row.try_get("tenant_id")?) };
        Ok(Self { zone, name: row.try_get("name")? })
    }
}

/// Zones that have no more than an earlier version, behind the one given.
pub async fn due(db: &Db, version: u32, after: Option<ZoneId>, limit: u32) -> Result<Vec<DueZone>> {
    let sql = format!("SELECT id, tenant_id, name FROM zones WHERE {WHERE} AND id > ? ORDER BY id LIMIT ?");
    let after = after.map_or(uuid::Uuid::nil(), |zone| zone.0);
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(version).bind(after).bind(limit);
    Ok(query.fetch_all(db.pool()).await?)
}

/// How many there are.
pub async fn count_due(db: &Db, version: u32) -> Result<u64> {
    let sql = format!("SELECT COUNT(*) FROM zones WHERE {WHERE}");
    let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(version).fetch_one(db.pool()).await?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Whether this zone is one of them.
pub async fn is_due(db: &Db, version: u32, zone: ZoneId) -> Result<bool> {
    let sql = format!("SELECT 1 FROM zones WHERE {WHERE} AND id = ?");
    let query = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(sql)).bind(version).bind(zone.0);
    Ok(query.fetch_optional(db.pool()).await?.is_some())
}

/// The zone has this version, or a later one.
pub async fn note(db: &Db, zone: ZoneId, version: u32) -> Result<()> {
    sqlx::query("UPDATE zones SET nameservers_version = GREATEST(nameservers_version, ?) WHERE id = ?")
        .bind(version)
        .bind(zone.0)
        .execute(db.pool())
        .await?;
    Ok(())
}
