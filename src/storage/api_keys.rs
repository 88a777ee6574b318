//! API keys: the hash of a secret, never the secret. Who may see a key is said by what is handed over: everything in
//! the tenant of a proof, or what certain owners own.

use ipnet::IpNet;
use sqlx::mysql::MySqlRow;
use sqlx::types::Json;
use sqlx::{MySql, QueryBuilder, Row, Transaction};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::authz::{TenantAccess, Visibility};
use crate::ids::{ApiKeyId, GroupId, TenantId, UserId};

use super::directory::{Holder, HolderRow, TenantRow, holder_query, tenant_row};
use super::revocations::{Revocation, RightsTx};
use super::{Db, Result, StorageError};

type Tx<'a> = Transaction<'a, MySql>;

/// The HMAC-SHA256 of a secret.
pub type SecretHash = [u8; 32];

/// Whose rights a key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    User(UserId),
    Group(GroupId),
}

/// An address or a network, as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedNetwork {
    pub text: String,
    pub network: IpNet,
}

/// A key without its secret.
#[derive(Clone, Debug)]
pub struct ApiKeyRow {
    pub id: ApiKeyId,
    pub tenant: TenantId,
    pub name: String,
    pub description: Option<String>,
    pub key_prefix: String,
    pub revoked: bool,
    pub source: Source,
    /// The owner's id at ScaiKey, as it is shown.
    pub source_scaikey_id: String,
    /// None: all that the source has.
    pub scopes: Option<Vec<String>>,
    /// Requests a minute.
    pub rate_limit: Option<u32>,
    pub ip_whitelist: Vec<AllowedNetwork>,
    pub expires_at: Option<OffsetDateTime>,
    pub last_used_at: Option<OffsetDateTime>,
    pub last_used_ip: Option<String>,
    pub use_count: u64,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// What a presented secret leads to.
#[derive(Clone, Debug)]
pub struct PresentedKey {
    pub key: ApiKeyRow,
    /// The tenant that the key acts in.
    pub tenant: TenantRow,
    pub owner: Holder,
}

/// Which keys are wanted.
#[derive(Clone, Debug)]
pub enum KeysOf<'a> {
    /// All of a tenant.
    Tenant(TenantAccess),
    /// Those that these own, in this tenant.
    Owners { tenant: TenantId, user: UserId, groups: &'a [GroupId] },
}

/// Uses of one key since the last time they were written down.
#[derive(Clone, Debug)]
pub struct Uses {
    pub key: ApiKeyId,
    pub count: u64,
    pub last_at: OffsetDateTime,
    pub last_ip: Option<String>,
}

macro_rules! key_columns {
    () => {
        "k.id AS k_id, k.tenant_id AS k_tenant_id, k.name AS k_name, k.description AS k_description, \
         k.key_prefix AS k_key_prefix, k.status AS k_status, k.permission_source AS k_permission_source, \
         k.permission_source_id AS k_permission_source_id, k.scopes AS k_scopes, k.rate_limit AS k_rate_limit, \
         k.ip_whitelist AS k_ip_whitelist, k.expires_at AS k_expires_at, k.last_used_at AS k_last_used_at, \
         k.last_used_ip AS k_last_used_ip, k.use_count AS k_use_count, k.created_at AS k_created_at, \
         k.updated_at AS k_updated_at"
    };
}

macro_rules! keys_query {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            key_columns!(),
            ", COALESCE(ku.scaikey_id, kg.scaikey_id) AS k_source_scaikey_id FROM api_keys k \
             LEFT JOIN users ku ON k.permission_source = 'user' AND ku.id = k.permission_source_id \
             LEFT JOIN user_groups kg ON k.permission_source = 'group' AND kg.id = k.permission_source_id ",
            $rest
        )
    };
}

/// The key with this hash, its tenant, and its owner with all that its rights follow from: one round trip.
pub async fn by_secret(db: &Db, hash: &SecretHash) -> Result<Option<PresentedKey>> {
    const QUERY: &str = holder_query!(
        "SELECT permission_source AS kind, permission_source_id AS id, id AS key_id FROM api_keys \
         WHERE secret_hash = ?",
        concat!(", ", key_columns!(), ", COALESCE(u.scaikey_id, g.scaikey_id) AS k_source_scaikey_id"),
        " JOIN api_keys k ON k.id = w.key_id"
    );
    let Some(row) = sqlx::query(QUERY).bind(&hash[..]).fetch_optional(db.pool()).await? else { return Ok(None) };
    let key = key_row(&row)?;
    let owner = HolderRow(&row).read()?;
    let tenant = if key.tenant == owner.home.id {
        owner.home.clone()
    } else {
        // of an admin who reaches beyond its own tenant
        const TENANT: &str = "SELECT t.id AS t_id, t.scaikey_id AS t_scaikey_id, t.partner_id AS t_partner_id, \
                              t.name AS t_name, t.slug AS t_slug, t.status AS t_status, t.settings AS t_settings, \
                              t.stated_at AS t_stated_at, t.created_at AS t_created_at, \
                              t.updated_at AS t_updated_at, p.status AS p_status FROM tenants t \
                              LEFT JOIN partners p ON p.id = t.partner_id WHERE t.id = ?";
        tenant_row(&sqlx::query(TENANT).bind(key.tenant.0).fetch_one(db.pool()).await?)?
    };
    Ok(Some(PresentedKey { key, tenant, owner }))
}

/// The key of this id, if its tenant is visible.
pub async fn find(db: &Db, visible: &Visibility, id: ApiKeyId) -> Result<Option<ApiKeyRow>> {
    const QUERY: &str = keys_query!("WHERE k.id = ?");
    let row = sqlx::query(QUERY).bind(id.0).fetch_optional(db.pool()).await?;
    seen(row, visible)
}

/// [`find`], locked until the transaction ends.
pub async fn find_for_update(tx: &mut Tx<'_>, visible: &Visibility, id: ApiKeyId) -> Result<Option<ApiKeyRow>> {
    const LOCK: &str = "SELECT 1 FROM api_keys WHERE id = ? FOR UPDATE";
    const QUERY: &str = keys_query!("WHERE k.id = ?");
    sqlx::query(LOCK).bind(id.0).fetch_optional(&mut **tx).await?;
    let row = sqlx::query(QUERY).bind(id.0).fetch_optional(&mut **tx).await?;
    seen(row, visible)
}

/// One page by name, and the number of all. `after`: name and id of the last key of the page before.
pub async fn list(
    db: &Db,
    of: &KeysOf<'_>,
    include_revoked: bool,
    after: Option<(&str, ApiKeyId)>,
    (offset, limit): (u64, u32),
) -> Result<(Vec<ApiKeyRow>, u64)> {
    const KEYS: &str = keys_query!("");
    let mut count = QueryBuilder::<MySql>::new("SELECT COUNT(*) FROM api_keys k");
    push_filter(&mut count, of, include_revoked);
    let total: i64 = count.build_query_scalar().fetch_one(db.pool()).await?;
    let mut query = QueryBuilder::<MySql>::new(KEYS);
    push_filter(&mut query, of, include_revoked);
    if let Some((name, id)) = after {
        query.push(" AND (k.name, k.id) > (").push_bind(name).push(", ").push_bind(id.0).push(")");
    }
    query.push(" ORDER BY k.name, k.id LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(offset);
    let rows = query.build().fetch_all(db.pool()).await?;
    let keys = rows.iter().map(key_row).collect::<Result<_>>()?;
    Ok((keys, u64::try_from(total).unwrap_or_default()))
}

fn push_filter(query: &mut QueryBuilder<MySql>, of: &KeysOf<'_>, include_revoked: bool) {
    match of {
        KeysOf::Tenant(access) => {
            query.push(" WHERE k.tenant_id = ").push_bind(access.tenant().0);
        }
        KeysOf::Owners { tenant, user, groups } => {
            query.push(" WHERE k.tenant_id = ").push_bind(tenant.0);
            query.push(" AND k.permission_source_id IN (");
            let mut owners = query.separated(", ");
            owners.push_bind(user.0);
            for group in *groups {
                owners.push_bind(group.0);
            }
            query.push(")");
        }
    }
    if !include_revoked {
        query.push(" AND k.status = 'active'");
    }
}

/// Locks a tenant against parallel creation; its settings, and the keys that it has.
pub async fn lock_and_count(tx: &mut Tx<'_>, tenant: TenantId) -> Result<(String, u64)> {
    const LOCK: &str = "SELECT settings FROM tenants WHERE id = ? FOR UPDATE";
    const COUNT: &str = "SELECT COUNT(*) FROM api_keys WHERE tenant_id = ?";
    let settings: String = sqlx::query_scalar(LOCK).bind(tenant.0).fetch_one(&mut **tx).await?;
    let count: i64 = sqlx::query_scalar(COUNT).bind(tenant.0).fetch_one(&mut **tx).await?;
    Ok((settings, u64::try_from(count).unwrap_or_default()))
}

/// A new key: nobody remembers anything of it.
pub async fn insert(tx: &mut Tx<'_>, row: &ApiKeyRow, hash: &SecretHash) -> Result<()> {
    const QUERY: &str = "INSERT INTO api_keys (id, tenant_id, name, description, secret_hash, key_prefix, status, \
                         permission_source, permission_source_id, scopes, rate_limit, ip_whitelist, expires_at, \
                         last_used_at, last_used_ip, use_count, created_at, updated_at) \
                         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let ApiKeyRow {
        id,
        tenant,
        name,
        description,
        key_prefix,
        revoked,
        source,
        source_scaikey_id: _,
        scopes,
        rate_limit,
        ip_whitelist,
        expires_at,
        last_used_at,
        last_used_ip,
        use_count,
        created_at,
        updated_at,
    } = row;
    let (kind, owner) = source_columns(*source);
    let query = sqlx::query(QUERY).bind(id.0).bind(tenant.0).bind(name).bind(description).bind(&hash[..]);
    let query = query.bind(key_prefix).bind(status(*revoked)).bind(kind).bind(owner).bind(scopes.as_ref().map(Json));
    let query = query
        .bind(*rate_limit)
        .bind(Json(texts(ip_whitelist)))
        .bind(expires_at.map(super::datetime))
        .bind(last_used_at.map(super::datetime));
    let query =
        query.bind(last_used_ip).bind(*use_count).bind(super::datetime(*created_at)).bind(super::datetime(*updated_at));
    query.execute(&mut **tx).await?;
    Ok(())
}

/// Writes what may change of a key; its uses are counted elsewhere.
pub async fn update(tx: &mut RightsTx, row: &ApiKeyRow) -> Result<()> {
    const QUERY: &str = "UPDATE api_keys SET name = ?, description = ?, status = ?, rate_limit = ?, \
                         ip_whitelist = ?, expires_at = ?, updated_at = ? WHERE id = ?";
    let query = sqlx::query(QUERY).bind(&row.name).bind(&row.description).bind(status(row.revoked));
    let query =
        query.bind(row.rate_limit).bind(Json(texts(&row.ip_whitelist))).bind(row.expires_at.map(super::datetime));
    query.bind(super::datetime(row.updated_at)).bind(row.id.0).execute(&mut ***tx).await?;
    tx.revoke(Revocation::Key(row.id));
    Ok(())
}

/// Gives a key another secret: the old one is dead with the commit.
pub async fn replace_secret(tx: &mut RightsTx, row: &ApiKeyRow, hash: &SecretHash) -> Result<()> {
    const QUERY: &str = "UPDATE api_keys SET secret_hash = ?, key_prefix = ?, updated_at = ? WHERE id = ?";
    let query =
        sqlx::query(QUERY).bind(&hash[..]).bind(&row.key_prefix).bind(super::datetime(row.updated_at)).bind(row.id.0);
    query.execute(&mut ***tx).await?;
    tx.revoke(Revocation::Key(row.id));
    Ok(())
}

pub async fn delete(tx: &mut RightsTx, id: ApiKeyId) -> Result<()> {
    sqlx::query("DELETE FROM api_keys WHERE id = ?").bind(id.0).execute(&mut ***tx).await?;
    tx.revoke(Revocation::Key(id));
    Ok(())
}

/// Adds uses to a key's counters; a later moment that another replica wrote stays.
pub async fn count_uses(db: &Db, uses: &Uses) -> Result<()> {
    const QUERY: &str = "UPDATE api_keys SET use_count = use_count + ?, \
                         last_used_ip = IF(COALESCE(last_used_at, '1970-01-01') <= ?, ?, last_used_ip), \
                         last_used_at = GREATEST(COALESCE(last_used_at, '1970-01-01'), ?) WHERE id = ?";
    let Uses { key, count, last_at, last_ip } = uses;
    let query = sqlx::query(QUERY)
        .bind(*count)
        .bind(super::datetime(*last_at))
        .bind(last_ip)
        .bind(super::datetime(*last_at))
        .bind(key.0);
    query.execute(db.pool()).await?;
    Ok(())
}

/// Notes that a key was used from a network on a day. True: for the first time on any replica, and fewer than `most`
/// networks were noted before.
pub async fn note_network(tx: &mut Tx<'_>, key: ApiKeyId, day: Date, network: &str, most: u32) -> Result<bool> {
    const COUNT: &str = "SELECT COUNT(*) FROM api_key_uses WHERE used_on = ? AND key_id = ?";
    const INSERT: &str = "INSERT IGNORE INTO api_key_uses (used_on, key_id, network) VALUES (?, ?, ?)";
    let known: i64 = sqlx::query_scalar(COUNT).bind(day).bind(key.0).fetch_one(&mut **tx).await?;
    if known >= i64::from(most) {
        return Ok(false);
    }
    let done = sqlx::query(INSERT).bind(day).bind(key.0).bind(network).execute(&mut **tx).await?;
    Ok(done.rows_affected() > 0)
}

/// Forgets the networks of days before `day`, a bounded number at a time.
pub async fn forget_networks(db: &Db, day: Date) -> Result<()> {
    const QUERY: &str = "DELETE FROM api_key_uses WHERE used_on < ? LIMIT 10000";
    sqlx::query(QUERY).bind(day).execute(db.pool()).await?;
    Ok(())
}

fn seen(row: Option<MySqlRow>, visible: &Visibility) -> Result<Option<ApiKeyRow>> {
    let key = row.as_ref().map(key_row).transpose()?;
    Ok(key.filter(|key| visible.tenant().is_none_or(|tenant| tenant == key.tenant)))
}

/// Reads the columns `k_…`.
fn key_row(row: &MySqlRow) -> Result<ApiKeyRow> {
    let source_id: Uuid = row.try_get("k_permission_source_id")?;
    let source = match row.try_get::<String, _>("k_permission_source")?.as_str() {
        "user" => Source::User(UserId(source_id)),
        "group" => Source::Group(GroupId(source_id)),
        other => return Err(StorageError::Corrupt(format!("unknown permission source {other:?}"))),
    };
    let scopes: Option<Json<Vec<String>>> = row.try_get_unchecked("k_scopes")?;
    let Json(networks): Json<Vec<String>> = row.try_get_unchecked("k_ip_whitelist")?;
    Ok(ApiKeyRow {
        id: ApiKeyId(row.try_get("k_id")?),
        tenant: TenantId(row.try_get("k_tenant_id")?),
        name: row.try_get("k_name")?,
        description: row.try_get("k_description")?,
        key_prefix: row.try_get("k_key_prefix")?,
        revoked: row.try_get::<String, _>("k_status")? != "active",
        source,
        source_scaikey_id: row.try_get::<Option<String>, _>("k_source_scaikey_id")?.unwrap_or_default(),
        scopes: scopes.map(|Json(scopes)| scopes),
        rate_limit: row.try_get("k_rate_limit")?,
        ip_whitelist: networks.into_iter().map(stored_network).collect::<Result<_>>()?,
        expires_at: row.try_get("k_expires_at")?,
        last_used_at: row.try_get("k_last_used_at")?,
        last_used_ip: row.try_get("k_last_used_ip")?,
        use_count: row.try_get("k_use_count")?,
        created_at: row.try_get("k_created_at")?,
        updated_at: row.try_get("k_updated_at")?,
    })
}

/// A whitelist that does not read must not count as none.
fn stored_network(text: String) -> Result<AllowedNetwork> {
    AllowedNetwork::parse(&text).ok_or_else(|| StorageError::Corrupt(format!("stored network {text:?} does not read")))
}

impl AllowedNetwork {
    /// An address, or a network in CIDR form; host bits are dropped.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<std::net::IpAddr>() {
            let address = address.to_canonical();
            return Some(Self { text: address.to_string(), network: address.into() });
        }
        let network = text.parse::<IpNet>().ok()?.trunc();
        Some(Self { text: network.to_string(), network })
    }
}

fn texts(networks: &[AllowedNetwork]) -> Vec<&str> {
    networks.iter().map(|network| network.text.as_str()).collect()
}

fn status(revoked: bool) -> &'static str {
    if revoked { "revoked" } else { "active" }
}

fn source_columns(source: Source) -> (&'static str, Uuid) {
    match source {
        Source::User(UserId(id)) => ("user", id),
        Source::Group(GroupId(id)) => ("group", id),
    }
}
