//! The serial that one of the platform's own servers answers with.

use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::lookup_host;

use super::budget::Budget;
use super::exchange::{Question, Server, ask};

/// The server stands beside us; whoever waits longer asks its API.
const WAIT: Duration = Duration::from_millis(250);
/// Over UDP, and over TCP should the answer be cut off.
const PACKETS_MAX: u32 = 2;

/// The serial of a zone at `server`, `host:port` as the operator chose it. None: no answer, or no such zone.
pub async fn serial_at(server: &str, zone: &str) -> Option<u32> {
    let server = lookup_host(server).await.ok()?.next()?;
    let name = Name::from_ascii(format!("{zone}.")).ok()?;
    let question =
        Question { name, record_type: RecordType::SOA, recursion_desired: false, edns: false, dnssec_ok: false };
    let budget = Budget::of(PACKETS_MAX, WAIT);
    let answer = ask(&budget, Server::resolver(server), &question, WAIT).await.ok()?;
    if answer.metadata.response_code != ResponseCode::NoError {
        return None;
    }
    answer.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) if record.name == question.name => Some(soa.serial),
        _ => None,
    })
}
