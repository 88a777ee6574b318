//! A plain model of a zone's content: what each way of changing it is to lead to, where it is not refused.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Owner name relative to the zone and type.
pub type Key = (String, String);
/// Content and whether it is disabled.
pub type Values = BTreeMap<String, bool>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rrset {
    pub ttl: u64,
    pub values: Values,
}

/// A zone but for SOA and apex NS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model(pub BTreeMap<Key, Rrset>);

/// What one RRset is to become, or which of its values come or go.
#[derive(Debug, Clone)]
pub struct Edit {
    pub op: &'static str,
    pub key: Key,
    pub ttl: Option<u64>,
    pub values: Values,
}

const DEFAULT_TTL: u64 = 3_600;

impl Model {
    pub fn add(&mut self, key: &Key, content: &str, ttl: Option<u64>, disabled: bool) {
        let rrset = self.0.entry(key.clone()).or_insert_with(|| Rrset { ttl: DEFAULT_TTL, values: Values::new() });
        rrset.ttl = ttl.unwrap_or(rrset.ttl);
        rrset.values.insert(content.to_owned(), disabled);
    }

    pub fn remove(&mut self, key: &Key, content: &str) {
        if let Some(rrset) = self.0.get_mut(key) {
            rrset.values.remove(content);
            if rrset.values.is_empty() {
                self.0.remove(key);
            }
        }
    }

    pub fn edit(&mut self, key: &Key, old: &str, new: &str, ttl: Option<u64>, disabled: Option<bool>) {
        let rrset = self.0.get_mut(key).expect("the record stands there");
        let was = rrset.values.remove(old).expect("the record stands there");
        rrset.values.insert(new.to_owned(), disabled.unwrap_or(was));
        rrset.ttl = ttl.unwrap_or(rrset.ttl);
    }

    /// Edits in one change: an RRset that is emptied on the way keeps its TTL.
    pub fn edit_rrsets(&mut self, edits: &[Edit], prune: bool) {
        let before = self.clone();
        for Edit { op, key, ttl, values } in edits {
            match *op {
                "replace" => {
                    let ttl = ttl.or(before.0.get(key).map(|rrset| rrset.ttl)).unwrap_or(DEFAULT_TTL);
                    self.0.remove(key);
                    if !values.is_empty() {
                        self.0.insert(key.clone(), Rrset { ttl, values: values.clone() });
                    }
                }
                "add" => {
                    let ttl = ttl.or(before.0.get(key).map(|rrset| rrset.ttl));
                    values.iter().for_each(|(content, disabled)| self.add(key, content, ttl, *disabled));
                }
                _ => values.keys().for_each(|content| self.remove(key, content)),
            }
        }
        if prune {
            let named: BTreeSet<&Key> = edits.iter().map(|edit| &edit.key).collect();
            self.0.retain(|key, _| named.contains(key));
        }
    }

    /// RRsets of a file.
    pub fn import(&mut self, edits: &[Edit], mode: &str) {
        let before = self.clone();
        for Edit { op: _, key, ttl, values } in edits {
            let standing = before.0.get(key);
            match mode {
                "skip_existing" => {
                    let missing = values
                        .iter()
                        .filter(|(value, _)| standing.is_none_or(|rrset| !rrset.values.contains_key(*value)));
                    let ttl = ttl.filter(|_| standing.is_none());
                    missing.for_each(|(content, disabled)| self.add(key, content, ttl, *disabled));
                }
                _ => values.iter().for_each(|(content, disabled)| self.add(key, content, *ttl, *disabled)),
            }
        }
        if mode == "replace" {
            *self = before;
            self.edit_rrsets(edits, true);
        }
    }

    /// Every RRset in which the two differ becomes what it is in `wanted`.
    pub fn put_back(&mut self, wanted: &Self, differing_from: &Self) {
        let keys: BTreeSet<&Key> = wanted.0.keys().chain(differing_from.0.keys()).collect();
        for key in keys.into_iter().filter(|key| wanted.0.get(*key) != differing_from.0.get(*key)) {
            match wanted.0.get(key) {
                Some(rrset) => drop(self.0.insert(key.clone(), rrset.clone())),
                None => drop(self.0.remove(key)),
            }
        }
    }

    /// What must hold of whatever was accepted.
    pub fn assert_sound(&self) {
        for ((name, record_type), rrset) in &self.0 {
            if record_type == "CNAME" && rrset.values.values().any(|disabled| !disabled) {
                assert_eq!(rrset.values.len(), 1, "{name} CNAME has one value");
                let beside = self.0.keys().filter(|(other, _)| other == name).count();
                assert_eq!(beside, 1, "{name} CNAME stands alone");
            }
        }
    }

    /// `name type ttl content`, of what is served.
    pub fn served(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for ((name, record_type), Rrset { ttl, values }) in &self.0 {
            let enabled = values.iter().filter(|(_, disabled)| !**disabled);
            all.extend(enabled.map(|(content, _)| format!("{name} {record_type} {ttl} {content}")));
        }
        all
    }
}

impl Edit {
    pub fn to_json(&self) -> Value {
        let Self { op: _, key: (name, record_type), ttl, values } = self;
        let records: Vec<Value> =
            values.iter().map(|(content, disabled)| json!({"content": content, "disabled": disabled})).collect();
        let mut body = json!({"name": name, "type": record_type, "records": records});
        if let Some(ttl) = ttl {
            body["ttl"] = json!(ttl);
        }
        body
    }
}
