//! The content of one zone, sorted: what is edited, compared and written.
//!
//! What never lives here: the rules of editing (that is [`super::edit`]) and where content is kept.

use std::sync::Arc;

use imbl::OrdMap;

use super::owner_name::OwnerName;
use super::rdata::{Soa, TargetRole};
use super::record_type::RecordType;
use super::rrset::{RecordRef, Rrset, RrsetKey};
use super::zone_name::ZoneName;

/// All RRsets of a zone, in canonical order of their names. An RRset without records does not stand here.
///
/// A clone costs the same whatever the zone holds: what two contents have in common they share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneContent {
    zone: ZoneName,
    rrsets: OrdMap<RrsetKey, Arc<Rrset>>,
    /// Kept along: counting them would cost a pass over the zone for each change.
    records: usize,
    octets: usize,
}

impl ZoneContent {
    /// A zone without records.
    pub fn new(zone: ZoneName) -> Self {
        Self { zone, rrsets: OrdMap::new(), records: 0, octets: 0 }
    }

    /// Puts an RRset in place while the content is built from the server or from staged records. An RRset of the same
    /// key is replaced, one without records left out.
    pub fn insert(&mut self, key: RrsetKey, rrset: Rrset) {
        self.set(key, Some(rrset));
    }

    /// The RRset of this name and type.
    pub fn get(&self, key: &RrsetKey) -> Option<&Rrset> {
        self.rrsets.get(key).map(Arc::as_ref)
    }

    /// All RRsets in order.
    pub fn iter(&self) -> impl Iterator<Item = (&RrsetKey, &Rrset)> {
        self.rrsets.iter().map(|(key, rrset)| (key, rrset.as_ref()))
    }

    /// The zone's name.
    pub fn zone(&self) -> &ZoneName {
        &self.zone
    }

    /// All records in order, with the TTL of their RRset and whether they are disabled.
    pub fn records(&self) -> impl Iterator<Item = (RecordRef, u32, bool)> {
        self.rrsets.iter().flat_map(|(key, rrset)| {
            rrset.records.iter().map(move |record| {
                (RecordRef { key: key.clone(), content: record.content.clone() }, rrset.ttl, record.disabled)
            })
        })
    }

    /// How many records the customer has: all but the SOA, the apex NS and ScaiDNS's own.
    pub fn record_count(&self) -> usize {
        self.records
    }

    /// About what the content takes in memory.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// Replaces or removes one RRset without any check, and gives back what stood there. Records are sorted, and of
    /// equal ones one stays.
    pub fn set(&mut self, key: RrsetKey, rrset: Option<Rrset>) -> Option<Rrset> {
        let is_counted = !self.is_system(&key);
        let before = match rrset {
            Some(mut rrset) if !rrset.records.is_empty() => {
                rrset.normalise();
                self.octets += octets_of(&key, &rrset);
                self.records += if is_counted { rrset.records.len() } else { 0 };
                self.rrsets.insert(key.clone(), Arc::new(rrset))
            }
            _ => self.rrsets.remove(&key),
        }?;
        self.octets -= octets_of(&key, &before);
        self.records -= if is_counted { before.records.len() } else { 0 };
        Some(Arc::unwrap_or_clone(before))
    }

    /// Sets the serial in the SOA, which PowerDNS has stepped.
    pub fn set_serial(&mut self, serial: u32) {
        let key = RrsetKey { name: OwnerName::apex(&self.zone), record_type: RecordType::Soa };
        let Some(mut rrset) = self.get(&key).cloned() else { return };
        for record in &mut rrset.records {
            if let Ok(mut soa) = Soa::parse(&record.content) {
                soa.serial = serial;
                record.content = soa.to_string();
            }
        }
        self.set(key, Some(rrset));
    }

    /// Whether the platform made the RRset: the SOA, the apex NS, ScaiDNS's own names.
    pub fn is_system(&self, key: &RrsetKey) -> bool {
        match key.record_type {
            RecordType::Soa => true,
            RecordType::Ns if key.name.is_apex(&self.zone) => true,
            _ => key.name.is_reserved(&self.zone),
        }
    }

    /// The RRsets at one name.
    pub fn rrsets_at<'a>(&'a self, name: &'a OwnerName) -> impl Iterator<Item = (&'a RrsetKey, &'a Rrset)> {
        self.from(name).take_while(move |(key, _)| key.name == *name)
    }

    /// The RRsets at a name and below it, in order: one range.
    pub fn subtree<'a>(&'a self, top: &'a OwnerName) -> impl Iterator<Item = (&'a RrsetKey, &'a Rrset)> {
        self.from(top).take_while(move |(key, _)| key.name == *top || key.name.is_below(top))
    }

    /// Whether anything is served at the name.
    pub fn is_served(&self, name: &OwnerName) -> bool {
        self.rrsets_at(name).any(|(_, rrset)| rrset.is_enabled())
    }

    /// Whether anything is served strictly below the name.
    pub fn is_served_below(&self, name: &OwnerName) -> bool {
        self.subtree(name).any(|(key, rrset)| key.name != *name && rrset.is_enabled())
    }

    fn from(&self, name: &OwnerName) -> impl Iterator<Item = (&RrsetKey, &Rrset)> {
        let first = RrsetKey { name: name.clone(), record_type: RecordType::FIRST };
        self.rrsets.range(first..).map(|(key, rrset)| (key, rrset.as_ref()))
    }
}

/// The texts, and about what stands around them.
fn octets_of(key: &RrsetKey, rrset: &Rrset) -> usize {
    const PER_RRSET: usize = 160;
    const PER_RECORD: usize = 48;
    let contents: usize = rrset.records.iter().map(|record| record.content.len() + PER_RECORD).sum();
    PER_RRSET + key.name.as_str().len() + contents
}

/// What a resolver would find at a name of this zone, as far as the zone alone decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup<'a> {
    /// Outside the zone or behind a delegation: not ours to tell.
    Elsewhere,
    /// Nothing at the name, and no wildcard for it.
    Missing,
    /// A CNAME to this name.
    Alias(&'a str),
    /// Other data.
    Exists,
}

impl ZoneContent {
    /// Looks a name up among what is served, wildcards included (RFC 4592).
    pub(super) fn look_up(&self, name: &str) -> Lookup<'_> {
        let name = OwnerName::from_server(name);
        if !name.is_in(&self.zone) || self.is_handed_over(&name) {
            return Lookup::Elsewhere;
        }
        match self.source_of(name) {
            None => Lookup::Missing,
            Some(source) => self.alias_at(&source).map_or(Lookup::Exists, Lookup::Alias),
        }
    }

    /// Whether the name is this zone's to answer and has no address.
    pub(super) fn lacks_address(&self, name: &str) -> bool {
        match self.look_up(name) {
            Lookup::Elsewhere | Lookup::Alias(_) => false,
            Lookup::Missing => true,
            Lookup::Exists => {
                self.source_of(OwnerName::from_server(name)).is_none_or(|source| !self.has_address_at(&source))
            }
        }
    }

    /// Whether an address stands at the very name, as glue must.
    pub(super) fn has_own_address(&self, name: &str) -> bool {
        self.has_address_at(&OwnerName::from_server(name))
    }

    /// The target of the served CNAME at this name.
    pub(super) fn alias_at(&self, name: &OwnerName) -> Option<&str> {
        let key = RrsetKey { name: name.clone(), record_type: RecordType::Cname };
        self.get(&key).and_then(alias_of)
    }

    /// The RRset of this type at the name, if it is served.
    pub(super) fn served(&self, name: &OwnerName, record_type: &RecordType) -> Option<&Rrset> {
        let key = RrsetKey { name: name.clone(), record_type: record_type.clone() };
        self.get(&key).filter(|rrset| rrset.is_enabled())
    }

    fn has_address_at(&self, name: &OwnerName) -> bool {
        self.rrsets_at(name)
            .any(|(key, rrset)| matches!(key.record_type.as_str(), "A" | "AAAA" | "ALIAS") && rrset.is_enabled())
    }

    /// Whether a delegation or a DNAME answers for the name.
    fn is_handed_over(&self, name: &OwnerName) -> bool {
        let is_cut = |name: &OwnerName| self.served(name, &RecordType::Ns).is_some();
        if name.is_apex(&self.zone) {
            return false;
        }
        is_cut(name)
            || name
                .ancestors_below_apex(&self.zone)
                .any(|above| is_cut(&above) || self.served(&above, &RecordType::Dname).is_some())
            || self.served(&OwnerName::apex(&self.zone), &RecordType::Dname).is_some()
    }

    /// The owner whose RRsets answer for a name of the zone: itself, or the wildcard at its closest encloser.
    fn source_of(&self, name: OwnerName) -> Option<OwnerName> {
        if self.is_served(&name) {
            return Some(name);
        }
        if self.is_served_below(&name) || name.is_apex(&self.zone) {
            return None;
        }
        let encloser = name
            .ancestors_below_apex(&self.zone)
            .find(|above| self.is_served(above) || self.is_served_below(above))
            .unwrap_or_else(|| OwnerName::apex(&self.zone));
        let wildcard = OwnerName::from_server(&format!("*.{encloser}"));
        self.is_served(&wildcard).then_some(wildcard)
    }
}

fn alias_of(rrset: &Rrset) -> Option<&str> {
    let record = rrset.enabled().next()?;
    let target = RecordType::Cname.definition()?.target(&record.content)?;
    (target.role == TargetRole::Alias).then_some(target.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::rrset::Record;

    fn zone_of(lines: &[(&str, &str, &str)]) -> ZoneContent {
        let zone = ZoneName::parse("example.com").expect("valid");
        let mut content = ZoneContent::new(zone.clone());
        for (name, record_type, text) in lines {
            let name = OwnerName::from_server(&format!("{name}.{zone}."));
            let key = RrsetKey { name, record_type: RecordType::from_server(record_type) };
            let records = vec![Record { content: (*text).to_owned(), disabled: false }];
            content.insert(key, Rrset { ttl: 300, records });
        }
        content
    }

    #[test]
    fn wildcards_and_delegations_answer_as_in_dns() {
        let content = zone_of(&[
            ("*.w", "CNAME", "www.example.com."),
            ("www", "A", "192.0.2.1"),
            ("a.b.w", "A", "192.0.2.1"),
            ("sub", "NS", "ns.sub.example.com."),
        ]);
        for (name, wanted) in [
            ("www.example.com", Lookup::Exists),
            ("x.w.example.com", Lookup::Alias("www.example.com")),
            ("x.y.w.example.com", Lookup::Alias("www.example.com")),
            ("b.w.example.com", Lookup::Missing),
            ("x.b.w.example.com", Lookup::Missing),
            ("nothing.example.com", Lookup::Missing),
            ("ns.sub.example.com", Lookup::Elsewhere),
            ("www.example.org", Lookup::Elsewhere),
        ] {
            assert_eq!(content.look_up(name), wanted, "{name}");
        }
        assert!(content.lacks_address("nothing.example.com"));
        assert!(!content.lacks_address("www.example.com"));
    }

    #[test]
    fn system_records_are_not_counted() {
        let content =
            zone_of(&[("_scaidns", "TXT", "\"x\""), ("_scaidns-verify", "TXT", "\"x\""), ("a", "A", "192.0.2.1")]);
        assert_eq!(content.record_count(), 2);
    }

    #[test]
    fn what_is_counted_along_follows_every_change() {
        let full = zone_of(&[("a", "A", "192.0.2.1"), ("b", "A", "192.0.2.2"), ("_scaidns", "TXT", "\"x\"")]);
        let mut content = full.clone();
        let keys: Vec<RrsetKey> = full.iter().map(|(key, _)| key.clone()).collect();
        for key in &keys {
            let standing = content.get(key).cloned().expect("stands");
            content.set(key.clone(), Some(standing));
        }
        assert_eq!(content, full, "put again, counted once");
        for key in keys {
            content.set(key, None);
        }
        assert_eq!((content.record_count(), content.octets()), (0, 0));
        assert_eq!(full.record_count(), 2, "a clone is a content of its own");
    }
}
