//! How long a step waits, and when that wait ends.
//!
//! Every wait is the TTL of what must leave the caches, as it was really served, plus the time that our own servers
//! may answer from theirs ([`Policy::propagation`]). Waits for a DS are counted from the moment at which all of the
//! parent's servers were seen to agree, with the largest TTL that they were seen to give it.

use time::{Duration, OffsetDateTime};

use super::state::Signing;
use super::words::{Denial, Phase, Policy, Ttls};

/// No resolver keeps anything for longer (RFC 8767, 4; the usual ones stop at a day).
pub const TTL_CACHED_MAX: u32 = 604_800;
/// Taken for the DS's TTL where it was never seen, because somebody said that it need not be looked for.
const DS_TTL_UNSEEN: u32 = 86_400;

/// PowerDNS's signatures are valid for eleven days at least when they are given, and new each Thursday.
const SIGNATURES_TRANSFERRED: Duration = Duration::days(6);

impl Signing {
    /// By when the zone's serial is to rise again, so that those who transfer it fetch signatures that last.
    pub(super) fn renewal(&self) -> Option<OffsetDateTime> {
        let can_be_transferred = self.denial != Denial::Narrow && self.phase != Phase::Unsigning;
        self.applied_at.filter(|_| can_be_transferred).map(|applied_at| applied_at + SIGNATURES_TRANSFERRED)
    }

    /// Every own server serves it: the wait begins.
    pub fn verified(&self, now: OffsetDateTime, policy: &Policy) -> Self {
        let ends = now + self.wait(self.ttls, policy);
        let not_before = self.floor.map_or(ends, |floor| floor.max(ends));
        Self { verified_at: Some(now), not_before: Some(not_before), trouble: None, ..self.clone() }.asking_for_ds()
    }

    /// The owner is asked for a DS once this step's wait is over.
    fn asking_for_ds(mut self) -> Self {
        if matches!(self.phase, Phase::Signing | Phase::KskPublished | Phase::AlgPublished) {
            self.ds_not_before = self.not_before;
        }
        if self.phase == Phase::Signing && self.parent.looked_at.is_none() {
            self.parent.complete_at = self.not_before;
        }
        self
    }

    /// TTLs may have been raised since: a server that lags gives old signatures with new TTLs.
    pub fn with_ttls(&self, ttls: Ttls, policy: &Policy) -> Self {
        let ttls = self.ttls.max(ttls);
        match self.verified_at {
            Some(verified_at) if ttls != self.ttls => {
                let mut state = Self { ttls, ..self.clone() };
                let ends = verified_at + state.wait(ttls, policy);
                state.not_before = state.not_before.map(|before| before.max(ends));
                state.asking_for_ds()
            }
            _ => Self { ttls, ..self.clone() },
        }
    }

    /// How long what was served before this step may be in caches.
    pub(super) fn wait(&self, ttls: Ttls, policy: &Policy) -> Duration {
        let cached = |ttl: u32| Duration::seconds(i64::from(ttl.min(TTL_CACHED_MAX))) + policy.propagation;
        match self.phase {
            Phase::Signing | Phase::ZskRetiring | Phase::AlgPresign => cached(ttls.largest.max(ttls.minimum)),
            Phase::ZskPublished | Phase::KskPublished | Phase::AlgPublished | Phase::AlgUnpublished => {
                cached(ttls.minimum)
            }
            Phase::PendingDs
            | Phase::Active
            | Phase::KskWaitDs
            | Phase::KskRetiring
            | Phase::AlgWaitDs
            | Phase::AlgDsTtl
            | Phase::Unsigning => Duration::ZERO,
            // a parent that was about to take the DS, as it was asked to before, has done so by then
            Phase::WaitDsGone | Phase::DsGone => policy.margin,
        }
    }

    /// When the wait of this step ends; known once the step is verified.
    pub fn ends_at(&self, policy: &Policy) -> Option<OffsetDateTime> {
        let ends = self.not_before.filter(|_| self.verified_at.is_some())?;
        Some(self.overlap_ends(policy).map_or(ends, |overlap| overlap.max(ends)))
    }

    /// The same; estimated while the step is on its way.
    pub fn ends(&self, policy: &Policy) -> OffsetDateTime {
        self.ends_at(policy).unwrap_or_else(|| {
            let ends = self.applied_at.unwrap_or(self.begun_at) + self.wait(self.ttls, policy);
            let ends = self.overlap_ends(policy).map_or(ends, |overlap| overlap.max(ends));
            self.floor.map_or(ends, |floor| floor.max(ends))
        })
    }

    /// Until when a replaced ZSK is kept, as the policy of the moment has it. Unlike a wait for caches it may be cut
    /// short: by another policy, or by another rollover.
    fn overlap_ends(&self, policy: &Policy) -> Option<OffsetDateTime> {
        let since = self.verified_at.or(self.applied_at).unwrap_or(self.begun_at);
        (self.phase == Phase::ZskRetiring).then(|| since + policy.zsk_overlap)
    }

    /// When a ZSK that is being rolled goes, as things stand.
    pub fn zsk_retires(&self, policy: &Policy) -> OffsetDateTime {
        match self.phase {
            Phase::ZskPublished => {
                let then = Self { phase: Phase::ZskRetiring, ..self.clone() };
                self.ends(policy) + then.wait(self.ttls, policy).max(policy.zsk_overlap)
            }
            _ => self.ends(policy),
        }
    }

    /// When nobody trusts the zone's keys any more because of a DS last seen at `gone`: keys that were found secure at
    /// the last moment are so for their own TTL (RFC 4035 bounds them by nothing else).
    pub(super) fn trust_left(&self, gone: OffsetDateTime, policy: &Policy) -> OffsetDateTime {
        let keys = Duration::seconds(i64::from(self.ttls.minimum.min(TTL_CACHED_MAX)));
        self.ds_left(gone, policy) + keys + policy.propagation
    }

    /// When an old DS, last seen at `gone`, has left all caches.
    pub(super) fn ds_left(&self, gone: OffsetDateTime, policy: &Policy) -> OffsetDateTime {
        let ttl = self.parent.ds_ttl.unwrap_or(DS_TTL_UNSEEN).min(TTL_CACHED_MAX);
        gone + Duration::seconds(i64::from(ttl)) + policy.margin
    }
}
