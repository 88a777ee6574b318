//! Where the content of secondary zones comes from.

use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{MySql, MySqlExecutor, Row, Transaction};
use uuid::Uuid;

use crate::ids::{TenantId, TsigKeyId, ZoneId};

use super::{Db, Result};

/// The servers that have the content, and what the transfers from there are signed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `address` or `address:port`.
    pub masters: Vec<String>,
    pub tsig_key: Option<TsigKeyId>,
}

/// Another source; what is not given stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceChange {
    pub masters: Option<Vec<String>>,
    pub tsig_key: Option<Option<TsigKeyId>>,
}

impl SourceChange {
    pub fn of(&self, source: &Source) -> Source {
        Source {
            masters: self.masters.clone().unwrap_or_else(|| source.masters.clone()),
            tsig_key: self.tsig_key.unwrap_or(source.tsig_key),
        }
    }
}

/// With the zone's own row.
pub async fn insert(tx: &mut Transaction<'_, MySql>, zone: ZoneId, source: &Source) -> Result<()> {
    let Source { masters, tsig_key } = source;
    sqlx::query("INSERT INTO secondary_zones (zone_id, masters, tsig_key_id) VALUES (?, ?, ?)")
        .bind(zone.0)
        .bind(Json(masters))
        .bind(tsig_key.map(|key| key.0))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Another source from now on.
pub async fn update(tx: &mut Transaction<'_, MySql>, zone: ZoneId, source: &Source) -> Result<()> {
    let Source { masters, tsig_key } = source;
    sqlx::query("UPDATE secondary_zones SET masters = ?, tsig_key_id = ? WHERE zone_id = ?")
        .bind(Json(masters))
        .bind(tsig_key.map(|key| key.0))
        .bind(zone.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub async fn find(db: &Db, zone: ZoneId) -> Result<Option<Source>> {
    find_within(db.pool(), zone).await
}

/// The same in a transaction: with the zone's row locked it stays so.
pub async fn find_within<'c>(connection: impl MySqlExecutor<'c>, zone: ZoneId) -> Result<Option<Source>> {
    let sql = "SELECT masters, tsig_key_id FROM secondary_zones WHERE zone_id = ?";
    let Some(row) = sqlx::query(sql).bind(zone.0).fetch_optional(connection).await? else { return Ok(None) };
    let Json(masters) = row.try_get("masters")?;
    Ok(Some(Source { masters, tsig_key: row.try_get::<Option<Uuid>, _>("tsig_key_id")?.map(TsigKeyId) }))
}

/// With the zone's own row.
pub async fn delete(tx: &mut Transaction<'_, MySql>, zone: ZoneId) -> Result<()> {
    sqlx::query("DELETE FROM secondary_zones WHERE zone_id = ?").bind(zone.0).execute(&mut **tx).await?;
    Ok(())
}

/// A zone of the tenant whose transfers, in either direction, are signed with the key, or are about to be. One statement,
/// so that a change that is settled meanwhile is seen on one side or the other.
pub async fn user_of_key(tx: &mut Transaction<'_, MySql>, tenant: TenantId, key: TsigKeyId) -> Result<Option<String>> {
    let sql = "SELECT z.name FROM zones z LEFT JOIN secondary_zones s ON s.zone_id = z.id \
               LEFT JOIN zone_intents i ON i.zone_id = z.id AND i.kind IN ('outgoing', 'masters') \
               WHERE z.tenant_id = ? AND (s.tsig_key_id = ? OR ? IN ( \
                   JSON_VALUE(z.settings, '$.transfers.tsig_key_id'), \
                   JSON_VALUE(i.payload, '$.settings.transfers.tsig_key_id'), \
                   JSON_VALUE(i.payload, '$.source.tsig_key'))) \
               LIMIT 1";
    let query = sqlx::query_scalar(sql).bind(tenant.0).bind(key.0).bind(key.to_string());
    Ok(query.fetch_optional(&mut **tx).await?)
}
