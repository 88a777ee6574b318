//! A zone's history: what changed, when, by whom; the difference between two revisions; and putting back what was.

use std::collections::BTreeMap;

use serde::Deserialize;
use time::OffsetDateTime;

use crate::authz::{Permission, ZoneAccess};
use crate::dns::{Rrset, RrsetChange, RrsetKey, is_same_rrset};
use crate::ids::{ChangeId, ZoneId};
use crate::storage::history::{self, COUNT_MAX, ChangeRow, From};
use crate::storage::within;
use crate::storage::zones::ZoneRow;

use super::context::ActorRecord;
use super::rrsets::{self, ChangedRrsets};
use super::zone_writer::{RecordOperation, ZoneView};
use super::zones::load;
use super::{Context, Error, PageRequest, Result, Services};

/// A change that holds more is listed without what it holds; alone it is shown whole.
const LISTED_OCTETS_MAX: u64 = 128 * 1024;
/// What is read of the history at a time.
const READ_OCTETS: u64 = 4 * 1024 * 1024;
/// What is read of the history for one question, in all: some hundred thousand records.
const READ_OCTETS_MAX: u64 = 128 * 1024 * 1024;
/// What of the history is looked through for who may see a part of it, in all.
const SEEN_OCTETS_MAX: u64 = 32 * 1024 * 1024;
/// RRsets in which two revisions may differ for one answer, or one write at PowerDNS.
const DIFFERENCE_RRSETS_MAX: usize = 10_000;

/// One change of a zone.
#[derive(Debug)]
pub struct Change {
    pub id: ChangeId,
    pub revision: u64,
    /// None: the zone was not live.
    pub serial: Option<u32>,
    pub actor: ActorRecord,
    pub ip_address: Option<String>,
    pub request_id: String,
    pub at: OffsetDateTime,
    /// None: too much to be listed.
    pub changes: Option<Vec<RrsetChange>>,
}

/// One page of the history, newest first.
#[derive(Debug)]
pub struct HistoryPage {
    pub changes: Vec<Change>,
    pub total: u64,
    /// There are more than `total`.
    pub total_capped: bool,
    /// There is another page behind this one.
    pub more: bool,
}

/// In what two revisions differ.
#[derive(Debug)]
pub struct Difference {
    pub from: u64,
    pub to: u64,
    pub changes: Vec<RrsetChange>,
}

pub async fn list(
    services: &Services,
    context: &Context,
    zone: ZoneId,
    page: PageRequest,
    below: Option<u64>,
) -> Result<HistoryPage> {
    let (row, access) = load(services, context, zone, Permission::RecordsRead).await?;
    if access.is_limited() {
        return list_seen(services, (&row, &access), page, below).await;
    }
    let offset = if below.is_some() { 0 } else { page.offset() };
    // beyond what is counted there are no pages: only a cursor goes there
    let limit = if offset >= COUNT_MAX { 0 } else { page.page_size + 1 };
    let from = below.map_or(From::Offset(offset.min(COUNT_MAX)), From::Below);
    let (rows, counted) = tokio::try_join!(
        within(history::page(&services.db, &access, from, limit, LISTED_OCTETS_MAX)),
        within(history::count(&services.db, &access)),
    )?;
    let more = rows.len() > page.page_size as usize;
    let changes = rows.into_iter().take(page.page_size as usize).map(change).collect::<Result<_>>()?;
    Ok(HistoryPage { changes, total: counted.min(COUNT_MAX), total_capped: counted > COUNT_MAX, more })
}

/// The same for those who may read some of the records only: what of the history is about these. Which changes that
/// are only they themselves tell, so they are looked through, as far as that is worth it.
async fn list_seen(
    services: &Services,
    (row, access): (&ZoneRow, &ZoneAccess),
    page: PageRequest,
    below: Option<u64>,
) -> Result<HistoryPage> {
    let (skip, take) = (if below.is_some() { 0 } else { page.offset() }, page.page_size as usize);
    let (mut changes, mut total, mut behind) = (Vec::new(), 0_u64, 0_u64);
    let (mut at, mut looked_at, mut octets) = (u64::MAX, 0, 0);
    let total_capped = loop {
        let rows = within(history::next_below(&services.db, access, at, READ_OCTETS)).await?;
        let Some(last) = rows.last() else { break false };
        at = last.revision;
        looked_at += rows.len() as u64;
        octets += rows.iter().filter_map(|row| row.changes.as_ref()).map(|text| text.len() as u64).sum::<u64>();
        for one in rows {
            let Some(one) = seen(row, access, change(one)?) else { continue };
            total += 1;
            let is_behind = below.is_none_or(|below| one.revision < below);
            behind += u64::from(is_behind);
            if is_behind && behind > skip && changes.len() <= take {
                changes.push(one);
            }
        }
        if looked_at >= COUNT_MAX || octets > SEEN_OCTETS_MAX {
            break true;
        }
    };
    let more = changes.len() > take;
    changes.truncate(take);
    Ok(HistoryPage { changes, total, total_capped, more })
}

/// What of a change the caller may read; nothing where that is nothing.
fn seen(row: &ZoneRow, access: &ZoneAccess, mut change: Change) -> Option<Change> {
    if !access.is_limited() {
        return Some(change);
    }
    let changes = change.changes.get_or_insert_default();
    changes.retain(|RrsetChange { key, .. }| access.covers(&row.name, &key.name, &key.record_type));
    if changes.is_empty() { None } else { Some(change) }
}

pub async fn get(services: &Services, context: &Context, zone: ZoneId, id: ChangeId) -> Result<Change> {
    let (row, access) = load(services, context, zone, Permission::RecordsRead).await?;
    find(services, (&row, &access), id).await
}

/// What led from one revision, which must be given, to another; `to` is the present where it is absent. Backwards, it is what would lead back.
pub async fn difference(
    services: &Services,
    context: &Context,
    zone: ZoneId,
    (from, to): (Option<u64>, Option<u64>),
) -> Result<Difference> {
    let (row, access) = load(services, context, zone, Permission::RecordsRead).await?;
    let from = from.ok_or_else(|| Error::schema(&["query", "from"], "is missing"))?;
    let to = to.unwrap_or(row.revision);
    check_revision(&row, "from", from)?;
    check_revision(&row, "to", to)?;
    let mut changes = between(services, &access, from.min(to), from.max(to)).await?;
    changes.retain(|RrsetChange { key, .. }| access.covers(&row.name, &key.name, &key.record_type));
    if from > to {
        for RrsetChange { key: _, before, after } in &mut changes {
            std::mem::swap(before, after);
        }
    }
    Ok(Difference { from, to, changes })
}

/// Undoes one change, as a change of its own.
pub async fn revert(
    services: &Services,
    context: &Context,
    (zone, id): (ZoneId, ChangeId),
    force: bool,
    dry_run: bool,
) -> Result<ChangedRrsets> {
    let (row, access) = load(services, context, zone, Permission::RecordsRead).await?;
    let changing = rrsets::open(services, context, zone).await?;
    find(services, (&row, &access), id).await?;
    // as a whole, also what the caller may not read: then it is refused
    let changes = whole(services, &access, id).await?.changes.unwrap_or_default();
    if changes.is_empty() {
        return Err(Error::conflict("nothing_to_revert", "This change holds no records that could be put back"));
    }
    rrsets::apply(services, context, changing, put_back(changes, force), dry_run).await
}

/// Makes the zone what it was at a revision, as a change of its own.
pub async fn restore(
    services: &Services,
    context: &Context,
    (zone, revision): (ZoneId, u64),
    force: bool,
    dry_run: bool,
) -> Result<ChangedRrsets> {
    let (row, access) = load(services, context, zone, Permission::RecordsRead).await?;
    let changing = rrsets::open(services, context, zone).await?;
    check_revision(&row, "revision", revision)?;
    let changes = between(services, &access, revision, row.revision).await?;
    rrsets::apply(services, context, changing, put_back(changes, force), dry_run).await
}

/// Takes a zone as it stands back to what it was at a revision.
pub(super) async fn rewind(services: &Services, access: &ZoneAccess, view: &mut ZoneView, revision: u64) -> Result<()> {
    if revision > view.row.revision {
        let message = format!("there is no such revision: the domain is at {}", view.row.revision);
        return Err(Error::schema(&["query", "revision"], message));
    }
    if revision == view.row.revision {
        return Ok(());
    }
    let changes = between(services, access, revision, view.row.revision).await?;
    let serial = within(history::serial_at(&services.db, access, revision)).await?;
    view.take_back(&changes, serial);
    Ok(())
}

fn put_back(changes: Vec<RrsetChange>, force: bool) -> Vec<RecordOperation> {
    changes.into_iter().map(|change| RecordOperation::PutBack { change, force }).collect()
}

fn check_revision(row: &ZoneRow, field: &'static str, revision: u64) -> Result<()> {
    if revision > row.revision {
        return Err(Error::invalid(field, format!("the domain is at revision {}", row.revision)));
    }
    Ok(())
}

async fn find(services: &Services, (row, access): (&ZoneRow, &ZoneAccess), id: ChangeId) -> Result<Change> {
    seen(row, access, whole(services, access, id).await?).ok_or(Error::NotFound("Change"))
}

async fn whole(services: &Services, access: &ZoneAccess, id: ChangeId) -> Result<Change> {
    let found = within(history::find(&services.db, access, id)).await?;
    change(found.ok_or(Error::NotFound("Change"))?)
}

/// The net effect of the changes after one revision up to another, by name.
async fn between(services: &Services, access: &ZoneAccess, from: u64, to: u64) -> Result<Vec<RrsetChange>> {
    let mut net: BTreeMap<RrsetKey, (Option<Rrset>, Option<Rrset>)> = BTreeMap::new();
    let (mut at, mut octets) = (from, 0);
    while at < to {
        let next = within(history::next_after(&services.db, access, at, to, READ_OCTETS)).await?;
        let Some((last, _)) = next.last() else { break };
        at = *last;
        for (_, text) in next {
            octets += text.len() as u64;
            for RrsetChange { key, before, after } in read::<Vec<RrsetChange>>(&text)? {
                net.entry(key).or_insert((before, None)).1 = after;
            }
        }
        if octets > READ_OCTETS_MAX {
            return Err(too_far());
        }
    }
    let changes: Vec<RrsetChange> = net
        .into_iter()
        .filter(|(key, (before, after))| !is_same_rrset(key, before.as_ref(), after.as_ref()))
        .map(|(key, (before, after))| RrsetChange { key, before, after })
        .collect();
    if changes.len() > DIFFERENCE_RRSETS_MAX { Err(too_far()) } else { Ok(changes) }
}

fn too_far() -> Error {
    let message = format!("more than {DIFFERENCE_RRSETS_MAX} RRsets, or too many changes, lie between");
    Error::Invalid { message, field: None, code: "too_far_apart" }
}

fn change(row: ChangeRow) -> Result<Change> {
    let ChangeRow { id, revision, serial, actor, ip_address, request_id, changes, created_at } = row;
    Ok(Change {
        id: ChangeId(id),
        revision,
        serial,
        actor: read(&actor)?,
        ip_address,
        request_id,
        at: created_at,
        changes: changes.as_deref().map(read).transpose()?,
    })
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Internal(format!("history does not read: {error}")))
}
