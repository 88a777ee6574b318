//! A ScaiKey of a test's own: two signing keys, a discovery document and a key set on a loopback port.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::clock::Clock;
use crate::config::ScaiKeyConfig;

use super::ScaiKey;

pub(crate) const CLIENT_ID: &str = "scaidns";

/// The server and its keys: `rsa` and `ec`.
pub(crate) struct TestScaiKey {
    pub base: String,
    pub fetches: Arc<AtomicUsize>,
    pub down: Arc<AtomicBool>,
    pub key_set: Arc<Mutex<Vec<Value>>>,
    rsa: KeyPair,
    ec: EcdsaKeyPair,
}

impl TestScaiKey {
    pub async fn start() -> Self {
        let rsa = KeyPair::generate(KeySize::Rsa2048).expect("an RSA key");
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a P-256 key");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let (fetches, down) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let key_set = Arc::new(Mutex::new(vec![rsa_jwk(&rsa, "rsa"), ec_jwk(&ec, "ec")]));
        let discovery = json!({
            "issuer": base,
            "authorization_endpoint": format!("{base}/authorize"),
            "token_endpoint": format!("{base}/token"),
            "jwks_uri": format!("{base}/keys"),
        });
        let keys = {
            let (fetches, down, key_set) = (fetches.clone(), down.clone(), key_set.clone());
            move || async move {
                fetches.fetch_add(1, Ordering::SeqCst);
                match down.load(Ordering::SeqCst) {
                    true => Err(StatusCode::SERVICE_UNAVAILABLE),
                    false => Ok(Json(json!({ "keys": *key_set.lock().expect("unpoisoned") }))),
                }
            }
        };
        let document = {
            let down = down.clone();
            move || async move {
                match down.load(Ordering::SeqCst) {
                    true => Err(StatusCode::SERVICE_UNAVAILABLE),
                    false => Ok(Json(discovery)),
                }
            }
        };
        let app = Router::new()
            .route("/api/v1/platform/oauth/.well-known/openid-configuration", get(document))
            .route("/keys", get(keys));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base, fetches, down, key_set, rsa, ec }
    }

    pub fn config(&self, ttl: Duration) -> ScaiKeyConfig {
        ScaiKeyConfig {
            url: self.base.clone(),
            client_id: CLIENT_ID.into(),
            client_secret: "secret".into(),
            application_id: "app_1".into(),
            jwks_cache_ttl: ttl,
            token_cache_ttl: Duration::ZERO,
        }
    }

    pub fn client(&self, ttl: Duration) -> ScaiKey {
        ScaiKey::new(&self.config(ttl), Clock::system()).expect("a client")
    }

    /// Claims of a good access token; those of `changes` are set over them, null takes one away.
    pub fn claims(&self, changes: Value) -> Value {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut claims = json!({
            "iss": self.base, "aud": CLIENT_ID, "sub": "usr_1", "email": "ada@example.org", "name": "Ada",
            "tenant_id": "tnt_1", "scope": "openid email", "iat": now, "nbf": now, "exp": now + 3_600,
        });
        for (name, value) in changes.as_object().expect("an object") {
            let object = claims.as_object_mut().expect("an object");
            match value {
                Value::Null => object.remove(name),
                value => object.insert(name.clone(), value.clone()),
            };
        }
        claims
    }

    /// An access token as ScaiKey signs it.
    pub fn token(&self, changes: Value) -> String {
        self.sign(json!({"alg": "RS256", "kid": "rsa", "typ": "JWT"}), &self.claims(changes))
    }

    /// Signs with the key that `kid` names in the way that `alg` names, whether they fit or not.
    pub fn sign(&self, header: Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = match header["alg"].as_str() {
            Some("RS256") => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                let random = SystemRandom::new();
                self.rsa.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).expect("signs");
                signature
            }
            Some("ES256") => self.ec.sign(&SystemRandom::new(), message.as_bytes()).expect("signs").as_ref().to_vec(),
            Some("HS256") => {
                use hmac::{Hmac, KeyInit, Mac};
                let public = self.rsa.public_key();
                let mut mac = Hmac::<sha2::Sha256>::new_from_slice(public.as_ref()).expect("any length");
                mac.update(message.as_bytes());
                mac.finalize().into_bytes().to_vec()
            }
            _ => Vec::new(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub fn rsa_jwk(&self, kid: &str) -> Value {
        rsa_jwk(&self.rsa, kid)
    }
}

fn rsa_jwk(pair: &KeyPair, kid: &str) -> Value {
    let public = pair.public_key();
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
        "n": number(public.modulus().big_endian_without_leading_zero()),
        "e": number(public.exponent().big_endian_without_leading_zero()),
    })
}

fn ec_jwk(pair: &EcdsaKeyPair, kid: &str) -> Value {
    // 0x04, x, y
    let point = pair.public_key().as_ref();
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": kid, "x": number(&point[1..33]), "y": number(&point[33..])})
}
