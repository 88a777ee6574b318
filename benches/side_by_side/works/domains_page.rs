//! A page of a tenant's domains, when there are a hundred thousand of them.

use anyhow::Result;
use hyper::Method;
use hyper::body::Bytes;
use sqlx::AssertSqlSafe;

use super::Bench;
use crate::measure::{SLICE, Samples};
use crate::report::{Line, Measure};
use crate::seed;

const WORK: &str = "domains_page";
const DOMAINS: u64 = 100_000;
const PAGE: u64 = 50;
/// How many of them are withdrawn, spread over all: what a selective filter finds.
const INACTIVE: u64 = 20;
const PAGE_TARGET_MS: f64 = 10.0;
const SEARCH_TARGET_MS: f64 = 60.0;
const LAST_TARGET_MS: f64 = 60.0;

pub async fn run(bench: &mut Bench) -> Result<()> {
    let wanted = bench.pick(DOMAINS, DOMAINS / 50);
    let there = total(bench).await?;
    if there < wanted {
        let zones = seed::live(bench, "page", usize::try_from(wanted - there)?, 0).await?;
        bench.stack.restart_powerdns(&zones[zones.len() - 1].name).await?;
    }
    withdraw_some(bench).await?;
    let total = total(bench).await?;
    let last = total.div_ceil(PAGE);
    for (what, query, target) in [
        ("first, unfiltered", "".to_owned(), PAGE_TARGET_MS),
        ("first, status=active", "&status=active".to_owned(), PAGE_TARGET_MS),
        ("first, status=inactive: few", "&status=inactive".to_owned(), PAGE_TARGET_MS),
        ("first, domain_type=reverse_ipv4: none", "&domain_type=reverse_ipv4".to_owned(), PAGE_TARGET_MS),
        ("search that finds all", "&search=.test".to_owned(), SEARCH_TARGET_MS),
        ("search that finds few", "&search=-777".to_owned(), SEARCH_TARGET_MS),
        ("search that finds none", "&search=nowhere".to_owned(), SEARCH_TARGET_MS),
        ("last, by number", format!("&page={last}"), LAST_TARGET_MS),
    ] {
        page(bench, &format!("{what}, of {total}"), &query, target).await?;
    }
    Ok(())
}

async fn page(bench: &mut Bench, what: &str, query: &str, target: f64) -> Result<()> {
    let mut api = bench.stack.api()?;
    let path = format!("/domains/?page_size={PAGE}{query}");
    let mut meter = bench.meter().await?;
    let mut samples = Samples::default();
    for slice in 0..=bench.pick(3, 1) {
        if slice <= 1 {
            samples = Samples::default(); // the first slice warms up
        }
        let ask = async |_| api.client.status(Method::GET, &path, Bytes::new()).await;
        samples.one_by_one(&mut meter, SLICE, ask).await?;
    }
    samples.all_succeeded("ScaiDNS")?;
    bench.add(Line::alone(WORK, what, samples.figures(), Measure::P50, Some(target)));
    Ok(())
}

async fn total(bench: &Bench) -> Result<u64> {
    let page = bench.stack.api()?.client.get("/domains/?page_size=1").await?.ok()?;
    page["total"].as_u64().ok_or_else(|| anyhow::anyhow!("no total in {page}"))
}

/// By SQL too: withdrawing that many through the API would only take longer.
async fn withdraw_some(bench: &Bench) -> Result<()> {
    let mut database = bench.stack.database().await?;
    let active = "status = 'active' AND record_count = 0";
    let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) FROM zones WHERE {active}")))
        .fetch_one(&mut database)
        .await?;
    let step = (u64::try_from(count)? / INACTIVE).max(1);
    let withdraw = format!(
        "UPDATE zones z JOIN (SELECT id, ROW_NUMBER() OVER (ORDER BY name) AS place FROM zones WHERE {active}) n \
         ON n.id = z.id SET z.status = 'inactive' WHERE n.place % {step} = 0"
    );
    sqlx::query(AssertSqlSafe(withdraw)).execute(&mut database).await?;
    seed::count_zones(&mut database).await
}
