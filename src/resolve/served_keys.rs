//! Which keys one of the platform's own servers serves, and with which it signs.

use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::lookup_host;

use crate::dns::dnssec::Dnskey;

use super::budget::Budget;
use super::exchange::{Question, Server, ask};

const WAIT: Duration = Duration::from_millis(1_500);
/// Two questions, each over UDP and, cut off, over TCP.
const PACKETS_MAX: u32 = 4;
/// Where an RRSIG has the key tag (RFC 4034, 3.1).
const RRSIG_TYPE: std::ops::Range<usize> = 0..2;
const RRSIG_KEY_TAG: std::ops::Range<usize> = 16..18;

/// Key tags, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedKeys {
    pub listed: Vec<u16>,
    pub sign_keys: Vec<u16>,
    /// Those that sign the SOA, which stands for all data.
    pub sign_data: Vec<u16>,
}

/// Asks `server`, `host:port` as the operator chose it. None: no answer, or no such zone.
pub async fn served_keys_at(server: &str, zone: &str) -> Option<ServedKeys> {
    let address = lookup_host(server).await.ok()?.next()?;
    let name = Name::from_ascii(format!("{zone}.")).ok()?;
    let budget = Budget::of(PACKETS_MAX, WAIT * 2);
    let keys = question(&budget, address, &name, RecordType::DNSKEY).await?;
    let data = question(&budget, address, &name, RecordType::SOA).await?;
    let mut listed: Vec<u16> =
        rdata(&keys, RecordType::DNSKEY).filter_map(|rdata| Some(Dnskey::from_rdata(rdata).ok()?.key_tag())).collect();
    listed.sort_unstable();
    Some(ServedKeys {
        listed,
        sign_keys: signers(&keys, RecordType::DNSKEY),
        sign_data: signers(&data, RecordType::SOA),
    })
}

async fn question(
    budget: &Budget,
    address: std::net::SocketAddr,
    name: &Name,
    record_type: RecordType,
) -> Option<Message> {
    let name = name.clone();
    let question = Question { name, record_type, recursion_desired: false, edns: true, dnssec_ok: true };
    let message = ask(budget, Server::resolver(address), &question, WAIT).await.ok()?;
    (message.metadata.response_code == ResponseCode::NoError).then_some(message)
}

pub(super) fn signers(message: &Message, record_type: RecordType) -> Vec<u16> {
    let covered = u16::from(record_type).to_be_bytes();
    let mut tags: Vec<u16> = rdata(message, RecordType::RRSIG)
        .filter(|rdata| rdata.get(RRSIG_TYPE) == Some(&covered[..]))
        .filter_map(|rdata| rdata.get(RRSIG_KEY_TAG)?.try_into().ok().map(u16::from_be_bytes))
        .collect();
    tags.sort_unstable();
    tags
}

fn rdata(message: &Message, record_type: RecordType) -> impl Iterator<Item = &[u8]> {
    message.answers.iter().filter_map(move |record| match &record.data {
        RData::Unknown { code, rdata } if *code == record_type => Some(rdata.anything.as_slice()),
        _ => None,
    })
}
