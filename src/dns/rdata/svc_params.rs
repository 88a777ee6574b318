//! The parameters of SVCB and HTTPS (RFC 9460 sections 2.1 and 7): read, checked against each other, sorted.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::data::base64;
use super::text::{number, push_quoted, string};
use crate::dns::error::FieldError;

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6HINT: u16 = 6;
/// The last one whose value has a form of its own here; PowerDNS 4.7 knows no later one either.
const LAST_KNOWN: u16 = IPV6HINT;
/// Reserved as invalid.
const KEY_MAX: u16 = 65_534;

/// Keys by name; those behind [`LAST_KNOWN`] are written as `keyN` all the same (RFC 9461, RFC 9540).
const NAMES: [(u16, &str); 9] = [
    (MANDATORY, "mandatory"),
    (ALPN, "alpn"),
    (NO_DEFAULT_ALPN, "no-default-alpn"),
    (PORT, "port"),
    (IPV4HINT, "ipv4hint"),
    (ECH, "ech"),
    (IPV6HINT, "ipv6hint"),
    (7, "dohpath"),
    (8, "ohttp"),
];

/// The length of a value is a 16-bit number.
const VALUE_OCTETS_MAX: usize = 65_535;
const ALPN_OCTETS_MAX: usize = 255;

/// Appends the parameters in canonical form, each behind a blank.
pub(super) fn push(out: &mut String, parameters: &[&str]) -> Result<(), FieldError> {
    let mut by_key = BTreeMap::new();
    for parameter in parameters {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (*parameter, None),
        };
        let key = key(name)?;
        let value = value.map(|value| string(value, name, VALUE_OCTETS_MAX)).transpose()?;
        let value = render(key, value.filter(|value| !value.is_empty()))?;
        if by_key.insert(key, value).is_some() {
            return Err(FieldError::content(format!("parameter '{}' is given twice", name_of(key))));
        }
    }
    check_together(&by_key)?;
    for (key, value) in by_key {
        out.push(' ');
        out.push_str(&name_of(key));
        if !value.is_empty() {
            out.push('=');
            out.push_str(&value);
        }
    }
    Ok(())
}

fn key(name: &str) -> Result<u16, FieldError> {
    let lower = name.to_ascii_lowercase();
    if let Some((key, _)) = NAMES.iter().find(|(_, known)| *known == lower) {
        return Ok(*key);
    }
    let unknown = || FieldError::content(format!("parameter '{}' is unknown", name.escape_debug()));
    let digits = lower.strip_prefix("key").ok_or_else(unknown)?;
    if digits.len() > 1 && digits.starts_with('0') {
        return Err(unknown());
    }
    let key: u16 = number(digits, "parameter key", u32::from(KEY_MAX)).map_err(|_| unknown())?;
    if key <= LAST_KNOWN {
        return Err(FieldError::content(format!("parameter 'key{key}' must be written as '{}'", name_of(key))));
    }
    Ok(key)
}

fn name_of(key: u16) -> String {
    let known = NAMES.iter().find(|(known, _)| *known == key && key <= LAST_KNOWN);
    known.map_or_else(|| format!("key{key}"), |(_, name)| (*name).to_owned())
}

/// A value in canonical form; empty where the key has none.
fn render(key: u16, value: Option<Vec<u8>>) -> Result<String, FieldError> {
    let name = name_of(key);
    let missing = || FieldError::content(format!("parameter '{name}' needs a value"));
    let as_text = |value: Option<Vec<u8>>| {
        let value = value.ok_or_else(missing)?;
        String::from_utf8(value).map_err(|_| FieldError::content(format!("parameter '{name}' is not text")))
    };
    match key {
        MANDATORY => render_mandatory(&as_text(value)?),
        ALPN => render_list(&as_text(value)?, protocol),
        NO_DEFAULT_ALPN => match value {
            None => Ok(String::new()),
            Some(_) => Err(FieldError::content("parameter 'no-default-alpn' has no value")),
        },
        PORT => number::<u16>(&as_text(value)?, "port", u32::from(u16::MAX)).map(|port| port.to_string()),
        IPV4HINT => render_list(&as_text(value)?, |text| {
            let address: Ipv4Addr = text.parse().map_err(|_| bad_hint("ipv4hint", "IPv4", text))?;
            Ok(address.to_string())
        }),
        IPV6HINT => render_list(&as_text(value)?, |text| {
            let address: Ipv6Addr = text.parse().map_err(|_| bad_hint("ipv6hint", "IPv6", text))?;
            Ok(render_v6(address))
        }),
        // in quotes as PowerDNS writes it
        ECH => base64(&as_text(value)?, "parameter 'ech'").map(|data| format!("\"{data}\"")),
        _ => {
            let mut out = String::new();
            push_quoted(&mut out, &value.unwrap_or_default());
            Ok(out)
        }
    }
}

/// As PowerDNS's C library writes it, which takes six zero groups at the front for an IPv4 address.
fn render_v6(address: Ipv6Addr) -> String {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            format!("::{}", Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => address.to_string(),
    }
}

fn bad_hint(name: &str, family: &str, text: &str) -> FieldError {
    FieldError::content(format!("parameter '{name}' holds '{}', not an {family} address", text.escape_debug()))
}

fn render_list(text: &str, item: impl Fn(&str) -> Result<String, FieldError>) -> Result<String, FieldError> {
    let items = text.split(',').map(item).collect::<Result<Vec<_>, _>>()?;
    Ok(items.join(","))
}

/// Registered protocol ids are plain; those with commas or backslashes would be escaped twice, which servers get wrong.
fn protocol(text: &str) -> Result<String, FieldError> {
    let is_plain = |octet: u8| octet.is_ascii_graphic() && !matches!(octet, b'\\' | b'"' | b';' | b'(' | b')');
    if text.is_empty() || text.len() > ALPN_OCTETS_MAX || !text.bytes().all(is_plain) {
        return Err(FieldError::content(format!("'{}' in 'alpn' is not a protocol id", text.escape_debug())));
    }
    Ok(text.to_owned())
}

fn render_mandatory(text: &str) -> Result<String, FieldError> {
    let mut keys = text.split(',').map(key).collect::<Result<Vec<_>, _>>()?;
    keys.sort_unstable();
    if keys.first() == Some(&MANDATORY) {
        return Err(FieldError::content("'mandatory' cannot name itself"));
    }
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(FieldError::content("'mandatory' names a key twice"));
    }
    Ok(keys.into_iter().map(name_of).collect::<Vec<_>>().join(","))
}

fn check_together(by_key: &BTreeMap<u16, String>) -> Result<(), FieldError> {
    if by_key.contains_key(&NO_DEFAULT_ALPN) && !by_key.contains_key(&ALPN) {
        return Err(FieldError::content("'no-default-alpn' needs 'alpn' (RFC 9460 section 7.1.1)"));
    }
    for name in by_key.get(&MANDATORY).into_iter().flat_map(|names| names.split(',')) {
        if !by_key.contains_key(&key(name)?) {
            return Err(FieldError::content(format!("'mandatory' names '{name}', which is not there")));
        }
    }
    Ok(())
}
