//! The DS of a domain, as each of its parent's servers has it.
//!
//! Never here: which DS it should be.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};

use crate::dns::dnssec::Ds;

use super::ResolveSettings;
use super::authoritative::Asker;
use super::budget::Budget;
use super::cut::find_servers_of;
use super::recursive::Recursive;

/// What one of the parent's servers has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentAnswer {
    /// Lower case, without the dot at its end.
    pub server: String,
    /// The DS RRset with its TTL, which an empty one has not; None: no usable answer.
    pub ds: Option<(Vec<Ds>, Option<u32>)>,
}

/// See [`super::Resolve::delegation_signers`].
pub async fn look(settings: &ResolveSettings, budget: &Budget, domain: &str) -> Option<Vec<ParentAnswer>> {
    let mut domain = Name::from_ascii(domain).ok()?.to_lowercase();
    domain.set_fqdn(true);
    let recursive = Recursive::new(settings, budget);
    let cut = find_servers_of(&recursive, &domain.base_name()).await.ok()??;
    let asker = Asker { settings, budget, recursive: &recursive };
    let read = |message: &Message| read(message, &domain);
    let mut answers = asker.ask_all(&cut, (&domain, RecordType::DS), &read).await;
    let found = cut.nameservers.iter().map(|server| {
        let position = answers.iter().position(|(name, _)| name == server);
        let ds = position.map(|position| answers.swap_remove(position).1);
        ParentAnswer { server: server.to_ascii().trim_end_matches('.').to_owned(), ds }
    });
    Some(found.collect())
}

/// The DS RRset in an authoritative answer; `None` for a lame one, which counts as silence.
pub(super) fn read(message: &Message, domain: &Name) -> Option<(Vec<Ds>, Option<u32>)> {
    let code = message.metadata.response_code;
    if !message.metadata.authoritative || !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return None;
    }
    let mut found = Vec::new();
    let mut ttl = None;
    for record in message.answers.iter().filter(|record| record.name == *domain && record.dns_class == DNSClass::IN) {
        if let RData::Unknown { code: RecordType::DS, rdata } = &record.data {
            // what does not read is no DS that anybody could use
            found.extend(Ds::from_rdata(&rdata.anything));
            ttl = ttl.max(Some(record.ttl));
        }
    }
    found.sort();
    Some((found, ttl))
}
