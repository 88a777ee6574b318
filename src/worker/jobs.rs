//! The loops that find what is due and start it: jobs of a worker's own number at a time, and what recurs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::ids::JobId;
use crate::service::jobs::kinds::Kind;
use crate::service::jobs::recurring::{self, RECURRING};
use crate::service::jobs::run;
use crate::service::{Result, Services};
use crate::storage::jobs::{self as rows, ClaimedJob, Hold};
use crate::storage::within;

/// How often MariaDB is asked what is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The jobs of this worker.
pub struct Jobs {
    services: Arc<Services>,
    kinds: &'static [Kind],
    held: Arc<Mutex<BTreeMap<JobId, Hold>>>,
}

impl Jobs {
    pub fn new(services: Arc<Services>, kinds: &'static [Kind]) -> Self {
        Self { services, kinds, held: Arc::default() }
    }

    /// Runs what is due, for ever; dropped, it stops what is under way.
    pub async fn run(&self) {
        let most = self.services.config.worker_max_jobs as usize;
        let mut running = JoinSet::new();
        loop {
            while running.try_join_next().is_some() {}
            let free = most - running.len();
            match self.claim(free).await {
                Ok(claimed) => claimed.into_iter().for_each(|job| self.start(&mut running, job)),
                Err(error) => tracing::warn!(%error, "jobs could not be looked for, tries again"),
            }
            tokio::select! {
                Some(_) = running.join_next() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Gives back what was under way: after [`Self::run`] was dropped.
    pub async fn give_back(&self) {
        let held: Vec<Hold> = std::mem::take(&mut *self.held()).into_values().collect();
        for hold in held {
            run::give_back(&self.services.db, hold).await;
        }
    }

    async fn claim(&self, free: usize) -> Result<Vec<ClaimedJob>> {
        let mut claimed = Vec::new();
        if free == 0 {
            return Ok(claimed);
        }
        let names: Vec<&str> = self.kinds.iter().map(|kind| kind.name).collect();
        for due in within(rows::due(&self.services.db, &names, free as u32)).await? {
            claimed.extend(within(rows::claim(&self.services.db, &due)).await?);
        }
        Ok(claimed)
    }

    fn start(&self, running: &mut JoinSet<()>, claimed: ClaimedJob) {
        let Some(kind) = self.kinds.iter().find(|kind| kind.name == claimed.kind) else { return };
        let hold = claimed.hold;
        self.held().insert(hold.job, hold);
        let (services, held) = (self.services.clone(), self.held.clone());
        running.spawn(async move {
            run::work(&services, kind, claimed).await;
            held.lock().unwrap_or_else(PoisonError::into_inner).remove(&hold.job);
        });
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<JobId, Hold>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs what recurs, each when it is due, for ever; one that takes long holds up no other.
pub async fn recurring(services: &Arc<Services>) {
    let mut running = JoinSet::new();
    while let Err(error) = recurring::ensure(services).await {
        tracing::warn!(%error, "what recurs could not be noted, tries again");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    loop {
        while running.try_join_next().is_some() {}
        match recurring::due(services).await {
            Ok(due) => {
                for recurring in RECURRING.iter().filter(|recurring| due.iter().any(|name| name == recurring.name)) {
                    let services = services.clone();
                    running.spawn(async move { recurring::run_if_due(&services, recurring).await });
                }
            }
            Err(error) => tracing::warn!(%error, "what recurs could not be looked for, tries again"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
