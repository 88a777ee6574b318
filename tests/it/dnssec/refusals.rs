//! What comes too early, is not so, or would break something, is refused with its reason, and changes nothing.

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{do_as_asked, path, quick, server_keys, set_ds, signed, state, until, until_phase};
use crate::support::{Trials, World, trials};

pub fn tests() -> Trials {
    trials![
        what_comes_too_early_or_is_not_so_is_refused,
        what_would_break_a_signed_domain_is_refused,
        a_ttl_that_is_raised_in_a_wait_makes_it_longer,
    ]
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
    set_ds(world, &domain, &[foreign]).await;
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

async fn what_would_break_a_signed_domain_is_refused() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = signed(world, &api, "guarded", json!({})).await;
    let keys = server_keys(world, &domain).await;
    // another mode of denial, or another algorithm, is no second enabling
    for body in [json!({ "denial": "nsec3" }), json!({ "denial": "nsec" }), json!({ "algorithm": 15 }), json!({})] {
        api.post(&path(&domain, "/enable"), body).await.refused(409, "dnssec_enabled");
    }
    // who transfers the domain would need another mode of denial
    let transfers = json!({ "settings": { "transfers": { "addresses": ["127.0.0.1"] } } });
    api.patch(&domain.path(), transfers).await.refused(409, "denial_is_narrow");
    api.post_empty(&path(&domain, "/disable")).await.refused(409, "ds_still_published");
    api.post_empty(&path(&domain, "/confirm-ds-published")).await.refused(409, "no_ds_awaited");
    api.post_empty(&path(&domain, "/rotate-ksk")).await.ok();
    for (call, body) in
        [("/rotate-ksk", json!({})), ("/rotate-zsk", json!({})), ("/rotate-ksk", json!({ "algorithm": 15 }))]
    {
        let refused = api.post(&path(&domain, call), body).await;
        assert!(refused.header("retry-after").parse::<u64>().is_ok(), "{refused:?}");
        refused.refused(409, "rollover_in_progress");
    }
    let wait = api.post(&path(&domain, "/disable"), json!({ "wait_for_parent": true })).await;
    wait.refused(409, "rollover_in_progress");
    until_phase(&api, &domain, "ksk_wait_ds").await;
    // the DS of somebody else is not the one that is waited for
    let foreign = format!("{} 13 2 {}", state(&api, &domain).await["ds_records"][0]["key_tag"], "CD".repeat(32));
    let before: Vec<String> = super::asked_for(&api, &domain).await;
    set_ds(world, &domain, &[foreign]).await;
    api.post_empty(&path(&domain, "/confirm-ds-published")).await.refused(409, "ds_not_found_at_parent");
    set_ds(world, &domain, &before).await;
    until_phase(&api, &domain, "active").await;
    assert_eq!(server_keys(world, &domain).await, keys);
}

async fn a_ttl_that_is_raised_in_a_wait_makes_it_longer() {
    const RAISED: i64 = 12;
    let world = World::shared().await;
    let api = world.admin();
    let domain = quick(world, &api, "raised").await;
    super::sign(world, &api, &domain, json!({})).await;
    api.post_empty(&path(&domain, "/rotate-zsk")).await.ok();
    until(&api, &domain, "zsk_retiring", |now| now["phase"] == "zsk_retiring").await;
    let records = api.records(&domain).await;
    let www = records.iter().find(|record| record["content"] == "192.0.2.1").expect("www");
    // a server that lags gives old signatures with the new TTL
    api.patch(&domain.record(www["id"].as_str().expect("an id")), json!({ "ttl": RAISED })).await.ok();
    let raised_at = OffsetDateTime::now_utc();
    let wait = until(&api, &domain, "a longer wait", |now| {
        now["phase"] == "active"
            || moment(&now["not_before"]).is_some_and(|until| until > raised_at + time::Duration::seconds(RAISED - 6))
    })
    .await;
    assert_eq!(wait["phase"], "zsk_retiring", "the old key went too early: {wait}");
    // lowered again, it was served so all the same
    api.patch(&domain.record(www["id"].as_str().expect("an id")), json!({ "ttl": 1 })).await.ok();
    let until_then = moment(&wait["not_before"]).expect("a moment");
    let last = until_phase(&api, &domain, "active").await;
    assert!(OffsetDateTime::now_utc() >= until_then, "{last}");
}

fn moment(value: &serde_json::Value) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok()
}
