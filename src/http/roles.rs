//! `/roles/`: roles and who holds them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::ids::{RoleAssignmentId, RoleId};
use crate::service::roles::assignments::{self, NewAssignment, assignee_type, scope_id};
use crate::service::roles::{self, NewRole, RolePatch, RoleView};
use crate::service::{PageRequest, Services};
use crate::storage::roles::{AssignmentRow, RoleRow};

use super::api_keys::present;
use super::error::ApiError;
use super::extract::{ApiJson, ApiPath, ApiQuery, Authenticated};
use super::paging::{Page, decode_cursor, page_request};

/// A role.
#[derive(Serialize, ToSchema)]
pub struct RoleItem {
    #[schema(example = "role_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub id: String,
    #[schema(example = "dns-operators")]
    pub name: String,
    pub description: String,
    /// As they were given; of a system role each by itself.
    #[schema(example = json!(["domains:read", "records:*"]))]
    pub permissions: Vec<String>,
    /// Every installation has it, and nobody changes it.
    pub is_system: bool,
    /// Null for a system role.
    #[serde(with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// Null for a system role.
    #[serde(with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleCreate {
    #[schema(min_length = 1, max_length = 64, example = "dns-operators")]
    pub name: String,
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub description: Option<String>,
    /// `resource:action`, `resource:*`, `resource:write` for create, update and delete; none that you do not hold.
    #[schema(max_items = 100, example = json!(["domains:read", "records:*"]))]
    pub permissions: Vec<String>,
}

/// What is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleUpdate {
    #[serde(default, deserialize_with = "present")]
    #[schema(min_length = 1, max_length = 64, nullable = false)]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 1000)]
    pub description: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(max_items = 100, nullable = false, example = json!(["domains:read"]))]
    pub permissions: Option<Vec<String>>,
}

/// Somebody who holds a role.
#[derive(Serialize, ToSchema)]
pub struct RoleAssignmentItem {
    #[schema(example = "ra_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub id: String,
    #[schema(example = "role_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub role_id: String,
    #[schema(example = "dns-operators")]
    pub role: String,
    /// `user` or `group`.
    #[schema(example = "user")]
    pub assignee_type: String,
    /// ScaiKey's id of the user or group.
    #[schema(example = "usr_5f1c2a")]
    pub assignee_id: String,
    pub scope: RoleScope,
    /// The tenant's, domain's or record's id; null for the platform.
    #[schema(example = "d_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub scope_id: Option<String>,
    /// Null where nobody remembers.
    #[schema(example = "usr_5f1c2a")]
    pub created_by: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// Where a role holds; each includes those after it. `record` is all records of the name and type that the record has.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoleScope {
    Platform,
    Tenant,
    Domain,
    Record,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "names the values in the document; bodies are read as text, so that a bad one is a 400")]
pub enum HolderType {
    User,
    Group,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleAssign {
    #[schema(value_type = HolderType)]
    pub assignee_type: String,
    /// The user's or group's id, ours or ScaiKey's.
    #[schema(example = "usr_5f1c2a")]
    pub assignee_id: String,
    #[schema(value_type = RoleScope)]
    pub scope: String,
    /// The domain's or record's id; the tenant is the one acted in, the platform has none.
    #[serde(default)]
    #[schema(example = "d_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub scope_id: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RoleListQuery {
    #[param(minimum = 1, default = 1)]
    page: Option<u32>,
    #[param(minimum = 1, maximum = 100, default = 50)]
    page_size: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The system's roles and the tenant's own, by name.
#[utoipa::path(get, path = "/api/v1/roles/", tag = "roles", params(RoleListQuery),
    responses((status = 200, body = Page<RoleItem>)))]
pub async fn list(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiQuery(query): ApiQuery<RoleListQuery>,
) -> Result<Json<Page<RoleItem>>, ApiError> {
    let request = page_request(query.page, query.page_size)?;
    let after: Option<String> = decode_cursor(query.cursor.as_deref())?;
    let all = roles::list(&services, &context).await?;
    Ok(Json(page_of(&request, all, after.as_ref(), |role| role.name().to_owned(), item)))
}

/// Makes a role of permissions that the caller holds in the tenant.
#[utoipa::path(post, path = "/api/v1/roles/", tag = "roles", request_body = RoleCreate,
    responses((status = 200, body = RoleItem)))]
pub async fn create(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiJson(body): ApiJson<RoleCreate>,
) -> Result<Json<RoleItem>, ApiError> {
    let RoleCreate { name, description, permissions } = body;
    let role = roles::create(&services, &context, NewRole { name, description, permissions }).await?;
    Ok(Json(item(role)))
}

/// One role, by its id or name.
#[utoipa::path(get, path = "/api/v1/roles/{role_id}", tag = "roles", params(("role_id" = String, Path)),
    responses((status = 200, body = RoleItem)))]
pub async fn get(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<RoleItem>, ApiError> {
    Ok(Json(item(roles::get(&services, &context, &id).await?)))
}

/// Changes a role of the tenant's own, for all who hold it.
#[utoipa::path(patch, path = "/api/v1/roles/{role_id}", tag = "roles", params(("role_id" = String, Path)),
    request_body = RoleUpdate, responses((status = 200, body = RoleItem)))]
pub async fn update(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
    ApiJson(body): ApiJson<RoleUpdate>,
) -> Result<Json<RoleItem>, ApiError> {
    let RoleUpdate { name, description, permissions } = body;
    let role = roles::update(&services, &context, &id, RolePatch { name, description, permissions }).await?;
    Ok(Json(item(role)))
}

/// Removes a role of the tenant's own, with its assignments and grants.
#[utoipa::path(delete, path = "/api/v1/roles/{role_id}", tag = "roles", params(("role_id" = String, Path)),
    responses((status = 204)))]
pub async fn delete(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
) -> Result<StatusCode, ApiError> {
    roles::delete(&services, &context, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who holds a role in the tenant, the oldest assignment first.
#[utoipa::path(get, path = "/api/v1/roles/{role_id}/assignments", tag = "roles", operation_id = "list_assignments",
    params(("role_id" = String, Path), RoleListQuery), responses((status = 200, body = Page<RoleAssignmentItem>)))]
pub async fn list_assignments(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
    ApiQuery(query): ApiQuery<RoleListQuery>,
) -> Result<Json<Page<RoleAssignmentItem>>, ApiError> {
    let request = page_request(query.page, query.page_size)?;
    let after: Option<RoleAssignmentId> = decode_cursor(query.cursor.as_deref())?;
    let (role, rows) = assignments::list(&services, &context, &id).await?;
    Ok(Json(page_of(&request, rows, after.as_ref(), |row| row.id, |row| assignment_item(&role, row))))
}

/// Gives a user or group the role, somewhere where the caller holds all that it gives.
#[utoipa::path(post, path = "/api/v1/roles/{role_id}/assignments", tag = "roles", operation_id = "assign",
    params(("role_id" = String, Path)), request_body = RoleAssign,
    responses((status = 200, body = RoleAssignmentItem)))]
pub async fn assign(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
    ApiJson(body): ApiJson<RoleAssign>,
) -> Result<Json<RoleAssignmentItem>, ApiError> {
    let RoleAssign { assignee_type, assignee_id, scope, scope_id } = body;
    let wanted = NewAssignment { assignee_type, assignee_id, scope, scope_id };
    let (role, row) = assignments::create(&services, &context, &id, wanted).await?;
    Ok(Json(assignment_item(&role, row)))
}

/// Takes the role away.
#[utoipa::path(delete, path = "/api/v1/roles/{role_id}/assignments/{assignment_id}", tag = "roles",
    operation_id = "unassign", params(("role_id" = String, Path), ("assignment_id" = String, Path)),
    responses((status = 204)))]
pub async fn unassign(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath((id, assignment)): ApiPath<(String, RoleAssignmentId)>,
) -> Result<StatusCode, ApiError> {
    assignments::delete(&services, &context, &id, assignment).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A page of what was read as a whole, in its order; `key` is where each stands.
fn page_of<T, K: Ord + Serialize, I>(
    request: &PageRequest,
    all: Vec<T>,
    after: Option<&K>,
    key: impl Fn(&T) -> K,
    shown: impl Fn(T) -> I,
) -> Page<I> {
    let total = all.len() as u64;
    let skip = match after {
        Some(after) => all.partition_point(|one| key(one) <= *after),
        None => usize::try_from(request.offset()).unwrap_or(usize::MAX),
    };
    let end = skip.saturating_add(request.page_size as usize);
    let next = all.get(end.wrapping_sub(1)).filter(|_| end < all.len()).map(&key);
    let data = all.into_iter().skip(skip).take(request.page_size as usize).map(shown).collect();
    Page::new(request, data, total, next)
}

fn item(role: RoleView) -> RoleItem {
    match role {
        RoleView::System(role) => RoleItem {
            id: RoleId::to_string(&role.id()),
            name: role.as_str().to_owned(),
            description: role.description().to_owned(),
            permissions: role.permissions().iter().map(|permission| permission.to_string()).collect(),
            is_system: true,
            created_at: None,
            updated_at: None,
        },
        RoleView::Own(row) => {
            let RoleRow { id, tenant: _, name, description, permissions, created_at, updated_at } = row;
            RoleItem {
                id: id.to_string(),
                name,
                description,
                permissions,
                is_system: false,
                created_at: Some(created_at),
                updated_at: Some(updated_at),
            }
        }
    }
}

fn assignment_item(role: &RoleView, row: AssignmentRow) -> RoleAssignmentItem {
    let (assignee_type, scope_id) = (assignee_type(&row), scope_id(&row));
    let AssignmentRow {
        id,
        tenant: _,
        assignee: _,
        assignee_scaikey_id,
        scope,
        scope_id: _,
        record: _,
        created_by,
        created_at,
    } = row;
    RoleAssignmentItem {
        id: id.to_string(),
        role_id: role.id().to_string(),
        role: role.name().to_owned(),
        assignee_type: assignee_type.to_owned(),
        assignee_id: assignee_scaikey_id,
        scope: match scope.as_str() {
            "platform" => RoleScope::Platform,
            "tenant" => RoleScope::Tenant,
            "record" => RoleScope::Record,
            _ => RoleScope::Domain,
        },
        scope_id,
        created_by,
        created_at,
    }
}
