//! What signing costs a write: one caller adds A records to a zone that is not signed and to one that is, both through
//! ScaiDNS, in turns. The signed one has the default mode of denial, in which nothing is computed ahead.

use anyhow::Result;

use super::Bench;
use crate::measure::{SLICE, Samples};
use crate::report::{Line, Measure};

const SIZES: [usize; 3] = [100, 1_000, 10_000];
const TARGET: f64 = 1.2;

pub async fn run(bench: &mut Bench) -> Result<()> {
    for size in bench.pick(&SIZES[..], &SIZES[..1]) {
        beside_each_other(bench, *size).await?;
    }
    Ok(())
}

async fn beside_each_other(bench: &mut Bench, size: usize) -> Result<()> {
    const CALLS_AT_ONCE: usize = 500; // contract: of a bulk call
    let mut api = bench.stack.api()?;
    let zones = bench.zones("signed", 2, 0).await?;
    let [plain, signed] = zones.as_slice() else { anyhow::bail!("two zones were made, not {}", zones.len()) };
    let labels: Vec<String> = (0..size).map(|n| format!("r{n}")).collect();
    for zone in [plain, signed] {
        for labels in labels.chunks(CALLS_AT_ONCE) {
            api.bulk(zone, crate::scaidns_api::Api::many(labels)).await?.ok()?;
        }
    }
    api.sign(signed).await?;
    let mut meter = bench.meter().await?;
    let (mut unsigned_side, mut signed_side) = (Samples::default(), Samples::default());
    for slice in 0..=bench.slices() {
        if slice == 1 {
            (unsigned_side, signed_side) = (Samples::default(), Samples::default()); // the first round warms up
        }
        let labels = Bench::labels(slice);
        for (zone, side) in [(plain, &mut unsigned_side), (signed, &mut signed_side)] {
            side.one_by_one(&mut meter, SLICE, async |n| api.put(zone, &labels[n]).await).await?;
        }
    }
    unsigned_side.all_succeeded("the unsigned zone")?;
    signed_side.all_succeeded("the signed zone")?;
    let what = format!("zone of {size}: signed by unsigned, both ScaiDNS");
    let (plain, signed) = (unsigned_side.figures(), signed_side.figures());
    bench.add(Line::compared("signed_writes", what, plain, signed, Measure::P50Ratio, Some(TARGET)));
    Ok(())
}
