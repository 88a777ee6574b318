//! Who may do what: one pure decision. No I/O, no clock; everything a decision needs is in the [`Caller`].
//!
//! *Architecture invariant:* the proofs made here ([`TenantAccess`], [`ZoneAccess`], [`Visibility`]) have private
//! fields and no other constructor than the decision. Storage that touches a tenant's data takes such a proof, so a
//! handler that skips the decision does not compile.

mod caller;
mod decide;
mod decisions;
mod permission;
mod record_scope;
mod role;
#[cfg(test)]
mod tests;

pub use caller::{Actor, Assignment, AssignmentScope, Caller};
pub use decide::{Denied, Target, TenantAccess, Visibility, ZoneAccess, ZoneRef, decide, decide_tenant, decide_zone};
pub use decisions::{Decision, Decisions, decide_again};
pub use permission::{Permission, PermissionSet, UnknownPermission};
pub use record_scope::{BadPattern, NAME_PATTERN_MAX, NamePattern, Names, RecordReach, RecordScope};
pub use role::{CustomRole, Role, SystemRole};
