//! The staged store: the content of zones that are not live yet, in MariaDB in PowerDNS's place.

use sqlx::types::Json;
use sqlx::{MySql, QueryBuilder, Transaction};

use crate::dns::{OwnerName, Record, RecordType, Rrset, RrsetChange, RrsetKey, ZoneContent, ZoneName};
use crate::ids::ZoneId;

use super::{Db, Result};

pub async fn content(db: &Db, zone: ZoneId, name: &ZoneName) -> Result<ZoneContent> {
    let rows: Vec<(String, String, u32, Json<Vec<Record>>)> =
        sqlx::query_as("SELECT name, record_type, ttl, records FROM staged_rrsets WHERE zone_id = ?")
            .bind(zone.0)
            .fetch_all(db.pool())
            .await?;
    let mut content = ZoneContent::new(name.clone());
    for (owner, record_type, ttl, Json(records)) in rows {
        let key = RrsetKey { name: OwnerName::from_server(&owner), record_type: RecordType::from_server(&record_type) };
        content.insert(key, Rrset { ttl, records });
    }
    Ok(content)
}

/// Makes every changed RRset what it is to be.
pub async fn apply(tx: &mut Transaction<'_, MySql>, zone: ZoneId, changes: &[RrsetChange]) -> Result<()> {
    for change in changes {
        let RrsetChange { key, before: _, after } = change;
        match after {
            Some(Rrset { ttl, records }) => {
                sqlx::query(
                    "INSERT INTO staged_rrsets (zone_id, name, record_type, ttl, records) VALUES (?, ?, ?, ?, ?) \
                     ON DUPLICATE KEY UPDATE ttl = VALUES(ttl), records = VALUES(records)",
                )
                .bind(zone.0)
                .bind(key.name.as_str())
                .bind(key.record_type.as_str())
                .bind(ttl)
                .bind(Json(records))
                .execute(&mut **tx)
                .await?;
            }
            None => {
                sqlx::query("DELETE FROM staged_rrsets WHERE zone_id = ? AND name = ? AND record_type = ?")
                    .bind(zone.0)
                    .bind(key.name.as_str())
                    .bind(key.record_type.as_str())
                    .execute(&mut **tx)
                    .await?;
            }
        }
    }
    Ok(())
}

/// The zone is live: PowerDNS holds its content from now on.
pub async fn clear(tx: &mut Transaction<'_, MySql>, zone: ZoneId) -> Result<()> {
    let mut query = QueryBuilder::new("DELETE FROM staged_rrsets WHERE zone_id = ");
    query.push_bind(zone.0);
    query.build().execute(&mut **tx).await?;
    Ok(())
}
