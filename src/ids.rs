//! Ids: a prefix, `_`, and 26 lower-case Crockford base-32 characters of a UUIDv7.
//!
//! On the wire an id is opaque text; inside it is a typed 16-byte value, so that a record's id cannot be
//! handed over where a zone's is wanted. In MariaDB it is `BINARY(16)`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const TEXT_LENGTH: usize = 26;

/// Text that is not an id of the wanted kind.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an id of the form {prefix}_…")]
pub struct IdError {
    prefix: &'static str,
}

/// 26 characters of Crockford base 32, lower case: 130 bits, of which the first two are zero.
pub fn encode(id: Uuid) -> String {
    let mut value = id.as_u128();
    let mut out = [0u8; TEXT_LENGTH];
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET[(value & 31) as usize];
        value >>= 5;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The reverse of [`encode`]; only the canonical lower-case form is taken.
pub fn decode(text: &str) -> Option<Uuid> {
    if text.len() != TEXT_LENGTH {
        return None;
    }
    let mut value: u128 = 0;
    for (position, byte) in text.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|a| *a == byte)? as u128;
        if position == 0 && digit > 7 {
            return None;
        }
        value = value << 5 | digit;
    }
    Some(Uuid::from_u128(value))
}

macro_rules! id_types {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            /// A new id that sorts after those made before.
            #[expect(clippy::new_without_default, reason = "a default id would be a new one each time")]
            pub fn new() -> Self {
                Self(crate::clock::new_id())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(Self)
                    .ok_or(IdError { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

id_types! {
    /// A zone; its wire name is *domain*.
    ZoneId = "d";
    /// A record; it never changes while the record lives.
    RecordId = "r";
    /// A validation challenge.
    ValidationId = "v";
    /// An API key.
    ApiKeyId = "key";
    /// An audit entry.
    AuditId = "log";
    /// A user of the mirror.
    UserId = "u";
    /// A group of the mirror.
    GroupId = "g";
    /// A tenant of the mirror.
    TenantId = "t";
    /// A partner of the mirror.
    PartnerId = "p";
    /// A role, one of a tenant's own or one that every installation has.
    RoleId = "role";
    /// A role assignment.
    RoleAssignmentId = "ra";
    /// An access grant.
    AccessGrantId = "ag";
    /// A change in a zone's history.
    ChangeId = "chg";
    /// A job: work that no request waits for.
    JobId = "job";
    /// A template of records, one of a tenant's own or one that every installation has.
    TemplateId = "tpl";
    /// A TSIG key.
    TsigKeyId = "tsig";
    /// A request, where the caller brought no id of its own.
    RequestId = "req";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let id = ZoneId::new();
        let text = id.to_string();
        assert_eq!(text.len(), "d_".len() + TEXT_LENGTH);
        assert_eq!(text.parse::<ZoneId>(), Ok(id));
    }

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        let ids: Vec<String> = (0..100).map(|_| ChangeId::new().to_string()).collect();
        let mut sorted = ids.clone();
        sorted.sort();
        assert_eq!(ids, sorted);
    }

    #[test]
    fn an_id_of_another_kind_or_form_is_refused() {
        let record = RecordId::new().to_string();
        assert!(record.parse::<ZoneId>().is_err());
        for text in ["", "d_", "d_0", "d_8zzzzzzzzzzzzzzzzzzzzzzzzz", "d_0000000000000000000000000U"] {
            assert!(text.parse::<ZoneId>().is_err(), "{text}");
        }
    }
}
