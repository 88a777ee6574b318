//! The small ScaiKey as ScaiDNS meets it: over HTTP.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::directory::{NORTHWIND, NORTHWIND_ADMIN, OPERATORS, PARTNER, SUPER_ADMIN};
use super::*;

async fn start(folder: &std::path::Path) -> ScaiKey {
    let settings = Settings {
        folder: folder.to_owned(),
        address: ([127, 0, 0, 1], 0).into(),
        url: None,
        client_secret: "a secret".into(),
        clock: Clock::system(),
    };
    ScaiKey::start(settings).await.unwrap()
}

async fn get(url: &str) -> Value {
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

async fn mint(scaikey: &ScaiKey, request: Value) -> (u16, Value) {
    let url = format!("{}/dev/token", scaikey.url());
    let answer = reqwest::Client::new().post(url).json(&request).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Reads a token as a relying party does: discovery, JWKS, signature, audience, times.
async fn verified(scaikey: &ScaiKey, token: &str, issuer: &str) -> Value {
    let discovery = get(&format!("{}/api/v1/platform/oauth/.well-known/openid-configuration", scaikey.url())).await;
    let jwks = get(discovery["jwks_uri"].as_str().unwrap()).await;
    let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let key = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid.as_str()).unwrap();
    let key = DecodingKey::from_rsa_components(key["n"].as_str().unwrap(), key["e"].as_str().unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[CLIENT_ID]);
    validation.set_issuer(&[issuer]);
    jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims
}

#[tokio::test]
async fn an_access_token_verifies_against_the_published_key_and_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let scaikey = start(folder.path()).await;
    let (status, body) = mint(&scaikey, json!({"email": "alice@northwind.test", "expires_in": 60})).await;
    assert_eq!(status, 200);
    let token = body["access_token"].as_str().unwrap().to_owned();
    let issuer = format!("{}/tenants/{NORTHWIND}", scaikey.url());
    let claims = verified(&scaikey, &token, &issuer).await;
    assert_eq!(claims["sub"], NORTHWIND_ADMIN);
    assert_eq!(claims["role"], "tenant_admin");
    assert_eq!(claims["partner_id"], PARTNER);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    scaikey.stop().await;

    let again = start(folder.path()).await;
    verified(&again, &token, &issuer).await;
}

#[tokio::test]
async fn a_platform_role_is_issued_by_the_platform_and_claims_can_be_replaced_or_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let scaikey = start(folder.path()).await;
    let request = json!({"user_id": SUPER_ADMIN, "claims": {"email": null, "tenant_id": "tnt_other"}});
    let (_, body) = mint(&scaikey, request).await;
    let claims = verified(&scaikey, body["access_token"].as_str().unwrap(), scaikey.url()).await;
    assert_eq!(claims["roles"], json!(["super_admin"]));
    assert_eq!(claims["tenant_id"], "tnt_other");
    assert!(claims.get("email").is_none());

    let (status, body) = mint(&scaikey, json!({"user_id": "usr_nobody"})).await;
    assert_eq!((status, body), (404, json!({"detail": "user usr_nobody not found"})));
}

#[tokio::test]
async fn the_admin_api_wants_a_platform_token_and_pages_and_filters() {
    let folder = tempfile::tempdir().unwrap();
    let scaikey = start(folder.path()).await;
    let client = reqwest::Client::new();
    let token_url = format!("{}/api/v1/platform/oauth/token", scaikey.url());
    let users = format!("{}/api/v1/admin/users/", scaikey.url());

    let user_token = scaikey.access_token(SUPER_ADMIN, Duration::from_secs(60)).unwrap();
    for refused in [client.get(&users), client.get(&users).bearer_auth(user_token)] {
        let answer = refused.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert!(answer.json::<Value>().await.unwrap()["detail"].is_string());
    }

    let wrong =
        client.post(&token_url).basic_auth(CLIENT_ID, Some("wrong")).form(&[("grant_type", "client_credentials")]);
    assert_eq!(wrong.send().await.unwrap().status(), 401);
    let by_form = client.post(&token_url).form(&[
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT_ID),
        ("client_secret", "a secret"),
        ("scope", "admin:read admin:write"),
    ]);
    assert_eq!(by_form.send().await.unwrap().status(), 200);
    let basic =
        client.post(&token_url).basic_auth(CLIENT_ID, Some("a secret")).form(&[("grant_type", "client_credentials")]);
    let body: Value = basic.send().await.unwrap().json().await.unwrap();
    let token = body["access_token"].as_str().unwrap();
    let claims = verified(&scaikey, token, scaikey.url()).await;
    assert_eq!((&claims["platform_token"], &claims["sub"]), (&json!(true), &json!(CLIENT_ID)));

    let read = async |path: &str| -> Value {
        let url = format!("{}/api/v1/admin/{path}", scaikey.url());
        client.get(url).bearer_auth(token).send().await.unwrap().json().await.unwrap()
    };
    let page = read("users/?page=2&per_page=3").await;
    assert_eq!(page["pagination"], json!({"page": 2, "per_page": 3, "total": 7, "total_pages": 3}));
    assert_eq!(page["data"].as_array().unwrap().len(), 3);
    assert_eq!(read(&format!("users/?tenant_id={NORTHWIND}")).await["pagination"]["total"], 4);
    assert_eq!(read(&format!("tenants/?partner_id={PARTNER}&status=active")).await["pagination"]["total"], 2);
    assert_eq!(read("users/?search=ERIN").await["data"][0]["email"], "erin@fabrikam.test");
    assert_eq!(read(&format!("users/{NORTHWIND_ADMIN}")).await["display_name"], "Alice Admin");
    assert_eq!(read("partners/").await["data"][0]["slug"], "contoso");
    let members = read(&format!("groups/{OPERATORS}/members")).await;
    assert_eq!(members["data"][0]["membership_type"], "DIRECT");
    assert!(members["data"][1]["group_id"].as_str().unwrap().starts_with("grp_"));
    assert_eq!(read("users/usr_nobody").await, json!({"detail": "usr_nobody not found"}));
    assert_eq!(read("cats/").await, json!({"detail": "Not Found"}));

    scaikey.change(|directory| directory.users.retain(|user| user.id != NORTHWIND_ADMIN));
    assert_eq!(read("users/").await["pagination"]["total"], 6);
}
