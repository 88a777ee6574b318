//! RP: the person responsible for a name, and where a text about them stands (RFC 1183 section 2.2).

use std::borrow::Cow;

use super::soa::parse_mailbox;
use super::target::{self, ROOT};
use super::text::fields;
use super::{ParseContext, Parsed, RecordDefinition};
use crate::dns::error::FieldError;

pub(in crate::dns) struct Rp;

impl RecordDefinition for Rp {
    fn description(&self) -> &'static str {
        "Mailbox of the person responsible for a name, and the name of a TXT about them"
    }

    fn example(&self) -> &'static str {
        "admin.example.com. info.example.com."
    }

    /// `.` stands for "none" on either side.
    fn for_server<'a>(&self, canonical: &'a str) -> Cow<'a, str> {
        target::for_server(canonical)
    }

    fn name_fields(&self) -> &'static [usize] {
        &[0, 1]
    }

    fn parse(&self, content: &str, context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let [mailbox, text] = fields(content, "<mailbox> <name of a TXT>")?;
        let mailbox = if mailbox == ROOT { ROOT.to_owned() } else { parse_mailbox(mailbox, context)? };
        let text = if text == ROOT { ROOT.to_owned() } else { target::parse_any(text, context)? };
        Ok(Parsed::plain(format!("{mailbox} {text}")))
    }
}
