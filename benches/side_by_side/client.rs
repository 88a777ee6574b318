//! One client of an HTTP server on loopback: one connection, one call at a time.
//!
//! ScaiDNS keeps connections, so they are kept. PowerDNS closes each after its answer, so each call makes one: that is
//! part of what a call to PowerDNS costs. Nothing is ever repeated, except on a kept connection that the server has
//! closed before the call.

use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, ETAG, HOST, HeaderValue, IF_NONE_MATCH};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Longer than any call may take that is still worth to be measured.
const LIMIT: Duration = Duration::from_secs(30);
/// The status of a call that got no answer.
pub const NO_ANSWER: u16 = 0;

/// Who calls whom.
#[derive(Debug)]
pub struct Client {
    /// `address:port`.
    authority: String,
    /// Before every path: `/api/v1`.
    prefix: &'static str,
    credentials: (&'static str, HeaderValue),
    keeps: bool,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Clone for Client {
    /// The same caller with a connection of its own.
    fn clone(&self) -> Self {
        let Self { authority, prefix, credentials, keeps, connection: _ } = self;
        Self { authority: authority.clone(), prefix, credentials: credentials.clone(), keeps: *keeps, connection: None }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub etag: Option<String>,
    pub body: Bytes,
}

impl Answer {
    /// The body of an answer that says that all went well.
    pub fn ok(self) -> Result<Value> {
        let Self { status, etag: _, body } = self;
        let text = String::from_utf8_lossy(&body);
        anyhow::ensure!(
            (200..300).contains(&status),
            "answered {status}: {}",
            text.chars().take(300).collect::<String>()
        );
        if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&body).context("not JSON") }
    }
}

impl Client {
    pub fn new(url: &str, prefix: &'static str, credentials: (&'static str, &str), keeps: bool) -> Result<Self> {
        let authority = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let (header, secret) = credentials;
        Ok(Self { authority, prefix, credentials: (header, HeaderValue::from_str(secret)?), keeps, connection: None })
    }

    /// The same caller at another server.
    pub fn at(&self, url: &str) -> Self {
        Self { authority: url.trim_start_matches("http://").to_owned(), ..self.clone() }
    }

    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        self.call(Method::GET, path, None, None).await
    }

    /// A GET that wants to hear only of changes.
    pub async fn get_if_changed(&mut self, path: &str, etag: &str) -> Result<Answer> {
        self.call(Method::GET, path, None, Some(etag)).await
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Answer> {
        self.call(Method::POST, path, Some(body.to_string().into()), None).await
    }

    pub async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<Answer> {
        self.call(method, path, Some(body), None).await
    }

    /// The status alone, [`NO_ANSWER`] where there is none.
    pub async fn status(&mut self, method: Method, path: &str, body: Bytes) -> u16 {
        self.call(method, path, Some(body).filter(|body| !body.is_empty()), None)
            .await
            .map_or(NO_ANSWER, |answer| answer.status)
    }

    async fn call(&mut self, method: Method, path: &str, body: Option<Bytes>, etag: Option<&str>) -> Result<Answer> {
        let outcome = tokio::time::timeout(LIMIT, self.exchange(method, path, body, etag)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {LIMIT:?}")));
        if outcome.is_err() || !self.keeps {
            self.connection = None;
        }
        outcome.with_context(|| format!("{path} at {}", self.authority))
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        etag: Option<&str>,
    ) -> Result<Answer> {
        // one that the server has closed since shows it here
        let is_open = match &mut self.connection {
            Some(kept) => kept.ready().await.is_ok(),
            None => false,
        };
        if !is_open {
            self.connection = Some(connect(&self.authority).await?);
        }
        let connection = self.connection.as_mut().context("a connection")?;
        let (header, secret) = &self.credentials;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(HOST, &self.authority)
            .header(*header, secret);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let answer = connection.send_request(request.body(Full::new(body.unwrap_or_default()))?).await?;
        let status = answer.status().as_u16();
        let etag = answer.headers().get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(Answer { status, etag, body })
    }
}

async fn connect(authority: &str) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(authority).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // ends with the sender, or with the server
    tokio::spawn(connection);
    Ok(sender)
}
