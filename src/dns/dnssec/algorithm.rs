//! The algorithms that zones may be signed with (RFC 8624: what must or may be used for signing today).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A signing algorithm, by its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Algorithm {
    RsaSha256,
    RsaSha512,
    EcdsaP256Sha256,
    EcdsaP384Sha384,
    Ed25519,
}

/// Below it RSA is weak; above it answers grow beyond what UDP takes.
const RSA_BITS: u32 = 2_048;

impl Algorithm {
    pub const ALL: [Self; 5] =
        [Self::RsaSha256, Self::RsaSha512, Self::EcdsaP256Sha256, Self::EcdsaP384Sha384, Self::Ed25519];

    pub fn number(self) -> u8 {
        match self {
            Self::RsaSha256 => 8,
            Self::RsaSha512 => 10,
            Self::EcdsaP256Sha256 => 13,
            Self::EcdsaP384Sha384 => 14,
            Self::Ed25519 => 15,
        }
    }

    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.number() == number)
    }

    /// The length of a new key, where the algorithm has more than one.
    pub fn key_bits(self) -> Option<u32> {
        match self {
            Self::RsaSha256 | Self::RsaSha512 => Some(RSA_BITS),
            Self::EcdsaP256Sha256 | Self::EcdsaP384Sha384 | Self::Ed25519 => None,
        }
    }
}

impl From<Algorithm> for u8 {
    fn from(algorithm: Algorithm) -> Self {
        algorithm.number()
    }
}

impl TryFrom<u8> for Algorithm {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        Self::from_number(number).ok_or_else(|| format!("unsupported algorithm {number}"))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}
