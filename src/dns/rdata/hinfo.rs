//! HINFO: what a host is (RFC 1035 section 3.3.2), today mostly the answer to ANY (RFC 8482).

use super::text::{STRING_OCTETS_MAX, push_quoted, string, words};
use super::{ParseContext, Parsed, RecordDefinition};
use crate::dns::error::FieldError;

pub(in crate::dns) struct Hinfo;

impl RecordDefinition for Hinfo {
    fn description(&self) -> &'static str {
        "Hardware and operating system of a host"
    }

    fn example(&self) -> &'static str {
        "\"x86-64\" \"Linux\""
    }

    fn parse(&self, content: &str, _context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let [cpu, os] = words(content)?[..] else {
            return Err(FieldError::content("content must be of the form '\"<cpu>\" \"<operating system>\"'"));
        };
        let mut canonical = String::new();
        push_quoted(&mut canonical, &string(cpu, "cpu", STRING_OCTETS_MAX)?);
        canonical.push(' ');
        push_quoted(&mut canonical, &string(os, "operating system", STRING_OCTETS_MAX)?);
        Ok(Parsed::plain(canonical))
    }
}
