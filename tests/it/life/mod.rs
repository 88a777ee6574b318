//! A domain's whole life: withdrawn, deleted, restored, purged, made room for another.

mod delegation;
mod room;
mod sequences;
mod withdrawal;

use crate::support::Trials;

pub fn tests() -> Trials {
    [withdrawal::tests(), room::tests(), delegation::tests(), sequences::tests()].into_iter().flatten().collect()
}
