//! `/domains/`: zones, under the name that the wire has for them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::dns::template::Values;
use crate::dns::{catalogue, searched_name};
use crate::ids::ZoneId;
use crate::service::templates::claimed::Choice;
use crate::service::transfers::{self, TransferState};
use crate::service::zone_life;
use crate::service::zones::{self, ZoneClaim, ZoneDetail, ZonePatch};
use crate::service::{Error, Services};
use crate::storage::zone_lists::{Search, ZoneCursor, ZoneFilter};
use crate::storage::zone_templates::ZoneTemplateState;
use crate::storage::zones::ZoneRow;
use crate::tenancy::{ZoneStatus, ZoneType};

use super::error::ApiError;
use super::extract::{ApiJson, ApiPath, ApiQuery, Authenticated, truth};
use super::paging::{Page, decode_cursor, page_request};
use super::templates::SkippedRecord;
use super::validation::ValidationItem;

/// A domain in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct DomainItem {
    #[schema(example = "d_01jd0000000000000000000000")]
    pub id: String,
    /// A-labels, lower case, no trailing dot.
    #[schema(example = "xn--bcher-kva.example")]
    pub name: String,
    /// The same in U-labels, where different.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "bücher.example")]
    pub name_unicode: Option<String>,
    /// `primary`, `secondary`, `reverse_ipv4` or `reverse_ipv6`.
    pub domain_type: String,
    /// `pending_validation`, `active`, `inactive` or `deleted`.
    pub status: String,
    /// Seconds; for records that are made without a TTL.
    pub default_ttl: u32,
    pub description: Option<String>,
    pub dnssec_enabled: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// A domain, whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct DomainDetail {
    #[serde(flatten)]
    pub item: DomainItem,
    #[schema(example = "t_01jd0000000000000000000000")]
    pub tenant_id: String,
    /// What the parent zone's NS set is to hold.
    pub nameservers: Vec<String>,
    /// Without SOA and apex NS.
    pub record_count: u32,
    /// The SOA serial, once the domain has been served.
    pub serial: Option<u32>,
    /// `disabled`, `pending_ds`, `active`, `rotating_ksk` or `rotating_zsk`.
    pub dnssec_status: String,
    pub settings: Map<String, Value>,
    /// Of a secondary domain: where its records come from.
    pub masters: Vec<String>,
    /// Of a secondary domain: what the transfers from there are signed with.
    pub tsig_key_id: Option<String>,
    /// Of a secondary domain that is served: how its last transfer went.
    pub transfer: Option<TransferItem>,
    /// The challenge to meet, while the domain is `pending_validation`.
    pub validation: Option<ValidationItem>,
    pub cidr: Option<String>,
    /// With which the domain was claimed.
    pub template: Option<DomainTemplateItem>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub deleted_at: Option<OffsetDateTime>,
}

/// The template that a domain was claimed with, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct DomainTemplateItem {
    #[schema(example = "tpl_01jd0000000000000000000000")]
    pub template_id: String,
    /// As it was called then.
    pub name: String,
    /// Null: it waits for the domain to go live.
    #[serde(with = "time::serde::rfc3339::option")]
    pub applied_at: Option<OffsetDateTime>,
    /// Records of it that could not be, since others stood there by then.
    pub skipped_records: Vec<SkippedRecord>,
}

/// How the last transfer of a secondary domain went.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransferItem {
    /// `never` or `transferred`.
    pub state: &'static str,
    /// That was transferred last.
    pub serial: Option<u32>,
    /// When a master was last asked.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_checked_at: Option<OffsetDateTime>,
}

/// A transfer that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransferStarted {
    pub domain_id: String,
    pub message: &'static str,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDomain {
    /// A- or U-labels; a trailing dot is dropped.
    #[schema(example = "shop.test")]
    pub name: String,
    /// `primary`, `secondary`, `reverse_ipv4` or `reverse_ipv6`.
    #[schema(example = "primary")]
    pub domain_type: String,
    /// Seconds, 0 to 2147483647; 3600 where absent.
    #[schema(maximum = 2147483647)]
    pub default_ttl: Option<u32>,
    /// At most 1,000 characters.
    #[schema(max_length = 1000)]
    pub description: Option<String>,
    /// Of a secondary domain: 1 to 16 addresses, `192.0.2.1` or `192.0.2.1:5300`, from which it is transferred.
    pub masters: Option<Vec<String>>,
    /// Of a secondary domain: the key that signs its transfers.
    pub tsig_key_id: Option<String>,
    /// Of a reverse zone: its network, which must fit its name.
    pub cidr: Option<String>,
    /// A template that is applied when the domain goes live. It is checked and kept as it is now: that it is changed or
    /// deleted until then makes no difference.
    pub template_id: Option<String>,
    /// Its variables.
    pub template_variables: Option<Values>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchDomain {
    /// `null` removes it.
    #[serde(default, deserialize_with = "three_states")]
    #[schema(value_type = Option<String>, max_length = 1000)]
    pub description: Option<Option<String>>,
    /// Seconds, 0 to 2147483647.
    #[schema(maximum = 2147483647)]
    pub default_ttl: Option<u32>,
    /// Replaces the whole object; at most 16 kB. `transfers` says who may transfer the domain and who is told of changes:
    /// `{"addresses": [], "tsig_key_id": null, "also_notify": []}`.
    pub settings: Option<Map<String, Value>>,
    /// `active` or `inactive`; a withdrawn domain keeps its content for the way back.
    pub status: Option<String>,
    /// Of a secondary domain: the addresses that its records come from.
    pub masters: Option<Vec<String>>,
    /// Of a secondary domain: the key that its transfers are signed with; `null`: none.
    #[serde(default, deserialize_with = "three_states")]
    #[schema(value_type = Option<String>)]
    pub tsig_key_id: Option<Option<String>>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListDomains {
    /// From 1.
    #[param(minimum = 1)]
    page: Option<u32>,
    /// 1 to 100, 50 where absent.
    #[param(minimum = 1, maximum = 100)]
    page_size: Option<u32>,
    /// From `next_cursor` of the page before; wins over `page`.
    cursor: Option<String>,
    status: Option<String>,
    domain_type: Option<String>,
    #[serde(default, deserialize_with = "truth")]
    dnssec_enabled: Option<bool>,
    /// Part of the name.
    search: Option<String>,
    /// `true` lists deleted domains, too; `status=deleted` lists them alone.
    #[serde(default, deserialize_with = "truth")]
    include_deleted: Option<bool>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeleteDomain {
    /// `true` removes the domain and all its records for good; without it the domain can be restored for a while.
    #[serde(default, deserialize_with = "truth")]
    hard: Option<bool>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct GetDomain {
    /// `true` shows a deleted domain, too.
    #[serde(default, deserialize_with = "truth")]
    include_deleted: Option<bool>,
}

/// A record type on offer.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordTypeItem {
    #[serde(rename = "type")]
    pub record_type: &'static str,
    pub description: &'static str,
    pub example: &'static str,
}

/// Domains that the caller may read, by name.
#[utoipa::path(get, path = "/api/v1/domains/", tag = "domains", params(ListDomains),
    responses((status = 200, body = Page<DomainItem>)))]
pub async fn list(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiQuery(query): ApiQuery<ListDomains>,
) -> Result<Json<Page<DomainItem>>, ApiError> {
    let page = page_request(query.page, query.page_size)?;
    let after: Option<ZoneCursor> = decode_cursor(query.cursor.as_deref())?;
    if after.as_ref().is_some_and(|after| !after.name.is_ascii()) {
        return Err(Error::schema(&["query", "cursor"], "is not a cursor of this list").into());
    }
    let filter = filter(&query)?;
    let found = zones::list(&services, &context, &filter, &page, after).await?;
    let items = found.rows.into_iter().map(item).collect();
    Ok(Json(Page::new(&page, items, found.total, found.next)))
}

/// Claims a domain; its first challenge comes with the answer.
#[utoipa::path(post, path = "/api/v1/domains/", tag = "domains", request_body = CreateDomain,
    responses((status = 200, body = DomainDetail)))]
pub async fn create(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiJson(body): ApiJson<CreateDomain>,
) -> Result<Json<DomainDetail>, ApiError> {
    let CreateDomain {
        name,
        domain_type: zone_type,
        default_ttl,
        description,
        cidr,
        masters,
        tsig_key_id,
        template_id,
        template_variables,
    } = body;
    if template_id.is_none() && template_variables.is_some() {
        return Err(Error::schema(&["body", "template_id"], "is missing beside template_variables").into());
    }
    let template = template_id.map(|template| Choice { template, given: template_variables.unwrap_or_default() });
    let claim = ZoneClaim { name, zone_type, default_ttl, description, cidr, masters, tsig_key_id, template };
    let created = zones::create(&services, &context, claim).await?;
    Ok(Json(detail(&services, created)))
}

/// One domain.
#[utoipa::path(get, path = "/api/v1/domains/{id}", tag = "domains", params(("id" = String, Path), GetDomain),
    responses((status = 200, body = DomainDetail)))]
pub async fn get(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<GetDomain>,
) -> Result<Json<DomainDetail>, ApiError> {
    let found = zones::get(&services, &context, id, query.include_deleted.unwrap_or(false)).await?;
    Ok(Json(detail(&services, found)))
}

/// Changes a domain's description, default TTL, settings or status, or where a secondary one gets its records; not its
/// content.
#[utoipa::path(patch, path = "/api/v1/domains/{id}", tag = "domains", params(("id" = String, Path)),
    request_body = PatchDomain, responses((status = 200, body = DomainDetail)))]
pub async fn update(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiJson(body): ApiJson<PatchDomain>,
) -> Result<Json<DomainDetail>, ApiError> {
    let PatchDomain { description, default_ttl, settings, status, masters, tsig_key_id } = body;
    let patch = ZonePatch { description, default_ttl, settings, status, masters, tsig_key_id };
    let updated = zones::update(&services, &context, id, patch).await?;
    Ok(Json(detail(&services, updated)))
}

/// Deletes a domain: it is served no more, and can be restored until it is purged. `hard=true` removes it for good.
#[utoipa::path(delete, path = "/api/v1/domains/{id}", tag = "domains", params(("id" = String, Path), DeleteDomain),
    responses((status = 204, description = "Gone")))]
pub async fn delete(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<DeleteDomain>,
) -> Result<StatusCode, ApiError> {
    match query.hard.unwrap_or(false) {
        true => zone_life::delete_for_good(&services, &context, id).await?,
        false => zone_life::delete(&services, &context, id).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a deletion back: the domain is again what it was.
#[utoipa::path(post, path = "/api/v1/domains/{id}/restore", tag = "domains", params(("id" = String, Path)),
    responses((status = 200, body = DomainDetail)))]
pub async fn restore(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
) -> Result<Json<DomainDetail>, ApiError> {
    let restored = zone_life::restore(&services, &context, id).await?;
    Ok(Json(detail(&services, restored)))
}

/// Has a secondary domain transferred from its masters now. The answer does not wait for it; `transfer` in the domain
/// says what came of it.
#[utoipa::path(post, path = "/api/v1/domains/{id}/transfer", tag = "transfers", operation_id = "start_transfer",
    params(("id" = String, Path)), responses((status = 200, body = TransferStarted)))]
pub async fn transfer(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
) -> Result<Json<TransferStarted>, ApiError> {
    let row = transfers::start(&services, &context, id).await?;
    Ok(Json(TransferStarted { domain_id: row.id.to_string(), message: "Transfer requested" }))
}

/// The record types on offer.
#[utoipa::path(get, path = "/api/v1/domains/types", tag = "domains", responses((status = 200, body = [RecordTypeItem])))]
pub async fn types(Authenticated(_context): Authenticated) -> Json<Vec<RecordTypeItem>> {
    let items = catalogue().into_iter().map(|info| RecordTypeItem {
        record_type: info.record_type,
        description: info.description,
        example: info.example,
    });
    Json(items.collect())
}

fn filter(query: &ListDomains) -> Result<ZoneFilter, Error> {
    let unknown = |field: &'static str| Error::invalid(field, format!("unknown {field}"));
    let status =
        query.status.as_deref().map(|text| ZoneStatus::parse(text).ok_or_else(|| unknown("status"))).transpose()?;
    Ok(ZoneFilter {
        status,
        zone_type: query
            .domain_type
            .as_deref()
            .map(|text| ZoneType::parse(text).ok_or_else(|| unknown("domain_type")))
            .transpose()?,
        reverse_only: false,
        dnssec_enabled: query.dnssec_enabled,
        search: query.search.as_deref().map(searched_name).filter(|text| !text.is_empty()).map(Search::Name),
        include_deleted: query.include_deleted.unwrap_or(false) || status == Some(ZoneStatus::Deleted),
    })
}

pub fn item(row: ZoneRow) -> DomainItem {
    let ZoneRow {
        id,
        tenant: _,
        name,
        zone_type,
        status,
        default_ttl,
        description,
        settings: _,
        cidr: _,
        dnssec_enabled,
        denial: _,
        revision: _,
        serial: _,
        last_change: _,
        record_count: _,
        born: _,
        deleted_at: _,
        status_before: _,
        displaced: _,
        held_by: _,
        created_at,
        updated_at,
    } = row;
    DomainItem {
        id: id.to_string(),
        name_unicode: name.unicode(),
        name: name.as_str().to_owned(),
        domain_type: zone_type.as_str().to_owned(),
        status: status.as_str().to_owned(),
        default_ttl,
        description,
        dnssec_enabled,
        created_at,
        updated_at,
    }
}

pub fn detail(services: &Services, found: ZoneDetail) -> DomainDetail {
    let ZoneDetail { row, nameservers, validation, source, transfer, template, dnssec_status } = found;
    let tsig_key = source.as_ref().and_then(|source| source.tsig_key);
    let settings = match &row.settings {
        Value::Object(settings) => settings.clone(),
        _ => Map::new(),
    };
    DomainDetail {
        tenant_id: row.tenant.to_string(),
        record_count: row.record_count,
        serial: transfer.as_ref().map_or(row.serial, |transfer| transfer.serial),
        dnssec_status: dnssec_status.to_owned(),
        settings,
        masters: source.map(|source| source.masters).unwrap_or_default(),
        tsig_key_id: tsig_key.map(|key| key.to_string()),
        transfer: transfer.map(transfer_item),
        validation: validation.map(|validation| ValidationItem::new(services, &nameservers, &row, validation)),
        nameservers,
        cidr: row.cidr.clone(),
        template: template.map(template_item),
        deleted_at: row.deleted_at,
        item: item(row),
    }
}

fn template_item(state: ZoneTemplateState) -> DomainTemplateItem {
    let ZoneTemplateState { id, name, applied_at, skipped } = state;
    let skipped_records = skipped.into_iter().map(SkippedRecord::from).collect();
    DomainTemplateItem { template_id: id.to_string(), name, applied_at, skipped_records }
}

fn transfer_item(transfer: TransferState) -> TransferItem {
    let TransferState { serial, last_check } = transfer;
    let state = if serial.is_some() { "transferred" } else { "never" };
    TransferItem { state, serial, last_checked_at: last_check }
}

/// Absent, null and a value are three things in a PATCH.
pub fn three_states<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}
