//! One batch: the numbered steps of the write path for all requests that go together.

use std::collections::HashMap;
use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use crate::dns::rectify;
use crate::ids::{ChangeId, RecordId, ZoneId};
use crate::storage::intents;
use crate::storage::record_ids::Digest;
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{StorageError, history, record_ids, staged, within, within_write};
use crate::tenancy::ZoneStatus;

use super::super::{Error, Result};
use super::change::{Finished, is_unmoved};
use super::decide::{Accepted, Deciding, Decision, RecordOperation, WriteOutcome, net};
use super::ids::IdBook;
use super::payload::{IdRow, Kind, Payload};
use super::queue::Waiting;
use super::settle::new_changes;
use super::store::{self, LiveState, ZoneState};
use super::{Inner, protocol};

/// How long requests wait for a zone that another replica writes to, or that is being recovered.
const PATIENCE: Duration = Duration::from_secs(10);
/// An intent and its history go into MariaDB in statements of at most 16 MB, its default `max_allowed_packet`.
const PAYLOAD_BYTES_MAX: usize = 6_000_000;
/// Between two looks at a locked zone; with jitter, so that replicas do not march in step.
const LOCKED_PAUSE_MS: std::ops::Range<u64> = 5..40;

pub struct Batch<'a> {
    inner: &'a Inner,
    zone: ZoneId,
    requests: Vec<Waiting>,
}

/// Why a round did not end with answers.
enum Round {
    /// The zone moved or is locked: read and decide again.
    Again,
    /// All that is left gets this answer.
    Failed(Error),
    /// PowerDNS refused the batch as a whole; nothing ran.
    Refused(String),
    /// One PATCH would hold more than PowerDNS takes.
    TooLarge,
    Done,
}

/// What requests get, kept back until the batch is committed.
struct Answers(Vec<(Waiting, std::result::Result<WriteOutcome, Error>)>);

impl Answers {
    fn send(self) {
        for (waiting, answer) in self.0 {
            // a client that has gone away misses its answer, nothing else
            let _ = waiting.answer.send(answer);
        }
    }

    fn take_back(self) -> Vec<Waiting> {
        self.0.into_iter().map(|(waiting, _)| waiting).collect()
    }
}

impl<'a> Batch<'a> {
    pub fn new(inner: &'a Inner, zone: ZoneId, requests: Vec<Waiting>) -> Self {
        Self { inner, zone, requests }
    }

    /// Runs until every request has its answer.
    pub async fn run(mut self) {
        let patience = Instant::now() + PATIENCE;
        loop {
            match self.round().await {
                Round::Done => return,
                Round::Failed(error) => return self.fail_all(error),
                Round::Refused(message) => return self.run_one_by_one(message).await,
                Round::TooLarge => return self.run_in_halves().await,
                Round::Again if Instant::now() >= patience => {
                    return self.fail_all(Error::unavailable("The zone is busy with another change"));
                }
                Round::Again => {
                    let pause = rand::rng().random_range(LOCKED_PAUSE_MS);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            }
        }
    }

    /// PowerDNS refused what our own rules let pass. Alone, the culprit is told so; in company, each goes alone.
    async fn run_one_by_one(mut self, message: String) {
        if self.requests.len() == 1 {
            tracing::error!(zone = %self.zone, %message, "PowerDNS refused a change that our rules allow");
            let error = Error::invalid("content", format!("PowerDNS refused this change: {message}"));
            return self.fail_all(error);
        }
        for waiting in std::mem::take(&mut self.requests) {
            Box::pin(Batch::new(self.inner, self.zone, vec![waiting]).run()).await;
        }
    }

    async fn run_in_halves(mut self) {
        let rest = self.requests.split_off(self.requests.len() / 2);
        for half in [std::mem::take(&mut self.requests), rest] {
            Box::pin(Batch::new(self.inner, self.zone, half).run()).await;
        }
    }

    fn fail_all(&mut self, error: Error) {
        let mut requests = std::mem::take(&mut self.requests).into_iter();
        let last = requests.next_back();
        for waiting in requests {
            let _ = waiting.answer.send(Err(error.clone()));
        }
        if let Some(waiting) = last {
            let _ = waiting.answer.send(Err(error));
        }
    }

    async fn round(&mut self) -> Round {
        match self.try_round().await {
            Ok(round) => round,
            Err(error) => Round::Failed(error),
        }
    }

    /// Read MariaDB first, then the zone: the other order loses updates.
    async fn try_round(&mut self) -> Result<Round> {
        let Some((row, mark)) = within(zones::for_write(&self.inner.db, self.zone)).await? else {
            return Err(Error::NotFound("Domain"));
        };
        if let Some(mark) = mark.filter(|mark| mark.zone == row.id || row.status != ZoneStatus::PendingValidation) {
            if mark.overdue
                && let Some(intent) = within(intents::find(&self.inner.db, mark.change)).await?
            {
                self.inner.recovery().run(intent).await;
            }
            return Ok(Round::Again);
        }
        if matches!(row.status, ZoneStatus::Inactive | ZoneStatus::Deleted) {
            return Err(Error::conflict("domain_inactive", "The domain is withdrawn; its records cannot be changed"));
        }
        let mut state = store::read(&self.inner.db, &self.inner.pdns, &row).await?;
        let mut ids = IdBook::new(within(self.id_rows(&row)).await?);
        ids.index(&state.content);
        let now = self.inner.clock.now();
        let (accepted, mut answers, unnamed) = self.decide(&row, &mut state, &mut ids, now);
        self.name_conflicts(&row, &mut answers, &unnamed).await?;
        if accepted.is_empty() {
            answers.send();
            return Ok(Round::Done);
        }
        let payload = payload(&row, &state, accepted, &ids);
        Ok(match state.live {
            None => self.write_staged(&row, &payload, answers, now).await,
            Some(live) => self.write_live(&row, live, payload, answers, &state.content).await,
        })
    }

    /// The rows of the ids that the batch names; a digest is an id too, of a record that somebody else wrote.
    async fn id_rows(&self, row: &ZoneRow) -> crate::storage::Result<Vec<record_ids::RecordIdRow>> {
        let operations = self.requests.iter().flat_map(|waiting| &waiting.write.operations);
        let ids: Vec<RecordId> = operations
            .filter_map(|operation| match operation {
                RecordOperation::Add { .. } => None,
                RecordOperation::Update { id, .. } | RecordOperation::Delete { id } => Some(*id),
            })
            .collect();
        let digests: Vec<_> = ids.iter().map(|id| *id.0.as_bytes()).collect();
        record_ids::some(&self.inner.db, row.id, &ids, &digests).await
    }

    /// Refusals name the records they conflict with by digest until here.
    async fn name_conflicts(&self, row: &ZoneRow, answers: &mut Answers, unnamed: &[Digest]) -> Result<()> {
        if unnamed.is_empty() {
            return Ok(());
        }
        let rows = within(record_ids::some(&self.inner.db, row.id, &[], unnamed)).await?;
        let named: HashMap<RecordId, RecordId> =
            rows.iter().map(|row| (RecordId(uuid::Uuid::from_bytes(row.digest)), row.id)).collect();
        for (_, answer) in &mut answers.0 {
            if let Err(Error::Conflict { conflicts, .. }) = answer {
                for id in conflicts {
                    *id = named.get(id).copied().unwrap_or(*id);
                }
            }
        }
        Ok(())
    }

    fn decide(
        &mut self,
        row: &ZoneRow,
        state: &mut ZoneState,
        ids: &mut IdBook,
        now: time::OffsetDateTime,
    ) -> (Vec<Accepted>, Answers, Vec<Digest>) {
        let mut deciding = Deciding { row, content: &mut state.content, ids, now, unnamed: Vec::new() };
        let mut accepted = Vec::new();
        let mut answers = Vec::new();
        for waiting in std::mem::take(&mut self.requests) {
            let write = &waiting.write;
            match deciding.decide(&write.actor, &write.request, &write.operations, write.dry_run) {
                Decision::Answered(answer) => answers.push((waiting, answer)),
                Decision::Accepted(one) => {
                    answers.push((waiting, Ok(one.outcome.clone())));
                    accepted.push(*one);
                }
            }
        }
        (accepted, Answers(answers), deciding.unnamed)
    }

    /// A zone that is not live: one MariaDB transaction is intent and settle together.
    async fn write_staged(
        &mut self,
        row: &ZoneRow,
        payload: &Payload,
        answers: Answers,
        now: time::OffsetDateTime,
    ) -> Round {
        let Some(batch) = payload.entries.first().map(|entry| entry.change) else { return Round::Done };
        match within_write(self.commit_staged(row, payload, batch, now)).await {
            Ok(true) => {
                answers.send();
                Round::Done
            }
            Ok(false) | Err(StorageError::Deadlock(_)) => {
                self.requests = answers.take_back();
                Round::Again
            }
            Err(StorageError::Unavailable(why)) => {
                tracing::warn!(zone = %row.name, %batch, why, "the outcome of a staged change is unknown");
                match within(history::exists(&self.inner.db, batch)).await {
                    Ok(true) => answers.send(),
                    Ok(false) | Err(_) => answer_unknown(answers),
                }
                Round::Done
            }
            Err(error) => {
                self.requests = answers.take_back();
                Round::Failed(error.into())
            }
        }
    }

    /// False: the zone moved since it was read.
    async fn commit_staged(
        &self,
        row: &ZoneRow,
        payload: &Payload,
        batch: ChangeId,
        now: time::OffsetDateTime,
    ) -> crate::storage::Result<bool> {
        let mut tx = self.inner.db.begin().await?;
        let unmoved = zones::lock(&mut tx, row.id).await?.is_some_and(|locked| is_unmoved(row, &locked));
        if !unmoved || intents::exists_for_zone(&mut tx, row.id).await? {
            return Ok(false);
        }
        staged::apply(&mut tx, row.id, &net(&payload.entries)).await?;
        let reference = history::BatchRef {
            id: batch,
            zone: row.id,
            tenant: row.tenant,
            revision: row.revision,
            serial: None,
            now,
        };
        history::append(&mut tx, &reference, &new_changes(&payload.entries)?).await?;
        crate::storage::audit::append(&mut tx, Some(batch), &payload.audit).await?;
        let put: Vec<_> = payload.ids_put.iter().filter_map(IdRow::to_row).collect();
        record_ids::replace(&mut tx, row.id, &payload.ids_removed, &put).await?;
        let progress = zones::Progress {
            revisions: payload.entries.len() as u64,
            serial: None,
            last_change: batch,
            record_count: payload.record_count,
            drift: false,
            now,
        };
        zones::advance(&mut tx, row.id, &progress).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// A live zone: intend, write, settle, answer.
    async fn write_live(
        &mut self,
        row: &ZoneRow,
        live: LiveState,
        mut payload: Payload,
        answers: Answers,
        after: &crate::dns::ZoneContent,
    ) -> Round {
        let Some(change) = payload.entries.first().map(|entry| entry.change) else { return Round::Done };
        let changes = net(&payload.entries);
        payload.serial = Some(live.serial);
        payload.previous_marker = live.marker;
        payload.rectify = rectify::needed(after, &changes);
        if protocol::patch_bytes(&changes) > protocol::PATCH_BYTES_MAX || payload_bytes(&payload) > PAYLOAD_BYTES_MAX {
            self.requests = answers.take_back();
            return match self.requests.len() {
                1 => Round::Failed(Error::invalid("content", "the change is larger than PowerDNS takes at once")),
                _ => Round::TooLarge,
            };
        }
        let held = match self.inner.intend(row, change, &payload).await {
            Ok(Some(held)) => held,
            Ok(None) => {
                self.requests = answers.take_back();
                return Round::Again;
            }
            Err(error) => {
                self.requests = answers.take_back();
                return Round::Failed(error);
            }
        };
        let sent = self.inner.send_edit(row, &held, &payload, &changes, live.api_rectify).await;
        match self.inner.finish(row, &held.intent, &payload, sent).await {
            Finished::Applied => {
                answers.send();
                Round::Done
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
                Round::Done
            }
        }
    }
}

/// What an intent holds, about: every request's RRsets before and after.
fn payload_bytes(payload: &Payload) -> usize {
    let rrsets = payload.entries.iter().flat_map(|entry| &entry.changes);
    rrsets
        .map(|change| protocol::rrset_bytes(change.before.as_ref()) + protocol::rrset_bytes(change.after.as_ref()))
        .sum()
}

/// Those that would have changed something hear the id of their change; the others may simply ask again.
fn answer_unknown(answers: Answers) {
    for (waiting, answer) in answers.0 {
        let told = match answer {
            Ok(WriteOutcome { change: Some(change), .. }) => Error::OutcomeUnknown(change),
            Ok(_) | Err(_) => Error::unavailable("The zone is busy with a change whose outcome is being determined"),
        };
        let _ = waiting.answer.send(Err(told));
    }
}

fn payload(row: &ZoneRow, state: &ZoneState, accepted: Vec<Accepted>, ids: &IdBook) -> Payload {
    let (ids_removed, put) = ids.outcome();
    let mut entries = Vec::new();
    let mut audit = Vec::new();
    for Accepted { entry, audit: entries_of_one, outcome: _ } in accepted {
        entries.push(entry);
        audit.extend(entries_of_one);
    }
    Payload {
        kind: Kind::Edit,
        tenant: row.tenant,
        revision: row.revision,
        serial: None,
        previous_marker: None,
        rectify: false,
        entries,
        audit,
        ids_removed,
        ids_put: put.iter().map(IdRow::from).collect(),
        record_count: u32::try_from(state.content.record_count()).unwrap_or(u32::MAX),
    }
}
