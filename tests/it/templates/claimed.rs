//! Domains that are claimed with a template, which is applied when they go live.

use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::support::{Api, Domain, Trials, World, trials};

use super::{path, shown, system, template};

pub fn tests() -> Trials {
    trials![
        a_domain_claimed_with_a_template_goes_live_with_its_records,
        what_clashes_when_a_domain_goes_live_is_told_with_it,
        checks_in_parallel_apply_a_claims_template_once,
        a_claim_with_a_template_that_cannot_be_is_not_made,
    ]
}

/// A claim with a template.
async fn claim(api: &Api, name: &str, template: &Value, variables: Value) -> Domain {
    let body = json!({"name": name, "domain_type": "primary", "template_id": template["id"],
        "template_variables": variables});
    Domain::new(api.post("/domains/", body).await.ok())
}

async fn a_domain_claimed_with_a_template_goes_live_with_its_records() {
    let world = World::shared().await;
    let api = world.admin();
    let records = json!([{"name": "www", "type": "A", "content": "${address}"},
        {"name": "@", "type": "TXT", "content": "${default_ttl}"}]);
    let made = template(world, &api, records, json!([{"name": "address"}])).await;
    let domain = claim(&api, &world.fresh("claimed"), &made, json!({"address": "192.0.2.7"})).await;
    let waiting = json!({"template_id": made["id"], "name": made["name"], "applied_at": null, "skipped_records": []});
    assert_eq!(domain.body["template"], waiting);
    assert_eq!(api.records(&domain).await.len(), 0, "not before it is proven");
    // what becomes of the template is nothing to the claim; the domain's own settings are
    api.patch(&path(&made), json!({"records": [{"name": "x", "type": "A", "content": "${address}"}]})).await.ok();
    api.delete(&path(&made)).await.expect(204);
    api.patch(&domain.path(), json!({"default_ttl": 900})).await.ok();
    world.publish(&domain).await;
    assert_eq!(api.check(&domain).await["is_valid"], true);
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.7"]).await;
    world.served(&domain.name, RecordType::TXT, &["900"]).await;
    assert_eq!(world.dns(&domain.at("www"), RecordType::A).await.ttl(), 900);
    let shown = api.domain(&domain).await;
    assert!(shown["template"]["applied_at"].is_string(), "{shown}");
    assert_eq!(shown["template"]["skipped_records"], json!([]));
    let entries = world.audit(&format!("resource_id={}&action=record.bulk_create", domain.id)).await;
    assert_eq!(entries.len(), 1, "{entries:?}");

    // one that needs no proof is live, with its records, when it is answered
    let child = claim(&api, &domain.at("child"), &system(&api, "parked-domain").await, json!({})).await;
    assert_eq!(child.body["status"], "active");
    assert!(child.body["template"]["applied_at"].is_string(), "{}", child.body);
    world.served(&child.name, RecordType::MX, &["0 ."]).await;
}

async fn what_clashes_when_a_domain_goes_live_is_told_with_it() {
    let world = World::shared().await;
    let api = world.admin();
    let records = json!([
        {"name": "www", "type": "A", "content": "192.0.2.7"},
        {"name": "same", "type": "A", "content": "192.0.2.8"},
        {"name": "@", "type": "A", "content": "192.0.2.9"},
    ]);
    let made = template(world, &api, records, json!([])).await;
    let domain = claim(&api, &world.fresh("clashing"), &made, json!({})).await;
    api.add(&domain, "www", "CNAME", "elsewhere.example.").await;
    api.add(&domain, "same", "A", "192.0.2.8").await;
    world.publish(&domain).await;
    assert_eq!(api.check(&domain).await["is_valid"], true);
    world.served(&domain.name, RecordType::A, &["192.0.2.9"]).await;
    let told = api.domain(&domain).await["template"].clone();
    assert_eq!(shown(&told["skipped_records"]), ["www A 192.0.2.7"], "what stands there anyway is no loss: {told}");
    assert_eq!(told["skipped_records"][0]["reason"], "Record conflicts with existing entries");
    // it was applied once, and is not again
    let path = domain.record(api.records_where(&domain, "name=same").await[0]["id"].as_str().expect("an id"));
    api.delete(&path).await.expect(204);
    assert_eq!(api.check(&domain).await["is_valid"], true);
    assert_eq!(api.records_where(&domain, "name=same").await.len(), 0);
}

async fn checks_in_parallel_apply_a_claims_template_once() {
    let world = World::shared().await;
    let api = world.admin();
    let parked = system(&api, "parked-domain").await;
    let domain = claim(&api, &world.fresh("checked"), &parked, json!({})).await;
    world.publish(&domain).await;
    let checks = (0..6).map(|n| {
        let api = Api::at(&api, &world.urls[n % 2]);
        let path = domain.check();
        async move { api.post_empty(&path).await }
    });
    let answers = futures::future::join_all(checks).await;
    assert!(answers.iter().any(|answer| answer.body["is_valid"] == true), "{answers:?}");
    world.served(&domain.name, RecordType::MX, &["0 ."]).await;
    assert_eq!(api.records(&domain).await.len(), 4);
    assert_eq!(api.domain(&domain).await["template"]["skipped_records"], json!([]));
    let entries = world.audit(&format!("resource_id={}&action=record.bulk_create", domain.id)).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
}

async fn a_claim_with_a_template_that_cannot_be_is_not_made() {
    let world = World::shared().await;
    let api = world.admin();
    let records = json!([{"name": "${host}", "type": "A", "content": "192.0.2.7"}]);
    let made = template(world, &api, records, json!([{"name": "host"}])).await;
    let name = world.fresh("unmade");
    let body = |template: &Value, variables: Value, kind: &str| json!({"name": name, "domain_type": kind, "template_id": template, "template_variables": variables});
    let missing = body(&made["id"], json!({}), "primary");
    let detail = api.post("/domains/", missing).await.refused(422, "validation_error");
    assert_eq!(detail[0]["loc"], json!(["body", "template_variables", "host"]));
    let wrong = body(&made["id"], json!({"host": "a..b"}), "primary");
    let detail = api.post("/domains/", wrong).await.refused(400, "several_errors");
    assert_eq!((&detail["errors"][0]["index"], &detail["errors"][0]["field"]), (&json!(0), &json!("name")));
    let absent = body(&json!("tpl_01jd0000000000000000000000"), json!({}), "primary");
    api.post("/domains/", absent).await.refused(404, "not_found");
    world
        .other()
        .post("/domains/", body(&made["id"], json!({"host": "www"}), "primary"))
        .await
        .refused(404, "not_found");
    let mut secondary = body(&made["id"], json!({"host": "www"}), "secondary");
    secondary["masters"] = json!(["192.0.2.1"]);
    secondary["name"] = json!(world.fresh("unmade"));
    let answer = api.post("/domains/", secondary).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let alone = json!({"name": name, "domain_type": "primary", "template_variables": {}});
    api.post("/domains/", alone).await.refused(422, "validation_error");
    let found = api.get(&format!("/domains/?search={name}")).await.ok();
    assert_eq!(found["total"], 0, "{found}");
}
