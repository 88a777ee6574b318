//! A zone's life at PowerDNS: born dark, going live, withdrawn, deleted for good. Each transition is an intent.
//!
//! ```text
//!              POST (dark: SOA disabled,            guarded PATCH: content,
//!              no tenant records)                   NS, enabled SOA
//! (nothing) ─────────────────────────▶ dark ───────────────────────────────▶ live
//!     ▲                                  │                                   │  ▲
//!     └────────────── DELETE ────────────┴──── PATCH: SOA disabled ◀─────────┘  │
//!                                                    └── PATCH: SOA enabled ────┘
//! ```
//!
//! What lands late does no harm: a late POST makes a dark zone that nobody is served from, a late PATCH fails on its
//! fence, and after a DELETE of unknown outcome the name rests.

use time::OffsetDateTime;

use crate::dns::{OwnerName, Record, RecordType, Rrset, RrsetChange, RrsetKey, Soa, ZoneContent, ZoneName};
use crate::ids::ZoneId;
use crate::pdns::{DeleteAnswer, PatchAnswer, Pdns, ServerRecord, ServerRrset, ServerZone, ZoneCreation};

use super::super::{Error, Result};
use super::protocol;

/// TTL of the platform's own SOA and NS.
const PLATFORM_TTL: u32 = 3_600;

/// The zone as it is born: there, but REFUSED to every resolver, with nothing of the tenant's in it.
pub fn dark_zone(zone: &ZoneName, id: ZoneId, nameservers: &[String], now: OffsetDateTime) -> ZoneCreation {
    let soa = Soa::initial(nameservers.first().map_or("invalid", String::as_str), zone, birth_serial(now));
    ZoneCreation {
        name: zone.fqdn(),
        kind: "Native",
        account: id.to_string(),
        soa_edit_api: "INCREASE",
        api_rectify: false,
        nameservers: Vec::new(),
        rrsets: vec![
            ServerRrset {
                name: zone.fqdn(),
                record_type: "SOA".into(),
                ttl: PLATFORM_TTL,
                records: vec![ServerRecord { content: soa.to_string(), disabled: true }],
            },
            protocol::newborn_marker(zone),
        ],
    }
}

/// Seconds since 1970: a zone that is made anew under its old name goes on above its old serial.
fn birth_serial(now: OffsetDateTime) -> u32 {
    u32::try_from(now.unix_timestamp()).unwrap_or(1)
}

/// What going live puts beside the tenant's records: the enabled SOA and the platform's nameservers.
pub fn platform_rrsets(zone: &ZoneName, nameservers: &[String], now: OffsetDateTime) -> Vec<(RrsetKey, Rrset)> {
    let apex = OwnerName::apex(zone);
    let record = |content: String| Record { content, disabled: false };
    let soa = Soa::initial(nameservers.first().map_or("invalid", String::as_str), zone, birth_serial(now));
    let servers = nameservers.iter().map(|name| record(format!("{name}."))).collect();
    vec![
        (
            RrsetKey { name: apex.clone(), record_type: RecordType::Soa },
            Rrset { ttl: PLATFORM_TTL, records: vec![record(soa.to_string())] },
        ),
        (RrsetKey { name: apex, record_type: RecordType::Ns }, Rrset { ttl: PLATFORM_TTL, records: servers }),
    ]
}

/// The change that disables or enables the SOA, as just read: PowerDNS computes the serial from the content sent.
pub fn switch_soa(content: &ZoneContent, disabled: bool) -> Option<RrsetChange> {
    let key = RrsetKey { name: OwnerName::apex(content.zone()), record_type: RecordType::Soa };
    let before = content.get(&key)?.clone();
    let mut after = before.clone();
    for record in &mut after.records {
        record.disabled = disabled;
    }
    Some(RrsetChange { key, before: Some(before), after: Some(after) })
}

/// Makes the dark zone, or finds the one that an earlier attempt left.
pub async fn ensure_dark(
    pdns: &Pdns,
    zone: &ZoneName,
    id: ZoneId,
    nameservers: &[String],
    now: OffsetDateTime,
) -> Result<ServerZone> {
    const ATTEMPTS: u32 = 3; // a foreign dark zone is removed once, then ours is made
    for _ in 0..ATTEMPTS {
        let created = pdns.create_zone(&dark_zone(zone, id, nameservers, now)).await?;
        let Some(server) = pdns.zone(zone.as_str(), 0).await? else { continue };
        if server.account == id.to_string() {
            return Ok(server);
        }
        if created || !is_dark(zone, &server) {
            tracing::error!(zone = %zone, account = %server.account, "PowerDNS serves a zone of this name that is not ours");
            return Err(Error::conflict("domain_claimed", "This name is already served here"));
        }
        // an orphan of a claim that never went live; our intent holds the name, so nobody is about to use it
        match pdns.delete_zone(zone.as_str()).await {
            DeleteAnswer::Gone => {}
            other => return Err(Error::Upstream(format!("PowerDNS: an orphan zone could not be removed: {other:?}"))),
        }
    }
    Err(Error::Upstream(format!("PowerDNS: the zone {zone} could not be made")))
}

/// What makes the content of a dark zone the wanted one, in parts that each fit into a PATCH; the SOA in the last.
pub fn filling(there: &ZoneContent, wanted: &ZoneContent) -> (Vec<Vec<RrsetChange>>, Vec<RrsetChange>) {
    let mut changes = Vec::new();
    for (key, before) in there.iter().filter(|(key, _)| wanted.get(key).is_none()) {
        changes.push(RrsetChange { key: key.clone(), before: Some(before.clone()), after: None });
    }
    let mut soa = Vec::new();
    for (key, after) in wanted.iter().filter(|(key, after)| there.get(key) != Some(*after)) {
        let change = RrsetChange { key: key.clone(), before: there.get(key).cloned(), after: Some(after.clone()) };
        if key.record_type == RecordType::Soa { soa.push(change) } else { changes.push(change) }
    }
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for change in changes {
        let more = protocol::patch_bytes(std::slice::from_ref(&change));
        if bytes + more > protocol::PATCH_BYTES_MAX {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += more;
        if let Some(part) = parts.last_mut() {
            part.push(change);
        }
    }
    let mut last = parts.pop().unwrap_or_default();
    last.extend(soa);
    (parts, last)
}

/// No enabled SOA: served to nobody.
fn is_dark(zone: &ZoneName, server: &ServerZone) -> bool {
    let fqdn = zone.fqdn();
    !server
        .rrsets
        .iter()
        .any(|rrset| rrset.record_type == "SOA" && rrset.name == fqdn && rrset.records.iter().any(|r| !r.disabled))
}

/// How a PATCH's answer reads to the writer.
#[derive(Debug)]
pub enum Sent {
    Applied {
        serial: Option<u32>,
    },
    /// Nothing ran.
    Refused(String),
    Unsent(String),
    /// It may have run: recovery decides.
    Unknown(String),
}

impl Sent {
    pub fn of(answer: PatchAnswer, change: crate::ids::ChangeId) -> Self {
        match answer {
            PatchAnswer::Applied { new_serial } => Self::Applied { serial: new_serial },
            PatchAnswer::Refused { message, .. } if protocol::names_guard(&message, change) => Self::Unknown(message),
            PatchAnswer::Refused { status, message } => Self::Refused(format!("{status}: {message}")),
            PatchAnswer::NotSent(why) => Self::Unsent(why),
            PatchAnswer::Unknown(why) => Self::Unknown(why),
        }
    }
}
