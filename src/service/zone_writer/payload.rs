//! What an intent holds: all that settling needs, so that whoever settles, the writer or recovery after a crash,
//! writes the same rows.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::dns::RrsetChange;
use crate::dns::dnssec::Signing;
use crate::ids::{ChangeId, RecordId, TenantId, TsigKeyId, ValidationId};
use crate::storage::audit::AuditEntry;
use crate::storage::idempotency::Step;
use crate::storage::record_ids::RecordIdRow;
use crate::storage::secondary_zones::Source;
use crate::tenancy::ZoneStatus;

use super::super::context::{ActorRecord, RequestInfo};
use super::super::{Error, Result};
use super::calls::{Incoming, Outgoing};
use super::parts::PartRef;

/// What kind of change is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// Records change.
    Edit,
    /// A claim goes live: dark creation, then one guarded PATCH.
    GoLive { validation: Option<ValidationId> },
    /// The zone is withdrawn or returned, and the status with it.
    SetStatus {
        status: ZoneStatus,
        /// Withdrawn not by its SOA, but by what else is in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        emptied: Option<Emptied>,
    },
    /// More records of an emptied zone are switched than fit into one PATCH.
    Switch { is_partial: bool },
    /// Others may transfer the zone, and are told of changes. No PATCH, so neither marker, serial nor history move; the
    /// row's last change does.
    Outgoing { settings: Value, outgoing: Outgoing },
    /// A claim on a zone whose content comes from elsewhere goes live.
    SecondaryGoLive {
        validation: Option<ValidationId>,
        incoming: Incoming,
        /// All that could stand against it was looked at under the lock; before that nothing was sent. An intent that
        /// says nothing of it is from before it did.
        #[serde(default = "yes")]
        may_send: bool,
    },
    /// Such a zone is withdrawn or returned.
    SecondaryStatus { status: ZoneStatus, incoming: Incoming },
    /// Its content comes from elsewhere from now on. No PATCH either.
    Masters { source: Source, incoming: Incoming },
    /// The zone is removed for good.
    Delete,
    /// The content of a withdrawn zone goes to history, ahead of what one intent can hold.
    Clear,
    /// A withdrawn zone makes room for who has proven its name: content to history, the zone removed.
    MakeRoom,
    /// A step of the zone's signing: `state` is what it leads to, kept with the lock, and `version` the row that it was
    /// decided on.
    Signing { state: Box<Signing>, version: Option<u64> },
    /// Fences are taken down.
    Sweep { fences: Vec<ChangeId> },
}

fn yes() -> bool {
    true
}

/// [`Kind::Outgoing`], for who must not come between it and its settle.
pub const OUTGOING: &str = "outgoing";

impl Kind {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::GoLive { .. } => "go_live",
            Self::SetStatus { .. } => "set_status",
            Self::Switch { .. } => "switch",
            Self::Outgoing { .. } => OUTGOING,
            Self::SecondaryGoLive { .. } => "secondary_live",
            Self::SecondaryStatus { .. } => "secondary_status",
            Self::Masters { .. } => "masters",
            Self::Delete => "delete",
            Self::Clear => "clear",
            Self::MakeRoom => "make_room",
            Self::Signing { .. } => "signing",
            Self::Sweep { .. } => "sweep",
        }
    }

    /// The TSIG key that the zone's transfers are signed with from now on, see `storage::secondary_zones::user_of_key`.
    pub fn tsig_key(&self) -> Option<TsigKeyId> {
        match self {
            Self::Outgoing { settings, outgoing: _ } => settings["transfers"]["tsig_key_id"].as_str()?.parse().ok(),
            Self::Masters { source, incoming: _ } => source.tsig_key,
            _ => None,
        }
    }
}

/// How a zone is emptied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emptied {
    /// Records that were disabled before: digests in hex.
    pub disabled: Vec<String>,
    /// Some records are not switched yet.
    pub is_partial: bool,
}

/// One request's part of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub change: ChangeId,
    pub actor: ActorRecord,
    pub request: RequestInfo,
    pub changes: Vec<RrsetChange>,
}

/// A record id as it stands after the batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdRow {
    pub id: RecordId,
    pub digest: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl From<&RecordIdRow> for IdRow {
    fn from(row: &RecordIdRow) -> Self {
        let RecordIdRow { id, digest, created_at, updated_at } = row;
        Self { id: *id, digest: hex::encode(digest), created_at: *created_at, updated_at: *updated_at }
    }
}

impl IdRow {
    pub fn to_row(&self) -> Option<RecordIdRow> {
        let Self { id, digest, created_at, updated_at } = self;
        let mut bytes = [0; 16];
        hex::decode_to_slice(digest, &mut bytes).ok()?;
        Some(RecordIdRow { id: *id, digest: bytes, created_at: *created_at, updated_at: *updated_at })
    }
}

impl Payload {
    /// As the intent holds it.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::Internal(error.to_string()))
    }
}

/// The whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Payload {
    #[serde(flatten)]
    pub kind: Kind,
    pub tenant: TenantId,
    /// Of the zone before the batch.
    pub revision: u64,
    pub serial: Option<u32>,
    /// What the marker said before; recovery takes it for proof that the batch never ran.
    pub previous_marker: Option<String>,
    pub rectify: bool,
    pub entries: Vec<Entry>,
    pub audit: Vec<AuditEntry>,
    pub ids_removed: Vec<RecordId>,
    pub ids_put: Vec<IdRow>,
    pub record_count: u32,
    /// Of a job's parts the one that this is: marked as done by the settle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<PartRef>,
    /// What is made under idempotency keys: bound to the intent when it goes in, and never needed again.
    #[serde(skip)]
    pub steps: Vec<Step>,
}
