//! Which id a record has. No zone data: a row says that the record with this digest is known under this id.

use sqlx::mysql::MySqlRow;
use sqlx::{FromRow, MySql, QueryBuilder, Row, Transaction};
use time::OffsetDateTime;

use crate::ids::{RecordId, TenantId, ZoneId};

use super::intents::{self, Standing};
use super::{Db, Result, StorageError, zones};

/// Of (name, type, content).
pub type Digest = [u8; 16];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordIdRow {
    pub id: RecordId,
    pub digest: Digest,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl FromRow<'_, MySqlRow> for RecordIdRow {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        let digest: Vec<u8> = row.try_get("digest")?;
        let digest = Digest::try_from(digest.as_slice())
            .map_err(|error| sqlx::Error::ColumnDecode { index: "digest".into(), source: error.into() })?;
        Ok(Self {
            id: RecordId(row.try_get("id")?),
            digest,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

/// Rows looked up or removed in one statement.
const PER_STATEMENT: usize = 1_000;

/// All of a zone.
pub async fn of_zone(db: &Db, zone: ZoneId) -> Result<Vec<RecordIdRow>> {
    let sql = "SELECT id, digest, created_at, updated_at FROM record_ids WHERE zone_id = ?";
    Ok(sqlx::query_as(sql).bind(zone.0).fetch_all(db.pool()).await?)
}

/// The zone of this tenant that has a record of this id: a look into the index of each zone, so for rare questions.
pub async fn zone_of(db: &Db, tenant: TenantId, id: RecordId) -> Result<Option<ZoneId>> {
    let sql = "SELECT z.id FROM zones z JOIN record_ids r ON r.zone_id = z.id AND r.id = ? WHERE z.tenant_id = ?";
    let found: Option<uuid::Uuid> = sqlx::query_scalar(sql).bind(id.0).bind(tenant.0).fetch_optional(db.pool()).await?;
    Ok(found.map(ZoneId))
}

/// Those with one of these ids or one of these digests.
pub async fn some(db: &Db, zone: ZoneId, ids: &[RecordId], digests: &[Digest]) -> Result<Vec<RecordIdRow>> {
    let mut rows = Vec::new();
    for (column, values) in [
        ("id", ids.iter().map(|id| id.0.as_bytes().to_vec()).collect::<Vec<_>>()),
        ("digest", digests.iter().map(|digest| digest.to_vec()).collect()),
    ] {
        for chunk in values.chunks(PER_STATEMENT) {
            let mut query =
                QueryBuilder::new("SELECT id, digest, created_at, updated_at FROM record_ids WHERE zone_id = ");
            query.push_bind(zone.0).push(format!(" AND {column} IN ("));
            let mut list = query.separated(", ");
            for value in chunk {
                list.push_bind(value.clone());
            }
            query.push(")");
            rows.extend(query.build_query_as::<RecordIdRow>().fetch_all(db.pool()).await.map_err(StorageError::from)?);
        }
    }
    Ok(rows)
}

/// Makes the rows of `removed` go and those of `put` be, whatever stood at their ids and digests before.
pub async fn replace(
    tx: &mut Transaction<'_, MySql>,
    zone: ZoneId,
    removed: &[RecordId],
    put: &[RecordIdRow],
) -> Result<()> {
    let ids: Vec<Vec<u8>> =
        removed.iter().chain(put.iter().map(|row| &row.id)).map(|id| id.0.as_bytes().to_vec()).collect();
    let digests: Vec<Vec<u8>> = put.iter().map(|row| row.digest.to_vec()).collect();
    for (column, values) in [("id", ids), ("digest", digests)] {
        for chunk in values.chunks(PER_STATEMENT) {
            let mut query = QueryBuilder::new("DELETE FROM record_ids WHERE zone_id = ");
            query.push_bind(zone.0).push(format!(" AND {column} IN ("));
            let mut list = query.separated(", ");
            for value in chunk {
                list.push_bind(value.clone());
            }
            query.push(")");
            query.build().execute(&mut **tx).await?;
        }
    }
    for chunk in put.chunks(PER_STATEMENT) {
        let mut query = QueryBuilder::new("INSERT INTO record_ids (zone_id, id, digest, created_at, updated_at) ");
        query.push_values(chunk, |mut line, row| {
            let RecordIdRow { id, digest, created_at, updated_at } = row;
            line.push_bind(zone.0)
                .push_bind(id.0)
                .push_bind(digest.to_vec())
                .push_bind(super::datetime(*created_at))
                .push_bind(super::datetime(*updated_at));
        });
        query.build().execute(&mut **tx).await?;
    }
    Ok(())
}

/// The next zones that have rows, by id.
pub async fn zones_after(db: &Db, place: Option<ZoneId>, limit: u32) -> Result<Vec<ZoneId>> {
    // nil is nobody's id
    let place = place.map_or_else(uuid::Uuid::nil, |zone| zone.0);
    let sql = "SELECT DISTINCT zone_id FROM record_ids WHERE zone_id > ? ORDER BY zone_id LIMIT ?";
    let zones: Vec<uuid::Uuid> = sqlx::query_scalar(sql).bind(place).bind(limit).fetch_all(db.pool()).await?;
    Ok(zones.into_iter().map(ZoneId).collect())
}

/// Removes rows whose records are gone, if the zone still stands as it did when they were found and nothing is under way.
pub async fn forget(db: &Db, zone: ZoneId, standing: Standing, orphans: &[RecordId]) -> Result<u64> {
    let mut tx = db.pool().begin().await?;
    let row = zones::lock(&mut tx, zone).await?;
    if row.is_none_or(|row| row.standing() != standing) || intents::exists_for_zone(&mut tx, zone).await? {
        return Ok(0);
    }
    let mut swept = 0;
    for chunk in orphans.chunks(PER_STATEMENT) {
        let mut query = QueryBuilder::new("DELETE FROM record_ids WHERE zone_id = ");
        query.push_bind(zone.0).push(" AND id IN (");
        let mut list = query.separated(", ");
        for id in chunk {
            list.push_bind(id.0);
        }
        query.push(")");
        swept += query.build().execute(&mut *tx).await?.rows_affected();
    }
    tx.commit().await?;
    Ok(swept)
}
