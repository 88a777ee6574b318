//! A browser without a screen: it follows `auth/config` to the login page and comes back with tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use scaidns::dev::scaikey::directory::PASSWORD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Answer, Api};

pub const REDIRECT_URI: &str = "http://127.0.0.1:49152/callback";

/// What a browser holds between leaving and coming back.
pub struct Login {
    pub verifier: String,
    pub code: String,
}

/// Goes to the login page and back.
pub async fn authorize(api: &Api, email: &str) -> Login {
    let config = api.get("/auth/config").await.ok();
    let verifier = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let scopes: Vec<&str> = config["scopes"].as_array().expect("scopes").iter().filter_map(Value::as_str).collect();
    let endpoint = config["authorization_endpoint"].as_str().expect("an endpoint");
    let client = config["client_id"].as_str().expect("a client");
    let parameters = [
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", REDIRECT_URI),
        ("scope", &scopes.join(" ")),
        ("state", "there and back"),
        ("nonce", "once"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let url = Url::parse_with_params(endpoint, parameters).expect("a URL");
    let browser =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().expect("one");
    let page = browser.get(url.clone()).send().await.expect("the login page");
    assert_eq!(page.status(), 200);
    assert!(page.text().await.expect("a page").contains("name=\"password\""), "it asks for a password");
    let wrong =
        browser.post(url.clone()).form(&[("email", email), ("password", "guessed")]).send().await.expect("a page");
    assert_eq!(wrong.status(), 401);
    let sent = browser.post(url).form(&[("email", email), ("password", PASSWORD)]).send().await.expect("a way back");
    assert_eq!(sent.status(), 302);
    let back = Url::parse(sent.headers()["location"].to_str().expect("text")).expect("a URL");
    assert!(back.as_str().starts_with(REDIRECT_URI), "{back}");
    let parameter =
        |name: &str| back.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
    assert_eq!(parameter("state").as_deref(), Some("there and back"));
    Login { verifier, code: parameter("code").expect("a code") }
}

/// Exchanges the code as a browser does.
pub async fn exchange(api: &Api, login: &Login) -> Answer {
    let Login { verifier, code } = login;
    api.post("/auth/token", json!({"code": code, "code_verifier": verifier, "redirect_uri": REDIRECT_URI})).await
}

/// The tokens of a whole login.
pub async fn log_in(api: &Api, email: &str) -> Value {
    exchange(api, &authorize(api, email).await).await.ok()
}
