//! One bounded exchange with ScaiKey: no redirects, a time-out, a largest body.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};
use serde::de::DeserializeOwned;

use super::ScaiKeyError;
use crate::fairness;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// More than any page of a hundred users needs.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A client that follows no redirect: a token or a secret goes where the operator said, or nowhere.
pub fn client() -> Result<Client, ScaiKeyError> {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .user_agent(concat!("scaidns/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| ScaiKeyError::Unreachable { url: String::new(), reason: text_of(error) })
}

/// Sends and reads the JSON of a 200.
pub async fn json<T: DeserializeOwned>(url: &str, request: RequestBuilder) -> Result<T, ScaiKeyError> {
    let mut response = fairness::aside(request.send()).await.map_err(|error| unreachable(url, error))?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(ScaiKeyError::Status { url: url.to_owned(), status: response.status().as_u16() });
    }
    let body = body(url, &mut response).await?;
    serde_json::from_slice(&body)
        .map_err(|error| ScaiKeyError::Malformed { url: url.to_owned(), reason: error.to_string() })
}

/// An answer that is understood either way.
pub enum Answered<T, R> {
    Good(T),
    /// A 4xx and what it says.
    Refused(u16, R),
}

/// Sends and reads the JSON of a success, or of a 4xx that speaks the language of `R`.
pub async fn json_or_refusal<T: DeserializeOwned, R: DeserializeOwned>(
    url: &str,
    request: RequestBuilder,
) -> Result<Answered<T, R>, ScaiKeyError> {
    let mut response = fairness::aside(request.send()).await.map_err(|error| unreachable(url, error))?;
    let status = response.status();
    let body = body(url, &mut response).await?;
    if status.is_success() {
        // a 204 says nothing
        let read = serde_json::from_slice(if body.is_empty() { b"null" } else { &body }).map(Answered::Good);
        return read.map_err(|error| ScaiKeyError::Malformed { url: url.to_owned(), reason: error.to_string() });
    }
    let refusal = status.is_client_error().then(|| serde_json::from_slice(&body).ok()).flatten();
    refusal
        .map(|refusal| Answered::Refused(status.as_u16(), refusal))
        .ok_or_else(|| ScaiKeyError::Status { url: url.to_owned(), status: status.as_u16() })
}

/// Sends what has no answer but that it is done.
pub async fn done(url: &str, request: RequestBuilder) -> Result<(), ScaiKeyError> {
    let response = fairness::aside(request.send()).await.map_err(|error| unreachable(url, error))?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(ScaiKeyError::Status { url: url.to_owned(), status: status.as_u16() }),
    }
}

async fn body(url: &str, response: &mut Response) -> Result<Vec<u8>, ScaiKeyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(url, error))? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            let reason = format!("the answer is larger than {BODY_BYTES_MAX} bytes");
            return Err(ScaiKeyError::Malformed { url: url.to_owned(), reason });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn unreachable(url: &str, error: reqwest::Error) -> ScaiKeyError {
    ScaiKeyError::Unreachable { url: url.to_owned(), reason: text_of(error) }
}

/// reqwest says why only in its sources.
fn text_of(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
