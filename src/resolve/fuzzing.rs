//! What the fuzzer reaches of this layer: packets of servers that anybody may have set up, without a network.

use hickory_proto::rr::{Name, RecordType};

use super::answer::{read_authoritative, read_recursive};
use super::exchange::{Question, Received, accept};
use super::transfer::{Gathered, TransferError, TransferredRecord};
use super::tsig::{Sequence, TsigKey, sign_answer};
use super::{cut, delegation, delegation_signer, served_keys};
use crate::clock::Clock;
use crate::dns::ZoneName;

/// The id of every question here.
pub const ID: u16 = 0x5343;

/// What each reader makes of a packet that came as the answer to a question about the name; `None` where it is no
/// answer to that.
pub fn read_answer(packet: &[u8], zone: &str, name: &str, record_type: u16) -> Option<String> {
    let [zone, name] = [zone, name].map(|name| Name::from_ascii(name).expect("a name"));
    let record_type = RecordType::from(record_type);
    let question = Question { name, record_type, recursion_desired: false, edns: true, dnssec_ok: true };
    let message = match accept(packet, ID, &question)? {
        Received::Whole(message) => message,
        Received::Truncated => return Some("cut off".to_owned()),
    };
    let name = &question.name;
    let nameservers = cut::nameservers_of(&message, name);
    let above = cut::apex_above(&message, name);
    // the walk up to a zone's cut ends, since each step is shorter
    assert!(above.as_ref().is_none_or(|above| above.num_labels() < name.num_labels()), "{above:?} is not above {name}");
    for name in nameservers.iter().chain(&above) {
        cut::is_public_suffix(name);
        cut::registrable_domain(name);
    }
    let said = (read_authoritative(&message, &zone, name), read_recursive(&message, name));
    let parent = (delegation::read(&message, name), delegation_signer::read(&message, name));
    let keys = [RecordType::DNSKEY, RecordType::SOA].map(|covered| served_keys::signers(&message, covered));
    Some(format!("{said:?} {parent:?} {keys:?} {nameservers:?} {above:?} {}", cut::says_missing(&message, name)))
}

/// What is made of the messages of a transfer, in their order.
pub fn read_transfer<'a>(
    messages: impl Iterator<Item = &'a [u8]>,
    zone: &ZoneName,
    key: Option<(&TsigKey, &Clock)>,
    records_max: usize,
) -> Result<Vec<TransferredRecord>, TransferError> {
    let sequence = key.and_then(|(key, clock)| Sequence::begin(key, clock, &mut asked()));
    let mut gathered = Gathered::new(ID, zone, sequence, records_max);
    for message in messages {
        gathered.take(message)?;
        if gathered.is_over {
            return gathered.end();
        }
    }
    Err(TransferError::BrokenOff)
}

/// Signs messages as the server of a transfer does.
pub fn sign_transfer(messages: &mut [Vec<u8>], key: &TsigKey, clock: &Clock) {
    let mut previous = Sequence::begin(key, clock, &mut asked()).expect("signed").previous;
    let time = clock.now().unix_timestamp().unsigned_abs();
    for (position, message) in messages.iter_mut().enumerate() {
        previous = sign_answer(key, message, (&previous, &[]), position == 0, time);
    }
}

/// A question, whatever it asks.
fn asked() -> Vec<u8> {
    let [high, low] = ID.to_be_bytes();
    vec![high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}
