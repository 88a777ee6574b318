//! What must hold for any group: all or nothing, undone without trace, and the same as one by one.

use proptest::prelude::*;

use super::*;

pub(super) fn any_name() -> impl Strategy<Value = OwnerName> {
    prop::sample::select(vec!["@", "a", "b.a", "c.b.a", "*", "*.a", "d", "_s._tcp"]).prop_map(owner)
}

pub(super) fn any_record() -> impl Strategy<Value = (RecordType, String)> {
    let records = [
        "A 192.0.2.1",
        "A 192.0.2.2",
        "AAAA 2001:DB8::1",
        "CNAME a.example.com",
        "CNAME d.example.com",
        "CNAME x.test",
        "MX 0 .",
        "MX 10 d.example.com",
        "NS ns.test",
        "NS b.a.example.com",
        "TXT hello",
        "SRV 0 0 1 a.example.com",
        "PTR d.example.com",
        "CAA 0 issue ca.test",
        "A bogus",
    ];
    prop::sample::select(records.to_vec()).prop_map(|record| {
        let (record_type, content) = record.split_once(' ').expect("has two parts");
        (RecordType::from_server(record_type), content.to_owned())
    })
}

fn any_target() -> impl Strategy<Value = RecordRef> {
    (any_name(), any_record()).prop_map(|(name, (record_type, content))| {
        let content =
            crate::dns::canonical(&record_type, &content, &zone()).map_or(content, |(canonical, _)| canonical);
        RecordRef { key: RrsetKey { name, record_type }, content }
    })
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let ttl = prop::option::of(prop::sample::select(vec![30_u32, 300, 600]));
    prop_oneof![
        1 => (any_target(), prop::sample::select(vec![30_u32, 300, 600]))
            .prop_map(|(target, ttl)| Operation::SetTtl { target, ttl }),
        4 => (any_name(), any_record(), ttl.clone(), any::<bool>()).prop_map(|(name, (record_type, content), ttl, disabled)| {
            Operation::Add { name, record_type, content, ttl, disabled }
        }),
        2 => (any_target(), prop::option::of(any_record()), ttl, prop::option::of(any::<bool>())).prop_map(
            |(target, record, ttl, disabled)| Operation::Update {
                target,
                content: record.map(|(_, content)| content),
                ttl,
                disabled,
            }
        ),
        2 => any_target().prop_map(|target| Operation::Delete { target }),
    ]
}

/// Nothing that a later addition may make room for: an NS makes others glue, an address at the target ends the loop
/// of a wildcard alias.
fn any_addition() -> impl Strategy<Value = Operation> {
    any_operation().prop_filter("an addition, no NS, no wildcard", |operation| match operation {
        Operation::Add { name, record_type, .. } => *record_type != RecordType::Ns && !name.as_str().starts_with('*'),
        Operation::Update { .. }
        | Operation::SetTtl { .. }
        | Operation::SetPrimary { .. }
        | Operation::Delete { .. } => false,
    })
}

/// A zone that grew by operations, whatever of them was accepted.
pub(super) fn any_zone() -> impl Strategy<Value = ZoneContent> {
    prop::collection::vec(any_operation(), 0..25).prop_map(|operations| {
        let mut content = zone_with(&[]);
        for operation in operations {
            // A refused one is just not there.
            let _ = content.apply(&[operation], &LIVE);
        }
        content
    })
}

/// What must hold of any zone that grew by accepted operations only, over the whole of it.
fn assert_sound(content: &ZoneContent) -> Result<(), TestCaseError> {
    for (key, rrset) in content.iter() {
        prop_assert!(!rrset.records.is_empty());
        prop_assert!(rrset.records.windows(2).all(|pair| pair[0].content < pair[1].content));
        if key.record_type == RecordType::Cname && rrset.is_enabled() {
            prop_assert_eq!(content.rrsets_at(&key.name).count(), 1);
            prop_assert_eq!(rrset.records.len(), 1);
        }
        let is_cut = key.record_type == RecordType::Ns && rrset.is_enabled() && !key.name.is_apex(content.zone());
        if is_cut {
            let hidden = content.iter().filter(|(other, rrset)| {
                let address = matches!(other.record_type, RecordType::A | RecordType::Aaaa);
                other.name.is_below(&key.name) && rrset.is_enabled() && !address
            });
            prop_assert_eq!(hidden.count(), 0);
        }
    }
    let apex = content.get(&key("@", "NS")).is_some_and(Rrset::is_enabled);
    prop_assert!(apex && content.get(&key("@", "SOA")).is_some());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_group_is_undone_without_trace_or_was_never_there(
        mut content in any_zone(),
        group in prop::collection::vec(any_operation(), 0..6),
    ) {
        assert_sound(&content)?;
        let before = content.clone();
        match content.apply(&group, &LIVE) {
            Err(refused) => {
                prop_assert!(!refused.is_empty() && refused.keys().all(|index| *index < group.len()));
                let left_out = content.clone().apply_each(&group, &LIVE).operations.into_iter().enumerate();
                let left_out: Refused = left_out.filter_map(|(index, outcome)| Some((index, outcome.err()?))).collect();
                prop_assert_eq!(refused, left_out);
            }
            Ok(outcome) => {
                assert_sound(&content)?;
                for change in &outcome.changes {
                    prop_assert_ne!(&change.before, &change.after);
                    prop_assert_eq!(before.get(&change.key), change.before.as_ref());
                    prop_assert_eq!(content.get(&change.key), change.after.as_ref());
                }
                prop_assert!(outcome.changes.windows(2).all(|pair| pair[0].key < pair[1].key));
                content.undo(&outcome.changes);
            }
        }
        prop_assert_eq!(content, before);
    }

    #[test]
    fn what_is_left_in_is_a_group_like_any_other(
        mut content in any_zone(),
        group in prop::collection::vec(any_operation(), 1..8),
    ) {
        let before = content.clone();
        let outcome = content.apply_each(&group, &LIVE);
        assert_sound(&content)?;
        prop_assert_eq!(outcome.operations.len(), group.len());
        let (left_in, outcomes): (Vec<Operation>, Vec<OperationOutcome>) =
            group.iter().zip(&outcome.operations).filter_map(|(one, done)| Some((one.clone(), done.clone().ok()?))).unzip();
        let mut together = before.clone();
        let again = together.apply(&left_in, &LIVE);
        prop_assert_eq!(again, Ok(GroupOutcome { operations: outcomes, changes: outcome.changes.clone() }));
        prop_assert_eq!(&together, &content);
        content.undo(&outcome.changes);
        prop_assert_eq!(content, before);
    }

    /// Additions of which none can make room for another do the same together and one after the other.
    #[test]
    fn each_alone_is_one_after_the_other(
        mut content in any_zone(),
        group in prop::collection::vec(any_addition(), 1..10),
    ) {
        let mut singly = content.clone();
        let one_by_one: Vec<bool> =
            group.iter().map(|operation| singly.apply(std::slice::from_ref(operation), &LIVE).is_ok()).collect();
        let outcome = content.apply_each(&group, &LIVE);
        let each: Vec<bool> = outcome.operations.iter().map(Result::is_ok).collect();
        prop_assert_eq!(each, one_by_one);
        prop_assert_eq!(content, singly);
    }

    #[test]
    fn a_group_does_what_its_operations_do_one_by_one(
        content in any_zone(),
        group in prop::collection::vec(any_operation(), 1..6),
    ) {
        let mut singly = content.clone();
        let outcomes: Result<Vec<_>, _> =
            group.iter().map(|operation| singly.apply(std::slice::from_ref(operation), &LIVE)).collect();
        if let Ok(outcomes) = outcomes {
            let mut together = content.clone();
            let outcome = together.apply(&group, &LIVE);
            prop_assert!(outcome.is_ok(), "{:?}", outcome);
            prop_assert_eq!(&together, &singly);
            for (one, all) in outcomes.iter().zip(outcome.expect("just checked").operations) {
                prop_assert_eq!((&one.operations[0].before, &one.operations[0].after), (&all.before, &all.after));
            }
        }
    }
}
