//! The recursive resolver: follows delegations and aliases, asking PowerDNS where a delegation leads there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::answer::{self, Answer};
use super::record;
use super::wire;
use super::world::World;

/// Aliases followed from one name to the next.
const CNAME_CHAIN_MAX: usize = 12;
/// Zone cuts followed for one name.
const REFERRALS_MAX: usize = 16;
/// How long a nameserver that is not ours may take.
const FORWARD_LIMIT: Duration = Duration::from_secs(2);

/// The answer a client of the resolver gets. `port` is that of all nameservers.
pub(super) async fn resolve(world: &World, port: u16, name: &Name, kind: RecordType) -> Answer {
    let mut collected: Vec<Record> = Vec::new();
    let mut name = name.clone();
    for _ in 0..CNAME_CHAIN_MAX {
        let mut answer = iterate(world, port, &name, kind).await;
        answer.authoritative = false;
        let target = alias_at_end(&answer, &name, kind);
        collected.append(&mut answer.answers);
        match target {
            Some(target) => name = target,
            None => return Answer { answers: collected, additionals: Vec::new(), ..answer },
        }
    }
    Answer::refuse(ResponseCode::ServFail)
}

/// The name to go on with, when the answer ends in an alias.
fn alias_at_end(answer: &Answer, name: &Name, kind: RecordType) -> Option<Name> {
    if kind == RecordType::CNAME || kind == RecordType::ANY {
        return None;
    }
    let mut end = name.clone();
    for _ in 0..=answer.answers.len() {
        let next = answer.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == end => Some(target.0.to_lowercase()),
            _ => None,
        });
        match next {
            Some(next) => end = next,
            None => break,
        }
    }
    let settled = answer.code != ResponseCode::NoError || answer.answers.iter().any(|record| record.name == end);
    // A negative answer for the alias's target comes with the SOA of the zone that holds it.
    (end != *name && !settled && answer.authorities.is_empty()).then_some(end)
}

/// From the parent down to the servers that know.
async fn iterate(world: &World, port: u16, name: &Name, kind: RecordType) -> Answer {
    let mut answer = answer::parent(world, name, kind);
    for _ in 0..REFERRALS_MAX {
        if answer.referral().is_none() {
            return answer;
        }
        answer = ask_delegated(world, port, &answer, name, kind).await;
    }
    Answer::refuse(ResponseCode::ServFail)
}

/// The first sensible answer of the nameservers that a referral names.
async fn ask_delegated(world: &World, port: u16, referral: &Answer, name: &Name, kind: RecordType) -> Answer {
    for delegation in &referral.authorities {
        let RData::NS(host) = &delegation.data else { continue };
        let host = record::text(&host.0);
        let served = world.hosts.get(&host).is_some_and(|host| host.served);
        for address in world.addresses_of(&host) {
            let answer = match (served, address) {
                (true, address) => answer::authoritative(world, address, name, kind),
                // Nothing but the platform's own nameserver is ever asked over the wire.
                (false, IpAddr::V4(Ipv4Addr::LOCALHOST)) => forward((address, port).into(), name, kind).await,
                (false, _) => None,
            };
            let useful = |answer: &Answer| matches!(answer.code, ResponseCode::NoError | ResponseCode::NXDomain);
            if let Some(answer) = answer.filter(useful) {
                return answer;
            }
        }
    }
    Answer::refuse(ResponseCode::ServFail)
}

async fn forward(server: SocketAddr, name: &Name, kind: RecordType) -> Option<Answer> {
    let mut query = Message::query();
    query.add_query(Query::query(name.clone(), kind));
    let id = query.metadata.id;
    let query = query.to_vec().ok()?;
    let asked = async {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.ok()?;
        socket.connect(server).await.ok()?;
        socket.send(&query).await.ok()?;
        let mut buffer = vec![0; wire::MESSAGE_MAX];
        loop {
            let length = socket.recv(&mut buffer).await.ok()?;
            match Message::from_vec(&buffer[..length]) {
                Ok(message) if message.metadata.id == id && message.metadata.truncation => {
                    return wire::exchange_tcp(server, &query).await;
                }
                Ok(message) if message.metadata.id == id => return Some(message),
                _ => {}
            }
        }
    };
    let message = timeout(FORWARD_LIMIT, asked).await.ok().flatten()?;
    Some(Answer {
        code: message.metadata.response_code,
        authoritative: message.metadata.authoritative,
        answers: message.answers,
        authorities: message.authorities,
        additionals: message.additionals,
    })
}
