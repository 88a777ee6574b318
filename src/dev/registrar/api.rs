//! The HTTP API; its paths are listed in the registrar's module documentation.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::routing::{delete, get, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::State;
use super::record;
use super::world::{Entry, Mode, Registered, World};
use crate::dev::http::Refusal;

type Shareable = Shared<Arc<State>>;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/names", get(list))
        .route("/names/{name}", put(register).get(one).delete(unregister))
        .route("/names/{name}/records", put(set_records).post(add_record))
        .route("/names/{name}/records", delete(remove_records))
        .route("/names/{name}/nameservers/{nameserver}/state", put(set_mode))
        .route("/trust-anchor", get(trust_anchor))
        .route("/nameservers", get(nameservers))
        .route("/nameservers/{nameserver}", put(set_addresses))
        .fallback(async || Refusal(StatusCode::NOT_FOUND, "Not Found".into()))
        .with_state(state)
}

async fn list(Shared(state): Shareable) -> Json<Value> {
    let world = state.world();
    Json(world.names.iter().map(|(name, registered)| describe(name, registered)).collect())
}

async fn one(Shared(state): Shareable, Path(name): Path<String>) -> Result<Json<Value>, Refusal> {
    shown(&state.world(), &name)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    nameservers: Option<Vec<String>>,
}

async fn register(Shared(state): Shareable, Path(name): Path<String>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let Registration { nameservers } = if body.is_empty() { Registration::default() } else { read(&body)? };
    state.change(|world| world.register(&name, nameservers)).await?;
    shown(&state.world(), &name)
}

async fn unregister(Shared(state): Shareable, Path(name): Path<String>) -> Result<StatusCode, Refusal> {
    state.change(|world| world.unregister(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_records(Shared(state): Shareable, Path(name): Path<String>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let entries: Vec<Entry> = read(&body)?;
    state.change(|world| world.set_records(&name, entries)).await?;
    shown(&state.world(), &name)
}

async fn add_record(Shared(state): Shareable, Path(name): Path<String>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let entry: Entry = read(&body)?;
    state.change(|world| world.add_record(&name, entry)).await?;
    shown(&state.world(), &name)
}

#[derive(Deserialize)]
struct Which {
    name: Option<String>,
    #[serde(rename = "type")]
    record_type: Option<String>,
}

async fn remove_records(
    Shared(state): Shareable,
    Path(name): Path<String>,
    Query(Which { name: owner, record_type }): Query<Which>,
) -> Result<Json<Value>, Refusal> {
    let removed = state.change(|world| world.remove_records(&name, owner.as_deref(), record_type.as_deref())).await?;
    Ok(Json(json!({ "removed": removed })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModeChange {
    mode: Mode,
}

async fn set_mode(
    Shared(state): Shareable,
    Path((name, nameserver)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let ModeChange { mode } = read(&body)?;
    state.change(|world| world.set_mode(&name, &nameserver, mode)).await?;
    shown(&state.world(), &name)
}

async fn trust_anchor(Shared(state): Shareable) -> Json<Value> {
    Json(json!({ "dnskey": state.key.trust_anchor() }))
}

async fn nameservers(Shared(state): Shareable) -> Json<Value> {
    Json(json!(state.world().hosts))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Addresses {
    addresses: Vec<IpAddr>,
}

async fn set_addresses(
    Shared(state): Shareable,
    Path(nameserver): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let Addresses { addresses } = read(&body)?;
    state.change(|world| world.set_addresses(&nameserver, addresses)).await?;
    Ok(Json(json!(state.world().hosts)))
}

/// JSON whatever the content type says: this is for curl and tests.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|e| Refusal::invalid(format!("the body does not read: {e}")))
}

fn shown(world: &World, name: &str) -> Result<Json<Value>, Refusal> {
    let key = record::text(&record::name(name).map_err(Refusal::invalid)?);
    let registered = world.names.get(&key).ok_or_else(|| Refusal::not_found(&key))?;
    Ok(Json(describe(&key, registered)))
}

fn describe(name: &str, registered: &Registered) -> Value {
    let Registered { nameservers, records, states } = registered;
    let mode = |ns: &String| states.get(ns).map(|state| state.mode).unwrap_or_default();
    let states: Map<String, Value> = nameservers.iter().map(|ns| (ns.clone(), json!(mode(ns)))).collect();
    json!({"name": name, "nameservers": nameservers, "records": records, "states": states})
}
