//! DS: the digest of a delegated zone's key (RFC 4034 section 5).

use super::data::delegation_signer;
use super::text::fields_and_data;
use super::{Owner, ParseContext, Parsed, RecordDefinition};
use crate::dns::error::FieldError;

pub(in crate::dns) struct Ds;

impl RecordDefinition for Ds {
    fn description(&self) -> &'static str {
        "Digest of the key of a zone delegated below; stands beside its NS"
    }

    fn example(&self) -> &'static str {
        "60485 13 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A"
    }

    fn parse(&self, content: &str, _context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let (fields, digest) = fields_and_data(content, "<key tag> <algorithm> <digest type> <digest>")?;
        let (canonical, warnings) = delegation_signer(fields, &digest)?;
        Ok(Parsed { canonical, warnings })
    }

    fn check_owner(&self, owner: &Owner<'_>) -> Result<(), FieldError> {
        if owner.name.is_apex(owner.zone) {
            return Err(FieldError::name("the DS of this zone stands in its parent, not at its own apex"));
        }
        Ok(())
    }
}
