//! What came back over HTTP.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Null when there is none or it is not JSON.
    pub body: Value,
    pub text: String,
    /// Method and URL, for messages.
    pub request: String,
}

impl Answer {
    pub async fn read(request: String, response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap_or_else(|error| format!("(unreadable: {error})"));
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, headers, body, text, request }
    }

    /// The body of a 200.
    #[track_caller]
    pub fn ok(self) -> Value {
        self.expect(200)
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{} answered {}: {}", self.request, self.status, self.text);
        self.body
    }

    /// An error answer of this status and code, in the one shape that errors have. Returns its `detail`.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        let (request, text, headers) = (self.request.clone(), self.text.clone(), self.headers.clone());
        let body = self.expect(status);
        assert_eq!(body["code"], code, "{request} answered {text}");
        let id = headers.get("x-request-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(!id.is_empty(), "{request} answered without X-Request-ID: {text}");
        assert_eq!(body["request_id"], id, "{request} answered {text}");
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(3), "{request} answered {text}");
        body["detail"].clone()
    }

    /// A header's text; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The sentence in an error, whichever of its two forms it has.
    pub fn message(&self) -> &str {
        let detail = &self.body["detail"];
        detail.as_str().or_else(|| detail["message"].as_str()).unwrap_or_default()
    }
}
