//! SMIMEA: the certificate of a mailbox (RFC 8162), in the form of TLSA.

use super::{Neighbourhood, ParseContext, Parsed, RecordDefinition, tlsa};
use crate::dns::error::{FieldError, Warning};
use crate::dns::owner_name::OwnerName;
use crate::dns::rrset::Rrset;

pub(in crate::dns) struct Smimea;

impl RecordDefinition for Smimea {
    fn description(&self) -> &'static str {
        "Certificate of a mailbox (S/MIME); the name is <hash of the local part>._smimecert"
    }

    fn example(&self) -> &'static str {
        "3 0 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971"
    }

    fn parse(&self, content: &str, _context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        tlsa::parse(content)
    }

    fn warnings(&self, _owner: &OwnerName, _rrset: &Rrset, around: &Neighbourhood<'_>) -> Vec<Warning> {
        tlsa::unsigned(around).into_iter().collect()
    }
}
