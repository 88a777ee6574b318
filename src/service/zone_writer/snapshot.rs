//! What this replica knows of zones: as they were when it last wrote or read them.
//!
//! A snapshot is never trusted for being young. A writer may decide on one, since its intent is taken only if the
//! zone's row still stands as in the snapshot, and its PATCH leaves only if PowerDNS still has the snapshot's serial.
//! A reader shows one only if both are so. With the marker first, each PATCH steps the serial exactly once, so that an
//! equal serial is equal content, whoever wrote.
//!
//! None is kept of a zone that is not served: its serial does not move.

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

/// What all snapshots of a replica may take in memory, about.
const OCTETS_MAX: u64 = 64 * 1024 * 1024;
/// A zone that nobody looked at for so long makes room.
const IDLE_MAX: Duration = Duration::from_secs(3_600);
/// PowerDNS's own word on the serial, where it is no older than asking for it would take. An outsider who writes after
/// it had to be quicker than any call.
const WORD_GOOD_FOR: Duration = Duration::from_millis(4);
/// Around the content of the smallest zone.
const OCTETS_AROUND: usize = 2_048;

/// A live zone at one revision.
pub struct Snapshot {
    pub row: ZoneRow,
    pub content: ZoneContent,
    pub ids: IdBook,
    pub live: LiveState,
    /// When PowerDNS answered that this is the serial; None: MariaDB says so.
    pub said: Option<Instant>,
}

impl Snapshot {
    /// The zone after a batch that was decided on `row` and is settled.
    pub fn after(
        row: &ZoneRow,
        payload: &Payload,
        change: ChangeId,
        serial: u32,
        (mut content, ids): (ZoneContent, IdBook),
        (now, said): (OffsetDateTime, Instant),
    ) -> Self {
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
        Self { row, content, ids: ids.settled(), live, said: Some(said) }
    }

    /// Whether asking PowerDNS for the serial now would say no more than is known.
    pub fn is_just_said(&self) -> bool {
        self.said.is_some_and(|said| said.elapsed() < WORD_GOOD_FOR)
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
        self.zones.get(&zone)
    }

    /// Keeps what was just read or written, unless something newer is there.
    pub fn put(&self, snapshot: impl Into<Arc<Snapshot>>) {
        let snapshot = snapshot.into();
        let row = &snapshot.row;
        if row.status != ZoneStatus::Active {
            return self.forget(row.id);
        }
        if self.get(row.id).is_none_or(|known| known.row.revision <= row.revision) {
            self.zones.insert(row.id, snapshot);
        }
    }

    pub fn forget(&self, zone: ZoneId) {
        self.zones.invalidate(&zone);
    }
}
