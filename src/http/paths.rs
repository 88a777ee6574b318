//! Both slash forms of every path, answered directly: top-level collections end in a slash, nested ones do not, and
//! whoever writes it the other way is served all the same, without a redirect that would turn a POST into a GET.

use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// The paths that are routed with their final slash.
const COLLECTIONS: &[&str] = &[
    "/api/v1/domains",
    "/api/v1/api-keys",
    "/api/v1/me",
    "/api/v1/roles",
    "/api/v1/reverse-zones",
    "/api/v1/tsig-keys",
    "/api/v1/templates",
    "/api/v1/admin/audit-logs",
    "/api/v1/admin/users",
    "/api/v1/admin/groups",
];

/// Rewrites the path to the form that is routed.
pub async fn normalize(mut request: Request) -> Request {
    let path = request.uri().path();
    let bare = path.trim_end_matches('/');
    let wanted = if COLLECTIONS.contains(&bare) { format!("{bare}/") } else { bare.to_owned() };
    if wanted == path || bare.is_empty() || path.starts_with("/docs") {
        return request;
    }
    let with_query = match request.uri().query() {
        Some(query) => format!("{wanted}?{query}"),
        None => wanted,
    };
    let mut parts = request.uri().clone().into_parts();
    if let Ok(path_and_query) = with_query.parse::<PathAndQuery>() {
        parts.path_and_query = Some(path_and_query);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}
