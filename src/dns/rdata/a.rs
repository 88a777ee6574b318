//! A: an IPv4 address (RFC 1035 section 3.4.1).

use std::net::Ipv4Addr;

use super::{ParseContext, Parsed, RecordDefinition};
use crate::dns::error::{FieldError, Warning};

/// Ranges that no server on the Internet answers from (IANA IPv4 special-purpose registry).
const ODD_RANGES: [(u32, u32, &str); 5] = [
    (0x0000_0000, 8, "this network (0.0.0.0/8)"),
    (0x7f00_0000, 8, "loopback (127.0.0.0/8)"),
    (0xa9fe_0000, 16, "link-local (169.254.0.0/16)"),
    (0xe000_0000, 4, "multicast (224.0.0.0/4)"),
    (0xf000_0000, 4, "reserved (240.0.0.0/4)"),
];

pub(in crate::dns) struct A;

impl RecordDefinition for A {
    fn description(&self) -> &'static str {
        "IPv4 address of a host"
    }

    fn example(&self) -> &'static str {
        "192.0.2.1"
    }

    fn parse(&self, content: &str, _context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        // The standard library takes four decimal octets without leading zeros, and nothing else.
        let address: Ipv4Addr = content.parse().map_err(|_| {
            FieldError::content("content must be an IPv4 address: four numbers from 0 to 255 without leading zeros")
        })?;
        let warnings = odd_range(address)
            .map(|range| Warning::content(format!("{address} is in the range {range}")))
            .into_iter()
            .collect();
        Ok(Parsed { canonical: address.to_string(), warnings })
    }

    fn wire_length(&self, _canonical: &str) -> usize {
        4
    }
}

fn odd_range(address: Ipv4Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    ODD_RANGES.iter().find(|(network, length, _)| (bits ^ network) >> (32 - length) == 0).map(|(_, _, name)| *name)
}
