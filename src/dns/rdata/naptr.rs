//! NAPTR: a rule that rewrites a name or number to a service (RFC 3403).

use super::target::{self, ROOT, SERVICE};
use super::text::{STRING_OCTETS_MAX, number, push_quoted, string, words};
use super::{ParseContext, Parsed, RecordDefinition, Target, TargetRole};
use crate::dns::error::FieldError;

pub(in crate::dns) struct Naptr;

impl RecordDefinition for Naptr {
    fn description(&self) -> &'static str {
        "Rule that leads from a name to a service (ENUM, SIP)"
    }

    fn example(&self) -> &'static str {
        "100 10 \"U\" \"E2U+sip\" \"!^.*$!sip:info@example.com!\" ."
    }

    fn name_fields(&self) -> &'static [usize] {
        &[5]
    }

    fn parse(&self, content: &str, context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let [order, preference, flags, services, regexp, replacement] = words(content)?[..] else {
            let form = "<order> <preference> \"<flags>\" \"<services>\" \"<regexp>\" <replacement>";
            return Err(FieldError::content(format!("content must be of the form '{form}'")));
        };
        let order: u16 = number(order, "order", u32::from(u16::MAX))?;
        let preference: u16 = number(preference, "preference", u32::from(u16::MAX))?;
        let flags = string(flags, "flags", STRING_OCTETS_MAX)?;
        if !flags.iter().all(|flag| b"SAUPsaup".contains(flag)) {
            return Err(FieldError::content("flags must be of S, A, U and P"));
        }
        let services = string(services, "services", STRING_OCTETS_MAX)?;
        let regexp = string(regexp, "regexp", STRING_OCTETS_MAX)?;
        if regexp.is_empty() == (replacement == ROOT) {
            return Err(FieldError::content("exactly one of regexp and replacement must be given (RFC 3403)"));
        }
        check_regexp(&regexp)?;
        let mut warnings = Vec::new();
        let replacement = match replacement {
            ROOT => ROOT.to_owned(),
            name => target::parse(name, SERVICE, context, &mut warnings)?,
        };
        let mut canonical = format!("{order} {preference} ");
        for text in [flags, services, regexp] {
            push_quoted(&mut canonical, &text);
            canonical.push(' ');
        }
        canonical.push_str(&replacement);
        Ok(Parsed { canonical, warnings })
    }

    fn target<'a>(&self, canonical: &'a str) -> Option<Target<'a>> {
        let (_, replacement) = canonical.rsplit_once(' ')?;
        target::name_of(replacement).map(|name| Target { name, role: TargetRole::Pointer })
    }
}

/// `<delimiter><pattern><delimiter><substitution><delimiter><flags>` (RFC 3402 section 3.2).
fn check_regexp(regexp: &[u8]) -> Result<(), FieldError> {
    let Some((delimiter, rest)) = regexp.split_first() else { return Ok(()) };
    if delimiter.is_ascii_digit() || matches!(delimiter, b'i' | b'\\') {
        let shown = char::from(*delimiter).escape_debug();
        return Err(FieldError::content(format!("regexp cannot have the delimiter '{shown}'")));
    }
    let (mut found, mut escaped, mut end) = (0, false, 0);
    for (position, octet) in rest.iter().enumerate() {
        if !escaped && octet == delimiter {
            (found, end) = (found + 1, position);
        }
        escaped = !escaped && *octet == b'\\';
    }
    if found != 2 {
        return Err(FieldError::content("regexp must have its delimiter three times, as in !pattern!substitution!"));
    }
    if !matches!(&rest[end + 1..], [] | [b'i' | b'I']) {
        return Err(FieldError::content("behind the last delimiter of regexp stands nothing or 'i'"));
    }
    Ok(())
}
