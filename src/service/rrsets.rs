//! Whole RRsets: what a zone is to hold, or which values come and go, in one change.

use std::collections::HashMap;

use crate::authz::{Denied, Permission, ZoneAccess};
use crate::dns::{OwnerName, RecordType, RrsetChange, RrsetEdit, RrsetHow, RrsetKey, RrsetValue, Warning};
use crate::ids::{ChangeId, ZoneId};

use super::context::ActorRecord;
use super::records::NAME_CHARACTERS_MAX;
use super::zone_names::NamedZone;
use super::zone_writer::{Grouping, RecordOperation, RecordOutcome, WriteOutcome, ZoneWrite};
use super::zones::locate;
use super::{Context, Error, Refusal, Result, Services};

/// What the audit log calls a change of several RRsets; what came and went is in its details.
pub const ACTION: &str = "record.update";

/// One RRset as a caller names it.
#[derive(Clone, Debug)]
pub struct WantedRrset {
    pub how: RrsetHow,
    pub name: String,
    pub record_type: String,
    pub ttl: Option<u32>,
    pub values: Vec<RrsetValue>,
}

/// What a zone is to hold.
#[derive(Debug)]
pub struct WantedRrsets {
    pub rrsets: Vec<WantedRrset>,
    /// All others go.
    pub prune: bool,
    pub dry_run: bool,
}

/// What became of RRsets.
pub struct ChangedRrsets {
    pub zone: NamedZone,
    /// None: nothing changed, or only asked.
    pub change: Option<ChangeId>,
    pub changes: Vec<RrsetChange>,
    pub warnings: Vec<(RrsetKey, Warning)>,
}

/// A zone with the proof that the caller may change some records in some way; which and how, the zone writer sees to.
pub struct Changing {
    pub zone: NamedZone,
    pub access: ZoneAccess,
}

/// What the caller may change in a zone's records; that it may change nothing is an error.
pub async fn open(services: &Services, context: &Context, zone: ZoneId) -> Result<Changing> {
    let mut denied = None;
    for permission in [Permission::RecordsUpdate, Permission::RecordsCreate, Permission::RecordsDelete] {
        match locate(services, context, zone, permission).await {
            Ok((zone, access)) => return Ok(Changing { zone, access }),
            Err(error @ Error::Forbidden { .. }) => drop(denied.get_or_insert(error)),
            Err(error) => return Err(error),
        }
    }
    Err(denied.unwrap_or_else(|| Denied::Missing(Permission::RecordsUpdate).into()))
}

/// Applies what is wanted as a whole or not at all.
pub async fn change(
    services: &Services,
    context: &Context,
    zone: ZoneId,
    wanted: WantedRrsets,
) -> Result<ChangedRrsets> {
    let changing = open(services, context, zone).await?;
    let WantedRrsets { rrsets, prune, dry_run } = wanted;
    let total = rrsets.len();
    let (mut operations, mut positions, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    let mut named = HashMap::new();
    for (index, rrset) in rrsets.into_iter().enumerate() {
        match edit(&changing.zone, rrset).and_then(|edit| told_apart(&mut named, edit)) {
            Ok(edit) => {
                operations.push(RecordOperation::Rrset(edit));
                positions.push(index);
            }
            Err(error) => refused.push(Refusal { index, error }),
        }
    }
    // with refusals nothing will be written any more: the rest is only asked, so that every failure is told at once
    let asked = !refused.is_empty();
    if prune && !asked {
        operations.push(RecordOperation::Prune);
    }
    match apply(services, context, changing, operations, dry_run || asked).await {
        Ok(changed) if !asked => return Ok(changed),
        Ok(_) => {}
        Err(Error::Several { message: _, errors }) => {
            let position = |index: usize| positions.get(index).copied().unwrap_or(total);
            refused
                .extend(errors.into_iter().map(|Refusal { index, error }| Refusal { index: position(index), error }));
        }
        Err(error) => return Err(error),
    }
    refused.sort_by_key(|refusal| refusal.index);
    Err(Error::Several { message: "Not all RRsets can be as asked; nothing was written".into(), errors: refused })
}

/// Hands operations on RRsets to the zone writer.
pub async fn apply(
    services: &Services,
    context: &Context,
    Changing { zone, access }: Changing,
    operations: Vec<RecordOperation>,
    dry_run: bool,
) -> Result<ChangedRrsets> {
    let write = ZoneWrite {
        access,
        actor: ActorRecord::from(&context.caller.actor),
        request: context.request.clone(),
        operations,
        grouping: Grouping::Together(ACTION),
        dry_run,
        large: None,
    };
    let WriteOutcome { operations, change, changes, refused: _, job: _ } = services.writer.apply(write).await?;
    Ok(ChangedRrsets { zone, change, changes, warnings: warnings(operations) })
}

fn edit(zone: &NamedZone, wanted: WantedRrset) -> Result<RrsetEdit> {
    let WantedRrset { how, name, record_type, ttl, values } = wanted;
    if name.chars().count() > NAME_CHARACTERS_MAX {
        return Err(Error::invalid("name", "the name is too long"));
    }
    if values.is_empty() && how != RrsetHow::Exactly {
        return Err(Error::invalid("records", "must have at least one record"));
    }
    let record_type = RecordType::parse(&record_type)?;
    let key = RrsetKey { name: OwnerName::parse(&name, &zone.name)?, record_type };
    Ok(RrsetEdit { key, how, ttl, values })
}

/// What an RRset is to be exactly cannot be said twice, nor beside single values of it.
fn told_apart(named: &mut HashMap<RrsetKey, RrsetHow>, edit: RrsetEdit) -> Result<RrsetEdit> {
    match named.insert(edit.key.clone(), edit.how) {
        Some(before) if before == RrsetHow::Exactly || edit.how == RrsetHow::Exactly => {
            let RrsetKey { name, record_type } = &edit.key;
            Err(Error::invalid("name", format!("the RRset {name} {record_type} stands here twice")))
        }
        _ => Ok(edit),
    }
}

fn warnings(operations: Vec<RecordOutcome>) -> Vec<(RrsetKey, Warning)> {
    let mut all = Vec::new();
    for RecordOutcome { before, after, warnings } in operations {
        let Some(view) = after.or(before) else { continue };
        all.extend(warnings.into_iter().map(|warning| (view.reference.key.clone(), warning)));
    }
    all
}
