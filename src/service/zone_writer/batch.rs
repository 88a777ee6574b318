//! One batch: the numbered steps of the write path for all requests that go together.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::RuntimeFlavor;
use tokio::time::Instant;

use crate::dns::{RecordRef, RecordType, RrsetChange, RrsetKey, Soa, ZoneContent};
use crate::fairness;
use crate::ids::ZoneId;
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{intents, record_ids, staged, within};
use crate::tenancy::{Quotas, ZoneStatus};

use super::super::platform::PlatformSettings;
use super::super::{Error, Result};
use super::change::is_unmoved;
use super::decide::{Accepted, Deciding, Decision, RecordOperation, WriteOutcome};
use super::ids::IdBook;
use super::large::is_large;
use super::live_batch::Footing;
use super::nameservers::needs_nameservers;
use super::payload::{IdRow, Kind, Payload};
use super::queue::Waiting;
use super::reader;
use super::snapshot::Snapshot;
use super::steps;
use super::store::Stands;
use super::turns::Waiter;
use super::{BATCH_OPERATIONS_MAX, Inner};

/// How long requests wait for a zone that another replica writes to, or that is being recovered.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a batch waits for its turn behind those of other zones: at work here, and again at PowerDNS.
pub(super) const TURN_WAIT: Duration = Duration::from_secs(4);

pub struct Batch<'a> {
    pub(super) inner: &'a Inner,
    zone: ZoneId,
    pub(super) requests: Vec<Waiting>,
    /// What is remembered of the zone has proven old: MariaDB is read before anything is decided.
    read_first: bool,
    /// Whether PowerDNS answers an ALIAS; looked up where a request brings one.
    expands_alias: bool,
    /// How many records the tenant may have in the zone; looked up where a request adds any.
    record_limit: u32,
    /// Looked up where a request must know the platform's nameservers.
    platform: Option<Arc<PlatformSettings>>,
}

/// Why a round did not end with answers.
pub enum Round {
    /// The zone is locked: wait, then read and decide again.
    Again,
    /// The zone is not as it was when the batch was decided: read and decide again.
    Moved,
    /// All that is left gets this answer.
    Failed(Error),
    /// PowerDNS refused the batch as a whole; nothing ran.
    Refused(String),
    /// Somebody else runs under the key of one of the requests by now: it may not write, the others may.
    MarkLost,
    /// One PATCH would hold more than PowerDNS takes.
    TooLarge,
    Done {
        /// Somebody else waits for the zone.
        wanted: bool,
    },
}

/// What requests get, kept back until the batch is committed.
pub struct Answers(pub Vec<(Waiting, std::result::Result<WriteOutcome, Error>)>);

impl Answers {
    pub fn send(self) {
        for (waiting, answer) in self.0 {
            // a client that has gone away misses its answer, nothing else
            let _ = waiting.answer.send(answer);
        }
    }

    /// Where an SOA was changed, it is told with the serial that it has got.
    pub fn with_serial(mut self, serial: Option<u32>) -> Self {
        let Some(serial) = serial else { return self };
        let outcomes = self.0.iter_mut().filter_map(|(_, answer)| answer.as_mut().ok());
        for outcome in outcomes.filter(|outcome| outcome.change.is_some()) {
            let records = outcome.operations.iter_mut().filter_map(|operation| operation.after.as_mut());
            for RecordRef { key, content } in records.map(|view| &mut view.reference) {
                set_serial(key, content, serial);
            }
            for RrsetChange { key, before: _, after } in &mut outcome.changes {
                after.iter_mut().flat_map(|rrset| &mut rrset.records).for_each(|record| {
                    set_serial(key, &mut record.content, serial);
                });
            }
        }
        self
    }

    pub fn take_back(self) -> Vec<Waiting> {
        self.0.into_iter().map(|(waiting, _)| waiting).collect()
    }
}

impl<'a> Batch<'a> {
    pub fn new(inner: &'a Inner, zone: ZoneId, requests: Vec<Waiting>) -> Self {
        Self { inner, zone, requests, read_first: false, expands_alias: false, record_limit: u32::MAX, platform: None }
    }

    /// Runs until every request has its answer, and says whether somebody else waits for the zone.
    pub async fn run(mut self) -> bool {
        let patience = Instant::now() + PATIENCE;
        let mut waiter = Waiter::new(&self.inner.db, self.zone);
        self.expands_alias = self.inner.expands_alias(&self.requests).await;
        match self.inner.record_limit(&self.requests).await {
            Ok(limit) => self.record_limit = limit,
            Err(error) => {
                self.fail_all(error);
                return false;
            }
        }
        loop {
            match self.round().await {
                Round::Done { wanted } => return wanted,
                Round::Failed(error) => {
                    self.fail_all(error);
                    return false;
                }
                Round::Refused(message) => return self.run_one_by_one(message).await,
                Round::TooLarge => return self.run_in_halves().await,
                Round::MarkLost if self.requests.len() > 1 => return self.run_each_alone().await,
                Round::MarkLost => {
                    self.fail_all(Error::IdempotencyInProgress);
                    return false;
                }
                Round::Again | Round::Moved if Instant::now() >= patience => {
                    self.fail_all(Error::unavailable("The zone is busy with another change"));
                    return false;
                }
                Round::Moved if !self.read_first => self.read_first = true,
                Round::Again | Round::Moved => {
                    self.read_first = true;
                    waiter.pause().await;
                }
            }
        }
    }

    /// PowerDNS refused what our own rules let pass. Alone, the culprit is told so; in company, each goes alone.
    async fn run_one_by_one(mut self, message: String) -> bool {
        if self.requests.len() == 1 {
            tracing::error!(zone = %self.zone, %message, "PowerDNS refused a change that our rules allow");
            self.fail_all(Error::invalid("content", format!("PowerDNS refused this change: {message}")));
            return false;
        }
        self.run_each_alone().await
    }

    async fn run_each_alone(&mut self) -> bool {
        let parts = std::mem::take(&mut self.requests).into_iter().map(|waiting| vec![waiting]);
        self.run_in_parts(parts).await
    }

    async fn run_in_halves(mut self) -> bool {
        let rest = self.requests.split_off(self.requests.len() / 2);
        let half = std::mem::take(&mut self.requests);
        self.run_in_parts([half, rest].into_iter()).await
    }

    async fn run_in_parts(&self, parts: impl Iterator<Item = Vec<Waiting>>) -> bool {
        let mut wanted = false;
        for part in parts {
            wanted = Box::pin(Batch::new(self.inner, self.zone, part).run()).await;
        }
        wanted
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
        if fairness::enter(self.inner.db.places(), fairness::party(), TURN_WAIT).await.is_err() {
            return Round::Failed(Error::unavailable("This replica is busy with other zones; try again"));
        }
        let round = self.try_round().await.unwrap_or_else(Round::Failed);
        fairness::leave();
        round
    }

    async fn try_round(&mut self) -> Result<Round> {
        let known = self.inner.snapshots.get(self.zone);
        if let Some(snapshot) = known.as_ref().filter(|_| !self.read_first) {
            return self.decide_live(snapshot, Footing::Remembered).await;
        }
        // MariaDB first, then the zone: the other order loses updates
        let Some((row, mark)) = within(zones::for_write(&self.inner.db, self.zone)).await? else {
            return Err(Error::NotFound("Domain"));
        };
        if matches!(row.status, ZoneStatus::Inactive | ZoneStatus::Deleted) {
            return Err(Error::conflict("domain_inactive", "The domain is withdrawn; its records cannot be changed"));
        }
        if let Some(mark) = mark.filter(|mark| mark.zone == row.id || row.status != ZoneStatus::PendingValidation) {
            if mark.overdue
                && let Some(intent) = within(intents::find(&self.inner.db, mark.change)).await?
            {
                self.inner.recovery().run(intent).await;
            }
            return Ok(Round::Again);
        }
        if row.is_kept_here() {
            return self.decide_staged(&row).await;
        }
        if let Some(known) = known
            && let Some(caught_up) = self.inner.catch_up(&known, &row).await?
        {
            return self.decide_live(&caught_up, Footing::Remembered).await;
        }
        let snapshot = self.inner.read_live(row).await?;
        self.decide_live(&snapshot, Footing::Read).await
    }

    async fn decide_live(&mut self, snapshot: &Snapshot, footing: Footing) -> Result<Round> {
        let (mut content, mut ids) = (snapshot.content.clone(), snapshot.ids.clone());
        self.read_platform().await?;
        let (accepted, answers) = self.decide((&snapshot.row, Some(snapshot.live.serial)), &mut content, &mut ids);
        if accepted.is_empty() {
            // no intent will find out whether what was remembered is so; or whether a change came in between when it was
            // read, so that content and ids are of different moments
            if let Some(round) = self.doubt(snapshot).await {
                self.requests = answers.take_back();
                return Ok(round);
            }
            answers.send();
            return Ok(Round::Done { wanted: false });
        }
        if accepted.iter().any(becomes_a_job) {
            let doubt = if footing == Footing::Remembered { self.doubt(snapshot).await } else { None };
            return Ok(match doubt {
                Some(round) => {
                    self.requests = answers.take_back();
                    round
                }
                None => {
                    drop((content, ids));
                    self.make_job_alone(&snapshot.row, accepted, answers).await
                }
            });
        }
        let payload = payload(&snapshot.row, &content, accepted, &ids);
        Ok(self.write_live((snapshot, footing), payload, answers, (content, ids)).await)
    }

    /// Why an answer that rests on what is remembered cannot be given.
    pub(super) async fn doubt(&self, snapshot: &Snapshot) -> Option<Round> {
        match self.inner.stands(snapshot).await {
            Ok(Stands::Yes) => None,
            Ok(Stands::Moved) => Some(Round::Moved),
            Ok(Stands::ChangedOutside) => {
                self.inner.snapshots.forget(self.zone);
                Some(Round::Moved)
            }
            Err(error) => Some(Round::Failed(error)),
        }
    }

    async fn decide_staged(&mut self, row: &ZoneRow) -> Result<Round> {
        let mut content = within(staged::content(&self.inner.db, row.id, &row.name)).await?;
        let mut ids = IdBook::new(within(record_ids::of_zone(&self.inner.db, row.id)).await?);
        self.read_platform().await?;
        let (accepted, answers) = self.decide((row, None), &mut content, &mut ids);
        if accepted.is_empty() {
            let now = within(zones::for_write(&self.inner.db, row.id)).await?;
            if !now.is_some_and(|(now, mark)| is_unmoved(row, &now) && mark.is_none_or(|mark| mark.zone != row.id)) {
                self.requests = answers.take_back();
                return Ok(Round::Moved);
            }
            answers.send();
            return Ok(Round::Done { wanted: false });
        }
        if accepted.iter().any(becomes_a_job) {
            drop((content, ids));
            return Ok(self.make_job_alone(row, accepted, answers).await);
        }
        let payload = payload(row, &content, accepted, &ids);
        Ok(self.write_staged(row, &payload, answers, self.inner.clock.now()).await)
    }

    /// After the zone was read: what is decided on a later state of the zone is then decided with no older nameservers.
    async fn read_platform(&mut self) -> Result<()> {
        let mut operations = self.requests.iter().flat_map(|waiting| &waiting.write.operations);
        if operations.any(needs_nameservers) {
            self.platform = Some(self.inner.platform.fresh().await?);
        }
        Ok(())
    }

    /// What becomes a job does so without company.
    async fn make_job_alone(&mut self, row: &ZoneRow, mut accepted: Vec<Accepted>, answers: Answers) -> Round {
        match accepted.pop() {
            Some(one) if answers.0.len() == 1 => self.make_job(row, one, answers).await,
            _ => {
                self.requests = answers.take_back();
                Round::TooLarge
            }
        }
    }

    fn decide(
        &mut self,
        (row, serial): (&ZoneRow, Option<u32>),
        content: &mut ZoneContent,
        ids: &mut IdBook,
    ) -> (Vec<Accepted>, Answers) {
        let version = reader::version(row, serial);
        let (now, expands_alias, record_limit) = (self.inner.clock.now(), self.expands_alias, self.record_limit);
        let platform = self.platform.clone();
        let platform = platform.as_deref();
        let mut deciding = Deciding { row, content, ids, now, expands_alias, record_limit, platform, version };
        let mut accepted = Vec::new();
        let mut answers = Vec::new();
        for waiting in std::mem::take(&mut self.requests) {
            let write = &waiting.write;
            let decided = match write.operations.len() > BATCH_OPERATIONS_MAX {
                true => beside_others(|| deciding.decide(write)),
                false => deciding.decide(write),
            };
            match decided {
                Decision::Answered(answer) => answers.push((waiting, answer)),
                Decision::Accepted(mut one) => {
                    if !becomes_a_job(&one) {
                        // plain values always have a JSON form
                        one.step = waiting.step.as_ref().and_then(|step| steps::step(step, &one.outcome).ok());
                    }
                    let told = std::mem::replace(&mut one.outcome, WriteOutcome::nothing());
                    answers.push((waiting, Ok(told)));
                    accepted.push(*one);
                }
            }
        }
        (accepted, Answers(answers))
    }
}

impl Inner {
    /// As the settings of the zone's tenant say, or said less than a second ago.
    async fn record_limit(&self, requests: &[Waiting]) -> Result<u32> {
        let adds = |operation: &RecordOperation| {
            use RecordOperation::{Delete, Nameservers, Update};
            !matches!(operation, Update { .. } | Delete { .. } | Nameservers)
        };
        let mut writes = requests.iter().map(|waiting| &waiting.write);
        let Some(write) = writes.find(|write| write.operations.iter().any(adds)) else { return Ok(u32::MAX) };
        let tenant = write.access.zone().tenant;
        if let Some(limit) = self.record_limits.get(&tenant) {
            return Ok(limit);
        }
        let usual = self.platform.settings().await?.terms.quotas;
        let settings = within(zones::tenant_settings(&self.db, tenant)).await?;
        let limit = Quotas::read(&settings, usual).max_records_per_domain;
        self.record_limits.insert(tenant, limit);
        Ok(limit)
    }

    /// Asks PowerDNS, where any request adds an ALIAS. One that does not say so does not expand it.
    async fn expands_alias(&self, requests: &[Waiting]) -> bool {
        let may_add_alias = |operation: &RecordOperation| operation.may_add(&RecordType::Alias);
        if !requests.iter().any(|waiting| waiting.write.operations.iter().any(may_add_alias)) {
            return false;
        }
        match self.pdns.settings().await {
            Ok(settings) => settings.get("expand-alias").is_some_and(|value| value.eq_ignore_ascii_case("yes")),
            Err(error) => {
                tracing::warn!(%error, "PowerDNS does not say whether it expands ALIAS");
                false
            }
        }
    }
}

fn set_serial(key: &RrsetKey, content: &mut String, serial: u32) {
    if key.record_type == RecordType::Soa
        && let Ok(soa) = Soa::parse(content)
    {
        *content = Soa { serial, ..soa }.to_string();
    }
}

/// Those that would have changed something hear the id of their change; the others may simply ask again.
pub fn answer_unknown(answers: Answers) {
    for (waiting, answer) in answers.0 {
        let told = match answer {
            Ok(WriteOutcome { change: Some(change), .. }) => Error::OutcomeUnknown(change),
            Ok(_) | Err(_) => Error::unavailable("The zone is busy with a change whose outcome is being determined"),
        };
        let _ = waiting.answer.send(Err(told));
    }
}

/// What keeps a thread busy for a while lets other tasks move to another one.
fn beside_others<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn becomes_a_job(accepted: &Accepted) -> bool {
    accepted.large.is_some() && is_large(&accepted.entry.changes)
}

fn payload(row: &ZoneRow, content: &ZoneContent, accepted: Vec<Accepted>, ids: &IdBook) -> Payload {
    let (ids_removed, put) = ids.outcome();
    let mut entries = Vec::new();
    let mut audit = Vec::new();
    let mut steps = Vec::new();
    let mut part = None;
    for Accepted { entry, audit: entries_of_one, outcome: _, step, large: _, part: own_part } in accepted {
        part = part.or(own_part);
        entries.push(entry);
        steps.extend(step);
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
        record_count: u32::try_from(content.record_count()).unwrap_or(u32::MAX),
        part,
        steps,
    }
}
