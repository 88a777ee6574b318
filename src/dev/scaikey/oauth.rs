//! Discovery, keys, the token endpoint, and `POST /dev/token`.
//!
//! `POST /dev/token` takes `{"user_id": "usr_…"}` or `{"email": "…"}`, optionally `expires_in` (seconds, negative for
//! a token that has already expired) and `claims` (set last; `null` takes a claim away), and answers
//! `{"access_token", "token_type", "expires_in"}`. It exists for tests and tours, and asks for no credentials.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::tokens::{ACCESS_TOKEN_SECONDS, PLATFORM_SCOPE};
use super::{CLIENT_ID, State};
use crate::dev::http::Refusal;

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/api/v1/platform/oauth/.well-known/openid-configuration", get(discovery))
        .route("/api/v1/platform/.well-known/jwks.json", get(jwks))
        .route("/api/v1/platform/oauth/token", post(token))
        .route("/dev/token", post(dev_token))
}

async fn discovery(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    let base = &state.base;
    let oauth = format!("{base}/api/v1/platform/oauth");
    Json(json!({
        "issuer": base,
        "authorization_endpoint": format!("{oauth}/authorize"),
        "token_endpoint": format!("{oauth}/token"),
        "userinfo_endpoint": format!("{oauth}/userinfo"),
        "end_session_endpoint": format!("{oauth}/logout"),
        "jwks_uri": format!("{base}/api/v1/platform/.well-known/jwks.json"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "profile", "email"],
    }))
}

async fn jwks(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(state.key.jwks())
}

#[derive(Deserialize)]
struct TokenRequest {
    grant_type: String,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: Option<String>,
}

async fn token(Shared(state): Shared<Arc<State>>, headers: HeaderMap, Form(request): Form<TokenRequest>) -> Response {
    let TokenRequest { grant_type, client_id, client_secret, scope } = request;
    let client = basic(&headers).or_else(|| client_id.zip(client_secret));
    if client != Some((CLIENT_ID.to_owned(), state.client_secret.clone())) {
        return oauth_error(StatusCode::UNAUTHORIZED, "invalid_client", "client authentication failed");
    }
    if grant_type != "client_credentials" {
        return oauth_error(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "only client_credentials is spoken here",
        );
    }
    let allowed: Vec<&str> = PLATFORM_SCOPE.split(' ').collect();
    if !scope.iter().flat_map(|scope| scope.split_whitespace()).all(|wanted| allowed.contains(&wanted)) {
        return oauth_error(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            "only admin:read and admin:write may be asked for",
        );
    }
    match state.platform_token() {
        Some(access_token) => Json(json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": ACCESS_TOKEN_SECONDS,
            "scope": PLATFORM_SCOPE,
        }))
        .into_response(),
        None => oauth_error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "could not sign"),
    }
}

/// RFC 6749, 5.2, with ScaiKey's `detail` beside it.
fn oauth_error(status: StatusCode, error: &str, description: &str) -> Response {
    let body = json!({"error": error, "error_description": description, "detail": description});
    (status, Json(body)).into_response()
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let encoded = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    text.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DevTokenRequest {
    user_id: Option<String>,
    email: Option<String>,
    expires_in: Option<i64>,
    #[serde(default)]
    claims: Map<String, Value>,
}

async fn dev_token(
    Shared(state): Shared<Arc<State>>,
    Json(request): Json<DevTokenRequest>,
) -> Result<Json<Value>, Refusal> {
    let DevTokenRequest { user_id, email, expires_in, claims } = request;
    let user = user_id.or(email).ok_or_else(|| Refusal::invalid("user_id or email is required"))?;
    let expires_in = expires_in.unwrap_or(ACCESS_TOKEN_SECONDS);
    let access_token =
        state.access_token(&user, expires_in, claims).ok_or_else(|| Refusal::not_found(&format!("user {user}")))?;
    Ok(Json(json!({"access_token": access_token, "token_type": "Bearer", "expires_in": expires_in})))
}
