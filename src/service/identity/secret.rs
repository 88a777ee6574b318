//! The secrets of API keys: how they look, and the only form in which they are stored.

use hmac::{Hmac, KeyInit, Mac};
use rand::distr::{Alphanumeric, SampleString};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::storage::api_keys::SecretHash;

const PREFIX: &str = "sdk_live_"; // contract

/// Base-62 characters: 256 bits.
const LENGTH: usize = 43; // contract

/// Of the secret, so many characters may be shown to tell keys apart.
const SHOWN: usize = PREFIX.len() + 2; // contract

/// A secret that was just made, to be shown once.
pub struct NewSecret {
    pub secret: SecretString,
    /// `sdk_live_ab`
    pub shown_prefix: String,
}

impl NewSecret {
    pub fn random() -> Self {
        let secret = format!("{PREFIX}{}", Alphanumeric.sample_string(&mut rand::rng(), LENGTH));
        Self { shown_prefix: secret.chars().take(SHOWN).collect(), secret: secret.into() }
    }
}

/// Whether this could be a secret of ours at all: what could not is refused without a look at the database.
pub fn is_well_formed(text: &str) -> bool {
    text.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.len() == LENGTH && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// `API_KEY_PEPPER`: several while one replaces another, the newest first.
#[derive(Clone)]
pub struct Peppers(Vec<SecretString>);

impl Peppers {
    /// The configuration gives at least one.
    pub fn new(peppers: Vec<SecretString>) -> Self {
        Self(peppers)
    }

    /// The hash under each pepper, newest first.
    pub fn hashes(&self, secret: &str) -> impl Iterator<Item = SecretHash> {
        self.0.iter().filter_map(move |pepper| hash(pepper.expose_secret(), secret))
    }

    /// The hash under which a new secret is stored.
    pub fn newest(&self, secret: &SecretString) -> Option<SecretHash> {
        self.0.first().and_then(|pepper| hash(pepper.expose_secret(), secret.expose_secret()))
    }
}

fn hash(pepper: &str, secret: &str) -> Option<SecretHash> {
    // a key of any length is taken
    let mut mac = Hmac::<Sha256>::new_from_slice(pepper.as_bytes()).ok()?;
    mac.update(secret.as_bytes());
    Some(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_secret_has_the_form_of_the_contract() {
        let new = NewSecret::random();
        let secret = new.secret.expose_secret();
        assert_eq!(secret.len(), 9 + 43);
        assert!(is_well_formed(secret));
        assert!(secret.starts_with(&new.shown_prefix));
        assert_eq!(new.shown_prefix.len(), "sdk_live_ab".len());
        assert_ne!(secret, NewSecret::random().secret.expose_secret());
    }

    #[test]
    fn other_texts_are_refused_unlooked() {
        let good = NewSecret::random().secret;
        let good = good.expose_secret();
        for text in ["", "sdk_live_", &good[..51], &format!("{good}a"), &good.replace("sdk_live_", "sdk_test_")] {
            assert!(!is_well_formed(text), "{text}");
        }
        assert!(!is_well_formed(&format!("sdk_live_{}", "-".repeat(43))));
    }

    #[test]
    fn a_secret_made_under_an_older_pepper_is_found_second() {
        let (old, new) = (SecretString::from("o".repeat(32)), SecretString::from("n".repeat(32)));
        let secret = NewSecret::random().secret;
        let stored = Peppers::new(vec![old.clone()]).newest(&secret);
        let rotated = Peppers::new(vec![new, old]);
        let hashes: Vec<SecretHash> = rotated.hashes(secret.expose_secret()).collect();
        assert_eq!(hashes.len(), 2);
        assert_ne!(Some(hashes[0]), stored);
        assert_eq!(Some(hashes[1]), stored);
    }
}
