//! The admin API's read side: lists with paging and filters, single objects, group members. The write side is in
//! [`super::admin_writes`].

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State as Shared};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::admin_writes as writes;
use super::directory::{ACTIVE, DELETED, Directory, Group, Partner, Tenant, User};
use super::oauth::bearer;
use super::{State, effective};
use crate::dev::http::Refusal;

const PER_PAGE_DEFAULT: usize = 20;
const PER_PAGE_MAX: usize = 100;

pub(super) fn routes(state: Arc<State>) -> Router<Arc<State>> {
    let admin = Router::new()
        .route("/{collection}/", get(list).post(writes::create))
        .route("/{collection}", get(list).post(writes::create))
        .route("/{collection}/{id}", get(one).patch(writes::update).delete(writes::remove))
        .route("/users/invite", post(writes::invite))
        .route("/users/{id}/resend-invite", post(writes::resend_invite))
        .route("/users/{id}/password", post(writes::set_password))
        .route("/groups/{id}/members", get(members).post(writes::add_member))
        .route("/groups/{id}/members/{member}", delete(writes::remove_member));
    Router::new()
        .nest("/api/v1/admin", admin)
        .route("/api/v1/tenants/{id}/applications/{application}/effective-users", get(effective::users))
        .layer(middleware::from_fn_with_state(state, require_platform_token))
}

/// Nobody reads or writes the directory without a platform token.
async fn require_platform_token(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    match bearer(request.headers()) {
        Some(token) if state.is_platform_token(token) => next.run(request).await,
        Some(_) => Refusal(StatusCode::UNAUTHORIZED, "Invalid token".into()).into_response(),
        None => Refusal(StatusCode::UNAUTHORIZED, "Not authenticated".into()).into_response(),
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Filter {
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
    let directory = state.directory();
    match collection.as_str() {
        "partners" => filter.list(&directory, &directory.partners),
        "tenants" => filter.list(&directory, &directory.tenants),
        "users" => filter.list(&directory, &directory.users),
        "groups" => filter.list(&directory, &directory.groups),
        _ => Err(Refusal(StatusCode::NOT_FOUND, "Not Found".into())),
    }
}

async fn one(
    Shared(state): Shared<Arc<State>>,
    Path((collection, id)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let directory = state.directory();
    let found = match collection.as_str() {
        "partners" => directory.partners.iter().find(|partner| partner.id == id).map(value),
        "tenants" => directory.tenants.iter().find(|tenant| tenant.id == id).map(value),
        "users" => directory.users.iter().find(|user| user.id == id).map(value),
        "groups" => directory.groups.iter().find(|group| group.id == id).map(value),
        _ => None,
    };
    found.map(Json).ok_or_else(|| Refusal::not_found(&id))
}

async fn members(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, Refusal> {
    let directory = state.directory();
    let group = directory.groups.iter().find(|group| group.id == id).ok_or_else(|| Refusal::not_found(&id))?;
    filter.page(&group.members.iter().collect::<Vec<_>>())
}

/// What entries are filtered by.
pub(super) trait Entry: Serialize {
    fn status(&self) -> &str;
    fn tenant_id(&self) -> Option<&str>;
    fn partner_id<'a>(&'a self, directory: &'a Directory) -> Option<&'a str>;
    fn words(&self) -> String;
}

impl Entry for Partner {
    fn status(&self) -> &str {
        &self.status
    }

    fn tenant_id(&self) -> Option<&str> {
        None
    }

    fn partner_id<'a>(&'a self, _: &'a Directory) -> Option<&'a str> {
        Some(&self.id)
    }

    fn words(&self) -> String {
        format!("{} {}", self.name, self.slug)
    }
}

impl Entry for Tenant {
    fn status(&self) -> &str {
        &self.status
    }

    fn tenant_id(&self) -> Option<&str> {
        Some(&self.id)
    }

    fn partner_id<'a>(&'a self, _: &'a Directory) -> Option<&'a str> {
        Some(&self.partner_id)
    }

    fn words(&self) -> String {
        format!("{} {}", self.name, self.slug)
    }
}

impl Entry for User {
    fn status(&self) -> &str {
        &self.status
    }

    fn tenant_id(&self) -> Option<&str> {
        Some(&self.tenant_id)
    }

    fn partner_id<'a>(&'a self, directory: &'a Directory) -> Option<&'a str> {
        directory.tenant(&self.tenant_id).map(|tenant| tenant.partner_id.as_str())
    }

    fn words(&self) -> String {
        format!("{} {}", self.email, self.display_name)
    }
}

impl Entry for Group {
    fn status(&self) -> &str {
        &self.status
    }

    fn tenant_id(&self) -> Option<&str> {
        Some(&self.tenant_id)
    }

    fn partner_id<'a>(&'a self, directory: &'a Directory) -> Option<&'a str> {
        directory.tenant(&self.tenant_id).map(|tenant| tenant.partner_id.as_str())
    }

    fn words(&self) -> String {
        self.name.clone()
    }
}

impl Filter {
    /// What is deleted is listed for who asks for it.
    fn list<T: Entry>(&self, directory: &Directory, all: &[T]) -> Result<Json<Value>, Refusal> {
        self.page(&all.iter().filter(|entry| self.matches(directory, *entry)).collect::<Vec<_>>())
    }

    fn matches<T: Entry>(&self, directory: &Directory, entry: &T) -> bool {
        let is = |wanted: &Option<String>, has: Option<&str>| wanted.is_none() || wanted.as_deref() == has;
        let by_status = match &self.status {
            Some(status) => status.eq_ignore_ascii_case(entry.status()),
            None => entry.status() != DELETED,
        };
        by_status
            && is(&self.tenant_id, entry.tenant_id())
            && (self.partner_id.is_none() || is(&self.partner_id, entry.partner_id(directory)))
            && self.search.as_ref().is_none_or(|s| entry.words().to_lowercase().contains(&s.to_lowercase()))
    }

    /// Only what is on the page is put into words.
    pub(super) fn page<T: Serialize>(&self, found: &[T]) -> Result<Json<Value>, Refusal> {
        let page = self.page.unwrap_or(1);
        let per_page = self.per_page.unwrap_or(PER_PAGE_DEFAULT);
        if page == 0 || !(1..=PER_PAGE_MAX).contains(&per_page) {
            return Err(Refusal::invalid(format!("page starts at 1, per_page is 1 to {PER_PAGE_MAX}")));
        }
        let total = found.len();
        let data: Vec<Value> =
            found.iter().skip((page - 1).saturating_mul(per_page)).take(per_page).map(value).collect();
        let total_pages = total.div_ceil(per_page);
        Ok(Json(json!({
            "data": data,
            "pagination": {"page": page, "per_page": per_page, "total": total, "total_pages": total_pages},
        })))
    }
}

pub(super) fn value(item: &(impl Serialize + ?Sized)) -> Value {
    serde_json::to_value(item).unwrap_or(Value::Null)
}

/// Whether somebody can log in.
pub(super) fn is_active(user: &User) -> bool {
    user.status == ACTIVE
}
