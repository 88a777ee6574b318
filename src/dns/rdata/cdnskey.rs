//! CDNSKEY: the key that a zone wants its parent to make a DS of (RFC 7344), or the wish to have none (RFC 8078).

use super::cds::off_apex;
use super::data::{algorithm, base64};
use super::text::{fields_and_data, number};
use super::{Neighbourhood, ParseContext, Parsed, RecordDefinition};
use crate::dns::error::{FieldError, Warning};
use crate::dns::owner_name::OwnerName;
use crate::dns::rrset::Rrset;

/// RFC 8078 section 4, with its erratum.
const DELETE: &str = "0 3 0 AA==";
/// RFC 4034 section 2.1.2.
const PROTOCOL: u8 = 3;
/// RFC 4034 section 2.1.1: the key signs a zone.
const ZONE_KEY: u16 = 0x100;

pub(in crate::dns) struct Cdnskey;

impl RecordDefinition for Cdnskey {
    fn description(&self) -> &'static str {
        "Key that the parent is asked to make a DS of; kept by the platform while the zone is signed"
    }

    fn example(&self) -> &'static str {
        "257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ=="
    }

    fn parse(&self, content: &str, _context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let ([flags, protocol, algorithm], key) = fields_and_data(content, "<flags> <protocol> <algorithm> <key>")?;
        let flags: u16 = number(flags, "flags", u32::from(u16::MAX))?;
        let protocol: u8 = number(protocol, "protocol", 255)?;
        if protocol != PROTOCOL {
            return Err(FieldError::content(format!("protocol must be {PROTOCOL}")));
        }
        if flags == 0 && algorithm == "0" && (key == "0" || key.trim_end_matches('=') == "AA") {
            return Ok(Parsed::plain(DELETE.to_owned()));
        }
        let mut warnings = Vec::new();
        let algorithm = self::algorithm(algorithm, &mut warnings)?;
        if flags & ZONE_KEY == 0 {
            warnings.push(Warning::content("flags without 256 are not those of a zone's key"));
        }
        let key = base64(&key, "key")?;
        Ok(Parsed { canonical: format!("{flags} {protocol} {algorithm} {key}"), warnings })
    }

    fn stands_alone(&self, canonical: &str) -> bool {
        canonical == DELETE
    }

    fn warnings(&self, owner: &OwnerName, _rrset: &Rrset, around: &Neighbourhood<'_>) -> Vec<Warning> {
        off_apex(owner, around).into_iter().collect()
    }
}
