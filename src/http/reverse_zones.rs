//! `/reverse-zones/`: networks, and the names of their addresses.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::dns::reverse::{self, ReverseZone};
use crate::dns::searched_name;
use crate::ids::ZoneId;
use crate::service::reverse_zones::{self, FoundPtr, NewPtr, Ptr, ReverseClaim};
use crate::service::zones;
use crate::service::{Error, Services};
use crate::storage::zone_lists::{Search, ZoneCursor, ZoneFilter};

use super::domains::{DomainDetail, DomainItem, detail, item};
use super::error::ApiError;
use super::extract::{ApiJson, ApiPath, ApiQuery, Authenticated};
use super::paging::{Page, decode_cursor, page_request};
use super::records::{DryRun, WarningItem};

/// One call is one change.
const PTRS_MAX: usize = 500; // as many as other bulk calls take

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListReverseZones {
    /// From 1.
    #[param(minimum = 1)]
    page: Option<u32>,
    /// 1 to 100, 50 where absent.
    #[param(minimum = 1, maximum = 100)]
    page_size: Option<u32>,
    /// From `next_cursor` of the page before; wins over `page`.
    cursor: Option<String>,
    /// Part of the name, or a network.
    search: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListPtrs {
    /// From 1.
    #[param(minimum = 1)]
    page: Option<u32>,
    /// 1 to 100, 50 where absent.
    #[param(minimum = 1, maximum = 100)]
    page_size: Option<u32>,
    /// From `next_cursor` of the page before; wins over `page`.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// A network without bits behind its prefix.
    #[schema(example = "192.0.2.0/24")]
    pub cidr: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateReverseZone {
    /// IPv4: any length; lengths beside /8, /16, /24 and longer ones need several zones. IPv6: multiples of 4.
    #[schema(example = "192.0.2.0/24")]
    pub cidr: String,
    /// Seconds, 0 to 2147483647; 3600 where absent.
    #[schema(maximum = 2147483647)]
    pub default_ttl: Option<u32>,
    /// At most 1,000 characters.
    #[schema(max_length = 1000)]
    pub description: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePtr {
    #[schema(example = "192.0.2.1")]
    pub ip: String,
    #[schema(example = "host.shop.test")]
    pub hostname: String,
    /// Seconds; the zone's default where absent.
    #[schema(maximum = 2147483647)]
    pub ttl: Option<u32>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePtrs {
    /// 1 to 500 of them.
    #[schema(min_items = 1, max_items = 500)]
    pub ptrs: Vec<CreatePtr>,
}

/// A reverse zone.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReverseZoneItem {
    #[serde(flatten)]
    pub item: DomainItem,
    pub cidr: Option<String>,
}

/// The zones of a network: the one, or a list of them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum CreatedReverseZones {
    One(Box<DomainDetail>),
    Several { data: Vec<DomainDetail> },
}

/// What zones a network needs.
#[derive(Debug, Serialize, ToSchema)]
pub struct NetworkPreview {
    #[serde(flatten)]
    pub network: NetworkItem,
    /// Where it needs more than one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub zones: Vec<NetworkItem>,
    /// Between octets (RFC 2317): what the zone above must hold, so that the addresses lead here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub parent_records: Vec<ParentRecord>,
}

/// A zone and its addresses; of several zones the first one's name.
#[derive(Debug, Serialize, ToSchema)]
pub struct NetworkItem {
    #[schema(example = "2.0.192.in-addr.arpa")]
    pub zone_name: String,
    #[schema(example = "192.0.2.0")]
    pub start_ip: String,
    #[schema(example = "192.0.2.255")]
    pub end_ip: String,
    #[schema(value_type = f64)]
    pub ip_count: u128,
    /// `reverse_ipv4` or `reverse_ipv6`.
    pub domain_type: String,
}

/// A record for the zone above.
#[derive(Debug, Serialize, ToSchema)]
pub struct ParentRecord {
    pub name: String,
    #[serde(rename = "type")]
    pub record_type: String,
    pub content: String,
}

/// The name of an address.
#[derive(Debug, Serialize, ToSchema)]
pub struct PtrItem {
    /// Of the record.
    pub id: String,
    pub ip: String,
    /// No trailing dot.
    pub hostname: String,
    pub ttl: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub warnings: Vec<WarningItem>,
    /// `false`: only asked (`dry_run`), nothing was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<bool>,
}

/// What was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedPtrs {
    pub created: Vec<PtrItem>,
    pub total_created: usize,
    /// `false`: only asked (`dry_run`), nothing was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<bool>,
}

/// The name of an address, and where it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct PtrLookup {
    pub ip: String,
    pub hostname: String,
    pub ttl: u32,
    pub domain_id: String,
    pub zone_name: String,
}

/// Reverse zones that the caller may read, by name.
#[utoipa::path(get, path = "/api/v1/reverse-zones/", tag = "reverse zones", operation_id = "list_reverse_zones",
    params(ListReverseZones), responses((status = 200, body = Page<ReverseZoneItem>)))]
pub async fn list(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiQuery(query): ApiQuery<ListReverseZones>,
) -> Result<Json<Page<ReverseZoneItem>>, ApiError> {
    let page = page_request(query.page, query.page_size)?;
    let after: Option<ZoneCursor> = decode_cursor(query.cursor.as_deref())?;
    if after.as_ref().is_some_and(|after| !after.name.is_ascii()) {
        return Err(Error::schema(&["query", "cursor"], "is not a cursor of this list").into());
    }
    let search = query.search.filter(|text| !text.is_empty()).map(searched);
    let filter = ZoneFilter { search, reverse_only: true, ..ZoneFilter::default() };
    let found = zones::list(&services, &context, &filter, &page, after).await?;
    let items = found.rows.into_iter().map(|row| ReverseZoneItem { cidr: row.cidr.clone(), item: item(row) }).collect();
    Ok(Json(Page::new(&page, items, found.total, found.next)))
}

/// What zones a network needs; makes nothing.
#[utoipa::path(post, path = "/api/v1/reverse-zones/preview", tag = "reverse zones",
    operation_id = "preview_reverse_zone", request_body = Network, responses((status = 200, body = NetworkPreview)))]
pub async fn preview(
    State(services): State<Arc<Services>>,
    Authenticated(_context): Authenticated,
    ApiJson(body): ApiJson<Network>,
) -> Result<Json<NetworkPreview>, ApiError> {
    let zones = reverse::zones_of(&body.cidr).map_err(Error::from)?;
    let whole: IpNet = body.cidr.trim().parse().map_err(|_| Error::invalid("cidr", "must be a network"))?;
    let first = zones.first().ok_or_else(|| Error::invalid("cidr", "must be a network"))?;
    let network = network_item(first, whole);
    let platform = services.platform.settings().await?;
    let parent_records = parent_records(first, &platform.nameservers.names);
    let zones: Vec<NetworkItem> = match zones.len() {
        1 => Vec::new(),
        _ => zones.iter().map(|zone| network_item(zone, zone.network)).collect(),
    };
    Ok(Json(NetworkPreview { network, zones, parent_records }))
}

/// Claims the zones of a network; each is proven for itself. Several are answered as a list.
#[utoipa::path(post, path = "/api/v1/reverse-zones/", tag = "reverse zones", operation_id = "create_reverse_zone",
    request_body = CreateReverseZone, responses((status = 200, body = CreatedReverseZones)))]
pub async fn create(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiJson(body): ApiJson<CreateReverseZone>,
) -> Result<Json<CreatedReverseZones>, ApiError> {
    let CreateReverseZone { cidr, default_ttl, description } = body;
    let claim = ReverseClaim { cidr, default_ttl, description };
    let created = reverse_zones::create(&services, &context, claim).await?;
    let mut details: Vec<DomainDetail> = created.into_iter().map(|zone| detail(&services, zone)).collect();
    Ok(Json(match (details.pop(), details.is_empty()) {
        (Some(one), true) => CreatedReverseZones::One(Box::new(one)),
        (last, _) => {
            details.extend(last);
            CreatedReverseZones::Several { data: details }
        }
    }))
}

/// The names of a zone's addresses, by address.
#[utoipa::path(get, path = "/api/v1/reverse-zones/{id}/ptr", tag = "reverse zones", operation_id = "list_ptrs",
    params(("id" = String, Path), ListPtrs), responses((status = 200, body = Page<PtrItem>)))]
pub async fn list_ptrs(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<ListPtrs>,
) -> Result<Json<Page<PtrItem>>, ApiError> {
    let page = page_request(query.page, query.page_size)?;
    let after: Option<(IpAddr, String)> = decode_cursor(query.cursor.as_deref())?;
    let (zone, view) = reverse_zones::open(&services, &context, id).await?;
    let ptrs = reverse_zones::ptrs(&zone, &view);
    let total = ptrs.len();
    let begin = match &after {
        Some(after) => ptrs.partition_point(|ptr| (ptr.ip, ptr.hostname.as_str()) <= (after.0, after.1.as_str())),
        None => usize::try_from(page.offset()).unwrap_or(usize::MAX).min(total),
    };
    let items: Vec<Ptr> = ptrs.into_iter().skip(begin).take(page.page_size as usize).collect();
    let more = begin + items.len() < total;
    let next = items.last().filter(|_| more).map(|ptr| (ptr.ip, ptr.hostname.clone()));
    let items = items.into_iter().map(|ptr| ptr_item(ptr, None)).collect();
    Ok(Json(Page::new(&page, items, total as u64, next)))
}

/// Gives an address a name.
#[utoipa::path(post, path = "/api/v1/reverse-zones/{id}/ptr", tag = "reverse zones", operation_id = "create_ptr",
    params(("id" = String, Path), DryRun), request_body = CreatePtr, responses((status = 200, body = PtrItem)))]
pub async fn create_ptr(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<DryRun>,
    ApiJson(body): ApiJson<CreatePtr>,
) -> Result<Json<PtrItem>, ApiError> {
    let done = reverse_zones::write(&services, &context, id, vec![wanted(body)], query.wanted()).await?;
    let ptr = done.into_iter().next().ok_or_else(|| Error::Internal("a write without an outcome".into()))?;
    Ok(Json(ptr_item(ptr, query.wanted().then_some(false))))
}

/// Gives up to 500 addresses names, in one change: all of them or none.
#[utoipa::path(post, path = "/api/v1/reverse-zones/{id}/ptr/bulk", tag = "reverse zones", operation_id = "create_ptrs",
    params(("id" = String, Path), DryRun), request_body = CreatePtrs, responses((status = 200, body = CreatedPtrs)))]
pub async fn create_ptrs(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<DryRun>,
    ApiJson(body): ApiJson<CreatePtrs>,
) -> Result<Json<CreatedPtrs>, ApiError> {
    if body.ptrs.len() > PTRS_MAX {
        let message = format!("At most {PTRS_MAX} PTRs go into one call");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_records", message));
    }
    if body.ptrs.is_empty() {
        return Err(Error::schema(&["body", "ptrs"], "must have at least one").into());
    }
    let ptrs = body.ptrs.into_iter().map(wanted).collect();
    let created = reverse_zones::write(&services, &context, id, ptrs, query.wanted()).await?;
    let created: Vec<PtrItem> = created.into_iter().map(|ptr| ptr_item(ptr, None)).collect();
    Ok(Json(CreatedPtrs { total_created: created.len(), created, applied: query.wanted().then_some(false) }))
}

/// Takes the name of an address away. With `dry_run`, answers with the PTR that would go.
#[utoipa::path(delete, path = "/api/v1/reverse-zones/{id}/ptr/{ip}", tag = "reverse zones", operation_id = "delete_ptr",
    params(("id" = String, Path), ("ip" = String, Path), DryRun),
    responses((status = 204, description = "Gone"), (status = 200, description = "Only asked", body = PtrItem)))]
pub async fn delete_ptr(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath((id, ip)): ApiPath<(ZoneId, String)>,
    ApiQuery(query): ApiQuery<DryRun>,
) -> Result<Response, ApiError> {
    let gone = reverse_zones::delete(&services, &context, id, &ip, query.wanted()).await?;
    match gone.into_iter().next().filter(|_| query.wanted()) {
        Some(ptr) => Ok(Json(ptr_item(ptr, Some(false))).into_response()),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// The name of an address, in the closest zone of the tenant.
#[utoipa::path(get, path = "/api/v1/reverse-zones/lookup/{ip}", tag = "reverse zones", operation_id = "look_up_ptr",
    params(("ip" = String, Path)), responses((status = 200, body = PtrLookup)))]
pub async fn look_up(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(ip): ApiPath<String>,
) -> Result<Json<PtrLookup>, ApiError> {
    let FoundPtr { zone, ptr } = reverse_zones::look_up(&services, &context, &ip).await?;
    let Ptr { id: _, ip, hostname, ttl, warnings: _ } = ptr;
    let (domain_id, zone_name) = (zone.id.to_string(), zone.name.to_string());
    Ok(Json(PtrLookup { ip: ip.to_string(), hostname, ttl, domain_id, zone_name }))
}

/// A network is looked for by the names of its zones.
fn searched(text: String) -> Search {
    match reverse::zones_of(&text) {
        Ok(zones) => Search::Names(zones.into_iter().map(|zone| zone.name.to_string()).collect()),
        Err(_) => Search::NameOrNetwork(searched_name(&text)),
    }
}

fn wanted(body: CreatePtr) -> NewPtr {
    let CreatePtr { ip, hostname, ttl } = body;
    NewPtr { ip, hostname, ttl }
}

fn ptr_item(ptr: Ptr, applied: Option<bool>) -> PtrItem {
    let Ptr { id, ip, hostname, ttl, warnings } = ptr;
    let warnings = warnings.into_iter().map(|warning| WarningItem { field: warning.field, message: warning.message });
    PtrItem { id: id.to_string(), ip: ip.to_string(), hostname, ttl, warnings: warnings.collect(), applied }
}

fn network_item(zone: &ReverseZone, network: IpNet) -> NetworkItem {
    let (start, end) = (network.network(), network.broadcast());
    let count = match (start, end) {
        (IpAddr::V4(start), IpAddr::V4(end)) => u128::from(end.to_bits() - start.to_bits()),
        (IpAddr::V6(start), IpAddr::V6(end)) => end.to_bits() - start.to_bits(),
        _ => 0,
    };
    NetworkItem {
        zone_name: zone.name.to_string(),
        start_ip: start.to_string(),
        end_ip: end.to_string(),
        ip_count: count + 1,
        domain_type: if start.is_ipv4() { "reverse_ipv4" } else { "reverse_ipv6" }.to_owned(),
    }
}

/// The delegation, and a CNAME for each address (RFC 2317 section 4).
fn parent_records(zone: &ReverseZone, nameservers: &[String]) -> Vec<ParentRecord> {
    let IpNet::V4(network) = zone.network else { return Vec::new() };
    if !zone.is_classless() {
        return Vec::new();
    }
    let record = |name: String, record_type: &str, content: String| ParentRecord {
        name,
        record_type: record_type.to_owned(),
        content: format!("{}.", content.trim_end_matches('.')),
    };
    let delegation = nameservers.iter().map(|server| record(zone.name.to_string(), "NS", server.clone()));
    let first = network.network().to_bits();
    let aliases = (first..=network.broadcast().to_bits()).filter_map(|bits| {
        let address = IpAddr::V4(bits.into());
        let owner = zone.owner_of(address)?;
        Some(record(reverse::name_of(address), "CNAME", owner.as_str().to_owned()))
    });
    delegation.chain(aliases).collect()
}
