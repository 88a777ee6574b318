//! What ScaiKey states, into the mirror. Rows are read under their locks, decided upon by the service, and written
//! whole, many at a time; one that does not exist yet is settled by its unique `scaikey_id`. Whose rights a row changes
//! follows from what it was before ([`Was`]), and is revoked with it.

use std::collections::HashMap;

use sqlx::mysql::MySqlRow;
use sqlx::query_builder::Separated;
use sqlx::{MySql, QueryBuilder, Row, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ids::{GroupId, PartnerId, TenantId, UserId};
use crate::tenancy::AdminRole;

use super::super::revocations::{Revocation, RightsTx};
use super::super::{Db, Result, datetime};
use super::{GroupRow, PartnerRow, TenantRow, UserRow, group_row, partner_row, tenant_row, user_row};

type Tx<'a> = Transaction<'a, MySql>;

/// What a row was before it is written.
#[derive(Clone, Copy, Debug)]
pub enum Was<'a, T> {
    /// Not there: nobody remembers anything of it. If somebody else has been quicker, nothing is written and the error
    /// is [`super::super::StorageError::Duplicate`].
    Absent,
    /// The same but for its stamps.
    Same,
    Other(&'a T),
}

impl<T> Was<'_, T> {
    /// Revokes what a row that is now written concerns, `of` being what one state of it does.
    fn revoke(&self, tx: &mut RightsTx, after: &T, of: impl Fn(&T) -> Revocation) {
        match self {
            Self::Absent | Self::Same => {}
            Self::Other(before) => {
                tx.revoke(of(before));
                tx.revoke(of(after));
            }
        }
    }

    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// A row and what it was.
pub type Write<'a, T> = (Was<'a, T>, &'a T);

macro_rules! ids_query {
    ($table:literal) => {
        concat!("SELECT scaikey_id, id FROM ", $table, " WHERE scaikey_id IN (")
    };
}

/// Our ids by ScaiKey's, of those named.
pub async fn partner_ids(db: &Db, named: &[&str]) -> Result<HashMap<String, PartnerId>> {
    ids(db, ids_query!("partners"), named, PartnerId).await
}

/// Our ids by ScaiKey's, of those named.
pub async fn tenant_ids(db: &Db, named: &[&str]) -> Result<HashMap<String, TenantId>> {
    ids(db, ids_query!("tenants"), named, TenantId).await
}

/// Our ids by ScaiKey's, of those named.
pub async fn user_ids(db: &Db, named: &[&str]) -> Result<HashMap<String, UserId>> {
    ids(db, ids_query!("users"), named, UserId).await
}

/// Our ids by ScaiKey's, of those named.
pub async fn group_ids(db: &Db, named: &[&str]) -> Result<HashMap<String, GroupId>> {
    ids(db, ids_query!("user_groups"), named, GroupId).await
}

async fn ids<T>(db: &Db, query: &'static str, named: &[&str], id: fn(Uuid) -> T) -> Result<HashMap<String, T>> {
    if named.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = select(query, named, ")").build().fetch_all(db.pool()).await?;
    let pair = |row: MySqlRow| Ok((row.try_get("scaikey_id")?, id(row.try_get("id")?)));
    Ok(rows.into_iter().map(pair).collect::<sqlx::Result<_>>()?)
}

/// The rows of these ids of ScaiKey, locked in one order.
pub async fn partners_for_update(tx: &mut Tx<'_>, named: &[&str]) -> Result<HashMap<String, PartnerRow>> {
    const QUERY: &str = "SELECT p.id AS p_id, p.scaikey_id AS p_scaikey_id, p.name AS p_name, p.slug AS p_slug, \
                         p.status AS p_status, p.stated_at AS p_stated_at, p.created_at AS p_created_at, \
                         p.updated_at AS p_updated_at FROM partners p WHERE p.scaikey_id IN (";
    locked(tx, QUERY, ") ORDER BY p.scaikey_id FOR UPDATE", named, partner_row, |row| &row.scaikey_id).await
}

/// The rows of these ids of ScaiKey, locked in one order; without the standing of their partners.
pub async fn tenants_for_update(tx: &mut Tx<'_>, named: &[&str]) -> Result<HashMap<String, TenantRow>> {
    const QUERY: &str = "SELECT t.id AS t_id, t.scaikey_id AS t_scaikey_id, t.partner_id AS t_partner_id, \
                         t.name AS t_name, t.slug AS t_slug, t.status AS t_status, t.settings AS t_settings, \
                         t.stated_at AS t_stated_at, t.created_at AS t_created_at, t.updated_at AS t_updated_at, \
                         NULL AS p_status FROM tenants t WHERE t.scaikey_id IN (";
    locked(tx, QUERY, ") ORDER BY t.scaikey_id FOR UPDATE", named, tenant_row, |row| &row.scaikey_id).await
}

/// The rows of these ids of ScaiKey, locked in one order.
pub async fn users_for_update(tx: &mut Tx<'_>, named: &[&str]) -> Result<HashMap<String, UserRow>> {
    const QUERY: &str = "SELECT u.id AS u_id, u.scaikey_id AS u_scaikey_id, u.tenant_id AS u_tenant_id, \
                         u.email AS u_email, u.name AS u_name, u.status AS u_status, u.admin_role AS u_admin_role, \
                         u.stated_at AS u_stated_at, u.admin_role_stated_at AS u_admin_role_stated_at, \
                         u.created_at AS u_created_at, u.updated_at AS u_updated_at \
                         FROM users u WHERE u.scaikey_id IN (";
    locked(tx, QUERY, ") ORDER BY u.scaikey_id FOR UPDATE", named, user_row, |row| &row.scaikey_id).await
}

/// The rows of these ids of ScaiKey, locked in one order.
pub async fn groups_for_update(tx: &mut Tx<'_>, named: &[&str]) -> Result<HashMap<String, GroupRow>> {
    const QUERY: &str = "SELECT g.id AS g_id, g.scaikey_id AS g_scaikey_id, g.tenant_id AS g_tenant_id, \
                         g.name AS g_name, g.description AS g_description, g.group_type AS g_group_type, \
                         g.status AS g_status, g.stated_at AS g_stated_at, g.created_at AS g_created_at, \
                         g.updated_at AS g_updated_at FROM user_groups g WHERE g.scaikey_id IN (";
    locked(tx, QUERY, ") ORDER BY g.scaikey_id FOR UPDATE", named, group_row, |row| &row.scaikey_id).await
}

pub async fn user_for_update(tx: &mut Tx<'_>, scaikey_id: &str) -> Result<Option<UserRow>> {
    Ok(users_for_update(tx, &[scaikey_id]).await?.remove(scaikey_id))
}

async fn locked<T>(
    tx: &mut Tx<'_>,
    query: &'static str,
    end: &'static str,
    named: &[&str],
    read: fn(&MySqlRow) -> sqlx::Result<T>,
    id_of: fn(&T) -> &String,
) -> Result<HashMap<String, T>> {
    if named.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = select(query, named, end).build().fetch_all(&mut **tx).await?;
    let rows = rows.iter().map(read).collect::<sqlx::Result<Vec<T>>>()?;
    Ok(rows.into_iter().map(|row| (id_of(&row).clone(), row)).collect())
}

/// Concerns everything: a partner has any number of tenants, and changes hardly ever.
pub async fn upsert_partners(tx: &mut RightsTx, writes: &[Write<'_, PartnerRow>]) -> Result<()> {
    const INSERT: &str =
        "INSERT INTO partners (id, scaikey_id, name, slug, status, stated_at, created_at, updated_at) ";
    const UPDATE: &str = " ON DUPLICATE KEY UPDATE name = VALUES(name), slug = VALUES(slug), \
                          status = VALUES(status), stated_at = VALUES(stated_at), updated_at = VALUES(updated_at)";
    upsert(tx, INSERT, UPDATE, writes, |mut values, row| {
        let PartnerRow { id, scaikey_id, name, slug, status, stated_at, created_at, updated_at } = row;
        values.push_bind(id.0).push_bind(scaikey_id).push_bind(name).push_bind(slug).push_bind(status.as_str());
        values.push_bind(datetime(stated_at)).push_bind(datetime(created_at)).push_bind(datetime(updated_at));
    })
    .await?;
    writes.iter().for_each(|(was, row)| was.revoke(tx, row, |_| Revocation::All));
    Ok(())
}

/// Writes all but `settings` of a tenant that exists: they are ours, not ScaiKey's.
pub async fn upsert_tenants(tx: &mut RightsTx, writes: &[Write<'_, TenantRow>]) -> Result<()> {
    const INSERT: &str = "INSERT INTO tenants (id, scaikey_id, partner_id, name, slug, status, settings, stated_at, \
                          created_at, updated_at) ";
    const UPDATE: &str = " ON DUPLICATE KEY UPDATE partner_id = VALUES(partner_id), name = VALUES(name), \
                          slug = VALUES(slug), status = VALUES(status), stated_at = VALUES(stated_at), \
                          updated_at = VALUES(updated_at)";
    upsert(tx, INSERT, UPDATE, writes, |mut values, row| {
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
        values.push_bind(id.0).push_bind(scaikey_id).push_bind(partner.map(|id| id.0)).push_bind(name).push_bind(slug);
        values.push_bind(status.as_str()).push_bind(settings).push_bind(datetime(stated_at));
        values.push_bind(datetime(created_at)).push_bind(datetime(updated_at));
    })
    .await?;
    writes.iter().for_each(|(was, row)| was.revoke(tx, row, |tenant| Revocation::Tenant(tenant.id)));
    Ok(())
}

/// Marks a tenant that was made here as one of which ScaiKey has said nothing yet.
pub async fn register_tenant(tx: &mut RightsTx, tenant: TenantId, settings: Option<&str>) -> Result<()> {
    const QUERY: &str = "UPDATE tenants SET stated_at = '1970-01-01', settings = COALESCE(?, settings) WHERE id = ?";
    sqlx::query(QUERY).bind(settings).bind(tenant.0).execute(&mut ***tx).await?;
    tx.revoke(Revocation::Tenant(tenant));
    Ok(())
}

/// What is ours of a tenant.
pub async fn set_tenant_settings(
    tx: &mut RightsTx,
    tenant: TenantId,
    settings: &str,
    now: OffsetDateTime,
) -> Result<()> {
    const QUERY: &str = "UPDATE tenants SET settings = ?, updated_at = ? WHERE id = ?";
    sqlx::query(QUERY).bind(settings).bind(datetime(now)).bind(tenant.0).execute(&mut ***tx).await?;
    tx.revoke(Revocation::Tenant(tenant));
    Ok(())
}

pub async fn upsert_users(tx: &mut RightsTx, writes: &[Write<'_, UserRow>]) -> Result<()> {
    const INSERT: &str = "INSERT INTO users (id, scaikey_id, tenant_id, email, name, status, admin_role, stated_at, \
                          admin_role_stated_at, created_at, updated_at) ";
    const UPDATE: &str = " ON DUPLICATE KEY UPDATE tenant_id = VALUES(tenant_id), email = VALUES(email), \
                          name = VALUES(name), status = VALUES(status), admin_role = VALUES(admin_role), \
                          stated_at = VALUES(stated_at), admin_role_stated_at = VALUES(admin_role_stated_at), \
                          updated_at = VALUES(updated_at)";
    upsert(tx, INSERT, UPDATE, writes, push_user).await?;
    writes.iter().for_each(|(was, row)| was.revoke(tx, row, |user| Revocation::Tenant(user.tenant)));
    Ok(())
}

/// The row of a first login. False: somebody was quicker, and what stands there stays. Nobody remembers anything of a
/// user that was not there.
pub async fn insert_user_if_absent(tx: &mut Tx<'_>, row: &UserRow) -> Result<bool> {
    let mut query = QueryBuilder::<MySql>::new(
        "INSERT INTO users (id, scaikey_id, tenant_id, email, name, status, admin_role, stated_at, \
         admin_role_stated_at, created_at, updated_at) ",
    );
    query.push_values([row], push_user);
    match query.build().execute(&mut **tx).await.map_err(super::super::StorageError::from) {
        Ok(_) => Ok(true),
        Err(error) if error.is_duplicate_of("users_scaikey_id") => Ok(false),
        Err(error) => Err(error),
    }
}

fn push_user(mut values: Separated<'_, MySql, &'static str>, row: &UserRow) {
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
    } = row.clone();
    values.push_bind(id.0).push_bind(scaikey_id).push_bind(tenant.0).push_bind(email).push_bind(name);
    values.push_bind(status.as_str()).push_bind(admin_role.as_str());
    values.push_bind(datetime(stated_at)).push_bind(datetime(admin_role_stated_at));
    values.push_bind(datetime(created_at)).push_bind(datetime(updated_at));
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
        .bind(datetime(stated_at))
        .bind(datetime(now))
        .bind(before.id.0)
        .execute(&mut ***tx)
        .await?;
    if before.admin_role != role {
        tx.revoke(Revocation::Tenant(before.tenant));
    }
    Ok(())
}

pub async fn upsert_groups(tx: &mut RightsTx, writes: &[Write<'_, GroupRow>]) -> Result<()> {
    const INSERT: &str = "INSERT INTO user_groups (id, scaikey_id, tenant_id, name, description, group_type, status, \
                          stated_at, created_at, updated_at) ";
    const UPDATE: &str = " ON DUPLICATE KEY UPDATE tenant_id = VALUES(tenant_id), name = VALUES(name), \
                          description = VALUES(description), group_type = VALUES(group_type), \
                          status = VALUES(status), stated_at = VALUES(stated_at), updated_at = VALUES(updated_at)";
    upsert(tx, INSERT, UPDATE, writes, |mut values, row| {
        let GroupRow {
            id,
            scaikey_id,
            tenant,
            name,
            description,
            group_type,
            status,
            stated_at,
            created_at,
            updated_at,
        } = row.clone();
        values.push_bind(id.0).push_bind(scaikey_id).push_bind(tenant.0).push_bind(name).push_bind(description);
        values.push_bind(group_type).push_bind(status.as_str()).push_bind(datetime(stated_at));
        values.push_bind(datetime(created_at)).push_bind(datetime(updated_at));
    })
    .await?;
    writes.iter().for_each(|(was, row)| was.revoke(tx, row, |group| Revocation::Tenant(group.tenant)));
    Ok(())
}

/// New rows with a plain INSERT, the others, which are locked, with one that updates.
async fn upsert<T>(
    tx: &mut RightsTx,
    insert: &'static str,
    update: &'static str,
    writes: &[Write<'_, T>],
    push: impl Fn(Separated<'_, MySql, &'static str>, &T),
) -> Result<()> {
    for is_new in [true, false] {
        let rows: Vec<&T> = writes.iter().filter(|(was, _)| was.is_absent() == is_new).map(|(_, row)| *row).collect();
        if rows.is_empty() {
            continue;
        }
        let mut query = QueryBuilder::<MySql>::new(insert);
        query.push_values(rows, &push);
        if !is_new {
            query.push(update);
        }
        query.build().execute(&mut ***tx).await?;
    }
    Ok(())
}

fn select(query: &'static str, named: &[&str], end: &'static str) -> QueryBuilder<MySql> {
    let mut builder = QueryBuilder::<MySql>::new(query);
    let mut list = builder.separated(", ");
    for id in named {
        list.push_bind((*id).to_owned());
    }
    builder.push(end);
    builder
}
