//! Deciding a batch, purely: each request against the state that the ones before it leave, all or nothing by request.

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::dns::{
    EditContext, FieldError, GroupOutcome, Operation, OperationError, OperationOutcome, RecordRef, RecordState,
    RecordType, RrsetChange, Warning, ZoneContent,
};
use crate::ids::{ChangeId, RecordId};
use crate::storage::audit::AuditEntry;
use crate::storage::record_ids::RecordIdRow;
use crate::storage::zones::ZoneRow;
use crate::tenancy::ZoneStatus;

use super::super::audit::{self, Resource};
use super::super::context::{ActorRecord, RequestInfo};
use super::super::{Error, Result};
use super::ids::IdBook;
use super::payload::Entry;

/// One operation on a record, as a door of the product asks for it.
#[derive(Clone, Debug)]
pub enum RecordOperation {
    Add { name: crate::dns::OwnerName, record_type: RecordType, content: String, ttl: Option<u32>, disabled: bool },
    Update { id: RecordId, content: Option<String>, ttl: Option<u32>, disabled: Option<bool> },
    Delete { id: RecordId },
}

/// A record with its id and times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordView {
    pub id: RecordId,
    pub reference: RecordRef,
    pub ttl: u32,
    pub disabled: bool,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// What became of one operation.
#[derive(Clone, Debug)]
pub struct RecordOutcome {
    pub before: Option<RecordView>,
    pub after: Option<RecordView>,
    pub warnings: Vec<Warning>,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct WriteOutcome {
    pub operations: Vec<RecordOutcome>,
    /// None: nothing changed, or only asked.
    pub change: Option<ChangeId>,
}

/// A request that changes something.
pub struct Accepted {
    pub entry: Entry,
    pub audit: Vec<AuditEntry>,
    pub outcome: WriteOutcome,
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
}

impl Deciding<'_> {
    /// Decides one request. `only_asked`: nothing of it stays.
    pub fn decide(
        &mut self,
        actor: &ActorRecord,
        request: &RequestInfo,
        operations: &[RecordOperation],
        only_asked: bool,
    ) -> Decision {
        let compiled: Result<Vec<Operation>> = operations.iter().map(|operation| self.compile(operation)).collect();
        let compiled = match compiled {
            Ok(compiled) => compiled,
            Err(error) => return Decision::Answered(Err(error)),
        };
        let context = EditContext {
            default_ttl: self.row.default_ttl,
            signed: self.row.dnssec_enabled,
            pending: self.row.status == ZoneStatus::PendingValidation,
        };
        let GroupOutcome { operations: outcomes, changes } = match self.content.apply(&compiled, &context) {
            Ok(outcome) => outcome,
            Err(refused) => {
                let first = refused.into_values().next().unwrap_or(OperationError::NotFound);
                return Decision::Answered(Err(self.refusal(first)));
            }
        };
        if only_asked || changes.is_empty() {
            let outcomes = self.views_of_asked(operations, outcomes);
            self.content.undo(&changes);
            return Decision::Answered(Ok(WriteOutcome { operations: outcomes, change: None }));
        }
        Decision::Accepted(Box::new(self.accept(actor, request, operations, outcomes, changes)))
    }

    fn accept(
        &mut self,
        actor: &ActorRecord,
        request: &RequestInfo,
        operations: &[RecordOperation],
        outcomes: Vec<OperationOutcome>,
        changes: Vec<RrsetChange>,
    ) -> Accepted {
        let mut audit = Vec::new();
        let mut views = Vec::new();
        for (operation, outcome) in operations.iter().zip(outcomes) {
            let OperationOutcome { before, after, warnings } = outcome;
            let before = before.map(|state| self.view(state));
            let after = after.map(|state| self.view_after(operation, before.as_ref(), state));
            if let (Some(gone), None) = (&before, &after) {
                self.ids.remove(gone.id);
            }
            if before != after {
                audit.push(self.audit_entry(actor, request, before.as_ref(), after.as_ref()));
            }
            views.push(RecordOutcome { before, after, warnings });
        }
        self.ids.follow(&changes);
        let change = ChangeId::new();
        Accepted {
            entry: Entry { change, actor: actor.clone(), request: request.clone(), changes },
            audit,
            outcome: WriteOutcome { operations: views, change: Some(change) },
        }
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

    fn refusal(&self, error: OperationError) -> Error {
        match error {
            OperationError::Invalid(FieldError { field, message }) => Error::invalid(field, message),
            OperationError::Conflict { message, field, conflicts } => Error::Conflict {
                message,
                code: "record_conflict",
                field: Some(field),
                conflicts: conflicts.iter().map(|record| self.ids.id_of(&record.digest()).0).collect(),
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
    fn views_of_asked(&self, operations: &[RecordOperation], outcomes: Vec<OperationOutcome>) -> Vec<RecordOutcome> {
        let pairs = operations.iter().zip(outcomes);
        pairs
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

    fn audit_entry(
        &self,
        actor: &ActorRecord,
        request: &RequestInfo,
        before: Option<&RecordView>,
        after: Option<&RecordView>,
    ) -> AuditEntry {
        let (action, view) = match (before, after) {
            (None, view) => ("record.create", view),
            (view, None) => ("record.delete", view),
            (Some(_), view) => ("record.update", view),
        };
        let name = view.map(|view| {
            let key = &view.reference.key;
            format!("{} {}", key.name.as_str(), key.record_type.as_str())
        });
        let resource = Resource { resource_type: "record", id: view.map(|view| view.id.to_string()), name };
        let values = (record_value(before), record_value(after));
        audit::entry(actor, request, Some(self.row.tenant), action, resource, values, self.now)
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
