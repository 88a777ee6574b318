//! What the use cases stand on, made once at start-up.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::storage::Db;

use super::identity::Identity;

/// Handed to every use case; no global state besides.
pub struct Services {
    pub config: Arc<Config>,
    pub clock: Clock,
    pub db: Db,
    pub identity: Identity,
}

impl Services {
    /// Connects to nothing yet: a replica starts while others are down, and its readiness says which.
    pub fn new(config: Arc<Config>, clock: Clock) -> Result<Self, crate::storage::StorageError> {
        let db = Db::lazy(&config.database)?;
        let identity = Identity::new(&config, clock.clone(), db.clone());
        Ok(Self { config, clock, db, identity })
    }
}
