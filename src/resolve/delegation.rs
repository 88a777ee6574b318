//! The proof by delegation: what the parent's servers say are the domain's nameservers.
//!
//! A set at the parent is only ever changed by who has the domain there, and it proves this very claim by holding a
//! name that was made for it. What the domain's own servers say is not looked at: whoever runs those has it in hand.
//!
//! Never here: sockets; the challenge.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};

use super::ResolveSettings;
use super::authoritative::Asker;
use super::budget::Budget;
use super::cut::find_servers_of;
use super::recursive::Recursive;

/// What the parent says about one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DelegationOutcome {
    /// Every server of the parent that answered shows all the names wanted.
    Proven,
    /// The domain is not delegated to these, in any answer. Lower case, without final dot.
    Lacking(Vec<String>),
    DomainDoesNotExist,
    /// No server of the parent could be asked, or none gave a usable answer within the bounds.
    Unreachable,
    /// Some servers show all the names, and these do not.
    Disagree(Vec<String>),
}

impl DelegationOutcome {
    /// The message of a check.
    pub fn message(&self, domain: &str) -> String {
        match self {
            Self::Proven => "Domain validated".to_owned(),
            Self::Lacking(names) => format!("The delegation of {domain} at its parent lacks {}", names.join(", ")),
            Self::DomainDoesNotExist => format!("Domain {domain} does not exist in DNS"),
            Self::Unreachable => "Authoritative nameservers could not be reached".to_owned(),
            Self::Disagree(names) => format!("Nameservers disagree: {}", names.join(", ")),
        }
    }
}

/// What one server of the parent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Delegated to these.
    To(Vec<Name>),
    /// There is such a name, but no delegation.
    Nothing,
    Missing,
}

/// See [`super::Resolve::delegation_proof`].
pub async fn look(settings: &ResolveSettings, budget: &Budget, domain: &str, wanted: &[String]) -> DelegationOutcome {
    let Some(domain) = name(domain).filter(|domain| !domain.is_root()) else {
        return DelegationOutcome::DomainDoesNotExist;
    };
    let wanted: Vec<Name> = wanted.iter().filter_map(|text| name(text)).collect();
    let recursive = Recursive::new(settings, budget);
    let Ok(Some(parent)) = find_servers_of(&recursive, &domain.base_name()).await else {
        return DelegationOutcome::Unreachable;
    };
    let asker = Asker { settings, budget, recursive: &recursive };
    let said = asker.ask_all(&parent, (&domain, RecordType::NS), &|message| read(message, &domain)).await;
    judge(&said, &wanted)
}

fn name(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok()?.to_lowercase();
    name.set_fqdn(true);
    Some(name)
}

/// Reads what a server of the parent answered about NS at the domain; `None` for a lame answer. An answer with
/// authority and an NS set comes from a server that has the domain itself, too: that set is not the parent's.
pub(super) fn read(message: &Message, domain: &Name) -> Option<Said> {
    let is_authoritative = message.metadata.authoritative;
    match message.metadata.response_code {
        ResponseCode::NXDomain if is_authoritative => Some(Said::Missing),
        ResponseCode::NoError if is_authoritative => Some(Said::Nothing),
        ResponseCode::NoError => {
            let delegated = message.authorities.iter().filter(|record| record.name.to_lowercase() == *domain);
            let mut names: Vec<Name> = delegated
                .filter(|record| record.dns_class == DNSClass::IN)
                .filter_map(|record| match &record.data {
                    RData::NS(ns) => Some(ns.0.to_lowercase()),
                    _ => None,
                })
                .collect();
            names.sort();
            (!names.is_empty()).then_some(Said::To(names))
        }
        _ => None,
    }
}

/// Whether all that answered show every name that is wanted.
fn judge(said: &[(Name, Said)], wanted: &[Name]) -> DelegationOutcome {
    let lacking = |said: &Said| -> Vec<Name> {
        let there: &[Name] = if let Said::To(names) = said { names } else { &[] };
        wanted.iter().filter(|name| !there.contains(name)).cloned().collect()
    };
    let Some((_, first)) = said.first() else { return DelegationOutcome::Unreachable };
    let others: Vec<&Name> = said.iter().filter(|(_, said)| !lacking(said).is_empty()).map(|(name, _)| name).collect();
    if others.is_empty() {
        DelegationOutcome::Proven
    } else if others.len() < said.len() {
        DelegationOutcome::Disagree(texts(others))
    } else if said.iter().all(|(_, said)| *said == Said::Missing) {
        DelegationOutcome::DomainDoesNotExist
    } else {
        let best = said.iter().map(|(_, said)| lacking(said)).min_by_key(Vec::len);
        DelegationOutcome::Lacking(texts(best.unwrap_or_else(|| lacking(first)).iter().collect()))
    }
}

fn texts(names: Vec<&Name>) -> Vec<String> {
    let mut texts: Vec<String> =
        names.into_iter().map(|name| name.to_ascii().trim_end_matches('.').to_owned()).collect();
    texts.sort();
    texts
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use hickory_proto::op::{MessageType, OpCode};
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::NS;

    use super::*;

    fn of(text: &str) -> Name {
        Name::from_str(text).expect(text)
    }

    fn answer(code: ResponseCode, is_authoritative: bool, authorities: &[(&str, &str)]) -> Message {
        let mut message = Message::new(1, MessageType::Response, OpCode::Query);
        message.metadata.response_code = code;
        message.metadata.authoritative = is_authoritative;
        for (owner, server) in authorities {
            message.authorities.push(Record::from_rdata(of(owner), 60, RData::NS(NS(of(server)))));
        }
        message
    }

    #[test]
    fn only_a_referral_to_the_domain_itself_is_the_parents_word() {
        let read = |message: &Message| super::read(message, &of("shop.test."));
        let referral =
            answer(ResponseCode::NoError, false, &[("shop.test.", "NS2.dns.test."), ("SHOP.test.", "ns1.dns.test.")]);
        assert_eq!(read(&referral), Some(Said::To(vec![of("ns1.dns.test."), of("ns2.dns.test.")])));
        let own = answer(ResponseCode::NoError, true, &[("shop.test.", "ns1.dns.test.")]);
        assert_eq!(read(&own), Some(Said::Nothing), "the domain's own servers are not its parent's");
        let elsewhere = answer(ResponseCode::NoError, false, &[("test.", "ns1.dns.test.")]);
        assert_eq!(read(&elsewhere), None, "lame");
        assert_eq!(read(&answer(ResponseCode::NXDomain, true, &[])), Some(Said::Missing));
        assert_eq!(read(&answer(ResponseCode::NXDomain, false, &[])), None);
        assert_eq!(read(&answer(ResponseCode::ServFail, true, &[])), None);
    }

    #[test]
    fn all_of_the_parents_servers_must_show_all_names() {
        let wanted = [of("ns1.dns.test."), of("c.ns1.dns.test.")];
        let whole = || Said::To(vec![of("c.ns1.dns.test."), of("ns1.dns.test."), of("other.test.")]);
        let part = || Said::To(vec![of("ns1.dns.test.")]);
        let judged = |said: &[Said]| {
            let said: Vec<(Name, Said)> =
                said.iter().enumerate().map(|(n, said)| (of(&format!("p{n}.nic.test.")), said.clone())).collect();
            judge(&said, &wanted)
        };
        let lacking =
            |names: &[&str]| DelegationOutcome::Lacking(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(judged(&[whole(), whole()]), DelegationOutcome::Proven);
        assert_eq!(judged(&[whole(), part()]), DelegationOutcome::Disagree(vec!["p1.nic.test".to_owned()]));
        assert_eq!(judged(&[part(), part()]), lacking(&["c.ns1.dns.test"]));
        assert_eq!(judged(&[part(), Said::Missing]), lacking(&["c.ns1.dns.test"]));
        assert_eq!(judged(&[Said::Nothing]), lacking(&["c.ns1.dns.test", "ns1.dns.test"]));
        assert_eq!(judged(&[Said::Missing, Said::Missing]), DelegationOutcome::DomainDoesNotExist);
        assert_eq!(judged(&[]), DelegationOutcome::Unreachable);
    }
}
