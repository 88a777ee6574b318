//! A domain's whole life: withdrawn, deleted, restored, purged, made room for another.

mod withdrawal;

use crate::support::Trials;

pub fn tests() -> Trials {
    withdrawal::tests()
}
