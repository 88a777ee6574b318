//! What a template's records become in a domain.

use hickory_proto::rr::RecordType;
use scaidns::dev::scaikey::directory;
use serde_json::{Value, json};

use crate::support::{Api, Trials, World, eventually, trials};

use super::{application, path, revision, shown, system, template};

pub fn tests() -> Trials {
    trials![
        a_templates_records_are_one_change,
        values_that_do_not_fit_are_named_and_nothing_is_written,
        what_clashes_is_left_out_and_told,
        a_preview_says_the_same_and_writes_nothing,
        a_template_that_touches_more_than_a_grant_covers_is_refused,
        the_mail_template_serves_mail_and_the_parked_domain_none,
    ]
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
