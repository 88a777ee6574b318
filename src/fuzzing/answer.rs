//! Answers of nameservers that anybody may have set up: proofs, delegations, keys.

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, NS, NULL, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::Outcome;
use crate::resolve::fuzzing::{ID, read_answer};

const ZONE: &str = "shop.test.";
const NAME: &str = "_scaidns-verify.shop.test.";
/// What is asked, by the first octet of the input.
const TYPES: [u16; 5] = [16, 2, 43, 48, 6];

/// An octet that chooses the type, then the packet.
pub fn seeds() -> Vec<Vec<u8>> {
    let name = |text: &str| Name::from_ascii(text).expect("a name");
    let unknown = |record_type: u16, rdata: &[u8]| RData::Unknown {
        code: RecordType::from(record_type),
        rdata: NULL::with(rdata.to_vec()),
    };
    let soa = || SOA::new(name("ns1.shop.test."), name("host.shop.test."), 1, 3_600, 600, 86_400, 300);
    let packet =
        |choice: u8, authoritative: bool, code, answers: Vec<(&str, RData)>, authorities: Vec<(&str, RData)>| {
            let mut message = Message::new(ID, MessageType::Response, OpCode::Query);
            message.metadata.authoritative = authoritative;
            message.metadata.response_code = code;
            let record_type = RecordType::from(TYPES[usize::from(choice)]);
            message.add_query(Query::query(name(NAME), record_type));
            let record = |(owner, data): (&str, RData)| Record::from_rdata(name(owner), 300, data);
            message.add_answers(answers.into_iter().map(record));
            message.add_authorities(authorities.into_iter().map(record));
            [vec![choice], message.to_vec().expect("encoded")].concat()
        };
    let ok = ResponseCode::NoError;
    let txt = || RData::TXT(TXT::new(vec!["scaidns-verify=".to_owned(), "value".to_owned()]));
    vec![
        packet(0, true, ok, vec![(NAME, txt())], vec![]),
        packet(0, true, ok, vec![(NAME, RData::CNAME(CNAME(name("x.shop.test.")))), ("x.shop.test.", txt())], vec![]),
        packet(0, true, ResponseCode::NXDomain, vec![], vec![(ZONE, RData::SOA(soa()))]),
        packet(0, false, ok, vec![], vec![(NAME, RData::NS(NS(name("ns.other.test."))))]),
        packet(1, true, ok, vec![(NAME, RData::NS(NS(name("ns1.shop.test."))))], vec![]),
        packet(2, true, ok, vec![(NAME, unknown(43, &[1, 2, 13, 2, 9, 9]))], vec![]),
        packet(3, true, ok, vec![(NAME, unknown(48, &[1, 1, 3, 13, 9, 9])), (NAME, unknown(46, &[0; 30]))], vec![]),
        packet(4, true, ok, vec![(NAME, RData::SOA(soa()))], vec![]),
    ]
}

pub fn run(input: &[u8]) -> Outcome {
    let Some((choice, packet)) = input.split_first() else { return "nothing".to_owned() };
    let record_type = TYPES[usize::from(*choice) % TYPES.len()];
    read_answer(packet, ZONE, NAME, record_type).unwrap_or_else(|| "no answer".to_owned())
}
