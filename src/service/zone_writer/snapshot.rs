//! What this replica knows of zones: as they were when it last wrote or read them.
//!
//! A snapshot is never trusted for being young. A writer may decide on one, since its intent is taken only if the
//! zone's row still stands as in the snapshot, and its PATCH leaves only if PowerDNS still has the snapshot's serial.
//! A reader shows one only if both are so (or a change that is under way explains the next serial). With the marker
//! first, each PATCH of ours steps the serial exactly once, and outsiders who use the API or RFC 2136 step it too.
//!
//! None is put here of a zone that is not served, since its serial does not move; nor after a change of the SOA, whose
//! serial PowerDNS computes from what was sent; nor where somebody else may have had a hand in it.

use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::dns::ZoneContent;
use crate::ids::{ChangeId, ZoneId};
use crate::storage::zones::ZoneRow;
use crate::tenancy::ZoneStatus;

use super::ids::IdBook;
use super::payload::Payload;
use super::protocol;
use super::store::LiveState;

/// What all snapshots of a replica may take in memory, about: a zone of 200,000 records, the largest that is imported,
/// takes two thirds of it.
const OCTETS_MAX: u64 = 128 * 1024 * 1024;
/// A zone that nobody looked at for so long makes room.
const IDLE_MAX: Duration = Duration::from_secs(3_600);
/// PowerDNS answers a PATCH with the zone's new serial. Until this long after the write was told to anybody, nobody who
/// has heard of it can have written: a call to PowerDNS takes longer, and asking for the serial again half as long.
pub const NEWS_FOR: Duration = Duration::from_millis(4);
/// A zone is read whole this often at least: there are writers whom the serial does not give away (SQL, `pdnsutil`, an
/// update by RFC 2136 at the very moment of a PATCH).
const READ_WHOLE_EVERY: Duration = Duration::from_secs(300);
/// Around the content of the smallest zone.
const OCTETS_AROUND: usize = 2_048;

/// A live zone at one revision.
pub struct Snapshot {
    pub row: ZoneRow,
    pub content: ZoneContent,
    pub ids: IdBook,
    pub live: LiveState,
    /// When the zone was last read whole.
    pub read_at: Instant,
    /// From when on somebody could know of the write of this replica that led to this serial.
    pub told_at: Option<Instant>,
}

impl Snapshot {
    /// The zone after a batch that was decided on this and is settled.
    pub fn after(
        &self,
        payload: &Payload,
        change: ChangeId,
        (mut content, ids): (ZoneContent, IdBook),
        serial: u32,
        now: OffsetDateTime,
    ) -> Self {
        let row = &self.row;
        content.set_serial(serial);
        let row = ZoneRow {
            revision: row.revision + payload.entries.len() as u64,
            serial: Some(serial),
            last_change: Some(change),
            record_count: payload.record_count,
            updated_at: now,
            ..row.clone()
        };
        let live = LiveState { marker: Some(protocol::marker_value(change)), serial, api_rectify: false };
        Self { row, content, ids: ids.settled(), live, read_at: self.read_at, told_at: Some(Instant::now()) }
    }

    /// Whether the write that led to this serial is told of since less than this.
    pub fn is_news_within(&self, time: Duration) -> bool {
        self.told_at.is_some_and(|told_at| told_at.elapsed() < time)
    }

    fn octets(&self) -> u32 {
        u32::try_from(OCTETS_AROUND + self.content.octets() + self.ids.octets()).unwrap_or(u32::MAX)
    }
}

/// The snapshots of this replica, within a budget; the one longest unused goes first.
pub struct Snapshots {
    zones: Cache<ZoneId, Arc<Snapshot>>,
}

impl Default for Snapshots {
    fn default() -> Self {
        let zones = Cache::builder()
            .max_capacity(OCTETS_MAX)
            .weigher(|_, snapshot: &Arc<Snapshot>| snapshot.octets())
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(IDLE_MAX)
            .build();
        Self { zones }
    }
}

impl Snapshots {
    pub fn get(&self, zone: ZoneId) -> Option<Arc<Snapshot>> {
        self.zones.get(&zone).filter(|snapshot| snapshot.read_at.elapsed() < READ_WHOLE_EVERY)
    }

    /// Keeps what was just read or written, unless something newer is there.
    pub fn put(&self, snapshot: impl Into<Arc<Snapshot>>) {
        let snapshot = snapshot.into();
        let row = &snapshot.row;
        if row.status != ZoneStatus::Active {
            return self.forget(row.id);
        }
        let is_newer = |known: &Snapshot| (known.row.revision, known.read_at) > (row.revision, snapshot.read_at);
        if !self.get(row.id).is_some_and(|known| is_newer(&known)) {
            self.zones.insert(row.id, snapshot);
        }
    }

    pub fn forget(&self, zone: ZoneId) {
        self.zones.invalidate(&zone);
    }
}
