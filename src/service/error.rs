//! What can go wrong in a use case: one transport-free error, told apart by what the caller can do about it.
//! Status codes and wire names are given to it in `http/error.rs` alone.

use crate::authz::Denied;
use crate::dns::FieldError;
use crate::ids::{ChangeId, RecordId};
use crate::pdns::PdnsError;
use crate::storage::StorageError;

/// Seconds after which a write may be tried again where the database's disk is full: somebody has to make room.
const FULL_RETRY: u32 = 10;

/// A field of a request that does not have the wanted form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaProblem {
    pub location: Vec<String>,
    pub message: String,
    pub kind: &'static str,
}

/// One of several things that are wrong with a request.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Its place in the request, from 0.
    pub index: usize,
    pub error: Error,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Understood, but cannot be processed.
    #[error("{message}")]
    Invalid { message: String, field: Option<&'static str>, code: &'static str },
    /// Does not have the form that the interface asks for.
    #[error("{}", .0.first().map_or("malformed request", |problem| problem.message.as_str()))]
    Schema(Vec<SchemaProblem>),
    #[error("{0}")]
    Unauthenticated(String),
    #[error("{message}")]
    Forbidden { message: String, code: &'static str },
    /// Allowed in a part of the zone that this is outside of.
    #[error("{message}")]
    OutOfScope { message: String, field: &'static str },
    /// Absent, or not visible to the caller, which looks the same.
    #[error("{0} not found")]
    NotFound(&'static str),
    #[error("{message}")]
    Conflict { message: String, code: &'static str, field: Option<&'static str>, conflicts: Vec<RecordId> },
    /// In conflict with a state that ends by itself.
    #[error("{message}")]
    TooSoon { message: String, code: &'static str, retry_after: u32 },
    /// A request of several parts that is done as a whole or not at all: all that is wrong with it.
    #[error("{message}")]
    Several { message: String, errors: Vec<Refusal> },
    /// PowerDNS or ScaiKey cannot be reached or answers nonsense.
    #[error("{0}")]
    Upstream(String),
    /// Overload, maintenance, the database down; comes back by itself.
    #[error("{message}")]
    Unavailable { message: String, retry_after: u32 },
    /// A write was sent and no answer came; recovery settles it.
    #[error("the outcome of change {0} is being determined; read the domain again in a few seconds")]
    OutcomeUnknown(ChangeId),
    /// An idempotency key that came with another request before.
    #[error("This Idempotency-Key was used for another request")]
    IdempotencyKeyReused,
    /// The first request under an idempotency key has no answer yet.
    #[error("The first request with this Idempotency-Key is still running")]
    IdempotencyInProgress,
    /// What the caller last saw is no longer so.
    #[error("{0} has changed since it was read")]
    PreconditionFailed(&'static str),
    /// Our own fault. The message is for the log, never for the caller.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), field: Some(field), code: "invalid" }
    }

    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::Conflict { message: message.into(), code, field: None, conflicts: Vec::new() }
    }

    pub fn schema(location: &[&str], message: impl Into<String>) -> Self {
        Self::Schema(vec![SchemaProblem {
            location: location.iter().map(|part| (*part).to_owned()).collect(),
            message: message.into(),
            kind: "value_error",
        }])
    }

    /// The cause goes to the log; what the platform looks like inside is nobody's business.
    pub fn pdns(cause: &str) -> Self {
        tracing::warn!(cause, "PowerDNS failed");
        Self::Upstream("PowerDNS cannot be reached or answers wrongly".into())
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable { message: message.into(), retry_after: 1 }
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Hidden => Self::NotFound("Object"),
            Denied::Missing(permission) => {
                Self::Forbidden { message: format!("Permission {permission} is required"), code: "permission_denied" }
            }
        }
    }
}

impl From<FieldError> for Error {
    fn from(error: FieldError) -> Self {
        Self::Invalid { message: error.message, field: Some(error.field), code: "invalid" }
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Unavailable(_) | StorageError::NotAsked(_) => {
                Self::unavailable("The database cannot be reached")
            }
            // after the repeats that the storage layer allows itself
            StorageError::Deadlock(_) => Self::unavailable("The database is busy"),
            StorageError::Full(why) => {
                tracing::error!(%why, "the database has no room");
                Self::Unavailable { message: "The database has no room to write".into(), retry_after: FULL_RETRY }
            }
            StorageError::Duplicate { key, .. } => Self::Internal(format!("unexpected duplicate of {key}")),
            StorageError::Corrupt(what) => Self::Internal(what),
            StorageError::Other(error) => Self::Internal(error.to_string()),
        }
    }
}

impl From<PdnsError> for Error {
    fn from(error: PdnsError) -> Self {
        match error {
            PdnsError::Busy => Self::unavailable("PowerDNS is busy; try again"),
            PdnsError::Unreachable(_) | PdnsError::NotSent(_) | PdnsError::Unexpected { .. } => {
                Self::pdns(&error.to_string())
            }
        }
    }
}
