//! `/domains/{id}/records/bulk` and `bulk-delete`: many records in one call.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::dns::Warning;
use crate::ids::{RecordId, ZoneId};
use crate::service::bulk::{self, Bulk, BulkDone};
use crate::service::records::NewRecord;
use crate::service::zone_writer::RecordView;
use crate::service::{Error, Refusal, SchemaProblem, Services};

use super::error::{ApiError, ErrorDetail};
use super::extract::{ApiJson, ApiPath, ApiQuery, Authenticated, parse_part};
use super::records::{CreateRecord, DryRun, RecordItem, item, ptr_item};

const RECORDS_MAX: usize = 500; // contract

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkCreate {
    /// 1 to 500 of them.
    #[schema(value_type = Vec<CreateRecord>, min_items = 1, max_items = 500)]
    pub records: Vec<Value>,
    /// `true`: makes those that can be made. Otherwise all are made, or none.
    #[serde(default)]
    pub continue_on_error: bool,
}

/// What was made, and what was not.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkCreated {
    pub created: Vec<RecordItem>,
    /// Empty, but for `continue_on_error`.
    pub errors: Vec<BulkError>,
    pub total_created: usize,
    pub total_errors: usize,
    /// `false`: only asked (`dry_run`), nothing was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<bool>,
}

/// A record that was not made.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkError {
    /// Its place among `records`, from 0.
    pub index: usize,
    /// As it was sent.
    pub record: Value,
    /// As the `detail` of a failure to make it alone.
    pub detail: ErrorDetail,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkDelete {
    /// 1 to 500 of them.
    #[schema(min_items = 1, max_items = 500)]
    pub record_ids: Vec<String>,
    /// `true`: deletes those that can be deleted. Otherwise all go, or none.
    #[serde(default)]
    pub continue_on_error: bool,
}

/// What was deleted, and what was not.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkDeleted {
    /// As they were.
    pub deleted: Vec<RecordItem>,
    /// Empty, but for `continue_on_error`.
    pub errors: Vec<BulkDeleteError>,
    pub total_deleted: usize,
    pub total_errors: usize,
    /// `false`: only asked (`dry_run`), nothing was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<bool>,
}

/// A record that was not deleted.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkDeleteError {
    /// Its place among `record_ids`, from 0.
    pub index: usize,
    /// As it was sent.
    pub record_id: String,
    /// As the `detail` of a failure to delete it alone.
    pub detail: ErrorDetail,
}

/// Adds up to 500 records in one change: all or none, or, with `continue_on_error`, those that can be added.
#[utoipa::path(post, path = "/api/v1/domains/{id}/records/bulk", tag = "records", operation_id = "bulk_create",
    params(("id" = String, Path), DryRun), request_body = BulkCreate, responses((status = 200, body = BulkCreated)))]
pub async fn create(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<DryRun>,
    ApiJson(body): ApiJson<BulkCreate>,
) -> Result<Json<BulkCreated>, ApiError> {
    let BulkCreate { records: sent, continue_on_error } = body;
    let wanted = wanted(&sent, continue_on_error, query.wanted())?;
    match bulk::create(&services, &context, id, wanted).await {
        Ok(created) => Ok(Json(answer(created, &sent, query.wanted()))),
        Err(Error::Several { message, errors }) => {
            Err(ApiError::several(message, errors, |index| sent.get(index).cloned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Deletes up to 500 records in one change: all or none, or, with `continue_on_error`, those that can be deleted.
#[utoipa::path(post, path = "/api/v1/domains/{id}/records/bulk-delete", tag = "records", operation_id = "bulk_delete",
    params(("id" = String, Path), DryRun), request_body = BulkDelete, responses((status = 200, body = BulkDeleted)))]
pub async fn delete(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<DryRun>,
    ApiJson(body): ApiJson<BulkDelete>,
) -> Result<Json<BulkDeleted>, ApiError> {
    let BulkDelete { record_ids, continue_on_error } = body;
    check_number(record_ids.len(), "record_ids")?;
    // what is no id of a record is the id of none
    let parts = record_ids.iter().map(|id| id.parse::<RecordId>().map_err(|_| Error::NotFound("Record"))).collect();
    let wanted = Bulk { parts, continue_on_error, dry_run: query.wanted() };
    let done = bulk::delete(&services, &context, id, wanted).await?;
    Ok(Json(answer_deleted(done, &record_ids, query.wanted())))
}

fn check_number(number: usize, field: &str) -> Result<(), ApiError> {
    if number > RECORDS_MAX {
        let message = format!("At most {RECORDS_MAX} records go into one call");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_records", message));
    }
    if number == 0 {
        return Err(Error::schema(&["body", field], "must have at least one record").into());
    }
    Ok(())
}

/// A record that does not have the documented form fails the call, or, with `continue_on_error`, itself.
fn wanted(sent: &[Value], continue_on_error: bool, dry_run: bool) -> Result<Bulk<NewRecord>, ApiError> {
    check_number(sent.len(), "records")?;
    let read: Vec<Result<CreateRecord, SchemaProblem>> =
        sent.iter().enumerate().map(|(index, record)| parse_part(record, &format!("records[{index}]"))).collect();
    let problems: Vec<SchemaProblem> = read.iter().filter_map(|record| record.as_ref().err().cloned()).collect();
    if !continue_on_error && !problems.is_empty() {
        return Err(Error::Schema(problems).into());
    }
    let records = read.into_iter().map(|record| match record {
        Ok(record) => Ok(record.into()),
        Err(problem) => Err(Error::Schema(vec![problem])),
    });
    Ok(Bulk { parts: records.collect(), continue_on_error, dry_run })
}

fn answer(done: BulkDone, sent: &[Value], dry_run: bool) -> BulkCreated {
    let BulkDone { zone, records, mut ptrs, refused } = done;
    let made = |(view, warnings): (RecordView, Vec<Warning>)| {
        let ptr = ptrs.remove(&view.id).map(ptr_item);
        RecordItem { ptr, ..item(&zone, view, warnings, None) }
    };
    let created: Vec<RecordItem> = records.into_iter().map(made).collect();
    let errors: Vec<BulkError> = refused
        .into_iter()
        .map(|Refusal { index, error }| BulkError {
            index,
            record: sent.get(index).cloned().unwrap_or_default(),
            detail: error.into(),
        })
        .collect();
    BulkCreated {
        total_created: created.len(),
        total_errors: errors.len(),
        created,
        errors,
        applied: dry_run.then_some(false),
    }
}

fn answer_deleted(done: BulkDone, sent: &[String], dry_run: bool) -> BulkDeleted {
    let BulkDone { zone, records, ptrs: _, refused } = done;
    let deleted: Vec<RecordItem> =
        records.into_iter().map(|(view, warnings)| item(&zone, view, warnings, None)).collect();
    let errors: Vec<BulkDeleteError> = refused
        .into_iter()
        .map(|Refusal { index, error }| BulkDeleteError {
            index,
            record_id: sent.get(index).cloned().unwrap_or_default(),
            detail: error.into(),
        })
        .collect();
    BulkDeleted {
        total_deleted: deleted.len(),
        total_errors: errors.len(),
        deleted,
        errors,
        applied: dry_run.then_some(false),
    }
}
