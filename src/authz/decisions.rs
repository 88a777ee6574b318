//! What was allowed in the course of a request, so that its answer can be given again to somebody who may still have it.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::ids::TenantId;

use super::caller::Caller;
use super::decide::{Denied, Target, ZoneRef, decide, decide_zone};
use super::permission::Permission;

/// Decisions that one request notes; a request about many things asks the same of each of them.
const NOTED_MAX: usize = 100;

/// A permission that was wanted and held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    permission: Permission,
    target: NotedTarget,
}

/// What it was wanted for, without what it looked like then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NotedTarget {
    Platform,
    Tenant(TenantId),
    /// The whole zone.
    Zone(ZoneRef),
    /// The zone, or some of its records.
    Within(ZoneRef),
}

impl From<Target<'_>> for NotedTarget {
    fn from(target: Target<'_>) -> Self {
        match target {
            Target::Platform => Self::Platform,
            Target::Tenant(tenant) => Self::Tenant(tenant),
            Target::Zone(zone) => Self::Zone(zone),
            Target::Records(zone, _) => Self::Within(zone),
        }
    }
}

/// Noted by the decision itself; it changes nothing about what is decided. Clones note together.
#[derive(Clone, Debug, Default)]
pub struct Decisions(Arc<Mutex<Vec<Decision>>>);

impl Decisions {
    pub(super) fn note(&self, permission: Permission, target: NotedTarget) {
        let decision = Decision { permission, target };
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() < NOTED_MAX && !noted.contains(&decision) {
            noted.push(decision);
        }
    }

    /// What was allowed so far.
    pub fn taken(&self) -> Vec<Decision> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether all of this is still allowed.
pub fn decide_again(caller: &Caller, decisions: &[Decision]) -> Result<(), Denied> {
    decisions.iter().try_for_each(|Decision { permission, target }| match target {
        NotedTarget::Platform => decide(caller, *permission, Target::Platform),
        NotedTarget::Tenant(tenant) => decide(caller, *permission, Target::Tenant(*tenant)),
        NotedTarget::Zone(zone) => decide(caller, *permission, Target::Zone(*zone)),
        NotedTarget::Within(zone) => decide_zone(caller, *permission, *zone).map(|_| ()),
    })
}
