//! The works, one file each, and what they share: the servers, the report, names nobody has had.

mod bulk;
mod domains_page;
pub mod footprint;
mod list;
mod me;
mod one_record;
mod scale;
mod signed_writes;
mod writers_64_zones;
mod writers_one_zone;

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::measure::SLICE;
use crate::report::{Line, Report};
use crate::scaidns_api::{Api, Zone};
use crate::stack::Stack;
use crate::usage::Meter;

/// In the order they are done: first those that want a small platform, then those that fill it.
pub const WORKS: [&str; 11] = [
    "one_record",
    "one_record_1000",
    "writers_one_zone",
    "writers_64_zones",
    "bulk_500",
    "list_1000",
    "signed_writes",
    "me",
    "scale",
    "domains_page",
    "footprint",
];

/// No slice of many callers begins calls after this time.
const SLICE_LIMIT: Duration = Duration::from_secs(20);

/// What the works work with.
pub struct Bench {
    pub stack: Stack,
    pub quick: bool,
    pub report: Report,
    /// Megabytes of the api before the first work.
    pub idle_megabytes: f64,
    names: u32,
}

/// Does the work of this name.
pub async fn run(work: &str, bench: &mut Bench) -> Result<()> {
    match work {
        "one_record" => one_record::small(bench).await,
        "one_record_1000" => one_record::thousand(bench).await,
        "writers_one_zone" => writers_one_zone::run(bench).await,
        "writers_64_zones" => writers_64_zones::run(bench).await,
        "bulk_500" => bulk::run(bench).await,
        "list_1000" => list::run(bench).await,
        "signed_writes" => signed_writes::run(bench).await,
        "me" => me::run(bench).await,
        "scale" => scale::run(bench).await,
        "domains_page" => domains_page::run(bench).await,
        "footprint" => footprint::run(bench).await,
        unknown => anyhow::bail!("there is no work {unknown}"),
    }
}

impl Bench {
    pub fn new(stack: Stack, quick: bool) -> Self {
        Self { stack, quick, report: Report::default(), idle_megabytes: 0.0, names: 0 }
    }

    pub fn into_parts(self) -> (Stack, Report) {
        (self.stack, self.report)
    }

    /// One number for a real run, a smaller one to see that it works.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// A name nobody has had.
    pub fn fresh(&mut self, label: &str) -> String {
        self.names += 1;
        format!("{label}-{}.test", self.names)
    }

    /// How many slices of [`SLICE`] calls each side gets, of work that goes call by call.
    pub fn slices(&self) -> usize {
        self.pick(10, 2)
    }

    /// Labels nobody has had, for one slice.
    pub fn labels(slice: usize) -> Vec<String> {
        (0..SLICE).map(|n| format!("w{slice}-{n}")).collect()
    }

    pub fn deadline(&self) -> Instant {
        Instant::now() + SLICE_LIMIT
    }

    pub async fn meter(&self) -> Result<Meter> {
        Meter::new(&self.stack).await
    }

    /// A live zone under a fresh name, with this many records.
    pub async fn zone(&mut self, label: &str, records: usize) -> Result<Zone> {
        let name = self.fresh(label);
        let zone = self.stack.platform()?.create_zone(&name).await?;
        self.stack.api()?.fill(&zone, records).await?;
        Ok(zone)
    }

    pub async fn zones(&mut self, label: &str, count: usize, records: usize) -> Result<Vec<Zone>> {
        let mut zones = Vec::with_capacity(count);
        for _ in 0..count {
            zones.push(self.zone(label, records).await?);
        }
        Ok(zones)
    }

    pub fn add(&mut self, line: Line) {
        self.report.lines.push(line);
    }

    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        eprintln!("    {note}");
        self.report.notes.push(note);
    }

    /// A work went wrong; the others are done nevertheless.
    pub fn broke_off(&mut self, work: &str, error: &anyhow::Error) {
        let note = format!("{work} BROKE OFF: {error:#}");
        eprintln!("    {note}");
        self.report.broken.push(note);
    }

    /// Callers with connections of their own.
    pub fn callers(&self, count: usize) -> Result<Vec<Api>> {
        let api = self.stack.api()?;
        Ok((0..count).map(|_| api.clone()).collect())
    }

    /// Where this was measured.
    pub async fn note_machine(&mut self) -> Result<()> {
        let mut database = self.stack.database().await?;
        let mariadb: String = sqlx::query_scalar("SELECT VERSION()").fetch_one(&mut database).await?;
        let pdns = self.stack.powerdns()?.version().await?;
        let cores = std::thread::available_parallelism()?;
        self.note(format!("{cores} cores for servers and client together, PowerDNS {pdns}, MariaDB {mariadb}"));
        Ok(())
    }
}
