//! The machine: which phase a zone's signing is in, what ends it, and what may be asked of it.
//!
//! ```text
//! (unsigned) ─enable→ signing ─(largest TTL)→ pending_ds ─DS everywhere→ active
//!
//! active ─zsk→ zsk_published ─(DNSKEY TTL)→ zsk_retiring ─(largest TTL)→ active
//! active ─ksk→ ksk_published ─(DNSKEY TTL)→ ksk_wait_ds ─new DS everywhere→ ksk_retiring ─(old DS TTL)→ active
//! active ─alg→ alg_presign ─(largest TTL)→ alg_published ─(DNSKEY TTL)→ alg_wait_ds ─new DS only, everywhere→
//!              alg_ds_ttl ─(old DS TTL)→ alg_unpublished ─(DNSKEY TTL)→ active
//! signing, pending_ds, active ─remove DS→ wait_ds_gone [CDS delete] ─no DS anywhere→ ds_gone ─(DS TTL)→ unsigning
//! any ─disable, where the DS has left all caches→ unsigning → (unsigned)
//! adopted CSK → zsk_published, as if its ZSK had never been there
//! ```
//!
//! A phase is entered as a *step*: the state is kept first, then PowerDNS is brought to what the phase wants
//! ([`super::plan`]), the step ends with a PATCH (*applied*), every own server is asked whether it serves it
//! (*verified*), and only then the phase's wait begins. Each of these may be repeated after a crash.
//!
//! Every wait is the TTL of what must leave the caches, as it was really served, plus the time that our own servers
//! may answer from theirs ([`Policy::propagation`]). Waits for a DS are counted from the moment at which all of the
//! parent's servers were seen to agree, with the largest TTL that they were seen to give it.

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::algorithm::Algorithm;
use super::key::Dnskey;
use super::parent::{Alarm, Look, Parent};
use super::plan;
use crate::dns::ZoneName;

/// No resolver keeps anything for longer (RFC 8767, 4; the usual ones stop at a day).
pub const TTL_CACHED_MAX: u32 = 604_800;
/// Taken for the DS's TTL where it was never seen, because somebody said that it need not be looked for.
const DS_TTL_UNSEEN: u32 = 86_400;

/// Where a zone's signing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Signing,
    PendingDs,
    Active,
    ZskPublished,
    ZskRetiring,
    KskPublished,
    KskWaitDs,
    KskRetiring,
    AlgPresign,
    AlgPublished,
    AlgWaitDs,
    AlgDsTtl,
    AlgUnpublished,
    WaitDsGone,
    DsGone,
    Unsigning,
}

/// The same for those who only want to know what they have to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    PendingDs,
    Active,
    RotatingKsk,
    RotatingZsk,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::PendingDs => "pending_ds",
            Self::Active => "active",
            Self::ZskPublished => "zsk_published",
            Self::ZskRetiring => "zsk_retiring",
            Self::KskPublished => "ksk_published",
            Self::KskWaitDs => "ksk_wait_ds",
            Self::KskRetiring => "ksk_retiring",
            Self::AlgPresign => "alg_presign",
            Self::AlgPublished => "alg_published",
            Self::AlgWaitDs => "alg_wait_ds",
            Self::AlgDsTtl => "alg_ds_ttl",
            Self::AlgUnpublished => "alg_unpublished",
            Self::WaitDsGone => "wait_ds_gone",
            Self::DsGone => "ds_gone",
            Self::Unsigning => "unsigning",
        }
    }

    /// A key rollover is over for its owner once the parent has the new DS; what is left happens by itself.
    pub fn status(self) -> Status {
        match self {
            Self::Signing | Self::PendingDs => Status::PendingDs,
            Self::ZskPublished | Self::ZskRetiring => Status::RotatingZsk,
            Self::KskPublished | Self::KskWaitDs | Self::AlgPresign | Self::AlgPublished | Self::AlgWaitDs => {
                Status::RotatingKsk
            }
            Self::Active | Self::KskRetiring | Self::AlgDsTtl | Self::AlgUnpublished => Status::Active,
            Self::WaitDsGone | Self::DsGone | Self::Unsigning => Status::Active,
        }
    }

    /// Nothing but the parent ends these.
    pub fn waits_for_parent(self) -> bool {
        matches!(self, Self::PendingDs | Self::KskWaitDs | Self::AlgWaitDs | Self::WaitDsGone)
    }
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PendingDs => "pending_ds",
            Self::Active => "active",
            Self::RotatingKsk => "rotating_ksk",
            Self::RotatingZsk => "rotating_zsk",
        }
    }
}

/// How it is proven that a name does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Denial {
    /// NSEC3 with answers made on the spot: writes cost what they cost unsigned. Cannot be transferred.
    #[default]
    Narrow,
    Nsec3,
    Nsec,
}

impl Denial {
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Narrow, Self::Nsec3, Self::Nsec].into_iter().find(|denial| denial.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Narrow => "narrow",
            Self::Nsec3 => "nsec3",
            Self::Nsec => "nsec",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Signs the keys; the parent's DS points to it. Alone, it signs everything.
    Ksk,
    /// Signs the data.
    Zsk,
}

/// A key's place in a rollover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Age {
    Next,
    Current,
    Old,
}

/// A key of the zone. The private half is PowerDNS's alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub role: Role,
    pub age: Age,
    pub algorithm: Algorithm,
    /// PowerDNS's; None until it is made.
    pub id: Option<u64>,
    pub dnskey: Option<Dnskey>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it became the one in use.
    #[serde(with = "time::serde::rfc3339::option")]
    pub current_since: Option<OffsetDateTime>,
}

/// TTLs that RRsets were served with, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ttls {
    /// The largest of any RRset, the negative one included.
    pub largest: u32,
    /// The SOA's minimum: of DNSKEY, CDS, denials.
    pub minimum: u32,
}

impl Ttls {
    pub fn max(self, other: Self) -> Self {
        Self { largest: self.largest.max(other.largest), minimum: self.minimum.max(other.minimum) }
    }
}

/// What the operator decided.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long our own servers may go on giving old answers after a step: their caches, and the way to them.
    pub propagation: Duration,
    /// On top of each wait for the parent: clocks, and servers of the parent that nobody sees.
    pub margin: Duration,
    pub zsk_lifetime: Option<Duration>,
    pub ksk_lifetime: Option<Duration>,
    /// Between two looks at a parent that is waited for, and at one that is only watched.
    pub poll_waiting: Duration,
    pub poll_active: Duration,
    /// A DS that has not come, or not gone, by then is worth an alarm.
    pub ds_deadline: Duration,
}

/// Why a step cannot be taken. It is tried again; people should look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Trouble {
    /// A key that we rely on is gone from PowerDNS.
    KeyMissing { key_tag: u16 },
    /// PowerDNS has a key that we did not make.
    KeyForeign { id: u64, key_tag: u16 },
    /// A server does not serve the step yet.
    NotServed { server: String, what: String },
}

/// The state of a signed zone, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    pub phase: Phase,
    pub denial: Denial,
    pub keys: Vec<Key>,
    #[serde(with = "time::serde::rfc3339")]
    pub begun_at: OffsetDateTime,
    /// PowerDNS has what the phase wants, and a PATCH has closed the step.
    #[serde(with = "time::serde::rfc3339::option")]
    pub applied_at: Option<OffsetDateTime>,
    /// Every own server serves it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub verified_at: Option<OffsetDateTime>,
    /// When the phase's wait ends; known once the step is verified.
    #[serde(with = "time::serde::rfc3339::option")]
    pub not_before: Option<OffsetDateTime>,
    /// A wait that does not depend on this step's TTLs: that for an old DS.
    #[serde(with = "time::serde::rfc3339::option")]
    pub floor: Option<OffsetDateTime>,
    /// From when on the parent may have the new DS.
    #[serde(with = "time::serde::rfc3339::option")]
    pub ds_not_before: Option<OffsetDateTime>,
    /// As served when the step was taken, and before as far as it may still be cached.
    pub ttls: Ttls,
    pub parent: Parent,
    pub trouble: Option<Trouble>,
}

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

/// Why something that was asked for is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The step before is still on its way to the servers.
    Busy,
    PendingDs,
    RollingOver {
        phase: Phase,
        until: Option<OffsetDateTime>,
    },
    Removing,
    Alarm(Alarm),
    /// No DS is waited for.
    NothingToConfirm,
    /// The new keys have not reached every cache.
    TooEarly {
        until: Option<OffsetDateTime>,
    },
    DsNotFound,
    /// At an algorithm rollover the new DS must replace the old one.
    OldDsStillPublished,
    DsStillPublished,
    DsStillCached {
        until: OffsetDateTime,
    },
    /// Not all of the parent's servers gave an answer.
    ParentUnknown,
}

impl Signing {
    /// A zone that is to be signed.
    pub fn enable(algorithm: Algorithm, denial: Denial, now: OffsetDateTime) -> Self {
        let keys = [Role::Ksk, Role::Zsk].map(|role| Key::new(role, Age::Current, algorithm, now)).to_vec();
        Self::begin(Phase::Signing, denial, keys, now)
    }

    /// A zone whose only key signs everything: it gets a ZSK beside it, and its DS stays as it is.
    pub fn adopt(csk: Key, denial: Denial, now: OffsetDateTime) -> Self {
        let zsk = Key::new(Role::Zsk, Age::Next, csk.algorithm, now);
        Self::begin(Phase::ZskPublished, denial, vec![csk, zsk], now)
    }

    fn begin(phase: Phase, denial: Denial, keys: Vec<Key>, now: OffsetDateTime) -> Self {
        Self {
            phase,
            denial,
            keys,
            begun_at: now,
            applied_at: None,
            verified_at: None,
            not_before: None,
            floor: None,
            ds_not_before: None,
            ttls: Ttls::default(),
            parent: Parent::default(),
            trouble: None,
        }
    }

    /// The key of this role and age; a zone has at most one of each.
    pub fn key(&self, role: Role, age: Age) -> Option<&Key> {
        self.keys.iter().find(|key| key.role == role && key.age == age)
    }

    /// Of the keys in use.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.key(Role::Ksk, Age::Current).map(|key| key.algorithm)
    }

    fn enter(&self, phase: Phase, now: OffsetDateTime) -> Self {
        Self {
            phase,
            begun_at: now,
            applied_at: None,
            verified_at: None,
            not_before: None,
            floor: None,
            ttls: Ttls::default(),
            trouble: None,
            ..self.clone()
        }
    }

    /// The next keys of the given roles become the ones in use, those before are old.
    fn promote(mut self, roles: &[Role], now: OffsetDateTime) -> Self {
        for key in self.keys.iter_mut().filter(|key| roles.contains(&key.role)) {
            match key.age {
                Age::Current => key.age = Age::Old,
                Age::Next => {
                    key.age = Age::Current;
                    key.current_since = Some(now);
                }
                Age::Old => {}
            }
        }
        self
    }

    /// PowerDNS has what the phase wants; keys that it does not want are gone.
    pub fn applied(&self, now: OffsetDateTime) -> Self {
        let mut state = Self { applied_at: Some(now), trouble: None, ..self.clone() };
        state.keys.retain(|key| plan::wanted(self.phase, key).is_some());
        for key in &mut state.keys {
            if key.age == Age::Current && key.current_since.is_none() {
                key.current_since = Some(now);
            }
        }
        state
    }

    /// Every own server serves it: the wait begins.
    pub fn verified(&self, now: OffsetDateTime, policy: &Policy) -> Self {
        let ends = now + self.wait(self.ttls, policy);
        let not_before = self.floor.map_or(ends, |floor| floor.max(ends));
        let ds_not_before = match self.phase {
            Phase::Signing | Phase::KskPublished | Phase::AlgPublished => Some(not_before),
            _ => self.ds_not_before,
        };
        Self { verified_at: Some(now), not_before: Some(not_before), ds_not_before, trouble: None, ..self.clone() }
    }

    /// TTLs may have been raised since: a server that lags gives old signatures with new TTLs.
    pub fn with_ttls(&self, ttls: Ttls, policy: &Policy) -> Self {
        let ttls = self.ttls.max(ttls);
        match self.verified_at {
            Some(verified_at) if ttls != self.ttls => {
                let mut state = Self { ttls, ..self.clone() };
                let ends = verified_at + state.wait(ttls, policy);
                state.not_before = state.not_before.map(|before| before.max(ends));
                if matches!(state.phase, Phase::Signing | Phase::KskPublished | Phase::AlgPublished) {
                    state.ds_not_before = state.not_before;
                }
                state
            }
            _ => Self { ttls, ..self.clone() },
        }
    }

    /// How long what was served before this step may be in caches.
    fn wait(&self, ttls: Ttls, policy: &Policy) -> Duration {
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

    /// When the wait of this step ends; estimated while the step is on its way.
    pub fn ends(&self, policy: &Policy) -> OffsetDateTime {
        self.not_before.unwrap_or_else(|| {
            let ends = self.applied_at.unwrap_or(self.begun_at) + self.wait(self.ttls, policy);
            self.floor.map_or(ends, |floor| floor.max(ends))
        })
    }

    /// When a ZSK that is being rolled goes, as things stand.
    pub fn zsk_retires(&self, policy: &Policy) -> OffsetDateTime {
        match self.phase {
            Phase::ZskPublished => {
                let then = Self { phase: Phase::ZskRetiring, ..self.clone() };
                self.ends(policy) + then.wait(self.ttls, policy)
            }
            _ => self.ends(policy),
        }
    }

    /// When an old DS, last seen at `gone`, has left all caches.
    fn ds_left(&self, gone: OffsetDateTime, policy: &Policy) -> OffsetDateTime {
        let ttl = self.parent.ds_ttl.unwrap_or(DS_TTL_UNSEEN).min(TTL_CACHED_MAX);
        gone + Duration::seconds(i64::from(ttl)) + policy.margin
    }

    /// Remembers what the parent's servers showed.
    pub fn observe(&self, look: &Look) -> Self {
        Self { parent: self.parent.after(look), ..self.clone() }
    }

    /// What is wrong, as far as it can be told from what is kept.
    pub fn alarm(&self, zone: &ZoneName, now: OffsetDateTime, policy: &Policy) -> Option<Alarm> {
        if let Some(trouble) = &self.trouble {
            return Some(Alarm::Trouble(trouble.clone()));
        }
        let keys: Vec<&Dnskey> = self.secure_entry_points().collect();
        if let Some(alarm) = self.parent.strangers(zone, &keys) {
            return Some(alarm);
        }
        let relied_on = match self.phase {
            Phase::Signing | Phase::PendingDs | Phase::WaitDsGone | Phase::DsGone | Phase::Unsigning => None,
            _ => self.key(Role::Ksk, Age::Current).and_then(|key| key.dnskey.as_ref()),
        };
        if let Some(key) = relied_on
            && self.parent.ds_seen
            && let Some(alarm) = self.vanished(zone, key)
        {
            return Some(alarm);
        }
        if self.phase.waits_for_parent() && now > self.begun_at + policy.ds_deadline {
            return Some(Alarm::DsOverdue { since: self.begun_at });
        }
        self.parent.silent()
    }

    /// While a DS is swapped, that of the next key will do.
    fn vanished(&self, zone: &ZoneName, current: &Dnskey) -> Option<Alarm> {
        let next = self.key(Role::Ksk, Age::Next).and_then(|key| key.dnskey.as_ref());
        let accepted: Vec<&Dnskey> = std::iter::once(current).chain(next).collect();
        self.parent.lacking(zone, &accepted)
    }

    /// The public keys that a DS may point to.
    pub fn secure_entry_points(&self) -> impl Iterator<Item = &Dnskey> {
        self.keys.iter().filter(|key| key.role == Role::Ksk).filter_map(|key| key.dnskey.as_ref())
    }

    fn may_roll(&self, zone: &ZoneName, now: OffsetDateTime, policy: &Policy) -> Result<(), Refused> {
        match self.phase {
            Phase::Active if self.applied_at.is_none() => Err(Refused::Busy),
            Phase::Active => match self.alarm(zone, now, policy) {
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
        let state = look.map_or_else(|| self.clone(), |look| self.observe(look));
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
            Phase::KskPublished | Phase::KskWaitDs => {
                shows(Age::Next)?;
                // a parent that was quicker than it should have been: the old key stays until the new one is everywhere
                let reached = state.not_before.filter(|_| state.phase == Phase::KskPublished);
                if state.phase == Phase::KskPublished && reached.is_none() {
                    return Err(Refused::TooEarly { until: None });
                }
                let mut next = state.enter(Phase::KskRetiring, now).promote(&[Role::Ksk], now);
                next.floor = Some(reached.map_or(old_left, |reached| reached.max(old_left)));
                Ok(next)
            }
            Phase::AlgPresign | Phase::AlgPublished => Err(Refused::TooEarly { until: self.not_before }),
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

    /// Whether the zone may be unsigned now; `look` is what the parent's servers showed just now.
    pub fn may_unsign(&self, look: &Look, policy: &Policy) -> Result<(), Refused> {
        if look.shows_any() {
            return Err(Refused::DsStillPublished);
        }
        if !look.is_complete() {
            return Err(Refused::ParentUnknown);
        }
        let parent = self.parent.after(look);
        if let Some(gone) = parent.gone_since.filter(|_| parent.ds_seen) {
            let until = self.ds_left(gone, policy);
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
        if self.applied_at.is_none() {
            return Next::Apply;
        }
        let Some(not_before) = self.not_before.filter(|_| self.verified_at.is_some()) else { return Next::Verify };
        if now < not_before {
            return Next::Wait(not_before);
        }
        let become_ = |state: Self| Next::Become(Box::new(state));
        match self.phase {
            Phase::Signing => become_(self.enter(Phase::PendingDs, now)),
            Phase::Active => self.next_when_active(zone, now, policy),
            Phase::ZskPublished => become_(self.enter(Phase::ZskRetiring, now).promote(&[Role::Zsk], now)),
            Phase::ZskRetiring => become_(self.enter(Phase::Active, now)),
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
                state.floor =
                    self.parent.gone_since.filter(|_| self.parent.ds_seen).map(|gone| self.ds_left(gone, policy));
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

impl Key {
    pub fn new(role: Role, age: Age, algorithm: Algorithm, now: OffsetDateTime) -> Self {
        Self { role, age, algorithm, id: None, dnskey: None, created_at: now, current_since: None }
    }

    pub fn key_tag(&self) -> Option<u16> {
        self.dnskey.as_ref().map(Dnskey::key_tag)
    }
}
