//! Templates: made, shown and changed; what their records become in a domain, and in one that is claimed with them.

use hickory_proto::rr::RecordType;
use reqwest::Method;
use scaidns::dev::scaikey::directory;
use serde_json::{Value, json};

use crate::idempotency::lose_answers;
use crate::support::{Api, Domain, Trials, World, eventually, trials};

pub fn tests() -> Trials {
    trials![
        a_template_is_made_shown_changed_and_deleted,
        system_templates_are_shared_and_nobody_changes_them,
        what_is_wrong_with_a_template_is_said_with_its_place,
        a_templates_records_are_one_change,
        values_that_do_not_fit_are_named_and_nothing_is_written,
        what_clashes_is_left_out_and_told,
        a_preview_says_the_same_and_writes_nothing,
        a_template_that_touches_more_than_a_grant_covers_is_refused,
        the_mail_template_serves_mail_and_the_parked_domain_none,
        a_domain_claimed_with_a_template_goes_live_with_its_records,
        what_clashes_when_a_domain_goes_live_is_told_with_it,
        checks_in_parallel_apply_a_claims_template_once,
        a_tenant_has_a_bounded_number_of_templates,
        a_claim_with_a_template_that_cannot_be_is_not_made,
        a_request_that_is_sent_again_makes_nothing_twice,
    ]
}

/// A template under a name of its own.
async fn template(world: &World, api: &Api, records: Value, variables: Value) -> Value {
    let body = json!({"name": world.fresh("template"), "records": records, "variables": variables});
    api.post("/templates/", body).await.ok()
}

fn path(template: &Value) -> String {
    format!("/templates/{}", template["id"].as_str().expect("an id"))
}

fn application(template: &Value, domain: &Domain, variables: Value) -> Value {
    json!({"template_id": template["id"], "domain_id": domain.id, "variables": variables})
}

/// `display_name type content`, in the order of the answer.
fn shown(records: &Value) -> Vec<String> {
    let text = |record: &Value, field: &str| record[field].as_str().expect("a text").to_owned();
    let name = |record: &Value| record["display_name"].as_str().map_or_else(|| text(record, "name"), str::to_owned);
    let records = records.as_array().expect("records").iter();
    records.map(|record| format!("{} {} {}", name(record), text(record, "type"), text(record, "content"))).collect()
}

async fn revision(api: &Api, domain: &Domain) -> u64 {
    api.get(&format!("{}?page_size=1", domain.changes())).await.ok()["total"].as_u64().expect("a number")
}

async fn system(api: &Api, name: &str) -> Value {
    let listed = api.get("/templates/?template_type=system").await.ok();
    let found = listed["data"].as_array().expect("a list").iter().find(|one| one["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {listed}")).clone()
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
        (json!([{"name": "a", "required": true, "default": "x"}]), json!(["body", "variables", "0", "default"])),
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

async fn a_templates_records_are_one_change() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "applied").await;
    let records = json!([
        {"name": "${host}", "type": "A", "content": "${address}", "ttl": 300},
        {"name": "${host}.${domain}", "type": "AAAA", "content": "${address6}"},
        {"name": "about", "type": "TXT", "content": "${domain} of ${tenant}, ${default_ttl} s, at ${ns2}"},
        {"name": "sub", "type": "NS", "content": "${ns1}."},
    ]);
    let variables = json!([{"name": "address"}, {"name": "address6", "default": "2001:db8::1"},
        {"name": "host", "default": "www"}]);
    let made = template(world, &api, records, variables).await;
    let (serial, before) = (world.serial(&domain.name).await, revision(&api, &domain).await);
    let done = api.post("/templates/", application(&made, &domain, json!({"address": "192.0.2.80"}))).await.ok();
    assert_eq!((&done["total_created"], &done["total_skipped"]), (&json!(4), &json!(0)), "{done}");
    let about = format!("about TXT \"{} of northwind, 3600 s, at ns2.scaidns-dev.test\"", domain.name);
    let wanted =
        ["www A 192.0.2.80", "www AAAA 2001:db8::1", about.as_str(), "sub NS ns1.scaidns-dev.test."].map(str::to_owned);
    assert_eq!(shown(&done["created_records"]), wanted);
    assert_eq!(done["created_records"][0]["ttl"], 300);
    assert_eq!((world.serial(&domain.name).await, revision(&api, &domain).await), (serial + 1, before + 1));
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.80"]).await;
    let entries = world.audit(&format!("resource_id={}&action=record.bulk_create", domain.id)).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["details"]["after"].as_array().map(Vec::len), Some(4), "{entries:?}");
    // the template is another tenant's to nobody, and no other's domain takes it
    world.other().post("/templates/", application(&made, &domain, json!({}))).await.refused(404, "not_found");
    let foreign = world.pending(&world.other(), "foreign").await;
    api.post("/templates/", application(&made, &foreign, json!({}))).await.refused(404, "not_found");
    world
        .platform()
        .post("/templates/", application(&made, &foreign, json!({"address": "192.0.2.1"})))
        .await
        .refused(404, "not_found");
}

async fn values_that_do_not_fit_are_named_and_nothing_is_written() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "values").await;
    let records = json!([
        {"name": "fine", "type": "A", "content": "192.0.2.1"},
        {"name": "${host}", "type": "A", "content": "${address}"},
        {"name": "text", "type": "TXT", "content": "\"${text}\""},
    ]);
    let variables = json!([{"name": "address"}, {"name": "host", "default": "www"}, {"name": "text", "default": "x"}]);
    let made = template(world, &api, records, variables).await;
    let wrong = json!({"adress": "192.0.2.1", "domain": "x"});
    let detail = api.post("/templates/", application(&made, &domain, wrong)).await.refused(422, "validation_error");
    let found: Vec<(&Value, &Value)> =
        detail.as_array().expect("a list").iter().map(|one| (&one["loc"][2], &one["type"])).collect();
    let kinds = [json!("value_error"), json!("missing")];
    let wanted = [(&json!("adress"), &kinds[0]), (&json!("domain"), &kinds[0]), (&json!("address"), &kinds[1])];
    assert_eq!(found, wanted);
    for (values, index, field) in [
        (json!({"address": "192.0.2.256"}), 1, "content"),
        (json!({"address": "192.0.2.1", "host": "a..b"}), 1, "name"),
        (json!({"address": "192.0.2.1", "host": "www.elsewhere.example."}), 1, "name"),
        (json!({"address": "192.0.2.1\n192.0.2.2"}), 1, "content"),
        (json!({"address": "${address}"}), 1, "content"),
        (json!({"address": "192.0.2.1", "text": "open\" \\"}), 2, "content"),
        // two of its records are one
        (json!({"address": "192.0.2.1", "host": "fine"}), 1, "content"),
    ] {
        for door in ["/templates/".to_owned(), "/templates/?dry_run=true".to_owned()] {
            let answer = api.post(&door, application(&made, &domain, values.clone())).await;
            let detail = answer.refused(400, "several_errors");
            let error = &detail["errors"][0];
            assert_eq!((&error["index"], &error["field"]), (&json!(index), &json!(field)), "{values}: {detail}");
            assert_eq!(detail["errors"].as_array().map(Vec::len), Some(1), "{detail}");
        }
    }
    assert_eq!(api.records(&domain).await.len(), 0);
    let typed = json!({"template_id": made["id"], "domain_id": domain.id, "variables": {"address": 1}});
    api.post("/templates/", typed).await.refused(422, "validation_error");
    let half = json!({"template_id": made["id"]});
    let detail = api.post("/templates/", half).await.refused(422, "validation_error");
    assert_eq!(detail[0]["loc"], json!(["body", "domain_id"]));
}

async fn what_clashes_is_left_out_and_told() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "clashes").await;
    let alias = api.add(&domain, "www", "CNAME", "elsewhere.example.").await;
    let there = api.add(&domain, "@", "A", "192.0.2.1").await;
    api.add(&domain, "sub", "NS", "ns.elsewhere.example.").await;
    let records = json!([
        {"name": "www", "type": "A", "content": "192.0.2.1"},
        {"name": "@", "type": "A", "content": "192.0.2.1"},
        {"name": "@", "type": "A", "content": "192.0.2.2"},
        {"name": "host.sub", "type": "A", "content": "192.0.2.3"},
        {"name": "sub", "type": "DS",
            "content": "60485 13 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A"},
    ]);
    let made = template(world, &api, records, json!([])).await;
    let done = api.post("/templates/", application(&made, &domain, json!({}))).await.ok();
    // a DS that cannot be by itself stands where the domain has the NS
    assert_eq!((&done["total_created"], &done["total_skipped"]), (&json!(2), &json!(3)), "{done}");
    assert_eq!(shown(&done["created_records"])[0], "@ A 192.0.2.2");
    let skipped = done["skipped_records"].as_array().expect("a list");
    assert_eq!(shown(&done["skipped_records"])[..2], ["www A 192.0.2.1".to_owned(), "@ A 192.0.2.1".to_owned()]);
    assert_eq!((&skipped[0]["conflicts"], &skipped[1]["conflicts"]), (&json!([alias["id"]]), &json!([there["id"]])));
    assert!(skipped.iter().all(|one| one["reason"].as_str().is_some_and(|reason| !reason.is_empty())), "{done}");
    assert_eq!(skipped[2]["field"], "name", "hidden by the delegation: {done}");
    // once more: all that could be stands there
    let again = api.post("/templates/", application(&made, &domain, json!({}))).await.ok();
    assert_eq!((&again["total_created"], &again["total_skipped"]), (&json!(0), &json!(5)));
}

async fn a_preview_says_the_same_and_writes_nothing() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "previewed").await;
    api.add(&domain, "www", "CNAME", "elsewhere.example.").await;
    let records = json!([{"name": "www", "type": "A", "content": "192.0.2.1"},
        {"name": "new", "type": "A", "content": "192.0.2.1"}]);
    let made = template(world, &api, records, json!([])).await;
    let before = (api.records(&domain).await, world.serial(&domain.name).await, revision(&api, &domain).await);
    let preview = format!("{}/preview/{}", path(&made), domain.id);
    for answer in [
        api.post_empty(&preview).await.ok(),
        api.post(&preview, json!({"variables": {}})).await.ok(),
        api.post("/templates/?dry_run=true", application(&made, &domain, json!({}))).await.ok(),
    ] {
        assert_eq!(answer["applied"], false);
        assert_eq!((&answer["total_created"], &answer["total_skipped"]), (&json!(1), &json!(1)), "{answer}");
        assert_eq!(shown(&answer["created_records"]), ["new A 192.0.2.1"]);
    }
    assert_eq!((api.records(&domain).await, world.serial(&domain.name).await, revision(&api, &domain).await), before);
    let unknown = api.post(&preview, json!({"variables": {"a": "x"}})).await.refused(422, "validation_error");
    assert_eq!(unknown[0]["loc"], json!(["body", "variables", "a"]));
    let dry = json!({"name": "dry", "records": [{"name": "@", "type": "A", "content": "192.0.2.1"}]});
    api.post("/templates/?dry_run=true", dry).await.refused(422, "validation_error");
}

async fn a_template_that_touches_more_than_a_grant_covers_is_refused() {
    let world = World::builder("templates-grants").replicas(1).start().await;
    let (admin, bob) = (world.admin_user(), world.user(directory::NORTHWIND_USER));
    let domain = world.pending(&admin, "granted").await;
    let role = json!({"name": "template reader", "permissions": ["templates:read"]});
    let role = admin.post("/roles/", role).await.ok();
    let assigned = json!({"assignee_type": "user", "assignee_id": directory::NORTHWIND_USER, "scope": "tenant"});
    admin.post(&format!("/roles/{}/assignments", role["id"].as_str().expect("an id")), assigned).await.ok();
    let grant = json!({"grant_type": "user", "grantee_id": directory::NORTHWIND_USER, "role": "record_editor",
        "record_pattern": "*.dev", "record_types": ["A"]});
    admin.post(&format!("{}/access-grants", domain.path()), grant).await.ok();
    eventually("the grant counts", || async {
        let answer = bob.get(&domain.records()).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    let records = json!([{"name": "a.${where}", "type": "A", "content": "192.0.2.1"},
        {"name": "b.dev", "type": "A", "content": "192.0.2.1"}]);
    let made = template(&world, &admin, records, json!([{"name": "where"}])).await;
    for door in ["/templates/", "/templates/?dry_run=true"] {
        let outside = application(&made, &domain, json!({"where": "live"}));
        assert_eq!(bob.post(door, outside).await.refused(403, "outside_grant")["field"], "name");
    }
    assert_eq!(admin.records(&domain).await.len(), 0);
    let done = bob.post("/templates/", application(&made, &domain, json!({"where": "dev"}))).await.ok();
    assert_eq!(done["total_created"], 2, "{done}");
    // who may read templates and no more changes none, and whoever may write a domain need not see them
    bob.delete(&path(&made)).await.refused(403, "permission_denied");
    bob.patch(&path(&made), json!({"name": "x"})).await.refused(403, "permission_denied");
    let key = json!({"name": "writer", "permission_source": "user", "permission_source_id": directory::NORTHWIND_ADMIN,
        "scopes": ["records:write", "domains:read"]});
    let key = admin.post("/api-keys/", key).await.ok();
    let key = Api::with_key(&world.urls[0], key["key"].as_str().expect("a key"));
    let wanted = application(&made, &domain, json!({"where": "dev"}));
    key.post("/templates/", wanted.clone()).await.refused(403, "permission_denied");
    let reader = json!({"name": "reader", "permission_source": "user",
        "permission_source_id": directory::NORTHWIND_ADMIN, "scopes": ["templates:read", "records:read", "domains:read"]});
    let reader = admin.post("/api-keys/", reader).await.ok();
    let reader = Api::with_key(&world.urls[0], reader["key"].as_str().expect("a key"));
    reader.post("/templates/", wanted).await.refused(403, "permission_denied");
    world.stop().await;
}

async fn the_mail_template_serves_mail_and_the_parked_domain_none() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "mail").await;
    let mail = system(&api, "mail").await;
    let required = api.get(&format!("{}/required-variables", path(&mail))).await.ok();
    assert_eq!(required["variables"][0]["name"], "dkim_public_key", "{required}");
    assert_eq!(required["variables"].as_array().map(Vec::len), Some(1));
    let values = json!({"dkim_public_key": "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        "dkim_key_type": "ed25519", "dmarc_policy": "quarantine"});
    let done = api.post("/templates/", application(&mail, &domain, values)).await.ok();
    assert_eq!((&done["total_created"], &done["total_skipped"]), (&json!(4), &json!(0)), "{done}");
    let warned: Vec<&Value> = done["created_records"].as_array().expect("a list").iter().collect();
    // the mail server has no address yet, and nothing else is to be remarked
    assert!(
        warned.iter().filter(|record| record["type"] != "MX").all(|record| record.get("warnings").is_none()),
        "{done}"
    );
    world.served(&domain.name, RecordType::MX, &[&format!("10 mail.{}.", domain.name)]).await;
    world.served(&domain.name, RecordType::TXT, &["v=spf1 mx ~all"]).await;
    let dmarc = format!("v=DMARC1; p=quarantine; rua=mailto:postmaster@{}", domain.name);
    world.served(&domain.at("_dmarc"), RecordType::TXT, &[&dmarc]).await;
    let key = "v=DKIM1; k=ed25519; p=MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    world.served(&domain.at("default._domainkey"), RecordType::TXT, &[key]).await;

    let parked = world.live(&api, "parked").await;
    let done =
        api.post("/templates/", application(&system(&api, "parked-domain").await, &parked, json!({}))).await.ok();
    assert_eq!((&done["total_created"], &done["total_skipped"]), (&json!(4), &json!(0)), "{done}");
    world.served(&parked.name, RecordType::MX, &["0 ."]).await;
    world.served(&parked.name, RecordType::TXT, &["v=spf1 -all"]).await;
    world.served(&parked.at("_dmarc"), RecordType::TXT, &["v=DMARC1; p=reject; sp=reject; adkim=s; aspf=s"]).await;
    world.served(&parked.at("any._domainkey"), RecordType::TXT, &["v=DKIM1; p="]).await;
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
