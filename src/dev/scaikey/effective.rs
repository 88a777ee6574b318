//! Who may use an application: here, everybody of the tenant who is active.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use serde_json::Value;

use super::admin::{Filter, is_active};
use super::{APPLICATION_ID, State};
use crate::dev::http::Refusal;

pub(super) async fn users(
    Shared(state): Shared<Arc<State>>,
    Path((tenant, application)): Path<(String, String)>,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, Refusal> {
    if application != "me" && application != APPLICATION_ID {
        return Err(Refusal::not_found(&application));
    }
    let directory = state.directory();
    if directory.tenant(&tenant).is_none() {
        return Err(Refusal::not_found(&tenant));
    }
    filter.page(&directory.users.iter().filter(|user| user.tenant_id == tenant && is_active(user)).collect::<Vec<_>>())
}
