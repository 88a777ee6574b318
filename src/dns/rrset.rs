//! Records and RRsets as values, and the references by which one of them is meant.
//!
//! Contents are canonical here, by construction; parsing lives in [`super::rdata`].

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::owner_name::OwnerName;
use super::rdata::Soa;
use super::record_type::RecordType;

/// Octets of a record's digest.
const DIGEST_OCTETS: usize = 16;

/// One value of an RRset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Record {
    /// Canonical presentation form.
    pub content: String,
    /// Kept, but not served.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
}

/// The values of one name and type, which share a TTL (RFC 2181 section 5.2). In a [`super::ZoneContent`] they are
/// sorted by content, and no content stands there twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rrset {
    /// Seconds.
    pub ttl: u32,
    /// The values.
    pub records: Vec<Record>,
}

impl Rrset {
    /// The values that are served.
    pub fn enabled(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| !record.disabled)
    }

    /// Whether any value is served.
    pub fn is_enabled(&self) -> bool {
        self.enabled().next().is_some()
    }

    /// The value with this canonical content.
    pub fn find(&self, content: &str) -> Option<&Record> {
        self.position(content).ok().map(|position| &self.records[position])
    }

    pub(super) fn position(&self, content: &str) -> Result<usize, usize> {
        self.records.binary_search_by(|record| record.content.as_str().cmp(content))
    }

    /// Sorts, and makes one record of equal ones; it is served if one of them was.
    pub(super) fn normalise(&mut self) {
        if self.records.windows(2).all(|pair| pair[0].content < pair[1].content) {
            return;
        }
        // An enabled record sorts before a disabled one of the same content, and the first of equals stays.
        self.records.sort();
        self.records.dedup_by(|later, earlier| later.content == earlier.content);
    }
}

/// Which RRset is meant. Sorts by name in canonical order, then by type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RrsetKey {
    /// The owner name.
    pub name: OwnerName,
    /// The type.
    #[serde(rename = "type")]
    pub record_type: RecordType,
}

/// Which record is meant: an RRset and one of its contents.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordRef {
    /// The RRset.
    #[serde(flatten)]
    pub key: RrsetKey,
    /// Canonical content.
    pub content: String,
}

impl RrsetKey {
    /// SHA-256 over name, type and content of a record of this RRset, cut to 16 octets. An SOA's content is left out:
    /// its serial moves with each write, and there is only one.
    pub fn digest(&self, content: &str) -> [u8; DIGEST_OCTETS] {
        let mut hasher = Sha256::new();
        // A zero octet ends each part: none of them holds one.
        hasher.update(self.name.as_str());
        hasher.update([0]);
        hasher.update(self.record_type.as_str());
        hasher.update([0]);
        if self.record_type != RecordType::Soa {
            hasher.update(content);
        }
        let full: [u8; 32] = hasher.finalize().into();
        let mut cut = [0; DIGEST_OCTETS];
        cut.copy_from_slice(&full[..DIGEST_OCTETS]);
        cut
    }
}

impl RecordRef {
    /// [`RrsetKey::digest`] of this record.
    pub fn digest(&self) -> [u8; DIGEST_OCTETS] {
        self.key.digest(&self.content)
    }
}

/// What happened to one RRset. Equal sides mean that nothing did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RrsetChange {
    /// The RRset.
    #[serde(flatten)]
    pub key: RrsetKey,
    /// What stood there, if anything.
    pub before: Option<Rrset>,
    /// What stands there now, if anything.
    pub after: Option<Rrset>,
}

/// Whether two states of an RRset are the same to people: an SOA's serial moves with every change.
pub fn is_same_rrset(key: &RrsetKey, one: Option<&Rrset>, other: Option<&Rrset>) -> bool {
    if key.record_type != RecordType::Soa {
        return one == other;
    }
    let without_serial = |rrset: Option<&Rrset>| {
        let Rrset { ttl, records } = rrset?;
        let record = records.first()?;
        let soa = Soa::parse(&record.content).ok()?;
        Some((*ttl, record.disabled, Soa { serial: 0, ..soa }))
    };
    without_serial(one) == without_serial(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(record_type: RecordType, content: &str) -> RecordRef {
        let key = RrsetKey { name: OwnerName::from_server("www.example.com."), record_type };
        RecordRef { key, content: content.to_owned() }
    }

    #[test]
    fn a_digest_follows_the_content_but_not_the_serial() {
        let a = reference(RecordType::A, "192.0.2.1");
        assert_eq!(a.digest(), reference(RecordType::A, "192.0.2.1").digest());
        assert_ne!(a.digest(), reference(RecordType::A, "192.0.2.2").digest());
        assert_ne!(a.digest(), reference(RecordType::Txt, "192.0.2.1").digest());
        assert_eq!(reference(RecordType::Soa, "a").digest(), reference(RecordType::Soa, "b").digest());
    }

    #[test]
    fn a_change_reads_back_as_it_was_written() {
        let record = Record { content: "192.0.2.1".to_owned(), disabled: false };
        let change = RrsetChange {
            key: reference(RecordType::A, "").key,
            before: None,
            after: Some(Rrset { ttl: 300, records: vec![record] }),
        };
        let json = serde_json::to_string(&change).expect("serialises");
        assert_eq!(
            json,
            r#"{"name":"www.example.com","type":"A","before":null,"after":{"ttl":300,"records":[{"content":"192.0.2.1"}]}}"#
        );
        assert_eq!(serde_json::from_str::<RrsetChange>(&json).expect("reads"), change);
    }

    #[test]
    fn equal_records_become_one_and_stay_enabled() {
        let record = |content: &str, disabled| Record { content: content.to_owned(), disabled };
        let mut rrset = Rrset { ttl: 1, records: vec![record("b", true), record("a", false), record("b", false)] };
        rrset.normalise();
        assert_eq!(rrset.records, [record("a", false), record("b", false)]);
        assert!(rrset.find("b").is_some());
    }
}
