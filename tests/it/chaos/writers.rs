//! Many writers of several tenants at two replicas, one of which is killed every few seconds, while PowerDNS is
//! restarted: what each client is told, and whether it is true.
//!
//! A client of the replica that is killed gets no answer. Where it could not even connect, nothing was asked and nothing
//! may have been written. Where the connection broke with the request under way, nobody has told the client anything:
//! the write may have been made, whole and audited once, or not at all; the judge counts which. Both show as status 0.
//! Every answer that does come is a success, 409, 429, 502, 503 or 504: the ledger's writers accept nothing else.
//!
//! `SCAIDNS_CHAOS_SECONDS` sets how long, `SCAIDNS_TEST_SEED` repeats the choices: `just writers SEED MINUTES`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::tenants::tenants;
use crate::crash::judge::judge;
use crate::crash::ledger::{self, Attempt, Load, Said};
use crate::crash::{number, seed};
use crate::support::{Trials, World, trials};

/// How long, unless told otherwise.
const SECONDS: u64 = 25;
const TENANTS: usize = 4;
/// With so many writers each: 64 in all.
const ZONES_PER_TENANT: usize = 4;
const WRITERS_PER_ZONE: usize = 4;
/// Between two kills of a replica.
const KILL_EVERY: Duration = Duration::from_secs(5);
/// PowerDNS is restarted when these parts of the time are over: once it is killed, once asked to end.
const RESTARTS: [f64; 2] = [0.3, 0.6];

pub fn tests() -> Trials {
    trials![sixty_four_writers_see_success_or_a_status_to_come_back_with_while_replicas_die_and_powerdns_restarts]
}

async fn sixty_four_writers_see_success_or_a_status_to_come_back_with_while_replicas_die_and_powerdns_restarts() {
    let seed = seed("64 writers");
    let time = Duration::from_secs(number("SCAIDNS_CHAOS_SECONDS", SECONDS));
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::private("writers").await;
    let tenants = tenants(&world, TENANTS - 2).await;
    let zones = ledger::zones_of(&world, &tenants, "writers", ZONES_PER_TENANT).await;
    let load = Load::start(&world, &zones, WRITERS_PER_ZONE, seed);

    let begun = Instant::now();
    let (mut kills, mut restarts) = (0_u32, 0);
    while begun.elapsed() < time {
        if restarts < RESTARTS.len() && begun.elapsed() >= time.mul_f64(RESTARTS[restarts]) {
            if restarts == 0 {
                world.servers.pdns.kill().await;
            }
            world.servers.pdns.restart().await.expect("PowerDNS comes back");
            restarts += 1;
        }
        kills += 1;
        // the instant is what is tried out
        let instant = KILL_EVERY * kills - Duration::from_micros(rng.random_range(0..100_000));
        tokio::time::sleep(instant.saturating_sub(begun.elapsed())).await;
        let victim = rng.random_range(0..world.apis.len());
        world.apis[victim].kill().await;
        world.apis[victim].restart().await.expect("it comes back");
    }
    load.until_acknowledged(zones.len()).await;
    let attempts = load.end().await;

    let tally = judge(&world, &zones, &attempts).await;
    let per_tenant = acknowledged(&attempts);
    eprintln!(
        "seed {seed}, {time:?}: {} writers, {kills} kills, {restarts} restarts of PowerDNS, {} attempts; acknowledged by \
         tenant {per_tenant:?}; {tally:?}",
        zones.len() * WRITERS_PER_ZONE,
        attempts.len(),
    );
    assert_eq!(restarts, RESTARTS.len());
    assert_eq!(per_tenant.len(), TENANTS, "each tenant got on: {per_tenant:?}");
    assert!(tally.statuses.contains_key(&0), "no kill hit a request: {tally:?}");
    world.stop().await;
}

/// Acknowledged writes of each tenant, by its number.
fn acknowledged(attempts: &[Attempt]) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for attempt in attempts.iter().filter(|attempt| matches!(attempt.said, Said::Applied(_))) {
        *counts.entry(attempt.zone / ZONES_PER_TENANT).or_insert(0) += 1;
    }
    counts
}
