//! `/me/context` and `/me/permissions/check`: where the caller may act, and whether it may do something.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::service::Services;
use crate::service::me::{self, Places, Question, Verdict};
use crate::storage::directory::{PartnerRow, TenantRow};

use super::auth::Me;
use super::error::ApiError;
use super::extract::{ApiJson, Authenticated};

/// The caller, where it acts, and where it may act.
#[derive(Serialize, ToSchema)]
pub struct MeContext {
    #[serde(flatten)]
    pub me: Me,
    /// The tenant acted in.
    pub tenant: MeTenant,
    /// The tenant's; null where it has none.
    pub partner: Option<MeTenant>,
    /// The tenants that `X-Tenant-ID` may name, by name, a thousand at most; of a key its own alone.
    pub tenants: Vec<MeTenant>,
}

#[derive(Serialize, ToSchema)]
pub struct MeTenant {
    #[schema(example = "t_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub id: String,
    #[schema(example = "Northwind")]
    pub name: String,
    #[schema(example = "northwind")]
    pub slug: String,
    #[schema(example = "active")]
    pub status: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PermissionCheck {
    /// `resource:action`, or `resource:*` for all of it.
    #[schema(example = "records:create")]
    pub permission: String,
    /// `domain`, `tenant` or `platform`; absent, a domain where its id is given, else the tenant acted in.
    #[serde(default)]
    #[schema(example = "domain")]
    pub resource_type: Option<String>,
    #[serde(default)]
    #[schema(example = "d_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub resource_id: Option<String>,
    /// Of a domain: the record that is meant, as in its `name`.
    #[serde(default)]
    #[schema(example = "www")]
    pub record_name: Option<String>,
    #[serde(default)]
    #[schema(example = "A")]
    pub record_type: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct PermissionVerdict {
    pub allowed: bool,
    #[schema(example = "Permission records:create is required")]
    pub reason: String,
}

/// The caller, with the tenant it acts in and those it may act in.
#[utoipa::path(get, path = "/api/v1/me/context", tag = "auth", operation_id = "me_context",
    responses((status = 200, body = MeContext)))]
pub async fn context(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
) -> Result<Json<MeContext>, ApiError> {
    let profile = services.identity.profile(&context)?;
    let Places { tenant, partner, tenants } = me::places(&services, &context).await?;
    Ok(Json(MeContext {
        me: profile.into(),
        tenant: tenant.into(),
        partner: partner.map(MeTenant::from),
        tenants: tenants.into_iter().map(MeTenant::from).collect(),
    }))
}

/// Whether the caller may do something; what it may not see is not there.
#[utoipa::path(post, path = "/api/v1/me/permissions/check", tag = "auth", operation_id = "check_permission",
    request_body = PermissionCheck, responses((status = 200, body = PermissionVerdict)))]
pub async fn check_permission(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiJson(body): ApiJson<PermissionCheck>,
) -> Result<Json<PermissionVerdict>, ApiError> {
    let PermissionCheck { permission, resource_type, resource_id, record_name, record_type } = body;
    let question = Question { permission, resource_type, resource_id, record_name, record_type };
    let Verdict { allowed, reason } = me::check(&services, &context, question).await?;
    Ok(Json(PermissionVerdict { allowed, reason }))
}

impl From<TenantRow> for MeTenant {
    fn from(row: TenantRow) -> Self {
        let TenantRow { id, name, slug, status, .. } = row;
        Self { id: id.to_string(), name, slug, status: status.as_str().to_owned() }
    }
}

impl From<PartnerRow> for MeTenant {
    fn from(row: PartnerRow) -> Self {
        let PartnerRow { id, name, slug, status, .. } = row;
        Self { id: id.to_string(), name, slug, status: status.as_str().to_owned() }
    }
}
