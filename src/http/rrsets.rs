//! `/domains/{id}/rrsets`: whole RRsets, as they are to be or value by value.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::dns::{Record, Rrset, RrsetChange, RrsetHow, RrsetKey, RrsetValue, Warning};
use crate::ids::ZoneId;
use crate::service::rrsets::{self, ChangedRrsets, WantedRrset, WantedRrsets};
use crate::service::{Error, Services};

use super::error::ApiError;
use super::extract::{ApiJson, ApiPath, ApiQuery, Authenticated};
use super::records::DryRun;

/// One call is one PATCH at PowerDNS, which takes two seconds for as many.
const RRSETS_MAX: usize = 2_000;

/// What the domain is to hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutRrsets {
    /// At most 2,000.
    #[schema(max_items = 2000)]
    pub rrsets: Vec<RrsetBody>,
    /// `true`: all RRsets that are not named go, but for SOA and apex NS.
    #[serde(default)]
    pub prune: bool,
}

/// One RRset as it is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RrsetBody {
    /// `@`, relative, or a whole name inside the domain.
    #[schema(example = "www")]
    pub name: String,
    #[serde(rename = "type")]
    #[schema(example = "A")]
    pub record_type: String,
    /// Seconds; where absent as it is, else the domain's default.
    #[schema(maximum = 2147483647)]
    pub ttl: Option<u32>,
    /// All values; none: the RRset goes.
    pub records: Vec<RrsetValueBody>,
}

/// One value of an RRset.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RrsetValueBody {
    /// In presentation form.
    #[schema(example = "192.0.2.1")]
    pub content: String,
    /// Kept, but not served.
    #[serde(default)]
    pub disabled: bool,
}

/// Values that come and go, in one change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchRrsets {
    /// 1 to 2,000.
    #[schema(min_items = 1, max_items = 2000)]
    pub changes: Vec<RrsetOpBody>,
}

/// What is to happen to values of one RRset.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RrsetOpBody {
    /// `add`: these values come. `remove`: these go. `replace`: these are all; none: the RRset goes.
    #[schema(example = "add")]
    pub op: String,
    /// `@`, relative, or a whole name inside the domain.
    #[schema(example = "www")]
    pub name: String,
    #[serde(rename = "type")]
    #[schema(example = "A")]
    pub record_type: String,
    /// Seconds, for the whole RRset; not with `remove`.
    #[schema(maximum = 2147483647)]
    pub ttl: Option<u32>,
    pub records: Vec<RrsetValueBody>,
}

/// What became of RRsets.
#[derive(Debug, Serialize, ToSchema)]
pub struct RrsetsChanged {
    /// `false`: only asked (`dry_run`), nothing was written.
    pub applied: bool,
    /// Of the change in the domain's history; null where nothing changed or was only asked.
    #[schema(required = true)]
    pub change_id: Option<String>,
    /// RRsets that came to be.
    pub created: usize,
    /// RRsets that were there before and still are.
    pub updated: usize,
    /// RRsets that went.
    pub deleted: usize,
    pub changes: Vec<RrsetChangeItem>,
    /// What may not be meant so; never stops a write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub warnings: Vec<RrsetWarning>,
}

/// One RRset before and after.
#[derive(Debug, Serialize, ToSchema)]
pub struct RrsetChangeItem {
    /// The whole owner name, no trailing dot.
    #[schema(example = "www.shop.test")]
    pub name: String,
    #[serde(rename = "type")]
    #[schema(example = "A")]
    pub record_type: String,
    /// Null: it was not there.
    #[schema(required = true)]
    pub before: Option<RrsetItem>,
    /// Null: it is gone.
    #[schema(required = true)]
    pub after: Option<RrsetItem>,
}

/// The values of one name and type.
#[derive(Debug, Serialize, ToSchema)]
pub struct RrsetItem {
    /// Seconds.
    pub ttl: u32,
    pub records: Vec<RrsetValueItem>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RrsetValueItem {
    /// In canonical form.
    #[schema(example = "192.0.2.1")]
    pub content: String,
    /// Kept, but not served.
    pub disabled: bool,
}

/// A remark on a field of an RRset.
#[derive(Debug, Serialize, ToSchema)]
pub struct RrsetWarning {
    pub name: String,
    #[serde(rename = "type")]
    pub record_type: String,
    pub field: String,
    pub message: String,
}

/// Makes RRsets exactly what they are to be, in one change; with `prune` the whole domain. Values that stay keep the ids
/// of their records.
#[utoipa::path(put, path = "/api/v1/domains/{id}/rrsets", tag = "records", operation_id = "put_rrsets",
    params(("id" = String, Path), DryRun), request_body = PutRrsets, responses((status = 200, body = RrsetsChanged)))]
pub async fn put(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<DryRun>,
    ApiJson(body): ApiJson<PutRrsets>,
) -> Result<Json<RrsetsChanged>, ApiError> {
    let PutRrsets { rrsets, prune } = body;
    check_number(rrsets.len())?;
    let rrsets = rrsets.into_iter().map(wanted).collect();
    let wanted = WantedRrsets { rrsets, prune, dry_run: query.wanted() };
    Ok(Json(changed(rrsets::change(&services, &context, id, wanted).await?, query.wanted())))
}

/// Adds, removes or replaces values of RRsets, in one change.
#[utoipa::path(patch, path = "/api/v1/domains/{id}/rrsets", tag = "records", operation_id = "patch_rrsets",
    params(("id" = String, Path), DryRun), request_body = PatchRrsets, responses((status = 200, body = RrsetsChanged)))]
pub async fn patch(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<DryRun>,
    ApiJson(body): ApiJson<PatchRrsets>,
) -> Result<Json<RrsetsChanged>, ApiError> {
    let PatchRrsets { changes } = body;
    check_number(changes.len())?;
    if changes.is_empty() {
        return Err(Error::schema(&["body", "changes"], "must have at least one change").into());
    }
    let rrsets = changes.into_iter().map(wanted_by_op).collect::<Result<_, Error>>()?;
    let wanted = WantedRrsets { rrsets, prune: false, dry_run: query.wanted() };
    Ok(Json(changed(rrsets::change(&services, &context, id, wanted).await?, query.wanted())))
}

fn check_number(number: usize) -> Result<(), ApiError> {
    if number > RRSETS_MAX {
        let message = format!("At most {RRSETS_MAX} RRsets go into one call");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_rrsets", message));
    }
    Ok(())
}

fn wanted(body: RrsetBody) -> WantedRrset {
    let RrsetBody { name, record_type, ttl, records } = body;
    WantedRrset { how: RrsetHow::Exactly, name, record_type, ttl, values: values(records) }
}

fn wanted_by_op(body: RrsetOpBody) -> Result<WantedRrset, Error> {
    let RrsetOpBody { op, name, record_type, ttl, records } = body;
    let how = match op.as_str() {
        "add" => RrsetHow::Add,
        "remove" => RrsetHow::Remove,
        "replace" => RrsetHow::Exactly,
        _ => return Err(Error::invalid("op", "must be add, remove or replace")),
    };
    // whoever sends an RRset back as it was read sends its ttl with it
    let ttl = ttl.filter(|_| how != RrsetHow::Remove);
    Ok(WantedRrset { how, name, record_type, ttl, values: values(records) })
}

fn values(records: Vec<RrsetValueBody>) -> Vec<RrsetValue> {
    records.into_iter().map(|RrsetValueBody { content, disabled }| RrsetValue { content, disabled }).collect()
}

pub fn changed(changed: ChangedRrsets, dry_run: bool) -> RrsetsChanged {
    let ChangedRrsets { zone: _, change, changes, warnings } = changed;
    let count = |is: fn(&RrsetChange) -> bool| changes.iter().filter(|change| is(change)).count();
    RrsetsChanged {
        applied: !dry_run,
        change_id: change.map(|change| change.to_string()),
        created: count(|change| change.before.is_none()),
        updated: count(|change| change.before.is_some() && change.after.is_some()),
        deleted: count(|change| change.after.is_none()),
        changes: changes.into_iter().map(change_item).collect(),
        warnings: warnings.into_iter().map(warning).collect(),
    }
}

pub fn change_item(change: RrsetChange) -> RrsetChangeItem {
    let RrsetChange { key: RrsetKey { name, record_type }, before, after } = change;
    RrsetChangeItem {
        name: name.as_str().to_owned(),
        record_type: record_type.as_str().to_owned(),
        before: before.map(rrset_item),
        after: after.map(rrset_item),
    }
}

fn rrset_item(rrset: Rrset) -> RrsetItem {
    let Rrset { ttl, records } = rrset;
    let item = |Record { content, disabled }| RrsetValueItem { content, disabled };
    RrsetItem { ttl, records: records.into_iter().map(item).collect() }
}

fn warning((key, warning): (RrsetKey, Warning)) -> RrsetWarning {
    let RrsetKey { name, record_type } = key;
    let Warning { field, message } = warning;
    let (name, record_type) = (name.as_str().to_owned(), record_type.as_str().to_owned());
    RrsetWarning { name, record_type, field, message }
}
