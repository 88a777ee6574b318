//! Which record an id means, and which id a record has, while a batch is decided.
//!
//! A record that ScaiDNS wrote has a row. One that somebody else wrote has none: its id is its digest, until it is
//! edited here for the first time and gets a row under that same id.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::dns::{RecordRef, ZoneContent};
use crate::ids::RecordId;
use crate::storage::record_ids::{Digest, RecordIdRow};

/// The rows known, with what the batch has changed of them so far.
#[derive(Default)]
pub struct IdBook {
    by_id: HashMap<RecordId, RecordIdRow>,
    by_digest: HashMap<Digest, RecordId>,
    /// Where records with digests of interest stood when the batch began.
    places: HashMap<Digest, RecordRef>,
    removed: HashSet<RecordId>,
    put: HashSet<RecordId>,
}

impl IdBook {
    pub fn new(rows: Vec<RecordIdRow>) -> Self {
        let mut book = Self::default();
        for row in rows {
            book.by_digest.insert(row.digest, row.id);
            book.by_id.insert(row.id, row);
        }
        book
    }

    /// Finds the records that the known rows mean in one pass, rather than one search of the zone for each.
    pub fn index(&mut self, content: &ZoneContent) {
        if self.by_digest.is_empty() {
            return;
        }
        for (reference, ..) in content.records() {
            let digest = reference.digest();
            if self.by_digest.contains_key(&digest) {
                self.places.insert(digest, reference);
            }
        }
    }

    /// Takes the rows of a change that is not settled yet, for those of its records that stand in the zone already:
    /// it ran, so these are the ids that they will keep.
    pub fn overlay(&mut self, rows: impl Iterator<Item = RecordIdRow>, content: &ZoneContent) {
        let standing: HashSet<Digest> = content.records().map(|(reference, ..)| reference.digest()).collect();
        for row in rows.filter(|row| standing.contains(&row.digest)) {
            if let Some(before) = self.by_id.insert(row.id, row)
                && self.by_digest.get(&before.digest) == Some(&row.id)
            {
                self.by_digest.remove(&before.digest);
            }
            self.by_digest.insert(row.digest, row.id);
        }
    }

    fn place(&self, digest: &Digest, content: &ZoneContent) -> Option<RecordRef> {
        let known = self.places.get(digest).filter(|known| {
            content
                .get(&known.key)
                .is_some_and(|rrset| rrset.records.iter().any(|record| record.content == known.content))
        });
        known.cloned().or_else(|| content.find_by_digest(digest))
    }

    /// The record that an id means, if it stands in the zone.
    pub fn resolve(&self, id: RecordId, content: &ZoneContent) -> Option<RecordRef> {
        match self.by_id.get(&id) {
            Some(row) => self.place(&row.digest, content),
            // known under another id by now
            None if self.by_digest.contains_key(id.0.as_bytes()) => None,
            None => content.find_by_digest(id.0.as_bytes()).or_else(|| self.find_second(id, content)),
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
        if let Some(before) = self.by_id.get(&id)
            && self.by_digest.get(&before.digest) == Some(&id)
        {
            self.by_digest.remove(&before.digest);
        }
        let row = RecordIdRow { id, digest, created_at, updated_at: now };
        self.by_id.insert(id, row);
        self.by_digest.insert(digest, id);
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
