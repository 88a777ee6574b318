//! Who goes first where only so many can go at once: connections of the database, calls of PowerDNS, batches.
//!
//! [`places`] hands out places, the next one always to whoever holds the fewest; [`at_work`] knows for which tenant a
//! task works, and whether it holds a place at the moment. What a place is for is not known here.

mod at_work;
mod places;

pub use at_work::{aside, enter, hand_over, leave, party, scope, scope_for};
pub use places::{Busy, Party, Place, Places};
