//! TXT: character strings (RFC 1035 section 3.3.14), with a look at what mail makes of them.

use super::text::{STRING_OCTETS_MAX, push_quoted, quoted_strings, unescape};
use super::{Neighbourhood, ParseContext, Parsed, RecordDefinition, mail_policy};
use crate::dns::error::{FieldError, Warning};
use crate::dns::owner_name::OwnerName;
use crate::dns::rrset::Rrset;

/// The length of RDATA is a 16-bit number (RFC 1035 section 3.2.1).
const RDATA_OCTETS_MAX: usize = 65_535;

pub(in crate::dns) struct Txt;

impl RecordDefinition for Txt {
    fn description(&self) -> &'static str {
        "Text: proofs of ownership, SPF, DKIM, DMARC"
    }

    fn example(&self) -> &'static str {
        "\"v=spf1 mx -all\""
    }

    /// Text that does not begin with a quote is one string. Strings keep their borders, which mean something to some
    /// readers (RFC 6763 section 6.1); longer ones are split at 255 octets.
    fn parse(&self, content: &str, _context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let strings = if content.starts_with('"') { quoted_strings(content)? } else { vec![unescape(content)?] };
        let canonical = render(&strings);
        if wire_length(&strings) > RDATA_OCTETS_MAX {
            return Err(FieldError::content(format!("text is longer than {RDATA_OCTETS_MAX} octets")));
        }
        Ok(Parsed { canonical, warnings: mail_policy::spf_warnings(&strings.concat()) })
    }

    fn wire_length(&self, canonical: &str) -> usize {
        quoted_strings(canonical).map_or(canonical.len() + 2, |strings| wire_length(&strings))
    }

    fn warnings(&self, owner: &OwnerName, rrset: &Rrset, _around: &Neighbourhood<'_>) -> Vec<Warning> {
        let texts: Vec<Vec<u8>> = rrset.enabled().map(|record| octets(&record.content)).collect();
        mail_policy::rrset_warnings(owner, &texts)
    }
}

fn render(strings: &[Vec<u8>]) -> String {
    let mut out = String::with_capacity(strings.iter().map(|string| string.len() + 3).sum());
    for string in strings {
        if string.is_empty() {
            push_string(&mut out, &[]);
        }
        for piece in string.chunks(STRING_OCTETS_MAX) {
            push_string(&mut out, piece);
        }
    }
    out
}

fn push_string(out: &mut String, octets: &[u8]) {
    if !out.is_empty() {
        out.push(' ');
    }
    push_quoted(out, octets);
}

fn wire_length(strings: &[Vec<u8>]) -> usize {
    strings.iter().map(|string| string.len() + string.len().div_ceil(STRING_OCTETS_MAX).max(1)).sum()
}

/// The strings of a canonical content as one, as SPF, DKIM and DMARC read them.
fn octets(canonical: &str) -> Vec<u8> {
    quoted_strings(canonical).map(|strings| strings.concat()).unwrap_or_default()
}
