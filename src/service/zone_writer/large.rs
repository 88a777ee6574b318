//! A change that is more than one PATCH takes. It is decided as a whole like any other; then it is kept in parts, and a
//! job that writes them is made, which alone may write to the zone until it is over. All that stands or falls with one
//! transaction, which finds the zone as the decision found it, so nothing is written that was not checked.

use serde_json::Value;

use crate::authz::Visibility;
use crate::dns::{OwnerName, Rrset, RrsetChange};
use crate::ids::{ChangeId, JobId};
use crate::storage::idempotency::{self, Step};
use crate::storage::import_parts::{self, NewPart, Tally};
use crate::storage::jobs::{self, NewJob};
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{StorageError, intents, within, within_write};

use super::super::idempotency::{MARK_LOST, mark_lost};
use super::super::{Error, Result};
use super::batch::{Answers, Batch, Round};
use super::change::is_unmoved;
use super::decide::{Accepted, WriteOutcome};
use super::protocol::{self, PATCH_BYTES_MAX};
use super::{Inner, steps};

/// RRsets of one change: PowerDNS takes some seconds for as many.
const RRSETS_MAX: usize = 10_000; // contract
/// What was there and what comes, in all: an intent holds both.
const OCTETS_MAX: usize = 2 * PATCH_BYTES_MAX;
/// RRsets of a part. PowerDNS takes a second for them, a tenth of what a writer may take.
const PART_RRSETS_MAX: usize = 1_000;
/// What a part holds, before and after: well within one PATCH, and one intent.
const PART_OCTETS_MAX: usize = 1_000_000;

/// How a request becomes a job.
#[derive(Clone, Debug)]
pub struct Large {
    /// One of the kinds of jobs.
    pub kind: &'static str,
    /// As the job has it, see `service::jobs::RequestedBy`.
    pub requested_by: Value,
    pub parameters: Value,
}

/// Whether a change is more than goes into one PATCH.
pub fn is_large(changes: &[RrsetChange]) -> bool {
    changes.len() > RRSETS_MAX
        || protocol::patch_bytes(changes) > PATCH_BYTES_MAX
        || changes.iter().map(octets).sum::<usize>() > OCTETS_MAX
}

/// How many records come, change and go. One that has another TTL has changed.
pub fn tally(changes: &[RrsetChange]) -> Tally {
    let mut tally = Tally::default();
    for RrsetChange { key: _, before, after } in changes {
        let count = |rrset: &Option<Rrset>| rrset.as_ref().map_or(0, |rrset| rrset.records.len() as u64);
        let stayed = before.iter().flat_map(|rrset| &rrset.records).filter_map(|record| {
            let after = after.as_ref()?;
            let is_same = after.find(&record.content)?.disabled == record.disabled;
            Some(is_same && before.as_ref().is_some_and(|before| before.ttl == after.ttl))
        });
        let stayed: Vec<bool> = stayed.collect();
        tally.created += count(after) - stayed.len() as u64;
        tally.deleted += count(before) - stayed.len() as u64;
        tally.updated += stayed.iter().filter(|is_same| !**is_same).count() as u64;
    }
    tally
}

fn octets(change: &RrsetChange) -> usize {
    let RrsetChange { key, before, after } = change;
    key.name.as_str().len() + protocol::rrset_bytes(before.as_ref()) + protocol::rrset_bytes(after.as_ref())
}

/// The changes in parts that each go into one PATCH. All that happens at one name is in one part, since PowerDNS takes
/// no CNAME beside others even for a moment; names that go are in the last parts, when what takes their place is there.
///
/// # Errors
/// A name whose records are too much for one PATCH.
fn split(changes: Vec<RrsetChange>) -> std::result::Result<Vec<Vec<RrsetChange>>, OwnerName> {
    let (mut staying, mut going): (Vec<Vec<RrsetChange>>, Vec<Vec<RrsetChange>>) = (Vec::new(), Vec::new());
    let mut at_name: Vec<RrsetChange> = Vec::new();
    let mut sort_in = |at_name: Vec<RrsetChange>| {
        let goes = at_name.iter().all(|change| change.after.is_none());
        if goes { going.push(at_name) } else { staying.push(at_name) }
    };
    for change in changes {
        if at_name.last().is_some_and(|last| last.key.name != change.key.name) {
            sort_in(std::mem::take(&mut at_name));
        }
        at_name.push(change);
    }
    sort_in(at_name);
    let (mut parts, mut held) = (vec![Vec::new()], 0);
    for mut at_name in staying.into_iter().chain(going) {
        let more: usize = at_name.iter().map(octets).sum();
        if protocol::patch_bytes(&at_name) > PATCH_BYTES_MAX || more > OCTETS_MAX {
            return Err(at_name.swap_remove(0).key.name);
        }
        let is_full = |part: &Vec<RrsetChange>| {
            !part.is_empty() && (part.len() + at_name.len() > PART_RRSETS_MAX || held + more > PART_OCTETS_MAX)
        };
        if parts.last().is_some_and(is_full) {
            parts.push(Vec::new());
            held = 0;
        }
        held += more;
        if let Some(part) = parts.last_mut() {
            part.append(&mut at_name);
        }
    }
    Ok(parts)
}

impl Batch<'_> {
    /// Makes the job that carries out what was accepted; the answer is its id.
    pub(super) async fn make_job(&mut self, row: &ZoneRow, accepted: Accepted, mut answers: Answers) -> Round {
        let job = JobId::new();
        let outcome = WriteOutcome::of_job(job);
        let mut steps = Vec::new();
        for (waiting, answer) in &mut answers.0 {
            // plain values always have a JSON form
            steps.extend(waiting.step.as_ref().and_then(|step| steps::step(step, &outcome).ok()));
            *answer = Ok(outcome.clone());
        }
        let made = self.inner.make_job(row, job, accepted, &steps).await;
        let round = match made {
            Ok(true) => {
                answers.send();
                return Round::Done { wanted: false };
            }
            Ok(false) => Round::Again,
            // the commit may still land: the job then needs its parts; if it does not, the sweep removes them
            Err(Error::OutcomeUnknown(change)) => {
                self.requests = answers.take_back();
                return Round::Failed(Error::OutcomeUnknown(change));
            }
            Err(Error::IdempotencyInProgress) => Round::MarkLost,
            Err(error) => Round::Failed(error),
        };
        self.requests = answers.take_back();
        if let Err(error) = within_write(import_parts::clear(&self.inner.db, job)).await {
            tracing::warn!(%job, %error, "parts of a job that was not made are left to the sweep");
        }
        round
    }
}

impl Inner {
    /// False: the zone moved since it was read.
    async fn make_job(&self, row: &ZoneRow, job: JobId, accepted: Accepted, steps: &[Step]) -> Result<bool> {
        let Accepted { entry, large, .. } = accepted;
        let large = large.ok_or_else(|| Error::Internal("a change that may not become a job".into()))?;
        let rrsets = entry.changes.len() as u64;
        let parts = split(entry.changes).map_err(|name| {
            Error::invalid("content", format!("the records at '{name}' are more than PowerDNS takes at once"))
        })?;
        for (number, changes) in (0..).zip(parts) {
            let part = NewPart {
                rrsets: u32::try_from(changes.len()).unwrap_or(u32::MAX),
                tally: tally(&changes),
                changes: serde_json::to_string(&changes).map_err(|error| Error::Internal(error.to_string()))?,
            };
            drop(changes);
            within_write(import_parts::insert(&self.db, (job, number), &part)).await?;
        }
        match within_write(self.commit_job(row, job, (large, rrsets), steps)).await {
            Ok(made) => Ok(made),
            Err(StorageError::Deadlock(_)) => Ok(false),
            Err(error) if error.is_duplicate_of(jobs::BUSY_ZONE) => Ok(false),
            Err(error) if error.is_duplicate_of(MARK_LOST) => Err(Error::IdempotencyInProgress),
            Err(StorageError::Unavailable(why)) => {
                // the commit's answer was lost, the commit perhaps not
                match within(jobs::find(&self.db, &Visibility::system(), job)).await {
                    Ok(Some(_)) => Ok(true),
                    Ok(None) | Err(_) => {
                        tracing::warn!(zone = %row.name, %job, why, "whether a job was made is unknown");
                        Err(Error::OutcomeUnknown(ChangeId(job.0)))
                    }
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn commit_job(
        &self,
        row: &ZoneRow,
        id: JobId,
        (large, rrsets): (Large, u64),
        steps: &[Step],
    ) -> crate::storage::Result<bool> {
        let mut tx = self.db.begin().await?;
        if !idempotency::bind_steps(&mut tx, steps, ChangeId(id.0)).await? {
            return Err(mark_lost());
        }
        let unmoved = zones::lock(&mut tx, row.id).await?.is_some_and(|locked| is_unmoved(row, &locked));
        if !unmoved || intents::exists_for_zone(&mut tx, row.id).await? {
            return Ok(false);
        }
        let Large { kind, requested_by, parameters } = large;
        let (tenant, zone, total) = (Some(row.tenant), Some(row.id), Some(rrsets));
        jobs::create(&mut tx, &NewJob { id, kind, tenant, zone, requested_by, parameters, total }).await?;
        zones::hold(&mut tx, row.id, id).await?;
        tx.commit().await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dns::{Record, RecordType, RrsetKey};

    fn change(name: &str, record_type: RecordType, octets: usize, goes: bool) -> RrsetChange {
        let key = RrsetKey { name: OwnerName::from_server(&format!("{name}.shop.test")), record_type };
        let rrset = Rrset { ttl: 60, records: vec![Record { content: "x".repeat(octets), disabled: false }] };
        if goes {
            RrsetChange { key, before: Some(rrset), after: None }
        } else {
            RrsetChange { key, before: None, after: Some(rrset) }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn parts_hold_all_of_it_and_never_tear_a_name(
            names in proptest::collection::vec((0usize..4_000, any::<bool>(), 1usize..2_000), 1..4_000)
        ) {
            let mut changes = Vec::new();
            for (number, (name, goes, octets)) in names.into_iter().enumerate() {
                let name = format!("h{name}-{}", number / 2);
                changes.push(change(&name, RecordType::A, octets, goes));
                changes.push(change(&name, RecordType::Txt, octets, true));
            }
            changes.sort_by(|a, b| a.key.cmp(&b.key));
            changes.dedup_by(|a, b| a.key == b.key);
            let parts = split(changes.clone()).expect("small enough");
            let mut all: Vec<RrsetChange> = parts.iter().flatten().cloned().collect();
            let mut seen = std::collections::HashSet::new();
            for part in &parts {
                prop_assert!(!part.is_empty() && part.len() <= PART_RRSETS_MAX && !is_large(part));
                let names: std::collections::HashSet<_> = part.iter().map(|change| change.key.name.clone()).collect();
                prop_assert!(names.into_iter().all(|name| seen.insert(name)), "a name is in one part");
            }
            all.sort_by(|a, b| a.key.cmp(&b.key));
            prop_assert_eq!(all, changes);
        }
    }

    #[test]
    fn names_that_go_do_so_when_the_others_are_there() {
        let changes: Vec<_> = (0..2_500).map(|n| change(&format!("h{n:05}"), RecordType::A, 8, n < 1_000)).collect();
        let parts = split(changes).expect("small enough");
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [1_000, 1_000, 500]);
        assert!(parts[0].iter().all(|change| change.after.is_some()));
        assert!(parts[2].iter().all(|change| change.after.is_none()));
    }

    #[test]
    fn what_is_too_much_at_one_name_is_named() {
        let changes = vec![change("a", RecordType::A, 8, false), change("b", RecordType::Txt, 1_600_000, false)];
        assert_eq!(split(changes).expect_err("too much").as_str(), "b.shop.test");
    }

    #[test]
    fn records_are_told_apart_by_what_becomes_of_them() {
        let record = |content: &str, disabled| Record { content: content.into(), disabled };
        let before = Rrset { ttl: 60, records: vec![record("a", false), record("b", false), record("c", false)] };
        let after = Rrset { ttl: 60, records: vec![record("a", false), record("b", true), record("d", false)] };
        let key = change("a", RecordType::A, 1, false).key;
        let changes = [RrsetChange { key, before: Some(before), after: Some(after) }];
        assert_eq!(tally(&changes), Tally { created: 1, updated: 1, deleted: 1 });
    }
}
