//! A template's records, written into a zone as one change. What clashes with what stands there is left out and told;
//! what cannot be in any zone fails the whole.

use std::collections::BTreeMap;

use crate::authz::{Permission, ZoneAccess};
use crate::dns::template::{BuiltIns, ExpansionProblem, Template, TemplateRecord, ValueProblem, Values};
use crate::dns::{EditContext, Operation, OperationError, OwnerName, PartialOutcome, RecordType, Warning, ZoneContent};
use crate::ids::{TemplateId, TenantId, ZoneId};
use crate::storage::directory::{self, Reference};
use crate::storage::within;

use super::super::records::{NewRecord, addition};
use super::super::zone_names::NamedZone;
use super::super::zone_writer::{Grouping, RecordOperation, RecordOutcome, RecordView, WriteOutcome, ZoneWrite};
use super::super::zones::load;
use super::super::{ActorRecord, Context, Error, Refusal, Result, SchemaProblem, Services};
use super::{TemplateView, find, wrong_records};

/// How the audit log calls it.
pub(super) const ACTION: &str = "record.bulk_create";

/// A template to be applied.
#[derive(Debug)]
pub struct Application {
    pub template: TemplateId,
    pub zone: ZoneId,
    pub given: Values,
    /// Only asked; nothing is written.
    pub dry_run: bool,
}

/// What became of it.
pub struct Applied {
    pub zone: NamedZone,
    pub created: Vec<(RecordView, Vec<Warning>)>,
    pub skipped: Vec<Skipped>,
}

/// A record that was left out, as the template made it, and why.
pub struct Skipped {
    pub record: TemplateRecord,
    pub error: Error,
}

/// Applies a template. The caller needs `records:create` for all that it makes.
pub async fn apply(services: &Services, context: &Context, wanted: Application) -> Result<Applied> {
    let Application { template, zone, given, dry_run } = wanted;
    let template = find(services, context, template, Permission::TemplatesRead).await?;
    let (row, access) = load(services, context, zone, Permission::RecordsCreate).await?;
    let template = usable_in(template, row.tenant)?;
    let filling = Filling { zone: NamedZone::from(&row), default_ttl: row.default_ttl, field: "variables" };
    let records = filling.expand(services, &template.template, &given).await?;
    let operations = filling.operations(&records)?;
    check_scope(&filling.zone, &access, &operations)?;
    let write = |dry_run| ZoneWrite {
        access: access.clone(),
        actor: ActorRecord::from(&context.caller.actor),
        request: context.request.clone(),
        operations: operations.clone(),
        grouping: Grouping::EachAlone(ACTION),
        dry_run,
        large: None,
    };
    let broken = filling.refused_alone(&operations);
    if !broken.is_empty() {
        // what the zone has may be what a record lacks, as NS for a DS; and then it may stand there already
        let is_broken = |Refusal { index, error }: &Refusal| match (broken.get(index), error) {
            (None, _) | (Some(OperationError::Invalid(_)), Error::Conflict { .. }) => false,
            (Some(_), _) => true,
        };
        let asked = services.writer.apply(write(true)).await?;
        let errors: Vec<Refusal> = asked.refused.into_iter().filter(is_broken).collect();
        if !errors.is_empty() {
            return Err(cannot_be(&records, errors));
        }
    }
    let WriteOutcome { operations: done, refused, .. } = services.writer.apply(write(dry_run)).await?;
    if let Some(Refusal { error, .. }) = refused.iter().find(|one| matches!(one.error, Error::Forbidden { .. })) {
        // there is no room for what the template makes, and nothing was made
        return Err(error.clone());
    }
    let created = done.into_iter().filter_map(|RecordOutcome { after, warnings, .. }| Some((after?, warnings)));
    let left_out = |Refusal { index, error }: Refusal| Some(Skipped { record: records.get(index)?.clone(), error });
    let skipped = refused.into_iter().filter_map(left_out).collect();
    Ok(Applied { created: created.collect(), skipped, zone: filling.zone })
}

/// A zone that a template is filled in for.
pub(super) struct Filling {
    pub zone: NamedZone,
    pub default_ttl: u32,
    /// Where the request has the values.
    pub field: &'static str,
}

impl Filling {
    /// The template's records with the values in their places.
    pub async fn expand(
        &self,
        services: &Services,
        template: &Template,
        given: &Values,
    ) -> Result<Vec<TemplateRecord>> {
        let reference = Reference::Ours(self.zone.tenant);
        let tenant = within(directory::tenant(&services.db, &reference)).await?.ok_or(Error::NotFound("Tenant"))?;
        let built_ins = BuiltIns {
            domain: self.zone.name.to_string(),
            tenant: tenant.slug,
            default_ttl: self.default_ttl,
            nameservers: services.platform.settings().await?.nameservers.names.clone(),
        };
        template.expand(given, &built_ins).map_err(|problem| match problem {
            ExpansionProblem::Values(problems) => {
                Error::Schema(problems.into_iter().map(|problem| self.value_problem(problem)).collect())
            }
            ExpansionProblem::Records(problems) => wrong_records(template.records.len(), problems),
        })
    }

    fn value_problem(&self, problem: ValueProblem) -> SchemaProblem {
        let ValueProblem { variable, message, is_missing } = problem;
        let kind = if is_missing { "missing" } else { "value_error" };
        SchemaProblem { location: vec!["body".into(), self.field.into(), variable], message, kind }
    }

    /// What adds the records.
    pub fn operations(&self, records: &[TemplateRecord]) -> Result<Vec<RecordOperation>> {
        let (mut operations, mut errors) = (Vec::with_capacity(records.len()), Vec::new());
        for (index, record) in records.iter().enumerate() {
            let TemplateRecord { name, record_type, content, ttl } = record.clone();
            match addition(&self.zone, NewRecord { name, record_type, content, ttl, disabled: false, ptr: false }) {
                Ok(operation) => operations.push(operation),
                Err(error) => errors.push(Refusal { index, error }),
            }
        }
        if errors.is_empty() { Ok(operations) } else { Err(cannot_be(records, errors)) }
    }

    /// Those that cannot be even where nothing else stands: alone, or beside each other.
    pub fn refused_alone(&self, operations: &[RecordOperation]) -> BTreeMap<usize, OperationError> {
        let additions = operations.iter().filter_map(|operation| match operation {
            RecordOperation::Add { name, record_type, content, ttl, disabled } => Some(Operation::Add {
                name: name.clone(),
                record_type: record_type.clone(),
                content: content.clone(),
                ttl: *ttl,
                disabled: *disabled,
            }),
            _ => None,
        });
        let additions: Vec<Operation> = additions.collect();
        let empty = EditContext { default_ttl: self.default_ttl, signed: false, pending: true, expands_alias: true };
        let PartialOutcome { operations, .. } = ZoneContent::new(self.zone.name.clone()).apply_each(&additions, &empty);
        let refused = operations.into_iter().enumerate();
        refused.filter_map(|(index, outcome)| Some((index, outcome.err()?))).collect()
    }

    /// The same as an error.
    pub fn check_alone(&self, records: &[TemplateRecord], operations: &[RecordOperation]) -> Result<()> {
        let refused = self.refused_alone(operations);
        let errors = refused.into_iter().map(|(index, error)| Refusal {
            index,
            error: match error {
                OperationError::Invalid(error) => error.into(),
                OperationError::Conflict { message, field, conflicts: _ } => Error::invalid(field, message),
                OperationError::NotFound => Error::NotFound("Record"),
            },
        });
        let errors: Vec<Refusal> = errors.collect();
        if errors.is_empty() { Ok(()) } else { Err(cannot_be(records, errors)) }
    }
}

/// A template for a zone of this tenant: the system's, or one of its own.
pub(super) fn usable_in(template: TemplateView, tenant: TenantId) -> Result<TemplateView> {
    match template.tenant {
        Some(owner) if owner != tenant => Err(Error::NotFound("Template")),
        _ => Ok(template),
    }
}

/// A template that touches one name outside of the caller's rights is refused as a whole.
fn check_scope(zone: &NamedZone, access: &ZoneAccess, operations: &[RecordOperation]) -> Result<()> {
    let named = |operation: &RecordOperation| match operation {
        RecordOperation::Add { name, record_type, .. } => Some((name.clone(), record_type.clone())),
        _ => None,
    };
    let outside = |(name, record_type): &(OwnerName, RecordType)| !access.covers(&zone.name, name, record_type);
    let Some((name, record_type)) = operations.iter().filter_map(named).find(outside) else { return Ok(()) };
    let name = name.display_name(&zone.name);
    let message = format!("Your access to this domain does not cover {name} {record_type}, which the template makes");
    Err(Error::OutOfScope { message, field: "name" })
}

/// Each is named as the template made it, since its place alone says little to who only filled it in.
fn cannot_be(records: &[TemplateRecord], errors: Vec<Refusal>) -> Error {
    let message =
        format!("{} of {} records of the template cannot be; nothing was written", errors.len(), records.len());
    let named = |Refusal { index, error }: Refusal| {
        let Some(TemplateRecord { name, record_type, .. }) = records.get(index) else {
            return Refusal { index, error };
        };
        let field = match &error {
            Error::Invalid { field, .. } | Error::Conflict { field, .. } => *field,
            _ => None,
        };
        let message = format!("{name} {record_type}: {error}");
        Refusal { index, error: Error::Invalid { message, field, code: "invalid" } }
    };
    Error::Several { message, errors: errors.into_iter().map(named).collect() }
}
