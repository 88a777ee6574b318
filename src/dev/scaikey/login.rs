//! The authorization endpoint: a page that asks for address and password, then the way back with a code. PKCE with
//! S256 is required. One page, no session of its own, no script.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use super::directory::ACTIVE;
use super::sessions::{Issuer, Session, random};
use super::{CLIENT_ID, State};

/// What the browser is sent here with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Authorize {
    response_type: String,
    client_id: String,
    redirect_uri: String,
    scope: Option<String>,
    state: Option<String>,
    nonce: Option<String>,
    code_challenge: String,
    code_challenge_method: String,
}

/// The form comes back with what it was made with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Credentials {
    email: String,
    password: String,
}

pub(super) async fn platform_page(Query(wanted): Query<Authorize>) -> Response {
    page(&wanted)
}

pub(super) async fn tenant_page(
    Shared(state): Shared<Arc<State>>,
    Path(slug): Path<String>,
    Query(wanted): Query<Authorize>,
) -> Response {
    match state.tenant_issuer(&slug) {
        Some(_) => page(&wanted),
        None => refused_page("There is no such tenant."),
    }
}

pub(super) async fn platform_login(
    Shared(state): Shared<Arc<State>>,
    Query(wanted): Query<Authorize>,
    Form(credentials): Form<Credentials>,
) -> Response {
    login(&state, Issuer::Platform, &wanted, &credentials)
}

pub(super) async fn tenant_login(
    Shared(state): Shared<Arc<State>>,
    Path(slug): Path<String>,
    Query(wanted): Query<Authorize>,
    Form(credentials): Form<Credentials>,
) -> Response {
    match state.tenant_issuer(&slug) {
        Some(issuer) => login(&state, issuer, &wanted, &credentials),
        None => refused_page("There is no such tenant."),
    }
}

fn page(wanted: &Authorize) -> Response {
    match check(wanted) {
        Ok(()) => form(StatusCode::OK, ""),
        Err(refusal) => refusal.answer(wanted),
    }
}

fn login(state: &State, issuer: Issuer, wanted: &Authorize, credentials: &Credentials) -> Response {
    if let Err(refusal) = check(wanted) {
        return refusal.answer(wanted);
    }
    let user = {
        let directory = state.directory();
        let known = directory.user(&credentials.email).filter(|user| {
            let in_tenant = match &issuer {
                Issuer::Platform => true,
                Issuer::Tenant(id) => user.tenant_id == *id,
            };
            in_tenant && user.status == ACTIVE && user.password.as_ref() == Some(&credentials.password)
        });
        known.map(|user| user.id.clone())
    };
    let Some(user) = user else { return form(StatusCode::UNAUTHORIZED, "Address or password is wrong.") };
    let scope = wanted.scope.clone().unwrap_or_else(|| "openid profile email".to_owned());
    let session = Session { id: random(), user, issuer, nonce: wanted.nonce.clone(), scope };
    let (uri, challenge) = (wanted.redirect_uri.clone(), wanted.code_challenge.clone());
    let code = state.sessions().code(session, uri, challenge, state.now());
    back(wanted, &[("code", &code)])
}

enum Refusal {
    /// The browser is not sent anywhere: it would be an open redirector.
    Page(&'static str),
    /// RFC 6749, 4.1.2.1
    Back(&'static str, &'static str),
}

impl Refusal {
    fn answer(self, wanted: &Authorize) -> Response {
        match self {
            Self::Page(text) => refused_page(text),
            Self::Back(error, description) => back(wanted, &[("error", error), ("error_description", description)]),
        }
    }
}

fn check(wanted: &Authorize) -> Result<(), Refusal> {
    if wanted.client_id != CLIENT_ID {
        return Err(Refusal::Page("The application is unknown."));
    }
    if !is_registered(&wanted.redirect_uri) {
        return Err(Refusal::Page("The application may not be returned to at this address."));
    }
    if wanted.response_type != "code" {
        return Err(Refusal::Back("unsupported_response_type", "response_type must be code"));
    }
    if wanted.code_challenge_method != "S256" || wanted.code_challenge.len() != 43 {
        return Err(Refusal::Back("invalid_request", "code_challenge with code_challenge_method S256 is required"));
    }
    Ok(())
}

/// Of this machine, or of a name that is nobody's.
pub(super) fn is_registered(uri: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(uri) else { return false };
    let host = url.host_str().unwrap_or_default();
    let is_local = url.scheme() == "http" && ["127.0.0.1", "localhost", "[::1]"].contains(&host);
    (is_local || (url.scheme() == "https" && host.ends_with(".test"))) && url.fragment().is_none()
}

fn back(wanted: &Authorize, parameters: &[(&str, &str)]) -> Response {
    let Ok(mut url) = reqwest::Url::parse(&wanted.redirect_uri) else { return refused_page("No way back.") };
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(parameters);
        if let Some(state) = &wanted.state {
            query.append_pair("state", state);
        }
    }
    (StatusCode::FOUND, [(header::LOCATION, url.to_string())]).into_response()
}

/// Without `action`: it goes back to where it came from, with the whole query.
fn form(status: StatusCode, message: &str) -> Response {
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>ScaiKey</title><h1>Log in</h1><p>{message}</p>\
         <form method=\"post\"><label>Address <input name=\"email\" type=\"email\" required autofocus></label> \
         <label>Password <input name=\"password\" type=\"password\" required></label> <button>Log in</button></form>"
    );
    (status, Html(page)).into_response()
}

fn refused_page(text: &str) -> Response {
    let page = format!("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>ScaiKey</title><p>{text}</p>");
    (StatusCode::BAD_REQUEST, Html(page)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_sent_back_to_this_machine_or_to_a_name_of_nobodys() {
        for good in ["http://127.0.0.1:3000/callback", "http://localhost/", "https://dns.northwind.test/cb?x=1"] {
            assert!(is_registered(good), "{good}");
        }
        for bad in ["", "https://example.com/", "http://evil.test/", "javascript:alert(1)", "http://127.0.0.1/#x"] {
            assert!(!is_registered(bad), "{bad}");
        }
    }
}
