//! What a response says about the challenge name, and whether the servers agree. Pure.
//!
//! Never here: sockets, time.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record};

use super::ProofOutcome;
use super::budget::HOPS_MAX;

/// What one server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The TXT records at the name, the strings of each joined.
    Values(Vec<Vec<u8>>),
    /// No such name, or no TXT there.
    Nothing,
    /// The answer lies elsewhere.
    Elsewhere(Pointer),
}

/// Where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// A CNAME leads to this name.
    Alias(Name),
    /// The name asked for is delegated to this zone, below the one asked.
    Delegation(Name),
}

/// What all servers together say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agreement {
    Settled(ProofOutcome),
    Follow(Pointer),
}

/// Reads what a server of `zone` answered about TXT at `name`; `None` for a lame answer, which counts as silence.
///
/// Records are believed only for names within the zone, the answer section alone is read (and the owners in the
/// authority section, to tell *not there* from *not mine*).
pub fn read_authoritative(message: &Message, zone: &Name, name: &Name) -> Option<Answer> {
    let code = message.metadata.response_code;
    if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return None;
    }
    if !message.metadata.authoritative {
        let delegated = delegation(message, zone, name)?;
        return Some(Answer::Elsewhere(Pointer::Delegation(delegated)));
    }
    let Some((end, values)) = follow(message, name, |target| zone.zone_of(target)) else {
        return Some(Answer::Nothing);
    };
    let is_denied = zone.zone_of(&end) && (code == ResponseCode::NXDomain || denies(message, &end));
    Some(if !values.is_empty() {
        Answer::Values(values)
    } else if end == *name || is_denied {
        Answer::Nothing
    } else {
        Answer::Elsewhere(Pointer::Alias(end))
    })
}

/// Reads what a recursive resolver answered: it has followed the aliases already.
pub fn read_recursive(message: &Message, name: &Name) -> Answer {
    match follow(message, name, |_| true) {
        Some((_, values)) if !values.is_empty() => Answer::Values(values),
        _ => Answer::Nothing,
    }
}

/// Whether all that answered say the same, and what.
pub fn agree(answers: &[(Name, Answer)], expected: &[u8]) -> Agreement {
    let proves = |answer: &Answer| matches!(answer, Answer::Values(values) if values.iter().any(|v| v == expected));
    let Some((_, first)) = answers.first() else {
        return Agreement::Settled(ProofOutcome::Unreachable);
    };
    let lagging: Vec<&Name> = answers.iter().filter(|(_, a)| !proves(a)).map(|(name, _)| name).collect();
    let points = |answer: &Answer| matches!(answer, Answer::Elsewhere(_));
    Agreement::Settled(if lagging.is_empty() {
        ProofOutcome::Proven
    } else if lagging.len() < answers.len() {
        ProofOutcome::Disagree(texts(lagging))
    } else if answers.iter().any(|(_, answer)| points(answer)) {
        match first {
            Answer::Elsewhere(pointer) if answers.iter().all(|(_, answer)| answer == first) => {
                return Agreement::Follow(pointer.clone());
            }
            _ => ProofOutcome::Disagree(texts(lagging)),
        }
    } else if answers.iter().any(|(_, answer)| matches!(answer, Answer::Values(_))) {
        ProofOutcome::WrongValue
    } else {
        ProofOutcome::NoRecord
    })
}

/// Follows CNAMEs inside the answer section from `name` on, as far as `believed` goes: the last name, and the TXT
/// values there. `None` where the aliases run in a circle or on for too long.
fn follow(message: &Message, name: &Name, believed: impl Fn(&Name) -> bool) -> Option<(Name, Vec<Vec<u8>>)> {
    let mut name = name.clone();
    for _ in 0..=HOPS_MAX {
        if !believed(&name) {
            return Some((name, Vec::new()));
        }
        let here = |record: &&Record| record.name == name && record.dns_class == DNSClass::IN;
        let values: Vec<Vec<u8>> = message
            .answers
            .iter()
            .filter(here)
            .filter_map(|record| match &record.data {
                RData::TXT(txt) => Some(txt.txt_data.concat()),
                _ => None,
            })
            .collect();
        let alias = message.answers.iter().filter(here).find_map(|record| match &record.data {
            RData::CNAME(cname) => Some(cname.0.to_lowercase()),
            _ => None,
        });
        match alias {
            Some(target) if values.is_empty() => name = target,
            Some(_) | None => return Some((name, values)),
        }
    }
    None
}

/// The zone below `zone` that a referral for `name` points to.
fn delegation(message: &Message, zone: &Name, name: &Name) -> Option<Name> {
    if message.metadata.response_code != ResponseCode::NoError || !message.answers.is_empty() {
        return None;
    }
    let ns = message.authorities.iter().find(|record| matches!(record.data, RData::NS(_)))?;
    let below = ns.name.to_lowercase();
    (below != *zone && zone.zone_of(&below) && below.zone_of(name)).then_some(below)
}

/// Whether the authority section holds the SOA of a zone around the name: NODATA (RFC 2308).
fn denies(message: &Message, name: &Name) -> bool {
    message.authorities.iter().any(|record| matches!(record.data, RData::SOA(_)) && record.name.zone_of(name))
}

fn texts(names: Vec<&Name>) -> Vec<String> {
    let mut texts: Vec<String> =
        names.into_iter().map(|name| name.to_ascii().trim_end_matches('.').to_owned()).collect();
    texts.sort();
    texts
}
