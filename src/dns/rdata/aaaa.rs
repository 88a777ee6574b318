//! AAAA: an IPv6 address (RFC 3596), written as RFC 5952 says.

use std::net::Ipv6Addr;

use super::{ParseContext, Parsed, RecordDefinition};
use crate::dns::error::{FieldError, Warning};

pub(in crate::dns) struct Aaaa;

impl RecordDefinition for Aaaa {
    fn description(&self) -> &'static str {
        "IPv6 address of a host"
    }

    fn example(&self) -> &'static str {
        "2001:db8::1"
    }

    fn parse(&self, content: &str, _context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        if content.contains('%') {
            return Err(FieldError::content("an IPv6 address in DNS has no zone index"));
        }
        let address: Ipv6Addr = content.parse().map_err(|_| FieldError::content("content must be an IPv6 address"))?;
        let warnings =
            odd_range(address).map(|range| Warning::content(format!("{content} is {range}"))).into_iter().collect();
        Ok(Parsed { canonical: render(address), warnings })
    }

    fn wire_length(&self, _canonical: &str) -> usize {
        16
    }
}

/// RFC 5952, with v4-mapped addresses in hexadecimal like all others: one form, whatever the writer's library prefers.
fn render(address: Ipv6Addr) -> String {
    if address.to_ipv4_mapped().is_some() {
        let segments = address.segments();
        return format!("::ffff:{:x}:{:x}", segments[6], segments[7]);
    }
    address.to_string()
}

fn odd_range(address: Ipv6Addr) -> Option<&'static str> {
    let first = address.segments()[0];
    if address.is_unspecified() {
        Some("the unspecified address")
    } else if address.is_loopback() {
        Some("the loopback address")
    } else if first & 0xffc0 == 0xfe80 {
        Some("link-local (fe80::/10)")
    } else if first & 0xff00 == 0xff00 {
        Some("multicast (ff00::/8)")
    } else {
        None
    }
}
