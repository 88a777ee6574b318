//! Failures that can be switched on: how a platform answers on a bad day.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State as Shared};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::State;
use crate::dev::http::Refusal;

/// What is wrong now. `{}` is: nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    pub answers: Answers,
    /// Paths that begin with this; none: all but `/dev/`.
    pub path: Option<String>,
    /// Of slow answers.
    pub delay_ms: u64,
    pub webhooks: Webhooks,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answers {
    #[default]
    Normal,
    /// What is true when the request comes is told `delay_ms` later.
    Slow,
    /// 503, as of a proxy in front of nothing; no webhook is sent either.
    Down,
    /// 500
    Error,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Webhooks {
    #[default]
    Sent,
    /// They wait.
    Held,
    /// They are signed with another secret.
    WrongSignature,
}

pub(super) async fn middleware(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let Faults { answers, path, delay_ms, webhooks: _ } = state.faults().clone();
    let at = request.uri().path();
    let is_concerned = !at.starts_with("/dev/") && path.is_none_or(|path| at.starts_with(&path));
    match answers {
        _ if !is_concerned => next.run(request).await,
        Answers::Normal => next.run(request).await,
        Answers::Slow => {
            let response = next.run(request).await;
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            response
        }
        Answers::Down => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Answers::Error => Refusal(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error".into()).into_response(),
    }
}
