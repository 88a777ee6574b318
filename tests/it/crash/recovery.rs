//! Several recoveries at once: of writers that are dead, and of writers that live.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use scaidns::dev::servers::{Probe, Server};

use super::judge::{judge, settled};
use super::ledger::{self, Load, Zone};
use super::{hurry, seed};
use crate::support::{Trials, World, trials};

/// Rounds of killing both replicas.
const ROUNDS: usize = 4;
/// Changes that recovery settles for a living writer, at least.
const TAKEN_OVER: i64 = 40;
/// Writes acknowledged while no deadline holds, at least.
const ACKNOWLEDGED: usize = 60;
const LIMIT: Duration = Duration::from_secs(90);

pub fn tests() -> Trials {
    trials![
        two_workers_recover_what_killed_replicas_left_and_nothing_is_double,
        two_workers_recover_from_writers_that_live_and_nothing_is_double,
    ]
}

async fn two_workers_recover_what_killed_replicas_left_and_nothing_is_double() {
    let seed = seed("two workers, dead writers");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::builder("workers").without_worker().start().await;
    let zones = ledger::zones(&world, "workers", 4).await;
    let (mut attempts, mut abandoned) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let load = Load::start(&world, &zones, 2, rng.random());
        load.until_acknowledged(40).await;
        // The instant is what is tried out, here and below.
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..40_000))).await;
        let [first, second] = &mut world.apis[..] else { panic!("two replicas") };
        tokio::join!(first.kill(), second.kill());
        attempts.extend(load.end().await);

        abandoned += hurry(&world).await;
        let mut workers = [worker(&world, 1).await, worker(&world, 2).await];
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..150_000))).await;
        workers[0].kill().await;
        workers[0].restart().await.expect("it comes back");
        settled_in_a_hurry(&world, &zones).await;
        for worker in &mut workers {
            worker.kill().await;
        }
        for replica in &mut world.apis {
            replica.restart().await.expect("it comes back");
        }
    }
    let tally = judge(&world, &zones, &attempts).await;
    eprintln!("{abandoned} changes left by killed replicas to two workers: {tally:?}");
    assert!(abandoned > 0 && tally.unknown > 0, "no kill hit a request: {tally:?}");
    world.stop().await;
}

async fn two_workers_recover_from_writers_that_live_and_nothing_is_double() {
    let seed = seed("two workers, living writers");
    let world = World::private("overdue").await;
    let mut second = worker(&world, 2).await;
    let zones = ledger::zones(&world, "overdue", 2).await;
    let load = Load::start(&world, &zones, 3, seed);
    let expiring = async {
        let mut expired = 0;
        let settled = "SELECT COUNT(*) FROM settled_batches WHERE detail LIKE '%recovery%'";
        loop {
            expired += hurry(&world).await;
            let taken_over: i64 = sqlx::query_scalar(settled).fetch_one(&world.db).await.expect("a count");
            if taken_over >= TAKEN_OVER && load.acknowledged() >= ACKNOWLEDGED {
                return (expired, taken_over);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (expired, taken_over) = tokio::time::timeout(LIMIT, expiring).await.expect("writers that are overtaken");
    let attempts = load.end().await;
    settled_in_a_hurry(&world, &zones).await;
    let tally = judge(&world, &zones, &attempts).await;
    eprintln!("{expired} deadlines taken away, {taken_over} changes settled by recovery: {tally:?}");
    second.stop().await;
    world.stop().await;
}

/// One more worker than the world has of itself.
async fn worker(world: &World, number: u16) -> Server {
    let metrics = format!("127.0.0.1:{}", world.ports.api_metrics(9 - number));
    let program = world.program(&format!("worker-{number}"), &["worker"]);
    let program = program.with_env(&[("METRICS_BIND_ADDRESS".to_owned(), metrics)]);
    Server::launch(program, Probe::Running).await.expect("a worker")
}

/// Waits until all is settled, while each recovery may be overtaken by the other at any step.
async fn settled_in_a_hurry(world: &World, zones: &[Zone]) {
    let hurrying = async {
        loop {
            hurry(world).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = settled(world, zones) => {}
        () = hurrying => {}
    }
}
