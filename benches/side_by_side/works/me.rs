//! Who am I: the least a call can be, authentication by key and nothing else.

use anyhow::Result;
use hyper::Method;
use hyper::body::Bytes;

use super::Bench;
use crate::measure::{Samples, Share};
use crate::report::{Line, Measure};

const CALLERS: usize = 32;
const CALLS: usize = 10_000;
const TARGET: f64 = 5_000.0;

pub async fn run(bench: &mut Bench) -> Result<()> {
    let mut meter = bench.meter().await?;
    let mut samples = Samples::default();
    let calls = bench.pick(CALLS, CALLS / 10);
    // the first warms up
    for calls in [calls / 10, calls] {
        samples = Samples::default();
        let share = Share::new(calls, bench.deadline());
        let callers = bench
            .callers(CALLERS)?
            .into_iter()
            .map(|mut api| share.work_off(async move |_| api.client.status(Method::GET, "/me/", Bytes::new()).await));
        samples.all_at_once(&mut meter, callers).await?;
    }
    samples.all_succeeded("ScaiDNS")?;
    let what = format!("GET /me/, {CALLERS} callers");
    bench.add(Line::alone("me", what, samples.figures(), Measure::PerSecond, Some(TARGET)));
    Ok(())
}
