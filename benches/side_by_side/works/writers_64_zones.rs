//! As many writers as zones, each on its own: nothing goes together, nobody waits for a neighbour.

use anyhow::Result;

use super::Bench;
use crate::measure::{Samples, Share};
use crate::powerdns::Settings;
use crate::report::{Line, Measure};
use crate::scaidns_api::Zone;
use crate::seed;
use crate::usage::Meter;

const WORK: &str = "writers_64_zones";
const WRITERS: usize = 64;
/// A writer, about.
const WRITES: usize = 10;
const SMALL: usize = 5;
const LARGE: usize = 1_000;
const SMALL_TARGET: f64 = 0.7;
const LARGE_TARGET: f64 = 1.0;

pub async fn run(bench: &mut Bench) -> Result<()> {
    for (records, settings, target, what) in
        [(SMALL, Settings::Same, SMALL_TARGET, "same settings"), (LARGE, Settings::Shipped, LARGE_TARGET, "as shipped")]
    {
        let zones = seed::live(bench, "many", WRITERS, records).await?;
        let names = seed::raw(bench, "raw", WRITERS, records, settings).await?;
        bench.stack.restart_powerdns(&zones[1].name).await?;
        let [raw, scaidns] = compare(bench, &zones, (settings, &names)).await?;
        scaidns.all_succeeded("ScaiDNS")?;
        if raw.failed() > 0 {
            bench.note(format!("{WORK}: PowerDNS {what} failed: {}", raw.failures()));
        }
        let what = format!("zones of {records}, raw {what}");
        let (raw, scaidns) = (raw.figures(), scaidns.figures());
        bench.add(Line::compared(WORK, what, raw, scaidns, Measure::ThroughputRatio, Some(target)));
    }
    Ok(())
}

async fn compare(bench: &Bench, zones: &[Zone], raw_zones: (Settings, &[String])) -> Result<[Samples; 2]> {
    let mut meter = bench.meter().await?;
    let (mut raw, mut scaidns) = (Samples::default(), Samples::default());
    let rounds = bench.pick(3, 1);
    let mut warm_up = Samples::default();
    through_scaidns(bench, &mut meter, &mut warm_up, zones, "warm", 1).await?;
    to_powerdns(bench, &mut meter, &mut warm_up, raw_zones, "warm", 1).await?;
    for round in 0..rounds {
        let prefix = format!("w{round}");
        to_powerdns(bench, &mut meter, &mut raw, raw_zones, &prefix, WRITES).await?;
        through_scaidns(bench, &mut meter, &mut scaidns, zones, &prefix, WRITES).await?;
    }
    Ok([raw, scaidns])
}

async fn to_powerdns(
    bench: &Bench,
    meter: &mut Meter,
    side: &mut Samples,
    (settings, names): (Settings, &[String]),
    prefix: &str,
    writes: usize,
) -> Result<()> {
    let (powerdns, share) = (bench.stack.powerdns_as(settings)?, Share::new(writes * names.len(), bench.deadline()));
    let callers = names.iter().map(|name| {
        let mut powerdns = powerdns.clone();
        share.work_off(async move |n| powerdns.put(name, &format!("{prefix}-{n}")).await)
    });
    side.all_at_once(meter, callers).await
}

async fn through_scaidns(
    bench: &Bench,
    meter: &mut Meter,
    side: &mut Samples,
    zones: &[Zone],
    prefix: &str,
    writes: usize,
) -> Result<()> {
    let share = Share::new(writes * zones.len(), bench.deadline());
    let callers = bench.callers(zones.len())?.into_iter().zip(zones);
    let callers =
        callers.map(|(mut api, zone)| share.work_off(async move |n| api.put(zone, &format!("{prefix}-{n}")).await));
    side.all_at_once(meter, callers).await
}
