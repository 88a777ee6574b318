//! The admin API's read side: lists with paging and filters, single objects, group members.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::State;
use super::directory::{Group, Partner, Tenant, User};
use crate::dev::http::Refusal;

const PER_PAGE_DEFAULT: usize = 20;
const PER_PAGE_MAX: usize = 100;

pub(super) fn routes(state: Arc<State>) -> Router<Arc<State>> {
    Router::new()
        .route("/{collection}/", get(list))
        .route("/{collection}", get(list))
        .route("/{collection}/{id}", get(one))
        .route("/groups/{id}/members", get(members))
        .layer(middleware::from_fn_with_state(state, require_platform_token))
}

/// Nobody reads the directory without a platform token.
async fn require_platform_token(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match authorization.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) if state.is_platform_token(token) => next.run(request).await,
        Some(_) => Refusal(StatusCode::UNAUTHORIZED, "Invalid token".into()).into_response(),
        None => Refusal(StatusCode::UNAUTHORIZED, "Not authenticated".into()).into_response(),
    }
}

#[derive(Debug, Default, Deserialize)]
struct Filter {
    page: Option<usize>,
    per_page: Option<usize>,
    status: Option<String>,
    search: Option<String>,
    tenant_id: Option<String>,
    partner_id: Option<String>,
}

async fn list(
    Shared(state): Shared<Arc<State>>,
    Path(collection): Path<String>,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, Refusal> {
    let found = all(&state, &collection)?;
    let found: Vec<Value> = found.into_iter().filter(|item| filter.matches(item)).map(|item| item.value).collect();
    page(&filter, found)
}

async fn one(
    Shared(state): Shared<Arc<State>>,
    Path((collection, id)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let found = all(&state, &collection)?.into_iter().find(|item| item.value["id"] == id.as_str());
    found.map(|item| Json(item.value)).ok_or_else(|| Refusal::not_found(&id))
}

async fn members(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, Refusal> {
    let members = {
        let directory = state.directory();
        let group = directory.groups.iter().find(|group| group.id == id).ok_or_else(|| Refusal::not_found(&id))?;
        group.members.iter().map(value).collect()
    };
    page(&filter, members)
}

/// An entry with what it is filtered by.
struct Item {
    value: Value,
    status: String,
    tenant_id: Option<String>,
    partner_id: Option<String>,
    words: String,
}

fn all(state: &State, collection: &str) -> Result<Vec<Item>, Refusal> {
    let directory = state.directory();
    let partner_of = |tenant: &str| directory.tenant(tenant).map(|tenant| tenant.partner_id.clone());
    let items = match collection {
        "partners" => directory.partners.iter().map(Item::of_partner).collect(),
        "tenants" => directory.tenants.iter().map(Item::of_tenant).collect(),
        "users" => directory.users.iter().map(|user| Item::of_user(user, partner_of(&user.tenant_id))).collect(),
        "groups" => directory.groups.iter().map(|group| Item::of_group(group, partner_of(&group.tenant_id))).collect(),
        _ => return Err(Refusal(StatusCode::NOT_FOUND, "Not Found".into())),
    };
    Ok(items)
}

impl Item {
    fn of_partner(partner: &Partner) -> Self {
        Self {
            value: value(partner),
            status: partner.status.clone(),
            tenant_id: None,
            partner_id: Some(partner.id.clone()),
            words: format!("{} {}", partner.name, partner.slug),
        }
    }

    fn of_tenant(tenant: &Tenant) -> Self {
        Self {
            value: value(tenant),
            status: tenant.status.clone(),
            tenant_id: Some(tenant.id.clone()),
            partner_id: Some(tenant.partner_id.clone()),
            words: format!("{} {}", tenant.name, tenant.slug),
        }
    }

    fn of_user(user: &User, partner_id: Option<String>) -> Self {
        Self {
            value: value(user),
            status: user.status.clone(),
            tenant_id: Some(user.tenant_id.clone()),
            partner_id,
            words: format!("{} {}", user.email, user.display_name),
        }
    }

    fn of_group(group: &Group, partner_id: Option<String>) -> Self {
        Self {
            value: value(group),
            status: group.status.clone(),
            tenant_id: Some(group.tenant_id.clone()),
            partner_id,
            words: group.name.clone(),
        }
    }
}

impl Filter {
    fn matches(&self, item: &Item) -> bool {
        let is = |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
        self.status.as_ref().is_none_or(|status| status.eq_ignore_ascii_case(&item.status))
            && is(&self.tenant_id, &item.tenant_id)
            && is(&self.partner_id, &item.partner_id)
            && self.search.as_ref().is_none_or(|s| item.words.to_lowercase().contains(&s.to_lowercase()))
    }
}

fn page(filter: &Filter, found: Vec<Value>) -> Result<Json<Value>, Refusal> {
    let page = filter.page.unwrap_or(1);
    let per_page = filter.per_page.unwrap_or(PER_PAGE_DEFAULT);
    if page == 0 || !(1..=PER_PAGE_MAX).contains(&per_page) {
        return Err(Refusal::invalid(format!("page starts at 1, per_page is 1 to {PER_PAGE_MAX}")));
    }
    let total = found.len();
    let data: Vec<Value> = found.into_iter().skip((page - 1).saturating_mul(per_page)).take(per_page).collect();
    let total_pages = total.div_ceil(per_page);
    Ok(Json(json!({
        "data": data,
        "pagination": {"page": page, "per_page": per_page, "total": total, "total_pages": total_pages},
    })))
}

fn value(item: &impl Serialize) -> Value {
    serde_json::to_value(item).unwrap_or(Value::Null)
}
