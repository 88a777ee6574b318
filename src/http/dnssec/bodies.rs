//! What goes in and comes out of the routes of DNSSEC.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

/// How a domain is signed.
#[derive(Serialize, ToSchema)]
pub struct DnssecState {
    pub enabled: bool,
    /// `disabled`, `pending_ds`, `active`, `rotating_ksk` or `rotating_zsk`.
    #[schema(example = "active")]
    pub status: String,
    #[schema(example = 13)]
    pub algorithm: Option<u8>,
    /// How it is proven that a name does not exist: `narrow`, `nsec3` or `nsec`.
    pub denial: Option<String>,
    pub ksk: Vec<KeyItem>,
    pub zsk: Vec<KeyItem>,
    /// What the parent should have.
    pub ds_records: Vec<DsItem>,
    /// What its nameservers had when they were last asked.
    pub parent: Vec<ParentServer>,
    /// The step of the machine, finer than `status`.
    pub phase: Option<String>,
    /// When the wait of this step ends.
    #[serde(with = "time::serde::rfc3339::option")]
    pub not_before: Option<OffsetDateTime>,
    /// What happens next by itself, or waits for somebody.
    pub next: Option<NextStep>,
    /// What somebody should look at.
    pub alarm: Option<AlarmItem>,
}

/// The step that a zone's signing is in, and what ends it.
#[derive(Serialize, ToSchema)]
pub struct NextStep {
    /// As `phase`.
    pub step: String,
    /// Not before this does it end; known once all servers serve it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub not_before: Option<OffsetDateTime>,
    /// `servers`: they do not all serve it yet. `caches`: what was served before must leave them. `parent`: its DS.
    /// `schedule`: nothing is under way; the next rollover.
    #[schema(example = "caches")]
    pub waiting_for: String,
}

/// A key; the private half never leaves the nameservers.
#[derive(Serialize, ToSchema)]
pub struct KeyItem {
    #[schema(example = 42871)]
    pub key_tag: Option<u16>,
    pub algorithm: u8,
    /// `KSK` or `ZSK`.
    #[schema(example = "KSK")]
    pub key_type: String,
    /// 257 for a key-signing key, 256 for a zone-signing key.
    pub flags: u16,
    /// Base 64.
    pub public_key: Option<String>,
    /// As a DNSKEY record's content.
    pub dnskey: Option<String>,
    /// `next`, `current` or `old`.
    pub state: String,
    /// It signs.
    pub active: bool,
    /// It is in the DNSKEY RRset.
    pub published: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it is due to be rolled; none where it is rolled when asked for, or is not in use.
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

/// A DS record, and what is to be done with it at the parent.
#[derive(Serialize, ToSchema)]
pub struct DsItem {
    pub key_tag: u16,
    pub algorithm: u8,
    /// 2 is SHA-256, 4 SHA-384; one of them is enough.
    pub digest_type: u8,
    /// Upper-case hexadecimal.
    pub digest: String,
    /// The record's content.
    #[schema(example = "42871 13 2 1B2C…")]
    pub ds: String,
    /// `keep`, `add` or `remove`.
    pub action: String,
    /// Not earlier than this.
    #[serde(with = "time::serde::rfc3339::option")]
    pub not_before: Option<OffsetDateTime>,
}

/// A nameserver of the parent.
#[derive(Serialize, ToSchema)]
pub struct ParentServer {
    pub server: String,
    /// Null where it did not answer.
    pub ds: Option<Vec<String>>,
    /// It has a DS of this domain's keys.
    pub matches: bool,
}

#[derive(Serialize, ToSchema)]
pub struct AlarmItem {
    #[schema(example = "ds_vanished")]
    pub code: String,
    pub message: String,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Enable {
    /// 8, 10, 13 (default), 14 or 15.
    #[schema(example = 13)]
    pub algorithm: Option<u64>,
    /// `narrow` (default), `nsec3` or `nsec`.
    #[schema(example = "narrow")]
    pub denial: Option<String>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Disable {
    /// Whatever the parent has: the domain may stop resolving.
    #[serde(default)]
    pub force: bool,
    /// Asks the parent by CDS to remove the DS, and disables once it has left all caches.
    #[serde(default)]
    pub wait_for_parent: bool,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateZsk {}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKsk {
    /// Another algorithm than before: both keys are rolled to it.
    pub algorithm: Option<u64>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    pub key_tag: Option<u16>,
    /// As contents (`42871 13 2 1B2C…`), or as objects with `key_tag`, `algorithm`, `digest_type` and `digest`.
    pub ds_records: Option<Vec<Value>>,
    /// Somebody answers for it: the parent is not asked.
    #[serde(default)]
    pub force: bool,
}

/// What became of enabling.
#[derive(Serialize, ToSchema)]
pub struct Enabled {
    pub domain_id: String,
    #[schema(example = "enable")]
    pub action: &'static str,
    #[schema(example = "DNSSEC enabled")]
    pub message: &'static str,
    pub ksk: Option<KeyItem>,
    pub zsk: Option<KeyItem>,
    pub ds_records: Vec<DsItem>,
    pub status: String,
}

/// What became of disabling.
#[derive(Serialize, ToSchema)]
pub struct Disabled {
    pub domain_id: String,
    #[schema(example = "disable")]
    pub action: &'static str,
    pub message: &'static str,
    pub status: String,
}

/// A rollover of the zone-signing key that has begun.
#[derive(Serialize, ToSchema)]
pub struct ZskRotation {
    pub domain_id: String,
    #[schema(example = "rotate_zsk")]
    pub action: &'static str,
    pub message: &'static str,
    pub new_zsk: Option<KeyItem>,
    pub retiring_zsk: Option<KeyItem>,
    /// When the old key is removed, as things stand.
    #[serde(with = "time::serde::rfc3339")]
    pub retire_at: OffsetDateTime,
    pub status: String,
}

/// A rollover of the key-signing key that has begun.
#[derive(Serialize, ToSchema)]
pub struct KskRotation {
    pub domain_id: String,
    #[schema(example = "rotate_ksk")]
    pub action: &'static str,
    pub message: &'static str,
    pub new_ksk: Option<KeyItem>,
    pub ds_records: Vec<DsItem>,
    #[schema(example = "rotating_ksk")]
    pub status: String,
}

/// A DS that has been taken note of.
#[derive(Serialize, ToSchema)]
pub struct Confirmed {
    pub domain_id: String,
    #[schema(example = "confirm_ds_published")]
    pub action: &'static str,
    pub message: &'static str,
    #[schema(example = "active")]
    pub status: String,
    pub ds_records: Vec<DsItem>,
}

/// A signed domain as operators see it.
#[derive(Serialize, ToSchema)]
pub struct SignedDomain {
    pub domain_id: String,
    pub domain_name: String,
    pub tenant_id: String,
    pub status: String,
    pub phase: String,
    pub algorithm: Option<u8>,
    /// What is wrong, by its code.
    pub alarm: Option<String>,
    /// When somebody looks at it next.
    #[serde(with = "time::serde::rfc3339")]
    pub due_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub not_before: Option<OffsetDateTime>,
    /// Since when it is in this phase.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SignedQuery {
    #[param(minimum = 1, default = 1)]
    pub(super) page: Option<u32>,
    #[param(minimum = 1, maximum = 100, default = 50)]
    pub(super) page_size: Option<u32>,
    /// The `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
    /// `due`, `waiting` or `stuck`; all where absent.
    pub(super) state: Option<String>,
}
