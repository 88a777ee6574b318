//! Reading a zone for a writer or a reader: its content as one consistent state, from PowerDNS or the staged store.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use crate::dns::{
    OwnerName, Record, RecordType, Rrset, RrsetChange, RrsetKey, ZoneContent, ZoneName, canonical_from_server,
    serial as serials,
};
use crate::ids::ChangeId;
use crate::pdns::{Pdns, PdnsError, ServerRrset, ServerZone};
use crate::storage::history::PastChange;
use crate::storage::record_ids::Digest;
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{Db, emptied, history, record_ids, staged, within};
use crate::tenancy::{ZoneStatus, ZoneType};

use super::super::{Error, Result};
use super::change::is_unmoved;
use super::ids::IdBook;
use super::snapshot::Snapshot;
use super::{Inner, emptying, protocol};

/// Behind by more changes, records or octets of history, a zone is read whole.
const CATCH_UP_CHANGES_MAX: u64 = 200;
const CATCH_UP_RECORDS_MAX: usize = 1_000;
const CATCH_UP_OCTETS_MAX: u64 = 1_000_000;

/// A secondary zone is read with patience for so many records.
const TRANSFERRED_RECORDS: u32 = 100_000;

/// A zone as it stands.
pub struct ZoneState {
    pub content: ZoneContent,
    /// None: not live, MariaDB holds the content.
    pub live: Option<LiveState>,
}

/// What only a zone at PowerDNS has.
#[derive(Clone, Debug)]
pub struct LiveState {
    pub marker: Option<String>,
    pub serial: u32,
    /// Left on by a writer that did not come to switch it off.
    pub api_rectify: bool,
}

/// The content of a zone, from where its status says it is; of an emptied one as its owner knows it.
pub async fn read(db: &Db, pdns: &Pdns, row: &ZoneRow) -> Result<ZoneState> {
    let ZoneState { content, live } = read_as_served(db, pdns, row).await?;
    let emptied = match row.status {
        ZoneStatus::Inactive | ZoneStatus::Deleted if live.is_some() => within(emptied::find(db, row.id)).await?,
        _ => None,
    };
    let content = match emptied {
        Some(emptied) => emptying::as_it_was(content, &emptied.disabled),
        None => content,
    };
    Ok(ZoneState { content, live })
}

/// The content of a zone, from where its status says it is.
pub async fn read_as_served(db: &Db, pdns: &Pdns, row: &ZoneRow) -> Result<ZoneState> {
    if row.is_kept_here() {
        let content = within(staged::content(db, row.id, &row.name)).await?;
        return Ok(ZoneState { content, live: None });
    }
    // how many records another server has sent is not counted
    let records = if row.zone_type == ZoneType::Secondary { TRANSFERRED_RECORDS } else { row.record_count };
    let Some(server) = pdns.zone(row.name.as_str(), records).await? else {
        tracing::error!(zone = %row.name, "an active zone is missing in PowerDNS");
        return Err(Error::pdns("the zone is missing"));
    };
    if server.account != row.id.to_string() {
        tracing::error!(zone = %row.name, account = %server.account, "PowerDNS holds another zone of this name");
        return Err(Error::pdns("another zone has this name"));
    }
    Ok(from_server(&row.name, server))
}

impl Inner {
    /// A zone with the ids of its records, both as of after `row` was read.
    pub(super) async fn read(&self, row: &ZoneRow) -> Result<(ZoneContent, IdBook, Option<LiveState>)> {
        let (state, ids) = tokio::join!(read(&self.db, &self.pdns, row), within(record_ids::of_zone(&self.db, row.id)));
        let ZoneState { content, live } = state?;
        Ok((content, IdBook::new(ids?), live))
    }

    /// [`Self::read`] of a zone that is live.
    pub(super) async fn read_live(&self, row: ZoneRow) -> Result<Snapshot> {
        let read_at = Instant::now();
        let (content, ids, live) = self.read(&row).await?;
        let live = live.ok_or_else(|| Error::Internal(format!("the zone {} is not live", row.name)))?;
        Ok(Snapshot { row, content, ids, live, read_at, told_at: None })
    }

    /// Whether the zone is as the snapshot says, in MariaDB and in PowerDNS, and no change is under way.
    pub(super) async fn stands(&self, snapshot: &Snapshot) -> Result<Stands> {
        let look = within(zones::for_write(&self.db, snapshot.row.id));
        let (found, is_served) = tokio::join!(look, self.is_served_as(snapshot));
        let unmoved = found?.is_some_and(|(row, mark)| is_unmoved(&snapshot.row, &row) && mark.is_none());
        Ok(match (unmoved, is_served?) {
            (false, _) => Stands::Moved,
            (true, false) => Stands::ChangedOutside,
            (true, true) => Stands::Yes,
        })
    }

    /// What is remembered of a zone, brought on to `row` by the changes in its history since; None where it must be
    /// read whole. Each batch must have stepped the serial by one from what is remembered: a gap is somebody else's
    /// write, which the history does not have. Whether PowerDNS agrees is still to be asked.
    pub(super) async fn catch_up(&self, known: &Arc<Snapshot>, row: &ZoneRow) -> Result<Option<Arc<Snapshot>>> {
        if is_unmoved(&known.row, row) {
            // a fence for a change that was dropped steps the serial, and only that
            return Ok(Some(known.clone()).filter(|known| known.row.serial == row.serial));
        }
        let (from, to) = (known.row.revision, row.revision);
        let (Some(serial), Some(last_change)) = (row.serial, row.last_change) else { return Ok(None) };
        if row.status != ZoneStatus::Active || to < from || to - from > CATCH_UP_CHANGES_MAX {
            return Ok(None);
        }
        let past = within(history::between(&self.db, row.id, from, to, CATCH_UP_OCTETS_MAX)).await;
        let Some((touched, marker)) = past.ok().filter(|past| past.len() as u64 == to - from).and_then(|past| {
            let is_whole = follows(&past, known.live.serial, serial, last_change);
            is_whole.then(|| Some((touched_by(&past)?, marker_of(&past)))).flatten()
        }) else {
            return Ok(None);
        };
        let mut content = known.content.clone();
        for RrsetChange { key, before: _, after } in &touched {
            content.set(key.clone(), after.clone());
        }
        content.set_serial(serial);
        let changes = between(&known.content, &content, touched);
        let digests: Vec<_> = changes.iter().flat_map(digests_after).collect();
        if digests.len() > CATCH_UP_RECORDS_MAX {
            return Ok(None);
        }
        let mut ids = known.ids.clone();
        ids.catch_up(&changes, within(record_ids::some(&self.db, row.id, &[], &digests)).await?);
        // no history, equal serial: nothing was sent that has a marker
        let marker = marker.or_else(|| known.live.marker.clone());
        let live = LiveState { marker, serial, api_rectify: false };
        let read_at = known.read_at;
        Ok(Some(Arc::new(Snapshot { row: row.clone(), content, ids, live, read_at, told_at: None })))
    }
}

/// Whether what is remembered still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    Yes,
    /// A change of ours came after it, or is under way.
    Moved,
    /// PowerDNS has another serial, and no change of ours explains it.
    ChangedOutside,
}

/// Whether these changes lead from the one serial to the other without a gap, and end with the change that ran last.
/// Every PATCH steps the serial, so that one without history, such as a sweep of fences, is a gap.
fn follows(past: &[PastChange], from: u32, to: u32, last_change: ChangeId) -> bool {
    let mut serial = from;
    let mut batch = None;
    for change in past.iter().filter(|change| batch.replace(change.batch_id) != Some(change.batch_id)) {
        if change.serial != Some(serials::next(serial)) {
            return false;
        }
        serial = serials::next(serial);
    }
    serial == to && batch.is_none_or(|batch| batch == last_change.0)
}

/// What the marker says after these changes; None where there are none. The row's last change does not tell: who may
/// transfer a zone changes without a PATCH, and so without a marker.
fn marker_of(past: &[PastChange]) -> Option<String> {
    past.last().map(|change| protocol::marker_value(ChangeId(change.batch_id)))
}

/// All RRset changes in their order. None: too much of it, or an SOA among it, whose serial is not counted as others.
fn touched_by(past: &[PastChange]) -> Option<Vec<RrsetChange>> {
    let mut touched: Vec<RrsetChange> = Vec::new();
    for change in past {
        touched.extend(serde_json::from_str::<Vec<RrsetChange>>(change.changes.as_ref()?).ok()?);
    }
    (!touched.iter().any(|change| change.key.record_type == RecordType::Soa)).then_some(touched)
}

/// The net change of each RRset that these touch.
fn between(before: &ZoneContent, after: &ZoneContent, touched: Vec<RrsetChange>) -> Vec<RrsetChange> {
    let keys: BTreeSet<RrsetKey> = touched.into_iter().map(|change| change.key).collect();
    keys.into_iter()
        .map(|key| RrsetChange { before: before.get(&key).cloned(), after: after.get(&key).cloned(), key })
        .collect()
}

fn digests_after(change: &RrsetChange) -> impl Iterator<Item = Digest> {
    let RrsetChange { key, before: _, after } = change;
    after.iter().flat_map(|rrset| &rrset.records).map(move |record| key.digest(&record.content))
}

/// PowerDNS's answer as content in our canonical forms, without our own names.
pub fn from_server(zone: &ZoneName, server: ServerZone) -> ZoneState {
    let marker = protocol::read_marker(zone, &server);
    let live = Some(LiveState { marker, serial: server.serial, api_rectify: server.api_rectify });
    let mut content = ZoneContent::new(zone.clone());
    for ServerRrset { name, record_type, ttl, records } in server.rrsets {
        let name = OwnerName::from_server(&name);
        if name.is_reserved(zone) {
            continue;
        }
        let record_type = RecordType::from_server(&record_type);
        let records = records
            .into_iter()
            .map(|record| Record {
                content: canonical_from_server(&record_type, &record.content),
                disabled: record.disabled,
            })
            .collect();
        content.insert(RrsetKey { name, record_type }, Rrset { ttl, records });
    }
    ZoneState { content, live }
}

/// The serial that PowerDNS has for the zone now.
pub async fn serial(pdns: &Pdns, zone: &ZoneName) -> std::result::Result<Option<u32>, PdnsError> {
    Ok(pdns.zone_head(zone.as_str()).await?.map(|head| head.serial))
}
