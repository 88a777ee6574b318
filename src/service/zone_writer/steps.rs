//! Changes under a client's idempotency key: each is bound to its intent, and what came of it is found again by whoever
//! repeats the request.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::ids::RecordId;
use crate::storage::idempotency::{self, Step, StepState};
use crate::storage::{intents, within};

use super::super::idempotency::StepRef;
use super::super::{Error, Refusal, Result};
use super::Inner;
use super::decide::WriteOutcome;

/// How long a repeated request waits for the outcome of the change that the first one made.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// What is kept of a change that is about to be made.
pub fn step(step: &StepRef, outcome: &WriteOutcome) -> Result<Step> {
    let StepRef { key, run, ordinal, resumed: _ } = step;
    let outcome = serde_json::to_string(outcome).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Step { key: *key, run: *run, ordinal: *ordinal, outcome })
}

impl Inner {
    /// What came of this step when an earlier request under the key made it. None: it was never made, and will not be
    /// by anybody else.
    pub(super) async fn made_before(&self, step: &StepRef) -> Result<Option<WriteOutcome>> {
        let patience = Instant::now() + PATIENCE;
        loop {
            match within(idempotency::step(&self.db, &step.key, step.ordinal)).await? {
                StepState::Open => return Ok(None),
                StepState::Done(outcome) => {
                    let outcome = serde_json::from_str(&outcome).map_err(|error| Error::Internal(error.to_string()))?;
                    return Ok(Some(outcome));
                }
                StepState::UnderWay(change) if Instant::now() >= patience => return Err(Error::OutcomeUnknown(change)),
                StepState::UnderWay(change) => {
                    if let Some(intent) = within(intents::find_overdue(&self.db, change)).await? {
                        self.recovery().run(intent).await;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// A refusal among the outcomes of a request, as it is kept.
#[derive(Serialize, Deserialize)]
pub struct StoredRefusal {
    index: usize,
    #[serde(flatten)]
    error: StoredError,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
enum StoredError {
    Invalid { message: String, field: Option<String>, code: String },
    Conflict { message: String, field: Option<String>, code: String, conflicts: Vec<RecordId> },
    NotFound { what: String },
    Forbidden { message: String, code: String },
    OutOfScope { message: String, field: String },
    Other { message: String },
}

impl From<Refusal> for StoredRefusal {
    fn from(refusal: Refusal) -> Self {
        let Refusal { index, error } = refusal;
        let owned = |text: Option<&'static str>| text.map(str::to_owned);
        let error = match error {
            Error::Invalid { message, field, code } => {
                StoredError::Invalid { message, field: owned(field), code: code.to_owned() }
            }
            Error::Conflict { message, code, field, conflicts } => {
                StoredError::Conflict { message, field: owned(field), code: code.to_owned(), conflicts }
            }
            Error::NotFound(what) => StoredError::NotFound { what: what.to_owned() },
            Error::Forbidden { message, code } => StoredError::Forbidden { message, code: code.to_owned() },
            Error::OutOfScope { message, field } => StoredError::OutOfScope { message, field: field.to_owned() },
            // a decision about a record gives none of these
            other => StoredError::Other { message: other.to_string() },
        };
        Self { index, error }
    }
}

impl From<StoredRefusal> for Refusal {
    fn from(stored: StoredRefusal) -> Self {
        let StoredRefusal { index, error } = stored;
        let error = match error {
            StoredError::Invalid { message, field, code } => {
                Error::Invalid { message, field: field.as_deref().map(known), code: known(&code) }
            }
            StoredError::Conflict { message, field, code, conflicts } => {
                Error::Conflict { message, code: known(&code), field: field.as_deref().map(known), conflicts }
            }
            StoredError::NotFound { what } => Error::NotFound(known(&what)),
            StoredError::Forbidden { message, code } => Error::Forbidden { message, code: known(&code) },
            StoredError::OutOfScope { message, field } => Error::OutOfScope { message, field: known(&field) },
            StoredError::Other { message } => Error::Invalid { message, field: None, code: "invalid" },
        };
        Self { index, error }
    }
}

/// Names of fields and codes are words of this program, so they are few: each is kept once, for good.
fn known(word: &str) -> &'static str {
    static WORDS: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    let words = words.get_or_insert_default();
    if let Some(found) = words.get(word) {
        return found;
    }
    let kept: &'static str = Box::leak(word.to_owned().into_boxed_str());
    words.insert(kept);
    kept
}

/// [`Refusal`]s within an outcome.
pub mod refusals {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Refusal, StoredRefusal};

    pub fn serialize<S: Serializer>(refusals: &[Refusal], serializer: S) -> Result<S::Ok, S::Error> {
        let stored: Vec<StoredRefusal> = refusals.iter().cloned().map(StoredRefusal::from).collect();
        stored.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Refusal>, D::Error> {
        let stored = Vec::<StoredRefusal>::deserialize(deserializer)?;
        Ok(stored.into_iter().map(Refusal::from).collect())
    }
}
