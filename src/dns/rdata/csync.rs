//! CSYNC: which RRsets the parent is asked to copy (RFC 7477).

use std::collections::BTreeMap;

use super::cds::off_apex;
use super::text::number;
use super::{Neighbourhood, ParseContext, Parsed, RecordDefinition};
use crate::dns::error::{FieldError, Warning};
use crate::dns::owner_name::OwnerName;
use crate::dns::rrset::Rrset;

/// `immediate` and `soaminimum` (RFC 7477 section 2.1.1.2).
const FLAGS_MAX: u32 = 3;
/// One window of a type bitmap with its head (RFC 4034 section 4.1.2).
const WINDOW_OCTETS_MAX: usize = 34;

/// Types by number (IANA). Others are written as `TYPE123` (RFC 3597 section 5).
const TYPES: [(u16, &str); 44] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (13, "HINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (25, "KEY"),
    (28, "AAAA"),
    (29, "LOC"),
    (33, "SRV"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (39, "DNAME"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (49, "DHCID"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (63, "ZONEMD"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (99, "SPF"),
    (108, "EUI48"),
    (109, "EUI64"),
    (249, "TKEY"),
    (250, "TSIG"),
    (256, "URI"),
    (257, "CAA"),
    (32769, "DLV"),
];

pub(in crate::dns) struct Csync;

impl RecordDefinition for Csync {
    fn description(&self) -> &'static str {
        "RRsets at the apex that the parent is asked to copy"
    }

    fn example(&self) -> &'static str {
        "66 3 A NS AAAA"
    }

    /// Types in the order of their numbers, each once.
    fn parse(&self, content: &str, _context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let mut words = content.split(' ').filter(|word| !word.is_empty());
        let (Some(serial), Some(flags)) = (words.next(), words.next()) else {
            return Err(FieldError::content("content must be of the form '<serial> <flags> <types>'"));
        };
        let serial: u32 = number(serial, "serial", u32::MAX)?;
        let flags: u16 = number(flags, "flags", FLAGS_MAX)?;
        let types = words.map(type_number).collect::<Result<BTreeMap<u16, String>, _>>()?;
        let mut canonical = format!("{serial} {flags}");
        for name in types.values() {
            canonical.push(' ');
            canonical.push_str(name);
        }
        Ok(Parsed::plain(canonical))
    }

    fn is_single_valued(&self) -> bool {
        true
    }

    fn wire_length(&self, canonical: &str) -> usize {
        6 + WINDOW_OCTETS_MAX * canonical.split(' ').count()
    }

    fn warnings(&self, owner: &OwnerName, _rrset: &Rrset, around: &Neighbourhood<'_>) -> Vec<Warning> {
        off_apex(owner, around).into_iter().collect()
    }
}

fn type_number(word: &str) -> Result<(u16, String), FieldError> {
    let upper = word.to_ascii_uppercase();
    let known = |(number, name): &(u16, &str)| (*number, (*name).to_owned());
    if let Some(found) = TYPES.iter().find(|(_, name)| *name == upper) {
        return Ok(known(found));
    }
    let number = upper.strip_prefix("TYPE").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    match number.and_then(|digits| digits.parse::<u16>().ok()) {
        Some(number) if number > 0 => {
            let name = TYPES.iter().find(|(known, _)| *known == number).map(known);
            Ok(name.unwrap_or_else(|| (number, format!("TYPE{number}"))))
        }
        _ => Err(FieldError::content(format!("'{}' is not a record type", word.escape_debug()))),
    }
}
