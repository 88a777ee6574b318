//! `/api-keys/`: managed with a user's token only; the secret is shown once.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::{Extension, Json};
use secrecy::ExposeSecret;
use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::service::api_keys::{self, ApiKeyPatch, IssuedKey, KeyPage, NewApiKey, SourceReference, key_id};
use crate::service::{Context, Services};
use crate::storage::api_keys::{ApiKeyRow, Source};

use super::error::ApiError;
use super::extract::{ApiJson, ApiPath, ApiQuery, Authenticated, OptionalJson, flag};
use super::idempotency::ShownOnce;
use super::moments;
use super::paging::{Page, decode_cursor, page_request};

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
pub struct ApiKey {
    #[schema(example = "key_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub id: String,
    #[schema(example = "CI")]
    pub name: String,
    pub description: Option<String>,
    /// The beginning of the secret, to tell keys apart.
    #[schema(example = "sdk_live_ab")]
    pub key_prefix: String,
    pub status: ApiKeyStatus,
    pub permission_source: PermissionSource,
    /// ScaiKey's id of the user or group.
    #[schema(example = "usr_5f1c2a")]
    pub permission_source_id: String,
    /// Null: all that the source has.
    #[schema(example = json!(["records:read", "records:write"]))]
    pub scopes: Option<Vec<String>>,
    /// Requests a minute; null: the platform's limit.
    #[schema(example = 600)]
    pub rate_limit: Option<u32>,
    /// Empty: from everywhere.
    #[schema(example = json!(["192.0.2.0/24", "2001:db8::1"]))]
    pub ip_whitelist: Vec<String>,
    /// Null: never.
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_used_at: Option<OffsetDateTime>,
    #[schema(example = "192.0.2.7")]
    pub last_used_ip: Option<String>,
    pub use_count: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// A key with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub struct ApiKeyWithSecret {
    #[serde(flatten)]
    pub item: ApiKey,
    /// Keep it: it cannot be read again. Absent where the request is a repetition under an `Idempotency-Key`.
    #[schema(example = "sdk_live_abVg3tQ2Xw9LmZ0cR7yKp1sNf5uJd8hBe4oTi6aGqWlM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApiKeyStatus {
    Active,
    Revoked,
    Expired,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PermissionSource {
    User,
    Group,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyCreate {
    #[schema(min_length = 1, max_length = 255, example = "CI")]
    pub name: String,
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub description: Option<String>,
    /// Whose permissions the key has.
    #[schema(value_type = PermissionSource)]
    pub permission_source: String,
    /// The user's or group's id, ours or ScaiKey's.
    #[schema(example = "usr_5f1c2a")]
    pub permission_source_id: String,
    /// A part of the source's permissions; `resource:write` is create, update and delete. Absent: all.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 64, example = json!(["records:read", "records:write"]))]
    pub scopes: Option<Vec<String>>,
    /// Requests a minute.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub rate_limit: Option<u32>,
    /// Addresses and CIDRs.
    #[serde(default)]
    #[schema(max_items = 100, example = json!(["192.0.2.0/24"]))]
    pub ip_whitelist: Option<Vec<String>>,
    #[serde(default, deserialize_with = "moments::optional")]
    pub expires_at: Option<OffsetDateTime>,
}

/// What is absent stays; null empties.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyUpdate {
    #[serde(default, deserialize_with = "present")]
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 1000)]
    pub description: Option<Option<String>>,
    /// Requests a minute.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000)]
    pub rate_limit: Option<Option<u32>>,
    /// Addresses and CIDRs.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    pub ip_whitelist: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "moments::present")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Option<OffsetDateTime>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyRevoke {
    /// For the audit log.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ApiKeyListQuery {
    #[param(minimum = 1, default = 1)]
    page: Option<u32>,
    #[param(minimum = 1, maximum = 100, default = 50)]
    page_size: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    include_revoked: bool,
}

/// A request of somebody with a token. A key never manages keys: that comes before whatever it asks.
pub struct Person(Context);

impl FromRequestParts<Arc<Services>> for Person {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, services: &Arc<Services>) -> Result<Self, ApiError> {
        Authenticated::from_request_parts(parts, services).await.and_then(Self::admit)
    }
}

impl Person {
    fn admit(Authenticated(context): Authenticated) -> Result<Self, ApiError> {
        match context.caller.is_api_key() {
            true => Err(api_keys::key_not_accepted().into()),
            false => Ok(Self(context)),
        }
    }
}

/// The same with a body. It is read before a key is refused: of a connection that ends over an unread body nothing may
/// be heard any more.
pub struct PersonWith<B>(Context, B);

impl<B: FromRequest<Arc<Services>, Rejection = ApiError>> FromRequest<Arc<Services>> for PersonWith<B> {
    type Rejection = ApiError;

    async fn from_request(request: Request, services: &Arc<Services>) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let caller = Authenticated::from_request_parts(&mut parts, services).await?;
        let body = B::from_request(Request::from_parts(parts, body), services).await;
        let Person(context) = Person::admit(caller)?;
        Ok(Self(context, body?))
    }
}

/// The caller's keys and its groups'; for tenant admins all of the tenant.
#[utoipa::path(get, path = "/api/v1/api-keys/", tag = "api-keys", params(ApiKeyListQuery),
    responses((status = 200, body = Page<ApiKey>)))]
pub async fn list(
    Person(context): Person,
    State(services): State<Arc<Services>>,
    ApiQuery(query): ApiQuery<ApiKeyListQuery>,
) -> Result<Json<Page<ApiKey>>, ApiError> {
    let request = page_request(query.page, query.page_size)?;
    let after = decode_cursor(query.cursor.as_deref())?;
    let KeyPage { keys, total, more } =
        api_keys::list(&services, &context, query.include_revoked, request, after).await?;
    let next = keys.last().filter(|_| more).map(|key| (key.name.clone(), key.id));
    Ok(Json(Page::new(&request, shown(&services, keys), total, next)))
}

/// Makes a key. Its secret is in the answer, and nowhere else.
#[utoipa::path(post, path = "/api/v1/api-keys/", tag = "api-keys", request_body = ApiKeyCreate,
    responses((status = 200, body = ApiKeyWithSecret)))]
pub async fn create(
    State(services): State<Arc<Services>>,
    PersonWith(context, ApiJson(body)): PersonWith<ApiJson<ApiKeyCreate>>,
) -> Result<Secret<ApiKeyWithSecret>, ApiError> {
    let issued = api_keys::create(&services, &context, wanted(body)?).await?;
    Ok(shown_once(with_secret(&services, issued)))
}

/// One key.
#[utoipa::path(get, path = "/api/v1/api-keys/{key_id}", tag = "api-keys", params(("key_id" = String, Path)),
    responses((status = 200, body = ApiKey)))]
pub async fn get(
    Person(context): Person,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<ApiKey>, ApiError> {
    let key = api_keys::get(&services, &context, key_id(&id)?).await?;
    Ok(Json(item(&services, key)))
}

/// Changes what may change of a key: not its source, nor its scopes.
#[utoipa::path(patch, path = "/api/v1/api-keys/{key_id}", tag = "api-keys", params(("key_id" = String, Path)),
    request_body = ApiKeyUpdate, responses((status = 200, body = ApiKey)))]
pub async fn update(
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
    PersonWith(context, ApiJson(body)): PersonWith<ApiJson<ApiKeyUpdate>>,
) -> Result<Json<ApiKey>, ApiError> {
    let key = api_keys::update(&services, &context, key_id(&id)?, patch(body)).await?;
    Ok(Json(item(&services, key)))
}

/// Removes a key for good.
#[utoipa::path(delete, path = "/api/v1/api-keys/{key_id}", tag = "api-keys", params(("key_id" = String, Path)),
    responses((status = 204)))]
pub async fn delete(
    Person(context): Person,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
) -> Result<StatusCode, ApiError> {
    api_keys::delete(&services, &context, key_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives the key a new secret; the old one is dead at once.
#[utoipa::path(post, path = "/api/v1/api-keys/{key_id}/regenerate", tag = "api-keys",
    params(("key_id" = String, Path)), responses((status = 200, body = ApiKeyWithSecret)))]
pub async fn regenerate(
    Person(context): Person,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
) -> Result<Secret<ApiKeyWithSecret>, ApiError> {
    let issued = api_keys::regenerate(&services, &context, key_id(&id)?).await?;
    Ok(shown_once(with_secret(&services, issued)))
}

/// An answer with a secret that is shown once.
type Secret<T> = (Extension<ShownOnce>, Json<T>);

fn shown_once(key: ApiKeyWithSecret) -> Secret<ApiKeyWithSecret> {
    (Extension(ShownOnce(&["key"])), Json(key))
}

/// Ends a key; it may be activated again.
#[utoipa::path(post, path = "/api/v1/api-keys/{key_id}/revoke", tag = "api-keys",
    params(("key_id" = String, Path)), request_body = Option<ApiKeyRevoke>, responses((status = 200, body = ApiKey)))]
pub async fn revoke(
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
    PersonWith(context, OptionalJson(body)): PersonWith<OptionalJson<Option<ApiKeyRevoke>>>,
) -> Result<Json<ApiKey>, ApiError> {
    let key = api_keys::revoke(&services, &context, key_id(&id)?, body.and_then(|body| body.reason)).await?;
    Ok(Json(item(&services, key)))
}

/// Brings a revoked key back.
#[utoipa::path(post, path = "/api/v1/api-keys/{key_id}/activate", tag = "api-keys",
    params(("key_id" = String, Path)), responses((status = 200, body = ApiKey)))]
pub async fn activate(
    Person(context): Person,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<ApiKey>, ApiError> {
    let key = api_keys::activate(&services, &context, key_id(&id)?).await?;
    Ok(Json(item(&services, key)))
}

fn wanted(body: ApiKeyCreate) -> Result<NewApiKey, ApiError> {
    let ApiKeyCreate {
        name,
        description,
        permission_source,
        permission_source_id,
        scopes,
        rate_limit,
        ip_whitelist,
        expires_at,
    } = body;
    Ok(NewApiKey {
        name,
        description,
        source: SourceReference::parse(&permission_source, &permission_source_id)?,
        scopes,
        rate_limit,
        ip_whitelist: ip_whitelist.unwrap_or_default(),
        expires_at,
    })
}

fn patch(body: ApiKeyUpdate) -> ApiKeyPatch {
    let ApiKeyUpdate { name, description, rate_limit, ip_whitelist, expires_at } = body;
    ApiKeyPatch { name, description, rate_limit, ip_whitelist, expires_at }
}

fn with_secret(services: &Services, issued: IssuedKey) -> ApiKeyWithSecret {
    let IssuedKey { key, secret } = issued;
    ApiKeyWithSecret { item: item(services, key), key: secret.map(|secret| secret.expose_secret().to_owned()) }
}

fn shown(services: &Services, keys: Vec<ApiKeyRow>) -> Vec<ApiKey> {
    keys.into_iter().map(|key| item(services, key)).collect()
}

fn item(services: &Services, key: ApiKeyRow) -> ApiKey {
    let ApiKeyRow {
        id,
        tenant: _,
        name,
        description,
        key_prefix,
        revoked,
        source,
        source_scaikey_id,
        scopes,
        rate_limit,
        ip_whitelist,
        expires_at,
        last_used_at,
        last_used_ip,
        use_count,
        created_at,
        updated_at: _,
    } = key;
    let status = match (revoked, expires_at) {
        (true, _) => ApiKeyStatus::Revoked,
        (false, Some(at)) if at <= services.clock.now() => ApiKeyStatus::Expired,
        (false, _) => ApiKeyStatus::Active,
    };
    ApiKey {
        id: id.to_string(),
        name,
        description,
        key_prefix,
        status,
        permission_source: match source {
            Source::User(_) => PermissionSource::User,
            Source::Group(_) => PermissionSource::Group,
        },
        permission_source_id: source_scaikey_id,
        scopes,
        rate_limit,
        ip_whitelist: ip_whitelist.into_iter().map(|network| network.text).collect(),
        expires_at,
        last_used_at,
        last_used_ip,
        use_count,
        created_at,
    }
}

/// Tells a field that is null from one that is absent.
pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(all(test, feature = "dev"))]
mod route_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_tells_null_from_absent() {
        let read = |text| serde_json::from_str::<ApiKeyUpdate>(text);
        let naive = read(r#"{"expires_at": "2026-01-31T12:00:00"}"#).expect("a patch").expires_at;
        assert_eq!(naive, read(r#"{"expires_at": "2026-01-31T12:00:00Z"}"#).expect("a patch").expires_at);
        assert!(naive.flatten().is_some());
        let body = read(r#"{"description": null, "expires_at": null, "rate_limit": 5}"#).expect("a patch");
        assert_eq!(body.description, Some(None));
        assert_eq!(body.expires_at, Some(None));
        assert_eq!(body.rate_limit, Some(Some(5)));
        assert!(body.name.is_none() && body.ip_whitelist.is_none());
        for bad in [r#"{"name": null}"#, r#"{"scopes": []}"#, r#"{"expires_at": "tomorrow"}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
