//! TSIG keys at PowerDNS.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::client::{Pdns, PdnsError, body, unexpected, zone_path};

/// One row in PowerDNS's database.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// What is read of a key.
#[derive(Deserialize)]
struct SecretOfKey {
    key: SecretString,
}

impl Pdns {
    /// Makes a key; the secret as base64. `Ok(false)`: there is one of that name.
    pub async fn create_tsig_key(&self, name: &str, algorithm: &str, secret: &SecretString) -> Result<bool, PdnsError> {
        let body = json!({ "name": format!("{name}."), "algorithm": algorithm, "key": secret.expose_secret() });
        let request = self.request(Method::POST, "/tsigkeys").json(&body);
        let response = self.send(request, CALL_TIMEOUT).await?;
        match response.status() {
            StatusCode::CREATED => Ok(true),
            StatusCode::CONFLICT => Ok(false),
            _ => Err(unexpected(response).await),
        }
    }

    /// The secret of a key, as base64. `Ok(None)`: there is none of that name.
    pub async fn tsig_secret(&self, name: &str) -> Result<Option<SecretString>, PdnsError> {
        let request = self.request(Method::GET, &format!("/tsigkeys/{}", zone_path(name)));
        let response = self.send(request, CALL_TIMEOUT).await?;
        match response.status() {
            StatusCode::OK => Ok(Some(body::<SecretOfKey>(response).await?.key)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(unexpected(response).await),
        }
    }

    /// Afterwards there is no key of this name. Safe to repeat.
    pub async fn delete_tsig_key(&self, name: &str) -> Result<(), PdnsError> {
        let request = self.request(Method::DELETE, &format!("/tsigkeys/{}", zone_path(name)));
        let response = self.send(request, CALL_TIMEOUT).await?;
        match response.status() {
            StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Ok(()),
            _ => Err(unexpected(response).await),
        }
    }
}
