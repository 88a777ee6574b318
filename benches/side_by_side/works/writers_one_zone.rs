//! Many writers on one zone, each with names of its own. Nothing acknowledged may be missing afterwards.

use std::collections::HashSet;

use anyhow::{Context, Result};

use super::Bench;
use crate::measure::{Samples, Share};
use crate::powerdns::Settings;
use crate::report::{Line, Measure};
use crate::usage::Meter;

const WORK: &str = "writers_one_zone";
const WRITERS: usize = 64;
/// PowerDNS with ScaiDNS's settings does best with fewer.
const RAW_WRITERS: usize = 32;
const WRITES: usize = 800;
const RECORDS: usize = 5;
const SAME_TARGET: f64 = 5.0;
const SHIPPED_TARGET: f64 = 10.0;

/// Who got which answer: label and status.
type Answered = Vec<(String, u16)>;

pub async fn run(bench: &mut Bench) -> Result<()> {
    let (rounds, writes) = bench.pick((2, WRITES), (1, 2 * WRITERS));
    let mut meter = bench.meter().await?;
    let (mut same, mut shipped, mut scaidns) = (Samples::default(), Samples::default(), Samples::default());
    let mut warm_up = Samples::default();
    through_scaidns(bench, &mut meter, &mut warm_up, WRITERS).await?;
    for _ in 0..rounds {
        raw(bench, &mut meter, &mut same, RAW_WRITERS, writes, Settings::Same).await?;
        through_scaidns(bench, &mut meter, &mut scaidns, writes).await?;
        raw(bench, &mut meter, &mut shipped, WRITERS, writes, Settings::Shipped).await?;
    }
    scaidns.all_succeeded("ScaiDNS")?;
    bench
        .note(format!("{WORK}: all {} acknowledged writes are listed by ScaiDNS and in PowerDNS", scaidns.succeeded()));
    for (raw, writers, target, settings) in
        [(same, RAW_WRITERS, SAME_TARGET, "same settings"), (shipped, WRITERS, SHIPPED_TARGET, "as shipped")]
    {
        if raw.failed() > 0 {
            bench.note(format!("{WORK}: PowerDNS {settings}, {writers} clients, failed: {}", raw.failures()));
        }
        let what = format!("{WRITERS} writers; raw {writers}, {settings}");
        let (raw, scaidns) = (raw.figures(), scaidns.figures());
        bench.add(Line::compared(WORK, what, raw, scaidns, Measure::ThroughputRatio, Some(target)));
    }
    Ok(())
}

async fn raw(
    bench: &mut Bench,
    meter: &mut Meter,
    side: &mut Samples,
    writers: usize,
    writes: usize,
    settings: Settings,
) -> Result<()> {
    let name = bench.fresh("raw");
    let mut powerdns = bench.stack.powerdns_as(settings)?;
    powerdns.create_zone(&name, RECORDS, settings).await?;
    let share = Share::new(writes, bench.deadline());
    let callers = (0..writers).map(|writer| {
        let (mut powerdns, name) = (powerdns.clone(), &name);
        share.work_off(async move |n| powerdns.put(name, &format!("w{writer}-{n}")).await)
    });
    side.all_at_once(meter, callers).await
}

async fn through_scaidns(bench: &mut Bench, meter: &mut Meter, side: &mut Samples, writes: usize) -> Result<()> {
    let zone = bench.zone("busy", RECORDS).await?;
    let share = Share::new(writes, bench.deadline());
    let answered = std::cell::RefCell::new(Answered::new());
    let callers = bench.callers(WRITERS)?.into_iter().enumerate().map(|(writer, mut api)| {
        let (zone, answered) = (&zone, &answered);
        share.work_off(async move |n| {
            let label = format!("w{writer}-{n}");
            let status = api.put(zone, &label).await;
            answered.borrow_mut().push((label, status));
            status
        })
    });
    side.all_at_once(meter, callers).await?;

    let listed: HashSet<String> = bench.stack.api()?.names(&zone).await?.into_iter().collect();
    let served = bench.stack.powerdns()?.zone(&zone.name).await?;
    let rrsets = served["rrsets"].as_array().context("RRsets")?;
    let served: HashSet<&str> = rrsets.iter().filter_map(|rrset| rrset["name"].as_str()).collect();
    for (label, _) in answered.into_inner().into_iter().filter(|(_, status)| *status == 200) {
        let name = format!("{label}.{}", zone.name);
        anyhow::ensure!(listed.contains(&name), "the acknowledged write of {name} is not listed");
        anyhow::ensure!(served.contains(&*format!("{name}.")), "the acknowledged write of {name} is not in PowerDNS");
    }
    Ok(())
}
