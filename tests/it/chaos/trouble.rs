//! Who makes trouble: one fault after the other, each of a kind, a victim and a length that the seed chooses.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use scaidns::dev::servers::{Probe, Server};

use super::wire::Wire;
use crate::crash::hurry;
use crate::support::World;

/// Replicas behind wires, by their number among the ports; the world's own first one stays out of trouble.
const REPLICAS: [u16; 2] = [5, 6];
/// A stopped server goes on after so many seconds; in long runs some outlast every time-out (15 s is the longest).
const STOPPED: std::ops::Range<f64> = 0.3..3.0;
const STOPPED_LONG: std::ops::Range<f64> = 16.0..22.0;
const ONE_IN_LONG: f64 = 0.2;
/// Between two faults.
const PEACE: std::ops::Range<f64> = 0.2..1.5;

/// The processes that die, and the wires between them and the servers.
pub struct Troubles {
    /// The replicas, then the worker.
    processes: Vec<Server>,
    database: Wire,
    powerdns: Wire,
    redis: Wire,
    rng: StdRng,
    long: bool,
    own: String,
}

/// What is done, and how often it was.
pub type Faults = BTreeMap<&'static str, usize>;

impl Troubles {
    pub async fn start(world: &World, seed: u64, long: bool) -> Self {
        let ports = world.ports;
        let database = Wire::start(ports.mariadb()).await;
        let powerdns = Wire::start(ports.pdns_api()).await;
        let redis = Wire::start(ports.redis()).await;
        let wired = [
            ("DATABASE_URL", database.through(&world.servers.database_url(), ports.mariadb())),
            ("PDNS_API_URL", powerdns.through(&world.servers.pdns_api_url(), ports.pdns_api())),
            ("REDIS_URL", redis.through(&world.servers.redis_url(), ports.redis())),
        ];
        let wired = wired.map(|(name, value)| (name.to_owned(), value));
        let mut processes = Vec::new();
        for number in REPLICAS {
            let address = format!("127.0.0.1:{}", ports.api(number));
            let program = world.program(&format!("api-{number}"), &["api"]).with_env(&wired).with_env(&[
                ("BIND_ADDRESS".to_owned(), address.clone()),
                ("METRICS_BIND_ADDRESS".to_owned(), format!("127.0.0.1:{}", ports.api_metrics(number))),
            ]);
            let probe = Probe::Http { url: format!("http://{address}/health/live") };
            processes.push(Server::launch(program, probe).await.expect("a replica"));
        }
        let metrics = format!("127.0.0.1:{}", ports.worker_metrics());
        let worker = world.program("worker", &["worker"]).with_env(&wired);
        let worker = worker.with_env(&[("METRICS_BIND_ADDRESS".to_owned(), metrics)]);
        processes.push(Server::launch(worker, Probe::Running).await.expect("a worker"));
        let rng = StdRng::seed_from_u64(seed);
        Self { processes, database, powerdns, redis, rng, long, own: world.urls[0].clone() }
    }

    /// Where the API is: the replica that stays, and those that do not.
    pub fn urls(&self) -> Vec<String> {
        let wired = self.processes.iter().filter_map(|server| server.name().strip_prefix("api-"));
        let port = |number: &str| number.parse::<u16>().ok();
        let base = self.own.rsplit(':').next().and_then(|text| text.parse::<u16>().ok()).expect("a port");
        // replicas stand at neighbouring ports
        let urls = wired.filter_map(port).map(|number| format!("http://127.0.0.1:{}", base + number));
        std::iter::once(self.own.clone()).chain(urls).collect()
    }

    /// Makes trouble for so long; then all is whole, and everybody runs.
    pub async fn make(&mut self, world: &mut World, time: Duration) -> Faults {
        let end = Instant::now() + time;
        let mut faults = Faults::new();
        while Instant::now() < end {
            *faults.entry(self.one(world).await).or_insert(0) += 1;
            // what waits for its deadline is helped now and then: help may come at any time
            if self.rng.random_bool(0.3) {
                hurry(world).await;
            }
            self.wait(PEACE).await;
        }
        world.servers.revive_pdns().await.expect("PowerDNS is there");
        faults
    }

    async fn one(&mut self, world: &mut World) -> &'static str {
        let victim = self.rng.random_range(0..self.processes.len());
        match self.rng.random_range(0..12) {
            0 | 1 => {
                self.processes[victim].kill().await;
                self.processes[victim].restart().await.expect("it comes back");
                if victim < REPLICAS.len() { "replica killed" } else { "worker killed" }
            }
            2 => {
                self.processes[victim].pause();
                self.wait_stopped().await;
                self.processes[victim].resume();
                if victim < REPLICAS.len() { "replica stopped" } else { "worker stopped" }
            }
            3 => {
                world.servers.pdns.kill().await;
                self.wait(0.0..1.0).await;
                world.servers.pdns.restart().await.expect("PowerDNS comes back");
                "PowerDNS killed"
            }
            4 => {
                world.servers.pdns.pause();
                self.wait_stopped().await;
                world.servers.pdns.resume();
                "PowerDNS stopped"
            }
            5 => {
                world.servers.mariadb.kill().await;
                self.wait(0.0..1.0).await;
                world.servers.restart_mariadb().await.expect("MariaDB comes back");
                "MariaDB killed"
            }
            6 => {
                world.servers.mariadb.pause();
                self.wait_stopped().await;
                world.servers.mariadb.resume();
                world.servers.revive_pdns().await.expect("PowerDNS is there");
                "MariaDB stopped"
            }
            7 => {
                world.servers.redis.kill().await;
                self.wait(0.0..2.0).await;
                world.servers.redis.restart().await.expect("Redis comes back");
                "Redis killed"
            }
            8 => {
                world.servers.redis.pause();
                self.wait_stopped().await;
                world.servers.redis.resume();
                "Redis stopped"
            }
            9 => {
                let delay = self.rng.random_range(5..60);
                self.database.slow(Duration::from_millis(delay));
                self.wait(STOPPED).await;
                self.database.mend();
                "database slow"
            }
            10 => {
                let delay = self.rng.random_range(50..1_500);
                self.powerdns.slow(Duration::from_millis(delay));
                self.wait(STOPPED).await;
                self.powerdns.mend();
                "PowerDNS slow"
            }
            _ => {
                let (wire, what) = match self.rng.random_range(0..3) {
                    0 => (&self.database, "database cut off"),
                    1 => (&self.powerdns, "PowerDNS cut off"),
                    _ => (&self.redis, "Redis cut off"),
                };
                wire.cut();
                let time = self.rng.random_range(0.0..2.0);
                tokio::time::sleep(Duration::from_secs_f64(time)).await;
                wire.mend();
                what
            }
        }
    }

    async fn wait_stopped(&mut self) {
        let outlasts = self.long && self.rng.random_bool(ONE_IN_LONG);
        self.wait(if outlasts { STOPPED_LONG } else { STOPPED }).await;
    }

    /// The instants and lengths are what is tried out.
    async fn wait(&mut self, seconds: std::ops::Range<f64>) {
        let time = self.rng.random_range(seconds);
        tokio::time::sleep(Duration::from_secs_f64(time)).await;
    }

    pub async fn end(mut self) {
        futures::future::join_all(self.processes.iter_mut().map(Server::stop)).await;
    }
}
