//! What the api takes: memory before and after all else, and time until it is ready.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Bench;
use crate::measure::percentile;
use crate::report::{Line, Measure};
use crate::usage::resident_megabytes;

const WORK: &str = "footprint";
const IDLE_TARGET: f64 = 40.0;
const BUSY_TARGET: f64 = 150.0;
const READY_TARGET_MS: f64 = 300.0;

/// To be called before the first work.
pub fn note_idle(bench: &mut Bench) -> Result<()> {
    bench.idle_megabytes = of_api(bench)?;
    Ok(())
}

pub async fn run(bench: &mut Bench) -> Result<()> {
    let busy = of_api(bench)?;
    let mut starts: Vec<Duration> = Vec::new();
    for _ in 0..bench.pick(7, 3) {
        let replica = bench.stack.start_replica(1).await?;
        starts.push(replica.ready_after);
        replica.stop().await;
    }
    starts.sort();
    let ready = percentile(&starts, 50);
    let idle = bench.idle_megabytes;
    bench.add(Line::figure(WORK, "memory of an idle api", Measure::Megabytes, idle, Some(IDLE_TARGET)));
    bench.add(Line::figure(WORK, "memory of the api after all works", Measure::Megabytes, busy, Some(BUSY_TARGET)));
    bench.add(Line::figure(WORK, "start until ready, p50", Measure::Milliseconds, ready, Some(READY_TARGET_MS)));
    Ok(())
}

fn of_api(bench: &Bench) -> Result<f64> {
    resident_megabytes(*bench.stack.pids("api-1").first().context("the api's process")?)
}
