//! Bringing the platform's nameservers into the zones that were live before they were set: the job of the one who set
//! them, and what comes by the minute for zones that it could not write to.
//!
//! What is left to be done stands in the zones' rows, so that whoever takes the job over goes on where it ended. A zone
//! that has them already is only marked. A zone that is withdrawn is not touched: it gets them when it comes back.

use std::time::Duration;

use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use crate::ids::ZoneId;
use crate::storage::jobs::{self, Progress};
use crate::storage::zone_nameservers::{self, DueZone};
use crate::storage::{recurring_jobs, within};

use super::super::context::RequestInfo;
use super::super::jobs::kinds::{Outcome, Stop};
use super::super::jobs::run::Run;
use super::super::{Result, Services};

/// What such a job is called.
pub const KIND: &str = "nameservers";
/// What looks for zones that were left.
pub const RECURRING: &str = "zone_nameservers";

/// Zones that are read at a time.
const PAGE: u32 = 500;
/// Between two notes of how far it is.
const ZONES_PER_NOTE: usize = 20;
/// How often those that are left are counted; that looks at all zones of the platform.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// Zones that are written to at once: half of what PowerDNS is asked at a time, so that tenants go on.
const AT_ONCE: usize = 4;
/// Zones of one run that comes by the minute; the next one goes on.
const ZONES_PER_SWEEP: u32 = 200;
/// How often zones that could not be written to are tried again: some minutes in all.
const PASSES_MAX: u32 = 8;
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Zones that the end of a job names.
const NAMED_MAX: usize = 10;

/// What the job is told.
#[derive(Debug, Serialize, Deserialize)]
pub struct Parameters {
    /// Of the nameservers that it brings. It ends where there are newer ones, which have a job of their own.
    pub version: u32,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// Zones that had older ones at the beginning.
    total: u64,
    /// Up to where this pass has come.
    after: Option<ZoneId>,
    pass: u32,
}

/// How many zones are left, between two counts by what was done.
struct Remaining {
    zones: u64,
    counted: Instant,
}

impl Remaining {
    async fn count(services: &Services, version: u32) -> Result<Self> {
        let zones = within(zone_nameservers::count_due(&services.db, version)).await?;
        Ok(Self { zones, counted: Instant::now() })
    }

    /// So many more have been written to.
    async fn after(self, services: &Services, version: u32, written: usize) -> Result<Self> {
        if self.counted.elapsed() >= COUNT_EVERY {
            return Self::count(services, version).await;
        }
        Ok(Self { zones: self.zones.saturating_sub(written as u64), ..self })
    }
}

pub async fn run(services: &Services, run: &Run) -> Outcome {
    let Parameters { version } = run.parameters()?;
    // whose change it is stands with the setting; tenants see that it was the platform's
    let request = RequestInfo { request_id: run.requested_by()?.request.request_id, ..RequestInfo::none() };
    let mut remaining = Remaining::count(services, version).await?;
    let mut state: State = match run.state()? {
        Some(state) => state,
        None => {
            let state = State { total: remaining.zones, ..State::default() };
            note(run, &state, remaining.zones, 0).await?;
            state
        }
    };
    let mut left = Vec::new();
    loop {
        if services.platform.fresh().await?.nameservers.version != version {
            return Ok(json!({ "domains": state.total, "superseded": true }));
        }
        let page = within(zone_nameservers::due(&services.db, version, state.after, PAGE)).await?;
        for zones in page.chunks(ZONES_PER_NOTE) {
            if services.platform.settings().await?.nameservers.version != version {
                break;
            }
            let failed = follow_all(services, zones, &request).await;
            remaining = remaining.after(services, version, zones.len() - failed.len()).await?;
            left.extend(failed);
            state.after = zones.last().map(|due| due.zone.id);
            note(run, &state, remaining.zones, left.len()).await?;
        }
        if !page.is_empty() {
            continue;
        }
        remaining = Remaining::count(services, version).await?;
        if remaining.zones == 0 {
            note(run, &state, 0, 0).await?;
            return Ok(json!({ "domains": state.total, "superseded": false }));
        }
        if state.pass >= PASSES_MAX {
            return Err(Stop::Fail(told(&left)));
        }
        state = State { total: state.total, after: None, pass: state.pass + 1 };
        note(run, &state, remaining.zones, left.len()).await?;
        tokio::time::sleep(Duration::from_secs(1 << state.pass).min(PAUSE_MAX)).await;
        left.clear();
    }
}

/// Those that could not be written to now, with the reason.
async fn follow_all(services: &Services, zones: &[DueZone], request: &RequestInfo) -> Vec<String> {
    let followed: Vec<_> = zones.iter().map(|due| follow(services, due, request)).collect();
    stream::iter(followed).buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await
}

fn follow<'a>(services: &'a Services, due: &'a DueZone, request: &'a RequestInfo) -> BoxFuture<'a, Option<String>> {
    Box::pin(async move {
        let error = services.writer.follow_nameservers(due.zone, request.clone()).await.err()?;
        tracing::warn!(zone = due.name, %error, "the nameservers of a zone could not be brought up to date yet");
        Some(format!("{} ({error})", due.name))
    })
}

async fn note(run: &Run, state: &State, remaining: u64, failed: usize) -> std::result::Result<(), Stop> {
    let message = (failed > 0).then(|| format!("{failed} domains could not be written to, and are tried again"));
    let progress = Progress { done: state.total.saturating_sub(remaining), total: Some(state.total), message };
    run.checkpoint(&progress, Some(&json!(state))).await
}

fn told(left: &[String]) -> String {
    let named: Vec<&str> = left.iter().take(NAMED_MAX).map(String::as_str).collect();
    format!("{} domains could not be written to; they are tried again every minute: {}", left.len(), named.join(", "))
}

/// Zones that a job has left, or that came back in between; how many were brought up to date.
pub async fn sweep(services: &Services) -> Result<u64> {
    let version = services.platform.fresh().await?.nameservers.version;
    if version == 0 || within(jobs::is_under_way(&services.db, KIND)).await? {
        return Ok(0);
    }
    let place = within(recurring_jobs::place(&services.db, RECURRING)).await?;
    let zones = within(zone_nameservers::due(&services.db, version, place.map(ZoneId), ZONES_PER_SWEEP)).await?;
    let failed = follow_all(services, &zones, &RequestInfo::none()).await;
    // round and round: those that cannot be written to hold up no others
    let is_full = zones.len() == ZONES_PER_SWEEP as usize;
    let place = zones.last().filter(|_| is_full).map(|due| due.zone.id.0);
    within(recurring_jobs::set_place(&services.db, RECURRING, place)).await?;
    Ok((zones.len() - failed.len()) as u64)
}
