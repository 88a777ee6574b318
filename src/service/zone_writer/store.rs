//! Reading a zone for a writer or a reader: its content as one consistent state, from PowerDNS or the staged store.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use crate::dns::{
    OwnerName, Record, RecordType, Rrset, RrsetChange, RrsetKey, ZoneContent, ZoneName, canonical_from_server,
};
use crate::pdns::{Pdns, PdnsError, ServerRrset, ServerZone};
use crate::storage::record_ids::Digest;
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{Db, history, record_ids, staged, within};
use crate::tenancy::ZoneStatus;

use super::super::{Error, Result};
use super::change::is_unmoved;
use super::ids::IdBook;
use super::snapshot::Snapshot;
use super::{Inner, protocol};

/// Behind by more changes, or by more records, a zone is read whole.
const CATCH_UP_CHANGES_MAX: u64 = 200;
const CATCH_UP_RECORDS_MAX: usize = 1_000;

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

/// The content of a zone, from where its status says it is.
pub async fn read(db: &Db, pdns: &Pdns, row: &ZoneRow) -> Result<ZoneState> {
    if row.status == ZoneStatus::PendingValidation {
        let content = within(staged::content(db, row.id, &row.name)).await?;
        return Ok(ZoneState { content, live: None });
    }
    let Some(server) = pdns.zone(row.name.as_str(), row.record_count).await? else {
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
        let said = Instant::now();
        let (content, ids, live) = self.read(&row).await?;
        let live = live.ok_or_else(|| Error::Internal(format!("the zone {} is not live", row.name)))?;
        Ok(Snapshot { row, content, ids, live, said: Some(said) })
    }

    /// Whether the zone is as the snapshot says, in MariaDB and in PowerDNS, and no change is under way.
    pub(super) async fn stands(&self, snapshot: &Snapshot) -> Result<bool> {
        let look = within(zones::for_write(&self.db, snapshot.row.id));
        let (found, is_served) = tokio::join!(look, self.is_served_as(snapshot));
        let unmoved = found?.is_some_and(|(row, mark)| is_unmoved(&snapshot.row, &row) && mark.is_none());
        Ok(unmoved && is_served?)
    }

    /// What is remembered of a zone, brought on to `row` by the changes in its history since; None where reading it
    /// whole is better. Whether PowerDNS agrees is still to be asked.
    pub(super) async fn catch_up(&self, known: &Arc<Snapshot>, row: &ZoneRow) -> Result<Option<Arc<Snapshot>>> {
        if is_unmoved(&known.row, row) {
            return Ok(Some(known.clone()));
        }
        let (from, to) = (known.row.revision, row.revision);
        let (Some(serial), Some(last_change)) = (row.serial, row.last_change) else { return Ok(None) };
        if row.status != ZoneStatus::Active || to < from || to - from > CATCH_UP_CHANGES_MAX {
            return Ok(None);
        }
        let past = within(history::between(&self.db, row.id, from, to)).await?;
        let is_whole = past.len() as u64 == to - from && past.last().is_none_or(|last| last.batch_id == last_change.0);
        if !is_whole {
            return Ok(None);
        }
        let mut changes: Vec<RrsetChange> = Vec::new();
        for past in &past {
            let read: Vec<RrsetChange> =
                serde_json::from_str(&past.changes).map_err(|error| Error::Internal(error.to_string()))?;
            changes.extend(read);
        }
        let mut content = known.content.clone();
        for RrsetChange { key, before: _, after } in &changes {
            content.set(key.clone(), after.clone());
        }
        content.set_serial(serial);
        let changes = between(&known.content, &content, changes);
        let digests: Vec<_> = changes.iter().flat_map(digests_after).collect();
        if digests.len() > CATCH_UP_RECORDS_MAX {
            return Ok(None);
        }
        let mut ids = known.ids.clone();
        ids.catch_up(&changes, within(record_ids::some(&self.db, row.id, &[], &digests)).await?);
        let live = LiveState { marker: Some(protocol::marker_value(last_change)), serial, api_rectify: false };
        Ok(Some(Arc::new(Snapshot { row: row.clone(), content, ids, live, said: None })))
    }
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
