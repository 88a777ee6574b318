//! Proofs looked up from real servers on loopback.

use std::time::{Duration, Instant};

use futures::future::join_all;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::budget::{Budget, PACKETS_MAX, PROOF_TIME_MAX};
use super::testing::{Host, Manner, Net};
use super::{ProofOutcome, proof};

const EXPECTED: &str = "scaidns-verify=0123456789abcdef";
const PROOF: &str = "_scaidns-verify.y.test. TXT scaidns-verify=0123456789abcdef";

/// What the world knows of `y.test`, with servers at hosts 1 and 2.
const WORLD: &[&str] = &[
    "test. SOA a.nic.test.",
    "y.test. SOA ns1.y.test.",
    "y.test. NS ns1.y.test.",
    "y.test. NS ns2.y.test.",
    "ns1.y.test. A 127.0.0.2",
    "ns2.y.test. A 127.0.0.3",
];

fn world() -> Host {
    Host::recursive(WORLD)
}

fn world_and(more: &[&str]) -> Host {
    Host::recursive(&[WORLD, more].concat())
}

fn zone(records: &[&str]) -> Host {
    Host::authoritative(&[&["y.test. SOA ns1.y.test."], records].concat())
}

async fn look(net: &Net) -> ProofOutcome {
    net.resolve().txt_proof("y.test", EXPECTED).await
}

/// The outcome where both servers of `y.test` hold these records.
async fn both_hold(records: &[&str]) -> ProofOutcome {
    look(&Net::start(&[world(), zone(records), zone(records)]).await).await
}

/// The outcome where one server shows the proof, and the other would deny it but for its manner.
async fn one_is(manner: Manner) -> ProofOutcome {
    look(&Net::start(&[world(), zone(&[]).with(manner), zone(&[PROOF])]).await).await
}

fn disagree(names: &[&str]) -> ProofOutcome {
    ProofOutcome::Disagree(names.iter().map(|name| (*name).to_owned()).collect())
}

#[tokio::test]
async fn a_record_at_every_server_proves_the_claim() {
    assert_eq!(both_hold(&[PROOF]).await, ProofOutcome::Proven);
}

#[tokio::test]
async fn no_record_at_an_existing_domain_is_no_record() {
    assert_eq!(both_hold(&["y.test. TXT scaidns-verify=0123456789abcdef"]).await, ProofOutcome::NoRecord);
    assert_eq!(both_hold(&["_scaidns-verify.y.test. A 127.0.0.1"]).await, ProofOutcome::NoRecord);
}

#[tokio::test]
async fn other_values_are_a_wrong_value() {
    for value in ["scaidns-verify=0123", "SCAIDNS-VERIFY=0123456789ABCDEF", "0123456789abcdef", "\u{20}"] {
        let record = format!("_scaidns-verify.y.test. TXT {value}");
        assert_eq!(both_hold(&[&record]).await, ProofOutcome::WrongValue, "{value}");
    }
}

#[tokio::test]
async fn one_of_several_values_may_match() {
    let others = ["_scaidns-verify.y.test. TXT scaidns-verify=old", PROOF, "_scaidns-verify.y.test. TXT v=spf1"];
    assert_eq!(both_hold(&others).await, ProofOutcome::Proven);
}

#[tokio::test]
async fn the_strings_of_a_record_are_joined() {
    let split = ["_scaidns-verify.y.test. TXT scaidns-|verify=0123456789|abcdef"];
    assert_eq!(both_hold(&split).await, ProofOutcome::Proven);
}

#[tokio::test]
async fn a_name_that_the_registry_does_not_know_does_not_exist() {
    let net = Net::start(&[world(), zone(&[])]).await;
    let outcome = net.resolve().txt_proof("unknown.test", EXPECTED).await;
    assert_eq!(outcome, ProofOutcome::DomainDoesNotExist);
    assert_eq!(net.heard_by(1), 0);
    // Not so where an alias of the domain leads nowhere.
    let net = Net::start(&[Host::recursive(&["test. SOA a.nic.test.", "w.test. CNAME gone.test."])]).await;
    assert_eq!(net.resolve().txt_proof("w.test", EXPECTED).await, ProofOutcome::NoRecord);
}

#[tokio::test]
async fn a_name_below_the_cut_is_asked_of_the_zone_around_it() {
    let record = "_scaidns-verify.a.b.y.test. TXT scaidns-verify=0123456789abcdef";
    let net = Net::start(&[world(), zone(&[record]), zone(&[record])]).await;
    // The resolver still says NXDOMAIN for `a.b.y.test`: the servers themselves know better.
    assert_eq!(net.resolve().txt_proof("a.b.y.test", EXPECTED).await, ProofOutcome::Proven);
    let walked: Vec<String> =
        net.heard().into_iter().filter(|heard| heard.record_type == RecordType::NS).map(|heard| heard.name).collect();
    assert_eq!(walked, ["a.b.y.test.", "y.test."], "the SOA in the answer shortens the walk");
    assert_eq!(net.resolve().txt_proof("c.y.test", EXPECTED).await, ProofOutcome::DomainDoesNotExist);
    // A resolver whose NXDOMAIN names the registry's zone does not hide the delegation in between.
    let without_soa = Host::recursive(&[&WORLD[..1], &WORLD[2..]].concat());
    let net = Net::start(&[without_soa, zone(&[record]), zone(&[record])]).await;
    assert_eq!(net.resolve().txt_proof("a.b.y.test", EXPECTED).await, ProofOutcome::Proven);
    let net = Net::start(&[world_and(&["c.y.test. A 127.0.0.1"]), zone(&[]), zone(&[])]).await;
    assert_eq!(net.resolve().txt_proof("c.y.test", EXPECTED).await, ProofOutcome::NoRecord);
}

#[tokio::test]
async fn servers_that_differ_are_named() {
    let wrong = "_scaidns-verify.y.test. TXT scaidns-verify=old";
    for other in [zone(&[]), zone(&[wrong]), zone(&["_scaidns-verify.y.test. CNAME p.other.test."])] {
        let net = Net::start(&[world(), zone(&[PROOF]), other]).await;
        let outcome = look(&net).await;
        assert_eq!(outcome, disagree(&["ns2.y.test"]));
        assert_eq!(outcome.message("y.test", EXPECTED), "Nameservers disagree: ns2.y.test");
    }
    let net = Net::start(&[world(), zone(&[]), zone(&[wrong])]).await;
    assert_eq!(look(&net).await, ProofOutcome::WrongValue, "they agree that the proof is not there");
}

#[tokio::test]
async fn servers_that_point_to_different_places_are_named() {
    let aliases = ["_scaidns-verify.y.test. CNAME p.other.test.", "_scaidns-verify.y.test. CNAME q.other.test."];
    let net = Net::start(&[world(), zone(&aliases[..1]), zone(&aliases[1..])]).await;
    assert_eq!(look(&net).await, disagree(&["ns1.y.test", "ns2.y.test"]));
}

#[tokio::test]
async fn an_alias_inside_the_zone_is_followed() {
    let records = [
        "_scaidns-verify.y.test. CNAME p.y.test.",
        "p.y.test. CNAME q.y.test.",
        "q.y.test. TXT scaidns-verify=0123456789abcdef",
    ];
    assert_eq!(both_hold(&records).await, ProofOutcome::Proven);
    assert_eq!(both_hold(&records[..2]).await, ProofOutcome::NoRecord);
}

#[tokio::test]
async fn an_alias_into_another_zone_is_asked_of_that_zone() {
    let world = world_and(&["other.test. NS ns.other.test.", "ns.other.test. A 127.0.0.4"]);
    // What `y.test` says of the other zone is not believed.
    let ours = zone(&[
        "_scaidns-verify.y.test. CNAME p.other.test.",
        "other.test. SOA ns1.y.test.",
        "p.other.test. TXT scaidns-verify=0123456789abcdef",
    ]);
    let right = "p.other.test. TXT scaidns-verify=0123456789abcdef";
    let theirs = |record| Host::authoritative(&["other.test. SOA ns.other.test.", record]);
    let net = Net::start(&[world.clone(), ours.clone(), ours.clone(), theirs(right)]).await;
    assert_eq!(look(&net).await, ProofOutcome::Proven);
    let net = Net::start(&[world.clone(), ours.clone(), ours.clone(), theirs("p.other.test. TXT no")]).await;
    assert_eq!(look(&net).await, ProofOutcome::WrongValue);
    let net = Net::start(&[world, ours.clone(), ours, theirs("q.other.test. TXT no")]).await;
    assert_eq!(look(&net).await, ProofOutcome::NoRecord);
}

#[tokio::test]
async fn aliases_in_a_circle_end() {
    let inside = ["_scaidns-verify.y.test. CNAME p.y.test.", "p.y.test. CNAME _scaidns-verify.y.test."];
    assert_eq!(both_hold(&inside).await, ProofOutcome::NoRecord);
    let world = world_and(&["other.test. NS ns.other.test.", "ns.other.test. A 127.0.0.4"]);
    let ours = zone(&["_scaidns-verify.y.test. CNAME p.other.test."]);
    let theirs =
        Host::authoritative(&["other.test. SOA ns.other.test.", "p.other.test. CNAME _scaidns-verify.y.test."]);
    let net = Net::start(&[world, ours.clone(), ours, theirs]).await;
    assert_eq!(look(&net).await, ProofOutcome::NoRecord);
}

#[tokio::test]
async fn a_chain_of_aliases_is_followed_only_so_far() {
    let chain: Vec<String> = (0..30).map(|step| format!("p{step}.y.test. CNAME p{}.y.test.", step + 1)).collect();
    let mut records = vec!["_scaidns-verify.y.test. CNAME p0.y.test."];
    records.extend(chain.iter().map(String::as_str));
    records.push("p30.y.test. TXT scaidns-verify=0123456789abcdef");
    assert_eq!(both_hold(&records).await, ProofOutcome::NoRecord);
}

#[tokio::test]
async fn a_delegated_challenge_name_is_asked_of_its_own_servers() {
    let delegation = "_scaidns-verify.y.test. NS ns.v.test.";
    let ours = zone(&[delegation]);
    let theirs = Host::authoritative(&["_scaidns-verify.y.test. SOA ns.v.test.", PROOF]);
    let world = world_and(&[delegation, "ns.v.test. A 127.0.0.4"]);
    let net = Net::start(&[world, ours.clone(), ours.clone(), theirs.clone()]).await;
    assert_eq!(look(&net).await, ProofOutcome::Proven);
    let net = Net::start(&[world_and(&["ns.v.test. A 127.0.0.4"]), ours.clone(), ours, theirs]).await;
    assert_eq!(look(&net).await, ProofOutcome::Unreachable, "the resolvers do not see it: no circle");
}

#[tokio::test]
async fn a_server_without_a_usable_answer_is_left_out() {
    let manners = [
        Manner::Silent,
        Manner::Stalls,
        Manner::NotAuthoritative,
        Manner::Code(ResponseCode::Refused),
        Manner::Code(ResponseCode::ServFail),
        Manner::Code(ResponseCode::NotImp),
    ];
    for (outcome, manner) in join_all(manners.map(one_is)).await.into_iter().zip(manners) {
        assert_eq!(outcome, ProofOutcome::Proven, "{manner:?}");
    }
}

#[tokio::test]
async fn servers_of_odd_manners_are_still_heard() {
    let manners = [Manner::TcpOnly, Manner::Truncates, Manner::ForgesFirst, Manner::RefusesEdns, Manner::DropsEdns];
    join_all(manners.map(async |manner| {
        let net = Net::start(&[world(), zone(&[]).with(manner), zone(&[PROOF])]).await;
        assert_eq!(look(&net).await, disagree(&["ns1.y.test"]), "{manner:?}");
    }))
    .await;
    join_all(manners.map(async |manner| {
        let net = Net::start(&[world(), zone(&[PROOF]).with(manner), zone(&[PROOF]).with(manner)]).await;
        assert_eq!(look(&net).await, ProofOutcome::Proven, "{manner:?}");
    }))
    .await;
}

#[tokio::test]
async fn forged_values_are_not_taken_for_the_proof() {
    let forger = zone(&[]).with(Manner::ForgesFirst);
    let net = Net::start(&[world().with(Manner::ForgesFirst), forger.clone(), forger]).await;
    assert_eq!(net.resolve().txt_proof("y.test", "forged").await, ProofOutcome::NoRecord);
}

#[tokio::test]
async fn an_answer_too_large_for_udp_is_fetched_over_tcp() {
    let many: Vec<String> =
        (0..100).map(|n| format!("_scaidns-verify.y.test. TXT scaidns-verify=some-other-value-{n}")).collect();
    let mut records: Vec<&str> = many.iter().map(String::as_str).collect();
    records.push(PROOF);
    let net = Net::start(&[world(), zone(&records), zone(&records)]).await;
    assert_eq!(look(&net).await, ProofOutcome::Proven);
    assert_eq!(net.heard().iter().filter(|heard| heard.tcp).count(), 2);
}

#[tokio::test]
async fn servers_that_are_all_dead_are_unreachable_within_the_bound() {
    let begun = Instant::now();
    let dead = zone(&[PROOF]).with(Manner::Silent);
    let net = Net::start(&[world(), dead.clone(), dead]).await;
    assert_eq!(look(&net).await, ProofOutcome::Unreachable);
    // Nobody listens at ns1 and ns2 at all.
    assert_eq!(look(&Net::start(&[world()]).await).await, ProofOutcome::Unreachable);
    assert!(begun.elapsed() < PROOF_TIME_MAX);
}

#[tokio::test]
async fn what_was_heard_before_the_time_ran_out_counts() {
    let world = world_and(&["ns1.y.test. A 127.0.0.4", "ns1.y.test. AAAA ::ffff:127.0.0.2"]);
    let dead = zone(&[]).with(Manner::Silent);
    for (other, expected) in [(zone(&[PROOF]), ProofOutcome::Proven), (dead.clone(), ProofOutcome::Unreachable)] {
        let net = Net::start(&[world.clone(), dead.clone(), other, dead.clone()]).await;
        let begun = Instant::now();
        let budget = Budget::of(PACKETS_MAX, Duration::from_secs(2));
        assert_eq!(proof::look(&net.settings(&[0], true), &budget, "y.test", EXPECTED).await, expected);
        let taken = begun.elapsed();
        assert!(taken >= Duration::from_secs(2), "the dead server would have taken 7 s");
        assert!(taken < Duration::from_millis(2_500), "{taken:?}");
    }
}

#[tokio::test]
async fn a_nameserver_is_asked_at_its_next_address() {
    let world = Host::recursive(&[
        "y.test. NS ns1.y.test.",
        "ns1.y.test. A 127.0.0.2",
        "ns1.y.test. A 127.0.0.3",
        "ns1.y.test. A 127.0.0.4",
        "ns1.y.test. AAAA ::1",
    ]);
    let refuses = zone(&[]).with(Manner::Code(ResponseCode::Refused));
    let net = Net::start(&[world.clone(), refuses.clone(), zone(&[PROOF])]).await;
    assert_eq!(look(&net).await, ProofOutcome::Proven);
    let net = Net::start(&[world, refuses.clone(), refuses, zone(&[PROOF])]).await;
    assert_eq!(look(&net).await, ProofOutcome::Unreachable);
    assert_eq!(net.heard_by(3), 0, "a third address of one family is not asked");
}

#[tokio::test]
async fn no_packet_goes_to_a_private_address_unless_allowed() {
    let wrapped = world_and(&["ns1.y.test. AAAA ::ffff:127.0.0.2", "ns2.y.test. AAAA ::ffff:127.0.0.3"]);
    let net = Net::start(&[wrapped, zone(&[PROOF]), zone(&[PROOF])]).await;
    let outcome = net.resolve_with(&[0], false).txt_proof("y.test", EXPECTED).await;
    assert_eq!(outcome, ProofOutcome::Unreachable);
    assert_eq!((net.heard_by(1), net.heard_by(2)), (0, 0));
    assert_eq!(net.resolve_with(&[0], true).txt_proof("y.test", EXPECTED).await, ProofOutcome::Proven);
}

#[tokio::test]
async fn a_domain_without_servers_of_its_own_is_asked_of_the_resolvers() {
    for (records, expected) in [
        (&["w.test. A 127.0.0.1", "_scaidns-verify.w.test. TXT scaidns-verify=0123456789abcdef"][..], "Proven"),
        (&["_scaidns-verify.w.test. CNAME p.z.test.", "p.z.test. TXT scaidns-verify=0123456789abcdef"], "Proven"),
        (&["_scaidns-verify.w.test. TXT other"], "WrongValue"),
        (&["w.test. A 127.0.0.1"], "NoRecord"),
    ] {
        let net = Net::start(&[Host::recursive(records)]).await;
        let outcome = net.resolve().txt_proof("w.test", EXPECTED).await;
        assert_eq!(format!("{outcome:?}"), expected, "{records:?}");
    }
}

#[tokio::test]
async fn resolvers_are_tried_in_turn() {
    for manner in [Manner::Silent, Manner::Code(ResponseCode::ServFail), Manner::Code(ResponseCode::Refused)] {
        let bad = Host::recursive(&["unused.test. A 127.0.0.1"]).with(manner);
        let hosts = [bad, zone(&[PROOF]), zone(&[PROOF]), world()];
        let net = Net::start(&hosts).await;
        let resolve = net.resolve_with(&[0, 3], true);
        assert_eq!(resolve.txt_proof("y.test", EXPECTED).await, ProofOutcome::Proven, "{manner:?}");
        assert_eq!(net.heard_by(0), 1, "a dead resolver is waited for once");
    }
}

#[tokio::test]
async fn resolvers_that_are_all_dead_are_unreachable() {
    let net = Net::start(&[world().with(Manner::Silent)]).await;
    assert_eq!(look(&net).await, ProofOutcome::Unreachable);
    let net = Net::start(&[world().with(Manner::Code(ResponseCode::ServFail))]).await;
    assert_eq!(look(&net).await, ProofOutcome::Unreachable);
    assert_eq!(net.resolve_with(&[], true).txt_proof("y.test", EXPECTED).await, ProofOutcome::Unreachable);
}

#[tokio::test]
async fn a_thousand_nameservers_do_not_exceed_the_budget() {
    for (manner, expected) in [(Manner::Plain, ProofOutcome::Proven), (Manner::Silent, ProofOutcome::Unreachable)] {
        let mut lines: Vec<String> = Vec::new();
        for n in 0..1_000 {
            lines.push(format!("y.test. NS ns{n}.y.test."));
            lines.push(format!("ns{n}.y.test. A 127.0.0.2"));
            lines.push(format!("ns{n}.y.test. A 127.0.0.3"));
        }
        let server = zone(&[PROOF]).with(manner);
        let net = Net::start(&[Host::recursive(&lines), server.clone(), server]).await;
        let begun = Instant::now();
        assert_eq!(look(&net).await, expected);
        assert!(net.heard().len() <= PACKETS_MAX as usize, "{} packets", net.heard().len());
        assert!(begun.elapsed() < PROOF_TIME_MAX + Duration::from_millis(200));
    }
}

#[tokio::test]
async fn thirteen_servers_are_all_asked_within_the_budget() {
    let mut lines: Vec<String> = vec![];
    for n in 0..13 {
        lines.push(format!("y.test. NS ns{n}.y.test."));
        lines.push(format!("ns{n}.y.test. A 127.0.0.{}", if n == 12 { 3 } else { 2 }));
    }
    let net = Net::start(&[Host::recursive(&lines), zone(&[PROOF]), zone(&[])]).await;
    assert_eq!(look(&net).await, disagree(&["ns12.y.test"]));
}

#[tokio::test]
async fn names_that_cannot_be_have_no_record() {
    let net = Net::start(&[world()]).await;
    let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(55)].join(".");
    for domain in ["", ".", "a..b", &long] {
        assert_eq!(net.resolve().txt_proof(domain, EXPECTED).await, ProofOutcome::NoRecord, "{domain}");
    }
    assert!(net.heard().is_empty());
}

#[test]
fn the_messages_are_the_contract_s() {
    let names = vec!["a.test".to_owned(), "b.test".to_owned()];
    for (outcome, message) in [
        (ProofOutcome::Proven, "Domain validated"),
        (ProofOutcome::NoRecord, "No DNS record found for _scaidns-verify.y.test"),
        (
            ProofOutcome::WrongValue,
            "TXT record found but value doesn't match. Expected: scaidns-verify=0123456789abcdef",
        ),
        (ProofOutcome::DomainDoesNotExist, "Domain y.test does not exist in DNS"),
        (ProofOutcome::Unreachable, "Authoritative nameservers could not be reached"),
        (ProofOutcome::Disagree(names), "Nameservers disagree: a.test, b.test"),
    ] {
        assert_eq!(outcome.message("y.test", EXPECTED), message);
    }
}
