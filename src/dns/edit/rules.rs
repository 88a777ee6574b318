//! What must hold between records, on the state after the group. Both directions are here: a record that comes is
//! checked against what stands, whichever of the two is the stricter one.
//!
//! Records that stood there before are never blamed: a zone that came with faults can still be edited around them.

use std::collections::BTreeSet;

use super::neighbours::NamedHosts;
use super::session::conflict;
use super::{EditContext, OperationError, cuts};
use crate::dns::error::FieldError;
use crate::dns::labels;
use crate::dns::owner_name::OwnerName;
use crate::dns::rdata::TargetRole;
use crate::dns::record_type::RecordType;
use crate::dns::rrset::{RecordRef, Rrset, RrsetKey};
use crate::dns::zone_content::{Lookup, ZoneContent};

/// Conflicts that are named; a delegation may hide a whole zone.
pub(super) const CONFLICTS_MAX: usize = 100;

/// A DNS message (RFC 1035 section 4.2.2: a 16-bit length).
const MESSAGE_OCTETS_MAX: usize = 65_535;
/// Header, question type and class, and an OPT record.
const MESSAGE_OVERHEAD: usize = 12 + 4 + 11;
/// An owner as a pointer, type, class, TTL, length.
const RECORD_OVERHEAD: usize = 2 + 10;
/// An RRSIG by the longest key in use (RSA with 4,096 bits), but for the signer's name.
const SIGNATURE_OCTETS: usize = RECORD_OVERHEAD + 18 + 512;

/// Longest chain of aliases that is followed; resolvers give up earlier.
const ALIAS_CHAIN_MAX: usize = 32;

/// A record that the group brought, or began to serve.
pub(super) struct Introduced {
    pub reference: RecordRef,
    pub enabled: bool,
    /// Whether its RRset was not served before.
    pub newly_served: bool,
    /// The operation that did it.
    pub operation: usize,
}

/// Checks each record that came against its neighbours; the first that fails is reported.
pub(super) fn check_introduced(
    content: &ZoneContent,
    introduced: &[Introduced],
    hosts: &NamedHosts,
) -> Result<(), (usize, OperationError)> {
    for record in introduced {
        check_one(content, record, hosts).map_err(|error| (record.operation, error))?;
    }
    Ok(())
}

/// Checks an RRset that was touched as a whole.
pub(super) fn check_rrset(
    content: &ZoneContent,
    key: &RrsetKey,
    before: Option<&Rrset>,
    context: &EditContext,
) -> Result<(), OperationError> {
    let after = content.get(key);
    let is_served = after.is_some_and(Rrset::is_enabled);
    if key.record_type == RecordType::Ns && before.is_some_and(Rrset::is_enabled) && !is_served {
        if key.name.is_apex(content.zone()) && !context.pending {
            return Err(FieldError::record_type("the zone apex needs at least one name server").into());
        }
        // A DS stands only where NS does (RFC 4035 section 2.4).
        let key = RrsetKey { name: key.name.clone(), record_type: RecordType::Ds };
        if let Some(rrset) = content.get(&key).filter(|rrset| rrset.is_enabled()) {
            return Err(conflict("type", references(&key, rrset).collect()));
        }
    }
    match after {
        Some(rrset) if before.is_none_or(|before| before.records.len() <= rrset.records.len()) => {
            check_size(content, key, rrset)
        }
        _ => Ok(()),
    }
}

/// All records of an RRset.
pub(super) fn references<'a>(key: &'a RrsetKey, rrset: &'a Rrset) -> impl Iterator<Item = RecordRef> + 'a {
    rrset.records.iter().map(|record| RecordRef { key: key.clone(), content: record.content.clone() })
}

fn check_one(content: &ZoneContent, record: &Introduced, hosts: &NamedHosts) -> Result<(), OperationError> {
    check_values(content, record)?;
    check_alone_at_name(content, record)?;
    if !record.enabled {
        return Ok(());
    }
    cuts::check(content, record, hosts)?;
    check_target(content, record)?;
    check_not_named_as_host(content, record, hosts)
}

/// One value only, or a value that tolerates no other: CNAME, `MX 0 .`. PowerDNS counts disabled CNAMEs, too.
fn check_values(content: &ZoneContent, record: &Introduced) -> Result<(), OperationError> {
    let RecordRef { key, content: own } = &record.reference;
    let (Some(definition), Some(rrset)) = (key.record_type.definition(), content.get(key)) else { return Ok(()) };
    let single = definition.is_single_valued();
    let clashes = |other: &str| single || definition.stands_alone(own) || definition.stands_alone(other);
    let conflicts: Vec<RecordRef> = rrset
        .records
        .iter()
        .filter(|other| other.content != *own)
        .filter(|other| single || (record.enabled && !other.disabled))
        .filter(|other| clashes(&other.content))
        .map(|other| RecordRef { key: key.clone(), content: other.content.clone() })
        .take(CONFLICTS_MAX)
        .collect();
    if conflicts.is_empty() { Ok(()) } else { Err(conflict("content", conflicts)) }
}

/// A CNAME is alone at its name (RFC 2181 section 10.1), the signing machinery aside.
///
/// A disabled side counts as long as the other one is served: PowerDNS refuses every later write to such a pair, the
/// deletion included, so that it could never be taken apart. Two disabled sides may wait beside each other.
fn check_alone_at_name(content: &ZoneContent, record: &Introduced) -> Result<(), OperationError> {
    let key = &record.reference.key;
    if key.record_type.is_signature_material() {
        return Ok(());
    }
    let own_is_served = content.get(key).is_some_and(Rrset::is_enabled);
    let is_alias = key.record_type == RecordType::Cname;
    let conflicts: Vec<RecordRef> = content
        .rrsets_at(&key.name)
        .filter(|(other, _)| other.record_type != key.record_type && !other.record_type.is_signature_material())
        .filter(|(other, _)| is_alias || other.record_type == RecordType::Cname)
        .filter(|(_, rrset)| own_is_served || rrset.is_enabled())
        .flat_map(|(other, rrset)| references(other, rrset))
        .take(CONFLICTS_MAX)
        .collect();
    if conflicts.is_empty() { Ok(()) } else { Err(conflict("content", conflicts)) }
}

/// What the type asks of the name that it points at.
fn check_target(content: &ZoneContent, record: &Introduced) -> Result<(), OperationError> {
    let RecordRef { key, content: own } = &record.reference;
    let Some(target) = key.record_type.definition().and_then(|definition| definition.target(own)) else {
        return Ok(());
    };
    match target.role {
        TargetRole::Pointer => Ok(()),
        TargetRole::Host => match content.alias_at(&OwnerName::from_server(target.name)) {
            None => Ok(()),
            Some(_) => Err(FieldError::content(format!("target '{}' is a CNAME of this zone", target.name)).into()),
        },
        TargetRole::Alias if target.name == key.name.as_str() => {
            Err(FieldError::content("a CNAME cannot point at itself").into())
        }
        TargetRole::Alias => check_chain(content, target.name),
        TargetRole::Expanded if target.name == key.name.as_str() => {
            Err(FieldError::content("an ALIAS cannot point at itself").into())
        }
        TargetRole::Expanded => Ok(()),
        TargetRole::Subtree if labels::is_at_or_below(target.name, key.name.as_str()) => {
            Err(FieldError::content("a DNAME cannot point at or below itself").into())
        }
        TargetRole::Subtree => Ok(()),
    }
}

/// Follows aliases inside the zone until they end; wildcards take part.
fn check_chain(content: &ZoneContent, first: &str) -> Result<(), OperationError> {
    let mut seen = BTreeSet::from([first]);
    let mut current = first;
    while let Lookup::Alias(next) = content.look_up(current) {
        if !seen.insert(next) {
            // not through which names: the caller may not be allowed to read them
            return Err(FieldError::content("the CNAME is part of a loop").into());
        }
        if seen.len() > ALIAS_CHAIN_MAX {
            return Err(FieldError::content(format!("more than {ALIAS_CHAIN_MAX} CNAMEs follow each other")).into());
        }
        current = next;
    }
    Ok(())
}

/// A name that becomes a CNAME must not be one that others name as a host (RFC 2181 section 10.3).
fn check_not_named_as_host(
    content: &ZoneContent,
    record: &Introduced,
    hosts: &NamedHosts,
) -> Result<(), OperationError> {
    let key = &record.reference.key;
    if key.record_type != RecordType::Cname || !record.newly_served {
        return Ok(());
    }
    let conflicts: Vec<RecordRef> = hosts.naming(content, &key.name).take(CONFLICTS_MAX).collect();
    if conflicts.is_empty() { Ok(()) } else { Err(conflict("name", conflicts)) }
}

/// The whole RRset must fit into one message, and a signature with it.
fn check_size(content: &ZoneContent, key: &RrsetKey, rrset: &Rrset) -> Result<(), OperationError> {
    let Some(definition) = key.record_type.definition() else { return Ok(()) };
    let records: usize =
        rrset.records.iter().map(|record| RECORD_OVERHEAD + definition.wire_length(&record.content)).sum();
    let names = key.name.as_str().len() + 2 + content.zone().as_str().len() + 2;
    let octets = MESSAGE_OVERHEAD + names + SIGNATURE_OCTETS + records;
    if octets > MESSAGE_OCTETS_MAX {
        let message =
            format!("the RRset would take {octets} octets with its signature, more than {MESSAGE_OCTETS_MAX}");
        return Err(FieldError::content(message).into());
    }
    Ok(())
}
