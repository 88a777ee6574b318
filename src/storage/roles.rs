//! Tenants' own roles, and the roles that users and groups hold by assignment.

use sqlx::mysql::MySqlRow;
use sqlx::types::Json;
use sqlx::{MySql, Row, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::authz::TenantAccess;
use crate::ids::{GroupId, RoleAssignmentId, RoleId, TenantId, UserId};

use super::directory::StoredRecord;
use super::revocations::{Revocation, RightsTx};
use super::{Db, Result, StorageError};

type Tx<'a> = Transaction<'a, MySql>;

/// What stands in `role` where `role_id` says which one.
const CUSTOM: &str = "custom";

/// A tenant's own role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRow {
    pub id: RoleId,
    pub tenant: TenantId,
    pub name: String,
    pub description: String,
    /// As they were given.
    pub permissions: Vec<String>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// Which role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleKey {
    /// By the name of a system role.
    System(&'static str),
    Custom(RoleId),
}

impl RoleKey {
    /// The columns `role` and `role_id`.
    pub(super) fn columns(&self) -> (&str, Option<Uuid>) {
        match self {
            Self::System(name) => (name, None),
            Self::Custom(id) => (CUSTOM, Some(id.0)),
        }
    }
}

/// Who may be given a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignee {
    User(UserId),
    Group(GroupId),
}

impl Assignee {
    pub(super) fn columns(self) -> (&'static str, Uuid) {
        match self {
            Self::User(UserId(id)) => ("user", id),
            Self::Group(GroupId(id)) => ("group", id),
        }
    }

    pub(super) fn read(kind: &str, id: Uuid) -> Result<Self> {
        match kind {
            "user" => Ok(Self::User(UserId(id))),
            "group" => Ok(Self::Group(GroupId(id))),
            other => Err(StorageError::Corrupt(format!("unknown holder {other:?}"))),
        }
    }
}

/// A role that somebody holds by assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignmentRow {
    pub id: RoleAssignmentId,
    /// In which it holds, and to which the assignee belongs.
    pub tenant: TenantId,
    pub assignee: Assignee,
    pub assignee_scaikey_id: String,
    pub scope: String,
    pub scope_id: Option<Uuid>,
    pub record: Option<StoredRecord>,
    pub created_by: Option<String>,
    pub created_at: OffsetDateTime,
}

/// All of a tenant, by name; there are no more than a bounded number.
pub async fn list(db: &Db, tenant: TenantId) -> Result<Vec<RoleRow>> {
    const QUERY: &str = "SELECT id, tenant_id, name, description, permissions, created_at, updated_at FROM roles \
                         WHERE tenant_id = ? ORDER BY name, id";
    let rows = sqlx::query(QUERY).bind(tenant.0).fetch_all(db.pool()).await?;
    rows.iter().map(role_row).collect()
}

pub async fn find(db: &Db, tenant: TenantId, id: RoleId) -> Result<Option<RoleRow>> {
    const QUERY: &str = "SELECT id, tenant_id, name, description, permissions, created_at, updated_at FROM roles \
                         WHERE tenant_id = ? AND id = ?";
    let row = sqlx::query(QUERY).bind(tenant.0).bind(id.0).fetch_optional(db.pool()).await?;
    row.as_ref().map(role_row).transpose()
}

/// By its name in any case.
pub async fn find_by_name(db: &Db, tenant: TenantId, name: &str) -> Result<Option<RoleRow>> {
    const QUERY: &str = "SELECT id, tenant_id, name, description, permissions, created_at, updated_at FROM roles \
                         WHERE tenant_id = ? AND name = ?";
    let row = sqlx::query(QUERY).bind(tenant.0).bind(name).fetch_optional(db.pool()).await?;
    row.as_ref().map(role_row).transpose()
}

/// [`find`], locked until the transaction ends.
pub async fn find_for_update(tx: &mut Tx<'_>, tenant: TenantId, id: RoleId) -> Result<Option<RoleRow>> {
    const QUERY: &str = "SELECT id, tenant_id, name, description, permissions, created_at, updated_at FROM roles \
                         WHERE tenant_id = ? AND id = ? FOR UPDATE";
    let row = sqlx::query(QUERY).bind(tenant.0).bind(id.0).fetch_optional(&mut **tx).await?;
    row.as_ref().map(role_row).transpose()
}

/// Locks the tenant's roles and their assignments against parallel changes; how many roles there are.
pub async fn lock_and_count(tx: &mut Tx<'_>, tenant: TenantId) -> Result<u64> {
    const LOCK: &str = "SELECT id FROM tenants WHERE id = ? FOR UPDATE";
    const COUNT: &str = "SELECT COUNT(*) FROM roles WHERE tenant_id = ?";
    sqlx::query(LOCK).bind(tenant.0).fetch_optional(&mut **tx).await?;
    let count: i64 = sqlx::query_scalar(COUNT).bind(tenant.0).fetch_one(&mut **tx).await?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// A new role, which nobody holds yet. `roles_tenant_name` violated: there is one of this name.
pub async fn insert(tx: &mut Tx<'_>, access: &TenantAccess, row: &RoleRow) -> Result<()> {
    const QUERY: &str = "INSERT INTO roles (id, tenant_id, name, description, permissions, created_at, updated_at) \
                         VALUES (?, ?, ?, ?, ?, ?, ?)";
    let RoleRow { id, tenant: _, name, description, permissions, created_at, updated_at } = row;
    let query = sqlx::query(QUERY).bind(id.0).bind(access.tenant().0).bind(name).bind(description);
    let query = query.bind(Json(permissions)).bind(super::datetime(*created_at)).bind(super::datetime(*updated_at));
    query.execute(&mut **tx).await?;
    Ok(())
}

pub async fn update(tx: &mut RightsTx, row: &RoleRow) -> Result<()> {
    const QUERY: &str = "UPDATE roles SET name = ?, description = ?, permissions = ?, updated_at = ? WHERE id = ?";
    let query = sqlx::query(QUERY).bind(&row.name).bind(&row.description).bind(Json(&row.permissions));
    query.bind(super::datetime(row.updated_at)).bind(row.id.0).execute(&mut ***tx).await?;
    tx.revoke(Revocation::Tenant(row.tenant));
    Ok(())
}

/// With its assignments and grants, that end with it; how many of each.
pub async fn delete(tx: &mut RightsTx, row: &RoleRow) -> Result<(u64, u64)> {
    const ASSIGNMENTS: &str = "DELETE FROM role_assignments WHERE tenant_id = ? AND role = 'custom' AND role_id = ?";
    const GRANTS: &str = "DELETE FROM access_grants WHERE role_id = ?";
    let assignments = sqlx::query(ASSIGNMENTS).bind(row.tenant.0).bind(row.id.0).execute(&mut ***tx).await?;
    let grants = sqlx::query(GRANTS).bind(row.id.0).execute(&mut ***tx).await?;
    sqlx::query("DELETE FROM roles WHERE id = ?").bind(row.id.0).execute(&mut ***tx).await?;
    tx.revoke(Revocation::Tenant(row.tenant));
    Ok((assignments.rows_affected(), grants.rows_affected()))
}

/// The assignments of a role in a tenant, the oldest first; there are no more than a bounded number.
pub async fn assignments(db: &Db, access: &TenantAccess, role: &RoleKey) -> Result<Vec<AssignmentRow>> {
    const QUERY: &str = "SELECT a.id, a.tenant_id, a.assignee_type, a.assignee_id, a.scope, a.scope_id, a.zone_id, \
                         a.record_name, a.record_type, a.created_by, a.created_at, \
                         COALESCE(u.scaikey_id, g.scaikey_id) AS scaikey_id FROM role_assignments a \
                         LEFT JOIN users u ON a.assignee_type = 'user' AND u.id = a.assignee_id \
                         LEFT JOIN user_groups g ON a.assignee_type = 'group' AND g.id = a.assignee_id \
                         WHERE a.tenant_id = ? AND a.role = ? AND a.role_id <=> ? ORDER BY a.id";
    let (name, id) = role.columns();
    let rows = sqlx::query(QUERY).bind(access.tenant().0).bind(name).bind(id).fetch_all(db.pool()).await?;
    rows.iter().map(assignment_row).collect()
}

/// One assignment of a role, locked until the transaction ends.
pub async fn assignment_for_update(
    tx: &mut Tx<'_>,
    access: &TenantAccess,
    role: &RoleKey,
    id: RoleAssignmentId,
) -> Result<Option<AssignmentRow>> {
    const QUERY: &str = "SELECT a.id, a.tenant_id, a.assignee_type, a.assignee_id, a.scope, a.scope_id, a.zone_id, \
                         a.record_name, a.record_type, a.created_by, a.created_at, \
                         COALESCE((SELECT u.scaikey_id FROM users u WHERE a.assignee_type = 'user' \
                         AND u.id = a.assignee_id), (SELECT g.scaikey_id FROM user_groups g \
                         WHERE a.assignee_type = 'group' AND g.id = a.assignee_id)) AS scaikey_id \
                         FROM role_assignments a WHERE a.id = ? AND a.tenant_id = ? AND a.role = ? \
                         AND a.role_id <=> ? FOR UPDATE";
    let (name, role_id) = role.columns();
    let query = sqlx::query(QUERY).bind(id.0).bind(access.tenant().0).bind(name).bind(role_id);
    let row = query.fetch_optional(&mut **tx).await?;
    row.as_ref().map(assignment_row).transpose()
}

/// How many assignments a role has in a tenant, and how many of all roles this assignee holds; under
/// [`lock_and_count`].
pub async fn count_assignments(tx: &mut Tx<'_>, tenant: TenantId, role: &RoleKey, of: Assignee) -> Result<(u64, u64)> {
    const OF_ROLE: &str = "SELECT COUNT(*) FROM role_assignments WHERE tenant_id = ? AND role = ? AND role_id <=> ?";
    const OF_ASSIGNEE: &str = "SELECT COUNT(*) FROM role_assignments WHERE assignee_type = ? AND assignee_id = ?";
    let (name, role_id) = role.columns();
    let (kind, id) = of.columns();
    let of_role: i64 = sqlx::query_scalar(OF_ROLE).bind(tenant.0).bind(name).bind(role_id).fetch_one(&mut **tx).await?;
    let of_assignee: i64 = sqlx::query_scalar(OF_ASSIGNEE).bind(kind).bind(id).fetch_one(&mut **tx).await?;
    Ok((u64::try_from(of_role).unwrap_or_default(), u64::try_from(of_assignee).unwrap_or_default()))
}

/// Whether this very assignment is there; under [`lock_and_count`].
pub async fn is_assigned(tx: &mut Tx<'_>, role: &RoleKey, row: &AssignmentRow) -> Result<bool> {
    const QUERY: &str = "SELECT COUNT(*) FROM role_assignments WHERE assignee_type = ? AND assignee_id = ? \
                         AND tenant_id = ? AND role = ? AND role_id <=> ? AND scope = ? AND scope_id <=> ?";
    let (name, role_id) = role.columns();
    let (kind, id) = row.assignee.columns();
    let query = sqlx::query_scalar(QUERY).bind(kind).bind(id).bind(row.tenant.0).bind(name).bind(role_id);
    let found: i64 = query.bind(&row.scope).bind(row.scope_id).fetch_one(&mut **tx).await?;
    Ok(found > 0)
}

pub async fn assign(tx: &mut RightsTx, role: &RoleKey, row: &AssignmentRow) -> Result<()> {
    const QUERY: &str = "INSERT INTO role_assignments (id, tenant_id, role, role_id, assignee_type, assignee_id, \
                         scope, scope_id, zone_id, record_name, record_type, created_by, created_at) \
                         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let AssignmentRow { id, tenant, assignee, assignee_scaikey_id: _, scope, scope_id, record, created_by, created_at } =
        row;
    let (name, role_id) = role.columns();
    let (kind, assignee) = assignee.columns();
    let record = record.as_ref();
    let query = sqlx::query(QUERY).bind(id.0).bind(tenant.0).bind(name).bind(role_id).bind(kind).bind(assignee);
    let query = query.bind(scope).bind(*scope_id).bind(record.map(|record| record.zone.0));
    let query = query.bind(record.map(|record| &record.name)).bind(record.map(|record| &record.record_type));
    query.bind(created_by).bind(super::datetime(*created_at)).execute(&mut ***tx).await?;
    tx.revoke(Revocation::Tenant(*tenant));
    Ok(())
}

pub async fn unassign(tx: &mut RightsTx, row: &AssignmentRow) -> Result<()> {
    sqlx::query("DELETE FROM role_assignments WHERE id = ?").bind(row.id.0).execute(&mut ***tx).await?;
    tx.revoke(Revocation::Tenant(row.tenant));
    Ok(())
}

fn role_row(row: &MySqlRow) -> Result<RoleRow> {
    let Json(permissions): Json<Vec<String>> = row.try_get_unchecked("permissions")?;
    Ok(RoleRow {
        id: RoleId(row.try_get("id")?),
        tenant: TenantId(row.try_get("tenant_id")?),
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        permissions,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

fn assignment_row(row: &MySqlRow) -> Result<AssignmentRow> {
    let zone: Option<Uuid> = row.try_get("zone_id")?;
    let (name, record_type) = (row.try_get("record_name")?, row.try_get("record_type")?);
    let record = match (zone, name, record_type) {
        (Some(zone), Some(name), Some(record_type)) => {
            Some(StoredRecord { zone: crate::ids::ZoneId(zone), name, record_type })
        }
        _ => None,
    };
    Ok(AssignmentRow {
        id: RoleAssignmentId(row.try_get("id")?),
        tenant: TenantId(row.try_get("tenant_id")?),
        assignee: Assignee::read(&row.try_get::<String, _>("assignee_type")?, row.try_get("assignee_id")?)?,
        assignee_scaikey_id: row.try_get::<Option<String>, _>("scaikey_id")?.unwrap_or_default(),
        scope: row.try_get("scope")?,
        scope_id: row.try_get("scope_id")?,
        record,
        created_by: row.try_get("created_by")?,
        created_at: row.try_get("created_at")?,
    })
}
