//! Many records in one call: one change, all of them or none, or each that can be.

use hickory_proto::rr::RecordType;
use scaidns::dev::scaikey::directory;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Domain, Trials, World, trials};

pub fn tests() -> Trials {
    trials![
        five_hundred_records_are_one_change_and_served,
        every_record_that_cannot_be_is_told_and_nothing_is_written,
        what_can_be_is_made_where_the_rest_may_fail,
        each_kind_of_failure_names_its_field,
        a_call_that_only_asks_writes_nothing,
        records_of_one_call_share_the_ttl_and_may_need_each_other,
        records_of_a_pending_domain_are_kept_together,
        too_many_none_and_malformed_ones_are_refused,
        only_those_who_may_create_records_there_do,
        calls_at_once_through_two_replicas_lose_nothing,
    ]
}

fn path(domain: &Domain) -> String {
    format!("{}/bulk", domain.records())
}

/// `name type content`.
fn record(line: &str) -> Value {
    let mut parts = line.splitn(3, ' ');
    let mut next = || parts.next().unwrap_or_default();
    json!({"name": next(), "type": next(), "content": next()})
}

fn records(lines: &[&str]) -> Value {
    lines.iter().map(|line| record(line)).collect()
}

async fn bulk(api: &Api, domain: &Domain, lines: &[&str]) -> Answer {
    api.post(&path(domain), json!({ "records": records(lines) })).await
}

async fn bulk_each(api: &Api, domain: &Domain, records: Value) -> Value {
    api.post(&path(domain), json!({"records": records, "continue_on_error": true})).await.ok()
}

/// How many changes its history has, and the serial that is served.
async fn state(world: &World, domain: &Domain) -> (i64, u32) {
    let changes = "SELECT COUNT(*) FROM zone_changes c JOIN zones z ON z.id = c.zone_id WHERE z.name = ?";
    let changes = sqlx::query_scalar(changes).bind(&domain.name).fetch_one(&world.db).await.expect("a count");
    (changes, world.serial(&domain.name).await)
}

async fn entries(world: &World, domain: &Domain) -> Vec<Value> {
    world.audit(&format!("resource_id={}&action=record.bulk_create", domain.id)).await
}

async fn five_hundred_records_are_one_change_and_served() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "bulk").await;
    let (changes, serial) = state(world, &domain).await;
    let sent: Vec<String> = (0..500)
        .map(|n| match n % 5 {
            4 => format!("txt{} TXT value {n}", n % 50),
            _ => format!("h{n} A 10.1.{}.{}", n / 250, n % 250),
        })
        .collect();
    let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    let answer = bulk(&api, &domain, &sent).await.ok();
    assert_eq!((&answer["total_created"], &answer["total_errors"]), (&500.into(), &0.into()));
    assert_eq!((&answer["errors"], answer.get("applied")), (&json!([]), None));
    let created = answer["created"].as_array().expect("created");
    assert_eq!(created.len(), 500);
    assert_eq!(created[1]["name"], domain.at("h1"), "in the order they were sent");
    assert_eq!(created[4]["content"], "\"value 4\"", "in canonical form");

    world.served(&domain.at("h498"), RecordType::A, &["10.1.1.248"]).await;
    world
        .served(
            &domain.at("txt4"),
            RecordType::TXT,
            &[
                "value 104",
                "value 154",
                "value 204",
                "value 254",
                "value 304",
                "value 354",
                "value 4",
                "value 404",
                "value 454",
                "value 54",
            ],
        )
        .await;
    assert_eq!(state(world, &domain).await, (changes + 1, serial + 1), "one change, one step of the serial");
    assert_eq!(api.domain(&domain).await["record_count"], 500);

    let mut listed = api.records(&domain).await;
    let by_id = |record: &Value| record["id"].as_str().expect("an id").to_owned();
    let mut made = created.clone();
    listed.sort_by_key(by_id);
    made.sort_by_key(by_id);
    assert_eq!(listed, made, "as the list shows them");

    let entries = entries(world, &domain).await;
    assert_eq!(entries.len(), 1, "one entry for the call");
    assert_eq!((&entries[0]["resource_type"], &entries[0]["resource_name"]), (&"domain".into(), &json!(domain.name)));
    assert_eq!(entries[0]["details"]["before"], Value::Null);
    let after = entries[0]["details"]["after"].as_array().expect("the records");
    assert_eq!(after.len(), 500);
    for (entry, created) in after.iter().zip(created) {
        for field in ["id", "name", "type", "content", "ttl", "disabled"] {
            assert_eq!(entry[field], created[field]);
        }
    }
    assert_eq!(world.actions(created[0]["id"].as_str().expect("an id")).await, Vec::<String>::new());
}

async fn every_record_that_cannot_be_is_told_and_nothing_is_written() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "bulk-none").await;
    api.add(&domain, "www", "A", "192.0.2.1").await;
    let before = (state(world, &domain).await, api.records(&domain).await);
    let sent = ["good A 192.0.2.2", "bad A 192.0.2.300", "www CNAME a.example.", "also TXT good", "x..y A 192.0.2.3"];
    let detail = bulk(&api, &domain, &sent).await.refused(400, "several_errors");
    assert_eq!(detail["message"], "3 of 5 records cannot be created; nothing was written");
    let errors = detail["errors"].as_array().expect("errors");
    let found: Vec<(&Value, &Value)> = errors.iter().map(|error| (&error["index"], &error["field"])).collect();
    let wanted = [(json!(1), json!("content")), (json!(2), json!("content")), (json!(4), json!("name"))];
    assert_eq!(found, wanted.iter().map(|(index, field)| (index, field)).collect::<Vec<_>>());
    for error in errors {
        let index = error["index"].as_u64().expect("an index") as usize;
        assert_eq!(error["record"], record(sent[index]), "as it was sent");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
    }
    assert_eq!(errors[1]["message"], "Record conflicts with existing entries");
    assert_eq!((state(world, &domain).await, api.records(&domain).await), before);
    assert_eq!(entries(world, &domain).await.len(), 0);

    let alone = bulk(&api, &domain, &["www A 192.0.2.1"]).await.refused(400, "several_errors");
    assert_eq!(alone["errors"][0]["index"], 0, "one bad record alone has the same form");
}

async fn what_can_be_is_made_where_the_rest_may_fail() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "bulk-some").await;
    let standing = api.add(&domain, "www", "A", "192.0.2.1").await;
    let before = state(world, &domain).await;
    let sent = json!([
        {"name": "one", "type": "a", "content": " 192.0.2.2 ", "ttl": 30},
        {"name": "www", "type": "CNAME", "content": "a.example."},
        {"name": "two", "type": "CNAME", "content": "a.example."},
        {"name": "two", "type": "TXT", "content": "beside it"},
        {"name": "no content", "type": "A"},
        "not even an object",
        {"name": "one", "type": "NOSUCH", "content": "x"},
        {"name": "three", "type": "AAAA", "content": "2001:DB8::1", "disabled": true},
    ]);
    let answer = bulk_each(&api, &domain, sent.clone()).await;
    assert_eq!((&answer["total_created"], &answer["total_errors"]), (&3.into(), &5.into()));
    let names: Vec<&Value> =
        answer["created"].as_array().expect("created").iter().map(|one| &one["display_name"]).collect();
    assert_eq!(names, ["one", "two", "three"]);
    assert_eq!(answer["created"][0]["warnings"][0]["field"], "ttl", "warnings are kept");
    assert_eq!(answer["created"][2]["disabled"], true);
    let errors = answer["errors"].as_array().expect("errors");
    let found: Vec<u64> = errors.iter().filter_map(|error| error["index"].as_u64()).collect();
    assert_eq!(found, [1, 3, 4, 5, 6]);
    for error in errors {
        assert_eq!(error["record"], sent[error["index"].as_u64().expect("an index") as usize], "as it was sent");
    }
    // the detail is that of the same record sent alone
    assert_eq!(errors[0]["detail"], api.post(&domain.records(), sent[1].clone()).await.refused(409, "record_conflict"));
    assert_eq!(errors[0]["detail"]["conflicts"], json!([standing["id"]]));
    assert_eq!(errors[1]["detail"]["conflicts"], json!([answer["created"][1]["id"]]), "made by this very call");
    assert_eq!(errors[2]["detail"][0]["loc"], json!(["body", "records", "4", "content"]));
    assert_eq!(errors[4]["detail"]["field"], "type");
    assert_eq!(state(world, &domain).await, (before.0 + 1, before.1 + 1), "the good ones are one change");
    assert_eq!(api.records(&domain).await.len(), 4);
    let entries = entries(world, &domain).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["details"]["after"].as_array().map(Vec::len), Some(3));

    let none = bulk_each(&api, &domain, records(&["www CNAME a.example.", "bad A x"])).await;
    assert_eq!((&none["created"], &none["total_errors"]), (&json!([]), &2.into()));
    assert_eq!(state(world, &domain).await, (before.0 + 1, before.1 + 1), "nothing made, nothing changed");
}

async fn each_kind_of_failure_names_its_field() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "bulk-fields").await;
    api.add(&domain, "sub", "NS", "ns.elsewhere.test.").await;
    let mut sent = vec![
        (record("a..b A 192.0.2.1"), "name"),
        (record("www.elsewhere.test. A 192.0.2.1"), "name"),
        (record("www.sub TXT hidden"), "name"),
        (record("www NOSUCH x"), "type"),
        (record("www A x"), "content"),
        (record("mail MX mail"), "content"),
        (record("same TXT one"), ""),
        (record("same TXT one"), "content"),
        (record("@ CNAME a.example."), "name"),
    ];
    sent.push((json!({"name": "www", "type": "A", "content": "192.0.2.1", "ttl": 2_147_483_648_u32}), "ttl"));
    let bodies: Vec<&Value> = sent.iter().map(|(record, _)| record).collect();
    let answer = api.post(&path(&domain), json!({ "records": bodies })).await.refused(400, "several_errors");
    let errors = answer["errors"].as_array().expect("errors");
    let wanted: Vec<(usize, &str)> = sent
        .iter()
        .enumerate()
        .map(|(index, (_, field))| (index, *field))
        .filter(|(_, field)| !field.is_empty())
        .collect();
    let found: Vec<(usize, &str)> = errors
        .iter()
        .map(|error| (error["index"].as_u64().expect("an index") as usize, error["field"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(found, wanted);
    let each = bulk_each(&api, &domain, json!(bodies)).await;
    let errors = each["errors"].as_array().expect("errors");
    let found: Vec<(usize, &str)> = errors
        .iter()
        .map(|error| {
            (error["index"].as_u64().expect("an index") as usize, error["detail"]["field"].as_str().unwrap_or_default())
        })
        .collect();
    assert_eq!(found, wanted);
}

async fn a_call_that_only_asks_writes_nothing() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "bulk-dry").await;
    let before = (state(world, &domain).await, api.records(&domain).await);
    let asked = format!("{}?dry_run=true", path(&domain));
    let lines = ["www A 192.0.2.1", "txt TXT hello"];
    let answer = api.post(&asked, json!({ "records": records(&lines) })).await.ok();
    assert_eq!((&answer["applied"], &answer["total_created"]), (&false.into(), &2.into()));
    assert_eq!(answer["created"][1]["content"], "\"hello\"");
    let lines = ["www A 192.0.2.1", "www CNAME a.example."];
    api.post(&asked, json!({ "records": records(&lines) })).await.refused(400, "several_errors");
    let body = json!({"records": records(&lines), "continue_on_error": true});
    let each = api.post(&asked, body).await.ok();
    assert_eq!(
        (&each["applied"], &each["total_created"], &each["total_errors"]),
        (&false.into(), &1.into(), &1.into())
    );
    assert_eq!(each["errors"][0]["detail"]["conflicts"], json!([each["created"][0]["id"]]));
    assert_eq!((state(world, &domain).await, api.records(&domain).await), before);
    assert_eq!(entries(world, &domain).await.len(), 0);
}

async fn records_of_one_call_share_the_ttl_and_may_need_each_other() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "bulk-together").await;
    // the address is glue, which stands only thanks to the NS behind it
    api.add(&domain, "sub", "NS", "ns.elsewhere.test.").await;
    let glue = format!("sub NS ns1.sub.{}.", domain.name);
    bulk(&api, &domain, &["ns1.sub A 192.0.2.1", &glue]).await.ok();

    let one = |content: &str, ttl: u32| json!({"name": "www", "type": "A", "content": content, "ttl": ttl});
    let body = json!({"records": [one("192.0.2.1", 300), one("192.0.2.2", 600)]});
    let answer = api.post(&path(&domain), body).await.ok();
    let ttls: Vec<&Value> = answer["created"].as_array().expect("created").iter().map(|one| &one["ttl"]).collect();
    assert_eq!(ttls, [600, 600], "the RRset has one");
    assert_eq!(answer["created"][1]["warnings"][0]["field"], "ttl");
}

async fn records_of_a_pending_domain_are_kept_together() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "bulk-pending").await;
    bulk(&api, &domain, &["www A 192.0.2.1", "@ MX 10 www"]).await.ok();
    assert_eq!(entries(world, &domain).await.len(), 1);
    bulk(&api, &domain, &["new A 192.0.2.2", "www CNAME a.example."]).await.refused(400, "several_errors");
    assert_eq!(api.records(&domain).await.len(), 2);
    world.publish(&domain).await;
    assert_eq!(api.check(&domain).await["is_valid"], true);
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1"]).await;
    api.patch(&domain.path(), json!({"status": "inactive"})).await.ok();
    for line in ["new A 192.0.2.2", "x..y A 192.0.2.2"] {
        bulk(&api, &domain, &[line]).await.refused(409, "domain_inactive");
        let body = json!({"records": records(&[line]), "continue_on_error": true});
        api.post(&path(&domain), body).await.refused(409, "domain_inactive");
    }
}

async fn too_many_none_and_malformed_ones_are_refused() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "bulk-bounds").await;
    let many: Vec<Value> = (0..501).map(|n| record(&format!("h{n} A 192.0.2.1"))).collect();
    for each in [false, true] {
        let post = async |records: Value| {
            api.post(&path(&domain), json!({"records": records, "continue_on_error": each})).await
        };
        post(json!(many)).await.refused(413, "too_many_records");
        let detail = post(json!([])).await.refused(422, "validation_error");
        assert_eq!(detail[0]["loc"], json!(["body", "records"]));
        for malformed in [json!({}), json!("x"), Value::Null] {
            post(malformed).await.refused(422, "validation_error");
        }
    }
    let malformed =
        json!([record("a A 192.0.2.1"), {"name": "b", "type": "A"}, {"name": "c", "type": "A", "content": 4}]);
    let detail = api.post(&path(&domain), json!({ "records": malformed })).await.refused(422, "validation_error");
    assert_eq!(
        (&detail[0]["loc"], &detail[0]["type"]),
        (&json!(["body", "records", "1", "content"]), &"missing".into())
    );
    assert_eq!(detail[1]["loc"], json!(["body", "records", "2", "content"]), "all of them at once");
    for body in [json!({}), json!({"records": [record("a A 192.0.2.1")], "colour": "red"})] {
        api.post(&path(&domain), body).await.refused(422, "validation_error");
    }
    assert_eq!(api.records(&domain).await.len(), 0);
}

async fn only_those_who_may_create_records_there_do() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "bulk-private").await;
    let lines = ["www A 192.0.2.1"];
    for other in [world.other(), world.other_user()] {
        bulk(&other, &domain, &lines).await.refused(404, "not_found");
    }
    let key = json!({"name": "reader", "permission_source": "user", "permission_source_id": directory::NORTHWIND_ADMIN,
        "scopes": ["domains:read", "records:read", "records:update", "records:delete"]});
    let key = world.admin_user().post("/api-keys/", key).await.ok();
    let reader = Api::with_key(&world.urls[0], key["key"].as_str().expect("a key"));
    bulk(&reader, &domain, &lines).await.refused(403, "permission_denied");
    assert_eq!(api.records(&domain).await.len(), 0);
}

async fn calls_at_once_through_two_replicas_lose_nothing() {
    const CALLS: usize = 6;
    const EACH: usize = 100;
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "bulk-busy").await;
    let calls = (0..CALLS).map(|call| {
        let api = api.at(&world.urls[call % world.urls.len()]);
        let domain = &domain;
        async move {
            // all write to one RRset, and all but one lose one name
            let mut lines: Vec<String> = (1..EACH).map(|n| format!("all A 10.2.{call}.{n}")).collect();
            lines.push(format!("contested CNAME target{call}.example."));
            let records: Value = lines.iter().map(|line| record(line)).collect();
            bulk_each(&api, domain, records).await["total_errors"].as_u64().expect("a number")
        }
    });
    let lost: u64 = futures::future::join_all(calls).await.into_iter().sum();
    assert_eq!(lost as usize, CALLS - 1);
    assert_eq!(api.records(&domain).await.len(), CALLS * (EACH - 1) + 1);
    assert_eq!(entries(world, &domain).await.len(), CALLS);
}
