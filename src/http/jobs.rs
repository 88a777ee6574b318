//! `/jobs/{job_id}` for those who wait for one, `/admin/jobs` for operators: queued work and what recurs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::ids::JobId;
use crate::service::jobs::{self, JobFilter, JobPage};
use crate::service::{Error, Services};
use crate::storage::jobs::{JobRow, JobStatus, Progress};
use crate::storage::recurring_jobs::RecurringRow;

use super::error::ApiError;
use super::extract::{ApiPath, ApiQuery, Authenticated};
use super::paging::{Page, decode_cursor, page_request};

/// Longer than any kind.
const KIND_CHARACTERS_MAX: usize = 32;

/// Work that no request waits for.
#[derive(Serialize, ToSchema)]
pub struct JobItem {
    #[schema(example = "job_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub id: String,
    /// What it does.
    #[schema(example = "import")]
    pub kind: String,
    /// `queued`, `running`, `succeeded` or `failed`.
    #[schema(example = "running")]
    pub status: String,
    /// Null for the platform's own.
    pub tenant_id: Option<String>,
    /// The domain it works on.
    pub domain_id: Option<String>,
    pub progress: JobProgress,
    /// What came of it, once it has succeeded.
    pub result: Option<Value>,
    /// Why it failed, or what stood in its way last.
    pub error: Option<String>,
    /// Attempts since it last got further.
    pub attempts: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// How far it is.
#[derive(Serialize, ToSchema)]
pub struct JobProgress {
    pub done: u64,
    /// Null where it is not known.
    pub total: Option<u64>,
    pub message: Option<String>,
}

/// Something that is done by the clock.
#[derive(Serialize, ToSchema)]
pub struct RecurringJob {
    #[schema(example = "revocations")]
    pub name: String,
    pub running: bool,
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_started_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_finished_at: Option<OffsetDateTime>,
    /// `succeeded` or `failed`; null before its first run.
    pub last_outcome: Option<String>,
    /// How many things the last run dealt with; null where it failed.
    pub last_count: Option<u64>,
    /// Of the last run that failed.
    pub last_error: Option<String>,
    /// How many things all runs dealt with.
    pub total_count: u64,
    pub runs: u64,
    pub failures: u64,
    /// While it runs: when another worker would take it for dead.
    #[serde(with = "time::serde::rfc3339")]
    pub next_run_at: OffsetDateTime,
}

/// One page of jobs, and everything that recurs.
#[derive(Serialize, ToSchema)]
pub struct AdminJobs {
    #[serde(flatten)]
    pub page: Page<JobItem>,
    pub recurring: Vec<RecurringJob>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct JobsQuery {
    #[param(minimum = 1, default = 1)]
    page: Option<u32>,
    #[param(minimum = 1, maximum = 100, default = 50)]
    page_size: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// `queued`, `running`, `succeeded` or `failed`.
    status: Option<String>,
    #[param(max_length = 32)]
    kind: Option<String>,
}

/// A job of the tenant: how far it is, and what came of it.
#[utoipa::path(get, path = "/api/v1/jobs/{job_id}", tag = "jobs", params(("job_id" = String, Path)),
    responses((status = 200, body = JobItem)))]
pub async fn get(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<JobItem>, ApiError> {
    Ok(Json(jobs::get(&services, &context, job_id(&id)?).await?.into()))
}

/// Jobs of all tenants, newest first, and what recurs; for the platform's admin.
#[utoipa::path(get, path = "/api/v1/admin/jobs", tag = "admin jobs", params(JobsQuery),
    responses((status = 200, body = AdminJobs)))]
pub async fn list(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiQuery(query): ApiQuery<JobsQuery>,
) -> Result<Json<AdminJobs>, ApiError> {
    let page = page_request(query.page, query.page_size)?;
    let after = decode_cursor(query.cursor.as_deref())?;
    let found = jobs::list(&services, &context, &filter(query)?, &page, after).await?;
    let recurring = jobs::recurring(&services, &context).await?;
    let JobPage { rows, total, more } = found;
    let next = rows.last().filter(|_| more).map(|row| row.id);
    let page = Page::new(&page, rows.into_iter().map(JobItem::from).collect(), total, next);
    Ok(Json(AdminJobs { page, recurring: recurring.into_iter().map(RecurringJob::from).collect() }))
}

/// Any job; for the platform's admin.
#[utoipa::path(get, path = "/api/v1/admin/jobs/{job_id}", tag = "admin jobs", params(("job_id" = String, Path)),
    responses((status = 200, body = JobItem)))]
pub async fn get_any(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<JobItem>, ApiError> {
    Ok(Json(jobs::get_any(&services, &context, job_id(&id)?).await?.into()))
}

fn job_id(text: &str) -> Result<JobId, Error> {
    text.parse().map_err(|_| Error::NotFound("Job"))
}

fn filter(query: JobsQuery) -> Result<JobFilter, Error> {
    let JobsQuery { page: _, page_size: _, cursor: _, status, kind } = query;
    let read = |text: &str| JobStatus::parse(text).ok_or_else(|| Error::invalid("status", "unknown status"));
    if kind.as_ref().is_some_and(|kind| kind.len() > KIND_CHARACTERS_MAX || !kind.is_ascii()) {
        return Err(Error::schema(&["query", "kind"], "must have at most 32 ASCII characters"));
    }
    Ok(JobFilter { status: status.as_deref().map(read).transpose()?, kind })
}

impl From<JobRow> for JobItem {
    fn from(row: JobRow) -> Self {
        let JobRow {
            id,
            kind,
            tenant,
            zone,
            requested_by: _,
            status,
            look_at: _,
            attempts,
            progress: Progress { done, total, message },
            result,
            error,
            created_at,
            started_at,
            finished_at,
            updated_at,
        } = row;
        Self {
            id: id.to_string(),
            kind,
            status: status.as_str().to_owned(),
            tenant_id: tenant.map(|tenant| tenant.to_string()),
            domain_id: zone.map(|zone| zone.to_string()),
            progress: JobProgress { done, total, message },
            result,
            error,
            attempts,
            created_at,
            started_at,
            finished_at,
            updated_at,
        }
    }
}

impl From<RecurringRow> for RecurringJob {
    fn from(row: RecurringRow) -> Self {
        let RecurringRow {
            name,
            look_at,
            running,
            runs,
            failures,
            total_count,
            last_count,
            last_outcome,
            last_error,
            started_at,
            finished_at,
        } = row;
        Self {
            name,
            running,
            last_started_at: started_at,
            last_finished_at: finished_at,
            last_outcome,
            last_count,
            last_error,
            total_count,
            runs,
            failures,
            next_run_at: look_at,
        }
    }
}
