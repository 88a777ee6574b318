//! DNSSEC of a zone: keys, DS records, and the machine that takes a zone from unsigned to signed, through its
//! rollovers, and back, without a resolver ever finding a broken chain (RFC 6781, 7583, 7344, 8078, 9276).
//!
//! Pure: the time is an argument, what PowerDNS has and what the parent shows are arguments, what is to be done comes
//! out as values. What never lives here: calls to PowerDNS, look-ups, the database, tenants.
//!
//! - [`words`] has the words; [`Signing`] is the state that is kept of a zone ([`state`]).
//! - [`machine`] has the diagram, and [`Signing::next`], which says what is due; [`waits`] says how long a step waits.
//! - [`alarms`] says what is wrong.
//! - [`plan`] compares the keys that a state wants with those that PowerDNS has, and gives the calls in a safe order.
//! - [`parent`] judges what the parent's servers show.
//! - `tests/` holds the worst-case cache oracle, which tries the machine against every overlap of caches.

pub mod alarms;
mod algorithm;
mod key;
pub mod machine;
pub mod parent;
pub mod plan;
mod records;
pub mod state;
#[cfg(test)]
mod tests;
pub mod waits;
pub mod words;

pub use algorithm::Algorithm;
pub use key::{DigestType, Dnskey, Ds, KeyError};
pub use machine::Next;
pub use parent::{Alarm, Look, Parent, ServerLook};
pub use records::{Action, DsRecord};
pub use state::{Key, Signing};
pub use words::{Age, Confirmed, Denial, Phase, Policy, Refused, Role, Status, Trouble, Ttls};
