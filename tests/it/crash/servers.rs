//! Servers that stop, die and come back while writers write.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::judge::judge;
use super::ledger::{self, Load};
use super::{hurry, seed};
use crate::support::{Trials, World, eventually_within, trials};

/// How often each server is killed.
const ROUNDS: usize = 3;
/// Longer than the time-out of a PATCH (10 s) and the deadline of a change (15 s).
const PAUSE_SECONDS: i64 = 16;

pub fn tests() -> Trials {
    trials![
        powerdns_stopped_longer_than_every_timeout_and_continued_tears_nothing,
        powerdns_killed_in_the_middle_of_writes_tears_nothing,
        mariadb_killed_in_the_middle_of_writes_tears_nothing,
        without_redis_everything_goes_on,
    ]
}

async fn powerdns_stopped_longer_than_every_timeout_and_continued_tears_nothing() {
    let seed = seed("PowerDNS stopped");
    let world = World::private("stopped").await;
    let zones = ledger::zones(&world, "stopped", 5).await;
    let load = Load::start(&world, &zones, 2, seed);
    load.until_acknowledged(100).await;
    world.servers.pdns.pause();
    let limit = Duration::from_secs(PAUSE_SECONDS.unsigned_abs() + 20);
    eventually_within(limit, "changes older than every time-out, and callers who were told", || async {
        let sql =
            "SELECT CAST(COALESCE(TIMESTAMPDIFF(SECOND, MIN(created_at), NOW(6)), 0) AS SIGNED) FROM zone_intents";
        let age: i64 = sqlx::query_scalar(sql).fetch_one(&world.db).await.map_err(|error| error.to_string())?;
        let told = (load.with_status(502), load.with_status(504));
        if age >= PAUSE_SECONDS && told.0 > 0 && told.1 > 0 { Ok(()) } else { Err(format!("{age} s, {told:?}")) }
    })
    .await;
    let before = load.acknowledged();
    world.servers.pdns.resume();
    load.until_acknowledged(100).await;
    let attempts = load.end().await;
    let tally = judge(&world, &zones, &attempts).await;
    eprintln!("PowerDNS stopped after {before} writes: {tally:?}");
    assert!(!tally.statuses.contains_key(&0), "every caller got an answer: {tally:?}");
    world.stop().await;
}

async fn powerdns_killed_in_the_middle_of_writes_tears_nothing() {
    let seed = seed("PowerDNS killed");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::private("pdns-killed").await;
    let zones = ledger::zones(&world, "pdns-killed", 3).await;
    let load = Load::start(&world, &zones, 2, seed);
    for round in 1..=ROUNDS {
        load.until_acknowledged(40).await;
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..40_000))).await;
        world.servers.pdns.kill().await;
        until_callers_hear_of_it(&load, &[502, 503, 504]).await;
        world.servers.pdns.restart().await.expect("PowerDNS comes back");
        if round < ROUNDS {
            hurry(&world).await;
        }
    }
    load.until_acknowledged(40).await;
    let attempts = load.end().await;
    let tally = judge(&world, &zones, &attempts).await;
    eprintln!("PowerDNS killed {ROUNDS} times: {tally:?}");
    world.stop().await;
}

async fn mariadb_killed_in_the_middle_of_writes_tears_nothing() {
    let seed = seed("MariaDB killed");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::private("mariadb-killed").await;
    let zones = ledger::zones(&world, "mariadb-killed", 3).await;
    let load = Load::start(&world, &zones, 2, seed);
    for round in 1..=ROUNDS {
        load.until_acknowledged(40).await;
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..40_000))).await;
        world.servers.mariadb.kill().await;
        until_callers_hear_of_it(&load, &[503]).await;
        world.servers.restart_mariadb().await.expect("MariaDB comes back");
        if round < ROUNDS {
            hurry(&world).await;
        }
    }
    load.until_acknowledged(40).await;
    let attempts = load.end().await;
    let tally = judge(&world, &zones, &attempts).await;
    eprintln!("MariaDB killed {ROUNDS} times: {tally:?}");
    world.stop().await;
}

async fn without_redis_everything_goes_on() {
    let seed = seed("Redis killed");
    let mut world = World::private("redis-killed").await;
    let zones = ledger::zones(&world, "redis-killed", 1).await;
    let load = Load::start(&world, &zones, 3, seed);
    load.until_acknowledged(30).await;
    world.servers.redis.kill().await;
    load.until_acknowledged(60).await;
    world.servers.redis.restart().await.expect("Redis comes back");
    load.until_acknowledged(30).await;
    let attempts = load.end().await;
    let tally = judge(&world, &zones, &attempts).await;
    assert_eq!((tally.refused, tally.unknown), (0, 0), "nobody noticed: {tally:?}");
    world.stop().await;
}

/// Waits until callers hear of it. Where every zone is locked by a change of unknown outcome, nobody reaches the server
/// that is gone any more: who waits for such a zone is told 503, and only once patience (10 s) has run out.
async fn until_callers_hear_of_it(load: &Load, statuses: &[u16]) {
    let count = || statuses.iter().map(|status| load.with_status(*status)).sum::<usize>();
    let before = count();
    eventually_within(Duration::from_secs(40), "callers are refused", || async {
        let found = count();
        if found > before { Ok(()) } else { Err(format!("{found} with {statuses:?}")) }
    })
    .await;
}
