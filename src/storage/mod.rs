//! MariaDB: all SQL of the program, one file per table family. Functions that touch a tenant's data take a proof of
//! the authorization code. No decisions here.
//!
//! Sessions are READ COMMITTED; what must hold across statements is locked with `FOR UPDATE` at its place.

pub mod access_grants;
pub mod api_keys;
pub mod audit;
pub mod audit_log;
pub mod audit_seals;
pub mod backlog;
pub mod cleaning;
pub mod denials;
pub mod directory;
pub mod emptied;
mod error;
pub mod fences;
pub mod health;
pub mod history;
pub mod idempotency;
pub mod import_parts;
pub mod inbox;
pub mod intents;
pub mod jobs;
pub mod live_names;
pub mod logged_out;
pub mod platform_settings;
pub mod record_ids;
pub mod recurring_jobs;
pub mod revocations;
pub mod roles;
pub mod secondary_zones;
pub mod settlement;
pub mod signing;
pub mod staged;
pub mod templates;
#[cfg(all(test, feature = "dev"))]
pub mod testing;
pub mod tsig_keys;
pub mod validations;
pub mod zone_lists;
pub mod zone_nameservers;
pub mod zone_templates;
pub mod zones;

use std::str::FromStr;
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::{Connection as _, Executor, MySqlPool};

use crate::config::DatabaseConfig;
use crate::fairness::Places;

pub use error::StorageError;

pub type Result<T> = std::result::Result<T, StorageError>;

/// How long a request waits for a connection: the caller hears of a dead database within three seconds.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(2_000);

/// How long one look at the database may take where the caller waits for it.
pub const LOOK_TIMEOUT: Duration = Duration::from_millis(2_500);

/// How long one writing transaction may take; one that has no outcome by then is looked up by its change.
const WRITE_TIMEOUT: Duration = Duration::from_secs(8);

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// A connection that was not used for this long is looked at before it is used again: the server may have gone.
const IDLE_UNTESTED: Duration = Duration::from_secs(1);

/// The pool. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    pool: MySqlPool,
    places: Places,
}

impl Db {
    /// Makes the pool without connecting: a replica starts while the database is down, and says so in its readiness.
    pub fn lazy(config: &DatabaseConfig) -> Result<Self> {
        let options = MySqlConnectOptions::from_str(config.url.expose_secret())?;
        let pool = MySqlPoolOptions::new()
            .max_connections(config.pool_size)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .max_lifetime(Duration::from_secs(1_800))
            // a look at each connection before each use would double the round trips
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > IDLE_UNTESTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
                    // a lock that is not had in this time is answered as busy
                    connection.execute("SET SESSION innodb_lock_wait_timeout = 5").await?;
                    // what one holder's rights follow from is read as one aggregate: far more than its bounds allow
                    connection.execute("SET SESSION group_concat_max_len = 16777216").await?;
                    // a statement is given up by us, never cut in the middle by the server
                    connection.execute("SET SESSION max_statement_time = 0").await?;
                    Ok(())
                })
            })
            .connect_lazy_with(options);
        Ok(Self::from_pool(pool))
    }

    pub fn from_pool(pool: MySqlPool) -> Self {
        let connections = pool.options().get_max_connections() as usize;
        Self { pool, places: Places::new("database", connections) }
    }

    /// One for each connection: requests and batches take them before they set to work, so that tenants wait for their
    /// turn here, where it is fair, rather than for a connection.
    pub fn places(&self) -> &Places {
        &self.places
    }

    pub fn pool(&self) -> &MySqlPool {
        &self.pool
    }

    pub async fn begin(&self) -> Result<sqlx::Transaction<'static, sqlx::MySql>> {
        Ok(self.pool.begin().await?)
    }

    /// Applies the migrations that are missing.
    pub async fn migrate(&self) -> Result<()> {
        MIGRATOR.run(&self.pool).await.map_err(|error| StorageError::Corrupt(format!("migration failed: {error}")))
    }

    /// Whether every migration of this executable has been applied.
    pub async fn is_migrated(&self) -> Result<bool> {
        let applied: std::result::Result<i64, sqlx::Error> =
            sqlx::query_scalar("SELECT COUNT(*) FROM _sqlx_migrations WHERE success").fetch_one(&self.pool).await;
        match applied.map_err(StorageError::from) {
            Ok(count) => Ok(usize::try_from(count).is_ok_and(|count| count >= MIGRATOR.iter().count())),
            // no such table: nothing was ever applied
            Err(StorageError::Other(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// One round trip, within [`LOOK_TIMEOUT`].
    pub async fn ping(&self) -> Result<()> {
        within(async {
            sqlx::query("SELECT 1").execute(&self.pool).await?;
            Ok(())
        })
        .await
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A time as `DATETIME` takes it. Bound as it is, an `OffsetDateTime` goes over the wire as a `TIMESTAMP`, which ends in
/// 2038: later times would be stored as NULL.
pub fn datetime(time: impl std::borrow::Borrow<time::OffsetDateTime>) -> time::PrimitiveDateTime {
    let utc = time.borrow().to_offset(time::UtcOffset::UTC);
    time::PrimitiveDateTime::new(utc.date(), utc.time())
}

/// Bounds one look at the database: a server that is stopped, not dead, must not hold a request.
pub async fn within<T>(look: impl Future<Output = Result<T>>) -> Result<T> {
    bounded(LOOK_TIMEOUT, look).await
}

/// Bounds one writing transaction. After `Unavailable` its outcome is unknown.
pub async fn within_write<T>(write: impl Future<Output = Result<T>>) -> Result<T> {
    bounded(WRITE_TIMEOUT, write).await
}

async fn bounded<T>(bound: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(bound, work)
        .await
        .unwrap_or_else(|_| Err(StorageError::Unavailable(format!("no answer within {bound:?}"))))
}
