//! The HTTP edge: the only place (beside `dev/`) that knows axum, status codes and wire names.

mod access_grants;
mod addresses;
mod api_keys;
mod audit_logs;
mod auth;
mod bulk;
mod deadline;
mod dnssec;
mod domains;
mod error;
mod etag;
mod extract;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod groups;
mod health;
mod history;
mod idempotency;
mod jobs;
mod login;
mod me;
mod metrics;
mod moments;
mod openapi;
mod paging;
mod paths;
mod people;
mod platform;
mod rate_limit;
mod record_search;
mod records;
mod request_id;
mod reverse_zones;
mod roles;
mod routes;
mod rrsets;
mod server;
mod templates;
mod tenants;
mod tsig_keys;
mod unread;
mod users;
mod validation;
mod webhooks;
mod zone_files;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state, map_request};
use axum::response::IntoResponse;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::service::Services;

use rate_limit::Counted;

pub use openapi::document;
#[cfg(any(test, feature = "fuzzing"))]
pub use paging::{decode_cursor, encode_cursor};
pub use server::serve;

/// Larger bodies are refused with 413.
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024; // contract

/// The whole HTTP service.
pub fn router(services: Arc<Services>) -> Router {
    let (api, document) = openapi::complete(routes::routes().split_for_parts());
    let inner = api
        .layer(from_fn_with_state(services.clone(), idempotency::middleware))
        .merge(openapi::pages(document))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(
            ServiceBuilder::new()
                .layer(from_fn(request_id::middleware))
                .layer(from_fn(metrics::middleware))
                .layer(CatchPanicLayer::custom(error::panic_response))
                .layer(cors(&services.config.cors_origins))
                .layer(from_fn_with_state(services.clone(), deadline::middleware))
                .layer(from_fn_with_state(services.clone(), rate_limit::middleware))
                .layer(DefaultBodyLimit::max(BODY_BYTES_MAX)),
        )
        .with_state(services);
    // outside of the router, so that it sees the path first
    Router::new().fallback_service(ServiceBuilder::new().layer(map_request(paths::normalize)).service(inner))
}

/// Browsers of other origins get in only where the operator names them.
fn cors(origins: &[String]) -> CorsLayer {
    let any = origins.iter().any(|origin| origin == "*");
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    if origins.is_empty() {
        return CorsLayer::new();
    }
    CorsLayer::new()
        .allow_origin(if any { AllowOrigin::any() } else { AllowOrigin::list(origins) })
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            idempotency::HEADER,
            HeaderName::from_static("x-api-key"),
            HeaderName::from_static("x-tenant-id"),
            request_id::HEADER,
        ])
        .expose_headers(
            [request_id::HEADER, header::RETRY_AFTER, header::ETAG, idempotency::REPLAYED]
                .into_iter()
                .chain(rate_limit::HEADERS)
                .collect::<Vec<_>>(),
        )
}

async fn not_found(Counted(mark): Counted, uri: Uri) -> impl IntoResponse {
    let message = format!("There is nothing at {}", uri.path());
    (mark, error::ApiError::new(StatusCode::NOT_FOUND, "not_found", message))
}

async fn method_not_allowed(Counted(mark): Counted) -> impl IntoResponse {
    let message = "This method is not allowed here";
    (mark, error::ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message))
}
