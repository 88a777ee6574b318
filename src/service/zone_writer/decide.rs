//! Deciding a batch, purely: each request against the state that the ones before it leave, as one change or none.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::authz::Permission;
use crate::dns::{
    EditContext, FieldError, Operation, OperationError, OperationOutcome, PartialOutcome, RecordRef, RecordState,
    RecordType, Refused, RrsetChange, RrsetEdit, RrsetKey, Warning, ZoneContent,
};
use crate::ids::{ChangeId, JobId, RecordId};
use crate::storage::audit::AuditEntry;
use crate::storage::idempotency::Step as IdempotentStep;
use crate::storage::record_ids::RecordIdRow;
use crate::storage::zones::ZoneRow;
use crate::tenancy::{ZoneStatus, ZoneType};

use super::super::entity_tag::Expected;
use super::super::platform::PlatformSettings;
use super::super::quotas;
use super::super::{Error, Refusal, Result};
use super::compile::{Compiled, Step};
use super::ids::IdBook;
use super::large::{Large, is_large};
use super::parts::{self, PartRef};
use super::payload::Entry;
use super::recording::audit_entries;
use super::steps::refusals;
use super::{CONFLICTS_NAMED_MAX, ZoneWrite};

/// One operation, as a door of the product asks for it. What it comes to in single records is decided on the zone as it
/// stands then.
#[derive(Clone, Debug)]
pub enum RecordOperation {
    Add {
        name: crate::dns::OwnerName,
        record_type: RecordType,
        content: String,
        ttl: Option<u32>,
        disabled: bool,
    },
    Update {
        id: RecordId,
        content: Option<String>,
        ttl: Option<u32>,
        disabled: Option<bool>,
    },
    Delete {
        id: RecordId,
    },
    /// What an RRset is to become, or which of its values come or go. Not for [`Grouping::EachAlone`], which leaves out
    /// single records.
    Rrset(RrsetEdit),
    /// Every RRset goes that no [`Self::Rrset`] of the request names, but for what the platform keeps.
    Prune,
    /// The NS records of the apex and the primary of the SOA become those that the platform has now.
    Nameservers,
    /// An RRset becomes what it was before a change, if it still stands as that change left it, or in any case.
    PutBack {
        change: RrsetChange,
        force: bool,
    },
}

impl RecordOperation {
    /// Whether a record of this type may come with it.
    pub fn may_add(&self, wanted: &RecordType) -> bool {
        match self {
            Self::Add { record_type, .. } => record_type == wanted,
            Self::Rrset(edit) => edit.key.record_type == *wanted,
            Self::PutBack { change, force: _ } => change.key.record_type == *wanted,
            Self::Update { .. } | Self::Delete { .. } | Self::Prune | Self::Nameservers => false,
        }
    }

    /// About how many records it is about.
    pub fn weight(&self) -> usize {
        match self {
            Self::Add { .. } | Self::Update { .. } | Self::Delete { .. } | Self::Prune | Self::Nameservers => 1,
            Self::Rrset(edit) => edit.values.len().max(1),
            Self::PutBack { change, force: _ } => {
                change.before.iter().chain(&change.after).map(|rrset| rrset.records.len()).max().unwrap_or(1)
            }
        }
    }
}

/// How the operations of a request belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// One operation: its failure is the request's, and a record has its audit entry.
    Single,
    /// All or none, and every failure is told. The zone has one audit entry, for this action.
    Together(&'static str),
    /// All that can be. The zone has one audit entry, for this action.
    EachAlone(&'static str),
    /// A part of what was decided as a whole before, for the job that holds the zone. Its end has the audit entry.
    Part(PartRef),
}

/// A record with its id and times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordView {
    pub id: RecordId,
    pub reference: RecordRef,
    pub ttl: u32,
    pub disabled: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// What became of one operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordOutcome {
    pub before: Option<RecordView>,
    pub after: Option<RecordView>,
    pub warnings: Vec<Warning>,
}

/// What became of a request; kept where it may be repeated.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WriteOutcome {
    /// Of those that were done, in their order.
    pub operations: Vec<RecordOutcome>,
    /// Those left out of [`Grouping::EachAlone`], in their order.
    #[serde(with = "refusals")]
    pub refused: Vec<Refusal>,
    /// None: nothing changed, or only asked.
    pub change: Option<ChangeId>,
    /// The net effect on RRsets of a request that is not [`Grouping::Single`].
    #[serde(default)]
    pub changes: Vec<RrsetChange>,
    /// Nothing was written yet: this job does it.
    #[serde(default)]
    pub job: Option<JobId>,
}

impl WriteOutcome {
    /// What a request that changes nothing comes to.
    pub fn nothing() -> Self {
        Self { operations: Vec::new(), refused: Vec::new(), change: None, changes: Vec::new(), job: None }
    }

    /// Of a request that a job carries out.
    pub fn of_job(job: JobId) -> Self {
        Self { job: Some(job), ..Self::nothing() }
    }
}

/// A request that changes something.
pub struct Accepted {
    pub entry: Entry,
    pub audit: Vec<AuditEntry>,
    pub outcome: WriteOutcome,
    /// Where the request may be repeated.
    pub step: Option<IdempotentStep>,
    /// How it becomes a job, should it be too much at once.
    pub large: Option<Large>,
    pub part: Option<PartRef>,
}

/// One request, decided.
pub enum Decision {
    /// Nothing changes: the answer is known.
    Answered(Result<WriteOutcome>),
    Accepted(Box<Accepted>),
}

/// What a decision is made with.
pub struct Deciding<'a> {
    pub row: &'a ZoneRow,
    pub content: &'a mut ZoneContent,
    pub ids: &'a mut IdBook,
    pub now: OffsetDateTime,
    /// Whether PowerDNS answers an ALIAS; asked only where one comes.
    pub expands_alias: bool,
    /// How many records the zone's tenant may have in it.
    pub record_limit: u32,
    /// Where a request must know its nameservers; read after the zone was.
    pub platform: Option<&'a PlatformSettings>,
    /// Of the zone as it was read; void once a request of the batch has changed something.
    pub version: Option<String>,
}

impl Deciding<'_> {
    /// Decides one request. Of one that only asks nothing stays.
    pub fn decide(&mut self, write: &ZoneWrite) -> Decision {
        if self.row.zone_type == ZoneType::Secondary {
            let message = "The records of a secondary domain come from its master";
            return Decision::Answered(Err(Error::conflict("domain_secondary", message)));
        }
        if let Err(busy) = parts::check_hold(self.row.held_by, &write.grouping) {
            return Decision::Answered(Err(busy));
        }
        let context = EditContext {
            default_ttl: self.row.default_ttl,
            signed: self.row.dnssec_enabled,
            pending: self.row.status == ZoneStatus::PendingValidation,
            expands_alias: self.expands_alias,
        };
        let Compiled { operations, steps, refused: absent } = match self.compile(write, &context) {
            Ok(compiled) => compiled,
            Err(error) => return Decision::Answered(Err(error)),
        };
        if let Some(expected) = &write.request.expected
            && !self.is_as_expected(expected, &operations)
        {
            return Decision::Answered(Err(Error::PreconditionFailed("The record")));
        }
        let records_before = self.content.record_count();
        let PartialOutcome { operations: outcomes, changes } = match write.grouping {
            Grouping::EachAlone(_) => self.content.apply_each(&operations, &context),
            Grouping::Part(_) => match self.content.apply_part(&operations, &context) {
                Ok(outcome) => outcome.into(),
                Err(refused) => {
                    return Decision::Answered(Err(self.refusal_of_group(write, &steps, refused, absent)));
                }
            },
            Grouping::Single | Grouping::Together(_) => match self.content.apply(&operations, &context) {
                Ok(outcome) if absent.is_empty() => outcome.into(),
                Ok(outcome) => {
                    self.content.undo(&outcome.changes);
                    return Decision::Answered(Err(self.refusal_of_group(write, &steps, Refused::new(), absent)));
                }
                Err(refused) => {
                    return Decision::Answered(Err(self.refusal_of_group(write, &steps, refused, absent)));
                }
            },
        };
        drop(operations);
        // a zone that has more already, since the bound was lowered, may be changed and shrink
        let is_counted = !matches!(write.grouping, Grouping::Part(_));
        if is_counted && self.content.record_count() > records_before.max(self.record_limit as usize) {
            self.content.undo(&changes);
            return Decision::Answered(self.refuse_more(write));
        }
        // of an import nobody asks for single records, of which there may be very many
        let is_counted_only = write.large.is_some() && (write.dry_run || is_large(&changes));
        let (mut done, mut refused) = (Vec::new(), Refused::new());
        for (index, (step, outcome)) in steps.iter().zip(outcomes).enumerate() {
            match outcome {
                Ok(outcome) => done.push((step, self.as_left(outcome))),
                Err(error) => drop(refused.insert(index, error)),
            }
        }
        if write.dry_run || changes.is_empty() {
            let operations = if is_counted_only { Vec::new() } else { self.views_of_asked(done) };
            self.content.undo(&changes);
            let refused = self.refusals(write, (&steps, refused), absent, &operations);
            let changes = if write.grouping == Grouping::Single { Vec::new() } else { changes };
            return Decision::Answered(Ok(WriteOutcome { operations, refused, change: None, changes, job: None }));
        }
        self.version = None;
        if is_counted_only {
            return Decision::Accepted(Box::new(for_a_job(write, changes)));
        }
        Decision::Accepted(Box::new(self.accept(write, done, (&steps, refused, absent), changes)))
    }

    /// There is no room for what the request adds. Where each operation stands alone, each is told so.
    fn refuse_more(&self, write: &ZoneWrite) -> Result<WriteOutcome> {
        let error = quotas::exceeded("max_records_per_domain", self.record_limit);
        if !matches!(write.grouping, Grouping::EachAlone(_)) {
            return Err(error);
        }
        let refused = (0..write.operations.len()).map(|index| Refusal { index, error: error.clone() }).collect();
        Ok(WriteOutcome { operations: Vec::new(), refused, change: None, changes: Vec::new(), job: None })
    }

    /// Whether the client last saw what it is about to change: the whole zone, or each RRset that it names.
    fn is_as_expected(&self, expected: &Expected, operations: &[Operation]) -> bool {
        let is_same = |operation: &Operation| {
            let key = operation.rrset_key();
            expected.is_rrset(&key, self.content.get(&key))
        };
        self.version.as_ref().is_some_and(|version| expected.is_zone(version)) || operations.iter().all(is_same)
    }

    fn accept(
        &mut self,
        write: &ZoneWrite,
        done: Vec<(&Step, OperationOutcome)>,
        (steps, refused, absent): (&[Step], Refused, Vec<Refusal>),
        changes: Vec<RrsetChange>,
    ) -> Accepted {
        let mut operations = Vec::with_capacity(done.len());
        for (step, OperationOutcome { before, after, warnings }) in done {
            let before = before.map(|state| self.view(state));
            let after = after.map(|state| self.view_after(step, before.as_ref(), state));
            if let (Some(gone), None) = (&before, &after) {
                self.ids.remove(gone.id);
            }
            operations.push(RecordOutcome { before, after, warnings });
        }
        let audit = audit_entries(self.row, self.now, write, &operations);
        let refused = self.refusals(write, (steps, refused), absent, &operations);
        self.ids.follow(&changes);
        let change = ChangeId::new();
        let part = if let Grouping::Part(part) = write.grouping { Some(part) } else { None };
        let is_told = part.is_none() && write.grouping != Grouping::Single;
        let told = if is_told { changes.clone() } else { Vec::new() };
        Accepted {
            entry: Entry { change, actor: write.actor.clone(), request: write.request.clone(), changes },
            audit,
            outcome: WriteOutcome { operations, refused, change: Some(change), changes: told, job: None },
            step: None,
            large: write.large.clone(),
            part,
        }
    }

    /// With the TTL as the whole group leaves it: a later operation may have given its RRset another one.
    fn as_left(&self, mut outcome: OperationOutcome) -> OperationOutcome {
        if let Some(after) = &mut outcome.after
            && let Some(rrset) = self.content.get(&after.reference.key)
        {
            after.ttl = rrset.ttl;
        }
        outcome
    }

    /// A request that is done as a whole or not at all. Of several failures none names its conflicts.
    fn refusal_of_group(&self, write: &ZoneWrite, steps: &[Step], refused: Refused, absent: Vec<Refusal>) -> Error {
        let mut refused = refused.into_iter();
        if write.grouping == Grouping::Single
            && let Some((_, error)) = refused.next()
        {
            return self.refusal(error, |record| self.visible_id(write, record));
        }
        let refused =
            refused.map(|(index, error)| Refusal { index: steps[index].source, error: self.refusal(error, |_| None) });
        let mut errors: Vec<Refusal> = refused.chain(absent).collect();
        errors.sort_by_key(|refusal| refusal.index);
        let mut at_fault: Vec<usize> = errors.iter().map(|refusal| refusal.index).collect();
        at_fault.dedup();
        let message = format!("{} of {} operations cannot be", at_fault.len(), write.operations.len());
        Error::Several { message, errors }
    }

    /// The id of a record, if the caller may know of it.
    fn visible_id(&self, write: &ZoneWrite, record: &RecordRef) -> Option<RecordId> {
        let RrsetKey { name, record_type } = &record.key;
        let reach = write.access.reach(Permission::RecordsRead);
        reach.covers(&self.row.name, name, record_type).then(|| self.ids.id_of(&record.digest()).0)
    }

    /// What was left out, with the records that stood in its way: some of them may have come with this request.
    fn refusals(
        &self,
        write: &ZoneWrite,
        (steps, refused): (&[Step], Refused),
        absent: Vec<Refusal>,
        done: &[RecordOutcome],
    ) -> Vec<Refusal> {
        if refused.is_empty() {
            return absent;
        }
        let made: HashMap<&RecordRef, RecordId> =
            done.iter().flat_map(|outcome| &outcome.after).map(|view| (&view.reference, view.id)).collect();
        let mut left = CONFLICTS_NAMED_MAX;
        let mut name = |record: &RecordRef| {
            left = left.checked_sub(1)?;
            made.get(record).copied().or_else(|| self.visible_id(write, record))
        };
        let mut all: Vec<Refusal> = refused
            .into_iter()
            .map(|(index, error)| Refusal { index: steps[index].source, error: self.refusal(error, &mut name) })
            .chain(absent)
            .collect();
        all.sort_by_key(|refusal| refusal.index);
        all
    }

    fn refusal(&self, error: OperationError, name: impl FnMut(&RecordRef) -> Option<RecordId>) -> Error {
        match error {
            OperationError::Invalid(FieldError { field, message }) => Error::invalid(field, message),
            OperationError::Conflict { message, field, conflicts } => Error::Conflict {
                message,
                code: "record_conflict",
                field: Some(field),
                conflicts: conflicts.iter().filter_map(name).collect(),
            },
            OperationError::NotFound => Error::NotFound("Record"),
        }
    }

    /// A record as it stands before the operation.
    fn view(&self, state: RecordState) -> RecordView {
        let RecordState { reference, ttl, disabled } = state;
        let (id, row) = self.ids.id_of(&reference.digest());
        let (created_at, updated_at) = times(row, self.row);
        RecordView { id, reference, ttl, disabled, created_at, updated_at }
    }

    /// A record as the operation leaves it: an added one gets an id, an edited one keeps its own.
    fn view_after(&mut self, step: &Step, before: Option<&RecordView>, state: RecordState) -> RecordView {
        let (own, created_at) = match before {
            Some(before) => (before.id, before.created_at),
            None => (RecordId::new(), self.now),
        };
        let RecordState { reference, ttl, disabled } = state;
        let row = self.ids.put(step.id.unwrap_or(own), reference.digest(), created_at, self.now);
        RecordView { id: row.id, reference, ttl, disabled, created_at: row.created_at, updated_at: row.updated_at }
    }

    /// Views for an answer of which nothing stays.
    fn views_of_asked(&self, done: Vec<(&Step, OperationOutcome)>) -> Vec<RecordOutcome> {
        done.into_iter()
            .map(|(_, OperationOutcome { before, after, warnings })| {
                let before = before.map(|state| self.view(state));
                let after = after.map(|state| {
                    let mut view = self.view(state);
                    match &before {
                        None => {
                            view.id = RecordId::new();
                            (view.created_at, view.updated_at) = (self.now, self.now);
                        }
                        Some(before) => {
                            view.id = before.id;
                            (view.created_at, view.updated_at) = (before.created_at, before.updated_at);
                        }
                    }
                    view
                });
                RecordOutcome { before, after, warnings }
            })
            .collect()
    }
}

/// What a job is made of: ids and entries come with its parts.
fn for_a_job(write: &ZoneWrite, changes: Vec<RrsetChange>) -> Accepted {
    let change = ChangeId::new();
    Accepted {
        entry: Entry { change, actor: write.actor.clone(), request: write.request.clone(), changes },
        audit: Vec::new(),
        outcome: WriteOutcome { change: Some(change), ..WriteOutcome::nothing() },
        step: None,
        large: write.large.clone(),
        part: None,
    }
}

/// When a record came to be and was last edited; one that others wrote is as old as its zone.
pub fn times(row: Option<&RecordIdRow>, zone: &ZoneRow) -> (OffsetDateTime, OffsetDateTime) {
    row.map_or((zone.created_at, zone.created_at), |row| (row.created_at, row.updated_at))
}

/// The net effect of a batch: one change an RRset, from before the first request to after the last.
pub fn net(entries: &[Entry]) -> Vec<RrsetChange> {
    let mut by_key = std::collections::BTreeMap::new();
    for RrsetChange { key, before, after } in entries.iter().flat_map(|entry| &entry.changes) {
        let slot = by_key.entry(key.clone()).or_insert_with(|| (before.clone(), None));
        slot.1 = after.clone();
    }
    by_key
        .into_iter()
        .filter(|(_, (before, after))| before != after)
        .map(|(key, (before, after))| RrsetChange { key, before, after })
        .collect()
}
