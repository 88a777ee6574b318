//! A batch for a live zone: intend, write, settle, answer.

use tokio::time::Instant;

use crate::dns::{RrsetChange, ZoneContent, rectify};
use crate::ids::ChangeId;

use super::super::{Error, Result};
use super::batch::{Answers, Batch, Round, answer_unknown};
use super::change::{Finished, Held};
use super::decide::net;
use super::ids::IdBook;
use super::payload::Payload;
use super::protocol;
use super::snapshot::Snapshot;

/// An intent and its history go into MariaDB as one statement, below its default `max_allowed_packet` of 16 MB.
const PAYLOAD_BYTES_MAX: usize = 4_000_000;

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
        payload.rectify = rectify::needed(&after.0, &changes);
        if is_too_large(&payload, &changes) {
            self.requests = answers.take_back();
            return match self.requests.len() {
                1 => Round::Failed(Error::invalid("content", "the change is larger than PowerDNS takes at once")),
                _ => Round::TooLarge,
            };
        }
        let begun = Instant::now();
        let held = match self.start(snapshot, footing, change, &payload).await {
            Start::Go(held) => held,
            Start::Moved => {
                self.requests = answers.take_back();
                return Round::Moved;
            }
            Start::Failed(error) => {
                self.requests = answers.take_back();
                return Round::Failed(error);
            }
        };
        let intended = Instant::now();
        let sent = self.inner.send_edit(row, &held, &payload, &changes, snapshot.live.api_rectify).await;
        let answered = Instant::now();
        let finished = self.inner.finish(row, &held.intent, &payload, sent).await;
        tracing::debug!(
            zone = %row.name, %change, requests = payload.entries.len(), rrsets = changes.len(),
            intend_us = (intended - begun).as_micros(), send_us = (answered - intended).as_micros(),
            settle_us = answered.elapsed().as_micros(), "a batch went through",
        );
        if let Finished::Applied { serial: Some(serial), .. } = finished {
            let now = self.inner.clock.now();
            self.inner.snapshots.put(Snapshot::after(row, &payload, change, serial, after, (now, answered)));
        }
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

    /// Takes the zone's lock. Where the state is remembered, PowerDNS is asked at the same time whether it still holds
    /// it: once both have said so, only an outsider can write before the PATCH does.
    async fn start(&self, snapshot: &Snapshot, footing: Footing, change: ChangeId, payload: &Payload) -> Start {
        let row = &snapshot.row;
        let intend = self.inner.intend(row, change, payload);
        let (held, still) = match footing {
            Footing::Read => (intend.await, Ok(true)),
            Footing::Remembered if snapshot.is_just_said() => (intend.await, Ok(true)),
            Footing::Remembered => tokio::join!(intend, self.inner.is_served_as(snapshot)),
        };
        let held = match held {
            Ok(Some(held)) => held,
            Ok(None) => return Start::Moved,
            Err(error) => return Start::Failed(error),
        };
        let why = match &still {
            Ok(true) => return Start::Go(held),
            Ok(false) => "somebody else wrote to the zone".to_owned(),
            Err(error) => error.to_string(),
        };
        self.inner.snapshots.forget(row.id);
        // nothing was sent: the lock goes, and nothing is recorded as done
        if let Err(error) = self.inner.drop_intent(&held.intent, payload, &why).await {
            return Start::Failed(error);
        }
        match still {
            Ok(_) => Start::Moved,
            Err(error) => Start::Failed(error),
        }
    }
}

impl super::Inner {
    /// Whether PowerDNS still has the zone that was made for this row, at the snapshot's serial.
    pub(super) async fn is_served_as(&self, snapshot: &Snapshot) -> Result<bool> {
        let listed = self.pdns.listed_zone(snapshot.row.name.as_str()).await?;
        Ok(listed
            .is_some_and(|zone| zone.serial == snapshot.live.serial && zone.account == snapshot.row.id.to_string()))
    }
}

fn is_too_large(payload: &Payload, changes: &[RrsetChange]) -> bool {
    protocol::patch_bytes(changes) > protocol::PATCH_BYTES_MAX || payload_bytes(payload) > PAYLOAD_BYTES_MAX
}

/// What an intent holds, about: every request's RRsets before and after.
fn payload_bytes(payload: &Payload) -> usize {
    let rrsets = payload.entries.iter().flat_map(|entry| &entry.changes);
    rrsets
        .map(|change| protocol::rrset_bytes(change.before.as_ref()) + protocol::rrset_bytes(change.after.as_ref()))
        .sum()
}
