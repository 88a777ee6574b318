//! What the platform's admin has decided while the installation runs: settings, nameservers, authoritative domains. It
//! is kept in MariaDB, and the environment says what holds until then.
//!
//! Every reader asks [`Platform`]. What that remembers is two seconds old at most, without anybody telling anybody:
//! Redis has no part in it. Where that is too much, as when a zone goes live, [`Platform::fresh`] reads anew.

mod authoritative;
mod catalogue;
mod config;
mod nameserver_set;
pub mod nameservers;
mod rewrite;
#[cfg(test)]
pub mod testing;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::dns::ZoneName;
use crate::storage::platform_settings::{self, SettingRow};
use crate::storage::{Db, within};

use super::Result;

pub use authoritative::{Domains, domains, set_domains};
pub use catalogue::Terms;
pub use config::{ConfigValue, get, list, set};
pub use nameserver_set::NameserverSet;
pub use rewrite::{KIND, RECURRING, run, sweep};

/// After this long it is read again.
const REMEMBERED_FOR: Duration = Duration::from_secs(1);

/// Everything that the platform's admin decides, as it stands.
#[derive(Clone, Debug)]
pub struct PlatformSettings {
    pub nameservers: NameserverSet,
    /// Below these a name needs no proof, unless another tenant's zone is near.
    pub authoritative_domains: Vec<ZoneName>,
    pub terms: Terms,
    /// As they stand in MariaDB.
    rows: Vec<SettingRow>,
}

impl PlatformSettings {
    /// As the environment says, where nobody has decided otherwise.
    pub fn of(config: &Config) -> Self {
        Self::read(config, Vec::new())
    }

    fn read(config: &Config, rows: Vec<SettingRow>) -> Self {
        let row = |name: &str| rows.iter().find(|row| row.name == name);
        Self {
            nameservers: NameserverSet::read(config, row(nameservers::NAME)),
            authoritative_domains: row(authoritative::NAME).map(authoritative::read).unwrap_or_default(),
            terms: Terms::read(config, &rows),
            rows,
        }
    }
}

/// Cheap to clone; one a process.
#[derive(Clone)]
pub struct Platform {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    config: Arc<Config>,
    known: Mutex<Known>,
    /// Held by who reads what was remembered too long.
    reading: tokio::sync::Mutex<()>,
}

struct Known {
    settings: Arc<PlatformSettings>,
    /// None: never, or void.
    read_at: Option<Instant>,
}

impl Platform {
    /// Reads nothing yet.
    pub fn new(db: Db, config: Arc<Config>) -> Self {
        let known = Known { settings: Arc::new(PlatformSettings::of(&config)), read_at: None };
        Self { inner: Arc::new(Inner { db, config, known: Mutex::new(known), reading: tokio::sync::Mutex::default() }) }
    }

    /// As they are, or were within the last second; within two while somebody else reads them. Nobody waits for another
    /// one's look at a database that may not answer.
    pub async fn settings(&self) -> Result<Arc<PlatformSettings>> {
        if let Some(settings) = self.remembered(REMEMBERED_FOR) {
            return Ok(settings);
        }
        let reading = self.inner.reading.try_lock();
        if reading.is_err()
            && let Some(settings) = self.remembered(2 * REMEMBERED_FOR)
        {
            return Ok(settings);
        }
        self.fresh().await
    }

    /// As they are now.
    pub async fn fresh(&self) -> Result<Arc<PlatformSettings>> {
        // what is read now is as of now or later, however long it takes
        let asked = Instant::now();
        let rows = within(platform_settings::all(&self.inner.db)).await?;
        let settings = Arc::new(PlatformSettings::read(&self.inner.config, rows));
        let mut known = self.known_now();
        if known.read_at.is_none_or(|read_at| read_at < asked) {
            *known = Known { settings: settings.clone(), read_at: Some(asked) };
        }
        Ok(settings)
    }

    /// For those who can neither wait nor fail: what was read last. It is read again beside that where it is too old.
    pub fn last_known(&self) -> Arc<PlatformSettings> {
        if self.remembered(REMEMBERED_FOR).is_none() && self.inner.reading.try_lock().is_ok() {
            let platform = self.clone();
            tokio::spawn(async move {
                if let Err(error) = platform.settings().await {
                    tracing::warn!(%error, "the platform's settings could not be read; those read last hold");
                }
            });
        }
        self.known_now().settings.clone()
    }

    /// What is remembered is void: who has just changed something sees it at once.
    fn forget(&self) {
        self.known_now().read_at = None;
    }

    fn remembered(&self, most: Duration) -> Option<Arc<PlatformSettings>> {
        let known = self.known_now();
        let is_young = known.read_at.is_some_and(|read_at| read_at.elapsed() < most);
        is_young.then(|| known.settings.clone())
    }

    /// One step: a panic elsewhere leaves it as it was.
    fn known_now(&self) -> std::sync::MutexGuard<'_, Known> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
