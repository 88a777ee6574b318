//! Who may hold rights: a user or a group, with its tenant, the groups it is in (nested ones included) and the roles
//! that any of them hold. One query, so that a request costs one round trip.

use serde::Deserialize;
use sqlx::Row;
use sqlx::mysql::MySqlRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::authz::Visibility;
use crate::ids::{GroupId, RoleId, TenantId, UserId, ZoneId};

use super::super::{Db, Result, StorageError};
use super::{GroupRow, Reference, TenantRow, UserRow, group_row, tenant_row, user_row};

/// A user or a group and all that its rights follow from.
#[derive(Clone, Debug)]
pub struct Holder {
    pub kind: HolderKind,
    /// The tenant it belongs to.
    pub home: TenantRow,
    /// The active groups it is in, directly or not; a group is in itself.
    pub groups: Vec<GroupId>,
    pub assignments: Vec<StoredAssignment>,
}

#[derive(Clone, Debug)]
pub enum HolderKind {
    User(UserRow),
    Group(GroupRow),
}

/// A row of `role_assignments`, or one of `access_grants`, which is a role in one zone; names are read by the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAssignment {
    pub tenant: TenantId,
    /// A system role's name; anything else where [`Self::custom`] is.
    pub role: String,
    pub custom: Option<StoredRole>,
    pub scope: String,
    /// The tenant's, zone's or record's.
    pub scope_id: Option<Uuid>,
    /// Of a role on one record.
    pub record: Option<StoredRecord>,
    /// Of a grant.
    pub pattern: Option<String>,
    /// Of a grant.
    pub types: Option<Vec<String>>,
    /// Of a grant.
    pub expires_at: Option<OffsetDateTime>,
}

/// A tenant's own role, as somebody holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRole {
    pub id: RoleId,
    pub name: String,
    pub permissions: Vec<String>,
}

/// Which record a role is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    pub zone: ZoneId,
    /// Relative to the zone.
    pub name: String,
    pub record_type: String,
}

/// The user of this id at ScaiKey. For credentials: who it is, not what may be seen.
pub async fn user_by_scaikey_id(db: &Db, scaikey_id: &str) -> Result<Option<Holder>> {
    const QUERY: &str = holder_query!("SELECT 'user' AS kind, id FROM users WHERE scaikey_id = ?", "", "");
    let row = sqlx::query(QUERY).bind(scaikey_id).fetch_optional(db.pool()).await?;
    row.map(|row| HolderRow(&row).read()).transpose()
}

/// The user of this id, if its tenant is visible.
pub async fn user(db: &Db, visible: &Visibility, reference: &Reference<UserId>) -> Result<Option<Holder>> {
    const BY_ID: &str = holder_query!("SELECT 'user' AS kind, id FROM users WHERE id = ?", "", "");
    let holder = match reference {
        Reference::Ours(id) => {
            let row = sqlx::query(BY_ID).bind(id.0).fetch_optional(db.pool()).await?;
            row.map(|row| HolderRow(&row).read()).transpose()?
        }
        Reference::ScaiKey(id) => user_by_scaikey_id(db, id).await?,
    };
    Ok(holder.filter(|holder| is_visible(holder, visible)))
}

/// The group of this id, if its tenant is visible.
pub async fn group(db: &Db, visible: &Visibility, reference: &Reference<GroupId>) -> Result<Option<Holder>> {
    const BY_ID: &str = holder_query!("SELECT 'group' AS kind, id FROM user_groups WHERE id = ?", "", "");
    const BY_SCAIKEY_ID: &str =
        holder_query!("SELECT 'group' AS kind, id FROM user_groups WHERE scaikey_id = ?", "", "");
    let query = match reference {
        Reference::Ours(id) => sqlx::query(BY_ID).bind(id.0),
        Reference::ScaiKey(id) => sqlx::query(BY_SCAIKEY_ID).bind(id),
    };
    let row = query.fetch_optional(db.pool()).await?;
    let holder = row.map(|row| HolderRow(&row).read()).transpose()?;
    Ok(holder.filter(|holder| is_visible(holder, visible)))
}

/// ScaiKey's ids of the users with this address, two at most: enough to see that it is not one. For the operator.
pub async fn users_by_email(db: &Db, email: &str) -> Result<Vec<String>> {
    const QUERY: &str = "SELECT scaikey_id FROM users WHERE email = ? AND status <> 'inactive' ORDER BY id LIMIT 2";
    Ok(sqlx::query_scalar(QUERY).bind(email).fetch_all(db.pool()).await?)
}

fn is_visible(holder: &Holder, visible: &Visibility) -> bool {
    visible.tenant().is_none_or(|tenant| tenant == holder.home.id)
}

/// The query for a holder. `$who` selects `kind` and `id` of one; more columns and joins may be added to the answer.
/// A group that is not active gives nothing, nor does what lies behind it; a group of another tenant never does.
macro_rules! holder_query {
    ($who:literal, $columns:expr, $joins:literal) => {
        concat!(
            "WITH RECURSIVE who AS (",
            $who,
            "), reach (id) AS ( \
             SELECT g.id FROM who w JOIN users u ON u.id = w.id \
             JOIN group_members m ON m.member_type = 'user' AND m.member_id = w.id \
             JOIN user_groups g ON g.id = m.group_id AND g.status = 'active' AND g.tenant_id = u.tenant_id \
             WHERE w.kind = 'user' \
             UNION SELECT g.id FROM who w JOIN user_groups g ON g.id = w.id AND g.status = 'active' \
             WHERE w.kind = 'group' \
             UNION SELECT g.id FROM reach r JOIN user_groups inner_group ON inner_group.id = r.id \
             JOIN group_members m ON m.member_type = 'group' AND m.member_id = r.id \
             JOIN user_groups g ON g.id = m.group_id AND g.status = 'active' \
             AND g.tenant_id = inner_group.tenant_id) \
             SELECT u.id AS u_id, u.scaikey_id AS u_scaikey_id, u.tenant_id AS u_tenant_id, u.email AS u_email, \
             u.name AS u_name, u.status AS u_status, u.admin_role AS u_admin_role, u.stated_at AS u_stated_at, \
             u.admin_role_stated_at AS u_admin_role_stated_at, u.created_at AS u_created_at, \
             u.updated_at AS u_updated_at, g.id AS g_id, g.scaikey_id AS g_scaikey_id, g.tenant_id AS g_tenant_id, \
             g.name AS g_name, g.description AS g_description, g.group_type AS g_group_type, g.status AS g_status, \
             g.stated_at AS g_stated_at, g.created_at AS g_created_at, g.updated_at AS g_updated_at, \
             t.id AS t_id, t.scaikey_id AS t_scaikey_id, t.partner_id AS t_partner_id, t.name AS t_name, \
             t.slug AS t_slug, t.status AS t_status, t.settings AS t_settings, t.stated_at AS t_stated_at, \
             t.created_at AS t_created_at, t.updated_at AS t_updated_at, p.status AS p_status, \
             (SELECT JSON_ARRAYAGG(HEX(r.id)) FROM reach r) AS reached, \
             (SELECT JSON_ARRAYAGG(JSON_OBJECT('tenant', HEX(a.tenant_id), 'role', a.role, 'scope', a.scope, \
             'scope_id', HEX(a.scope_id), 'role_id', HEX(ro.id), 'role_name', ro.name, \
             'permissions', ro.permissions, 'zone', HEX(a.zone_id), 'record_name', a.record_name, \
             'record_type', a.record_type)) \
             FROM role_assignments a LEFT JOIN roles ro ON ro.id = a.role_id AND ro.tenant_id = a.tenant_id \
             WHERE (a.assignee_type = 'user' AND a.assignee_id = u.id) \
             OR (a.assignee_type = 'group' AND a.assignee_id IN (SELECT r.id FROM reach r))) AS assignments, \
             (SELECT JSON_ARRAYAGG(JSON_OBJECT('tenant', HEX(ag.tenant_id), 'role', ag.role, 'scope', 'domain', \
             'scope_id', HEX(ag.zone_id), 'role_id', HEX(ro.id), 'role_name', ro.name, \
             'permissions', ro.permissions, 'pattern', ag.record_pattern, 'types', ag.record_types, \
             'expires', TIMESTAMPDIFF(MICROSECOND, '1970-01-01', ag.expires_at))) \
             FROM access_grants ag LEFT JOIN roles ro ON ro.id = ag.role_id AND ro.tenant_id = ag.tenant_id \
             WHERE (ag.expires_at IS NULL OR ag.expires_at > UTC_TIMESTAMP(6)) \
             AND ((ag.grantee_type = 'user' AND ag.grantee_id = u.id) \
             OR (ag.grantee_type = 'group' AND ag.grantee_id IN (SELECT r.id FROM reach r)))) AS grants",
            $columns,
            " FROM who w LEFT JOIN users u ON w.kind = 'user' AND u.id = w.id \
             LEFT JOIN user_groups g ON w.kind = 'group' AND g.id = w.id \
             JOIN tenants t ON t.id = COALESCE(u.tenant_id, g.tenant_id) \
             LEFT JOIN partners p ON p.id = t.partner_id",
            $joins
        )
    };
}
pub(in crate::storage) use holder_query;

/// An answer of [`holder_query`].
pub(in crate::storage) struct HolderRow<'a>(pub &'a MySqlRow);

impl HolderRow<'_> {
    pub fn read(self) -> Result<Holder> {
        let Self(row) = self;
        let is_user = row.try_get::<Option<Uuid>, _>("u_id")?.is_some();
        let kind = if is_user { HolderKind::User(user_row(row)?) } else { HolderKind::Group(group_row(row)?) };
        let groups: Vec<HexId> = aggregated(row, "reached")?;
        let assignments: Vec<AssignmentJson> = aggregated(row, "assignments")?;
        let grants: Vec<AssignmentJson> = aggregated(row, "grants")?;
        Ok(Holder {
            kind,
            home: tenant_row(row)?,
            groups: groups.into_iter().map(|HexId(id)| GroupId(id)).collect(),
            assignments: assignments.into_iter().chain(grants).map(AssignmentJson::stored).collect::<Result<_>>()?,
        })
    }
}

/// An assignment or a grant as the query writes it.
#[derive(Deserialize)]
struct AssignmentJson {
    tenant: HexId,
    role: String,
    scope: String,
    scope_id: Option<HexId>,
    role_id: Option<HexId>,
    role_name: Option<String>,
    permissions: Option<String>,
    zone: Option<HexId>,
    record_name: Option<String>,
    record_type: Option<String>,
    pattern: Option<String>,
    types: Option<String>,
    /// Microseconds since 1970.
    expires: Option<i64>,
}

impl AssignmentJson {
    fn stored(self) -> Result<StoredAssignment> {
        let list = |text: String| {
            serde_json::from_str::<Vec<String>>(&text)
                .map_err(|error| StorageError::Corrupt(format!("a list of a role or grant does not read: {error}")))
        };
        let custom = match (self.role_id, self.role_name, self.permissions) {
            (Some(HexId(id)), Some(name), Some(text)) => {
                Some(StoredRole { id: RoleId(id), name, permissions: list(text)? })
            }
            _ => None,
        };
        let record = match (self.zone, self.record_name, self.record_type) {
            (Some(HexId(zone)), Some(name), Some(record_type)) => {
                Some(StoredRecord { zone: ZoneId(zone), name, record_type })
            }
            _ => None,
        };
        let at = |micros: i64| OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(micros);
        Ok(StoredAssignment {
            tenant: TenantId(self.tenant.0),
            role: self.role,
            custom,
            scope: self.scope,
            scope_id: self.scope_id.map(|HexId(id)| id),
            record,
            pattern: self.pattern,
            types: self.types.map(list).transpose()?,
            expires_at: self.expires.map(at),
        })
    }
}

/// An id as `HEX()` writes it.
struct HexId(Uuid);

impl<'de> Deserialize<'de> for HexId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Uuid::try_parse(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Reads `JSON_ARRAYAGG`: NULL where there was nothing to aggregate.
fn aggregated<T: for<'de> Deserialize<'de>>(row: &MySqlRow, column: &str) -> Result<Vec<T>> {
    let Some(text) = row.try_get_unchecked::<Option<String>, _>(column)? else { return Ok(Vec::new()) };
    serde_json::from_str(&text)
        .map_err(|error| StorageError::Corrupt(format!("column {column} does not read: {error}")))
}
