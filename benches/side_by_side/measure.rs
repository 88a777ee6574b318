//! Measuring: how long each call took, how many went through, and what they cost the servers meanwhile.
//!
//! Work is done in slices, a slice on one side and then one on the other, so that whatever else the machine is doing
//! hits both. A [`Samples`] gathers the slices of one side.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::usage::{Meter, Usage};

/// Throughput of many callers is counted until so many of a hundred calls are answered: one that the server did not
/// even let in, and that the kernel tried again a second later, is not to decide it.
const COUNTED: usize = 95;

/// What came of a call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    latency: Duration,
    answered: Instant,
    status: u16,
}

/// Calls that many callers have to do together; whoever is free takes the next.
#[derive(Debug)]
pub struct Share {
    left: Cell<usize>,
    deadline: Instant,
}

impl Share {
    /// None is begun after the deadline.
    pub fn new(calls: usize, deadline: Instant) -> Self {
        Self { left: Cell::new(calls), deadline }
    }

    fn take(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0 && Instant::now() < self.deadline
    }

    /// A caller that works until nothing is left; it is told how many calls it has done before.
    pub async fn work_off(&self, mut call: impl AsyncFnMut(usize) -> u16) -> Vec<Call> {
        let mut done = Vec::new();
        while self.take() {
            done.push(timed(call(done.len())).await);
        }
        done
    }
}

/// Calls in a slice that go one by one: few enough that the machine does not change meanwhile.
pub const SLICE: usize = 20;

/// The calls of one side.
#[derive(Debug, Default)]
pub struct Samples {
    latencies: Vec<Duration>,
    /// Answers that were no success, by status.
    failures: BTreeMap<u16, usize>,
    /// How long the slices took together, as far as throughput goes.
    elapsed: Duration,
    /// From the meter's first look to its last.
    wall: Duration,
    usage: Usage,
}

/// One side in figures.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    pub calls: usize,
    pub failed: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Successes.
    pub per_second: f64,
    /// For each success.
    pub usage: Usage,
    /// What the rest of the machine took of its processors meanwhile, 0 to 1.
    pub others: f64,
}

/// Times one call.
async fn timed(call: impl Future<Output = u16>) -> Call {
    let begun = Instant::now();
    let status = call.await;
    let answered = Instant::now();
    Call { latency: answered - begun, answered, status }
}

impl Samples {
    /// One caller, one call after the other.
    pub async fn one_by_one(
        &mut self,
        meter: &mut Meter,
        calls: usize,
        mut call: impl AsyncFnMut(usize) -> u16,
    ) -> Result<()> {
        let before = meter.look().await?;
        let begun = Instant::now();
        for n in 0..calls {
            let done = timed(call(n)).await;
            self.take(done);
        }
        self.elapsed += begun.elapsed();
        self.usage += meter.look().await? - before;
        self.wall += begun.elapsed();
        Ok(())
    }

    /// Many callers at once, each with what it did as its result.
    pub async fn all_at_once<F>(&mut self, meter: &mut Meter, callers: impl IntoIterator<Item = F>) -> Result<()>
    where
        F: Future<Output = Vec<Call>>,
    {
        let callers: Vec<F> = callers.into_iter().collect();
        let before = meter.look().await?;
        let begun = Instant::now();
        let mut done: Vec<Call> = futures::future::join_all(callers).await.into_iter().flatten().collect();
        self.usage += meter.look().await? - before;
        self.wall += begun.elapsed();
        done.sort_by_key(|call| call.answered);
        let counted = (done.len() * COUNTED).div_ceil(100);
        if let Some(last) = done.get(counted.wrapping_sub(1)) {
            self.elapsed += (last.answered - begun).mul_f64(done.len() as f64 / counted as f64);
        }
        done.into_iter().for_each(|call| self.take(call));
        Ok(())
    }

    fn take(&mut self, Call { latency, answered: _, status }: Call) {
        if (200..300).contains(&status) || status == 304 {
            self.latencies.push(latency);
        } else {
            *self.failures.entry(status).or_default() += 1;
        }
    }

    pub fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    pub fn succeeded(&self) -> usize {
        self.latencies.len()
    }

    /// `500 × 31, no answer × 2`; nothing where all went through.
    pub fn failures(&self) -> String {
        let word = |(status, count): (&u16, &usize)| match *status {
            crate::client::NO_ANSWER => format!("no answer × {count}"),
            status => format!("{status} × {count}"),
        };
        self.failures.iter().map(word).collect::<Vec<_>>().join(", ")
    }

    /// An error where anything failed that should not have.
    pub fn all_succeeded(&self, who: &str) -> Result<()> {
        anyhow::ensure!(self.failures.is_empty(), "{who} refused calls: {}", self.failures());
        anyhow::ensure!(!self.latencies.is_empty(), "{who} was not called");
        Ok(())
    }

    pub fn figures(&self) -> Figures {
        let mut sorted = self.latencies.clone();
        sorted.sort();
        let count = sorted.len().max(1) as f64;
        let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
        Figures {
            calls: sorted.len() + self.failed(),
            failed: self.failed(),
            p50_ms: percentile(&sorted, 50),
            p99_ms: percentile(&sorted, 99),
            per_second: sorted.len() as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON),
            usage: self.usage / count,
            others: self.usage.others / (cores * self.wall.as_secs_f64()).max(f64::EPSILON),
        }
    }
}

/// In milliseconds, by the nearest rank.
pub fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0)
}

/// The middle of some figures.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => (values[even / 2 - 1] + values[even / 2]) / 2.0,
    }
}
