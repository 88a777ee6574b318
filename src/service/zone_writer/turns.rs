//! Taking turns at a zone that several want to write to.
//!
//! Whoever finds the zone locked waits and looks again, and notes in the zone's row that it waits. A replica with an
//! unbroken line of requests would take the lock again before the other looks; when its settle finds the note, it
//! stands back for longer than anybody pauses between two looks. Nothing is lost by it: what comes in meanwhile goes
//! with its next batch.

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use crate::ids::ZoneId;
use crate::storage::{Db, within, zones};

/// Between two looks at a locked zone; with jitter, so that replicas do not march in step.
const PAUSE_MS: std::ops::Range<u64> = 4..16;
/// A note counts for a second.
const NOTE_AGAIN: Duration = Duration::from_millis(100);
/// How long a replica stands back: the longest pause, the round trips until the lock is had, and, for whoever must read
/// the zone first, twice what that takes.
const STAND_BACK: Duration = Duration::from_millis(30);
const STAND_BACK_PER_RECORD: Duration = Duration::from_micros(20);
const STAND_BACK_MAX: Duration = Duration::from_secs(2);

/// Somebody who waits for a zone.
pub struct Waiter<'a> {
    db: &'a Db,
    zone: ZoneId,
    noted: Option<Instant>,
}

impl<'a> Waiter<'a> {
    pub fn new(db: &'a Db, zone: ZoneId) -> Self {
        Self { db, zone, noted: None }
    }

    /// Until the next look.
    pub async fn pause(&mut self) {
        if self.noted.is_none_or(|noted| noted.elapsed() >= NOTE_AGAIN) {
            self.noted = Some(Instant::now());
            // without the note one waits longer, no more
            if let Err(error) = within(zones::want(self.db, self.zone)).await {
                tracing::debug!(zone = %self.zone, %error, "could not note that the zone is wanted");
            }
        }
        let pause = rand::rng().random_range(PAUSE_MS);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// Lets others have a zone of so many records.
pub async fn stand_back(records: u32) {
    tokio::time::sleep((STAND_BACK + STAND_BACK_PER_RECORD * records).min(STAND_BACK_MAX)).await;
}
