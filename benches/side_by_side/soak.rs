//! Half of what the machine can do, for long: whether memory and latency stay as they were at the beginning.
//!
//! First the callers work as fast as they can, which is the capacity. Then each has its moments to call at, so that all
//! together ask for half of that. A call is timed from its moment on: one that is late because the call before it was
//! slow counts as slow, too. Zones keep their size, since whoever adds a record removes an older one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hyper::Method;
use serde_json::json;

use crate::measure::percentile;
use crate::plot;
use crate::report::{Point, short};
use crate::scaidns_api::{Api, Zone, record};
use crate::stack::Stack;
use crate::usage::resident_megabytes;
use crate::works::Bench;

const CALLERS: usize = 32;
const ZONES: usize = 16;
/// Records that a caller leaves in its zone.
const KEPT: usize = 20;
/// Capacity is what was done in this time.
const CAPACITY_TIME: Duration = Duration::from_secs(60);
/// Before it, thrown away.
const WARM_UP: Duration = Duration::from_secs(15);
/// A point of the curves.
const INTERVAL: Duration = Duration::from_secs(10);
/// Names of pid files and of the curves.
const PROCESSES: [(&str, &str); 4] =
    [("api", "api"), ("worker", "worker"), ("mariadb", "MariaDB"), ("pdns", "PowerDNS")];
const MEMORY: &str = "memory, MB";
const LATENCY: &str = "ms a call";
const RATE: &str = "calls a second";
/// The first and the last so many parts of a run are compared.
const PARTS: usize = 5;

/// A soak of so many minutes; the files written.
pub async fn run(executable: &Path, folder: &Path, minutes: u16) -> Result<Vec<PathBuf>> {
    let stack = Stack::start(folder, executable).await?;
    let mut bench = Bench::new(stack, false);
    bench.note_machine().await?;
    let zones = bench.zones("soak", ZONES, KEPT).await?;
    let mut callers: Vec<Caller> = bench
        .callers(CALLERS)?
        .into_iter()
        .enumerate()
        .map(|(n, api)| Caller::new(api, zones[n % ZONES].clone(), n))
        .collect();
    work(&mut callers, WARM_UP, None, &RefCell::new(Tally::default())).await;
    let tally = RefCell::new(Tally::default());
    work(&mut callers, CAPACITY_TIME, None, &tally).await;
    let tally = tally.into_inner();
    let capacity = tally.count() as f64 / CAPACITY_TIME.as_secs_f64();
    bench.note(format!("capacity: {capacity:.0} calls a second, {} of them failed", tally.failed));
    let every = Duration::from_secs_f64(CALLERS as f64 * 2.0 / capacity);
    let time = Duration::from_secs(60 * u64::from(minutes));
    let tally = RefCell::new(Tally::default());
    let (points, ()) =
        futures::future::join(watch(&bench.stack, time, &tally), work(&mut callers, time, Some(every), &tally)).await;
    let (stack, report) = bench.into_parts();
    let points = points?;
    let text = format!("{}\n{}", report.notes.join("\n"), conclusion(&points));
    stack.end().await?;
    println!("{text}");
    let files = [
        ("soak.json", serde_json::to_string_pretty(&points)?),
        ("soak.svg", plot::over_time(&points).context("nothing was seen")?),
        ("soak.txt", text),
    ];
    let write = |(name, text): (&str, String)| -> Result<PathBuf> {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    };
    files.into_iter().map(write).collect()
}

/// All callers at once, as fast as they can, or each at its moments.
async fn work(callers: &mut [Caller], time: Duration, every: Option<Duration>, tally: &RefCell<Tally>) {
    let (begun, count) = (Instant::now(), callers.len());
    let all = callers.iter_mut().enumerate().map(|(n, caller)| async move {
        let mut due = every.map(|every| begun + every.mul_f64(n as f64 / count as f64));
        while due.unwrap_or_else(Instant::now) < begun + time {
            if let Some(due) = due {
                tokio::time::sleep_until(due.into()).await;
            }
            let moment = due.unwrap_or_else(Instant::now);
            let (what, status) = caller.call().await;
            tally.borrow_mut().take(what, moment.elapsed(), status);
            due = due.zip(every).map(|(due, every)| due + every);
        }
    });
    futures::future::join_all(all).await;
}

/// Takes a point of each curve every [`INTERVAL`].
async fn watch(stack: &Stack, time: Duration, tally: &RefCell<Tally>) -> Result<Vec<Point>> {
    let begun = Instant::now();
    let mut points = Vec::new();
    for n in 1..=(time.as_secs() / INTERVAL.as_secs()) as u32 {
        tokio::time::sleep_until((begun + INTERVAL * n).into()).await;
        let seen = tally.take();
        let x = begun.elapsed().as_secs_f64() / 60.0;
        let mut point = |panel: &str, curve: &str, y: f64| {
            points.push(Point { panel: panel.to_owned(), curve: curve.to_owned(), x, y });
        };
        for (name, curve) in PROCESSES {
            let megabytes = stack.pids(name).into_iter().map(resident_megabytes).sum::<Result<f64>>()?;
            point(MEMORY, curve, megabytes);
        }
        point(RATE, "done", seen.count() as f64 / INTERVAL.as_secs_f64());
        point(RATE, "failed", seen.failed as f64 / INTERVAL.as_secs_f64());
        for (latencies, what) in [(seen.writes, "writes"), (seen.reads, "reads")] {
            let mut sorted = latencies;
            sorted.sort();
            for percent in [50, 99] {
                point(LATENCY, &format!("{what}, p{percent}"), percentile(&sorted, percent));
            }
        }
        eprintln!("    {x:.1} of {} min", time.as_secs() / 60);
    }
    Ok(points)
}

/// The middle of each curve's first and last part.
fn conclusion(points: &[Point]) -> String {
    let mut curves: Vec<(&str, &str)> = Vec::new();
    for point in points {
        if !curves.contains(&(&*point.panel, &*point.curve)) {
            curves.push((&point.panel, &point.curve));
        }
    }
    let line = |(panel, curve): (&str, &str)| {
        let own = |point: &&Point| point.panel == panel && point.curve == curve;
        let values: Vec<f64> = points.iter().filter(own).map(|point| point.y).collect();
        let part = (values.len() / PARTS).max(1);
        let first = crate::measure::median(values[..part].to_vec());
        let last = crate::measure::median(values[values.len() - part..].to_vec());
        let most = values.iter().copied().fold(0.0, f64::max);
        format!(
            "{panel:>16}  {curve:<12} first fifth {:>8}  last fifth {:>8}  most {:>8}",
            short(first),
            short(last),
            short(most)
        )
    };
    curves.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What was done since the last point.
#[derive(Default)]
struct Tally {
    writes: Vec<Duration>,
    reads: Vec<Duration>,
    failed: usize,
}

impl Tally {
    fn take(&mut self, what: What, latency: Duration, status: u16) {
        match what {
            _ if !(200..300).contains(&status) => self.failed += 1,
            What::Write => self.writes.push(latency),
            What::Read => self.reads.push(latency),
        }
    }

    fn count(&self) -> usize {
        self.writes.len() + self.reads.len()
    }
}

#[derive(Clone, Copy)]
enum What {
    Write,
    Read,
}

/// One caller, and what it has in its zone.
struct Caller {
    api: Api,
    zone: Zone,
    number: usize,
    turn: usize,
    kept: VecDeque<String>,
}

impl Caller {
    fn new(api: Api, zone: Zone, number: usize) -> Self {
        Self { api, zone, number, turn: 0, kept: VecDeque::new() }
    }

    /// The next call: two of five read.
    async fn call(&mut self) -> (What, u16) {
        self.turn += 1;
        let oldest = self.kept.front().cloned();
        match (self.turn % 5, oldest) {
            (1, _) | (_, None) => (What::Write, self.add().await),
            (2, _) => (What::Read, self.status(Method::GET, "?page_size=50", String::new()).await),
            (3, Some(id)) => {
                let change = json!({ "ttl": 300 + self.turn % 600 }).to_string();
                (What::Write, self.status(Method::PATCH, &format!("/{id}"), change).await)
            }
            (4, Some(id)) => (What::Read, self.status(Method::GET, &format!("/{id}"), String::new()).await),
            (_, Some(_)) if self.kept.len() <= KEPT => (What::Write, self.add().await),
            (_, Some(id)) => {
                self.kept.pop_front();
                (What::Write, self.status(Method::DELETE, &format!("/{id}"), String::new()).await)
            }
        }
    }

    async fn add(&mut self) -> u16 {
        let body = record(&format!("s{}-{}", self.number, self.turn), self.turn);
        let Ok(answer) = self.api.client.post(&self.zone.records(), &body).await else { return 0 };
        let status = answer.status;
        let id = answer.ok().ok().and_then(|made| made["id"].as_str().map(str::to_owned));
        self.kept.extend(id);
        status
    }

    async fn status(&mut self, method: Method, rest: &str, body: String) -> u16 {
        self.api.client.status(method, &format!("{}{rest}", self.zone.records()), body.into()).await
    }
}
