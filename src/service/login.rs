//! Logging in and out: what a browser needs to go to ScaiKey and come back, and the end of a token. Who a token's user
//! is and what it may is `identity`'s.

use secrecy::SecretString;

use crate::scaikey::{Discovery, Grant, OAuthError, TokenAnswer};

use super::audit::{Resource, entry};
use super::identity::TokenProfile;
use super::{ActorRecord, Context, Error, RequestInfo, Result, Services};

/// More than any code, verifier or address that ScaiKey makes or takes.
const PARAMETER_BYTES_MAX: usize = 2_048;

/// An opaque token; the bound of access tokens, should ScaiKey's refresh tokens be such.
const REFRESH_TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Where a browser goes, and as whom.
pub struct LoginConfig {
    pub discovery: Discovery,
    pub userinfo_endpoint: String,
    pub client_id: String,
}

/// What `auth/validate` finds.
pub enum Validated {
    Good(Box<TokenProfile>),
    Refused(String),
}

pub async fn config(services: &Services) -> Result<LoginConfig> {
    let discovery = services.scaikey.discovery().await?;
    let userinfo_endpoint = format!("{}/api/v1/auth/me", services.config.external_url);
    Ok(LoginConfig { discovery, userinfo_endpoint, client_id: services.config.scaikey.client_id.clone() })
}

/// Exchanges the code that the browser came back with.
pub async fn token(
    services: &Services,
    code: String,
    code_verifier: String,
    redirect_uri: String,
) -> Result<TokenAnswer> {
    for (field, value) in [("code", &code), ("code_verifier", &code_verifier), ("redirect_uri", &redirect_uri)] {
        check_parameter(field, value, PARAMETER_BYTES_MAX)?;
    }
    let grant = Grant::Code { code: code.into(), code_verifier: code_verifier.into(), redirect_uri };
    Ok(services.scaikey.exchange(&grant).await?)
}

/// Exchanges a refresh token for a new pair. Where ScaiKey does not rotate, the old one stays good (RFC 6749, 6).
pub async fn refresh(services: &Services, refresh_token: String) -> Result<TokenAnswer> {
    check_parameter("refresh_token", &refresh_token, REFRESH_TOKEN_BYTES_MAX)?;
    let refresh_token = SecretString::from(refresh_token);
    let answer = services.scaikey.exchange(&Grant::Refresh { refresh_token: refresh_token.clone() }).await?;
    Ok(TokenAnswer { refresh_token: Some(answer.refresh_token.unwrap_or(refresh_token)), ..answer })
}

/// Ends the presented token here, whatever ScaiKey says to it, then there; and its refresh token, if it is given.
pub async fn logout(
    services: &Services,
    context: &Context,
    access_token: SecretString,
    refresh_token: Option<String>,
) -> Result<()> {
    if let Some(token) = &refresh_token {
        check_parameter("refresh_token", token, REFRESH_TOKEN_BYTES_MAX)?;
    }
    let actor = ActorRecord::from(&context.caller.actor);
    let resource =
        Resource { resource_type: "user", id: Some(actor.actor_id.clone()), name: actor.actor_email.clone() };
    let nothing = (serde_json::Value::Null, serde_json::Value::Null);
    let tenant = Some(context.caller.tenant);
    let entry = entry(&actor, &context.request, tenant, "auth.logout", resource, nothing, services.clock.now());
    services.identity.end_token(&access_token, entry).await?;
    let refresh_token = refresh_token.map(|token| (SecretString::from(token), "refresh_token"));
    for (token, hint) in [(access_token, "access_token")].into_iter().chain(refresh_token) {
        match services.scaikey.revoke(&token, hint).await {
            Ok(true) => {}
            Ok(false) => break,
            // it is refused here, and ends there by itself
            Err(error) => tracing::warn!(%error, hint, "a token could not be revoked at ScaiKey"),
        }
    }
    Ok(())
}

/// Whether a call with this token would be let in, and as whom.
pub async fn validate(services: &Services, request: &RequestInfo, token: &str) -> Result<Validated> {
    match services.identity.token_profile(token, request).await {
        Ok(profile) => Ok(Validated::Good(Box::new(profile))),
        Err(Error::Unauthenticated(reason) | Error::Forbidden { message: reason, .. }) => {
            Ok(Validated::Refused(reason))
        }
        Err(error) => Err(error),
    }
}

fn check_parameter(field: &str, value: &str, most: usize) -> Result<()> {
    if value.is_empty() || value.len() > most {
        return Err(Error::schema(&["body", field], format!("must have 1 to {most} bytes")));
    }
    Ok(())
}

impl From<OAuthError> for Error {
    fn from(error: OAuthError) -> Self {
        match error {
            OAuthError::Refused { error: ref code, .. } => {
                if code == "invalid_client" {
                    tracing::warn!("ScaiKey does not take SCAIKEY_CLIENT_ID with SCAIKEY_CLIENT_SECRET");
                }
                let code = match code.as_str() {
                    "invalid_request" => "invalid_request",
                    "invalid_grant" => "invalid_grant",
                    "invalid_client" => "invalid_client",
                    "unauthorized_client" => "unauthorized_client",
                    "invalid_scope" => "invalid_scope",
                    _ => "login_refused",
                };
                Self::Invalid { message: error.to_string(), field: None, code }
            }
            OAuthError::ScaiKey(error) => error.into(),
        }
    }
}
