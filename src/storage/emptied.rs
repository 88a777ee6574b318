//! Zones that are withdrawn below another tenant's zone, with what their records were before.

use sqlx::types::Json;
use sqlx::{MySql, Transaction};
use uuid::Uuid;

use crate::ids::ZoneId;

use super::record_ids::Digest;
use super::{Db, Result};

/// How a zone was emptied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emptied {
    /// Digests of the records that were disabled before.
    pub disabled: Vec<Digest>,
    /// Some records are not switched yet.
    pub is_partial: bool,
}

pub async fn find(db: &Db, zone: ZoneId) -> Result<Option<Emptied>> {
    let row: Option<(Json<Vec<String>>, bool)> =
        sqlx::query_as("SELECT disabled, is_partial FROM emptied_zones WHERE zone_id = ?")
            .bind(zone.0)
            .fetch_optional(db.pool())
            .await?;
    Ok(row.map(|(Json(disabled), is_partial)| Emptied { disabled: digests(&disabled), is_partial }))
}

/// Notes what the records were: digests in hex.
pub async fn insert(
    tx: &mut Transaction<'_, MySql>,
    zone: ZoneId,
    disabled: &[String],
    is_partial: bool,
) -> Result<()> {
    sqlx::query("REPLACE INTO emptied_zones (zone_id, disabled, is_partial) VALUES (?, ?, ?)")
        .bind(zone.0)
        .bind(Json(disabled))
        .bind(is_partial)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes whether all records are switched.
pub async fn set_partial(tx: &mut Transaction<'_, MySql>, zone: ZoneId, is_partial: bool) -> Result<()> {
    sqlx::query("UPDATE emptied_zones SET is_partial = ? WHERE zone_id = ?")
        .bind(is_partial)
        .bind(zone.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The zone is as it was, or gone.
pub async fn delete(tx: &mut Transaction<'_, MySql>, zone: ZoneId) -> Result<()> {
    sqlx::query("DELETE FROM emptied_zones WHERE zone_id = ?").bind(zone.0).execute(&mut **tx).await?;
    Ok(())
}

/// Zones that were left half switched.
pub async fn partial(db: &Db, limit: u32) -> Result<Vec<ZoneId>> {
    let sql = "SELECT zone_id FROM emptied_zones WHERE is_partial LIMIT ?";
    let rows: Vec<Uuid> = sqlx::query_scalar(sql).bind(limit).fetch_all(db.pool()).await?;
    Ok(rows.into_iter().map(ZoneId).collect())
}

/// From hex; what is not one matches no record.
fn digests(hex: &[String]) -> Vec<Digest> {
    let digest = |text: &String| {
        let mut bytes = Digest::default();
        hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
    };
    hex.iter().filter_map(digest).collect()
}
