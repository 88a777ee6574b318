//! Public keys and delegation signers: their forms, key tags and digests, computed by ourselves.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha384};

use crate::dns::ZoneName;

/// RFC 4034, 2.1.2: the only value.
const PROTOCOL: u8 = 3;
/// The flag of a key that a DS may point to (RFC 4034, 2.1.1).
const SECURE_ENTRY_POINT: u16 = 1;

/// A text that is no DNSKEY or DS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct KeyError(&'static str);

/// A public key as it stands in a DNSKEY record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Dnskey {
    pub flags: u16,
    pub algorithm: u8,
    pub public_key: Vec<u8>,
}

impl Dnskey {
    /// The RDATA (RFC 4034, 2.1).
    pub fn rdata(&self) -> Vec<u8> {
        let mut rdata = self.flags.to_be_bytes().to_vec();
        rdata.extend([PROTOCOL, self.algorithm]);
        rdata.extend(&self.public_key);
        rdata
    }

    /// Reads the RDATA.
    pub fn from_rdata(rdata: &[u8]) -> Result<Self, KeyError> {
        match rdata {
            [high, low, PROTOCOL, algorithm, public_key @ ..] if !public_key.is_empty() => Ok(Self {
                flags: u16::from_be_bytes([*high, *low]),
                algorithm: *algorithm,
                public_key: public_key.to_vec(),
            }),
            _ => Err(KeyError("DNSKEY")),
        }
    }

    /// RFC 4034, appendix B.
    pub fn key_tag(&self) -> u16 {
        let mut sum: u32 = 0;
        for (position, octet) in self.rdata().iter().enumerate() {
            sum += if position % 2 == 0 { u32::from(*octet) << 8 } else { u32::from(*octet) };
        }
        ((sum + (sum >> 16)) & 0xFFFF) as u16
    }

    pub fn is_secure_entry_point(&self) -> bool {
        self.flags & SECURE_ENTRY_POINT != 0
    }

    /// The key alone, in base 64.
    pub fn public_key_text(&self) -> String {
        STANDARD.encode(&self.public_key)
    }
}

impl fmt::Display for Dnskey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {PROTOCOL} {} {}", self.flags, self.algorithm, self.public_key_text())
    }
}

impl FromStr for Dnskey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut fields = text.split_ascii_whitespace();
        let mut next = || fields.next().ok_or(KeyError("DNSKEY"));
        let flags = next()?.parse().map_err(|_| KeyError("DNSKEY"))?;
        if next()? != PROTOCOL.to_string() {
            return Err(KeyError("DNSKEY"));
        }
        let algorithm = next()?.parse().map_err(|_| KeyError("DNSKEY"))?;
        let public_key = STANDARD.decode(fields.collect::<String>()).map_err(|_| KeyError("DNSKEY"))?;
        if public_key.is_empty() { Err(KeyError("DNSKEY")) } else { Ok(Self { flags, algorithm, public_key }) }
    }
}

impl From<Dnskey> for String {
    fn from(key: Dnskey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for Dnskey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

/// The digests that are given out (RFC 8624, 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestType {
    Sha256,
    Sha384,
}

impl DigestType {
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha384];

    pub fn number(self) -> u8 {
        match self {
            Self::Sha256 => 2,
            Self::Sha384 => 4,
        }
    }
}

/// A delegation signer. The digest is upper-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Ds {
    pub key_tag: u16,
    pub algorithm: u8,
    pub digest_type: u8,
    pub digest: String,
}

impl Ds {
    /// The DS of a zone's key (RFC 4034, 5.1.4).
    pub fn of(zone: &ZoneName, key: &Dnskey, digest_type: DigestType) -> Self {
        let mut signed = wire_name(zone);
        signed.extend(key.rdata());
        let digest = match digest_type {
            DigestType::Sha256 => hex::encode_upper(Sha256::digest(&signed)),
            DigestType::Sha384 => hex::encode_upper(Sha384::digest(&signed)),
        };
        Self { key_tag: key.key_tag(), algorithm: key.algorithm, digest_type: digest_type.number(), digest }
    }

    /// Whether this is a DS of the key, by any digest that we know.
    pub fn is_of(&self, zone: &ZoneName, key: &Dnskey) -> bool {
        DigestType::ALL.into_iter().any(|digest_type| *self == Self::of(zone, key, digest_type))
    }

    /// Reads the RDATA.
    pub fn from_rdata(rdata: &[u8]) -> Result<Self, KeyError> {
        match rdata {
            [high, low, algorithm, digest_type, digest @ ..] if !digest.is_empty() => Ok(Self {
                key_tag: u16::from_be_bytes([*high, *low]),
                algorithm: *algorithm,
                digest_type: *digest_type,
                digest: hex::encode_upper(digest),
            }),
            _ => Err(KeyError("DS")),
        }
    }
}

impl fmt::Display for Ds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key_tag, algorithm, digest_type, digest } = self;
        write!(f, "{key_tag} {algorithm} {digest_type} {digest}")
    }
}

impl FromStr for Ds {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        const FIELDS_MAX: usize = 64; // a digest may be written in groups
        let fields: Vec<&str> = text.split_ascii_whitespace().take(FIELDS_MAX).collect();
        let [key_tag, algorithm, digest_type, digest @ ..] = fields.as_slice() else { return Err(KeyError("DS")) };
        let digest = digest.concat().to_ascii_uppercase();
        if digest.is_empty() || hex::decode(&digest).is_err() {
            return Err(KeyError("DS"));
        }
        Ok(Self {
            key_tag: key_tag.parse().map_err(|_| KeyError("DS"))?,
            algorithm: algorithm.parse().map_err(|_| KeyError("DS"))?,
            digest_type: digest_type.parse().map_err(|_| KeyError("DS"))?,
            digest,
        })
    }
}

impl From<Ds> for String {
    fn from(ds: Ds) -> Self {
        ds.to_string()
    }
}

impl TryFrom<String> for Ds {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

/// A name as on the wire; a zone's name is in lower case already.
fn wire_name(zone: &ZoneName) -> Vec<u8> {
    let mut wire = Vec::with_capacity(zone.as_str().len() + 2);
    for label in zone.as_str().split('.') {
        wire.push(label.len() as u8); // a parsed name's labels have at most 63 octets
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}
