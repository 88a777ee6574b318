//! `/tsig-keys/`: keys that sign zone transfers.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::ids::TsigKeyId;
use crate::service::Services;
use crate::service::tsig_keys::{self, CreatedTsigKey, NewTsigKey, TsigKeyPage};
use crate::storage::tsig_keys::TsigKeyRow;

use super::error::ApiError;
use super::extract::{ApiJson, ApiPath, ApiQuery, Authenticated};
use super::idempotency::ShownOnce;
use super::paging::{Page, decode_cursor, page_request};

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
pub struct TsigKey {
    #[schema(example = "tsig_01jd0000000000000000000000")]
    pub id: String,
    pub name: String,
    /// What both sides of a transfer call it.
    #[schema(example = "k3x5q7z2m4w6y8ab.northwind.")]
    pub key_name: String,
    #[schema(example = "hmac-sha256")]
    pub algorithm: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// A key as it was made: the one time that its secret is shown.
#[derive(Serialize, ToSchema)]
pub struct TsigKeyWithSecret {
    #[serde(flatten)]
    pub key: TsigKey,
    /// As base64.
    pub secret: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTsigKey {
    /// With `secret`, the name that the other server has it under.
    #[schema(min_length = 1, max_length = 255, example = "transfers")]
    pub name: String,
    /// `hmac-sha256` where absent; `hmac-sha384`, `hmac-sha512`, `hmac-sha224`, `hmac-sha1`.
    #[schema(example = "hmac-sha256")]
    pub algorithm: Option<String>,
    /// Of a key that another server has made, as base64. Where absent, one is made.
    pub secret: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListTsigKeys {
    #[param(minimum = 1, default = 1)]
    page: Option<u32>,
    #[param(minimum = 1, maximum = 100, default = 50)]
    page_size: Option<u32>,
    /// From `next_cursor` of the page before; wins over `page`.
    cursor: Option<String>,
}

/// The keys of the tenant, by name.
#[utoipa::path(get, path = "/api/v1/tsig-keys/", tag = "transfers", operation_id = "list_tsig_keys",
    params(ListTsigKeys), responses((status = 200, body = Page<TsigKey>)))]
pub async fn list(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiQuery(query): ApiQuery<ListTsigKeys>,
) -> Result<Json<Page<TsigKey>>, ApiError> {
    let request = page_request(query.page, query.page_size)?;
    let after = decode_cursor(query.cursor.as_deref())?;
    let TsigKeyPage { keys, total, next } = tsig_keys::list(&services, &context, request, after).await?;
    Ok(Json(Page::new(&request, keys.into_iter().map(item).collect(), total, next)))
}

/// Makes a key, or takes in one of another server. The answer is the only one that has the secret.
#[utoipa::path(post, path = "/api/v1/tsig-keys/", tag = "transfers", operation_id = "create_tsig_key",
    request_body = CreateTsigKey, responses((status = 200, body = TsigKeyWithSecret)))]
pub async fn create(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiJson(body): ApiJson<CreateTsigKey>,
) -> Result<(Extension<ShownOnce>, Json<TsigKeyWithSecret>), ApiError> {
    let CreateTsigKey { name, algorithm, secret } = body;
    let wanted = NewTsigKey { name, algorithm, secret: secret.map(Into::into) };
    let CreatedTsigKey { key, secret } = tsig_keys::create(&services, &context, wanted).await?;
    let made = TsigKeyWithSecret { key: item(key), secret: secret.expose_secret().to_owned() };
    Ok((Extension(ShownOnce(&["secret"])), Json(made)))
}

/// One key.
#[utoipa::path(get, path = "/api/v1/tsig-keys/{tsig}", tag = "transfers", operation_id = "get_tsig_key",
    params(("tsig" = String, Path)), responses((status = 200, body = TsigKey)))]
pub async fn get(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<TsigKeyId>,
) -> Result<Json<TsigKey>, ApiError> {
    Ok(Json(item(tsig_keys::get(&services, &context, id).await?)))
}

/// Deletes a key that no domain uses.
#[utoipa::path(delete, path = "/api/v1/tsig-keys/{tsig}", tag = "transfers", operation_id = "delete_tsig_key",
    params(("tsig" = String, Path)), responses((status = 204, description = "Gone")))]
pub async fn delete(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<TsigKeyId>,
) -> Result<StatusCode, ApiError> {
    tsig_keys::delete(&services, &context, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn item(key: TsigKeyRow) -> TsigKey {
    let TsigKeyRow { id, tenant: _, name, key_name, algorithm, created_at } = key;
    TsigKey { id: id.to_string(), name, key_name: format!("{key_name}."), algorithm, created_at }
}
