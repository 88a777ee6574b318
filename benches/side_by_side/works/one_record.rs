//! One caller adds one A record after the other: in a small zone, and in one of a thousand RRsets.

use anyhow::Result;

use super::Bench;
use crate::measure::{SLICE, Samples};
use crate::powerdns::{PowerDns, Settings};
use crate::report::{Line, Measure};
use crate::scaidns_api::Zone;

const SMALL: usize = 5;
const LARGE: usize = 1_000;
const SMALL_TARGET: f64 = 1.8;
const LARGE_TARGET: f64 = 0.6;

/// A zone of five records. Each slice gets zones of its own, so that they stay small.
pub async fn small(bench: &mut Bench) -> Result<()> {
    let slices = bench.slices() + 1;
    let zones = bench.zones("one", slices, SMALL).await?;
    let names = raw_zones(bench, slices, SMALL, Settings::Same).await?;
    let [raw, scaidns] =
        in_turns(bench, slices, &[(Settings::Same, &names)], &zones).await?.try_into().unwrap_or_default();
    raw.all_succeeded("PowerDNS")?;
    scaidns.all_succeeded("ScaiDNS")?;
    let (raw, scaidns) = (raw.figures(), scaidns.figures());
    let what = format!("zone of {SMALL}, same settings");
    bench.add(Line::compared("one_record", what, raw, scaidns, Measure::P50Ratio, Some(SMALL_TARGET)));
    Ok(())
}

/// A zone of a thousand, the same in all slices: a few more make no difference.
pub async fn thousand(bench: &mut Bench) -> Result<()> {
    let slices = bench.slices() + 1;
    let zone = bench.zone("large", LARGE).await?;
    let shipped = vec![raw_zones(bench, 1, LARGE, Settings::Shipped).await?.concat(); slices];
    let same = vec![raw_zones(bench, 1, LARGE, Settings::Same).await?.concat(); slices];
    let zones = vec![zone; slices];
    let [shipped, same, scaidns] =
        in_turns(bench, slices, &[(Settings::Shipped, &shipped), (Settings::Same, &same)], &zones)
            .await?
            .try_into()
            .unwrap_or_default();
    for (raw, target, settings) in [(shipped, Some(LARGE_TARGET), "as shipped"), (same, None, "same settings")] {
        raw.all_succeeded("PowerDNS")?;
        scaidns.all_succeeded("ScaiDNS")?;
        let what = format!("zone of {LARGE}, {settings}");
        let (raw, scaidns) = (raw.figures(), scaidns.figures());
        bench.add(Line::compared("one_record_1000", what, raw, scaidns, Measure::P50Ratio, target));
    }
    Ok(())
}

/// So many zones of PowerDNS's own.
async fn raw_zones(bench: &mut Bench, count: usize, rrsets: usize, settings: Settings) -> Result<Vec<String>> {
    let mut powerdns = bench.stack.powerdns_as(settings)?;
    let mut names = Vec::with_capacity(count);
    for _ in 0..count {
        let name = bench.fresh("raw");
        powerdns.create_zone(&name, rrsets, settings).await?;
        names.push(name);
    }
    Ok(names)
}

/// A slice on each side of PowerDNS's, one through ScaiDNS, and again; a zone a slice. The first round warms up.
async fn in_turns(bench: &Bench, slices: usize, raw: &[(Settings, &[String])], zones: &[Zone]) -> Result<Vec<Samples>> {
    let mut meter = bench.meter().await?;
    let mut api = bench.stack.api()?;
    let mut sides: Vec<Samples> = Vec::new();
    for slice in 0..slices {
        if slice <= 1 {
            sides = (0..=raw.len()).map(|_| Samples::default()).collect();
        }
        let labels = Bench::labels(slice);
        let Some((scaidns, raw_sides)) = sides.split_last_mut() else { break };
        for (side, (settings, names)) in raw_sides.iter_mut().zip(raw) {
            put_raw(side, &mut meter, bench.stack.powerdns_as(*settings)?, &names[slice], &labels).await?;
        }
        scaidns.one_by_one(&mut meter, SLICE, async |n| api.put(&zones[slice], &labels[n]).await).await?;
    }
    Ok(sides)
}

async fn put_raw(
    side: &mut Samples,
    meter: &mut crate::usage::Meter,
    mut powerdns: PowerDns,
    zone: &str,
    labels: &[String],
) -> Result<()> {
    side.one_by_one(meter, labels.len(), async |n| powerdns.put(zone, &labels[n]).await).await
}
