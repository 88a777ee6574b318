//! `/domains/{id}/validation`: proving that a domain is one's own.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::ids::ZoneId;
use crate::service::Services;
use crate::service::validation::{self, CheckResult, TXT_RECORD};
use crate::storage::validations::ValidationRow;
use crate::storage::zones::ZoneRow;

use super::error::ApiError;
use super::extract::{ApiPath, Authenticated, OptionalJson};

/// A challenge.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValidationItem {
    #[schema(example = "v_01jd0000000000000000000000")]
    pub id: String,
    pub validation_type: String,
    /// `pending`, `verifying`, `failed` (retry allowed), `validated`, `expired` or `cancelled`.
    pub status: String,
    /// 128 random bits, made for this claim.
    pub challenge_value: String,
    /// What to publish: where the domain is served today, or, of the type NS, at its parent.
    pub dns_record: ChallengeRecord,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ChallengeRecord {
    #[schema(example = "_scaidns-verify.shop.test")]
    pub name: String,
    #[serde(rename = "type")]
    pub record_type: &'static str,
    #[schema(example = "scaidns-verify=0123456789abcdef0123456789abcdef")]
    pub value: String,
    /// Seconds; a suggestion.
    pub ttl: u32,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartValidation {
    /// `txt_record`, also where absent, or, where the platform offers it, `nameservers`.
    #[schema(example = "txt_record")]
    pub validation_type: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckValidation {
    /// For the platform's admin: the name is taken from the tenant whose domain is live, if the challenge is met.
    #[serde(default)]
    pub force_transfer: bool,
}

/// What a look brought.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckAnswer {
    pub is_valid: bool,
    #[schema(example = "Domain validated")]
    pub message: String,
    pub validation_id: Option<String>,
}

impl ValidationItem {
    pub fn new(services: &Services, nameservers: &[String], zone: &ZoneRow, row: ValidationRow) -> Self {
        let validation::ChallengeRecord { name, record_type, value } = validation::dns_record(nameservers, zone, &row);
        let ValidationRow { id, zone: _, validation_type, status, challenge_value, expires_at, created_at } = row;
        let ttl = services.config.validation.challenge_ttl;
        Self {
            id: id.to_string(),
            validation_type,
            status,
            challenge_value,
            dns_record: ChallengeRecord { name, record_type, value, ttl },
            expires_at,
            created_at,
        }
    }
}

/// The newest challenge that can still be checked, or `null`.
#[utoipa::path(get, path = "/api/v1/domains/{id}/validation", tag = "validation", params(("id" = String, Path)),
    responses((status = 200, body = Option<ValidationItem>)))]
pub async fn get(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
) -> Result<Json<Option<ValidationItem>>, ApiError> {
    let (zone, open) = validation::get(&services, &context, id).await?;
    let platform = services.platform.settings().await?;
    let item = |open| ValidationItem::new(&services, &platform.nameservers.names, &zone, open);
    Ok(Json(open.map(item)))
}

/// A new challenge; the one before is superseded.
#[utoipa::path(post, path = "/api/v1/domains/{id}/validation", tag = "validation", params(("id" = String, Path)),
    request_body = Option<StartValidation>, responses((status = 200, body = ValidationItem)))]
pub async fn start(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    OptionalJson(body): OptionalJson<StartValidation>,
) -> Result<Json<ValidationItem>, ApiError> {
    let wanted = body.validation_type.as_deref().unwrap_or(TXT_RECORD);
    let (zone, challenge) = validation::start(&services, &context, id, wanted).await?;
    let platform = services.platform.settings().await?;
    Ok(Json(ValidationItem::new(&services, &platform.nameservers.names, &zone, challenge)))
}

/// Looks for the challenge in the DNS; if it is there, the domain goes live.
#[utoipa::path(post, path = "/api/v1/domains/{id}/validation/check", tag = "validation", params(("id" = String, Path)),
    request_body = Option<CheckValidation>, responses((status = 200, body = CheckAnswer)))]
pub async fn check(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    OptionalJson(body): OptionalJson<CheckValidation>,
) -> Result<Json<CheckAnswer>, ApiError> {
    let checked = validation::check(&services, &context, id, body.force_transfer).await?;
    let CheckResult { is_valid, message, validation } = checked;
    Ok(Json(CheckAnswer { is_valid, message, validation_id: validation.map(|id| id.to_string()) }))
}

/// Cancels the open challenge.
#[utoipa::path(delete, path = "/api/v1/domains/{id}/validation", tag = "validation", params(("id" = String, Path)),
    responses((status = 204, description = "Cancelled")))]
pub async fn cancel(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
) -> Result<StatusCode, ApiError> {
    validation::cancel(&services, &context, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
