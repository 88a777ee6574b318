//! The other edge: what is done without a request. Each job reads what is due from MariaDB, is bounded per run, may
//! run twice at once, and is simply run again after a failure.

use std::sync::Arc;
use std::time::Duration;

use crate::service::{Result, Services};
use crate::storage::{fences, intents, revocations};

/// Unsettled changes are looked for this often.
const RECOVERY_EVERY: Duration = Duration::from_secs(2);
/// What has had its time is cleaned up this often.
const CLEANING_EVERY: Duration = Duration::from_secs(60);

/// Runs all jobs until `stop`.
pub async fn run(services: Arc<Services>, stop: impl Future<Output = ()>) {
    tracing::info!("worker runs");
    let jobs = async {
        tokio::join!(
            every(RECOVERY_EVERY, "recovery", || recover(&services)),
            every(CLEANING_EVERY, "fences", || sweep_fences(&services)),
            every(CLEANING_EVERY, "resting names", || sweep_rests(&services)),
            every(CLEANING_EVERY, "settled batches", || sweep_outcomes(&services)),
            every(CLEANING_EVERY, "revocations", || sweep_revocations(&services)),
        )
    };
    tokio::select! {
        _ = jobs => {}
        () = stop => {}
    }
}

async fn recover(services: &Services) -> Result<u64> {
    Ok(services.writer.recover_overdue().await? as u64)
}

async fn sweep_fences(services: &Services) -> Result<u64> {
    Ok(services.writer.sweep_fences().await? as u64)
}

async fn sweep_rests(services: &Services) -> Result<u64> {
    Ok(fences::sweep_rests(&services.db).await?)
}

async fn sweep_outcomes(services: &Services) -> Result<u64> {
    in_steps(async || Ok(intents::sweep_outcomes(&services.db).await?)).await
}

async fn sweep_revocations(services: &Services) -> Result<u64> {
    in_steps(async || Ok(revocations::sweep(&services.db).await?)).await
}

/// Repeats a bounded statement: a busy platform leaves more in a minute than one of them removes.
async fn in_steps(sweep: impl AsyncFn() -> Result<u64>) -> Result<u64> {
    const STATEMENTS_PER_RUN: u32 = 100;
    let mut swept = 0;
    for _ in 0..STATEMENTS_PER_RUN {
        match sweep().await? {
            0 => break,
            count => swept += count,
        }
    }
    Ok(swept)
}

/// Repeats a job for ever, the first time at once. A failure is logged; the next run tries again.
async fn every<F: Future<Output = Result<u64>>>(pause: Duration, name: &'static str, job: impl Fn() -> F) {
    loop {
        match job().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(job = name, count, "job done"),
            Err(error) => tracing::warn!(job = name, %error, "job failed, tries again"),
        }
        tokio::time::sleep(pause).await;
    }
}
