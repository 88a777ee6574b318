//! Tenants' own templates.

use sqlx::mysql::MySqlRow;
use sqlx::types::Json;
use sqlx::{FromRow, MySql, Row, Transaction};
use time::OffsetDateTime;

use crate::authz::{TenantAccess, Visibility};
use crate::dns::template::Template;
use crate::ids::{TemplateId, TenantId};

use super::{Db, Result, datetime};

type Tx<'a> = Transaction<'a, MySql>;

/// A template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateRow {
    pub id: TemplateId,
    pub tenant: TenantId,
    pub name: String,
    pub description: Option<String>,
    pub template: Template,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl FromRow<'_, MySqlRow> for TemplateRow {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: TemplateId(row.try_get("id")?),
            tenant: TenantId(row.try_get("tenant_id")?),
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            template: row.try_get::<Json<Template>, _>("definition")?.0,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

const COLUMNS: &str = "SELECT id, tenant_id, name, description, definition, created_at, updated_at FROM templates";

/// Ids and names of all that the tenant has; there are no more than a bounded number.
pub async fn names(db: &Db, access: &TenantAccess) -> Result<Vec<(TemplateId, String)>> {
    let sql = "SELECT id, name FROM templates WHERE tenant_id = ?";
    let rows: Vec<(uuid::Uuid, String)> = sqlx::query_as(sql).bind(access.tenant().0).fetch_all(db.pool()).await?;
    Ok(rows.into_iter().map(|(id, name)| (TemplateId(id), name)).collect())
}

/// Those of these ids that the tenant has.
pub async fn of_ids(db: &Db, access: &TenantAccess, ids: &[TemplateId]) -> Result<Vec<TemplateRow>> {
    let mut query = sqlx::QueryBuilder::new(format!("{COLUMNS} WHERE tenant_id = "));
    query.push_bind(access.tenant().0).push(" AND id IN (NULL");
    for id in ids {
        query.push(", ").push_bind(id.0);
    }
    query.push(")");
    Ok(query.build_query_as().fetch_all(db.pool()).await?)
}

/// The template of this id, if it is visible.
pub async fn find(db: &Db, visible: &Visibility, id: TemplateId) -> Result<Option<TemplateRow>> {
    let sql = format!("{COLUMNS} WHERE id = ? AND (? IS NULL OR tenant_id = ?)");
    let tenant = visible.tenant().map(|tenant| tenant.0);
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id.0).bind(tenant).bind(tenant).fetch_optional(db.pool()).await?)
}

/// The same, locked until the transaction ends.
pub async fn find_for_update(tx: &mut Tx<'_>, tenant: TenantId, id: TemplateId) -> Result<Option<TemplateRow>> {
    let sql = format!("{COLUMNS} WHERE id = ? AND tenant_id = ? FOR UPDATE");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id.0).bind(tenant.0).fetch_optional(&mut **tx).await?)
}

/// How many the tenant has: under its lock.
pub async fn count(tx: &mut Tx<'_>, tenant: TenantId) -> Result<u64> {
    let query = sqlx::query_scalar("SELECT COUNT(*) FROM templates WHERE tenant_id = ?").bind(tenant.0);
    let count: i64 = query.fetch_one(&mut **tx).await?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// `templates_tenant_name` violated: there is one of this name.
pub async fn insert(tx: &mut Tx<'_>, access: &TenantAccess, row: &TemplateRow) -> Result<()> {
    let TemplateRow { id, tenant: _, name, description, template, created_at, updated_at } = row;
    let sql = "INSERT INTO templates (id, tenant_id, name, description, definition, created_at, updated_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?)";
    let query = sqlx::query(sql).bind(id.0).bind(access.tenant().0).bind(name).bind(description);
    let query = query.bind(Json(template)).bind(datetime(created_at)).bind(datetime(updated_at));
    query.execute(&mut **tx).await?;
    Ok(())
}

pub async fn update(tx: &mut Tx<'_>, row: &TemplateRow) -> Result<()> {
    let TemplateRow { id, tenant, name, description, template, created_at: _, updated_at } = row;
    let sql = "UPDATE templates SET name = ?, description = ?, definition = ?, updated_at = ? \
               WHERE id = ? AND tenant_id = ?";
    let query = sqlx::query(sql).bind(name).bind(description).bind(Json(template)).bind(datetime(updated_at));
    query.bind(id.0).bind(tenant.0).execute(&mut **tx).await?;
    Ok(())
}

pub async fn delete(tx: &mut Tx<'_>, row: &TemplateRow) -> Result<()> {
    let query = sqlx::query("DELETE FROM templates WHERE id = ? AND tenant_id = ?");
    query.bind(row.id.0).bind(row.tenant.0).execute(&mut **tx).await?;
    Ok(())
}
