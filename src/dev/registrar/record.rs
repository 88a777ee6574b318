//! Names and records between their text form (API, file) and hickory's.

use hickory_proto::rr::rdata::{NULL, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// Short, so that a change is seen at once.
pub(super) const TTL: u32 = 1;
/// Long enough for a resolver to keep it, so that what is done while it does is tried.
const DS_TTL: u32 = 3;
/// A character-string in a TXT record holds no more (RFC 1035, 3.3).
const TXT_STRING_MAX: usize = 255;

/// An absolute, lower-case name, with or without the dot at its end.
pub(super) fn name(text: &str) -> Result<Name, String> {
    let mut name = Name::from_ascii(text.to_ascii_lowercase()).map_err(|e| format!("{text:?} is not a name: {e}"))?;
    name.set_fqdn(true);
    Ok(name)
}

/// Lower case, without the dot at its end: the key in maps and files.
pub(super) fn text(name: &Name) -> String {
    name.to_ascii().to_ascii_lowercase().trim_end_matches('.').to_owned()
}

pub(super) fn record(owner: &Name, data: RData) -> Record {
    let ttl = if data.record_type() == RecordType::DS { DS_TTL } else { TTL };
    Record::from_rdata(owner.clone(), ttl, data)
}

/// The record's data from its presentation form.
pub(super) fn data(record_type: &str, value: &str) -> Result<RData, String> {
    let bad = |e: &dyn std::fmt::Display| format!("{value:?} is not a {record_type} value: {e}");
    let kind: RecordType =
        record_type.to_ascii_uppercase().parse().map_err(|_| format!("unknown type {record_type}"))?;
    match kind {
        RecordType::TXT if !value.starts_with('"') => {
            Ok(RData::TXT(TXT::from_bytes(value.as_bytes().chunks(TXT_STRING_MAX).collect())))
        }
        RecordType::DS => ds(value).ok_or_else(|| bad(&"want key tag, algorithm, digest type and hexadecimal digest")),
        RecordType::CNAME | RecordType::NS | RecordType::PTR | RecordType::MX | RecordType::SRV => {
            let absolute = format!("{}.", value.trim().trim_end_matches('.'));
            RData::try_from_str(kind, &absolute).map_err(|e| bad(&e))
        }
        _ => RData::try_from_str(kind, value).map_err(|e| bad(&e)),
    }
}

/// hickory reads DS only with its DNSSEC feature; the wire form is simple enough (RFC 4034, 5.1).
fn ds(value: &str) -> Option<RData> {
    let mut fields = value.split_whitespace();
    let mut bytes = fields.next()?.parse::<u16>().ok()?.to_be_bytes().to_vec();
    bytes.push(fields.next()?.parse().ok()?);
    let digest_type: u8 = fields.next()?.parse().ok()?;
    bytes.push(digest_type);
    let digest = hex::decode(fields.collect::<String>()).ok()?;
    let fits = match digest_type {
        1 => digest.len() == 20,
        2 => digest.len() == 32,
        4 => digest.len() == 48,
        _ => !digest.is_empty(),
    };
    bytes.extend(digest);
    fits.then_some(RData::Unknown { code: RecordType::DS, rdata: NULL::with(bytes) })
}
