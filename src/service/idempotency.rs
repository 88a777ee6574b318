//! Requests that may be repeated: one runs under a key, its answer is given again.
//!
//! A request holds its key by a mark that dies with its deadline unless it is renewed. Changes of zones under a key are
//! numbered steps, bound to their intent (`storage/idempotency.rs`): so whoever repeats a request whose answer was lost,
//! with the replica or by a 504, gets what became of its steps and makes only those that were never made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::authz::Actor;
use crate::clock::new_id;
use crate::storage::idempotency::{self, KeyDigest, StoredAnswer, Taken};
use crate::storage::{Db, StorageError, within};

use super::{Context, Error, Result, Services};

/// Of a key.
const KEY_LENGTH_MAX: usize = 255; // contract
/// How often a mark is renewed: twice may fail before it dies.
pub const RENEW_EVERY: Duration = Duration::from_secs(5);

/// A key in the form that the interface asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub fn parse(text: &str) -> Option<Self> {
        let is_printable = |b: u8| (0x20..=0x7e).contains(&b);
        let is_key = (1..=KEY_LENGTH_MAX).contains(&text.len()) && text.bytes().all(is_printable);
        is_key.then(|| Self(text.to_owned()))
    }
}

/// The request that runs under a key. Clones count their steps together.
#[derive(Clone, Debug)]
pub struct Run {
    key: [u8; 32],
    id: Uuid,
    /// Another request ran under the key before and left no answer.
    resumed: bool,
    /// When the first request under the key began.
    since: OffsetDateTime,
    steps: Arc<AtomicU16>,
    objects: Arc<AtomicU16>,
}

/// One change of a zone within a request.
#[derive(Clone, Debug)]
pub struct StepRef {
    pub key: [u8; 32],
    pub run: Uuid,
    pub ordinal: u16,
    /// It may have been made before.
    pub resumed: bool,
}

impl Run {
    /// The next change of a zone that the request makes.
    pub fn next_step(&self) -> StepRef {
        let ordinal = self.steps.fetch_add(1, Ordering::Relaxed);
        StepRef { key: self.key, run: self.id, ordinal, resumed: self.resumed }
    }

    /// The id of the next object that the request makes: the same for whoever repeats it, so that nothing is made twice.
    pub fn next_object(&self) -> Uuid {
        let ordinal = self.objects.fetch_add(1, Ordering::Relaxed);
        let random = fingerprint(&[&self.key, &ordinal.to_be_bytes()]);
        let millis = u64::try_from(self.since.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&random[..10]);
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }

    /// Whether an earlier request under the key may have made something.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Says that the request still runs. A mark that is lost is no failure yet: nothing is written without it.
    pub async fn renew(&self, db: &Db) {
        match within(idempotency::renew(db, &self.key, self.id)).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!("another request runs under this request's idempotency key by now"),
            Err(error) => tracing::warn!(%error, "an idempotency key could not be renewed"),
        }
    }

    /// Keeps the answer, or where there is none that counts lets the next request under the key go on.
    pub async fn end(&self, db: &Db, answer: Option<StoredAnswer>) {
        let ended = match &answer {
            Some(answer) => within(idempotency::finish(db, &self.key, self.id, answer)).await,
            None => within(idempotency::release(db, &self.key, self.id)).await,
        };
        if let Err(error) = ended {
            // the mark dies by itself, and whoever repeats the request finds its steps
            tracing::warn!(%error, "the end of a request under an idempotency key could not be noted");
        }
    }
}

/// What a request under a key may do.
#[derive(Debug)]
pub enum Begun {
    Run(Run),
    /// It was answered before: decide anew whether the caller may hear it.
    Answered(StoredAnswer),
}

/// Begins a request. `fingerprint`: of all that it asks.
pub async fn begin(
    services: &Services,
    context: &Context,
    key: &IdempotencyKey,
    fingerprint: [u8; 32],
) -> Result<Begun> {
    let digest = KeyDigest { key: digest(context, key), fingerprint };
    let id = new_id();
    match within(idempotency::take(&services.db, &digest, id, services.clock.now())).await? {
        Taken::Ours { resumed, since } => {
            Ok(Begun::Run(Run { key: digest.key, id, resumed, since, steps: Arc::default(), objects: Arc::default() }))
        }
        Taken::Done(answer) => Ok(Begun::Answered(answer)),
        Taken::Running => Err(in_progress()),
        Taken::Reused => Err(Error::IdempotencyKeyReused),
    }
}

/// The key is taken; its request's answer is not known yet.
pub fn in_progress() -> Error {
    Error::IdempotencyInProgress
}

/// Each caller has keys of its own.
fn digest(context: &Context, key: &IdempotencyKey) -> [u8; 32] {
    let (kind, id) = match &context.caller.actor {
        Actor::User { id, .. } => ("user", id.to_string()),
        Actor::ApiKey { id, .. } => ("api_key", id.to_string()),
        Actor::System { name } => ("system", (*name).to_owned()),
    };
    fingerprint(&[kind.as_bytes(), id.as_bytes(), key.0.as_bytes()])
}

/// Of parts that do not run into each other.
pub fn fingerprint(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// How the loss of a mark comes out of a transaction that writes under it.
pub fn mark_lost() -> StorageError {
    StorageError::Duplicate { key: MARK_LOST.into() }
}

pub const MARK_LOST: &str = "idempotency mark";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_1_to_255_printable_characters() {
        for key in ["a", "9f3b-retry 1", &"x".repeat(255)] {
            assert!(IdempotencyKey::parse(key).is_some(), "{key}");
        }
        for key in ["", "tab\t", "ümlaut", &"x".repeat(256)] {
            assert!(IdempotencyKey::parse(key).is_none(), "{key}");
        }
    }

    #[test]
    fn parts_of_a_fingerprint_do_not_run_into_each_other() {
        assert_ne!(fingerprint(&[b"ab", b"c"]), fingerprint(&[b"a", b"bc"]));
    }
}
