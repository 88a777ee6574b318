//! What was found: lines, the tables they make, and what several runs come to together.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};

use crate::measure::{Figures, median};
use crate::usage::Usage;

/// From here on latencies and throughput tell more of the machine than of what is measured.
const BUSY: f64 = 0.1;

/// What of a line is compared with its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measure {
    /// ScaiDNS's p50 by PowerDNS's; less is better.
    P50Ratio,
    /// ScaiDNS's successes per second by PowerDNS's; more is better.
    ThroughputRatio,
    /// Milliseconds; less is better.
    P50,
    /// Calls per second; more is better.
    PerSecond,
    /// Milliseconds, not of calls; less is better.
    Milliseconds,
    /// Resident; less is better.
    Megabytes,
    /// How many; less is better.
    Count,
}

/// One comparison, or one figure of ScaiDNS alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    pub work: String,
    pub what: String,
    pub raw: Option<Figures>,
    pub scaidns: Option<Figures>,
    pub measure: Measure,
    pub value: f64,
    /// None: for information.
    pub target: Option<f64>,
}

/// A point of a curve.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Point {
    /// The curve's panel: what is measured, with its unit.
    pub panel: String,
    pub curve: String,
    pub x: f64,
    pub y: f64,
}

/// What one run found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    pub lines: Vec<Line>,
    pub points: Vec<Point>,
    /// What was left out, and other remarks.
    pub notes: Vec<String>,
    /// Works that were not done to their end, and why.
    pub broken: Vec<String>,
}

impl Measure {
    fn more_is_better(self) -> bool {
        match self {
            Self::ThroughputRatio | Self::PerSecond => true,
            Self::P50Ratio | Self::P50 | Self::Milliseconds | Self::Megabytes | Self::Count => false,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::P50Ratio => "p50, ratio",
            Self::ThroughputRatio => "throughput, ratio",
            Self::P50 => "p50, ms",
            Self::PerSecond => "throughput, /s",
            Self::Milliseconds => "ms",
            Self::Megabytes => "MB",
            Self::Count => "count",
        }
    }
}

impl Line {
    /// ScaiDNS beside PowerDNS.
    pub fn compared(
        work: &str,
        what: impl Into<String>,
        raw: Figures,
        scaidns: Figures,
        measure: Measure,
        target: Option<f64>,
    ) -> Self {
        let (ours, theirs) = match measure {
            Measure::ThroughputRatio => (scaidns.per_second, raw.per_second),
            _ => (scaidns.p50_ms, raw.p50_ms),
        };
        let value = ours / theirs.max(f64::EPSILON);
        Self { work: work.into(), what: what.into(), raw: Some(raw), scaidns: Some(scaidns), measure, value, target }
    }

    /// ScaiDNS alone.
    pub fn alone(work: &str, what: impl Into<String>, scaidns: Figures, measure: Measure, target: Option<f64>) -> Self {
        let value = if measure == Measure::PerSecond { scaidns.per_second } else { scaidns.p50_ms };
        Self { work: work.into(), what: what.into(), raw: None, scaidns: Some(scaidns), measure, value, target }
    }

    /// A figure that no calls are behind.
    pub fn figure(work: &str, what: impl Into<String>, measure: Measure, value: f64, target: Option<f64>) -> Self {
        Self { work: work.into(), what: what.into(), raw: None, scaidns: None, measure, value, target }
    }

    /// Processor time of the servers for a call, ScaiDNS's by PowerDNS's: what is left of a comparison on a busy machine.
    fn servers_ratio(&self) -> Option<f64> {
        let raw = self.raw.as_ref()?.usage.servers();
        Some(self.scaidns.as_ref()?.usage.servers() / raw.max(f64::EPSILON))
    }

    pub fn is_reached(&self) -> Option<bool> {
        let target = self.target?;
        Some(if self.measure.more_is_better() { self.value >= target } else { self.value <= target })
    }

    pub fn target_text(&self) -> String {
        let sign = if self.measure.more_is_better() { "≥" } else { "≤" };
        self.target.map_or_else(|| "–".to_owned(), |target| format!("{sign} {}", short(target)))
    }
}

impl Report {
    /// The lines of several runs as one each, with the middle of every figure.
    pub fn of_runs(runs: &[Self]) -> Self {
        // a work may have broken off in one of them
        let Some(first) = runs.iter().max_by_key(|run| run.lines.len()) else { return Self::default() };
        let lines = first.lines.iter().map(|line| {
            let same = |other: &&Line| other.work == line.work && other.what == line.what;
            let all: Vec<&Line> = runs.iter().flat_map(|run| run.lines.iter().filter(same)).collect();
            let side =
                |of: fn(&Line) -> Option<&Figures>| middle(&all.iter().filter_map(|line| of(line)).collect::<Vec<_>>());
            Line {
                raw: side(|line| line.raw.as_ref()),
                scaidns: side(|line| line.scaidns.as_ref()),
                value: median(all.iter().map(|line| line.value).collect()),
                ..line.clone()
            }
        });
        let points = first.points.iter().map(|point| {
            let same = |other: &&Point| other.panel == point.panel && other.curve == point.curve && other.x == point.x;
            let all = runs.iter().flat_map(|run| run.points.iter().filter(same)).map(|point| point.y);
            Point { y: median(all.collect()), ..point.clone() }
        });
        let mut notes: Vec<String> = runs.iter().flat_map(|run| run.notes.clone()).collect();
        notes.sort();
        notes.dedup();
        let broken = runs.iter().flat_map(|run| run.broken.clone()).collect();
        Self { lines: lines.collect(), points: points.collect(), notes, broken }
    }

    /// How the table reads on a terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if !self.lines.is_empty() {
            let _ = writeln!(text, "{}\n", self.results());
        }
        if self.sides().next().is_some() {
            let _ =
                writeln!(text, "For each call that went through; processor time in ms, MariaDB holds both databases:");
            let _ = writeln!(text, "{}\n", self.costs());
        }
        if !self.points.is_empty() {
            let _ = writeln!(text, "As the platform grows:");
            let _ = writeln!(text, "{}\n", self.curves());
        }
        let others = self.sides().map(|figures| figures.others).fold(0.0, f64::max);
        if others > BUSY {
            let _ = writeln!(
                text,
                "The machine was BUSY with other things, for up to {:.0} % of its processor time: compare by `servers`",
                others * 100.0
            );
        }
        for note in self.notes.iter().chain(&self.broken) {
            let _ = writeln!(text, "{note}");
        }
        text
    }

    fn sides(&self) -> impl Iterator<Item = &Figures> {
        self.lines.iter().flat_map(|line| [&line.raw, &line.scaidns]).flatten()
    }

    fn results(&self) -> Table {
        let head = [
            "work",
            "what",
            "raw p50",
            "p99",
            "/s",
            "failed",
            "ScaiDNS p50",
            "p99",
            "/s",
            "failed",
            "servers, ratio",
            "compared",
            "value",
            "target",
            "reached",
        ];
        let mut table = table(&head, 2);
        for line in &self.lines {
            let mut row = vec![line.work.clone(), line.what.clone()];
            for side in [&line.raw, &line.scaidns] {
                match side {
                    Some(Figures { calls: _, failed, p50_ms, p99_ms, per_second, usage: _, others: _ }) => {
                        row.extend([short(*p50_ms), short(*p99_ms), short(*per_second), failed.to_string()]);
                    }
                    None => row.extend(std::iter::repeat_n("–".to_owned(), 4)),
                }
            }
            row.push(line.servers_ratio().map_or_else(|| "–".to_owned(), short));
            let reached = match line.is_reached() {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "–",
            };
            row.extend([line.measure.describe().to_owned(), short(line.value), line.target_text(), reached.to_owned()]);
            table.add_row(row);
        }
        table
    }

    fn costs(&self) -> Table {
        let head = [
            "work",
            "what",
            "side",
            "calls",
            "commits",
            "statements",
            "flushes",
            "servers",
            "api",
            "mariadb",
            "pdns",
            "client",
            "others",
        ];
        let mut table = table(&head, 3);
        for line in &self.lines {
            for (side, figures) in [("raw", &line.raw), ("ScaiDNS", &line.scaidns)] {
                let Some(Figures { calls, usage, others, .. }) = figures else { continue };
                let Usage { commits, statements, flushes, api, mariadb, pdns, client, others: _ } = *usage;
                let mut row = vec![line.work.clone(), line.what.clone(), side.to_owned(), calls.to_string()];
                row.extend([commits, statements, flushes].map(short));
                row.extend([usage.servers(), api, mariadb, pdns, client].map(|seconds| short(seconds * 1_000.0)));
                row.push(format!("{:.0} %", others * 100.0));
                table.add_row(row);
            }
        }
        table
    }

    /// A row for each size and curve, a column for each thing measured.
    fn curves(&self) -> Table {
        let (mut panels, mut places): (Vec<&str>, Vec<(f64, &str)>) = (Vec::new(), Vec::new());
        for Point { panel, curve, x, y: _ } in &self.points {
            if !panels.contains(&&**panel) {
                panels.push(panel);
            }
            if !places.contains(&(*x, curve)) {
                places.push((*x, curve));
            }
        }
        let head: Vec<&str> = ["zones", "replicas"].into_iter().chain(panels.iter().copied()).collect();
        let mut table = table(&head, 0);
        for (x, curve) in places {
            let at = |panel: &&str| {
                let point =
                    self.points.iter().find(|point| point.panel == **panel && point.x == x && point.curve == curve);
                point.map_or_else(|| "–".to_owned(), |point| short(point.y))
            };
            let count = curve.split(' ').next().unwrap_or(curve);
            let row = [format!("{x}"), count.to_owned()];
            table.add_row(row.into_iter().chain(panels.iter().map(at)));
        }
        table
    }

    /// Puts the tables and the figures into the folder.
    pub fn write(&self, folder: &Path, name: &str) -> Result<()> {
        fs::write(folder.join(format!("{name}.txt")), self.text())?;
        fs::write(folder.join(format!("{name}.json")), serde_json::to_string_pretty(self)?)?;
        Ok(())
    }
}

fn middle(sides: &[&Figures]) -> Option<Figures> {
    if sides.is_empty() {
        return None;
    }
    let mut usage = Usage::default();
    sides.iter().for_each(|figures| usage += figures.usage);
    let of = |value: fn(&Figures) -> f64| median(sides.iter().map(|figures| value(figures)).collect());
    Some(Figures {
        calls: sides.iter().map(|figures| figures.calls).sum(),
        failed: sides.iter().map(|figures| figures.failed).sum(),
        p50_ms: of(|figures| figures.p50_ms),
        p99_ms: of(|figures| figures.p99_ms),
        per_second: of(|figures| figures.per_second),
        usage: usage / sides.len() as f64,
        others: of(|figures| figures.others),
    })
}

fn table(head: &[&str], words: usize) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(head.to_vec());
    for column in table.column_iter_mut().skip(words) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Three figures, as many as there is sense in.
pub fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
