//! Reading a zone's records with their ids, for those who only look.

use std::sync::Arc;

use tokio::time::Instant;

use crate::authz::{Permission, ZoneAccess};
use crate::dns::zone_file::{self, ZoneFileFormat};
use crate::dns::{RecordRef, RrsetChange, RrsetKey, ZoneContent, serial as serials};
use crate::ids::{ChangeId, RecordId};
use crate::resolve;
use crate::storage::zones::ZoneRow;
use crate::storage::{intents, within, zones};
use crate::tenancy::ZoneStatus;

use super::super::entity_tag::EntityTag;
use super::super::{Error, Result};
use super::ZoneWriter;
use super::change::is_unmoved;
use super::decide::{RecordView, times};
use super::ids::IdBook;
use super::payload::{IdRow, Payload};
use super::snapshot::Snapshot;

/// A zone's records as one consistent state, as far as whoever asked may read them.
pub struct ZoneView {
    pub row: ZoneRow,
    pub serial: Option<u32>,
    access: ZoneAccess,
    content: ZoneContent,
    ids: IdBook,
}

impl ZoneView {
    /// The records of the RRsets that are wanted, in canonical order.
    pub fn records_where(&self, is_wanted: impl Fn(&RrsetKey) -> bool) -> impl Iterator<Item = RecordView> {
        self.content.iter().filter(move |(key, _)| self.is_readable(key) && is_wanted(key)).flat_map(|(key, rrset)| {
            rrset.records.iter().map(|record| {
                let reference = RecordRef { key: key.clone(), content: record.content.clone() };
                self.view(reference, rrset.ttl, record.disabled)
            })
        })
    }

    /// The records that may be read, written down.
    pub fn zone_file(&self, format: ZoneFileFormat) -> String {
        zone_file::write(format, &self.content, |key| self.is_readable(key))
    }

    /// Makes the view what it was before these changes. The serial is that of then, where the zone had one.
    pub fn take_back(&mut self, changes: &[RrsetChange], serial: Option<u32>) {
        self.content.undo(changes);
        self.serial = serial;
        if let Some(serial) = serial {
            self.content.set_serial(serial);
        }
    }

    fn is_readable(&self, key: &RrsetKey) -> bool {
        self.access.reach(Permission::RecordsRead).covers(&self.row.name, &key.name, &key.record_type)
    }

    /// What says whether the records are still the same: an equal version is equal content for who sees the same of it
    /// ([`ZoneView::part`]). None where nobody can tell,
    /// since a withdrawn zone's serial does not move.
    pub fn version(&self) -> Option<String> {
        version(&self.row, self.serial)
    }

    pub fn tag(&self, key: &RrsetKey) -> Option<EntityTag> {
        self.content.get(key).map(|rrset| EntityTag::of_rrset(key, rrset))
    }

    /// What tells this view from one of the whole zone.
    pub fn part(&self) -> Option<String> {
        self.access.view()
    }

    pub fn find(&self, id: RecordId) -> Option<RecordView> {
        let wanted = self.ids.resolve(id, &self.content).filter(|wanted| self.is_readable(&wanted.key))?;
        let rrset = self.content.get(&wanted.key)?;
        let record = rrset.records.iter().find(|record| {
            RecordRef { key: wanted.key.clone(), content: record.content.clone() }.digest() == wanted.digest()
        })?;
        Some(self.view(wanted, rrset.ttl, record.disabled))
    }

    fn view(&self, reference: RecordRef, ttl: u32, disabled: bool) -> RecordView {
        let (id, row) = self.ids.id_of(&reference.digest());
        let (created_at, updated_at) = times(row, &self.row);
        RecordView { id, reference, ttl, disabled, created_at, updated_at }
    }
}

/// [`ZoneView::version`] of a zone with this row and serial.
pub(super) fn version(row: &ZoneRow, serial: Option<u32>) -> Option<String> {
    let ZoneRow { id, status, revision, last_change, .. } = row;
    match status {
        ZoneStatus::Active | ZoneStatus::PendingValidation => {
            let change = last_change.map_or_else(String::new, |change| change.to_string());
            let serial = serial.unwrap_or_default();
            Some(format!("{id} {} {revision} {change} {serial}", status.as_str()))
        }
        ZoneStatus::Inactive | ZoneStatus::Deleted => None,
    }
}

impl ZoneWriter {
    /// The zone as it stands: what is remembered of it, if MariaDB and PowerDNS say that it is still so, else read anew.
    pub async fn view(&self, access: &ZoneAccess) -> Result<ZoneView> {
        if let Some(known) = self.inner.snapshots.get(access.zone().id)
            && let Some(view) = self.remembered(access, &known).await?
        {
            return Ok(view);
        }
        self.read_view(access).await
    }

    async fn remembered(&self, access: &ZoneAccess, known: &Arc<Snapshot>) -> Result<Option<ZoneView>> {
        let inner = &self.inner;
        let look = within(zones::for_write(&inner.db, known.row.id));
        let (found, serial) = tokio::join!(look, self.asked_serial(known));
        let Some((row, mark)) = found? else { return Err(Error::NotFound("Domain")) };
        let Some(snapshot) = inner.catch_up(known, &row).await? else { return Ok(None) };
        let is_caught_up = !Arc::ptr_eq(&snapshot, known);
        // a PowerDNS that does not answer this does not answer a look at the whole zone either
        let serial = if is_caught_up { self.asked_serial(&snapshot).await? } else { serial? };
        // a change that is under way may have run; until it is settled, what stood before is as good an answer. But not
        // with ids that were read while it was: they may be those after it.
        let in_flight = !is_caught_up && mark.is_some_and(|mark| mark.zone == row.id);
        let expected = snapshot.live.serial;
        let is_so = serial == Some(expected) || (in_flight && serial == Some(serials::next(expected)));
        if !is_so || row.status != ZoneStatus::Active {
            return Ok(None);
        }
        inner.snapshots.put(snapshot.clone());
        let (content, ids) = (snapshot.content.clone(), snapshot.ids.clone());
        Ok(Some(ZoneView { row, serial: Some(expected), access: access.clone(), content, ids }))
    }

    /// The serial that PowerDNS has: by an SOA query where it may be asked so, by its API where that says another than
    /// the snapshot's, or nothing.
    async fn asked_serial(&self, snapshot: &Snapshot) -> Result<Option<u32>> {
        let Snapshot { row, live, .. } = snapshot;
        if let Some(server) = &self.inner.dns_address {
            let served = resolve::serial_at(server, row.name.as_str()).await;
            if served == Some(live.serial) {
                return Ok(served);
            }
        }
        let listed = self.inner.pdns.listed_zone(row.name.as_str()).await?;
        Ok(listed.filter(|zone| zone.account == row.id.to_string()).map(|zone| zone.serial))
    }

    /// The zone as it stands. Content and ids are read side by side; a change that lands meanwhile, or is
    /// between PowerDNS and its settle, makes the reader look again.
    async fn read_view(&self, access: &ZoneAccess) -> Result<ZoneView> {
        const WAITS: u32 = 40; // a change that takes longer is shown as far as it got
        const READS: u32 = 4; // under steady writes the last read is good enough
        const PAUSE: std::time::Duration = std::time::Duration::from_millis(5);
        let inner = &self.inner;
        let zone = access.zone().id;
        let (mut waits, mut reads) = (0, 0);
        loop {
            let found = within(zones::for_write(&inner.db, zone)).await?;
            let found = found.filter(|(row, _)| row.status != ZoneStatus::Deleted);
            let Some((row, mark)) = found else { return Err(Error::NotFound("Domain")) };
            // nobody reads a whole zone while it is about to change
            if mark.is_some_and(|mark| mark.zone == zone && !mark.overdue) && waits < WAITS {
                waits += 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            reads += 1;
            let read_at = Instant::now();
            let (content, mut ids, live) = inner.read(&row).await?;
            let after = within(zones::for_write(&inner.db, zone)).await?;
            let Some((now, mark)) = after else { return Err(Error::NotFound("Domain")) };
            let mark = mark.filter(|mark| mark.zone == zone);
            if is_unmoved(&row, &now) || reads == READS {
                let serial = live.as_ref().map(|live| live.serial);
                match (mark, live) {
                    (Some(mark), _) => {
                        let is_told = self.overlay_unsettled(&mut ids, mark.change, &content).await?;
                        // settled just now: the content may be from after it, and the ids from before
                        if !is_told && reads < READS {
                            continue;
                        }
                    }
                    (None, Some(live)) if is_unmoved(&row, &now) => {
                        let (row, content, ids) = (row.clone(), content.clone(), ids.clone());
                        inner.snapshots.put(Snapshot { row, content, ids, live, read_at, told_at: None });
                    }
                    (None, _) => {}
                }
                return Ok(ZoneView { row, serial, access: access.clone(), content, ids });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A change may have run and not be settled: what it made has its ids in the intent until then. False: it is settled.
    async fn overlay_unsettled(&self, ids: &mut IdBook, change: ChangeId, content: &ZoneContent) -> Result<bool> {
        let Some(intent) = within(intents::find(&self.inner.db, change)).await? else { return Ok(false) };
        let payload: Payload =
            serde_json::from_str(&intent.payload).map_err(|error| Error::Internal(error.to_string()))?;
        ids.overlay(payload.ids_put.iter().filter_map(IdRow::to_row), content);
        Ok(true)
    }
}
