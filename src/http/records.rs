//! `/domains/{id}/records`: the records of a zone.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::dns::{FieldError, RrsetKey, Warning};
use crate::ids::{RecordId, ZoneId};
use crate::service::address_ptrs::PtrOutcome;
use crate::service::entity_tag::EntityTag;
use crate::service::records::{self, Checked, Found, NewRecord, RecordFilter, Written};
use crate::service::zone_names::NamedZone;
use crate::service::zone_writer::{RecordView, ZoneView};
use crate::service::{Error, PageRequest, Services};

use super::error::ApiError;
use super::etag;
use super::extract::{ApiJson, ApiPath, ApiQuery, Authenticated, truth};
use super::paging::{decode_cursor, encode_cursor, page_request};

/// A record.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordItem {
    /// Never changes while the record lives.
    #[schema(example = "r_01jd0000000000000000000000")]
    pub id: String,
    /// The whole owner name, no trailing dot.
    #[schema(example = "www.shop.test")]
    pub name: String,
    /// Relative to the domain, `@` at its apex.
    #[schema(example = "www")]
    pub display_name: String,
    #[serde(rename = "type")]
    #[schema(example = "A")]
    pub record_type: String,
    /// In canonical form.
    #[schema(example = "192.0.2.1")]
    pub content: String,
    /// Seconds; of the whole RRset.
    pub ttl: u32,
    /// Kept, but not served.
    pub disabled: bool,
    pub domain_id: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// What may not be meant so; never stops a write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub warnings: Vec<WarningItem>,
    /// Where a PTR was asked for: what became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ptr: Option<PtrItem>,
    /// `false`: only asked (`dry_run`), nothing was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<bool>,
}

/// What became of the PTR of an address.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordPtr)]
pub struct PtrItem {
    /// `created`, `exists`, `skipped`, or `unknown`: it was sent, and no answer came.
    #[schema(example = "created")]
    pub status: String,
    /// The reverse zone that it stands in, or would.
    #[schema(required = true)]
    pub zone_id: Option<String>,
    #[schema(required = true)]
    pub zone_name: Option<String>,
    #[schema(example = "1.2.0.192.in-addr.arpa")]
    pub name: String,
    /// Of the PTR, where it stands there now.
    #[schema(required = true)]
    pub record_id: Option<String>,
    /// Why there is none.
    #[schema(required = true)]
    pub detail: Option<String>,
}

/// A remark on a field.
#[derive(Debug, Serialize, ToSchema)]
pub struct WarningItem {
    pub field: String,
    pub message: String,
}

/// The records of a domain; paged only if asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordList {
    pub data: Vec<RecordItem>,
    pub total: u64,
    pub domain_id: String,
    pub domain_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_pages: Option<u64>,
    /// Give it as `cursor` to go on behind this page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRecord {
    /// `@`, relative, or a whole name inside the domain.
    #[schema(example = "www")]
    pub name: String,
    #[serde(rename = "type")]
    #[schema(example = "A")]
    pub record_type: String,
    /// In presentation form.
    #[schema(example = "192.0.2.1")]
    pub content: String,
    /// Seconds; where absent the RRset's, else the domain's default. Given, the whole RRset takes it.
    #[schema(maximum = 2147483647)]
    pub ttl: Option<u32>,
    #[serde(default)]
    pub disabled: bool,
    /// Of an A or AAAA: its PTR is written, too, where your tenant has a reverse zone for it that you may write to. The
    /// record itself never fails because of it.
    #[serde(default)]
    pub ptr: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchRecord {
    /// In presentation form.
    pub content: Option<String>,
    /// Seconds; the whole RRset takes it.
    #[schema(maximum = 2147483647)]
    pub ttl: Option<u32>,
    pub disabled: Option<bool>,
}

/// What would become of a record.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckedRecord {
    pub valid: bool,
    /// In canonical form, if it is valid.
    pub record: Option<CanonicalRecord>,
    pub errors: Vec<WarningItem>,
    pub warnings: Vec<WarningItem>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CanonicalRecord {
    pub name: String,
    pub display_name: String,
    #[serde(rename = "type")]
    pub record_type: String,
    pub content: String,
    pub ttl: u32,
    pub disabled: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListRecords {
    /// One record type.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    record_type: Option<String>,
    /// Part of the owner name.
    name: Option<String>,
    /// Shows SOA and apex NS too.
    #[serde(default, deserialize_with = "truth")]
    include_system: Option<bool>,
    /// From 1.
    #[param(minimum = 1)]
    page: Option<u32>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    page_size: Option<u32>,
    /// From `next_cursor` of the page before; wins over `page`.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DryRun {
    /// `true`: the same answer with `applied: false`, nothing written.
    #[serde(default, deserialize_with = "truth")]
    dry_run: Option<bool>,
}

impl DryRun {
    pub fn wanted(&self) -> bool {
        self.dry_run.unwrap_or(false)
    }
}

/// The records of a domain, by name. The answer's `ETag` says what they were; sent back as `If-None-Match`, it spares
/// the answer while they are still the same.
#[utoipa::path(get, path = "/api/v1/domains/{id}/records", tag = "records",
    params(("id" = String, Path), ListRecords, ("If-None-Match" = Option<String>, Header, description = "`ETag` of an earlier answer")),
    responses((status = 200, body = RecordList, headers(("ETag" = String, description = "Of these records"))),
        (status = 304, description = "Unchanged since that answer")))]
pub async fn list(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<ListRecords>,
    RawQuery(asked): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let window = Window::new(query.page, query.page_size, query.cursor.as_deref())?;
    let include_system = query.include_system.unwrap_or(false);
    let filter = RecordFilter::new(query.record_type.as_deref(), query.name.as_deref(), include_system)?;
    let view = records::open(&services, &context, id).await?;
    let parts = [&view.part().unwrap_or_default(), asked.as_deref().unwrap_or_default()];
    let tag = view.version().map(|version| EntityTag::of_list(&version, &parts));
    if let Some(tag) = tag.as_ref().filter(|tag| etag::is_had(tag, &headers)) {
        return Ok(etag::not_modified(tag));
    }
    let list = Json(window.of(&view, records::listed(&view, &filter)));
    Ok(match tag {
        Some(tag) => ([etag::tag_header(&tag)], list).into_response(),
        None => list.into_response(),
    })
}

/// Adds a record; with `ptr: true` an address with its PTR.
#[utoipa::path(post, path = "/api/v1/domains/{id}/records", tag = "records", params(("id" = String, Path), DryRun),
    request_body = CreateRecord, responses((status = 200, body = RecordItem)))]
pub async fn create(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<DryRun>,
    ApiJson(body): ApiJson<CreateRecord>,
) -> Result<Json<RecordItem>, ApiError> {
    let written = records::create(&services, &context, id, body.into(), query.wanted()).await?;
    Ok(Json(written_item(written, &query)))
}

/// One record. The answer's `ETag` is that of its RRset; sent back as `If-Match`, a change is made only if nobody has
/// changed the RRset since.
#[utoipa::path(get, path = "/api/v1/domains/{id}/records/{rid}", tag = "records",
    params(("id" = String, Path), ("rid" = String, Path),
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of an earlier answer")),
    responses((status = 200, body = RecordItem, headers(("ETag" = String, description = "Of its RRset"))),
        (status = 304, description = "Unchanged since that answer")))]
pub async fn get(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath((id, rid)): ApiPath<(ZoneId, RecordId)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Found { zone, record, tag } = records::get(&services, &context, id, rid).await?;
    if etag::is_had(&tag, &headers) {
        return Ok(etag::not_modified(&tag));
    }
    let record = Json(item(&NamedZone::from(&zone), record, Vec::new(), None));
    Ok(([etag::tag_header(&tag)], record).into_response())
}

/// Changes a record's content, TTL or whether it is served.
#[utoipa::path(patch, path = "/api/v1/domains/{id}/records/{rid}", tag = "records",
    params(("id" = String, Path), ("rid" = String, Path), DryRun), request_body = PatchRecord,
    responses((status = 200, body = RecordItem)))]
pub async fn update(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(ids): ApiPath<(ZoneId, RecordId)>,
    ApiQuery(query): ApiQuery<DryRun>,
    ApiJson(body): ApiJson<PatchRecord>,
) -> Result<Json<RecordItem>, ApiError> {
    let PatchRecord { content, ttl, disabled } = body;
    let patch = records::RecordPatch { content, ttl, disabled };
    let written = records::update(&services, &context, ids, patch, query.wanted()).await?;
    Ok(Json(written_item(written, &query)))
}

/// Deletes a record. With `dry_run`, answers with the record that would go.
#[utoipa::path(delete, path = "/api/v1/domains/{id}/records/{rid}", tag = "records",
    params(("id" = String, Path), ("rid" = String, Path), DryRun),
    responses((status = 204, description = "Gone"), (status = 200, description = "Only asked", body = RecordItem)))]
pub async fn delete(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(ids): ApiPath<(ZoneId, RecordId)>,
    ApiQuery(query): ApiQuery<DryRun>,
) -> Result<Response, ApiError> {
    let written = records::delete(&services, &context, ids, query.wanted()).await?;
    if query.wanted() {
        return Ok(Json(written_item(written, &query)).into_response());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Says what would become of a record: its canonical form, errors, warnings. Writes nothing.
#[utoipa::path(post, path = "/api/v1/domains/{id}/records/check", tag = "records", params(("id" = String, Path)),
    request_body = CreateRecord, responses((status = 200, body = CheckedRecord)))]
pub async fn check(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiJson(body): ApiJson<CreateRecord>,
) -> Result<Json<CheckedRecord>, ApiError> {
    let Checked { zone, record, errors, warnings } = records::check(&services, &context, id, body.into()).await?;
    Ok(Json(CheckedRecord {
        valid: errors.is_empty(),
        record: record.map(|view| canonical(&zone, view)),
        errors: errors
            .into_iter()
            .map(|FieldError { field, message }| WarningItem { field: field.into(), message })
            .collect(),
        warnings: warnings.into_iter().map(warning).collect(),
    }))
}

/// The part of a list that is asked for: all of it, where nobody asks for a page.
pub struct Window {
    page: PageRequest,
    after: Option<RecordPlace>,
    paged: bool,
}

impl Window {
    pub fn new(page: Option<u32>, page_size: Option<u32>, cursor: Option<&str>) -> Result<Self, Error> {
        let after = decode_cursor(cursor)?;
        let paged = page.is_some() || page_size.is_some() || after.is_some();
        Ok(Self { page: page_request(page, page_size)?, after, paged })
    }

    /// That part of what was found.
    pub fn of(&self, view: &ZoneView, found: Vec<RecordView>) -> RecordList {
        let Self { page, after, paged } = self;
        let total = found.len() as u64;
        let (skip, take) = match (after, paged) {
            (Some(after), _) => (found.partition_point(|view| after.is_not_before(view)), page.page_size as usize),
            (None, true) => (usize::try_from(page.offset()).unwrap_or(usize::MAX), page.page_size as usize),
            (None, false) => (0, usize::MAX),
        };
        let end = skip.saturating_add(take);
        let last = found.get(end.wrapping_sub(1)).filter(|_| end < found.len()).map(RecordPlace::of);
        let zone = NamedZone::from(&view.row);
        RecordList {
            data: found.into_iter().skip(skip).take(take).map(|view| item(&zone, view, Vec::new(), None)).collect(),
            next_cursor: last.map(|last| encode_cursor(&last)),
            total,
            domain_id: zone.id.to_string(),
            domain_name: zone.name.as_str().to_owned(),
            page: paged.then_some(page.page),
            page_size: paged.then_some(page.page_size),
            total_pages: paged.then(|| total.div_ceil(u64::from(page.page_size))),
        }
    }
}

/// Where a record stands in the order of the list.
#[derive(Serialize, Deserialize)]
struct RecordPlace {
    key: RrsetKey,
    content: String,
}

impl RecordPlace {
    fn of(view: &RecordView) -> Self {
        Self { key: view.reference.key.clone(), content: view.reference.content.clone() }
    }

    fn is_not_before(&self, view: &RecordView) -> bool {
        (&view.reference.key, &view.reference.content) <= (&self.key, &self.content)
    }
}

impl From<CreateRecord> for NewRecord {
    fn from(body: CreateRecord) -> Self {
        let CreateRecord { name, record_type, content, ttl, disabled, ptr } = body;
        Self { name, record_type, content, ttl, disabled, ptr }
    }
}

fn written_item(written: Written, query: &DryRun) -> RecordItem {
    let Written { zone, record, warnings, ptr } = written;
    let ptr = ptr.map(ptr_item);
    RecordItem { ptr, ..item(&zone, record, warnings, query.wanted().then_some(false)) }
}

pub fn ptr_item(outcome: PtrOutcome) -> PtrItem {
    let PtrOutcome { status, zone, name, record, detail } = outcome;
    PtrItem {
        status: status.as_str().to_owned(),
        zone_id: zone.as_ref().map(|zone| zone.id.to_string()),
        zone_name: zone.map(|zone| zone.name.to_string()),
        name,
        record_id: record.map(|record| record.to_string()),
        detail,
    }
}

pub fn item(zone: &NamedZone, view: RecordView, warnings: Vec<Warning>, applied: Option<bool>) -> RecordItem {
    let RecordView { id, reference, ttl, disabled, created_at, updated_at } = view;
    RecordItem {
        id: id.to_string(),
        name: reference.key.name.as_str().to_owned(),
        display_name: reference.key.name.display_name(&zone.name),
        record_type: reference.key.record_type.as_str().to_owned(),
        content: reference.content,
        ttl,
        disabled,
        domain_id: zone.id.to_string(),
        created_at,
        updated_at,
        warnings: warnings.into_iter().map(warning).collect(),
        ptr: None,
        applied,
    }
}

fn canonical(zone: &NamedZone, view: RecordView) -> CanonicalRecord {
    let RecordView { id: _, reference, ttl, disabled, created_at: _, updated_at: _ } = view;
    CanonicalRecord {
        name: reference.key.name.as_str().to_owned(),
        display_name: reference.key.name.display_name(&zone.name),
        record_type: reference.key.record_type.as_str().to_owned(),
        content: reference.content,
        ttl,
        disabled,
    }
}

pub fn warning(warning: Warning) -> WarningItem {
    let Warning { field, message } = warning;
    WarningItem { field, message }
}
