//! One call after another to the API. What fails is said in the API's words, with the exit code of its kind.

use std::time::Duration;

use reqwest::{Client, Method, Response, StatusCode, header};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::super::Failure;
use super::settings::Settings;

/// Longer than the API takes to say that it does not know.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// A call that could not be made, or found the zone busy, is repeated; its key makes sure that it counts once.
const TRIES: u32 = 3;
const PAUSE_MAX: Duration = Duration::from_secs(5);
const PAGE: u32 = 100;

pub struct Connection {
    client: Client,
    settings: Settings,
}

impl Connection {
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(TIME_LIMIT).user_agent(concat!("scaidns/", env!("CARGO_PKG_VERSION")));
        Ok(Self { client: client.build()?, settings })
    }

    pub async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.call(Method::GET, path, query, None).await
    }

    pub async fn post(&self, path: &str, query: &[(&str, String)], body: Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, query, Some(body)).await
    }

    pub async fn patch(&self, path: &str, query: &[(&str, String)], body: Value) -> Result<Value, Failure> {
        self.call(Method::PATCH, path, query, Some(body)).await
    }

    pub async fn delete(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.call(Method::DELETE, path, query, None).await
    }

    /// All entries of a list, page by page, as one answer of the same form.
    pub async fn list(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = query.to_vec();
            query.push(("page_size", PAGE.to_string()));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let mut answer = self.get(path, &query).await?;
            let next = answer["next_cursor"].as_str().map(str::to_owned);
            match answer.get_mut("data").map(Value::take) {
                Some(Value::Array(page)) => all.extend(page),
                _ => return Err(Failure::Upstream("the API answered with something else than a list".into())),
            }
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        let total = all.len();
        Ok(serde_json::json!({"data": all, "total": total}))
    }

    /// The id of a domain that is given by its id or its name.
    pub async fn domain(&self, given: &str) -> Result<String, Failure> {
        if given.starts_with("d_") && !given.contains('.') {
            return Ok(given.to_owned());
        }
        let name = given.trim_end_matches('.').to_lowercase();
        let query = [("search", name.clone()), ("include_deleted", "true".into())];
        let found = self.list("/domains/", &query).await?;
        let is_it = |domain: &&Value| domain["name"] == name.as_str() || domain["name_unicode"] == name.as_str();
        let domains = found["data"].as_array().into_iter().flatten();
        let id = domains.filter(is_it).find_map(|domain| domain["id"].as_str());
        id.map(str::to_owned).ok_or_else(|| Failure::NotFound(format!("there is no domain {given}")))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let url = format!("{}/api/v1{path}", self.settings.url);
        let key = format!("scaidns-{}", uuid::Uuid::now_v7().simple());
        let mut tried = 0;
        loop {
            tried += 1;
            let mut request = self.client.request(method.clone(), &url).query(query);
            request = request.header("X-API-Key", self.settings.api_key.expose_secret());
            if method != Method::GET {
                request = request.header("Idempotency-Key", &key);
            }
            if let Some(body) = &body {
                request = request.json(body);
            }
            match request.send().await {
                Ok(response) if tried < TRIES && is_busy(response.status()) => {
                    tokio::time::sleep(pause(&response, tried)).await;
                }
                Ok(response) => return read(response).await,
                Err(error) if tried < TRIES && !error.is_builder() => {
                    tokio::time::sleep(Duration::from_secs(tried.into())).await;
                    tracing::debug!(%error, "tried again");
                }
                Err(error) => {
                    return Err(Failure::Upstream(format!("{} cannot be reached: {error}", self.settings.url)));
                }
            }
        }
    }
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

fn pause(response: &Response, tried: u32) -> Duration {
    let asked = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(asked.unwrap_or_else(|| tried.into())).min(PAUSE_MAX)
}

async fn read(response: Response) -> Result<Value, Failure> {
    let status = response.status();
    let unreadable = |error: reqwest::Error| Failure::Upstream(format!("the answer could not be read: {error}"));
    let octets = response.bytes().await.map_err(unreadable)?;
    let body: Value = serde_json::from_slice(&octets).unwrap_or(Value::Null);
    if status.is_success() {
        return Ok(body);
    }
    let told = told(&body).unwrap_or_else(|| format!("the API answered {status}"));
    Err(match status.as_u16() {
        401 => Failure::Unauthenticated(told),
        403 => Failure::NotAllowed(told),
        404 => Failure::NotFound(told),
        429 | 500..=599 => Failure::Upstream(told),
        _ => Failure::Invalid(told),
    })
}

/// An error's `detail` in one line each: text, `{message, field}`, several errors, or a list of fields.
fn told(body: &Value) -> Option<String> {
    let detail = &body["detail"];
    let line = |error: &Value| {
        let place = ["line", "index", "field"].iter().find_map(|name| match &error[name] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(format!("{name} {other}")),
        });
        let message = error["message"].as_str().or_else(|| error["detail"].as_str()).unwrap_or_default();
        place.map_or_else(|| message.to_owned(), |place| format!("{place}: {message}"))
    };
    match detail {
        Value::String(text) => Some(text.clone()),
        Value::Object(_) => {
            let mut lines = vec![line(detail)];
            lines.extend(detail["errors"].as_array().into_iter().flatten().map(|error| format!("  {}", line(error))));
            Some(lines.join("\n"))
        }
        Value::Array(fields) => {
            let field = |field: &Value| {
                let place: Vec<String> = field["loc"].as_array().into_iter().flatten().map(text).collect();
                format!("{}: {}", place.join("."), field["msg"].as_str().unwrap_or_default())
            };
            Some(fields.iter().map(field).collect::<Vec<_>>().join("\n"))
        }
        _ => None,
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_form_of_error_is_told_with_its_field() {
        let cases = [
            (json!({"detail": "Domain not found"}), "Domain not found"),
            (json!({"detail": {"message": "Not an address", "field": "content"}}), "content: Not an address"),
            (
                json!({"detail": [{"loc": ["body", "name"], "msg": "Field required", "type": "missing"}]}),
                "body.name: Field required",
            ),
            (
                json!({"detail": {"message": "2 errors", "errors": [{"line": 3, "message": "a"}, {"index": 0, "message": "b"}]}}),
                "2 errors\n  line 3: a\n  index 0: b",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(told(&body).as_deref(), Some(expected));
        }
        assert_eq!(told(&json!("text")), None);
    }
}
