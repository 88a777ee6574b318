//! Rate limits on the wire: who is known is counted by key or user, everybody else by address. Answers to the known say
//! how they stand; one request too many is 429. What a known caller may not do is counted for the audit log.

use std::cell::RefCell;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::ids::TenantId;
use crate::service::denials::Denial;
use crate::service::identity::Known;
use crate::service::rate_limits::Standing;
use crate::service::{ActorRecord, RequestInfo, Services};

use super::error::{ApiError, ErrorCode};
use super::extract::{Authenticated, client_address};
use super::openapi::OPEN_PATHS;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// For browsers of other origins.
pub const HEADERS: [HeaderName; 3] = [LIMIT, REMAINING, RESET];

/// Asked by those who keep the service running; what they are told costs little and is bounded by itself.
const HEALTH: &str = "/health/";
/// Its callers sign what they send; only those who do not are counted.
pub const WEBHOOKS: &str = "/api/v1/webhooks/";

/// Pages for people, which look at no credentials.
const PAGES: [&str; 2] = ["/docs", "/api/v1/openapi.json"];

/// Beside an answer that is no 401: the credentials were wrong all the same.
#[derive(Clone, Copy)]
pub struct WrongCredentials;

/// For where there is nothing to call: whoever comes with right credentials is counted as everywhere.
pub struct Counted(pub Option<Extension<WrongCredentials>>);

impl FromRequestParts<Arc<Services>> for Counted {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, services: &Arc<Services>) -> Result<Self, Response> {
        if !has_credentials(&parts.headers) {
            return Ok(Self(None));
        }
        let refused = match Authenticated::from_request_parts(parts, services).await {
            Ok(_) => return Ok(Self(None)),
            Err(error) => error.into_response(),
        };
        match refused.status() {
            StatusCode::TOO_MANY_REQUESTS => Err(refused),
            StatusCode::UNAUTHORIZED => Ok(Self(Some(Extension(WrongCredentials)))),
            _ => Ok(Self(None)),
        }
    }
}

tokio::task_local! {
    /// Who the caller of this request is and how it stands, once it is known.
    static SEEN: RefCell<Option<Seen>>;
}

struct Seen {
    standing: Standing,
    actor: ActorRecord,
    tenant: TenantId,
    request: RequestInfo,
}

/// Counts a request of somebody known, for the headers of its answer too.
pub async fn count(services: &Services, known: &Known, request: &RequestInfo) -> Result<(), ApiError> {
    let Some(standing) = services.rate_limits.count(known).await else { return Ok(()) };
    let (actor, tenant) = (ActorRecord::from(&known.caller.actor), known.caller.tenant);
    let seen = Seen { standing, actor, tenant, request: request.clone() };
    // outside of the middleware, in tests of a handler alone, nobody wants to know
    let _ = SEEN.try_with(|cell| cell.replace(Some(seen)));
    match standing.refused {
        Some(seconds) => Err(ApiError::rate_limited(seconds)),
        None => Ok(()),
    }
}

/// Counts requests of nobody known before anything is done for them; those whose credentials are wrong, when that is
/// found out: somebody else's mistakes never shut out who has the right ones from the same address. Whoever is known and
/// refused for something else, or could not be looked up, has made none.
pub async fn middleware(State(services): State<Arc<Services>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path.starts_with(HEALTH) {
        return next.run(request).await;
    }
    let route = request.extensions().get::<MatchedPath>().map(|path| format!("{} {}", request.method(), path.as_str()));
    let address = client_address(request.headers(), request.extensions(), &services.config);
    let signs = path.starts_with(WEBHOOKS);
    let refused = async || match address {
        Some(address) => services.rate_limits.count_anonymous(address).await.refused,
        None => None,
    };
    if !signs && (!has_credentials(request.headers()) || is_open(path)) {
        return match refused().await {
            Some(seconds) => ApiError::rate_limited(seconds).into_response(),
            None => next.run(request).await,
        };
    }
    let answered = async { (next.run(request).await, SEEN.with(RefCell::take)) };
    let (mut response, seen) = SEEN.scope(RefCell::new(None), answered).await;
    match seen {
        Some(Seen { standing, actor, tenant, request }) => {
            tell(response.headers_mut(), &standing);
            if let Some(route) = route.filter(|_| is_denied(&response)) {
                services.denials.count(&Denial { actor, tenant, request, route }, services.clock.now());
            }
        }
        None if !are_credentials_wrong(&response) => {}
        None => {
            ::metrics::counter!("scaidns_unknown_callers_total").increment(1);
            if let Some(seconds) = refused().await {
                return ApiError::rate_limited(seconds).into_response();
            }
        }
    }
    response
}

/// Refused for lack of a right, not for having used up what one may have.
fn is_denied(response: &Response) -> bool {
    let code = response.extensions().get::<ErrorCode>().map_or("", |ErrorCode(code)| code);
    response.status() == StatusCode::FORBIDDEN && code != "quota_exceeded"
}

fn are_credentials_wrong(response: &Response) -> bool {
    response.status() == StatusCode::UNAUTHORIZED || response.extensions().get::<WrongCredentials>().is_some()
}

/// Whether nobody looks at credentials there.
fn is_open(path: &str) -> bool {
    OPEN_PATHS.contains(&path) || PAGES.iter().any(|page| path.starts_with(page))
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
