//! Entity tags in headers: whether a client has what it asks for, and what it would change.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::service::entity_tag::{EntityTag, Expected};

use super::error::ApiError;

/// Whether the client has it: `If-None-Match` names it, in the weak comparison that is meant there, or any.
pub fn is_had(tag: &EntityTag, headers: &HeaderMap) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|named| named == "*" || named.strip_prefix("W/").unwrap_or(named) == tag.as_str())
}

/// 304: the client's own copy is good.
pub fn not_modified(tag: &EntityTag) -> Response {
    (StatusCode::NOT_MODIFIED, [tag_header(tag)]).into_response()
}

pub fn tag_header(tag: &EntityTag) -> (HeaderName, HeaderValue) {
    let value = HeaderValue::from_str(tag.as_str()).unwrap_or(HeaderValue::from_static("\"\""));
    (header::ETAG, value)
}

/// `If-Match`, where there is one.
pub fn expected(headers: &HeaderMap) -> Result<Option<Expected>, ApiError> {
    let values = headers.get_all(header::IF_MATCH);
    if values.iter().next().is_none() {
        return Ok(None);
    }
    let texts = values.iter().map(|value| value.to_str().unwrap_or_default());
    Ok(Some(Expected::parse(texts)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_had_in_any_form_that_a_client_may_send() {
        let tag = EntityTag::of_list("zone", &["7"]);
        let own = tag.as_str();
        for form in [own.to_owned(), format!("W/{own}"), format!("\"x\", {own}"), "*".to_owned()] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, form.parse().expect("a header"));
            assert!(is_had(&tag, &headers), "{form}");
        }
        assert!(!is_had(&tag, &HeaderMap::new()));
        let other = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static("\"x\""))]);
        assert!(!is_had(&tag, &other));
    }
}
