//! The same work against PowerDNS itself and through ScaiDNS, on the same servers, in turns.
//!
//! `just bench [NAME…] [--runs N] [--quick]`; `docs/benchmarks.md` says what each work is and how to read the tables.
//! Nothing here passes or fails by time: it prints what it found, beside the targets.

mod client;
mod measure;
mod plot;
mod powerdns;
mod reaper;
mod report;
mod scaidns_api;
mod seed;
mod soak;
mod stack;
mod usage;
mod works;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;

use crate::reaper::Reaper;
use crate::report::Report;
use crate::stack::Stack;
use crate::works::{Bench, WORKS};

/// Measures ScaiDNS beside PowerDNS.
#[derive(Debug, Parser)]
struct Options {
    /// Only works whose names hold one of these words
    names: Vec<String>,
    /// How often everything is done, each time with servers and data of its own; the table shows the middle
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=20))]
    runs: u16,
    /// Little of everything, to see that it works
    #[arg(long)]
    quick: bool,
    /// Measure this executable, of another version perhaps
    #[arg(long, value_name = "PATH", default_value = stack::SCAIDNS)]
    executable: PathBuf,
    /// Nothing is compared: half of the machine's capacity for so many minutes, to see that memory and latency stay
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u16).range(1..=600))]
    soak: Option<u16>,
    /// Say which works there are
    #[arg(long)]
    list: bool,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    if let Some(code) = reaper::run_if_asked() {
        return code;
    }
    match measure_all(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// False: not every work was done to its end.
fn measure_all(options: &Options) -> Result<bool> {
    let is_wanted = |name: &str| options.names.is_empty() || options.names.iter().any(|word| name.contains(&**word));
    let works: Vec<&str> = WORKS.into_iter().filter(|name| is_wanted(name)).collect();
    if options.list || works.is_empty() {
        WORKS.iter().for_each(|name| println!("{name}"));
        return Ok(true);
    }
    let folder = folder()?;
    let lock = std::fs::File::create(folder.join("lock"))?;
    lock.try_lock().context("another bench is running in this target folder")?;
    // one thread: the client is to leave the machine to the servers
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(minutes) = options.soak {
        let reaper = Reaper::start(&stack::folder(&folder))?;
        let outcome = runtime.block_on(soak::run(&options.executable.canonicalize()?, &folder, minutes));
        reaper.finish();
        let written =
            outcome.with_context(|| format!("logs are in {}", stack::folder(&folder).join("log").display()))?;
        written.iter().for_each(|file| println!("{}", file.display()));
        return Ok(true);
    }
    let mut runs = Vec::new();
    for number in 1..=options.runs {
        eprintln!("run {number} of {}", options.runs);
        let reaper = Reaper::start(&stack::folder(&folder))?;
        let outcome = runtime.block_on(run(options, &works, &folder));
        reaper.finish();
        let report =
            outcome.with_context(|| format!("logs are in {}", stack::folder(&folder).join("log").display()))?;
        report.write(&folder, &format!("run-{number}"))?;
        runs.push(report);
    }
    let report = Report::of_runs(&runs);
    report.write(&folder, "side_by_side")?;
    let plots = plot::write(&report, &folder)?;
    println!("\n{}", report.text());
    println!("{}/side_by_side.txt, .json", folder.display());
    plots.iter().for_each(|plot| println!("{}", plot.display()));
    Ok(report.broken.is_empty())
}

/// One run, on servers of its own.
async fn run(options: &Options, works: &[&str], folder: &Path) -> Result<Report> {
    let stack = Stack::start(folder, &options.executable.canonicalize()?).await?;
    let mut bench = Bench::new(stack, options.quick);
    bench.note_machine().await?;
    works::footprint::note_idle(&mut bench)?;
    for work in works {
        let begun = Instant::now();
        eprintln!("  {work} …");
        if let Err(error) = works::run(work, &mut bench).await {
            bench.broke_off(work, &error);
        }
        eprintln!("  {work}: {:.1} s", begun.elapsed().as_secs_f32());
    }
    let (stack, report) = bench.into_parts();
    stack.end().await?;
    Ok(report)
}

/// `target/bench`, wherever target is.
fn folder() -> Result<PathBuf> {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = temporary.parent().context("a target folder")?.join("bench");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
