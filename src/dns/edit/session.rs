//! One group on its way: its operations in order, the memory of what stood there, and the outcome.

use std::collections::{BTreeMap, HashMap};

use super::neighbours::NamedHosts;
use super::rules::{self, Introduced};
use super::{
    CONFLICT_MESSAGE, EditContext, Operation, OperationError, OperationOutcome, RecordState, Refused, TTL_MAX,
};
use crate::dns::error::{FieldError, Warning};
use crate::dns::owner_name::OwnerName;
use crate::dns::rdata::{self, Neighbourhood, Owner, Soa};
use crate::dns::record_type::RecordType;
use crate::dns::rrset::{Record, RecordRef, Rrset, RrsetChange, RrsetKey};
use crate::dns::zone_content::ZoneContent;

/// Below a minute resolvers ask all the time, above a week an error stays for a week.
const TTL_SENSIBLE_MIN: u32 = 60;
const TTL_SENSIBLE_MAX: u32 = 604_800;

pub(super) struct Session<'a> {
    content: &'a mut ZoneContent,
    context: EditContext,
    /// What stood at each RRset before the group first touched it.
    originals: BTreeMap<RrsetKey, Option<Rrset>>,
    /// The last operation on each RRset.
    last_touch: HashMap<RrsetKey, usize>,
    /// The last operation that left each record as it is.
    made_by: HashMap<RecordRef, usize>,
}

impl<'a> Session<'a> {
    pub(super) fn new(content: &'a mut ZoneContent, context: EditContext) -> Self {
        Self { content, context, originals: BTreeMap::new(), last_touch: HashMap::new(), made_by: HashMap::new() }
    }

    /// Applies all but those that are refused already. Those at fault by themselves join them and change nothing.
    pub(super) fn take(&mut self, operations: &[Operation], refused: &mut Refused) -> Vec<Option<OperationOutcome>> {
        let mut outcomes = Vec::with_capacity(operations.len());
        for (index, operation) in operations.iter().enumerate() {
            let outcome = if refused.contains_key(&index) { None } else { self.take_one(index, operation, refused) };
            outcomes.push(outcome);
        }
        outcomes
    }

    pub(super) fn take_one(
        &mut self,
        index: usize,
        operation: &Operation,
        refused: &mut Refused,
    ) -> Option<OperationOutcome> {
        match self.apply_one(operation) {
            Ok(outcome) => {
                self.remember(index, &outcome);
                Some(outcome)
            }
            Err(error) => {
                refused.insert(index, error);
                None
            }
        }
    }

    /// The net effect; what is to be said of an RRset as a whole is said with the last operation on it.
    pub(super) fn finish(&self, outcomes: &mut [Option<OperationOutcome>]) -> Vec<RrsetChange> {
        let changes = self.changes();
        for change in &changes {
            let last = self.last_touch.get(&change.key).and_then(|index| outcomes.get_mut(*index));
            if let Some(Some(outcome)) = last {
                outcome.warnings.extend(self.warnings_of(change));
            }
        }
        changes
    }

    pub(super) fn roll_back(self) {
        for (key, original) in self.originals {
            self.content.set(key, original);
        }
    }

    fn apply_one(&mut self, operation: &Operation) -> Result<OperationOutcome, OperationError> {
        match operation {
            Operation::Add { name, record_type, content, ttl, disabled } => {
                self.add(name, record_type, content, *ttl, *disabled)
            }
            Operation::Update { target, content, ttl, disabled } => {
                self.update(target, content.as_deref(), *ttl, *disabled)
            }
            Operation::SetTtl { target, ttl } => self.set_ttl(target, *ttl),
            Operation::SetPrimary { target, primary } => self.set_primary(target, primary),
            Operation::Delete { target } => self.delete(target),
        }
    }

    fn add(
        &mut self,
        name: &OwnerName,
        record_type: &RecordType,
        content: &str,
        ttl: Option<u32>,
        disabled: bool,
    ) -> Result<OperationOutcome, OperationError> {
        let key = RrsetKey { name: name.clone(), record_type: record_type.clone() };
        self.check_owner(&key)?;
        let (canonical, mut warnings) = rdata::canonical(record_type, content, self.content.zone())?;
        warnings.extend(ttl.map(check_ttl).transpose()?.flatten());
        let reference = RecordRef { key: key.clone(), content: canonical };
        let standing = self.content.get(&key);
        if standing.is_some_and(|rrset| rrset.find(&reference.content).is_some()) {
            return Err(conflict("content", vec![reference]));
        }
        let ttl = self.modify(&key, |rrset| {
            warnings.extend(ttl.and_then(|ttl| set_ttl(rrset, ttl, 0)));
            rrset.records.push(Record { content: reference.content.clone(), disabled });
            rrset.ttl
        });
        Ok(OperationOutcome { before: None, after: Some(RecordState { reference, ttl, disabled }), warnings })
    }

    fn update(
        &mut self,
        target: &RecordRef,
        content: Option<&str>,
        ttl: Option<u32>,
        disabled: Option<bool>,
    ) -> Result<OperationOutcome, OperationError> {
        let (position, before) = self.find(target)?;
        let old = &before.reference.content;
        let is_soa = target.key.record_type == RecordType::Soa;
        if is_soa && disabled == Some(true) {
            return Err(FieldError::new("disabled", "the SOA cannot be disabled").into());
        }
        let (canonical, mut warnings) = match content {
            // The very text that stands there is no change, even where it is not of a form we would accept.
            Some(text) if text.trim_matches(' ') != old => {
                let (canonical, warnings) = rdata::canonical(&target.key.record_type, text, self.content.zone())?;
                if is_soa { merge_soa(old, &canonical, warnings)? } else { (canonical, warnings) }
            }
            _ => (old.clone(), Vec::new()),
        };
        warnings.extend(ttl.map(check_ttl).transpose()?.flatten());
        let reference = RecordRef { key: target.key.clone(), content: canonical };
        let is_taken = |rrset: &Rrset| rrset.find(&reference.content).is_some();
        if reference.content != *old && self.content.get(&target.key).is_some_and(is_taken) {
            return Err(conflict("content", vec![reference]));
        }
        let disabled = disabled.unwrap_or(before.disabled);
        let ttl = self.modify(&target.key, |rrset| {
            warnings.extend(ttl.and_then(|ttl| set_ttl(rrset, ttl, 1)));
            rrset.records[position] = Record { content: reference.content.clone(), disabled };
            rrset.ttl
        });
        let after = RecordState { reference, ttl, disabled };
        Ok(OperationOutcome { before: Some(before), after: Some(after), warnings })
    }

    fn set_ttl(&mut self, target: &RecordRef, ttl: u32) -> Result<OperationOutcome, OperationError> {
        let (_, before) = self.find(target)?;
        let warnings = check_ttl(ttl)?.into_iter().collect();
        self.modify(&target.key, |rrset| rrset.ttl = ttl);
        let after = RecordState { ttl, ..before.clone() };
        Ok(OperationOutcome { before: Some(before), after: Some(after), warnings })
    }

    fn set_primary(&mut self, target: &RecordRef, primary: &str) -> Result<OperationOutcome, OperationError> {
        let (position, before) = self.find(target)?;
        let soa = Soa { mname: primary.to_owned(), ..Soa::parse(&before.reference.content)? };
        let reference = RecordRef { key: target.key.clone(), content: soa.to_string() };
        self.modify(&target.key, |rrset| rrset.records[position].content.clone_from(&reference.content));
        let after = RecordState { reference, ..before.clone() };
        Ok(OperationOutcome { before: Some(before), after: Some(after), warnings: Vec::new() })
    }

    fn delete(&mut self, target: &RecordRef) -> Result<OperationOutcome, OperationError> {
        let (position, before) = self.find(target)?;
        if target.key.record_type == RecordType::Soa {
            return Err(FieldError::record_type("the SOA cannot be deleted").into());
        }
        self.modify(&target.key, |rrset| rrset.records.remove(position));
        Ok(OperationOutcome { before: Some(before), after: None, warnings: Vec::new() })
    }

    /// What must hold of a new record's name and type before its content is looked at.
    fn check_owner(&self, key: &RrsetKey) -> Result<(), OperationError> {
        let zone = self.content.zone();
        let RrsetKey { name, record_type } = key;
        if !name.is_in(zone) {
            return Err(FieldError::name(format!("'{name}' is not in the zone '{zone}'")).into());
        }
        if name.is_reserved(zone) {
            return Err(FieldError::name(format!("'{name}' is reserved")).into());
        }
        if record_type.is_managed(self.context.signed) {
            return Err(managed(record_type).into());
        }
        if *record_type == RecordType::Alias && !self.context.expands_alias {
            let message = "an ALIAS would not be answered: PowerDNS does not expand it (expand-alias)";
            return Err(FieldError::record_type(message).into());
        }
        if let Some(definition) = record_type.definition() {
            definition.check_owner(&Owner { name, zone, signed: self.context.signed })?;
        }
        if *record_type == RecordType::Soa {
            return Err(match self.content.get(key) {
                Some(rrset) if !self.context.pending => conflict("type", rules::references(key, rrset).collect()),
                _ => FieldError::record_type("the SOA is made by the platform").into(),
            });
        }
        Ok(())
    }

    /// The position and state of a record that the caller may edit.
    fn find(&self, target: &RecordRef) -> Result<(usize, RecordState), OperationError> {
        let RecordRef { key, content } = target;
        // Names that ScaiDNS keeps for itself are nobody's to see.
        let rrset = self.content.get(key).filter(|_| !key.name.is_reserved(self.content.zone()));
        let rrset = rrset.ok_or(OperationError::NotFound)?;
        let position = match key.record_type {
            RecordType::Soa => Some(0),
            _ => rrset.position(content).ok(),
        };
        let position = position.ok_or(OperationError::NotFound)?;
        if key.record_type.is_managed(self.context.signed) {
            return Err(managed(&key.record_type).into());
        }
        let Record { content, disabled } = rrset.records[position].clone();
        let reference = RecordRef { key: key.clone(), content };
        Ok((position, RecordState { reference, ttl: rrset.ttl, disabled }))
    }

    /// Changes an RRset in place, or a new one; what stood there is remembered the first time.
    fn modify<T>(&mut self, key: &RrsetKey, change: impl FnOnce(&mut Rrset) -> T) -> T {
        let standing = self.content.set(key.clone(), None);
        self.originals.entry(key.clone()).or_insert_with(|| standing.clone());
        let mut rrset = standing.unwrap_or(Rrset { ttl: self.context.default_ttl, records: Vec::new() });
        let result = change(&mut rrset);
        self.content.set(key.clone(), Some(rrset));
        result
    }

    fn remember(&mut self, index: usize, outcome: &OperationOutcome) {
        for state in [&outcome.before, &outcome.after].into_iter().flatten() {
            self.last_touch.insert(state.reference.key.clone(), index);
        }
        if let Some(after) = &outcome.after {
            self.made_by.insert(after.reference.clone(), index);
        }
    }

    /// [`Self::check`] with the hosts that are named now.
    pub(super) fn check_all(&self) -> Result<(), (usize, OperationError)> {
        self.check(&NamedHosts::of(self.content))
    }

    /// What must hold between records, as they stand now.
    ///
    /// # Errors
    /// An operation that breaks it: of two that exclude each other the later one.
    pub(super) fn check(&self, hosts: &NamedHosts) -> Result<(), (usize, OperationError)> {
        let mut introduced = Vec::new();
        for (key, original) in &self.originals {
            let Some(rrset) = self.content.get(key) else { continue };
            let newly_served = !original.as_ref().is_some_and(Rrset::is_enabled);
            for record in &rrset.records {
                let old = original.as_ref().and_then(|rrset| rrset.find(&record.content));
                if old.is_some_and(|old| !old.disabled || record.disabled) {
                    continue;
                }
                let reference = RecordRef { key: key.clone(), content: record.content.clone() };
                let operation = self.made_by.get(&reference).copied().unwrap_or_default();
                introduced.push(Introduced { reference, enabled: !record.disabled, newly_served, operation });
            }
        }
        // The latest first: of two that exclude each other it is the one to blame.
        introduced.sort_by_key(|introduced| std::cmp::Reverse(introduced.operation));
        rules::check_introduced(self.content, &introduced, hosts)?;
        for (key, original) in &self.originals {
            let index = self.last_touch.get(key).copied().unwrap_or_default();
            rules::check_rrset(self.content, key, original.as_ref(), &self.context).map_err(|error| (index, error))?;
        }
        Ok(())
    }

    fn changes(&self) -> Vec<RrsetChange> {
        self.originals
            .iter()
            .filter(|(key, original)| self.content.get(key) != original.as_ref())
            .map(|(key, original)| RrsetChange {
                key: key.clone(),
                before: original.clone(),
                after: self.content.get(key).cloned(),
            })
            .collect()
    }

    fn warnings_of(&self, change: &RrsetChange) -> Vec<Warning> {
        let RrsetChange { key, before: _, after } = change;
        let is_apex_ns = key.record_type == RecordType::Ns && key.name.is_apex(self.content.zone());
        match (after, key.record_type.definition()) {
            (Some(rrset), Some(definition)) if rrset.is_enabled() => {
                // Until the zone goes live, the platform's name servers are not among them.
                if is_apex_ns && self.context.pending {
                    return Vec::new();
                }
                let around = Neighbourhood { zone: self.content, signed: self.context.signed };
                definition.warnings(&key.name, rrset, &around)
            }
            _ => Vec::new(),
        }
    }
}

fn managed(record_type: &RecordType) -> FieldError {
    FieldError::record_type(format!("records of type {record_type} are managed by the platform"))
}

pub(super) fn conflict(field: &'static str, conflicts: Vec<RecordRef>) -> OperationError {
    OperationError::Conflict { message: CONFLICT_MESSAGE.to_owned(), field, conflicts }
}

fn check_ttl(ttl: u32) -> Result<Option<Warning>, FieldError> {
    if ttl > TTL_MAX {
        return Err(FieldError::new("ttl", format!("ttl must be from 0 to {TTL_MAX}")));
    }
    Ok(match ttl {
        ..TTL_SENSIBLE_MIN => Some(Warning::new("ttl", format!("a ttl below {TTL_SENSIBLE_MIN} is hardly cached"))),
        TTL_SENSIBLE_MIN..=TTL_SENSIBLE_MAX => None,
        _ => Some(Warning::new("ttl", format!("a ttl over {TTL_SENSIBLE_MAX} keeps errors for more than a week"))),
    })
}

/// Gives the RRset a TTL, and says so when others than the `own` records of the operation take it too.
fn set_ttl(rrset: &mut Rrset, ttl: u32, own: usize) -> Option<Warning> {
    if rrset.ttl == ttl {
        return None;
    }
    let siblings = rrset.records.len().saturating_sub(own);
    rrset.ttl = ttl;
    (siblings > 0).then(|| {
        let message = format!("the ttl is the RRset's (RFC 2181); {siblings} other records of it take {ttl}, too");
        Warning::new("ttl", message)
    })
}

/// A caller's SOA over the one that stands: the primary name server and the serial stay.
fn merge_soa(old: &str, new: &str, mut warnings: Vec<Warning>) -> Result<(String, Vec<Warning>), FieldError> {
    let mut soa = Soa::parse(new)?;
    if let Ok(standing) = Soa::parse(old) {
        if soa.mname != standing.mname {
            let message = format!("the primary name server of the SOA stays '{}'", standing.mname);
            return Err(FieldError::content(message));
        }
        if soa.serial != standing.serial {
            warnings.push(Warning::content(format!("the serial is the platform's and stays {}", standing.serial)));
            soa.serial = standing.serial;
        }
    }
    Ok((soa.to_string(), warnings))
}
