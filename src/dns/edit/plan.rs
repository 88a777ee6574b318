//! From what an RRset is to become, or which of its values come and go, to the operations on single records that lead
//! there from what stands. Nothing is changed or checked here: what cannot be is refused when the operations are applied.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Operation;
use crate::dns::rdata;
use crate::dns::record_type::RecordType;
use crate::dns::rrset::{RecordRef, Rrset, RrsetKey};
use crate::dns::zone_content::ZoneContent;

/// What is to happen to one RRset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RrsetEdit {
    pub key: RrsetKey,
    pub how: RrsetHow,
    /// None: as it is, or the zone's default for a new RRset.
    pub ttl: Option<u32>,
    pub values: Vec<RrsetValue>,
}

/// What the values of an edit mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RrsetHow {
    /// The RRset becomes exactly these; none of them: it goes.
    Exactly,
    /// These come to what stands there.
    Add,
    /// These are there and as they are said to be; others stay.
    Merge,
    /// Those of these come that are not there; nothing that stands changes.
    Missing,
    /// These go.
    Remove,
}

/// One value, as the caller wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RrsetValue {
    pub content: String,
    pub disabled: bool,
}

impl ZoneContent {
    /// The operations of an edit. Values that stay are left alone, so that they are the same records as before; of those
    /// that go and those that come, as many as there are of both become edits of a record.
    pub fn plan(&self, edit: &RrsetEdit) -> Vec<Operation> {
        let RrsetEdit { key, how, ttl, values } = edit;
        let standing = self.get(key);
        let values = &*match how {
            RrsetHow::Exactly | RrsetHow::Merge | RrsetHow::Missing => self.distinct(key, values),
            RrsetHow::Add | RrsetHow::Remove => Cow::Borrowed(values.as_slice()),
        };
        match how {
            RrsetHow::Exactly if key.record_type == RecordType::Soa && !values.is_empty() => {
                plan_soa(key, standing, *ttl, values)
            }
            RrsetHow::Exactly => self.plan_exactly(key, standing, *ttl, values),
            // one that is emptied on the way keeps the TTL that it has
            RrsetHow::Add => additions(key, ttl.or(standing.map(|rrset| rrset.ttl)), values).collect(),
            RrsetHow::Merge => self.plan_merge(key, standing, *ttl, values),
            RrsetHow::Missing => {
                let missing: Vec<RrsetValue> =
                    values.iter().filter(|value| self.meant(key, &value.content).is_none()).cloned().collect();
                additions(key, ttl.filter(|_| standing.is_none()), &missing).collect()
            }
            RrsetHow::Remove => values
                .iter()
                .map(|value| {
                    let content = self.meant(key, &value.content).unwrap_or_else(|| value.content.clone());
                    Operation::Delete { target: RecordRef { key: key.clone(), content } }
                })
                .collect(),
        }
    }

    /// Deletes every RRset that is not named, but for what the platform keeps: SOA, apex NS, its own names, and what
    /// signing brings.
    pub fn plan_prune(&self, kept: &BTreeSet<RrsetKey>, signed: bool) -> Vec<Operation> {
        self.iter()
            .filter(|(key, _)| !kept.contains(key) && !self.is_system(key) && !key.record_type.is_managed(signed))
            .flat_map(|(key, rrset)| deletions(key, rrset))
            .collect()
    }

    /// The values without those that say the same once more, in another form perhaps.
    fn distinct<'a>(&self, key: &RrsetKey, values: &'a [RrsetValue]) -> Cow<'a, [RrsetValue]> {
        if values.len() < 2 {
            return Cow::Borrowed(values);
        }
        let mut seen = BTreeSet::new();
        let is_new = |value: &&RrsetValue| {
            let canonical = rdata::canonical(&key.record_type, &value.content, self.zone());
            seen.insert((canonical.map_or_else(|_| value.content.clone(), |(text, _)| text), value.disabled))
        };
        Cow::Owned(values.iter().filter(is_new).cloned().collect())
    }

    fn plan_exactly(
        &self,
        key: &RrsetKey,
        standing: Option<&Rrset>,
        ttl: Option<u32>,
        values: &[RrsetValue],
    ) -> Vec<Operation> {
        let mut going: BTreeMap<&str, bool> = standing
            .iter()
            .flat_map(|rrset| &rrset.records)
            .map(|record| (record.content.as_str(), record.disabled))
            .collect();
        let (mut plan, mut coming) = (Vec::new(), VecDeque::new());
        for value in values {
            let stays = self.meant(key, &value.content).and_then(|content| going.remove_entry(content.as_str()));
            match stays {
                Some((content, disabled)) if disabled != value.disabled => {
                    plan.push(update(key, content, None, value.disabled));
                }
                Some(_) => {}
                None => coming.push_back(value),
            }
        }
        let mut gone = Vec::new();
        for content in going.into_keys() {
            match coming.pop_front() {
                Some(value) => plan.push(update(key, content, Some(&value.content), value.disabled)),
                None => gone.push(Operation::Delete { target: reference(key, content) }),
            }
        }
        if !values.is_empty() {
            plan.splice(0..0, plan_ttl(key, standing, ttl));
        }
        let coming: Vec<RrsetValue> = coming.into_iter().cloned().collect();
        plan.extend(additions(key, ttl.filter(|_| standing.is_none()), &coming));
        plan.extend(gone);
        plan
    }

    fn plan_merge(
        &self,
        key: &RrsetKey,
        standing: Option<&Rrset>,
        ttl: Option<u32>,
        values: &[RrsetValue],
    ) -> Vec<Operation> {
        let mut plan = plan_ttl(key, standing, ttl);
        for value in values {
            let record = self.meant(key, &value.content).and_then(|content| standing?.find(&content));
            match record {
                Some(record) if record.disabled != value.disabled => {
                    plan.push(update(key, &record.content, None, value.disabled));
                }
                Some(_) => {}
                None => plan.extend(additions(key, ttl.filter(|_| standing.is_none()), std::slice::from_ref(value))),
            }
        }
        plan
    }

    /// The content that stands there and is meant by a caller's text, in whatever form.
    fn meant(&self, key: &RrsetKey, text: &str) -> Option<String> {
        let rrset = self.get(key)?;
        let same = text.trim_matches(' ');
        if rrset.find(same).is_some() {
            return Some(same.to_owned());
        }
        let (canonical, _) = rdata::canonical(&key.record_type, text, self.zone()).ok()?;
        rrset.find(&canonical).map(|record| record.content.clone())
    }
}

/// There is one SOA, and it is edited; more than one is refused like any second SOA.
fn plan_soa(key: &RrsetKey, standing: Option<&Rrset>, ttl: Option<u32>, values: &[RrsetValue]) -> Vec<Operation> {
    let first = standing.and_then(|rrset| rrset.records.first()).zip(values.first());
    let Some((record, value)) = first else { return additions(key, ttl, values).collect() };
    let mut plan = plan_ttl(key, standing, ttl);
    plan.push(update(key, &record.content, Some(&value.content), value.disabled));
    plan.extend(additions(key, None, &values[1..]));
    plan
}

/// The RRset's TTL first, where it stands and has another one.
fn plan_ttl(key: &RrsetKey, standing: Option<&Rrset>, ttl: Option<u32>) -> Vec<Operation> {
    let Some((ttl, rrset)) = ttl.zip(standing) else { return Vec::new() };
    let first = rrset.records.first().filter(|_| rrset.ttl != ttl);
    first.map(|record| Operation::SetTtl { target: reference(key, &record.content), ttl }).into_iter().collect()
}

/// The first one brings the TTL, the others take the RRset's.
fn additions(key: &RrsetKey, ttl: Option<u32>, values: &[RrsetValue]) -> impl Iterator<Item = Operation> {
    values.iter().enumerate().map(move |(index, value)| Operation::Add {
        name: key.name.clone(),
        record_type: key.record_type.clone(),
        content: value.content.clone(),
        ttl: ttl.filter(|_| index == 0),
        disabled: value.disabled,
    })
}

fn deletions<'a>(key: &'a RrsetKey, rrset: &'a Rrset) -> impl Iterator<Item = Operation> + 'a {
    rrset.records.iter().map(|record| Operation::Delete { target: reference(key, &record.content) })
}

fn update(key: &RrsetKey, content: &str, new: Option<&str>, disabled: bool) -> Operation {
    Operation::Update {
        target: reference(key, content),
        content: new.map(str::to_owned),
        ttl: None,
        disabled: Some(disabled),
    }
}

fn reference(key: &RrsetKey, content: &str) -> RecordRef {
    RecordRef { key: key.clone(), content: content.to_owned() }
}
