//! TSIG keys of tenants: what they are called and where they stand. Their secrets are PowerDNS's alone.

use sqlx::mysql::MySqlRow;
use sqlx::{FromRow, MySql, Row, Transaction};
use time::OffsetDateTime;

use crate::authz::{TenantAccess, Visibility};
use crate::ids::{TenantId, TsigKeyId};

use super::audit::AuditEntry;
use super::{Db, Result, StorageError, audit, datetime};

/// A key.
#[derive(Clone, Debug)]
pub struct TsigKeyRow {
    pub id: TsigKeyId,
    pub tenant: TenantId,
    /// The tenant's own word for it.
    pub name: String,
    /// On the wire, without the trailing dot.
    pub key_name: String,
    pub algorithm: String,
    pub created_at: OffsetDateTime,
}

impl FromRow<'_, MySqlRow> for TsigKeyRow {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: TsigKeyId(row.try_get("id")?),
            tenant: TenantId(row.try_get("tenant_id")?),
            name: row.try_get("name")?,
            key_name: row.try_get("key_name")?,
            algorithm: row.try_get("algorithm")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

/// Where the list goes on: behind this key.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct TsigKeyCursor {
    pub name: String,
    pub id: TsigKeyId,
}

const COLUMNS: &str = "SELECT id, tenant_id, name, key_name, algorithm, created_at FROM tsig_keys";

/// Those of the tenant by name, and how many there are.
pub async fn list(
    db: &Db,
    access: &TenantAccess,
    after: Option<&TsigKeyCursor>,
    (offset, limit): (u64, u32),
) -> Result<(Vec<TsigKeyRow>, u64)> {
    let tenant = access.tenant().0;
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tsig_keys WHERE tenant_id = ? AND state = 'active'")
        .bind(tenant)
        .fetch_one(db.pool())
        .await?;
    let sql = format!(
        "{COLUMNS} WHERE tenant_id = ? AND state = 'active' AND (? IS NULL OR (name, id) > (?, ?)) \
         ORDER BY name, id LIMIT ? OFFSET ?"
    );
    let (name, id) = (after.map(|after| after.name.as_str()), after.map(|after| after.id.0));
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(tenant).bind(name).bind(name).bind(id);
    let rows = query.bind(limit).bind(offset).fetch_all(db.pool()).await?;
    Ok((rows, u64::try_from(total).unwrap_or_default()))
}

/// The key of this id, if it is visible.
pub async fn find(db: &Db, visible: &Visibility, id: TsigKeyId) -> Result<Option<TsigKeyRow>> {
    let sql = format!("{COLUMNS} WHERE id = ? AND state = 'active' AND (? IS NULL OR tenant_id = ?)");
    let tenant = visible.tenant().map(|tenant| tenant.0);
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id.0).bind(tenant).bind(tenant).fetch_optional(db.pool()).await?)
}

/// Notes that a key is about to be made. False: the tenant has `most` already. A name in use is a duplicate of
/// `tsig_keys_key_name`.
pub async fn begin(db: &Db, access: &TenantAccess, row: &TsigKeyRow, most: u32) -> Result<bool> {
    let TsigKeyRow { id, tenant: _, name, key_name, algorithm, created_at } = row;
    let done = sqlx::query(
        "INSERT INTO tsig_keys (id, tenant_id, name, key_name, algorithm, state, state_since, created_at) \
         SELECT ?, ?, ?, ?, ?, 'creating', ?, ? FROM DUAL \
         WHERE (SELECT COUNT(*) FROM tsig_keys k WHERE k.tenant_id = ?) < ?",
    )
    .bind(id.0)
    .bind(access.tenant().0)
    .bind(name)
    .bind(key_name)
    .bind(algorithm)
    .bind(datetime(created_at))
    .bind(datetime(created_at))
    .bind(access.tenant().0)
    .bind(most)
    .execute(db.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// PowerDNS has it: now it is there for everybody, with its audit entry. False: it was given up meanwhile.
pub async fn complete(db: &Db, id: TsigKeyId, entry: &AuditEntry) -> Result<bool> {
    let mut tx = db.begin().await?;
    let sql = "UPDATE tsig_keys SET state = 'active' WHERE id = ? AND state = 'creating'";
    if sqlx::query(sql).bind(id.0).execute(&mut *tx).await?.rows_affected() == 0 {
        return Ok(false);
    }
    audit::append(&mut tx, None, std::slice::from_ref(entry)).await?;
    tx.commit().await?;
    Ok(true)
}

/// It never came to be.
pub async fn give_up(db: &Db, id: TsigKeyId) -> Result<()> {
    let sql = "DELETE FROM tsig_keys WHERE id = ? AND state = 'creating'";
    sqlx::query(sql).bind(id.0).execute(db.pool()).await?;
    Ok(())
}

/// Locks a key that somebody is about to use, so that it is not deleted meanwhile.
pub async fn lock(tx: &mut Transaction<'_, MySql>, tenant: TenantId, id: TsigKeyId) -> Result<Option<TsigKeyRow>> {
    let sql = format!("{COLUMNS} WHERE id = ? AND tenant_id = ? AND state = 'active' LOCK IN SHARE MODE");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id.0).bind(tenant.0).fetch_optional(&mut **tx).await?)
}

/// Notes that a key is about to go: from now on nobody finds it. The entry is written when it is gone. False: it is not
/// there, or already going.
pub async fn begin_end(
    tx: &mut Transaction<'_, MySql>,
    id: TsigKeyId,
    entry: &AuditEntry,
    now: OffsetDateTime,
) -> Result<bool> {
    let farewell = serde_json::to_string(entry).map_err(|error| StorageError::Corrupt(error.to_string()))?;
    let sql =
        "UPDATE tsig_keys SET state = 'deleting', state_since = ?, farewell = ? WHERE id = ? AND state = 'active'";
    let done = sqlx::query(sql).bind(datetime(now)).bind(farewell).bind(id.0).execute(&mut **tx).await?;
    Ok(done.rows_affected() == 1)
}

/// PowerDNS has it no longer: the row goes, with the entry that was kept for this, if it is still there.
pub async fn end(db: &Db, id: TsigKeyId) -> Result<()> {
    let mut tx = db.begin().await?;
    let sql = "SELECT farewell FROM tsig_keys WHERE id = ? AND state IN ('creating', 'deleting') FOR UPDATE";
    let Some(farewell) = sqlx::query_scalar::<_, Option<String>>(sql).bind(id.0).fetch_optional(&mut *tx).await? else {
        return Ok(());
    };
    if let Some(farewell) = farewell {
        let entry: AuditEntry =
            serde_json::from_str(&farewell).map_err(|error| StorageError::Corrupt(error.to_string()))?;
        audit::append(&mut tx, None, &[entry]).await?;
    }
    sqlx::query("DELETE FROM tsig_keys WHERE id = ?").bind(id.0).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Keys whose making or deletion nobody has ended since `before`.
pub async fn unsettled(db: &Db, before: OffsetDateTime, limit: u32) -> Result<Vec<TsigKeyRow>> {
    let sql =
        format!("{COLUMNS} WHERE state IN ('creating', 'deleting') AND state_since < ? ORDER BY state_since LIMIT ?");
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(datetime(before)).bind(limit);
    Ok(query.fetch_all(db.pool()).await?)
}
