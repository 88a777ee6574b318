//! What happens by itself: waits that end, keys that have served their time, DS records that come and go at the parent.
//!
//! Every zone with keys has a moment at which somebody is to look at it; a worker takes those that are due, does what
//! the machine says until it says to wait, and notes when to look again. Everything may be done twice.

use std::sync::Arc;

use futures::StreamExt;
use serde_json::json;
use time::Duration;

use crate::authz::Visibility;
use crate::dns::ZoneName;
use crate::dns::dnssec::plan::{Served, served};
use crate::dns::dnssec::{Next, Phase, Policy, Signing, Trouble};
use crate::ids::ZoneId;
use crate::resolve::{ServedKeys, served_keys_at};
use crate::storage::signing::{self, SigningRow};
use crate::storage::within;
use crate::storage::zones::{self, ZoneRow};
use crate::tenancy::ZoneStatus;

use super::super::audit;
use super::super::context::RequestInfo;
use super::super::zone_writer::{Decided, SigningStep, StepFacts, is_as_wanted};
use super::super::zones::zone_resource;
use super::super::{Result, Services};
use super::keeping::{keep, system};
use super::look_at_parent;

/// Zones that one run takes: those that wait longest first, the others are the next run's.
const ZONES_PER_RUN: u32 = 50;
const ZONES_AT_ONCE: usize = 4;
/// How long a worker has a zone to itself.
const LEASE: Duration = Duration::seconds(60);
/// After a failure, or while a server does not serve a step yet.
const AGAIN: Duration = Duration::seconds(5);
/// A withdrawn zone is looked at this often; its machine stands still.
const PAUSED: Duration = Duration::seconds(60);
/// Steps that follow each other without a wait between are few.
const STEPS_MAX: usize = 12;

/// Takes zones that are due, and does what is due there; how many there were.
pub async fn run(services: &Services) -> Result<u64> {
    let now = services.clock.now();
    let due = within(signing::due(&services.db, now, ZONES_PER_RUN)).await?;
    let count = due.len() as u64;
    let each = |zone: ZoneId| async move {
        match within(signing::lease(&services.db, zone, now, now + LEASE)).await {
            Ok(true) => {}
            Ok(false) | Err(_) => return,
        }
        if let Err(error) = advance(services, zone).await {
            tracing::warn!(%zone, %error, "the zone's signing does not get on, tries again");
            let again = services.clock.now() + AGAIN;
            if let Err(error) = within(signing::postpone(&services.db, zone, again)).await {
                tracing::warn!(%zone, %error, "could not note when to look again; the lease ends by itself");
            }
        }
    };
    futures::stream::iter(due).for_each_concurrent(ZONES_AT_ONCE, each).await;
    Ok(count)
}

/// Does what is due for one zone, until there is something to wait for.
pub async fn advance(services: &Services, zone: ZoneId) -> Result<()> {
    let found = within(zones::find(&services.db, &Visibility::system(), zone)).await?;
    let Some(row) = found else { return Ok(()) };
    let policy = services.dnssec.policy(&services.db, &services.pdns, &row).await?;
    for _ in 0..STEPS_MAX {
        let Some(signing) = within(signing::find(&services.db, zone)).await? else { return Ok(()) };
        let now = services.clock.now();
        if row.status != ZoneStatus::Active {
            within(signing::postpone(&services.db, zone, now + PAUSED)).await?;
            return Ok(());
        }
        let due_at = match signing.state.next(&row.name, now, &policy) {
            Next::Apply | Next::Become(_) => {
                take_step(services, &row, &policy).await?;
                continue;
            }
            Next::Verify => match verify(services, &row.name, &signing.state).await {
                None => {
                    let state = signing.state.verified(services.clock.now(), &policy);
                    keep(services, &row, &policy, SigningRow { state, ..signing }).await?;
                    continue;
                }
                Some(trouble) => {
                    let state = Signing { trouble: Some(trouble), ..signing.state.clone() };
                    let row_kept = SigningRow { state, due_at: now + AGAIN, ..signing };
                    keep(services, &row, &policy, row_kept).await?;
                    return Ok(());
                }
            },
            Next::AskParent => {
                let look = look_at_parent(services, &row.name).await;
                let state = look_at_keys(services, &row, signing.state.observe(&look, &policy)).await?;
                if !keep(services, &row, &policy, SigningRow { state, ..signing }).await? {
                    return Ok(());
                }
                continue;
            }
            Next::Wait(until) => until,
        };
        keep(services, &row, &policy, SigningRow { due_at, ..signing }).await?;
        return Ok(());
    }
    Ok(())
}

/// The step that is due, decided on the zone as it is under its lock: TTLs that were raised since make a wait longer.
async fn take_step(services: &Services, row: &ZoneRow, policy: &Policy) -> Result<()> {
    let (actor, request) = (system(), RequestInfo::none());
    let now = services.clock.now();
    let (by, with, policy_then) = (actor.clone(), request.clone(), policy.clone());
    let decide = Arc::new(move |facts: &StepFacts<'_>| {
        let Some(before) = facts.signing else { return Ok(Decided::Nothing) };
        let state = before.state.with_ttls(facts.ttls, &policy_then);
        let Next::Become(after) = state.next(&facts.row.name, now, &policy_then) else { return Ok(Decided::Nothing) };
        if before.state.phase == after.phase {
            return Ok(Decided::Take(after, Vec::new())); // nothing has become otherwise: it is applied again
        }
        let action = action(before.state.phase, after.phase);
        let values = (json!({ "phase": before.state.phase.as_str() }), json!({ "phase": after.phase.as_str() }));
        let resource = zone_resource(facts.row.id, &facts.row.name);
        let entry = audit::entry(&by, &with, Some(facts.row.tenant), action, resource, values, now);
        Ok(Decided::Take(after, vec![entry]))
    });
    let (zone, before) = (row.id, within(signing::find(&services.db, row.id)).await?);
    let step = SigningStep { zone, actor, request, at_once: false, decide };
    let after = services.writer.take_signing_step(step).await?;
    let stood_still = |before: &SigningRow, after: &SigningRow| before.version == after.version;
    if let (Some(before), Some(after)) = (before, after)
        && stood_still(&before, &after)
    {
        // a wait that has become longer: from now on it is kept so
        let ttls = services.writer.ttls(row).await?;
        let state = after.state.with_ttls(ttls, policy);
        keep(services, row, policy, SigningRow { state, ..after }).await?;
    }
    Ok(())
}

/// Whether every own server serves the state; what is wrong with the first that does not.
async fn verify(services: &Services, name: &ZoneName, state: &Signing) -> Option<Trouble> {
    let Served { listed, sign_keys, sign_data } = served(state);
    for server in services.dnssec.servers() {
        let trouble = |what: &str| Some(Trouble::NotServed { server: server.clone(), what: what.to_owned() });
        let Some(found) = served_keys_at(server, name.as_str()).await else {
            return trouble("the domain");
        };
        let ServedKeys { listed: found_listed, sign_keys: found_keys, sign_data: found_data } = found;
        if found_listed != listed {
            return trouble("the keys");
        }
        if !sign_keys.iter().all(|tag| found_keys.contains(tag)) || found_data != sign_data {
            return trouble("the signatures");
        }
    }
    None
}

/// While nothing is under way: whether PowerDNS still has the keys that it should, and no others.
async fn look_at_keys(services: &Services, row: &ZoneRow, state: Signing) -> Result<Signing> {
    if state.phase != Phase::Active {
        return Ok(state);
    }
    let actual = services.pdns.keys(row.name.as_str()).await?.unwrap_or_default();
    let trouble = match crate::dns::dnssec::plan::calls(&state, &actual) {
        Err(trouble) => Some(trouble),
        Ok(_) if is_as_wanted(&state, &actual) => None,
        Ok(_) => Some(Trouble::NotServed { server: "PowerDNS".into(), what: "the keys as they were set".into() }),
    };
    Ok(Signing { trouble, ..state })
}

/// How the audit log calls what happens by itself: as what somebody would have asked for.
fn action(before: Phase, after: Phase) -> &'static str {
    match (before, after) {
        (Phase::Signing, Phase::PendingDs) => "dnssec.enable",
        (_, Phase::KskRetiring | Phase::AlgDsTtl) | (Phase::Signing | Phase::PendingDs, Phase::Active) => {
            "dnssec.confirm_ds_published"
        }
        (_, Phase::ZskPublished | Phase::ZskRetiring) | (Phase::ZskRetiring, _) => "dnssec.rotate_zsk",
        (_, Phase::WaitDsGone | Phase::DsGone | Phase::Unsigning) => "dnssec.disable",
        _ => "dnssec.rotate_ksk",
    }
}
