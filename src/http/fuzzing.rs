//! What the fuzzer reaches of this layer: what is read of a request's head before anybody is known.

use std::net::IpAddr;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use futures::FutureExt as _;
use ipnet::IpNet;

use super::{etag, extract, idempotency, paths};
use crate::service::entity_tag::EntityTag;

/// A path in the form that is routed; `None`: no path that a request may have.
pub fn routed(path: &str) -> Option<String> {
    let uri: Uri = path.parse().ok()?;
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri;
    let request = paths::normalize(request).now_or_never().expect("nothing that it waits for");
    Some(request.uri().to_string())
}

/// Headers as they may come; what is none is left out.
pub fn headers<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let header = |line: &[u8]| {
        let colon = line.iter().position(|octet| *octet == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
    };
    let mut found = HeaderMap::new();
    for (name, value) in lines.filter_map(header) {
        found.append(name, value);
    }
    found
}

/// Whose request it is, by its peer and the proxies that are believed.
pub fn address_behind(proxies: &[IpNet], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    extract::address_behind(proxies, peer, headers)
}

/// What each reader makes of the headers.
pub fn read_headers(headers: &HeaderMap, body: &[u8]) -> String {
    let body = Bytes::copy_from_slice(body);
    let bare = idempotency::without_boundary(headers, &body);
    assert!(bare.len() <= body.len(), "a boundary taken out makes nothing longer");
    let tag = EntityTag::of_list("1", &["a"]);
    let (is_had, expected) = (etag::is_had(&tag, headers), etag::expected(headers).is_ok());
    let key = idempotency::key_of(headers).is_some();
    let authorization = extract::single_header(headers, header::AUTHORIZATION.as_str());
    let bearer = authorization.is_ok_and(|value| value.and_then(extract::bearer).is_some());
    let shrinks = bare.len() < body.len();
    format!("{is_had} {expected} {key} {bearer} {shrinks} {}", extract::is_json(headers))
}
