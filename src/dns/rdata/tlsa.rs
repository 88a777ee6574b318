//! TLSA: the certificate of a TLS service (RFC 6698); SMIMEA has the same form (RFC 8162).

use super::data::{check_digits, hexadecimal};
use super::text::{fields_and_data, number};
use super::{Neighbourhood, ParseContext, Parsed, RecordDefinition};
use crate::dns::error::{FieldError, Warning};
use crate::dns::owner_name::OwnerName;
use crate::dns::rrset::Rrset;

/// Private use, beside 0 to 3 (RFC 6698 section 7.2).
const USAGE_PRIVATE: u8 = 255;

pub(in crate::dns) struct Tlsa;

impl RecordDefinition for Tlsa {
    fn description(&self) -> &'static str {
        "Certificate of a TLS service (DANE); the name begins with _port._proto"
    }

    fn example(&self) -> &'static str {
        "3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971"
    }

    fn parse(&self, content: &str, _context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        parse(content)
    }

    /// Only a warning, since a name elsewhere may be what a CNAME at `_port._proto` leads to (RFC 7671 section 6).
    fn warnings(&self, owner: &OwnerName, _rrset: &Rrset, around: &Neighbourhood<'_>) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if !is_service(owner) {
            let message = "clients look for TLSA at _port._proto, for example _443._tcp.www";
            warnings.push(Warning::new("name", message));
        }
        warnings.extend(unsigned(around));
        warnings
    }
}

/// `<usage> <selector> <matching> <data>`.
pub(super) fn parse(content: &str) -> Result<Parsed, FieldError> {
    let ([usage, selector, matching], data) = fields_and_data(content, "<usage> <selector> <matching> <data>")?;
    let usage: u8 = number(usage, "usage", 255)?;
    if usage > 3 && usage != USAGE_PRIVATE {
        return Err(FieldError::content("usage must be 0 to 3, or 255"));
    }
    let selector: u8 = number(selector, "selector", 1)?;
    let matching: u8 = number(matching, "matching", 2)?;
    let data = hexadecimal(&data, "data")?;
    match matching {
        1 => check_digits(&data, "data", 64)?,
        2 => check_digits(&data, "data", 128)?,
        _ => {}
    }
    Ok(Parsed::plain(format!("{usage} {selector} {matching} {data}")))
}

/// What a client does with the record rests on its signature.
pub(super) fn unsigned(around: &Neighbourhood<'_>) -> Option<Warning> {
    (!around.signed).then(|| Warning::content("without DNSSEC clients do not look at this record"))
}

fn is_service(owner: &OwnerName) -> bool {
    let mut labels = owner.labels();
    let port = labels.next().is_some_and(|label| {
        let port = label.strip_prefix('_').and_then(|port| port.parse::<u16>().ok());
        label == "*" || port.is_some()
    });
    port && labels.next().is_some_and(|label| label.len() > 1 && label.starts_with('_'))
}
