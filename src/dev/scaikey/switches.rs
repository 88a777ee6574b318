//! `/dev/…`: what no real platform has. Tokens of anybody's, failures, key rotation, webhooks; no credentials asked.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::State;
use super::faults::Faults;
use super::tokens::ACCESS_TOKEN_SECONDS;
use super::webhooks::{Delivery, Subscriber};
use crate::dev::http::Refusal;

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/dev/token", post(token))
        .route("/dev/faults", get(faults).put(set_faults))
        .route("/dev/keys/rotate", post(rotate))
        .route("/dev/keys/{kid}", delete(retire))
        .route("/dev/webhooks", get(subscribers).post(subscribe))
        .route("/dev/webhooks/deliveries", get(deliveries))
        .route("/dev/events", post(send))
}

/// `user_id` or `email`, `expires_in` seconds (negative: already expired), `claims` that are set last; null takes one
/// away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    user_id: Option<String>,
    email: Option<String>,
    expires_in: Option<i64>,
    #[serde(default)]
    claims: Map<String, Value>,
}

async fn token(Shared(state): Shared<Arc<State>>, Json(request): Json<TokenRequest>) -> Result<Json<Value>, Refusal> {
    let TokenRequest { user_id, email, expires_in, claims } = request;
    let user = user_id.or(email).ok_or_else(|| Refusal::invalid("user_id or email is required"))?;
    let expires_in = expires_in.unwrap_or(ACCESS_TOKEN_SECONDS);
    let access_token =
        state.access_token(&user, expires_in, claims).ok_or_else(|| Refusal::not_found(&format!("user {user}")))?;
    Ok(Json(json!({"access_token": access_token, "token_type": "Bearer", "expires_in": expires_in})))
}

async fn faults(Shared(state): Shared<Arc<State>>) -> Json<Faults> {
    Json(state.faults().clone())
}

async fn set_faults(Shared(state): Shared<Arc<State>>, Json(faults): Json<Faults>) -> Json<Faults> {
    *state.faults() = faults.clone();
    Json(faults)
}

async fn rotate(Shared(state): Shared<Arc<State>>) -> Result<Json<Value>, Refusal> {
    let made = state.keys().rotate();
    let kid = made.map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(Json(json!({ "kid": kid })))
}

async fn retire(Shared(state): Shared<Arc<State>>, Path(kid): Path<String>) -> Result<StatusCode, Refusal> {
    let is_retired = state.keys().retire(&kid);
    if is_retired { Ok(StatusCode::NO_CONTENT) } else { Err(Refusal::not_found("a key that is not in use")) }
}

async fn subscribers(Shared(state): Shared<Arc<State>>) -> Json<Vec<Subscriber>> {
    Json(state.hooks.subscribers())
}

async fn subscribe(Shared(state): Shared<Arc<State>>, Json(subscriber): Json<Subscriber>) -> StatusCode {
    state.hooks.subscribe(subscriber);
    StatusCode::NO_CONTENT
}

async fn deliveries(Shared(state): Shared<Arc<State>>) -> Json<Vec<Delivery>> {
    Json(state.hooks.deliveries())
}

/// Any body, signed and sent to all who subscribed.
async fn send(Shared(state): Shared<Arc<State>>, Json(body): Json<Value>) -> StatusCode {
    state.send(body);
    StatusCode::ACCEPTED
}
