//! A small world: a PowerDNS with another server beside it that lags, two servers of the parent, an owner who does at
//! the parent what is asked of him, and a driver that may die between any two calls.

use std::collections::{BTreeMap, BTreeSet};

use time::{Duration, OffsetDateTime};

use super::oracle::{KeyRef, Oracle, Thing, Times};
use crate::dns::ZoneName;
use crate::dns::dnssec::plan::{self, Call, ServerKey, Visible};
use crate::dns::dnssec::{
    Action, Age, Algorithm, Denial, Dnskey, Ds, Look, Next, Phase, Policy, Refused, Role, ServerLook, Signing, Ttls,
};

/// How long own servers give old answers after a step; what the policy must cover.
pub const LAG: i64 = 7;
const PARENTS: usize = 2;

#[derive(Clone, Debug)]
struct SimKey {
    role: Role,
    algorithm: u8,
    visible: Visible,
    dnskey: Dnskey,
}

pub struct World {
    pub zone: ZoneName,
    pub now: i64,
    pub policy: Policy,
    keys: BTreeMap<u64, SimKey>,
    next_id: u64,
    /// What is kept of the zone.
    pub row: Option<Signing>,
    parents: Vec<BTreeSet<Ds>>,
    /// Since when each server of the parent has what it has.
    parents_since: Vec<i64>,
    /// A server of the parent that does not answer.
    pub silent: Option<usize>,
    times: Times,
    /// TTLs with the moment until which they were served.
    history: Vec<(i64, Ttls)>,
    pub oracle: Oracle,
    /// Every DNSKEY by the DS that it has, to tell the oracle which key is meant.
    known: BTreeMap<Ds, KeyRef>,
    pub strict: bool,
    /// The calls of a step that are still made before the driver dies.
    pub dies_after: Option<usize>,
}

pub fn policy() -> Policy {
    Policy {
        propagation: Duration::seconds(LAG),
        margin: Duration::seconds(1),
        zsk_lifetime: None,
        ksk_lifetime: None,
        zsk_overlap: Duration::ZERO,
        poll_waiting: Duration::seconds(5),
        poll_active: Duration::seconds(60),
        unwatched: Duration::seconds(120),
        ds_deadline: Duration::days(30),
    }
}

impl World {
    pub fn new(policy: Policy) -> Self {
        let times = Times { ds: 20, dnskey: 10, data: 30, lag: LAG };
        let mut world = Self {
            zone: ZoneName::trusted("shop.test".to_owned()),
            now: 0,
            policy,
            keys: BTreeMap::new(),
            next_id: 1,
            row: None,
            parents: vec![BTreeSet::new(); PARENTS],
            parents_since: vec![0; PARENTS],
            silent: None,
            times,
            history: Vec::new(),
            oracle: Oracle::default(),
            known: BTreeMap::new(),
            strict: true,
            dies_after: None,
        };
        world.serve();
        world.pass(0);
        world
    }

    pub fn time(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::seconds(self.now)
    }

    /// Seconds pass.
    pub fn pass(&mut self, seconds: i64) {
        self.now += seconds;
        self.oracle.pass(self.now, self.times);
        self.check();
    }

    #[track_caller]
    fn check(&self) {
        if let Some(violation) = self.violation() {
            panic!("{violation}; phase {:?}", self.row.as_ref().map(|row| row.phase));
        }
    }

    pub fn violation(&self) -> Option<String> {
        self.oracle.violation(false).or_else(|| if self.strict { self.oracle.violation(true) } else { None })
    }

    fn ttls_now(&self) -> Ttls {
        Ttls { largest: self.times.data.max(self.times.dnskey) as u32, minimum: self.times.dnskey as u32 }
    }

    /// As served now, and before as far as it may still be cached.
    fn ttls(&self) -> Ttls {
        let cached = self.history.iter().filter(|(until, ttls)| until + LAG + i64::from(ttls.largest) >= self.now);
        cached.fold(self.ttls_now(), |all, (_, ttls)| all.max(*ttls))
    }

    /// The owner changes the TTLs of the zone.
    pub fn set_ttls(&mut self, data: i64, minimum: i64) {
        self.history.push((self.now, self.ttls_now()));
        self.oracle.pass(self.now, self.times);
        (self.times.data, self.times.dnskey) = (data.max(minimum), minimum);
        self.oracle.pass(self.now, self.times);
    }

    /// PowerDNS's rules of who signs what, as measured.
    fn serve(&mut self) {
        let reference = |id: &u64, key: &SimKey| (*id, key.algorithm);
        let active = |role: Role| self.keys.iter().filter(move |(_, key)| key.visible.active && key.role == role);
        let listed: BTreeSet<KeyRef> =
            self.keys.iter().filter(|(_, key)| key.visible.published).map(|(id, key)| reference(id, key)).collect();
        let algorithms: BTreeSet<u8> =
            self.keys.values().filter(|key| key.visible.active).map(|key| key.algorithm).collect();
        let (mut sign_keys, mut sign_data) = (BTreeSet::new(), BTreeSet::new());
        for algorithm in algorithms {
            let of = |role: Role| -> BTreeSet<KeyRef> {
                let keys = active(role).filter(|(_, key)| key.algorithm == algorithm);
                keys.map(|(id, key)| reference(id, key)).collect()
            };
            let (ksks, zsks) = (of(Role::Ksk), of(Role::Zsk));
            sign_keys.extend(if ksks.is_empty() { zsks.clone() } else { ksks.clone() });
            sign_data.extend(if zsks.is_empty() { ksks } else { zsks });
        }
        self.oracle.has(0, Thing::Dnskey { listed, signers: sign_keys });
        self.oracle.has(0, Thing::Data(sign_data));
        for (server, ds) in self.parents.iter().enumerate() {
            let keys = ds.iter().map(|ds| self.known.get(ds).copied().unwrap_or((0, ds.algorithm))).collect();
            self.oracle.has(server + 1, Thing::Ds(keys));
        }
        self.check();
    }

    fn server_keys(&self) -> Vec<ServerKey> {
        let key = |(id, key): (&u64, &SimKey)| ServerKey {
            id: *id,
            flags: key.dnskey.flags,
            key_tag: key.dnskey.key_tag(),
            visible: key.visible,
        };
        self.keys.iter().map(key).collect()
    }

    /// One call; false: the driver is dead.
    fn call(&mut self, call: &Call) -> bool {
        match &mut self.dies_after {
            Some(0) => {
                self.dies_after = None;
                return false;
            }
            Some(left) => *left -= 1,
            None => {}
        }
        match call {
            Call::Create { index } => return self.create(*index),
            Call::Set { id, visible } => self.keys.get_mut(id).expect("a key").visible = *visible,
            Call::Delete { id } => drop(self.keys.remove(id)),
            Call::SetDenial => assert!(self.keys.values().any(|key| key.visible.active), "needs an active key"),
            Call::ClearDenial => assert!(self.keys.is_empty()),
        }
        self.serve();
        true
    }

    fn create(&mut self, index: usize) -> bool {
        let row = self.row.as_mut().expect("a row");
        let id = self.next_id;
        self.next_id += 1;
        let key = &mut row.keys[index];
        let flags = if key.role == Role::Ksk { 257 } else { 256 };
        let dnskey = Dnskey { flags, algorithm: key.algorithm.number(), public_key: id.to_be_bytes().to_vec() };
        let sim = SimKey {
            role: key.role,
            algorithm: key.algorithm.number(),
            visible: Visible::NOT_AT_ALL,
            dnskey: dnskey.clone(),
        };
        for digest_type in crate::dns::dnssec::DigestType::ALL {
            self.known.insert(Ds::of(&self.zone, &dnskey, digest_type), (id, key.algorithm.number()));
        }
        self.keys.insert(id, sim);
        // the worst moment to die: the key is there, and nobody knows its id
        if self.dies_after == Some(0) {
            self.dies_after = None;
            return false;
        }
        (key.id, key.dnskey) = (Some(id), Some(dnskey));
        true
    }

    /// Does what is due until there is nothing to do, or the driver dies.
    pub fn drive(&mut self) {
        const STEPS_MAX: usize = 200;
        for _ in 0..STEPS_MAX {
            let Some(row) = self.row.clone() else { return };
            let (time, ttls) = (self.time(), self.ttls());
            let row = row.with_ttls(ttls, &self.policy);
            match row.next(&self.zone, time, &self.policy) {
                Next::Apply => {
                    self.row = Some(row);
                    if !self.apply() {
                        return;
                    }
                }
                Next::Verify => self.row = Some(row.verified(time, &self.policy)),
                Next::AskParent => self.row = Some(row.observe(&self.look(), &self.policy)),
                Next::Become(next) => self.row = Some(Signing { ttls, ..*next }),
                Next::Wait(_) => {
                    self.row = Some(row);
                    return;
                }
            }
        }
        panic!("no end to it: {:?}", self.row);
    }

    fn apply(&mut self) -> bool {
        loop {
            let row = self.row.clone().expect("a row");
            let calls = plan::calls(&row, &self.server_keys()).expect("no trouble");
            let creates = calls.iter().any(|call| matches!(call, Call::Create { .. }));
            if !calls.iter().all(|call| self.call(call)) {
                return false;
            }
            if !creates {
                break;
            }
        }
        let row = self.row.take().expect("a row");
        if row.phase != Phase::Unsigning {
            self.row = Some(row.applied(self.time()));
        }
        true
    }

    pub fn look(&self) -> Look {
        let server = |(n, ds): (usize, &BTreeSet<Ds>)| ServerLook {
            server: format!("ns{n}"),
            ds: (self.silent != Some(n)).then(|| ds.iter().cloned().collect()),
            ttl: (self.silent != Some(n) && !ds.is_empty()).then_some(self.times.ds as u32),
        };
        Look { at: self.time(), servers: self.parents.iter().enumerate().map(server).collect() }
    }

    pub fn enable(&mut self, algorithm: Algorithm) {
        if self.row.is_none() {
            let row = Signing::enable(algorithm, Denial::Narrow, self.time());
            self.row = Some(row.with_ttls(self.ttls(), &self.policy));
            self.drive();
        }
    }

    /// Somebody asks for something; what is refused changes nothing.
    pub fn ask(&mut self, ask: impl FnOnce(&Signing, &Self) -> Result<Signing, Refused>) -> Result<(), Refused> {
        let Some(row) = self.row.clone() else { return Err(Refused::NothingToConfirm) };
        let next = ask(&row.with_ttls(self.ttls(), &self.policy), self)?;
        self.row = Some(next.with_ttls(self.ttls(), &self.policy));
        self.drive();
        Ok(())
    }

    pub fn rotate_zsk(&mut self) -> Result<(), Refused> {
        self.ask(|row, world| row.rotate_zsk(&world.zone, world.time(), &world.policy))
    }

    pub fn rotate_ksk(&mut self, algorithm: Option<Algorithm>) -> Result<(), Refused> {
        self.ask(|row, world| row.rotate_ksk(&world.zone, algorithm, world.time(), &world.policy))
    }

    pub fn confirm(&mut self) -> Result<(), Refused> {
        self.ask(|row, world| row.confirm_ds(&world.zone, Some(&world.look()), world.time(), &world.policy))
    }

    /// Confirms without a look.
    pub fn vouch(&mut self) -> Result<(), Refused> {
        self.ask(|row, world| row.confirm_ds(&world.zone, None, world.time(), &world.policy))
    }

    pub fn disable(&mut self) -> Result<(), Refused> {
        self.ask(|row, world| {
            let look = world.look();
            row.may_unsign(&look, &world.policy)?;
            Ok(row.unsign(world.time()))
        })
    }

    /// Like a front end does it: what was seen at the parent is kept also where it is refused.
    pub fn look_and_disable(&mut self) -> Result<(), Refused> {
        self.look_and_keep();
        self.disable()
    }

    pub fn look_and_keep(&mut self) {
        let look = self.look();
        self.row = self.row.take().map(|row| row.observe(&look, &self.policy));
    }

    pub fn remove_ds(&mut self) -> Result<(), Refused> {
        self.ask(|row, world| row.remove_ds(world.time()))
    }

    /// A zone whose only key signs everything.
    pub fn sign_by_one_key(&mut self, algorithm: Algorithm) {
        let mut row = Signing::enable(algorithm, Denial::Narrow, self.time());
        row.keys.retain(|key| key.role == Role::Ksk);
        self.row = Some(row.with_ttls(self.ttls(), &self.policy));
        self.drive();
    }

    /// The owner adds what he is asked to add, before the time that he is told.
    pub fn add_too_early(&mut self, server: usize) {
        let Some(row) = &self.row else { return };
        let mut ds = self.parents[server].clone();
        let asked = row.ds_records(&self.zone, &self.policy);
        // where there is none yet, only what is in no cache may break
        if !ds.is_empty() {
            ds.extend(asked.into_iter().filter(|record| record.action == Action::Add).map(|record| record.ds));
        }
        self.set_parent(server, ds);
    }

    /// The owner does at one server of the parent what is asked of him. `only_add`: what is to go stays for now.
    pub fn do_as_asked(&mut self, server: usize, only_add: bool) {
        let Some(row) = &self.row else { return };
        let asked = row.ds_records(&self.zone, &self.policy);
        let now = self.time();
        let mut ds = self.parents[server].clone();
        for record in asked.iter().filter(|record| record.not_before.is_none_or(|from| from <= now)) {
            match record.action {
                Action::Add => drop(ds.insert(record.ds.clone())),
                Action::Remove if !only_add => drop(ds.remove(&record.ds)),
                Action::Keep | Action::Remove => {}
            }
        }
        self.set_parent(server, ds);
    }

    pub fn set_parent(&mut self, server: usize, ds: BTreeSet<Ds>) {
        if self.parents[server] == ds {
            return;
        }
        if self.now - self.parents_since[server] <= self.policy.unwatched.whole_seconds() {
            // a DS that comes and goes between two looks is not known of, and nobody can wait for it
            let silent = self.silent.take();
            self.look_and_keep();
            self.silent = silent;
        }
        self.parents_since[server] = self.now;
        self.parents[server] = ds;
        self.serve();
    }

    pub fn parent(&self, server: usize) -> &BTreeSet<Ds> {
        &self.parents[server]
    }

    pub fn parents(&self) -> usize {
        self.parents.len()
    }

    pub fn phase(&self) -> Option<Phase> {
        self.row.as_ref().map(|row| row.phase)
    }

    /// Roles and ages of what PowerDNS has.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// The id of a key in use.
    pub fn current(&self, role: Role) -> Option<u64> {
        self.row.as_ref()?.key(role, Age::Current)?.id
    }

    /// Lets everything that is due happen, with an owner who does what is asked, until nothing changes any more.
    pub fn settle(&mut self) {
        const ROUNDS: usize = 80;
        self.dies_after = None;
        self.silent = None;
        for _ in 0..ROUNDS {
            self.drive();
            for server in 0..self.parents() {
                self.do_as_asked(server, false);
            }
            self.pass(5);
        }
        self.drive();
        if self.phase() == Some(Phase::DsGone) {
            self.wait_for_unseen();
        }
    }

    /// Until a DS that nobody saw, and that may have been there, has left all caches; the parent is looked at meanwhile.
    pub fn wait_for_unseen(&mut self) {
        const UNSEEN: i64 = 100_000;
        const STEP: i64 = 50;
        for _ in 0..UNSEEN / STEP {
            self.pass(STEP);
            self.drive();
        }
    }
}
