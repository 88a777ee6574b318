//! A batch for a live zone: intend, write, settle, answer.

use std::time::Duration;

use tokio::time::Instant;

use crate::dns::{RecordType, RrsetChange, ZoneContent, rectify, serial as serials};
use crate::fairness;
use crate::ids::ChangeId;
use crate::storage::{within, zones};

use super::super::{Error, Result};
use super::batch::{Answers, Batch, Round, TURN_WAIT, answer_unknown};
use super::change::{Answered, Finished, Held};
use super::decide::net;
use super::ids::IdBook;
use super::payload::Payload;
use super::protocol;
use super::recovery::count_suspect;
use super::snapshot::{NEWS_FOR, Snapshot};

/// An intent goes into MariaDB as one statement, and so does its settle, which holds the same as text within JSON and is
/// at most twice as long: below the default `max_allowed_packet` of 16 MB.
const INTENT_BYTES_MAX: usize = 6_000_000;
/// Younger than this, the last write will still be news when the lock is had.
const NEWS_JUST_NOW: Duration = Duration::from_millis(3);

/// How a batch came by the state that it was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Footing {
    /// Read for this batch, MariaDB first.
    Read,
    /// From memory: PowerDNS must say that the zone is still so.
    Remembered,
}

/// Whether the batch may go ahead.
enum Start {
    Go(Held),
    /// The zone is not as it was when the batch was decided.
    Moved,
    Failed(Error),
}

impl Batch<'_> {
    /// `after`: content and ids as the batch leaves them.
    pub(super) async fn write_live(
        &mut self,
        (snapshot, footing): (&Snapshot, Footing),
        mut payload: Payload,
        answers: Answers,
        after: (ZoneContent, IdBook),
    ) -> Round {
        let row = &snapshot.row;
        let Some(change) = payload.entries.first().map(|entry| entry.change) else {
            return Round::Done { wanted: false };
        };
        let changes = net(&payload.entries);
        payload.serial = Some(snapshot.live.serial);
        payload.previous_marker.clone_from(&snapshot.live.marker);
        payload.rectify = row.needs_rectified_writes() || rectify::needed(&after.0, &changes);
        let json = match payload.to_json() {
            Ok(json) => json,
            Err(error) => {
                self.requests = answers.take_back();
                return Round::Failed(error);
            }
        };
        if protocol::patch_bytes(&changes) > protocol::PATCH_BYTES_MAX || json.len() > INTENT_BYTES_MAX {
            self.requests = answers.take_back();
            return self.too_large((snapshot, footing)).await;
        }
        let slot = self.inner.slots.enter(fairness::party(), TURN_WAIT);
        let Ok(_slot) = fairness::aside(slot).await else {
            self.requests = answers.take_back();
            return Round::Failed(Error::unavailable("PowerDNS is busy with other zones"));
        };
        let begun = Instant::now();
        let held = match self.start((snapshot, footing), change, (&payload, json), &changes).await {
            Start::Go(held) => held,
            Start::Moved => {
                self.requests = answers.take_back();
                return Round::Moved;
            }
            Start::Failed(Error::IdempotencyInProgress) => {
                self.requests = answers.take_back();
                return Round::MarkLost;
            }
            Start::Failed(error) => {
                self.requests = answers.take_back();
                return Round::Failed(error);
            }
        };
        let intended = Instant::now();
        let answered = self.inner.send_edit(row, &held, &payload, &changes, snapshot.live.api_rectify).await;
        let Answered { sent, at, rectify_left_on } = answered;
        let finished = self.inner.finish(row, &held.intent, &payload, sent).await;
        tracing::debug!(
            zone = %row.name, %change, requests = payload.entries.len(), rrsets = changes.len(),
            intend_us = (intended - begun).as_micros(), send_us = (at - intended).as_micros(),
            settle_us = at.elapsed().as_micros(), "a batch went through",
        );
        match finished {
            Finished::Applied { serial: Some(serial), .. } if !rectify_left_on && !is_soa_among(&changes) => {
                let now = self.inner.clock.now();
                self.inner.snapshots.put(snapshot.after(&payload, change, after, serial, now));
            }
            // somebody else had a hand in it, or may have had
            _ => self.inner.snapshots.forget(row.id),
        }
        let answers =
            if is_soa_among(&changes) { answers.with_serial(after_soa(&finished, &payload)) } else { answers };
        self.conclude(finished, answers)
    }

    fn conclude(&mut self, finished: Finished, answers: Answers) -> Round {
        match finished {
            Finished::Applied { serial: _, wanted } => {
                answers.send();
                Round::Done { wanted }
            }
            Finished::Refused(message) => {
                self.requests = answers.take_back();
                Round::Refused(message)
            }
            Finished::Failed(error) => {
                self.requests = answers.take_back();
                Round::Failed(error)
            }
            // a deadlock in PowerDNS's database, say: the requests are decided anew, under a new change id
            Finished::NotApplied => {
                self.requests = answers.take_back();
                Round::Again
            }
            Finished::Unknown => {
                answer_unknown(answers);
                Round::Done { wanted: false }
            }
        }
    }

    async fn too_large(&self, (snapshot, footing): (&Snapshot, Footing)) -> Round {
        if self.requests.len() > 1 {
            return Round::TooLarge;
        }
        let doubt = if footing == Footing::Remembered { self.doubt(snapshot).await } else { None };
        let error = || Error::invalid("content", "the change is larger than PowerDNS takes at once");
        doubt.unwrap_or_else(|| Round::Failed(error()))
    }

    /// Takes the zone's lock. Where the state is remembered, PowerDNS is asked at the same time whether it still holds
    /// it, unless the last write here is still news to everybody: then its answer said so.
    async fn start(
        &self,
        (snapshot, footing): (&Snapshot, Footing),
        change: ChangeId,
        (payload, json): (&Payload, String),
        changes: &[RrsetChange],
    ) -> Start {
        let row = &snapshot.row;
        let intend = self.inner.intend_with(row, change, payload, json);
        let is_still = self.inner.is_served_as(snapshot);
        // of a change of the SOA the next serial would not tell that somebody was in between
        let may_skip = !is_soa_among(changes);
        let (held, still) = match footing {
            Footing::Read => (intend.await, Ok(true)),
            Footing::Remembered if may_skip && snapshot.is_news_within(NEWS_JUST_NOW) => {
                let held = intend.await;
                let still = if snapshot.is_news_within(NEWS_FOR) { Ok(true) } else { is_still.await };
                (held, still)
            }
            Footing::Remembered => tokio::join!(intend, is_still),
        };
        let held = match held {
            Ok(Some(held)) => held,
            Ok(None) => return Start::Moved,
            Err(error) => return Start::Failed(error),
        };
        let (why, drift) = match &still {
            Ok(true) => return Start::Go(held),
            Ok(false) if self.inner.has_noted_step(snapshot).await => {
                ("the zone was fenced meanwhile".to_owned(), false)
            }
            Ok(false) => ("somebody else wrote to the zone".to_owned(), true),
            Err(error) => (error.to_string(), false),
        };
        if drift {
            count_suspect("serial");
            tracing::warn!(zone = %row.name, "somebody wrote to the zone behind our back; it is read anew");
        }
        self.inner.snapshots.forget(row.id);
        // nothing was sent: the lock goes, and nothing is recorded as done
        if let Err(error) = self.inner.drop_noting(&held.intent, payload, (&why, drift)).await {
            return Start::Failed(error);
        }
        match still {
            Ok(_) => Start::Moved,
            Err(error) => Start::Failed(error),
        }
    }
}

impl super::Inner {
    /// Whether the serial that PowerDNS has is one that MariaDB knows of: recovery's fence for a change that was dropped
    /// steps it, and changes nothing else.
    async fn has_noted_step(&self, snapshot: &Snapshot) -> bool {
        let row = &snapshot.row;
        let look = within(zones::for_write(&self.db, row.id));
        let (found, listed) = tokio::join!(look, self.pdns.listed_zone(row.name.as_str()));
        let (Ok(Some((now, _))), Ok(Some(listed))) = (found, listed) else { return false };
        now.serial != row.serial && now.serial == Some(listed.serial) && listed.account == row.id.to_string()
    }

    /// Whether PowerDNS still has the zone that was made for this row, at the snapshot's serial.
    pub(super) async fn is_served_as(&self, snapshot: &Snapshot) -> Result<bool> {
        let listed = self.pdns.listed_zone(snapshot.row.name.as_str()).await?;
        Ok(listed
            .is_some_and(|zone| zone.serial == snapshot.live.serial && zone.account == snapshot.row.id.to_string()))
    }
}

fn is_soa_among(changes: &[RrsetChange]) -> bool {
    changes.iter().any(|change| change.key.record_type == RecordType::Soa)
}

/// The serial that PowerDNS gave an SOA which was sent with the one before: where the answer did not tell it, the next.
fn after_soa(finished: &Finished, payload: &Payload) -> Option<u32> {
    match finished {
        Finished::Applied { serial: Some(serial), .. } => Some(*serial),
        Finished::Applied { serial: None, .. } => payload.serial.map(serials::next),
        Finished::Refused(_) | Finished::Failed(_) | Finished::NotApplied | Finished::Unknown => None,
    }
}
