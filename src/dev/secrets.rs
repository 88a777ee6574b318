//! The stack's own secrets: random at the first start, kept in the data folder with mode 0600.

use std::path::Path;

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{DevError, files};

/// Passwords and keys between the parts of one stack.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secrets {
    pub database_password: String,
    pub pdns_database_password: String,
    pub pdns_api_key: String,
    pub scaikey_client_secret: String,
    pub scaikey_webhook_secret: String,
    pub api_key_pepper: String,
    pub session_secret: String,
    /// Empty in a folder of an earlier version: nothing is sealed there.
    #[serde(default)]
    pub audit_seal_key: String,
}

impl Secrets {
    /// Those of the data folder, or new ones written there.
    pub fn load_or_create(data: &Path) -> Result<Self, DevError> {
        let path = data.join(FILE);
        if let Some(text) = files::read_if_there(&path)? {
            return serde_json::from_str(&text).map_err(|e| DevError::HalfInitialised {
                path: path.display().to_string(),
                what: format!("not readable as secrets: {e}"),
            });
        }
        let secrets = Self {
            database_password: random(),
            pdns_database_password: random(),
            pdns_api_key: random(),
            scaikey_client_secret: random(),
            scaikey_webhook_secret: random(),
            api_key_pepper: random(),
            session_secret: random(),
            audit_seal_key: random(),
        };
        let text = serde_json::to_string_pretty(&secrets).map_err(|e| DevError::Invalid(e.to_string()))?;
        files::write_private(&path, text)?;
        Ok(secrets)
    }

    /// Whether this folder has had its first start.
    pub fn exist(data: &Path) -> bool {
        data.join(FILE).exists()
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

const FILE: &str = "secrets.json";

/// 256 random bits in hexadecimal: long enough for every use, and safe in a URL, a shell and a config file.
fn random() -> String {
    hex::encode(rand::rng().random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_finds_the_same_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let first = Secrets::load_or_create(folder.path()).unwrap();
        let second = Secrets::load_or_create(folder.path()).unwrap();
        assert_eq!(first.api_key_pepper, second.api_key_pepper);
        assert_ne!(first.api_key_pepper, first.session_secret);
    }

    #[test]
    fn a_broken_secrets_file_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        let error = Secrets::load_or_create(folder.path()).unwrap_err().to_string();
        assert!(error.contains("half initialised") && error.contains("scaidns dev reset"), "{error}");
    }
}
