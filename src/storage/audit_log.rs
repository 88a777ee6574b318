//! Reading the audit log, newest first. Nothing here writes it.

use sqlx::mysql::MySqlRow;
use sqlx::{MySql, QueryBuilder, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::authz::Visibility;
use crate::ids::{AuditId, TenantId};

use super::audit::AuditEntry;
use super::{Db, Result, StorageError};

/// Entries are counted up to this number.
pub const COUNT_MAX: u64 = 10_000; // contract

/// Which entries are wanted; what is None narrows nothing.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    pub tenant: Option<TenantId>,
    pub actor_type: Option<String>,
    pub actor_id: Option<String>,
    pub action: Option<String>,
    pub resource_type: Option<String>,
    pub resource_id: Option<String>,
    /// Inclusive.
    pub from: Option<OffsetDateTime>,
    /// Inclusive.
    pub until: Option<OffsetDateTime>,
}

/// The entry of this id, if it is visible.
pub async fn find(db: &Db, visible: &Visibility, id: AuditId) -> Result<Option<AuditEntry>> {
    let mut query = QueryBuilder::<MySql>::new(ENTRIES);
    push_visible(&mut query, visible);
    query.push(" AND id = ").push_bind(id.0);
    query.build().fetch_optional(db.pool()).await?.as_ref().map(entry).transpose()
}

/// One page, and the number of all up to [`COUNT_MAX`] + 1. `after`: the last entry of the page before.
pub async fn list(
    db: &Db,
    visible: &Visibility,
    filter: &AuditFilter,
    after: Option<AuditId>,
    (offset, limit): (u64, u32),
) -> Result<(Vec<AuditEntry>, u64)> {
    let mut count = QueryBuilder::<MySql>::new("SELECT COUNT(*) FROM (SELECT 1 FROM audit_log");
    push_visible(&mut count, visible);
    push_filter(&mut count, filter);
    count.push(" LIMIT ").push_bind(COUNT_MAX + 1).push(") counted");
    let total: i64 = count.build_query_scalar().fetch_one(db.pool()).await?;
    let mut query = QueryBuilder::<MySql>::new(ENTRIES);
    push_visible(&mut query, visible);
    push_filter(&mut query, filter);
    if let Some(id) = after {
        query.push(" AND id < ").push_bind(id.0);
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(offset);
    let rows = query.build().fetch_all(db.pool()).await?;
    let entries = rows.iter().map(entry).collect::<Result<_>>()?;
    Ok((entries, u64::try_from(total).unwrap_or_default()))
}

const ENTRIES: &str = "SELECT id, tenant_id, actor_type, actor_id, actor_email, action, resource_type, resource_id, \
                       resource_name, details, ip_address, user_agent, request_id, created_at FROM audit_log";

fn push_visible(query: &mut QueryBuilder<MySql>, visible: &Visibility) {
    match visible.tenant() {
        Some(tenant) => query.push(" WHERE tenant_id = ").push_bind(tenant.0),
        None => query.push(" WHERE TRUE"),
    };
}

fn push_filter(query: &mut QueryBuilder<MySql>, filter: &AuditFilter) {
    let AuditFilter { tenant, actor_type, actor_id, action, resource_type, resource_id, from, until } = filter;
    if let Some(tenant) = tenant {
        query.push(" AND tenant_id = ").push_bind(tenant.0);
    }
    let texts = [
        (" AND actor_type = ", actor_type),
        (" AND actor_id = ", actor_id),
        (" AND action = ", action),
        (" AND resource_type = ", resource_type),
        (" AND resource_id = ", resource_id),
    ];
    for (condition, text) in texts {
        if let Some(text) = text {
            query.push(condition).push_bind(text.clone());
        }
    }
    if let Some(from) = from {
        query.push(" AND created_at >= ").push_bind(super::datetime(*from));
    }
    if let Some(until) = until {
        query.push(" AND created_at <= ").push_bind(super::datetime(*until));
    }
}

fn entry(row: &MySqlRow) -> Result<AuditEntry> {
    let details: String = row.try_get("details")?;
    Ok(AuditEntry {
        id: AuditId(row.try_get("id")?),
        tenant: row.try_get::<Option<Uuid>, _>("tenant_id")?.map(TenantId),
        actor_type: row.try_get("actor_type")?,
        actor_id: row.try_get("actor_id")?,
        actor_email: row.try_get("actor_email")?,
        action: row.try_get("action")?,
        resource_type: row.try_get("resource_type")?,
        resource_id: row.try_get("resource_id")?,
        resource_name: row.try_get("resource_name")?,
        details: serde_json::from_str(&details)
            .map_err(|error| StorageError::Corrupt(format!("audit details do not read: {error}")))?,
        ip_address: row.try_get("ip_address")?,
        user_agent: row.try_get("user_agent")?,
        request_id: row.try_get("request_id")?,
        created_at: row.try_get("created_at")?,
    })
}
