//! Bringing the platform's nameservers into a zone that was live before they were set: a change like any other, decided
//! on the zone as it stands.
//!
//! Which nameservers these are is read after the state of the zone that the decision rests on (`batch.rs`). So of two
//! writes of a zone the later one never has older ones, whoever made it, and the mark in the zone's row, which is no
//! newer than what was read before the write, never says more than is true.

use crate::authz::{Actor, Permission, ZoneAccess, ZoneRef};
use crate::dns::{EditContext, Operation, OwnerName, RecordRef, RecordType, RrsetEdit, RrsetHow, RrsetKey, Soa};
use crate::ids::ZoneId;
use crate::storage::zones::ZoneRow;
use crate::storage::{within, within_write, zone_nameservers};

use super::super::context::{ActorRecord, RequestInfo};
use super::super::{Error, Result};
use super::decide::{Deciding, Grouping, RecordOperation};
use super::{Inner, ZoneWrite, ZoneWriter};

/// Who does it, in the history and the audit log of tenants.
const ACTOR: &str = "nameservers";
/// How the audit log calls it.
const ACTION: &str = "domain.update";

impl ZoneWriter {
    /// Writes what of the nameservers is not yet as it should be. Safe to repeat.
    pub async fn follow_nameservers(&self, zone: ZoneRef, request: RequestInfo) -> Result<()> {
        let version = self.inner.platform.fresh().await?.nameservers.version;
        let write = ZoneWrite {
            access: ZoneAccess::system(zone, Permission::RecordsUpdate),
            actor: ActorRecord::from(&Actor::System { name: ACTOR }),
            request,
            operations: vec![RecordOperation::Nameservers],
            grouping: Grouping::Together(ACTION),
            dry_run: false,
            large: None,
        };
        self.apply(write).await?;
        self.inner.note_nameservers(zone.id, version).await
    }

    /// For a zone that has come back after it was withdrawn. What fails here is done by the minute.
    pub(super) async fn follow_nameservers_after_return(&self, zone: ZoneRef) {
        let followed = async {
            let version = self.inner.platform.settings().await?.nameservers.version;
            if within(zone_nameservers::is_due(&self.inner.db, version, zone.id)).await? {
                self.follow_nameservers(zone, RequestInfo::none()).await?;
            }
            Ok::<(), Error>(())
        };
        if let Err(error) = followed.await {
            tracing::warn!(zone = %zone.id, %error, "a zone that came back has old nameservers for the moment");
        }
    }
}

impl Inner {
    /// The zone has these nameservers, or later ones.
    pub(super) async fn note_nameservers(&self, zone: ZoneId, version: u32) -> Result<()> {
        if version == 0 {
            return Ok(());
        }
        Ok(within_write(zone_nameservers::note(&self.db, zone, version)).await?)
    }
}

impl Deciding<'_> {
    /// What brings the apex up to date. A zone that is not live yet has nothing of the platform's.
    pub(super) fn nameserver_operations(&self, context: &EditContext) -> Vec<Operation> {
        let Some(set) = self.platform.filter(|_| !context.pending).map(|platform| &platform.nameservers) else {
            return Vec::new();
        };
        let key = |record_type| RrsetKey { name: OwnerName::apex(&self.row.name), record_type };
        let soa = key(RecordType::Soa);
        let content = self.content.get(&soa).and_then(|rrset| rrset.records.first()).map(|record| &record.content);
        let standing = content.and_then(|content| Soa::parse(content).ok());
        let ns = key(RecordType::Ns);
        let primary = standing.as_ref().map(|soa| soa.mname.as_str());
        let values = self.content.get(&ns).and_then(|rrset| set.apex(rrset, primary));
        let edit = values.map(|values| RrsetEdit { key: ns, how: RrsetHow::Exactly, ttl: None, values });
        let mut operations: Vec<Operation> = edit.iter().flat_map(|edit| self.content.plan(edit)).collect();
        if let (Some(content), Some(wanted)) = (content, set.primary())
            && primary.is_some_and(|primary| primary != wanted)
        {
            let target = RecordRef { key: soa, content: content.clone() };
            operations.push(Operation::SetPrimary { target, primary: wanted });
        }
        operations
    }
}

/// Whether a request must know the platform's nameservers: what puts back what was before knows old ones only.
pub(super) fn needs_nameservers(operation: &RecordOperation) -> bool {
    matches!(operation, RecordOperation::Nameservers | RecordOperation::PutBack { .. })
}

/// Whether these are the RRsets that [`Deciding::nameserver_operations`] writes.
pub(super) fn is_apex_ns(row: &ZoneRow, key: &RrsetKey) -> bool {
    key.record_type == RecordType::Ns && key.name.is_apex(&row.name)
}
