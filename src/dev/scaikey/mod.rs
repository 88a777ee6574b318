//! The small ScaiKey: the identity platform as far as ScaiDNS speaks with it, over real HTTP.
//!
//! | path | |
//! |---|---|
//! | `GET /api/v1/platform/oauth/.well-known/openid-configuration` | discovery of the platform flavour |
//! | `GET /api/v1/platform/.well-known/jwks.json` | the public half of the signing key |
//! | `POST /api/v1/platform/oauth/token` | `grant_type=client_credentials`, Basic or form fields |
//! | `GET /api/v1/admin/{partners,tenants,users,groups}/`, `/{id}`, `/groups/{id}/members` | the admin API's read side |
//! | `POST /dev/token` | this stack's own: mints any user's access token, see [`oauth`] |
//!
//! The directory starts from a fixed seed ([`directory`]) and lives in memory; the signing key lives in the data
//! folder, so that tokens outlive a restart. Never part of a production process.

mod admin;
pub mod directory;
mod key;
mod oauth;
mod tokens;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;

use self::directory::Directory;
use self::key::SigningKey;
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
        let Settings { folder, address, client_secret, clock } = settings;
        let listener = http::listen(address, "small ScaiKey").await?;
        let address = listener.local_addr().map_err(|source| DevError::Spawn { name: "ScaiKey".into(), source })?;
        let key = tokio::task::spawn_blocking(move || SigningKey::load_or_create(&folder))
            .await
            .map_err(|e| DevError::Invalid(e.to_string()))??;
        let state = Arc::new(State {
            base: format!("http://{address}"),
            client_secret,
            clock,
            key,
            directory: Mutex::new(Directory::seed()),
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

    /// Stops answering, as if the platform were down.
    pub async fn stop(self) {
        self.service.stop().await;
    }
}

#[derive(Debug)]
struct State {
    base: String,
    client_secret: String,
    clock: Clock,
    key: SigningKey,
    directory: Mutex<Directory>,
}

impl State {
    fn directory(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn router(state: Arc<State>) -> Router {
    Router::new()
        .merge(oauth::routes())
        .nest("/api/v1/admin", admin::routes(state.clone()))
        .fallback(async || Refusal(StatusCode::NOT_FOUND, "Not Found".into()))
        .with_state(state)
}

#[cfg(test)]
mod tests;
