//! Public keys and delegation signers, as texts and as they come over the wire, and names of TSIG keys.

use super::{Outcome, seeds_of, text, zone};
use crate::dns::dnssec::{DigestType, Dnskey, Ds};
use crate::dns::key_name;

pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = seeds_of([
        "257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==",
        "256 3 8 AwEAAc JG3A==",
        "2371 13 2 1F987CC6583E92DF0890718C42A1F3C7D6E9B2C1A9F1E4D7C8B5A6F3E2D1C0B9",
        "0 0 0 00",
        "0 3 0 AA==",
        "transfer.northwind.",
        "_a-b.c",
    ]);
    seeds.push(b"\x01\x01\x03\x0dkey".to_vec());
    seeds.push(b"\x09\x43\x0d\x02digest".to_vec());
    seeds
}

pub fn run(input: &[u8]) -> Outcome {
    let text = &*text(input);
    for key in [text.parse::<Dnskey>(), Dnskey::from_rdata(input)].into_iter().flatten() {
        assert_eq!(key.to_string().parse().as_ref(), Ok(&key), "its text");
        assert_eq!(Dnskey::from_rdata(&key.rdata()).as_ref(), Ok(&key), "its octets");
        let signers = DigestType::ALL.map(|digest_type| Ds::of(&zone(), &key, digest_type));
        assert!(signers.iter().all(|ds| ds.is_of(&zone(), &key)), "its own");
    }
    for ds in [text.parse::<Ds>(), Ds::from_rdata(input)].into_iter().flatten() {
        assert_eq!(ds.to_string().parse().as_ref(), Ok(&ds), "its text");
    }
    let name = key_name(text);
    if let Ok(name) = &name {
        assert_eq!(key_name(name).as_ref(), Ok(name), "a key's name is its own");
    }
    let name = name.map_or_else(|error| error.message, |_| "a name".to_owned());
    format!("{} {} {name}", text.parse::<Dnskey>().is_ok(), text.parse::<Ds>().is_ok())
}
