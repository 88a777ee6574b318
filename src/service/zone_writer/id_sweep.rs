//! Rows of `record_ids` whose records somebody else took out of PowerDNS. Our own changes take their rows along; these
//! stay behind, harm nobody and are swept: some zones at each run, round and round.

use std::collections::HashSet;

use crate::dns::ZoneContent;
use crate::ids::{RecordId, ZoneId};
use crate::storage::record_ids::{self, Digest};
use crate::storage::{recurring_jobs, within, zones};
use crate::tenancy::ZoneStatus;

use super::super::Result;
use super::ZoneWriter;
use super::ids::IdBook;

/// The job of this name remembers where it is.
pub const RECURRING: &str = "record_ids";
/// At each run. A zone is read whole for it, so this is for the hour, and not for the minute.
const ZONES_PER_RUN: u32 = 500;

impl ZoneWriter {
    /// Sweeps the next zones; how many rows went.
    pub async fn sweep_record_ids(&self) -> Result<u64> {
        let db = &self.inner.db;
        let place = within(recurring_jobs::place(db, RECURRING)).await?;
        let zones = within(record_ids::zones_after(db, place.map(ZoneId), ZONES_PER_RUN)).await?;
        let mut swept = 0;
        for zone in &zones {
            match self.sweep_ids_of(*zone).await {
                Ok(count) => swept += count,
                // the next round comes by again
                Err(error) => tracing::warn!(%zone, %error, "record ids could not be swept"),
            }
            // after each of them: a run whose time is over is gone on with, not begun anew
            within(recurring_jobs::set_place(db, RECURRING, Some(zone.0))).await?;
        }
        if zones.len() < ZONES_PER_RUN as usize {
            within(recurring_jobs::set_place(db, RECURRING, None)).await?;
        }
        Ok(swept)
    }

    /// Rows of one zone that is served, as of one state of it: nothing goes if it changed while it was read.
    async fn sweep_ids_of(&self, zone: ZoneId) -> Result<u64> {
        let inner = &self.inner;
        let Some((row, mark)) = within(zones::for_write(&inner.db, zone)).await? else { return Ok(0) };
        if row.status != ZoneStatus::Active || mark.is_some_and(|mark| mark.zone == zone) {
            return Ok(0);
        }
        let (content, ids, _) = inner.read(&row).await?;
        let orphans = orphans(&ids, &content);
        if orphans.is_empty() {
            return Ok(0);
        }
        Ok(within(record_ids::forget(&inner.db, zone, row.standing(), &orphans)).await?)
    }
}

fn orphans(ids: &IdBook, content: &ZoneContent) -> Vec<RecordId> {
    let standing: HashSet<Digest> = content.records().map(|(reference, ..)| reference.digest()).collect();
    ids.rows().filter(|row| !standing.contains(&row.digest)).map(|row| row.id).collect()
}
