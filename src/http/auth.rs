//! `GET /auth/me` and `GET /me/`: who the caller is and what it holds. Both answer the same.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::service::Services;
use crate::service::identity::{HeldRole, KeyProfile, Profile};

use super::error::ApiError;
use super::extract::Authenticated;

/// The caller.
#[derive(Serialize, ToSchema)]
pub struct MeAnswer {
    pub data: Me,
}

#[derive(Serialize, ToSchema)]
pub struct Me {
    /// ScaiKey's id of the user; for an API key, of the user or group that owns it.
    #[schema(example = "usr_5f1c2a")]
    pub id: String,
    /// Null for a group's key, and where ScaiKey names none.
    #[schema(example = "ada@example.org")]
    pub email: Option<String>,
    #[schema(example = "Ada Lovelace")]
    pub name: String,
    /// The tenant acted in.
    #[schema(example = "t_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub tenant_id: String,
    #[schema(example = "active")]
    pub status: String,
    pub is_platform_admin: bool,
    pub is_tenant_admin: bool,
    /// The roles held where the caller acts.
    pub roles: Vec<MeRole>,
    /// What is held in the tenant acted in as a whole; single zones are among the roles.
    #[schema(example = json!(["domains:read", "records:read"]))]
    pub permissions: Vec<String>,
    /// The key that the call was made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub api_key: Option<MeKey>,
}

#[derive(Serialize, ToSchema)]
pub struct MeRole {
    #[schema(example = "tenant_admin")]
    pub role: String,
    /// `platform`, `tenant` or `domain`.
    #[schema(example = "tenant")]
    pub scope: String,
    /// The tenant's or the domain's id; null for the platform.
    #[schema(example = "t_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub scope_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct MeKey {
    #[schema(example = "key_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub id: String,
    #[schema(example = "CI")]
    pub name: String,
}

/// The caller, its roles and its permissions.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "auth", responses((status = 200, body = MeAnswer)))]
pub async fn auth_me(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
) -> Result<Json<MeAnswer>, ApiError> {
    let profile = services.identity.profile(&context)?;
    Ok(Json(MeAnswer { data: profile.into() }))
}

/// The caller, its roles and its permissions.
#[utoipa::path(get, path = "/api/v1/me/", tag = "auth", responses((status = 200, body = MeAnswer)))]
pub async fn me(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
) -> Result<Json<MeAnswer>, ApiError> {
    let profile = services.identity.profile(&context)?;
    Ok(Json(MeAnswer { data: profile.into() }))
}

impl From<Profile> for Me {
    fn from(profile: Profile) -> Self {
        let Profile {
            id,
            email,
            name,
            tenant,
            status,
            is_platform_admin,
            is_tenant_admin,
            roles,
            permissions,
            api_key,
        } = profile;
        Self {
            id,
            email,
            name,
            tenant_id: tenant.to_string(),
            status: status.as_str().to_owned(),
            is_platform_admin,
            is_tenant_admin,
            roles: roles.into_iter().map(MeRole::from).collect(),
            permissions: permissions.into_iter().map(|permission| permission.to_string()).collect(),
            api_key: api_key.map(|KeyProfile { id, name }| MeKey { id: id.to_string(), name }),
        }
    }
}

impl From<HeldRole> for MeRole {
    fn from(held: HeldRole) -> Self {
        let HeldRole { role, scope, scope_id } = held;
        Self { role: role.to_owned(), scope: scope.to_owned(), scope_id }
    }
}
