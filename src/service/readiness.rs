//! Whether what the program stands on is there, and set up so that the write path is sound.

use std::collections::HashMap;
use std::time::Duration;

use secrecy::ExposeSecret;

use crate::config::Config;
use crate::pdns::Pdns;
use crate::scaikey::ScaiKey;
use crate::storage::{Db, health};

/// One check may take this long; probes of load balancers give up soon after.
const CHECK_TIMEOUT: Duration = Duration::from_millis(2_500);

/// Each dependency: fine, or what is wrong and what to do.
#[derive(Clone, Debug)]
pub struct Report {
    pub database: Check,
    pub redis: Check,
    pub pdns: Check,
    pub scaikey_jwks: Check,
}

pub type Check = Result<(), String>;

impl Report {
    /// Without database or PowerDNS nothing can be served; without Redis or ScaiKey everything goes on.
    pub fn is_ready(&self) -> bool {
        self.database.is_ok() && self.pdns.is_ok()
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Readiness {
    db: Db,
    pdns: Pdns,
    redis: redis::Client,
    scaikey: ScaiKey,
}

impl Readiness {
    pub fn new(config: &Config, db: Db, pdns: Pdns, scaikey: ScaiKey) -> Result<Self, redis::RedisError> {
        let redis = redis::Client::open(config.redis.url.expose_secret())?;
        Ok(Self { db, pdns, redis, scaikey })
    }

    /// Looks at everything at once.
    pub async fn check(&self) -> Report {
        let (database, redis, pdns, scaikey_jwks) =
            tokio::join!(self.database(), self.redis(), self.pdns(), self.scaikey_jwks());
        Report { database, redis, pdns, scaikey_jwks }
    }

    async fn database(&self) -> Check {
        bounded(async {
            self.db.ping().await.map_err(|error| format!("cannot be reached: {error}"))?;
            if !self.db.is_migrated().await.map_err(|error| error.to_string())? {
                return Err("migrations are missing: run `scaidns migrate`".into());
            }
            let flush = health::flush_log_at_commit(&self.db).await.map_err(|error| error.to_string())?;
            if flush != 1 {
                return Err(format!(
                    "innodb_flush_log_at_trx_commit is {flush}: a crash would lose acknowledged writes; set it to 1"
                ));
            }
            Ok(())
        })
        .await
    }

    async fn redis(&self) -> Check {
        bounded(async {
            let mut connection =
                self.redis.get_multiplexed_async_connection().await.map_err(|error| error.to_string())?;
            redis::cmd("PING").query_async::<String>(&mut connection).await.map_err(|error| error.to_string())?;
            Ok(())
        })
        .await
    }

    async fn pdns(&self) -> Check {
        bounded(async {
            let settings = self.pdns.settings().await.map_err(|error| error.to_string())?;
            let problems = unsound_settings(&settings);
            if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
        })
        .await
    }

    async fn scaikey_jwks(&self) -> Check {
        bounded(async { self.scaikey.check_signing_keys().await.map_err(|error| error.to_string()) }).await
    }
}

/// Settings under which a write could be lost or torn, each with what to do.
fn unsound_settings(settings: &HashMap<String, String>) -> Vec<String> {
    let is = |name: &str, value: &str| settings.get(name).is_some_and(|found| found.eq_ignore_ascii_case(value));
    let mut problems = Vec::new();
    if is("gmysql-innodb-read-committed", "no") {
        problems
            .push("gmysql-innodb-read-committed=no: the guard would read an old snapshot; set it to yes".to_owned());
    }
    if is("dnsupdate", "yes") {
        problems.push("dnsupdate=yes: somebody else could write between read and write; set it to no".to_owned());
    }
    if settings.get("launch").is_some_and(|launch| launch.contains("lmdb"))
        && settings.get("lmdb-sync-mode").is_some_and(|mode| mode != "sync")
    {
        problems.push("lmdb-sync-mode is not sync: a crash would lose acknowledged writes; set it to sync".to_owned());
    }
    problems
}

async fn bounded(check: impl Future<Output = Check>) -> Check {
    tokio::time::timeout(CHECK_TIMEOUT, check).await.unwrap_or_else(|_| Err("no answer within 2.5 s".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsound_settings_of_powerdns_are_named() {
        let settings = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<HashMap<_, _>>()
        };
        assert!(unsound_settings(&settings(&[("launch", "gmysql"), ("dnsupdate", "no")])).is_empty());
        let bad = [
            ("launch", "lmdb"),
            ("lmdb-sync-mode", "mapasync"),
            ("dnsupdate", "yes"),
            ("gmysql-innodb-read-committed", "no"),
        ];
        assert_eq!(unsound_settings(&settings(&bad)).len(), 3);
    }
}
