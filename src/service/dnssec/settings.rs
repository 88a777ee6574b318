//! What the operator decided about DNSSEC, and what PowerDNS's own settings mean for it.

use std::collections::HashMap;
use std::sync::Mutex;

use time::Duration;
use tokio::time::Instant;

use crate::config::{Config, DnssecConfig};
use crate::dns::dnssec::{Denial, Policy};
use crate::ids::ZoneId;
use crate::pdns::Pdns;

use super::super::{Error, Result};

/// PowerDNS's settings change with a restart of it.
const SETTINGS_FOR: std::time::Duration = std::time::Duration::from_secs(300);
/// A parent that is only watched is looked at this much less often than one that is waited for.
const WATCHED_FACTOR: i32 = 12;
/// Keys that were made in one night are not all rolled in one night: up to a tenth of their lifetime earlier.
const JITTER_PARTS: i32 = 1_000;

/// Kept for the life of the process.
pub struct DnssecSettings {
    config: DnssecConfig,
    propagation: Mutex<Option<(Instant, Duration)>>,
}

impl DnssecSettings {
    pub fn new(config: &Config) -> Self {
        Self { config: config.dnssec.clone(), propagation: Mutex::default() }
    }

    /// Every server that answers for the zones.
    pub fn servers(&self) -> &[String] {
        &self.config.servers
    }

    /// What holds for one zone.
    pub async fn policy(&self, pdns: &Pdns, zone: ZoneId) -> Policy {
        let DnssecConfig { servers: _, propagation: _, margin, zsk_lifetime, ksk_lifetime, poll, ds_deadline } =
            &self.config;
        let part = i32::from(u16::from_be_bytes([zone.0.as_bytes()[14], zone.0.as_bytes()[15]]) % 100);
        let jittered = |lifetime: &Option<std::time::Duration>| {
            lifetime.map(|lifetime| long(lifetime) * (JITTER_PARTS - part) / JITTER_PARTS)
        };
        let poll = long(*poll);
        Policy {
            propagation: self.propagation(pdns).await,
            margin: long(*margin),
            zsk_lifetime: jittered(zsk_lifetime),
            ksk_lifetime: jittered(ksk_lifetime),
            poll_waiting: poll,
            poll_active: poll * (WATCHED_FACTOR * JITTER_PARTS - part) / JITTER_PARTS,
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
