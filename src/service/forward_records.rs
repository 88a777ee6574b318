//! Whether the name that a PTR gives to an address leads back to it, as far as the tenant's own zones can tell.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::authz::{Permission, Visibility};
use crate::dns::{RecordType, Warning, ZoneName};
use crate::ids::ZoneId;
use crate::storage::within;
use crate::storage::zones::{self as zone_rows, ZoneRow};
use crate::tenancy::ZoneStatus;

use super::zone_writer::ZoneView;
use super::zones::decide;
use super::{Context, Result, Services};

/// All of it may take so long.
const TIME_MAX: Duration = Duration::from_secs(2);
/// Zones that are looked into for one request; names in others go without a warning.
const ZONES_MAX: usize = 8;

/// An address and the name that it is given, without a dot at its end.
pub struct Pointing<'a> {
    pub address: IpAddr,
    pub host: &'a str,
}

/// One place for each: what is to be said of it. The write is done by then, and its answer is not held up by a warning
/// that cannot be found out now.
pub async fn warnings(services: &Services, context: &Context, pointing: &[Pointing<'_>]) -> Vec<Option<Warning>> {
    let why = match tokio::time::timeout(TIME_MAX, look(services, context, pointing)).await {
        Ok(Ok(warnings)) => return warnings,
        Ok(Err(error)) => error.to_string(),
        Err(elapsed) => elapsed.to_string(),
    };
    tracing::debug!(why, "the forward records of PTRs could not be looked for");
    pointing.iter().map(|_| None).collect()
}

async fn look(services: &Services, context: &Context, pointing: &[Pointing<'_>]) -> Result<Vec<Option<Warning>>> {
    let mut names: Vec<String> = pointing.iter().flat_map(|pointing| at_and_above(pointing.host)).collect();
    names.sort_unstable();
    names.dedup();
    let visibility = Visibility::of_lookup(&context.caller);
    let mut zones: HashMap<String, ZoneRow> = HashMap::new();
    for row in within(zone_rows::named_any(&services.db, &visibility, &names)).await? {
        if row.tenant == context.caller.tenant && row.status != ZoneStatus::Deleted {
            zones.insert(row.name.to_string(), row);
        }
    }
    let mut views: HashMap<ZoneId, Option<ZoneView>> = HashMap::new();
    let mut found = Vec::with_capacity(pointing.len());
    for pointing in pointing {
        let Some(row) = at_and_above(pointing.host).find_map(|name| zones.get(&name)) else {
            found.push(None);
            continue;
        };
        if views.len() < ZONES_MAX && !views.contains_key(&row.id) {
            views.insert(row.id, open(services, context, row).await);
        }
        let view = views.get(&row.id).and_then(Option::as_ref);
        found.push(view.filter(|view| !leads_back(view, pointing)).map(|_| warning(pointing, &row.name)));
    }
    Ok(found)
}

/// The zone, where the caller may read it.
async fn open(services: &Services, context: &Context, row: &ZoneRow) -> Option<ZoneView> {
    let access = decide(context, Permission::RecordsRead, row.reference()).ok()?;
    // one that is limited to some names cannot tell what is missing
    if access.is_limited() {
        return None;
    }
    services.writer.view(&access).await.ok()
}

fn leads_back(view: &ZoneView, Pointing { address, host }: &Pointing<'_>) -> bool {
    let wanted = if address.is_ipv4() { RecordType::A } else { RecordType::Aaaa };
    let mut there = view.records_where(|key| key.name.as_str() == *host);
    there.any(|record| {
        let reference = &record.reference;
        // an alias leads elsewhere, where others may know more
        let is_alias = reference.key.record_type == RecordType::Cname;
        let is_address = reference.key.record_type == wanted && reference.content.parse() == Ok(*address);
        !record.disabled && (is_alias || is_address)
    })
}

fn warning(Pointing { address, host }: &Pointing<'_>, zone: &ZoneName) -> Warning {
    Warning::content(format!("'{host}' has no record with {address} in {zone}"))
}

/// The name and those above it, nearest first.
fn at_and_above(host: &str) -> impl Iterator<Item = String> {
    std::iter::successors(Some(host), |name| name.split_once('.').map(|(_, above)| above))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}
