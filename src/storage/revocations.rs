//! What ended or changed a right, for the replicas that remember rights: an append-only table, written in the very
//! transaction that changes the right. [`RightsTx`] is that transaction. Whatever changes a key, the mirror or a role
//! takes one, and it cannot be committed without its revocations.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{Connection, MySql, QueryBuilder, Transaction};

use crate::ids::{ApiKeyId, TenantId};

use super::logged_out::TokenHash;
use super::{Db, Result};

/// A read goes back this far: transactions commit in another order than they wrote, and each is over in less
/// ([`super::LOOK_TIMEOUT`] bounds those of requests; the row is the last thing a transaction writes).
const LOOK_BACK_SECONDS: u32 = 10;

/// One read takes no more; where there is more, everything counts as revoked.
const READ_MAX: usize = 10_000;

/// One transaction writes no more; one that concerns more tenants concerns everything.
const ROWS_PER_TRANSACTION: usize = 500;

/// Kept long enough for an operator to look at, no longer: after seconds nobody reads them.
const KEEP_MINUTES: u32 = 60;

/// What cached rights are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revocation {
    /// Those of this key.
    Key(ApiKeyId),
    /// Those of everybody who belongs to this tenant or acts in it.
    Tenant(TenantId),
    /// That this access token is still taken.
    Token(TokenHash),
    All,
}

impl fmt::Display for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(f, "key:{id}"),
            Self::Tenant(id) => write!(f, "tenant:{id}"),
            Self::Token(hash) => write!(f, "token:{hash}"),
            Self::All => f.write_str("all"),
        }
    }
}

impl Revocation {
    /// What cannot be read, as a newer version may have written it, concerns everything.
    fn parse(text: &str) -> Self {
        let read = match text.split_once(':') {
            Some(("key", id)) => id.parse().ok().map(Self::Key),
            Some(("tenant", id)) => id.parse().ok().map(Self::Tenant),
            Some(("token", hash)) => hash.parse().ok().map(Self::Token),
            _ => None,
        };
        read.unwrap_or(Self::All)
    }
}

/// What a committed transaction has revoked, for the cache of this replica.
#[must_use = "this replica forgets what the transaction has revoked"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked(pub Vec<Revocation>);

/// A transaction that changes rights.
pub struct RightsTx {
    tx: Transaction<'static, MySql>,
    revoked: BTreeSet<Revocation>,
}

impl Deref for RightsTx {
    type Target = Transaction<'static, MySql>;

    fn deref(&self) -> &Self::Target {
        &self.tx
    }
}

impl DerefMut for RightsTx {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.tx
    }
}

pub async fn begin(db: &Db) -> Result<RightsTx> {
    Ok(RightsTx { tx: db.begin().await?, revoked: BTreeSet::new() })
}

impl RightsTx {
    /// Called by what changes the rows, so that nobody else has to think of it. A right of somebody in another tenant
    /// than his own concerns his own: that is what his cached rights are known by.
    pub(super) fn revoke(&mut self, revocation: Revocation) {
        self.revoked.insert(revocation);
    }

    /// One row for each thing revoked, however often it was, as late as can be.
    pub async fn commit(mut self) -> Result<Revoked> {
        if self.revoked.contains(&Revocation::All) || self.revoked.len() > ROWS_PER_TRANSACTION {
            self.revoked = BTreeSet::from([Revocation::All]);
        }
        if !self.revoked.is_empty() {
            let mut query = QueryBuilder::<MySql>::new("INSERT INTO revocations (concerns, created_at) ");
            query.push_values(&self.revoked, |mut row, revocation| {
                row.push_bind(revocation.to_string()).push("NOW(6)");
            });
            query.build().execute(&mut *self.tx).await?;
        }
        self.tx.commit().await?;
        Ok(Revoked(self.revoked.into_iter().collect()))
    }
}

/// The revocations of the last seconds.
#[derive(Debug, Default)]
pub struct Recent {
    pub rows: Vec<(u64, Revocation)>,
    /// There are more than are read.
    pub more: bool,
}

/// Reads what is new over a connection of its own: one of the pool is not to be had when requests are slow, and a
/// replica that cannot read makes them slower.
pub struct Reader {
    options: Arc<MySqlConnectOptions>,
    /// None before the first read and after one that failed or was given up.
    connection: Option<MySqlConnection>,
}

impl Reader {
    pub fn new(db: &Db) -> Self {
        Self { options: db.pool().connect_options(), connection: None }
    }

    /// All that was committed before this was called and written within [`LOOK_BACK_SECONDS`]; known ones again.
    pub async fn read(&mut self) -> Result<Recent> {
        const QUERY: &str = "SELECT id, concerns FROM revocations WHERE created_at >= NOW(6) - INTERVAL ? SECOND \
                             ORDER BY created_at DESC LIMIT ?";
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => MySqlConnection::connect_with(&self.options).await?,
        };
        let query = sqlx::query_as(QUERY).bind(LOOK_BACK_SECONDS).bind(READ_MAX as u64 + 1);
        let rows: Vec<(u64, String)> = query.fetch_all(&mut connection).await?;
        self.connection = Some(connection);
        let more = rows.len() > READ_MAX;
        Ok(Recent { rows: rows.into_iter().map(|(id, text)| (id, Revocation::parse(&text))).collect(), more })
    }
}

/// Removes what nobody reads any more, in bounded steps.
pub async fn sweep(db: &Db) -> Result<u64> {
    const QUERY: &str = "DELETE FROM revocations WHERE created_at < NOW(6) - INTERVAL ? MINUTE \
                         ORDER BY created_at LIMIT 1000";
    Ok(sqlx::query(QUERY).bind(KEEP_MINUTES).execute(db.pool()).await?.rows_affected())
}

#[cfg(all(test, feature = "dev"))]
mod tests {
    use super::*;
    use crate::storage::testing;

    async fn rows(db: &Db) -> Vec<String> {
        sqlx::query_scalar("SELECT concerns FROM revocations ORDER BY concerns")
            .fetch_all(db.pool())
            .await
            .expect("rows")
    }

    #[test]
    fn what_is_written_reads_back_and_what_does_not_read_concerns_everything() {
        let token = Revocation::Token(TokenHash([7; 16]));
        let others = [Revocation::Key(ApiKeyId::new()), Revocation::Tenant(TenantId::new()), Revocation::All];
        for revocation in others.into_iter().chain([token]) {
            assert_eq!(Revocation::parse(&revocation.to_string()), revocation);
        }
        for text in ["", "key:", "key:t_1", "zone:d_01jd0000000000000000000000", "everything"] {
            assert_eq!(Revocation::parse(text), Revocation::All, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_transaction_leaves_one_row_for_each_thing_it_revokes_and_none_if_it_is_rolled_back() {
        let db = testing::database().await;
        let [tenant, other] = [(); 2].map(|()| Revocation::Tenant(TenantId::new()));
        let mut tx = begin(&db).await.expect("begins");
        tx.revoke(tenant);
        drop(tx);
        assert_eq!(begin(&db).await.expect("begins").commit().await.expect("commits"), Revoked(vec![]));
        assert_eq!(rows(&db).await, [""; 0]);
        let mut tx = begin(&db).await.expect("begins");
        for revocation in [tenant, other, tenant, tenant] {
            tx.revoke(revocation);
        }
        assert_eq!(tx.commit().await.expect("commits").0.len(), 2);
        let mut expected = [tenant.to_string(), other.to_string()];
        expected.sort();
        assert_eq!(rows(&db).await, expected);
    }

    #[tokio::test]
    async fn what_concerns_everything_or_very_many_is_one_row() {
        let db = testing::database().await;
        let mut tx = begin(&db).await.expect("begins");
        tx.revoke(Revocation::Tenant(TenantId::new()));
        tx.revoke(Revocation::All);
        assert_eq!(tx.commit().await.expect("commits"), Revoked(vec![Revocation::All]));
        let mut tx = begin(&db).await.expect("begins");
        for _ in 0..=ROWS_PER_TRANSACTION {
            tx.revoke(Revocation::Key(ApiKeyId::new()));
        }
        assert_eq!(tx.commit().await.expect("commits"), Revoked(vec![Revocation::All]));
        assert_eq!(rows(&db).await, ["all", "all"]);
    }

    #[tokio::test]
    async fn a_row_is_read_once_it_is_committed_even_after_later_ones() {
        const INSERT: &str = "INSERT INTO revocations (concerns, created_at) VALUES (?, NOW(6))";
        let db = testing::database().await;
        let mut reader = Reader::new(&db);
        let (early, late) = (Revocation::Key(ApiKeyId::new()), Revocation::Tenant(TenantId::new()));
        let mut slow = db.begin().await.expect("begins");
        sqlx::query(INSERT).bind(early.to_string()).execute(&mut *slow).await.expect("inserted");
        let mut tx = begin(&db).await.expect("begins");
        tx.revoke(late);
        let _ = tx.commit().await.expect("commits");
        let mut read =
            async || reader.read().await.expect("reads").rows.into_iter().map(|(_, r)| r).collect::<Vec<_>>();
        assert_eq!(read().await, [late]);
        slow.commit().await.expect("commits");
        let both = read().await;
        assert!(both.contains(&early) && both.contains(&late) && both.len() == 2, "{both:?}");
        assert_eq!(read().await, both, "within the look-back each read brings all");
    }

    #[tokio::test]
    async fn a_read_looks_back_some_seconds_and_the_sweep_leaves_the_last_hour() {
        const INSERT: &str = "INSERT INTO revocations (concerns, created_at) VALUES (?, NOW(6) - INTERVAL ? SECOND)";
        let db = testing::database().await;
        for (concerns, age) in [("all", 3_700), ("all", 3_600), ("tenant:past", 3_500), ("tenant:present", 2)] {
            sqlx::query(INSERT).bind(concerns).bind(age).execute(db.pool()).await.expect("inserted");
        }
        assert_eq!(Reader::new(&db).read().await.expect("reads").rows.len(), 1);
        assert_eq!(sweep(&db).await.expect("sweeps"), 2);
        assert_eq!(rows(&db).await, ["tenant:past", "tenant:present"]);
        assert_eq!(sweep(&db).await.expect("sweeps"), 0);
    }

    #[tokio::test]
    async fn a_reader_that_lost_its_connection_has_another() {
        let db = testing::database().await;
        let mut reader = Reader::new(&db);
        reader.read().await.expect("reads");
        let connection = reader.connection.as_mut().expect("kept");
        let id: u64 = sqlx::query_scalar("SELECT CONNECTION_ID()").fetch_one(connection).await.expect("an id");
        sqlx::query("KILL ?").bind(id).execute(db.pool()).await.expect("killed");
        assert!(reader.read().await.is_err());
        reader.read().await.expect("reads again");
    }
}
