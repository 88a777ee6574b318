//! Whole RRsets: what a domain is to hold, and values that come and go.

use std::collections::BTreeMap;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use scaidns::dev::scaikey::directory;
use serde_json::{Value, json};

use crate::support::{Api, Domain, Trials, World, trials};

pub fn tests() -> Trials {
    trials![
        a_domain_becomes_what_it_is_to_hold_in_one_change,
        what_is_asked_for_again_changes_nothing,
        values_come_and_go_in_one_change,
        only_asking_answers_the_same_and_writes_nothing,
        all_that_cannot_be_is_told_and_nothing_is_written,
        the_permissions_needed_are_those_of_what_really_changes,
        rrsets_of_a_pending_domain_are_kept_for_its_going_live,
        malformed_calls_are_refused,
        a_value_that_is_there_twice_is_one_and_a_removal_may_bring_its_ttl,
        what_lies_outside_a_grant_is_not_told_by_guessing_it,
    ]
}

/// `name type content|content`, `-` before a content for a disabled one, with an optional TTL after a slash: `www/60 A …`.
fn rrset(line: &str) -> Value {
    let mut parts = line.splitn(3, ' ');
    let mut next = || parts.next().unwrap_or_default();
    let (name, record_type) = (next(), next());
    let records: Vec<Value> = next()
        .split('|')
        .filter(|content| !content.is_empty())
        .map(|content| match content.strip_prefix('-') {
            Some(content) => json!({"content": content, "disabled": true}),
            None => json!({ "content": content }),
        })
        .collect();
    match name.split_once('/') {
        Some((name, ttl)) => {
            json!({"name": name, "type": record_type, "ttl": ttl.parse::<u32>().expect("a TTL"), "records": records})
        }
        None => json!({"name": name, "type": record_type, "records": records}),
    }
}

fn body(lines: &[&str], prune: bool) -> Value {
    json!({"rrsets": lines.iter().map(|line| rrset(line)).collect::<Vec<_>>(), "prune": prune})
}

/// `op name type contents`.
fn ops(lines: &[&str]) -> Value {
    let changes = lines.iter().map(|line| {
        let (op, line) = line.split_once(' ').expect("an op");
        let mut change = rrset(line);
        change["op"] = op.into();
        change
    });
    json!({ "changes": changes.collect::<Vec<_>>() })
}

/// `name type content`, to id and creation.
async fn records(api: &Api, domain: &Domain) -> BTreeMap<String, (Value, Value)> {
    let records = api.records(domain).await;
    let line = |r: &Value| {
        let text = |field: &str| r[field].as_str().expect("text").to_owned();
        format!("{} {} {}", text("display_name"), text("type"), text("content"))
    };
    records.iter().map(|r| (line(r), (r["id"].clone(), r["created_at"].clone()))).collect()
}

fn counts(answer: &Value) -> [u64; 3] {
    ["created", "updated", "deleted"].map(|field| answer[field].as_u64().unwrap_or_else(|| panic!("{answer}")))
}

async fn revision(api: &Api, domain: &Domain) -> u64 {
    api.get(&domain.changes()).await.ok()["data"][0]["revision"].as_u64().expect("a revision")
}

async fn a_domain_becomes_what_it_is_to_hold_in_one_change() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "desired").await;
    for line in ["www A 192.0.2.1", "www A 192.0.2.2", "@ MX 10 mail.example.net.", "old TXT gone"] {
        let mut parts = line.splitn(3, ' ');
        let mut next = || parts.next().expect("three");
        api.add(&domain, next(), next(), next()).await;
    }
    let before = records(&api, &domain).await;
    let (revision_before, serial) = (revision(&api, &domain).await, world.serial(&domain.name).await);
    let wanted = ["www/120 A 192.0.2.2|192.0.2.3|-192.0.2.4", "@ MX 10 MAIL.example.net.", "new AAAA 2001:DB8::1"];
    let answer = api.put(&domain.rrsets(), body(&wanted, true)).await.ok();
    assert_eq!((&answer["applied"], counts(&answer)), (&true.into(), [1, 1, 1]));
    assert_eq!(answer.get("warnings"), None, "{answer}");
    let changes: Vec<String> = answer["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|change| format!("{} {}", change["name"], change["type"]).replace('"', ""))
        .collect();
    assert_eq!(changes, [domain.at("new") + " AAAA", domain.at("old") + " TXT", domain.at("www") + " A"]);
    let www = &answer["changes"][2];
    assert_eq!(www["before"]["ttl"], 3600);
    let after = json!({"ttl": 120, "records": [{"content": "192.0.2.2", "disabled": false},
        {"content": "192.0.2.3", "disabled": false}, {"content": "192.0.2.4", "disabled": true}]});
    assert_eq!(www["after"], after);
    assert_eq!((&answer["changes"][0]["before"], &answer["changes"][1]["after"]), (&Value::Null, &Value::Null));

    let stands = records(&api, &domain).await;
    let lines: Vec<&str> = stands.keys().map(String::as_str).collect();
    let wanted_lines =
        ["@ MX 10 mail.example.net.", "new AAAA 2001:db8::1", "www A 192.0.2.2", "www A 192.0.2.3", "www A 192.0.2.4"];
    assert_eq!(lines, wanted_lines);
    for kept in ["@ MX 10 mail.example.net.", "www A 192.0.2.2"] {
        assert_eq!(stands[kept], before[kept], "a record that stays is the same record");
    }
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.2", "192.0.2.3"]).await;
    world.answers_with(&domain.at("old"), RecordType::TXT, ResponseCode::NXDomain).await;
    assert_eq!(api.records_where(&domain, "include_system=true&type=NS").await.len(), 2, "the apex NS stay");

    assert_eq!((revision(&api, &domain).await, world.serial(&domain.name).await), (revision_before + 1, serial + 1));
    let change = api.get(&format!("{}/{}", domain.changes(), answer["change_id"].as_str().expect("an id"))).await.ok();
    assert_eq!((&change["changes"], &change["revision"]), (&answer["changes"], &(revision_before + 1).into()));
    let entries = world.audit(&format!("resource_id={}&action=record.update", domain.id)).await;
    assert_eq!(entries.len(), 1, "one entry for the call");
    assert_eq!(entries[0]["resource_type"], "domain");
}

async fn what_is_asked_for_again_changes_nothing() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "again").await;
    let wanted = body(&["www A 192.0.2.1|192.0.2.2", "alias CNAME target.example.", "@ TXT v=spf1 -all"], true);
    assert_eq!(counts(&api.put(&domain.rrsets(), wanted.clone()).await.ok()), [3, 0, 0]);
    let (before, serial) = (revision(&api, &domain).await, world.serial(&domain.name).await);
    let again = api.put(&domain.rrsets(), wanted).await.ok();
    assert_eq!((counts(&again), &again["change_id"], &again["applied"]), ([0, 0, 0], &Value::Null, &true.into()));
    assert_eq!((revision(&api, &domain).await, world.serial(&domain.name).await), (before, serial));
    // a value in place of another is an edit of that record
    let ids = records(&api, &domain).await;
    api.put(&domain.rrsets(), body(&["alias CNAME other.example."], false)).await.ok();
    assert_eq!(records(&api, &domain).await["alias CNAME other.example."].0, ids["alias CNAME target.example."].0);
    // not named and not pruned: it stays
    assert_eq!(records(&api, &domain).await.len(), 4);
}

async fn values_come_and_go_in_one_change() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "values").await;
    api.put(&domain.rrsets(), body(&["www/600 A 192.0.2.1|192.0.2.2", "a A 192.0.2.7", "b TXT one"], false)).await.ok();
    let before = records(&api, &domain).await;
    let change = ops(&[
        "remove www A 192.0.2.1",
        "remove www A 192.0.2.2",
        "add www A 192.0.2.3",
        "add new TXT two|three",
        "replace a A 192.0.2.8|192.0.2.7",
        "replace b TXT",
    ]);
    let answer = api.patch(&domain.rrsets(), change).await.ok();
    assert_eq!(counts(&answer), [1, 2, 1], "{answer}");
    let stands = records(&api, &domain).await;
    let lines: Vec<&str> = stands.keys().map(String::as_str).collect();
    assert_eq!(lines, ["a A 192.0.2.7", "a A 192.0.2.8", "new TXT \"three\"", "new TXT \"two\"", "www A 192.0.2.3"]);
    assert_eq!(stands["a A 192.0.2.7"], before["a A 192.0.2.7"]);
    assert_eq!(api.records_where(&domain, "name=www").await[0]["ttl"], 600, "the RRset keeps its TTL");
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.3"]).await;
}

async fn only_asking_answers_the_same_and_writes_nothing() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "asked").await;
    api.put(&domain.rrsets(), body(&["www A 192.0.2.1", "b TXT one"], false)).await.ok();
    let (before, revision_before) = (records(&api, &domain).await, revision(&api, &domain).await);
    let wanted = body(&["www A 192.0.2.2", "c A 192.0.2.3"], true);
    let mut asked = api.put(&format!("{}?dry_run=true", domain.rrsets()), wanted.clone()).await.ok();
    assert_eq!((&asked["applied"], &asked["change_id"]), (&false.into(), &Value::Null));
    assert_eq!((records(&api, &domain).await, revision(&api, &domain).await), (before, revision_before));
    let mut done = api.put(&domain.rrsets(), wanted).await.ok();
    for answer in [&mut asked, &mut done] {
        let fields = answer.as_object_mut().expect("an object");
        fields.remove("applied");
        fields.remove("change_id");
    }
    assert_eq!(asked, done);
    let asked = api.patch(&format!("{}?dry_run=true", domain.rrsets()), ops(&["remove c A 192.0.2.3"])).await.ok();
    assert_eq!((&asked["applied"], counts(&asked)), (&false.into(), [0, 0, 1]));
    assert_eq!(records(&api, &domain).await.len(), 2);
}

async fn all_that_cannot_be_is_told_and_nothing_is_written() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "wrong").await;
    api.add(&domain, "www", "A", "192.0.2.1").await;
    let revision_before = revision(&api, &domain).await;
    let wrong = body(
        &[
            "good A 192.0.2.9",
            "x BOGUS 1",
            "a A 192.0.2.1|nonsense",
            "bad..name A 192.0.2.1",
            "www CNAME a.example.",
            "www2 A 192.0.2.1",
            "WWW2 A 192.0.2.2",
        ],
        false,
    );
    let detail = api.put(&domain.rrsets(), wrong).await.refused(400, "several_errors");
    let told: Vec<String> = detail["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| format!("{} {}", error["index"], error["field"]).replace('"', ""))
        .collect();
    assert_eq!(told, ["1 type", "2 content", "3 name", "4 content", "6 name"], "{detail}");
    for lines in [vec!["remove www A 192.0.2.99"], vec!["add www A 192.0.2.1"], vec!["replace @ NS"]] {
        let detail = api.patch(&domain.rrsets(), ops(&lines)).await.refused(400, "several_errors");
        assert_eq!(detail["errors"][0]["index"], 0, "{detail}");
    }
    // apex NS and SOA are edited like others, within their rules
    api.put(&domain.rrsets(), body(&["@ NS ns.example.net.|ns.example.org."], false)).await.ok();
    let detail = api.put(&domain.rrsets(), body(&["@ SOA"], false)).await.refused(400, "several_errors");
    assert_eq!(detail["errors"][0]["field"], "type");
    assert_eq!(records(&api, &domain).await.len(), 1);
    assert_eq!(revision(&api, &domain).await, revision_before + 1);
}

async fn the_permissions_needed_are_those_of_what_really_changes() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "rights").await;
    api.put(&domain.rrsets(), body(&["www A 192.0.2.1|192.0.2.2", "b TXT one"], false)).await.ok();
    let holder = async |scopes: &[&str]| {
        let key = json!({"name": "narrow", "permission_source": "user",
            "permission_source_id": directory::NORTHWIND_ADMIN, "scopes": scopes});
        let key = world.admin_user().post("/api-keys/", key).await.ok();
        Api::with_key(&world.urls[0], key["key"].as_str().expect("a key"))
    };
    let creator = holder(&["domains:read", "records:read", "records:create"]).await;
    let editor = holder(&["domains:read", "records:read", "records:update"]).await;
    let reader = holder(&["domains:read", "records:read"]).await;
    let put = async |api: &Api, lines: &[&str]| api.put(&domain.rrsets(), body(lines, false)).await;
    put(&reader, &["www A 192.0.2.1|192.0.2.2"]).await.refused(403, "permission_denied");
    put(&creator, &["www A 192.0.2.1|192.0.2.2", "c A 192.0.2.3"]).await.ok();
    put(&creator, &["www A 192.0.2.1"]).await.refused(403, "permission_denied");
    put(&creator, &["www A 192.0.2.1|192.0.2.5"]).await.refused(403, "permission_denied");
    put(&editor, &["www A 192.0.2.1|192.0.2.5"]).await.ok();
    put(&editor, &["www A 192.0.2.1|192.0.2.5|192.0.2.6"]).await.refused(403, "permission_denied");
    put(&editor, &["www A"]).await.refused(403, "permission_denied");
    let asked = editor.put(&format!("{}?dry_run=true", domain.rrsets()), body(&["b TXT"], false)).await;
    asked.refused(403, "permission_denied");
    assert_eq!(records(&api, &domain).await.len(), 4);
}

async fn rrsets_of_a_pending_domain_are_kept_for_its_going_live() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "desired-early").await;
    api.put(&domain.rrsets(), body(&["www A 192.0.2.1", "old A 192.0.2.2"], false)).await.ok();
    let answer = api.put(&domain.rrsets(), body(&["www A 192.0.2.1|192.0.2.3"], true)).await.ok();
    assert_eq!(counts(&answer), [0, 1, 1]);
    world.publish(&domain).await;
    assert_eq!(api.check(&domain).await["is_valid"], true);
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1", "192.0.2.3"]).await;
    world.answers_with(&domain.at("old"), RecordType::A, ResponseCode::NXDomain).await;
}

async fn malformed_calls_are_refused() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "malformed").await;
    let path = domain.rrsets();
    for body in [json!({}), json!({"rrsets": [{"name": "a", "type": "A"}]}), json!({"rrsets": [], "purge": true})] {
        api.put(&path, body).await.refused(422, "validation_error");
    }
    for body in [json!({}), json!({"changes": []}), json!({"changes": [{"op": "add"}]})] {
        api.patch(&path, body).await.refused(422, "validation_error");
    }
    let refused = api.patch(&path, ops(&["upsert www A 192.0.2.1"])).await.refused(400, "invalid");
    assert_eq!(refused["field"], "op");
    let refused = api.patch(&path, ops(&["add www A"])).await.refused(400, "several_errors");
    assert_eq!(refused["errors"][0]["field"], "records");
    let many: Vec<Value> = (0..2_001).map(|n| rrset(&format!("h{n} A 192.0.2.1"))).collect();
    api.put(&path, json!({ "rrsets": many })).await.refused(413, "too_many_rrsets");
    assert_eq!(api.put(&path, json!({"rrsets": []})).await.ok()["changes"], json!([]));
}

async fn a_value_that_is_there_twice_is_one_and_a_removal_may_bring_its_ttl() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "rrsets-twice").await;
    let path = format!("{}/rrsets", domain.path());
    let put = body(&["www AAAA 2001:db8::1|2001:DB8:0::1|2001:db8::2", "mail MX 10 A.test.|10 a.test."], false);
    assert_eq!(counts(&api.put(&path, put.clone()).await.ok()), [2, 0, 0]);
    let standing = records(&api, &domain).await;
    assert_eq!(
        standing.keys().collect::<Vec<_>>(),
        ["mail MX 10 a.test.", "www AAAA 2001:db8::1", "www AAAA 2001:db8::2"]
    );
    assert_eq!(counts(&api.put(&path, put).await.ok()), [0, 0, 0], "nothing is written again");
    let gone = api.patch(&path, ops(&["remove www/3600 AAAA 2001:db8::1"])).await.ok();
    assert_eq!(counts(&gone), [0, 1, 0]);
    // one that is once served and once not is meant differently
    let unclear = body(&["www AAAA 2001:db8::7|-2001:db8::7"], false);
    api.put(&path, unclear).await.expect(400);
}

async fn what_lies_outside_a_grant_is_not_told_by_guessing_it() {
    let world = World::private("rrsets-guess").await;
    let (admin, bob) = (world.admin(), world.user(directory::NORTHWIND_USER));
    let domain = world.live(&admin, "guessed").await;
    admin.add(&domain, "secret", "TXT", "the word").await;
    admin.add(&domain, "a.dev", "A", "192.0.2.1").await;
    let grant = json!({"grant_type": "user", "grantee_id": directory::NORTHWIND_USER, "role": "domain_manager",
        "record_pattern": "*.dev"});
    admin.post(&format!("{}/access-grants", domain.path()), grant).await.ok();
    let path = format!("{}/rrsets", domain.path());
    for line in ["secret TXT the word", "secret TXT another", "secret TXT ", "nothing A ", "nothing A 192.0.2.1"] {
        for dry_run in ["", "?dry_run=true"] {
            let told = bob.put(&format!("{path}{dry_run}"), body(&[line], false)).await;
            assert_eq!((told.status, &told.body["code"]), (403, &json!("outside_grant")), "{line}: {told:?}");
            let told = bob.patch(&format!("{path}{dry_run}"), ops(&[&format!("replace {line}")])).await;
            assert_eq!((told.status, &told.body["code"]), (403, &json!("outside_grant")), "{line}: {told:?}");
        }
    }
    assert_eq!(counts(&bob.put(&path, body(&["a.dev A 192.0.2.1"], false)).await.ok()), [0, 0, 0]);
    // neither is where an alias leads
    admin.add(&domain, "hidden", "CNAME", "whereto.elsewhere.test.").await;
    let alias = json!({"name": "b.dev", "type": "CNAME", "content": domain.at("hidden") + "."});
    let told = bob.post(&format!("{}?dry_run=true", domain.records()), alias).await.ok();
    assert!(told["warnings"].is_array() && !told.to_string().contains("whereto"), "{told}");
    world.stop().await;
}
