//! The other edge: what is done without a request. Recovery runs on every worker, every two seconds; what recurs and the
//! jobs that requests have asked for are shared out among the workers through rows in MariaDB.

mod jobs;
#[cfg(all(test, feature = "dev"))]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::service::jobs::kinds::KINDS;
use crate::service::{Result, Services, backlog, dnssec};

/// Unsettled changes are looked for this often.
const RECOVERY_EVERY: Duration = Duration::from_secs(2);
/// Signed zones that are due are looked for this often; each is taken by one worker.
const DNSSEC_EVERY: Duration = Duration::from_secs(1);
/// What waits in the database is told to metrics this often.
const BACKLOG_EVERY: Duration = Duration::from_secs(5);
/// What is wrong with the signing of zones is counted for the metrics this often.
const ALARMS_EVERY: Duration = Duration::from_secs(15);

/// Runs all jobs until `stop`.
pub async fn run(services: Arc<Services>, stop: impl Future<Output = ()>) {
    tracing::info!("worker runs");
    for (kind, status) in KINDS.iter().flat_map(|kind| ["succeeded", "failed"].map(|status| (kind, status))) {
        // to be seen before the first has run
        metrics::counter!("scaidns_worker_jobs_total", "job" => kind.name, "status" => status).absolute(0);
    }
    let jobs = jobs::Jobs::new(services.clone(), KINDS);
    let work = async {
        tokio::join!(
            every(RECOVERY_EVERY, "recovery", || recover(&services)),
            every(DNSSEC_EVERY, "dnssec", || roll_keys(&services)),
            tell_backlog(&services),
            every(ALARMS_EVERY, "dnssec_alarms", || dnssec::count_alarms(&services)),
            jobs::recurring(&services),
            jobs.run()
        )
    };
    tokio::select! {
        _ = work => {}
        () = stop => {}
    }
    jobs.give_back().await;
}

async fn recover(services: &Services) -> Result<u64> {
    Ok(services.writer.recover_overdue().await? as u64)
}

/// Only where somebody reads it.
async fn tell_backlog(services: &Services) {
    if services.config.metrics.enabled {
        every(BACKLOG_EVERY, "backlog", || async { backlog::tell(services).await.map(|()| 0) }).await;
    }
}

/// Quiet: what it does stands in each zone's history.
async fn roll_keys(services: &Services) -> Result<u64> {
    dnssec::advance::run(services).await.map(|_| 0)
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
