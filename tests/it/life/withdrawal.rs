//! Deletion that can be taken back, and withdrawal below another tenant's domain.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::support::{Api, Domain, Trials, World, trials};

pub fn tests() -> Trials {
    trials![
        a_deleted_domain_is_refused_at_once_and_comes_back_as_it_was,
        a_deleted_domain_is_listed_only_where_asked_for,
        a_withdrawn_domain_is_restored_as_withdrawn,
        a_deleted_claim_comes_back_with_its_records_and_its_challenge,
        a_deleted_claim_does_not_stand_in_anothers_way,
        a_deleted_domain_can_be_removed_for_good,
        deleting_and_restoring_at_once_leaves_one_truth,
        below_ones_own_domain_the_parent_answers,
        below_anothers_domain_nothing_is_left_to_the_parent,
    ]
}

async fn statuses(world: &World, domain: &Domain, action: &str) -> Vec<(Value, Value)> {
    let entries = world.audit(&format!("resource_id={}&action={action}", domain.id)).await;
    let status = |entry: &Value, side: &str| entry["details"][side]["status"].clone();
    entries.iter().map(|entry| (status(entry, "before"), status(entry, "after"))).collect()
}

async fn a_deleted_domain_is_refused_at_once_and_comes_back_as_it_was() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "deleted").await;
    let record = api.add(&domain, "www", "A", "192.0.2.1").await;
    let hidden = json!({"name": "off", "type": "A", "content": "192.0.2.2", "disabled": true});
    api.post(&domain.records(), hidden).await.ok();
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1"]).await;
    let serial = world.serial(&domain.name).await;
    let records = api.records(&domain).await;

    let answer = api.delete(&domain.path()).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert_eq!(world.dns(&domain.at("www"), RecordType::A).await.code, ResponseCode::Refused, "at once");
    assert_eq!(world.dns(&domain.name, RecordType::SOA).await.code, ResponseCode::Refused);
    for path in [domain.path(), domain.records(), domain.validation()] {
        api.get(&path).await.refused(404, "not_found");
    }
    let shown = api.get(&domain.even_deleted()).await.ok();
    assert_eq!(shown["status"], "deleted");
    assert!(shown["deleted_at"].as_str().is_some_and(|time| time.ends_with('Z')), "{shown}");
    api.patch(&domain.path(), json!({"status": "active"})).await.refused(404, "not_found");
    api.delete(&domain.path()).await.refused(404, "not_found");
    api.post_empty(&domain.check()).await.refused(404, "not_found");
    api.try_add(&domain, "new", "A", "192.0.2.3").await.refused(409, "domain_inactive");
    let id = record["id"].as_str().expect("id");
    api.delete(&domain.record(id)).await.refused(409, "domain_inactive");
    let again = json!({"name": domain.name, "domain_type": "primary"});
    api.post("/domains/", again).await.refused(409, "domain_exists");

    let restored = api.post_empty(&domain.restore()).await.ok();
    assert_eq!((&restored["status"], &restored["deleted_at"]), (&"active".into(), &Value::Null));
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1"]).await;
    assert!(world.dns(&domain.at("off"), RecordType::A).await.answers.is_empty());
    assert!(world.serial(&domain.name).await > serial);
    assert_eq!(api.records(&domain).await, records, "ids, flags and times");
    api.post_empty(&domain.restore()).await.refused(409, "domain_not_deleted");
    assert_eq!(statuses(world, &domain, "domain.delete").await, [("active".into(), "deleted".into())]);
    assert_eq!(statuses(world, &domain, "domain.restore").await, [("deleted".into(), "active".into())]);
}

async fn a_deleted_domain_is_listed_only_where_asked_for() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "unlisted").await;
    api.delete(&domain.path()).await.expect(204);
    for (query, total) in [("", 0), ("&include_deleted=true", 1), ("&status=deleted", 1), ("&status=active", 0)] {
        let list = api.get(&format!("/domains/?search={}{query}", domain.name)).await.ok();
        assert_eq!(list["total"], total, "{query}");
        assert_eq!(list["data"].as_array().map(Vec::len), Some(total), "{query}");
    }
    world.other().get(&domain.even_deleted()).await.refused(404, "not_found");
    world.other().post_empty(&domain.restore()).await.refused(404, "not_found");
}

async fn a_withdrawn_domain_is_restored_as_withdrawn() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "asleep").await;
    api.patch(&domain.path(), json!({"status": "inactive"})).await.ok();
    api.delete(&domain.path()).await.expect(204);
    assert_eq!(api.get(&domain.even_deleted()).await.ok()["status"], "deleted");
    assert_eq!(api.post_empty(&domain.restore()).await.ok()["status"], "inactive");
    assert_eq!(world.dns(&domain.name, RecordType::SOA).await.code, ResponseCode::Refused);
    api.patch(&domain.path(), json!({"status": "active"})).await.ok();
    world.answers_with(&domain.name, RecordType::SOA, ResponseCode::NoError).await;
}

async fn a_deleted_claim_comes_back_with_its_records_and_its_challenge() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "unproven").await;
    api.add(&domain, "www", "A", "192.0.2.1").await;
    world.publish(&domain).await;
    api.delete(&domain.path()).await.expect(204);
    api.get(&domain.path()).await.refused(404, "not_found");
    api.post_empty(&domain.check()).await.refused(404, "not_found");
    api.try_add(&domain, "new", "A", "192.0.2.3").await.refused(409, "domain_inactive");
    let restored = api.post_empty(&domain.restore()).await.ok();
    assert_eq!(restored["status"], "pending_validation");
    assert_eq!(restored["validation"]["id"], domain.body["validation"]["id"]);
    assert_eq!(api.records(&domain).await.len(), 1);
    assert_eq!(api.check(&domain).await["is_valid"], true);
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1"]).await;
}

async fn a_deleted_claim_does_not_stand_in_anothers_way() {
    let world = World::shared().await;
    let ours = world.pending(&world.admin(), "dropped").await;
    world.admin().delete(&ours.path()).await.expect(204);
    let theirs = world.other().create_domain(&ours.name).await;
    world.publish(&theirs).await;
    assert_eq!(world.other().check(&theirs).await["is_valid"], true);
    assert_eq!(world.admin().post_empty(&ours.restore()).await.ok()["status"], "pending_validation");
    world.answers_with(&ours.name, RecordType::SOA, ResponseCode::NoError).await;
}

async fn a_deleted_domain_can_be_removed_for_good() {
    let world = World::shared().await;
    let api = world.admin();
    for domain in [world.live(&api, "final").await, world.pending(&api, "final").await] {
        api.delete(&domain.path()).await.expect(204);
        api.delete(&format!("{}?hard=true", domain.path())).await.expect(204);
        api.get(&domain.even_deleted()).await.refused(404, "not_found");
        api.post_empty(&domain.restore()).await.refused(404, "not_found");
        assert_eq!(world.pdns_get(&format!("/zones/{}.", domain.name)).await.status(), 404);
        assert_eq!(statuses(world, &domain, "domain.delete").await.len(), 2, "to be restored, and for good");
        let again = api.create_domain(&domain.name).await;
        assert_eq!(again.body["status"], "pending_validation");
    }
}

async fn deleting_and_restoring_at_once_leaves_one_truth() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "torn").await;
    api.add(&domain, "www", "A", "192.0.2.1").await;
    for round in 0..4 {
        let calls = (0..8).map(|n| {
            let api = world.admin().at(&world.urls[n % world.urls.len()]);
            let domain = domain.clone();
            async move {
                match n % 3 {
                    0 => api.delete(&domain.path()).await,
                    1 => api.post_empty(&domain.restore()).await,
                    _ => api.try_add(&domain, &format!("r{round}n{n}"), "A", "192.0.2.9").await,
                }
            }
        });
        for answer in futures::future::join_all(calls).await {
            let usual = [200, 204, 404, 409].contains(&answer.status);
            assert!(usual, "{} answered {}: {}", answer.request, answer.status, answer.text);
        }
        let status = api.get(&domain.even_deleted()).await.ok()["status"].clone();
        let code = world.dns(&domain.at("www"), RecordType::A).await.code;
        let expected = if status == "active" { ResponseCode::NoError } else { ResponseCode::Refused };
        assert_eq!(code, expected, "{status}");
    }
    let (deleted, restored) =
        (statuses(world, &domain, "domain.delete").await, statuses(world, &domain, "domain.restore").await);
    let is_deleted = api.get(&domain.even_deleted()).await.ok()["status"] == "deleted";
    assert_eq!(deleted.len(), restored.len() + usize::from(is_deleted), "every step once: {deleted:?} {restored:?}");
}

/// A domain of `api` below `parent`, proven where it has to be.
async fn live_below(world: &World, api: &Api, parent: &Domain, label: &str) -> Domain {
    let child = api.create_domain(&parent.at(label)).await;
    if child.body["status"] == "pending_validation" {
        world.publish(&child).await;
        assert_eq!(api.check(&child).await["is_valid"], true);
    }
    child
}

async fn below_ones_own_domain_the_parent_answers() {
    let world = World::shared().await;
    let api = world.admin();
    let parent = world.live(&api, "own-parent").await;
    api.add(&parent, "*", "A", "192.0.2.50").await;
    let child = live_below(world, &api, &parent, "sub").await;
    api.add(&child, "www", "A", "192.0.2.1").await;
    world.served(&child.at("www"), RecordType::A, &["192.0.2.1"]).await;
    api.delete(&child.path()).await.expect(204);
    world.served(&child.at("www"), RecordType::A, &["192.0.2.50"]).await;
    api.post_empty(&child.restore()).await.ok();
    world.served(&child.at("www"), RecordType::A, &["192.0.2.1"]).await;
}

async fn below_anothers_domain_nothing_is_left_to_the_parent() {
    let world = World::shared().await;
    let api = world.admin();
    let parent = world.live(&world.other(), "their-parent").await;
    world.other().add(&parent, "*", "A", "192.0.2.50").await;
    let child = live_below(world, &api, &parent, "sub").await;
    for (name, value, disabled) in [
        ("www", "192.0.2.1", false),
        ("www", "192.0.2.2", true),
        ("off", "192.0.2.3", true),
        ("a.b", "192.0.2.4", false),
    ] {
        let body = json!({"name": name, "type": "A", "content": value, "disabled": disabled});
        api.post(&child.records(), body).await.ok();
    }
    let records = api.records(&child).await;
    world.served(&child.at("www"), RecordType::A, &["192.0.2.1"]).await;
    let serial = world.serial(&child.name).await;

    for (away, back) in [("inactive", "active"), ("deleted", "restored")] {
        match away {
            "inactive" => drop(api.patch(&child.path(), json!({"status": "inactive"})).await.ok()),
            _ => drop(api.delete(&child.path()).await.expect(204)),
        }
        for name in ["www", "off", "a.b", "new"] {
            let answer = world.dns(&child.at(name), RecordType::A).await;
            assert!(answer.answers.is_empty(), "{away}: nothing is answered for {name}: {answer:?}");
            assert_ne!(answer.code, ResponseCode::Refused, "{away}: its SOA stays");
        }
        assert_eq!(world.dns_values(&child.name, RecordType::NS).await.len(), 2);
        if away == "inactive" {
            assert_eq!(api.records(&child).await, records, "its owner sees them as they are");
        }
        api.try_add(&child, "new", "A", "192.0.2.3").await.refused(409, "domain_inactive");
        match back {
            "active" => drop(api.patch(&child.path(), json!({"status": "active"})).await.ok()),
            _ => drop(api.post_empty(&child.restore()).await.ok()),
        }
        world.served(&child.at("www"), RecordType::A, &["192.0.2.1"]).await;
        world.served(&child.at("a.b"), RecordType::A, &["192.0.2.4"]).await;
        assert!(world.dns(&child.at("off"), RecordType::A).await.answers.is_empty());
        assert_eq!(api.records(&child).await, records, "exactly their own flags");
    }
    assert!(world.serial(&child.name).await > serial);
    let sql = "SELECT COUNT(*) FROM emptied_zones e JOIN zones z ON z.id = e.zone_id WHERE z.name = ?";
    let left: i64 = sqlx::query_scalar(sql).bind(&child.name).fetch_one(&world.db).await.expect("count");
    assert_eq!(left, 0);
}
