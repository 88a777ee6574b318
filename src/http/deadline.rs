//! A deadline for each request: whoever asks has an answer by then, whatever hangs behind.
//!
//! What is dropped by it is dropped as if the client had hung up: a change of a zone runs in a task of its own to its
//! end, a transaction is rolled back or was committed.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::fairness;
use crate::service::{Error, Services};

use super::error::ApiError;

pub async fn middleware(State(services): State<Arc<Services>>, request: Request, next: Next) -> Response {
    let deadline = services.config.http.deadline;
    let changes_nothing = request.method().is_safe();
    match tokio::time::timeout(deadline, fairness::scope(next.run(request))).await {
        Ok(response) => response,
        Err(_) => {
            metrics::counter!("scaidns_deadlines_missed_total").increment(1);
            tracing::warn!(?deadline, "a request missed its deadline");
            missed(changes_nothing).into_response()
        }
    }
}

fn missed(changes_nothing: bool) -> ApiError {
    if changes_nothing {
        return Error::unavailable("The answer takes too long; try again").into();
    }
    let message = "The request took too long; whether it was carried out is not known";
    ApiError::new(StatusCode::GATEWAY_TIMEOUT, "deadline_missed", message)
}
