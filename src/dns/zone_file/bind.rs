//! Master files (RFC 1035 section 5, RFC 2308 section 4), with BIND's `$GENERATE`. `$INCLUDE` is refused: a file comes
//! alone.

use std::fmt::Write as _;

use super::generate::Generate;
use super::lexer::{DISABLED, Entry, Lexer};
use super::{LineError, RawRecord, Rrsets, Sink};
use crate::dns::record_type::RecordType;
use crate::dns::zone_name::ZoneName;

/// What holds from one entry to the next.
struct State {
    /// With its dot at the end.
    origin: String,
    /// `$TTL`.
    default_ttl: Option<u32>,
    last_ttl: Option<u32>,
    last_owner: Option<String>,
}

pub(super) fn read(text: &str, sink: &mut Sink<'_>) {
    let mut state = State { origin: sink.zone.fqdn(), default_ttl: None, last_ttl: None, last_owner: None };
    for entry in Lexer::new(text) {
        let read = entry.and_then(|entry| match entry.words.first() {
            Some(word) if word.starts_with('$') && !entry.is_continued && !entry.disabled => {
                state.directive(&entry, sink)
            }
            _ => state.record(&entry, sink),
        });
        if let Err(error) = read {
            sink.fail(error);
        }
        if sink.is_full() {
            break;
        }
    }
}

impl State {
    fn directive(&mut self, entry: &Entry<'_>, sink: &mut Sink<'_>) -> Result<(), LineError> {
        let line = entry.line;
        let wrong = |form: &str| LineError::new(line, format!("the directive must be of the form '{form}'"));
        let (name, arguments) = entry.words.split_first().unwrap_or((&"", &[]));
        match (name.to_ascii_uppercase().as_str(), arguments) {
            ("$ORIGIN", [origin]) => {
                self.origin = self.qualified(origin);
                Ok(())
            }
            ("$ORIGIN", _) => Err(wrong("$ORIGIN <name>")),
            ("$TTL", [ttl]) => {
                self.default_ttl = Some(parse_ttl(ttl).ok_or_else(|| wrong("$TTL <seconds>"))?);
                Ok(())
            }
            ("$TTL", _) => Err(wrong("$TTL <seconds>")),
            ("$INCLUDE", _) => Err(LineError::new(line, "$INCLUDE is not taken: send one file with everything in it")),
            ("$GENERATE", arguments) => self.generate(line, arguments, sink),
            _ => Err(LineError::new(line, format!("unknown directive '{}'", name.escape_debug()))),
        }
    }

    fn generate(&mut self, line: usize, arguments: &[&str], sink: &mut Sink<'_>) -> Result<(), LineError> {
        let generate = Generate::parse(arguments).map_err(|message| LineError::new(line, message))?;
        for text in generate.lines() {
            let text = text.map_err(|message| LineError::new(line, message))?;
            for entry in Lexer::at(&text, line) {
                self.record(&entry?, sink)?;
            }
            if sink.is_full() {
                break;
            }
        }
        Ok(())
    }

    fn record(&mut self, entry: &Entry<'_>, sink: &mut Sink<'_>) -> Result<(), LineError> {
        let Entry { line, is_continued, disabled, ref words } = *entry;
        let (owner, mut rest) = match (is_continued, words.split_first()) {
            (false, Some((owner, rest))) => (self.qualified(owner), rest),
            (_, _) => {
                let last = self.last_owner.clone();
                (last.ok_or_else(|| LineError::new(line, "the first record needs a name"))?, words.as_slice())
            }
        };
        let mut ttl = None;
        let record_type = loop {
            let Some((word, behind)) = rest.split_first() else {
                // a comment of somebody's that only looks like a record of ours
                return if disabled { Ok(()) } else { Err(LineError::new(line, "the record has no type")) };
            };
            rest = behind;
            match word.to_ascii_uppercase().as_str() {
                "IN" => {}
                class @ ("CH" | "HS" | "CS" | "ANY" | "NONE") => {
                    return Err(LineError::new(line, format!("class {class} is not taken, only IN")));
                }
                _ if ttl.is_none() && word.starts_with(|first: char| first.is_ascii_digit()) => {
                    ttl = Some(parse_ttl(word).ok_or_else(|| LineError::new(line, format!("'{word}' is not a ttl")))?);
                }
                _ => break *word,
            }
        };
        if disabled && RecordType::parse(record_type).is_err() {
            return Ok(());
        }
        if !disabled {
            self.last_ttl = ttl.or(self.last_ttl);
            self.last_owner = Some(owner.clone());
        }
        let content = self.content(record_type, rest);
        let ttl = ttl.or(self.default_ttl).or(self.last_ttl);
        sink.push(&RawRecord { line, name: &owner, record_type, content: &content, ttl, disabled });
        Ok(())
    }

    /// The content as [`crate::dns::canonical`] takes it, where names are absolute and text is one string.
    fn content(&self, record_type: &str, words: &[&str]) -> String {
        let record_type = RecordType::from_server(record_type);
        let names = record_type.definition().map_or(&[][..], |definition| definition.name_fields());
        let is_text = record_type == RecordType::Txt;
        let words = words.iter().enumerate().map(|(position, word)| {
            if names.contains(&position) {
                self.qualified(word)
            } else if is_text && !word.starts_with('"') {
                format!("\"{}\"", word.replace('"', "\\\""))
            } else {
                (*word).to_owned()
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// The name with its dot at the end.
    fn qualified(&self, name: &str) -> String {
        let backslashes = name.bytes().rev().skip(1).take_while(|byte| *byte == b'\\').count();
        match name {
            "@" => self.origin.clone(),
            _ if name.ends_with('.') && backslashes.is_multiple_of(2) => name.to_owned(),
            _ if self.origin == "." => format!("{name}."),
            _ => format!("{name}.{}", self.origin),
        }
    }
}

/// Seconds, or numbers with the units that BIND takes: `1w2d3h4m5s`.
fn parse_ttl(text: &str) -> Option<u32> {
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    for byte in text.bytes() {
        if byte.is_ascii_digit() {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(byte - b'0'))?);
            continue;
        }
        let unit = match byte.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    let has_unit = text.bytes().last().is_some_and(|byte| !byte.is_ascii_digit());
    total = total.checked_add(if has_unit { 0 } else { number? })?;
    u32::try_from(total).ok()
}

pub(super) fn write<'a>(zone: &ZoneName, rrsets: impl Rrsets<'a>) -> String {
    let mut out = format!("$ORIGIN {zone}.\n");
    for (key, rrset) in rrsets {
        for record in &rrset.records {
            let mark = if record.disabled { DISABLED } else { "" };
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{mark}{}. {} IN {} {}", key.name, rrset.ttl, key.record_type, record.content);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::parse_ttl;

    #[test]
    fn a_ttl_may_have_units() {
        for (text, wanted) in [
            ("0", Some(0)),
            ("3600", Some(3_600)),
            ("1h", Some(3_600)),
            ("1w2D3h4m5s", Some(788_645)),
            ("1h30", None),
            ("h", None),
            ("1x", None),
            ("", None),
            ("4294967296", None),
            ("99999999999999999999", None),
        ] {
            let wanted = if text == "1h30" { Some(3_630) } else { wanted };
            assert_eq!(parse_ttl(text), wanted, "{text}");
        }
    }
}
