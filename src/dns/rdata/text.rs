//! The small syntax that types share: fields, numbers, and character strings (RFC 1035 section 5.1).

use std::fmt::Write as _;

use crate::dns::error::FieldError;

/// Longest character string on the wire (RFC 1035 section 3.3).
pub(super) const STRING_OCTETS_MAX: usize = 255;

/// Splits a content into exactly `N` fields.
pub(super) fn fields<'a, const N: usize>(content: &'a str, form: &str) -> Result<[&'a str; N], FieldError> {
    let wrong = || FieldError::content(format!("content must be of the form '{form}'"));
    let mut fields = [""; N];
    let mut parts = content.split(' ').filter(|part| !part.is_empty());
    for field in &mut fields {
        *field = parts.next().ok_or_else(wrong)?;
    }
    if parts.next().is_some() {
        return Err(wrong());
    }
    Ok(fields)
}

/// The first `N` fields, and what follows them with its blanks taken out: hexadecimal and base64 may be broken anywhere
/// (RFC 4034 section 5.3, RFC 6698 section 2.2).
pub(super) fn fields_and_data<'a, const N: usize>(
    content: &'a str,
    form: &str,
) -> Result<([&'a str; N], String), FieldError> {
    let wrong = || FieldError::content(format!("content must be of the form '{form}'"));
    let mut fields = [""; N];
    let mut parts = content.split(' ').filter(|part| !part.is_empty());
    for field in &mut fields {
        *field = parts.next().ok_or_else(wrong)?;
    }
    let data: String = parts.collect();
    if data.is_empty() { Err(wrong()) } else { Ok((fields, data)) }
}

/// Splits a content at the blanks that are neither quoted nor escaped. Quotes and escapes stay as they are.
pub(super) fn words(content: &str) -> Result<Vec<&str>, FieldError> {
    let mut words = Vec::new();
    let (mut start, mut quoted, mut escaped) = (None, false, false);
    for (position, byte) in content.bytes().enumerate() {
        if byte == b' ' && !quoted && !escaped {
            words.extend(start.take().map(|start| &content[start..position]));
            continue;
        }
        start.get_or_insert(position);
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    if quoted {
        return Err(FieldError::content("a quoted string is not closed"));
    }
    words.extend(start.map(|start| &content[start..]));
    Ok(words)
}

/// The octets of one word as a character string, quoted or not, of at most `max` octets.
pub(super) fn string(word: &str, what: &str, max: usize) -> Result<Vec<u8>, FieldError> {
    let octets = if word.starts_with('"') {
        let mut strings = quoted_strings(word)?;
        match (strings.pop(), strings.is_empty()) {
            (Some(string), true) => string,
            _ => return Err(FieldError::content(format!("{what} must be one string"))),
        }
    } else {
        unescape(word)?
    };
    if octets.len() > max {
        return Err(FieldError::content(format!("{what} is longer than {max} octets")));
    }
    Ok(octets)
}

/// A decimal number from 0 to `max`, digits only.
pub(super) fn number<T: TryFrom<u32>>(text: &str, what: &str, max: u32) -> Result<T, FieldError> {
    let wrong = || FieldError::content(format!("{what} must be a number from 0 to {max}"));
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let value: u32 = text.parse().map_err(|_| wrong())?;
    if value > max {
        return Err(wrong());
    }
    T::try_from(value).map_err(|_| wrong())
}

/// The octets of unquoted or already unwrapped text: `\DDD` is an octet, `\X` is X, all else stands for its UTF-8.
pub(super) fn unescape(text: &str) -> Result<Vec<u8>, FieldError> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'\\' {
            let (octet, tail) = escaped_octet(tail)?;
            octets.push(octet);
            rest = tail;
        } else {
            octets.push(*first);
            rest = tail;
        }
    }
    Ok(octets)
}

/// What stands behind a backslash: the octet it means, and the text after it. A character outside ASCII yields its
/// first octet, and the others follow as they are.
pub(super) fn escaped_octet(text: &[u8]) -> Result<(u8, &[u8]), FieldError> {
    match text {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', tail @ ..] => {
            let value = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
            let octet =
                u8::try_from(value).map_err(|_| FieldError::content(format!("escape '\\{value}' is over 255")))?;
            Ok((octet, tail))
        }
        [b'0'..=b'9', ..] => Err(FieldError::content("an escape with digits has three of them: '\\DDD'")),
        [octet, tail @ ..] => Ok((*octet, tail)),
        [] => Err(FieldError::content("content ends in a backslash")),
    }
}

/// The strings of a content that begins with a quote: quoted strings, blanks between them.
pub(super) fn quoted_strings(content: &str) -> Result<Vec<Vec<u8>>, FieldError> {
    let mut strings = Vec::new();
    let mut rest = content;
    loop {
        rest = rest.trim_start_matches(' ');
        if rest.is_empty() {
            return Ok(strings);
        }
        let Some(inside) = rest.strip_prefix('"') else {
            return Err(FieldError::content("text stands outside the quotes"));
        };
        let end = closing_quote(inside).ok_or_else(|| FieldError::content("a quoted string is not closed"))?;
        strings.push(unescape(&inside[..end])?);
        rest = &inside[end + 1..];
    }
}

/// Renders one quoted string: printable ASCII as it is, `\"` and `\\` escaped, all else as `\DDD`.
pub(super) fn push_quoted(out: &mut String, octets: &[u8]) {
    out.push('"');
    for octet in octets {
        match octet {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(*octet));
            }
            b' '..=b'~' => out.push(char::from(*octet)),
            _ => push_decimal_escape(out, *octet),
        }
    }
    out.push('"');
}

/// Appends `\DDD`.
pub(super) fn push_decimal_escape(out: &mut String, octet: u8) {
    // Writing to a string cannot fail.
    let _ = write!(out, "\\{octet:03}");
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(position),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_within_bounds() {
        assert_eq!(number::<u16>("0010", "preference", 65_535), Ok(10));
        for text in ["", "-1", "+1", "65536", "4294967296", "1e3", "0x10", "１"] {
            assert!(number::<u16>(text, "preference", 65_535).is_err(), "{text}");
        }
    }

    #[test]
    fn escapes_are_three_digits_or_one_character() {
        assert_eq!(unescape(r"a\065\;\\").expect("valid"), br"aA;\");
        for text in [r"\", r"\1", r"\12", r"\12x", r"\256", r"a\"] {
            assert!(unescape(text).is_err(), "{text}");
        }
    }
}
