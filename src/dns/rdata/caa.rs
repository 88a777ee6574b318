//! CAA: who may issue certificates for a name (RFC 8659).

use super::target::HOST;
use super::text::{number, push_quoted, quoted_strings, unescape};
use super::{ParseContext, Parsed, RecordDefinition};
use crate::dns::error::{FieldError, Warning};
use crate::dns::labels;

/// RFC 8659 section 4.1: bit 0 is the issuer critical flag, the others are reserved.
const ISSUER_CRITICAL: u8 = 128;
const TAG_LENGTH_MAX: usize = 15;
/// Registered property tags (IANA, RFC 8659, RFC 9495, CA/Browser Forum).
const KNOWN_TAGS: [&str; 7] = ["issue", "issuewild", "issuemail", "issuevmc", "iodef", "contactemail", "contactphone"];

pub(in crate::dns) struct Caa;

impl RecordDefinition for Caa {
    fn description(&self) -> &'static str {
        "Certification authorities that may issue for a name"
    }

    fn example(&self) -> &'static str {
        "0 issue \"letsencrypt.org\""
    }

    fn parse(&self, content: &str, _context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let (flags, tag, value) = split(content)?;
        let flags: u8 = number(flags, "flags", 255)?;
        if flags != 0 && flags != ISSUER_CRITICAL {
            return Err(FieldError::content("flags must be 0 or 128"));
        }
        let tag = tag.to_ascii_lowercase();
        if tag.len() > TAG_LENGTH_MAX || !tag.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            return Err(FieldError::content(format!("tag must be 1 to {TAG_LENGTH_MAX} letters and digits")));
        }
        let value = parse_value(value)?;
        let warnings = warnings(flags, &tag, &value);
        let mut canonical = format!("{flags} {tag} ");
        push_quoted(&mut canonical, &value);
        Ok(Parsed { canonical, warnings })
    }
}

fn split(content: &str) -> Result<(&str, &str, &str), FieldError> {
    let wrong = || FieldError::content("content must be of the form '<flags> <tag> \"<value>\"'");
    let (flags, rest) = content.split_once(' ').ok_or_else(wrong)?;
    let (tag, value) = rest.trim_start_matches(' ').split_once(' ').ok_or_else(wrong)?;
    Ok((flags, tag, value.trim_start_matches(' ')))
}

fn parse_value(value: &str) -> Result<Vec<u8>, FieldError> {
    if !value.starts_with('"') {
        return unescape(value);
    }
    let mut strings = quoted_strings(value)?;
    match (strings.pop(), strings.is_empty()) {
        (Some(value), true) => Ok(value),
        _ => Err(FieldError::content("value must be one quoted string")),
    }
}

fn warnings(flags: u8, tag: &str, value: &[u8]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if !KNOWN_TAGS.contains(&tag) {
        let effect = if flags == ISSUER_CRITICAL { "; being critical, it stops all issuing" } else { "" };
        warnings.push(Warning::content(format!("tag '{tag}' is not a registered one{effect}")));
    }
    let text = String::from_utf8_lossy(value);
    if tag == "iodef" && !["mailto:", "http://", "https://"].iter().any(|scheme| starts_with(&text, scheme)) {
        warnings.push(Warning::content("value of 'iodef' is not a URL (mailto:, http:, https:)"));
    }
    if tag.starts_with("issue") {
        let issuer = text.split(';').next().unwrap_or_default().trim_matches(' ');
        if !issuer.is_empty() && labels::parse_name(issuer, HOST).is_err() {
            warnings.push(Warning::content(format!("'{}' is not the domain name of an issuer", issuer.escape_debug())));
        }
    }
    warnings
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
