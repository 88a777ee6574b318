//! One id for a request, through every log line and into every answer: `X-Request-ID`.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use crate::ids::RequestId;

pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ones, or with unusual characters, are replaced rather than echoed.
const LENGTH_MAX: usize = 128;

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request being answered.
pub fn current() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_else(|_| RequestId::new().to_string())
}

/// Does something else under a request's id.
pub async fn scope<T>(id: String, work: impl Future<Output = T>) -> T {
    CURRENT.scope(id, work).await
}

/// Takes the caller's id if it sent a sane one, makes one otherwise, and logs the request under it.
pub async fn middleware(request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|text| is_sane(text))
        .map_or_else(|| RequestId::new().to_string(), str::to_owned);
    let span =
        tracing::info_span!("request", request_id = %id, method = %request.method(), path = %request.uri().path());
    let header = HeaderValue::from_str(&id);
    let mut response = CURRENT.scope(id, answer_and_log(request, next).instrument(span)).await;
    if let Ok(value) = header {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

async fn answer_and_log(request: Request, next: Next) -> Response {
    let started = std::time::Instant::now();
    let response = next.run(request).await;
    tracing::info!(status = response.status().as_u16(), ms = started.elapsed().as_millis() as u64, "answered");
    response
}

fn is_sane(text: &str) -> bool {
    (1..=LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}
