//! The platform's nameservers, set while everything runs: what new zones get, and how all others get it, whoever is
//! killed on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Domain, Trials, World, eventually_within, trials};

const PATIENCE: Duration = Duration::from_secs(120);
const PATH: &str = "/admin/nameservers";
/// Live zones of the large test.
const ZONES: usize = 60;
const OLD: [&str; 2] = ["ns1.scaidns-dev.test.", "ns2.scaidns-dev.test."];
const NEW: [&str; 3] = ["ns2.scaidns-dev.test.", "ns7.scaidns-dev.test.", "ns8.scaidns-dev.test."];

pub fn tests() -> Trials {
    trials![
        new_nameservers_come_into_every_zone_once_though_the_worker_is_killed_half_way,
        of_two_sets_in_a_row_the_later_one_stands_everywhere_and_the_same_again_changes_nothing,
        a_zone_that_cannot_be_written_to_holds_up_no_other_and_follows_later,
        wrong_nameservers_are_refused_and_a_repeated_request_is_answered_once,
    ]
}

fn job_of(answer: Answer) -> String {
    let body = answer.ok();
    body["job_id"].as_str().unwrap_or_else(|| panic!("no job in {body}")).to_owned()
}

/// What is set: without dots at the end; the first is the primary.
fn wanted(first: &str, all: &[&str]) -> Value {
    let mut names = vec![first];
    names.extend(all.iter().filter(|name| **name != first));
    json!({"nameservers": names.iter().map(|name| name.trim_end_matches('.')).collect::<Vec<_>>()})
}

async fn job(world: &World, id: &str) -> Value {
    world.platform().get(&format!("/admin/jobs/{id}")).await.ok()
}

async fn ended(world: &World, id: &str) -> Value {
    eventually_within(PATIENCE, "the job is over", || async {
        let job = job(world, id).await;
        if job["finished_at"].is_null() { Err(job.to_string()) } else { Ok(job) }
    })
    .await
}

/// What resolvers hear of the zone's apex: the NS records, and the primary of the SOA.
async fn served(world: &World, domain: &Domain, names: &[&str], primary: &str) {
    world.served(&domain.name, RecordType::NS, names).await;
    eventually_within(PATIENCE, "the primary of the SOA", || async {
        let soa = world.dns_values(&domain.name, RecordType::SOA).await;
        let is_wanted = soa.first().is_some_and(|soa| soa.starts_with(&format!("{primary} hostmaster.")));
        if is_wanted { Ok(()) } else { Err(format!("{soa:?}")) }
    })
    .await;
}

/// Changes of the domain that were made for its nameservers.
async fn moves(api: &Api, domain: &Domain) -> Vec<Value> {
    let changes = api.get(&domain.changes()).await.ok();
    let changes = changes["data"].as_array().cloned().unwrap_or_default();
    let is_move = |change: &Value| change["actor"]["actor_id"] == "nameservers";
    changes.into_iter().filter(is_move).collect()
}

/// Claims and proves nothing: the platform's admin need not.
async fn live(world: &World, label: &str) -> Domain {
    let domain = world.pending(&world.platform(), label).await;
    assert_eq!(domain.body["status"], "active", "{}", domain.body);
    domain
}

async fn new_nameservers_come_into_every_zone_once_though_the_worker_is_killed_half_way() {
    let mut world = World::builder("nameservers").without_worker().start().await;
    let (platform, api) = (world.platform(), world.admin());
    let there = api.at(&world.urls[1]);
    let mut zones = Vec::new();
    for _ in 0..ZONES {
        zones.push(live(&world, "moves").await);
    }
    // one with a nameserver of its tenant's own beside ours, and one without any of ours
    let ns = |content: &str| json!({"name": "@", "type": "NS", "content": content});
    let mixed = live(&world, "mixed").await;
    api.post(&mixed.records(), ns("ns.elsewhere.example.")).await.ok();
    let own = live(&world, "own").await;
    let rrset = json!({"name": "@", "type": "NS", "ttl": 900, "records": [{"content": "ns.elsewhere.example."}]});
    api.put(&own.rrsets(), json!({"rrsets": [rrset]})).await.ok();
    let signed = live(&world, "signed").await;
    api.post(&format!("{}/dnssec/enable", signed.path()), json!({})).await.ok();
    let pending = world.pending(&api, "pending").await;
    let inactive = live(&world, "inactive").await;
    api.patch(&inactive.path(), json!({"status": "inactive"})).await.ok();
    let deleted = live(&world, "deleted").await;
    api.delete(&deleted.path()).await.expect(204);
    let follower = json!({"name": world.fresh("follower"), "domain_type": "secondary", "masters": ["127.0.0.1:5399"]});
    let follower = Domain::new(platform.post("/domains/", follower).await.ok());
    let untouched = api.get(&own.changes()).await.ok()["total"].clone();

    let old = platform.get(PATH).await.ok();
    assert_eq!(old["nameservers"], json!(["ns1.scaidns-dev.test", "ns2.scaidns-dev.test"]), "the environment's");
    let set = platform.put(PATH, wanted(NEW[2], &NEW)).await.ok();
    let id = set["job_id"].as_str().expect("id").to_owned();
    assert_eq!(job(&world, &id).await["status"], "queued");
    assert_eq!(set["nameservers"], json!(["ns8.scaidns-dev.test", "ns2.scaidns-dev.test", "ns7.scaidns-dev.test"]));

    // at once, at the other replica, and without a worker
    let new = Domain::new(platform.at(&world.urls[1]).post("/domains/", primary(&world, "new")).await.ok());
    served(&world, &new, &NEW, NEW[2]).await;
    assert_eq!(platform.at(&world.urls[1]).get(PATH).await.ok()["nameservers"], set["nameservers"]);
    eventually_within(PATIENCE, "instructions name the new ones", || async {
        let shown = there.domain(&pending).await["nameservers"].clone();
        if shown == set["nameservers"] { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;
    assert_eq!(world.dns_values(&zones[0].name, RecordType::NS).await, OLD, "no worker runs");

    world.start_worker().await.expect("a worker");
    let marked = async || {
        let sql = "SELECT COUNT(*) FROM zones WHERE nameservers_version = 1";
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&world.db).await.expect("counted");
        usize::try_from(count).expect("a number")
    };
    let begun = std::time::Instant::now();
    while marked().await < 10 {
        assert!(begun.elapsed() < PATIENCE, "the worker does not begin");
    }
    world.worker.as_mut().expect("a worker").kill().await;
    let at_kill = marked().await;
    assert!(at_kill < ZONES, "it was faster than the kill: {at_kill}");
    let running = job(&world, &id).await;
    assert_eq!(
        (&running["status"], &running["progress"]["total"]),
        (&json!("running"), &json!(ZONES + 3)),
        "{running}"
    );
    // as if its lease had run out
    sqlx::query("UPDATE jobs SET look_at = NOW(6) WHERE kind = 'nameservers'").execute(&world.db).await.expect("moved");
    world.worker.as_mut().expect("a worker").restart().await.expect("it comes back");
    let done = ended(&world, &id).await;
    eprintln!("killed at {at_kill} of {}, {} after {:?}", ZONES + 3, done["status"], begun.elapsed());
    assert_eq!(done["status"], "succeeded", "{done}");
    assert_eq!(done["progress"]["done"], done["progress"]["total"], "{done}");
    assert_eq!(done["result"], json!({"domains": ZONES + 3, "superseded": false}), "{done}");

    for zone in zones.iter().chain([&signed]) {
        served(&world, zone, &NEW, NEW[2]).await;
        let moves = moves(&api, zone).await;
        assert_eq!(moves.len(), 1, "once: {moves:?}");
        let types: BTreeSet<&str> =
            moves[0]["changes"].as_array().into_iter().flatten().filter_map(|change| change["type"].as_str()).collect();
        assert_eq!(types, BTreeSet::from(["NS", "SOA"]), "in one change: {moves:?}");
        assert_eq!(moves[0]["actor"]["actor_type"], "system");
        let entries = world.audit(&format!("resource_id={}&actor_id=nameservers", zone.id)).await;
        assert_eq!(entries.len(), 1, "{entries:?}");
        assert_eq!(entries[0]["action"], "domain.update");
    }
    let mut beside = NEW.to_vec();
    beside.push("ns.elsewhere.example.");
    beside.sort_unstable();
    served(&world, &mixed, &beside, NEW[2]).await;
    served(&world, &own, &["ns.elsewhere.example."], NEW[2]).await;
    assert_eq!(json!(untouched.as_u64().expect("a number") + 1), api.get(&own.changes()).await.ok()["total"]);
    assert!(moves(&api, &new).await.is_empty(), "it had them from the start");
    assert!(moves(&api, &follower).await.is_empty(), "its content is its master's");

    // those that were not live then
    world.publish(&pending).await;
    assert_eq!(api.check(&pending).await["is_valid"], true);
    served(&world, &pending, &NEW, NEW[2]).await;
    api.patch(&inactive.path(), json!({"status": "active"})).await.ok();
    there.post_empty(&deleted.restore()).await.ok();
    for zone in [&inactive, &deleted] {
        assert_eq!(moves(&api, zone).await.len(), 1, "by the answer");
        served(&world, zone, &NEW, NEW[2]).await;
    }
    // what brings back what was before does not bring back old nameservers
    let back = json!({"revision": 1, "force": true});
    api.post(&format!("{}/restore-revision", zones[0].path()), back).await.ok();
    served(&world, &zones[0], &NEW, NEW[2]).await;

    let entries = World::audit_as(&platform, "action=config.update&resource_id=nameservers").await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["details"]["before"]["nameservers"], old["nameservers"]);
    assert_eq!(entries[0]["details"]["after"]["nameservers"], set["nameservers"]);
    world.stop().await;
}

fn primary(world: &World, label: &str) -> Value {
    json!({"name": world.fresh(label), "domain_type": "primary"})
}

async fn of_two_sets_in_a_row_the_later_one_stands_everywhere_and_the_same_again_changes_nothing() {
    let world = World::private("nameservers-twice").await;
    let platform = world.platform();
    let mut zones = Vec::new();
    for _ in 0..12 {
        zones.push(live(&world, "twice").await);
    }
    let first = job_of(platform.put(PATH, wanted("nsa.scaidns-dev.test", &["nsb.scaidns-dev.test"])).await);
    let second = job_of(platform.at(&world.urls[1]).put(PATH, wanted(NEW[0], &NEW)).await);
    for id in [&first, &second] {
        let done = ended(&world, id).await;
        assert_eq!(done["status"], "succeeded", "{done}");
    }
    for zone in &zones {
        served(&world, zone, &NEW, NEW[0]).await;
        let moves = moves(&world.admin(), zone).await.len();
        assert!((1..=2).contains(&moves), "{moves}");
    }
    let mut serials = Vec::new();
    for zone in &zones {
        serials.push(world.serial(&zone.name).await);
    }
    let again = job_of(platform.put(PATH, wanted(NEW[0], &NEW)).await);
    let done = ended(&world, &again).await;
    assert_eq!((&done["status"], &done["result"]["domains"]), (&json!("succeeded"), &json!(12)), "{done}");
    for (zone, serial) in zones.iter().zip(serials) {
        assert_eq!(world.serial(&zone.name).await, serial, "nothing to change, nothing written");
    }
    world.stop().await;
}

async fn a_zone_that_cannot_be_written_to_holds_up_no_other_and_follows_later() {
    let world = World::private("nameservers-busy").await;
    let platform = world.platform();
    let (busy, free) = (live(&world, "busy").await, live(&world, "free").await);
    // as while an import writes to it
    let hold = "UPDATE zones SET held_by = ? WHERE name = ?";
    let job_id = [7_u8; 16];
    sqlx::query(hold).bind(&job_id[..]).bind(&busy.name).execute(&world.db).await.expect("held");
    let id = job_of(platform.put(PATH, wanted(NEW[0], &NEW)).await);
    served(&world, &free, &NEW, NEW[0]).await;
    eventually_within(PATIENCE, "the job tells of the one", || async {
        let job = job(&world, &id).await;
        let told = job["progress"]["message"].as_str().is_some_and(|message| message.starts_with("1 domains"));
        if told && job["progress"]["done"] == 1 { Ok(()) } else { Err(job.to_string()) }
    })
    .await;
    assert_eq!(world.dns_values(&busy.name, RecordType::NS).await, OLD);
    sqlx::query(hold).bind(None::<Vec<u8>>).bind(&busy.name).execute(&world.db).await.expect("let go");
    let done = ended(&world, &id).await;
    assert_eq!((&done["status"], &done["progress"]["done"]), (&json!("succeeded"), &json!(2)), "{done}");
    served(&world, &busy, &NEW, NEW[0]).await;

    // what no job has seen is found by the minute
    sqlx::query("UPDATE zones SET nameservers_version = 0 WHERE name = ?")
        .bind(&free.name)
        .execute(&world.db)
        .await
        .ok();
    sqlx::query("UPDATE recurring_jobs SET look_at = NOW(6) WHERE name = 'zone_nameservers' AND NOT running")
        .execute(&world.db)
        .await
        .expect("moved");
    eventually_within(PATIENCE, "it is marked again", || async {
        let sql = "SELECT nameservers_version FROM zones WHERE name = ?";
        let version: u32 = sqlx::query_scalar(sql).bind(&free.name).fetch_one(&world.db).await.expect("read");
        if version == 1 { Ok(()) } else { Err(version.to_string()) }
    })
    .await;
    assert_eq!(moves(&world.admin(), &free).await.len(), 1, "it had them");
    world.stop().await;
}

async fn wrong_nameservers_are_refused_and_a_repeated_request_is_answered_once() {
    let world = World::private("nameservers-refused").await;
    let platform = world.platform();
    let before = platform.get(PATH).await.ok();
    for wrong in [json!([]), json!("ns1.example.com"), json!([1]), json!(vec!["ns1.example.com"; 14])] {
        platform.put(PATH, json!({ "nameservers": wrong })).await.expect(422);
    }
    for wrong in
        [json!(["ns1"]), json!(["192.0.2.1"]), json!(["a.example.com", "A.example.com."]), json!(["a_b.example.com"])]
    {
        let told = platform.put(PATH, json!({ "nameservers": wrong })).await;
        assert_eq!((told.status, &told.body["detail"]["field"]), (400, &json!("nameservers")), "{told:?}");
    }
    for api in [world.admin(), world.admin_user(), world.other()] {
        api.get(PATH).await.refused(403, "permission_denied");
        api.put(PATH, wanted(NEW[0], &NEW)).await.refused(403, "permission_denied");
    }
    assert_eq!(platform.get(PATH).await.ok(), before);
    let asked = || {
        let request = platform.request(reqwest::Method::PUT, PATH).header("Idempotency-Key", "once");
        platform.send(request.json(&wanted(NEW[0], &NEW)))
    };
    let id = job_of(asked().await);
    assert_eq!(job_of(asked().await), id);
    assert_eq!(ended(&world, &id).await["status"], "succeeded");
    let jobs: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM jobs WHERE kind = 'nameservers'")
        .fetch_one(&world.db)
        .await
        .expect("counted");
    assert_eq!(jobs, 1);
    // a name of the platform's is nobody's to claim, as soon as it is one
    let claim = json!({"name": "ns7.scaidns-dev.test", "domain_type": "primary"});
    world.other().post("/domains/", claim).await.expect(400);
    world.stop().await;
}
