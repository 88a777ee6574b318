//! Entity tags (RFC 9110 section 8.8): what a list was when a client saw it, and whether it still is.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// A strong entity tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag(String);

impl EntityTag {
    /// The tag of what these parts determine.
    pub fn of(parts: &[&str]) -> Self {
        const OCTETS: usize = 16;
        let mut hasher = Sha256::new_with_prefix(env!("CARGO_PKG_VERSION")); // another release may show it otherwise
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(format!("\"{}\"", hex::encode(&hasher.finalize()[..OCTETS])))
    }

    /// Whether the client has it: `If-None-Match` names it, in the weak comparison that is meant there, or any.
    pub fn is_had(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.0)
    }

    /// 304: the client's own copy is good.
    pub fn not_modified(&self) -> Response {
        (StatusCode::NOT_MODIFIED, [self.header()]).into_response()
    }

    pub fn header(&self) -> (HeaderName, HeaderValue) {
        let value = HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static("\"\""));
        (header::ETAG, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_tag_is_had_in_any_form_that_a_client_may_send() {
        let tag = EntityTag::of(&["zone", "7"]);
        for form in [tag.0.clone(), format!("W/{}", tag.0), format!("\"x\", {}", tag.0), "*".to_owned()] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, form.parse().expect("a header"));
            assert!(tag.is_had(&headers), "{form}");
        }
        assert!(!tag.is_had(&HeaderMap::new()));
        assert!(!tag.is_had(&asking("\"x\"")));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(EntityTag::of(&["ab", "c"]), EntityTag::of(&["a", "bc"]));
    }
}
