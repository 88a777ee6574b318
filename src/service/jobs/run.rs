//! How one job is run: claimed, its lease renewed while the handler works, its outcome noted.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::{MySql, Transaction};

use crate::ids::{ChangeId, JobId, TenantId, ZoneId};
use crate::storage::jobs::{self, ClaimedJob, Hold, LEASE_SECONDS, Progress};
use crate::storage::{self, Db, audit, within, within_write};

use super::super::Services;
use super::RequestedBy;
use super::kinds::{Kind, Outcome, Stop};

/// Claims without getting further before a job is given up: a crash counts as one.
pub const ATTEMPTS_MAX: u32 = 8;
/// The longest pause between two of them.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// What a job needs may be away for a day: then somebody waits for an answer who should have one.
const WAITS_MAX: u32 = 1_440;
/// The longest pause between two looks whether it is back.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// An outcome is noted at once, or so many seconds later, where the database is away.
const NOTED_WITHIN: [u64; 4] = [0, 1, 2, 4];
/// The lease is renewed this often: two of three renewals may fail.
const RENEW_EVERY: Duration = Duration::from_secs(LEASE_SECONDS as u64 / 3);
/// A handler that could not renew its lease stops this long before it ends.
const MARGIN: Duration = Duration::from_secs(5);

/// A job under way, as its handler sees it.
pub struct Run {
    db: Db,
    claimed: ClaimedJob,
}

impl Run {
    pub fn id(&self) -> JobId {
        self.claimed.hold.job
    }

    pub fn tenant(&self) -> Option<TenantId> {
        self.claimed.tenant
    }

    pub fn zone(&self) -> Option<ZoneId> {
        self.claimed.zone
    }

    /// In whose name it acts.
    pub fn requested_by(&self) -> std::result::Result<RequestedBy, Stop> {
        read(&self.claimed.requested_by)
    }

    pub fn parameters<T: DeserializeOwned>(&self) -> std::result::Result<T, Stop> {
        read(&self.claimed.parameters)
    }

    /// Where the last checkpoint said to go on; None at the beginning.
    pub fn state<T: DeserializeOwned>(&self) -> std::result::Result<Option<T>, Stop> {
        self.claimed.state.as_ref().map(read).transpose()
    }

    /// How far it was when it was claimed.
    pub fn progress(&self) -> &Progress {
        &self.claimed.progress
    }

    /// Notes how far it is and where to go on. After an error the handler stops.
    pub async fn checkpoint(&self, progress: &Progress, state: Option<&Value>) -> std::result::Result<(), Stop> {
        let held = within_write(async {
            let mut tx = self.db.begin().await?;
            let held = jobs::checkpoint(&mut tx, self.claimed.hold, progress, state).await?;
            tx.commit().await?;
            Ok(held)
        });
        if held.await? { Ok(()) } else { Err(Stop::Lost) }
    }

    /// The same in the transaction of the step itself, which is then done once however often the job is started. After
    /// an error it must not be committed.
    pub async fn checkpoint_in(
        &self,
        tx: &mut Transaction<'_, MySql>,
        progress: &Progress,
        state: Option<&Value>,
    ) -> std::result::Result<(), Stop> {
        if jobs::checkpoint(tx, self.claimed.hold, progress, state).await? { Ok(()) } else { Err(Stop::Lost) }
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> std::result::Result<T, Stop> {
    serde_json::from_value(value.clone()).map_err(|error| Stop::Fail(format!("the job cannot be read: {error}")))
}

/// Runs a claimed job to its end, or until its lease is lost, and notes the outcome.
pub async fn work(services: &Services, kind: &Kind, claimed: ClaimedJob) {
    let (hold, attempts, waits, began) = (claimed.hold, claimed.attempts, claimed.waits, Instant::now());
    let run = Run { db: services.db.clone(), claimed };
    let outcome = if attempts > ATTEMPTS_MAX {
        Err(Stop::Fail(format!("given up after {ATTEMPTS_MAX} attempts without getting further")))
    } else {
        let handler = AssertUnwindSafe((kind.run)(services, &run)).catch_unwind();
        tokio::select! {
            outcome = handler => outcome.unwrap_or_else(|_| Err(Stop::Retry("the handler panicked".into()))),
            () = until_lost(&services.db, hold) => Err(Stop::Lost),
        }
    };
    measured(kind.name, began, outcome.is_ok());
    note(services, kind, &run, (attempts, waits), outcome).await;
}

/// Counts and times a run of a job.
pub(super) fn measured(job: &'static str, began: Instant, succeeded: bool) {
    let status = if succeeded { "succeeded" } else { "failed" };
    metrics::counter!("scaidns_worker_jobs_total", "job" => job, "status" => status).increment(1);
    metrics::histogram!("scaidns_worker_jobs_duration_seconds", "job" => job).record(began.elapsed());
}

async fn note(services: &Services, kind: &Kind, run: &Run, (attempts, waits): (u32, u32), outcome: Outcome) {
    let (job, name) = (run.claimed.hold.job, kind.name);
    match &outcome {
        Ok(_) => tracing::info!(%job, kind = name, "job done"),
        Err(Stop::Wait(error)) => tracing::warn!(%job, kind = name, %error, waits, "job waits, and is gone on with"),
        Err(Stop::Retry(error)) => tracing::warn!(%job, kind = name, %error, attempts, "job stopped"),
        Err(Stop::Fail(error)) => tracing::warn!(%job, kind = name, %error, "job failed"),
        Err(Stop::Lost) => tracing::warn!(%job, kind = name, "the lease of a job is lost, another worker goes on"),
    }
    for pause in NOTED_WITHIN {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        match try_note(services, kind, run, (attempts, waits), &outcome).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%job, kind = name, %error, "the outcome of a job was not noted"),
        }
    }
    // it is done once more when the lease has run out
}

async fn try_note(
    services: &Services,
    kind: &Kind,
    run: &Run,
    (attempts, waits): (u32, u32),
    outcome: &Outcome,
) -> storage::Result<()> {
    let (db, hold) = (&services.db, run.claimed.hold);
    let pause = |count: u32, most: Duration| Duration::from_secs(1 << count.min(16)).min(most).as_secs() as u32;
    match outcome {
        Ok(result) => end(services, kind, run, Ok(result)).await,
        Err(Stop::Wait(error)) if waits < WAITS_MAX => {
            within_write(jobs::wait(db, hold, pause(waits + 1, WAIT_MAX), error)).await.map(|_| ())
        }
        Err(Stop::Retry(error)) if attempts < ATTEMPTS_MAX => {
            within_write(jobs::give_back(db, hold, pause(attempts, PAUSE_MAX), Some(error))).await.map(|_| ())
        }
        Err(Stop::Wait(error) | Stop::Retry(error) | Stop::Fail(error)) => end(services, kind, run, Err(error)).await,
        Err(Stop::Lost) => Ok(()),
    }
}

/// Ends a job, with what it says in the audit log, and lets go of a zone that it holds: all of it or nothing. Who does
/// not hold the job any more ends nothing.
async fn end(
    services: &Services,
    kind: &Kind,
    run: &Run,
    outcome: std::result::Result<&Value, &String>,
) -> storage::Result<()> {
    let hold = run.claimed.hold;
    within_write(async {
        let mut tx = services.db.begin().await?;
        if !jobs::let_go(&mut tx, hold, outcome.is_ok()).await? {
            tracing::warn!(job = %hold.job, "a job does not end while a change of its zone has no outcome");
            return Ok(());
        }
        let entries = (kind.closing)(services, run, outcome.is_ok(), &mut tx).await?;
        let held = match outcome {
            Ok(result) => jobs::succeed(&mut tx, hold, result).await?,
            Err(error) => jobs::fail(&mut tx, hold, error).await?,
        };
        if held {
            // unique by the job, so that they cannot be written twice even by mistake
            audit::append(&mut tx, Some(ChangeId(hold.job.0)), &entries).await?;
            tx.commit().await?;
        }
        Ok(())
    })
    .await
}

/// Renews the lease until that is not possible any more.
async fn until_lost(db: &Db, hold: Hold) {
    let mut renewed = Instant::now();
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let asked = Instant::now();
        match within(jobs::renew(db, hold)).await {
            Ok(true) => renewed = asked,
            Ok(false) => return,
            Err(error) => tracing::warn!(job = %hold.job, %error, "the lease of a job was not renewed"),
        }
        if renewed.elapsed() + RENEW_EVERY > Duration::from_secs(u64::from(LEASE_SECONDS)).saturating_sub(MARGIN) {
            return;
        }
    }
}

/// Gives a job back on the way out: the next worker goes on at once.
pub async fn give_back(db: &Db, hold: Hold) {
    if let Err(error) = within(jobs::give_back(db, hold, 0, None)).await {
        tracing::warn!(job = %hold.job, %error, "a job was not given back; its lease runs out");
    }
}
