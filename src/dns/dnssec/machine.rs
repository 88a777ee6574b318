//! The machine: which phase a zone's signing is in, what ends it, and what may be asked of it.
//!
//! ```text
//! (unsigned) ─enable→ signing ─(largest TTL)→ pending_ds ─DS everywhere→ active
//!
//! active ─zsk→ zsk_published ─(DNSKEY TTL)→ zsk_retiring ─(largest TTL, overlap)→ active
//! active ─ksk→ ksk_published ─(DNSKEY TTL)→ ksk_wait_ds ─new DS everywhere→ ksk_retiring ─(old DS TTL)→ active
//! active ─alg→ alg_presign ─(largest TTL)→ alg_published ─(DNSKEY TTL)→ alg_wait_ds ─new DS only, everywhere→
//!              alg_ds_ttl ─(old DS TTL)→ alg_unpublished ─(DNSKEY TTL)→ active
//! signing, pending_ds, active ─remove DS→ wait_ds_gone [CDS delete] ─no DS anywhere→ ds_gone ─(DS TTL, DNSKEY TTL)→ unsigning
//! any ─disable, where the DS has left all caches→ unsigning → (unsigned)
//!
//! The overlap of ZSKs is the operator's wish and no wait for caches: another rollover may begin once only it is left.
//! A first DS that is everywhere before its time: signing → active, since nothing is won by waiting. That of a next KSK
//! is only noted in ksk_published: its owner must not be told yet to remove the old one, which caches still need.
//! An adopted CSK begins in zsk_published, as if its ZSK had never been there.
//! ```
//!
//! A phase is entered as a *step*: the state is kept first, then PowerDNS is brought to what the phase wants
//! ([`super::plan`]), the step ends with a PATCH (*applied*), every own server is asked whether it serves it
//! (*verified*), and only then the phase's wait begins. Each of these may be repeated after a crash.
//!
//! Servers that transfer a zone keep its signatures with it, and fetch it again only for a new serial, which the PATCH of
//! a step brings. So where a zone can be transferred, a phase that lasts is applied again ([`super::waits`]).
//!
//! How long a step waits is in [`super::waits`], what is kept of a zone in [`super::state`].

use time::{Duration, OffsetDateTime};

use super::algorithm::Algorithm;
use super::parent::Look;
use super::state::{Key, Signing};
use super::words::{Age, Confirmed, Phase, Policy, Refused, Role};
use crate::dns::ZoneName;

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Bring PowerDNS to what the phase wants.
    Apply,
    /// Ask the own servers whether they serve it.
    Verify,
    /// Look at the parent's servers.
    AskParent,
    /// The next phase. None is left after the last one.
    Become(Box<Signing>),
    /// Nothing until then.
    Wait(OffsetDateTime),
}

impl Signing {
    fn may_roll(&self, zone: &ZoneName, now: OffsetDateTime, policy: &Policy) -> Result<(), Refused> {
        match self.phase {
            Phase::Active if self.applied_at.is_none() => Err(Refused::Busy),
            // nothing is waited for any more, the old key is only kept for a while
            Phase::ZskRetiring if self.not_before.is_none_or(|not_before| now < not_before) => {
                Err(Refused::RollingOver { phase: self.phase, until: self.not_before })
            }
            Phase::Active | Phase::ZskRetiring => match self.alarm(zone, now, policy) {
                Some(alarm) if alarm.freezes() => Err(Refused::Alarm(alarm)),
                Some(_) | None => Ok(()),
            },
            Phase::Signing | Phase::PendingDs => Err(Refused::PendingDs),
            Phase::WaitDsGone | Phase::DsGone | Phase::Unsigning => Err(Refused::Removing),
            phase => Err(Refused::RollingOver { phase, until: self.not_before }),
        }
    }

    /// Begins a rollover of the ZSK: pre-publication (RFC 6781, 4.1.1.1).
    pub fn rotate_zsk(&self, zone: &ZoneName, now: OffsetDateTime, policy: &Policy) -> Result<Self, Refused> {
        self.may_roll(zone, now, policy)?;
        let algorithm = self.algorithm().ok_or(Refused::Busy)?;
        let mut state = self.enter(Phase::ZskPublished, now);
        state.keys.push(Key::new(Role::Zsk, Age::Next, algorithm, now));
        Ok(state)
    }

    /// Begins a rollover of the KSK by double signature (RFC 6781, 4.1.2), or, to another algorithm, of both keys by
    /// the conservative way (RFC 6781, 4.1.4).
    pub fn rotate_ksk(
        &self,
        zone: &ZoneName,
        algorithm: Option<Algorithm>,
        now: OffsetDateTime,
        policy: &Policy,
    ) -> Result<Self, Refused> {
        self.may_roll(zone, now, policy)?;
        let current = self.algorithm().ok_or(Refused::Busy)?;
        let wanted = algorithm.unwrap_or(current);
        let phase = if wanted == current { Phase::KskPublished } else { Phase::AlgPresign };
        let mut state = self.enter(phase, now);
        state.ds_not_before = None;
        state.keys.push(Key::new(Role::Ksk, Age::Next, wanted, now));
        if phase == Phase::AlgPresign {
            state.keys.push(Key::new(Role::Zsk, Age::Next, wanted, now));
        }
        Ok(state)
    }

    /// Takes note of a DS at the parent. `look`: what its servers showed just now; None where somebody answers for it.
    pub fn confirm_ds(
        &self,
        zone: &ZoneName,
        look: Option<&Look>,
        now: OffsetDateTime,
        policy: &Policy,
    ) -> Result<Self, Refused> {
        if self.applied_at.is_none() {
            return Err(Refused::Busy);
        }
        let state = look.map_or_else(|| self.clone(), |look| self.observe(look, policy));
        let shows = |age: Age| -> Result<(), Refused> {
            let key = state.key(Role::Ksk, age).and_then(|key| key.dnskey.as_ref()).ok_or(Refused::Busy)?;
            look.map_or(Ok(()), |look| look.shows_everywhere(zone, key))
        };
        let old_left = state.ds_left(now, policy);
        match self.phase {
            Phase::Signing | Phase::PendingDs => {
                shows(Age::Current)?;
                Ok(state.enter(Phase::Active, now))
            }
            // it is there early, which is noted: whoever has the keys of before in his cache still needs the old DS, so
            // everything else, what the owner is asked to do among it, keeps its time
            Phase::KskPublished => {
                shows(Age::Next)?;
                let by = if look.is_some() { Confirmed::Seen } else { Confirmed::Vouched };
                Ok(Self { confirmed: Some(by), applied_at: None, ..state })
            }
            Phase::AlgPresign | Phase::AlgPublished => Err(Refused::TooEarly { until: self.not_before }),
            Phase::KskWaitDs => {
                shows(Age::Next)?;
                Ok(state.retire_ksk(now, policy))
            }
            Phase::AlgWaitDs => {
                shows(Age::Next)?;
                let old = state.key(Role::Ksk, Age::Current).and_then(|key| key.dnskey.as_ref());
                if let (Some(look), Some(old)) = (look, old)
                    && look.shows_anywhere(zone, old)
                {
                    return Err(Refused::OldDsStillPublished);
                }
                let mut next = state.enter(Phase::AlgDsTtl, now).promote(&[Role::Ksk, Role::Zsk], now);
                next.floor = Some(old_left);
                Ok(next)
            }
            Phase::Active
            | Phase::ZskPublished
            | Phase::ZskRetiring
            | Phase::KskRetiring
            | Phase::AlgDsTtl
            | Phase::AlgUnpublished
            | Phase::WaitDsGone
            | Phase::DsGone
            | Phase::Unsigning => Err(Refused::NothingToConfirm),
        }
    }

    /// The parent has the next KSK's DS; the old key is kept until its own has left the caches.
    fn retire_ksk(&self, now: OffsetDateTime, policy: &Policy) -> Self {
        let mut next = self.enter(Phase::KskRetiring, now).promote(&[Role::Ksk], now);
        next.floor = Some(self.ds_left(now, policy));
        next
    }

    /// Whether the zone may be unsigned now; `look` is what the parent's servers showed just now. The TTLs must be those of
    /// the moment: see [`Self::with_ttls`].
    pub fn may_unsign(&self, look: &Look, policy: &Policy) -> Result<(), Refused> {
        if look.shows_any() {
            return Err(Refused::DsStillPublished);
        }
        if !look.is_complete() {
            return Err(Refused::ParentUnknown);
        }
        let parent = self.parent.after(look, policy.unwatched);
        if let Some(gone) = parent.gone_since {
            let until = self.trust_left(gone, policy);
            if look.at < until {
                return Err(Refused::DsStillCached { until });
            }
        }
        Ok(())
    }

    /// The end: all keys go. Only after [`Self::may_unsign`], or on somebody's own responsibility.
    pub fn unsign(&self, now: OffsetDateTime) -> Self {
        self.enter(Phase::Unsigning, now)
    }

    /// Asks the parent to remove the DS (RFC 8078, 4); the zone is unsigned once it has left the caches.
    pub fn remove_ds(&self, now: OffsetDateTime) -> Result<Self, Refused> {
        match self.phase {
            Phase::WaitDsGone | Phase::DsGone | Phase::Unsigning => Err(Refused::Removing),
            Phase::Signing | Phase::PendingDs | Phase::Active => {
                Ok(Self { ds_not_before: None, ..self.enter(Phase::WaitDsGone, now) })
            }
            phase => Err(Refused::RollingOver { phase, until: self.not_before }),
        }
    }

    /// What is due at this moment.
    pub fn next(&self, zone: &ZoneName, now: OffsetDateTime, policy: &Policy) -> Next {
        let renewal = self.renewal();
        match self.next_step(zone, now, policy) {
            Next::AskParent | Next::Wait(_) if renewal.is_some_and(|due| due <= now) => {
                Next::Become(Box::new(Self { applied_at: None, ..self.clone() }))
            }
            Next::Wait(until) => Next::Wait(renewal.map_or(until, |due| due.min(until))),
            next => next,
        }
    }

    fn next_step(&self, zone: &ZoneName, now: OffsetDateTime, policy: &Policy) -> Next {
        if self.applied_at.is_none() {
            return Next::Apply;
        }
        let Some(not_before) = self.ends_at(policy) else { return Next::Verify };
        if now < not_before {
            return Next::Wait(not_before);
        }
        let become_ = |state: Self| Next::Become(Box::new(state));
        match self.phase {
            Phase::Signing => become_(self.enter(Phase::PendingDs, now)),
            Phase::Active => self.next_when_active(zone, now, policy),
            Phase::ZskPublished => become_(self.enter(Phase::ZskRetiring, now).promote(&[Role::Zsk], now)),
            Phase::ZskRetiring => become_(self.enter(Phase::Active, now)),
            Phase::KskPublished if self.confirmed == Some(Confirmed::Vouched) => become_(self.retire_ksk(now, policy)),
            Phase::KskPublished => become_(self.enter(Phase::KskWaitDs, now)),
            Phase::AlgPresign => become_(self.enter(Phase::AlgPublished, now)),
            Phase::AlgPublished => become_(self.enter(Phase::AlgWaitDs, now)),
            Phase::AlgUnpublished => become_(self.enter(Phase::Active, now)),
            Phase::Unsigning => Next::Apply,
            Phase::PendingDs
            | Phase::KskWaitDs
            | Phase::AlgWaitDs
            | Phase::KskRetiring
            | Phase::AlgDsTtl
            | Phase::WaitDsGone
            | Phase::DsGone => self.next_by_parent(zone, not_before, now, policy),
        }
    }

    fn next_when_active(&self, zone: &ZoneName, now: OffsetDateTime, policy: &Policy) -> Next {
        let poll = self.parent.looked_at.map_or(now, |at| at + policy.poll_active);
        if poll <= now {
            return Next::AskParent;
        }
        let due = |role: Role, lifetime: Option<Duration>| {
            let since = self.key(role, Age::Current)?.current_since?;
            Some(since + lifetime?)
        };
        let (zsk, ksk) = (due(Role::Zsk, policy.zsk_lifetime), due(Role::Ksk, policy.ksk_lifetime));
        let frozen = self.alarm(zone, now, policy).is_some_and(|alarm| alarm.freezes());
        if !frozen {
            let rolled = match (zsk, ksk) {
                (_, Some(due)) if due <= now => self.rotate_ksk(zone, None, now, policy),
                (Some(due), _) if due <= now => self.rotate_zsk(zone, now, policy),
                _ => Err(Refused::Busy),
            };
            if let Ok(rolled) = rolled {
                return Next::Become(Box::new(rolled));
            }
        }
        let wake = [zsk, ksk].into_iter().flatten().filter(|due| *due > now).fold(poll, OffsetDateTime::min);
        Next::Wait(wake)
    }

    /// The phases that the parent ends: only a look taken since they could end counts, and a key is not deleted on an
    /// older one.
    fn next_by_parent(&self, zone: &ZoneName, since: OffsetDateTime, now: OffsetDateTime, policy: &Policy) -> Next {
        let looked_at = self.parent.looked_at.filter(|at| *at >= since);
        let Some(looked_at) = looked_at else { return Next::AskParent };
        let again = looked_at + policy.poll_waiting;
        let look = self.parent.look(looked_at);
        let next = match self.phase {
            Phase::PendingDs | Phase::KskWaitDs | Phase::AlgWaitDs => {
                self.confirm_ds(zone, Some(&look), looked_at, policy).ok().map(|state| Self { begun_at: now, ..state })
            }
            Phase::KskRetiring => self.old_may_go(zone, &look, policy).then(|| self.enter(Phase::Active, now)),
            Phase::AlgDsTtl => {
                let old = self.key(Role::Ksk, Age::Old).and_then(|key| key.dnskey.as_ref());
                let old_is_there = old.is_some_and(|old| look.shows_anywhere(zone, old));
                (self.old_may_go(zone, &look, policy) && !old_is_there).then(|| self.enter(Phase::AlgUnpublished, now))
            }
            Phase::WaitDsGone => (look.is_complete() && !look.shows_any()).then(|| {
                let mut state = self.enter(Phase::DsGone, now);
                state.floor = self.parent.gone_since.map(|gone| self.trust_left(gone, policy));
                state
            }),
            Phase::DsGone => self.may_unsign(&look, policy).is_ok().then(|| self.unsign(now)),
            _ => None,
        };
        match next {
            Some(state) => Next::Become(Box::new(state)),
            None if again <= now => Next::AskParent,
            None => Next::Wait(again),
        }
    }

    /// Whether resolvers find their way by the key in use, or none of them looks for one.
    fn old_may_go(&self, zone: &ZoneName, look: &Look, policy: &Policy) -> bool {
        let current = self.key(Role::Ksk, Age::Current).and_then(|key| key.dnskey.as_ref());
        current.is_some_and(|key| look.shows_everywhere(zone, key).is_ok()) || self.may_unsign(look, policy).is_ok()
    }
}
