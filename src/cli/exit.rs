//! Exit codes.

use std::process::ExitCode;

use crate::config::ConfigProblems;
use crate::service::Error;

/// A failure that a command tells apart itself.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Upstream(String),
    #[error("{0}")]
    Unauthenticated(String),
    #[error("{0}")]
    NotAllowed(String),
}

/// The code for whatever came up to the top.
pub fn code(error: &anyhow::Error) -> ExitCode {
    if error.is::<ConfigProblems>() {
        return ExitCode::from(2);
    }
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return ExitCode::from(match failure {
            Failure::Usage(_) => 2,
            Failure::Unauthenticated(_) => 3,
            Failure::NotAllowed(_) => 4,
            Failure::NotFound(_) => 5,
            Failure::Invalid(_) => 6,
            Failure::Upstream(_) => 7,
        });
    }
    match error.downcast_ref::<Error>() {
        Some(error) => ExitCode::from(code_of(error)),
        None => ExitCode::FAILURE,
    }
}

fn code_of(error: &Error) -> u8 {
    match error {
        Error::Invalid { .. }
        | Error::Schema(_)
        | Error::Conflict { .. }
        | Error::IdempotencyKeyReused
        | Error::IdempotencyInProgress
        | Error::PreconditionFailed(_)
        | Error::TooSoon { .. }
        | Error::Several { .. } => 6,
        Error::Unauthenticated(_) => 3,
        Error::Forbidden { .. } | Error::OutOfScope { .. } => 4,
        Error::NotFound(_) => 5,
        Error::Upstream(_) | Error::Unavailable { .. } | Error::OutcomeUnknown(_) => 7,
        Error::Internal(_) => 1,
    }
}
