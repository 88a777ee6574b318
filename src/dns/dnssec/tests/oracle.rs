//! The worst-case cache oracle: every DS, DNSKEY RRset and signed RRset that any server has ever given is taken as
//! cached for its whole TTL, in every combination. Each combination that may exist must have a chain of trust.
//!
//! Keys that were once found secure are so for as long as they are cached, also when the DS that led to them has left
//! the cache meanwhile (RFC 4035 bounds neither by the other; unbound keeps them so).

use std::collections::{BTreeMap, BTreeSet};

/// A key as the oracle knows it: its number, and its algorithm.
pub type KeyRef = (u64, u8);

/// A thing that is given out and cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    /// The keys that a server of the parent points to; empty: the zone is insecure for whoever has this.
    Ds(BTreeSet<KeyRef>),
    /// Who is in the DNSKEY RRset, and who has signed it.
    Dnskey { listed: BTreeSet<KeyRef>, signers: BTreeSet<KeyRef> },
    /// Who has signed the data, denials included.
    Data(BTreeSet<KeyRef>),
}

/// One thing at one server, from when it is given to when the last cache drops it.
#[derive(Clone, Debug)]
struct Item {
    server: usize,
    thing: Thing,
    /// When it stopped being what the server has; it may be given for a while longer, out of the server's caches.
    ended: Option<i64>,
    expires: i64,
}

/// TTLs of the moment.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub ds: i64,
    pub dnskey: i64,
    pub data: i64,
    /// How long a server may give what it no longer has.
    pub lag: i64,
}

/// Keys that somebody has found secure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Trusted {
    /// Of the DS set that led to them.
    algorithms: BTreeSet<u8>,
    listed: BTreeSet<KeyRef>,
}

#[derive(Clone, Debug, Default)]
pub struct Oracle {
    items: Vec<Item>,
    /// With the moment at which the last cache drops them.
    trusted: BTreeMap<Trusted, i64>,
    now: i64,
}

impl Oracle {
    /// Time passes while nothing changes.
    pub fn pass(&mut self, to: i64, times: Times) {
        for item in &mut self.items {
            let ttl = match item.thing {
                Thing::Ds(_) => times.ds,
                Thing::Dnskey { .. } => times.dnskey,
                Thing::Data(_) => times.data,
            };
            let lag = if matches!(item.thing, Thing::Ds(_)) { 0 } else { times.lag };
            let given_until = item.ended.map_or(to, |ended| (ended + lag).min(to));
            if item.ended.is_none_or(|ended| ended + lag >= self.now) {
                item.expires = item.expires.max(given_until + ttl);
            }
        }
        self.trust(to, times);
        self.now = to;
        let may_give = |item: &Item| item.ended.is_none_or(|ended| ended + times.lag > to);
        self.items.retain(|item| may_give(item) || item.expires > to);
    }

    /// What a validator finds secure until then it keeps as long as it keeps the keys.
    fn trust(&mut self, to: i64, times: Times) {
        for ds in &self.items {
            let Thing::Ds(wanted) = &ds.thing else { continue };
            let known_until = ds.expires.min(to);
            for keys in &self.items {
                let Thing::Dnskey { listed, signers } = &keys.thing else { continue };
                if known_until >= self.now && wanted.iter().any(|key| listed.contains(key) && signers.contains(key)) {
                    let algorithms = wanted.iter().map(|key| key.1).collect();
                    let until = self.trusted.entry(Trusted { algorithms, listed: listed.clone() }).or_default();
                    *until = (*until).max(keys.expires.min(known_until + times.dnskey));
                }
            }
        }
        self.trusted.retain(|_, until| *until > to);
    }

    /// What a server has from now on.
    pub fn has(&mut self, server: usize, thing: Thing) {
        let same_kind = |item: &&mut Item| {
            item.server == server
                && item.ended.is_none()
                && std::mem::discriminant(&item.thing) == std::mem::discriminant(&thing)
        };
        if let Some(item) = self.items.iter_mut().find(same_kind) {
            if item.thing == thing {
                return;
            }
            item.ended = Some(self.now);
        }
        self.items.push(Item { server, thing, ended: None, expires: self.now });
    }

    /// A combination without a chain, if there may be one now. `strict`: each algorithm of the DS set must have one.
    pub fn violation(&self, strict: bool) -> Option<String> {
        let (mut ds_sets, mut key_sets, mut data) = (Vec::new(), Vec::new(), Vec::new());
        for item in &self.items {
            match &item.thing {
                Thing::Ds(ds) => ds_sets.push(ds),
                Thing::Dnskey { listed, signers } => key_sets.push((listed, signers)),
                Thing::Data(signers) => data.push(signers),
            }
        }
        for ds in ds_sets.into_iter().filter(|ds| !ds.is_empty()) {
            for (listed, signers) in &key_sets {
                for signed_by in &data {
                    if !has_chain(ds, listed, signers, signed_by, strict) {
                        return Some(format!(
                            "at {}: DS {ds:?}, DNSKEY {listed:?} signed by {signers:?}, data signed by {signed_by:?}",
                            self.now
                        ));
                    }
                }
            }
        }
        for Trusted { algorithms, listed } in self.trusted.keys() {
            for signed_by in &data {
                let by = |algorithm: Option<u8>| {
                    let of = |key: &&KeyRef| algorithm.is_none_or(|wanted| wanted == key.1);
                    signed_by.iter().filter(of).any(|key| listed.contains(key))
                };
                let holds = if strict { algorithms.iter().all(|algorithm| by(Some(*algorithm))) } else { by(None) };
                if !holds {
                    return Some(format!("at {}: trusted {listed:?}, data signed by {signed_by:?}", self.now));
                }
            }
        }
        None
    }
}

type Keys = BTreeSet<KeyRef>;

fn has_chain(ds: &Keys, listed: &Keys, signers: &Keys, signed_by: &Keys, strict: bool) -> bool {
    let chain = |algorithm: Option<u8>| {
        let of = |key: &&KeyRef| algorithm.is_none_or(|wanted| wanted == key.1);
        let entered = ds.iter().filter(of).any(|key| listed.contains(key) && signers.contains(key));
        entered && signed_by.iter().filter(of).any(|key| listed.contains(key))
    };
    if strict { ds.iter().all(|(_, algorithm)| chain(Some(*algorithm))) } else { chain(None) }
}
