//! What a zone is that is withdrawn below another tenant's zone. With its SOA disabled the parent would answer for its
//! names, and whoever has the parent could serve them. So SOA and apex NS stay, and all else is disabled; what was
//! disabled before is remembered, and stays so on the way back. Pure.

use std::collections::BTreeSet;

use crate::dns::{Rrset, RrsetChange, RrsetKey, ZoneContent};
use crate::storage::record_ids::Digest;

use super::protocol;

/// The records that are disabled by themselves: digests in hex.
pub fn own_disabled(content: &ZoneContent) -> Vec<String> {
    let switched = content.iter().filter(|(key, _)| !content.is_system(key));
    let disabled = switched.flat_map(|(key, rrset)| {
        rrset.records.iter().filter(|record| record.disabled).map(|record| hex::encode(key.digest(&record.content)))
    });
    disabled.collect()
}

/// What empties a zone.
pub fn emptying(content: &ZoneContent) -> Vec<RrsetChange> {
    switching(content, |_, _| true)
}

/// What makes an emptied zone the one it was.
pub fn filling(content: &ZoneContent, disabled: &[Digest]) -> Vec<RrsetChange> {
    let disabled: BTreeSet<&Digest> = disabled.iter().collect();
    switching(content, |key, content| disabled.contains(&key.digest(content)))
}

/// The content of an emptied zone as its owner knows it.
pub fn as_it_was(mut content: ZoneContent, disabled: &[Digest]) -> ZoneContent {
    for RrsetChange { key, before: _, after } in filling(&content, disabled) {
        content.set(key, after);
    }
    content
}

fn switching(content: &ZoneContent, is_disabled: impl Fn(&RrsetKey, &str) -> bool) -> Vec<RrsetChange> {
    let mut changes = Vec::new();
    for (key, before) in content.iter().filter(|(key, _)| !content.is_system(key)) {
        let mut after: Rrset = before.clone();
        for record in &mut after.records {
            record.disabled = is_disabled(key, &record.content);
        }
        if after != *before {
            changes.push(RrsetChange { key: key.clone(), before: Some(before.clone()), after: Some(after) });
        }
    }
    changes
}

/// As many of the changes as fit into one PATCH, at least one, and whether some are left.
pub fn part(mut changes: Vec<RrsetChange>) -> (Vec<RrsetChange>, bool) {
    let mut bytes = 0;
    let fitting = changes.iter().take_while(|change| {
        bytes += protocol::patch_bytes(std::slice::from_ref(change));
        bytes <= protocol::PATCH_BYTES_MAX
    });
    let fitting = fitting.count().max(1);
    let is_partial = fitting < changes.len();
    changes.truncate(fitting);
    (changes, is_partial)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dns::{OwnerName, Record, RecordType, ZoneName};

    fn content(records: &[(u8, u8, bool)]) -> ZoneContent {
        let zone = ZoneName::trusted("child.parent.test".into());
        let mut content = ZoneContent::new(zone.clone());
        let soa = Record { content: "ns1. hostmaster. 1 2 3 4 5".into(), disabled: false };
        let apex = RrsetKey { name: OwnerName::apex(&zone), record_type: RecordType::Soa };
        content.insert(apex, Rrset { ttl: 1, records: vec![soa] });
        for (name, value, disabled) in records {
            let name = OwnerName::from_server(&format!("h{}.{zone}", name % 4));
            let key = RrsetKey { name, record_type: RecordType::A };
            let mut rrset = content.get(&key).cloned().unwrap_or(Rrset { ttl: 60, records: Vec::new() });
            rrset.records.push(Record { content: format!("192.0.2.{}", value % 8), disabled: *disabled });
            content.insert(key, rrset);
        }
        content
    }

    fn applied(content: &ZoneContent, changes: Vec<RrsetChange>) -> ZoneContent {
        let mut content = content.clone();
        for change in changes {
            content.set(change.key, change.after);
        }
        content
    }

    proptest! {
        #[test]
        fn an_emptied_zone_serves_nothing_and_comes_back_as_it_was(
            records in proptest::collection::vec((0u8..4, 0u8..8, any::<bool>()), 0..24)
        ) {
            let before = content(&records);
            let digests: Vec<Digest> = own_disabled(&before)
                .iter()
                .map(|text| {
                    let mut bytes = Digest::default();
                    hex::decode_to_slice(text, &mut bytes).expect("hex");
                    bytes
                })
                .collect();
            let emptied = applied(&before, emptying(&before));
            let served = emptied.iter().filter(|(key, rrset)| !emptied.is_system(key) && rrset.is_enabled());
            prop_assert_eq!(served.count(), 0);
            prop_assert!(emptied.is_served(&OwnerName::apex(emptied.zone())), "its SOA stays");
            prop_assert_eq!(&as_it_was(emptied.clone(), &digests), &before);
            prop_assert_eq!(&applied(&emptied, filling(&emptied, &digests)), &before);
            prop_assert!(emptying(&emptied).is_empty(), "safe to repeat");
        }
    }

    #[test]
    fn what_is_too_large_for_one_patch_goes_in_parts() {
        let zone = ZoneName::trusted("child.parent.test".into());
        let change = |n: u32| {
            let key = RrsetKey { name: OwnerName::from_server(&format!("h{n}.{zone}")), record_type: RecordType::Txt };
            let records = vec![Record { content: "x".repeat(60_000), disabled: true }];
            RrsetChange { key, before: None, after: Some(Rrset { ttl: 1, records }) }
        };
        let mut left: Vec<RrsetChange> = (0..60).map(change).collect();
        let mut parts = 0;
        loop {
            let (first, is_partial) = part(left.clone());
            assert!(!first.is_empty() && protocol::patch_bytes(&first) <= protocol::PATCH_BYTES_MAX);
            parts += 1;
            left.drain(..first.len());
            assert_eq!(is_partial, !left.is_empty());
            if !is_partial {
                break;
            }
        }
        assert_eq!(parts, 3);
        assert_eq!(part(Vec::new()), (Vec::new(), false));
    }
}
