//! Editing a zone: a group of operations is applied as one or not at all, or all of them that can be.
//!
//! Each operation is checked by itself (its name, type, content, TTL, duplicates) in order; what must hold between
//! RRsets is checked once, on the state after the whole group, so that the order of operations does not matter there.
//! The work is in proportion to the neighbourhood that is touched, but for one pass over the zone when a CNAME comes.
//! Only where a group breaks what must hold between RRsets are its operations tried one after the other, to say which
//! of them it is.

mod cuts;
mod neighbours;
mod plan;
mod rules;
mod session;

use std::collections::BTreeMap;

use super::error::{FieldError, Warning};
use super::owner_name::OwnerName;
use super::record_type::RecordType;
use super::rrset::{RecordRef, RrsetChange, RrsetKey};
use super::zone_content::ZoneContent;
use neighbours::NamedHosts;
pub use plan::{RrsetEdit, RrsetHow, RrsetValue};
use session::Session;

/// What the API says of every clash with what stands in the zone.
pub const CONFLICT_MESSAGE: &str = "Record conflicts with existing entries";

/// The largest TTL (RFC 2181 section 8).
pub const TTL_MAX: u32 = i32::MAX as u32;

/// What the rules must know about the zone beyond its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EditContext {
    /// The TTL of an RRset that comes without one.
    pub default_ttl: u32,
    /// Whether the zone is signed.
    pub signed: bool,
    /// The zone is not live yet: the platform's SOA and apex NS come when it goes live.
    pub pending: bool,
    /// The server answers an ALIAS with the addresses of its target.
    pub expands_alias: bool,
}

/// One operation on one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A new record; the content as the caller wrote it.
    Add { name: OwnerName, record_type: RecordType, content: String, ttl: Option<u32>, disabled: bool },
    /// Changes of a record that stands there; what is absent stays. An SOA is meant whatever the target's content.
    Update { target: RecordRef, content: Option<String>, ttl: Option<u32>, disabled: Option<bool> },
    /// Another TTL for the whole RRset of a record that stands there, meant as such: its siblings need no remark.
    SetTtl { target: RecordRef, ttl: u32 },
    /// Another primary name server in the SOA, which no caller changes. With a dot at its end.
    SetPrimary { target: RecordRef, primary: String },
    /// A record that goes.
    Delete { target: RecordRef },
}

impl Operation {
    /// The RRset that it names.
    pub fn rrset_key(&self) -> RrsetKey {
        match self {
            Self::Add { name, record_type, .. } => RrsetKey { name: name.clone(), record_type: record_type.clone() },
            Self::Update { target, .. }
            | Self::SetTtl { target, .. }
            | Self::SetPrimary { target, .. }
            | Self::Delete { target } => target.key.clone(),
        }
    }
}

/// A record as it stood or stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordState {
    pub reference: RecordRef,
    pub ttl: u32,
    pub disabled: bool,
}

/// What one operation did. Equal sides mean that it changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationOutcome {
    pub before: Option<RecordState>,
    pub after: Option<RecordState>,
    pub warnings: Vec<Warning>,
}

/// What a group did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOutcome {
    /// One for each operation, in their order.
    pub operations: Vec<OperationOutcome>,
    /// The net effect: one for each RRset that is not as it was, sorted.
    pub changes: Vec<RrsetChange>,
}

/// What a group did that leaves out what cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialOutcome {
    /// One for each operation, in their order.
    pub operations: Vec<Result<OperationOutcome, OperationError>>,
    /// The net effect: one for each RRset that is not as it was, sorted.
    pub changes: Vec<RrsetChange>,
}

impl From<GroupOutcome> for PartialOutcome {
    fn from(outcome: GroupOutcome) -> Self {
        let GroupOutcome { operations, changes } = outcome;
        Self { operations: operations.into_iter().map(Ok).collect(), changes }
    }
}

/// The operations of a group that cannot be, by their position.
pub type Refused = BTreeMap<usize, OperationError>;

/// How often the operations are tried one after the other: what one needs may come behind it.
const ROUNDS_MAX: usize = 3;

/// Why an operation cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// Bad in itself, or in this zone: 400.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// Clashes with records that stand there: 409. At most a hundred of them are named.
    #[error("{message}")]
    Conflict { message: String, field: &'static str, conflicts: Vec<RecordRef> },
    /// There is no such record: 404.
    #[error("record not found")]
    NotFound,
}

impl ZoneContent {
    /// Applies all operations or none.
    ///
    /// # Errors
    /// Every operation that cannot be, never none; the content is then as before. They are those that
    /// [`Self::apply_each`] would leave out.
    pub fn apply(&mut self, operations: &[Operation], context: &EditContext) -> Result<GroupOutcome, Refused> {
        match self.attempt(operations, Refused::new(), context) {
            Ok((outcomes, changes, refused)) if refused.is_empty() => {
                Ok(GroupOutcome { operations: outcomes.into_iter().flatten().collect(), changes })
            }
            Ok((_, changes, refused)) => {
                self.undo(&changes);
                Err(refused)
            }
            Err(refused) if operations.len() == 1 => Err(refused),
            Err(refused) => {
                let mut scratch = self.clone();
                let (_, _, refused) = scratch.apply_but(refused, operations, context);
                Err(refused)
            }
        }
    }

    /// Applies a part of a whole that was checked as one group before: each operation is checked by itself, and what must
    /// hold between RRsets need hold again only when all parts are in.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn apply_part(&mut self, operations: &[Operation], context: &EditContext) -> Result<GroupOutcome, Refused> {
        let mut session = Session::new(self, *context);
        let mut refused = Refused::new();
        let mut outcomes = session.take(operations, &mut refused);
        if !refused.is_empty() {
            session.roll_back();
            return Err(refused);
        }
        let changes = session.finish(&mut outcomes);
        Ok(GroupOutcome { operations: outcomes.into_iter().flatten().collect(), changes })
    }

    /// Applies the operations that can be. Where two exclude each other, the earlier one stays.
    ///
    /// What is left in is a group like any other: the same as if the rest had never been asked for. That is what the
    /// operations do one after the other, but for one that needs a later one, as glue does its NS and a wildcard alias
    /// its target: it is left in where the group as a whole can be, and mostly where not.
    pub fn apply_each(&mut self, operations: &[Operation], context: &EditContext) -> PartialOutcome {
        let (outcomes, changes, mut refused) = match self.attempt(operations, Refused::new(), context) {
            Ok(done) => done,
            Err(refused) => self.apply_but(refused, operations, context),
        };
        let operations = outcomes.into_iter().enumerate().map(|(index, outcome)| match outcome {
            Some(outcome) => Ok(outcome),
            None => Err(refused.remove(&index).unwrap_or(OperationError::NotFound)),
        });
        PartialOutcome { operations: operations.collect(), changes }
    }

    /// The group without those that are refused already or at fault by themselves.
    ///
    /// # Errors
    /// What remains breaks what must hold between RRsets: the one to blame is added. The content is as before.
    fn attempt(
        &mut self,
        operations: &[Operation],
        mut refused: Refused,
        context: &EditContext,
    ) -> Result<Attempt, Refused> {
        let mut session = Session::new(self, *context);
        let mut outcomes = session.take(operations, &mut refused);
        if let Err((index, error)) = session.check_all() {
            session.roll_back();
            refused.insert(index, error);
            return Err(refused);
        }
        let changes = session.finish(&mut outcomes);
        Ok((outcomes, changes, refused))
    }

    /// After a failed attempt: finds out who is to blame, and applies the rest.
    fn apply_but(&mut self, blamed: Refused, operations: &[Operation], context: &EditContext) -> Attempt {
        let mut refused = self.refused_one_by_one(operations, context);
        if refused.is_empty() {
            refused = blamed;
        }
        loop {
            // accepted one after the other, they are accepted together: a repetition is not to be expected, and ends
            match self.attempt(operations, refused, context) {
                Ok(done) => return done,
                Err(more) => refused = more,
            }
        }
    }

    /// Who is refused when the operations come one after the other; they are tried again while that helps.
    fn refused_one_by_one(&self, operations: &[Operation], context: &EditContext) -> Refused {
        let mut content = self.clone();
        let mut hosts = NamedHosts::of(self);
        let mut refused = Refused::new();
        let mut open: Vec<usize> = (0..operations.len()).collect();
        for _ in 0..ROUNDS_MAX {
            let tried = open.len();
            open.retain(|index| {
                refused.remove(index);
                let mut session = Session::new(&mut content, *context);
                let Some(outcome) = session.take_one(*index, &operations[*index], &mut refused) else { return false };
                if let Err((_, error)) = session.check(&hosts) {
                    session.roll_back();
                    refused.insert(*index, error);
                    return true;
                }
                outcome.after.iter().filter(|state| !state.disabled).for_each(|state| hosts.add(&state.reference));
                false
            });
            if open.is_empty() || open.len() == tried {
                break;
            }
        }
        refused
    }

    /// Puts back what stood there before the changes.
    pub fn undo(&mut self, changes: &[RrsetChange]) {
        for change in changes {
            self.set(change.key.clone(), change.before.clone());
        }
    }
}

/// What each operation did, the net effect, and who was refused.
type Attempt = (Vec<Option<OperationOutcome>>, Vec<RrsetChange>, Refused);

#[cfg(test)]
mod tests;
