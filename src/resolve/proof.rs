//! One proof from beginning to end: find the servers, ask them all, follow where they point, judge.
//!
//! Never here: sockets; the contract's words for the outcome.

use hickory_proto::rr::{Name, RecordType};

use super::answer::{Agreement, Pointer, agree, read_authoritative, read_recursive};
use super::authoritative::Asker;
use super::budget::{Budget, HOPS_MAX};
use super::cut::{Search, find_cut};
use super::recursive::Recursive;
use super::{CHALLENGE_LABEL, ProofOutcome, ResolveSettings};

/// See [`super::Resolve::txt_proof`].
pub async fn look(settings: &ResolveSettings, budget: &Budget, domain: &str, expected: &str) -> ProofOutcome {
    let Some((domain, challenge)) = names(domain) else {
        // Too long, or no name at all: nothing can stand there.
        return ProofOutcome::NoRecord;
    };
    let recursive = Recursive::new(settings, budget);
    let search = match find_cut(&recursive, &domain).await {
        Ok(search) => search,
        Err(_) => return ProofOutcome::Unreachable,
    };
    let domain_is_missing = search.start_is_missing;
    let asker = Asker { settings, budget, recursive: &recursive };
    match settle(&asker, search, challenge, expected.as_bytes()).await {
        ProofOutcome::NoRecord if domain_is_missing => ProofOutcome::DomainDoesNotExist,
        outcome => outcome,
    }
}

/// The domain and its challenge name.
fn names(domain: &str) -> Option<(Name, Name)> {
    let mut domain = Name::from_ascii(domain).ok()?.to_lowercase();
    domain.set_fqdn(true);
    let challenge = domain.prepend_label(CHALLENGE_LABEL).ok()?;
    (!domain.is_root()).then_some((domain, challenge))
}

/// Asks for TXT at `name`, whose servers `search` has found, and goes on wherever all of them point.
async fn settle(asker: &Asker<'_>, mut search: Search, mut name: Name, expected: &[u8]) -> ProofOutcome {
    let mut seen = vec![name.clone()];
    for _ in 0..=HOPS_MAX {
        let agreement = match &search.cut {
            Some(cut) => {
                let read = |message: &_| read_authoritative(message, &cut.zone, &name);
                agree(&asker.ask_all(cut, (&name, RecordType::TXT), &read).await, expected)
            }
            None if search.start_is_missing => return ProofOutcome::NoRecord,
            None => ask_recursive(asker, &name, expected).await,
        };
        let (start, must_be_cut) = match agreement {
            Agreement::Settled(outcome) => return outcome,
            Agreement::Follow(Pointer::Delegation(zone)) => (zone, true),
            Agreement::Follow(Pointer::Alias(target)) if seen.contains(&target) => return ProofOutcome::NoRecord,
            Agreement::Follow(Pointer::Alias(target)) => {
                seen.push(target.clone());
                name = target.clone();
                (target, false)
            }
        };
        let Ok(found) = find_cut(asker.recursive, &start).await else {
            return ProofOutcome::Unreachable;
        };
        // A delegation that the resolvers do not see leads back to the servers that have just been asked.
        if must_be_cut && found.cut.as_ref().is_none_or(|cut| cut.zone != start) {
            return ProofOutcome::Unreachable;
        }
        search = found;
    }
    // A chain this long is no record, as a circle is none.
    ProofOutcome::NoRecord
}

/// For a domain that exists without a zone of its own: what the recursive resolvers say.
async fn ask_recursive(asker: &Asker<'_>, name: &Name, expected: &[u8]) -> Agreement {
    match asker.recursive.look_up(name, RecordType::TXT).await {
        Some(message) => agree(&[(Name::root(), read_recursive(&message, name))], expected),
        None => Agreement::Settled(ProofOutcome::Unreachable),
    }
}
