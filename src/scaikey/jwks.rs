//! ScaiKey's signing keys, kept between requests.
//!
//! A key that is known and fresh costs nothing. One that is known but stale is fetched again, and serves on while
//! ScaiKey is down. One that is unknown makes a fetch, shared by all who wait for one; if that does not bring it, it
//! is refused for ten seconds without another.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use super::ScaiKeyError;

/// How long a `kid` is refused that a fetch did not bring.
const UNKNOWN_KID_REFUSED: Duration = Duration::from_secs(10); // contract

/// After a failed fetch, known keys serve on for this long before the next attempt.
const RETRY_STALE: Duration = Duration::from_secs(10);

/// After a failed fetch, an unknown `kid` is answered with that failure for this long.
const RETRY_UNKNOWN: Duration = Duration::from_secs(1);

/// Fetches that unknown `kid`s cause are at least this far apart, whoever sends them.
const FETCH_SPACING: Duration = Duration::from_millis(250);

/// Refused `kid`s that are remembered; when more come, the spacing alone bounds the fetches.
const UNKNOWN_KIDS_MAX: usize = 1_000;

/// Keys that are taken from one document.
const KEYS_MAX: usize = 64;

/// A key and the one algorithm that it is for.
#[derive(Clone)]
pub struct VerificationKey {
    pub algorithm: Algorithm,
    pub key: DecodingKey,
}

/// The document, read key by key, so that one of an unknown kind does not spoil the rest.
#[derive(Deserialize)]
pub struct JwksDocument {
    keys: Vec<serde_json::Value>,
}

impl JwksDocument {
    fn into_keys(self) -> HashMap<String, VerificationKey> {
        self.keys
            .into_iter()
            .take(KEYS_MAX)
            .filter_map(|value| serde_json::from_value::<Jwk>(value).ok())
            .filter_map(|jwk| Some((jwk.common.key_id.clone()?, verification_key(&jwk)?)))
            .collect()
    }
}

/// A document without a single usable key is no reason to forget those that are known.
pub fn usable_keys(document: JwksDocument) -> Result<HashMap<String, VerificationKey>, ScaiKeyError> {
    let keys = document.into_keys();
    if keys.is_empty() {
        let reason = "no usable signing key in the key set".to_owned();
        return Err(ScaiKeyError::Malformed { url: String::new(), reason });
    }
    Ok(keys)
}

/// RSA is for RS256 and P-256 for ES256, and nothing else is for anything.
fn verification_key(jwk: &Jwk) -> Option<VerificationKey> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(parameters) if parameters.curve == EllipticCurve::P256 => Algorithm::ES256,
        _ => return None,
    };
    let stated = match jwk.common.key_algorithm {
        None => algorithm,
        Some(KeyAlgorithm::RS256) => Algorithm::RS256,
        Some(KeyAlgorithm::ES256) => Algorithm::ES256,
        Some(_) => return None,
    };
    let for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
    if stated != algorithm || !for_signatures {
        return None;
    }
    Some(VerificationKey { algorithm, key: DecodingKey::from_jwk(jwk).ok()? })
}

/// What is known, under one lock that is never held across an await.
#[derive(Default)]
struct Known {
    keys: HashMap<String, VerificationKey>,
    fetched_at: Option<Instant>,
    failed: Option<(Instant, ScaiKeyError)>,
    unknown: HashMap<String, Instant>,
    /// Rises with each fetch that ended: whoever waited through one need not make another.
    fetches: u64,
}

pub struct JwksCache {
    ttl: Duration,
    known: Mutex<Known>,
    /// Held by the one who fetches.
    fetching: tokio::sync::Mutex<Option<Instant>>,
}

/// What a look at the cache gives.
enum Look {
    Use(VerificationKey),
    /// Known, but older than the TTL: usable if nothing better can be had.
    Stale(VerificationKey),
    Refused,
    Failed(ScaiKeyError),
    /// With the fetches counted so far.
    Fetch(u64),
}

impl JwksCache {
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, known: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// The key of this id, or None where ScaiKey has no such key.
    pub async fn key<F>(&self, kid: &str, fetch: F) -> Result<Option<VerificationKey>, ScaiKeyError>
    where
        F: AsyncFnOnce() -> Result<JwksDocument, ScaiKeyError>,
    {
        match self.look(kid) {
            Look::Use(key) => Ok(Some(key)),
            Look::Refused => Ok(None),
            Look::Failed(error) => Err(error),
            Look::Stale(key) => {
                // whoever finds a fetch under way goes on with what is known
                let Ok(mut last) = self.fetching.try_lock() else { return Ok(Some(key)) };
                *last = Some(Instant::now());
                match self.store(fetch().await) {
                    Ok(()) => Ok(self.known(kid)),
                    Err(error) => {
                        tracing::warn!(%error, "signing keys could not be renewed, the known ones serve on");
                        Ok(Some(key))
                    }
                }
            }
            Look::Fetch(before) => {
                let mut last = self.fetching.lock().await;
                match self.look(kid) {
                    Look::Use(key) | Look::Stale(key) => return Ok(Some(key)),
                    Look::Refused => return Ok(None),
                    Look::Failed(error) => return Err(error),
                    // a fetch that began after this call did, and did not bring the key
                    Look::Fetch(now) if now > before + 1 => return Ok(self.refuse(kid)),
                    Look::Fetch(_) => {}
                }
                if let Some(began) = *last {
                    tokio::time::sleep(FETCH_SPACING.saturating_sub(began.elapsed())).await;
                }
                *last = Some(Instant::now());
                self.store(fetch().await)?;
                Ok(self.known(kid).or_else(|| self.refuse(kid)))
            }
        }
    }

    fn look(&self, kid: &str) -> Look {
        let known = self.lock();
        let now = Instant::now();
        let failed_within = |time: Duration| known.failed.as_ref().filter(|(at, _)| now - *at < time);
        match known.keys.get(kid) {
            Some(key) => {
                let fresh = known.fetched_at.is_some_and(|at| now - at < self.ttl);
                if fresh || failed_within(RETRY_STALE).is_some() {
                    Look::Use(key.clone())
                } else {
                    Look::Stale(key.clone())
                }
            }
            None if known.unknown.get(kid).is_some_and(|until| *until > now) => Look::Refused,
            None => match failed_within(RETRY_UNKNOWN) {
                Some((_, error)) => Look::Failed(error.clone()),
                None => Look::Fetch(known.fetches),
            },
        }
    }

    fn known(&self, kid: &str) -> Option<VerificationKey> {
        self.lock().keys.get(kid).cloned()
    }

    fn refuse(&self, kid: &str) -> Option<VerificationKey> {
        let mut known = self.lock();
        let now = Instant::now();
        if known.unknown.len() >= UNKNOWN_KIDS_MAX {
            known.unknown.retain(|_, until| *until > now);
        }
        if known.unknown.len() < UNKNOWN_KIDS_MAX {
            known.unknown.insert(kid.to_owned(), now + UNKNOWN_KID_REFUSED);
        }
        None
    }

    fn store(&self, fetched: Result<JwksDocument, ScaiKeyError>) -> Result<(), ScaiKeyError> {
        let mut known = self.lock();
        known.fetches += 1;
        match fetched.and_then(usable_keys) {
            Ok(keys) => {
                known.keys = keys;
                known.fetched_at = Some(Instant::now());
                known.failed = None;
                Ok(())
            }
            Err(error) => {
                known.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
