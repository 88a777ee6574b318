//! What is kept of a signed zone, and how a step is begun and noted in it.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::algorithm::Algorithm;
use super::key::Dnskey;
use super::parent::{Look, Parent};
use super::plan;
use super::words::{Age, Confirmed, Denial, Phase, Policy, Role, Status, Trouble, Ttls};

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
    /// That the parent has the next key's DS, said before the phase in which it is asked for.
    #[serde(default)]
    pub confirmed: Option<Confirmed>,
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
            confirmed: None,
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

    pub(super) fn enter(&self, phase: Phase, now: OffsetDateTime) -> Self {
        Self {
            phase,
            begun_at: now,
            applied_at: None,
            verified_at: None,
            not_before: None,
            floor: None,
            ttls: Ttls::default(),
            trouble: None,
            confirmed: None,
            ..self.clone()
        }
    }

    /// What the owner has to know of it: a rollover is over for him once the parent has the new DS.
    pub fn status(&self) -> Status {
        match (self.phase, self.confirmed) {
            (Phase::KskPublished, Some(_)) => Status::Active,
            (phase, _) => phase.status(),
        }
    }

    /// The next keys of the given roles become the ones in use, those before are old.
    pub(super) fn promote(mut self, roles: &[Role], now: OffsetDateTime) -> Self {
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

    /// Remembers what the parent's servers showed.
    pub fn observe(&self, look: &Look, policy: &Policy) -> Self {
        Self { parent: self.parent.after(look, policy.unwatched), ..self.clone() }
    }

    /// The public keys that a DS may point to.
    pub fn secure_entry_points(&self) -> impl Iterator<Item = &Dnskey> {
        self.keys.iter().filter(|key| key.role == Role::Ksk).filter_map(|key| key.dnskey.as_ref())
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
