//! `/admin/config`, `/admin/nameservers`, `/admin/authoritative-domains`, for the platform's admin.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::service::Services;
use crate::service::platform::nameservers::{self, Nameservers};
use crate::service::platform::{self, ConfigValue, Domains};

use super::error::ApiError;
use super::extract::{ApiJson, ApiPath, Authenticated};

/// A setting of the platform.
#[derive(Serialize, ToSchema)]
pub struct ConfigItem {
    #[schema(example = "default_ttl")]
    pub key: String,
    /// A number or a text, as the setting wants it.
    #[schema(value_type = Value, example = 3600)]
    pub value: Value,
    pub description: String,
    /// Null: never changed; the environment's value holds, or the default.
    #[serde(with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
    /// Who changed it last, as the audit log names them.
    pub updated_by: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct ConfigList {
    /// By key.
    pub configs: Vec<ConfigItem>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateConfig {
    /// Null: back to what the environment says, or the default.
    #[schema(value_type = Value, example = 3600)]
    pub value: Value,
}

/// The platform's nameservers.
#[derive(Serialize, ToSchema)]
pub struct NameserversItem {
    /// The first is the primary of every SOA.
    #[schema(example = json!(["ns1.dns.example.com", "ns2.dns.example.com"]))]
    pub nameservers: Vec<String>,
    /// Null: never set; the environment's hold.
    #[serde(with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
    pub updated_by: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutNameservers {
    /// In place of those that were; at least one, better two.
    #[schema(min_items = 1, max_items = 13, example = json!(["ns1.dns.example.com", "ns2.dns.example.com"]))]
    pub nameservers: Vec<String>,
}

/// New domains have them at once, the others by the job.
#[derive(Serialize, ToSchema)]
pub struct NameserversAccepted {
    #[serde(flatten)]
    pub nameservers: NameserversItem,
    /// Its progress is at `GET /admin/jobs/{job_id}`.
    #[schema(example = "job_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub job_id: String,
}

/// The domains that the platform itself answers for.
#[derive(Serialize, ToSchema)]
pub struct AuthoritativeDomains {
    #[schema(example = json!(["customers.example.com"]))]
    pub domains: Vec<String>,
    /// Null: never set.
    #[serde(with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
    pub updated_by: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutAuthoritativeDomains {
    /// In place of those that were.
    #[schema(max_items = 1000, example = json!(["customers.example.com"]))]
    pub domains: Vec<String>,
}

/// All settings of the platform.
#[utoipa::path(get, path = "/api/v1/admin/config", tag = "platform", operation_id = "list_config",
    responses((status = 200, body = ConfigList)))]
pub async fn list_config(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
) -> Result<Json<ConfigList>, ApiError> {
    let configs = platform::list(&services, &context).await?;
    Ok(Json(ConfigList { configs: configs.into_iter().map(ConfigItem::from).collect() }))
}

/// One setting of the platform.
#[utoipa::path(get, path = "/api/v1/admin/config/{key}", tag = "platform", operation_id = "get_config",
    params(("key" = String, Path)), responses((status = 200, body = ConfigItem)))]
pub async fn get_config(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(key): ApiPath<String>,
) -> Result<Json<ConfigItem>, ApiError> {
    Ok(Json(platform::get(&services, &context, &key).await?.into()))
}

/// Changes a setting; it counts at every replica and worker within a second or two.
#[utoipa::path(patch, path = "/api/v1/admin/config/{key}", tag = "platform", operation_id = "update_config",
    params(("key" = String, Path)), request_body = UpdateConfig, responses((status = 200, body = ConfigItem)))]
pub async fn update_config(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(key): ApiPath<String>,
    ApiJson(body): ApiJson<UpdateConfig>,
) -> Result<Json<ConfigItem>, ApiError> {
    Ok(Json(platform::set(&services, &context, &key, &body.value).await?.into()))
}

/// The platform's nameservers.
#[utoipa::path(get, path = "/api/v1/admin/nameservers", tag = "platform", operation_id = "get_nameservers",
    responses((status = 200, body = NameserversItem)))]
pub async fn get_nameservers(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
) -> Result<Json<NameserversItem>, ApiError> {
    Ok(Json(nameservers::get(&services, &context).await?.into()))
}

/// Sets the platform's nameservers. A job brings them into the NS records and the SOA of all domains; those that are
/// set next end it.
#[utoipa::path(put, path = "/api/v1/admin/nameservers", tag = "platform", operation_id = "put_nameservers",
    request_body = PutNameservers, responses((status = 200, body = NameserversAccepted)))]
pub async fn put_nameservers(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiJson(body): ApiJson<PutNameservers>,
) -> Result<Json<NameserversAccepted>, ApiError> {
    let (set, job) = nameservers::put(&services, &context, &body.nameservers).await?;
    Ok(Json(NameserversAccepted { nameservers: set.into(), job_id: job.to_string() }))
}

/// The domains below which a tenant's new domain needs no proof.
#[utoipa::path(get, path = "/api/v1/admin/authoritative-domains", tag = "platform",
    operation_id = "get_authoritative_domains", responses((status = 200, body = AuthoritativeDomains)))]
pub async fn get_domains(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
) -> Result<Json<AuthoritativeDomains>, ApiError> {
    Ok(Json(platform::domains(&services, &context).await?.into()))
}

/// Sets the domains below which a tenant's new domain needs no proof, unless another tenant's domain is at, above or
/// below it.
#[utoipa::path(put, path = "/api/v1/admin/authoritative-domains", tag = "platform",
    operation_id = "put_authoritative_domains", request_body = PutAuthoritativeDomains,
    responses((status = 200, body = AuthoritativeDomains)))]
pub async fn put_domains(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiJson(body): ApiJson<PutAuthoritativeDomains>,
) -> Result<Json<AuthoritativeDomains>, ApiError> {
    Ok(Json(platform::set_domains(&services, &context, &body.domains).await?.into()))
}

impl From<ConfigValue> for ConfigItem {
    fn from(value: ConfigValue) -> Self {
        let ConfigValue { key, value, description, updated_at, updated_by } = value;
        Self { key: key.to_owned(), value, description: description.to_owned(), updated_at, updated_by }
    }
}

impl From<Nameservers> for NameserversItem {
    fn from(standing: Nameservers) -> Self {
        let Nameservers { names, updated_at, updated_by } = standing;
        Self { nameservers: names, updated_at, updated_by }
    }
}

impl From<Domains> for AuthoritativeDomains {
    fn from(standing: Domains) -> Self {
        let Domains { domains, updated_at, updated_by } = standing;
        Self { domains: domains.into_iter().map(|name| name.to_string()).collect(), updated_at, updated_by }
    }
}
