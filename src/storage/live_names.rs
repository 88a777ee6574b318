//! Live names: who has one, and whose zones stand near it.

use sqlx::{FromRow, MySql, QueryBuilder, Transaction};
use uuid::Uuid;

use crate::dns::ZoneName;
use crate::ids::{TenantId, ZoneId};

use super::{Db, Result};

/// A live zone near a name: whose it is and what it is called.
#[derive(Clone, Debug, FromRow)]
pub struct Neighbour {
    pub name: String,
    pub tenant_id: Uuid,
    pub status: String,
}

/// Live zones at or above a name, nearest first.
pub async fn live_at_or_above(db: &Db, name: &ZoneName) -> Result<Vec<Neighbour>> {
    let mut query = QueryBuilder::new("SELECT name, tenant_id, status FROM zones WHERE live_name IN (");
    query.push_bind(name.as_str().to_owned());
    for ancestor in name.ancestors() {
        query.push(", ").push_bind(ancestor.to_owned());
    }
    query.push(") ORDER BY LENGTH(name) DESC");
    Ok(query.build_query_as().fetch_all(db.pool()).await?)
}

/// Whether a live zone of another tenant stands below a name.
pub async fn foreign_live_below(db: &Db, name: &ZoneName, tenant: TenantId) -> Result<bool> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM zones WHERE reversed_name LIKE ? AND live_name IS NOT NULL AND tenant_id <> ? LIMIT 1",
    )
    .bind(reversed_below(name))
    .bind(tenant.0)
    .fetch_optional(db.pool())
    .await?;
    Ok(found.is_some())
}

/// The live zone of a name.
pub async fn live_of_name(db: &Db, name: &str) -> Result<Option<ZoneId>> {
    let found: Option<Uuid> =
        sqlx::query_scalar("SELECT id FROM zones WHERE live_name = ?").bind(name).fetch_optional(db.pool()).await?;
    Ok(found.map(ZoneId))
}

/// Whether a zone of this name is live, within the transaction that is about to make one.
pub async fn is_name_live(tx: &mut Transaction<'_, MySql>, name: &str) -> Result<bool> {
    let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM zones WHERE live_name = ? LOCK IN SHARE MODE")
        .bind(name)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(found.is_some())
}

/// Whether another tenant's claim at a name above or below this one is about to go live.
pub async fn foreign_arriving(db: &Db, name: &ZoneName, tenant: TenantId) -> Result<bool> {
    let mut query = QueryBuilder::new(
        "SELECT 1 FROM zone_intents i JOIN zones z ON z.id = i.zone_id \
         WHERE i.kind IN ('go_live', 'secondary_live') AND z.tenant_id <> ",
    );
    query.push_bind(tenant.0).push(" AND (z.reversed_name LIKE ").push_bind(reversed_below(name));
    query.push(" OR z.name IN (NULL");
    for ancestor in name.ancestors() {
        query.push(", ").push_bind(ancestor.to_owned());
    }
    query.push(")) LIMIT 1");
    let found: Option<i64> = query.build_query_scalar().fetch_optional(db.pool()).await?;
    Ok(found.is_some())
}

/// What `reversed_name` of all that lies below a name is like.
fn reversed_below(name: &ZoneName) -> String {
    let reversed: String = name.as_str().chars().rev().collect();
    format!("{}.%", reversed.replace('_', "\\_"))
}
