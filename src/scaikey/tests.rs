//! Access tokens against a server with real keys: what is taken, and every way to be refused.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::testing::TestScaiKey;
use super::{Issuer, TokenError};
use crate::tenancy::AdminRole;

const LONG: Duration = Duration::from_secs(3_600);

async fn refused(server: &TestScaiKey, token: &str) -> TokenError {
    server.client(LONG).verify(token).await.expect_err("the token is refused")
}

async fn refused_claims(server: &TestScaiKey, changes: Value) -> TokenError {
    refused(server, &server.token(changes)).await
}

#[tokio::test]
async fn tokens_signed_by_either_kind_of_key_are_taken() {
    let server = TestScaiKey::start().await;
    let client = server.client(LONG);
    let token = client.verify(&server.token(json!({"role": "super_admin"}))).await.expect("good");
    assert_eq!((token.subject.as_str(), token.issuer), ("usr_1", Issuer::Platform));
    assert_eq!(token.admin_role, Some(AdminRole::SuperAdmin));
    assert_eq!(token.scopes, ["openid", "email"]);
    let claims = server.claims(json!({"aud": ["other", "scaidns"], "scope": null, "scopes": ["openid"]}));
    let token = client.verify(&server.sign(json!({"alg": "ES256", "kid": "ec"}), &claims)).await.expect("good");
    assert_eq!((token.admin_role, token.scopes), (None, vec!["openid".to_owned()]));
    assert_eq!(server.fetches.load(Ordering::SeqCst), 1, "the keys were fetched once");
}

#[tokio::test]
async fn a_signature_of_another_algorithm_is_refused() {
    let server = TestScaiKey::start().await;
    let claims = server.claims(json!({}));
    let none = server.sign(json!({"alg": "none", "kid": "rsa"}), &claims);
    assert!(matches!(refused(&server, &none).await, TokenError::Malformed));
    let with_the_public_key = server.sign(json!({"alg": "HS256", "kid": "rsa"}), &claims);
    assert!(matches!(refused(&server, &with_the_public_key).await, TokenError::Algorithm));
    for crossed in [json!({"alg": "ES256", "kid": "rsa"}), json!({"alg": "RS256", "kid": "ec"})] {
        assert!(matches!(refused(&server, &server.sign(crossed, &claims)).await, TokenError::Algorithm));
    }
    let mut forged = server.token(json!({}));
    forged.truncate(forged.len() - 8);
    forged.push_str("AAAAAAAA");
    assert!(matches!(refused(&server, &forged).await, TokenError::Signature));
    let critical = server.sign(json!({"alg": "RS256", "kid": "rsa", "crit": ["b64"]}), &claims);
    assert!(matches!(refused(&server, &critical).await, TokenError::Malformed));
}

#[tokio::test]
async fn times_have_a_leeway_of_thirty_seconds() {
    let server = TestScaiKey::start().await;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let client = server.client(LONG);
    assert!(client.verify(&server.token(json!({"exp": now - 20, "nbf": now + 20}))).await.is_ok());
    assert!(matches!(refused_claims(&server, json!({"exp": now - 40})).await, TokenError::Expired));
    assert!(matches!(refused_claims(&server, json!({"nbf": now + 40})).await, TokenError::NotYetValid));
    assert!(matches!(refused_claims(&server, json!({"exp": null})).await, TokenError::Malformed));
}

#[tokio::test]
async fn a_foreign_issuer_or_audience_is_refused() {
    let server = TestScaiKey::start().await;
    let base = &server.base;
    for issuer in [
        "https://evil.example".to_owned(),
        format!("{base}/"),
        format!("{base}.evil.example"),
        format!("{base}/tenants/tnt_2"),
        format!("{base}/tenants/"),
    ] {
        let error = refused_claims(&server, json!({"iss": issuer})).await;
        assert!(matches!(error, TokenError::Issuer), "{issuer}: {error}");
    }
    let without_tenant = json!({"iss": format!("{base}/tenants/tnt_1"), "tenant_id": null});
    assert!(matches!(refused_claims(&server, without_tenant).await, TokenError::Issuer));
    for audience in [json!("other"), json!(["other"]), json!([]), Value::Null] {
        assert!(matches!(refused_claims(&server, json!({"aud": audience})).await, TokenError::Audience));
    }
}

#[tokio::test]
async fn what_is_no_users_access_token_is_refused() {
    let server = TestScaiKey::start().await;
    for id_token in [
        json!({"nonce": "n"}),
        json!({"typ": "ID"}),
        json!({"typ": "id_token"}),
        json!({"typ": "Id"}),
        json!({"auth_time": 1_700_000_000, "scope": null}),
        json!({"azp": "scaidns", "scope": null}),
        json!({"amr": ["pwd"], "scope": null}),
        json!({"acr": "1", "scope": null}),
        json!({"at_hash": "h"}),
        json!({"token_type": "id_token"}),
        json!({"token_use": "id"}),
        json!({"scope": null, "tenant_id": null}),
    ] {
        let error = refused_claims(&server, id_token.clone()).await;
        assert!(matches!(error, TokenError::NotAnAccessToken), "{id_token}: {error}");
    }
    for machine in [
        json!({"token_type": "client_credentials"}),
        json!({"platform_token": true}),
        json!({"sub": "scaidns"}),
        json!({"sub": "app_1"}),
        json!({"sub": "usr_1/../2"}),
    ] {
        let error = refused_claims(&server, machine.clone()).await;
        assert!(matches!(error, TokenError::NotAUser), "{machine}: {error}");
    }
    let long = server.token(json!({"groups": "x".repeat(8_192)}));
    assert!(matches!(refused(&server, &long).await, TokenError::TooLong));
    for text in ["", "a", "a.b", "a.b.c", "....", "\u{0}.\u{0}.\u{0}"] {
        assert!(matches!(refused(&server, text).await, TokenError::Malformed), "{text:?}");
    }
}

#[tokio::test]
async fn an_access_token_may_say_how_its_user_logged_in() {
    let server = TestScaiKey::start().await;
    let scaikey = server.client(LONG);
    for access in [
        json!({"azp": "scaidns", "auth_time": 1_700_000_000}),
        json!({"azp": "scaidns", "scope": null, "scopes": []}),
        json!({"amr": ["pwd"], "scope": null, "roles": ["tenant_admin"]}),
        json!({"acr": "1", "scope": null, "token_type": "access_token"}),
        json!({"azp": "scaidns", "scope": null, "typ": "Bearer"}),
        json!({"typ": 7}),
        json!({"scope": null}),
    ] {
        scaikey.verify(&server.token(access.clone())).await.unwrap_or_else(|error| panic!("{access}: {error}"));
    }
}

#[tokio::test]
async fn a_tenants_issuer_states_no_role_above_tenants() {
    let server = TestScaiKey::start().await;
    let issuer = format!("{}/tenants/tnt_1", server.base);
    let token = server.token(json!({"iss": issuer, "roles": ["super_admin"]}));
    let token = server.client(LONG).verify(&token).await.expect("good");
    assert_eq!((token.issuer, token.admin_role), (Issuer::Tenant, None));
}

#[tokio::test]
async fn a_new_key_is_found_and_an_unknown_one_is_not_asked_for_again() {
    let server = TestScaiKey::start().await;
    let client = server.client(LONG);
    client.verify(&server.token(json!({}))).await.expect("good");
    let rotated = server.sign(json!({"alg": "RS256", "kid": "new"}), &server.claims(json!({})));
    let key = server.rsa_jwk("new");
    server.key_set.lock().expect("unpoisoned").push(key);
    client.verify(&rotated).await.expect("the key set is fetched anew");
    assert_eq!(server.fetches.load(Ordering::SeqCst), 2);
    let unknown = server.sign(json!({"alg": "RS256", "kid": "unknown"}), &server.claims(json!({})));
    for _ in 0..3 {
        assert!(matches!(client.verify(&unknown).await, Err(TokenError::UnknownKey)));
    }
    assert_eq!(server.fetches.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_kid_is_a_name_in_the_key_set_and_nothing_else() {
    let server = TestScaiKey::start().await;
    let claims = server.claims(json!({}));
    for kid in ["../../../etc/passwd", "rsa' OR '1'='1", "http://evil.example/keys.json", "rsa\u{0}", " rsa", ""] {
        let error = refused(&server, &server.sign(json!({"alg": "RS256", "kid": kid}), &claims)).await;
        assert!(matches!(error, TokenError::UnknownKey | TokenError::Malformed), "{kid:?}: {error}");
    }
    // a token neither brings its key along nor says where there is one
    for own in [json!({"jwk": server.rsa_jwk("own")}), json!({"jku": format!("{}/keys.json", server.base)})] {
        let mut header = json!({"alg": "RS256", "kid": "own"});
        header.as_object_mut().expect("an object").extend(own.as_object().expect("an object").clone());
        let error = refused(&server, &server.sign(header, &claims)).await;
        assert!(matches!(error, TokenError::UnknownKey | TokenError::Malformed), "{own}: {error}");
    }
}

#[tokio::test]
async fn known_keys_serve_on_while_scaikey_is_down() {
    let server = TestScaiKey::start().await;
    let client = server.client(Duration::from_millis(1));
    client.verify(&server.token(json!({}))).await.expect("good");
    server.down.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(5)).await;
    for _ in 0..3 {
        client.verify(&server.token(json!({}))).await.expect("the known key serves on");
    }
    let unknown = server.sign(json!({"alg": "RS256", "kid": "unknown"}), &server.claims(json!({})));
    assert!(matches!(client.verify(&unknown).await, Err(TokenError::ScaiKey(_))), "whether it is good cannot be said");
}

#[tokio::test]
async fn the_known_discovery_document_serves_on_after_a_fetch_that_failed() {
    let server = TestScaiKey::start().await;
    let scaikey = server.client(LONG);
    scaikey.check_signing_keys().await.expect("the keys are there");
    server.down.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        scaikey.check_signing_keys().await.expect_err("ScaiKey is down");
        assert_eq!(scaikey.discovery().await.expect("known").issuer, server.base);
    }
    server.down.store(false, Ordering::SeqCst);
    scaikey.check_signing_keys().await.expect("back again");
}
