//! From what RRsets are to be to operations: what comes out is what was asked for, and what stays is not touched.

use proptest::prelude::*;

use super::properties::{any_name, any_record, any_zone};
use super::*;

fn edit(how: RrsetHow, line: &str, ttl: Option<u32>) -> RrsetEdit {
    let mut parts = line.splitn(3, ' ');
    let mut next = || parts.next().unwrap_or_default();
    let key = key(next(), next());
    let values = next().split('|').filter(|text| !text.is_empty());
    let values = values.map(|text| match text.strip_prefix('-') {
        Some(text) => RrsetValue { content: text.to_owned(), disabled: true },
        None => RrsetValue { content: text.to_owned(), disabled: false },
    });
    RrsetEdit { key, how, ttl, values: values.collect() }
}

fn exactly(line: &str) -> RrsetEdit {
    edit(RrsetHow::Exactly, line, None)
}

/// Short: `+`, `-`, `~` and `ttl` with what they are about.
fn told(plan: &[Operation]) -> Vec<String> {
    plan.iter()
        .map(|operation| match operation {
            Operation::Add { content, ttl, .. } => format!("+{content} {ttl:?}"),
            Operation::Update { target, content, disabled, .. } => format!(
                "~{} {} {}",
                target.content,
                content.as_deref().unwrap_or("="),
                disabled.is_some_and(|disabled| disabled)
            ),
            Operation::SetTtl { ttl, .. } => format!("ttl {ttl}"),
            Operation::SetPrimary { primary, .. } => format!("primary {primary}"),
            Operation::Delete { target } => format!("-{}", target.content),
        })
        .collect()
}

#[test]
fn what_stays_is_left_alone_and_what_is_replaced_is_edited() {
    let content = zone_with(&["www A 192.0.2.1", "www A 192.0.2.2", "-www A 192.0.2.3", "t TXT \"Hello\""]);
    for (wanted, plan) in [
        ("www A 192.0.2.1|192.0.2.2|-192.0.2.3", vec![]),
        ("www A 192.0.2.1| 192.0.2.2 |192.0.2.3", vec!["~192.0.2.3 = false"]),
        ("www A 192.0.2.1|192.0.2.2|192.0.2.9", vec!["~192.0.2.3 192.0.2.9 false"]),
        ("www A 192.0.2.1|192.0.2.2|-192.0.2.3|192.0.2.9", vec!["+192.0.2.9 None"]),
        ("www A 192.0.2.1", vec!["-192.0.2.2", "-192.0.2.3"]),
        ("www A ", vec!["-192.0.2.1", "-192.0.2.2", "-192.0.2.3"]),
        ("t TXT Hello", vec![]),
        ("new A ", vec![]),
        ("new A 192.0.2.1| 192.0.2.1", vec!["+192.0.2.1 None"]),
        ("new A 192.0.2.1|-192.0.2.1", vec!["+192.0.2.1 None", "+192.0.2.1 None"]),
    ] {
        assert_eq!(told(&content.plan(&exactly(wanted))), plan, "{wanted}");
    }
    let other_ttl = edit(RrsetHow::Exactly, "www A 192.0.2.1|192.0.2.2|-192.0.2.3", Some(60));
    assert_eq!(told(&content.plan(&other_ttl)), ["ttl 60"]);
    let new = edit(RrsetHow::Exactly, "new A 192.0.2.1|192.0.2.2", Some(60));
    assert_eq!(told(&content.plan(&new)), ["+192.0.2.1 Some(60)", "+192.0.2.2 None"]);
}

#[test]
fn single_values_come_and_go() {
    let mut content = zone_with(&["www A 192.0.2.1"]);
    let gone = content.plan(&edit(RrsetHow::Remove, "www A 192.0.2.1", None));
    let come = content.plan(&edit(RrsetHow::Add, "www A 192.0.2.2", None));
    let outcome = content.apply(&[gone, come].concat(), &LIVE).expect("can be");
    assert_eq!(outcome.changes[0].after.as_ref().map(|rrset| rrset.ttl), Some(300), "it keeps its TTL");
    let absent = content.plan(&edit(RrsetHow::Remove, "www A 192.0.2.1", None));
    assert_eq!(content.apply(&absent, &LIVE).expect_err("not there")[&0], OperationError::NotFound);
    let there = content.plan(&edit(RrsetHow::Add, "www A 192.0.2.2", None));
    assert!(matches!(content.apply(&there, &LIVE).expect_err("there")[&0], OperationError::Conflict { .. }));
}

#[test]
fn an_soa_is_edited_and_never_pruned() {
    let mut content = zone_with(&["www A 192.0.2.1", "@ TXT \"a\""]);
    let timers = "ns1.platform.test. hostmaster.example.com. 1 7200 3600 604800 3600";
    let plan = content.plan(&exactly(&format!("@ SOA {timers}")));
    let outcome = content.apply(&plan, &LIVE).expect("timers may be edited");
    assert!(outcome.changes[0].after.as_ref().is_some_and(|rrset| rrset.records[0].content.contains(" 7 7200 ")));
    assert!(content.apply(&content.clone().plan(&exactly("@ SOA ")), &LIVE).is_err(), "it never goes");
    let kept = [key("@", "TXT")].into();
    assert_eq!(told(&content.plan_prune(&kept, false)), ["-192.0.2.1"]);
}

proptest! {
    #[test]
    fn an_rrset_becomes_exactly_what_it_is_to_be(
        mut content in any_zone(),
        (name, (record_type, first)) in (any_name(), any_record()),
        more in prop::collection::vec((any_record(), any::<bool>()), 0..4),
        ttl in prop::option::of(prop::sample::select(vec![30_u32, 300, 600])),
    ) {
        let more = more.into_iter().filter(|((other, _), _)| *other == record_type);
        let values: Vec<RrsetValue> = std::iter::once((first, false))
            .chain(more.map(|((_, content), disabled)| (content, disabled)))
            .map(|(content, disabled)| RrsetValue { content, disabled })
            .collect();
        let key = RrsetKey { name, record_type };
        let wanted = RrsetEdit { key: key.clone(), how: RrsetHow::Exactly, ttl, values: values.clone() };
        let before = content.get(&key).cloned();
        let plan = content.plan(&wanted);
        if let Ok(outcome) = content.apply(&plan, &LIVE) {
            let rrset = content.get(&key).expect("it has values");
            let mut asked: Vec<(String, bool)> = values
                .iter()
                .map(|value| {
                    let canonical = crate::dns::canonical(&key.record_type, &value.content, &zone());
                    (canonical.expect("it was accepted").0, value.disabled)
                })
                .collect();
            asked.sort();
            asked.dedup();
            let stands: Vec<(String, bool)> =
                rrset.records.iter().map(|record| (record.content.clone(), record.disabled)).collect();
            prop_assert_eq!(stands, asked);
            prop_assert_eq!(rrset.ttl, ttl.or(before.as_ref().map(|rrset| rrset.ttl)).unwrap_or(LIVE.default_ttl));
            // what is as it was is not among what was done
            for OperationOutcome { before: was, after: is, .. } in outcome.operations {
                prop_assert_ne!(was, is);
            }
            prop_assert!(content.plan(&wanted).is_empty(), "asked again, there is nothing to do");
        }
    }
}
