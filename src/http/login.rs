//! `/auth/`: what a browser needs to log in at ScaiKey and out again. The client's secret stays here.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::scaikey::{Discovery, TokenAnswer};
use crate::service::Services;
use crate::service::identity::{HeldRole, Profile, TokenProfile};
use crate::service::login::{self, LoginConfig, Validated};

use super::error::ApiError;
use super::extract::{Anonymous, ApiJson, OptionalJson, PresentedToken};
use super::idempotency::ShownOnce;

/// How to log in: OpenID Connect, authorization code with PKCE (S256).
#[derive(Serialize, ToSchema)]
pub struct AuthConfig {
    pub authorization_endpoint: String,
    /// ScaiKey's own. A browser exchanges its code at `/api/v1/auth/token`, which adds the client's secret.
    pub token_endpoint: String,
    #[schema(example = "https://dns.example.com/api/v1/auth/me")]
    pub userinfo_endpoint: String,
    /// Null where ScaiKey has none.
    pub end_session_endpoint: Option<String>,
    pub jwks_uri: String,
    pub issuer: String,
    #[schema(example = "scaidns")]
    pub client_id: String,
    #[schema(example = json!(["openid", "profile", "email"]))]
    pub scopes: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// That the browser came back with.
    #[schema(min_length = 1, max_length = 2048)]
    pub code: String,
    #[schema(min_length = 1, max_length = 2048)]
    pub code_verifier: String,
    /// The same as at the authorization endpoint.
    #[schema(min_length = 1, max_length = 2048)]
    pub redirect_uri: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    #[schema(min_length = 1, max_length = 8192)]
    pub refresh_token: String,
}

/// As ScaiKey gives them.
#[derive(Serialize, ToSchema)]
pub struct TokenResponse {
    pub access_token: String,
    /// Good for one use.
    pub refresh_token: Option<String>,
    #[schema(example = "Bearer")]
    pub token_type: &'static str,
    /// Seconds.
    #[schema(example = 3600)]
    pub expires_in: u64,
    /// Null where ScaiKey gives none.
    pub id_token: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogoutRequest {
    /// Revoked at ScaiKey with the access token.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 8192)]
    pub refresh_token: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct LogoutResponse {
    #[schema(example = "ok")]
    pub status: &'static str,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidateRequest {
    pub token: String,
}

/// What a call with the token would meet.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum ValidateResponse {
    Good(GoodToken),
    Refused(RefusedToken),
}

#[derive(Serialize, ToSchema)]
pub struct GoodToken {
    #[schema(example = true)]
    pub valid: bool,
    #[schema(example = "usr_5f1c2a")]
    pub sub: String,
    /// The tenant that a call acts in.
    #[schema(example = "t_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub tenant_id: String,
    pub email: Option<String>,
    #[schema(example = json!(["tenant_admin"]))]
    pub roles: Vec<String>,
    /// The token's own.
    #[schema(example = json!(["openid", "profile", "email"]))]
    pub scopes: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

#[derive(Serialize, ToSchema)]
pub struct RefusedToken {
    #[schema(example = false)]
    pub valid: bool,
    #[schema(example = "Token has expired")]
    pub reason: String,
}

/// Of an answer that is kept for who asks again.
const TOKENS: Extension<ShownOnce> = Extension(ShownOnce(&["access_token", "refresh_token", "id_token"]));

/// Where to log in, as ScaiKey's discovery document says.
#[utoipa::path(get, path = "/api/v1/auth/config", tag = "auth", responses((status = 200, body = AuthConfig)))]
pub async fn config(State(services): State<Arc<Services>>) -> Result<Json<AuthConfig>, ApiError> {
    Ok(Json(login::config(&services).await?.into()))
}

/// Exchanges an authorization code for tokens.
#[utoipa::path(post, path = "/api/v1/auth/token", tag = "auth", request_body = TokenRequest,
    responses((status = 200, body = TokenResponse)))]
pub async fn token(
    State(services): State<Arc<Services>>,
    ApiJson(request): ApiJson<TokenRequest>,
) -> Result<(Extension<ShownOnce>, Json<TokenResponse>), ApiError> {
    let TokenRequest { code, code_verifier, redirect_uri } = request;
    let answer = login::token(&services, code, code_verifier, redirect_uri).await?;
    Ok((TOKENS, Json(answer.into())))
}

/// Exchanges a refresh token for new tokens; the old one is spent.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", request_body = RefreshRequest,
    responses((status = 200, body = TokenResponse)))]
pub async fn refresh(
    State(services): State<Arc<Services>>,
    ApiJson(request): ApiJson<RefreshRequest>,
) -> Result<(Extension<ShownOnce>, Json<TokenResponse>), ApiError> {
    let RefreshRequest { refresh_token } = request;
    Ok((TOKENS, Json(login::refresh(&services, refresh_token).await?.into())))
}

/// Ends the access token that the call is made with: it is refused from now on, on every replica.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth", request_body = Option<LogoutRequest>,
    responses((status = 200, body = LogoutResponse)))]
pub async fn logout(
    PresentedToken { context, token }: PresentedToken,
    State(services): State<Arc<Services>>,
    OptionalJson(request): OptionalJson<LogoutRequest>,
) -> Result<Json<LogoutResponse>, ApiError> {
    let LogoutRequest { refresh_token } = request;
    login::logout(&services, &context, token, refresh_token).await?;
    Ok(Json(LogoutResponse { status: "ok" }))
}

/// Whether a call with this access token would be let in.
#[utoipa::path(post, path = "/api/v1/auth/validate", tag = "auth", request_body = ValidateRequest,
    responses((status = 200, body = ValidateResponse)))]
pub async fn validate(
    Anonymous(request): Anonymous,
    State(services): State<Arc<Services>>,
    ApiJson(ValidateRequest { token }): ApiJson<ValidateRequest>,
) -> Result<Json<ValidateResponse>, ApiError> {
    Ok(Json(login::validate(&services, &request, &token).await?.into()))
}

impl From<LoginConfig> for AuthConfig {
    fn from(config: LoginConfig) -> Self {
        let LoginConfig { discovery, userinfo_endpoint, client_id } = config;
        let Discovery {
            issuer,
            authorization_endpoint,
            token_endpoint,
            jwks_uri,
            userinfo_endpoint: _,
            end_session_endpoint,
            revocation_endpoint: _,
        } = discovery;
        Self {
            authorization_endpoint,
            token_endpoint,
            userinfo_endpoint,
            end_session_endpoint,
            jwks_uri,
            issuer,
            client_id,
            scopes: ["openid", "profile", "email"].map(str::to_owned).to_vec(),
        }
    }
}

impl From<TokenAnswer> for TokenResponse {
    fn from(answer: TokenAnswer) -> Self {
        let TokenAnswer { access_token, refresh_token, id_token, expires_in } = answer;
        let plain = |secret: SecretString| secret.expose_secret().to_owned();
        Self {
            access_token: plain(access_token),
            refresh_token: refresh_token.map(plain),
            token_type: "Bearer",
            expires_in: expires_in.unwrap_or_default(),
            id_token: id_token.map(plain),
        }
    }
}

impl From<Validated> for ValidateResponse {
    fn from(validated: Validated) -> Self {
        match validated {
            Validated::Refused(reason) => Self::Refused(RefusedToken { valid: false, reason }),
            Validated::Good(profile) => {
                let TokenProfile { profile, scopes, expires_at } = *profile;
                let Profile { id, email, tenant, roles, .. } = profile;
                let mut roles: Vec<String> = roles.into_iter().map(|HeldRole { role, .. }| role.to_owned()).collect();
                roles.dedup();
                Self::Good(GoodToken {
                    valid: true,
                    sub: id,
                    tenant_id: tenant.to_string(),
                    email,
                    roles,
                    scopes,
                    expires_at,
                })
            }
        }
    }
}
