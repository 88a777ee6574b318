//! A zone's records as a file: out of it, and into it as one change.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::authz::{Permission, ZoneAccess};
use crate::dns::zone_file::{self, FileRecord, LineError, ZoneFile, ZoneFileFormat};
use crate::dns::{RecordType, RrsetChange, RrsetEdit, RrsetHow, RrsetKey, RrsetValue};
use crate::ids::{ChangeId, JobId, ZoneId};
use crate::storage::import_parts::Tally;
use crate::storage::{audit as audit_log, within_write};

use super::audit;
use super::context::ActorRecord;
use super::import_jobs::{self, ACTION};
use super::zone_names::NamedZone;
use super::zone_writer::{Grouping, RecordOperation, WriteOutcome, ZoneView, ZoneWrite, tally};
use super::zones::{locate, zone_resource};
use super::{Context, Error, Refusal, Result, Services, history};

/// Records of a file.
pub(super) const RECORDS_MAX: usize = 200_000; // contract
/// Errors that an answer tells; of more it tells how many there are.
const ERRORS_TOLD_MAX: usize = 1_000;
/// Octets of a file that needs no turn.
const TEXT_SMALL: usize = 1_000_000;
/// Large files that a replica deals with at a time: each takes some hundred megabytes until it is decided on.
static LARGE_AT_ONCE: Semaphore = Semaphore::const_new(2);
const TURN_WAIT: Duration = Duration::from_secs(5);

/// What becomes of what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportMode {
    /// Records of the file come, or become as the file has them; others stay.
    Merge,
    /// The zone holds what the file holds.
    Replace,
    /// Records come that are not there; nothing that stands changes.
    SkipExisting,
}

impl ImportMode {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "merge" => Some(Self::Merge),
            "replace" => Some(Self::Replace),
            "skip_existing" => Some(Self::SkipExisting),
            _ => None,
        }
    }

    /// What the caller must be allowed to do with records, whatever the file holds.
    fn needs(self) -> &'static [Permission] {
        match self {
            Self::Merge => &[Permission::RecordsCreate, Permission::RecordsUpdate],
            Self::Replace => &[Permission::RecordsCreate, Permission::RecordsUpdate, Permission::RecordsDelete],
            Self::SkipExisting => &[Permission::RecordsCreate],
        }
    }
}

/// A file to be taken in.
#[derive(Debug)]
pub struct Import {
    pub format: ZoneFileFormat,
    pub mode: ImportMode,
    pub text: String,
    /// SOA and apex NS of the file count, too.
    pub include_system: bool,
    /// Only asked; nothing is written.
    pub preview: bool,
}

/// What became of a file.
#[derive(Debug, Default)]
pub struct Imported {
    /// None: nothing changed, or only asked.
    pub change: Option<ChangeId>,
    /// Nothing was written yet: this job does it, and will know what came of it.
    pub job: Option<JobId>,
    pub created: u64,
    pub updated: u64,
    pub deleted: u64,
    /// Records of the file that changed nothing.
    pub skipped: u64,
    /// Of the errors: those that clash with other records.
    pub conflicts: usize,
    /// Never any where something was written; not all of them where there are very many.
    pub errors: Vec<LineError>,
    pub error_count: usize,
    pub changes: Vec<RrsetChange>,
}

/// The records that the caller may read, as a file; as they were at a revision, where one is given.
pub async fn export(
    services: &Services,
    context: &Context,
    zone: ZoneId,
    (format, revision): (ZoneFileFormat, Option<u64>),
) -> Result<(ZoneView, String)> {
    let (named, access) = locate(services, context, zone, Permission::RecordsRead).await?;
    let mut view = services.writer.view(&access).await?;
    let mut after = json!({"format": format.as_str()});
    if let Some(revision) = revision {
        history::rewind(services, &access, &mut view, revision).await?;
        after["revision"] = revision.into();
    }
    let text = view.zone_file(format);
    let actor = ActorRecord::from(&context.caller.actor);
    let values = (json!(null), after);
    let (resource, now) = (zone_resource(named.id, &named.name), services.clock.now());
    let entry = audit::entry(&actor, &context.request, Some(named.tenant), "domain.export", resource, values, now);
    within_write(async {
        let mut tx = services.db.begin().await?;
        audit_log::append(&mut tx, None, &[entry]).await?;
        Ok(tx.commit().await?)
    })
    .await?;
    Ok((view, text))
}

/// Takes a file in as a whole, or says what is wrong with it, line by line, and writes nothing. What is more than one
/// change takes is left to a job, once it is found to be right.
pub async fn import(services: &Services, context: &Context, zone: ZoneId, import: Import) -> Result<Imported> {
    let Import { format, mode, text, include_system, preview } = import;
    let (zone, access) = open(services, context, zone, mode).await?;
    let _turn = if text.len() > TEXT_SMALL { Some(turn().await?) } else { None };
    let name = zone.name.clone();
    // the text goes when it is read: it may be large, and so may be what was read of it
    let read = tokio::task::spawn_blocking(move || zone_file::read(format, &text, &name, RECORDS_MAX));
    let file = read.await.map_err(|error| Error::Internal(error.to_string()))?;
    take_in(services, context, (zone, access), file, Wanted { mode, include_system, preview }).await
}

/// One of the few that may be under way at once.
pub(super) async fn turn() -> Result<SemaphorePermit<'static>> {
    match tokio::time::timeout(TURN_WAIT, LARGE_AT_ONCE.acquire()).await {
        Ok(Ok(turn)) => Ok(turn),
        Ok(Err(_)) | Err(_) => {
            let message = "Too many large files are being imported".into();
            Err(Error::Unavailable { message, retry_after: TURN_WAIT.as_secs() as u32 })
        }
    }
}

/// What is to be done with records that were read somewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub mode: ImportMode,
    pub include_system: bool,
    pub preview: bool,
}

/// Brings records into a zone, or says which of them cannot be.
pub(super) async fn take_in(
    services: &Services,
    context: &Context,
    (zone, access): (NamedZone, ZoneAccess),
    file: ZoneFile,
    Wanted { mode, include_system, preview }: Wanted,
) -> Result<Imported> {
    let ZoneFile { records, errors, too_many } = file;
    if too_many {
        let message = format!("a file may hold at most {RECORDS_MAX} records");
        return Err(Error::Invalid { message, field: Some("content"), code: "import_too_large" });
    }
    check_scope(&zone, &access, &records)?;
    let total = records.len();
    let (operations, lines) = operations(&zone, mode, include_system, records);
    let asked = preview || !errors.is_empty();
    let write = ZoneWrite {
        access,
        actor: ActorRecord::from(&context.caller.actor),
        request: context.request.clone(),
        operations,
        grouping: Grouping::Together(ACTION),
        dry_run: asked,
        large: Some(import_jobs::large(context, total)?),
    };
    let mut imported = match services.writer.apply(write).await {
        Ok(outcome) => counted(outcome, total),
        Err(Error::Several { message: _, errors }) => refused(errors, &lines),
        Err(error) => return Err(error),
    };
    imported.errors.extend(errors);
    imported.errors.sort_by_key(|error| error.line);
    imported.error_count = imported.errors.len();
    imported.errors.truncate(ERRORS_TOLD_MAX);
    Ok(imported)
}

/// Whether the caller may import anything at all.
pub async fn may_import(services: &Services, context: &Context, zone: ZoneId) -> Result<()> {
    open(services, context, zone, ImportMode::SkipExisting).await.map(drop)
}

pub(super) async fn open(
    services: &Services,
    context: &Context,
    zone: ZoneId,
    mode: ImportMode,
) -> Result<(NamedZone, ZoneAccess)> {
    let mut found = None;
    for permission in mode.needs() {
        found = Some(locate(services, context, zone, *permission).await?);
    }
    found.ok_or(Error::NotFound("Domain"))
}

/// A file that touches one name outside of the caller's rights is refused as a whole, also where it would change
/// nothing there.
fn check_scope(zone: &NamedZone, access: &ZoneAccess, records: &[FileRecord]) -> Result<()> {
    let outside = records.iter().find(|record| {
        let RrsetKey { name, record_type } = &record.key;
        !access.covers(&zone.name, name, record_type)
    });
    let Some(FileRecord { line, key: RrsetKey { name, record_type }, .. }) = outside else { return Ok(()) };
    let name = name.display_name(&zone.name);
    let message = format!("Your access to this domain does not cover {name} {record_type} in line {line}");
    Err(Error::OutOfScope { message, field: "name" })
}

/// The operations of a file, and the line that each of them is from.
fn operations(
    zone: &NamedZone,
    mode: ImportMode,
    include_system: bool,
    records: Vec<FileRecord>,
) -> (Vec<RecordOperation>, Vec<usize>) {
    let is_system =
        |key: &RrsetKey| key.name.is_apex(&zone.name) && matches!(key.record_type, RecordType::Soa | RecordType::Ns);
    let mut by_key: BTreeMap<RrsetKey, WantedRrset> = BTreeMap::new();
    for FileRecord { line, key, content, ttl, disabled } in records {
        if !include_system && is_system(&key) {
            continue;
        }
        let wanted = by_key.entry(key).or_insert_with(|| WantedRrset { ttl, values: Vec::new() });
        // as with BIND, an RRset has the TTL of its first record, and a record that stands there twice is one
        if wanted.values.iter().all(|(_, value)| value.content != content) {
            wanted.values.push((line, RrsetValue { content, disabled }));
        }
    }
    let (mut operations, mut lines) = (Vec::new(), Vec::new());
    for (key, WantedRrset { ttl, values }) in by_key {
        let how = match mode {
            // there is one SOA, whatever the mode
            _ if key.record_type == RecordType::Soa => RrsetHow::Exactly,
            ImportMode::Replace => RrsetHow::Exactly,
            ImportMode::Merge => RrsetHow::Merge,
            ImportMode::SkipExisting => RrsetHow::Missing,
        };
        if how == RrsetHow::Exactly {
            lines.extend(values.first().map(|(line, _)| *line));
            let values = values.into_iter().map(|(_, value)| value).collect();
            operations.push(RecordOperation::Rrset(RrsetEdit { key, how, ttl, values }));
            continue;
        }
        // one by one, so that each has its line
        for (line, value) in values {
            lines.push(line);
            operations.push(RecordOperation::Rrset(RrsetEdit { key: key.clone(), how, ttl, values: vec![value] }));
        }
    }
    if mode == ImportMode::Replace {
        operations.push(RecordOperation::Prune);
    }
    (operations, lines)
}

/// An RRset of the file.
struct WantedRrset {
    ttl: Option<u32>,
    values: Vec<(usize, RrsetValue)>,
}

fn refused(errors: Vec<Refusal>, lines: &[usize]) -> Imported {
    let conflicts = errors.iter().filter(|refusal| matches!(refusal.error, Error::Conflict { .. })).count();
    let line_error = |Refusal { index, error }: Refusal| {
        let field = match &error {
            Error::Invalid { field, .. } | Error::Conflict { field, .. } => *field,
            _ => None,
        };
        let line = lines.get(index).copied().unwrap_or_default();
        LineError { line, field, message: error.to_string() }
    };
    Imported { conflicts, errors: errors.into_iter().map(line_error).collect(), ..Imported::default() }
}

fn counted(outcome: WriteOutcome, total: usize) -> Imported {
    let WriteOutcome { change, changes, job, .. } = outcome;
    let Tally { created, updated, deleted } = tally(&changes);
    let skipped = (total as u64).saturating_sub(created + updated);
    Imported { change, job, created, updated, deleted, skipped, changes, ..Imported::default() }
}
