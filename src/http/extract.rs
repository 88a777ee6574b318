//! Extractors: each hands over a checked value or answers in the error shape of the contract.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use ipnet::IpNet;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tower_http::timeout::TimeoutError;

use crate::config::Config;
use crate::fairness::{self, Party};
use crate::service::{Context, Error, RequestInfo, SchemaProblem, Services};

use super::error::ApiError;
use super::{etag, rate_limit, request_id};

/// How long a request waits for its place behind others: with what it does then, callers hear within three seconds.
const PLACE_WAIT: Duration = Duration::from_secs(2);
/// The longest user agent that is kept.
const USER_AGENT_MAX: usize = 512;

/// A JSON body. Unknown fields are refused by the types themselves (`deny_unknown_fields`).
pub struct ApiJson<T>(pub T);

/// A JSON body all of whose fields are optional: nothing at all is taken as `{}`.
pub struct OptionalJson<T>(pub T);

/// The query string.
pub struct ApiQuery<T>(pub T);

/// Path parameters; what is no id of the wanted kind does not exist.
pub struct ApiPath<T>(pub T);

/// Whose request it is, found before it came to its handler.
#[derive(Clone)]
pub struct Known(pub Context);

/// A request with valid credentials.
pub struct Authenticated(pub Context);

/// A body as it came, of whatever type.
pub struct RawBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        body(request, state).await.map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let has_type = is_json(request.headers());
        let bytes = body(request, state).await?;
        if !has_type && !(bytes.is_empty()) {
            return Err(unsupported_media_type());
        }
        parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let has_type = is_json(request.headers());
        let bytes = body(request, state).await?;
        if bytes.is_empty() {
            return parse(b"{}").map(Self);
        }
        if !has_type {
            return Err(unsupported_media_type());
        }
        parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text = text.trim_start_matches("Failed to deserialize query string: ");
                let (field, message) = text.split_once(": ").unwrap_or(("", text));
                Err(Error::Schema(vec![problem(["query", field], message)]).into())
            }
        }
    }
}

/// A truth value of the query string, in the words that clients' libraries have for it.
pub fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(Some(true)),
        "false" | "0" | "no" | "off" => Ok(Some(false)),
        _ => Err(serde::de::Error::custom("must be true or false")),
    }
}

/// The same where nothing means false.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    truth(deserializer).map(Option::unwrap_or_default)
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(_) => Err(Error::NotFound("Object").into()),
        }
    }
}

/// A request of somebody who proves otherwise than by credentials that it may come.
pub struct Anonymous(pub RequestInfo);

impl FromRequestParts<Arc<Services>> for Anonymous {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, services: &Arc<Services>) -> Result<Self, ApiError> {
        at_work(services, None).await?;
        request_info(parts, &services.config).map(Self)
    }
}

/// Takes one of the places of those who are at work, each of whom may want a connection of the database.
async fn at_work(services: &Services, party: Party) -> Result<(), ApiError> {
    let entered = fairness::enter(services.db.places(), party, PLACE_WAIT).await;
    entered.map_err(|_| Error::unavailable("This replica is busy; try again").into())
}

impl FromRequestParts<Arc<Services>> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, services: &Arc<Services>) -> Result<Self, ApiError> {
        // who may repeat a request has been looked at before
        if let Some(Known(context)) = parts.extensions.get() {
            return Ok(Self(context.clone()));
        }
        let request = request_info(parts, &services.config)?;
        let api_key = single_header(&parts.headers, "x-api-key")?;
        let authorization = single_header(&parts.headers, header::AUTHORIZATION.as_str())?;
        let tenant = single_header(&parts.headers, "x-tenant-id")?;
        let known = match (api_key, authorization) {
            (Some(_), Some(_)) => {
                let message = "Send either X-API-Key or Authorization, not both";
                return Err(ApiError::new(StatusCode::BAD_REQUEST, "two_credentials", message));
            }
            (None, None) => return Err(Error::Unauthenticated("Credentials are missing".into()).into()),
            (Some(key), None) => {
                if tenant.is_some() {
                    let message = "A key acts in its own tenant only; X-Tenant-ID cannot be sent beside it";
                    return Err(ApiError::new(StatusCode::BAD_REQUEST, "tenant_with_key", message));
                }
                services.identity.caller_by_api_key(key, &request).await?
            }
            (None, Some(value)) => {
                let token = bearer(value)
                    .ok_or_else(|| Error::Unauthenticated("Authorization must be a Bearer token".into()))?;
                services.identity.caller_by_token(token, tenant, &request).await?
            }
        };
        rate_limit::count(services, &known, &request).await?;
        at_work(services, Some(known.caller.tenant)).await?;
        Ok(Self(Context { caller: known.caller, request }))
    }
}

/// The access token of a request with valid credentials: for what ends it. A key is none.
pub struct PresentedToken {
    pub context: Context,
    pub token: SecretString,
}

impl FromRequestParts<Arc<Services>> for PresentedToken {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, services: &Arc<Services>) -> Result<Self, ApiError> {
        let Authenticated(context) = Authenticated::from_request_parts(parts, services).await?;
        let authorization = single_header(&parts.headers, header::AUTHORIZATION.as_str())?;
        let token = authorization.and_then(bearer).ok_or_else(|| Error::Forbidden {
            message: "This takes an access token, not an API key".into(),
            code: "key_not_accepted",
        })?;
        Ok(Self { context, token: token.to_owned().into() })
    }
}

/// The token of `Bearer …`.
pub(super) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub fn single_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (value.to_str(), values.next()) {
        (Ok(text), None) => Ok(Some(text)),
        _ => Err(Error::Unauthenticated(format!("The header {name} is malformed")).into()),
    }
}

fn request_info(parts: &Parts, config: &Config) -> Result<RequestInfo, ApiError> {
    let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    Ok(RequestInfo {
        request_id: request_id::current(),
        ip_address: client_address(&parts.headers, &parts.extensions, config),
        user_agent: user_agent.map(|text| text.chars().take(USER_AGENT_MAX).collect()),
        run: None,
        expected: etag::expected(&parts.headers)?,
    })
}

/// The peer, or, behind trusted proxies, the first untrusted address of `X-Forwarded-For` from the right.
pub fn client_address(headers: &HeaderMap, extensions: &Extensions, config: &Config) -> Option<IpAddr> {
    let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(address_behind(&config.trusted_proxies, peer.ip(), headers))
}

pub(super) fn address_behind(proxies: &[IpNet], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let trusted = |address: &IpAddr| proxies.iter().any(|network| network.contains(address));
    let mut address = peer.to_canonical();
    if !trusted(&address) {
        return address;
    }
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    for text in forwarded.into_iter().rev() {
        let Ok(hop) = text.parse::<IpAddr>() else { break };
        address = hop.to_canonical();
        if !trusted(&address) {
            break;
        }
    }
    address
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn unsupported_media_type() -> ApiError {
    let message = "The body must be JSON, with Content-Type: application/json";
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
}

async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    // a slow client holds up nobody but itself
    fairness::aside(Bytes::from_request(request, state)).await.map_err(|rejection: BytesRejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            body_too_large()
        } else if has_stalled(&rejection) {
            body_stalled()
        } else {
            ApiError::new(StatusCode::BAD_REQUEST, "body_unreadable", "The body could not be read")
        }
    })
}

/// Whether a body ended because nothing more of it came.
pub fn has_stalled(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<TimeoutError>())
}

pub fn body_stalled() -> ApiError {
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_stalled", "The rest of the body did not come in time")
}

pub fn body_too_large() -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is larger than 10 MB")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // serde takes a list for an object whose fields stand in their order
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(Error::Schema(vec![problem(["body"], "must be an object")]).into());
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        ApiError::from(Error::Schema(vec![body_problem(&path, &message)]))
    })?;
    deserializer.end().map_err(|error| Error::Schema(vec![problem(["body", ""], &error.to_string())]))?;
    Ok(value)
}

/// A part of a body that was read as it is; `at` is its path in there.
pub fn parse_part<T: DeserializeOwned>(value: &Value, at: &str) -> Result<T, SchemaProblem> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| body_problem(&format!("{at}.{}", error.path()), &error.inner().to_string()))
}

/// serde names a missing or unknown field only in its message: it becomes the last part of the location.
fn body_problem(path: &str, message: &str) -> SchemaProblem {
    let message = message.split(" at line ").next().unwrap_or(message);
    let named = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix))
        .and_then(|rest| rest.split('`').next());
    let mut location = vec!["body".to_owned()];
    location.extend(path.split(['.', '[', ']']).filter(|part| !part.is_empty() && *part != "?").map(str::to_owned));
    if let Some(field) = named.filter(|field| location.last().is_none_or(|last| last != field)) {
        location.push(field.to_owned());
    }
    let kind = if message.starts_with("missing field") { "missing" } else { "value_error" };
    SchemaProblem { location, message: message.to_owned(), kind }
}

fn problem<const N: usize>(location: [&str; N], message: &str) -> SchemaProblem {
    let location = location.iter().filter(|part| !part.is_empty()).map(|part| (*part).to_owned()).collect();
    SchemaProblem { location, message: message.to_owned(), kind: "value_error" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_field_is_named_in_the_location() {
        let problem = body_problem("records[0]", "missing field `type` at line 1 column 20");
        assert_eq!(problem.location, ["body", "records", "0", "type"]);
        assert_eq!(problem.kind, "missing");
        let problem = body_problem("colour", "unknown field `colour`, expected `name` or `type` at line 1 column 2");
        assert_eq!(problem.location, ["body", "colour"]);
    }
}
