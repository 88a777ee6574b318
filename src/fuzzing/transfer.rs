//! A transfer of a zone: messages, signed or not, and what becomes of the records in them.

use secrecy::SecretSlice;

use super::{Outcome, now, zone};
use crate::clock::Clock;
use crate::dns::wire::name_octets;
use crate::dns::{canonical, zone_file};
use crate::resolve::fuzzing::{ID, read_transfer, sign_transfer};
use crate::resolve::{Algorithm, TransferredRecord, TsigKey};

const RECORDS_MAX: usize = 100;

fn key() -> TsigKey {
    let secret = SecretSlice::from(b"0123456789abcdef".to_vec());
    TsigKey { name: "key.test.".to_owned(), algorithm: Algorithm::Sha256, secret }
}

fn clock() -> Clock {
    Clock::from_fn(now)
}

/// An octet, odd where the question was signed; then the messages, each behind its length as it comes over TCP.
pub fn seeds() -> Vec<Vec<u8>> {
    let soa =
        [&b"\x02ns\xc0\x0c\x04host\xc0\x0c"[..], &[0, 0, 0, 1, 0, 0, 14, 16, 0, 0, 2, 88, 0, 1, 81, 128, 0, 0, 1, 44]];
    let soa = record(6, &soa.concat());
    let loc = [0, 0x12, 0x16, 0x13, 0x8b, 0x3c, 0xf0, 0x18, 0x81, 0x0c, 0xbc, 0xe0, 0, 0x98, 0x95, 0xb8];
    let of_types = [
        record(1, &[192, 0, 2, 1]),
        record(2, b"\x03ns1\xc0\x0c"),
        record(5, b"\xc0\x0c"),
        record(13, b"\x01a\x02\"\\"),
        record(15, b"\x00\x0a\x04mail\xc0\x0c"),
        record(16, b"\x03a\"b\x02\x01\xff\x00"),
        record(28, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        record(29, &loc),
        record(33, b"\x00\x01\x00\x02\x01\xbb\x03sip\xc0\x0c"),
        record(35, b"\x00\x01\x00\x01\x01u\x07E2U+sip\x0a!^.*$!sip!\x00"),
        record(37, b"\x00\x01\x00\x01\x08cert"),
        record(43, &[0x30, 0x39, 13, 2, 0xab, 0xcd]),
        record(44, &[4, 2, 0xab]),
        record(46, b"signature"),
        record(52, &[3, 1, 1, 0xab]),
        record(61, b"key"),
        record(62, &[0, 0, 0, 66, 0, 3, 0, 4, 0x60, 0, 0, 0x08]),
        record(64, b"\x00\x01\x00\x02\x9b\x00\x01x"),
        record(65, b"\x00\x01\x00\x00\x01\x00\x06\x02h2\x02h3\x00\x03\x00\x02\x01\xbb\x00\x04\x00\x04\xc0\x00\x02\x01"),
        record(256, b"\x00\x0a\x00\x01https://x.test/"),
        record(257, b"\x00\x05issueca.test"),
        record(65_280, b"whatever"),
    ];
    let one = std::slice::from_ref;
    let whole = |records: &[Vec<u8>]| message(0, &[one(&soa), records, one(&soa)].concat());
    let parts = [message(0, one(&soa)), message(0, &of_types), message(0, one(&soa))];
    let mut seeds: Vec<Vec<u8>> = of_types.iter().map(|record| framed(0, &[whole(one(record))])).collect();
    seeds.extend([framed(0, &[whole(&of_types)]), framed(0, &parts), framed(0, &[message(5, &[])])]);
    let mut signed =
        vec![message(0, &[soa.clone(), of_types[0].clone()]), message(0, &[of_types[4].clone(), soa.clone()])];
    sign_transfer(&mut signed, &key(), &clock());
    seeds.push(framed(1, &signed));
    let mut refused = vec![message(9, &[])];
    sign_transfer(&mut refused, &key(), &clock());
    seeds.push(framed(1, &refused));
    seeds
}

/// At the name of the question, which each of them points to.
fn record(record_type: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("short");
    let head = [&[0xc0, 0x0c][..], &record_type.to_be_bytes(), &[0, 1], &300_u32.to_be_bytes(), &length.to_be_bytes()];
    [&head.concat()[..], data].concat()
}

fn message(code: u8, records: &[Vec<u8>]) -> Vec<u8> {
    let count = u16::try_from(records.len()).expect("few").to_be_bytes();
    let head = [&ID.to_be_bytes()[..], &[0x84, code, 0, 1], &count, &[0, 0, 0, 0]].concat();
    let question = [name_octets("example.com.").expect("a name"), vec![0, 252, 0, 1]].concat();
    [head, question, records.concat()].concat()
}

fn framed(first: u8, messages: &[Vec<u8>]) -> Vec<u8> {
    let frame = |message: &Vec<u8>| [&u16::try_from(message.len()).expect("short").to_be_bytes()[..], message].concat();
    [vec![first], messages.iter().map(frame).collect::<Vec<_>>().concat()].concat()
}

pub fn run(input: &[u8]) -> Outcome {
    let Some((first, mut rest)) = input.split_first() else { return "nothing".to_owned() };
    let messages = std::iter::from_fn(|| {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        let (message, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        rest = behind;
        Some(message)
    });
    let (key, clock) = (key(), clock());
    let key = (first & 1 == 1).then_some((&key, &clock));
    let records = match read_transfer(messages, &zone(), key, RECORDS_MAX) {
        Ok(records) => records,
        Err(error) => return error.to_string(),
    };
    assert!(records.len() <= RECORDS_MAX, "no more than was asked for");
    let raw = records.iter().zip(1..).map(|(record, line)| {
        let TransferredRecord { name, ttl, content } = record;
        zone_file::Transferred { line, name, ttl: *ttl, content: content.as_ref().map_err(|number| *number) }
    });
    let file = zone_file::of_transfer(&zone(), raw);
    for record in &file.records {
        assert!(record.key.name.is_in(&zone()), "{:?}", record.key.name);
        let (form, _) =
            canonical(&record.key.record_type, &record.content, &zone()).expect("what was taken in is right");
        assert_eq!(form, record.content, "canonical is canonical");
    }
    let types = file.records.iter().take(3).map(|record| record.key.record_type.as_str()).collect::<Vec<_>>();
    format!("{types:?} {:?}", file.errors.first().map(|error| &error.message))
}
