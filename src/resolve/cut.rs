//! Where a name's zone begins, and who serves it: the walk up to the zone cut, through the recursive resolvers.
//!
//! Never here: asking those servers.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};

use super::budget::NAMESERVERS_MAX;
use super::recursive::Recursive;

/// A zone and its servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    pub zone: Name,
    /// Lower case, sorted, no name twice, at most [`NAMESERVERS_MAX`].
    pub nameservers: Vec<Name>,
}

/// What the walk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// `None` where nothing below the public suffix is delegated: the registry's servers are never taken for the
    /// domain's own.
    pub cut: Option<Cut>,
    /// Whether the resolver said NXDOMAIN for the name that the walk began at.
    pub start_is_missing: bool,
}

/// No resolver could tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown;

/// Walks from `start` towards the root until a name has NS records of its own.
///
/// The walk jumps to the owner of the SOA in a negative answer: between that name and the one asked there is no
/// cut, and a name under `ip6.arpa` would otherwise cost 32 packets. Every step shortens the name, so it ends.
pub async fn find_cut(recursive: &Recursive<'_>, start: &Name) -> Result<Search, Unknown> {
    let mut name = start.to_lowercase();
    let mut start_is_missing = false;
    loop {
        let message = recursive.look_up(&name, RecordType::NS).await.ok_or(Unknown)?;
        if name == *start {
            start_is_missing = says_missing(&message, &name);
        }
        let nameservers = nameservers_of(&message, &name);
        if !nameservers.is_empty() {
            return Ok(Search { cut: Some(Cut { zone: name, nameservers }), start_is_missing });
        }
        let above = apex_above(&message, &name).unwrap_or_else(|| name.base_name());
        name = match registrable_domain(&name) {
            _ if !is_public_suffix(&above) => above,
            // Before it is said that nothing is delegated, the name that a registry delegates is looked at itself.
            Some(registrable) if registrable != name => registrable,
            Some(_) | None => return Ok(Search { cut: None, start_is_missing }),
        };
    }
}

/// The servers of the zone that a name is in, a registry's among them: who is asked whom a name below it is delegated to.
pub async fn find_servers_of(recursive: &Recursive<'_>, start: &Name) -> Result<Option<Cut>, Unknown> {
    let mut name = start.to_lowercase();
    while !name.is_root() {
        let message = recursive.look_up(&name, RecordType::NS).await.ok_or(Unknown)?;
        let nameservers = nameservers_of(&message, &name);
        if !nameservers.is_empty() {
            return Ok(Some(Cut { zone: name, nameservers }));
        }
        name = apex_above(&message, &name).unwrap_or_else(|| name.base_name());
    }
    Ok(None)
}

/// NXDOMAIN for the name itself: behind a CNAME it would speak of the CNAME's target (RFC 6604).
pub(super) fn says_missing(message: &Message, name: &Name) -> bool {
    message.metadata.response_code == ResponseCode::NXDomain && !has_alias(message, name)
}

fn has_alias(message: &Message, name: &Name) -> bool {
    message.answers.iter().any(|record| record.name == *name && matches!(record.data, RData::CNAME(_)))
}

/// The NS set of exactly this name, from the answer section.
pub(super) fn nameservers_of(message: &Message, name: &Name) -> Vec<Name> {
    let mut names: Vec<Name> = message
        .answers
        .iter()
        .filter(|record| record.name == *name && record.dns_class == DNSClass::IN)
        .filter_map(|record| match &record.data {
            RData::NS(ns) if !ns.0.is_root() => Some(ns.0.to_lowercase()),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names.truncate(NAMESERVERS_MAX);
    names
}

/// The apex of the zone that a negative answer comes from, if it lies strictly above the name.
pub(super) fn apex_above(message: &Message, name: &Name) -> Option<Name> {
    if has_alias(message, name) {
        return None;
    }
    let is_soa = |data: &RData| matches!(data, RData::SOA(_));
    let soa = message.authorities.iter().find(|record| is_soa(&record.data))?;
    let apex = soa.name.to_lowercase();
    (apex != *name && apex.zone_of(name)).then_some(apex)
}

/// Whether names below are given to different holders: the root, a TLD, or on the public suffix list.
pub(super) fn is_public_suffix(name: &Name) -> bool {
    if name.num_labels() <= 1 {
        return true;
    }
    let text = name.to_ascii();
    let text = text.trim_end_matches('.');
    psl::suffix_str(text) == Some(text)
}

/// The part of the name that a registry gives out: one label more than its public suffix.
pub(super) fn registrable_domain(name: &Name) -> Option<Name> {
    let text = name.to_ascii();
    let domain = psl::domain_str(text.trim_end_matches('.'))?;
    let mut domain = Name::from_ascii(domain).ok()?;
    domain.set_fqdn(true);
    Some(domain)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[test]
    fn registries_are_told_from_domains() {
        for (name, expected) in [
            (".", true),
            ("test.", true),
            ("com.", true),
            ("co.uk.", true),
            ("y.test.", false),
            ("example.co.uk.", false),
            ("example.com.", false),
        ] {
            assert_eq!(is_public_suffix(&Name::from_str(name).expect(name)), expected, "{name}");
        }
    }

    #[test]
    fn the_registrable_domain_is_one_label_below_the_registry() {
        for (name, expected) in [
            ("a.b.example.co.uk.", Some("example.co.uk.")),
            ("example.com.", Some("example.com.")),
            ("a.y.test.", Some("y.test.")),
            ("co.uk.", None),
            ("test.", None),
            (".", None),
        ] {
            let found = registrable_domain(&Name::from_str(name).expect(name));
            assert_eq!(found.map(|domain| domain.to_ascii()).as_deref(), expected, "{name}");
        }
    }
}
