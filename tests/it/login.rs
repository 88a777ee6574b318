//! Logging in and out over the wire: PKCE through the login page, refresh, the end of a token.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use scaidns::dev::scaikey::directory;
use serde_json::{Value, json};

use crate::support::login::{REDIRECT_URI, authorize, exchange, log_in};
use crate::support::{Api, Trials, World, eventually_within, trials};

const ALICE: &str = "alice@northwind.test";

pub fn tests() -> Trials {
    trials![
        a_browser_logs_in_with_pkce_and_its_token_opens_the_api,
        a_first_login_is_told_of_with_its_request,
        a_code_is_good_once_and_for_its_verifier_only,
        a_refresh_token_is_good_once,
        a_logged_out_token_is_refused_on_every_replica_within_a_second,
        a_token_is_validated_as_a_call_would_be,
        a_token_of_a_key_that_scaikey_has_just_made_is_taken,
        what_a_login_lacks_is_named,
    ]
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("claims");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base 64")).expect("JSON")
}

async fn a_browser_logs_in_with_pkce_and_its_token_opens_the_api() {
    let world = World::shared().await;
    let nobody = world.nobody();
    let config = nobody.get("/auth/config").await.ok();
    assert_eq!(config["issuer"], world.scaikey.url());
    assert_eq!(config["userinfo_endpoint"], format!("{}/api/v1/auth/me", world.urls[0]));
    assert_eq!(config["scopes"], json!(["openid", "profile", "email"]));
    for name in ["authorization_endpoint", "token_endpoint", "end_session_endpoint", "jwks_uri", "client_id"] {
        assert!(config[name].is_string(), "{name} in {config}");
    }
    let tokens = log_in(&nobody, ALICE).await;
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 3_600);
    let access = tokens["access_token"].as_str().expect("a token");
    assert_eq!(claims(access)["iss"], world.scaikey.url(), "ours is an application of the platform");
    let id_token = claims(tokens["id_token"].as_str().expect("a token"));
    assert_eq!((&id_token["nonce"], &id_token["aud"]), (&json!("once"), &config["client_id"]));
    let me = Api::with_token(&world.urls[1], access).get("/auth/me").await.ok();
    assert_eq!(me["data"]["id"], directory::NORTHWIND_ADMIN);
    assert_eq!(me["data"]["is_tenant_admin"], true);
    let id_token = tokens["id_token"].as_str().expect("a token");
    Api::with_token(&world.urls[0], id_token).get("/auth/me").await.refused(401, "unauthenticated");
}

async fn a_first_login_is_told_of_with_its_request() {
    let world = World::shared().await;
    let id = format!("usr_{:026x}", rand::random::<u64>());
    world.scaikey.change(|directory| {
        let mut known = directory.users[2].clone();
        known.id = id.clone();
        known.email = format!("{id}@northwind.test");
        directory.users.push(known);
    });
    let api = Api::with_token(&world.urls[0], &world.token(&id));
    let request = api.request(Method::GET, "/me/").header("X-Request-ID", format!("first-{id}"));
    api.send(request.header("User-Agent", "browser/1.0")).await.ok();
    let entries = world.audit(&format!("action=user.create&actor_id={id}")).await;
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    let told = (&entry["request_id"], &entry["user_agent"], &entry["ip_address"]);
    assert_eq!(told, (&json!(format!("first-{id}")), &json!("browser/1.0"), &json!("127.0.0.1")), "{entry}");
}

async fn a_code_is_good_once_and_for_its_verifier_only() {
    let world = World::shared().await;
    let nobody = world.nobody();
    let first = authorize(&nobody, ALICE).await;
    let tokens = exchange(&nobody, &first).await.ok();
    let again = exchange(&nobody, &first).await.refused(400, "invalid_grant");
    assert!(again.as_str().is_some_and(|detail| detail.starts_with("invalid_grant: ")), "{again}");
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    nobody.post("/auth/refresh", refresh).await.refused(400, "invalid_grant");

    let mut stolen = authorize(&nobody, ALICE).await;
    stolen.verifier = "A".repeat(43);
    exchange(&nobody, &stolen).await.refused(400, "invalid_grant");
    let elsewhere = authorize(&nobody, ALICE).await;
    let body =
        json!({"code": elsewhere.code, "code_verifier": elsewhere.verifier, "redirect_uri": "http://127.0.0.1/x"});
    nobody.post("/auth/token", body).await.refused(400, "invalid_grant");
}

async fn a_refresh_token_is_good_once() {
    let world = World::shared().await;
    let nobody = world.nobody();
    let first = log_in(&nobody, "bob@northwind.test").await;
    let old = json!({"refresh_token": first["refresh_token"]});
    let second = nobody.post("/auth/refresh", old.clone()).await.ok();
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert!(second["id_token"].is_string() && second["token_type"] == "Bearer", "{second}");
    let access = second["access_token"].as_str().expect("a token");
    Api::with_token(&world.urls[0], access).get("/me/").await.ok();
    nobody.post("/auth/refresh", old).await.refused(400, "invalid_grant");
    let newest = json!({"refresh_token": second["refresh_token"]});
    nobody.post("/auth/refresh", newest).await.refused(400, "invalid_grant");
}

async fn a_logged_out_token_is_refused_on_every_replica_within_a_second() {
    let world = World::shared().await;
    let nobody = world.nobody();
    let tokens = log_in(&nobody, "carol@northwind.test").await;
    let access = tokens["access_token"].as_str().expect("a token");
    let carol: Vec<Api> = world.urls.iter().map(|url| Api::with_token(url, access)).collect();
    for api in &carol {
        api.get("/me/").await.ok();
    }
    let before = Instant::now();
    assert_eq!(carol[0].post_empty("/auth/logout").await.ok(), json!({"status": "ok"}));
    carol[0].get("/me/").await.refused(401, "unauthenticated");
    carol[0].post_empty("/auth/logout").await.refused(401, "unauthenticated");
    eventually_within(Duration::from_secs(1).saturating_sub(before.elapsed()), "refused everywhere", || async {
        match carol[1].get("/me/").await.status {
            401 => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
    let said = nobody.post("/auth/validate", json!({"token": access})).await.ok();
    assert_eq!(said, json!({"valid": false, "reason": "Token was logged out"}));
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    nobody.post("/auth/refresh", refresh).await.refused(400, "invalid_grant");
    // the others of the same user are not touched
    world.user(directory::NORTHWIND_USER_2).get("/me/").await.ok();
    world.admin().post_empty("/auth/logout").await.refused(403, "key_not_accepted");
    world.admin().get("/me/").await.ok();
    let entries = world.audit(&format!("action=auth.logout&actor_id={}", directory::NORTHWIND_USER_2)).await;
    assert_eq!(entries.len(), 1);
    let kept: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT hash FROM logged_out_tokens").fetch_all(&world.db).await.expect("rows");
    assert!(kept.iter().all(|hash| hash.len() == 16), "no token is kept");
}

async fn a_token_is_validated_as_a_call_would_be() {
    let world = World::shared().await;
    let nobody = world.nobody();
    let validate = async |token: &str| nobody.post("/auth/validate", json!({"token": token})).await.ok();
    let good = validate(&world.token(directory::NORTHWIND_ADMIN)).await;
    assert_eq!(good["valid"], true);
    assert_eq!(good["sub"], directory::NORTHWIND_ADMIN);
    assert_eq!(good["email"], ALICE);
    // others of this run may assign her more
    assert!(good["roles"].as_array().is_some_and(|roles| roles.contains(&json!("tenant_admin"))), "{good}");
    assert_eq!(good["scopes"], json!(["openid", "profile", "email"]));
    assert!(good["expires_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{good}");
    let me = world.admin_user().get("/me/").await.ok();
    assert_eq!(good["tenant_id"], me["data"]["tenant_id"]);
    for bad in ["", "x", "a.b.c", &world.admin_key, &"x".repeat(10_000)] {
        let said = validate(bad).await;
        assert!(said["valid"] == false && said["reason"].is_string(), "{said}");
    }
}

async fn a_token_of_a_key_that_scaikey_has_just_made_is_taken() {
    let world = World::private("key-rotation").await;
    let old = world.admin_user();
    let rotated = reqwest::Client::new().post(format!("{}/dev/keys/rotate", world.scaikey.url())).send().await;
    assert_eq!(rotated.expect("an answer").status(), 200);
    let new = world.user(directory::NORTHWIND_ADMIN);
    for url in &world.urls {
        new.at(url).get("/me/").await.ok();
        old.at(url).get("/me/").await.ok();
    }
    world.stop().await;
}

async fn what_a_login_lacks_is_named() {
    let world = World::shared().await;
    let nobody = world.nobody();
    let complete = json!({"code": "c", "code_verifier": "v", "redirect_uri": REDIRECT_URI});
    for name in ["code", "code_verifier", "redirect_uri"] {
        let mut body = complete.clone();
        body.as_object_mut().expect("an object").remove(name);
        let detail = nobody.post("/auth/token", body.clone()).await.refused(422, "validation_error");
        assert_eq!(detail[0]["loc"], json!(["body", name]));
        body[name] = json!("");
        let detail = nobody.post("/auth/token", body).await.refused(422, "validation_error");
        assert_eq!(detail[0]["loc"], json!(["body", name]));
    }
    let more = json!({"refresh_token": "x", "client_secret": "y"});
    nobody.post("/auth/refresh", more).await.refused(422, "validation_error");
    nobody.post("/auth/token", complete).await.refused(400, "invalid_grant");
}
