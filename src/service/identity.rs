//! From credentials to a [`Caller`].

use std::net::IpAddr;

use crate::authz::Caller;
use crate::clock::Clock;
use crate::config::Config;
use crate::storage::Db;

use super::{Error, Result};

#[derive(Clone)]
pub struct Identity {
    _db: Db,
}

impl Identity {
    pub fn new(_config: &Config, _clock: Clock, db: Db) -> Self {
        Self { _db: db }
    }

    /// The caller that presents this key from this address.
    pub async fn caller_by_api_key(&self, _secret: &str, _from: Option<IpAddr>) -> Result<Caller> {
        Err(Error::Unauthenticated("no keys".into()))
    }

    /// The caller that presents this access token, acting in `tenant` (the header `X-Tenant-ID`) if given.
    pub async fn caller_by_token(&self, _token: &str, _tenant: Option<&str>) -> Result<Caller> {
        Err(Error::Unauthenticated("no tokens".into()))
    }

    pub async fn check_signing_keys(&self) -> std::result::Result<(), String> {
        Ok(())
    }

    pub fn start_background(&self) {}

    pub async fn flush(&self) {}
}
