//! What a tenant may have, however many ask at once; and what a caller was refused, as the audit log tells it.

use std::time::Duration;

use scaidns::dev::scaikey::directory;
use serde_json::{Value, json};

use crate::support::{Api, Trials, World, eventually, eventually_within, trials};

pub fn tests() -> Trials {
    trials![
        parallel_creation_over_two_replicas_passes_no_quota,
        a_zone_takes_no_more_records_than_its_tenant_may_have_in_one,
        refusals_of_a_minute_are_one_audit_entry_with_their_count,
        metrics_are_served_at_an_address_of_their_own_by_route_pattern,
    ]
}

/// Sets Northwind's settings; they count at once for what is created.
async fn settings(world: &World, settings: Value) {
    let query = sqlx::query("UPDATE tenants SET settings = ? WHERE scaikey_id = ?");
    let done = query.bind(settings.to_string()).bind(directory::NORTHWIND).execute(&world.db).await;
    assert_eq!(done.expect("written").rows_affected(), 1);
}

async fn parallel_creation_over_two_replicas_passes_no_quota() {
    let world = World::private("quotas").await;
    let [one, two] = [world.admin(), world.admin().at(&world.urls[1])];
    world.pending(&one, "first").await;
    settings(&world, json!({"max_domains": 6, "max_api_keys": 4})).await;
    let claim = async |api: &Api| {
        let body = json!({"name": world.fresh("many"), "domain_type": "primary"});
        api.post("/domains/", body).await
    };
    let answers = futures::future::join_all((0..24).map(|n| claim(if n % 2 == 0 { &one } else { &two }))).await;
    let made: Vec<&str> =
        answers.iter().filter(|answer| answer.status == 200).filter_map(|a| a.body["id"].as_str()).collect();
    assert_eq!(made.len(), 5, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.clone().refused(403, "quota_exceeded");
        assert!(answer.text.contains("max_domains"), "{}", answer.text);
    }
    assert_eq!(one.get("/domains/").await.ok()["total"], 6, "what was refused is not there");
    assert_eq!(world.audit("action=domain.create").await.len(), 6);
    // what is taken away makes room, and what comes back needs some
    one.delete(&format!("/domains/{}", made[0])).await.expect(204);
    let again = claim(&two).await.ok();
    one.post_empty(&format!("/domains/{}/restore", made[0])).await.refused(403, "quota_exceeded");
    one.delete(&format!("/domains/{}?hard=true", again["id"].as_str().expect("id"))).await.expect(204);
    one.post_empty(&format!("/domains/{}/restore", made[0])).await.ok();
    // a name that is there is said to be there, quota or not
    let name = again["name"].as_str().expect("name");
    let held = one.get(&format!("/domains/{}", made[1])).await.ok();
    assert_ne!(held["name"], name);
    let repeated = json!({"name": held["name"], "domain_type": "primary"});
    one.post("/domains/", repeated).await.refused(409, "domain_exists");

    restores_at_once_pass_no_quota(&world, [&one, &two], &made[1..4]).await;

    let me = world.admin_user().get("/me/").await.ok();
    let key = async |number: usize| {
        let user = world.admin_user().at(&world.urls[number % 2]);
        let body = json!({"name": format!("key {number}"), "permission_source": "user", "permission_source_id": me["data"]["id"]});
        user.post("/api-keys/", body).await
    };
    let had = world.admin_user().get("/api-keys/").await.ok()["total"].as_u64().expect("a number");
    let answers = futures::future::join_all((0..12).map(key)).await;
    let made = answers.iter().filter(|answer| answer.status == 200).count() as u64;
    assert_eq!(had + made, 4, "{answers:?}");
    let refused = answers.iter().find(|answer| answer.status != 200).expect("some are refused");
    refused.clone().refused(403, "quota_exceeded");
    assert!(refused.text.contains("max_api_keys"), "{}", refused.text);
    world.stop().await;
}

/// Two live domains and some claims go, and there is room for one of them to come back.
async fn restores_at_once_pass_no_quota(world: &World, replicas: [&Api; 2], claims: &[&str]) {
    settings(world, json!({"max_domains": 100, "max_api_keys": 4})).await;
    let mut gone: Vec<String> = claims.iter().map(|id| (*id).to_owned()).collect();
    for _ in 0..2 {
        gone.push(world.live(replicas[0], "restored").await.id);
    }
    for id in &gone {
        replicas[0].delete(&format!("/domains/{id}")).await.expect(204);
    }
    let had = replicas[0].get("/domains/").await.ok()["total"].as_u64().expect("a number");
    settings(world, json!({"max_domains": had + 1, "max_api_keys": 4})).await;
    let restore = |(n, id): (usize, &String)| {
        let (api, path) = (replicas[n % 2].clone(), format!("/domains/{id}/restore"));
        async move { api.post_empty(&path).await }
    };
    let answers = futures::future::join_all(gone.iter().enumerate().map(restore)).await;
    let restored = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(replicas[1].get("/domains/").await.ok()["total"], had + restored as u64);
    // who finds another one on its way is refused, too, and may ask again
    assert!(restored <= 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.clone().refused(403, "quota_exceeded");
    }
    settings(world, json!({"max_domains": 100, "max_api_keys": 4})).await;
    for (n, id) in gone.iter().enumerate().filter(|(n, _)| answers[*n].status != 200) {
        replicas[n % 2].post_empty(&format!("/domains/{id}/restore")).await.ok();
    }
}

async fn a_zone_takes_no_more_records_than_its_tenant_may_have_in_one() {
    let world = World::private("record-quota").await;
    let api = world.admin();
    let live = world.live(&api, "full").await;
    let pending = world.pending(&api, "full-pending").await;
    let record = json!({"name": "t", "type": "A", "content": "192.0.2.1"});
    let template = api.post("/templates/", json!({"name": "one more", "records": [record]})).await.ok();
    settings(&world, json!({"max_records_per_domain": 8})).await;
    eventually("the settings count", || async {
        let many: Vec<Value> =
            (0..20).map(|n| json!({"name": format!("h{n}"), "type": "A", "content": "192.0.2.1"})).collect();
        let answer = api.post(&format!("{}/bulk?dry_run=true", live.records()), json!({"records": many})).await;
        if answer.status == 403 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    for domain in [&live, &pending] {
        let add = async |n: usize| {
            let at = Api::at(&api, &world.urls[n % 2]);
            let body = json!({"name": format!("h{n}"), "type": "A", "content": "192.0.2.1"});
            at.post(&domain.records(), body).await
        };
        let answers = futures::future::join_all((0..20).map(add)).await;
        let made = answers.iter().filter(|answer| answer.status == 200).count();
        let count = api.domain(domain).await["record_count"].as_u64().expect("a number");
        assert_eq!(count, 8, "{made} were made");
        let refused = answers.iter().find(|answer| answer.status != 200).expect("some are refused");
        refused.clone().refused(403, "quota_exceeded");
        assert!(refused.text.contains("max_records_per_domain"), "{}", refused.text);
        let body = json!({"template_id": template["id"], "domain_id": domain.id});
        api.post("/templates/", body).await.refused(403, "quota_exceeded");
        // what is there may be changed, and makes room when it goes
        let records = api.get(&domain.records()).await.ok();
        let one = domain.record(
            records["data"].as_array().and_then(|all| all.iter().find(|r| r["type"] == "A")).expect("one")["id"]
                .as_str()
                .expect("id"),
        );
        api.patch(&one, json!({"content": "192.0.2.2"})).await.ok();
        let more = json!({"records": [{"name": "x", "type": "A", "content": "192.0.2.3"}], "continue_on_error": true});
        let told = api.post(&format!("{}/bulk", domain.records()), more.clone()).await.ok();
        assert_eq!((&told["total_created"], &told["total_errors"]), (&json!(0), &json!(1)), "{told}");
        api.delete(&one).await.expect(204);
        let told = api.post(&format!("{}/bulk", domain.records()), more).await.ok();
        assert_eq!(told["total_created"], 1, "{told}");
    }
    world.stop().await;
}

async fn refusals_of_a_minute_are_one_audit_entry_with_their_count() {
    let world = World::private("denials").await;
    let bob = world.user(directory::NORTHWIND_USER);
    let until_next =
        60 - std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() % 60;
    if until_next < 5 {
        // all of them into one minute
        tokio::time::sleep(Duration::from_secs(until_next)).await;
    }
    for number in 0..6 {
        let bob = bob.at(&world.urls[number % 2]);
        bob.get("/admin/jobs").await.refused(403, "permission_denied");
        bob.get("/me/").await.ok();
    }
    world.admin().get("/api-keys/").await.expect(403);
    world.nobody().get("/domains/").await.refused(401, "unauthenticated");
    let found = async || world.audit("action=auth.denied").await;
    eventually_within(Duration::from_secs(90), "the minute is over", || async {
        let entries = found().await;
        if entries.len() >= 2 { Ok(()) } else { Err(format!("{entries:?}")) }
    })
    .await;
    let entries = found().await;
    assert_eq!(entries.len(), 2, "{entries:?}");
    let of_bob = entries.iter().find(|entry| entry["actor_type"] == "user").expect("Bob's");
    assert_eq!(of_bob["resource_name"], "GET /api/v1/admin/jobs", "{of_bob}");
    assert_eq!(
        (&of_bob["actor_id"], &of_bob["details"]["after"]["count"]),
        (&json!(directory::NORTHWIND_USER), &json!(6))
    );
    assert!(of_bob["ip_address"] == "127.0.0.1" && of_bob["request_id"].is_string(), "{of_bob}");
    let of_key = entries.iter().find(|entry| entry["actor_type"] == "api_key").expect("the key's");
    assert_eq!(
        (&of_key["resource_name"], &of_key["details"]["after"]["count"]),
        (&json!("GET /api/v1/api-keys/"), &json!(1))
    );
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM denials").fetch_one(&world.db).await.expect("read");
    assert_eq!(left, 0);
    world.stop().await;
}

async fn metrics_are_served_at_an_address_of_their_own_by_route_pattern() {
    let world = World::builder("metrics").replicas(1).env("METRICS_ENABLED", "true").start().await;
    let api = world.admin();
    let domain = world.live(&api, "counted").await;
    api.get(&domain.path()).await.ok();
    api.add(&domain, "www", "A", "192.0.2.1").await;
    api.get("/nowhere/at-all-4711").await.expect(404);
    let read = async |port: u16| {
        let answer = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await.expect("an answer");
        answer.text().await.expect("text")
    };
    let text = read(world.ports.api_metrics(0)).await;
    for expected in [
        "scaidns_http_requests_total{method=\"GET\",path=\"/api/v1/domains/{id}\",status=\"200\"}",
        "scaidns_http_requests_total{method=\"GET\",path=\"unmatched\",status=\"404\"}",
        "scaidns_http_request_duration_seconds_bucket{",
        "scaidns_db_queries_total ",
        "scaidns_db_query_duration_seconds_bucket{",
        "scaidns_pdns_requests_total{",
        "scaidns_pdns_request_duration_seconds_bucket{",
        "scaidns_validation_checks_total{result=\"valid\"} 1",
        "scaidns_validation_checks_total{result=\"error\"} 0",
        "scaidns_webhook_events_total{event_type=\"unknown\",status=\"refused\"} 0",
        "scaidns_api_key_usage_total{key_id=\"key_",
        "scaidns_connections ",
        "scaidns_places_taken{kind=\"database\"}",
        "scaidns_places_waited_for{kind=\"powerdns\"} 0",
        "scaidns_changes_waiting 0",
        "scaidns_batch_requests_bucket{le=\"1\"} 1",
        "scaidns_batch_operations_bucket{le=\"5\"} 1",
    ] {
        assert!(text.contains(expected), "no {expected} in\n{text}");
    }
    assert!(!text.contains("4711") && !text.contains(&domain.id), "what clients make up is no label");
    eventually("the worker counts its jobs", || async {
        let text = read(world.ports.worker_metrics()).await;
        let wanted = [
            "scaidns_worker_jobs_total{",
            "scaidns_worker_jobs_total{job=\"import\",status=\"failed\"} 0",
            "scaidns_worker_jobs_duration_seconds_bucket{",
            "scaidns_intents 0",
            "scaidns_intent_oldest_seconds 0",
            "scaidns_suspects 0",
            "scaidns_jobs_waiting 0",
        ];
        if wanted.iter().all(|name| text.contains(name)) { Ok(()) } else { Err(text) }
    })
    .await;
    // not beside the API
    assert_eq!(world.nobody().get("/metrics").await.status, 404);
    world.stop().await;
}
