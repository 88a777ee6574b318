//! Signing a domain, its rollovers, and unsigning it, over real DNS: PowerDNS, a parent, and a validator.

use std::collections::BTreeSet;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use scaidns::dev::registrar::{Entry, Mode};
use serde_json::{Value, json};

use crate::support::{Api, Domain, Trials, World, eventually_within, trials};

pub fn tests() -> Trials {
    trials![
        a_domain_is_signed_rolled_and_unsigned,
        every_algorithm_and_every_denial_validates,
        what_comes_too_early_or_is_not_so_is_refused,
        a_parent_whose_servers_disagree_is_waited_for,
        a_withdrawn_domain_stands_still,
        a_worker_killed_at_any_moment_leaves_one_key_of_each_kind,
        operators_see_every_signed_domain,
    ]
}

/// Waits of a rollover are some seconds each here; the machine may be busy.
const LONG: Duration = Duration::from_secs(90);

fn path(domain: &Domain, what: &str) -> String {
    format!("{}/dnssec{what}", domain.path())
}

async fn state(api: &Api, domain: &Domain) -> Value {
    api.get(&path(domain, "")).await.ok()
}

/// A live domain all of whose TTLs are a second, and were so for ever.
async fn quick(world: &World, api: &Api, label: &str) -> Domain {
    let domain = world.live(api, label).await;
    for record in api.records_where(&domain, "include_system=true").await {
        let mut change = json!({ "ttl": 1 });
        if record["type"] == "SOA" {
            let fields: Vec<&str> = record["content"].as_str().expect("an SOA").split(' ').collect();
            change["content"] = json!(format!("{} 1", fields[..6].join(" ")));
        }
        api.patch(&domain.record(record["id"].as_str().expect("an id")), change).await.ok();
    }
    for (name, content) in [("www", "192.0.2.1"), ("*.wild", "192.0.2.2"), ("deep.in.the", "192.0.2.3")] {
        let record = json!({ "name": name, "type": "A", "content": content, "ttl": 1 });
        api.post(&domain.records(), record).await.ok();
    }
    // what was served with an hour would keep every wait at an hour
    let past = "UPDATE zone_changes c JOIN zones z ON z.id = c.zone_id SET c.created_at = c.created_at - INTERVAL 30 DAY \
                WHERE z.name = ?";
    sqlx::query(past).bind(&domain.name).execute(&world.db).await.expect("time passes");
    domain
}

/// Does at the parent what the domain's DS records say, at once.
async fn do_as_asked(world: &World, api: &Api, domain: &Domain) {
    let records = state(api, domain).await["ds_records"].as_array().cloned().unwrap_or_default();
    let kept = records.iter().filter(|record| record["action"] != "remove");
    let entries: Vec<Value> = kept
        .map(|record| json!({ "name": "@", "type": "DS", "value": record["ds"].as_str().expect("a DS").to_owned() }))
        .collect();
    set_ds(world, domain, &entries).await;
}

async fn set_ds(world: &World, domain: &Domain, entries: &[Value]) {
    let url = format!("{}/names/{}/records", world.registrar.api_url(), domain.name);
    let client = reqwest::Client::new();
    client.delete(format!("{url}?type=DS")).send().await.expect("an answer").error_for_status().expect("removed");
    for entry in entries {
        let sent = client.post(&url).json(entry).send().await.expect("an answer");
        assert!(sent.status().is_success(), "{}", sent.text().await.unwrap_or_default());
    }
}

async fn until(api: &Api, domain: &Domain, what: &str, reached: impl Fn(&Value) -> bool) -> Value {
    eventually_within(LONG, what, || async {
        let now = state(api, domain).await;
        if reached(&now) { Ok(now) } else { Err(now.to_string()) }
    })
    .await
}

async fn until_phase(api: &Api, domain: &Domain, phase: &str) -> Value {
    // known once every server serves the step
    until(api, domain, phase, |now| now["phase"] == phase && now["alarm"].is_null() && !now["not_before"].is_null())
        .await
}

/// A domain that is signed, with its DS at the parent.
async fn signed(world: &World, api: &Api, label: &str, body: Value) -> Domain {
    let domain = quick(world, api, label).await;
    api.post(&path(&domain, "/enable"), body).await.ok();
    do_as_asked(world, api, &domain).await;
    api.post_empty(&path(&domain, "/confirm-ds-published")).await.ok();
    until_phase(api, &domain, "active").await;
    domain
}

fn tags(keys: &Value) -> BTreeSet<u64> {
    keys.as_array().into_iter().flatten().filter_map(|key| key["key_tag"].as_u64()).collect()
}

/// What PowerDNS itself has: flags, active, published.
async fn server_keys(world: &World, domain: &Domain) -> Vec<(u64, bool, bool)> {
    let keys: Value = world.pdns_get(&format!("/zones/{}./cryptokeys", domain.name)).await.json().await.expect("JSON");
    let key = |key: &Value| (key["flags"].as_u64().unwrap_or(0), key["active"] == true, key["published"] == true);
    let mut found: Vec<_> = keys.as_array().into_iter().flatten().map(key).collect();
    found.sort();
    found
}

/// A validator of its own, with the domain's DS as trust anchor, finds every kind of answer secure.
async fn assert_validates(world: &World, api: &Api, domain: &Domain) {
    let now = state(api, domain).await;
    let current = now["ksk"].as_array().into_iter().flatten().find(|key| key["state"] == "current").expect("a KSK");
    let key = current["dnskey"].as_str().expect("a DNSKEY").split(' ').collect::<Vec<_>>();
    let anchor = format!(
        "trust-anchors {{ \"{}.\" static-key {} {} {} \"{}\"; }};\n",
        domain.name, key[0], key[1], key[2], key[3]
    );
    let file = world.folder.join(format!("{}.anchor", domain.name));
    std::fs::write(&file, anchor).expect("written");
    for (name, kind) in [
        (domain.name.clone(), "SOA"),
        (domain.at("www"), "A"),
        (domain.at("www"), "AAAA"),
        (domain.at("missing"), "A"),
        (domain.at("any.wild"), "A"),
        (domain.at("in.the"), "A"),
    ] {
        let output = tokio::process::Command::new("delv")
            .args(["@127.0.0.1", "-p", &world.ports.dns().to_string(), "-a"])
            .arg(&file)
            .arg(format!("+root={}", domain.name))
            .args([name.as_str(), kind])
            .output()
            .await
            .expect("delv runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let secure = text.contains("; fully validated") || text.contains("; negative response, fully validated");
        assert!(secure, "{name} {kind}: {text}");
    }
}

async fn a_domain_is_signed_rolled_and_unsigned() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = quick(world, &api, "signed").await;
    let before = state(&api, &domain).await;
    assert_eq!((&before["enabled"], &before["status"]), (&json!(false), &json!("disabled")));

    let enabled = api.post_empty(&path(&domain, "/enable")).await.ok();
    assert_eq!((&enabled["action"], &enabled["message"]), (&json!("enable"), &json!("DNSSEC enabled")));
    assert_eq!(enabled["domain_id"], json!(domain.id));
    assert_eq!((&enabled["ksk"]["flags"], &enabled["zsk"]["flags"]), (&json!(257), &json!(256)));
    api.post_empty(&path(&domain, "/enable")).await.refused(409, "dnssec_enabled");
    let detail = api.domain(&domain).await;
    assert_eq!((&detail["dnssec_enabled"], &detail["dnssec_status"]), (&json!(true), &json!("pending_ds")));
    // digests as PowerDNS computes them
    let keys: Value = world.pdns_get(&format!("/zones/{}./cryptokeys", domain.name)).await.json().await.expect("JSON");
    let theirs: BTreeSet<String> = keys
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|key| key["ds"].as_array().cloned().unwrap_or_default())
        .filter_map(|ds| Some(ds.as_str()?.to_ascii_uppercase()))
        .collect();
    let ours = enabled["ds_records"].as_array().expect("records");
    assert_eq!(ours.len(), 2, "by two digests: {ours:?}");
    assert!(ours.iter().all(|ds| theirs.contains(ds["ds"].as_str().expect("a DS"))), "{ours:?} {theirs:?}");
    assert!(ours.iter().all(|ds| ds["action"] == "add" && ds["not_before"].is_string()), "{ours:?}");

    api.post_empty(&path(&domain, "/rotate-zsk")).await.refused(409, "ds_pending");
    api.post_empty(&path(&domain, "/confirm-ds-published")).await.refused(409, "ds_not_found_at_parent");
    until_phase(&api, &domain, "pending_ds").await;
    let server: Value = world.pdns_get(&format!("/zones/{}.", domain.name)).await.json().await.expect("JSON");
    let types: BTreeSet<&str> =
        server["rrsets"].as_array().into_iter().flatten().filter_map(|r| r["type"].as_str()).collect();
    assert!(types.contains("CDS") && types.contains("CDNSKEY"), "{types:?}");
    do_as_asked(world, &api, &domain).await;
    until_phase(&api, &domain, "active").await; // the worker has seen it by itself
    assert_validates(world, &api, &domain).await;

    let rolled = api.post_empty(&path(&domain, "/rotate-zsk")).await.ok();
    assert_eq!(rolled["status"], "rotating_zsk");
    let (new, old) = (rolled["new_zsk"]["key_tag"].clone(), rolled["retiring_zsk"]["key_tag"].clone());
    assert!(new.is_u64() && new != old && rolled["retire_at"].is_string(), "{rolled}");
    api.post_empty(&path(&domain, "/rotate-ksk")).await.refused(409, "rollover_in_progress");
    let now = until_phase(&api, &domain, "active").await;
    assert_eq!(tags(&now["zsk"]), BTreeSet::from([new.as_u64().expect("a tag")]));
    assert_validates(world, &api, &domain).await;

    let rolled = api.post_empty(&path(&domain, "/rotate-ksk")).await.ok();
    assert_eq!(rolled["status"], "rotating_ksk");
    let actions: BTreeSet<&str> =
        rolled["ds_records"].as_array().into_iter().flatten().filter_map(|ds| ds["action"].as_str()).collect();
    assert_eq!(actions, BTreeSet::from(["add", "remove"]));
    until_phase(&api, &domain, "ksk_wait_ds").await;
    do_as_asked(world, &api, &domain).await;
    let now = until_phase(&api, &domain, "active").await;
    assert_eq!(tags(&now["ksk"]), BTreeSet::from([rolled["new_ksk"]["key_tag"].as_u64().expect("a tag")]));
    assert_eq!(server_keys(world, &domain).await, [(256, true, true), (257, true, true)]);
    assert_validates(world, &api, &domain).await;
    // writes go on, and are signed
    api.post(&domain.records(), json!({ "name": "a.b.c", "type": "A", "content": "192.0.2.9", "ttl": 1 })).await.ok();
    assert_validates(world, &api, &domain).await;

    api.post_empty(&path(&domain, "/disable")).await.refused(409, "ds_still_published");
    set_ds(world, &domain, &[]).await;
    let cached = api.post_empty(&path(&domain, "/disable")).await;
    assert!(cached.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds <= 10), "{cached:?}");
    cached.refused(409, "ds_still_cached");
    eventually_within(LONG, "disabled", || async {
        let answer = api.post_empty(&path(&domain, "/disable")).await;
        if answer.status == 200 { Ok(answer.body) } else { Err(answer.text) }
    })
    .await;
    assert_eq!(state(&api, &domain).await["status"], "disabled");
    assert_eq!(server_keys(world, &domain).await, []);
    assert!(world.dns_values(&domain.name, RecordType::DNSKEY).await.is_empty());
    let listed = api.get(&format!("/domains/?search={}&dnssec_enabled=false", domain.name)).await.ok();
    assert_eq!(listed["total"], 1, "{listed}");
    let actions = world.actions(&domain.id).await;
    for action in
        ["dnssec.enable", "dnssec.rotate_zsk", "dnssec.rotate_ksk", "dnssec.confirm_ds_published", "dnssec.disable"]
    {
        assert!(actions.iter().any(|found| found == action), "{action} in {actions:?}");
    }
}

async fn every_algorithm_and_every_denial_validates() {
    let world = World::shared().await;
    let api = world.admin();
    let (mut domains, kinds) = (Vec::new(), ["narrow", "nsec3", "nsec", "narrow", "narrow"]);
    for (algorithm, denial) in [8, 10, 13, 14, 15].into_iter().zip(kinds) {
        let body = json!({ "algorithm": algorithm, "denial": denial });
        let domain = signed(world, &api, &format!("alg{algorithm}"), body).await;
        let now = state(&api, &domain).await;
        assert_eq!((&now["algorithm"], &now["denial"]), (&json!(algorithm), &json!(denial)));
        domains.push(domain);
    }
    for domain in &domains {
        assert_validates(world, &api, domain).await;
        // each kind of write that changes what exists
        let deep = json!({ "name": "new.in.a.branch", "type": "A", "content": "192.0.2.9", "ttl": 1 });
        let deep = api.post(&domain.records(), deep).await.ok();
        assert_validates(world, &api, domain).await;
        api.patch(&domain.record(deep["id"].as_str().expect("an id")), json!({ "content": "192.0.2.10" })).await.ok();
        assert_validates(world, &api, domain).await;
        api.delete(&domain.record(deep["id"].as_str().expect("an id"))).await.expect(204);
        assert_validates(world, &api, domain).await;
    }
    // to another algorithm, by the conservative way
    let domain = &domains[0];
    let rolled = api.post(&path(domain, "/rotate-ksk"), json!({ "algorithm": 13 })).await.ok();
    assert_eq!(rolled["status"], "rotating_ksk");
    api.post_empty(&path(domain, "/confirm-ds-published")).await.refused(409, "ds_too_early");
    until_phase(&api, domain, "alg_wait_ds").await;
    assert_validates(world, &api, domain).await;
    do_as_asked(world, &api, domain).await;
    let now = until_phase(&api, domain, "active").await;
    assert_eq!(now["algorithm"], 13);
    assert_eq!(server_keys(world, domain).await, [(256, true, true), (257, true, true)]);
    assert_validates(world, &api, domain).await;
}

async fn what_comes_too_early_or_is_not_so_is_refused() {
    let world = World::shared().await;
    let api = world.admin();
    let pending = world.pending(&api, "unsigned").await;
    api.post_empty(&path(&pending, "/enable")).await.refused(409, "domain_pending");
    assert_eq!(state(&api, &pending).await["status"], "disabled");
    let domain = world.live(&api, "refused").await;
    for algorithm in [0, 5, 7, 12, 16, 300] {
        let detail = api.post(&path(&domain, "/enable"), json!({ "algorithm": algorithm })).await;
        assert_eq!(detail.refused(400, "unsupported_algorithm")["field"], "algorithm");
    }
    let detail = api.post(&path(&domain, "/enable"), json!({ "denial": "nsec5" })).await.refused(400, "invalid");
    assert_eq!(detail["field"], "denial");
    api.post(&path(&domain, "/enable"), json!({ "algorithm": "13" })).await.refused(422, "validation_error");
    api.post(&path(&domain, "/enable"), json!({ "salt": "ab" })).await.refused(422, "validation_error");
    for call in ["/disable", "/rotate-zsk", "/rotate-ksk", "/confirm-ds-published"] {
        api.post_empty(&path(&domain, call)).await.refused(409, "dnssec_not_enabled");
    }
    assert!(world.actions(&domain.id).await.iter().all(|action| !action.starts_with("dnssec")));
    assert_eq!(server_keys(world, &domain).await, []);

    let enabled = api.post_empty(&path(&domain, "/enable")).await.ok();
    let confirm = path(&domain, "/confirm-ds-published");
    let tag = enabled["ksk"]["key_tag"].as_u64().expect("a tag");
    let detail = api.post(&confirm, json!({ "key_tag": (tag + 1) % 65_536 })).await.refused(400, "invalid");
    assert_eq!(detail["field"], "key_tag");
    let foreign = format!("{tag} 13 2 {}", "AB".repeat(32));
    let detail = api.post(&confirm, json!({ "ds_records": [foreign] })).await.refused(400, "invalid");
    assert_eq!(detail["field"], "ds_records");
    set_ds(world, &domain, &[json!({ "name": "@", "type": "DS", "value": foreign })]).await;
    api.post_empty(&confirm).await.refused(409, "ds_not_found_at_parent");
    let now = state(&api, &domain).await;
    assert_eq!((&now["parent"][0]["matches"], &now["alarm"]["code"]), (&json!(false), &json!("ds_foreign")));
    let given = json!({ "key_tag": tag, "ds_records": enabled["ds_records"] });
    api.post(&confirm, given.clone()).await.refused(409, "ds_not_found_at_parent");
    do_as_asked(world, &api, &domain).await;
    let confirmed = api.post(&confirm, given).await.ok();
    assert_eq!(confirmed["status"], "active");
    let now = state(&api, &domain).await;
    assert_eq!((&now["status"], &now["parent"][0]["matches"]), (&json!("active"), &json!(true)), "{now}");
    // the records of the signing are the platform's own
    let records = api.records(&domain).await;
    let cds = records.iter().find(|record| record["type"] == "CDS").expect("a CDS record");
    let refused = api.delete(&domain.record(cds["id"].as_str().expect("an id"))).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    let disabled = api.post(&path(&domain, "/disable"), json!({ "force": true })).await.ok();
    assert_eq!(disabled["status"], "disabled");
    assert_eq!(server_keys(world, &domain).await, []);
}

async fn a_parent_whose_servers_disagree_is_waited_for() {
    let world = World::shared().await;
    let api = world.admin();
    // the parent is a domain with two nameservers, and the child is delegated from it
    let parent = world.fresh("parent");
    world.registrar.register(&parent, &[]).await.expect("registered");
    let child = api.create_domain(&format!("child.{parent}")).await;
    world.publish(&child).await;
    assert_eq!(api.check(&child).await["is_valid"], true);
    let enabled = api.post_empty(&path(&child, "/enable")).await.ok();
    world.registrar.set_mode(&parent, "ns2.provider.test", Mode::Silent).await.expect("mode");
    let ds = enabled["ds_records"][0]["ds"].as_str().expect("a DS").to_owned();
    world.registrar.add_record(&child.name, Entry::new("@", "DS", &ds)).await.expect("published");
    let confirm = path(&child, "/confirm-ds-published");
    api.post_empty(&confirm).await.refused(409, "ds_not_found_at_parent");
    let now = state(&api, &child).await;
    let servers = now["parent"].as_array().expect("servers");
    assert_eq!(servers.len(), 2, "{now}");
    assert!(servers.iter().any(|server| server["ds"].is_null()), "{now}");
    world.registrar.set_mode(&parent, "ns2.provider.test", Mode::Normal).await.expect("mode");
    assert_eq!(api.post_empty(&confirm).await.ok()["status"], "active");
}

async fn a_withdrawn_domain_stands_still() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = signed(world, &api, "still", json!({})).await;
    let keys = server_keys(world, &domain).await;
    api.patch(&domain.path(), json!({ "status": "inactive" })).await.ok();
    for call in ["/rotate-zsk", "/disable"] {
        api.post_empty(&path(&domain, call)).await.refused(409, "domain_inactive");
    }
    assert_eq!(server_keys(world, &domain).await, keys);
    api.patch(&domain.path(), json!({ "status": "active" })).await.ok();
    assert_validates(world, &api, &domain).await;
    api.post_empty(&path(&domain, "/rotate-zsk")).await.ok();
    until_phase(&api, &domain, "active").await;
}

async fn a_worker_killed_at_any_moment_leaves_one_key_of_each_kind() {
    let mut world = World::builder("dnssec-kill").replicas(1).start().await;
    let api = world.admin();
    let domain = signed(&world, &api, "killed", json!({})).await;
    let first = state(&api, &domain).await;
    api.post_empty(&path(&domain, "/rotate-zsk")).await.ok();
    let mut kills = 0;
    let mut rotated = false;
    let begun = std::time::Instant::now();
    loop {
        assert!(begun.elapsed() < LONG * 2, "{}", state(&api, &domain).await);
        let now = state(&api, &domain).await;
        if now["phase"] == "active" {
            if rotated {
                break;
            }
            rotated = api.post_empty(&path(&domain, "/rotate-ksk")).await.status == 200;
        }
        if now["phase"] == "ksk_wait_ds" {
            do_as_asked(&world, &api, &domain).await;
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(20..900))).await;
        if kills < 12 {
            kills += 1;
            let worker = world.worker.as_mut().expect("a worker");
            worker.kill().await;
            if kills % 4 == 0 {
                world.servers.pdns.kill().await;
                world.servers.pdns.restart().await.expect("PowerDNS is back");
            }
            world.worker.as_mut().expect("a worker").restart().await.expect("the worker is back");
        }
    }
    let last = until_phase(&api, &domain, "active").await;
    assert!(tags(&first["zsk"]).is_disjoint(&tags(&last["zsk"])), "{first} {last}");
    assert!(tags(&first["ksk"]).is_disjoint(&tags(&last["ksk"])), "{first} {last}");
    assert_eq!(server_keys(&world, &domain).await, [(256, true, true), (257, true, true)]);
    assert_validates(&world, &api, &domain).await;
    world.stop().await;
}

async fn operators_see_every_signed_domain() {
    let world = World::shared().await;
    let domain = signed(world, &world.other(), "operated", json!({})).await;
    let listed = world.platform().get("/admin/dnssec?page_size=100").await.ok();
    let found = listed["data"].as_array().into_iter().flatten().find(|zone| zone["domain_id"] == json!(domain.id));
    let found = found.unwrap_or_else(|| panic!("{listed}"));
    assert_eq!((&found["phase"], &found["status"]), (&json!("active"), &json!("active")));
    let one = world.platform().get("/admin/dnssec?page_size=1&state=waiting").await.ok();
    assert_eq!(one["data"].as_array().map(Vec::len), Some(1), "{one}");
    world.platform().get("/admin/dnssec?state=asleep").await.refused(400, "invalid");
    world.admin_user().get("/admin/dnssec").await.refused(403, "permission_denied");
}
