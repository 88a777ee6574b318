//! A zone's history: one row a change, in the order they went live.

use sqlx::{FromRow, MySql, QueryBuilder, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::authz::ZoneAccess;
use crate::ids::{ChangeId, TenantId, ZoneId};

use super::{Db, Result};

/// One change of a zone's content.
#[derive(Clone, Debug)]
pub struct NewChange {
    pub id: ChangeId,
    /// As JSON.
    pub actor: String,
    pub ip_address: Option<String>,
    pub request_id: String,
    /// RRsets before and after, as JSON.
    pub changes: String,
}

/// The batch that changes went live with.
#[derive(Clone, Copy, Debug)]
pub struct BatchRef {
    pub id: ChangeId,
    pub zone: ZoneId,
    pub tenant: TenantId,
    /// Of the zone before the batch.
    pub revision: u64,
    pub serial: Option<u32>,
    pub now: OffsetDateTime,
}

/// Appends the changes of one batch, each one revision on.
pub async fn append(tx: &mut Transaction<'_, MySql>, batch: &BatchRef, changes: &[NewChange]) -> Result<()> {
    const CHANGES_PER_STATEMENT: usize = 200; // bounds the statement's size
    let BatchRef { id: batch_id, zone, tenant, revision, serial, now } = batch;
    let mut ordinal: u32 = 0;
    for chunk in changes.chunks(CHANGES_PER_STATEMENT) {
        let mut query = QueryBuilder::new(
            "INSERT INTO zone_changes (id, batch_id, ordinal, zone_id, tenant_id, revision, serial, actor, ip_address, \
             request_id, changes, created_at) ",
        );
        query.push_values(chunk, |mut row, change| {
            let NewChange { id, actor, ip_address, request_id, changes } = change;
            row.push_bind(id.0)
                .push_bind(batch_id.0)
                .push_bind(ordinal)
                .push_bind(zone.0)
                .push_bind(tenant.0)
                .push_bind(revision + u64::from(ordinal) + 1)
                .push_bind(*serial)
                .push_bind(actor)
                .push_bind(ip_address)
                .push_bind(request_id)
                .push_bind(changes)
                .push_bind(super::datetime(*now));
            ordinal += 1;
        });
        query.build().execute(&mut **tx).await?;
    }
    Ok(())
}

/// One change as it stands in the history.
#[derive(Clone, Debug, FromRow)]
pub struct PastChange {
    pub batch_id: Uuid,
    pub serial: Option<u32>,
    /// RRsets before and after, as JSON; none where all of them together are more than was asked for.
    pub changes: Option<String>,
}

/// The changes that led from one revision to another, in their order; without what they hold if that is more than
/// `octets` in all.
pub async fn between(db: &Db, zone: ZoneId, from: u64, to: u64, octets: u64) -> Result<Vec<PastChange>> {
    let sql = "SELECT batch_id, serial, IF(SUM(LENGTH(changes)) OVER () > ?, NULL, changes) AS changes \
               FROM zone_changes WHERE zone_id = ? AND revision > ? AND revision <= ? ORDER BY revision";
    Ok(sqlx::query_as(sql).bind(octets).bind(zone.0).bind(from).bind(to).fetch_all(db.pool()).await?)
}

/// What of a zone's past may still be in caches.
#[derive(Clone, Debug, Default)]
pub struct CachedPast {
    /// The largest TTL of an RRset that was changed or removed, of those that have not run out.
    pub largest_ttl: u32,
    /// SOAs that were changed.
    pub soas: Vec<String>,
}

/// TTLs of what was served since, and is no longer: `cap` is the longest that anything is cached, in seconds.
pub async fn cached_past(db: &Db, zone: ZoneId, now: OffsetDateTime, cap: u32) -> Result<CachedPast> {
    let largest: Option<u64> = sqlx::query_scalar(
        "SELECT CAST(MAX(LEAST(j.ttl, ?)) AS UNSIGNED) FROM zone_changes c, \
         JSON_TABLE(c.changes, '$[*]' COLUMNS (ttl BIGINT PATH '$.before.ttl')) j \
         WHERE c.zone_id = ? AND c.created_at > ? - INTERVAL ? SECOND \
         AND c.created_at + INTERVAL LEAST(j.ttl, ?) SECOND > ?",
    )
    .bind(cap)
    .bind(zone.0)
    .bind(super::datetime(now))
    .bind(cap)
    .bind(cap)
    .bind(super::datetime(now))
    .fetch_one(db.pool())
    .await?;
    let soas = sqlx::query_scalar(
        "SELECT j.content FROM zone_changes c, JSON_TABLE(c.changes, '$[*]' COLUMNS (kind VARCHAR(16) PATH '$.type', \
         content TEXT PATH '$.before.records[0].content')) j \
         WHERE c.zone_id = ? AND c.created_at > ? - INTERVAL ? SECOND AND j.kind = 'SOA' AND j.content IS NOT NULL",
    )
    .bind(zone.0)
    .bind(super::datetime(now))
    .bind(cap)
    .fetch_all(db.pool())
    .await?;
    Ok(CachedPast { largest_ttl: largest.and_then(|ttl| u32::try_from(ttl).ok()).unwrap_or(0), soas })
}

/// Whether a batch has become history.
pub async fn exists(db: &Db, batch: ChangeId) -> Result<bool> {
    let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM zone_changes WHERE batch_id = ? LIMIT 1")
        .bind(batch.0)
        .fetch_optional(db.pool())
        .await?;
    Ok(found.is_some())
}

/// Changes are counted up to this number.
pub const COUNT_MAX: u64 = 10_000; // contract

/// A change with who made it.
#[derive(Clone, Debug, FromRow)]
pub struct ChangeRow {
    pub id: Uuid,
    pub revision: u64,
    pub serial: Option<u32>,
    /// As JSON.
    pub actor: String,
    pub ip_address: Option<String>,
    pub request_id: String,
    /// RRsets before and after, as JSON; none where it is longer than was asked for.
    pub changes: Option<String>,
    pub created_at: OffsetDateTime,
}

/// Where a page of the history begins, the newest change first.
#[derive(Clone, Copy, Debug)]
pub enum From {
    /// Behind the change with this revision.
    Below(u64),
    /// So many changes from the newest.
    Offset(u64),
}

/// The change of this id in the zone.
pub async fn find(db: &Db, access: &ZoneAccess, id: ChangeId) -> Result<Option<ChangeRow>> {
    let sql = "SELECT id, revision, serial, actor, ip_address, request_id, changes, created_at \
               FROM zone_changes WHERE zone_id = ? AND id = ?";
    Ok(sqlx::query_as(sql).bind(access.zone().id.0).bind(id.0).fetch_optional(db.pool()).await?)
}

/// One page; of a change that holds more than `octets` without what it holds.
pub async fn page(db: &Db, access: &ZoneAccess, from: From, limit: u32, octets: u64) -> Result<Vec<ChangeRow>> {
    let (below, offset) = match from {
        From::Below(revision) => (revision, 0),
        From::Offset(offset) => (u64::MAX, offset),
    };
    let sql = "SELECT id, revision, serial, actor, ip_address, request_id, \
               IF(LENGTH(changes) > ?, NULL, changes) AS changes, created_at \
               FROM zone_changes WHERE zone_id = ? AND revision < ? ORDER BY revision DESC LIMIT ? OFFSET ?";
    let query = sqlx::query_as(sql).bind(octets).bind(access.zone().id.0).bind(below).bind(limit).bind(offset);
    Ok(query.fetch_all(db.pool()).await?)
}

/// The next changes below a revision, the newest first: as many as hold `octets` together, and at least one, if there is
/// one.
pub async fn next_below(db: &Db, access: &ZoneAccess, below: u64, octets: u64) -> Result<Vec<ChangeRow>> {
    const ROWS_MAX: u32 = 50;
    let sql = "SELECT id, revision, serial, actor, ip_address, request_id, changes, created_at FROM ( \
                   SELECT next.*, SUM(LENGTH(changes)) OVER (ORDER BY revision DESC) - LENGTH(changes) AS before_it \
                   FROM (SELECT id, revision, serial, actor, ip_address, request_id, changes, created_at \
                         FROM zone_changes WHERE zone_id = ? AND revision < ? ORDER BY revision DESC LIMIT ?) next \
               ) summed WHERE before_it < ? ORDER BY revision DESC";
    let query = sqlx::query_as(sql).bind(access.zone().id.0).bind(below).bind(ROWS_MAX).bind(octets);
    Ok(query.fetch_all(db.pool()).await?)
}

/// The SOA's serial at a revision; none while the zone was not live.
pub async fn serial_at(db: &Db, access: &ZoneAccess, revision: u64) -> Result<Option<u32>> {
    let sql = "SELECT serial FROM zone_changes WHERE zone_id = ? AND revision = ?";
    let query = sqlx::query_scalar(sql).bind(access.zone().id.0).bind(revision);
    Ok(query.fetch_optional(db.pool()).await?.flatten())
}

/// How many changes the zone has had, up to [`COUNT_MAX`] + 1.
pub async fn count(db: &Db, access: &ZoneAccess) -> Result<u64> {
    let sql = "SELECT COUNT(*) FROM (SELECT 1 FROM zone_changes WHERE zone_id = ? LIMIT ?) counted";
    let count: i64 = sqlx::query_scalar(sql).bind(access.zone().id.0).bind(COUNT_MAX + 1).fetch_one(db.pool()).await?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// The next changes after a revision and up to another, in their order: as many as hold `octets` together, and at least
/// one, if there is one.
pub async fn next_after(db: &Db, access: &ZoneAccess, after: u64, to: u64, octets: u64) -> Result<Vec<(u64, String)>> {
    const ROWS_MAX: u32 = 500; // of small changes
    let sql = "SELECT revision, changes FROM ( \
                   SELECT revision, changes, SUM(LENGTH(changes)) OVER (ORDER BY revision) - LENGTH(changes) AS before_it \
                   FROM (SELECT revision, changes FROM zone_changes \
                         WHERE zone_id = ? AND revision > ? AND revision <= ? ORDER BY revision LIMIT ?) next \
               ) summed WHERE before_it < ? ORDER BY revision";
    let query = sqlx::query_as(sql).bind(access.zone().id.0).bind(after).bind(to).bind(ROWS_MAX).bind(octets);
    Ok(query.fetch_all(db.pool()).await?)
}

#[cfg(all(test, feature = "dev"))]
mod tests {
    use super::*;
    use crate::authz::{Permission, ZoneRef};
    use crate::storage::testing;

    #[tokio::test]
    async fn large_changes_are_read_few_at_a_time_and_none_is_left_out() {
        let db = testing::database().await;
        let (zone, tenant) = (ZoneId::new(), TenantId::new());
        let change = |octets: usize| NewChange {
            id: ChangeId::new(),
            actor: "{}".into(),
            ip_address: None,
            request_id: String::new(),
            changes: format!("\"{}\"", "x".repeat(octets - 2)),
        };
        let now = OffsetDateTime::UNIX_EPOCH;
        let batch = BatchRef { id: ChangeId::new(), zone, tenant, revision: 0, serial: None, now };
        let mut tx = db.begin().await.expect("begins");
        append(&mut tx, &batch, &[change(10), change(4_000), change(10), change(20), change(5_000)])
            .await
            .expect("kept");
        tx.commit().await.expect("commits");
        let access = ZoneAccess::system(ZoneRef { id: zone, tenant }, Permission::RecordsRead);
        let (mut below, mut pages) = (u64::MAX, Vec::new());
        loop {
            let rows = next_below(&db, &access, below, 1_000).await.expect("read");
            let Some(last) = rows.last() else { break };
            below = last.revision;
            assert!(rows.iter().all(|row| row.changes.is_some()));
            pages.push(rows.iter().map(|row| row.revision).collect::<Vec<_>>());
        }
        assert_eq!(pages, [vec![5], vec![4, 3, 2], vec![1]]);
    }
}
