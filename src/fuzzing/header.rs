//! The head of a request: path, entity tags, addresses of proxies, keys of repeated requests, credentials.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::{Outcome, seeds_of, text};
use crate::http::fuzzing::{address_behind, headers, read_headers, routed};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// The path, then a header a line, an empty line, and the body.
pub fn seeds() -> Vec<Vec<u8>> {
    seeds_of([
        "/api/v1/domains/?page=2\nX-Forwarded-For: 192.0.2.1, 10.0.0.2\nx-forwarded-for: ::ffff:10.0.0.3\n\n",
        "/api/v1/domains/x/records/\nIf-Match: \"a\", W/\"b\", *\nIf-None-Match: *, \"c\"\n\n",
        "//\nIdempotency-Key: a b\nAuthorization: Bearer abc\nContent-Type: application/problem+json; a=b\n\n{}",
        "/docs/\nContent-Type: multipart/form-data; boundary=\"xyz\"\nIdempotency-Key: 1\n\n--xyz\r\na\r\n--xyz--",
    ])
}

pub fn run(input: &[u8]) -> Outcome {
    let mut lines = input.split(|octet| *octet == b'\n');
    let path = text(lines.next().unwrap_or_default());
    let path = routed(&path).map(|once| {
        assert_eq!(routed(&once).as_ref(), Some(&once), "what is routed is routed so");
        once.len()
    });
    let headers = headers(lines.by_ref().take_while(|line| !line.is_empty()));
    let body = lines.collect::<Vec<_>>().join(&b'\n');
    let proxies: [IpNet; 2] = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().expect("a network"));
    let is_proxy = |address: &IpAddr| proxies.iter().any(|network| network.contains(address));
    assert_eq!(address_behind(&proxies[1..], PEER, &headers), PEER, "a stranger is who it is");
    let address = address_behind(&proxies, PEER, &headers);
    let last = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    if let Some(Ok(hop)) = last.and_then(|value| value.rsplit(',').next()).map(|hop| hop.trim().parse::<IpAddr>())
        && !is_proxy(&hop.to_canonical())
    {
        assert_eq!(address, hop.to_canonical(), "behind the last stranger nobody is believed");
    }
    format!("{} {} {}", path.is_some(), is_proxy(&address), read_headers(&headers, &body))
}
