//! `Idempotency-Key`: a request that is sent again is answered again, not carried out again.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tracing::Instrument;

use crate::authz::{self, Decision};
use crate::fairness;
use crate::service::idempotency::{self, Begun, IdempotencyKey, RENEW_EVERY, Run, fingerprint};
use crate::service::{Context, Error, Services};
use crate::storage::idempotency::StoredAnswer;

use super::BODY_BYTES_MAX;
use super::error::ApiError;
use super::extract::{Authenticated, Known, body_stalled, body_too_large, has_stalled};
use super::openapi::OPEN_PATHS;
use super::rate_limit::WEBHOOKS;
use super::request_id;

pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// On an answer that was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A longer answer is not kept: it would not go into MariaDB in one piece. Only an export comes near, and reads nothing.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Of a form's parts (RFC 2046, 5.1.1).
const BOUNDARY_MAX: usize = 70;
/// Headers that belong to an answer; the others belong to the way it took.
const HEADERS_KEPT: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::CONTENT_DISPOSITION, header::ETAG, header::LOCATION];

/// Fields of a JSON answer that are shown once and never kept. Put beside the answer in which they stand.
#[derive(Clone, Copy, Debug)]
pub struct ShownOnce(pub &'static [&'static str]);

/// Runs a request under its key, if it has one. What is open to everybody does nothing twice; for the rest, who is
/// refused here is refused: asked again a moment later, with the database back or a place free, the handler would let
/// the request in, and do without its key what the client repeats under it.
pub async fn middleware(State(services): State<Arc<Services>>, request: Request, next: Next) -> Response {
    if !may_have_a_key(request.method()) || !request.headers().contains_key(HEADER) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path();
    if OPEN_PATHS.contains(&path) || path.starts_with(WEBHOOKS) {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let context = match Authenticated::from_request_parts(&mut parts, &services).await {
        Ok(Authenticated(context)) => context,
        Err(refused) => return refused.into_response(),
    };
    let Some(key) = key_of(&parts.headers) else { return malformed().into_response() };
    let body = match fairness::aside(to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(body) => body,
        Err(error) if has_stalled(&error) => return body_stalled().into_response(),
        Err(_) => return body_too_large().into_response(),
    };
    let asked = asked(&parts, &body, &context);
    match idempotency::begin(&services, &context, &key, asked).await {
        Ok(Begun::Run(run)) => {
            parts.extensions.insert(Known(with_run(context.clone(), run.clone())));
            run_to_the_end(services, context, run, Request::from_parts(parts, Body::from(body)), next).await
        }
        Ok(Begun::Answered(answer)) => replay(&context, answer).unwrap_or_else(|error| error.into_response()),
        Err(error) => ApiError::from(error).into_response(),
    }
}

fn may_have_a_key(method: &Method) -> bool {
    [Method::POST, Method::PATCH, Method::PUT, Method::DELETE].contains(method)
}

/// None: it does not have the form of a key.
pub(super) fn key_of(headers: &HeaderMap) -> Option<IdempotencyKey> {
    let mut values = headers.get_all(HEADER).iter();
    let key = values.next().and_then(|value| value.to_str().ok()).and_then(IdempotencyKey::parse);
    key.filter(|_| values.next().is_none())
}

fn malformed() -> ApiError {
    Error::schema(&["header", "Idempotency-Key"], "must be one value of 1 to 255 printable ASCII characters").into()
}

fn with_run(mut context: Context, run: Run) -> Context {
    context.request.run = Some(run);
    context
}

/// What makes two requests the same.
fn asked(parts: &axum::http::request::Parts, body: &Bytes, context: &Context) -> [u8; 32] {
    let tenant = context.caller.tenant.to_string();
    let path = parts.uri.path().trim_end_matches('/');
    let query = parts.uri.query().unwrap_or_default();
    let body = without_boundary(&parts.headers, body);
    fingerprint(&[parts.method.as_str().as_bytes(), path.as_bytes(), query.as_bytes(), tenant.as_bytes(), &body])
}

/// A form's boundary is made up anew each time the same form is sent. One that is longer than any may be is left in:
/// each place of the body is compared with it, on a thread that others wait for.
pub(super) fn without_boundary(headers: &HeaderMap, body: &Bytes) -> Bytes {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = content_type
        .starts_with("multipart/")
        .then(|| content_type.split(';').find_map(|part| part.trim().strip_prefix("boundary=")))
        .flatten()
        .map(|boundary| boundary.trim_matches('"'))
        .filter(|boundary| (1..=BOUNDARY_MAX).contains(&boundary.len()));
    let Some(boundary) = boundary else { return body.clone() };
    let mut kept = Vec::with_capacity(body.len());
    let mut rest = &body[..];
    while let Some(at) = rest.windows(boundary.len()).position(|window| window == boundary.as_bytes()) {
        kept.extend_from_slice(&rest[..at]);
        rest = &rest[at + boundary.len()..];
    }
    kept.extend_from_slice(rest);
    kept.into()
}

/// In a task of its own: a client that hangs up and asks again finds the answer, not half of the work.
async fn run_to_the_end(services: Arc<Services>, context: Context, run: Run, request: Request, next: Next) -> Response {
    let id = request_id::current();
    let work = async move {
        let mut answer = std::pin::pin!(next.run(request));
        let response = loop {
            tokio::select! {
                response = &mut answer => break response,
                () = tokio::time::sleep(RENEW_EVERY) => run.renew(&services.db).await,
            }
        };
        keep(&services, &context, &run, response).await
    };
    match tokio::spawn(request_id::scope(id, fairness::hand_over(work)).in_current_span()).await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => ApiError::from(Error::Internal(error.to_string())).into_response(),
        },
    }
}

/// Whether an answer is the one for all who repeat the request. The rest says something about this moment only.
fn is_final(status: StatusCode, response: &Response) -> bool {
    let passing = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
    (status.is_success() || status.is_client_error())
        && !passing.contains(&status)
        && response.extensions().get::<Passing>().is_none()
}

/// Beside an answer that is not kept although its status says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Passing;

async fn keep(services: &Services, context: &Context, run: &Run, response: Response) -> Response {
    if !is_final(response.status(), &response) {
        run.end(&services.db, None).await;
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        run.end(&services.db, None).await;
        return ApiError::from(Error::Internal("an answer could not be read".into())).into_response();
    };
    let shown_once = parts.extensions.get::<ShownOnce>().map_or(&[][..], |ShownOnce(fields)| fields);
    let answer = (body.len() <= ANSWER_BYTES_MAX).then(|| StoredAnswer {
        status: parts.status.as_u16(),
        headers: kept_headers(&parts.headers),
        body: without_fields(&body, shown_once),
        decisions: serde_json::to_string(&context.caller.decisions.taken()).unwrap_or_default(),
    });
    run.end(&services.db, answer).await;
    Response::from_parts(parts, Body::from(body))
}

fn kept_headers(headers: &HeaderMap) -> String {
    let kept: serde_json::Map<String, Value> = HEADERS_KEPT
        .iter()
        .filter_map(|name| Some((name.as_str().to_owned(), headers.get(name)?.to_str().ok()?.into())))
        .collect();
    Value::Object(kept).to_string()
}

fn without_fields(body: &Bytes, fields: &[&str]) -> Vec<u8> {
    if fields.is_empty() {
        return body.to_vec();
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(mut object)) => {
            object.retain(|name, _| !fields.contains(&name.as_str()));
            Value::Object(object).to_string().into_bytes()
        }
        // what cannot be looked into is not kept at all
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// The answer as it was, if the caller may still hear it: what was allowed then must be allowed now.
fn replay(context: &Context, answer: StoredAnswer) -> Result<Response, ApiError> {
    let StoredAnswer { status, headers, body, decisions } = answer;
    let unreadable = |what: &str| Error::Internal(format!("a kept answer does not read back: {what}"));
    let decisions: Vec<Decision> = serde_json::from_str(&decisions).map_err(|_| unreadable("decisions"))?;
    authz::decide_again(&context.caller, &decisions).map_err(Error::from)?;
    let headers: std::collections::BTreeMap<String, String> =
        serde_json::from_str(&headers).map_err(|_| unreadable("headers"))?;
    let status = StatusCode::from_u16(status).map_err(|_| unreadable("status"))?;
    let mut response = (status, body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(boundary: &str) -> (HeaderMap, Bytes) {
        let mut headers = HeaderMap::new();
        let value = format!("multipart/form-data; boundary=\"{boundary}\"");
        headers.insert(header::CONTENT_TYPE, value.parse().expect("a header"));
        (headers, format!("--{boundary}\r\nx\r\n--{boundary}--\r\n").into())
    }

    #[test]
    fn a_form_is_the_same_whatever_its_boundary() {
        let ((headers, body), (others, other)) = (form("one"), form("another"));
        assert_eq!(without_boundary(&headers, &body), without_boundary(&others, &other));
        assert_eq!(without_boundary(&HeaderMap::new(), &body), body);
    }

    #[test]
    fn a_boundary_that_is_longer_than_any_may_be_is_not_looked_for() {
        let mut headers = HeaderMap::new();
        let boundary = "a".repeat(200_000);
        let value = format!("multipart/form-data; boundary={boundary}b");
        headers.insert(header::CONTENT_TYPE, value.parse().expect("a header"));
        let body = Bytes::from(vec![b'a'; 1 << 20]);
        assert_eq!(without_boundary(&headers, &body), body);
        let value = format!("multipart/form-data; boundary={}", &boundary[..BOUNDARY_MAX]);
        headers.insert(header::CONTENT_TYPE, value.parse().expect("a header"));
        assert_eq!(without_boundary(&headers, &body).len(), body.len() % BOUNDARY_MAX);
    }

    #[test]
    fn what_is_shown_once_is_not_kept() {
        let body = Bytes::from_static(br#"{"id":"key_1","key":"sdk_live_x"}"#);
        assert_eq!(without_fields(&body, &["key"]), br#"{"id":"key_1"}"#);
        assert_eq!(without_fields(&Bytes::from_static(b"sdk_live_x"), &["key"]), b"");
        assert_eq!(without_fields(&body, &[]), body);
    }
}
