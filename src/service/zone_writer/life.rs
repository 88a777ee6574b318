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

use crate::dns::{OwnerName, Record, RecordType, Rrset, RrsetChange, RrsetKey, Soa, ZoneContent, ZoneName, serial};
use crate::ids::{ChangeId, ZoneId};
use crate::pdns::{PatchAnswer, ServerRecord, ServerRrset, ServerZone, ZoneCreation};

use super::super::platform::PlatformSettings;
use super::protocol;

/// RRsets that go ahead into a dark zone in one PATCH: a second's work, so that a writer that looks at the clock between
/// two of them stays within its time.
const PART_RRSETS_MAX: usize = 1_000;
/// TTL of the platform's own SOA and NS.
const PLATFORM_TTL: u32 = 3_600;

/// The zone as it is born: there, but REFUSED to every resolver, with nothing of the tenant's in it.
pub fn dark_zone(
    zone: &ZoneName,
    id: ZoneId,
    platform: &PlatformSettings,
    fences: &[ChangeId],
    serial: u32,
) -> ZoneCreation {
    let soa = first_soa(zone, platform, serial);
    let mut rrsets = vec![
        ServerRrset {
            name: zone.fqdn(),
            record_type: "SOA".into(),
            ttl: PLATFORM_TTL,
            records: vec![ServerRecord { content: soa.to_string(), disabled: true }],
        },
        protocol::newborn_marker(zone),
    ];
    // a PATCH that was cancelled in an earlier zone of this name may still be on its way
    rrsets.extend(fences.iter().map(|change| protocol::standing_fence(zone, *change)));
    ZoneCreation {
        name: zone.fqdn(),
        kind: "Native",
        account: id.to_string(),
        soa_edit_api: "INCREASE",
        api_rectify: false,
        nameservers: Vec::new(),
        rrsets,
    }
}

/// Seconds since 1970, or above the serial that the last zone of this name ended with: secondaries and caches of the
/// old one must see the new one as newer.
pub fn birth_serial(now: OffsetDateTime, retired: Option<u32>) -> u32 {
    let clock = u32::try_from(now.unix_timestamp()).unwrap_or(1);
    match retired {
        Some(retired) if !serial::is_newer(clock, retired) => serial::next(retired),
        Some(_) | None => clock,
    }
}

/// What going live puts beside the tenant's records: the enabled SOA and the platform's nameservers.
pub fn platform_rrsets(zone: &ZoneName, platform: &PlatformSettings, serial: u32) -> Vec<(RrsetKey, Rrset)> {
    let apex = OwnerName::apex(zone);
    let record = |content: String| Record { content, disabled: false };
    let soa = first_soa(zone, platform, serial);
    let servers = platform.nameservers.names.iter().map(|name| record(format!("{name}."))).collect();
    vec![
        (
            RrsetKey { name: apex.clone(), record_type: RecordType::Soa },
            Rrset { ttl: PLATFORM_TTL, records: vec![record(soa.to_string())] },
        ),
        (RrsetKey { name: apex, record_type: RecordType::Ns }, Rrset { ttl: PLATFORM_TTL, records: servers }),
    ]
}

fn first_soa(zone: &ZoneName, platform: &PlatformSettings, serial: u32) -> Soa {
    let primary = platform.nameservers.names.first().map_or("invalid", String::as_str);
    Soa::initial(primary, zone, serial, platform.terms.soa)
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
        let is_full = parts.last().is_some_and(|part| part.len() >= PART_RRSETS_MAX);
        if is_full || bytes + more > protocol::PATCH_BYTES_MAX {
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
pub fn is_dark(zone: &ZoneName, server: &ServerZone) -> bool {
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
    pub fn of(answer: PatchAnswer, change: ChangeId) -> Self {
        match answer {
            PatchAnswer::Applied { new_serial } => Self::Applied { serial: new_serial },
            PatchAnswer::Refused { message, .. } if protocol::names_guard(&message, change) => Self::Unknown(message),
            PatchAnswer::Refused { status, message } => Self::Refused(format!("{status}: {message}")),
            PatchAnswer::NotSent(why) => Self::Unsent(why),
            PatchAnswer::Unknown(why) => Self::Unknown(why),
        }
    }
}
