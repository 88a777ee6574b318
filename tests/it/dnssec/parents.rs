//! Parents as they are: late, of two minds, down, or with a DS that nobody wants. The machine waits, says so, and rings.

use std::time::Duration;

use scaidns::dev::registrar::{Entry, Mode};
use serde_json::{Value, json};

use super::{
    LONG, asked_for, assert_validates, do_as_asked, path, quick, server_keys, set_ds, shorten, sign, signed, state,
    tags, until, until_phase,
};
use crate::support::{Api, Domain, Trials, World, eventually_within, trials};

pub fn tests() -> Trials {
    trials![
        a_parent_whose_servers_disagree_is_waited_for,
        a_parent_that_lags_or_is_down_in_a_rollover_is_waited_for,
        a_withdrawn_domain_stands_still,
        a_rollover_rests_while_its_domain_is_withdrawn,
        a_ds_that_vanishes_is_foreign_or_does_not_come_rings_once,
    ]
}

/// A second server of the parent, which may lag.
const LATE: &str = "ns2.provider.test";

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

/// A signed domain whose parent is a domain with two nameservers.
async fn below_two_servers(world: &World, api: &Api) -> (String, Domain) {
    let parent = world.fresh("parent");
    world.registrar.register(&parent, &[]).await.expect("registered");
    let child = api.create_domain(&format!("child.{parent}")).await;
    world.publish(&child).await;
    assert_eq!(api.check(&child).await["is_valid"], true);
    shorten(world, api, &child, 1).await;
    sign(world, api, &child, json!({})).await;
    (parent, child)
}

async fn a_parent_that_lags_or_is_down_in_a_rollover_is_waited_for() {
    let world = World::shared().await;
    let api = world.admin();
    let (parent, child) = below_two_servers(world, &api).await;
    let old = tags(&state(&api, &child).await["ksk"]);
    api.post_empty(&path(&child, "/rotate-ksk")).await.ok();
    until_phase(&api, &child, "ksk_wait_ds").await;
    let wanted = asked_for(&api, &child).await;
    let shows = |now: &Value, wanted: &[Option<bool>]| -> bool {
        let servers = now["parent"].as_array().cloned().unwrap_or_default();
        let mut has: Vec<Option<bool>> = servers
            .iter()
            .map(|server| Some(server["ds"].as_array()?.iter().any(|ds| *ds == wanted_ds(&old, ds))))
            .collect();
        has.sort();
        has == wanted
    };
    // one has the old DS still, the other the new one; then one is down, then answers nothing of use
    let is_as_before = |now: &Value, servers: &[Option<bool>]| {
        shows(now, servers) && now["phase"] == "ksk_wait_ds" && now["next"]["waiting_for"] == "parent"
    };
    world.registrar.set_mode(&parent, LATE, Mode::Stale).await.expect("mode");
    set_ds(world, &child, &wanted).await;
    until(&api, &child, "two minds", |now| is_as_before(now, &[Some(false), Some(true)])).await;
    api.post_empty(&path(&child, "/confirm-ds-published")).await.refused(409, "ds_not_found_at_parent");
    for mode in [Mode::Silent, Mode::Servfail] {
        world.registrar.set_mode(&parent, LATE, mode).await.expect("mode");
        let now = until(&api, &child, "one is down", |now| is_as_before(now, &[None, Some(false)])).await;
        assert_eq!(now["alarm"]["code"], "parent_silent", "{now}");
        api.post_empty(&path(&child, "/confirm-ds-published")).await.refused(409, "ds_not_found_at_parent");
    }
    assert_eq!(server_keys(world, &child).await.len(), 3, "the old key stays");
    world.registrar.set_mode(&parent, LATE, Mode::Normal).await.expect("mode");
    let last = until_phase(&api, &child, "active").await;
    assert!(tags(&last["ksk"]).is_disjoint(&old), "{last}");
    assert_eq!(server_keys(world, &child).await, [(256, true, true), (257, true, true)]);
}

/// The DS itself where it points to one of these keys.
fn wanted_ds(tags: &std::collections::BTreeSet<u64>, ds: &Value) -> Value {
    let text = ds.as_str().unwrap_or_default();
    let tag = text.split(' ').next().and_then(|tag| tag.parse::<u64>().ok()).unwrap_or_default();
    if tags.contains(&tag) { ds.clone() } else { Value::Null }
}

async fn a_rollover_rests_while_its_domain_is_withdrawn() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = signed(world, &api, "resting", json!({})).await;
    api.post_empty(&path(&domain, "/rotate-zsk")).await.ok();
    let begun = until_phase(&api, &domain, "zsk_published").await;
    api.patch(&domain.path(), json!({ "status": "inactive" })).await.ok();
    let keys = server_keys(world, &domain).await;
    // the worker has looked at it since the wait was over, and put it off
    eventually_within(LONG, "put off", || async {
        let listed = world.platform().get("/admin/dnssec?page_size=100&state=waiting").await.ok();
        let found = listed["data"].as_array().into_iter().flatten().find(|zone| zone["domain_id"] == json!(domain.id));
        let due = found.and_then(|zone| zone["due_at"].as_str().map(str::to_owned)).unwrap_or_default();
        let wait = begun["not_before"].as_str().unwrap_or_default();
        if due.as_str() > wait { Ok(()) } else { Err(format!("{due} {wait}")) }
    })
    .await;
    let now = state(&api, &domain).await;
    assert_eq!(now["phase"], "zsk_published", "{now}");
    assert_eq!(server_keys(world, &domain).await, keys);
    for call in ["/rotate-ksk", "/disable", "/confirm-ds-published"] {
        api.post_empty(&path(&domain, call)).await.refused(409, "domain_inactive");
    }
    api.patch(&domain.path(), json!({ "status": "active" })).await.ok();
    until_phase(&api, &domain, "active").await;
    assert_eq!(server_keys(world, &domain).await, [(256, true, true), (257, true, true)]);
    assert_validates(world, &api, &domain).await;
}

async fn told(world: &World, domain: &Domain, action: &str) -> Vec<Value> {
    world.audit(&format!("resource_id={}&action={action}", domain.id)).await
}

async fn a_ds_that_vanishes_is_foreign_or_does_not_come_rings_once() {
    let world = World::builder("dnssec-alarms")
        .replicas(1)
        .env("METRICS_ENABLED", "true")
        .env("DNSSEC_POLL_SECONDS", "1")
        .start()
        .await;
    let api = world.admin();
    let domain = signed(&world, &api, "rings", json!({})).await;
    let late = quick(&world, &api, "late").await;
    api.post_empty(&path(&late, "/enable")).await.ok();
    let fine = asked_for(&api, &domain).await;
    let foreign = format!("4711 13 2 {}", "AB".repeat(32));
    let with_foreign: Vec<String> = fine.iter().cloned().chain([foreign]).collect();
    let mut rung = 0;
    for (code, ds) in [("ds_vanished", Vec::new()), ("ds_foreign", with_foreign)] {
        set_ds(&world, &domain, &ds).await;
        let now = until(&api, &domain, code, |now| now["alarm"]["code"] == code).await;
        assert!(now["alarm"]["message"].as_str().is_some_and(|text| text.contains("DS")), "{now}");
        for call in ["/rotate-zsk", "/rotate-ksk"] {
            api.post_empty(&path(&domain, call)).await.refused(409, code);
        }
        let stuck = world.platform().get("/admin/dnssec?state=stuck").await.ok();
        let found = stuck["data"].as_array().into_iter().flatten().find(|zone| zone["domain_id"] == json!(domain.id));
        assert_eq!(found.map(|zone| &zone["alarm"]), Some(&json!(code)), "{stuck}");
        rings(&world, code, 1).await;
        rung += 1;
        // however often it is looked at since
        let entries = told(&world, &domain, "dnssec.alarm").await;
        assert_eq!(entries.len(), rung, "{entries:?}");
        let last = entries.last().expect("an entry");
        assert_eq!((&last["actor_type"], &last["actor_id"]), (&json!("system"), &json!("dnssec")), "{last}");
        assert_eq!(last["details"]["after"]["alarm"], code, "{last}");
        set_ds(&world, &domain, &fine).await;
        until(&api, &domain, "over", |now| now["alarm"].is_null()).await;
        rings(&world, code, 0).await;
        assert_eq!(told(&world, &domain, "dnssec.alarm_over").await.len(), rung);
    }
    until_phase(&api, &late, "pending_ds").await;
    let long_ago = "UPDATE zone_signing SET state = JSON_SET(state, '$.begun_at', '2020-01-01T00:00:00Z'), \
                    version = version + 1 WHERE zone_id = (SELECT id FROM zones WHERE name = ?)";
    eventually_within(LONG, "aged", || async {
        let done = sqlx::query(long_ago).bind(&late.name).execute(&world.db).await.expect("time passes");
        let now = state(&api, &late).await;
        if now["alarm"]["code"] == "ds_overdue" { Ok(()) } else { Err(format!("{done:?} {now}")) }
    })
    .await;
    rings(&world, "ds_overdue", 1).await;
    let entries = told(&world, &late, "dnssec.alarm").await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    do_as_asked(&world, &api, &late).await;
    until_phase(&api, &late, "active").await;
    world.stop().await;
}

/// What the worker's metrics say of an alarm.
async fn rings(world: &World, code: &str, zones: u32) {
    let url = format!("http://127.0.0.1:{}/metrics", world.ports.worker_metrics());
    let wanted = format!("scaidns_dnssec_alarms{{alarm=\"{code}\"}} {zones}");
    eventually_within(Duration::from_secs(60), &wanted, || async {
        let text = match reqwest::get(&url).await {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(error) => return Err(error.to_string()),
        };
        let found =
            text.lines().filter(|line| line.starts_with("scaidns_dnssec_alarms")).collect::<Vec<_>>().join("\n");
        if text.lines().any(|line| line == wanted) { Ok(()) } else { Err(found) }
    })
    .await;
}
