//! Rate limits: one count for all replicas, headers that are true, and a local count while Redis is gone.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::{Method, StatusCode, header::HeaderMap};
use scaidns::dev::scaikey::directory::NORTHWIND_ADMIN;
use serde_json::{Value, json};

use crate::support::{Api, Trials, World, eventually, trials};

pub fn tests() -> Trials {
    trials![
        a_keys_own_limit_holds_over_all_replicas_and_the_headers_are_true,
        without_redis_each_replica_holds_the_limit_by_itself,
        who_calls_without_right_credentials_is_counted_by_address,
        who_is_known_is_never_counted_by_address,
        a_tenants_limit_holds_for_all_its_keys,
    ]
}

/// Limits like a product's, but small.
async fn world(name: &'static str) -> World {
    World::builder(name)
        .env("RATE_LIMIT_PER_MINUTE", "600")
        .env("RATE_LIMIT_ANONYMOUS_PER_MINUTE", "30")
        .env("TRUSTED_PROXIES", "127.0.0.9")
        .start()
        .await
}

/// A key of Alice with this limit.
async fn key(world: &World, rate_limit: Option<u32>) -> String {
    let me = world.admin_user().get("/me/").await.ok();
    let body = json!({"name": "limited", "permission_source": "user", "permission_source_id": me["data"]["id"],
        "rate_limit": rate_limit});
    let created = world.admin_user().post("/api-keys/", body).await.ok();
    created["key"].as_str().expect("a key").to_owned()
}

/// One call of `GET /me/`: status and headers.
async fn call(url: &str, credentials: &[(&str, &str)]) -> (StatusCode, HeaderMap, Value) {
    let mut request = reqwest::Client::new().request(Method::GET, format!("{url}/api/v1/me/"));
    for (name, value) in credentials {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("an answer");
    let (status, headers) = (answer.status(), answer.headers().clone());
    (status, headers, answer.json().await.expect("JSON"))
}

fn number(headers: &HeaderMap, name: &str) -> u64 {
    let value = headers.get(name).unwrap_or_else(|| panic!("no {name} in {headers:?}"));
    value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name}: {value:?}"))
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Calls at the replicas in turn until `most`; how many were let in, and the first refusal.
async fn burst(urls: &[String], key: &str, most: usize) -> (usize, Option<(HeaderMap, Value)>) {
    let (mut admitted, mut refusal) = (0, None);
    for number in 0..most {
        match call(&urls[number % urls.len()], &[("X-API-Key", key)]).await {
            (StatusCode::OK, ..) => admitted += 1,
            (StatusCode::TOO_MANY_REQUESTS, headers, body) => {
                refusal.get_or_insert((headers, body));
            }
            (status, _, body) => panic!("{status}: {body}"),
        }
    }
    (admitted, refusal)
}

async fn a_keys_own_limit_holds_over_all_replicas_and_the_headers_are_true() {
    let world = world("limits").await;
    let secret = key(&world, Some(60)).await;
    let (_, first, _) = call(&world.urls[0], &[("X-API-Key", &secret)]).await;
    assert_eq!((number(&first, "x-ratelimit-limit"), number(&first, "x-ratelimit-remaining")), (60, 59));
    let reset = number(&first, "x-ratelimit-reset");
    assert!((unix_now()..=unix_now() + 2).contains(&reset), "one of sixty is back within a second: {reset}");

    let began = Instant::now();
    let (admitted, refusal) = burst(&world.urls, &secret, 90).await;
    let regained = began.elapsed().as_secs() as usize + 1;
    // a tenth may lie at the other replica
    assert!((53..=59 + regained).contains(&admitted), "{admitted} after {:?}", began.elapsed());
    let (headers, body) = refusal.expect("more than the limit");
    assert_eq!(body["code"], "rate_limited", "{body}");
    assert!(body["detail"].is_string() && body["request_id"].is_string(), "{body}");
    assert_eq!((number(&headers, "x-ratelimit-limit"), number(&headers, "x-ratelimit-remaining")), (60, 0));
    let wait = number(&headers, "retry-after");
    assert!((1..=2).contains(&wait), "one is back each second: {wait}");
    let reset = number(&headers, "x-ratelimit-reset");
    assert!((unix_now() + 50..=unix_now() + 61).contains(&reset), "the whole limit is back in a minute: {reset}");
    eventually("the next is let in", || async {
        match call(&world.urls[0], &[("X-API-Key", &secret)]).await {
            (StatusCode::OK, ..) => Ok(()),
            (status, ..) => Err(status.to_string()),
        }
    })
    .await;

    // a key's limit only lowers the platform's, and others are not concerned
    let higher = key(&world, Some(100_000)).await;
    for (credentials, limit) in [(("X-API-Key", higher.as_str()), 600), (("X-API-Key", world.admin_key.as_str()), 600)]
    {
        let (status, headers, _) = call(&world.urls[1], &[credentials]).await;
        assert_eq!((status, number(&headers, "x-ratelimit-limit")), (StatusCode::OK, limit));
    }
    let bearer = format!("Bearer {}", world.admin_token);
    let (_, headers, _) = call(&world.urls[1], &[("Authorization", &bearer)]).await;
    assert_eq!(number(&headers, "x-ratelimit-limit"), 600);
    // an answer that refuses something else has them as well
    let refused = world.admin().request(Method::GET, "/domains/d_1").send().await.expect("an answer");
    assert_eq!(refused.status(), 404);
    assert!(refused.headers().contains_key("x-ratelimit-remaining"), "{:?}", refused.headers());
    world.stop().await;
}

async fn without_redis_each_replica_holds_the_limit_by_itself() {
    let mut world = world("no-redis").await;
    let secret = key(&world, Some(40)).await;
    assert_eq!(burst(&world.urls, &secret, 4).await.0, 4);
    world.servers.redis.kill().await;
    let began = Instant::now();
    let (admitted, refusal) = burst(&world.urls[..1], &secret, 80).await;
    let took = began.elapsed();
    let regained = took.as_secs() as usize + 1;
    assert!((36..=38 + regained).contains(&admitted), "{admitted} in {took:?}");
    let (headers, _) = refusal.expect("the limit holds");
    assert!((1..=2).contains(&number(&headers, "retry-after")), "{headers:?}");
    assert!(took < Duration::from_secs(20), "a Redis that is gone slows down hardly anybody: {took:?}");
    // what is down is said, and everything goes on
    let (status, body) = world.readiness().await;
    assert_eq!((status, body["checks"]["redis"] == "ok"), (200, false), "{body}");
    world.servers.redis.restart().await.expect("restarts");
    let fresh = key(&world, Some(50)).await;
    let alike = async || {
        let (_, one, _) = call(&world.urls[0], &[("X-API-Key", &fresh)]).await;
        number(&one, "x-ratelimit-remaining")
    };
    assert!(alike().await <= 49);
    eventually("the replicas count together again", || async {
        let fresh = key(&world, Some(30)).await;
        let (admitted, _) = burst(&world.urls, &fresh, 60).await;
        if admitted <= 36 { Ok(()) } else { Err(format!("{admitted} were let in")) }
    })
    .await;
    world.stop().await;
}

async fn who_calls_without_right_credentials_is_counted_by_address() {
    let world = world("anonymous").await;
    let wrong = format!("sdk_live_{}", "x".repeat(43));
    let mut answers = Vec::new();
    for attempt in 0..50 {
        // what a client claims to be forwarded for counts only behind a trusted proxy
        let forged = format!("198.51.100.{attempt}");
        let credentials: &[(&str, &str)] = if attempt % 2 == 0 {
            &[("X-API-Key", &wrong), ("X-Forwarded-For", &forged)]
        } else {
            &[("X-Forwarded-For", &forged)]
        };
        let (status, headers, body) = call(&world.urls[attempt % 2], credentials).await;
        assert!(!headers.contains_key("x-ratelimit-limit"), "nobody known: {headers:?}");
        if status == StatusCode::TOO_MANY_REQUESTS {
            assert!(number(&headers, "retry-after") >= 1 && body["code"] == "rate_limited", "{body}");
        }
        answers.push(status.as_u16());
    }
    let refused = answers.iter().filter(|status| **status == 429).count();
    assert!(answers[..20].iter().all(|status| *status == 401), "{answers:?}");
    assert!((10..=30).contains(&refused), "{answers:?}");
    // the open routes count as well; health and those with right credentials do not
    let mut open = Vec::new();
    while !open.contains(&429) && open.len() < 60 {
        open.push(Api::anonymous(&world.urls[0]).get("/auth/config").await.status);
    }
    assert!(open.contains(&429), "{open:?}");
    assert_eq!(Api::anonymous(&world.urls[0]).get("/health/live").await.status, 200);
    world.admin().get("/me/").await.ok();
    world.stop().await;
}

async fn who_is_known_is_never_counted_by_address() {
    let world = world("known").await;
    let api = world.admin();
    let elsewhere = json!({"name": "elsewhere", "permission_source": "user", "permission_source_id": NORTHWIND_ADMIN,
        "ip_whitelist": ["192.0.2.1"]});
    let elsewhere = world.admin_user().post("/api-keys/", elsewhere).await.ok();
    let elsewhere = Api::with_key(&world.urls[0], elsewhere["key"].as_str().expect("a key"));
    // more of each than an address may fail
    for _ in 0..40 {
        for (method, path, status) in [(Method::GET, "/nothing", 404), (Method::DELETE, "/me/", 405)] {
            let answer = api.call(method, path, None).await;
            assert_eq!(answer.status, status, "{answer:?}");
            assert!(!answer.header("x-ratelimit-remaining").is_empty(), "{answer:?}");
        }
        elsewhere.get("/me/").await.refused(403, "address_not_allowed");
    }
    Api::anonymous(&world.urls[0]).get("/auth/config").await.ok();
    // with wrong credentials nothing is found without being counted, either
    let wrong = Api::with_key(&world.urls[0], &format!("sdk_live_{}", "x".repeat(43)));
    let mut statuses = Vec::new();
    for _ in 0..50 {
        statuses.push(wrong.get("/nothing").await.status);
    }
    assert_eq!((statuses[0], statuses.contains(&429)), (404, true), "{statuses:?}");
    api.get("/me/").await.ok();
    world.stop().await;
}

async fn a_tenants_limit_holds_for_all_its_keys() {
    let world = World::builder("tenant-limit").env("RATE_LIMIT_TENANT_PER_MINUTE", "40").start().await;
    let (one, two) = (world.admin_key.clone(), world.admin_token.clone());
    let (mut admitted, mut limits) = (0, Vec::new());
    for attempt in 0..60 {
        let bearer = format!("Bearer {two}");
        let credentials =
            if attempt % 2 == 0 { ("X-API-Key", one.as_str()) } else { ("Authorization", bearer.as_str()) };
        let (status, headers, _) = call(&world.urls[0], &[credentials]).await;
        match status {
            StatusCode::OK => admitted += 1,
            _ => limits.push(number(&headers, "x-ratelimit-limit")),
        }
    }
    assert!((30..=50).contains(&admitted), "{admitted}");
    assert!(limits.iter().all(|limit| *limit == 40), "{limits:?}");
    world.other().get("/me/").await.ok();
    let query = "UPDATE tenants SET settings = '{\"requests_per_minute\": 500}' WHERE slug = 'northwind'";
    assert_eq!(sqlx::query(query).execute(&world.db).await.expect("written").rows_affected(), 1);
    let all = "INSERT INTO revocations (concerns, created_at) VALUES ('all', UTC_TIMESTAMP(6))";
    sqlx::query(all).execute(&world.db).await.expect("written");
    eventually("the tenant's settings count", || async {
        let (status, ..) = call(&world.urls[0], &[("X-API-Key", &one)]).await;
        if status == StatusCode::OK { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    world.stop().await;
}
