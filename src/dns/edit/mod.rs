//! Editing a zone: a group of operations is applied as one, or not at all.
//!
//! Each operation is checked by itself (its name, type, content, TTL, duplicates) in order; what must hold between
//! RRsets is checked once, on the state after the whole group, so that the order of operations does not matter there.
//! The work is in proportion to the neighbourhood that is touched, but for one pass over the zone when a CNAME comes.

mod cuts;
mod rules;
mod session;

use super::error::{FieldError, Warning};
use super::owner_name::OwnerName;
use super::record_type::RecordType;
use super::rrset::{RecordRef, RrsetChange};
use super::zone_content::ZoneContent;
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
}

/// One operation on one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A new record; the content as the caller wrote it.
    Add { name: OwnerName, record_type: RecordType, content: String, ttl: Option<u32>, disabled: bool },
    /// Changes of a record that stands there; what is absent stays. An SOA is meant whatever the target's content.
    Update { target: RecordRef, content: Option<String>, ttl: Option<u32>, disabled: Option<bool> },
    /// A record that goes.
    Delete { target: RecordRef },
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
    /// The position of an operation that cannot be, and why; the content is then as before. Where two operations of
    /// the group exclude each other, it is the later one.
    pub fn apply(
        &mut self,
        operations: &[Operation],
        context: &EditContext,
    ) -> Result<GroupOutcome, (usize, OperationError)> {
        let mut session = Session::new(self, *context);
        let outcome = session.run(operations);
        if outcome.is_err() {
            session.roll_back();
        }
        outcome
    }

    /// Puts back what stood there before the changes.
    pub fn undo(&mut self, changes: &[RrsetChange]) {
        for change in changes {
            self.set(change.key.clone(), change.before.clone());
        }
    }
}

#[cfg(test)]
mod tests;
