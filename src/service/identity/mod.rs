//! From credentials to a [`Caller`]. What a caller may do follows from the mirror alone; tokens feed it.

mod by_key;
mod by_token;
mod cache;
mod logout;
mod profile;
pub(super) mod rights;
pub(super) mod secret;
#[cfg(all(test, feature = "dev"))]
mod tests;
mod uses;
mod watch;

use std::sync::Arc;

use secrecy::SecretString;

use crate::authz::Caller;
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::TenantId;
use crate::scaikey::{ScaiKey, ScaiKeyError, TokenError};
use crate::storage::Db;
use crate::storage::api_keys::{PresentedKey, SecretHash};
use crate::storage::audit::AuditEntry;
use crate::storage::directory::{Holder, Reference, TenantRow};
use crate::storage::logged_out::TokenHash;
use crate::storage::revocations::Revoked;

use super::{Context, Error, RequestInfo, Result};

use cache::{Cache, Unspent};
use watch::Watch;

pub use profile::{HeldRole, KeyProfile, Profile, TokenProfile};

/// A caller, and how much it may call.
#[derive(Clone, Debug)]
pub struct Known {
    pub caller: Caller,
    /// The key's own limit, requests a minute.
    pub rate_limit: Option<u32>,
    /// Of the tenant acted in, where its settings say.
    pub requests_per_minute: Option<u32>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    scaikey: ScaiKey,
    peppers: secret::Peppers,
    uses: uses::KeyUses,
    watch: Arc<Watch>,
    /// By the hash of the secret, never the secret.
    keys: Cache<SecretHash, PresentedKey>,
    /// By ScaiKey's id.
    users: Cache<String, Holder>,
    tenants: Cache<Reference<TenantId>, TenantRow>,
    /// Access tokens that were looked for among those that were logged out, and were not there.
    unspent: Cache<TokenHash, Unspent>,
}

impl Identity {
    pub fn new(config: &Config, clock: Clock, db: Db, scaikey: ScaiKey) -> Self {
        let peppers = secret::Peppers::new(config.secrets.api_key_peppers.clone());
        let watch = Arc::new(Watch::default());
        Self(Arc::new(Inner {
            uses: uses::KeyUses::new(db.clone()),
            db,
            clock,
            scaikey,
            peppers,
            keys: Cache::new(watch.clone()),
            users: Cache::new(watch.clone()),
            tenants: Cache::new(watch.clone()),
            unspent: Cache::new(watch.clone()),
            watch,
        }))
    }

    /// The caller that presents this key with this request, whose address counts.
    pub async fn caller_by_api_key(&self, secret: &str, request: &RequestInfo) -> Result<Known> {
        by_key::caller(&self.0, secret, request).await
    }

    /// The caller that presents this access token, acting in `tenant` (the header `X-Tenant-ID`) if given.
    pub async fn caller_by_token(&self, token: &str, tenant: Option<&str>, request: &RequestInfo) -> Result<Known> {
        by_token::caller(&self.0, token, tenant, request).await
    }

    /// What a call with this token would be let in as.
    pub async fn token_profile(&self, token: &str, request: &RequestInfo) -> Result<TokenProfile> {
        let caller = by_token::caller(&self.0, token, None, request).await?.caller;
        let token = self.0.scaikey.verify(token).await?;
        Ok(TokenProfile { profile: profile::profile(&caller)?, scopes: token.scopes, expires_at: token.expires_at })
    }

    /// Ends this access token, of which `entry` tells; one that has ended already is left as it is.
    pub async fn end_token(&self, token: &SecretString, entry: AuditEntry) -> Result<()> {
        logout::end(&self.0, token, entry).await
    }

    /// Who the caller is and what it holds, to show.
    pub fn profile(&self, context: &Context) -> Result<Profile> {
        profile::profile(&context.caller)
    }

    /// Keeps what is remembered of rights current, for ever. Where nobody does, each request asks the database.
    pub async fn follow_revocations(&self) {
        self.0.watch.follow(&self.0.db).await;
    }

    /// Forgets what a transaction of this replica has revoked; the others read of it.
    pub fn forget(&self, revoked: &Revoked) {
        self.0.watch.revoke(revoked);
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
