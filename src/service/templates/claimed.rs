//! Zones that are claimed with a template. What the template says then is kept with the claim, checked, and applied when
//! the zone goes live: whatever has become of the template by then, the zone gets what its claim was told.
//!
//! It never keeps a zone from going live: what clashes with records that were added meanwhile is left out, and told with
//! the zone.

use crate::authz::{Permission, ZoneAccess, decide_tenant};
use crate::dns::template::{TemplateRecord, Values};
use crate::ids::TemplateId;
use crate::storage::zone_templates::{self, LeftOut, ZoneTemplate};
use crate::storage::zones::{NewZone, ZoneRow};
use crate::storage::{within, within_write};
use crate::tenancy::ZoneType;

use super::super::zone_names::NamedZone;
use super::super::zone_writer::{Grouping, RecordOperation, WriteOutcome, ZoneView, ZoneWrite};
use super::super::{ActorRecord, Context, Error, Refusal, RequestInfo, Result, Services};
use super::application::{ACTION, Filling, usable_in};
use super::find;

/// A template that comes with a claim.
#[derive(Clone, Debug)]
pub struct Choice {
    pub template: String,
    pub given: Values,
}

/// What is to be kept with a claim, if all of it can be: then nothing but other records stands against it later.
pub async fn chosen(
    services: &Services,
    context: &Context,
    zone: &NewZone,
    choice: Option<Choice>,
) -> Result<Option<ZoneTemplate>> {
    let Some(Choice { template, given }) = choice else { return Ok(None) };
    if zone.zone_type == ZoneType::Secondary {
        let message = "the records of a secondary domain come from its master";
        return Err(Error::invalid("template_id", message));
    }
    let tenant = decide_tenant(&context.caller, Permission::RecordsCreate)?.tenant();
    let id: TemplateId = template.parse().map_err(|_| Error::NotFound("Template"))?;
    let found = usable_in(find(services, context, id, Permission::TemplatesRead).await?, tenant)?;
    let named = NamedZone { id: zone.id, tenant, name: zone.name.clone() };
    let filling = Filling { zone: named, default_ttl: zone.default_ttl, field: "template_variables" };
    let records = filling.expand(services, &found.template, &given).await?;
    filling.check_alone(&records, &filling.operations(&records)?)?;
    Ok(Some(ZoneTemplate { id, name: found.name, template: found.template, given }))
}

/// Applies what a claim that goes live came with, if that is still to be done. It was allowed when the claim was made,
/// and is recorded as done by whoever has proven it.
pub async fn apply(services: &Services, context: &Context, row: &ZoneRow) -> Result<()> {
    let Some(kept) = within(zone_templates::open(&services.db, row.id)).await? else { return Ok(()) };
    let filling = Filling { zone: NamedZone::from(row), default_ttl: row.default_ttl, field: "template_variables" };
    let skipped = match made(services, &filling, &kept).await {
        Ok((records, operations)) => write(services, context, row, (records, operations)).await?,
        // the platform has fewer nameservers than then, say: all of it is left out
        Err(error @ (Error::Several { .. } | Error::Schema(_))) => {
            let reason = error.to_string();
            let all = kept.template.records.into_iter();
            all.map(|record| LeftOut { record, reason: reason.clone() }).collect()
        }
        Err(error) => return Err(error),
    };
    Ok(within_write(zone_templates::applied(&services.db, row.id, &skipped, services.clock.now())).await?)
}

async fn made(
    services: &Services,
    filling: &Filling,
    kept: &ZoneTemplate,
) -> Result<(Vec<TemplateRecord>, Vec<RecordOperation>)> {
    let records = filling.expand(services, &kept.template, &kept.given).await?;
    let operations = filling.operations(&records)?;
    Ok((records, operations))
}

async fn write(
    services: &Services,
    context: &Context,
    row: &ZoneRow,
    (records, operations): (Vec<TemplateRecord>, Vec<RecordOperation>),
) -> Result<Vec<LeftOut>> {
    let access = ZoneAccess::system(row.reference(), Permission::RecordsCreate);
    let write = ZoneWrite {
        access: access.clone(),
        actor: ActorRecord::from(&context.caller.actor),
        // what a client expects of the records was said of what it asked for
        request: RequestInfo { expected: None, ..context.request.clone() },
        operations: operations.clone(),
        grouping: Grouping::EachAlone(ACTION),
        dry_run: false,
        large: None,
    };
    let WriteOutcome { refused, .. } = services.writer.apply(write).await?;
    if refused.is_empty() {
        return Ok(Vec::new());
    }
    let view = services.writer.view(&access).await?;
    let left_out = |Refusal { index, error }: Refusal| {
        let is_there = stands(&view, operations.get(index)?, &error);
        let record = records.get(index)?.clone();
        (!is_there).then(|| LeftOut { record, reason: error.to_string() })
    };
    Ok(refused.into_iter().filter_map(left_out).collect())
}

/// Whether a record was refused since it stands there already: somebody added it, or an earlier attempt to go live did.
fn stands(view: &ZoneView, operation: &RecordOperation, error: &Error) -> bool {
    let (RecordOperation::Add { name, record_type, content, .. }, Error::Conflict { conflicts, .. }) =
        (operation, error)
    else {
        return false;
    };
    let Ok((content, _)) = crate::dns::canonical(record_type, content, &view.row.name) else { return false };
    conflicts.iter().filter_map(|id| view.find(*id)).any(|record| {
        let (key, standing) = (&record.reference.key, &record.reference.content);
        key.name == *name && key.record_type == *record_type && *standing == content
    })
}
