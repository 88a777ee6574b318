//! Five hundred records in one call.

use anyhow::Result;
use hyper::Method;

use super::Bench;
use crate::measure::Samples;
use crate::powerdns::{PowerDns, Settings};
use crate::report::{Line, Measure};
use crate::scaidns_api::Api;

const WORK: &str = "bulk_500";
const RECORDS: usize = 500;
const TARGET: f64 = 1.3;

pub async fn run(bench: &mut Bench) -> Result<()> {
    let repetitions = bench.pick(12, 3);
    // each call meets a small zone
    let zones = bench.zones("bulk", repetitions + 1, 0).await?;
    let mut names = Vec::new();
    let (mut api, mut powerdns) = (bench.stack.api()?, bench.stack.powerdns()?);
    for _ in 0..=repetitions {
        let name = bench.fresh("raw");
        powerdns.create_zone(&name, 0, Settings::Same).await?;
        names.push(name);
    }
    let labels: Vec<String> = (0..RECORDS).map(|n| format!("bulk-{n}")).collect();
    let body = Api::many(&labels);

    let warm_up = api.bulk(&zones[0], body.clone()).await?;
    if [404, 405].contains(&warm_up.status) {
        bench.note(format!("{WORK}: left out, POST …/records/bulk answers {}", warm_up.status));
        return Ok(());
    }
    let created = warm_up.ok()?;
    anyhow::ensure!(created["total_created"] == RECORDS, "not all records were created: {created}");
    anyhow::ensure!(api.names(&zones[0]).await?.len() == RECORDS, "not all records are listed");
    powerdns.patch(&names[0], PowerDns::many(&names[0], &labels)).await;

    let mut meter = bench.meter().await?;
    let (mut raw, mut scaidns) = (Samples::default(), Samples::default());
    for (name, zone) in names.iter().zip(&zones).skip(1) {
        let patch = PowerDns::many(name, &labels);
        raw.one_by_one(&mut meter, 1, async |_| powerdns.patch(name, patch.clone()).await).await?;
        let path = format!("{}/bulk", zone.records());
        scaidns.one_by_one(&mut meter, 1, async |_| api.client.status(Method::POST, &path, body.clone()).await).await?;
    }
    raw.all_succeeded("PowerDNS")?;
    scaidns.all_succeeded("ScaiDNS")?;
    let what = format!("{RECORDS} records in one call");
    let (raw, scaidns) = (raw.figures(), scaidns.figures());
    bench.add(Line::compared(WORK, what, raw, scaidns, Measure::P50Ratio, Some(TARGET)));
    Ok(())
}
