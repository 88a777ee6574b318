//! The job of an import that is more than one change of a zone: it writes the parts that were decided on when it was
//! made, one after the other, each a change of its own. What is left to be done stands with the parts, so that whoever
//! takes the job over goes on where the last settled part ended. The import is one entry in the audit log, at its end.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{MySql, Transaction};

use crate::authz::{Permission, Visibility, ZoneAccess};
use crate::dns::RrsetChange;
use crate::ids::ZoneId;
use crate::storage::audit::AuditEntry;
use crate::storage::import_parts::{self, OpenPart, Tally};
use crate::storage::jobs::Progress;
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{self, within};

use super::jobs::RequestedBy;
use super::jobs::kinds::{Outcome, Stop};
use super::jobs::run::Run;
use super::zone_writer::{ImportPart, Large, PartRef};
use super::zones::zone_resource;
use super::{Context, Error, Result, Services, audit};

/// What such a job is called.
pub const KIND: &str = "import";
/// What the audit log calls an import.
pub const ACTION: &str = "domain.import";

/// What the job is told beside its parts.
#[derive(Debug, Serialize, Deserialize)]
struct Parameters {
    /// Of the file.
    records: u64,
}

/// How an import of so many records becomes a job.
pub fn large(context: &Context, records: usize) -> Result<Large> {
    let value = |value: serde_json::Result<Value>| value.map_err(|error| Error::Internal(error.to_string()));
    Ok(Large {
        kind: KIND,
        requested_by: value(serde_json::to_value(RequestedBy::from(context)))?,
        parameters: value(serde_json::to_value(Parameters { records: records as u64 }))?,
    })
}

pub async fn run(services: &Services, run: &Run) -> Outcome {
    let RequestedBy { actor, request } = run.requested_by()?;
    let Parameters { records } = run.parameters()?;
    let row = within(zones::find(&services.db, &Visibility::system(), zone(run)?)).await?;
    let row = row.ok_or_else(|| Stop::Fail("the domain is gone".into()))?;
    let access = ZoneAccess::system(row.reference(), Permission::RecordsUpdate);
    // a part whose outcome nobody knew at first was settled by recovery
    let settled = progress(services, run).await?;
    if settled.total == Some(0) {
        return Err(Stop::Fail("what was to be imported is no longer there; import it again".into()));
    }
    if settled.done > run.progress().done {
        run.checkpoint(&settled, None).await?;
    }
    while let Some(OpenPart { part, changes }) = within(import_parts::next(&services.db, run.id())).await? {
        let changes: Vec<RrsetChange> = serde_json::from_str(&changes)
            .map_err(|error| Stop::Fail(format!("part {part} cannot be read: {error}")))?;
        let part = PartRef { job: run.id(), part };
        let (access, actor, request) = (access.clone(), actor.clone(), request.clone());
        let written = services.writer.write_part(ImportPart { access, actor, request, part, changes }).await;
        written.map_err(told)?;
        run.checkpoint(&progress(services, run).await?, None).await?;
    }
    let Tally { created, updated, deleted } =
        within(import_parts::progress(services.db.pool(), run.id())).await?.wanted;
    Ok(json!({
        "imported_count": created + updated,
        "created": created,
        "updated": updated,
        "deleted": deleted,
        "skipped": records.saturating_sub(created + updated),
    }))
}

/// Of several reasons the first is told, too.
fn told(error: Error) -> Stop {
    match &error {
        Error::Several { message, errors } => {
            let first = errors.first().map_or_else(String::new, |refusal| format!(": {}", refusal.error));
            Stop::Fail(format!("{message}{first}"))
        }
        _ => error.into(),
    }
}

fn zone(run: &Run) -> std::result::Result<ZoneId, Stop> {
    run.zone().ok_or_else(|| Stop::Fail("the job has no domain".into()))
}

async fn progress(services: &Services, run: &Run) -> std::result::Result<Progress, Stop> {
    let import_parts::Progress { parts, parts_done, rrsets, rrsets_done, .. } =
        within(import_parts::progress(services.db.pool(), run.id())).await?;
    let message = Some(format!("{parts_done} of {parts} changes are made"));
    Ok(Progress { done: rrsets_done, total: Some(rrsets), message })
}

/// What of the import was written: all of it, or up to where it failed.
pub async fn entries(
    services: &Services,
    run: &Run,
    succeeded: bool,
    tx: &mut Transaction<'static, MySql>,
) -> storage::Result<Vec<AuditEntry>> {
    let Tally { created, updated, deleted } = import_parts::progress(&mut **tx, run.id()).await?.written;
    let by = run.requested_by().ok();
    let row = match run.zone() {
        Some(zone) => zones::lock(tx, zone).await?,
        None => None,
    };
    let (Some(by), Some(row)) = (by, row) else { return Ok(Vec::new()) };
    if created + updated + deleted == 0 {
        return Ok(Vec::new());
    }
    let before = json!({ "records": updated + deleted });
    let after = json!({ "records": created + updated, "job_id": run.id().to_string(), "complete": succeeded });
    let RequestedBy { actor, request } = by;
    let ZoneRow { id, tenant, name, .. } = &row;
    let (resource, now) = (zone_resource(*id, name), services.clock.now());
    Ok(vec![audit::entry(&actor, &request, Some(*tenant), ACTION, resource, (before, after), now)])
}
