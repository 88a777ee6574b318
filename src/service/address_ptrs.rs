//! PTRs beside addresses: whoever adds an A or AAAA may have its PTR written too, where the tenant has a reverse zone for
//! the address in which the caller may write. The address is written whatever becomes of its PTR; no zone is made for
//! one, and none that stands is touched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::authz::{Permission, Visibility, ZoneAccess};
use crate::dns::reverse;
use crate::dns::{OwnerName, RecordType, RrsetKey};
use crate::ids::{RecordId, TenantId, ZoneId};
use crate::storage::within;
use crate::storage::zones::{self as zone_rows, ZoneRow};
use crate::tenancy::{ZoneStatus, ZoneType};

use super::zone_names::NamedZone;
use super::zone_writer::{Grouping, RecordOperation, RecordOutcome, WriteOutcome, ZoneView, ZoneWrite};
use super::zones::decide;
use super::{ActorRecord, Context, Error, Refusal, RequestInfo, Result, Services};

/// Reverse zones that one request writes to: each is a change of its own.
const ZONES_MAX: usize = 16;
/// No zone is begun after this: the address is written, and its client waits.
const TIME_MAX: Duration = Duration::from_secs(10);

/// The name of an address, to be written if that can be.
#[derive(Clone, Debug)]
pub struct WantedPtr {
    pub address: IpAddr,
    pub host: OwnerName,
    /// None: the reverse zone's default.
    pub ttl: Option<u32>,
}

/// What became of a PTR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PtrStatus {
    Created,
    /// It stood there already.
    Exists,
    Skipped,
    /// It was sent, and no answer came.
    Unknown,
}

impl PtrStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Exists => "exists",
            Self::Skipped => "skipped",
            Self::Unknown => "unknown",
        }
    }
}

/// What became of a PTR, where, and why.
#[derive(Clone, Debug)]
pub struct PtrOutcome {
    pub status: PtrStatus,
    /// The zone that it stands in, or would.
    pub zone: Option<NamedZone>,
    pub name: String,
    pub record: Option<RecordId>,
    pub detail: Option<String>,
}

impl PtrOutcome {
    /// It is not even tried.
    pub fn skipped(address: IpAddr, why: impl Into<String>) -> Self {
        let detail = Some(why.into());
        Self { status: PtrStatus::Skipped, zone: None, name: reverse::name_of(address), record: None, detail }
    }
}

/// One reverse zone with what is wanted in it, by its place in the request.
struct Place {
    zone: NamedZone,
    access: ZoneAccess,
    wanted: Vec<(usize, OwnerName, WantedPtr)>,
}

/// Writes PTRs, one change for each reverse zone; one outcome for each, in their order. `tenant`: whose the addresses
/// are.
pub async fn write(
    services: &Services,
    context: &Context,
    tenant: TenantId,
    wanted: Vec<WantedPtr>,
    dry_run: bool,
) -> Vec<PtrOutcome> {
    let mut outcomes: Vec<PtrOutcome> = wanted
        .iter()
        .map(|ptr| PtrOutcome::skipped(ptr.address, "You have no reverse zone here for this address to write in"))
        .collect();
    let zones = match covering(services, context, tenant, &wanted).await {
        Ok(zones) => zones,
        Err(error) => {
            outcomes.iter_mut().for_each(|outcome| outcome.detail = Some(told(&error)));
            return outcomes;
        }
    };
    let mut places: BTreeMap<ZoneId, Place> = BTreeMap::new();
    for (index, ptr) in wanted.into_iter().enumerate() {
        if ptr.host.is_wildcard() {
            outcomes[index].detail = Some("A wildcard is no name for an address".into());
            continue;
        }
        let Some(row) = closest(&zones, ptr.address) else { continue };
        let Some(reverse) = reverse::zone_named(&row.name) else { continue };
        let (Ok(access), Some(owner)) =
            (decide(context, Permission::RecordsCreate, row.reference()), reverse.owner_of(ptr.address))
        else {
            continue;
        };
        if places.len() == ZONES_MAX && !places.contains_key(&row.id) {
            outcomes[index].detail = Some(format!("One request writes to {ZONES_MAX} reverse zones at most"));
            continue;
        }
        let zone = NamedZone::from(row);
        let place = places.entry(row.id).or_insert(Place { zone, access, wanted: Vec::new() });
        place.wanted.push((index, owner, ptr));
    }
    let begun = Instant::now();
    for place in places.into_values() {
        if begun.elapsed() > TIME_MAX {
            place.wanted.iter().for_each(|(index, ..)| outcomes[*index].detail = Some("Not reached in time".into()));
            pass_over(context, dry_run);
            continue;
        }
        for (index, outcome) in write_in(services, context, place, dry_run).await {
            outcomes[index] = outcome;
        }
    }
    outcomes
}

/// The tenant's zones in which one of the PTRs may stand, by name.
async fn covering(
    services: &Services,
    context: &Context,
    tenant: TenantId,
    wanted: &[WantedPtr],
) -> Result<HashMap<String, ZoneRow>> {
    let names: BTreeSet<String> = wanted.iter().flat_map(|ptr| reverse::zone_names_over(ptr.address)).collect();
    let names: Vec<String> = names.into_iter().collect();
    let visibility = Visibility::of_lookup(&context.caller);
    let rows = within(zone_rows::named_any(&services.db, &visibility, &names)).await?;
    let of_tenant = rows.into_iter().filter(|row| row.tenant == tenant && row.zone_type != ZoneType::Secondary);
    Ok(of_tenant.map(|row| (row.name.to_string(), row)).collect())
}

/// Where resolvers look for the PTR: the closest zone that is served, else the closest that is to be.
fn closest(zones: &HashMap<String, ZoneRow>, address: IpAddr) -> Option<&ZoneRow> {
    let over: Vec<&ZoneRow> = reverse::zone_names_over(address).iter().filter_map(|name| zones.get(name)).collect();
    let in_status = |status| over.iter().copied().find(|row| row.status == status);
    in_status(ZoneStatus::Active).or_else(|| in_status(ZoneStatus::PendingValidation))
}

async fn write_in(services: &Services, context: &Context, place: Place, dry_run: bool) -> Vec<(usize, PtrOutcome)> {
    let Place { zone, access, wanted } = place;
    let outcome = |owner: &OwnerName, status, record, detail| {
        let (zone, name) = (Some(zone.clone()), owner.as_str().to_owned());
        PtrOutcome { status, zone, name, record, detail }
    };
    let failed = |error: &Error| match error {
        Error::OutcomeUnknown(_) => (PtrStatus::Unknown, Some(told(error))),
        _ => (PtrStatus::Skipped, Some(told(error))),
    };
    let view = match services.writer.view(&access).await {
        Ok(view) => view,
        Err(error) => {
            pass_over(context, dry_run);
            let (status, detail) = failed(&error);
            let all = wanted.into_iter();
            return all.map(|(index, owner, _)| (index, outcome(&owner, status, None, detail.clone()))).collect();
        }
    };
    let (operations, standing) = operations(&view, &wanted);
    let added: Vec<usize> = (0..wanted.len()).filter(|place| !standing.contains_key(place)).collect();
    let grouping = if wanted.len() == 1 { Grouping::Single } else { Grouping::EachAlone("record.bulk_create") };
    let write = ZoneWrite {
        access,
        actor: ActorRecord::from(&context.caller.actor),
        // what a client expects of the records was said of those that it named
        request: RequestInfo { expected: None, ..context.request.clone() },
        operations,
        grouping,
        dry_run,
        large: None,
    };
    // also where nothing is left to be written, see `pass_over`
    let (done, refused) = match services.writer.apply(write).await {
        Ok(WriteOutcome { operations, refused, .. }) => (operations, refused),
        Err(error) => {
            (Vec::new(), added.iter().enumerate().map(|(index, _)| Refusal { index, error: error.clone() }).collect())
        }
    };
    let made: HashMap<(OwnerName, String), RecordId> = done
        .into_iter()
        .filter_map(|RecordOutcome { after, .. }| after)
        .map(|view| ((view.reference.key.name, view.reference.content), view.id))
        .collect();
    let refused: HashMap<usize, Error> =
        refused.into_iter().filter_map(|Refusal { index, error }| Some((*added.get(index)?, error))).collect();
    let tell = |(at, (index, owner, ptr)): (usize, (usize, OwnerName, WantedPtr))| {
        let told = if let Some(id) = made.get(&(owner.clone(), ptr.host.fqdn())) {
            outcome(&owner, PtrStatus::Created, Some(*id), None)
        } else if let Some((status, record, detail)) = standing.get(&at) {
            outcome(&owner, *status, *record, detail.clone())
        } else {
            let (status, detail) = refused.get(&at).map_or((PtrStatus::Skipped, None), failed);
            outcome(&owner, status, None, detail)
        };
        (index, told)
    };
    wanted.into_iter().enumerate().map(tell).collect()
}

/// Counts the change of a zone that is not written to: a request that is sent again must find those behind it under the
/// numbers that the first one gave them.
fn pass_over(context: &Context, dry_run: bool) {
    if let Some(run) = context.request.run.as_ref().filter(|_| !dry_run) {
        run.next_step();
    }
}

/// Why, as the caller may know it.
fn told(error: &Error) -> String {
    if let Error::Internal(message) = error {
        tracing::error!(%message, "a PTR could not be written");
        return "Internal error".to_owned();
    }
    error.to_string()
}

/// Why a PTR need not, or must not, be written: by its place in what is wanted.
type Standing = HashMap<usize, (PtrStatus, Option<RecordId>, Option<String>)>;

/// What adds the PTRs of addresses that have none.
fn operations(view: &ZoneView, wanted: &[(usize, OwnerName, WantedPtr)]) -> (Vec<RecordOperation>, Standing) {
    let mut names: HashMap<OwnerName, Vec<(String, Option<RecordId>)>> = HashMap::new();
    let owners: BTreeSet<&OwnerName> = wanted.iter().map(|(_, owner, _)| owner).collect();
    let is_wanted = |key: &RrsetKey| key.record_type == RecordType::Ptr && owners.contains(&key.name);
    for record in view.records_where(is_wanted) {
        let reference = record.reference;
        names.entry(reference.key.name).or_default().push((reference.content, Some(record.id)));
    }
    let (mut operations, mut standing) = (Vec::new(), Standing::new());
    for (at, (_, owner, WantedPtr { address, host, ttl })) in wanted.iter().enumerate() {
        let content = host.fqdn();
        let there = names.entry(owner.clone()).or_default();
        if let Some((_, id)) = there.iter().find(|(name, _)| *name == content) {
            standing.insert(at, (PtrStatus::Exists, *id, None));
        } else if let Some((name, _)) = there.first() {
            let detail = format!("{address} has the name {} already", name.trim_end_matches('.'));
            standing.insert(at, (PtrStatus::Skipped, None, Some(detail)));
        } else {
            there.push((content.clone(), None));
            let (name, ttl) = (owner.clone(), *ttl);
            operations.push(RecordOperation::Add { name, record_type: RecordType::Ptr, content, ttl, disabled: false });
        }
    }
    (operations, standing)
}
