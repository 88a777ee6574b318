//! Data that types carry without reading it: hexadecimal, base64, the digests and algorithms of DNSSEC.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::text::number;
use crate::dns::error::{FieldError, Warning};

/// Padding may be left out; what decodes has one form all the same.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// DNSSEC algorithms by number (IANA), as zone files may write them (RFC 4034 appendix A.1).
const ALGORITHMS: [(u8, &str); 13] = [
    (1, "RSAMD5"),
    (3, "DSA"),
    (5, "RSASHA1"),
    (6, "DSA-NSEC3-SHA1"),
    (7, "RSASHA1-NSEC3-SHA1"),
    (8, "RSASHA256"),
    (10, "RSASHA512"),
    (12, "ECC-GOST"),
    (13, "ECDSAP256SHA256"),
    (14, "ECDSAP384SHA384"),
    (15, "ED25519"),
    (16, "ED448"),
    (23, "ECC-GOST12"),
];

/// Digest types of DS and the hexadecimal digits of each (RFC 4034, 4509, 5933, 6605, 9558, 9563).
const DIGESTS: [(u8, usize); 6] = [(1, 40), (2, 64), (3, 64), (4, 96), (5, 64), (6, 64)];
/// Those that validating resolvers can be counted on to know (RFC 8624).
const DIGESTS_IN_USE: [u8; 3] = [1, 2, 4];
const SHA1: u8 = 1;

/// Hexadecimal digits in lower case; an even number of them, and not none.
pub(super) fn hexadecimal(text: &str, what: &str) -> Result<String, FieldError> {
    if text.is_empty() || !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(FieldError::content(format!("{what} must be pairs of hexadecimal digits")));
    }
    Ok(text.to_ascii_lowercase())
}

/// Checks how many digits a value has that is the result of a known function.
pub(super) fn check_digits(text: &str, what: &str, digits: usize) -> Result<(), FieldError> {
    if text.len() == digits {
        return Ok(());
    }
    Err(FieldError::content(format!("{what} has {} hexadecimal digits; its type has {digits}", text.len())))
}

/// Base64 with padding.
pub(super) fn base64(text: &str, what: &str) -> Result<String, FieldError> {
    match LENIENT.decode(text) {
        Ok(octets) if !octets.is_empty() => Ok(STANDARD.encode(octets)),
        _ => Err(FieldError::content(format!("{what} must be base64"))),
    }
}

/// A DNSSEC algorithm by number or mnemonic, with a warning where nobody knows it.
pub(super) fn algorithm(text: &str, warnings: &mut Vec<Warning>) -> Result<u8, FieldError> {
    if let Some((number, _)) = ALGORITHMS.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)) {
        return Ok(*number);
    }
    let number: u8 = number(text, "algorithm", 255)?;
    if !ALGORITHMS.iter().any(|(known, _)| *known == number) {
        warnings.push(Warning::content(format!("algorithm {number} is not one of DNSSEC")));
    }
    Ok(number)
}

/// The fields of a DS, canonical: `<key tag> <algorithm> <digest type> <digest>`.
pub(super) fn delegation_signer(
    [tag, algorithm, digest_type]: [&str; 3],
    digest: &str,
) -> Result<(String, Vec<Warning>), FieldError> {
    let mut warnings = Vec::new();
    let tag: u16 = number(tag, "key tag", u32::from(u16::MAX))?;
    let algorithm = self::algorithm(algorithm, &mut warnings)?;
    let digest_type: u8 = number(digest_type, "digest type", 255)?;
    let digest = hexadecimal(digest, "digest")?.to_ascii_uppercase();
    let Some((_, digits)) = DIGESTS.iter().find(|(known, _)| *known == digest_type) else {
        return Err(FieldError::content(format!("digest type {digest_type} is unknown")));
    };
    check_digits(&digest, "digest", *digits)?;
    if digest_type == SHA1 {
        warnings.push(Warning::content("SHA-1 is broken; use digest type 2"));
    } else if !DIGESTS_IN_USE.contains(&digest_type) {
        warnings.push(Warning::content(format!("few resolvers know digest type {digest_type}; use 2")));
    }
    Ok((format!("{tag} {algorithm} {digest_type} {digest}"), warnings))
}
