//! Zone cuts and redirections: what NS below the apex (RFC 1034 section 4.2.1) and DNAME (RFC 6672) leave room for.

use super::OperationError;
use super::neighbours::NamedHosts;
use super::rules::{CONFLICTS_MAX, Introduced};
use super::session::conflict;
use crate::dns::error::FieldError;
use crate::dns::owner_name::OwnerName;
use crate::dns::record_type::RecordType;
use crate::dns::rrset::{RecordRef, Rrset, RrsetKey};
use crate::dns::zone_content::ZoneContent;

/// Checks a served record that came: not hidden by a cut or a DNAME above it, and not hiding others itself.
pub(super) fn check(content: &ZoneContent, record: &Introduced, hosts: &NamedHosts) -> Result<(), OperationError> {
    let key = &record.reference.key;
    let zone = content.zone();
    check_not_redirected(content, key)?;
    if key.name.is_apex(zone) {
        return check_new_redirection(content, record);
    }
    check_not_occluded(content, key, hosts)?;
    if key.record_type == RecordType::Ds && content.served(&key.name, &RecordType::Ns).is_none() {
        let message = format!("a DS stands only beside the NS of a delegation, and '{}' has none", key.name);
        return Err(FieldError::name(message).into());
    }
    if key.record_type == RecordType::Ns && record.newly_served {
        let hidden = content
            .subtree(&key.name)
            .filter(|(other, rrset)| rrset.is_enabled() && !belongs_at_cut(content, &key.name, other, hosts));
        refuse_if_any(hidden)?;
    }
    check_new_redirection(content, record)
}

fn check_not_redirected(content: &ZoneContent, key: &RrsetKey) -> Result<(), OperationError> {
    let zone = content.zone();
    if key.name.is_apex(zone) {
        return Ok(());
    }
    let apex = OwnerName::apex(zone);
    for above in key.name.ancestors_below_apex(zone).chain([apex]) {
        let dname = RrsetKey { name: above, record_type: RecordType::Dname };
        if let Some(rrset) = content.get(&dname).filter(|rrset| rrset.is_enabled()) {
            return Err(conflict("name", super::rules::references(&dname, rrset).collect()));
        }
    }
    Ok(())
}

fn check_not_occluded(content: &ZoneContent, key: &RrsetKey, hosts: &NamedHosts) -> Result<(), OperationError> {
    let above = key.name.ancestors_below_apex(content.zone());
    for cut in std::iter::once(key.name.clone()).chain(above) {
        let is_cut = content.served(&cut, &RecordType::Ns).is_some();
        if is_cut && !belongs_at_cut(content, &cut, key, hosts) {
            let message = format!("'{}' is hidden by the delegation of '{cut}'; only glue belongs there", key.name);
            return Err(FieldError::name(message).into());
        }
    }
    Ok(())
}

fn check_new_redirection(content: &ZoneContent, record: &Introduced) -> Result<(), OperationError> {
    let key = &record.reference.key;
    if key.record_type != RecordType::Dname {
        return Ok(());
    }
    let zone = content.zone();
    refuse_if_any(
        content
            .subtree(&key.name)
            .filter(|(other, rrset)| other.name != key.name && rrset.is_enabled() && !other.name.is_reserved(zone)),
    )
}

/// Whether an RRset at or below a cut is part of the delegation: NS and DS at the cut, glue anywhere.
fn belongs_at_cut(content: &ZoneContent, cut: &OwnerName, key: &RrsetKey, hosts: &NamedHosts) -> bool {
    if key.record_type.is_signature_material() || key.name.is_reserved(content.zone()) {
        return true;
    }
    match key.record_type.as_str() {
        "NS" | "DS" => key.name == *cut,
        "A" | "AAAA" => is_glue(content, cut, &key.name, hosts),
        _ => false,
    }
}

/// Whether the cut's own name servers need the address, or those of any other cut of this zone (sibling glue,
/// RFC 9471), which are looked through only for an address that would be refused otherwise.
fn is_glue(content: &ZoneContent, cut: &OwnerName, name: &OwnerName, hosts: &NamedHosts) -> bool {
    let names_it = |rrset: &Rrset| rrset.enabled().any(|record| server(&record.content) == Some(name.as_str()));
    content.served(cut, &RecordType::Ns).is_some_and(names_it)
        || hosts.naming(content, name).any(|record| record.key.record_type == RecordType::Ns)
}

fn server(content: &str) -> Option<&str> {
    RecordType::Ns.definition()?.target(content).map(|target| target.name)
}

fn refuse_if_any<'a>(hidden: impl Iterator<Item = (&'a RrsetKey, &'a Rrset)>) -> Result<(), OperationError> {
    let conflicts: Vec<RecordRef> =
        hidden.flat_map(|(key, rrset)| super::rules::references(key, rrset)).take(CONFLICTS_MAX).collect();
    if conflicts.is_empty() { Ok(()) } else { Err(conflict("name", conflicts)) }
}
