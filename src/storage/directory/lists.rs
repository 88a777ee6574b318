//! The mirror in pages, by name: for those who administer it.

use sqlx::mysql::MySqlRow;
use sqlx::{MySql, QueryBuilder, Row};
use uuid::Uuid;

use crate::authz::Visibility;
use crate::ids::{GroupId, TenantId, UserId};
use crate::tenancy::Standing;

use super::super::{Db, Result};
use super::{GroupRow, PartnerRow, TenantRow, UserRow, group_row, partner_row, tenant_row, user_row};

/// What is listed.
#[derive(Clone, Debug, Default)]
pub struct DirectoryFilter {
    pub status: Option<Standing>,
    /// A part of a name, an address or a slug.
    pub search: Option<String>,
    /// Of users and groups.
    pub tenant: Option<TenantId>,
}

/// Where a page begins: behind this name and id, or after so many; and how many it takes.
#[derive(Clone, Debug)]
pub struct Part {
    pub after: Option<(String, Uuid)>,
    pub offset: u64,
    pub limit: u32,
}

/// A member of a group, to show.
#[derive(Clone, Debug)]
pub enum MemberRow {
    User(UserRow),
    Group(GroupRow),
}

/// A page of users, and how many there are in all.
pub async fn list_users(
    db: &Db,
    visible: &Visibility,
    filter: &DirectoryFilter,
    part: &Part,
) -> Result<(Vec<UserRow>, u64)> {
    const COLUMNS: &str = "SELECT u.id AS u_id, u.scaikey_id AS u_scaikey_id, u.tenant_id AS u_tenant_id, \
                           u.email AS u_email, u.name AS u_name, u.status AS u_status, \
                           u.admin_role AS u_admin_role, u.stated_at AS u_stated_at, \
                           u.admin_role_stated_at AS u_admin_role_stated_at, u.created_at AS u_created_at, \
                           u.updated_at AS u_updated_at";
    let condition = |query: &mut QueryBuilder<MySql>| {
        query.push(" FROM users u WHERE TRUE");
        common(query, ["u.status", "u.tenant_id"], ["u.name", "u.email"], visible, filter);
    };
    page(db, COLUMNS, condition, ["u.name", "u.id"], part, user_row).await
}

/// Roles that administer, as these users hold them by assignments of their own, on the platform or in the tenant that they
/// belong to: whose, which role, and the scope.
pub async fn own_admin_roles(db: &Db, users: &[UserId]) -> Result<Vec<(UserId, String, String)>> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::<MySql>::new(
        "SELECT a.assignee_id, a.role, a.scope FROM role_assignments a JOIN users u ON u.id = a.assignee_id \
         WHERE a.assignee_type = 'user' AND a.role IN ('platform_admin', 'tenant_admin') \
         AND (a.scope = 'platform' OR (a.scope = 'tenant' AND a.tenant_id = u.tenant_id)) AND a.assignee_id IN (",
    );
    let mut ids = query.separated(", ");
    for id in users {
        ids.push_bind(id.0);
    }
    query.push(")");
    let rows = query.build().fetch_all(db.pool()).await?;
    let read = |row: &MySqlRow| -> sqlx::Result<(UserId, String, String)> {
        Ok((UserId(row.try_get("assignee_id")?), row.try_get("role")?, row.try_get("scope")?))
    };
    Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
}

/// A page of groups with how many direct members each has, and how many there are in all.
pub async fn list_groups(
    db: &Db,
    visible: &Visibility,
    filter: &DirectoryFilter,
    part: &Part,
) -> Result<(Vec<(GroupRow, u64)>, u64)> {
    const COLUMNS: &str = "SELECT g.id AS g_id, g.scaikey_id AS g_scaikey_id, g.tenant_id AS g_tenant_id, \
                           g.name AS g_name, g.description AS g_description, g.group_type AS g_group_type, \
                           g.status AS g_status, g.stated_at AS g_stated_at, g.created_at AS g_created_at, \
                           g.updated_at AS g_updated_at, \
                           (SELECT COUNT(*) FROM group_members m WHERE m.group_id = g.id) AS members";
    let condition = |query: &mut QueryBuilder<MySql>| {
        query.push(" FROM user_groups g WHERE TRUE");
        common(query, ["g.status", "g.tenant_id"], ["g.name", "g.description"], visible, filter);
    };
    let read = |row: &MySqlRow| Ok((group_row(row)?, row.try_get::<i64, _>("members")?.unsigned_abs()));
    page(db, COLUMNS, condition, ["g.name", "g.id"], part, read).await
}

/// A page of tenants, and how many there are in all. For the platform's admin.
pub async fn list_tenants(db: &Db, filter: &DirectoryFilter, part: &Part) -> Result<(Vec<TenantRow>, u64)> {
    const COLUMNS: &str = "SELECT t.id AS t_id, t.scaikey_id AS t_scaikey_id, t.partner_id AS t_partner_id, \
                           t.name AS t_name, t.slug AS t_slug, t.status AS t_status, t.settings AS t_settings, \
                           t.stated_at AS t_stated_at, t.created_at AS t_created_at, t.updated_at AS t_updated_at, \
                           NULL AS p_status";
    let condition = |query: &mut QueryBuilder<MySql>| {
        query.push(" FROM tenants t WHERE TRUE");
        common(query, ["t.status", "t.id"], ["t.name", "t.slug"], &Visibility::system(), filter);
    };
    page(db, COLUMNS, condition, ["t.name", "t.id"], part, tenant_row).await
}

/// A page of partners, and how many there are in all. For the platform's admin.
pub async fn list_partners(db: &Db, filter: &DirectoryFilter, part: &Part) -> Result<(Vec<PartnerRow>, u64)> {
    let condition = |query: &mut QueryBuilder<MySql>| {
        query.push(" FROM partners p WHERE TRUE");
        common(query, ["p.status", "p.id"], ["p.name", "p.slug"], &Visibility::system(), filter);
    };
    page(db, PARTNER_COLUMNS, condition, ["p.name", "p.id"], part, partner_row).await
}

const PARTNER_COLUMNS: &str = "SELECT p.id AS p_id, p.scaikey_id AS p_scaikey_id, p.name AS p_name, p.slug AS p_slug, \
                               p.status AS p_status, p.stated_at AS p_stated_at, p.created_at AS p_created_at, \
                               p.updated_at AS p_updated_at";

/// One partner, by either id (as text, or ours).
pub async fn partner(db: &Db, scaikey_id: Option<&str>, id: Option<Uuid>) -> Result<Option<PartnerRow>> {
    let mut query = QueryBuilder::<MySql>::new(PARTNER_COLUMNS);
    query.push(" FROM partners p WHERE p.scaikey_id = ").push_bind(scaikey_id.map(str::to_owned));
    query.push(" OR p.id = ").push_bind(id);
    let row = query.build().fetch_optional(db.pool()).await?;
    Ok(row.map(|row| partner_row(&row)).transpose()?)
}

impl MemberRow {
    /// Its place among the members of a group.
    pub fn place(&self) -> MemberPlace {
        let (member_type, name, id) = match self {
            Self::User(row) => ("user", &row.name, row.id.0),
            Self::Group(row) => ("group", &row.name, row.id.0),
        };
        MemberPlace { member_type: member_type.into(), name: name.clone(), id }
    }
}

/// Where a page of members begins: behind this one, or after so many; and how many it takes.
#[derive(Clone, Debug)]
pub struct MembersPart {
    pub after: Option<MemberPlace>,
    pub offset: u64,
    pub limit: u32,
}

/// A place in the order of members.
#[derive(Clone, Debug)]
pub struct MemberPlace {
    /// `group` or `user`
    pub member_type: String,
    pub name: String,
    pub id: Uuid,
}

/// A page of a group's direct members: groups first, then users, each by name.
pub async fn list_members(db: &Db, group: GroupId, part: &MembersPart) -> Result<(Vec<MemberRow>, u64)> {
    const QUERY: &str = "SELECT m.member_type, u.id AS u_id, u.scaikey_id AS u_scaikey_id, u.tenant_id AS u_tenant_id, \
                         u.email AS u_email, u.name AS u_name, u.status AS u_status, \
                         u.admin_role AS u_admin_role, u.stated_at AS u_stated_at, \
                         u.admin_role_stated_at AS u_admin_role_stated_at, u.created_at AS u_created_at, \
                         u.updated_at AS u_updated_at, g.id AS g_id, g.scaikey_id AS g_scaikey_id, \
                         g.tenant_id AS g_tenant_id, g.name AS g_name, g.description AS g_description, \
                         g.group_type AS g_group_type, g.status AS g_status, g.stated_at AS g_stated_at, \
                         g.created_at AS g_created_at, g.updated_at AS g_updated_at FROM group_members m \
                         LEFT JOIN users u ON m.member_type = 'user' AND u.id = m.member_id \
                         LEFT JOIN user_groups g ON m.member_type = 'group' AND g.id = m.member_id \
                         WHERE m.group_id = ? AND (u.id IS NOT NULL OR g.id IS NOT NULL) \
                         AND (? IS NULL OR (m.member_type, COALESCE(g.name, u.name), m.member_id) > (?, ?, ?)) \
                         ORDER BY m.member_type, COALESCE(g.name, u.name), m.member_id LIMIT ? OFFSET ?";
    let MembersPart { after, offset, limit } = part;
    let member_type = after.as_ref().map(|place| place.member_type.as_str());
    let query = sqlx::query(QUERY).bind(group.0).bind(member_type).bind(member_type);
    let query = query.bind(after.as_ref().map(|place| place.name.as_str())).bind(after.as_ref().map(|place| place.id));
    let query = query.bind(limit).bind(offset);
    let mut members = Vec::new();
    for row in query.fetch_all(db.pool()).await? {
        let is_user = row.try_get::<String, _>("member_type")? == "user";
        members.push(if is_user { MemberRow::User(user_row(&row)?) } else { MemberRow::Group(group_row(&row)?) });
    }
    Ok((members, count_members(db, group).await?))
}

/// How many direct members a group has.
pub async fn count_members(db: &Db, group: GroupId) -> Result<u64> {
    let query = "SELECT COUNT(*) FROM group_members WHERE group_id = ?";
    Ok(sqlx::query_scalar::<_, i64>(query).bind(group.0).fetch_one(db.pool()).await?.unsigned_abs())
}

fn common(
    query: &mut QueryBuilder<MySql>,
    [status, tenant]: [&'static str; 2],
    searched: [&'static str; 2],
    visible: &Visibility,
    filter: &DirectoryFilter,
) {
    let DirectoryFilter { status: wanted, search, tenant: of } = filter;
    for id in [visible.tenant(), *of].into_iter().flatten() {
        query.push(" AND ").push(tenant).push(" = ").push_bind(id.0);
    }
    if let Some(wanted) = wanted {
        query.push(" AND ").push(status).push(" = ").push_bind(wanted.as_str());
    }
    if let Some(text) = search {
        let pattern = format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        query.push(" AND (").push(searched[0]).push(" LIKE ").push_bind(pattern.clone());
        query.push(" OR ").push(searched[1]).push(" LIKE ").push_bind(pattern).push(")");
    }
}

async fn page<T>(
    db: &Db,
    columns: &'static str,
    condition: impl Fn(&mut QueryBuilder<MySql>),
    [name, id]: [&'static str; 2],
    Part { after, offset, limit }: &Part,
    read: impl Fn(&MySqlRow) -> sqlx::Result<T>,
) -> Result<(Vec<T>, u64)> {
    let mut count = QueryBuilder::<MySql>::new("SELECT COUNT(*)");
    condition(&mut count);
    let total: i64 = count.build_query_scalar().fetch_one(db.pool()).await?;
    let mut query = QueryBuilder::<MySql>::new(columns);
    condition(&mut query);
    if let Some((last, last_id)) = after {
        query.push(" AND (").push(name).push(" > ").push_bind(last.clone());
        query.push(" OR (").push(name).push(" = ").push_bind(last.clone());
        query.push(" AND ").push(id).push(" > ").push_bind(*last_id).push("))");
    }
    query.push(" ORDER BY ").push(name).push(", ").push(id).push(" LIMIT ").push_bind(*limit);
    query.push(" OFFSET ").push_bind(*offset);
    let rows = query.build().fetch_all(db.pool()).await?;
    let rows = rows.iter().map(read).collect::<sqlx::Result<Vec<T>>>()?;
    Ok((rows, total.unsigned_abs()))
}
