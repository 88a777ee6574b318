//! A caller of the API at one replica.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::Answer;

/// Longer than anything may take; the tests of time-outs set their own.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
enum Credentials {
    None,
    Key(String),
    Token(String),
}

/// Who calls, and which replica.
#[derive(Debug, Clone)]
pub struct Api {
    url: String,
    credentials: Credentials,
}

/// A domain as it was when made.
#[derive(Debug, Clone)]
pub struct Domain {
    pub id: String,
    pub name: String,
    pub body: Value,
}

impl Domain {
    pub fn new(body: Value) -> Self {
        let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}")).to_owned();
        Self { id: text("id"), name: text("name"), body }
    }

    pub fn path(&self) -> String {
        format!("/domains/{}", self.id)
    }

    /// The domain even if it is deleted.
    pub fn even_deleted(&self) -> String {
        format!("/domains/{}?include_deleted=true", self.id)
    }

    pub fn restore(&self) -> String {
        format!("/domains/{}/restore", self.id)
    }

    pub fn records(&self) -> String {
        format!("/domains/{}/records", self.id)
    }

    pub fn rrsets(&self) -> String {
        format!("/domains/{}/rrsets", self.id)
    }

    pub fn changes(&self) -> String {
        format!("/domains/{}/changes", self.id)
    }

    pub fn record(&self, id: &str) -> String {
        format!("/domains/{}/records/{id}", self.id)
    }

    pub fn validation(&self) -> String {
        format!("/domains/{}/validation", self.id)
    }

    pub fn check(&self) -> String {
        format!("/domains/{}/validation/check", self.id)
    }

    /// The name of a record in it: `at("www")`.
    pub fn at(&self, label: &str) -> String {
        format!("{label}.{}", self.name)
    }

    /// Of a pending domain: the text to publish.
    #[track_caller]
    pub fn challenge(&self) -> &str {
        self.body["validation"]["dns_record"]["value"]
            .as_str()
            .unwrap_or_else(|| panic!("no challenge in {}", self.body))
    }
}

impl Api {
    pub fn anonymous(url: &str) -> Self {
        Self { url: url.to_owned(), credentials: Credentials::None }
    }

    pub fn with_key(url: &str, key: &str) -> Self {
        Self { url: url.to_owned(), credentials: Credentials::Key(key.to_owned()) }
    }

    pub fn with_token(url: &str, token: &str) -> Self {
        Self { url: url.to_owned(), credentials: Credentials::Token(token.to_owned()) }
    }

    /// The same caller at another replica.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), credentials: self.credentials.clone() }
    }

    /// Of its replica.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    /// A POST without a body.
    pub async fn post_empty(&self, path: &str) -> Answer {
        self.call(Method::POST, path, None).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.send(request).await
    }

    /// A request to be completed by the caller: headers, a hostile body. `path` is below `/api/v1`, or, beginning
    /// with `/health` or `/api`, as it stands.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let absolute = ["/health", "/api/", "/docs"].iter().any(|start| path.starts_with(start));
        let prefix = if absolute { "" } else { "/api/v1" };
        let request = client().request(method, format!("{}{prefix}{path}", self.url));
        match &self.credentials {
            Credentials::None => request,
            Credentials::Key(key) => request.header("X-API-Key", key),
            Credentials::Token(token) => request.bearer_auth(token),
        }
    }

    /// Sends it; a request that gets no answer at all is a failure of the test.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.unwrap_or_else(|error| panic!("no answer: {error:?}"))
    }

    /// Sends it, when no answer is an answer too: the replica may be killed meanwhile.
    pub async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let request = request.build()?;
        let described = format!("{} {}", request.method(), request.url());
        let response = client().execute(request).await?;
        Ok(Answer::read(described, response).await)
    }

    /// [`Api::call`] where the replica may be gone.
    pub async fn try_call(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::Result<Answer> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.try_send(request).await
    }

    /// Claims a primary domain.
    pub async fn create_domain(&self, name: &str) -> Domain {
        Domain::new(self.post("/domains/", json!({"name": name, "domain_type": "primary"})).await.ok())
    }

    /// The domain as it is now.
    pub async fn domain(&self, domain: &Domain) -> Value {
        self.get(&domain.path()).await.ok()
    }

    pub async fn check(&self, domain: &Domain) -> Value {
        self.post_empty(&domain.check()).await.ok()
    }

    /// Adds a record and returns it.
    pub async fn add(&self, domain: &Domain, name: &str, record_type: &str, content: &str) -> Value {
        self.try_add(domain, name, record_type, content).await.ok()
    }

    /// Adds a record and returns the answer.
    pub async fn try_add(&self, domain: &Domain, name: &str, record_type: &str, content: &str) -> Answer {
        self.post(&domain.records(), json!({"name": name, "type": record_type, "content": content})).await
    }

    /// All records but SOA and apex NS, in the order they are listed.
    pub async fn records(&self, domain: &Domain) -> Vec<Value> {
        self.records_where(domain, "").await
    }

    /// Records by a query string such as `type=A&include_system=true`.
    pub async fn records_where(&self, domain: &Domain, query: &str) -> Vec<Value> {
        let body = self.get(&format!("{}?{query}", domain.records())).await.ok();
        body["data"].as_array().cloned().unwrap_or_else(|| panic!("no data in {body}"))
    }
}

/// One for all: connections are kept, redirects are not followed, no proxy of this machine comes between.
fn client() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let builder = reqwest::Client::builder().timeout(LIMIT).redirect(reqwest::redirect::Policy::none());
        builder.no_proxy().pool_max_idle_per_host(16).build().expect("an HTTP client")
    })
}
