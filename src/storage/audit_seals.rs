//! The chain of the audit log: which place an entry has and what seals it. What a seal is made of, the caller knows.

use sqlx::mysql::MySqlRow;
use sqlx::{FromRow, MySql, QueryBuilder, Row, Transaction};

use crate::ids::AuditId;

use super::{Db, Result, StorageError};

/// Long enough for a transaction that wrote its entry to have ended as a rule; a later one gets a later place.
const AGE_SECONDS: u32 = 10; // contract
/// Entries per transaction and page.
pub const PER_STEP: u32 = 500;
const HEAD_TOLD_EVERY_SECONDS: u32 = 3_600; // contract

pub type Seal = [u8; 32];

/// A place in the chain and what seals everything up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub sequence: u64,
    pub seal: Seal,
}

/// What an entry says, column by column, as it is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub id: AuditId,
    pub columns: Vec<Option<String>>,
}

/// An entry that has its place.
#[derive(Clone, Debug)]
pub struct SealedEntry {
    pub link: Link,
    pub statement: Statement,
}

/// The entry before the first that is kept, as whoever removed those before it left it.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    pub link: Link,
    pub mac: Seal,
}

const STATEMENT: &str = "id, HEX(tenant_id), HEX(batch_id), CAST(ordinal AS CHAR), actor_type, actor_id, actor_email, \
                         action, resource_type, resource_id, resource_name, details, ip_address, user_agent, \
                         request_id, CAST(created_at AS CHAR)";
const STATEMENT_COLUMNS: usize = 16;

impl FromRow<'_, MySqlRow> for Statement {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        let columns = (1..STATEMENT_COLUMNS).map(|column| row.try_get(column)).collect::<sqlx::Result<_>>()?;
        Ok(Self { id: AuditId(row.try_get("id")?), columns })
    }
}

/// Gives the next entries their places; how many. One at a time does so, whoever else tries.
pub async fn seal_next(db: &Db, seal: impl Fn(&Link, &Statement) -> Seal) -> Result<u32> {
    let mut tx = db.pool().begin().await?;
    let mut head = lock_head(&mut tx).await?;
    let sql = format!(
        "SELECT {STATEMENT} FROM audit_log WHERE sequence IS NULL AND created_at < NOW(6) - INTERVAL ? SECOND \
         ORDER BY id LIMIT ?"
    );
    let query = sqlx::query_as::<_, Statement>(sqlx::AssertSqlSafe(sql)).bind(AGE_SECONDS).bind(PER_STEP);
    let entries = query.fetch_all(&mut *tx).await?;
    if entries.is_empty() {
        return Ok(0);
    }
    let mut query = QueryBuilder::<MySql>::new("UPDATE audit_log a JOIN (");
    for (index, entry) in entries.iter().enumerate() {
        head = Link { sequence: head.sequence + 1, seal: seal(&head, entry) };
        query.push(if index == 0 { "SELECT " } else { " UNION ALL SELECT " });
        query.push_bind(entry.id.0).push(" AS id, ").push_bind(head.sequence).push(" AS sequence, ");
        query.push_bind(head.seal.to_vec()).push(" AS seal");
    }
    query.push(") sealed ON sealed.id = a.id SET a.sequence = sealed.sequence, a.seal = sealed.seal");
    query.build().execute(&mut *tx).await?;
    set_mark(&mut tx, "head", head, None).await?;
    tx.commit().await?;
    Ok(u32::try_from(entries.len()).unwrap_or(PER_STEP))
}

/// Removes the first of the entries, as far as they are older than so many days; how many.
pub async fn retire(db: &Db, days: u32, mac: impl Fn(&Link) -> Seal) -> Result<u64> {
    let mut tx = db.pool().begin().await?;
    lock_head(&mut tx).await?;
    let sql = "SELECT sequence, seal, created_at < NOW(6) - INTERVAL ? DAY AS due FROM audit_log \
               WHERE sequence IS NOT NULL ORDER BY sequence LIMIT ?";
    let rows = sqlx::query(sql).bind(days).bind(PER_STEP).fetch_all(&mut *tx).await?;
    let mut last = None;
    for row in &rows {
        if row.try_get::<i64, _>("due")? == 0 {
            break;
        }
        last = Some(link(row)?);
    }
    let Some(last) = last else { return Ok(0) };
    let removed =
        sqlx::query("DELETE FROM audit_log WHERE sequence <= ?").bind(last.sequence).execute(&mut *tx).await?;
    set_mark(&mut tx, "start", last, Some(mac(&last))).await?;
    tx.commit().await?;
    Ok(removed.rows_affected())
}

/// Entries that have a place behind this one, in order.
pub async fn sealed_after(db: &Db, sequence: u64) -> Result<Vec<SealedEntry>> {
    let sql = format!(
        "SELECT {STATEMENT}, sequence, seal FROM audit_log WHERE sequence > ? ORDER BY sequence LIMIT {PER_STEP}"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(sequence).fetch_all(db.pool()).await?;
    let entry = |row: &MySqlRow| Ok(SealedEntry { link: link(row)?, statement: Statement::from_row(row)? });
    rows.iter().map(entry).collect()
}

/// How many have no place yet.
pub async fn unsealed(db: &Db) -> Result<u64> {
    let count: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM audit_log WHERE sequence IS NULL").fetch_one(db.pool()).await?;
    Ok(u64::try_from(count).unwrap_or_default())
}

pub async fn head(db: &Db) -> Result<Option<Link>> {
    let query = sqlx::query("SELECT sequence, seal FROM audit_seal_marks WHERE name = 'head'");
    query.fetch_optional(db.pool()).await?.as_ref().map(link).transpose()
}

pub async fn start(db: &Db) -> Result<Option<Start>> {
    let query = sqlx::query("SELECT sequence, seal, mac FROM audit_seal_marks WHERE name = 'start'");
    let Some(row) = query.fetch_optional(db.pool()).await? else { return Ok(None) };
    Ok(Some(Start { link: link(&row)?, mac: seal_of(&row, "mac")? }))
}

/// The head, if it is time to write it to the log; true once an hour for one worker.
pub async fn head_to_tell(db: &Db) -> Result<Option<Link>> {
    let done = sqlx::query(
        "UPDATE audit_seal_marks SET told_at = NOW(6) WHERE name = 'head' AND sequence > 0 \
         AND (told_at IS NULL OR told_at < NOW(6) - INTERVAL ? SECOND)",
    )
    .bind(HEAD_TOLD_EVERY_SECONDS)
    .execute(db.pool())
    .await?;
    if done.rows_affected() == 1 { head(db).await } else { Ok(None) }
}

async fn lock_head(tx: &mut Transaction<'_, MySql>) -> Result<Link> {
    let query = sqlx::query("SELECT sequence, seal FROM audit_seal_marks WHERE name = 'head' FOR UPDATE");
    let row = query.fetch_optional(&mut **tx).await?;
    row.as_ref().map(link).transpose()?.ok_or_else(|| StorageError::Corrupt("the audit chain has no head".into()))
}

async fn set_mark(tx: &mut Transaction<'_, MySql>, name: &str, link: Link, mac: Option<Seal>) -> Result<()> {
    sqlx::query(
        "INSERT INTO audit_seal_marks (name, sequence, seal, mac) VALUES (?, ?, ?, ?) \
         ON DUPLICATE KEY UPDATE sequence = VALUES(sequence), seal = VALUES(seal), mac = VALUES(mac)",
    )
    .bind(name)
    .bind(link.sequence)
    .bind(link.seal.to_vec())
    .bind(mac.map(|mac| mac.to_vec()))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn link(row: &MySqlRow) -> Result<Link> {
    Ok(Link { sequence: row.try_get("sequence")?, seal: seal_of(row, "seal")? })
}

fn seal_of(row: &MySqlRow, column: &str) -> Result<Seal> {
    let octets: Option<Vec<u8>> = row.try_get(column)?;
    let seal = octets.as_deref().map(Seal::try_from);
    seal.and_then(std::result::Result::ok).ok_or_else(|| StorageError::Corrupt(format!("{column} is no seal")))
}
