//! Many records deleted in one call.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::support::{Api, Domain, Trials, World, trials};

pub fn tests() -> Trials {
    trials![
        many_records_go_in_one_change,
        nothing_goes_where_one_of_them_cannot,
        what_can_go_goes_where_the_rest_may_fail,
        only_asking_deletes_nothing,
        too_many_and_none_are_refused,
    ]
}

fn path(domain: &Domain) -> String {
    format!("{}/bulk-delete", domain.records())
}

async fn ids(api: &Api, domain: &Domain, number: usize) -> Vec<String> {
    let records: Vec<Value> =
        (0..number).map(|n| json!({"name": format!("h{n}"), "type": "A", "content": "192.0.2.1"})).collect();
    let made = api.post(&format!("{}/bulk", domain.records()), json!({ "records": records })).await.ok();
    let made = made["created"].as_array().expect("created");
    made.iter().map(|record| record["id"].as_str().expect("an id").to_owned()).collect()
}

async fn revision(api: &Api, domain: &Domain) -> u64 {
    api.get(&domain.changes()).await.ok()["data"][0]["revision"].as_u64().expect("a revision")
}

async fn many_records_go_in_one_change() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "bulk-delete").await;
    let ids = ids(&api, &domain, 500).await;
    let kept = api.add(&domain, "kept", "A", "192.0.2.2").await;
    let (before, serial) = (revision(&api, &domain).await, world.serial(&domain.name).await);
    let answer = api.post(&path(&domain), json!({ "record_ids": ids })).await.ok();
    assert_eq!((&answer["total_deleted"], &answer["total_errors"]), (&500.into(), &0.into()));
    let deleted = answer["deleted"].as_array().expect("deleted");
    assert!(deleted.iter().zip(&ids).all(|(record, id)| record["id"] == id.as_str()), "in the order they were sent");
    assert_eq!(deleted[7]["display_name"], "h7");
    assert_eq!(api.records(&domain).await, [kept]);
    world.answers_with(&domain.at("h499"), RecordType::A, ResponseCode::NXDomain).await;
    assert_eq!(revision(&api, &domain).await, before + 1);
    assert_eq!(world.serial(&domain.name).await, serial + 1);
    let entries = world.audit(&format!("resource_id={}&action=record.bulk_delete", domain.id)).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["details"]["before"].as_array().map(Vec::len), Some(500));
    assert_eq!(entries[0]["details"]["after"], Value::Null);
}

async fn nothing_goes_where_one_of_them_cannot() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "bulk-keep").await;
    let mut sent = ids(&api, &domain, 2).await;
    let soa = api.records_where(&domain, "include_system=true&type=SOA").await.remove(0);
    sent.insert(1, soa["id"].as_str().expect("an id").to_owned());
    sent.push("r_01jd0000000000000000000000".into());
    sent.push("no-id-at-all".into());
    sent.push(sent[0].clone());
    let detail = api.post(&path(&domain), json!({ "record_ids": sent })).await.refused(400, "several_errors");
    let places: Vec<_> = detail["errors"].as_array().expect("errors").iter().map(|error| &error["index"]).collect();
    assert_eq!(places, [1, 3, 4, 5], "{detail}");
    assert_eq!(detail["errors"][1]["message"], "Record not found");
    assert_eq!(api.records(&domain).await.len(), 2);
}

async fn what_can_go_goes_where_the_rest_may_fail() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "bulk-some").await;
    let mut sent = ids(&api, &domain, 2).await;
    sent.insert(1, "r_01jd0000000000000000000000".into());
    let body = json!({"record_ids": sent, "continue_on_error": true});
    let answer = api.post(&path(&domain), body.clone()).await.ok();
    assert_eq!((&answer["total_deleted"], &answer["total_errors"]), (&2.into(), &1.into()));
    assert_eq!(answer["errors"][0], json!({"index": 1, "record_id": sent[1], "detail": "Record not found"}));
    assert_eq!(api.records(&domain).await.len(), 0);
    let before = revision(&api, &domain).await;
    let again = api.post(&path(&domain), body).await.ok();
    assert_eq!((&again["total_deleted"], &again["total_errors"]), (&0.into(), &3.into()));
    assert_eq!(revision(&api, &domain).await, before, "nothing changed");
}

async fn only_asking_deletes_nothing() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "bulk-ask").await;
    let sent = ids(&api, &domain, 3).await;
    let before = revision(&api, &domain).await;
    let asked = api.post(&format!("{}?dry_run=true", path(&domain)), json!({ "record_ids": sent })).await.ok();
    assert_eq!((&asked["total_deleted"], &asked["applied"]), (&3.into(), &false.into()));
    assert_eq!((api.records(&domain).await.len(), revision(&api, &domain).await), (3, before));
}

async fn too_many_and_none_are_refused() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "bulk-bounds").await;
    let many = vec!["r_01jd0000000000000000000000"; 501];
    api.post(&path(&domain), json!({ "record_ids": many })).await.refused(413, "too_many_records");
    for body in [json!({"record_ids": []}), json!({"record_ids": [1]}), json!({}), json!({"record_ids": "r_"})] {
        api.post(&path(&domain), body).await.refused(422, "validation_error");
    }
}
