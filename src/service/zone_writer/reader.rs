//! Reading a zone's records with their ids, for those who only look.

use crate::authz::ZoneAccess;
use crate::dns::{RecordRef, ZoneContent};
use crate::ids::{ChangeId, RecordId};
use crate::storage::zones::ZoneRow;
use crate::storage::{intents, record_ids, within, zones};

use super::super::{Error, Result};
use super::ZoneWriter;
use super::change::is_unmoved;
use super::decide::{RecordView, times};
use super::ids::IdBook;
use super::payload::{IdRow, Payload};
use super::store;

/// A zone's records as one consistent state.
pub struct ZoneView {
    pub row: ZoneRow,
    pub serial: Option<u32>,
    content: ZoneContent,
    ids: IdBook,
}

impl ZoneView {
    /// Every record, in canonical order.
    pub fn records(&self) -> impl Iterator<Item = RecordView> {
        self.content.records().map(|(reference, ttl, disabled)| self.view(reference, ttl, disabled))
    }

    pub fn find(&self, id: RecordId) -> Option<RecordView> {
        let wanted = self.ids.resolve(id, &self.content)?;
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

impl ZoneWriter {
    /// The zone as it stands. Content and ids are read one after the other; a change that lands in between, or is
    /// between PowerDNS and its settle, makes the reader look again.
    pub async fn view(&self, access: &ZoneAccess) -> Result<ZoneView> {
        const WAITS: u32 = 40; // a change that takes longer is shown as far as it got
        const READS: u32 = 4; // under steady writes the last read is good enough
        const PAUSE: std::time::Duration = std::time::Duration::from_millis(5);
        let inner = &self.inner;
        let zone = access.zone().id;
        let (mut waits, mut reads) = (0, 0);
        loop {
            let found = within(zones::for_write(&inner.db, zone)).await?;
            let Some((row, mark)) = found else { return Err(Error::NotFound("Domain")) };
            // nobody reads a whole zone while it is about to change
            if mark.is_some_and(|mark| mark.zone == zone && !mark.overdue) && waits < WAITS {
                waits += 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            reads += 1;
            let state = store::read(&inner.db, &inner.pdns, &row).await?;
            let ids = within(record_ids::of_zone(&inner.db, row.id)).await?;
            let after = within(zones::for_write(&inner.db, zone)).await?;
            let Some((now, mark)) = after else { return Err(Error::NotFound("Domain")) };
            let mark = mark.filter(|mark| mark.zone == zone);
            if is_unmoved(&row, &now) || reads == READS {
                let mut ids = IdBook::new(ids);
                if let Some(mark) = mark {
                    self.overlay_unsettled(&mut ids, mark.change, &state.content).await?;
                }
                let serial = state.live.map(|live| live.serial);
                return Ok(ZoneView { row, serial, content: state.content, ids });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A change may have run and not be settled: what it made has its ids in the intent until then.
    async fn overlay_unsettled(&self, ids: &mut IdBook, change: ChangeId, content: &ZoneContent) -> Result<()> {
        let Some(intent) = within(intents::find(&self.inner.db, change)).await? else { return Ok(()) };
        let payload: Payload =
            serde_json::from_str(&intent.payload).map_err(|error| Error::Internal(error.to_string()))?;
        ids.overlay(payload.ids_put.iter().filter_map(IdRow::to_row), content);
        Ok(())
    }
}
