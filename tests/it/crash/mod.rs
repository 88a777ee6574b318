//! Whatever is killed, stopped or lost, at whatever instant: nothing acknowledged is lost, nothing is invented, and the
//! audit log does not lie. Each test that kills has servers of its own.
//!
//! `SCAIDNS_TEST_KILLS` sets how often a replica is killed (50 unless told otherwise),
//! `SCAIDNS_TEST_SEED` repeats the choices of a run. What the kernel and the servers make of them differs each time.

mod exchanges;
mod facts;
mod fences;
pub mod judge;
pub mod ledger;
mod recovery;
mod servers;
mod validation;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::{Trials, World, trials};
use judge::judge;
use ledger::Load;

/// How often a replica is killed, unless told otherwise.
const KILLS: u64 = 50;

pub fn tests() -> Trials {
    let mut all = trials![kill_9_of_a_replica_at_random_instants_loses_and_invents_nothing];
    for more in
        [recovery::tests(), servers::tests(), exchanges::tests(), validation::tests(), facts::tests(), fences::tests()]
    {
        all.extend(more);
    }
    all
}

/// The seed of one test, said on stderr so that it can be repeated.
pub fn seed(test: &str) -> u64 {
    let seed = number("SCAIDNS_TEST_SEED", rand::random::<u32>().into());
    eprintln!("{test}: SCAIDNS_TEST_SEED={seed}");
    seed
}

pub fn number(variable: &str, usual: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text:?}")),
        Err(_) => usual,
    }
}

/// Lets time pass for the changes under way: their deadlines are over now, also for writers that live. Deadlines only
/// decide when help comes; nothing may break when it comes at the wrong time.
pub async fn hurry(world: &World) -> u64 {
    let sql = "UPDATE zone_intents SET deadline = NOW(6) - INTERVAL 1 SECOND";
    sqlx::query(sql).execute(&world.db).await.map_or(0, |done| done.rows_affected())
}

async fn kill_9_of_a_replica_at_random_instants_loses_and_invents_nothing() {
    let seed = seed("kill -9 of a replica");
    let kills = number("SCAIDNS_TEST_KILLS", KILLS);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::private("kill").await;
    let zones = ledger::zones(&world, "kill", 5).await;
    let load = Load::start(&world, &zones, 2, seed);
    let mut abandoned = 0;
    for kill in 1..=kills {
        load.until_acknowledged(25).await;
        // The instant is what is tried out.
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..60_000))).await;
        let victim = rng.random_range(0..world.apis.len());
        world.apis[victim].kill().await;
        world.apis[victim].restart().await.expect("it comes back");
        // The last ones wait for their real deadline.
        if kill < kills {
            abandoned += hurry(&world).await;
        }
    }
    let attempts = load.end().await;
    let tally = judge(&world, &zones, &attempts).await;
    eprintln!("{kills} kills, {abandoned} changes under way after them: {tally:?}");
    assert!(tally.unknown > 0 && abandoned > 0, "no kill hit a request: {tally:?}");
    world.stop().await;
}
