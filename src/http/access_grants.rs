//! `/domains/{id}/access-grants`: who may do what with a domain, or with some of its records.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::ids::{AccessGrantId, ZoneId};
use crate::service::Services;
use crate::service::grants::{self, GrantPage, GrantPatch, NewGrant, grant_type};
use crate::storage::access_grants::GrantRow;

use super::api_keys::present;
use super::error::ApiError;
use super::extract::{ApiJson, ApiPath, ApiQuery, Authenticated, flag};
use super::moments;
use super::paging::{Page, decode_cursor, page_request};
use super::roles::HolderType;

/// An access grant.
#[derive(Serialize, ToSchema)]
pub struct AccessGrant {
    #[schema(example = "ag_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub id: String,
    /// `user` or `group`.
    #[schema(example = "user")]
    pub grant_type: String,
    /// ScaiKey's id of the user or group.
    #[schema(example = "usr_5f1c2a")]
    pub grantee_id: String,
    /// The role's name.
    #[schema(example = "record_editor")]
    pub role: String,
    /// On the name relative to the domain, `@` being the domain itself; `*` spans any characters. Null: all names.
    #[schema(example = "*.dev")]
    pub record_pattern: Option<String>,
    /// Null: all types.
    #[schema(example = json!(["A", "AAAA"]))]
    pub record_types: Option<Vec<String>>,
    /// Null: never.
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    pub notes: Option<String>,
    /// Who gave it: ScaiKey's id of a user, or the id of an API key.
    #[schema(example = "usr_5f1c2a")]
    pub created_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessGrantCreate {
    #[schema(value_type = HolderType)]
    pub grant_type: String,
    /// The id of a user or group of the domain's tenant, ours or ScaiKey's.
    #[schema(example = "usr_5f1c2a")]
    pub grantee_id: String,
    /// A role's name or id. With a pattern or types, what it says of domains is to read them, and no more than records.
    #[schema(example = "record_editor")]
    pub role: String,
    /// On the name relative to the domain, `@` being the domain itself; `*` spans any characters.
    #[serde(default)]
    #[schema(max_length = 253, example = "*.dev")]
    pub record_pattern: Option<String>,
    #[serde(default)]
    #[schema(min_items = 1, max_items = 100, example = json!(["A", "AAAA"]))]
    pub record_types: Option<Vec<String>>,
    #[serde(default, deserialize_with = "moments::optional")]
    pub expires_at: Option<OffsetDateTime>,
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub notes: Option<String>,
}

/// What is absent stays; null empties.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessGrantUpdate {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "read_only")]
    pub role: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 253)]
    pub record_pattern: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 100, example = json!(["A"]))]
    pub record_types: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "moments::present")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Option<OffsetDateTime>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 1000)]
    pub notes: Option<Option<String>>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AccessGrantListQuery {
    #[param(minimum = 1, default = 1)]
    page: Option<u32>,
    #[param(minimum = 1, maximum = 100, default = 50)]
    page_size: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    include_expired: bool,
}

/// The grants of a domain, the oldest first.
#[utoipa::path(get, path = "/api/v1/domains/{id}/access-grants", tag = "access-grants",
    params(("id" = String, Path), AccessGrantListQuery), responses((status = 200, body = Page<AccessGrant>)))]
pub async fn list(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<AccessGrantListQuery>,
) -> Result<Json<Page<AccessGrant>>, ApiError> {
    let request = page_request(query.page, query.page_size)?;
    let after: Option<AccessGrantId> = decode_cursor(query.cursor.as_deref())?;
    let GrantPage { grants, total, more } =
        grants::list(&services, &context, id, query.include_expired, request, after).await?;
    let next = grants.last().filter(|_| more).map(|grant| grant.id);
    Ok(Json(Page::new(&request, grants.into_iter().map(item).collect(), total, next)))
}

/// Gives a user or group a role in the domain, or over some of its records.
#[utoipa::path(post, path = "/api/v1/domains/{id}/access-grants", tag = "access-grants",
    params(("id" = String, Path)), request_body = AccessGrantCreate, responses((status = 200, body = AccessGrant)))]
pub async fn create(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<ZoneId>,
    ApiJson(body): ApiJson<AccessGrantCreate>,
) -> Result<Json<AccessGrant>, ApiError> {
    let AccessGrantCreate { grant_type, grantee_id, role, record_pattern, record_types, expires_at, notes } = body;
    let wanted = NewGrant { grant_type, grantee_id, role, record_pattern, record_types, expires_at, notes };
    Ok(Json(item(grants::create(&services, &context, id, wanted).await?)))
}

/// One grant.
#[utoipa::path(get, path = "/api/v1/domains/{id}/access-grants/{grant_id}", tag = "access-grants",
    params(("id" = String, Path), ("grant_id" = String, Path)), responses((status = 200, body = AccessGrant)))]
pub async fn get(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath((id, grant)): ApiPath<(ZoneId, AccessGrantId)>,
) -> Result<Json<AccessGrant>, ApiError> {
    Ok(Json(item(grants::get(&services, &context, id, grant).await?)))
}

/// Changes a grant: not whose it is.
#[utoipa::path(patch, path = "/api/v1/domains/{id}/access-grants/{grant_id}", tag = "access-grants",
    params(("id" = String, Path), ("grant_id" = String, Path)), request_body = AccessGrantUpdate,
    responses((status = 200, body = AccessGrant)))]
pub async fn update(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(ids): ApiPath<(ZoneId, AccessGrantId)>,
    ApiJson(body): ApiJson<AccessGrantUpdate>,
) -> Result<Json<AccessGrant>, ApiError> {
    let AccessGrantUpdate { role, record_pattern, record_types, expires_at, notes } = body;
    let patch = GrantPatch { role, record_pattern, record_types, expires_at, notes };
    Ok(Json(item(grants::update(&services, &context, ids, patch).await?)))
}

/// Takes a grant back.
#[utoipa::path(delete, path = "/api/v1/domains/{id}/access-grants/{grant_id}", tag = "access-grants",
    params(("id" = String, Path), ("grant_id" = String, Path)), responses((status = 204)))]
pub async fn delete(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath((id, grant)): ApiPath<(ZoneId, AccessGrantId)>,
) -> Result<StatusCode, ApiError> {
    grants::delete(&services, &context, id, grant).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn item(row: GrantRow) -> AccessGrant {
    let grant_type = grant_type(&row);
    let GrantRow {
        id,
        tenant: _,
        zone: _,
        grantee: _,
        grantee_scaikey_id,
        role,
        custom: _,
        record_pattern,
        record_types,
        expires_at,
        notes,
        created_by,
        created_at,
        updated_at: _,
    } = row;
    AccessGrant {
        id: id.to_string(),
        grant_type: grant_type.to_owned(),
        grantee_id: grantee_scaikey_id,
        role,
        record_pattern,
        record_types,
        expires_at,
        notes,
        created_by,
        created_at,
    }
}
