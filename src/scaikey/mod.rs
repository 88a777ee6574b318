//! ScaiKey, the identity provider: discovery, signing keys, access tokens, the admin API. Typed calls with time-outs
//! and bounds; what is learnt here is stored and decided upon elsewhere.
//!
//! *Architecture invariant:* nothing here touches the database, and no token, secret or key is ever logged.

mod admin;
mod admin_writes;
mod event;
mod http;
mod jwks;
mod oauth;
mod provider;
mod statement;
mod token;
mod token_cache;

#[cfg(all(test, feature = "dev"))]
pub(crate) mod testing;
#[cfg(all(test, feature = "dev"))]
mod tests;

pub use admin::AdminApi;
pub use admin_writes::WriteError;
pub use event::{Event, EventError, Happened, Told, check_signature};
pub use oauth::{Grant, OAuthError, TokenAnswer};
pub use provider::{Discovery, ScaiKey};
pub use statement::{Member, PartnerStatement, TenantStatement, UserGroupStatement, UserStatement};
pub use token::{AccessToken, Issuer, TokenError};

/// What is made of a token before its key is known; for those who try what no token should be.
#[cfg(any(test, feature = "fuzzing"))]
pub fn open_token(text: &str) -> String {
    match token::open(text) {
        Ok(_) => "a token".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// The ids of the keys that a key set gives, sorted; likewise.
#[cfg(any(test, feature = "fuzzing"))]
pub fn read_key_set(text: &[u8]) -> Result<Vec<String>, String> {
    let document = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let keys = jwks::usable_keys(document).map_err(|error| error.to_string())?;
    let mut ids: Vec<String> = keys.into_keys().collect();
    ids.sort();
    Ok(ids)
}

/// Why a call to ScaiKey came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ScaiKeyError {
    /// No answer, or none in time.
    #[error("scaikey cannot be reached at {url}: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("scaikey answered {status} at {url}")]
    Status { url: String, status: u16 },
    /// An answer that is not of the documented form.
    #[error("scaikey answered nonsense at {url}: {reason}")]
    Malformed { url: String, reason: String },
}
