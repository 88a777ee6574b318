//! CERT: a certificate or revocation list (RFC 4398).

use super::data::{algorithm, base64};
use super::text::{fields_and_data, number};
use super::{ParseContext, Parsed, RecordDefinition};
use crate::dns::error::{FieldError, Warning};

/// RFC 4398 section 2.1.
const TYPES: [(u16, &str); 10] = [
    (1, "PKIX"),
    (2, "SPKI"),
    (3, "PGP"),
    (4, "IPKIX"),
    (5, "ISPKI"),
    (6, "IPGP"),
    (7, "ACPKIX"),
    (8, "IACPKIX"),
    (253, "URI"),
    (254, "OID"),
];

pub(in crate::dns) struct Cert;

impl RecordDefinition for Cert {
    fn description(&self) -> &'static str {
        "Certificate or revocation list"
    }

    fn example(&self) -> &'static str {
        "1 12345 8 MIIBCgKCAQEA3rhzKSJDcNYnzXLVvmDiNWsWXTu5ZJbcZ2BrPLmBrzk0"
    }

    fn parse(&self, content: &str, _context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let ([kind, tag, algorithm], data) = fields_and_data(content, "<type> <key tag> <algorithm> <certificate>")?;
        let mut warnings = Vec::new();
        let kind: u16 = match TYPES.iter().find(|(_, name)| name.eq_ignore_ascii_case(kind)) {
            Some((number, _)) => *number,
            None => number(kind, "type", u32::from(u16::MAX))?,
        };
        if !TYPES.iter().any(|(known, _)| *known == kind) {
            warnings.push(Warning::content(format!("type {kind} is not one of CERT")));
        }
        let tag: u16 = number(tag, "key tag", u32::from(u16::MAX))?;
        // 0 says that the algorithm is unknown to a secure resolver, and is usual for OpenPGP keys (section 2)
        let algorithm = if algorithm == "0" { 0 } else { self::algorithm(algorithm, &mut warnings)? };
        let data = base64(&data, "certificate")?;
        Ok(Parsed { canonical: format!("{kind} {tag} {algorithm} {data}"), warnings })
    }
}
