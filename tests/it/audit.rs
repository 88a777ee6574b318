//! The audit log: every change once, nothing that did not happen, nobody else's.

use reqwest::Method;
use serde_json::{Value, json};

use std::time::Duration;

use crate::support::{Trials, World, eventually_within, scaidns, trials};

pub fn tests() -> Trials {
    trials![
        one_day_of_work_is_recorded_entry_by_entry,
        what_was_refused_leaves_no_entry,
        filters_narrow_and_pages_walk,
        a_tenant_sees_its_own_and_the_platform_all,
        entries_can_be_read_one_by_one_and_never_changed,
        wrong_filters_are_refused,
        the_log_is_sealed_and_verified_from_the_command_line,
    ]
}

async fn one_day_of_work_is_recorded_entry_by_entry() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "day").await;
    api.patch(&domain.path(), json!({"description": "x"})).await.ok();
    let record = api.add(&domain, "www", "A", "192.0.2.1").await;
    let path = domain.record(record["id"].as_str().expect("id"));
    api.patch(&path, json!({"disabled": true})).await.ok();
    api.delete(&path).await.expect(204);
    api.patch(&domain.path(), json!({"status": "inactive"})).await.ok();
    api.delete(&format!("{}?hard=true", domain.path())).await.expect(204);
    assert_eq!(
        world.actions(&domain.id).await,
        [
            "domain.create",
            "domain.validation.start",
            "domain.validation.check",
            "domain.validation.success",
            "domain.update",
            "domain.update",
            "domain.delete"
        ]
    );
    let of_record = world.actions(record["id"].as_str().expect("id")).await;
    assert_eq!(of_record, ["record.create", "record.update", "record.delete"]);
    for entry in world.audit(&format!("resource_id={}", domain.id)).await {
        assert!(entry["id"].as_str().is_some_and(|id| id.starts_with("log_")));
        assert_eq!(
            (&entry["resource_type"], &entry["resource_name"]),
            (&"domain".into(), &domain.name.as_str().into())
        );
        assert_eq!((&entry["actor_type"], &entry["actor_email"]), (&"api_key".into(), &"alice@northwind.test".into()));
        assert!(entry["actor_id"].as_str().is_some_and(|id| id.starts_with("key_")), "{entry}");
        assert!(entry["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{entry}");
        assert!(entry["request_id"].is_string() && entry["ip_address"] == "127.0.0.1", "{entry}");
    }
}

async fn what_was_refused_leaves_no_entry() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "refusals").await;
    api.add(&domain, "www", "A", "192.0.2.1").await;
    let before = world.audit(&format!("resource_id={}", domain.id)).await.len();
    let request = |method, path: &str| api.request(method, path).header("X-Request-ID", "refused-by-all-means");
    let attempts = [
        request(Method::POST, &domain.records())
            .json(&json!({"name": "www", "type": "CNAME", "content": "a.example."})),
        request(Method::POST, &domain.records()).json(&json!({"name": "www", "type": "A", "content": "no"})),
        request(Method::POST, &format!("{}?dry_run=true", domain.records()))
            .json(&json!({"name": "dry", "type": "A", "content": "192.0.2.2"})),
        request(Method::POST, "/domains/").json(&json!({"name": domain.name, "domain_type": "primary"})),
        request(Method::PATCH, &domain.path()).json(&json!({"status": "deleted"})),
        request(Method::DELETE, &format!("{}?hard=perhaps", domain.path())),
        request(Method::POST, "/api-keys/")
            .json(&json!({"name": "x", "permission_source": "user", "permission_source_id": "y"})),
    ];
    for attempt in attempts {
        let answer = api.send(attempt).await;
        assert!(answer.status >= 400 || answer.body["applied"] == false, "{answer:?}");
    }
    assert_eq!(world.audit(&format!("resource_id={}", domain.id)).await.len(), before);
    let written: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM audit_log WHERE request_id = 'refused-by-all-means' AND action <> 'auth.denied'",
    )
    .fetch_one(&world.db)
    .await
    .expect("count");
    assert_eq!(written, 0);
}

async fn filters_narrow_and_pages_walk() {
    let world = World::shared().await;
    let api = world.admin();
    let user = world.admin_user();
    let domain = world.pending(&user, "filtered").await;
    for n in 0..7 {
        api.patch(&domain.path(), json!({"description": format!("{n}")})).await.ok();
    }
    let of = format!("resource_id={}", domain.id);
    let total = async |query: &str| user.get(&format!("/admin/audit-logs/?{of}&{query}")).await.ok()["total"].clone();
    for (query, count) in [
        ("", 9),
        ("action=domain.update", 7),
        ("action=domain.create", 1),
        ("actor_type=api_key", 7),
        ("actor_type=user", 2),
        ("actor_id=usr_01j2g00000e008000000000081", 2),
        ("actor_id=usr_x", 0),
        ("resource_type=domain", 9),
        ("resource_type=record", 0),
        ("start_date=2000-01-01", 9),
        ("end_date=2000-01-01", 0),
        ("start_date=2099-01-01", 0),
        ("start_date=2000-01-01T00:00:00Z&end_date=2099-12-31T23:59:59Z", 9),
    ] {
        assert_eq!(total(query).await, count, "{query}");
    }
    let mut walked: Vec<Value> = Vec::new();
    let mut next = String::new();
    for _ in 0..6 {
        let page = user.get(&format!("/admin/audit-logs/?{of}&page_size=2{next}")).await.ok();
        walked.extend(page["data"].as_array().expect("data").iter().map(|entry| entry["id"].clone()));
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    let whole = user.get(&format!("/admin/audit-logs/?{of}")).await.ok();
    let whole = whole["data"].as_array().expect("data");
    assert_eq!(walked, whole.iter().map(|entry| entry["id"].clone()).collect::<Vec<_>>());
    let times: Vec<&str> = whole.iter().filter_map(|entry| entry["timestamp"].as_str()).collect();
    assert!(times.windows(2).all(|pair| pair[0] >= pair[1]), "newest first: {times:?}");
    let second = user.get(&format!("/admin/audit-logs/?{of}&page=2&page_size=4")).await.ok();
    assert_eq!(second["data"][0]["id"], walked[4]);
    assert_eq!((&second["page"], &second["total_pages"]), (&2.into(), &3.into()));
}

async fn a_tenant_sees_its_own_and_the_platform_all() {
    let world = World::shared().await;
    let ours = world.pending(&world.admin(), "ours").await;
    let theirs = world.pending(&world.other(), "theirs").await;
    let count =
        async |api: &crate::support::Api, id: &str| World::audit_as(api, &format!("resource_id={id}")).await.len();
    assert_eq!((count(&world.admin_user(), &ours.id).await, count(&world.admin_user(), &theirs.id).await), (2, 0));
    assert_eq!((count(&world.other_user(), &ours.id).await, count(&world.other_user(), &theirs.id).await), (0, 2));
    assert_eq!((count(&world.platform(), &ours.id).await, count(&world.platform(), &theirs.id).await), (2, 2));
    let tenant = theirs.body["tenant_id"].as_str().expect("tenant");
    let asked = world.admin_user().get(&format!("/admin/audit-logs/?tenant_id={tenant}")).await.ok();
    assert_eq!(asked["total"], 0, "asking for another tenant's shows nothing");
    let named = world.platform().get(&format!("/admin/audit-logs/?tenant_id={tenant}&page_size=100")).await.ok();
    let named = named["data"].as_array().expect("data");
    assert!(!named.is_empty() && named.iter().all(|entry| entry["tenant_id"] == tenant));
    let bob = world.user(scaidns::dev::scaikey::directory::NORTHWIND_USER);
    bob.get("/admin/audit-logs/").await.refused(403, "permission_denied");
}

async fn entries_can_be_read_one_by_one_and_never_changed() {
    let world = World::shared().await;
    let domain = world.pending(&world.admin(), "single").await;
    let entry = world.audit(&format!("resource_id={}", domain.id)).await.remove(0);
    let path = format!("/admin/audit-logs/{}", entry["id"].as_str().expect("id"));
    let user = world.admin_user();
    assert_eq!(user.get(&path).await.ok(), entry);
    world.other_user().get(&path).await.refused(404, "not_found");
    world.other().get(&path).await.refused(404, "not_found");
    assert_eq!(world.platform().get(&path).await.ok(), entry);
    for method in [Method::DELETE, Method::PATCH, Method::PUT, Method::POST] {
        user.call(method, &path, Some(json!({}))).await.refused(405, "method_not_allowed");
    }
    for bad in ["log_x", "x", "log_00000000000000000000000000"] {
        user.get(&format!("/admin/audit-logs/{bad}")).await.refused(404, "not_found");
    }
}

async fn wrong_filters_are_refused() {
    let world = World::shared().await;
    let user = world.admin_user();
    user.get("/admin/audit-logs/?actor_type=robot").await.refused(400, "invalid");
    for query in ["start_date=soon", "end_date=2026-02-30", "page=0", "page_size=101", "cursor=x", "action=%00"] {
        user.get(&format!("/admin/audit-logs/?{query}")).await.refused(422, "validation_error");
    }
}

async fn the_log_is_sealed_and_verified_from_the_command_line() {
    let world = World::builder("sealed").replicas(1).start().await;
    let domain = world.live(&world.admin(), "sealed").await;
    world.admin().add(&domain, "www", "A", "192.0.2.1").await;
    let verify = async |more: &[&str]| {
        let arguments: Vec<&str> = ["audit", "verify", "--json"].into_iter().chain(more.iter().copied()).collect();
        let output = scaidns(&arguments, &world.env).await;
        (output.code, serde_json::from_str::<Value>(&output.stdout).unwrap_or_default(), output.stderr)
    };
    eventually_within(Duration::from_secs(60), "everything is sealed", || async {
        let (code, report, stderr) = verify(&[]).await;
        assert_eq!((code, &report["problems"]), (Some(0), &json!([])), "{report} {stderr}");
        let is_sealed = report["unsealed"] == 0 && report["sealed"].as_u64().is_some_and(|sealed| sealed >= 4);
        if is_sealed { Ok(()) } else { Err(report.to_string()) }
    })
    .await;
    let head = verify(&[]).await.1["head"].as_str().expect("a head").to_owned();
    assert!(world.log("worker").contains("sealed up to here"), "the head is logged");
    assert_eq!(verify(&["--head", &head]).await.0, Some(0));
    sqlx::query("UPDATE audit_log SET actor_id = 'key_nobody' WHERE sequence = 2")
        .execute(&world.db)
        .await
        .expect("SQL");
    let (code, report, stderr) = verify(&["--head", &head]).await;
    assert_eq!((code, report["problems"].as_array().map(Vec::len)), (Some(6), Some(1)), "{report}");
    assert!(report["problems"][0].as_str().is_some_and(|text| text.contains("entry 2 ")), "{report}");
    assert!(stderr.contains("is not what was written"), "{stderr}");
    assert_eq!(verify(&["--head", "5"]).await.0, Some(2));
    let mut unsealed = world.env.clone();
    unsealed.retain(|(name, _)| name != "AUDIT_SEAL_KEY");
    assert_eq!(scaidns(&["audit", "verify"], &unsealed).await.code, Some(2));
    world.stop().await;
}
