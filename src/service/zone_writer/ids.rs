//! Which record an id means, and which id a record has, while a batch is decided.
//!
//! A record that ScaiDNS wrote has a row. One that somebody else wrote has none: its id is its digest, until it is
//! edited here for the first time and gets a row under that same id.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, OnceLock};

use imbl::OrdMap;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::dns::{RecordRef, RrsetChange, RrsetKey, ZoneContent};
use crate::ids::RecordId;
use crate::storage::record_ids::{Digest, RecordIdRow};

/// All rows of a zone, with what a batch has changed of them so far. A clone costs the same whatever the zone holds.
#[derive(Clone, Default)]
pub struct IdBook {
    by_id: OrdMap<RecordId, RecordIdRow>,
    by_digest: OrdMap<Digest, RecordId>,
    /// Where the record with a digest stands. Made when an id is first looked for, and carried along from then on.
    places: Arc<OnceLock<OrdMap<Digest, RrsetKey>>>,
    removed: BTreeSet<RecordId>,
    put: BTreeSet<RecordId>,
}

impl IdBook {
    pub fn new(rows: Vec<RecordIdRow>) -> Self {
        Self {
            by_digest: rows.iter().map(|row| (row.digest, row.id)).collect(),
            by_id: rows.into_iter().map(|row| (row.id, row)).collect(),
            ..Self::default()
        }
    }

    pub fn rows(&self) -> impl Iterator<Item = &RecordIdRow> {
        self.by_id.values()
    }

    /// About what it takes in memory.
    pub fn octets(&self) -> usize {
        const PER_ROW: usize = 160;
        const PER_PLACE: usize = 80;
        self.by_id.len() * PER_ROW + self.places.get().map_or(0, |places| places.len() * PER_PLACE)
    }

    /// What the batch has changed is settled.
    pub fn settled(mut self) -> Self {
        self.removed.clear();
        self.put.clear();
        self
    }

    /// Takes note that RRsets have changed.
    pub fn follow(&mut self, changes: &[RrsetChange]) {
        let Some(mut places) = self.places.get().cloned() else {
            // not made yet; when it is, it must not be from what others share
            self.places = Arc::default();
            return;
        };
        for RrsetChange { key, before, after: _ } in changes {
            for record in before.iter().flat_map(|rrset| &rrset.records) {
                places.remove(&key.digest(&record.content));
            }
        }
        for RrsetChange { key, before: _, after } in changes {
            for record in after.iter().flat_map(|rrset| &rrset.records) {
                places.insert(key.digest(&record.content), key.clone());
            }
        }
        self.places = Arc::new(OnceLock::from(places));
    }

    /// Takes what MariaDB knows of the records of RRsets that somebody else has changed: the rows of those that stand
    /// now; rows of those that went are forgotten.
    pub fn catch_up(&mut self, changes: &[RrsetChange], rows: Vec<RecordIdRow>) {
        self.follow(changes);
        for RrsetChange { key, before, after: _ } in changes {
            for record in before.iter().flat_map(|rrset| &rrset.records) {
                if let Some(id) = self.by_digest.remove(&key.digest(&record.content)) {
                    self.by_id.remove(&id);
                }
            }
        }
        for row in rows {
            self.insert(row);
        }
    }

    /// Takes the rows of a change that is not settled yet, for those of its records that stand in the zone already:
    /// it ran, so these are the ids that they will keep.
    pub fn overlay(&mut self, rows: impl Iterator<Item = RecordIdRow>, content: &ZoneContent) {
        let standing: HashSet<Digest> = content.records().map(|(reference, ..)| reference.digest()).collect();
        for row in rows.filter(|row| standing.contains(&row.digest)) {
            self.insert(row);
        }
    }

    /// A row as it is now. The digest that it had before is nobody's, and who had its digest before is gone, as in the
    /// table.
    fn insert(&mut self, row: RecordIdRow) {
        if let Some(former) = self.by_digest.get(&row.digest).copied().filter(|former| *former != row.id) {
            self.by_id.remove(&former);
            self.put.remove(&former);
        }
        if let Some(before) = self.by_id.insert(row.id, row)
            && self.by_digest.get(&before.digest) == Some(&row.id)
        {
            self.by_digest.remove(&before.digest);
        }
        self.by_digest.insert(row.digest, row.id);
    }

    fn place(&self, digest: &Digest, content: &ZoneContent) -> Option<RecordRef> {
        let places = self
            .places
            .get_or_init(|| content.records().map(|(reference, ..)| (reference.digest(), reference.key)).collect());
        let key = places.get(digest)?;
        let record = content.get(key)?.records.iter().find(|record| key.digest(&record.content) == *digest)?;
        Some(RecordRef { key: key.clone(), content: record.content.clone() })
    }

    /// The record that an id means, if it stands in the zone.
    pub fn resolve(&self, id: RecordId, content: &ZoneContent) -> Option<RecordRef> {
        match self.by_id.get(&id) {
            Some(row) => self.place(&row.digest, content),
            // known under another id by now
            None if self.by_digest.contains_key(id.0.as_bytes()) => None,
            None => self.place(id.0.as_bytes(), content).or_else(|| self.find_second(id, content)),
        }
    }

    /// A foreign record whose digest is an id in use has its second id; so rare that a search will do.
    fn find_second(&self, id: RecordId, content: &ZoneContent) -> Option<RecordRef> {
        if self.by_id.is_empty() {
            return None;
        }
        content.records().map(|(reference, ..)| reference).find(|reference| second_id(&reference.digest()) == id)
    }

    /// The id of a record, its row if it has one.
    pub fn id_of(&self, digest: &Digest) -> (RecordId, Option<&RecordIdRow>) {
        if let Some(row) = self.by_digest.get(digest).and_then(|id| self.by_id.get(id)) {
            return (row.id, Some(row));
        }
        let own = RecordId(Uuid::from_bytes(*digest));
        if self.by_id.contains_key(&own) { (second_id(digest), None) } else { (own, None) }
    }

    /// A record got this content, now.
    pub fn put(
        &mut self,
        id: RecordId,
        digest: Digest,
        created_at: OffsetDateTime,
        now: OffsetDateTime,
    ) -> RecordIdRow {
        let row = RecordIdRow { id, digest, created_at, updated_at: now };
        self.insert(row);
        self.removed.remove(&id);
        self.put.insert(id);
        row
    }

    /// A record is gone.
    pub fn remove(&mut self, id: RecordId) {
        if let Some(row) = self.by_id.remove(&id)
            && self.by_digest.get(&row.digest) == Some(&id)
        {
            self.by_digest.remove(&row.digest);
        }
        self.put.remove(&id);
        self.removed.insert(id);
    }

    /// What the batch leaves to be written: ids gone, rows that are new or moved.
    pub fn outcome(&self) -> (Vec<RecordId>, Vec<RecordIdRow>) {
        let put = self.put.iter().filter_map(|id| self.by_id.get(id)).copied().collect();
        (self.removed.iter().copied().collect(), put)
    }
}

fn second_id(digest: &Digest) -> RecordId {
    let hash = Sha256::new().chain_update(b"second id of ").chain_update(digest).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    RecordId(Uuid::from_bytes(bytes))
}
