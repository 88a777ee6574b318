//! The data of a record in presentation form: a table of what each type's data is made of.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Malformed, Reader, push_decimal};

/// What data is made of, one behind the other.
#[derive(Clone, Copy)]
enum Part {
    U8,
    U16,
    U32,
    Name,
    /// A character string in quotes.
    String,
    /// Character strings to the end.
    Strings,
    /// A character string that is a word.
    Word,
    /// The rest, in quotes.
    Text,
    Hex,
    Base64,
    V4,
    V6,
    /// Types, as NSEC has them.
    Types,
    /// Parameters of SVCB.
    Parameters,
    Location,
}

use Part::{
    Base64, Hex, Location, Name, Parameters, String as Quoted, Strings, Text, Types, U8, U16, U32, V4, V6, Word,
};

/// Every type that may be kept in a zone, by its number.
const TYPES: &[(u16, &str, &[Part])] = &[
    (1, "A", &[V4]),
    (2, "NS", &[Name]),
    (5, "CNAME", &[Name]),
    (6, "SOA", &[Name, Name, U32, U32, U32, U32, U32]),
    (12, "PTR", &[Name]),
    (13, "HINFO", &[Quoted, Quoted]),
    (15, "MX", &[U16, Name]),
    (16, "TXT", &[Strings]),
    (17, "RP", &[Name, Name]),
    (28, "AAAA", &[V6]),
    (29, "LOC", &[Location]),
    (33, "SRV", &[U16, U16, U16, Name]),
    (35, "NAPTR", &[U16, U16, Quoted, Quoted, Quoted, Name]),
    (37, "CERT", &[U16, U16, U8, Base64]),
    (39, "DNAME", &[Name]),
    (43, "DS", &[U16, U8, U8, Hex]),
    (44, "SSHFP", &[U8, U8, Hex]),
    (52, "TLSA", &[U8, U8, U8, Hex]),
    (53, "SMIMEA", &[U8, U8, U8, Hex]),
    (59, "CDS", &[U16, U8, U8, Hex]),
    (60, "CDNSKEY", &[U16, U8, U8, Base64]),
    (61, "OPENPGPKEY", &[Base64]),
    (62, "CSYNC", &[U32, U16, Types]),
    (64, "SVCB", &[U16, Name, Parameters]),
    (65, "HTTPS", &[U16, Name, Parameters]),
    (256, "URI", &[U16, U16, Text]),
    (257, "CAA", &[U8, Word, Text]),
];

/// Type and content of a record. None: a type that no zone here keeps.
///
/// # Errors
/// The data is not of its type.
pub fn content(
    record_type: u16,
    octets: &[u8],
    data: &Range<usize>,
) -> Result<Option<(&'static str, String)>, Malformed> {
    let Some((_, name, parts)) = TYPES.iter().find(|(number, ..)| *number == record_type) else { return Ok(None) };
    let mut reader = Reader::of(octets, data);
    let mut words = Vec::new();
    for part in *parts {
        words.extend(part.read(&mut reader)?);
    }
    if !reader.is_at_end() {
        return Err(Malformed);
    }
    Ok(Some((name, words.join(" "))))
}

impl Part {
    fn read(self, reader: &mut Reader<'_>) -> Result<Vec<String>, Malformed> {
        Ok(match self {
            Self::U8 => vec![reader.u8()?.to_string()],
            Self::U16 => vec![reader.u16()?.to_string()],
            Self::U32 => vec![reader.u32()?.to_string()],
            Self::Name => vec![reader.name()?],
            Self::String => vec![quoted(reader.string()?)],
            Self::Strings => {
                let mut strings = vec![quoted(reader.string()?)];
                while !reader.is_at_end() {
                    strings.push(quoted(reader.string()?));
                }
                strings
            }
            Self::Word => {
                let word = reader.string()?;
                if word.is_empty() || !word.iter().all(u8::is_ascii_alphanumeric) {
                    return Err(Malformed);
                }
                vec![word.iter().copied().map(char::from).collect()]
            }
            Self::Text => vec![quoted(reader.rest()?)],
            Self::Hex => vec![hex::encode(reader.rest()?)],
            Self::Base64 => vec![STANDARD.encode(reader.rest()?)],
            Self::V4 => vec![v4(reader.take(4)?)?],
            Self::V6 => vec![v6(reader.take(16)?)?],
            Self::Types => types(reader)?,
            Self::Parameters => parameters(reader)?,
            Self::Location => vec![location(reader)?],
        })
    }
}

fn quoted(octets: &[u8]) -> String {
    let mut text = String::from("\"");
    for octet in octets {
        match octet {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(*octet));
            }
            0x20..=0x7e => text.push(char::from(*octet)),
            other => push_decimal(&mut text, *other),
        }
    }
    text.push('"');
    text
}

fn v4(octets: &[u8]) -> Result<String, Malformed> {
    <[u8; 4]>::try_from(octets).map(|octets| Ipv4Addr::from(octets).to_string()).map_err(|_| Malformed)
}

fn v6(octets: &[u8]) -> Result<String, Malformed> {
    <[u8; 16]>::try_from(octets).map(|octets| Ipv6Addr::from(octets).to_string()).map_err(|_| Malformed)
}

/// Blocks of 256 types each, a bit a type (RFC 4034 section 4.1.2).
fn types(reader: &mut Reader<'_>) -> Result<Vec<String>, Malformed> {
    const MNEMONICS: &[(u16, &str)] = &[(48, "DNSKEY"), (46, "RRSIG"), (47, "NSEC"), (50, "NSEC3"), (51, "NSEC3PARAM")];
    let mut found = Vec::new();
    while !reader.is_at_end() {
        let block = reader.u8()?;
        let bits = reader.string()?;
        if bits.len() > 32 {
            return Err(Malformed);
        }
        for (octet, byte) in (0u16..).zip(bits) {
            for bit in (0..8u16).filter(|bit| byte & (0x80 >> bit) != 0) {
                let number = u16::from(block) * 256 + octet * 8 + bit;
                let known = TYPES.iter().map(|(known, name, _)| (*known, *name)).chain(MNEMONICS.iter().copied());
                let name = known.filter(|(known, _)| *known == number).map(|(_, name)| name.to_owned()).next();
                found.push(name.unwrap_or_else(|| format!("TYPE{number}")));
            }
        }
    }
    Ok(found)
}

/// Parameters of SVCB in presentation form (RFC 9460 section 2.1).
fn parameters(reader: &mut Reader<'_>) -> Result<Vec<String>, Malformed> {
    const NAMES: [&str; 7] = ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint"];
    let mut found = Vec::new();
    while !reader.is_at_end() {
        let key = reader.u16()?;
        let length = usize::from(reader.u16()?);
        let value = reader.take(length)?;
        let Some(name) = NAMES.get(usize::from(key)) else {
            found.push(format!("key{key}={}", quoted(value)));
            continue;
        };
        let mut inner = Reader::new(value);
        let mut list = Vec::new();
        match *name {
            "mandatory" => {
                while !inner.is_at_end() {
                    let key = inner.u16()?;
                    list.push(
                        NAMES.get(usize::from(key)).map_or_else(|| format!("key{key}"), |name| (*name).to_owned()),
                    );
                }
            }
            "alpn" => {
                while !inner.is_at_end() {
                    let protocol = inner.string()?;
                    // what a comma or a backslash in a protocol's name would need twice over, nobody has
                    if protocol.iter().any(|octet| !octet.is_ascii_graphic() || matches!(octet, b',' | b'\\' | b'"')) {
                        return Err(Malformed);
                    }
                    list.push(protocol.iter().copied().map(char::from).collect());
                }
            }
            "no-default-alpn" => {}
            "port" => list.push(inner.u16()?.to_string()),
            "ech" => list.push(format!("\"{}\"", STANDARD.encode(inner.rest()?))),
            "ipv4hint" => {
                while !inner.is_at_end() {
                    list.push(v4(inner.take(4)?)?);
                }
            }
            _ => {
                while !inner.is_at_end() {
                    list.push(v6(inner.take(16)?)?);
                }
            }
        }
        if !inner.is_at_end() {
            return Err(Malformed);
        }
        let mut parameter = (*name).to_owned();
        if !list.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(parameter, "={}", list.join(","));
        }
        found.push(parameter);
    }
    Ok(found)
}

/// RFC 1876 section 2.
fn location(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    const EQUATOR: i64 = 1 << 31;
    const SEA: i64 = 10_000_000; // centimetres below which the altitude counts
    if reader.u8()? != 0 {
        return Err(Malformed);
    }
    // a digit and a power of ten, in centimetres
    let mut size = || -> Result<String, Malformed> {
        let octet = reader.u8()?;
        let (digit, power) = (u64::from(octet >> 4), u32::from(octet & 15));
        if digit > 9 || power > 9 {
            return Err(Malformed);
        }
        Ok(metres((digit * 10u64.pow(power)).cast_signed()))
    };
    let sizes = [size()?, size()?, size()?];
    let (latitude, longitude) = (i64::from(reader.u32()?) - EQUATOR, i64::from(reader.u32()?) - EQUATOR);
    let altitude = metres(i64::from(reader.u32()?) - SEA);
    let [latitude, longitude] = [angle(latitude, ["N", "S"]), angle(longitude, ["E", "W"])];
    Ok(format!("{latitude} {longitude} {altitude} {}", sizes.join(" ")))
}

/// Thousandths of a second as degrees, minutes and seconds.
fn angle(thousandths: i64, [positive, negative]: [&str; 2]) -> String {
    let side = if thousandths > 0 { positive } else { negative };
    let (seconds, rest) = (thousandths.unsigned_abs() / 1_000, thousandths.unsigned_abs() % 1_000);
    format!("{} {} {}.{rest:03} {side}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

fn metres(centimetres: i64) -> String {
    let sign = if centimetres < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}m", centimetres.unsigned_abs() / 100, centimetres.unsigned_abs() % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(record_type: u16, octets: &[u8]) -> Result<Option<(&'static str, String)>, Malformed> {
        content(record_type, octets, &(0..octets.len()))
    }

    #[test]
    fn data_is_shown_as_zone_files_have_it() {
        let loc = [0, 0x12, 0x16, 0x13, 0x8b, 0x3c, 0xf0, 0x18, 0x81, 0x0c, 0xbc, 0xe0, 0, 0x98, 0x95, 0xb8];
        for (record_type, octets, wanted) in [
            (1, &[192, 0, 2, 1][..], "192.0.2.1"),
            (16, b"\x03a\"b\x01\xff", r#""a\"b" "\255""#),
            (257, b"\x00\x05issueca.test", r#"0 issue "ca.test""#),
            (256, b"\x00\x0a\x00\x01https://x.test/", r#"10 1 "https://x.test/""#),
            (43, &[0x30, 0x39, 13, 2, 0xab, 0xcd], "12345 13 2 abcd"),
            (62, &[0, 0, 0, 66, 0, 3, 0, 4, 0x60, 0, 0, 0x08], "66 3 A NS AAAA"),
            (65, b"\x00\x01\x00\x00\x01\x00\x06\x02h2\x02h3\x00\x03\x00\x02\x01\xbb", "1 . alpn=h2,h3 port=443"),
            (64, b"\x00\x01\x00\x02\x9b\x00\x01x", r#"1 . key667="x""#),
            (29, &loc, "52 22 23.000 N 4 53 32.000 E -2.00m 1.00m 10000.00m 10.00m"),
        ] {
            assert_eq!(of(record_type, octets).map(|found| found.map(|(_, text)| text)), Ok(Some(wanted.to_owned())));
        }
        assert_eq!(of(46, b"whatever"), Ok(None));
    }

    #[test]
    fn data_that_is_not_of_its_type_is_refused() {
        for (record_type, octets) in [
            (1, &[192, 0, 2][..]),
            (1, &[192, 0, 2, 1, 9]),
            (16, b"\x09short"),
            (16, b""),
            (65, b"\x00\x01\x00\x00\x03\x00\x01\x01"),
            (29, &[1; 16]),
        ] {
            assert_eq!(of(record_type, octets), Err(Malformed), "{record_type} {octets:?}");
        }
    }
}
