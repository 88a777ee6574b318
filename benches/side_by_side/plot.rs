//! The report as pictures: bars of both sides, and curves over the size of the platform.
//!
//! SVG by hand: it is text, and there are only lines, bars and words in it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::measure::Figures;
use crate::report::{Line, Measure, Point, Report, short};

const RAW: &str = "#9aa5b1";
const SCAIDNS: &str = "#2f6fde";
const CURVES: [&str; 6] = ["#2f6fde", "#d9822b", "#2f9e5b", "#9aa5b1", "#8a4fd0", "#c23030"];
const WIDTH: f64 = 1_100.0;
/// Where bars begin: left of it stands what they are.
const LEFT: f64 = 360.0;
/// Where bars end: right of it stands how they compare.
const RIGHT: f64 = 860.0;
const BAR: f64 = 9.0;
const PANEL_WIDTH: f64 = 520.0;
const PANEL_HEIGHT: f64 = 300.0;

/// Draws what there is to draw; the files written.
pub fn write(report: &Report, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for (name, picture) in [("side_by_side.svg", bars(report)), ("scale.svg", panels(&report.points, Scale::Log))] {
        if let Some(picture) = picture {
            let path = folder.join(name);
            fs::write(&path, picture)?;
            written.push(path);
        }
    }
    Ok(written)
}

/// Curves over the minutes of a run.
pub fn over_time(points: &[Point]) -> Option<String> {
    panels(points, Scale::Linear)
}

/// A picture that grows downwards.
struct Svg {
    body: String,
    height: f64,
}

impl Svg {
    fn new() -> Self {
        Self { body: String::new(), height: 20.0 }
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, words: &str) {
        let words = words.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(self.body, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{words}</text>"#);
    }

    fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str, width: f64) {
        let _ = writeln!(
            self.body,
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}" stroke-width="{width}"/>"#
        );
    }

    fn bar(&mut self, x: f64, y: f64, width: f64, colour: &str) {
        let width = width.max(1.0);
        let _ =
            writeln!(self.body, r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{BAR}" fill="{colour}"/>"#);
    }

    fn dot(&mut self, (x, y): (f64, f64), colour: &str) {
        let _ = writeln!(self.body, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#);
    }

    fn finish(self, width: f64) -> String {
        let Self { body, height } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
        )
    }
}

/// How values lie on an axis.
#[derive(Clone, Copy)]
enum Scale {
    /// Whole powers of ten around them.
    Log,
    /// From nothing to the largest.
    Linear,
}

/// Where values stand in a picture.
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    begin: f64,
    end: f64,
}

impl Axis {
    fn new(scale: Scale, values: impl Iterator<Item = f64>, begin: f64, end: f64) -> Self {
        match scale {
            Scale::Log => Self::around(values, begin, end),
            Scale::Linear => {
                let high = values.fold(f64::MIN_POSITIVE, f64::max);
                Self { scale, low: 0.0, high, begin, end }
            }
        }
    }

    fn around(values: impl Iterator<Item = f64>, begin: f64, end: f64) -> Self {
        let (mut low, mut high) = (f64::MAX, f64::MIN);
        for value in values.filter(|value| *value > 0.0) {
            low = low.min(value.log10().floor());
            high = high.max(value.log10().ceil());
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        Self { scale: Scale::Log, low, high: high.max(low + 1.0), begin, end }
    }

    fn place(&self, value: f64) -> f64 {
        let value = match self.scale {
            Scale::Log => value.max(f64::MIN_POSITIVE).log10(),
            Scale::Linear => value,
        };
        let share = (value - self.low) / (self.high - self.low);
        self.begin + share.clamp(0.0, 1.0) * (self.end - self.begin)
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Log => (self.low as i32..=self.high as i32).map(|power| 10_f64.powi(power)).collect(),
            Scale::Linear => [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| part * self.high).to_vec(),
        }
    }
}

fn bars(report: &Report) -> Option<String> {
    let mut svg = Svg::new();
    let latency = |line: &&Line| matches!(line.measure, Measure::P50Ratio | Measure::P50);
    let throughput = |line: &&Line| matches!(line.measure, Measure::ThroughputRatio | Measure::PerSecond);
    let latencies: Vec<&Line> = report.lines.iter().filter(latency).collect();
    let throughputs: Vec<&Line> = report.lines.iter().filter(throughput).collect();
    if latencies.is_empty() && throughputs.is_empty() {
        return None;
    }
    section(&mut svg, "ms a call: bar to p50, line to p99; less is better", &latencies, |side| {
        (side.p50_ms, side.p99_ms)
    });
    section(&mut svg, "calls a second; more is better", &throughputs, |side| (side.per_second, side.per_second));
    Some(svg.finish(WIDTH))
}

fn section(svg: &mut Svg, title: &str, lines: &[&Line], of: fn(&Figures) -> (f64, f64)) {
    if lines.is_empty() {
        return;
    }
    let sides = lines.iter().flat_map(|line| [&line.raw, &line.scaidns]).flatten().map(of);
    let axis = Axis::around(sides.flat_map(|(value, far)| [value, far]), LEFT, RIGHT);
    let row = 2.0 * BAR + 14.0;
    let (top, bottom) = (svg.height + 40.0, svg.height + 40.0 + row * lines.len() as f64);
    svg.text(20.0, svg.height + 8.0, "start", title);
    for (place, colour, name) in [(LEFT, RAW, "PowerDNS"), (LEFT + 110.0, SCAIDNS, "ScaiDNS")] {
        svg.bar(place, svg.height, 20.0, colour);
        svg.text(place + 26.0, svg.height + 9.0, "start", name);
    }
    for tick in axis.ticks() {
        svg.line((axis.place(tick), top - 8.0), (axis.place(tick), bottom), "#e3e7eb", 1.0);
        svg.text(axis.place(tick), top - 12.0, "middle", &tick.to_string());
    }
    for (n, line) in lines.iter().enumerate() {
        let y = top + row * n as f64;
        svg.text(LEFT - 10.0, y + BAR + 4.0, "end", &format!("{}: {}", line.work, line.what));
        for (side, colour, y) in [(&line.raw, RAW, y), (&line.scaidns, SCAIDNS, y + BAR + 1.0)] {
            let Some(side) = side else { continue };
            let (value, far) = of(side);
            svg.bar(LEFT, y, axis.place(value) - LEFT, colour);
            svg.line((LEFT, y + BAR / 2.0), (axis.place(far), y + BAR / 2.0), colour, 2.0);
        }
        svg.text(RIGHT + 10.0, y + BAR + 4.0, "start", &verdict(line));
    }
    svg.height = bottom + 30.0;
}

fn verdict(line: &Line) -> String {
    let reached = match line.is_reached() {
        Some(true) => "reached",
        Some(false) => "not reached",
        None => "",
    };
    format!("{} ({}) {reached}", short(line.value), line.target_text())
}

/// A panel for each thing measured, a curve in it for each row of points.
fn panels(points: &[Point], scale: Scale) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for point in points {
        if !names.contains(&&*point.panel) {
            names.push(&point.panel);
        }
    }
    if names.is_empty() {
        return None;
    }
    let mut svg = Svg::new();
    for (n, name) in names.iter().enumerate() {
        let left = (n % 2) as f64 * PANEL_WIDTH;
        let points: Vec<&Point> = points.iter().filter(|point| point.panel == *name).collect();
        panel(&mut svg, left, (n / 2) as f64 * PANEL_HEIGHT, (name, scale), &points);
    }
    svg.height = names.len().div_ceil(2) as f64 * PANEL_HEIGHT;
    Some(svg.finish(2.0 * PANEL_WIDTH))
}

fn panel(svg: &mut Svg, left: f64, top: f64, (name, scale): (&str, Scale), points: &[&Point]) {
    let (begin, end, ceiling, floor) = (left + 60.0, left + 360.0, top + 45.0, top + PANEL_HEIGHT - 35.0);
    let x = Axis::new(scale, points.iter().map(|point| point.x), begin, end);
    let highest = points.iter().map(|point| point.y).fold(f64::MIN_POSITIVE, f64::max);
    let place = |point: &Point| (x.place(point.x), floor - point.y / highest * (floor - ceiling));
    svg.text(left + 20.0, top + 22.0, "start", name);
    for tick in x.ticks() {
        svg.line((x.place(tick), ceiling), (x.place(tick), floor), "#e3e7eb", 1.0);
        svg.text(x.place(tick), floor + 16.0, "middle", &short(tick));
    }
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let y = floor - part * (floor - ceiling);
        svg.line((begin, y), (end, y), "#e3e7eb", 1.0);
        svg.text(begin - 6.0, y + 4.0, "end", &short(part * highest));
    }
    let curves: BTreeSet<&str> = points.iter().map(|point| &*point.curve).collect();
    for (n, (curve, colour)) in curves.iter().zip(CURVES.iter().cycle()).enumerate() {
        let mut own: Vec<&Point> = points.iter().filter(|point| point.curve == *curve).copied().collect();
        own.sort_by(|one, other| one.x.total_cmp(&other.x));
        for pair in own.windows(2) {
            svg.line(place(pair[0]), place(pair[1]), colour, 2.0);
        }
        own.iter().for_each(|point| svg.dot(place(point), colour));
        let y = ceiling + 16.0 * n as f64;
        svg.line((end + 15.0, y), (end + 35.0, y), colour, 2.0);
        svg.text(end + 42.0, y + 4.0, "start", curve);
    }
}
