//! Everything at once: api, worker, MariaDB, Redis and PowerDNS are killed, stopped, slowed and cut off at random while
//! four tenants work with all kinds of operations at all replicas. Afterwards everything must be one story, and every
//! probe green again without a hand.
//!
//! `SCAIDNS_CHAOS_SECONDS` sets how long (15 unless told otherwise), `SCAIDNS_TEST_SEED` repeats the choices of a run;
//! `just chaos SEED MINUTES` does both. What the kernel and the servers make of the choices differs each time.

mod clocks;
mod full_disk;
mod imports;
mod lives;
mod mixed;
mod signed;
mod story;
mod tenants;
mod trouble;
mod wire;
mod writers;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::crash::judge::judge;
use crate::crash::ledger::{self, Load};
use crate::crash::{number, seed};
use crate::support::{Api, Trials, World, eventually_within, scaidns, trials};

/// How long trouble lasts, unless told otherwise.
const SECONDS: u64 = 15;
/// Beyond this a stopped server outlasts every time-out.
const LONG_RUN: u64 = 120;
const TENANTS: usize = 4;
/// Zones of each tenant that single records are written to, and those of the first two that all else is done to.
const PLAIN_ZONES: usize = 1;
const MIXED_ZONES: usize = 2;
/// Writers of each zone.
const WRITERS: usize = 2;
/// Until all is green and settled again: deadlines of 15 s, taken over more than once, on a machine that does other
/// things, too.
const GREEN_LIMIT: Duration = Duration::from_secs(120);

pub fn tests() -> Trials {
    let mut all = trials![whatever_fails_under_whatever_load_everything_is_one_story_afterwards];
    for more in [writers::tests(), full_disk::tests(), clocks::tests()] {
        all.extend(more);
    }
    all
}

/// What all who work have in common.
#[derive(Default)]
pub struct Common {
    stop: AtomicBool,
    /// What must not be, as it was seen.
    wrong: Mutex<Vec<String>>,
    /// Lives of domains and of keys that were lived to their end.
    domains: AtomicUsize,
    keys: AtomicUsize,
}

impl Common {
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub fn wrong(&self, what: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

async fn whatever_fails_under_whatever_load_everything_is_one_story_afterwards() {
    let seed = seed("chaos");
    let seconds = number("SCAIDNS_CHAOS_SECONDS", SECONDS);
    let mut world = World::builder("chaos")
        .replicas(1)
        .without_worker()
        .env("METRICS_ENABLED", "true")
        .env("DNSSEC_POLL_SECONDS", "1")
        .start()
        .await;
    let tenants = tenants::tenants(&world, TENANTS - 2).await;
    let plain = ledger::zones_of(&world, &tenants, "plain", PLAIN_ZONES).await;
    let zones = ledger::zones(&world, "mixed", MIXED_ZONES).await;
    let signed = signed::zones(&world).await;
    let large = world.live(&world.other(), "large").await;
    let mut troubles = trouble::Troubles::start(&world, seed, seconds >= LONG_RUN).await;
    world.urls = troubles.urls();
    let common = Arc::new(Common::default());
    let begun = Arc::new(signed::Begun::default());
    let mixed = mixed::start(&world, &zones, WRITERS, seed, &common).await;
    let mut lives = lives::start(&world, seed, &common);
    lives.extend(signed::start(&world, &signed, seed, &common, &begun));
    let imports = imports::start(&world, &large, seed, &common);
    let load = Load::start(&world, &plain, WRITERS, seed);

    let faults = troubles.make(&mut world, Duration::from_secs(seconds)).await;
    common.stop.store(true, Ordering::Relaxed);
    let attempts = load.end().await;
    let mut operations = Vec::new();
    for writer in mixed {
        operations.extend(writer.await.expect("a writer saw what must not be"));
    }
    for life in lives {
        life.await.expect("a life went wrong");
    }
    let versions = imports.await.expect("an import went wrong");
    green_again(&world).await;
    let tally = judge(&world, &plain, &attempts).await;
    story::tell(&world, &zones, &operations, &common).await;
    lives::compare(&world, &common).await;
    imports::compare(&world, &large, &versions, &common).await;
    signed::come_to_rest(&world, &signed).await;
    let wrong = std::mem::take(&mut *common.wrong.lock().unwrap_or_else(PoisonError::into_inner));
    let counts = format!(
        "seed {seed}, {seconds} s: {} single and {} larger operations, {} domains and {} keys to their end, imports \
         by jobs {versions:?}, signing {begun:?}, faults {faults:?}, violations {}\nsingle: {tally:?}\nlarger: {:?}",
        attempts.len(),
        operations.len(),
        common.domains.load(Ordering::Relaxed),
        common.keys.load(Ordering::Relaxed),
        wrong.len(),
        mixed::Tally::of(&operations),
    );
    eprintln!("chaos: {counts}");
    assert!(wrong.is_empty(), "{counts}\n{}", wrong.iter().take(30).cloned().collect::<Vec<_>>().join("\n"));
    troubles.end().await;
    world.stop().await;
}

/// By itself: nobody restarts or repairs anything any more.
async fn green_again(world: &World) {
    for url in &world.urls {
        let api = Api::anonymous(url);
        eventually_within(GREEN_LIMIT, "every replica is ready", || async {
            let answer = api.try_call(reqwest::Method::GET, "/health/ready", None).await;
            if answer.as_ref().is_ok_and(|answer| answer.status == 200) { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
    }
    eventually_within(GREEN_LIMIT, "no change is left under way", || async {
        let left: Vec<(String, String)> = sqlx::query_as("SELECT zone_name, kind FROM zone_intents")
            .fetch_all(&world.db)
            .await
            .map_err(|error| error.to_string())?;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    let doctor = scaidns(&["doctor"], &world.env).await.ok();
    assert!(!doctor.contains("PROBLEM"), "{doctor}");
}
