//! The constants of the zone write protocol: the names it uses in a zone, and the order of what a PATCH does. They
//! stand here alone; `tests/model/` holds the model they were checked with, and `docs/write-protocol.md` says why
//! each is as it is.
//!
//! In every zone stands a **marker**, a disabled TXT at `_scaidns.<zone>` with the id of the change that ran last. Each
//! PATCH replaces it first: its row lock makes PATCHes to one zone queue, and its value tells recovery what ran. Second
//! comes the **guard**, a `REPLACE` of a CNAME with no records at `_scaidns-<change>.<zone>`: it changes nothing, but
//! fails the whole PATCH if an enabled record of another type stands there. That record is the **fence**, by which
//! recovery cancels a PATCH that may still be on its way.

use crate::dns::{self, Record, Rrset, RrsetChange, ZoneName};
use crate::ids::{ChangeId, encode};
use crate::pdns::{RrsetPatch, ServerRecord, ServerRrset, ServerZone};

/// The owner name, relative to the zone, below which everything is ours.
pub const RESERVED_LABEL: &str = "_scaidns";

/// What the marker of a zone holds before its first change.
pub const MARKER_BORN: &str = "born";

/// What one PATCH may hold: PowerDNS refuses bodies over 2 MB.
pub const PATCH_BYTES_MAX: usize = 1_500_000;

const MARKER_PROBE: &str = "probe";
const BOOKKEEPING_TTL: u32 = 60;

/// The marker's owner name.
pub fn marker_name(zone: &ZoneName) -> String {
    format!("{RESERVED_LABEL}.{}", zone.fqdn())
}

/// Where the guard of a change looks, and its fence stands.
pub fn guard_name(zone: &ZoneName, change: ChangeId) -> String {
    format!("{RESERVED_LABEL}-{}.{}", encode(change.0), zone.fqdn())
}

/// The marker's value for a change.
pub fn marker_value(change: ChangeId) -> String {
    encode(change.0)
}

fn marker_record(value: &str) -> ServerRecord {
    ServerRecord { content: format!("\"{value}\""), disabled: true }
}

fn marker_patch(zone: &ZoneName, value: &str) -> RrsetPatch {
    RrsetPatch::replace(marker_name(zone), "TXT", BOOKKEEPING_TTL, vec![marker_record(value)])
}

fn guard_patch(zone: &ZoneName, change: ChangeId) -> RrsetPatch {
    RrsetPatch::replace(guard_name(zone, change), "CNAME", BOOKKEEPING_TTL, Vec::new())
}

/// The marker as a zone is born with it.
pub fn newborn_marker(zone: &ZoneName) -> ServerRrset {
    ServerRrset {
        name: marker_name(zone),
        record_type: "TXT".into(),
        ttl: BOOKKEEPING_TTL,
        records: vec![marker_record(MARKER_BORN)],
    }
}

/// A guarded PATCH: marker, guard, deletions, replacements. The order is what makes it sound.
pub fn write(zone: &ZoneName, change: ChangeId, changes: &[RrsetChange]) -> Vec<RrsetPatch> {
    guarded(zone, change, &marker_value(change), changes)
}

/// The same ahead of a zone's going live: the marker keeps its value, so that only the last PATCH counts as having run.
pub fn write_dark(zone: &ZoneName, change: ChangeId, marker: &str, changes: &[RrsetChange]) -> Vec<RrsetPatch> {
    guarded(zone, change, marker, changes)
}

fn guarded(zone: &ZoneName, change: ChangeId, marker: &str, changes: &[RrsetChange]) -> Vec<RrsetPatch> {
    let mut patch = vec![marker_patch(zone, marker), guard_patch(zone, change)];
    let (gone, there): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.after.is_none());
    for RrsetChange { key, .. } in gone {
        patch.push(RrsetPatch::delete(key.name.fqdn(), key.record_type.as_str()));
    }
    for RrsetChange { key, before: _, after } in there {
        if let Some(Rrset { ttl, records }) = after {
            let records = records.iter().map(|Record { content, disabled }| ServerRecord {
                content: dns::for_server(&key.record_type, content).into_owned(),
                disabled: *disabled,
            });
            patch.push(RrsetPatch::replace(key.name.fqdn(), key.record_type.as_str(), *ttl, records.collect()));
        }
    }
    patch
}

/// What the replacements of a PATCH hold, about: names, contents and what JSON puts around them.
pub fn patch_bytes(changes: &[RrsetChange]) -> usize {
    changes.iter().map(|change| change.key.name.as_str().len() + rrset_bytes(change.after.as_ref())).sum()
}

/// One RRset as JSON, about.
pub fn rrset_bytes(rrset: Option<&Rrset>) -> usize {
    const PER_RECORD: usize = 64;
    PER_RECORD + rrset.map_or(0, |rrset| rrset.records.iter().map(|record| record.content.len() + PER_RECORD).sum())
}

/// Takes fences down that have done their duty.
pub fn remove_fences(zone: &ZoneName, fences: &[ChangeId]) -> Vec<RrsetPatch> {
    fences.iter().map(|change| RrsetPatch::delete(guard_name(zone, *change), "TXT")).collect()
}

/// A fence as a zone is born with it, where its name was fenced before.
pub fn standing_fence(zone: &ZoneName, change: ChangeId) -> ServerRrset {
    ServerRrset {
        name: guard_name(zone, change),
        record_type: "TXT".into(),
        ttl: BOOKKEEPING_TTL,
        records: vec![fence_record()],
    }
}

/// Fences in a zone that nobody keeps any more.
pub fn forgotten_fences(zone: &ZoneName, server: &ServerZone, kept: &[ChangeId]) -> Vec<RrsetPatch> {
    let prefix = format!("{RESERVED_LABEL}-");
    let kept: Vec<String> = kept.iter().map(|change| guard_name(zone, *change)).collect();
    server
        .rrsets
        .iter()
        .filter(|rrset| rrset.record_type == "TXT" && rrset.name.starts_with(&prefix) && !kept.contains(&rrset.name))
        .filter(|rrset| crate::dns::OwnerName::from_server(&rrset.name).is_reserved(zone))
        .map(|rrset| RrsetPatch::delete(rrset.name.clone(), "TXT"))
        .collect()
}

fn fence_record() -> ServerRecord {
    ServerRecord { content: "\"cancelled, goes by itself\"".into(), disabled: false }
}

/// The fence: an enabled TXT where the guard looks. No marker here, it would wipe the evidence.
pub fn fence(zone: &ZoneName, change: ChangeId) -> Vec<RrsetPatch> {
    vec![RrsetPatch::replace(guard_name(zone, change), "TXT", BOOKKEEPING_TTL, vec![fence_record()])]
}

/// The probe: waits for the marker's row like every PATCH, must then fail on the fence, and could never commit, since
/// its last step is invalid. Refused for the fence, it proves that no PATCH of this change is past its guard.
pub fn probe(zone: &ZoneName, change: ChangeId) -> Vec<RrsetPatch> {
    let never = ServerRecord { content: "never".into(), disabled: false };
    vec![
        marker_patch(zone, MARKER_PROBE),
        guard_patch(zone, change),
        RrsetPatch::replace(marker_name(zone), "A", BOOKKEEPING_TTL, vec![never]),
    ]
}

/// Whether a refusal is the guard's (PowerDNS names the RRset in its message).
pub fn names_guard(message: &str, change: ChangeId) -> bool {
    message.to_ascii_lowercase().contains(&format!("{RESERVED_LABEL}-{}", encode(change.0)))
}

/// What the marker of a zone says, if it stands.
pub fn read_marker(zone: &ZoneName, server: &ServerZone) -> Option<String> {
    let name = marker_name(zone);
    let rrset =
        server.rrsets.iter().find(|rrset| rrset.record_type == "TXT" && rrset.name.eq_ignore_ascii_case(&name))?;
    Some(rrset.records.first()?.content.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{OwnerName, Record, RecordType, RrsetKey};

    #[test]
    fn a_write_is_marker_guard_deletions_replacements() {
        let zone = ZoneName::trusted("shop.test".into());
        let change = ChangeId::new();
        let key = |name: &str| RrsetKey { name: OwnerName::from_server(name), record_type: RecordType::A };
        let rrset = Rrset { ttl: 300, records: vec![Record { content: "192.0.2.1".into(), disabled: false }] };
        let changes = [
            RrsetChange { key: key("a.shop.test"), before: None, after: Some(rrset.clone()) },
            RrsetChange { key: key("b.shop.test"), before: Some(rrset), after: None },
        ];
        let steps: Vec<String> = write(&zone, change, &changes)
            .iter()
            .map(|step| format!("{} {} {}", step.changetype, step.name, step.record_type))
            .collect();
        let guard = guard_name(&zone, change);
        let wanted = [
            "REPLACE _scaidns.shop.test. TXT".to_owned(),
            format!("REPLACE {guard} CNAME"),
            "DELETE b.shop.test. A".to_owned(),
            "REPLACE a.shop.test. A".to_owned(),
        ];
        assert_eq!(steps, wanted);
        assert!(names_guard(&format!("RRset {guard} IN CNAME: Conflicts with pre-existing RRset"), change));
        assert!(!names_guard(&format!("RRset {guard} IN CNAME: Conflicts"), ChangeId::new()));
    }
}
