//! What a write, a list and a page cost as the platform grows, and as replicas are added.

use anyhow::Result;
use hyper::Method;
use hyper::body::Bytes;

use super::Bench;
use crate::measure::{SLICE, Samples, Share};
use crate::report::Point;
use crate::scaidns_api::{Api, Zone};
use crate::seed;
use crate::stack::Replica;

const PLATFORMS: [usize; 3] = [1_000, 10_000, 100_000];
const QUICK_PLATFORMS: [usize; 2] = [100, 500];
/// The stack's own replica, and those that are started here.
const REPLICAS: [u16; 3] = [1, 2, 4];
const WRITERS: usize = 16;
const WRITES: usize = 25;
const RECORDS: usize = 5;
const RECORDS_OF_LIST: usize = 100;

pub async fn run(bench: &mut Bench) -> Result<()> {
    let platforms = bench.pick(PLATFORMS.to_vec(), QUICK_PLATFORMS.to_vec());
    let listed = bench.zone("scale-list", RECORDS_OF_LIST).await?;
    let mut there = 0;
    for zones in platforms {
        let seeded = seed::live(bench, "scale", zones - there, RECORDS).await?;
        there = zones;
        bench.stack.restart_powerdns(&seeded[seeded.len() - 1].name).await?;
        // spread over all that are there, so that they are not neighbours in any table
        let step = (seeded.len() / (WRITERS + 1)).max(1);
        let written: Vec<Zone> = seeded.into_iter().step_by(step).take(WRITERS + 1).collect();
        for replicas in REPLICAS {
            let more = start(bench, replicas - 1).await?;
            let callers = callers(bench, &more)?;
            at(bench, zones, &callers, &written, &listed).await?;
            for replica in more {
                replica.stop().await;
            }
        }
    }
    Ok(())
}

async fn start(bench: &Bench, count: u16) -> Result<Vec<Replica>> {
    let mut replicas = Vec::new();
    for number in 1..=count {
        replicas.push(bench.stack.start_replica(number).await?);
    }
    Ok(replicas)
}

/// One caller a replica.
fn callers(bench: &Bench, more: &[Replica]) -> Result<Vec<Api>> {
    let own = bench.stack.api()?;
    let others: Vec<Api> = more.iter().map(|replica| own.at(&replica.url)).collect();
    Ok(std::iter::once(own).chain(others).collect())
}

/// Everything once, at this size and with these replicas.
async fn at(bench: &mut Bench, zones: usize, replicas: &[Api], written: &[Zone], listed: &Zone) -> Result<()> {
    let mut meter = bench.meter().await?;
    let Some((alone, many)) = written.split_first() else { return Ok(()) };
    let count = replicas.len();
    let slices = bench.pick(3, 1);

    let mut write = Samples::default();
    let mut list = Samples::default();
    let mut page = Samples::default();
    for slice in 0..=slices {
        if slice == 1 {
            (write, list, page) = Default::default(); // the first slice warms up
        }
        let mut at_each: Vec<Api> = replicas.to_vec();
        let mut put = async |n: usize| at_each[n % count].put(alone, &format!("s{count}-{slice}-{n}")).await;
        write.one_by_one(&mut meter, SLICE, &mut put).await?;
        for (samples, path) in [(&mut list, &*listed.records()), (&mut page, "/domains/?page_size=50")] {
            let mut at_each: Vec<Api> = replicas.to_vec();
            let ask = async |n: usize| at_each[n % count].client.status(Method::GET, path, Bytes::new()).await;
            samples.one_by_one(&mut meter, SLICE, ask).await?;
        }
    }
    let mut writers = Samples::default();
    for writes in [2, bench.pick(WRITES, 4)] {
        writers = Samples::default();
        let share = Share::new(writes * WRITERS, bench.deadline());
        let callers = many.iter().zip(replicas.iter().cycle()).map(|(zone, api)| {
            let mut api = api.clone();
            share.work_off(async move |n| api.put(zone, &format!("m{count}-{writes}-{n}")).await)
        });
        writers.all_at_once(&mut meter, callers).await?;
    }
    for samples in [&write, &writers, &list, &page] {
        samples.all_succeeded("ScaiDNS")?;
    }
    let (write, writers, list, page) = (write.figures(), writers.figures(), list.figures(), page.figures());
    let curve = format!("{count} {}", if count == 1 { "replica" } else { "replicas" });
    for (panel, y) in [
        ("a write: p50 in ms".to_owned(), write.p50_ms),
        (format!("{WRITERS} writers on {WRITERS} zones: writes/s"), writers.per_second),
        ("servers' processor time a write: ms".to_owned(), writers.usage.servers() * 1_000.0),
        (format!("a list of {RECORDS_OF_LIST} records: p50 in ms"), list.p50_ms),
        ("a page of 50 domains: p50 in ms".to_owned(), page.p50_ms),
    ] {
        bench.report.points.push(Point { panel, curve: curve.clone(), x: zones as f64, y });
    }
    Ok(())
}
