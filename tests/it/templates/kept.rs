//! Templates themselves: made, shown, changed, deleted; what is wrong with one; how many there may be.

use reqwest::Method;
use serde_json::{Value, json};

use crate::idempotency::lose_answers;
use crate::support::{Trials, World, trials};

use super::{application, path, revision, system, template};

pub fn tests() -> Trials {
    trials![
        a_template_is_made_shown_changed_and_deleted,
        system_templates_are_shared_and_nobody_changes_them,
        what_is_wrong_with_a_template_is_said_with_its_place,
        a_tenant_has_a_bounded_number_of_templates,
        a_request_that_is_sent_again_makes_nothing_twice,
    ]
}

async fn a_template_is_made_shown_changed_and_deleted() {
    let world = World::shared().await;
    let api = world.admin();
    let body = json!({
        "name": world.fresh("web"),
        "description": "A web server",
        "records": [{"name": "${host}", "type": "a", "content": "${address}", "ttl": 300}],
        "variables": [{"name": "address", "description": "Where it is", "required": true},
            {"name": "host", "default": "www"}],
    });
    let made = api.post("/templates", body.clone()).await.ok();
    assert!(made["id"].as_str().is_some_and(|id| id.starts_with("tpl_")), "{made}");
    let wanted = json!({
        "id": made["id"], "name": body["name"], "description": "A web server", "template_type": "custom",
        "records": [{"name": "${host}", "type": "A", "content": "${address}", "ttl": 300}],
        "variables": [{"name": "address", "description": "Where it is", "required": true},
            {"name": "host", "description": "", "required": false, "default": "www"}],
        "tenant_id": made["tenant_id"],
    });
    assert_eq!(made, wanted);
    assert_eq!(api.get(&path(&made)).await.ok(), made);
    let required = api.get(&format!("{}/required-variables", path(&made))).await.ok();
    assert_eq!(required, json!({"template_id": made["id"], "variables": [made["variables"][0]]}));
    api.post("/templates/", body.clone()).await.refused(409, "template_exists");

    let listed = api.get("/templates/?template_type=custom&page_size=100").await.ok();
    let listed = listed["data"].as_array().expect("a list");
    assert!(listed.contains(&made) && listed.iter().all(|one| one["template_type"] == "custom"));
    assert_eq!(api.get("/templates/?template_type=x").await.refused(400, "invalid")["field"], "template_type");
    let other = world.other();
    other.get(&path(&made)).await.refused(404, "not_found");
    other.patch(&path(&made), json!({"name": "mine"})).await.refused(404, "not_found");
    other.delete(&path(&made)).await.refused(404, "not_found");
    assert!(!other.get("/templates/?page_size=100").await.text.contains(made["id"].as_str().expect("an id")));

    let records = json!([{"name": "@", "type": "A", "content": "${address}"}]);
    let changed = api.patch(&path(&made), json!({"description": null, "records": records})).await.ok();
    assert_eq!((&changed["description"], &changed["records"][0]["name"]), (&Value::Null, &json!("@")));
    assert_eq!(changed["variables"], made["variables"]);
    // what is left must still fit together
    let alone = json!({"variables": []});
    let detail = api.patch(&path(&made), alone).await.refused(400, "several_errors");
    assert_eq!((&detail["errors"][0]["index"], &detail["errors"][0]["field"]), (&json!(0), &json!("content")));
    assert_eq!(api.get(&path(&made)).await.ok(), changed);
    api.patch(&path(&made), json!({"name": made["name"]})).await.ok();
    api.delete(&path(&made)).await.expect(204);
    api.get(&path(&made)).await.refused(404, "not_found");
    api.delete(&path(&made)).await.refused(404, "not_found");
    let id = made["id"].as_str().expect("an id");
    assert_eq!(world.actions(id).await, ["template.create", "template.update", "template.delete"]);
}

async fn system_templates_are_shared_and_nobody_changes_them() {
    let world = World::shared().await;
    let mail = system(&world.admin(), "mail").await;
    assert_eq!(system(&world.other(), "mail").await, mail);
    assert_eq!((&mail["tenant_id"], &mail["template_type"]), (&Value::Null, &json!("system")));
    for api in [world.admin(), world.platform()] {
        api.patch(&path(&mail), json!({"name": "mine"})).await.refused(403, "system_template");
        api.delete(&path(&mail)).await.refused(403, "system_template");
    }
    let built_in = world.admin().get("/templates/variables").await.ok();
    let names: Vec<&Value> = built_in["data"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["domain", "tenant", "default_ttl", "ns1", "ns2"]);
    assert_eq!(built_in["data"][3]["value"], "ns1.scaidns-dev.test");
    // one page after the other has each of them once
    let first = world.admin().get("/templates/?page_size=1").await.ok();
    let cursor = first["next_cursor"].as_str().expect("more");
    let next = world.admin().get(&format!("/templates/?page_size=1&cursor={cursor}")).await.ok();
    assert_ne!(first["data"][0]["id"], next["data"][0]["id"]);
}

async fn what_is_wrong_with_a_template_is_said_with_its_place() {
    let world = World::shared().await;
    let api = world.admin();
    let good = json!({"name": "@", "type": "A", "content": "192.0.2.1"});
    let with = |records: Value, variables: Value| json!({"name": "wrong", "records": records, "variables": variables});
    for (record, field) in [
        (json!({"name": "@", "type": "A", "content": "${address}"}), "content"),
        (json!({"name": "${ns9}", "type": "A", "content": "192.0.2.1"}), "name"),
        (json!({"name": "@", "type": "A", "content": "${"}), "content"),
        (json!({"name": "@", "type": "SPF", "content": "x"}), "type"),
        (json!({"name": "@", "type": "A", "content": "192.0.2.1", "ttl": 2_147_483_648_u32}), "ttl"),
    ] {
        let detail = api.post("/templates/", with(json!([good, record]), json!([]))).await;
        let detail = detail.refused(400, "several_errors");
        let error = &detail["errors"][0];
        assert_eq!((&error["index"], &error["field"]), (&json!(1), &json!(field)), "{detail}");
    }
    for (variables, loc) in [
        (json!([{"name": "domain"}]), json!(["body", "variables", "0", "name"])),
        (json!([{"name": "a"}, {"name": "a"}]), json!(["body", "variables", "1", "name"])),
    ] {
        let detail = api.post("/templates/", with(json!([good]), variables)).await.refused(422, "validation_error");
        assert_eq!(detail[0]["loc"], loc, "{detail}");
    }
    api.post("/templates/", with(json!([]), json!([]))).await.refused(422, "validation_error");
    api.post("/templates/", json!({"name": "wrong"})).await.refused(422, "validation_error");
    let wings = json!({"name": "wrong", "records": [good], "wings": 2});
    assert_eq!(
        api.post("/templates/", wings).await.refused(422, "validation_error")[0]["loc"],
        json!(["body", "wings"])
    );
    api.post("/templates/", with(json!(vec![good; 501]), json!([]))).await.refused(413, "too_many_records");
}

async fn a_tenant_has_a_bounded_number_of_templates() {
    let world = World::builder("templates-bound").replicas(1).start().await;
    let api = world.admin();
    let one = json!([{"name": "@", "type": "A", "content": "192.0.2.1"}]);
    let made = template(&world, &api, one.clone(), json!([])).await;
    let more = "INSERT INTO templates SELECT UNHEX(LPAD(HEX(seq + 1000), 32, '0')), tenant_id, CONCAT('more ', seq), \
                description, definition, created_at, updated_at FROM templates, seq_1_to_199";
    sqlx::query(more).execute(&world.db).await.expect("written");
    let body = json!({"name": "one too many", "records": one});
    api.post("/templates/", body.clone()).await.refused(403, "quota_exceeded");
    let (mut ids, mut cursor) = (std::collections::BTreeSet::new(), String::new());
    loop {
        let page = api.get(&format!("/templates/?page_size=60{cursor}")).await.ok();
        assert_eq!(page["total"], 202);
        ids.extend(page["data"].as_array().expect("a list").iter().map(|one| one["id"].to_string()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(ids.len(), 202, "each once");
    api.delete(&path(&made)).await.expect(204);
    api.post("/templates/", body).await.ok();
    world.stop().await;
}

async fn a_request_that_is_sent_again_makes_nothing_twice() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "repeated").await;
    let body =
        json!({"name": world.fresh("repeated"), "records": [{"name": "www", "type": "A", "content": "192.0.2.1"}]});
    let send = async |key: &str, body: &Value| {
        let key = format!("{key}-{}", domain.id);
        api.send(api.request(Method::POST, "/templates/").header("Idempotency-Key", key).json(body)).await
    };
    let (first, second) = (send("make", &body).await, send("make", &body).await);
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert_eq!((second.status, &second.text), (200, &first.text));
    let wanted = application(&first.body, &domain, json!({}));
    let (first, second) = (send("apply", &wanted).await, send("apply", &wanted).await);
    assert_eq!((second.status, &second.text), (200, &first.text));
    assert_eq!(first.body["total_created"], 1, "{first:?}");
    lose_answers(world, &domain).await;
    let third = send("apply", &wanted).await;
    assert_eq!((third.status, &third.text), (200, &first.text), "what was made is told, not made again");
    assert_eq!(revision(&api, &domain).await, 2);
}
