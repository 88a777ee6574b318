//! Access tokens whose signature was found good a moment ago, by hash. It saves the arithmetic and nothing else: when a
//! token ends, who its user is and whether it was logged out are looked at each time.

use std::time::Duration;

use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::token::AccessToken;

/// Tokens that are in use at a time; each entry is some hundred bytes.
const TOKENS_MAX: u64 = 10_000;

pub struct TokenCache(Option<Cache<[u8; 32], AccessToken>>);

impl TokenCache {
    /// A `ttl` of zero keeps nothing.
    pub fn new(ttl: Duration) -> Self {
        let build = || Cache::builder().max_capacity(TOKENS_MAX).time_to_live(ttl).build();
        Self((!ttl.is_zero()).then(build))
    }

    pub fn get(&self, token: &str) -> Option<AccessToken> {
        self.0.as_ref()?.get(&hash(token))
    }

    pub fn keep(&self, token: &str, good: &AccessToken) {
        if let Some(cache) = &self.0 {
            cache.insert(hash(token), good.clone());
        }
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
