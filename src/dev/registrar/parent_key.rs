//! The key that signs the parent's zones, and how it signs: ECDSA P-256 (RFC 6605), made at the first start and kept.

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use time::{Duration, OffsetDateTime};

use super::record;
use crate::dev::{DevError, files};
use crate::dns::ZoneName;
use crate::dns::dnssec::{DigestType, Dnskey, Ds};

const FILE: &str = "parent-key.pkcs8";
/// RFC 6605.
const ALGORITHM: u8 = 13;
/// One key signs everything; a trust anchor or a DS points to it.
const FLAGS: u16 = 257;
/// RFC 5480: what an uncompressed point begins with; DNSKEY has the point without it.
const POINT_PREFIX: usize = 1;
/// Signatures are made for each answer; clocks of validators may differ.
const VALID_SINCE: Duration = Duration::hours(1);
const VALID_FOR: Duration = Duration::days(1);

pub(super) struct ParentKey {
    pair: EcdsaKeyPair,
    dnskey: Dnskey,
}

impl std::fmt::Debug for ParentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParentKey").field("dnskey", &self.dnskey).finish_non_exhaustive()
    }
}

impl ParentKey {
    pub(super) fn load_or_create(folder: &Path) -> Result<Self, DevError> {
        let path = folder.join(FILE);
        let broken = |what: &str| DevError::HalfInitialised { path: path.display().to_string(), what: what.to_owned() };
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = match files::read_if_there(&path)? {
            Some(text) => STANDARD.decode(text.trim()).map_err(|_| broken("not base 64"))?,
            None => {
                let made = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new());
                let der = made.map_err(|_| broken("no key could be made"))?.as_ref().to_vec();
                files::write_private(&path, STANDARD.encode(&der))?;
                der
            }
        };
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, &der).map_err(|_| broken("not an ECDSA key"))?;
        let public_key = pair.public_key().as_ref()[POINT_PREFIX..].to_vec();
        Ok(Self { dnskey: Dnskey { flags: FLAGS, algorithm: ALGORITHM, public_key }, pair })
    }

    /// The root's key, as validators take a trust anchor.
    pub(super) fn trust_anchor(&self) -> String {
        format!(". DNSKEY {}", self.dnskey)
    }

    pub(super) fn dnskey_record(&self, zone: &Name) -> Record {
        unknown(zone, RecordType::DNSKEY, self.dnskey.rdata())
    }

    /// What the root says of the zones below it, which the same key signs.
    pub(super) fn ds_record(&self, zone: &Name) -> Option<Record> {
        let ds = Ds::of(&ZoneName::trusted(record::text(zone)), &self.dnskey, DigestType::Sha256);
        Some(record::record(zone, record::data("DS", &ds.to_string()).ok()?))
    }

    /// The RRSIG of an RRset (RFC 4034, 3.1), all of whose records have one name and type.
    pub(super) fn sign(&self, zone: &Name, rrset: &[&Record], now: OffsetDateTime) -> Option<Record> {
        let first = rrset.first()?;
        let kind = first.record_type();
        let mut rdata = u16::from(kind).to_be_bytes().to_vec();
        rdata.extend([ALGORITHM, first.name.num_labels()]);
        rdata.extend(first.ttl.to_be_bytes());
        for moment in [now + VALID_FOR, now - VALID_SINCE] {
            rdata.extend(u32::try_from(moment.unix_timestamp()).ok()?.to_be_bytes());
        }
        rdata.extend(self.dnskey.key_tag().to_be_bytes());
        rdata.extend(wire_name(zone));
        let mut contents = rrset.iter().map(|record| canonical(&record.data)).collect::<Option<Vec<Vec<u8>>>>()?;
        contents.sort();
        let mut signed = rdata.clone();
        for content in contents {
            signed.extend(wire_name(&first.name));
            signed.extend(u16::from(kind).to_be_bytes());
            signed.extend(u16::from(first.dns_class).to_be_bytes());
            signed.extend(first.ttl.to_be_bytes());
            signed.extend(u16::try_from(content.len()).ok()?.to_be_bytes());
            signed.extend(content);
        }
        rdata.extend(self.pair.sign(&SystemRandom::new(), &signed).ok()?.as_ref());
        let mut signature = unknown(&first.name, RecordType::RRSIG, rdata);
        signature.ttl = first.ttl;
        Some(signature)
    }
}

/// An NSEC record that says: there is nothing between this name and the one right after it, and this name has no
/// types but these.
pub(super) fn nsec(name: &Name, types: &[RecordType]) -> Record {
    let mut rdata = vec![1, 0]; // a label of one octet, zero, before the name
    rdata.extend(wire_name(name));
    let mut bitmap: Vec<u8> = Vec::new();
    for kind in types.iter().copied().chain([RecordType::RRSIG, RecordType::NSEC]) {
        // all of them are in the first window (RFC 4034, 4.1.2)
        let number = usize::from(u16::from(kind));
        bitmap.resize(bitmap.len().max(number / 8 + 1), 0);
        bitmap[number / 8] |= 0x80 >> (number % 8);
    }
    rdata.extend([0, bitmap.len() as u8]); // at most 32
    rdata.extend(bitmap);
    unknown(name, RecordType::NSEC, rdata)
}

fn unknown(name: &Name, code: RecordType, rdata: Vec<u8>) -> Record {
    record::record(name, RData::Unknown { code, rdata: NULL::with(rdata) })
}

/// The data as it is signed: names in full (RFC 4034, 6.2). None for types that the parent's zones do not have.
fn canonical(data: &RData) -> Option<Vec<u8>> {
    match data {
        RData::A(a) => Some(a.0.octets().to_vec()),
        RData::AAAA(aaaa) => Some(aaaa.0.octets().to_vec()),
        RData::NS(ns) => Some(wire_name(&ns.0)),
        RData::SOA(soa) => {
            let mut bytes = [wire_name(&soa.mname), wire_name(&soa.rname)].concat();
            bytes.extend(soa.serial.to_be_bytes());
            for timer in [soa.refresh, soa.retry, soa.expire] {
                bytes.extend(timer.to_be_bytes());
            }
            bytes.extend(soa.minimum.to_be_bytes());
            Some(bytes)
        }
        RData::Unknown { code: _, rdata } => Some(rdata.anything.clone()),
        _ => None,
    }
}

fn wire_name(name: &Name) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.iter() {
        wire.push(label.len() as u8); // at most 63
        wire.extend(label.to_ascii_lowercase());
    }
    wire.push(0);
    wire
}
