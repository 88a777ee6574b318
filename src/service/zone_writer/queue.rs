//! Requests for one zone line up; one batch takes what waits.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use tokio::sync::oneshot;

use crate::ids::ZoneId;

use super::super::idempotency::StepRef;
use super::super::{Error, Result};
use super::{
    BATCH_OPERATIONS_MAX, RecordOperation, WAITING_OPERATIONS_MAX, WAITING_PER_ZONE_MAX, WriteOutcome, ZoneWrite,
};

/// How many requests wait for their batch, of all zones.
const WAITING: &str = "scaidns_changes_waiting";

/// A request that waits for its answer.
pub struct Waiting {
    pub write: ZoneWrite,
    /// Where the request may be repeated.
    pub step: Option<StepRef>,
    pub answer: oneshot::Sender<Result<WriteOutcome>>,
}

/// One line a zone; a zone has an entry exactly while somebody works it off.
#[derive(Default)]
pub struct Queues {
    lines: Mutex<HashMap<ZoneId, VecDeque<Waiting>>>,
}

impl Queues {
    /// Lines a request up. True: nobody works this zone off yet, the caller must see to it.
    pub fn push(
        &self,
        zone: ZoneId,
        write: ZoneWrite,
        step: Option<StepRef>,
    ) -> Result<(oneshot::Receiver<Result<WriteOutcome>>, bool)> {
        let (sender, receiver) = oneshot::channel();
        let mut lines = self.lines();
        let start = !lines.contains_key(&zone);
        let line = lines.entry(zone).or_default();
        let waiting: usize = line.iter().map(|waiting| weight(&waiting.write)).sum();
        if line.len() >= WAITING_PER_ZONE_MAX || waiting >= WAITING_OPERATIONS_MAX {
            metrics::counter!("scaidns_changes_refused_total").increment(1);
            return Err(Error::unavailable("Too many changes wait for this zone"));
        }
        line.push_back(Waiting { write, step, answer: sender });
        metrics::gauge!(WAITING).increment(1);
        Ok((receiver, start))
    }

    /// How many requests wait for a zone.
    pub fn waiting(&self, zone: ZoneId) -> usize {
        self.lines().get(&zone).map_or(0, VecDeque::len)
    }

    /// The next batch; None ends the line.
    pub fn take(&self, zone: ZoneId) -> Option<Vec<Waiting>> {
        let mut lines = self.lines();
        let line = lines.get_mut(&zone)?;
        let mut batch = Vec::new();
        let mut operations = 0;
        while let Some(next) = line.front() {
            let more = weight(&next.write).max(1);
            if operations + more > BATCH_OPERATIONS_MAX && !batch.is_empty() {
                break;
            }
            operations += more;
            batch.extend(line.pop_front());
        }
        if batch.is_empty() {
            lines.remove(&zone);
            return None;
        }
        metrics::gauge!(WAITING).decrement(batch.len() as f64);
        metrics::histogram!("scaidns_batch_requests").record(batch.len() as f64);
        metrics::histogram!("scaidns_batch_operations").record(operations as f64);
        Some(batch)
    }

    /// A panic elsewhere leaves the lines as they are, which is consistent: each change of them is one step.
    fn lines(&self) -> std::sync::MutexGuard<'_, HashMap<ZoneId, VecDeque<Waiting>>> {
        self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn weight(write: &ZoneWrite) -> usize {
    write.operations.iter().map(RecordOperation::weight).sum()
}
