//! The record types of this product: one table, from which the enum, its names and the catalogue come.
//!
//! A new type is a file under `rdata/` and a line here. What never lives here: a rule about a type.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::FieldError;
use super::rdata::{self, RecordDefinition};

macro_rules! record_types {
    ($($variant:ident = $name:literal => $definition:expr;)*) => {
        /// A record type.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum RecordType {
            $(#[doc = $name] $variant,)*
            /// A type that stands on the server and is not one of this product.
            Other(Box<str>),
        }

        impl RecordType {
            /// The mnemonic.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other(name) => name,
                }
            }

            /// What this product knows about the type; nothing for a foreign one.
            pub(super) fn definition(&self) -> Option<&'static dyn RecordDefinition> {
                match self {
                    $(Self::$variant => Some(&$definition),)*
                    Self::Other(_) => None,
                }
            }

            fn known(upper: &str) -> Option<Self> {
                match upper {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        const KNOWN: &[RecordType] = &[$(RecordType::$variant),*];
    };
}

record_types! {
    A = "A" => rdata::a::A;
    Aaaa = "AAAA" => rdata::aaaa::Aaaa;
    Mx = "MX" => rdata::mx::Mx;
    Cname = "CNAME" => rdata::cname::Cname;
    Txt = "TXT" => rdata::txt::Txt;
    Ns = "NS" => rdata::ns::Ns;
    Srv = "SRV" => rdata::srv::Srv;
    Ptr = "PTR" => rdata::ptr::Ptr;
    Soa = "SOA" => rdata::soa::SoaDefinition;
    Caa = "CAA" => rdata::caa::Caa;
    Sshfp = "SSHFP" => rdata::sshfp::Sshfp;
    Tlsa = "TLSA" => rdata::tlsa::Tlsa;
    Dname = "DNAME" => rdata::dname::Dname;
    Naptr = "NAPTR" => rdata::naptr::Naptr;
    Ds = "DS" => rdata::ds::Ds;
    Alias = "ALIAS" => rdata::alias::Alias;
    Https = "HTTPS" => rdata::https::Https;
    Svcb = "SVCB" => rdata::svcb::Svcb;
    Loc = "LOC" => rdata::loc::Loc;
    Uri = "URI" => rdata::uri::Uri;
    OpenPgpKey = "OPENPGPKEY" => rdata::openpgpkey::OpenPgpKey;
    Smimea = "SMIMEA" => rdata::smimea::Smimea;
    Cert = "CERT" => rdata::cert::Cert;
    Hinfo = "HINFO" => rdata::hinfo::Hinfo;
    Rp = "RP" => rdata::rp::Rp;
    Cds = "CDS" => rdata::cds::Cds;
    Cdnskey = "CDNSKEY" => rdata::cdnskey::Cdnskey;
    Csync = "CSYNC" => rdata::csync::Csync;
}

/// Longest text that is echoed as a type in an error.
const ECHOED_TYPE_MAX: usize = 32;

impl RecordType {
    /// The type that sorts first, for ranges over everything at a name.
    pub(super) const FIRST: Self = Self::A;

    /// Parses a caller's type in any case.
    ///
    /// # Errors
    /// Names the field `type` for whatever is not of this product.
    pub fn parse(input: &str) -> Result<Self, FieldError> {
        Self::known(&input.to_ascii_uppercase()).ok_or_else(|| {
            let shown: String = input.chars().take(ECHOED_TYPE_MAX).collect();
            FieldError::record_type(format!("unknown record type '{}'", shown.escape_debug()))
        })
    }

    /// Takes a type as PowerDNS answers it.
    pub fn from_server(name: &str) -> Self {
        let upper = name.to_ascii_uppercase();
        Self::known(&upper).unwrap_or_else(|| Self::Other(upper.into()))
    }

    /// Whether the type belongs to the signing machinery, which never counts as data beside other data (RFC 2181
    /// section 10.1 with RFC 4035 section 2.5).
    pub(super) fn is_signature_material(&self) -> bool {
        matches!(self.as_str(), "RRSIG" | "NSEC" | "NSEC3")
    }

    /// Whether the platform keeps records of this type itself and nobody edits them.
    pub fn is_managed(&self, zone_is_signed: bool) -> bool {
        match self.as_str() {
            "DNSKEY" | "RRSIG" | "NSEC" | "NSEC3" | "NSEC3PARAM" => true,
            "CDS" | "CDNSKEY" => zone_is_signed,
            _ => false,
        }
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RecordType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Reads what [`Serialize`] wrote, like [`RecordType::from_server`]; a caller's text goes through
/// [`RecordType::parse`].
impl<'de> Deserialize<'de> for RecordType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self::from_server(&name))
    }
}

/// What `GET /domains/types` says about a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TypeInfo {
    /// The mnemonic.
    #[serde(rename = "type")]
    pub record_type: &'static str,
    /// One line on what it is for.
    pub description: &'static str,
    /// A content that is accepted.
    pub example: &'static str,
}

/// Every type of this product, in the order of the table.
pub fn catalogue() -> Vec<TypeInfo> {
    KNOWN
        .iter()
        .filter_map(|record_type| {
            let definition = record_type.definition()?;
            Some(TypeInfo {
                record_type: record_type.as_str(),
                description: definition.description(),
                example: definition.example(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::ZoneName;

    #[test]
    fn a_type_is_read_in_any_case_and_foreign_ones_only_from_the_server() {
        assert_eq!(RecordType::parse("aaaa"), Ok(RecordType::Aaaa));
        for input in ["", "LUA", "RRSIG", "SPF", "BOGUS", "A ", "TYPE1", "ß", "a\u{0}"] {
            assert_eq!(RecordType::parse(input).expect_err(input).field, "type");
        }
        assert_eq!(RecordType::parse("bogus").expect_err("unknown").message, "unknown record type 'bogus'");
        assert_eq!(RecordType::from_server("lua"), RecordType::Other("LUA".into()));
        assert_eq!(RecordType::from_server("mx"), RecordType::Mx);
    }

    #[test]
    fn every_example_of_the_catalogue_is_accepted_and_canonical() {
        let zone = ZoneName::parse("example.com").expect("valid");
        for info in catalogue() {
            let record_type = RecordType::parse(info.record_type).expect("of the table");
            let (canonical, warnings) = rdata::canonical(&record_type, info.example, &zone).expect(info.example);
            assert_eq!(canonical, info.example);
            assert_eq!(warnings, []);
        }
    }
}
