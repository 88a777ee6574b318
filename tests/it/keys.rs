//! API keys: made by users, never by keys; dead the moment they are to be.

use std::time::{Duration, Instant};

use reqwest::Method;
use scaidns::dev::scaikey::directory;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::{Api, Trials, World, eventually, eventually_within, scaidns, trials};

pub fn tests() -> Trials {
    trials![
        a_key_is_shown_once_and_works_at_every_replica,
        a_key_never_manages_keys,
        a_patch_changes_what_may_change_and_nothing_else,
        a_regenerated_key_is_another_secret_and_the_old_one_is_dead,
        a_revoked_key_is_refused_everywhere_within_a_second_and_can_come_back,
        an_expired_key_is_refused,
        a_key_that_expires_in_the_far_future_does_expire,
        a_deleted_key_is_refused_and_gone,
        a_key_works_only_from_where_it_may,
        scopes_narrow_what_the_owner_has,
        nobody_makes_a_key_that_holds_more_than_himself,
        a_users_list_holds_his_own_and_his_groups,
        the_operator_makes_keys_from_the_command_line,
        every_use_is_counted_and_the_first_is_audited,
        the_caller_sees_itself,
    ]
}

fn body(name: &str) -> Value {
    json!({"name": name, "permission_source": "user", "permission_source_id": directory::NORTHWIND_ADMIN})
}

struct Key {
    id: String,
    secret: String,
    item: Value,
}

impl Key {
    fn path(&self) -> String {
        format!("/api-keys/{}", self.id)
    }
}

fn key(item: Value) -> Key {
    let text = |name: &str| item[name].as_str().unwrap_or_else(|| panic!("no {name} in {item}")).to_owned();
    Key { id: text("id"), secret: text("key"), item }
}

async fn make(api: &Api, body: Value) -> Key {
    key(api.post("/api-keys/", body).await.ok())
}

/// At all replicas within the second that the contract allows.
async fn refused_everywhere(world: &World, secret: &str) {
    let begun = Instant::now();
    for url in &world.urls {
        eventually_within(Duration::from_secs(1), "the key is refused", || async {
            let status = Api::with_key(url, secret).get("/me/").await.status;
            if status == 401 { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    }
    assert!(begun.elapsed() < Duration::from_secs(2));
}

async fn a_key_is_shown_once_and_works_at_every_replica() {
    let world = World::shared().await;
    let user = world.admin_user();
    let made = make(&user, body("shown once")).await;
    assert!(made.secret.starts_with("sdk_live_") && made.secret.len() == "sdk_live_".len() + 43, "{}", made.secret);
    assert_eq!(made.item["key_prefix"], made.secret[..11]);
    let expected = json!({"status": "active", "permission_source": "user", "permission_source_id": directory::NORTHWIND_ADMIN,
        "scopes": null, "rate_limit": null, "ip_whitelist": [], "expires_at": null, "last_used_at": null,
        "last_used_ip": null, "use_count": 0, "description": null, "name": "shown once"});
    for (name, value) in expected.as_object().expect("object") {
        assert_eq!(made.item[name], *value, "{name}");
    }
    for url in &world.urls {
        assert_eq!(Api::with_key(url, &made.secret).get("/domains/").await.status, 200);
    }
    let read = user.get(&made.path()).await;
    assert!(!read.text.contains(&made.secret) && read.body.get("key").is_none(), "{}", read.text);
    let listed = user.get("/api-keys/?page_size=100").await;
    assert!(listed.text.contains(&made.id) && !listed.text.contains(&made.secret));
    let stored: Vec<u8> = sqlx::query_scalar("SELECT CAST(GROUP_CONCAT(name, key_prefix) AS BINARY) FROM api_keys")
        .fetch_one(&world.db)
        .await
        .expect("stored");
    assert!(!String::from_utf8_lossy(&stored).contains(&made.secret));
    assert_eq!(world.actions(&made.id).await[0], "api_key.create");
    let entry = world.audit(&format!("resource_id={}", made.id)).await;
    assert!(!Value::from(entry).to_string().contains(&made.secret));
}

async fn a_key_never_manages_keys() {
    let world = World::shared().await;
    let victim = make(&world.admin_user(), body("managed")).await;
    let api = world.admin();
    for answer in [
        api.get("/api-keys/").await,
        api.post("/api-keys/", body("by a key")).await,
        api.get(&victim.path()).await,
        api.patch(&victim.path(), json!({"name": "x"})).await,
        api.delete(&victim.path()).await,
        api.post_empty(&format!("{}/regenerate", victim.path())).await,
        api.post_empty(&format!("{}/revoke", victim.path())).await,
        api.post_empty(&format!("{}/activate", victim.path())).await,
    ] {
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.body["code"].is_string());
    }
    assert_eq!(world.actions(&victim.id).await, ["api_key.create"]);
}

async fn a_patch_changes_what_may_change_and_nothing_else() {
    let world = World::shared().await;
    let user = world.admin_user();
    let made = make(&user, body("before")).await;
    let patch = json!({"name": "after", "description": "why", "rate_limit": 600, "ip_whitelist": ["127.0.0.0/8", "::1"],
        "expires_at": "2037-01-01T00:00:00Z"});
    let changed = user.patch(&made.path(), patch.clone()).await.ok();
    for (name, value) in patch.as_object().expect("object") {
        assert_eq!(changed[name], *value, "{name}");
    }
    assert_eq!(user.patch(&made.path(), json!({})).await.ok(), changed);
    let emptied = json!({"description": null, "rate_limit": null, "ip_whitelist": null, "expires_at": null});
    let emptied = user.patch(&made.path(), emptied).await.ok();
    assert_eq!((&emptied["description"], &emptied["ip_whitelist"]), (&Value::Null, &json!([])));
    for bad in [
        json!({"scopes": ["records:read"]}),
        json!({"permission_source_id": "x"}),
        json!({"name": null}),
        json!({"name": ""}),
        json!({"rate_limit": 0}),
        json!({"status": "active"}),
        json!({"expires_at": "soon"}),
    ] {
        let answer = user.patch(&made.path(), bad.clone()).await;
        assert!([400, 422].contains(&answer.status), "{bad}: {answer:?}");
    }
    assert_eq!(user.patch(&made.path(), json!({"ip_whitelist": ["300.0.0.1"]})).await.status, 400);
    assert_eq!(world.actions(&made.id).await, ["api_key.create", "api_key.update", "api_key.update"]);
}

async fn a_regenerated_key_is_another_secret_and_the_old_one_is_dead() {
    let world = World::shared().await;
    let user = world.admin_user();
    let old = make(&user, body("rotated")).await;
    assert_eq!(Api::with_key(&world.urls[1], &old.secret).get("/me/").await.status, 200);
    let new = key(user.post_empty(&format!("{}/regenerate", old.path())).await.ok());
    assert_eq!(new.id, old.id);
    assert_ne!(new.secret, old.secret);
    refused_everywhere(world, &old.secret).await;
    assert_eq!(Api::with_key(&world.urls[1], &new.secret).get("/me/").await.status, 200);
}

async fn a_revoked_key_is_refused_everywhere_within_a_second_and_can_come_back() {
    let world = World::shared().await;
    let user = world.admin_user();
    let made = make(&user, body("revoked")).await;
    for url in &world.urls {
        assert_eq!(Api::with_key(url, &made.secret).get("/me/").await.status, 200);
    }
    let revoked = user.post(&format!("{}/revoke", made.path()), json!({"reason": "lost"})).await.ok();
    assert_eq!(revoked["status"], "revoked");
    refused_everywhere(world, &made.secret).await;
    let shown = |query: &str| {
        let (user, id, path) = (user.clone(), made.id.clone(), format!("/api-keys/?page_size=100&{query}"));
        async move { user.get(&path).await.text.contains(&id) }
    };
    assert!(!shown("").await && shown("include_revoked=true").await);
    user.post_empty(&format!("{}/regenerate", made.path())).await.refused(409, "api_key_revoked");
    assert_eq!(user.post_empty(&format!("{}/activate", made.path())).await.ok()["status"], "active");
    for url in &world.urls {
        assert_eq!(Api::with_key(url, &made.secret).get("/me/").await.status, 200);
    }
    let entries = world.audit(&format!("resource_id={}", made.id)).await;
    let changes: Vec<&str> =
        entries.iter().filter_map(|e| e["action"].as_str()).filter(|a| *a != "api_key.use").collect();
    assert_eq!(changes, ["api_key.create", "api_key.revoke", "api_key.activate"]);
    assert!(entries.iter().any(|entry| entry["details"]["after"]["reason"] == "lost"));
}

async fn an_expired_key_is_refused() {
    let world = World::shared().await;
    let user = world.admin_user();
    let expires_at = OffsetDateTime::now_utc() + Duration::from_secs(3);
    let mut wanted = body("expiring");
    wanted["expires_at"] = expires_at.format(&Rfc3339).expect("a time").into();
    let made = make(&user, wanted).await;
    for url in &world.urls {
        // in use all the time: what is remembered of it says when it expires
        let caller = Api::with_key(url, &made.secret);
        eventually("the key expires", || async {
            let (begun, status) = (OffsetDateTime::now_utc(), caller.get("/me/").await.status);
            let ended = OffsetDateTime::now_utc();
            assert!(status == 200 || ended >= expires_at, "{status} at {ended}, before {expires_at}");
            assert!(status == 401 || begun < expires_at, "{status} at {begun}, after {expires_at}");
            if status == 401 { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    }
    assert_eq!(user.get(&made.path()).await.ok()["status"], "expired");
    user.patch(&made.path(), json!({"expires_at": null})).await.ok();
    assert_eq!(Api::with_key(&world.urls[0], &made.secret).get("/me/").await.status, 200);
}

async fn a_key_that_expires_in_the_far_future_does_expire() {
    let world = World::shared().await;
    let user = world.admin_user();
    for moment in ["2038-01-19T03:14:08Z", "2099-12-31T23:59:59Z", "9998-12-31T00:00:00Z"] {
        let mut wanted = body("far future");
        wanted["expires_at"] = moment.into();
        let made = make(&user, wanted).await;
        assert_eq!(made.item["expires_at"], moment);
        assert_eq!(user.get(&made.path()).await.ok()["expires_at"], moment);
    }
}

async fn a_deleted_key_is_refused_and_gone() {
    let world = World::shared().await;
    let user = world.admin_user();
    let made = make(&user, body("deleted")).await;
    user.delete(&made.path()).await.expect(204);
    refused_everywhere(world, &made.secret).await;
    user.get(&made.path()).await.refused(404, "not_found");
    user.delete(&made.path()).await.refused(404, "not_found");
    assert_eq!(world.actions(&made.id).await, ["api_key.create", "api_key.delete"]);
}

async fn a_key_works_only_from_where_it_may() {
    let world = World::shared().await;
    let mut wanted = body("placed");
    wanted["ip_whitelist"] = json!(["192.0.2.0/24"]);
    let made = make(&world.admin_user(), wanted).await;
    let caller = Api::with_key(&world.urls[0], &made.secret);
    caller.get("/me/").await.refused(403, "address_not_allowed");
    let forged = caller.request(reqwest::Method::GET, "/me/").header("X-Forwarded-For", "192.0.2.1");
    caller.send(forged).await.refused(403, "address_not_allowed");
    world.admin_user().patch(&made.path(), json!({"ip_whitelist": ["127.0.0.1"]})).await.ok();
    assert_eq!(caller.get("/me/").await.status, 200);
    let mut bad = body("malformed");
    for network in ["nowhere", "192.0.2.0/33", "192.0.2.1/24x", ""] {
        bad["ip_whitelist"] = json!([network]);
        assert_eq!(world.admin_user().post("/api-keys/", bad.clone()).await.status, 400, "{network:?}");
    }
}

async fn scopes_narrow_what_the_owner_has() {
    let world = World::shared().await;
    let domain = world.pending(&world.admin(), "scoped").await;
    let mut wanted = body("scoped");
    wanted["scopes"] = json!(["domains:read", "records:read"]);
    let reader = Api::with_key(&world.urls[0], &make(&world.admin_user(), wanted.clone()).await.secret);
    assert_eq!(reader.get(&domain.path()).await.status, 200);
    assert_eq!(reader.get(&domain.records()).await.status, 200);
    reader.try_add(&domain, "x", "A", "192.0.2.1").await.refused(403, "permission_denied");
    reader.patch(&domain.path(), json!({"description": "x"})).await.refused(403, "permission_denied");
    reader.delete(&format!("{}?hard=true", domain.path())).await.refused(403, "permission_denied");
    reader.get("/admin/audit-logs/").await.refused(403, "permission_denied");
    wanted["scopes"] = json!(["domains:read", "records:write"]);
    let writer = Api::with_key(&world.urls[0], &make(&world.admin_user(), wanted.clone()).await.secret);
    let record = writer.add(&domain, "x", "A", "192.0.2.1").await;
    writer.get(&domain.records()).await.refused(403, "permission_denied");
    writer.delete(&domain.record(record["id"].as_str().expect("id"))).await.expect(204);
    let mine = reader.get("/me/").await.ok();
    assert_eq!(mine["data"]["permissions"], json!(["domains:read", "records:read"]));
    for scopes in [json!(["records:fly"]), json!(["*"]), json!([])] {
        wanted["scopes"] = scopes.clone();
        let status = world.admin_user().post("/api-keys/", wanted.clone()).await.status;
        assert!([400, 403, 422].contains(&status), "{scopes}: {status}");
    }
}

async fn nobody_makes_a_key_that_holds_more_than_himself() {
    let world = World::shared().await;
    let mut wanted = body("too much");
    wanted["scopes"] = json!(["validation:bypass"]);
    world.admin_user().post("/api-keys/", wanted.clone()).await.refused(403, "scope_exceeds_source");
    let bob = world.user(directory::NORTHWIND_USER);
    assert_eq!(bob.post("/api-keys/", body("as alice")).await.status, 403);
    let mut root = body("as root");
    root["permission_source_id"] = directory::SUPER_ADMIN.into();
    assert_eq!(world.admin_user().post("/api-keys/", root).await.status, 403);
    let mut stranger = body("of another tenant");
    stranger["permission_source_id"] = directory::FABRIKAM_USER.into();
    let answer = world.admin_user().post("/api-keys/", stranger).await;
    assert!([403, 404].contains(&answer.status), "{answer:?}");
    for (source, id) in
        [("robot", directory::NORTHWIND_ADMIN), ("user", "usr_nobody"), ("group", directory::NORTHWIND_ADMIN)]
    {
        let wanted = json!({"name": "x", "permission_source": source, "permission_source_id": id});
        let status = world.admin_user().post("/api-keys/", wanted).await.status;
        assert!([400, 403, 404].contains(&status), "{source} {id}: {status}");
    }
}

async fn a_users_list_holds_his_own_and_his_groups() {
    let world = World::shared().await;
    let bob = world.user(directory::NORTHWIND_USER);
    let of = |source: &str, id: &str, name: &str| json!({"name": name, "permission_source": source, "permission_source_id": id});
    let own = make(&bob, of("user", directory::NORTHWIND_USER, "bob's")).await;
    let group = make(&bob, of("group", directory::OPERATORS, "the operators'")).await;
    let alices = make(&world.admin_user(), body("alice's")).await;
    let listed = bob.get("/api-keys/?page_size=100").await.text;
    assert!(listed.contains(&own.id) && listed.contains(&group.id) && !listed.contains(&alices.id), "{listed}");
    bob.get(&alices.path()).await.refused(404, "not_found");
    bob.delete(&alices.path()).await.refused(404, "not_found");
    let admins = world.admin_user().get("/api-keys/?page_size=100").await.text;
    assert!([&own, &group, &alices].iter().all(|key| admins.contains(&key.id)));
    let theirs = world.other_user().get("/api-keys/?page_size=100").await.text;
    assert!([&own, &group, &alices].iter().all(|key| !theirs.contains(&key.id)));
    // Bob holds nothing yet; neither does his key.
    let caller = Api::with_key(&world.urls[0], &own.secret);
    assert_eq!(caller.get("/me/").await.ok()["data"]["permissions"], json!([]));
    caller.get("/domains/").await.refused(403, "permission_denied");
}

async fn the_operator_makes_keys_from_the_command_line() {
    let world = World::shared().await;
    let made = scaidns(
        &[
            "keys",
            "create",
            "--owner",
            "alice@northwind.test",
            "--name",
            "cli",
            "--scope",
            "domains:read",
            "--ip",
            "127.0.0.0/8",
            "--json",
        ],
        &world.env,
    )
    .await
    .ok();
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let caller = Api::with_key(&world.urls[0], made["key"].as_str().expect("key"));
    assert_eq!(caller.get("/domains/").await.status, 200);
    assert_eq!(caller.get("/me/").await.ok()["data"]["api_key"]["id"], made["id"]);
    let entries = world.audit(&format!("resource_id={}&action=api_key.create", made["id"].as_str().expect("id"))).await;
    assert_eq!((entries.len(), &entries[0]["actor_type"]), (1, &"system".into()));

    let plain =
        scaidns(&["keys", "create", "--owner", directory::OPERATORS, "--name", "cli group"], &world.env).await.ok();
    assert!(plain.contains("key_") && plain.contains("sdk_live_"), "{plain}");
    let nobody = scaidns(&["keys", "create", "--owner", "nobody@northwind.test", "--name", "x"], &world.env).await;
    assert_eq!(nobody.code, Some(5), "{nobody:?}");
    assert_eq!(nobody.stderr.lines().count(), 1, "{nobody:?}");
    let wrong =
        scaidns(&["keys", "create", "--owner", "alice@northwind.test", "--name", "x", "--scope", "y"], &world.env)
            .await;
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(2), ""), "{wrong:?}");
}

async fn every_use_is_counted_and_the_first_is_audited() {
    let world = World::shared().await;
    let made = make(&world.admin_user(), body("counted")).await;
    for n in 0..7 {
        let api = Api::with_key(&world.urls[n % 2], &made.secret);
        let request = api.request(Method::GET, "/me/").header("X-Request-ID", format!("counted-{n}"));
        api.send(request.header("User-Agent", "counted/1.0")).await.ok();
    }
    eventually_within(Duration::from_secs(10), "seven uses", || async {
        let item = world.admin_user().get(&made.path()).await.ok();
        let counted = item["use_count"] == 7 && item["last_used_ip"] == "127.0.0.1" && item["last_used_at"].is_string();
        if counted { Ok(()) } else { Err(item.to_string()) }
    })
    .await;
    eventually_within(Duration::from_secs(10), "one entry on two replicas", || async {
        let uses = world.audit(&format!("action=api_key.use&resource_id={}", made.id)).await;
        let [of] = uses.as_slice() else { return Err(format!("{uses:?}")) };
        assert_eq!((&of["ip_address"], &of["user_agent"]), (&json!("127.0.0.1"), &json!("counted/1.0")), "{of}");
        assert!(of["request_id"].as_str().is_some_and(|id| id.starts_with("counted-")), "{of}");
        Ok(())
    })
    .await;
}

async fn the_caller_sees_itself() {
    let world = World::shared().await;
    let alice = world.admin_user().get("/auth/me").await.ok();
    assert_eq!(alice, world.admin_user().get("/me/").await.ok());
    let data = &alice["data"];
    assert_eq!((&data["id"], &data["email"]), (&directory::NORTHWIND_ADMIN.into(), &"alice@northwind.test".into()));
    assert_eq!((&data["is_tenant_admin"], &data["is_platform_admin"]), (&true.into(), &false.into()));
    assert_eq!(data["roles"][0]["role"], "tenant_admin");
    assert!(data.get("api_key").is_none());
    let permissions = data["permissions"].as_array().expect("permissions");
    assert!(permissions.contains(&"domains:create".into()) && !permissions.contains(&"validation:bypass".into()));
    let by_key = world.admin().get("/me/").await.ok();
    assert_eq!(by_key["data"]["api_key"]["name"], "tests");
    assert_eq!(by_key["data"]["permissions"], data["permissions"]);
    let root = world.platform().get("/me/").await.ok();
    assert_eq!(root["data"]["is_platform_admin"], true);
    let bob = world.user(directory::NORTHWIND_USER).get("/me/").await.ok();
    assert_eq!((&bob["data"]["permissions"], &bob["data"]["is_tenant_admin"]), (&json!([]), &false.into()));
}
