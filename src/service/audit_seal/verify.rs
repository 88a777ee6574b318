//! Walks the chain and says where it does not hold.

use crate::ids::AuditId;
use crate::storage::audit_seals::{self, Link, SealedEntry};
use crate::storage::{Db, within};

use super::super::Result;
use super::chain::{Chain, Head};

/// More is not told: the log is worth nothing then.
const PROBLEMS_TOLD_MAX: usize = 100;

/// One place where the chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Places without their entries.
    Missing { first: u64, last: u64 },
    /// The entry, its place or its seal is not what was sealed.
    Altered { sequence: u64, id: AuditId },
    /// What should say where the log begins, after old entries were removed, was not written by who has the key.
    ForgedStart { sequence: u64 },
    /// The last entries are gone: the log has been longer.
    Cut { last: u64, known: u64 },
    /// The head that was kept elsewhere is not in this chain.
    OtherHead { sequence: u64 },
    /// The head that was kept elsewhere is older than the first entry: nothing can be said of it.
    HeadTooOld { sequence: u64 },
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Report {
    pub sealed: u64,
    pub unsealed: u64,
    /// The place of the first entry that is still kept.
    pub first: u64,
    pub head: Head,
    pub problems: Vec<Problem>,
}

/// Verifies the whole log. `kept`: a head from the worker's log, which the chain must contain. `told`: how far it is.
pub async fn verify(db: &Db, chain: &Chain, kept: Option<Head>, told: &(dyn Fn(u64) + Sync)) -> Result<Report> {
    let start = within(audit_seals::start(db)).await?;
    let noted = within(audit_seals::head(db)).await?;
    let begin = start.map_or(Link { sequence: 0, seal: [0; 32] }, |start| start.link);
    let mut walk = Walk { chain, at: begin, is_known: true, kept, problems: Vec::new(), sealed: 0 };
    if let Some(start) = start.filter(|start| !chain.is_start(start)) {
        walk.report(Problem::ForgedStart { sequence: start.link.sequence });
    }
    walk.meet_kept();
    loop {
        let entries = within(audit_seals::sealed_after(db, walk.at.sequence)).await?;
        if entries.is_empty() {
            break;
        }
        for entry in &entries {
            walk.step(entry);
        }
        told(walk.sealed);
    }
    let Walk { at, kept, mut problems, sealed, .. } = walk;
    let known = [noted.map(|noted| noted.sequence), kept.map(|kept| kept.0.sequence)].into_iter().flatten().max();
    if let Some(known) = known.filter(|known| *known > at.sequence) {
        problems.push(Problem::Cut { last: at.sequence, known });
    }
    if let Some(Head(kept)) = kept.filter(|kept| kept.0.sequence < begin.sequence) {
        problems.push(Problem::HeadTooOld { sequence: kept.sequence });
    }
    let unsealed = within(audit_seals::unsealed(db)).await?;
    Ok(Report { sealed, unsealed, first: begin.sequence + 1, head: Head(at), problems })
}

struct Walk<'a> {
    chain: &'a Chain,
    at: Link,
    /// Whether the seal at `at` is what was sealed, as far as can be told; not so behind a gap.
    is_known: bool,
    kept: Option<Head>,
    problems: Vec<Problem>,
    sealed: u64,
}

impl Walk<'_> {
    fn step(&mut self, entry: &SealedEntry) {
        let SealedEntry { link, statement } = entry;
        self.sealed += 1;
        if link.sequence > self.at.sequence + 1 {
            self.report(Problem::Missing { first: self.at.sequence + 1, last: link.sequence - 1 });
            self.is_known = false;
        }
        // behind a gap the seal before is unknown, so the first entry there can only be taken as it is
        if self.is_known && !self.chain.is_seal(&self.at, statement, &link.seal) {
            self.report(Problem::Altered { sequence: link.sequence, id: statement.id });
        }
        self.at = *link;
        self.is_known = true;
        self.meet_kept();
    }

    fn meet_kept(&mut self) {
        if let Some(Head(kept)) = self.kept
            && kept.sequence == self.at.sequence
            && kept.seal != self.at.seal
        {
            self.report(Problem::OtherHead { sequence: kept.sequence });
        }
    }

    fn report(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS_TOLD_MAX {
            self.problems.push(problem);
        }
    }
}
