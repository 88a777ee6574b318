//! URI: where a service is, as a URI (RFC 7553).

use super::text::{number, push_quoted, string, words};
use super::{ParseContext, Parsed, RecordDefinition};
use crate::dns::error::FieldError;

/// What remains of RDATA beside priority and weight.
const TARGET_OCTETS_MAX: usize = 65_535 - 4;

pub(in crate::dns) struct Uri;

impl RecordDefinition for Uri {
    fn description(&self) -> &'static str {
        "URI of a service; the name begins with _service._proto"
    }

    fn example(&self) -> &'static str {
        "10 1 \"https://www.example.com/path\""
    }

    fn parse(&self, content: &str, _context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let [priority, weight, target] = words(content)?[..] else {
            return Err(FieldError::content("content must be of the form '<priority> <weight> \"<URI>\"'"));
        };
        let priority: u16 = number(priority, "priority", u32::from(u16::MAX))?;
        let weight: u16 = number(weight, "weight", u32::from(u16::MAX))?;
        let target = string(target, "target", TARGET_OCTETS_MAX)?;
        check(&target)?;
        let mut canonical = format!("{priority} {weight} ");
        push_quoted(&mut canonical, &target);
        Ok(Parsed::plain(canonical))
    }
}

/// RFC 3986: a scheme, and nothing but visible ASCII.
fn check(target: &[u8]) -> Result<(), FieldError> {
    if target.is_empty() {
        return Err(FieldError::content("target is missing"));
    }
    let colon = target.iter().position(|octet| *octet == b':').unwrap_or_default();
    let (scheme, rest) = target.split_at(colon);
    let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(octet));
    if !is_scheme || rest.len() < 2 {
        return Err(FieldError::content("target must be a URI with its scheme, as in https://www.example.com/"));
    }
    if !target.iter().all(u8::is_ascii_graphic) {
        return Err(FieldError::content("target holds what a URI must write with %"));
    }
    Ok(())
}
