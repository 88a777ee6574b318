//! The ways of a domain through DNSSEC, asked for over HTTP, and what a validator says meanwhile.

use std::collections::BTreeSet;

use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use super::{LONG, assert_validates, do_as_asked, path, quick, server_keys, set_ds, signed, state, tags, until_phase};
use crate::support::{Trials, World, eventually_within, trials};

pub fn tests() -> Trials {
    trials![
        a_domain_is_signed_rolled_and_unsigned,
        every_algorithm_and_every_denial_validates,
        operators_see_every_signed_domain,
    ]
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
