//! OAuth and OpenID Connect in both flavours: discovery, keys, the token endpoint, revocation, user info, log out.

use std::sync::Arc;

use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::directory::ACTIVE;
use super::sessions::{Issuer, Session};
use super::tokens::{ACCESS_TOKEN_SECONDS, PLATFORM_SCOPE};
use super::{CLIENT_ID, State, login};
use crate::dev::http::Refusal;

pub(super) fn routes() -> Router<Arc<State>> {
    const PLATFORM: &str = "/api/v1/platform/oauth";
    const TENANT: &str = "/api/v1/auth/tenants/{slug}";
    Router::new()
        .route("/api/v1/platform/.well-known/jwks.json", get(jwks))
        .route(&format!("{PLATFORM}/.well-known/openid-configuration"), get(platform_discovery))
        .route(&format!("{PLATFORM}/authorize"), get(login::platform_page).post(login::platform_login))
        .route(&format!("{PLATFORM}/token"), post(platform_token))
        .route(&format!("{PLATFORM}/revoke"), post(revoke))
        .route(&format!("{PLATFORM}/userinfo"), get(userinfo))
        .route(&format!("{PLATFORM}/logout"), get(logout))
        .route(&format!("{TENANT}/.well-known/openid-configuration"), get(tenant_discovery))
        .route(&format!("{TENANT}/oauth/authorize"), get(login::tenant_page).post(login::tenant_login))
        .route(&format!("{TENANT}/oauth/token"), post(tenant_token))
}

async fn platform_discovery(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    let oauth = format!("{}/api/v1/platform/oauth", state.base);
    Json(discovery(&state, &Issuer::Platform, &oauth))
}

async fn tenant_discovery(Shared(state): Shared<Arc<State>>, Path(slug): Path<String>) -> Result<Json<Value>, Refusal> {
    let issuer = state.tenant_issuer(&slug).ok_or_else(|| Refusal::not_found(&slug))?;
    let oauth = format!("{}/api/v1/auth/tenants/{slug}/oauth", state.base);
    Ok(Json(discovery(&state, &issuer, &oauth)))
}

fn discovery(state: &State, issuer: &Issuer, oauth: &str) -> Value {
    let base = &state.base;
    let platform = format!("{base}/api/v1/platform/oauth");
    json!({
        "issuer": issuer.url(base),
        "authorization_endpoint": format!("{oauth}/authorize"),
        "token_endpoint": format!("{oauth}/token"),
        "userinfo_endpoint": format!("{platform}/userinfo"),
        "revocation_endpoint": format!("{platform}/revoke"),
        "end_session_endpoint": format!("{platform}/logout"),
        "jwks_uri": format!("{base}/api/v1/platform/.well-known/jwks.json"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "profile", "email"],
    })
}

async fn jwks(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(state.keys().jwks())
}

#[derive(Deserialize)]
struct TokenRequest {
    grant_type: String,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: Option<String>,
    code: Option<String>,
    code_verifier: Option<String>,
    redirect_uri: Option<String>,
    refresh_token: Option<String>,
}

async fn platform_token(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Form(request): Form<TokenRequest>,
) -> Response {
    token(&state, &Issuer::Platform, &headers, request).unwrap_or_else(|refused| refused)
}

async fn tenant_token(
    Shared(state): Shared<Arc<State>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    Form(request): Form<TokenRequest>,
) -> Response {
    match state.tenant_issuer(&slug) {
        Some(issuer) => token(&state, &issuer, &headers, request).unwrap_or_else(|refused| refused),
        None => Refusal::not_found(&slug).into_response(),
    }
}

#[expect(clippy::result_large_err, reason = "a response either way")]
fn token(state: &State, issuer: &Issuer, headers: &HeaderMap, request: TokenRequest) -> Result<Response, Response> {
    let TokenRequest { grant_type, client_id, client_secret, scope, code, code_verifier, redirect_uri, refresh_token } =
        request;
    check_client(state, headers, client_id.zip(client_secret))?;
    let missing = |name: &str| bad_request("invalid_request", &format!("{name} is required"));
    let now = state.now();
    let session = match grant_type.as_str() {
        "client_credentials" if *issuer == Issuer::Platform => return client_credentials(state, scope),
        "authorization_code" => {
            let code = code.ok_or_else(|| missing("code"))?;
            let verifier = code_verifier.ok_or_else(|| missing("code_verifier"))?;
            let uri = redirect_uri.ok_or_else(|| missing("redirect_uri"))?;
            state.sessions().redeem(&code, &verifier, &uri, issuer, now)
        }
        "refresh_token" => {
            let token = refresh_token.ok_or_else(|| missing("refresh_token"))?;
            state.sessions().rotate(&token, issuer, now)
        }
        other => return Err(bad_request("unsupported_grant_type", &format!("{other} is not spoken here"))),
    };
    tokens(state, session.map_err(|reason| bad_request("invalid_grant", reason))?)
}

#[expect(clippy::result_large_err, reason = "a response either way")]
fn tokens(state: &State, session: Session) -> Result<Response, Response> {
    let is_active = state.directory().user(&session.user).is_some_and(|user| user.status == ACTIVE);
    let (access_token, id_token) = is_active
        .then(|| state.login_tokens(&session))
        .flatten()
        .ok_or_else(|| bad_request("invalid_grant", "the user is no longer active"))?;
    let scope = session.scope.clone();
    let refresh_token = state.sessions().refresh_token(session, state.now());
    Ok(Json(json!({
        "access_token": access_token,
        "refresh_token": refresh_token,
        "id_token": id_token,
        "token_type": "Bearer",
        "expires_in": ACCESS_TOKEN_SECONDS,
        "scope": scope,
    }))
    .into_response())
}

#[expect(clippy::result_large_err, reason = "a response either way")]
fn client_credentials(state: &State, scope: Option<String>) -> Result<Response, Response> {
    let allowed: Vec<&str> = PLATFORM_SCOPE.split(' ').collect();
    if !scope.iter().flat_map(|scope| scope.split_whitespace()).all(|wanted| allowed.contains(&wanted)) {
        return Err(bad_request("invalid_scope", "only admin:read and admin:write may be asked for"));
    }
    let access_token = state
        .platform_token()
        .ok_or_else(|| oauth_error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "could not sign"))?;
    Ok(Json(json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": ACCESS_TOKEN_SECONDS,
        "scope": PLATFORM_SCOPE,
    }))
    .into_response())
}

#[derive(Deserialize)]
struct RevokeRequest {
    token: String,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// RFC 7009: always 200 for the right client. An access token is a signed statement that cannot be taken back; its
/// session ends.
async fn revoke(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Form(RevokeRequest { token, client_id, client_secret }): Form<RevokeRequest>,
) -> Response {
    if let Err(refused) = check_client(&state, &headers, client_id.zip(client_secret)) {
        return refused;
    }
    let session = state.keys().verify(&token).and_then(|claims| Some(claims.get("sid")?.as_str()?.to_owned()));
    match session {
        Some(session) => state.sessions().end(&session),
        None => state.sessions().revoke(&token),
    }
    StatusCode::OK.into_response()
}

async fn userinfo(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    let refused = || Refusal(StatusCode::UNAUTHORIZED, "Not authenticated".into());
    let token = bearer(&headers).ok_or_else(refused)?;
    let claims = state.keys().verify(token).ok_or_else(refused)?;
    let holds = claims.get("exp").and_then(Value::as_i64).is_some_and(|exp| exp > state.now());
    let directory = state.directory();
    let user = claims.get("sub").and_then(Value::as_str).and_then(|sub| directory.user(sub));
    let user = user.filter(|_| holds).ok_or_else(refused)?;
    Ok(Json(json!({"sub": user.id, "email": user.email, "name": user.display_name})))
}

#[derive(Deserialize)]
struct LogoutQuery {
    post_logout_redirect_uri: Option<String>,
}

/// There is no session of the browser's to end.
async fn logout(Query(LogoutQuery { post_logout_redirect_uri }): Query<LogoutQuery>) -> Response {
    match post_logout_redirect_uri.filter(|uri| login::is_registered(uri)) {
        Some(uri) => (StatusCode::FOUND, [(header::LOCATION, uri)]).into_response(),
        None => "Logged out.".into_response(),
    }
}

#[expect(clippy::result_large_err, reason = "a response either way")]
fn check_client(state: &State, headers: &HeaderMap, form: Option<(String, String)>) -> Result<(), Response> {
    let client = basic(headers).or(form);
    if client != Some((CLIENT_ID.to_owned(), state.client_secret.clone())) {
        return Err(oauth_error(StatusCode::UNAUTHORIZED, "invalid_client", "client authentication failed"));
    }
    Ok(())
}

fn bad_request(error: &str, description: &str) -> Response {
    oauth_error(StatusCode::BAD_REQUEST, error, description)
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

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}
