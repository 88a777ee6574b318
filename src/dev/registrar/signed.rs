//! The parent's answers for those who validate: with signatures, DS at its delegations, and proofs of what is not
//! there. A registered name's own zone is unsigned unless it is served elsewhere.
//!
//! Denial is compact: a name that is not there is answered as one without data, by an NSEC of its own.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, Record, RecordType};
use time::OffsetDateTime;

use super::answer::{self, Answer};
use super::parent_key::{ParentKey, nsec};
use super::record;
use super::world::{TOPS, World};

/// The types that a name in one of the parent's zones may have.
const TYPES: [RecordType; 5] = [RecordType::A, RecordType::NS, RecordType::SOA, RecordType::AAAA, RecordType::DNSKEY];

/// What the parent answers; `secure`: to somebody who asks for signatures.
pub(super) fn parent(
    world: &World,
    key: &ParentKey,
    (name, kind): (&Name, RecordType),
    secure: bool,
    now: OffsetDateTime,
) -> Answer {
    let answer = plain(world, key, name, kind);
    let zone = zone_of(name, kind);
    if !secure { answer } else { signed(world, key, (&zone, name, kind), answer, now) }
}

/// Like [`answer::parent`], with the parent's own keys and their DS.
fn plain(world: &World, key: &ParentKey, name: &Name, kind: RecordType) -> Answer {
    let own = match kind {
        RecordType::DNSKEY if is_top(name) => Some(key.dnskey_record(name)),
        RecordType::DS if is_top(name) && !name.is_root() => key.ds_record(name),
        _ => None,
    };
    match own {
        Some(record) => Answer { authoritative: true, answers: vec![record], ..Answer::default() },
        None => answer::parent(world, name, kind),
    }
}

fn signed(
    world: &World,
    key: &ParentKey,
    (zone, name, kind): (&Name, &Name, RecordType),
    mut answer: Answer,
    now: OffsetDateTime,
) -> Answer {
    if let Some(cut) = answer.referral().cloned() {
        let ds = plain(world, key, &cut, RecordType::DS).answers;
        let proof = if ds.is_empty() { vec![nsec(&cut, &[RecordType::NS])] } else { ds };
        let signature = key.sign(zone, &proof.iter().collect::<Vec<_>>(), now);
        answer.authorities.extend(proof.into_iter().chain(signature));
        return answer;
    }
    let is_known = matches!(answer.code, ResponseCode::NoError | ResponseCode::NXDomain);
    if is_known && answer.answers.is_empty() {
        let types: Vec<RecordType> =
            TYPES.into_iter().filter(|other| *other != kind && has(world, key, name, *other)).collect();
        answer.code = ResponseCode::NoError;
        answer.authorities.push(nsec(name, &types));
    }
    with_signatures(key, zone, &mut answer.answers, now);
    with_signatures(key, zone, &mut answer.authorities, now);
    answer
}

fn has(world: &World, key: &ParentKey, name: &Name, kind: RecordType) -> bool {
    let answer = plain(world, key, name, kind);
    let is_cut = kind == RecordType::NS && answer.referral() == Some(name);
    is_cut || answer.answers.iter().any(|record| record.record_type() == kind && record.name == *name)
}

fn with_signatures(key: &ParentKey, zone: &Name, section: &mut Vec<Record>, now: OffsetDateTime) {
    let mut signatures = Vec::new();
    let mut left: Vec<&Record> = section.iter().collect();
    while let Some(first) = left.first().copied() {
        let same = |record: &&Record| record.name == first.name && record.record_type() == first.record_type();
        let (rrset, others): (Vec<&Record>, Vec<&Record>) = left.into_iter().partition(same);
        signatures.extend(key.sign(zone, &rrset, now));
        left = others;
    }
    section.extend(signatures);
}

fn is_top(name: &Name) -> bool {
    TOPS.contains(&record::text(name).as_str())
}

/// The parent's zone that answers; a DS belongs to the zone above the cut.
fn zone_of(name: &Name, kind: RecordType) -> Name {
    let start = if kind == RecordType::DS && !name.is_root() { name.base_name() } else { name.clone() };
    let mut zone = start;
    while !is_top(&zone) {
        zone = zone.base_name();
    }
    zone
}
