//! CDS: the DS that a zone wants its parent to have (RFC 7344), or the wish to have none (RFC 8078).

use super::data::delegation_signer;
use super::text::fields_and_data;
use super::{Neighbourhood, ParseContext, Parsed, RecordDefinition};
use crate::dns::error::{FieldError, Warning};
use crate::dns::owner_name::OwnerName;
use crate::dns::rrset::Rrset;

/// RFC 8078 section 4.
const DELETE: &str = "0 0 0 00";

pub(in crate::dns) struct Cds;

impl RecordDefinition for Cds {
    fn description(&self) -> &'static str {
        "DS that the parent is asked to take over; kept by the platform while the zone is signed"
    }

    fn example(&self) -> &'static str {
        "60485 13 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A"
    }

    fn parse(&self, content: &str, _context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let (fields, digest) = fields_and_data(content, "<key tag> <algorithm> <digest type> <digest>")?;
        let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
        if fields.into_iter().all(is_zero) && is_zero(&digest) && digest.len() <= 2 {
            return Ok(Parsed::plain(DELETE.to_owned()));
        }
        let (canonical, warnings) = delegation_signer(fields, &digest)?;
        Ok(Parsed { canonical, warnings })
    }

    /// The wish to have no DS goes with no other.
    fn stands_alone(&self, canonical: &str) -> bool {
        canonical == DELETE
    }

    fn warnings(&self, owner: &OwnerName, _rrset: &Rrset, around: &Neighbourhood<'_>) -> Vec<Warning> {
        off_apex(owner, around).into_iter().collect()
    }
}

/// The parent looks at the apex only (RFC 7344 section 4.1, RFC 7477 section 2).
pub(super) fn off_apex(owner: &OwnerName, around: &Neighbourhood<'_>) -> Option<Warning> {
    (!owner.is_apex(around.zone.zone())).then(|| Warning::new("name", "the parent looks for it at the zone apex only"))
}
