//! What the use cases stand on, made once at start-up.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::pdns::{Pdns, PdnsError};
use crate::resolve::{Resolve, ResolveSettings};
use crate::scaikey::{ScaiKey, ScaiKeyError};
use crate::storage::{Db, StorageError};

use super::denials::Denials;
use super::dnssec::DnssecSettings;
use super::identity::Identity;
use super::platform::Platform;
use super::rate_limits::RateLimits;
use super::readiness::Readiness;
use super::zone_names::ZoneNames;
use super::zone_writer::ZoneWriter;

/// Handed to every use case; no global state besides.
pub struct Services {
    pub config: Arc<Config>,
    pub clock: Clock,
    pub db: Db,
    pub pdns: Pdns,
    pub resolve: Resolve,
    pub scaikey: ScaiKey,
    pub identity: Identity,
    pub rate_limits: RateLimits,
    pub denials: Denials,
    pub platform: Platform,
    pub writer: ZoneWriter,
    pub zone_names: ZoneNames,
    pub readiness: Readiness,
    pub dnssec: DnssecSettings,
}

/// Why the program cannot start; nothing here waits for another server.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Pdns(#[from] PdnsError),
    #[error(transparent)]
    ScaiKey(#[from] ScaiKeyError),
    #[error("REDIS_URL: {0}")]
    Redis(#[from] redis::RedisError),
}

impl Services {
    /// Connects to nothing yet: a replica starts while others are down, and its readiness says which.
    pub fn new(config: Arc<Config>, clock: Clock) -> Result<Self, StartError> {
        let db = Db::lazy(&config.database)?;
        let pdns = Pdns::new(&config.pdns)?;
        let resolve = Resolve::new(ResolveSettings {
            resolvers: config.validation.resolvers.clone(),
            authoritative_port: config.validation.authoritative_port,
            allow_private_nameservers: config.validation.allow_private_nameservers,
        });
        let scaikey = ScaiKey::new(&config.scaikey, clock.clone())?;
        let identity = Identity::new(&config, clock.clone(), db.clone(), scaikey.clone());
        let denials = Denials::new(db.clone());
        let platform = Platform::new(db.clone(), config.clone());
        let rate_limits = RateLimits::new(&config, platform.clone(), clock.clone())?;
        let writer =
            ZoneWriter::new(db.clone(), pdns.clone(), clock.clone(), platform.clone(), config.pdns.dns_address.clone());
        let readiness = Readiness::new(&config, db.clone(), pdns.clone(), scaikey.clone())?;
        let zone_names = ZoneNames::default();
        let dnssec = DnssecSettings::new(&config, platform.clone());
        Ok(Self {
            config,
            clock,
            db,
            pdns,
            resolve,
            scaikey,
            identity,
            rate_limits,
            denials,
            platform,
            writer,
            zone_names,
            readiness,
            dnssec,
        })
    }
}
