//! Rate limits on the wire: who is known is counted by key or user, everybody else by address. Answers to the known say
//! how they stand; one request too many is 429.

use std::cell::Cell;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::service::Services;
use crate::service::identity::Known;
use crate::service::rate_limits::Standing;

use super::error::ApiError;
use super::extract::client_address;
use super::openapi::OPEN_PATHS;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// For browsers of other origins.
pub const HEADERS: [HeaderName; 3] = [LIMIT, REMAINING, RESET];

/// Asked by those who keep the service running; what they are told costs little and is bounded by itself.
const HEALTH: &str = "/health/";
/// Its callers sign what they send; only those who do not are counted.
const WEBHOOKS: &str = "/api/v1/webhooks/";

tokio::task_local! {
    /// How the caller of this request stands, once it is known.
    static STANDING: Cell<Option<Standing>>;
}

/// Counts a request of somebody known, for the headers of its answer too.
pub async fn count(services: &Services, known: &Known) -> Result<(), ApiError> {
    let Some(standing) = services.rate_limits.count(known).await else { return Ok(()) };
    // outside of the middleware, in tests of a handler alone, nobody wants the headers
    let _ = STANDING.try_with(|cell| cell.set(Some(standing)));
    match standing.refused {
        Some(seconds) => Err(ApiError::rate_limited(seconds)),
        None => Ok(()),
    }
}

/// Counts requests of nobody known before anything is done for them; those whose credentials are wrong, when that is
/// found out: somebody else's mistakes never shut out who has the right ones from the same address.
pub async fn middleware(State(services): State<Arc<Services>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path.starts_with(HEALTH) {
        return next.run(request).await;
    }
    let address = client_address(request.headers(), request.extensions(), &services.config);
    let signs = path.starts_with(WEBHOOKS);
    let refused = async || match address {
        Some(address) => services.rate_limits.count_anonymous(address).await.refused,
        None => None,
    };
    if !signs && (!has_credentials(request.headers()) || OPEN_PATHS.contains(&path)) {
        return match refused().await {
            Some(seconds) => ApiError::rate_limited(seconds).into_response(),
            None => next.run(request).await,
        };
    }
    let answered = async { (next.run(request).await, STANDING.with(Cell::get)) };
    let (mut response, standing) = STANDING.scope(Cell::new(None), answered).await;
    match standing {
        Some(standing) => tell(response.headers_mut(), &standing),
        None if signs && response.status() != StatusCode::UNAUTHORIZED => {}
        None => {
            if let Some(seconds) = refused().await {
                return ApiError::rate_limited(seconds).into_response();
            }
        }
    }
    response
}

fn has_credentials(headers: &HeaderMap) -> bool {
    headers.contains_key("x-api-key") || headers.contains_key(header::AUTHORIZATION)
}

fn tell(headers: &mut HeaderMap, standing: &Standing) {
    let Standing { limit, remaining, reset, refused: _ } = *standing;
    headers.insert(LIMIT, HeaderValue::from(limit));
    headers.insert(REMAINING, HeaderValue::from(remaining));
    headers.insert(RESET, HeaderValue::from(reset));
}
