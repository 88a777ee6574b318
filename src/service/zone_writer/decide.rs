//! Deciding a batch, purely: each request against the state that the ones before it leave, as one change or none.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::authz::{Denied, Permission, RecordReach, ZoneAccess};
use crate::dns::{
    EditContext, FieldError, Operation, OperationError, OperationOutcome, PartialOutcome, RecordRef, RecordState,
    RecordType, Refused, RrsetChange, RrsetKey, Warning, ZoneContent,
};
use crate::ids::{ChangeId, RecordId};
use crate::storage::audit::AuditEntry;
use crate::storage::idempotency::Step;
use crate::storage::record_ids::RecordIdRow;
use crate::storage::zones::ZoneRow;
use crate::tenancy::ZoneStatus;

use super::super::audit::{self, Resource};
use super::super::entity_tag::Expected;
use super::super::zones::zone_resource;
use super::super::{Error, Refusal, Result};
use super::ZoneWrite;
use super::ids::IdBook;
use super::payload::Entry;
use super::steps::refusals;

/// Records that the refusals of one request name as their conflicts, in all; a delegation alone may hide a hundred.
const CONFLICTS_NAMED_MAX: usize = 1_000;

/// One operation on a record, as a door of the product asks for it.
#[derive(Clone, Debug)]
pub enum RecordOperation {
    Add { name: crate::dns::OwnerName, record_type: RecordType, content: String, ttl: Option<u32>, disabled: bool },
    Update { id: RecordId, content: Option<String>, ttl: Option<u32>, disabled: Option<bool> },
    Delete { id: RecordId },
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
}

/// A request that changes something.
pub struct Accepted {
    pub entry: Entry,
    pub audit: Vec<AuditEntry>,
    pub outcome: WriteOutcome,
    /// Where the request may be repeated.
    pub step: Option<Step>,
}

/// One request, decided.
pub enum Decision {
    /// Nothing changes: the answer is known.
    Answered(Result<WriteOutcome>),
    Accepted(Box<Accepted>),
}

/// A request's operations in the terms of the zone.
struct Compiled {
    /// The positions of `operations` in the request.
    allowed: Vec<usize>,
    operations: Vec<Operation>,
    /// Those beyond the caller's rights.
    outside: Vec<Refusal>,
}

/// What a decision is made with.
pub struct Deciding<'a> {
    pub row: &'a ZoneRow,
    pub content: &'a mut ZoneContent,
    pub ids: &'a mut IdBook,
    pub now: OffsetDateTime,
    /// Whether PowerDNS answers an ALIAS; asked only where one comes.
    pub expands_alias: bool,
    /// Of the zone as it was read; void once a request of the batch has changed something.
    pub version: Option<String>,
}

impl Deciding<'_> {
    /// Decides one request. Of one that only asks nothing stays.
    pub fn decide(&mut self, write: &ZoneWrite) -> Decision {
        let Compiled { allowed, operations: compiled, outside } = match self.compile_allowed(write) {
            Ok(compiled) => compiled,
            Err(error) => return Decision::Answered(Err(error)),
        };
        if let Some(expected) = &write.request.expected
            && !self.is_as_expected(expected, &compiled)
        {
            return Decision::Answered(Err(Error::PreconditionFailed("The record")));
        }
        let context = EditContext {
            default_ttl: self.row.default_ttl,
            signed: self.row.dnssec_enabled,
            pending: self.row.status == ZoneStatus::PendingValidation,
            expands_alias: self.expands_alias,
        };
        let PartialOutcome { operations: outcomes, changes } = match write.grouping {
            Grouping::EachAlone(_) => self.content.apply_each(&compiled, &context),
            Grouping::Single | Grouping::Together(_) => match self.content.apply(&compiled, &context) {
                Ok(outcome) => outcome.into(),
                Err(refused) => return Decision::Answered(Err(self.refusal_of_group(write, refused))),
            },
        };
        let (mut done, mut refused) = (Vec::new(), Refused::new());
        for (index, outcome) in allowed.into_iter().zip(outcomes) {
            match outcome {
                Ok(outcome) => done.push((&write.operations[index], self.as_left(outcome))),
                Err(error) => drop(refused.insert(index, error)),
            }
        }
        if write.dry_run || changes.is_empty() {
            let operations = self.views_of_asked(done);
            self.content.undo(&changes);
            let refused = self.refusals(write, refused, outside, &operations);
            return Decision::Answered(Ok(WriteOutcome { operations, refused, change: None }));
        }
        self.version = None;
        Decision::Accepted(Box::new(self.accept(write, done, (refused, outside), changes)))
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
        done: Vec<(&RecordOperation, OperationOutcome)>,
        (refused, outside): (Refused, Vec<Refusal>),
        changes: Vec<RrsetChange>,
    ) -> Accepted {
        let mut operations = Vec::with_capacity(done.len());
        for (operation, OperationOutcome { before, after, warnings }) in done {
            let before = before.map(|state| self.view(state));
            let after = after.map(|state| self.view_after(operation, before.as_ref(), state));
            if let (Some(gone), None) = (&before, &after) {
                self.ids.remove(gone.id);
            }
            operations.push(RecordOutcome { before, after, warnings });
        }
        let audit = self.audit_entries(write, &operations);
        let refused = self.refusals(write, refused, outside, &operations);
        self.ids.follow(&changes);
        let change = ChangeId::new();
        Accepted {
            entry: Entry { change, actor: write.actor.clone(), request: write.request.clone(), changes },
            audit,
            outcome: WriteOutcome { operations, refused, change: Some(change) },
            step: None,
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

    /// The operations that the caller's rights over records allow. One that they do not is refused, and the request
    /// with it unless each stands alone.
    fn compile_allowed(&self, write: &ZoneWrite) -> Result<Compiled> {
        let mut compiled = Compiled { allowed: Vec::new(), operations: Vec::new(), outside: Vec::new() };
        for (index, operation) in write.operations.iter().enumerate() {
            match self.compile(operation).and_then(|compiled| self.allow(&write.access, compiled)) {
                Ok(operation) => {
                    compiled.allowed.push(index);
                    compiled.operations.push(operation);
                }
                Err(error @ (Error::OutOfScope { .. } | Error::Forbidden { .. }))
                    if matches!(write.grouping, Grouping::EachAlone(_)) =>
                {
                    compiled.outside.push(Refusal { index, error });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(compiled)
    }

    /// Each operation needs its own permission over the record that it is about. A record that the caller may not see
    /// does not exist for it.
    fn allow(&self, access: &ZoneAccess, operation: Operation) -> Result<Operation> {
        let (permission, key) = match &operation {
            Operation::Add { name, record_type, .. } => {
                (Permission::RecordsCreate, RrsetKey { name: name.clone(), record_type: record_type.clone() })
            }
            Operation::Update { target, .. } => (Permission::RecordsUpdate, target.key.clone()),
            Operation::Delete { target } => (Permission::RecordsDelete, target.key.clone()),
        };
        let zone = &self.row.name;
        let reach = access.reach(permission);
        if reach.covers(zone, &key.name, &key.record_type) {
            return Ok(operation);
        }
        let is_new = matches!(operation, Operation::Add { .. });
        if !is_new && !access.reach(Permission::RecordsRead).covers(zone, &key.name, &key.record_type) {
            return Err(Error::NotFound("Record"));
        }
        if *reach == RecordReach::Nothing {
            return Err(Denied::Missing(permission).into());
        }
        let field = if reach.covers_name(zone, &key.name) { "type" } else { "name" };
        let (name, record_type) = (key.name.display_name(zone), &key.record_type);
        let message = format!("Your access to this domain does not cover {name} {record_type}");
        Err(Error::OutOfScope { message, field })
    }

    fn compile(&self, operation: &RecordOperation) -> Result<Operation> {
        let target = |id: &RecordId| self.ids.resolve(*id, self.content).ok_or(Error::NotFound("Record"));
        Ok(match operation {
            RecordOperation::Add { name, record_type, content, ttl, disabled } => Operation::Add {
                name: name.clone(),
                record_type: record_type.clone(),
                content: content.clone(),
                ttl: *ttl,
                disabled: *disabled,
            },
            RecordOperation::Update { id, content, ttl, disabled } => {
                Operation::Update { target: target(id)?, content: content.clone(), ttl: *ttl, disabled: *disabled }
            }
            RecordOperation::Delete { id } => Operation::Delete { target: target(id)? },
        })
    }

    /// A request that is done as a whole or not at all. Of several failures none names its conflicts.
    fn refusal_of_group(&self, write: &ZoneWrite, refused: Refused) -> Error {
        let message = format!("{} of {} operations cannot be", refused.len(), write.operations.len());
        let mut refused = refused.into_iter();
        if write.grouping == Grouping::Single
            && let Some((_, error)) = refused.next()
        {
            return self.refusal(error, |record| self.visible_id(write, record));
        }
        let errors = refused.map(|(index, error)| Refusal { index, error: self.refusal(error, |_| None) });
        Error::Several { message, errors: errors.collect() }
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
        refused: Refused,
        outside: Vec<Refusal>,
        done: &[RecordOutcome],
    ) -> Vec<Refusal> {
        if refused.is_empty() {
            return outside;
        }
        let made: HashMap<&RecordRef, RecordId> =
            done.iter().flat_map(|outcome| &outcome.after).map(|view| (&view.reference, view.id)).collect();
        let mut left = CONFLICTS_NAMED_MAX;
        let mut name = |record: &RecordRef| {
            left = left.checked_sub(1)?;
            made.get(record).copied().or_else(|| self.visible_id(write, record))
        };
        let refused =
            refused.into_iter().map(|(index, error)| Refusal { index, error: self.refusal(error, &mut name) });
        let mut all: Vec<Refusal> = outside.into_iter().chain(refused).collect();
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
    fn view_after(
        &mut self,
        operation: &RecordOperation,
        before: Option<&RecordView>,
        state: RecordState,
    ) -> RecordView {
        let (id, created_at) = match before {
            Some(before) => (before.id, before.created_at),
            None => (RecordId::new(), self.now),
        };
        let id = match operation {
            RecordOperation::Update { id, .. } => *id,
            RecordOperation::Add { .. } | RecordOperation::Delete { .. } => id,
        };
        let RecordState { reference, ttl, disabled } = state;
        let row = self.ids.put(id, reference.digest(), created_at, self.now);
        RecordView { id, reference, ttl, disabled, created_at: row.created_at, updated_at: row.updated_at }
    }

    /// Views for an answer of which nothing stays.
    fn views_of_asked(&self, done: Vec<(&RecordOperation, OperationOutcome)>) -> Vec<RecordOutcome> {
        done.into_iter()
            .map(|(operation, OperationOutcome { before, after, warnings })| {
                let before = before.map(|state| self.view(state));
                let after = after.map(|state| {
                    let mut view = self.view(state);
                    match (operation, &before) {
                        (RecordOperation::Add { .. }, _) => {
                            view.id = RecordId::new();
                            (view.created_at, view.updated_at) = (self.now, self.now);
                        }
                        (_, Some(before)) => {
                            view.id = before.id;
                            (view.created_at, view.updated_at) = (before.created_at, before.updated_at);
                        }
                        (_, None) => {}
                    }
                    view
                });
                RecordOutcome { before, after, warnings }
            })
            .collect()
    }

    /// One for each record that is no longer as it was, or one for all of them.
    fn audit_entries(&self, write: &ZoneWrite, operations: &[RecordOutcome]) -> Vec<AuditEntry> {
        let changed = operations.iter().filter(|outcome| outcome.before != outcome.after);
        match write.grouping {
            Grouping::Single => changed.map(|outcome| self.record_entry(write, outcome)).collect(),
            Grouping::Together(action) | Grouping::EachAlone(action) => {
                let (before, after): (Vec<_>, Vec<_>) =
                    changed.map(|outcome| (outcome.before.as_ref(), outcome.after.as_ref())).unzip();
                let values = (record_values(&before), record_values(&after));
                vec![self.entry(write, action, zone_resource(self.row.id, &self.row.name), values)]
            }
        }
    }

    fn record_entry(&self, write: &ZoneWrite, outcome: &RecordOutcome) -> AuditEntry {
        let (action, view) = match (outcome.before.as_ref(), outcome.after.as_ref()) {
            (None, view) => ("record.create", view),
            (view, None) => ("record.delete", view),
            (Some(_), view) => ("record.update", view),
        };
        let name = view.map(|view| {
            let key = &view.reference.key;
            format!("{} {}", key.name.as_str(), key.record_type.as_str())
        });
        let resource = Resource { resource_type: "record", id: view.map(|view| view.id.to_string()), name };
        let values = (record_value(outcome.before.as_ref()), record_value(outcome.after.as_ref()));
        self.entry(write, action, resource, values)
    }

    fn entry(&self, write: &ZoneWrite, action: &str, resource: Resource, values: (Value, Value)) -> AuditEntry {
        audit::entry(&write.actor, &write.request, Some(self.row.tenant), action, resource, values, self.now)
    }
}

/// When a record came to be and was last edited; one that others wrote is as old as its zone.
pub fn times(row: Option<&RecordIdRow>, zone: &ZoneRow) -> (OffsetDateTime, OffsetDateTime) {
    row.map_or((zone.created_at, zone.created_at), |row| (row.created_at, row.updated_at))
}

fn record_value(view: Option<&RecordView>) -> Value {
    view.map_or(Value::Null, |view| {
        let RecordView { id: _, reference: RecordRef { key, content }, ttl, disabled, .. } = view;
        json!({
            "name": key.name.as_str(),
            "type": key.record_type.as_str(),
            "content": content,
            "ttl": ttl,
            "disabled": disabled,
        })
    })
}

/// Records with their ids, since the entry that has them is about the zone; null where there are none.
fn record_values(views: &[Option<&RecordView>]) -> Value {
    let values: Vec<Value> = views
        .iter()
        .flatten()
        .map(|view| {
            let mut value = record_value(Some(view));
            value["id"] = json!(view.id);
            value
        })
        .collect();
    if values.is_empty() { Value::Null } else { Value::Array(values) }
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
