//! What the operator decided about DNSSEC, and what PowerDNS's own settings mean for it.

use std::collections::HashMap;
use std::sync::Mutex;

use time::Duration;
use tokio::time::Instant;

use crate::config::{Config, DnssecConfig};
use crate::dns::dnssec::{Denial, Policy};
use crate::pdns::Pdns;
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{Db, within};
use crate::tenancy::SigningTerms;

use super::super::platform::Platform;
use super::super::{Error, Result};

/// PowerDNS's settings change with a restart of it.
const SETTINGS_FOR: std::time::Duration = std::time::Duration::from_secs(300);
/// A parent that is only watched is looked at this much less often than one that is waited for.
const WATCHED_FACTOR: i32 = 12;
/// A worker that is away for less, or a server of the parent, is nothing that a DS would come and go in.
const UNWATCHED_MIN: Duration = Duration::hours(1);
/// Keys that were made in one night are not all rolled in one night: up to a tenth of their lifetime earlier.
const JITTER_PARTS: i32 = 1_000;
/// No more than this part of a key's life has another one beside it.
const OVERLAP_PART: i32 = 2;

/// Kept for the life of the process.
pub struct DnssecSettings {
    config: DnssecConfig,
    platform: Platform,
    propagation: Mutex<Option<(Instant, Duration)>>,
}

impl DnssecSettings {
    pub fn new(config: &Config, platform: Platform) -> Self {
        Self { config: config.dnssec.clone(), platform, propagation: Mutex::default() }
    }

    /// Every server that answers for the zones.
    pub fn servers(&self) -> &[String] {
        &self.config.servers
    }

    /// What holds for one zone: by its settings, its tenant's, the platform's, or the environment.
    pub async fn policy(&self, db: &Db, pdns: &Pdns, zone: &ZoneRow) -> Result<Policy> {
        let tenant = within(zones::tenant_settings(db, zone.tenant)).await?;
        let tenant = SigningTerms::read(&serde_json::from_str(&tenant).unwrap_or_default());
        let terms = SigningTerms::read(&zone.settings).or(tenant).or(self.platform.settings().await?.terms.signing);
        Ok(self.policy_of(self.propagation(pdns).await, zone, terms))
    }

    fn policy_of(&self, propagation: Duration, zone: &ZoneRow, terms: SigningTerms) -> Policy {
        let DnssecConfig { servers: _, propagation: _, margin, zsk_lifetime, ksk_lifetime, overlap, poll, ds_deadline } =
            &self.config;
        let SigningTerms { zsk_lifetime_days, ksk_lifetime_days, overlap_days } = terms;
        let id = zone.id.0.as_bytes();
        let part = i32::from(u16::from_be_bytes([id[14], id[15]]) % 100);
        let lifetime = |days: Option<u32>, usual: &Option<std::time::Duration>| match days {
            None => usual.map(long),
            Some(days) => Some(Duration::days(i64::from(days))).filter(|days| !days.is_zero()),
        };
        let jittered =
            |lifetime: Option<Duration>| lifetime.map(|lifetime| lifetime * (JITTER_PARTS - part) / JITTER_PARTS);
        let zsk_lifetime = jittered(lifetime(zsk_lifetime_days, zsk_lifetime));
        let overlap = overlap_days.map_or_else(|| long(*overlap), |days| Duration::days(i64::from(days)));
        let poll = long(*poll);
        Policy {
            propagation,
            margin: long(*margin),
            // one that lasts as long as a key would leave no time in which nothing is rolled
            zsk_overlap: zsk_lifetime.map_or(overlap, |lifetime| overlap.min(lifetime / OVERLAP_PART)),
            zsk_lifetime,
            ksk_lifetime: jittered(lifetime(ksk_lifetime_days, ksk_lifetime)),
            poll_waiting: poll,
            poll_active: poll * (WATCHED_FACTOR * JITTER_PARTS - part) / JITTER_PARTS,
            unwatched: (poll * (2 * WATCHED_FACTOR)).max(UNWATCHED_MIN),
            ds_deadline: long(*ds_deadline),
        }
    }

    async fn propagation(&self, pdns: &Pdns) -> Duration {
        if let Some(given) = self.config.propagation {
            return long(given);
        }
        let known = *self.lock();
        if let Some((_, propagation)) = known.filter(|(at, _)| at.elapsed() < SETTINGS_FOR) {
            return propagation;
        }
        match pdns.settings().await {
            Ok(settings) => {
                let propagation = of_caches(&settings);
                *self.lock() = Some((Instant::now(), propagation));
                propagation
            }
            // what was known holds, else PowerDNS's defaults
            Err(_) => known.map_or_else(|| of_caches(&HashMap::new()), |(_, propagation)| propagation),
        }
    }

    /// One step: a panic elsewhere leaves it as it was.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Duration)>> {
        self.propagation.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// lmdb leaves removed names in chains that stand in the database, before 5.1.
    pub async fn check_denial(&self, pdns: &Pdns, denial: Denial) -> Result<()> {
        if denial == Denial::Narrow {
            return Ok(());
        }
        let settings = pdns.settings().await?;
        if settings.get("launch").is_some_and(|launch| launch.contains("lmdb")) {
            return Err(Error::invalid("denial", "the nameservers' storage (lmdb) allows narrow only"));
        }
        Ok(())
    }
}

/// How long a server may give what it no longer has: what it remembers of keys and settings, and then of answers made
/// with them. PowerDNS's defaults where it does not say.
fn of_caches(settings: &HashMap<String, String>) -> Duration {
    let seconds = |names: &[&str], default: i64| {
        let found = names.iter().find_map(|name| settings.get(*name)?.parse::<i64>().ok());
        found.unwrap_or(default)
    };
    let keys = seconds(&["dnssec-key-cache-ttl"], 30);
    let metadata = seconds(&["zone-metadata-cache-ttl", "domain-metadata-cache-ttl"], 60);
    let queries = seconds(&["query-cache-ttl"], 20).max(seconds(&["negquery-cache-ttl"], 60));
    let packets = seconds(&["cache-ttl"], 20);
    Duration::seconds(keys.max(metadata) + queries + packets)
}

fn long(duration: std::time::Duration) -> Duration {
    Duration::try_from(duration).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_of_a_server_add_up() {
        assert_eq!(of_caches(&HashMap::new()), Duration::seconds(140));
        let settings = [("dnssec-key-cache-ttl", "0"), ("zone-metadata-cache-ttl", "1"), ("query-cache-ttl", "2")];
        let more = [("negquery-cache-ttl", "1"), ("cache-ttl", "3")];
        let settings = settings.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(of_caches(&settings.collect()), Duration::seconds(6));
    }
}
