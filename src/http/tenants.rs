//! `/admin/tenants` and `/admin/partners`, for the platform's admin.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::service::Services;
use crate::service::people::tenants::{self, NewTenant, TenantPatch};
use crate::storage::directory::{PartnerRow, TenantRow};

use super::error::ApiError;
use super::extract::{ApiJson, ApiPath, ApiQuery, Authenticated};
use super::paging::Page;
use super::people::{Asked, PeopleQuery, answer};

#[derive(Serialize, ToSchema)]
pub struct Tenant {
    #[schema(example = "t_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub id: String,
    #[schema(example = "tnt_5f1c2a")]
    pub scaikey_tenant_id: String,
    #[schema(example = "Northwind")]
    pub name: String,
    #[schema(example = "northwind")]
    pub slug: String,
    #[schema(example = "active")]
    pub status: String,
    pub partner_id: Option<String>,
    /// `max_domains`, `max_records_per_domain`, `max_api_keys`, `requests_per_minute`, and what you keep there.
    #[schema(value_type = Object)]
    pub settings: Map<String, Value>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

#[derive(Serialize, ToSchema)]
pub struct Partner {
    #[schema(example = "p_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub id: String,
    #[schema(example = "prt_5f1c2a")]
    pub scaikey_partner_id: String,
    #[schema(example = "Contoso Partners")]
    pub name: String,
    #[schema(example = "contoso")]
    pub slug: String,
    #[schema(example = "active")]
    pub status: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    #[schema(min_length = 1, max_length = 255, example = "Northwind")]
    pub name: String,
    #[schema(min_length = 1, max_length = 63, example = "northwind")]
    pub slug: String,
    #[schema(example = "tnt_5f1c2a")]
    pub scaikey_tenant_id: String,
    /// Ours or ScaiKey's id.
    #[serde(default)]
    pub partner_id: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Map<String, Value>>,
}

/// What is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateTenant {
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255)]
    pub name: Option<String>,
    /// `active` or `suspended`.
    #[serde(default)]
    pub status: Option<String>,
    /// In place of those that were.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Map<String, Value>>,
}

/// All tenants, by name.
#[utoipa::path(get, path = "/api/v1/admin/tenants", tag = "tenants", params(PeopleQuery),
    responses((status = 200, body = Page<Tenant>)))]
pub async fn list(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiQuery(query): ApiQuery<PeopleQuery>,
) -> Result<Json<Page<Tenant>>, ApiError> {
    let Asked { page, after, status, search } = query.check()?;
    let found = tenants::list(&services, &context, (status, search), page, after).await?;
    Ok(Json(answer(page, found, |row| (row.name.clone(), row.id.0), Tenant::from)))
}

/// Registers a tenant of ScaiKey before ScaiKey has told of it.
#[utoipa::path(post, path = "/api/v1/admin/tenants", tag = "tenants", request_body = CreateTenant,
    responses((status = 200, body = Tenant)))]
pub async fn create(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiJson(body): ApiJson<CreateTenant>,
) -> Result<Json<Tenant>, ApiError> {
    let CreateTenant { name, slug, scaikey_tenant_id, partner_id, settings } = body;
    let new = NewTenant { name, slug, scaikey_tenant_id, partner: partner_id, settings };
    Ok(Json(tenants::create(&services, &context, new).await?.into()))
}

/// One tenant, by ours or ScaiKey's id.
#[utoipa::path(get, path = "/api/v1/admin/tenants/{tenant_id}", tag = "tenants", params(("tenant_id" = String, Path)),
    responses((status = 200, body = Tenant)))]
pub async fn get(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<Tenant>, ApiError> {
    Ok(Json(tenants::get(&services, &context, &id).await?.into()))
}

/// Changes a tenant: name and status in ScaiKey, settings here.
#[utoipa::path(patch, path = "/api/v1/admin/tenants/{tenant_id}", tag = "tenants",
    params(("tenant_id" = String, Path)), request_body = UpdateTenant, responses((status = 200, body = Tenant)))]
pub async fn update(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
    ApiJson(body): ApiJson<UpdateTenant>,
) -> Result<Json<Tenant>, ApiError> {
    let UpdateTenant { name, status, settings } = body;
    let patch = TenantPatch { name, status, settings };
    Ok(Json(tenants::update(&services, &context, &id, patch).await?.into()))
}

/// All partners, by name.
#[utoipa::path(get, path = "/api/v1/admin/partners", tag = "tenants", params(PeopleQuery),
    responses((status = 200, body = Page<Partner>)))]
pub async fn list_partners(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiQuery(query): ApiQuery<PeopleQuery>,
) -> Result<Json<Page<Partner>>, ApiError> {
    let Asked { page, after, status, search } = query.check()?;
    let found = tenants::list_partners(&services, &context, (status, search), page, after).await?;
    Ok(Json(answer(page, found, |row| (row.name.clone(), row.id.0), Partner::from)))
}

/// One partner, by ours or ScaiKey's id.
#[utoipa::path(get, path = "/api/v1/admin/partners/{partner_id}", tag = "tenants",
    params(("partner_id" = String, Path)), responses((status = 200, body = Partner)))]
pub async fn get_partner(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<Partner>, ApiError> {
    Ok(Json(tenants::get_partner(&services, &context, &id).await?.into()))
}

impl From<TenantRow> for Tenant {
    fn from(row: TenantRow) -> Self {
        let TenantRow {
            id,
            scaikey_id,
            partner,
            name,
            slug,
            status,
            partner_status: _,
            settings,
            stated_at: _,
            created_at,
            updated_at: _,
        } = row;
        Self {
            id: id.to_string(),
            scaikey_tenant_id: scaikey_id,
            name,
            slug,
            status: status.as_str().to_owned(),
            partner_id: partner.map(|id| id.to_string()),
            settings: serde_json::from_str(&settings).unwrap_or_default(),
            created_at,
        }
    }
}

impl From<PartnerRow> for Partner {
    fn from(row: PartnerRow) -> Self {
        let PartnerRow { id, scaikey_id, name, slug, status, stated_at: _, created_at, updated_at: _ } = row;
        Self {
            id: id.to_string(),
            scaikey_partner_id: scaikey_id,
            name,
            slug,
            status: status.as_str().to_owned(),
            created_at,
        }
    }
}
