//! The token endpoint on behalf of browsers, which must not hold the client's secret; and its revocation.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::provider::ScaiKey;
use super::{ScaiKeyError, http};

/// What a browser has in hand.
#[derive(Debug)]
pub enum Grant {
    Code { code: SecretString, code_verifier: SecretString, redirect_uri: String },
    Refresh { refresh_token: SecretString },
}

/// What ScaiKey gives for it.
#[derive(Debug, Deserialize)]
pub struct TokenAnswer {
    pub access_token: SecretString,
    #[serde(default)]
    pub refresh_token: Option<SecretString>,
    #[serde(default)]
    pub id_token: Option<SecretString>,
    /// Seconds.
    #[serde(default)]
    pub expires_in: Option<u64>,
}

/// Why there are no tokens.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OAuthError {
    /// ScaiKey's own word (RFC 6749, 5.2).
    #[error("{error}{}", .description.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused { error: String, description: Option<String> },
    #[error(transparent)]
    ScaiKey(#[from] ScaiKeyError),
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

/// What is shown of ScaiKey's words.
const SHOWN_CHARACTERS: usize = 300;

impl ScaiKey {
    /// Exchanges a grant for tokens. Never repeated: a code and a refresh token are good for one use.
    pub async fn exchange(&self, grant: &Grant) -> Result<TokenAnswer, OAuthError> {
        let url = self.discovery().await?.token_endpoint;
        let form: Vec<(&str, &str)> = match grant {
            Grant::Code { code, code_verifier, redirect_uri } => vec![
                ("grant_type", "authorization_code"),
                ("code", code.expose_secret()),
                ("code_verifier", code_verifier.expose_secret()),
                ("redirect_uri", redirect_uri),
            ],
            Grant::Refresh { refresh_token } => {
                vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose_secret())]
            }
        };
        match http::json_or_refusal(&url, self.as_client(&url, &form)).await? {
            http::Answered::Good(answer) => Ok(answer),
            http::Answered::Refused(_, Refusal { error, error_description }) => {
                let shown = |text: String| text.chars().filter(|c| !c.is_control()).take(SHOWN_CHARACTERS).collect();
                Err(OAuthError::Refused { error: shown(error), description: error_description.map(shown) })
            }
        }
    }

    /// Tells ScaiKey that a token has been given back (RFC 7009). False: it offers no such thing.
    pub async fn revoke(&self, token: &SecretString, hint: &str) -> Result<bool, ScaiKeyError> {
        let Some(url) = self.discovery().await?.revocation_endpoint else { return Ok(false) };
        let form = [("token", token.expose_secret()), ("token_type_hint", hint)];
        http::done(&url, self.as_client(&url, &form)).await?;
        Ok(true)
    }

    fn as_client(&self, url: &str, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let inner = self.inner();
        let client = [("client_id", inner.client_id.as_str()), ("client_secret", inner.client_secret.expose_secret())];
        let form: Vec<(&str, &str)> = form.iter().copied().chain(client).collect();
        inner.http.post(url).form(&form)
    }
}
