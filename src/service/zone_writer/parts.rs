//! A part of a change that was decided as a whole before, written for the job that holds the zone. Whoever else wants to
//! write to it is told to come back.
//!
//! The zone's row says which job that is, and is a part of what an intent's decision rests on: a writer who decided
//! before the job came finds the row moved, and so does a part that comes after the job's end. A part may be written
//! again at any time: what stands in the zone already is no change. The settle of its batch marks it as done.

use serde::{Deserialize, Serialize};

use crate::authz::ZoneAccess;
use crate::dns::{RrsetChange, RrsetEdit, RrsetHow, RrsetValue};
use crate::ids::JobId;
use crate::storage::{import_parts, within_write};

use super::super::context::{ActorRecord, RequestInfo};
use super::super::{Error, Result};
use super::decide::{Grouping, RecordOperation};
use super::{ZoneWrite, ZoneWriter};

/// Seconds after which whoever finds the zone held asks again: a job of some thousand RRsets takes as long.
const RETRY_AFTER: u32 = 5;

/// Which part of which job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRef {
    pub job: JobId,
    pub part: u32,
}

impl PartRef {
    pub fn key(self) -> (JobId, u32) {
        (self.job, self.part)
    }
}

/// A part to be written.
#[derive(Clone, Debug)]
pub struct ImportPart {
    pub access: ZoneAccess,
    pub actor: ActorRecord,
    pub request: RequestInfo,
    pub part: PartRef,
    pub changes: Vec<RrsetChange>,
}

/// A job alone may write to the zone.
pub fn busy() -> Error {
    Error::Unavailable { message: "The domain is busy with an import".into(), retry_after: RETRY_AFTER }
}

/// Whether a request may write to a zone that this job holds, or none does.
pub fn check_hold(held_by: Option<JobId>, grouping: &Grouping) -> Result<()> {
    match (held_by, grouping) {
        (None, Grouping::Part(_)) => Err(Error::conflict("import_over", "The import is over")),
        (Some(job), Grouping::Part(part)) if part.job == job => Ok(()),
        (Some(_), _) => Err(busy()),
        (None, Grouping::Single | Grouping::Together(_) | Grouping::EachAlone(_)) => Ok(()),
    }
}

impl ZoneWriter {
    /// Brings a part into the zone. Safe to repeat.
    pub async fn write_part(&self, part: ImportPart) -> Result<()> {
        let ImportPart { access, actor, request, part, changes } = part;
        let operations = changes.into_iter().map(|RrsetChange { key, before: _, after }| {
            let ttl = after.as_ref().map(|rrset| rrset.ttl);
            let records = after.into_iter().flat_map(|rrset| rrset.records);
            let values = records.map(|record| RrsetValue { content: record.content, disabled: record.disabled });
            RecordOperation::Rrset(RrsetEdit { key, how: RrsetHow::Exactly, ttl, values: values.collect() })
        });
        let write = ZoneWrite {
            access,
            actor,
            request,
            operations: operations.collect(),
            grouping: Grouping::Part(part),
            dry_run: false,
            large: None,
        };
        if self.apply(write).await?.change.is_none() {
            within_write(import_parts::mark_standing(&self.inner.db, part.key())).await?;
        }
        Ok(())
    }
}
