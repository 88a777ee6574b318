//! Access grants: a role in one zone, or over some of its records, that a user or group is given for a while or for good.

use sqlx::mysql::MySqlRow;
use sqlx::types::Json;
use sqlx::{MySql, QueryBuilder, Row, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::authz::ZoneAccess;
use crate::ids::{AccessGrantId, RoleId, TenantId, ZoneId};

use super::revocations::{Revocation, RightsTx};
use super::roles::Assignee;
use super::{Db, Result};

type Tx<'a> = Transaction<'a, MySql>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRow {
    pub id: AccessGrantId,
    /// The zone's, and the grantee's.
    pub tenant: TenantId,
    pub zone: ZoneId,
    pub grantee: Assignee,
    pub grantee_scaikey_id: String,
    /// A system role's name where there is no `custom`.
    pub role: String,
    pub custom: Option<RoleId>,
    pub record_pattern: Option<String>,
    pub record_types: Option<Vec<String>>,
    pub expires_at: Option<OffsetDateTime>,
    pub notes: Option<String>,
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

macro_rules! grants_query {
    () => {
        "SELECT ag.id, ag.tenant_id, ag.zone_id, ag.grantee_type, ag.grantee_id, COALESCE(ro.name, ag.role) AS role, \
         ag.role_id, ag.record_pattern, ag.record_types, ag.expires_at, ag.notes, ag.created_by, ag.created_at, \
         ag.updated_at, COALESCE(u.scaikey_id, g.scaikey_id) AS scaikey_id FROM access_grants ag \
         LEFT JOIN users u ON ag.grantee_type = 'user' AND u.id = ag.grantee_id \
         LEFT JOIN user_groups g ON ag.grantee_type = 'group' AND g.id = ag.grantee_id \
         LEFT JOIN roles ro ON ro.id = ag.role_id WHERE ag.zone_id = "
    };
}

/// Those of a zone, the oldest first, `limit` of them; and the number of all.
pub async fn list(
    db: &Db,
    access: &ZoneAccess,
    lasting_at: Option<OffsetDateTime>,
    after: Option<AccessGrantId>,
    (offset, limit): (u64, u32),
) -> Result<(Vec<GrantRow>, u64)> {
    let zone = access.zone().id.0;
    let lasting = |query: &mut QueryBuilder<MySql>| {
        if let Some(at) = lasting_at {
            query.push(" AND (ag.expires_at IS NULL OR ag.expires_at > ").push_bind(super::datetime(at)).push(")");
        }
    };
    let mut count = QueryBuilder::<MySql>::new("SELECT COUNT(*) FROM access_grants ag WHERE ag.zone_id = ");
    count.push_bind(zone);
    lasting(&mut count);
    let total: i64 = count.build_query_scalar().fetch_one(db.pool()).await?;
    let mut query = QueryBuilder::<MySql>::new(grants_query!());
    query.push_bind(zone);
    lasting(&mut query);
    if let Some(after) = after {
        query.push(" AND ag.id > ").push_bind(after.0);
    }
    query.push(" ORDER BY ag.id LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(offset);
    let rows = query.build().fetch_all(db.pool()).await?;
    Ok((rows.iter().map(grant_row).collect::<Result<_>>()?, u64::try_from(total).unwrap_or_default()))
}

pub async fn find(db: &Db, access: &ZoneAccess, id: AccessGrantId) -> Result<Option<GrantRow>> {
    const QUERY: &str = concat!(grants_query!(), "? AND ag.id = ?");
    let row = sqlx::query(QUERY).bind(access.zone().id.0).bind(id.0).fetch_optional(db.pool()).await?;
    row.as_ref().map(grant_row).transpose()
}

/// [`find`], under the lock of the zone's row.
pub async fn find_again(tx: &mut Tx<'_>, access: &ZoneAccess, id: AccessGrantId) -> Result<Option<GrantRow>> {
    const QUERY: &str = concat!(grants_query!(), "? AND ag.id = ?");
    let row = sqlx::query(QUERY).bind(access.zone().id.0).bind(id.0).fetch_optional(&mut **tx).await?;
    row.as_ref().map(grant_row).transpose()
}

/// How many grants a zone has, and how many in all this grantee has; under the lock of the zone's row.
pub async fn count(tx: &mut Tx<'_>, access: &ZoneAccess, grantee: Assignee) -> Result<(u64, u64)> {
    const OF_ZONE: &str = "SELECT COUNT(*) FROM access_grants WHERE zone_id = ?";
    const OF_GRANTEE: &str = "SELECT COUNT(*) FROM access_grants WHERE grantee_type = ? AND grantee_id = ?";
    let (kind, id) = grantee.columns();
    let of_zone: i64 = sqlx::query_scalar(OF_ZONE).bind(access.zone().id.0).fetch_one(&mut **tx).await?;
    let of_grantee: i64 = sqlx::query_scalar(OF_GRANTEE).bind(kind).bind(id).fetch_one(&mut **tx).await?;
    Ok((u64::try_from(of_zone).unwrap_or_default(), u64::try_from(of_grantee).unwrap_or_default()))
}

pub async fn insert(tx: &mut RightsTx, row: &GrantRow) -> Result<()> {
    const QUERY: &str = "INSERT INTO access_grants (id, tenant_id, zone_id, grantee_type, grantee_id, role, role_id, \
                         record_pattern, record_types, expires_at, notes, created_by, created_at, updated_at) \
                         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let GrantRow {
        id,
        tenant,
        zone,
        grantee,
        grantee_scaikey_id: _,
        role,
        custom,
        record_pattern,
        record_types,
        expires_at,
        notes,
        created_by,
        created_at,
        updated_at,
    } = row;
    let (kind, grantee) = grantee.columns();
    let (role, role_id) = role_columns(role, *custom);
    let query = sqlx::query(QUERY).bind(id.0).bind(tenant.0).bind(zone.0).bind(kind).bind(grantee).bind(role);
    let query = query.bind(role_id).bind(record_pattern).bind(record_types.as_ref().map(Json));
    let query = query.bind(expires_at.map(super::datetime)).bind(notes).bind(created_by);
    query.bind(super::datetime(*created_at)).bind(super::datetime(*updated_at)).execute(&mut ***tx).await?;
    tx.revoke(Revocation::Tenant(*tenant));
    Ok(())
}

/// Writes what may change of a grant.
pub async fn update(tx: &mut RightsTx, row: &GrantRow) -> Result<()> {
    const QUERY: &str = "UPDATE access_grants SET role = ?, role_id = ?, record_pattern = ?, record_types = ?, \
                         expires_at = ?, notes = ?, updated_at = ? WHERE id = ?";
    let (role, role_id) = role_columns(&row.role, row.custom);
    let query = sqlx::query(QUERY).bind(role).bind(role_id).bind(&row.record_pattern);
    let query = query.bind(row.record_types.as_ref().map(Json)).bind(row.expires_at.map(super::datetime));
    query.bind(&row.notes).bind(super::datetime(row.updated_at)).bind(row.id.0).execute(&mut ***tx).await?;
    tx.revoke(Revocation::Tenant(row.tenant));
    Ok(())
}

pub async fn delete(tx: &mut RightsTx, row: &GrantRow) -> Result<()> {
    sqlx::query("DELETE FROM access_grants WHERE id = ?").bind(row.id.0).execute(&mut ***tx).await?;
    tx.revoke(Revocation::Tenant(row.tenant));
    Ok(())
}

fn role_columns(role: &str, custom: Option<RoleId>) -> (&str, Option<Uuid>) {
    match custom {
        Some(id) => ("custom", Some(id.0)),
        None => (role, None),
    }
}

fn grant_row(row: &MySqlRow) -> Result<GrantRow> {
    let types: Option<Json<Vec<String>>> = row.try_get_unchecked("record_types")?;
    Ok(GrantRow {
        id: AccessGrantId(row.try_get("id")?),
        tenant: TenantId(row.try_get("tenant_id")?),
        zone: ZoneId(row.try_get("zone_id")?),
        grantee: Assignee::read(&row.try_get::<String, _>("grantee_type")?, row.try_get("grantee_id")?)?,
        grantee_scaikey_id: row.try_get::<Option<String>, _>("scaikey_id")?.unwrap_or_default(),
        role: row.try_get("role")?,
        custom: row.try_get::<Option<Uuid>, _>("role_id")?.map(RoleId),
        record_pattern: row.try_get("record_pattern")?,
        record_types: types.map(|Json(types)| types),
        expires_at: row.try_get("expires_at")?,
        notes: row.try_get("notes")?,
        created_by: row.try_get("created_by")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
