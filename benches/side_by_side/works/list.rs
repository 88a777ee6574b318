//! The list of a thousand records: seen for the first time, unchanged since the last time, and asked for by its ETag.

use anyhow::Result;

use super::Bench;
use crate::measure::{SLICE, Samples};
use crate::report::{Line, Measure};
use crate::scaidns_api::Zone;
use crate::seed;

const WORK: &str = "list_1000";
const RECORDS: usize = 1_000;
const COLD_TARGET: f64 = 1.3;
const UNCHANGED_TARGET: f64 = 0.5;
const ETAG_TARGET_MS: f64 = 2.0;

pub async fn run(bench: &mut Bench) -> Result<()> {
    let zones = seed::live(bench, "list", bench.pick(2 * SLICE, 4), RECORDS).await?;
    bench.stack.restart_powerdns(&zones[1].name).await?;
    cold(bench, &zones).await?;
    unchanged(bench, &zones[0]).await?;
    by_etag(bench, &zones[0]).await
}

/// By a replica that was just started and has seen none of the zones but the first, by which both warm up.
async fn cold(bench: &mut Bench, zones: &[Zone]) -> Result<()> {
    let replica = bench.stack.start_replica(1).await?;
    let mut meter = bench.meter().await?;
    let (mut api, mut powerdns) = (bench.stack.api()?.at(&replica.url), bench.stack.powerdns()?);
    let Some((first, zones)) = zones.split_first() else { return Ok(()) };
    for _ in 0..3 {
        api.list(first).await?.ok()?;
        powerdns.zone(&first.name).await?;
    }
    let (mut raw, mut scaidns) = (Samples::default(), Samples::default());
    for zones in zones.chunks(SLICE / 4) {
        raw.one_by_one(&mut meter, zones.len(), async |n| powerdns.zone_status(&zones[n].name).await).await?;
        scaidns.one_by_one(&mut meter, zones.len(), async |n| status_of_list(&mut api, &zones[n]).await).await?;
    }
    replica.stop().await;
    compare(bench, "first look", raw, scaidns, COLD_TARGET)
}

async fn unchanged(bench: &mut Bench, zone: &Zone) -> Result<()> {
    let mut meter = bench.meter().await?;
    let (mut api, mut powerdns) = (bench.stack.api()?, bench.stack.powerdns()?);
    let (mut raw, mut scaidns) = (Samples::default(), Samples::default());
    api.list(zone).await?.ok()?;
    for _ in 0..bench.pick(5, 1) {
        raw.one_by_one(&mut meter, SLICE, async |_| powerdns.zone_status(&zone.name).await).await?;
        scaidns.one_by_one(&mut meter, SLICE, async |_| status_of_list(&mut api, zone).await).await?;
    }
    compare(bench, "unchanged since the last look", raw, scaidns, UNCHANGED_TARGET)
}

async fn by_etag(bench: &mut Bench, zone: &Zone) -> Result<()> {
    let mut api = bench.stack.api()?;
    let Some(etag) = api.list(zone).await?.etag else {
        bench.note(format!("{WORK}: If-None-Match left out, the list has no ETag"));
        return Ok(());
    };
    let mut meter = bench.meter().await?;
    let mut scaidns = Samples::default();
    for _ in 0..bench.pick(5, 1) {
        let ask = async |_| api.client.get_if_changed(&zone.records(), &etag).await.map_or(0, |answer| answer.status);
        scaidns.one_by_one(&mut meter, SLICE, ask).await?;
    }
    scaidns.all_succeeded("ScaiDNS")?;
    let figures = scaidns.figures();
    bench.add(Line::alone(WORK, "If-None-Match, unchanged", figures, Measure::P50, Some(ETAG_TARGET_MS)));
    Ok(())
}

async fn status_of_list(api: &mut crate::scaidns_api::Api, zone: &Zone) -> u16 {
    api.list(zone).await.map_or(crate::client::NO_ANSWER, |answer| answer.status)
}

fn compare(bench: &mut Bench, what: &str, raw: Samples, scaidns: Samples, target: f64) -> Result<()> {
    raw.all_succeeded("PowerDNS")?;
    scaidns.all_succeeded("ScaiDNS")?;
    let (raw, scaidns) = (raw.figures(), scaidns.figures());
    bench.add(Line::compared(WORK, what, raw, scaidns, Measure::P50Ratio, Some(target)));
    Ok(())
}
