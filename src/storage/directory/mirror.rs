//! What ScaiKey states, into the mirror. Each row is read under its lock, decided upon by the service, and written
//! whole; rows that do not exist yet are settled by their unique `scaikey_id`. Whose rights a row changes follows from
//! what it was before ([`Was`]), and is revoked with it.

use std::collections::HashMap;

use sqlx::mysql::MySqlRow;
use sqlx::{MySql, Row, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ids::{GroupId, PartnerId, TenantId, UserId};
use crate::tenancy::AdminRole;

use super::super::revocations::{Revocation, RightsTx};
use super::super::{Db, Result};
use super::{GroupRow, PartnerRow, TenantRow, UserRow, group_row, standing, tenant_row, user_row};

type Tx<'a> = Transaction<'a, MySql>;

/// What a row was before it is written.
#[derive(Clone, Copy, Debug)]
pub enum Was<'a, T> {
    /// Not there: nobody remembers anything of it.
    Absent,
    /// The same but for its stamps.
    Same,
    Other(&'a T),
}

impl<T> Was<'_, T> {
    /// Revokes what a row that is now written concerns, `of` being what one state of it does.
    fn revoke(self, tx: &mut RightsTx, after: &T, rows_affected: u64, of: impl Fn(&T) -> Revocation) {
        match self {
            // 1: inserted; else somebody was quicker, and it is unknown what stood there
            Self::Absent if rows_affected == 1 => {}
            Self::Absent => tx.revoke(Revocation::All),
            Self::Same => {}
            Self::Other(before) => {
                tx.revoke(of(before));
                tx.revoke(of(after));
            }
        }
    }
}

/// Our ids by ScaiKey's: all partners.
pub async fn partner_ids(db: &Db) -> Result<HashMap<String, PartnerId>> {
    ids(sqlx::query("SELECT scaikey_id, id FROM partners").fetch_all(db.pool()).await?, PartnerId)
}

/// Our ids by ScaiKey's: all tenants.
pub async fn tenant_ids(db: &Db) -> Result<HashMap<String, TenantId>> {
    ids(sqlx::query("SELECT scaikey_id, id FROM tenants").fetch_all(db.pool()).await?, TenantId)
}

/// Our ids by ScaiKey's: all users, for the memberships of a full sync.
pub async fn user_ids(db: &Db) -> Result<HashMap<String, UserId>> {
    ids(sqlx::query("SELECT scaikey_id, id FROM users").fetch_all(db.pool()).await?, UserId)
}

/// Our ids by ScaiKey's: all groups.
pub async fn group_ids(db: &Db) -> Result<HashMap<String, GroupId>> {
    ids(sqlx::query("SELECT scaikey_id, id FROM user_groups").fetch_all(db.pool()).await?, GroupId)
}

pub async fn partner_for_update(tx: &mut Tx<'_>, scaikey_id: &str) -> Result<Option<PartnerRow>> {
    const QUERY: &str = "SELECT id, scaikey_id, name, slug, status, stated_at, created_at, updated_at FROM partners \
                         WHERE scaikey_id = ? FOR UPDATE";
    let row = sqlx::query(QUERY).bind(scaikey_id).fetch_optional(&mut **tx).await?;
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

pub async fn tenant_for_update(tx: &mut Tx<'_>, scaikey_id: &str) -> Result<Option<TenantRow>> {
    const QUERY: &str = "SELECT t.id AS t_id, t.scaikey_id AS t_scaikey_id, t.partner_id AS t_partner_id, \
                         t.name AS t_name, t.slug AS t_slug, t.status AS t_status, t.settings AS t_settings, \
                         t.stated_at AS t_stated_at, t.created_at AS t_created_at, t.updated_at AS t_updated_at, \
                         NULL AS p_status FROM tenants t WHERE t.scaikey_id = ? FOR UPDATE";
    let row = sqlx::query(QUERY).bind(scaikey_id).fetch_optional(&mut **tx).await?;
    Ok(row.map(|row| tenant_row(&row)).transpose()?)
}

pub async fn user_for_update(tx: &mut Tx<'_>, scaikey_id: &str) -> Result<Option<UserRow>> {
    const QUERY: &str = "SELECT u.id AS u_id, u.scaikey_id AS u_scaikey_id, u.tenant_id AS u_tenant_id, \
                         u.email AS u_email, u.name AS u_name, u.status AS u_status, u.admin_role AS u_admin_role, \
                         u.stated_at AS u_stated_at, u.admin_role_stated_at AS u_admin_role_stated_at, \
                         u.created_at AS u_created_at, u.updated_at AS u_updated_at \
                         FROM users u WHERE u.scaikey_id = ? FOR UPDATE";
    let row = sqlx::query(QUERY).bind(scaikey_id).fetch_optional(&mut **tx).await?;
    Ok(row.map(|row| user_row(&row)).transpose()?)
}

pub async fn group_for_update(tx: &mut Tx<'_>, scaikey_id: &str) -> Result<Option<GroupRow>> {
    const QUERY: &str = "SELECT g.id AS g_id, g.scaikey_id AS g_scaikey_id, g.tenant_id AS g_tenant_id, \
                         g.name AS g_name, g.description AS g_description, g.group_type AS g_group_type, \
                         g.status AS g_status, g.stated_at AS g_stated_at, g.created_at AS g_created_at, \
                         g.updated_at AS g_updated_at FROM user_groups g WHERE g.scaikey_id = ? FOR UPDATE";
    let row = sqlx::query(QUERY).bind(scaikey_id).fetch_optional(&mut **tx).await?;
    Ok(row.map(|row| group_row(&row)).transpose()?)
}

/// Concerns everything: a partner has any number of tenants, and changes hardly ever.
pub async fn upsert_partner(tx: &mut RightsTx, was: Was<'_, PartnerRow>, row: &PartnerRow) -> Result<()> {
    const QUERY: &str = "INSERT INTO partners (id, scaikey_id, name, slug, status, stated_at, created_at, updated_at) \
                         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE name = VALUES(name), \
                         slug = VALUES(slug), status = VALUES(status), stated_at = VALUES(stated_at), \
                         updated_at = VALUES(updated_at)";
    let PartnerRow { id, scaikey_id, name, slug, status, stated_at, created_at, updated_at } = row;
    let query = sqlx::query(QUERY).bind(id.0).bind(scaikey_id).bind(name).bind(slug).bind(status.as_str());
    let query = query
        .bind(crate::storage::datetime(*stated_at))
        .bind(crate::storage::datetime(*created_at))
        .bind(crate::storage::datetime(*updated_at));
    let done = query.execute(&mut ***tx).await?;
    was.revoke(tx, row, done.rows_affected(), |_| Revocation::All);
    Ok(())
}

/// Writes all but `settings` of a tenant that exists: they are ours, not ScaiKey's.
pub async fn upsert_tenant(tx: &mut RightsTx, was: Was<'_, TenantRow>, row: &TenantRow) -> Result<()> {
    const QUERY: &str = "INSERT INTO tenants (id, scaikey_id, partner_id, name, slug, status, settings, stated_at, \
                         created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE \
                         partner_id = VALUES(partner_id), name = VALUES(name), slug = VALUES(slug), \
                         status = VALUES(status), stated_at = VALUES(stated_at), updated_at = VALUES(updated_at)";
    let TenantRow {
        id,
        scaikey_id,
        partner,
        name,
        slug,
        status,
        partner_status: _,
        settings,
        stated_at,
        created_at,
        updated_at,
    } = row;
    let query = sqlx::query(QUERY).bind(id.0).bind(scaikey_id).bind(partner.map(|id| id.0)).bind(name).bind(slug);
    let query = query
        .bind(status.as_str())
        .bind(settings)
        .bind(crate::storage::datetime(*stated_at))
        .bind(crate::storage::datetime(*created_at))
        .bind(crate::storage::datetime(*updated_at));
    let done = query.execute(&mut ***tx).await?;
    was.revoke(tx, row, done.rows_affected(), |tenant| Revocation::Tenant(tenant.id));
    Ok(())
}

pub async fn upsert_user(tx: &mut RightsTx, was: Was<'_, UserRow>, row: &UserRow) -> Result<()> {
    const QUERY: &str = "INSERT INTO users (id, scaikey_id, tenant_id, email, name, status, admin_role, stated_at, \
                         admin_role_stated_at, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
                         ON DUPLICATE KEY UPDATE tenant_id = VALUES(tenant_id), email = VALUES(email), \
                         name = VALUES(name), status = VALUES(status), admin_role = VALUES(admin_role), \
                         stated_at = VALUES(stated_at), admin_role_stated_at = VALUES(admin_role_stated_at), \
                         updated_at = VALUES(updated_at)";
    let done = bind_user(sqlx::query(QUERY), row).execute(&mut ***tx).await?;
    was.revoke(tx, row, done.rows_affected(), |user| Revocation::Tenant(user.tenant));
    Ok(())
}

/// The row of a first login. False: somebody was quicker, and what stands there stays. Nobody remembers anything of a
/// user that was not there.
pub async fn insert_user_if_absent(tx: &mut Tx<'_>, row: &UserRow) -> Result<bool> {
    const QUERY: &str = "INSERT INTO users (id, scaikey_id, tenant_id, email, name, status, admin_role, stated_at, \
                         admin_role_stated_at, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    match bind_user(sqlx::query(QUERY), row).execute(&mut **tx).await.map_err(super::super::StorageError::from) {
        Ok(_) => Ok(true),
        Err(error) if error.is_duplicate_of("users_scaikey_id") => Ok(false),
        Err(error) => Err(error),
    }
}

/// A user's admin role, and when it was stated.
pub async fn state_admin_role(
    tx: &mut RightsTx,
    before: &UserRow,
    role: AdminRole,
    stated_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<()> {
    const QUERY: &str = "UPDATE users SET admin_role = ?, admin_role_stated_at = ?, updated_at = ? WHERE id = ?";
    sqlx::query(QUERY)
        .bind(role.as_str())
        .bind(crate::storage::datetime(stated_at))
        .bind(crate::storage::datetime(now))
        .bind(before.id.0)
        .execute(&mut ***tx)
        .await?;
    if before.admin_role != role {
        tx.revoke(Revocation::Tenant(before.tenant));
    }
    Ok(())
}

pub async fn upsert_group(tx: &mut RightsTx, was: Was<'_, GroupRow>, row: &GroupRow) -> Result<()> {
    const QUERY: &str = "INSERT INTO user_groups (id, scaikey_id, tenant_id, name, description, group_type, status, \
                         stated_at, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
                         ON DUPLICATE KEY UPDATE tenant_id = VALUES(tenant_id), name = VALUES(name), \
                         description = VALUES(description), group_type = VALUES(group_type), \
                         status = VALUES(status), stated_at = VALUES(stated_at), updated_at = VALUES(updated_at)";
    let GroupRow { id, scaikey_id, tenant, name, description, group_type, status, stated_at, created_at, updated_at } =
        row;
    let query = sqlx::query(QUERY).bind(id.0).bind(scaikey_id).bind(tenant.0).bind(name).bind(description);
    let query = query
        .bind(group_type)
        .bind(status.as_str())
        .bind(crate::storage::datetime(*stated_at))
        .bind(crate::storage::datetime(*created_at))
        .bind(crate::storage::datetime(*updated_at));
    let done = query.execute(&mut ***tx).await?;
    was.revoke(tx, row, done.rows_affected(), |group| Revocation::Tenant(group.tenant));
    Ok(())
}

/// Adds a member (`user` or `group`). False: it was one already. It concerns the group's tenant alone: to members that
/// belong to another one the group gives nothing.
pub async fn add_member(tx: &mut RightsTx, group: &GroupRow, member_type: &str, member: Uuid) -> Result<bool> {
    const QUERY: &str = "INSERT IGNORE INTO group_members (group_id, member_type, member_id) VALUES (?, ?, ?)";
    let done = sqlx::query(QUERY).bind(group.id.0).bind(member_type).bind(member).execute(&mut ***tx).await?;
    let is_new = done.rows_affected() > 0;
    if is_new {
        tx.revoke(Revocation::Tenant(group.tenant));
    }
    Ok(is_new)
}

fn ids<T>(rows: Vec<MySqlRow>, id: impl Fn(Uuid) -> T) -> Result<HashMap<String, T>> {
    let pair = |row: MySqlRow| Ok((row.try_get("scaikey_id")?, id(row.try_get("id")?)));
    Ok(rows.into_iter().map(pair).collect::<sqlx::Result<_>>()?)
}

type MySqlQuery<'q> = sqlx::query::Query<'q, MySql, sqlx::mysql::MySqlArguments>;

fn bind_user<'q>(query: MySqlQuery<'q>, row: &'q UserRow) -> MySqlQuery<'q> {
    let UserRow {
        id,
        scaikey_id,
        tenant,
        email,
        name,
        status,
        admin_role,
        stated_at,
        admin_role_stated_at,
        created_at,
        updated_at,
    } = row;
    let query = query.bind(id.0).bind(scaikey_id).bind(tenant.0).bind(email).bind(name).bind(status.as_str());
    query
        .bind(admin_role.as_str())
        .bind(crate::storage::datetime(*stated_at))
        .bind(crate::storage::datetime(*admin_role_stated_at))
        .bind(crate::storage::datetime(*created_at))
        .bind(crate::storage::datetime(*updated_at))
}
