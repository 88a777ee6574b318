//! What the platform's admin decides while everything runs: settings, and domains below which nobody needs a proof. Each
//! setting is seen at work, at another replica than the one that was told.

use hickory_proto::rr::RecordType;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::{Answer, Api, Domain, Trials, World, eventually_within, trials};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

pub fn tests() -> Trials {
    trials![
        settings_are_a_closed_list_that_the_platforms_admin_alone_reads_and_changes,
        what_new_domains_get_is_as_set_at_every_replica,
        bounds_are_as_set_at_every_replica_without_redis,
        the_worker_removes_what_has_had_its_time_as_set,
        below_an_authoritative_domain_no_proof_is_needed_unless_another_tenants_domain_is_near,
        of_two_claims_without_proof_on_a_name_and_one_below_it_at_once_one_must_be_proven,
    ]
}

async fn set(api: &Api, key: &str, value: Value) -> Value {
    let item = api.patch(&format!("/admin/config/{key}"), json!({ "value": value })).await.ok();
    assert_eq!((&item["key"], &item["value"]), (&json!(key), &value), "{item}");
    item
}

/// Claims domains at a replica until one is as wanted.
async fn until_claimed(world: &World, api: &Api, what: &str, is_wanted: impl Fn(&Answer) -> bool) -> Value {
    eventually_within(PATIENCE, what, || async {
        let body = json!({"name": world.fresh("set"), "domain_type": "primary"});
        let answer = api.post("/domains/", body).await;
        if is_wanted(&answer) { Ok(answer.body) } else { Err(answer.text) }
    })
    .await
}

async fn settings_are_a_closed_list_that_the_platforms_admin_alone_reads_and_changes() {
    let world = World::builder("config").env("VALIDATION_EXPIRY_HOURS", "5").start().await;
    let platform = world.platform();
    let all = platform.get("/admin/config").await.ok();
    let configs = all["configs"].as_array().expect("configs");
    let keys: Vec<&str> = configs.iter().filter_map(|item| item["key"].as_str()).collect();
    assert!(keys.is_sorted() && keys.len() >= 10, "{keys:?}");
    for item in configs {
        assert!(item["description"].as_str().is_some_and(|text| text.len() > 10) && !item["value"].is_null(), "{item}");
        assert!(item["updated_at"].is_null() && item["updated_by"].is_null(), "{item}");
        assert_eq!(platform.get(&format!("/admin/config/{}", item["key"].as_str().expect("key"))).await.ok(), *item);
    }
    let hours = platform.get("/admin/config/validation_expiry_hours").await.ok();
    assert_eq!(hours["value"], 5, "the environment's is the first value");
    assert_eq!(platform.get("/admin/config/").await.ok(), all, "either slash form");

    let changed = set(&platform, "default_ttl", json!(7_200)).await;
    assert!(changed["updated_at"].as_str().is_some_and(|time| time.ends_with('Z')), "{changed}");
    let me = platform.get("/me/").await.ok();
    assert_eq!(changed["updated_by"], me["data"]["id"], "{changed}");
    assert_eq!(set(&platform, "default_ttl", json!(7_200)).await, changed, "the same again changes nothing");
    for path in ["/admin/config/nonsense", "/admin/config/nameservers", "/admin/config/default_ttl%20"] {
        platform.get(path).await.refused(404, "not_found");
        platform.patch(path, json!({"value": 1})).await.refused(404, "not_found");
    }
    let path = "/admin/config/default_ttl";
    for wrong in [json!("7200"), json!(-1), json!(1.5), json!(2_147_483_648_u64), json!([1]), json!(true)] {
        let problems = platform.patch(path, json!({ "value": wrong })).await.expect(422);
        assert_eq!(problems["detail"][0]["loc"], json!(["body", "value"]), "{problems}");
    }
    platform.patch(path, json!({})).await.expect(422);
    platform.patch(path, json!({"value": 1, "more": 2})).await.expect(422);
    assert_eq!(platform.get(path).await.ok(), changed);

    for api in [world.admin(), world.admin_user(), world.other()] {
        api.get("/admin/config").await.refused(403, "permission_denied");
        api.get(path).await.refused(403, "permission_denied");
        api.patch(path, json!({"value": 1})).await.refused(403, "permission_denied");
    }

    let reset = platform.patch(path, json!({"value": null})).await.ok();
    assert_eq!(reset["value"], 3_600, "back to what holds without a word");
    let entries = World::audit_as(&platform, "action=config.update").await;
    let told: Vec<_> = entries.iter().map(|entry| (&entry["resource_id"], &entry["details"])).collect();
    let values = |before: u32, after: u32| json!({"before": {"value": before}, "after": {"value": after}});
    let key = json!("default_ttl");
    assert_eq!(told, [(&key, &values(3_600, 7_200)), (&key, &values(7_200, 3_600))], "{entries:?}");
    assert!(entries.iter().all(|entry| entry["tenant_id"].is_null() && entry["resource_type"] == "config"));
    assert!(world.audit("action=config.update").await.is_empty(), "not a tenant's to see");
    world.stop().await;
}

async fn what_new_domains_get_is_as_set_at_every_replica() {
    let world = World::private("config-new").await;
    let platform = world.platform();
    let there = world.admin().at(&world.urls[1]);
    until_claimed(&world, &there, "as ever", |answer| answer.body["default_ttl"] == 3_600).await;
    set(&platform, "default_ttl", json!(7_200)).await;
    set(&platform, "validation_expiry_hours", json!(2)).await;
    for (key, value) in [("soa_refresh", 1_111), ("soa_retry", 222), ("soa_expire", 333_333), ("soa_minimum", 444)] {
        set(&platform, key, json!(value)).await;
    }
    let new = until_claimed(&world, &there, "another ttl", |answer| answer.body["default_ttl"] == 7_200).await;
    let expires = new["validation"]["expires_at"].as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    let hours = (expires.expect("a time") - OffsetDateTime::now_utc()).whole_minutes();
    assert!((100..=120).contains(&hours), "{new}");
    let named = json!({"name": world.fresh("named"), "domain_type": "primary", "default_ttl": 60});
    assert_eq!(there.post("/domains/", named).await.ok()["default_ttl"], 60, "what a claim names holds");
    let domain = Domain::new(new);
    world.publish(&domain).await;
    assert_eq!(there.check(&domain).await["is_valid"], true);
    let soa = world.dns_values(&domain.name, RecordType::SOA).await;
    assert!(soa[0].ends_with(" 1111 222 333333 444"), "{soa:?}");
    world.stop().await;
}

async fn bounds_are_as_set_at_every_replica_without_redis() {
    let mut world = World::private("config-bounds").await;
    let platform = world.platform();
    let there = world.admin().at(&world.urls[1]);
    let live = world.live(&world.admin(), "bounded").await;
    world.servers.redis.kill().await;

    set(&platform, "max_records_per_domain", json!(2)).await;
    eventually_within(PATIENCE, "no third record", || async {
        let answer = there.try_add(&live, &format!("r{}", rand::random::<u32>()), "A", "192.0.2.1").await;
        if answer.status == 403 { Ok(answer.refused(403, "quota_exceeded")) } else { Err(answer.text) }
    })
    .await;
    set(&platform, "max_domains", json!(3)).await;
    let refused = until_claimed(&world, &there, "no more domains", |answer| answer.status == 403).await;
    assert_eq!(refused["code"], "quota_exceeded", "{refused}");
    set(&platform, "max_api_keys", json!(0)).await;
    let key = json!({"name": "more", "permission_source": "user",
        "permission_source_id": scaidns::dev::scaikey::directory::NORTHWIND_ADMIN});
    eventually_within(PATIENCE, "no more keys", || async {
        let answer = world.admin_user().at(&world.urls[1]).post("/api-keys/", key.clone()).await;
        if answer.status == 403 { Ok(answer.refused(403, "quota_exceeded")) } else { Err(answer.text) }
    })
    .await;

    let limit_is = async |api: &Api, wanted: &str| {
        eventually_within(PATIENCE, "the limit is as set", || async {
            let answer = api.get("/me/").await;
            let limit = answer.header("x-ratelimit-limit").to_owned();
            if limit == wanted { Ok(()) } else { Err(limit) }
        })
        .await;
    };
    set(&platform, "rate_limit_per_minute", json!(987_654)).await;
    limit_is(&there, "987654").await;
    set(&platform, "rate_limit_anonymous_per_minute", json!(4)).await;
    eventually_within(PATIENCE, "the address has used up its limit", || async {
        let answer = world.nobody().at(&world.urls[1]).get("/auth/config").await;
        if answer.status == 429 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    // last, since it is the platform's admin's tenant as well
    set(&platform, "rate_limit_tenant_per_minute", json!(3)).await;
    eventually_within(PATIENCE, "the tenant's limit is used up", || async {
        let answer = there.get("/me/").await;
        if answer.status == 429 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    world.stop().await;
}

async fn the_worker_removes_what_has_had_its_time_as_set() {
    let world = World::builder("config-worker").replicas(1).env("AUDIT_SEAL_KEY", "").start().await;
    let (platform, api) = (world.platform(), world.admin());
    let deleted = world.pending(&api, "purged").await;
    api.delete(&deleted.path()).await.expect(204);
    let old = world.pending(&api, "long-ago").await;
    let sql = "UPDATE audit_log SET created_at = created_at - INTERVAL 3 DAY WHERE resource_name = ?";
    sqlx::query(sql).bind(&old.name).execute(&world.db).await.expect("moved");
    assert_eq!(world.actions(&old.id).await.len(), 2);
    assert_eq!(api.get(&deleted.even_deleted()).await.status, 200);
    set(&platform, "domain_purge_after", json!("1s")).await;
    set(&platform, "audit_retention_days", json!(2)).await;
    eventually_within(PATIENCE, "purged", || async {
        let answer = api.get(&deleted.even_deleted()).await;
        if answer.status == 404 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    // what recurs by the minute is due at once
    sqlx::query("UPDATE recurring_jobs SET look_at = NOW(6) WHERE name = 'audit_retention' AND NOT running")
        .execute(&world.db)
        .await
        .expect("moved");
    eventually_within(PATIENCE, "the old entries are gone", || async {
        let actions = world.actions(&old.id).await;
        if actions.is_empty() { Ok(()) } else { Err(format!("{actions:?}")) }
    })
    .await;
    assert!(!world.actions(&deleted.id).await.is_empty(), "younger ones stay");
    world.stop().await;
}

async fn below_an_authoritative_domain_no_proof_is_needed_unless_another_tenants_domain_is_near() {
    let world = World::private("authoritative").await;
    let (platform, ours, theirs) = (world.platform(), world.admin(), world.other());
    let path = "/admin/authoritative-domains";
    let base = world.fresh("customers");
    let before = world.pending(&ours, "before").await;
    assert_eq!(platform.get(path).await.ok()["domains"], json!([]));
    for api in [&ours, &theirs] {
        api.get(path).await.refused(403, "permission_denied");
        api.put(path, json!({"domains": [base]})).await.refused(403, "permission_denied");
    }
    for wrong in [json!(["com"]), json!(["not a name"]), json!(["a.example", "A.example."]), json!([""])] {
        let told = platform.put(path, json!({ "domains": wrong })).await;
        assert_eq!((told.status, &told.body["detail"]["field"]), (400, &json!("domains")), "{told:?}");
    }
    platform.put(path, json!({"domains": "x.example"})).await.expect(422);
    platform.put(path, json!({})).await.expect(422);
    let set = platform.put(path, json!({"domains": [base.to_uppercase(), "bücher.example"]})).await.ok();
    assert_eq!(set["domains"], json!([base, "xn--bcher-kva.example"]), "{set}");
    assert_eq!(platform.at(&world.urls[1]).get(path).await.ok(), set);

    let there = ours.at(&world.urls[1]);
    let shop = eventually_within(PATIENCE, "no proof at the other replica", || async {
        let name = format!("shop{}.{base}", rand::random::<u16>());
        let answer = there.post("/domains/", json!({"name": name, "domain_type": "primary"})).await;
        if answer.body["status"] == "active" { Ok(Domain::new(answer.body)) } else { Err(answer.text) }
    })
    .await;
    there.add(&shop, "www", "A", "192.0.2.7").await;
    world.served(&shop.at("www"), RecordType::A, &["192.0.2.7"]).await;
    let status = async |api: &Api, name: &str| {
        let made = api.post("/domains/", json!({"name": name, "domain_type": "primary"})).await.ok();
        (made["id"].as_str().expect("id").to_owned(), made["status"].as_str().expect("status").to_owned())
    };
    assert_eq!(status(&theirs, &format!("deep.own.{base}")).await.1, "active", "first come, first served");
    assert_eq!(status(&theirs, &shop.at("sub")).await.1, "pending_validation", "below another tenant's");
    assert_eq!(status(&ours, &format!("own.{base}")).await.1, "pending_validation", "above another tenant's");
    let (claim, standing) = status(&theirs, &shop.name).await;
    assert_eq!(standing, "pending_validation", "another tenant's very name");
    assert_eq!(theirs.post_empty(&format!("/domains/{claim}/validation/check")).await.ok()["is_valid"], false);
    assert_eq!(status(&theirs, &base).await.1, "pending_validation", "the domain itself is not to be had so");
    assert_eq!(status(&theirs, &format!("x{base}")).await.1, "pending_validation", "not below it");
    ours.delete(&shop.path()).await.expect(204);
    assert_eq!(status(&theirs, &shop.at("later")).await.1, "pending_validation", "below a deleted one of another's");
    let (early, _) = (before.id.clone(), ());
    assert_eq!(ours.get(&format!("/domains/{early}")).await.ok()["status"], "pending_validation", "elsewhere as ever");

    platform.put(path, json!({"domains": []})).await.ok();
    assert_eq!(status(&ours, &format!("late.{base}")).await.1, "pending_validation");
    let entries = World::audit_as(&platform, "action=config.update&resource_id=authoritative_domains").await;
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert_eq!(entries[1]["details"]["after"], json!({"domains": []}));
    world.stop().await;
}

async fn of_two_claims_without_proof_on_a_name_and_one_below_it_at_once_one_must_be_proven() {
    const ROUNDS: u32 = 12;
    let world = World::private("two-at-once").await;
    let (ours, theirs) = (world.admin(), world.other().at(&world.urls[1]));
    let base = world.fresh("customers");
    world.platform().put("/admin/authoritative-domains", json!({"domains": [base]})).await.ok();
    for replica in [&ours, &theirs] {
        eventually_within(PATIENCE, "no proof below the domain", || async {
            let name = format!("first{}.{base}", rand::random::<u32>());
            let answer = replica.post("/domains/", json!({"name": name, "domain_type": "primary"})).await;
            if answer.body["status"] == "active" { Ok(()) } else { Err(answer.text) }
        })
        .await;
    }
    let mut lived = 0;
    for round in 0..ROUNDS {
        let above = format!("shop{round}.{base}");
        let below = format!("www.{above}");
        let claim = async |api: &Api, name: &str| {
            let made = api.post("/domains/", json!({"name": name, "domain_type": "primary"})).await.ok();
            Domain::new(made)
        };
        // both are decided and under way before either is live
        world.servers.pdns.pause();
        let both = async { tokio::join!(claim(&ours, &above), claim(&theirs, &below)) };
        let release = async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            world.servers.pdns.resume();
        };
        let ((upper, lower), ()) = tokio::join!(both, release);
        let live = [&upper, &lower].iter().filter(|domain| domain.body["status"] == "active").count();
        assert!(live < 2, "round {round}: both went live: {} {}", upper.body, lower.body);
        lived += live;

        // who came too late goes on as whoever claims a name near another tenant's
        let (api, late) = if lower.body["status"] == "active" { (&ours, &upper) } else { (&theirs, &lower) };
        if live == 1 {
            let told = api.post_empty(&late.check()).await.ok();
            assert_eq!(told["is_valid"], false, "round {round}: {told}");
            let started = api.post(&late.validation(), json!({"validation_type": "txt_record"})).await.ok();
            assert_eq!((&started["status"], &started["dns_record"]["type"]), (&"pending".into(), &"TXT".into()));
            assert_eq!(api.post_empty(&late.check()).await.ok()["is_valid"], false, "round {round}");
        }
    }
    assert!(lived > 0, "no claim of {ROUNDS} pairs went live");
    world.stop().await;
}
