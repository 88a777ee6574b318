//! From credentials to a [`Caller`]. What a caller may do follows from the mirror alone; tokens feed it.

mod by_key;
mod by_token;
mod profile;
pub(super) mod rights;
pub(super) mod secret;
mod uses;

use std::net::IpAddr;
use std::sync::Arc;

use crate::authz::Caller;
use crate::clock::Clock;
use crate::config::Config;
use crate::scaikey::{ScaiKey, ScaiKeyError, TokenError};
use crate::storage::Db;

use super::{Context, Error, Result};

pub use profile::{HeldRole, KeyProfile, Profile};

/// Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    scaikey: ScaiKey,
    peppers: secret::Peppers,
    uses: uses::KeyUses,
}

impl Identity {
    pub fn new(config: &Config, clock: Clock, db: Db, scaikey: ScaiKey) -> Self {
        let peppers = secret::Peppers::new(config.secrets.api_key_peppers.clone());
        Self(Arc::new(Inner { uses: uses::KeyUses::new(db.clone()), db, clock, scaikey, peppers }))
    }

    /// The caller that presents this key from this address.
    pub async fn caller_by_api_key(&self, secret: &str, from: Option<IpAddr>) -> Result<Caller> {
        by_key::caller(&self.0, secret, from).await
    }

    /// The caller that presents this access token, acting in `tenant` (the header `X-Tenant-ID`) if given.
    pub async fn caller_by_token(&self, token: &str, tenant: Option<&str>) -> Result<Caller> {
        by_token::caller(&self.0, token, tenant).await
    }

    /// Who the caller is and what it holds, to show.
    pub async fn profile(&self, context: &Context) -> Result<Profile> {
        profile::profile(&self.0.db, &context.caller).await
    }

    /// Writes down the uses of keys that are still only counted in memory: for the way out.
    pub async fn flush(&self) {
        self.0.uses.flush().await;
    }

    pub(super) fn peppers(&self) -> &secret::Peppers {
        &self.0.peppers
    }
}

impl From<ScaiKeyError> for Error {
    fn from(error: ScaiKeyError) -> Self {
        Self::Upstream(format!("ScaiKey cannot be reached or answers wrongly: {error}"))
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::ScaiKey(error) => error.into(),
            TokenError::TooLong
            | TokenError::Malformed
            | TokenError::Algorithm
            | TokenError::UnknownKey
            | TokenError::Signature
            | TokenError::Expired
            | TokenError::NotYetValid
            | TokenError::Issuer
            | TokenError::Audience
            | TokenError::NotAnAccessToken
            | TokenError::NotAUser => Self::Unauthenticated(error.to_string()),
        }
    }
}
