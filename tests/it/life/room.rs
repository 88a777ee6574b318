//! Who has a name in the end: withdrawn domains make room for a proven claim, the platform's admin decides between two
//! proven ones, and what was deleted is purged.

use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::support::{Api, Domain, Trials, World, eventually_within, trials};

pub fn tests() -> Trials {
    trials![
        a_withdrawn_domain_makes_room_for_a_proven_claim,
        a_withdrawn_domain_holds_its_name_against_claims_without_proof,
        the_platforms_admin_decides_between_two_proven_claims,
        a_large_domain_makes_room_with_all_its_content_in_its_history,
        below_a_signed_domain_a_name_needs_a_delegation,
        what_was_deleted_is_purged_when_its_time_is_over,
    ]
}

/// The content that is in a domain's history as what made room.
async fn content_in_history(world: &World, domain: &Domain) -> Vec<Value> {
    let sql = "SELECT c.changes FROM zone_changes c JOIN zones z ON z.id = c.zone_id \
               WHERE z.name = ? AND z.displaced ORDER BY c.revision";
    let rows: Vec<String> = sqlx::query_scalar(sql).bind(&domain.name).fetch_all(&world.db).await.expect("history");
    let changes = rows.iter().flat_map(|row| serde_json::from_str::<Vec<Value>>(row).expect("changes"));
    changes.filter(|change| change["after"].is_null()).collect()
}

/// A claim of `api` on the name, with its challenge published beside what is there.
async fn proven_claim(world: &World, api: &Api, name: &str) -> Domain {
    let claim = api.create_domain(name).await;
    assert_eq!(claim.body["status"], "pending_validation", "{}", claim.body);
    world.publish_text(name, claim.challenge()).await;
    claim
}

async fn a_withdrawn_domain_makes_room_for_a_proven_claim() {
    let world = World::shared().await;
    let (ours, theirs) = (world.admin(), world.other());
    for way in ["inactive", "deleted"] {
        let old = world.live(&ours, "room").await;
        ours.add(&old, "www", "A", "192.0.2.1").await;
        let serial = world.serial(&old.name).await;
        match way {
            "inactive" => drop(ours.patch(&old.path(), json!({"status": "inactive"})).await.ok()),
            _ => drop(ours.delete(&old.path()).await.expect(204)),
        }
        let claim = theirs.create_domain(&old.name).await;
        theirs.add(&claim, "www", "A", "192.0.2.66").await;
        assert_eq!(theirs.check(&claim).await["is_valid"], false, "not without a proof");
        world.publish_text(&old.name, claim.challenge()).await;
        assert_eq!(theirs.check(&claim).await["is_valid"], true);
        world.served(&old.at("www"), RecordType::A, &["192.0.2.66"]).await;
        assert!(world.serial(&old.name).await > serial, "secondaries see the new zone as newer");

        let back = match way {
            "inactive" => ours.patch(&old.path(), json!({"status": "active"})).await,
            _ => ours.post_empty(&old.restore()).await,
        };
        back.refused(409, "domain_claimed");
        assert_eq!(ours.get(&old.even_deleted()).await.ok()["status"], way);
        let kept = content_in_history(world, &old).await;
        let www = kept.iter().find(|change| change["name"] == old.at("www")).expect("its record");
        assert_eq!(www["before"]["records"][0]["content"], "192.0.2.1");
        assert!(kept.iter().any(|change| change["type"] == "SOA") && kept.len() == 3, "{kept:?}");
        let told = world.audit(&format!("resource_id={}&action=domain.update", old.id)).await;
        let last = told.last().expect("an entry");
        assert_eq!((&last["actor_type"], &last["details"]["after"]["holds_name"]), (&"system".into(), &false.into()));

        ours.delete(&format!("{}?hard=true", old.path())).await.expect(204);
        world.served(&old.at("www"), RecordType::A, &["192.0.2.66"]).await;
        assert_eq!(theirs.domain(&claim).await["status"], "active");
    }
}

async fn a_withdrawn_domain_holds_its_name_against_claims_without_proof() {
    let world = World::shared().await;
    let old = world.live(&world.other(), "held").await;
    world.other().delete(&old.path()).await.expect(204);
    let claim = world.platform().create_domain(&old.name).await;
    assert_eq!(claim.body["status"], "pending_validation", "the bypass does not reach past it");
    assert_eq!(world.platform().check(&claim).await["is_valid"], false);
    assert_eq!(world.other().post_empty(&old.restore()).await.ok()["status"], "active");
    world.answers_with(&old.name, RecordType::SOA, ResponseCode::NoError).await;
}

async fn the_platforms_admin_decides_between_two_proven_claims() {
    let world = World::shared().await;
    let (ours, theirs, platform) = (world.admin(), world.other(), world.platform());
    let old = world.live(&ours, "transfer").await;
    ours.add(&old, "www", "A", "192.0.2.1").await;
    let claim = theirs.create_domain(&old.name).await;
    theirs.add(&claim, "www", "A", "192.0.2.66").await;
    let force = json!({"force_transfer": true});
    theirs.post(&claim.check(), force.clone()).await.refused(403, "permission_denied");
    let unproven = platform.post(&claim.check(), force.clone()).await.ok();
    assert_eq!(unproven["is_valid"], false, "even the platform's admin needs the claim's proof: {unproven}");
    world.served(&old.at("www"), RecordType::A, &["192.0.2.1"]).await;

    world.publish_text(&old.name, claim.challenge()).await;
    theirs.post_empty(&claim.check()).await.refused(409, "domain_claimed");
    platform.post(&claim.check(), json!({"force_transfer": false})).await.refused(409, "domain_claimed");
    let decided = platform.post(&claim.check(), force).await.ok();
    assert_eq!((&decided["is_valid"], &decided["message"]), (&true.into(), &"Domain validated".into()));
    world.served(&old.at("www"), RecordType::A, &["192.0.2.66"]).await;
    assert_eq!(theirs.domain(&claim).await["status"], "active");
    assert_eq!(ours.domain(&old).await["status"], "inactive");
    ours.patch(&old.path(), json!({"status": "active"})).await.refused(409, "domain_claimed");
    ours.try_add(&old, "new", "A", "192.0.2.2").await.refused(409, "domain_inactive");
    let kept = content_in_history(world, &old).await;
    assert!(kept.iter().any(|change| change["name"] == old.at("www")), "{kept:?}");
    let told = world.audit(&format!("resource_id={}&action=domain.update", old.id)).await;
    assert_eq!(told.len(), 2, "withdrawn, and made room: {told:?}");
    assert!(told.iter().all(|entry| entry["actor_type"] == "user"), "by the platform's admin: {told:?}");
}

async fn a_large_domain_makes_room_with_all_its_content_in_its_history() {
    const TEXTS: usize = 90;
    let world = World::shared().await;
    let (ours, theirs) = (world.admin(), world.other());
    let old = world.live(&ours, "large").await;
    let text = vec![format!("\"{}\"", "x".repeat(250)); 200].join(" ");
    for n in 0..TEXTS {
        ours.add(&old, &format!("t{n}"), "TXT", &text).await;
    }
    ours.delete(&old.path()).await.expect(204);
    let claim = proven_claim(world, &theirs, &old.name).await;
    assert_eq!(theirs.check(&claim).await["is_valid"], true);
    let kept = content_in_history(world, &old).await;
    assert_eq!(kept.iter().filter(|change| change["type"] == "TXT").count(), TEXTS);
    let sql = "SELECT COUNT(*) FROM zone_changes c JOIN zones z ON z.id = c.zone_id \
               WHERE z.name = ? AND z.displaced AND c.changes LIKE '%\"after\":null%'";
    let parts: i64 = sqlx::query_scalar(sql).bind(&old.name).fetch_one(&world.db).await.expect("count");
    assert!(parts > 1, "more than one intent can hold");
    let told = world.audit(&format!("resource_id={}&action=domain.update", old.id)).await;
    assert_eq!(told.len(), 1, "one step for its owner: {told:?}");
}

async fn below_a_signed_domain_a_name_needs_a_delegation() {
    let world = World::shared().await;
    let api = world.admin();
    let parent = world.live(&api, "signed").await;
    let key = json!({"keytype": "csk", "active": true, "algorithm": "ecdsa256"});
    let path = format!("/zones/{}./cryptokeys", parent.name);
    let made = world.pdns_request(reqwest::Method::POST, &path).json(&key).send().await.expect("an answer");
    assert_eq!(made.status(), 201);

    let name = parent.at("child");
    let body = json!({"name": name, "domain_type": "primary"});
    let detail = api.post("/domains/", body.clone()).await.refused(400, "delegation_missing");
    let told = detail.as_str().expect("a sentence");
    assert!(told.contains(&format!("{name}. NS ns1.scaidns-dev.test.")) && told.contains(&parent.name), "{told}");
    assert_eq!(api.get(&format!("/domains/?search={name}")).await.ok()["total"], 0, "nothing was made");
    for server in ["ns1.scaidns-dev.test.", "ns2.scaidns-dev.test."] {
        api.add(&parent, "child", "NS", server).await;
    }
    let child = Domain::new(api.post("/domains/", body).await.ok());
    assert_eq!(child.body["status"], "active");

    let theirs = world.other().create_domain(&parent.at("theirs")).await;
    world.publish(&theirs).await;
    world.other().post_empty(&theirs.check()).await.refused(400, "delegation_missing");
    api.add(&parent, "theirs", "NS", "ns1.scaidns-dev.test.").await;
    assert_eq!(world.other().check(&theirs).await["is_valid"], true);
}

async fn what_was_deleted_is_purged_when_its_time_is_over() {
    let world = World::builder("purge").replicas(1).env("DOMAIN_PURGE_AFTER", "3s").start().await;
    let api = world.admin();
    let (kept, back) = (world.live(&api, "kept").await, world.live(&api, "back").await);
    let (gone, claim) = (world.live(&api, "purged").await, world.pending(&api, "purged").await);
    api.add(&gone, "www", "A", "192.0.2.1").await;
    for domain in [&gone, &claim, &back] {
        api.delete(&domain.path()).await.expect(204);
    }
    api.post_empty(&back.restore()).await.ok();
    for domain in [&gone, &claim] {
        eventually_within(Duration::from_secs(60), "it is purged", || async {
            let answer = api.get(&domain.even_deleted()).await;
            if answer.status == 404 { Ok(()) } else { Err(answer.text) }
        })
        .await;
        api.post_empty(&domain.restore()).await.refused(404, "not_found");
        assert_eq!(world.pdns_get(&format!("/zones/{}.", domain.name)).await.status(), 404);
        let purges = world.audit(&format!("resource_id={}&action=domain.purge", domain.id)).await;
        assert_eq!(purges.len(), 1);
        assert_eq!(purges[0]["actor_type"], "system");
    }
    for domain in [&kept, &back] {
        assert_eq!(api.domain(domain).await["status"], "active");
        world.answers_with(&domain.name, RecordType::SOA, ResponseCode::NoError).await;
    }
    world.stop().await;
}
