//! Names of zones and of records.

use super::{Outcome, seeds_of, text, zone};
use crate::dns::{OwnerName, ZoneName};

pub fn seeds() -> Vec<Vec<u8>> {
    seeds_of([
        "example.com",
        "EXAMPLE.co.uk.",
        "bücher.example",
        "xn--bcher-kva.example",
        "faß.de",
        "0-28.2.0.192.in-addr.arpa",
        "1.168.192.in-addr.arpa",
        "8.b.d.0.1.0.0.2.ip6.arpa",
        "com",
        "a.internal",
        "@",
        "www",
        "*",
        "*.www",
        "_sip._tcp",
        "www.example.com",
        "www.example.com.",
        "a\\.b",
        "a\\046b",
        "a..b",
        "-a",
        "a-",
        "xn--",
        "☃.example",
        "١.example",
    ])
}

pub fn run(input: &[u8]) -> Outcome {
    let input = &*text(input);
    let mut outcome = match ZoneName::parse(input) {
        Ok(name) => {
            assert_eq!(ZoneName::parse(name.as_str()).as_ref(), Ok(&name), "an A-label form is its own");
            if let Some(unicode) = name.unicode() {
                assert_eq!(ZoneName::parse(&unicode).as_ref(), Ok(&name), "{unicode} is the same name");
            }
            "a zone ".to_owned()
        }
        Err(error) => format!("{error} "),
    };
    match OwnerName::parse(input, &zone()) {
        Ok(name) => {
            assert!(name.is_in(&zone()), "{name:?}");
            assert_eq!(OwnerName::parse(&name.fqdn(), &zone()).as_ref(), Ok(&name), "whole");
            assert_eq!(OwnerName::parse(&name.display_name(&zone()), &zone()).as_ref(), Ok(&name), "relative");
            outcome.push_str("an owner");
        }
        Err(error) => outcome.push_str(&error.message),
    }
    outcome
}
