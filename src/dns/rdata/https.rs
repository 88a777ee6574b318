//! HTTPS: how a web site is reached (RFC 9460 section 9), in the form of SVCB.

use super::{Neighbourhood, ParseContext, Parsed, RecordDefinition, Target, svcb};
use crate::dns::error::{FieldError, Warning};
use crate::dns::owner_name::OwnerName;
use crate::dns::rrset::Rrset;

pub(in crate::dns) struct Https;

impl RecordDefinition for Https {
    fn description(&self) -> &'static str {
        "How a web site is reached: protocols, port, addresses, or another name"
    }

    fn example(&self) -> &'static str {
        "1 . alpn=h2,h3"
    }

    fn name_fields(&self) -> &'static [usize] {
        &[1]
    }

    fn parse(&self, content: &str, context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        svcb::parse(content, context)
    }

    fn target<'a>(&self, canonical: &'a str) -> Option<Target<'a>> {
        svcb::target_of(canonical)
    }

    fn wire_length(&self, canonical: &str) -> usize {
        svcb::wire_length(canonical)
    }

    fn warnings(&self, owner: &OwnerName, rrset: &Rrset, _around: &Neighbourhood<'_>) -> Vec<Warning> {
        svcb::warnings(owner, rrset)
    }
}
