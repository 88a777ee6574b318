//! The rules of editing, in sentences; and what must hold for any group of operations.

mod plans;
mod properties;

use super::*;
use crate::dns::rrset::{Record, Rrset, RrsetKey};
use crate::dns::zone_name::ZoneName;

const LIVE: EditContext = EditContext { default_ttl: 3600, signed: false, pending: false, expands_alias: false };
const SOA: &str = "ns1.platform.test. hostmaster.example.com. 7 10800 3600 604800 3600";

fn zone() -> ZoneName {
    ZoneName::parse("example.com").expect("valid")
}

fn owner(name: &str) -> OwnerName {
    if name == "@" { OwnerName::apex(&zone()) } else { OwnerName::from_server(&format!("{name}.{}.", zone())) }
}

fn key(name: &str, record_type: &str) -> RrsetKey {
    RrsetKey { name: owner(name), record_type: RecordType::from_server(record_type) }
}

/// A live zone with the platform's records and these: `name type content`, `-` before the name for a disabled one.
fn zone_with(lines: &[&str]) -> ZoneContent {
    let mut content = ZoneContent::new(zone());
    let platform = ["@ NS ns1.platform.test.", "@ NS ns2.platform.test."];
    let soa = format!("@ SOA {SOA}");
    for line in platform.iter().copied().chain([soa.as_str()]).chain(lines.iter().copied()) {
        let (disabled, line) = line.strip_prefix('-').map_or((false, line), |line| (true, line));
        let [name, record_type, text] = split(line);
        let key = key(name, record_type);
        let mut rrset = content.get(&key).cloned().unwrap_or(Rrset { ttl: 300, records: Vec::new() });
        rrset.records.push(Record { content: text.to_owned(), disabled });
        content.insert(key, rrset);
    }
    content
}

fn split(line: &str) -> [&str; 3] {
    let mut parts = line.splitn(3, ' ');
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

fn add(line: &str) -> Operation {
    let (disabled, line) = line.strip_prefix('-').map_or((false, line), |line| (true, line));
    let [name, record_type, text] = split(line);
    let record_type = RecordType::from_server(record_type);
    Operation::Add { name: owner(name), record_type, content: text.to_owned(), ttl: None, disabled }
}

fn reference(line: &str) -> RecordRef {
    let [name, record_type, text] = split(line);
    RecordRef { key: key(name, record_type), content: text.to_owned() }
}

fn delete(line: &str) -> Operation {
    Operation::Delete { target: reference(line) }
}

fn update(line: &str, content: Option<&str>, ttl: Option<u32>, disabled: Option<bool>) -> Operation {
    Operation::Update { target: reference(line), content: content.map(str::to_owned), ttl, disabled }
}

/// `ok`, or `<position> <kind> <field>` of what the group meets, followed by the conflicting contents.
fn verdict(zone: &[&str], operations: &[Operation], context: EditContext) -> String {
    let mut content = zone_with(zone);
    let before = content.clone();
    match content.apply(operations, &context) {
        Ok(outcome) => {
            assert_eq!(outcome.operations.len(), operations.len());
            content.undo(&outcome.changes);
            assert_eq!(content, before);
            "ok".to_owned()
        }
        Err(refused) => {
            assert_eq!(content, before, "a refused group leaves nothing behind");
            let verdicts = refused.into_iter().map(|(index, error)| match error {
                OperationError::Invalid(error) => format!("{index} invalid {}", error.field),
                OperationError::NotFound => format!("{index} not found"),
                OperationError::Conflict { message, field, conflicts } => {
                    assert_eq!(message, CONFLICT_MESSAGE);
                    assert!(!conflicts.is_empty() && conflicts.len() <= 100);
                    let conflicts: Vec<&str> = conflicts.iter().map(|conflict| conflict.content.as_str()).collect();
                    format!("{index} conflict {field}: {}", conflicts.join(", "))
                }
            });
            verdicts.collect::<Vec<_>>().join("; ")
        }
    }
}

#[track_caller]
fn assert_verdict(zone: &[&str], operations: &[Operation], wanted: &str) {
    assert_eq!(verdict(zone, operations, LIVE), wanted);
}

fn warnings(zone: &[&str], operations: &[Operation]) -> Vec<String> {
    let outcome = zone_with(zone).apply(operations, &LIVE).expect("accepted");
    outcome.operations.into_iter().flat_map(|outcome| outcome.warnings).map(|warning| warning.message).collect()
}

#[test]
fn a_cname_is_alone_at_its_name_in_both_directions() {
    assert_verdict(&["www A 192.0.2.1"], &[add("www CNAME a.test.")], "0 conflict content: 192.0.2.1");
    assert_verdict(&["www CNAME a.test."], &[add("www A 192.0.2.1")], "0 conflict content: a.test.");
    assert_verdict(&["www CNAME a.test."], &[add("www CNAME b.test.")], "0 conflict content: a.test.");
    assert_verdict(&[], &[add("www A 192.0.2.1"), add("www CNAME a.test.")], "1 conflict content: 192.0.2.1");
    assert_verdict(&[], &[add("www CNAME a.test."), add("www A 192.0.2.1")], "1 conflict content: a.test.");
    assert_verdict(&["www RRSIG x", "www NSEC y"], &[add("www CNAME a.test.")], "ok");
    assert_verdict(&[], &[add("@ CNAME a.test.")], "0 invalid name");
}

#[test]
fn the_order_inside_a_group_does_not_matter() {
    let zone = ["www A 192.0.2.1"];
    assert_verdict(&zone, &[delete("www A 192.0.2.1"), add("www CNAME a.test.")], "ok");
    assert_verdict(&zone, &[add("www CNAME a.test."), delete("www A 192.0.2.1")], "ok");
}

#[test]
fn every_operation_that_cannot_be_is_told_and_no_other() {
    let group = [
        add("a A 192.0.2.1"),
        add("b A bogus"),
        add("taken CNAME x.test."),
        add("a A 192.0.2.1"),
        add("www CNAME x.test."),
        add("www TXT late"),
        add("c MX 10 a.example.com."),
        delete("nothing A 192.0.2.9"),
        add("a CNAME x.test."),
    ];
    assert_verdict(
        &["taken A 192.0.2.7"],
        &group,
        "1 invalid content; 2 conflict content: 192.0.2.7; 3 conflict content: 192.0.2.1; \
         5 conflict content: x.test.; 7 not found; 8 conflict content: 192.0.2.1",
    );
    let mut content = zone_with(&["taken A 192.0.2.7"]);
    let outcome = content.apply_each(&group, &LIVE);
    let left_in: Vec<usize> = (0..group.len()).filter(|index| outcome.operations[*index].is_ok()).collect();
    assert_eq!(left_in, [0, 4, 6]);
    assert_eq!(outcome.changes.len(), 3);
}

#[test]
fn what_needs_a_later_one_is_not_refused_for_what_a_third_does_wrong() {
    let glue = [add("ns1.sub A 192.0.2.1"), add("sub NS ns1.sub.example.com."), add("sub NS ns2.sub.example.com.")];
    let zone = ["sub NS ns.test.", "taken A 192.0.2.7"];
    assert_verdict(&zone, &glue, "ok");
    let group: Vec<Operation> = [add("taken CNAME x.test.")].into_iter().chain(glue).collect();
    assert_verdict(&zone, &group, "0 conflict content: 192.0.2.7");
}

#[test]
fn the_first_of_two_that_exclude_each_other_stays() {
    for (first, second) in [
        ("www A 192.0.2.1", "www CNAME a.test."),
        ("www CNAME a.test.", "www A 192.0.2.1"),
        ("mail MX 10 host.example.com.", "host CNAME a.test."),
        ("host CNAME a.test.", "mail MX 10 host.example.com."),
        ("one CNAME two.example.com.", "two CNAME one.example.com."),
        ("sub NS ns.test.", "www.sub TXT hidden"),
        ("www.sub TXT hidden", "sub NS ns.test."),
    ] {
        let outcome = zone_with(&[]).apply_each(&[add(first), add(second)], &LIVE);
        let done: Vec<bool> = outcome.operations.iter().map(Result::is_ok).collect();
        assert_eq!(done, [true, false], "{first}, {second}");
    }
}

#[test]
fn a_disabled_side_counts_while_the_other_is_served() {
    assert_verdict(&["-www A 192.0.2.1"], &[add("-www CNAME a.test.")], "ok");
    assert_verdict(&["-www A 192.0.2.1"], &[add("www CNAME a.test.")], "0 conflict content: 192.0.2.1");
    assert_verdict(&["www A 192.0.2.1"], &[add("-www CNAME a.test.")], "0 conflict content: 192.0.2.1");
    let both = ["-www A 192.0.2.1", "-www CNAME a.test."];
    let enable = update("www CNAME a.test.", None, None, Some(false));
    assert_verdict(&both, std::slice::from_ref(&enable), "0 conflict content: 192.0.2.1");
    assert_verdict(&both, &[enable, delete("www A 192.0.2.1")], "ok");
}

#[test]
fn content_that_differs_only_in_form_is_a_duplicate() {
    let zone = ["www AAAA 2001:db8::1", "-@ MX 10 mail.test."];
    assert_verdict(&zone, &[add("www AAAA 2001:DB8:0::1")], "0 conflict content: 2001:db8::1");
    assert_verdict(&zone, &[add("@ MX 10 MAIL.test")], "0 conflict content: 10 mail.test.");
    assert_verdict(&[], &[add("a A 192.0.2.1"), add("a A 192.0.2.1")], "1 conflict content: 192.0.2.1");
    let two = ["a A 192.0.2.1", "a A 192.0.2.2"];
    let clash = update("a A 192.0.2.1", Some("192.0.2.2"), None, None);
    assert_verdict(&two, &[clash], "0 conflict content: 192.0.2.2");
}

#[test]
fn an_update_to_the_same_content_changes_nothing() {
    let mut content = zone_with(&["@ MX 10 mail.test.", "@ MX 10 192.0.2.1."]);
    let same = update("@ MX 10 mail.test.", Some("010  MAIL.test"), None, None);
    let unparsable = update("@ MX 10 192.0.2.1.", Some(" 10 192.0.2.1. "), None, None);
    let outcome = content.apply(&[same, unparsable], &LIVE).expect("accepted");
    assert_eq!(outcome.changes, []);
    assert_eq!(outcome.operations[0].before, outcome.operations[0].after);
}

#[test]
fn what_stood_there_before_is_not_blamed() {
    let zone = ["@ MX 10 alias.example.com.", "alias CNAME a.test.", "lone SRV 0 0 443 alias.example.com."];
    assert_verdict(&zone, &[update("@ MX 10 alias.example.com.", None, Some(600), None)], "ok");
    assert_verdict(&zone, &[update("alias CNAME a.test.", Some("b.test."), None, None)], "ok");
    assert_verdict(&zone, &[delete("lone SRV 0 0 443 alias.example.com.")], "ok");
}

#[test]
fn a_target_must_not_be_a_cname_of_the_zone() {
    let zone = ["alias CNAME a.test."];
    for line in ["@ MX 10 alias", "sub NS alias", "_sip._tcp SRV 0 0 1 alias"] {
        assert_verdict(&zone, &[add(&format!("{line}.example.com."))], "0 invalid content");
        let disabled = add(&format!("-{line}.example.com."));
        assert_verdict(&zone, &[disabled], "ok");
    }
    assert_verdict(
        &["@ MX 10 mail.example.com.", "-@ MX 20 mail.example.com."],
        &[add("mail CNAME a.test.")],
        "0 conflict name: 10 mail.example.com.",
    );
    let both = [add("mail CNAME a.test."), add("@ MX 10 mail.example.com.")];
    assert_verdict(&[], &both, "1 invalid content");
}

#[test]
fn a_cname_never_comes_back_to_itself() {
    assert_verdict(&[], &[add("a CNAME a.example.com.")], "0 invalid content");
    assert_verdict(&["a CNAME b.example.com."], &[add("b CNAME a.example.com.")], "0 invalid content");
    assert_verdict(&[], &[add("a CNAME b.example.com."), add("b CNAME a.example.com.")], "1 invalid content");
    assert_verdict(&[], &[add("* CNAME nothing.example.com.")], "0 invalid content");
    assert_verdict(&["x A 192.0.2.1"], &[add("* CNAME x.example.com.")], "ok");
    let chain: Vec<Operation> = (0..40).map(|n| add(&format!("c{n} CNAME c{}.example.com.", n + 1))).collect();
    assert!(verdict(&[], &chain, LIVE).ends_with("invalid content"));
    assert_verdict(&[], &chain[..20], "ok");
}

#[test]
fn a_null_mx_stands_alone() {
    assert_verdict(&["@ MX 10 mail.test."], &[add("@ MX 0 .")], "0 conflict content: 10 mail.test.");
    assert_verdict(&["@ MX 0 ."], &[add("@ MX 10 mail.test.")], "0 conflict content: 0 .");
    assert_verdict(&["@ MX 0 ."], &[add("@ MX 10 mail.test."), delete("@ MX 0 .")], "ok");
}

#[test]
fn there_is_one_soa_and_its_serial_is_the_platforms() {
    assert_verdict(&[], &[add(&format!("@ SOA {SOA}"))], &format!("0 conflict type: {SOA}"));
    assert_verdict(&[], &[add(&format!("www SOA {SOA}"))], "0 invalid name");
    assert_verdict(&[], &[delete(&format!("@ SOA {SOA}"))], "0 invalid type");
    assert_verdict(&[], &[update("@ SOA x", None, None, Some(true))], "0 invalid disabled");
    let other_server = SOA.replace("ns1.", "ns9.");
    assert_verdict(&[], &[update("@ SOA x", Some(&other_server), None, None)], "0 invalid content");

    let mut content = zone_with(&[]);
    let wanted = "ns1.platform.test. me.example.com. 7 7200 900 604800 300";
    let edited = wanted.replace(" 7 ", " 99 ");
    let outcome = content.apply(&[update("@ SOA old", Some(&edited), None, None)], &LIVE).expect("accepted");
    assert!(content.get(&key("@", "SOA")).is_some_and(|rrset| rrset.find(wanted).is_some()));
    assert_eq!(outcome.operations[0].warnings.len(), 1);
}

#[test]
fn a_pending_zone_has_no_platform_records_yet() {
    let pending = EditContext { pending: true, ..LIVE };
    let mut content = ZoneContent::new(zone());
    let soa = content.apply(&[add(&format!("@ SOA {SOA}"))], &pending).expect_err("made by the platform");
    assert!(matches!(&soa[&0], OperationError::Invalid(error) if error.field == "type"));
    content.apply(&[add("@ NS ns.other.test.")], &pending).expect("accepted");
    content.apply(&[delete("@ NS ns.other.test.")], &pending).expect("accepted");
}

#[test]
fn the_apex_keeps_a_name_server() {
    let (one, two) = ("@ NS ns1.platform.test.", "@ NS ns2.platform.test.");
    assert_verdict(&[], &[delete(one)], "ok");
    assert_verdict(&[], &[delete(one), delete(two)], "1 invalid type");
    assert_verdict(&[], &[delete(one), update(two, None, None, Some(true))], "1 invalid type");
    assert_verdict(&[], &[delete(one), delete(two), add("@ NS ns.other.test.")], "ok");
}

#[test]
fn below_a_delegation_only_glue_stands() {
    let zone = ["sub NS ns.sub.example.com.", "other NS ns.x.sub.example.com."];
    assert_verdict(&zone, &[add("ns.sub A 192.0.2.1"), add("ns.sub AAAA 2001:db8::1")], "ok");
    assert_verdict(&zone, &[add("ns.x.sub A 192.0.2.1")], "ok");
    for line in ["www.sub A 192.0.2.1", "ns.sub TXT x", "sub TXT x", "sub A 192.0.2.1", "a.b.sub NS ns.test."] {
        assert_verdict(&zone, &[add(line)], "0 invalid name");
    }
    assert_verdict(&zone, &[add("-www.sub A 192.0.2.1")], "ok");
    assert_verdict(
        &["-www.sub A 192.0.2.1", zone[0]],
        &[update("www.sub A 192.0.2.1", None, None, Some(false))],
        "0 invalid name",
    );
    assert_verdict(&[], &[add("sub NS sub.example.com."), add("sub A 192.0.2.1")], "ok");
}

#[test]
fn a_new_delegation_names_what_it_would_hide() {
    let zone = ["www.sub A 192.0.2.1", "sub TXT \"x\"", "-off.sub A 192.0.2.2", "ns.sub A 192.0.2.3"];
    assert_verdict(&zone, &[add("sub NS ns.sub.example.com.")], "0 conflict name: \"x\", 192.0.2.1");
    let group = [add("sub NS ns.sub.example.com."), delete("www.sub A 192.0.2.1"), delete("sub TXT \"x\"")];
    assert_verdict(&zone, &group, "ok");
    assert_verdict(&[], &[add("sub NS ns.test."), add("a.sub A 192.0.2.1")], "1 invalid name");
    assert_verdict(&[], &[add("a.sub A 192.0.2.1"), add("sub NS ns.test.")], "1 conflict name: 192.0.2.1");
}

#[test]
fn nothing_stands_below_a_dname() {
    let zone = ["tree DNAME other.test."];
    assert_verdict(&zone, &[add("leaf.tree A 192.0.2.1")], "0 conflict name: other.test.");
    assert_verdict(&zone, &[add("tree A 192.0.2.1")], "ok");
    assert_verdict(&zone, &[add("tree CNAME a.test.")], "0 conflict content: other.test.");
    assert_verdict(
        &["sub NS ns.test.", "sub DS 1 13 2 00"],
        &[delete("sub NS ns.test.")],
        "0 conflict type: 1 13 2 00",
    );
}

#[test]
fn names_types_and_ttls_are_checked_one_by_one() {
    assert_verdict(&[], &[add("_scaidns TXT x")], "0 invalid name");
    assert_verdict(&["_scaidns TXT \"x\""], &[delete("_scaidns TXT \"x\"")], "0 not found");
    assert_verdict(&[], &[delete("www A 192.0.2.1")], "0 not found");
    assert_verdict(&["www A 192.0.2.1"], &[delete("www A 192.0.2.1"), delete("www A 192.0.2.1")], "1 not found");
    assert_verdict(&[], &[add("www LUA x")], "0 invalid type");
    assert_verdict(&["www LUA x"], &[delete("www LUA x")], "ok");
    assert_verdict(&["@ DNSKEY x"], &[delete("@ DNSKEY x")], "0 invalid type");
    assert_verdict(&[], &[add("www SRV 0 0 1 a.test.")], "0 invalid name");
    assert_verdict(&[], &[add("_tcp SRV 0 0 1 a.test.")], "0 invalid name");
    assert_verdict(&[], &[add("_ipp._tcp SRV 0 0 1 a.test."), add("printer._ipp._tcp.office SRV 0 0 1 a.test.")], "ok");
    assert_verdict(&["a A 192.0.2.1"], &[update("a A 192.0.2.1", None, Some(TTL_MAX + 1), None)], "0 invalid ttl");
    assert_verdict(&[], &[add("* NS ns.test.")], "ok");
    assert_eq!(verdict(&[], &[add("* NS ns.test.")], EditContext { signed: true, ..LIVE }), "0 invalid name");
    let outside = OwnerName::from_server("www.example.org.");
    let (record_type, content) = (RecordType::A, "192.0.2.1".to_owned());
    let outside = Operation::Add { name: outside, record_type, content, ttl: None, disabled: false };
    assert_verdict(&[], &[outside], "0 invalid name");
}

#[test]
fn the_ttl_is_the_rrsets() {
    let mut content = zone_with(&["a A 192.0.2.1"]);
    let name = owner("a");
    let with_ttl = |content: &str, ttl| {
        let (name, content) = (name.clone(), content.to_owned());
        Operation::Add { name, record_type: RecordType::A, content, ttl, disabled: false }
    };
    let outcome = content.apply(&[with_ttl("192.0.2.2", None), with_ttl("192.0.2.3", Some(600))], &LIVE).expect("ok");
    assert_eq!(outcome.operations[0].after.as_ref().map(|state| state.ttl), Some(300));
    assert_eq!(outcome.operations[1].after.as_ref().map(|state| state.ttl), Some(600));
    assert_eq!(outcome.operations[1].warnings[0].field, "ttl");
    assert_eq!(content.get(&key("a", "A")).map(|rrset| (rrset.ttl, rrset.records.len())), Some((600, 3)));

    let outcome = content.apply(&[update("a A 192.0.2.1", None, Some(30), None)], &LIVE).expect("ok");
    assert_eq!(outcome.operations[0].warnings.len(), 2);
    let new = add("b A 192.0.2.1");
    let outcome = content.apply(&[new], &LIVE).expect("ok");
    assert_eq!(outcome.operations[0].after.as_ref().map(|state| state.ttl), Some(LIVE.default_ttl));
}

#[test]
fn an_rrset_fits_into_a_message_with_its_signature() {
    let addresses: Vec<Operation> = (0..4_096).map(|n| add(&format!("a A 10.0.{}.{}", n / 256, n % 256))).collect();
    let mut content = zone_with(&[]);
    content.apply(&addresses[..4_058], &LIVE).expect("just fits");
    let refused = content.apply(&addresses[4_058..4_059], &LIVE).expect_err("one too many");
    assert!(matches!(&refused[&0], OperationError::Invalid(error) if error.field == "content"));
    let text = format!("t TXT {}", "a".repeat(63_000));
    assert_verdict(&[], &[add(&text)], "ok");
    assert_verdict(&[], &[add(&text), add(&format!("{text}b"))], "1 invalid content");
}

#[test]
fn oddities_of_the_zone_are_told_about_what_was_touched() {
    for (zone, line, count) in [
        (&["mail A 192.0.2.1"][..], "@ MX 10 mail.example.com.", 0),
        (&["-mail A 192.0.2.1"], "@ MX 10 mail.example.com.", 1),
        (&[], "@ MX 10 mail.test.", 0),
        (&["* A 192.0.2.1"], "@ MX 10 mail.example.com.", 0),
        (&[], "sub NS ns.test.", 1),
        (&["sub NS ns1.test."], "sub NS ns2.test.", 0),
        (&["sub NS ns1.test."], "sub NS ns.sub.example.com.", 1),
        (&["sub NS ns1.test."], "@ NS ns.nowhere.example.com.", 1),
        (&["www A 192.0.2.1"], "a CNAME www.example.com.", 0),
        (&[], "a CNAME www.example.com.", 1),
        (&["www CNAME w.test."], "a CNAME www.example.com.", 1),
        (&["@ TXT \"v=spf1 -all\""], "@ TXT v=spf1 mx -all", 1),
        (&[], "_dmarc TXT v=DMARC1; p=nothing", 1),
        (&[], "s._domainkey TXT v=DKIM1; k=rsa", 1),
        (&[], "_services PTR printer.example.com.", 1),
        (&["printer A 192.0.2.1"], "_services PTR printer.example.com.", 0),
        (&[], "a A 127.0.0.1", 1),
    ] {
        let warnings = warnings(zone, &[add(line)]);
        assert_eq!(warnings.len(), count, "{line}: {warnings:?}");
    }
    let later = [add("@ MX 10 mail.example.com."), add("mail A 192.0.2.1")];
    assert_eq!(warnings(&[], &later), Vec::<String>::new());
    assert_eq!(warnings(&["@ MX 10 nowhere.example.com."], &[add("a A 192.0.2.1")]), Vec::<String>::new());
    assert_eq!(warnings(&[], &[delete("@ NS ns1.platform.test.")]).len(), 1);
}

#[test]
fn the_net_effect_names_each_rrset_once() {
    let mut content = zone_with(&["a A 192.0.2.1"]);
    let group = [
        add("b A 192.0.2.1"),
        add("a A 192.0.2.2"),
        delete("b A 192.0.2.1"),
        add("c A 192.0.2.1"),
        update("c A 192.0.2.1", Some("192.0.2.9"), None, None),
    ];
    let outcome = content.apply(&group, &LIVE).expect("accepted");
    let changed: Vec<String> = outcome.changes.iter().map(|change| change.key.name.to_string()).collect();
    assert_eq!(changed, ["a.example.com", "c.example.com"]);
    assert!(outcome.changes.iter().all(|change| change.before != change.after));
    assert_eq!(outcome.operations[4].before.as_ref().map(|state| state.reference.content.as_str()), Some("192.0.2.1"));
}

#[test]
fn an_alias_is_taken_only_from_a_server_that_expands_it() {
    let expanding = EditContext { expands_alias: true, ..LIVE };
    assert_verdict(&[], &[add("@ ALIAS www.example.net.")], "0 invalid type");
    assert_eq!(verdict(&[], &[add("@ ALIAS www.example.net.")], expanding), "ok");
    assert_eq!(verdict(&[], &[add("a ALIAS a.example.com.")], expanding), "0 invalid content");
    assert_verdict(&["@ ALIAS www.example.net."], &[delete("@ ALIAS www.example.net.")], "ok");
}

#[test]
fn a_ds_stands_beside_the_ns_of_a_delegation() {
    let digest = "A".repeat(64);
    let ds = format!("sub DS 1 13 2 {digest}");
    assert_verdict(&[], &[add(&ds)], "0 invalid name");
    assert_verdict(&[], &[add(&format!("-{ds}"))], "ok");
    assert_verdict(&[], &[add(&ds), add("sub NS ns.test.")], "ok");
    assert_verdict(&[], &[add("sub NS ns.test."), add(&format!("@ DS 1 13 2 {digest}"))], "1 invalid name");
}

#[test]
fn a_dname_stands_above_nothing_and_leads_out_of_itself() {
    assert_verdict(&[], &[add("a DNAME b.a.example.com.")], "0 invalid content");
    assert_verdict(&[], &[add("a DNAME a.example.com.")], "0 invalid content");
    assert_verdict(&[], &[add("a DNAME ba.example.com.")], "ok");
    assert_verdict(&[], &[add("a DNAME c.test."), add("b.a TXT x")], "1 conflict name: c.test.");
    assert_verdict(&[], &[add("b.a TXT x"), add("a DNAME c.test.")], "1 conflict name: \"x\"");
    assert_verdict(&[], &[add("a DNAME c.test."), add("a DNAME d.test.")], "1 conflict content: c.test.");
}

#[test]
fn what_the_platform_signs_nobody_else_writes() {
    let signed = EditContext { signed: true, ..LIVE };
    for line in ["@ CDS 0 0 0 00", "@ CDNSKEY 0 3 0 AA=="] {
        assert_verdict(&[], &[add(line)], "ok");
        assert_eq!(verdict(&[], &[add(line)], signed), "0 invalid type");
    }
}

#[test]
fn a_tlsa_that_nobody_looks_at_is_warned_of() {
    let data = "a".repeat(64);
    let warned = |name: &str, signed: bool| {
        let context = EditContext { signed, ..LIVE };
        let line = format!("{name} TLSA 3 1 1 {data}");
        let outcome = zone_with(&[]).apply(&[add(&line)], &context).expect("accepted");
        outcome.operations[0].warnings.iter().map(|warning| warning.field.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(warned("_443._tcp.www", true), "");
    assert_eq!(warned("*._tcp.www", true), "");
    assert_eq!(warned("_443._tcp.www", false), "content");
    assert_eq!(warned("www", true), "name");
}
