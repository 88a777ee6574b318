//! The mirror of ScaiKey: partners, tenants, users, groups and their members; and the roles that users and groups hold
//! here. What a caller needs is one look; what ScaiKey states goes in row by row, under the lock of the row.

mod holder;
pub mod lists;
mod members;
mod mirror;
pub mod stale;

use sqlx::Row;
use sqlx::mysql::MySqlRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ids::{GroupId, PartnerId, TenantId, UserId};
use crate::tenancy::{AdminRole, Standing};

use super::{Db, Result};

pub use holder::{
    Holder, HolderKind, StoredAssignment, StoredRecord, StoredRole, group, user, user_by_scaikey_id, users_by_email,
};
pub(super) use holder::{HolderRow, holder_query};
pub use members::{
    MemberKind, Membership, PairStamp, add_members, empty_group, members_of, pair_for_update, pairs_since,
    remove_members, stamp_lists, stamp_pair,
};
pub use mirror::{
    Was, Write, group_ids, groups_for_update, insert_user_if_absent, partner_ids, partners_for_update, register_tenant,
    set_tenant_settings, state_admin_role, tenant_ids, tenants_for_update, upsert_groups, upsert_partners,
    upsert_tenants, upsert_users, user_for_update, user_ids, users_for_update,
};

/// An id as a request names it: ours, or ScaiKey's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference<T> {
    Ours(T),
    ScaiKey(String),
}

impl<T: std::str::FromStr> Reference<T> {
    /// None: no id of either form, so there is nothing that it could name.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(id) = text.parse() {
            return Some(Self::Ours(id));
        }
        let is_id = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        is_id.then(|| Self::ScaiKey(text.to_owned()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnerRow {
    pub id: PartnerId,
    pub scaikey_id: String,
    pub name: String,
    pub slug: String,
    pub status: Standing,
    pub stated_at: OffsetDateTime,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRow {
    pub id: TenantId,
    pub scaikey_id: String,
    pub partner: Option<PartnerId>,
    pub name: String,
    pub slug: String,
    pub status: Standing,
    /// Of its partner; None where it has none.
    pub partner_status: Option<Standing>,
    /// JSON; quotas among others.
    pub settings: String,
    pub stated_at: OffsetDateTime,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    pub id: UserId,
    pub scaikey_id: String,
    pub tenant: TenantId,
    pub email: String,
    pub name: String,
    pub status: Standing,
    pub admin_role: AdminRole,
    pub stated_at: OffsetDateTime,
    pub admin_role_stated_at: OffsetDateTime,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    pub id: GroupId,
    pub scaikey_id: String,
    pub tenant: TenantId,
    pub name: String,
    pub description: String,
    pub group_type: String,
    pub status: Standing,
    pub stated_at: OffsetDateTime,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

macro_rules! tenant_query {
    ($condition:literal) => {
        concat!(
            "SELECT t.id AS t_id, t.scaikey_id AS t_scaikey_id, t.partner_id AS t_partner_id, t.name AS t_name, \
             t.slug AS t_slug, t.status AS t_status, t.settings AS t_settings, t.stated_at AS t_stated_at, \
             t.created_at AS t_created_at, t.updated_at AS t_updated_at, p.status AS p_status \
             FROM tenants t LEFT JOIN partners p ON p.id = t.partner_id WHERE ",
            $condition
        )
    };
}

/// The tenant of this id, whatever its standing. Not a tenant's data: which tenants a caller may act in is decided
/// with what this tells.
pub async fn tenant(db: &Db, reference: &Reference<TenantId>) -> Result<Option<TenantRow>> {
    let row = match reference {
        Reference::Ours(id) => sqlx::query(TENANT_BY_ID).bind(id.0).fetch_optional(db.pool()).await?,
        Reference::ScaiKey(id) => sqlx::query(TENANT_BY_SCAIKEY_ID).bind(id).fetch_optional(db.pool()).await?,
    };
    Ok(row.map(|row| tenant_row(&row)).transpose()?)
}

/// The partner of this id, whatever its standing.
pub async fn partner(db: &Db, id: PartnerId) -> Result<Option<PartnerRow>> {
    const QUERY: &str = "SELECT id, scaikey_id, name, slug, status, stated_at, created_at, updated_at FROM partners \
                         WHERE id = ?";
    let row = sqlx::query(QUERY).bind(id.0).fetch_optional(db.pool()).await?;
    let read = |row: MySqlRow| -> sqlx::Result<PartnerRow> {
        Ok(PartnerRow {
            id: PartnerId(row.try_get("id")?),
            scaikey_id: row.try_get("scaikey_id")?,
            name: row.try_get("name")?,
            slug: row.try_get("slug")?,
            status: standing(&row, "status")?,
            stated_at: row.try_get("stated_at")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    };
    Ok(row.map(read).transpose()?)
}

/// The active tenants of a partner, or all, by name: for callers who may act in each of them.
pub async fn active_tenants(db: &Db, partner: Option<PartnerId>, limit: u32) -> Result<Vec<TenantRow>> {
    const ALL: &str = tenant_query!("t.status = 'active' ORDER BY t.name, t.id LIMIT ?");
    const OF_PARTNER: &str = tenant_query!("t.status = 'active' AND t.partner_id = ? ORDER BY t.name, t.id LIMIT ?");
    let query = match partner {
        None => sqlx::query(ALL).bind(limit),
        Some(partner) => sqlx::query(OF_PARTNER).bind(partner.0).bind(limit),
    };
    let rows = query.fetch_all(db.pool()).await?;
    Ok(rows.iter().map(tenant_row).collect::<sqlx::Result<_>>()?)
}

const TENANT_BY_ID: &str = tenant_query!("t.id = ?");
const TENANT_BY_SCAIKEY_ID: &str = tenant_query!("t.scaikey_id = ?");

/// Reads the columns `t_…` and `p_status`.
pub(super) fn tenant_row(row: &MySqlRow) -> sqlx::Result<TenantRow> {
    Ok(TenantRow {
        id: TenantId(row.try_get("t_id")?),
        scaikey_id: row.try_get("t_scaikey_id")?,
        partner: row.try_get::<Option<Uuid>, _>("t_partner_id")?.map(PartnerId),
        name: row.try_get("t_name")?,
        slug: row.try_get("t_slug")?,
        status: standing(row, "t_status")?,
        partner_status: row.try_get::<Option<String>, _>("p_status")?.map(|text| Standing::parse(&text)),
        settings: row.try_get("t_settings")?,
        stated_at: row.try_get("t_stated_at")?,
        created_at: row.try_get("t_created_at")?,
        updated_at: row.try_get("t_updated_at")?,
    })
}

/// Reads the columns `p_…`.
fn partner_row(row: &MySqlRow) -> sqlx::Result<PartnerRow> {
    Ok(PartnerRow {
        id: PartnerId(row.try_get("p_id")?),
        scaikey_id: row.try_get("p_scaikey_id")?,
        name: row.try_get("p_name")?,
        slug: row.try_get("p_slug")?,
        status: standing(row, "p_status")?,
        stated_at: row.try_get("p_stated_at")?,
        created_at: row.try_get("p_created_at")?,
        updated_at: row.try_get("p_updated_at")?,
    })
}

/// Reads the columns `u_…`.
fn user_row(row: &MySqlRow) -> sqlx::Result<UserRow> {
    let role: String = row.try_get("u_admin_role")?;
    Ok(UserRow {
        id: UserId(row.try_get("u_id")?),
        scaikey_id: row.try_get("u_scaikey_id")?,
        tenant: TenantId(row.try_get("u_tenant_id")?),
        email: row.try_get("u_email")?,
        name: row.try_get("u_name")?,
        status: standing(row, "u_status")?,
        admin_role: AdminRole::strongest([role.as_str()]),
        stated_at: row.try_get("u_stated_at")?,
        admin_role_stated_at: row.try_get("u_admin_role_stated_at")?,
        created_at: row.try_get("u_created_at")?,
        updated_at: row.try_get("u_updated_at")?,
    })
}

/// Reads the columns `g_…`.
fn group_row(row: &MySqlRow) -> sqlx::Result<GroupRow> {
    Ok(GroupRow {
        id: GroupId(row.try_get("g_id")?),
        scaikey_id: row.try_get("g_scaikey_id")?,
        tenant: TenantId(row.try_get("g_tenant_id")?),
        name: row.try_get("g_name")?,
        description: row.try_get("g_description")?,
        group_type: row.try_get("g_group_type")?,
        status: standing(row, "g_status")?,
        stated_at: row.try_get("g_stated_at")?,
        created_at: row.try_get("g_created_at")?,
        updated_at: row.try_get("g_updated_at")?,
    })
}

fn standing(row: &MySqlRow, column: &str) -> sqlx::Result<Standing> {
    Ok(Standing::parse(&row.try_get::<String, _>(column)?))
}
