//! What is done by the clock. Each reads what is due from MariaDB, is bounded per run, and bears being run twice at
//! once; a row keeps the workers from doing so as a rule, and shows what came of it.

use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use crate::storage::{
    self, Db, cleaning as cleaning_of, denials, fences, idempotency, import_parts, inbox, intents, jobs, logged_out,
    recurring_jobs, revocations, within,
};

use super::super::audit_seal::{self, Chain};
use super::super::zone_writer::id_sweep;
use super::super::{Error, Result, Services, platform, sync, tsig_keys, validation, webhooks, zone_life};
use super::run;

/// One thing that recurs.
#[derive(Clone, Copy)]
pub struct Recurring {
    /// At most 32 characters; the key of its row.
    pub name: &'static str,
    pub every: Duration,
    /// A run that takes longer is given up.
    pub time_limit: Duration,
    /// How many things it has dealt with.
    pub run: for<'a> fn(&'a Services) -> BoxFuture<'a, Result<u64>>,
}

/// Events of ScaiKey that could not be taken in are looked for this often.
const INBOX_EVERY: Duration = Duration::from_secs(1);
/// The whole mirror is compared with ScaiKey this often.
const SYNC_EVERY: Duration = Duration::from_secs(3_600);
/// A pull of a hundred thousand memberships is over long before.
const SYNC_LIMIT: Duration = Duration::from_secs(1_800);

/// What has had its time is cleaned up this often.
const CLEANING_EVERY: Duration = Duration::from_secs(60);
/// Ids of records that are gone harm nobody, and each zone is read whole to find them.
const IDS_EVERY: Duration = Duration::from_secs(3_600);
/// What a crash left half done, and what is due by the second, is looked for this often.
const LOOKED_FOR_EVERY: Duration = Duration::from_secs(5);
/// A cleaning of many bounded statements is over long before.
const CLEANING_LIMIT: Duration = Duration::from_secs(120);
/// Bounded statements of one run.
const STATEMENTS_PER_RUN: u32 = 100;
/// Another worker takes a run for dead this long after its time.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

const fn cleaning(name: &'static str, run: for<'a> fn(&'a Services) -> BoxFuture<'a, Result<u64>>) -> Recurring {
    Recurring { name, every: CLEANING_EVERY, time_limit: CLEANING_LIMIT, run }
}

/// Every one of them.
pub const RECURRING: &[Recurring] = &[
    cleaning("fences", |services| Box::pin(async { Ok(services.writer.sweep_fences().await? as u64) })),
    Recurring {
        name: "emptied_zones",
        every: LOOKED_FOR_EVERY,
        time_limit: CLEANING_LIMIT,
        run: |services| Box::pin(async { Ok(services.writer.finish_emptying().await? as u64) }),
    },
    Recurring {
        name: "purged_domains",
        every: LOOKED_FOR_EVERY,
        time_limit: CLEANING_LIMIT,
        run: |services| Box::pin(zone_life::purge(services)),
    },
    Recurring {
        name: id_sweep::RECURRING,
        every: IDS_EVERY,
        time_limit: CLEANING_LIMIT,
        run: |services| Box::pin(async { services.writer.sweep_record_ids().await }),
    },
    cleaning("resting_names", |services| Box::pin(async { Ok(fences::sweep_rests(&services.db).await?) })),
    cleaning("settled_batches", |services| Box::pin(async { in_steps(services, intents::sweep_outcomes).await })),
    cleaning("revocations", |services| Box::pin(async { in_steps(services, revocations::sweep).await })),
    cleaning("logged_out_tokens", |services| Box::pin(async { in_steps(services, logged_out::sweep).await })),
    cleaning("webhook_events", |services| Box::pin(async { in_steps(services, inbox::sweep).await })),
    Recurring {
        name: "webhook_inbox",
        every: INBOX_EVERY,
        time_limit: CLEANING_LIMIT,
        run: |services| Box::pin(webhooks::work_off(services)),
    },
    Recurring {
        name: sync::RECURRING,
        every: SYNC_EVERY,
        time_limit: SYNC_LIMIT,
        run: |services| Box::pin(sync::hourly(services)),
    },
    cleaning("tsig_keys", |services| Box::pin(async { tsig_keys::settle(services).await })),
    cleaning("idempotency_keys", |services| Box::pin(async { in_steps(services, idempotency::sweep).await })),
    cleaning("unproven_claims", |services| Box::pin(zone_life::remove_unproven(services))),
    cleaning("expired_challenges", |services| Box::pin(validation::expire(services))),
    Recurring {
        name: "audit_seals",
        every: LOOKED_FOR_EVERY,
        time_limit: CLEANING_LIMIT,
        run: |services| Box::pin(audit_seal::seal(services)),
    },
    cleaning("audit_retention", |services| Box::pin(end_audit_entries(services))),
    Recurring {
        name: "denials",
        every: LOOKED_FOR_EVERY,
        time_limit: CLEANING_LIMIT,
        run: |services| Box::pin(async { Ok(denials::settle(&services.db, services.clock.now()).await?) }),
    },
    cleaning(platform::RECURRING, |services| Box::pin(platform::sweep(services))),
    cleaning("import_parts", |services| Box::pin(async { in_steps(services, import_parts::sweep).await })),
    cleaning("finished_jobs", |services| Box::pin(async { in_steps(services, jobs::sweep).await })),
];

/// Where the operator has said how long entries of the audit log are kept.
async fn end_audit_entries(services: &Services) -> Result<u64> {
    let Some(days) = services.platform.settings().await?.terms.audit_retention_days else { return Ok(0) };
    let chain = Chain::new(&services.config.secrets.audit_seal_keys);
    let mut swept = 0;
    for _ in 0..STATEMENTS_PER_RUN {
        let removed = match &chain {
            Some(chain) => audit_seal::retire(services, chain, days).await?,
            None => cleaning_of::audit_entries(&services.db, days).await?,
        };
        match removed {
            0 => break,
            count => swept += count,
        }
    }
    Ok(swept)
}

/// Repeats a bounded statement: a busy platform leaves more in a minute than one of them removes.
async fn in_steps(services: &Services, sweep: impl AsyncFn(&Db) -> storage::Result<u64>) -> Result<u64> {
    let mut swept = 0;
    for _ in 0..STATEMENTS_PER_RUN {
        match sweep(&services.db).await? {
            0 => break,
            count => swept += count,
        }
    }
    Ok(swept)
}

/// Makes the rows of those that are new.
pub async fn ensure(services: &Services) -> Result<()> {
    let names: Vec<&str> = RECURRING.iter().map(|recurring| recurring.name).collect();
    Ok(within(recurring_jobs::ensure(&services.db, &names)).await?)
}

/// The names of those that are due.
pub async fn due(services: &Services) -> Result<Vec<String>> {
    Ok(within(recurring_jobs::due(&services.db)).await?)
}

/// Runs it if it is due still and nobody has it, and notes what came of it. A failure is logged; the next run tries
/// again.
pub async fn run_if_due(services: &Services, recurring: &Recurring) {
    let Recurring { name, every, time_limit, run: job } = recurring;
    let lease = *time_limit + LEASE_MARGIN;
    let hold = match within(recurring_jobs::take(&services.db, name, lease.as_secs() as u32)).await {
        Ok(Some(hold)) => hold,
        Ok(None) => return,
        Err(error) => return tracing::warn!(job = name, %error, "a run was not taken, tries again"),
    };
    let began = Instant::now();
    let outcome = tokio::time::timeout(*time_limit, job(services)).await;
    let outcome = outcome.unwrap_or_else(|_| Err(Error::unavailable(format!("not done within {time_limit:?}"))));
    run::measured(name, began, outcome.is_ok());
    match &outcome {
        Ok(0) => {}
        Ok(count) => tracing::info!(job = name, count, "job done"),
        Err(error) => tracing::warn!(job = name, %error, "job failed, tries again"),
    }
    let told = outcome.map_err(|error| error.to_string());
    if let Err(error) = within(recurring_jobs::note(&services.db, hold, &told, every.as_secs() as u32)).await {
        tracing::warn!(job = name, %error, "the outcome of a job was not noted");
    }
}
