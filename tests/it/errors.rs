//! Errors: one shape, the right status, and whatever comes in never a 500.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Api, Domain, Trials, World, trials};

pub fn tests() -> Trials {
    trials![
        what_is_not_there_is_404_and_what_is_not_allowed_is_405,
        credentials_are_wanted_and_exactly_one,
        a_sane_request_id_is_echoed_and_another_is_replaced,
        a_body_must_be_json_and_say_so,
        unknown_missing_and_wrong_fields_are_named,
        truth_in_a_query_is_told_in_the_words_of_clients_and_a_list_is_no_object,
        ids_that_are_none_are_not_found,
        a_body_over_ten_megabytes_is_refused,
        hostile_bodies_are_never_an_internal_error,
        hostile_paths_and_queries_are_never_an_internal_error,
        internal_details_never_come_out,
    ]
}

async fn what_is_not_there_is_404_and_what_is_not_allowed_is_405() {
    let world = World::shared().await;
    for api in [world.admin(), world.nobody()] {
        for path in ["/nothing", "/domains/x/y/z", "/api/v2/domains/", "/api/v1"] {
            api.get(path).await.refused(404, "not_found");
        }
    }
    let api = world.admin();
    let domain = world.pending(&api, "methods").await;
    for (method, path) in [
        (Method::PUT, "/domains/".to_owned()),
        (Method::DELETE, "/domains/".to_owned()),
        (Method::POST, domain.path()),
        (Method::PUT, domain.records()),
        (Method::GET, domain.check()),
        (Method::POST, "/health/live".to_owned()),
        (Method::DELETE, "/admin/audit-logs/".to_owned()),
    ] {
        let answer = api.call(method.clone(), &path, None).await;
        let allow = answer.header("allow").to_owned();
        answer.refused(405, "method_not_allowed");
        assert!(!allow.is_empty(), "{method} {path} does not say what is allowed (RFC 9110 15.5.6)");
    }
}

async fn credentials_are_wanted_and_exactly_one() {
    let world = World::shared().await;
    let path = "/domains/";
    let answer = world.nobody().get(path).await;
    assert!(!answer.header("www-authenticate").is_empty());
    answer.refused(401, "unauthenticated");
    let url = &world.urls[0];
    let wrong = format!("{}x", &world.admin_key[..world.admin_key.len() - 1]);
    for key in ["", "sdk_live_", "x", &"a".repeat(5_000), &wrong, "sdk_live_ä"] {
        let api = world.nobody();
        let answer = api.send(api.request(Method::GET, path).header("X-API-Key", key.as_bytes())).await;
        assert_eq!(answer.status, 401, "{key:?}: {answer:?}");
    }
    for token in ["", "x", "a.b.c", &"a".repeat(9_000), &world.admin_token[..world.admin_token.len() - 4]] {
        Api::with_token(url, token).get(path).await.refused(401, "unauthenticated");
    }
    let api = world.nobody();
    let basic = api.request(Method::GET, path).header("Authorization", "Basic YTpi");
    api.send(basic).await.refused(401, "unauthenticated");

    let both = world.admin().request(Method::GET, path).bearer_auth(&world.admin_token);
    let answer = world.admin().send(both).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let twice = world.admin().request(Method::GET, path).header("X-API-Key", &world.other_key);
    let answer = world.admin().send(twice).await;
    assert!([400, 401].contains(&answer.status), "two keys are none: {answer:?}");
    let beside = world.admin().request(Method::GET, path).header("X-Tenant-ID", "t_x");
    assert_eq!(world.admin().send(beside).await.status, 400);
}

async fn a_sane_request_id_is_echoed_and_another_is_replaced() {
    let world = World::shared().await;
    let api = world.admin();
    let asked = async |id: &[u8]| {
        let request = api.request(Method::GET, "/domains/d_x").header("X-Request-ID", id);
        let answer = api.send(request).await;
        let header = answer.header("x-request-id").to_owned();
        assert_eq!(answer.body["request_id"], header.as_str());
        header
    };
    for sane in ["abc", "req_01", "A-b.c:d_e", &"x".repeat(128)] {
        assert_eq!(asked(sane.as_bytes()).await, sane);
    }
    for insane in [&b"a b"[..], b"<script>", b"", "x".repeat(129).as_bytes(), b"\xff\xfe", b"a;b", b"\"quoted\""] {
        let given = asked(insane).await;
        assert!(given.starts_with("req_") && given.len() == 30, "{given}");
    }
    let first = api.get("/health/live").await.header("x-request-id").to_owned();
    assert_ne!(first, api.get("/health/live").await.header("x-request-id"));
}

async fn a_body_must_be_json_and_say_so() {
    let world = World::shared().await;
    let api = world.admin();
    let body = json!({"name": world.fresh("media"), "domain_type": "primary"}).to_string();
    for kind in ["text/plain", "application/xml", "application/x-www-form-urlencoded", "", "application/jsonp"] {
        let request = api.request(Method::POST, "/domains/").header("Content-Type", kind).body(body.clone());
        api.send(request).await.refused(415, "unsupported_media_type");
    }
    let without = api.request(Method::POST, "/domains/").body(body.clone());
    api.send(without).await.refused(415, "unsupported_media_type");
    let request = api.request(Method::POST, "/domains/").header("Content-Type", "application/json; charset=utf-8");
    api.send(request.body(body)).await.ok();
}

async fn unknown_missing_and_wrong_fields_are_named() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "fields").await;
    let records = domain.records();
    for (path, body, loc, kind) in [
        (&records, json!({"type": "A", "content": "192.0.2.1"}), json!(["body", "name"]), Some("missing")),
        (&records, json!({"name": "a", "type": "A", "content": "192.0.2.1", "tll": 1}), json!(["body", "tll"]), None),
        (&records, json!({"name": "a", "type": 1, "content": "192.0.2.1"}), json!(["body", "type"]), None),
        (&records, json!({"name": "a", "type": "A", "content": ["192.0.2.1"]}), json!(["body", "content"]), None),
        (
            &records,
            json!({"name": "a", "type": "A", "content": "192.0.2.1", "disabled": "no"}),
            json!(["body", "disabled"]),
            None,
        ),
        (&records, json!([]), json!(["body"]), None),
        (&records, json!("text"), json!(["body"]), None),
        (&records, Value::Null, json!(["body"]), None),
    ] {
        let detail = api.post(path, body.clone()).await.refused(422, "validation_error");
        assert_eq!(detail[0]["loc"], loc, "{body}: {detail}");
        assert!(detail[0]["msg"].as_str().is_some_and(|text| !text.is_empty()), "{detail}");
        assert!(detail[0]["type"].is_string(), "{detail}");
        if let Some(kind) = kind {
            assert_eq!(detail[0]["type"], kind);
        }
    }
    let detail = api.get("/domains/?page=none").await.refused(422, "validation_error");
    assert_eq!(detail[0]["loc"], json!(["query", "page"]));
    api.post_empty(&records).await.refused(422, "validation_error");
}

async fn truth_in_a_query_is_told_in_the_words_of_clients_and_a_list_is_no_object() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "truth").await;
    for (word, seen) in [("true", true), ("True", true), ("1", true), ("yes", true), ("FALSE", false), ("0", false)] {
        let path = format!("{}?include_system={word}", domain.records());
        api.get(&path).await.ok();
        let record = json!({"name": "www", "type": "A", "content": "192.0.2.1"});
        let asked = api.post(&format!("{}?dry_run={word}", domain.records()), record).await.ok();
        assert_eq!(asked.get("applied") == Some(&json!(false)), seen, "{word}: {asked}");
        if !seen {
            let id = asked["id"].as_str().expect("an id");
            api.delete(&domain.record(id)).await.expect(204);
        }
    }
    for wrong in ["", "maybe", "2"] {
        let told = api.get(&format!("{}?include_system={wrong}", domain.records())).await;
        assert_eq!(told.status, 422, "{wrong}: {told:?}");
    }
    for (path, list) in [
        ("/auth/validate".to_owned(), json!(["a.b.c"])),
        (domain.check(), json!([])),
        ("/domains/".to_owned(), json!(["list.test", "primary"])),
    ] {
        let told = api.post(&path, list).await;
        assert_eq!((told.status, &told.body["code"]), (422, &json!("validation_error")), "{path}: {told:?}");
    }
}

async fn ids_that_are_none_are_not_found() {
    let world = World::shared().await;
    let api = world.admin();
    for bad in [
        "x",
        "d_",
        "d_0",
        "r_00000000000000000000000000",
        "d_00000000000000000000000000",
        "d_zzzzzzzzzzzzzzzzzzzzzzzzzz",
        "D_00000000000000000000000000",
        "%20",
        "%C3%A4",
        "%FF",
        "..%2f..",
        &"9".repeat(3_000),
    ] {
        for path in [format!("/domains/{bad}"), format!("/domains/{bad}/records"), format!("/domains/{bad}/validation")]
        {
            api.get(&path).await.refused(404, "not_found");
        }
    }
}

async fn a_body_over_ten_megabytes_is_refused() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "big").await;
    let big = json!({"name": "a", "type": "TXT", "content": "x".repeat(11 * 1024 * 1024)}).to_string();
    let request = api.request(Method::POST, &domain.records()).header("Content-Type", "application/json").body(big);
    // The server may close before everything is sent; then there is no answer to read.
    if let Ok(answer) = api.try_send(request).await {
        answer.refused(413, "body_too_large");
    }
    let most = json!({"name": "a", "type": "TXT", "content": "x".repeat(9 * 1024 * 1024)}).to_string();
    let request = api.request(Method::POST, &domain.records()).header("Content-Type", "application/json").body(most);
    let answer = api.send(request).await;
    assert!([400, 422].contains(&answer.status), "{} {}", answer.status, answer.message());
    assert!(answer.text.len() < 10_000, "the answer does not repeat it");
    assert!(api.records(&domain).await.is_empty());
}

async fn hostile_bodies_are_never_an_internal_error() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "hostile").await;
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n)).into_bytes();
    let deep_object = format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000)).into_bytes();
    let with = |name: &str, kind: &str, content: &str| {
        json!({"name": name, "type": kind, "content": content}).to_string().into_bytes()
    };
    let bodies: Vec<Vec<u8>> = vec![
        deep(100_000),
        deep_object,
        b"\xff\xfe{}".to_vec(),
        b"{\"name\": \"\xff\"}".to_vec(),
        b"\0".to_vec(),
        b"{".to_vec(),
        b"{}{}".to_vec(),
        b"nul".to_vec(),
        b"1e999999".to_vec(),
        b"{\"ttl\": 1e400}".to_vec(),
        br#"{"name": "\ud800", "type": "A", "content": "x"}"#.to_vec(),
        br#"{"name": "a", "name": "b", "type": "A", "content": "192.0.2.1"}"#.to_vec(),
        with("a\0b", "A", "192.0.2.1"),
        with("a", "A\0", "192.0.2.1"),
        with("a", "TXT", "a\0b"),
        with("a", "TXT", "\u{1f600}"),
        with("\u{202e}", "A", "192.0.2.1"),
        with("a", "TXT", &"\\".repeat(70_001)),
        with("a", "TXT", &"\"".repeat(999)),
        with(&"a.".repeat(200), "A", "192.0.2.1"),
        with("a", &"A".repeat(100_000), "x"),
        with("a", "MX", "99999999999999999999 a."),
        with("a", "SRV", &"1 ".repeat(10_000)),
        with("a", "CAA", "0 issue \""),
        with("'; DROP TABLE zones; --", "A", "192.0.2.1"),
        with("a", "A", "${jndi:ldap://127.0.0.1}"),
        with("%s%n", "TXT", "%s%n"),
        with("_scaidns-x", "TXT", "mine"),
        with("ＷＷＷ", "A", "１９２.０.２.１"),
    ];
    let paths = [
        ("/domains/".to_owned(), Method::POST),
        (domain.path(), Method::PATCH),
        (domain.records(), Method::POST),
        (format!("{}/check", domain.records()), Method::POST),
        (domain.validation(), Method::POST),
        ("/api-keys/".to_owned(), Method::POST),
    ];
    for (path, method) in &paths {
        for body in &bodies {
            for caller in [&api, &world.admin_user()] {
                let request = caller.request(method.clone(), path).header("Content-Type", "application/json");
                let answer = caller.send(request.body(body.clone())).await;
                let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
                assert!(answer.status < 500, "{method} {path} {shown}: {} {}", answer.status, answer.text);
                assert!(answer.text.len() < 10_000, "{method} {path} {shown}: the answer repeats it");
            }
        }
    }
    world.until_ready().await;
}

async fn hostile_paths_and_queries_are_never_an_internal_error() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "queries").await;
    let values = [
        "",
        "%00",
        "%FF",
        "%F0%9F%98%80",
        "%27%20OR%201%3D1",
        "%25",
        "_",
        "*",
        "99999999999999999999",
        "-1",
        "1e3",
        "true",
        "null",
        "%5B%5D",
        &"a".repeat(4_000),
    ];
    let lists = [
        (
            "/domains/".to_owned(),
            vec![
                "page",
                "page_size",
                "cursor",
                "status",
                "domain_type",
                "dnssec_enabled",
                "search",
                "include_deleted",
                "unknown",
            ],
        ),
        (domain.records(), vec!["type", "name", "include_system", "page", "page_size"]),
        (
            "/admin/audit-logs/".to_owned(),
            vec![
                "page",
                "cursor",
                "tenant_id",
                "actor_type",
                "actor_id",
                "action",
                "resource_type",
                "resource_id",
                "start_date",
                "end_date",
            ],
        ),
    ];
    for (path, names) in &lists {
        for name in names {
            for value in &values {
                let answer = api.get(&format!("{path}?{name}={value}")).await;
                assert!([200, 400, 422].contains(&answer.status), "{path}?{name}={value}: {answer:?}");
            }
        }
        let twice = format!("{path}?{0}=1&{0}=2", names[0]);
        assert!(api.get(&twice).await.status < 500, "{twice}");
    }
    for path in [
        "//domains//",
        "/domains/%2e%2e/",
        "/domains/../../../etc/passwd",
        "/domains/%00/records",
        "/%FF%FE",
        "/domains/?%",
    ] {
        assert!(api.get(path).await.status < 500, "{path}");
    }
}

async fn internal_details_never_come_out() {
    let world = World::shared().await;
    let api = world.admin();
    let domain: Domain = world.pending(&api, "quiet").await;
    let answers = [
        api.try_add(&domain, "x", "A", "no").await,
        api.get("/domains/?cursor=e30").await,
        api.post("/domains/", json!({"name": domain.name, "domain_type": "primary"})).await,
    ];
    for answer in answers {
        for word in ["sqlx", "mysql", "SELECT", "panicked", "src/", ".rs:", "stack backtrace", "127.0.0.1"] {
            assert!(!answer.text.contains(word), "{word} in {}", answer.text);
        }
    }
    for name in ["api-1", "api-2", "worker"] {
        let log = world.log(name);
        for (what, secret) in
            [("key", &world.admin_key), ("token", &world.admin_token), ("other key", &world.other_key)]
        {
            assert!(!log.contains(secret.as_str()), "the {what} is in the log of {name}");
        }
        for (variable, value) in &world.env {
            let secret = ["PASSWORD", "SECRET", "KEY", "PEPPER"].iter().any(|word| variable.contains(word));
            assert!(!secret || !log.contains(value.as_str()), "{variable} is in the log of {name}");
        }
    }
}
