//! OPENPGPKEY: the OpenPGP key of a mailbox (RFC 7929).

use super::data::base64;
use super::text::fields_and_data;
use super::{ParseContext, Parsed, RecordDefinition};
use crate::dns::error::FieldError;

pub(in crate::dns) struct OpenPgpKey;

impl RecordDefinition for OpenPgpKey {
    fn description(&self) -> &'static str {
        "OpenPGP key of a mailbox; the name is <hash of the local part>._openpgpkey"
    }

    fn example(&self) -> &'static str {
        "mQINBFit2jsBEADrbl5vjVxYeAE0g0IDYCBpHirv1Sjlqxx5gjtPhb2YhvyDMXjq"
    }

    fn parse(&self, content: &str, _context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let ([], key) = fields_and_data(content, "<key in base64>")?;
        base64(&key, "key").map(Parsed::plain)
    }
}
