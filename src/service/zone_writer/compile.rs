//! From what a request asks to the operations on single records that do it, in the zone as it stands.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::authz::{Denied, Permission, RecordReach, ZoneAccess};
use crate::dns::{
    EditContext, Operation, Record, RecordRef, RecordType, Rrset, RrsetChange, RrsetEdit, RrsetHow, RrsetKey,
    RrsetValue, Soa, is_same_rrset,
};
use crate::ids::RecordId;

use super::super::{Error, Refusal, Result};
use super::decide::{Deciding, Grouping, RecordOperation};
use super::nameservers::is_apex_ns;
use super::{CONFLICTS_NAMED_MAX, ZoneWrite};

/// RRsets that a message names.
const NAMED_MAX: usize = 10;

/// Where an operation on a record comes from.
pub struct Step {
    /// Its place among the operations of the request.
    pub source: usize,
    /// The id by which the request means the record.
    pub id: Option<RecordId>,
}

/// What a request comes to.
pub struct Compiled {
    pub operations: Vec<Operation>,
    /// One for each operation.
    pub steps: Vec<Step>,
    /// Operations on what is not there.
    pub refused: Vec<Refusal>,
}

impl Deciding<'_> {
    /// The operations that the caller's rights over records allow. One that they do not is refused, and the request
    /// with it unless each stands alone.
    pub(super) fn compile(&self, write: &ZoneWrite, context: &EditContext) -> Result<Compiled> {
        let room = write.operations.len();
        let (operations, steps) = (Vec::with_capacity(room), Vec::with_capacity(room));
        let mut compiled = Compiled { operations, steps, refused: Vec::new() };
        let mut changed_since = Vec::new();
        for (source, operation) in write.operations.iter().enumerate() {
            let (id, operations) = match operation {
                RecordOperation::Add { name, record_type, content, ttl, disabled } => {
                    let (name, record_type, content) = (name.clone(), record_type.clone(), content.clone());
                    let addition = Operation::Add { name, record_type, content, ttl: *ttl, disabled: *disabled };
                    (None, vec![addition])
                }
                RecordOperation::Update { id, content, ttl, disabled } => {
                    let update = self.ids.resolve(*id, self.content).map(|target| Operation::Update {
                        target,
                        content: content.clone(),
                        ttl: *ttl,
                        disabled: *disabled,
                    });
                    (Some(*id), update.into_iter().collect())
                }
                RecordOperation::Delete { id } => {
                    let target = self.ids.resolve(*id, self.content);
                    (Some(*id), target.map(|target| Operation::Delete { target }).into_iter().collect())
                }
                RecordOperation::Rrset(edit) => {
                    let planned = self.content.plan(edit);
                    // what changes nothing must not tell whether it was guessed rightly
                    if planned.is_empty() {
                        self.check_writable(&write.access, &edit.key)?;
                    }
                    (None, planned)
                }
                RecordOperation::Prune => (None, self.content.plan_prune(&named(&write.operations), context.signed)),
                RecordOperation::Nameservers => (None, self.nameserver_operations(context)),
                RecordOperation::PutBack { change, force } => {
                    self.check_readable(&write.access, &change.key)?;
                    match self.put_back(change, *force, context) {
                        Some(Ok(edit)) => (None, self.content.plan(&edit)),
                        Some(Err(key)) => {
                            changed_since.push(key);
                            continue;
                        }
                        None => continue,
                    }
                }
            };
            self.take_allowed(write, &mut compiled, (source, id), operations)?;
        }
        if changed_since.is_empty() { Ok(compiled) } else { Err(self.changed_since(&changed_since)) }
    }

    /// The operations of one part of the request, which means a record by its id or names what it is about.
    fn take_allowed(
        &self,
        write: &ZoneWrite,
        compiled: &mut Compiled,
        (source, id): (usize, Option<RecordId>),
        operations: Vec<Operation>,
    ) -> Result<()> {
        let is_absent = id.is_some() && operations.is_empty();
        let mut error = is_absent.then_some(Error::NotFound("Record"));
        for operation in operations {
            match self.allow(&write.access, &operation, id) {
                Ok(()) => {
                    compiled.steps.push(Step { source, id });
                    compiled.operations.push(operation);
                }
                Err(refused) => drop(error.get_or_insert(refused)),
            }
        }
        match (error, write.grouping) {
            (None, _) => Ok(()),
            (Some(error @ Error::NotFound(_)), Grouping::Together(_) | Grouping::EachAlone(_))
            | (Some(error @ (Error::OutOfScope { .. } | Error::Forbidden { .. })), Grouping::EachAlone(_)) => {
                compiled.refused.push(Refusal { index: source, error });
                Ok(())
            }
            (Some(error), _) => Err(error),
        }
    }

    /// Each operation needs its own permission over the record that it is about. A record that is meant by its id and
    /// may not be seen does not exist.
    fn allow(&self, access: &ZoneAccess, operation: &Operation, id: Option<RecordId>) -> Result<()> {
        let (permission, key) = match operation {
            Operation::Add { name, record_type, .. } => {
                (Permission::RecordsCreate, &RrsetKey { name: name.clone(), record_type: record_type.clone() })
            }
            Operation::Update { target, .. }
            | Operation::SetTtl { target, .. }
            | Operation::SetPrimary { target, .. } => (Permission::RecordsUpdate, &target.key),
            Operation::Delete { target } => (Permission::RecordsDelete, &target.key),
        };
        let reach = access.reach(permission);
        if reach.covers(&self.row.name, &key.name, &key.record_type) {
            return Ok(());
        }
        if id.is_some() && self.check_readable(access, key).is_err() {
            return Err(Error::NotFound("Record"));
        }
        if *reach == RecordReach::Nothing {
            return Err(Denied::Missing(permission).into());
        }
        Err(self.outside(reach, key))
    }

    /// Whether the caller may write there at all.
    fn check_writable(&self, access: &ZoneAccess, key: &RrsetKey) -> Result<()> {
        let permissions = [Permission::RecordsUpdate, Permission::RecordsCreate, Permission::RecordsDelete];
        let reaches = permissions.map(|permission| access.reach(permission));
        if reaches.iter().any(|reach| reach.covers(&self.row.name, &key.name, &key.record_type)) {
            return Ok(());
        }
        match reaches.iter().find(|reach| ***reach != RecordReach::Nothing) {
            Some(reach) => Err(self.outside(reach, key)),
            None => Err(Denied::Missing(Permission::RecordsUpdate).into()),
        }
    }

    fn check_readable(&self, access: &ZoneAccess, key: &RrsetKey) -> Result<()> {
        let reach = access.reach(Permission::RecordsRead);
        let is_readable = reach.covers(&self.row.name, &key.name, &key.record_type);
        if is_readable { Ok(()) } else { Err(self.outside(reach, key)) }
    }

    fn outside(&self, reach: &RecordReach, key: &RrsetKey) -> Error {
        let zone = &self.row.name;
        let field = if reach.covers_name(zone, &key.name) { "type" } else { "name" };
        let (name, record_type) = (key.name.display_name(zone), &key.record_type);
        let message = format!("Your access to this domain does not cover {name} {record_type}");
        Error::OutOfScope { message, field }
    }

    /// What puts an RRset back as it was; nothing to do where it is so, or where the platform keeps it. An error where
    /// it no longer stands as the change left it.
    fn put_back<'a>(
        &self,
        change: &'a RrsetChange,
        force: bool,
        context: &EditContext,
    ) -> Option<std::result::Result<RrsetEdit, &'a RrsetKey>> {
        let RrsetChange { key, before, after: left } = change;
        let wanted = self.with_nameservers_of_now(key, before.as_ref());
        let wanted = wanted.as_deref();
        let is_kept = key.record_type.is_managed(context.signed) || (wanted.is_none() && self.content.is_system(key));
        let standing = self.content.get(key);
        if is_kept || is_same_rrset(key, standing, wanted) {
            return None;
        }
        if !force && !is_same_rrset(key, standing, left.as_ref()) {
            return Some(Err(key));
        }
        let ttl = wanted.map(|rrset| rrset.ttl);
        let values = wanted.iter().flat_map(|rrset| &rrset.records);
        let values = values.map(|record| RrsetValue {
            content: self.put_back_content(key, &record.content),
            disabled: record.disabled && key.record_type != RecordType::Soa,
        });
        Some(Ok(RrsetEdit { key: key.clone(), how: RrsetHow::Exactly, ttl, values: values.collect() }))
    }

    /// What was, but for nameservers of the platform that it no longer has: those of now are in their places.
    fn with_nameservers_of_now<'a>(&self, key: &RrsetKey, before: Option<&'a Rrset>) -> Option<Cow<'a, Rrset>> {
        let before = before?;
        let set = self.platform.filter(|_| is_apex_ns(self.row, key)).map(|platform| &platform.nameservers);
        let Some(values) = set.and_then(|set| set.apex(before, None)) else { return Some(Cow::Borrowed(before)) };
        let record = |RrsetValue { content, disabled }| Record { content, disabled };
        Some(Cow::Owned(Rrset { ttl: before.ttl, records: values.into_iter().map(record).collect() }))
    }

    /// Of an SOA the timers are put back; its primary and serial are the platform's.
    fn put_back_content(&self, key: &RrsetKey, content: &str) -> String {
        let standing = self.content.get(key).and_then(|rrset| rrset.records.first());
        match (Soa::parse(content), standing.map(|record| Soa::parse(&record.content))) {
            (Ok(soa), Some(Ok(standing))) if key.record_type == RecordType::Soa => {
                Soa { mname: standing.mname, serial: standing.serial, ..soa }.to_string()
            }
            _ => content.to_owned(),
        }
    }

    fn changed_since(&self, keys: &[&RrsetKey]) -> Error {
        let mut names: Vec<String> =
            keys.iter().take(NAMED_MAX).map(|key| format!("{} {}", key.name, key.record_type)).collect();
        if keys.len() > NAMED_MAX {
            names.push(format!("and {} more", keys.len() - NAMED_MAX));
        }
        let standing = keys.iter().filter_map(|key| Some((*key, self.content.get(key)?)));
        let references = standing.flat_map(|(key, rrset)| {
            rrset.records.iter().map(|record| RecordRef { key: key.clone(), content: record.content.clone() })
        });
        Error::Conflict {
            message: format!("Changed since: {}", names.join(", ")),
            code: "changed_since",
            field: None,
            conflicts: references
                .take(CONFLICTS_NAMED_MAX)
                .map(|reference| self.ids.id_of(&reference.digest()).0)
                .collect(),
        }
    }
}

/// The RRsets that a request says something about.
fn named(operations: &[RecordOperation]) -> BTreeSet<RrsetKey> {
    operations
        .iter()
        .filter_map(|operation| match operation {
            RecordOperation::Rrset(edit) => Some(edit.key.clone()),
            _ => None,
        })
        .collect()
}
