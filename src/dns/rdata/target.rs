//! Names inside record contents: absolute, lower case, with their trailing dot.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::ParseContext;
use super::text::{escaped_octet, push_decimal_escape};
use crate::dns::error::{FieldError, Warning};
use crate::dns::labels::{self, LABEL_OCTETS_MAX, LabelRules, NAME_INPUT_MAX, NAME_OCTETS_MAX};

/// A host name: letters, digits, inner hyphens (RFC 1123 section 2.1).
pub(super) const HOST: LabelRules = LabelRules { underscore: false, slash: false, wildcard: false };
/// A name of a service: underscores too.
pub(super) const SERVICE: LabelRules = LabelRules { underscore: true, slash: false, wildcard: false };
/// Whatever an owner name may be.
pub(super) const OWNER: LabelRules = LabelRules { underscore: true, slash: true, wildcard: true };

/// The root, which some types give a meaning of their own.
pub(super) const ROOT: &str = ".";

/// Parses a target that must be a name other than the root; `@` is the zone's own.
///
/// A target is absolute with or without its dot, as with other providers of DNS; a single label may not have been
/// meant so, and is worth a warning.
pub(super) fn parse(
    text: &str,
    rules: LabelRules,
    context: &ParseContext<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<String, FieldError> {
    if let ("@", Some(zone)) = (text, context.zone) {
        return Ok(zone.fqdn());
    }
    refuse_address(text)?;
    let (name, absolute) = labels::strip_root(text);
    if name.is_empty() {
        return Err(FieldError::content("target is missing"));
    }
    let name = labels::parse_name(name, rules).map_err(|reason| FieldError::content(format!("target: {reason}")))?;
    // Conversion makes digits of their full-width and other forms.
    refuse_address(&name)?;
    if !absolute && !name.contains('.') {
        warnings.push(Warning::content(format!("target '{name}' is taken as '{name}.', not as a name in this zone")));
    }
    Ok(format!("{name}."))
}

/// Parses a target that may be any name, escapes included (RFC 2181 section 11, RFC 6763 section 4.3).
pub(super) fn parse_any(text: &str, context: &ParseContext<'_>) -> Result<String, FieldError> {
    if let ("@", Some(zone)) = (text, context.zone) {
        return Ok(zone.fqdn());
    }
    refuse_address(text)?;
    if text.len() > NAME_INPUT_MAX {
        return Err(too_long());
    }
    let mut out = String::with_capacity(text.len() + 1);
    let mut wire_length = 1;
    let mut rest = text;
    while !rest.is_empty() {
        let (label, tail) = split_label(rest);
        let octets = label_octets(label, context.zone.is_none())?;
        if octets.is_empty() || octets.len() > LABEL_OCTETS_MAX {
            return Err(FieldError::content(format!("target: a label is empty or over {LABEL_OCTETS_MAX} octets")));
        }
        wire_length += octets.len() + 1;
        push_label(&mut out, &octets);
        out.push('.');
        rest = tail;
    }
    if out.is_empty() {
        return Err(FieldError::content("target is missing"));
    }
    if wire_length > NAME_OCTETS_MAX {
        return Err(too_long());
    }
    refuse_address(&out)?;
    Ok(out)
}

/// Refuses an address where a name belongs; people write it often, and PowerDNS takes it.
pub(super) fn refuse_address(text: &str) -> Result<(), FieldError> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    let dotted_numbers = bare.split('.').all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit()));
    if dotted_numbers || bare.parse::<Ipv4Addr>().is_ok() || bare.parse::<Ipv6Addr>().is_ok() {
        return Err(FieldError::content("target is an address; it must be a name"));
    }
    Ok(())
}

/// The name in a canonical target, without its dot; nothing for the root.
pub(super) fn name_of(target: &str) -> Option<&str> {
    let name = target.strip_suffix('.').unwrap_or(target);
    (!name.is_empty()).then_some(name)
}

/// PowerDNS escapes only dots and backslashes among visible characters, and refuses contents that say more.
pub(super) fn for_server(canonical: &str) -> Cow<'_, str> {
    if !canonical.contains('\\') {
        return Cow::Borrowed(canonical);
    }
    let mut out = String::with_capacity(canonical.len());
    let mut rest = canonical;
    while let Some(position) = rest.find('\\') {
        let (before, escape) = rest.split_at(position);
        out.push_str(before);
        let Ok((octet, tail)) = escaped_octet(&escape.as_bytes()[1..]) else { break };
        let length = escape.len() - tail.len();
        if octet.is_ascii_graphic() && !matches!(octet, b'.' | b'\\') {
            out.push(char::from(octet));
        } else {
            out.push_str(&escape[..length]);
        }
        rest = &escape[length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn too_long() -> FieldError {
    FieldError::content(format!("target is longer than {NAME_OCTETS_MAX} octets"))
}

/// The first label of `text` as written, and what follows its dot.
fn split_label(text: &str) -> (&str, &str) {
    let mut escaped = false;
    for (position, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}' => {
                return (&text[..position], &text[position + character.len_utf8()..]);
            }
            _ => {}
        }
    }
    (text, "")
}

/// `from_server`: as PowerDNS writes it, which leaves visible characters unescaped that a file may not hold so; see
/// [`for_server`].
fn label_octets(label: &str, from_server: bool) -> Result<Vec<u8>, FieldError> {
    if !label.is_ascii() {
        if label.contains('\\') {
            return Err(FieldError::content("target: a label mixes escapes and characters outside ASCII"));
        }
        let ascii = labels::to_ascii(label).map_err(|reason| FieldError::content(format!("target: {reason}")))?;
        labels::check(&ascii, false, OWNER).map_err(|reason| FieldError::content(format!("target: {reason}")))?;
        return Ok(ascii.into_bytes());
    }
    let mut octets = Vec::with_capacity(label.len());
    let mut rest = label.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        match first {
            b'\\' => {
                let (octet, tail) = escaped_octet(tail)?;
                octets.push(octet.to_ascii_lowercase());
                rest = tail;
            }
            b'!'..=b'~' if from_server || !matches!(first, b'"' | b';' | b'(' | b')') => {
                octets.push(first.to_ascii_lowercase());
                rest = tail;
            }
            _ => {
                let shown = char::from(*first).escape_debug();
                return Err(FieldError::content(format!("target holds '{shown}', which must be escaped")));
            }
        }
    }
    Ok(octets)
}

fn push_label(out: &mut String, octets: &[u8]) {
    for octet in octets {
        match octet {
            b'.' | b'\\' => {
                out.push('\\');
                out.push(char::from(*octet));
            }
            b'"' | b';' | b'(' | b')' | b'@' | b'$' => push_decimal_escape(out, *octet),
            b'!'..=b'~' => out.push(char::from(*octet)),
            _ => push_decimal_escape(out, *octet),
        }
    }
}
