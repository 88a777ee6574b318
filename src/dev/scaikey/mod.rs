//! The small ScaiKey: the identity platform as far as ScaiDNS speaks with it, over real HTTP.
//!
//! | path | |
//! |---|---|
//! | `/api/v1/platform/oauth/…`, `/api/v1/auth/tenants/{slug}/…` | both flavours: discovery, login page, tokens ([`oauth`], [`login`]) |
//! | `GET /api/v1/platform/.well-known/jwks.json` | the public halves of the signing keys |
//! | `/api/v1/admin/{partners,tenants,users,groups}/…` | the admin API ([`admin`], [`admin_writes`]) |
//! | `/dev/…` | this stack's own: anybody's tokens, failures, key rotation, webhooks ([`switches`]) |
//!
//! The directory starts from a fixed seed ([`directory`]) and lives in memory, as do logins; the signing key lives in
//! the data folder, so that tokens outlive a restart. Never part of a production process.

mod admin;
mod admin_writes;
pub mod directory;
mod effective;
pub mod faults;
mod key;
mod login;
mod oauth;
mod sessions;
mod switches;
mod tokens;
pub mod webhooks;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;

use self::directory::Directory;
use self::faults::Faults;
use self::key::KeyRing;
use self::sessions::{Issuer, Sessions};
use self::webhooks::{Hooks, Subscriber};
use super::DevError;
use super::http::{self, HttpService, Refusal};
use crate::clock::Clock;

/// The OAuth client that ScaiDNS is.
pub const CLIENT_ID: &str = "scaidns-dev";
/// ScaiDNS as an application in ScaiKey.
pub const APPLICATION_ID: &str = "app_01j2g00000e008000000000180";

/// How to start one.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder its signing key is kept in.
    pub folder: PathBuf,
    /// Where to listen; port 0 takes any free one.
    pub address: SocketAddr,
    /// What its clients call it; None: by its address.
    pub url: Option<String>,
    pub client_secret: String,
    pub clock: Clock,
}

/// A running ScaiKey; it ends when dropped.
#[derive(Debug)]
pub struct ScaiKey {
    service: HttpService,
    state: Arc<State>,
}

impl ScaiKey {
    /// Makes or finds the signing key, then listens.
    pub async fn start(settings: Settings) -> Result<Self, DevError> {
        let Settings { folder, address, url, client_secret, clock } = settings;
        let listener = http::listen(address, "small ScaiKey").await?;
        let address = listener.local_addr().map_err(|source| DevError::Spawn { name: "ScaiKey".into(), source })?;
        let key = tokio::task::spawn_blocking(move || KeyRing::load_or_create(&folder))
            .await
            .map_err(|e| DevError::Invalid(e.to_string()))??;
        let state = Arc::new(State {
            base: url.unwrap_or_else(|| format!("http://{address}")).trim_end_matches('/').to_owned(),
            client_secret,
            clock,
            keys: Mutex::new(key),
            directory: Mutex::new(Directory::seed()),
            sessions: Mutex::default(),
            faults: Mutex::default(),
            hooks: Hooks::default(),
        });
        let service = HttpService::start(listener, router(state.clone()))?;
        Ok(Self { service, state })
    }

    /// `SCAIKEY_URL`, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.state.base
    }

    /// An access token of the user with this id or e-mail address, as ScaiKey would sign it.
    pub fn access_token(&self, user: &str, lifetime: Duration) -> Result<String, DevError> {
        self.state
            .access_token(user, i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX), serde_json::Map::new())
            .ok_or_else(|| DevError::Invalid(format!("the small ScaiKey knows no user {user}")))
    }

    /// Changes what the admin API and later tokens say: users come, go and change.
    pub fn change(&self, change: impl FnOnce(&mut Directory)) {
        change(&mut self.state.directory());
    }

    /// Tells this address of all that happens from now on.
    pub fn subscribe(&self, url: &str, secret: &str) {
        self.state.hooks.subscribe(Subscriber { url: url.to_owned(), secret: secret.to_owned() });
    }

    /// Switches failures on, or off with the default.
    pub fn set_faults(&self, faults: Faults) {
        *self.state.faults() = faults;
    }

    /// Stops answering, as if the platform were down.
    pub async fn stop(self) {
        self.state.hooks.end();
        self.service.stop().await;
    }
}

#[derive(Debug)]
struct State {
    base: String,
    client_secret: String,
    clock: Clock,
    keys: Mutex<KeyRing>,
    directory: Mutex<Directory>,
    sessions: Mutex<Sessions>,
    faults: Mutex<Faults>,
    hooks: Hooks,
}

impl State {
    fn directory(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self) -> MutexGuard<'_, KeyRing> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The issuer of the tenant with this slug.
    fn tenant_issuer(&self, slug: &str) -> Option<Issuer> {
        let directory = self.directory();
        directory.tenants.iter().find(|tenant| tenant.slug == slug).map(|tenant| Issuer::Tenant(tenant.id.clone()))
    }
}

fn router(state: Arc<State>) -> Router {
    Router::new()
        .merge(oauth::routes())
        .merge(admin::routes(state.clone()))
        .merge(switches::routes())
        .fallback(async || Refusal(StatusCode::NOT_FOUND, "Not Found".into()))
        .layer(from_fn_with_state(state.clone(), faults::middleware))
        .with_state(state)
}

#[cfg(test)]
mod tests;
