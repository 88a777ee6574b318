//! Which records name a host: asked where a name becomes a CNAME, and where an address lies below a delegation.

use std::cell::OnceCell;
use std::collections::HashMap;

use crate::dns::owner_name::OwnerName;
use crate::dns::rdata::TargetRole;
use crate::dns::record_type::RecordType;
use crate::dns::rrset::{RecordRef, RrsetKey};
use crate::dns::zone_content::ZoneContent;

/// The served records that name each host. One pass over the zone, and only once somebody asks: a pass for each
/// operation would make many of them in a large zone slow.
pub(super) struct NamedHosts<'a> {
    base: &'a ZoneContent,
    in_base: OnceCell<HashMap<&'a str, Vec<(&'a RrsetKey, &'a str)>>>,
    /// Records that came since.
    added: HashMap<String, Vec<RecordRef>>,
}

impl<'a> NamedHosts<'a> {
    pub(super) fn of(base: &'a ZoneContent) -> Self {
        Self { base, in_base: OnceCell::new(), added: HashMap::new() }
    }

    /// Takes note of a served record that came.
    pub(super) fn add(&mut self, record: &RecordRef) {
        if let Some(host) = host_of(&record.key.record_type, &record.content) {
            self.added.entry(host.to_owned()).or_default().push(record.clone());
        }
    }

    /// The records naming this host that are still served in `content`.
    pub(super) fn naming(&self, content: &ZoneContent, host: &OwnerName) -> impl Iterator<Item = RecordRef> {
        let is_served = |key: &RrsetKey, text: &str| {
            let record = content.get(key).and_then(|rrset| rrset.find(text));
            record.is_some_and(|record| !record.disabled)
        };
        let in_base = self.in_base.get_or_init(|| index(self.base)).get(host.as_str()).into_iter().flatten();
        let in_base = in_base.map(|(key, text)| RecordRef { key: (*key).clone(), content: (*text).to_owned() });
        let added = self.added.get(host.as_str()).into_iter().flatten().cloned();
        in_base.chain(added).filter(move |record| is_served(&record.key, &record.content))
    }
}

fn index(content: &ZoneContent) -> HashMap<&str, Vec<(&RrsetKey, &str)>> {
    let mut found: HashMap<&str, Vec<(&RrsetKey, &str)>> = HashMap::new();
    for (key, rrset) in content.iter() {
        for record in rrset.enabled() {
            // of one type all name a host, or none does; a null target, as in `MX 0 .`, names none
            let Some(host) = host_of(&key.record_type, &record.content) else { continue };
            found.entry(host).or_default().push((key, &record.content));
        }
    }
    found
}

fn host_of<'a>(record_type: &RecordType, content: &'a str) -> Option<&'a str> {
    let target = record_type.definition()?.target(content)?;
    (target.role == TargetRole::Host).then_some(target.name)
}
