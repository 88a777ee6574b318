//! Every record type: what its corpus accepts goes through the API and comes back over DNS, what it refuses is refused
//! with its field. `dig` shows what is on the wire, an implementation that shares nothing with ours or PowerDNS's.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hickory_proto::rr::RecordType;
use scaidns::dns::{self, catalogue};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::world::NAMESERVERS;
use crate::support::{Api, Domain, Trials, World, trials};

pub fn tests() -> Trials {
    trials![
        what_the_corpus_accepts_is_served_as_it_was_asked_for,
        what_the_corpus_refuses_is_refused_with_its_field,
        an_alias_is_answered_with_the_addresses_of_its_target,
        a_dname_leads_what_lies_below_it_elsewhere,
        places_all_over_the_earth_are_kept,
        a_ds_stands_only_at_a_delegation,
        every_type_is_listed_with_an_example,
    ]
}

/// The zone that the corpus is written for.
const CORPUS_ZONE: &str = "example.com";
/// A zone of the corpus for reverse zones, and the one that stands for it here.
const CORPUS_REVERSE: &str = "2.0.192.in-addr.arpa";
const REVERSE: &str = "77.51.198.in-addr.arpa";

/// A line of the corpus.
struct Line {
    /// `ok`, `form`, `warn` or `no`.
    kind: String,
    content: String,
    /// The canonical form, or part of the message.
    wanted: String,
    zone: String,
}

fn corpus(record_type: &str) -> Vec<Line> {
    let path = format!("{}/src/dns/corpus/{}.txt", env!("CARGO_MANIFEST_DIR"), record_type.to_lowercase());
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut zone = CORPUS_ZONE;
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("@zone ") {
            zone = name;
            continue;
        }
        let mut parts = line.split(" |").map(|part| expand(part.strip_prefix(' ').unwrap_or(part)));
        let (kind, content) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let wanted = parts.next().unwrap_or_else(|| content.clone());
        lines.push(Line { kind, content, wanted, zone: zone.to_owned() });
    }
    lines
}

/// `<repeat N X>` and `<U+XXXX>`, as `src/dns/corpus/README.md` says.
fn expand(text: &str) -> String {
    let Some((before, rest)) = text.split_once("<repeat ").or_else(|| text.split_once("<U+")) else {
        return text.to_owned();
    };
    let (inside, after) = rest.split_once('>').expect("is closed");
    let middle = match inside.split_once(' ') {
        Some((count, unit)) => unit.repeat(count.parse().expect("is a number")),
        None => char::from_u32(u32::from_str_radix(inside, 16).expect("is hexadecimal")).expect("is one").to_string(),
    };
    format!("{before}{middle}{}", expand(after))
}

/// A name of its own for each line, of the form that the type asks for.
fn owner(record_type: &str, index: usize) -> String {
    match record_type {
        "SRV" => format!("_s{index}._tcp"),
        "TLSA" => format!("_{index}._tcp"),
        _ => format!("{}{index}", record_type.to_lowercase()),
    }
}

/// What a content that says `@` becomes in this zone.
fn wanted_in(line: &Line, zone: &str) -> String {
    if line.content.split(' ').any(|word| word == "@") {
        return line.wanted.replace(&line.zone, zone);
    }
    line.wanted.clone()
}

fn types() -> impl Iterator<Item = &'static str> {
    // the SOA is the platform's: `records.rs` edits it; an ALIAS is not on the wire
    catalogue().into_iter().map(|info| info.record_type).filter(|name| *name != "SOA")
}

async fn reverse(world: &World, api: &Api) -> Domain {
    let body = json!({"name": REVERSE, "domain_type": "reverse_ipv4"});
    let domain = Domain::new(api.post("/domains/", body).await.ok());
    world.publish(&domain).await;
    assert_eq!(api.check(&domain).await["is_valid"], true);
    domain
}

/// All in one call. PowerDNS refuses a call as a whole, which says of one record only: then each goes alone.
async fn send_each(api: &Api, domain: &Domain, records: &[Value]) -> Value {
    let path = format!("{}/bulk", domain.records());
    let together = api.post(&path, json!({"records": records, "continue_on_error": true})).await;
    if together.status == 200 {
        return together.ok();
    }
    let (mut created, mut errors) = (Vec::new(), Vec::new());
    for record in records {
        let answer = api.post(&domain.records(), record.clone()).await;
        if answer.status == 200 { created.push(answer.body) } else { errors.push(answer.body) }
    }
    json!({"created": created, "errors": errors})
}

async fn what_the_corpus_accepts_is_served_as_it_was_asked_for() {
    let world = World::shared().await;
    let api = world.admin();
    let reverse = reverse(world, &api).await;
    let mut failures = String::new();
    for record_type in types() {
        let forward = world.live(&api, &format!("type-{}", record_type.to_lowercase())).await;
        for domain in [&forward, &reverse] {
            let is_here = |line: &&Line| (line.zone == CORPUS_REVERSE) == (domain.name == REVERSE);
            let lines = corpus(record_type);
            let lines: Vec<&Line> = lines.iter().filter(is_here).filter(|line| line.kind != "no").collect();
            if !lines.is_empty() {
                failures += &check_accepted(world, &api, domain, record_type, &lines).await;
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// Sends the lines, then compares the answer, another replica's view of PowerDNS, and what `dig` shows.
async fn check_accepted(world: &World, api: &Api, domain: &Domain, record_type: &str, lines: &[&Line]) -> String {
    let mut records = Vec::new();
    let mut wanted = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        let name = owner(record_type, index);
        if record_type == "DS" {
            records.push(json!({"name": name, "type": "NS", "content": "ns.elsewhere.test."}));
        }
        records.push(json!({"name": name, "type": record_type, "content": line.content}));
        wanted.insert(domain.at(&name), wanted_in(line, &domain.name));
    }
    let mut failures = String::new();
    let answer = send_each(api, domain, &records).await;
    for error in answer["errors"].as_array().expect("errors") {
        let _ = writeln!(failures, "{record_type} refused: {error}");
    }
    let elsewhere = api.at(&world.urls[1]);
    let listed = elsewhere.records_where(domain, &format!("type={record_type}")).await;
    for (what, list) in [("answered", answer["created"].as_array().expect("created")), ("listed", &listed)] {
        let found: BTreeMap<String, String> = list
            .iter()
            .filter(|record| record["type"] == record_type)
            .map(|record| (text(&record["name"]), text(&record["content"])))
            .collect();
        compare(&mut failures, record_type, what, &found, &wanted);
    }
    if record_type != "ALIAS" {
        compare(&mut failures, record_type, "served", &dig(world, record_type, wanted.keys()).await, &wanted);
    }
    failures
}

fn compare(
    failures: &mut String,
    record_type: &str,
    what: &str,
    found: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
) {
    for (name, content) in wanted {
        if found.get(name) != Some(content) {
            let _ = writeln!(failures, "{record_type} {what}: {name}\n  {:?}\n  wanted {content:?}", found.get(name));
        }
    }
}

/// The contents that `dig` shows for the names, in our canonical form. A delegation is in the authority section.
async fn dig(world: &World, record_type: &str, names: impl Iterator<Item = &String>) -> BTreeMap<String, String> {
    let mut command = Command::new("dig");
    let address = world.dns_address();
    command.args([format!("@{}", address.ip()), "-p".into(), address.port().to_string()]);
    command.args(["+noall", "+answer", "+authority", "+nosplit", "+tries=3", "+time=5"]);
    for name in names {
        command.args([&format!("{name}."), record_type]);
    }
    let output = command.output().await.expect("dig runs");
    let output = String::from_utf8(output.stdout).expect("dig writes ASCII");
    let record_type = dns::RecordType::from_server(record_type);
    let mut found = BTreeMap::new();
    for line in output.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().take(4).collect();
        let [name, _, _, kind] = words[..] else { continue };
        if kind != record_type.as_str() {
            continue;
        }
        let content = content_of(line);
        found.insert(name.trim_end_matches('.').to_owned(), dns::canonical_from_server(&record_type, content));
    }
    found
}

/// What stands behind owner, TTL, class and type.
fn content_of(line: &str) -> &str {
    let mut rest = line;
    for _ in 0..4 {
        rest = rest.trim_start_matches([' ', '\t']);
        rest = rest.find([' ', '\t']).map_or("", |end| &rest[end..]);
    }
    rest.trim_matches([' ', '\t'])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

async fn what_the_corpus_refuses_is_refused_with_its_field() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "type-refused").await;
    for record_type in types() {
        let lines: Vec<Line> =
            corpus(record_type).into_iter().filter(|line| line.kind == "no" && line.zone == CORPUS_ZONE).collect();
        let records: Vec<Value> = lines
            .iter()
            .enumerate()
            .map(|(index, line)| {
                json!({"name": owner(record_type, index), "type": record_type, "content": line.content})
            })
            .collect();
        let answer = send_each(&api, &domain, &records).await;
        assert_eq!(answer["total_created"], 0, "{record_type}: {answer}");
        let errors = answer["errors"].as_array().expect("errors");
        for (line, error) in lines.iter().zip(errors) {
            assert_eq!(error["detail"]["field"], "content", "{record_type} {}: {error}", line.content);
            assert!(
                text(&error["detail"]["message"]).contains(&line.wanted),
                "{record_type} {}: {error}",
                line.content
            );
        }
        let one = api.post(&domain.records(), records[0].clone()).await.refused(400, "invalid");
        assert_eq!(one["field"], "content");
    }
}

async fn an_alias_is_answered_with_the_addresses_of_its_target() {
    let world = World::shared().await;
    let api = world.admin();
    let target = world.live(&api, "alias-target").await;
    api.add(&target, "www", "A", "192.0.2.80").await;
    world.registrar.register(&target.name, &NAMESERVERS).await.expect("delegated");
    let domain = world.live(&api, "alias").await;
    api.add(&domain, "@", "ALIAS", &format!("www.{}.", target.name)).await;
    world.served(&domain.name, RecordType::A, &["192.0.2.80"]).await;
    api.try_add(&domain, "@", "ALIAS", "other.example.").await.refused(409, "record_conflict");
    let own = format!("self.{}.", domain.name);
    assert_eq!(api.try_add(&domain, "self", "ALIAS", &own).await.refused(400, "invalid")["field"], "content");
}

async fn a_dname_leads_what_lies_below_it_elsewhere() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "dname").await;
    api.add(&domain, "www.new", "A", "192.0.2.8").await;
    let target = format!("new.{}.", domain.name);
    let dname = api.add(&domain, "old", "DNAME", &target).await;
    world.served(&domain.at("www.old"), RecordType::A, &["192.0.2.8"]).await;
    let below = api.try_add(&domain, "a.b.old", "A", "192.0.2.9").await.refused(409, "record_conflict");
    assert_eq!((&below["field"], &below["conflicts"]), (&"name".into(), &json!([dname["id"]])));
    api.add(&domain, "old", "TXT", "beside it").await;
    api.try_add(&domain, "old", "CNAME", "a.example.").await.refused(409, "record_conflict");
    api.try_add(&domain, "old", "DNAME", "second.example.").await.refused(409, "record_conflict");
    api.try_add(&domain, "new", "DNAME", "a.example.").await.refused(409, "record_conflict");
    for target in ["self", "below.self"] {
        let target = format!("{target}.{}.", domain.name);
        let detail = api.try_add(&domain, "self", "DNAME", &target).await.refused(400, "invalid");
        assert_eq!(detail["field"], "content");
    }
}

async fn a_ds_stands_only_at_a_delegation() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "ds").await;
    let ds = "60485 13 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A";
    for name in ["@", "sub"] {
        assert_eq!(api.try_add(&domain, name, "DS", ds).await.refused(400, "invalid")["field"], "name");
    }
    let ns = api.add(&domain, "sub", "NS", "ns.elsewhere.test.").await;
    let made = api.add(&domain, "sub", "DS", ds).await;
    let path = domain.record(ns["id"].as_str().expect("an id"));
    let detail = api.delete(&path).await.refused(409, "record_conflict");
    assert_eq!(detail["conflicts"], json!([made["id"]]));
}

async fn every_type_is_listed_with_an_example() {
    let world = World::shared().await;
    let api = world.admin();
    let listed = api.get("/domains/types").await.ok();
    let names: Vec<&str> = listed.as_array().expect("a list").iter().filter_map(|info| info["type"].as_str()).collect();
    assert_eq!(
        names.join(" "),
        "A AAAA MX CNAME TXT NS SRV PTR SOA CAA SSHFP TLSA DNAME NAPTR DS ALIAS HTTPS SVCB LOC URI OPENPGPKEY SMIMEA \
         CERT HINFO RP CDS CDNSKEY CSYNC"
    );
    let made = world.pending(&api, "type-foreign").await;
    for refused in ["LUA", "SPF", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "OPT", "TSIG", "TYPE65280", "any"] {
        let domain = json!({"name": "x", "type": refused, "content": "x"});
        assert_eq!(api.post(&made.records(), domain).await.refused(400, "invalid")["field"], "type", "{refused}");
    }
}

/// PowerDNS counts in floating point: what comes of it must be what was said, to the thousandth of a second.
async fn places_all_over_the_earth_are_kept() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "places").await;
    let mut wanted = BTreeMap::new();
    let mut records = Vec::new();
    for index in 1_u32..400 {
        // odd steps, so that every part takes many values
        let (lat, lon) = (index * 7_919, index * 104_729);
        let latitude =
            format!("{} {} {}.{:03} {}", lat % 90, lat % 59, lat % 60, lat % 997, ["N", "S"][index as usize % 2]);
        let longitude =
            format!("{} {} {}.{:03} {}", lon % 180, lon % 60, lon % 59, lon % 991, ["E", "W"][index as usize / 2 % 2]);
        let content = format!("{latitude} {longitude} {}.{:02}m 1.00m 10000.00m 10.00m", lon % 8_849, lat % 100);
        wanted.insert(domain.at(&owner("LOC", index as usize)), content.clone());
        records.push(json!({"name": owner("LOC", index as usize), "type": "LOC", "content": content}));
    }
    let answer = send_each(&api, &domain, &records).await;
    for error in answer["errors"].as_array().expect("errors") {
        eprintln!("{}", error["detail"]["message"]);
    }
    assert_eq!(answer["created"].as_array().map(Vec::len), Some(records.len()));
    let mut failures = String::new();
    compare(&mut failures, "LOC", "served", &dig(world, "LOC", wanted.keys()).await, &wanted);
    assert!(failures.is_empty(), "{failures}");
}
