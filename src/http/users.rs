//! `/admin/users/`: identities are ScaiKey's; writes go there, reads are the mirror's.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::service::Services;
use crate::service::people::users::{self, NewUser, ShownUser, UserPatch};
use crate::storage::directory::UserRow;

use super::error::ApiError;
use super::extract::{ApiJson, ApiPath, ApiQuery, Authenticated};
use super::paging::Page;
use super::people::{Asked, PeopleQuery, answer};

#[derive(Serialize, ToSchema)]
pub struct User {
    #[schema(example = "u_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub id: String,
    #[schema(example = "usr_5f1c2a")]
    pub scaikey_user_id: String,
    #[schema(example = "ada@example.org")]
    pub email: String,
    #[schema(example = "Ada Lovelace")]
    pub name: String,
    /// `active`, `suspended` or `inactive`.
    #[schema(example = "active")]
    pub status: String,
    /// As ScaiKey states it, or by a role that the user holds itself; what it holds by its groups is not looked at.
    pub is_platform_admin: bool,
    /// Likewise, in the tenant that it belongs to.
    pub is_tenant_admin: bool,
    #[schema(example = "t_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub tenant_id: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    #[schema(max_length = 254, example = "ada@example.org")]
    pub email: String,
    #[serde(default)]
    #[schema(max_length = 127)]
    pub first_name: Option<String>,
    #[serde(default)]
    #[schema(max_length = 127)]
    pub last_name: Option<String>,
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255)]
    pub display_name: Option<String>,
    /// How good it has to be is ScaiKey's to say.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024)]
    pub password: Option<SecretString>,
    /// Ours or ScaiKey's id; the tenant acted in where it is absent.
    #[serde(default)]
    pub tenant_id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteUser {
    #[schema(max_length = 254, example = "ada@example.org")]
    pub email: String,
    #[serde(default)]
    #[schema(max_length = 127)]
    pub first_name: Option<String>,
    #[serde(default)]
    #[schema(max_length = 127)]
    pub last_name: Option<String>,
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255)]
    pub display_name: Option<String>,
    /// Ours or ScaiKey's id; the tenant acted in where it is absent.
    #[serde(default)]
    pub tenant_id: Option<String>,
}

/// What is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateUser {
    #[serde(default)]
    #[schema(max_length = 254)]
    pub email: Option<String>,
    #[serde(default)]
    #[schema(max_length = 127)]
    pub first_name: Option<String>,
    #[serde(default)]
    #[schema(max_length = 127)]
    pub last_name: Option<String>,
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255)]
    pub display_name: Option<String>,
    /// `active` or `suspended`.
    #[serde(default)]
    pub status: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    #[schema(value_type = String, min_length = 1, max_length = 1024)]
    pub password: SecretString,
}

#[derive(Serialize, ToSchema)]
pub struct Done {
    #[schema(example = "ok")]
    pub status: &'static str,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfTenant {
    /// Ours or ScaiKey's id; for the platform's admin, who sees those of all.
    #[param(max_length = 64)]
    pub tenant_id: Option<String>,
}

/// Users of the tenant, by name; for the platform's admin those of all tenants.
#[utoipa::path(get, path = "/api/v1/admin/users/", tag = "users", params(PeopleQuery, OfTenant),
    responses((status = 200, body = Page<User>)))]
pub async fn list(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiQuery(query): ApiQuery<PeopleQuery>,
    ApiQuery(OfTenant { tenant_id }): ApiQuery<OfTenant>,
) -> Result<Json<Page<User>>, ApiError> {
    let Asked { page, after, status, search } = query.check()?;
    let found = users::list(&services, &context, (status, search, tenant_id), page, after).await?;
    Ok(Json(answer(page, found, |user| (user.row.name.clone(), user.row.id.0), User::from)))
}

/// Makes a user in ScaiKey.
#[utoipa::path(post, path = "/api/v1/admin/users/", tag = "users", request_body = CreateUser,
    responses((status = 200, body = User)))]
pub async fn create(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiJson(body): ApiJson<CreateUser>,
) -> Result<Json<User>, ApiError> {
    let CreateUser { email, first_name, last_name, display_name, password, tenant_id } = body;
    let new = NewUser { email, first_name, last_name, display_name, password, tenant: tenant_id };
    Ok(Json(users::create(&services, &context, new).await?.into()))
}

/// Invites a user through ScaiKey; who has not taken it up is inactive.
#[utoipa::path(post, path = "/api/v1/admin/users/invite", tag = "users", request_body = InviteUser,
    responses((status = 200, body = User)))]
pub async fn invite(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiJson(body): ApiJson<InviteUser>,
) -> Result<Json<User>, ApiError> {
    let InviteUser { email, first_name, last_name, display_name, tenant_id } = body;
    let new = NewUser { email, first_name, last_name, display_name, password: None, tenant: tenant_id };
    Ok(Json(users::invite(&services, &context, new).await?.into()))
}

/// One user, by ours or ScaiKey's id.
#[utoipa::path(get, path = "/api/v1/admin/users/{user_id}", tag = "users", params(("user_id" = String, Path)),
    responses((status = 200, body = User)))]
pub async fn get(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<User>, ApiError> {
    Ok(Json(users::get(&services, &context, &id).await?.into()))
}

/// Changes a user in ScaiKey who holds nothing that the caller lacks.
#[utoipa::path(patch, path = "/api/v1/admin/users/{user_id}", tag = "users", params(("user_id" = String, Path)),
    request_body = UpdateUser, responses((status = 200, body = User)))]
pub async fn update(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
    ApiJson(body): ApiJson<UpdateUser>,
) -> Result<Json<User>, ApiError> {
    let UpdateUser { email, first_name, last_name, display_name, status } = body;
    let patch = UserPatch { email, first_name, last_name, display_name, status };
    Ok(Json(users::update(&services, &context, &id, patch).await?.into()))
}

/// Disables a user in ScaiKey.
#[utoipa::path(delete, path = "/api/v1/admin/users/{user_id}", tag = "users", params(("user_id" = String, Path)),
    responses((status = 204)))]
pub async fn delete(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
) -> Result<StatusCode, ApiError> {
    users::delete(&services, &context, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets a user's password in ScaiKey.
#[utoipa::path(post, path = "/api/v1/admin/users/{user_id}/password", tag = "users",
    params(("user_id" = String, Path)), request_body = SetPassword, responses((status = 200, body = Done)))]
pub async fn set_password(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
    ApiJson(SetPassword { password }): ApiJson<SetPassword>,
) -> Result<Json<Done>, ApiError> {
    users::set_password(&services, &context, &id, password).await?;
    Ok(Json(Done { status: "ok" }))
}

/// Has ScaiKey send an invitation once more.
#[utoipa::path(post, path = "/api/v1/admin/users/{user_id}/resend-invite", tag = "users",
    params(("user_id" = String, Path)), responses((status = 200, body = Done)))]
pub async fn resend_invite(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<Done>, ApiError> {
    users::resend_invite(&services, &context, &id).await?;
    Ok(Json(Done { status: "ok" }))
}

impl From<ShownUser> for User {
    fn from(ShownUser { row, is_platform_admin, is_tenant_admin }: ShownUser) -> Self {
        let UserRow {
            id,
            scaikey_id,
            tenant,
            email,
            name,
            status,
            admin_role: _,
            stated_at: _,
            admin_role_stated_at: _,
            created_at,
            updated_at: _,
        } = row;
        Self {
            id: id.to_string(),
            scaikey_user_id: scaikey_id,
            email,
            name,
            status: status.as_str().to_owned(),
            is_platform_admin,
            is_tenant_admin,
            tenant_id: tenant.to_string(),
            created_at,
        }
    }
}
