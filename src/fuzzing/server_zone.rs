//! A zone as PowerDNS answers with it, which an operator or another program may have written to.

use serde_json::{Value, json};

use super::{Outcome, seeds_of, zone};
use crate::dns::zone_file::{self, ZoneFileFormat};
use crate::pdns::ServerZone;
use crate::service::zone_writer::from_server;

pub fn seeds() -> Vec<Vec<u8>> {
    let rrset = |name: &str, kind: &str, content: &str| {
        let records = [json!({ "content": content, "disabled": false })];
        json!({ "name": name, "type": kind, "ttl": 300, "records": records })
    };
    let soa = rrset("example.com.", "SOA", "ns1.example.com. hostmaster.example.com. 1 10800 3600 604800 3600");
    let marker = rrset("_scaidns.example.com.", "TXT", "\"a\"");
    let of = |rrsets: &[Value]| {
        json!({ "name": "example.com.", "account": "a", "serial": 1, "dnssec": false, "rrsets": rrsets }).to_string()
    };
    seeds_of([
        of(&[soa, marker, rrset("www.example.com.", "A", "192.0.2.1")]),
        of(&[rrset("a\\046b.example.com.", "TXT", "\"a\" \"\\\"b\\255\""), rrset("x.", "TYPE65280", "\\# 1 00")]),
        of(&[rrset("*.example.com.", "LUA", "A \"ifportup(443, {'192.0.2.1'})\"")]),
        r#"{"name":"example.com."}"#.to_owned(),
    ])
}

pub fn run(input: &[u8]) -> Outcome {
    let server: ServerZone = match serde_json::from_slice(input) {
        Ok(server) => server,
        Err(error) => return error.to_string(),
    };
    let state = from_server(&zone(), server);
    let mut count = 0;
    for (record, ..) in state.content.records() {
        let shown = record.key.name.display_name(&zone());
        assert!(!shown.is_empty(), "{:?} shows as something", record.key.name);
        count += 1;
    }
    let read = [ZoneFileFormat::Bind, ZoneFileFormat::Csv, ZoneFileFormat::Json].map(|format| {
        let file = zone_file::write(format, &state.content, |_| true);
        zone_file::read(format, &file, &zone(), count).records.len()
    });
    format!("{} {read:?}", state.live.is_some_and(|live| live.marker.is_some()))
}
