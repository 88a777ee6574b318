//! Jobs: work that no request waits for. MariaDB says what is to be done and who works on it; a worker claims a job for
//! a short time, renews that while it works, and goes on where the one before it stopped.
//!
//! [`kinds`] has what each kind does, [`recurring`] what is done by the clock, [`run`] how one job is run.

pub mod kinds;
pub mod recurring;
pub mod run;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{MySql, Transaction};

use crate::authz::{Denied, Permission, Target, Visibility, ZoneRef, decide, decide_tenant, decide_zone};
use crate::ids::{JobId, TenantId, ZoneId};
use crate::storage::jobs::{self, JobRow, JobStatus, NewJob};
use crate::storage::recurring_jobs::{self, RecurringRow};
use crate::storage::within;

use super::context::{ActorRecord, RequestInfo};
use super::{Context, Error, PageRequest, Result, Services};

/// A job that a request asks for.
#[derive(Clone, Debug)]
pub struct JobRequest {
    /// Made by who asks, so that a request that is repeated asks for the same job.
    pub id: JobId,
    /// One of [`kinds::KINDS`].
    pub kind: &'static str,
    /// Whose it is; None: the platform's own.
    pub tenant: Option<TenantId>,
    /// What it works on. A zone has one unfinished job of a kind at a time; another one is refused.
    pub zone: Option<ZoneId>,
    /// Read by the handler, gone when the job is over. Without secrets.
    pub parameters: Value,
    /// How many steps there will be, where that is known.
    pub total: Option<u64>,
}

/// Who asked for a job, and with which request: in whose name it acts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestedBy {
    pub actor: ActorRecord,
    pub request: RequestInfo,
}

impl From<&Context> for RequestedBy {
    fn from(context: &Context) -> Self {
        Self { actor: ActorRecord::from(&context.caller.actor), request: context.request.clone() }
    }
}

/// Writes a job down in the caller's transaction: it is there if that commits, and a worker finds it.
pub async fn create(tx: &mut Transaction<'_, MySql>, by: &RequestedBy, request: JobRequest) -> Result<JobId> {
    let JobRequest { id, kind, tenant, zone, parameters, total } = request;
    let requested_by = serde_json::to_value(by).map_err(|error| Error::Internal(error.to_string()))?;
    let job = NewJob { id, kind, tenant, zone, requested_by, parameters, total };
    match jobs::create(tx, &job).await {
        Ok(()) => Ok(job.id),
        Err(error) if error.is_duplicate_of(jobs::BUSY_ZONE) => {
            Err(Error::conflict("job_running", format!("The domain has a job of the kind {kind} already")))
        }
        Err(error) => Err(error.into()),
    }
}

/// A job as its tenant sees it: one of a zone to who may read that zone, others to the tenant's admin.
pub async fn get(services: &Services, context: &Context, id: JobId) -> Result<JobRow> {
    let absent = Error::NotFound("Job");
    let visible = Visibility::of_lookup(&context.caller);
    let row = within(jobs::find(&services.db, &visible, id)).await?.ok_or(absent.clone())?;
    match may_see(context, &row) {
        Ok(()) => Ok(row),
        Err(_) => Err(absent),
    }
}

fn may_see(context: &Context, row: &JobRow) -> std::result::Result<(), Denied> {
    let caller = &context.caller;
    match (row.tenant, row.zone) {
        (Some(tenant), Some(id)) => {
            decide_zone(caller, Permission::DomainsRead, ZoneRef { id, tenant })?;
            Ok(())
        }
        (Some(_), None) if caller.is_tenant_admin() => decide_tenant(caller, Permission::DomainsRead).map(drop),
        _ => decide(caller, Permission::PlatformRead, Target::Platform),
    }
}

/// What is asked of the list of all jobs.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    pub status: Option<JobStatus>,
    pub kind: Option<String>,
}

/// One page of all jobs, the newest first.
pub struct JobPage {
    pub rows: Vec<JobRow>,
    pub total: u64,
    /// There is another page behind this one.
    pub more: bool,
}

/// The jobs of all tenants, for the platform's admin.
pub async fn list(
    services: &Services,
    context: &Context,
    filter: &JobFilter,
    page: &PageRequest,
    after: Option<JobId>,
) -> Result<JobPage> {
    decide(&context.caller, Permission::PlatformRead, Target::Platform)?;
    let JobFilter { status, kind } = filter;
    let offset = if after.is_some() { 0 } else { page.offset() };
    let look = jobs::list(&services.db, *status, kind.as_deref(), after, (offset, page.page_size + 1));
    let (mut rows, total) = within(look).await?;
    let more = rows.len() > page.page_size as usize;
    rows.truncate(page.page_size as usize);
    Ok(JobPage { rows, total, more })
}

/// Any job, for the platform's admin.
pub async fn get_any(services: &Services, context: &Context, id: JobId) -> Result<JobRow> {
    let visible = Visibility::of_lookup(&context.caller);
    let row = within(jobs::find(&services.db, &visible, id)).await?.ok_or(Error::NotFound("Job"))?;
    decide(&context.caller, Permission::PlatformRead, Target::Platform)?;
    Ok(row)
}

/// What recurs and how it went, for the platform's admin.
pub async fn recurring(services: &Services, context: &Context) -> Result<Vec<RecurringRow>> {
    decide(&context.caller, Permission::PlatformRead, Target::Platform)?;
    Ok(within(recurring_jobs::list(&services.db)).await?)
}
