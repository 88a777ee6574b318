//! SSHFP: the fingerprint of a host's SSH key (RFC 4255, RFC 6594, RFC 7479, RFC 8709).

use super::data::{check_digits, hexadecimal};
use super::text::{fields_and_data, number};
use super::{ParseContext, Parsed, RecordDefinition};
use crate::dns::error::{FieldError, Warning};

/// RSA, DSA, ECDSA, Ed25519, Ed448.
const ALGORITHMS: [u8; 5] = [1, 2, 3, 4, 6];
const SHA1: u8 = 1;
const SHA256: u8 = 2;

pub(in crate::dns) struct Sshfp;

impl RecordDefinition for Sshfp {
    fn description(&self) -> &'static str {
        "Fingerprint of a host's SSH key"
    }

    fn example(&self) -> &'static str {
        "4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789"
    }

    fn parse(&self, content: &str, _context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let ([algorithm, hash], fingerprint) = fields_and_data(content, "<algorithm> <hash> <fingerprint>")?;
        let algorithm: u8 = number(algorithm, "algorithm", 255)?;
        let hash: u8 = number(hash, "hash", 255)?;
        let fingerprint = hexadecimal(&fingerprint, "fingerprint")?;
        let mut warnings = Vec::new();
        match hash {
            SHA1 => {
                check_digits(&fingerprint, "fingerprint", 40)?;
                warnings.push(Warning::content("SHA-1 is broken; use hash 2 (SHA-256)"));
            }
            SHA256 => check_digits(&fingerprint, "fingerprint", 64)?,
            _ => warnings.push(Warning::content(format!("hash {hash} is not one of SSHFP (1, 2)"))),
        }
        if !ALGORITHMS.contains(&algorithm) {
            warnings.push(Warning::content(format!("algorithm {algorithm} is not one of SSHFP (1, 2, 3, 4, 6)")));
        }
        Ok(Parsed { canonical: format!("{algorithm} {hash} {fingerprint}"), warnings })
    }
}
