//! ScaiKey as one thing: where it is, what its discovery document says, whose tokens it signs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Client;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::config::ScaiKeyConfig;

use super::admin::AdminToken;
use super::jwks::{JwksCache, JwksDocument};
use super::token::{self, AccessToken, TokenError};
use super::token_cache::TokenCache;
use super::{AdminApi, ScaiKeyError, http};

/// Where the platform's discovery document stands; everything else is read from it.
const DISCOVERY_PATH: &str = "/api/v1/platform/oauth/.well-known/openid-configuration";

/// After it could not be renewed it is not asked for again for this long: nobody waits for a ScaiKey that is down, one
/// after the other.
const RENEW_PAUSE: Duration = Duration::from_secs(5);

/// The part of the discovery document that is used here.
#[derive(Clone, Debug, Deserialize)]
pub struct Discovery {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub jwks_uri: String,
    #[serde(default)]
    pub userinfo_endpoint: Option<String>,
    #[serde(default)]
    pub end_session_endpoint: Option<String>,
    #[serde(default)]
    pub revocation_endpoint: Option<String>,
}

/// The document as it was had last.
struct Kept {
    document: Discovery,
    /// From when on it is asked for anew; until that is answered it serves on.
    stale_at: Instant,
}

/// The identity provider. Cheap to clone.
#[derive(Clone)]
pub struct ScaiKey(Arc<Inner>);

pub(super) struct Inner {
    /// Without a trailing slash; it is the platform's issuer, too.
    pub base: String,
    pub client_id: String,
    pub client_secret: SecretString,
    pub http: Client,
    pub clock: Clock,
    ttl: Duration,
    discovery: Mutex<Option<Kept>>,
    jwks: JwksCache,
    tokens: TokenCache,
    pub(super) admin_token: AdminToken,
}

impl ScaiKey {
    /// Connects to nothing yet.
    pub fn new(config: &ScaiKeyConfig, clock: Clock) -> Result<Self, ScaiKeyError> {
        let ScaiKeyConfig { url, client_id, client_secret, application_id: _, jwks_cache_ttl, token_cache_ttl } =
            config;
        Ok(Self(Arc::new(Inner {
            base: url.trim_end_matches('/').to_owned(),
            client_id: client_id.clone(),
            client_secret: client_secret.clone(),
            http: http::client()?,
            clock,
            ttl: *jwks_cache_ttl,
            discovery: Mutex::default(),
            jwks: JwksCache::new(*jwks_cache_ttl),
            tokens: TokenCache::new(*token_cache_ttl),
            admin_token: AdminToken::default(),
        })))
    }

    /// The platform's discovery document, kept as long as the signing keys; the known one serves on while ScaiKey is
    /// down.
    pub async fn discovery(&self) -> Result<Discovery, ScaiKeyError> {
        let mut kept = self.0.discovery.lock().await;
        if let Some(kept) = kept.as_ref()
            && Instant::now() < kept.stale_at
        {
            return Ok(kept.document.clone());
        }
        let url = format!("{}{DISCOVERY_PATH}", self.0.base);
        match http::json::<Discovery>(&url, self.0.http.get(&url)).await {
            Ok(document) => {
                *kept = Some(Kept { document: document.clone(), stale_at: Instant::now() + self.0.ttl });
                Ok(document)
            }
            Err(error) => match kept.as_mut() {
                Some(kept) => {
                    tracing::warn!(%error, "discovery document could not be renewed, the known one serves on");
                    kept.stale_at = Instant::now() + RENEW_PAUSE;
                    Ok(kept.document.clone())
                }
                None => Err(error),
            },
        }
    }

    /// Reads an access token of a user, with every check that needs no database.
    pub async fn verify(&self, token: &str) -> Result<AccessToken, TokenError> {
        let now = self.0.clock.now();
        if let Some(known) = self.0.tokens.get(token) {
            known.check_times(now)?;
            return Ok(known);
        }
        let envelope = token::open(token)?;
        let key = self.0.jwks.key(&envelope.kid, async || self.fetch_keys().await).await?;
        let key = key.ok_or(TokenError::UnknownKey)?;
        let good = token::read(token, &envelope, &key, &self.0.base, &self.0.client_id, now)?;
        self.0.tokens.keep(token, &good);
        Ok(good)
    }

    /// Whether the signing keys can be had now: for readiness.
    pub async fn check_signing_keys(&self) -> Result<(), ScaiKeyError> {
        self.fetch_keys().await.map(|_| ())
    }

    /// The admin API, with a token of its own.
    pub fn admin(&self) -> AdminApi {
        AdminApi::new(self.clone())
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    async fn fetch_keys(&self) -> Result<JwksDocument, ScaiKeyError> {
        let url = self.discovery().await?.jwks_uri;
        let fetched = http::json::<JwksDocument>(&url, self.0.http.get(&url)).await;
        if fetched.is_err() {
            // perhaps the keys have moved: ask anew where they are, and go by what is known until that is answered
            if let Some(kept) = self.0.discovery.lock().await.as_mut() {
                kept.stale_at = Instant::now();
            }
        }
        fetched
    }
}

impl std::fmt::Debug for ScaiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScaiKey({})", self.0.base)
    }
}
