//! What the use cases stand on, made once at start-up.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::scaikey::ScaiKey;
use crate::storage::Db;

use super::Result;
use super::identity::Identity;

/// Handed to every use case; no global state besides.
pub struct Services {
    pub config: Arc<Config>,
    pub clock: Clock,
    pub db: Db,
    pub scaikey: ScaiKey,
    pub identity: Identity,
}

impl Services {
    /// Connects to nothing yet: a replica starts while others are down, and its readiness says which.
    pub fn new(config: Arc<Config>, clock: Clock) -> Result<Self> {
        let db = Db::lazy(&config.database)?;
        let scaikey = ScaiKey::new(&config.scaikey, clock.clone())?;
        let identity = Identity::new(&config, clock.clone(), db.clone(), scaikey.clone());
        Ok(Self { config, clock, db, scaikey, identity })
    }
}
