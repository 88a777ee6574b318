//! The kinds of jobs, each with its one handler. A handler takes the job by its [`Run`], does a step at a time, notes
//! each with `Run::checkpoint`, and bears being started again from the last note: the step after it may have been done.

use futures::future::BoxFuture;
use serde_json::Value;
use sqlx::{MySql, Transaction};

use crate::storage;
use crate::storage::audit::AuditEntry;

use super::super::{Error, Services, import_jobs, platform};
use super::run::Run;

/// What a handler leaves: the result to show, or why it stops.
pub type Outcome = Result<Value, Stop>;

/// One kind of job.
#[derive(Clone, Copy)]
pub struct Kind {
    /// At most 32 characters; stays in rows of the database.
    pub name: &'static str,
    pub run: for<'a> fn(&'a Services, &'a Run) -> BoxFuture<'a, Outcome>,
    /// What its end says in the audit log, written in the transaction that ends it.
    pub closing: Closing,
}

/// The entries of a job that comes to its end, and whether it has succeeded; read in the transaction that ends it.
pub type Closing = for<'a> fn(
    &'a Services,
    &'a Run,
    bool,
    &'a mut Transaction<'static, MySql>,
) -> BoxFuture<'a, storage::Result<Vec<AuditEntry>>>;

/// For a job whose steps have entries of their own.
pub fn no_entries<'a>(
    _: &'a Services,
    _: &'a Run,
    _: bool,
    _: &'a mut Transaction<'static, MySql>,
) -> BoxFuture<'a, storage::Result<Vec<AuditEntry>>> {
    Box::pin(async { Ok(Vec::new()) })
}

/// Every kind that a worker of this version runs. Those of a newer version it leaves to newer workers.
pub const KINDS: &[Kind] = &[
    Kind {
        name: import_jobs::KIND,
        run: |services, run| Box::pin(import_jobs::run(services, run)),
        closing: |services, run, succeeded, tx| Box::pin(import_jobs::entries(services, run, succeeded, tx)),
    },
    Kind { name: platform::KIND, run: |services, run| Box::pin(platform::run(services, run)), closing: no_entries },
];

/// Why a handler does not go on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Stop {
    /// Somebody it needs is away, and comes back by itself.
    #[error("{0}")]
    Wait(String),
    /// What stands in the way may be gone in a while, or may be the job itself.
    #[error("{0}")]
    Retry(String),
    /// It will never work; what the caller is to know.
    #[error("{0}")]
    Fail(String),
    /// Somebody else has the job now.
    #[error("the lease of the job is lost")]
    Lost,
}

/// What comes back by itself is tried again, everything else is final.
impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Upstream(_)
            | Error::Unavailable { .. }
            | Error::OutcomeUnknown(_)
            | Error::TooSoon { .. }
            | Error::IdempotencyInProgress => Self::Wait(error.to_string()),
            Error::Internal(message) => {
                tracing::error!(%message, "internal error in a job");
                Self::Retry("internal error".into())
            }
            Error::Invalid { .. }
            | Error::Schema(_)
            | Error::Unauthenticated(_)
            | Error::Forbidden { .. }
            | Error::OutOfScope { .. }
            | Error::IdempotencyKeyReused
            | Error::PreconditionFailed(_)
            | Error::NotFound(_)
            | Error::Conflict { .. }
            | Error::Several { .. } => Self::Fail(error.to_string()),
        }
    }
}

impl From<crate::storage::StorageError> for Stop {
    fn from(error: crate::storage::StorageError) -> Self {
        Error::from(error).into()
    }
}
