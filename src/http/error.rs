//! The one place where a failure gets a status and a wire form: `{"detail", "code", "request_id"}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::service::{Error, Refusal, SchemaProblem};

use super::idempotency::Passing;
use super::request_id;

const IN_PROGRESS: &str = "idempotency_in_progress";

/// Every error answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// A sentence; or `{message, field, conflicts}`; or `{message, errors}` where several things are wrong at once; or,
    /// with 422, a list of `{loc, msg, type}`.
    pub detail: ErrorDetail,
    /// Stable, `snake_case`, for programs.
    pub code: String,
    /// As in the header `X-Request-ID`.
    pub request_id: String,
}

/// What went wrong, in one of four forms.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ErrorDetail {
    Text(String),
    Several(SeveralDetail),
    Structured(StructuredDetail),
    Schema(Vec<SchemaDetail>),
}

/// A failure that names a field, and the records it conflicts with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StructuredDetail {
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<String>,
    /// The change that recovery settles, where the outcome is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_id: Option<String>,
}

/// All that is wrong with a request of several parts, of which nothing was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeveralDetail {
    pub message: String,
    pub errors: Vec<PartError>,
}

/// What is wrong with one part.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartError {
    /// Its place in the request, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// Of a file: the line it begins at, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// As it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    pub message: String,
}

/// One field that does not have the wanted form.
#[derive(Debug, Serialize, ToSchema)]
pub struct SchemaDetail {
    /// Where it stands: `["body", "name"]`.
    pub loc: Vec<String>,
    pub msg: String,
    #[serde(rename = "type")]
    pub kind: String,
}

/// An answer's code, for those who count refusals.
#[derive(Clone, Copy, Debug)]
pub struct ErrorCode(pub &'static str);

/// A failure on its way out of a handler; boxed, since successes are what is passed around.
#[derive(Debug)]
pub struct ApiError(Box<Failure>);

#[derive(Debug)]
struct Failure {
    status: StatusCode,
    code: &'static str,
    detail: ErrorDetail,
    retry_after: Option<u32>,
}

impl ApiError {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Failure::text(status, code, message).into()
    }

    /// One request too many; the next may come in so many seconds.
    pub fn rate_limited(retry_after: u32) -> Self {
        let message = format!("Too many requests; try again in {retry_after} s");
        let failure = Failure::text(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message);
        Failure { retry_after: Some(retry_after), ..failure }.into()
    }

    /// Several parts of a request are wrong; `record` has each as it was sent.
    pub fn several(message: String, errors: Vec<Refusal>, record: impl Fn(usize) -> Option<Value>) -> Self {
        let errors = errors.into_iter().map(|refusal| part_error(refusal, &record)).collect();
        let detail = ErrorDetail::Several(SeveralDetail { message, errors });
        Failure { status: StatusCode::BAD_REQUEST, code: "several_errors", detail, retry_after: None }.into()
    }
}

impl ApiError {
    /// Lines of a file are wrong.
    pub fn lines(message: String, errors: Vec<PartError>) -> Self {
        let detail = ErrorDetail::Several(SeveralDetail { message, errors });
        Failure { status: StatusCode::BAD_REQUEST, code: "several_errors", detail, retry_after: None }.into()
    }
}

impl Failure {
    fn text(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, detail: ErrorDetail::Text(message.into()), retry_after: None }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        Self(Box::new(failure))
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}

/// The `detail` alone, where an error is a part of an answer.
impl From<Error> for ErrorDetail {
    fn from(error: Error) -> Self {
        Failure::from(error).detail
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid { message, field, code } => Self {
                status: StatusCode::BAD_REQUEST,
                code,
                detail: structured(message, field, Vec::new(), None),
                retry_after: None,
            },
            Error::Schema(problems) => Self {
                status: StatusCode::UNPROCESSABLE_ENTITY,
                code: "validation_error",
                detail: ErrorDetail::Schema(problems.into_iter().map(schema_detail).collect()),
                retry_after: None,
            },
            Error::Unauthenticated(message) => Self::text(StatusCode::UNAUTHORIZED, "unauthenticated", message),
            Error::Forbidden { message, code } => Self::text(StatusCode::FORBIDDEN, code, message),
            Error::OutOfScope { message, field } => Self {
                status: StatusCode::FORBIDDEN,
                code: "outside_grant",
                detail: structured(message, Some(field), Vec::new(), None),
                retry_after: None,
            },
            Error::NotFound(what) => Self::text(StatusCode::NOT_FOUND, "not_found", format!("{what} not found")),
            Error::Conflict { message, code, field, conflicts } => Self {
                status: StatusCode::CONFLICT,
                code,
                detail: structured(message, field, conflicts.iter().map(ToString::to_string).collect(), None),
                retry_after: None,
            },
            Error::TooSoon { message, code, retry_after } => {
                Self { retry_after: Some(retry_after), ..Self::text(StatusCode::CONFLICT, code, message) }
            }
            Error::Several { message, errors } => *ApiError::several(message, errors, |_| None).0,
            Error::Upstream(message) => {
                tracing::warn!(%message, "upstream failed");
                Self::text(StatusCode::BAD_GATEWAY, "upstream_unavailable", message)
            }
            Error::Unavailable { message, retry_after } => Self {
                retry_after: Some(retry_after),
                ..Self::text(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            },
            Error::OutcomeUnknown(change) => Self {
                status: StatusCode::GATEWAY_TIMEOUT,
                code: "outcome_unknown",
                detail: structured(
                    Error::OutcomeUnknown(change).to_string(),
                    None,
                    Vec::new(),
                    Some(change.to_string()),
                ),
                retry_after: None,
            },
            Error::IdempotencyKeyReused => Self {
                detail: ErrorDetail::Schema(vec![SchemaDetail {
                    loc: vec!["header".into(), "Idempotency-Key".into()],
                    msg: Error::IdempotencyKeyReused.to_string(),
                    kind: "value_error".into(),
                }]),
                ..Self::text(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", "")
            },
            Error::IdempotencyInProgress => {
                Self { retry_after: Some(1), ..Self::text(StatusCode::CONFLICT, IN_PROGRESS, error.to_string()) }
            }
            Error::PreconditionFailed(_) => {
                Self::text(StatusCode::PRECONDITION_FAILED, "precondition_failed", error.to_string())
            }
            Error::Internal(message) => {
                tracing::error!(%message, "internal error");
                Self::text(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Internal error")
            }
        }
    }
}

/// A plain sentence where nothing more is known, else the structured form.
fn structured(message: String, field: Option<&str>, conflicts: Vec<String>, change_id: Option<String>) -> ErrorDetail {
    if field.is_none() && conflicts.is_empty() && change_id.is_none() {
        return ErrorDetail::Text(message);
    }
    ErrorDetail::Structured(StructuredDetail { message, field: field.map(str::to_owned), conflicts, change_id })
}

fn part_error(refusal: Refusal, record: impl Fn(usize) -> Option<Value>) -> PartError {
    let Refusal { index, error } = refusal;
    let (field, message) = match ErrorDetail::from(error) {
        ErrorDetail::Text(message) => (None, message),
        ErrorDetail::Structured(StructuredDetail { message, field, conflicts: _, change_id: _ }) => (field, message),
        ErrorDetail::Several(SeveralDetail { message, errors: _ }) => (None, message),
        ErrorDetail::Schema(problems) => problems
            .into_iter()
            .next()
            .map_or((None, String::new()), |SchemaDetail { loc, msg, kind: _ }| (loc.into_iter().next_back(), msg)),
    };
    PartError { index: Some(index), line: None, record: record(index), field, message }
}

fn schema_detail(problem: SchemaProblem) -> SchemaDetail {
    let SchemaProblem { location, message, kind } = problem;
    SchemaDetail { loc: location, msg: message, kind: kind.to_owned() }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Failure { status, code, detail, retry_after } = *self.0;
        let body = ErrorBody { detail, code: code.to_owned(), request_id: request_id::current() };
        let mut response = (status, Json(body)).into_response();
        response.extensions_mut().insert(ErrorCode(code));
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // another request's answer is awaited: not an answer to this one
        if code == IN_PROGRESS {
            response.extensions_mut().insert(Passing);
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The answer to a panic: logged with its request id, never shown.
pub fn panic_response(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    ApiError::from(Error::Internal("a handler panicked".into())).into_response()
}
