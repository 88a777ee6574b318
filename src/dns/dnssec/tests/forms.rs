//! Keys and digests as they stand in RFCs and were made by PowerDNS.

use crate::dns::ZoneName;
use crate::dns::dnssec::{DigestType, Dnskey, Ds};

fn zone(name: &str) -> ZoneName {
    ZoneName::trusted(name.to_owned())
}

#[test]
fn key_tag_and_digests_are_those_of_rfc_4509_6605_and_8080() {
    // RFC 4509, 2.3
    let key = "256 3 5 AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjMmmAphXdvxegXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw==";
    let key: Dnskey = key.parse().expect("a key");
    assert_eq!(key.key_tag(), 60485);
    let ds = Ds::of(&zone("dskey.example.com"), &key, DigestType::Sha256);
    assert_eq!(ds.to_string(), "60485 5 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A");
    // RFC 6605, 6.2
    let key = "257 3 14 xKYaNhWdGOfJ+nPrL8/arkwf2EY3MDJ+SErKivBVSum1w/egsXvSADtNJhyem5RCOpgQ6K8X1DRSEkrbYQ+OB+v8/uX45NBwY8rp65F6Glur8I/mlVNgF6W/qTI37m40";
    let key: Dnskey = key.parse().expect("a key");
    let ds = Ds::of(&zone("example.net"), &key, DigestType::Sha384);
    assert_eq!(
        ds.to_string(),
        "10771 14 4 72D7B62976CE06438E9C0BF319013CF801F09ECC84B8D7E9495F27E305C6A9B0563A9B5F4D288405C3008A946DF983D6"
    );
    // RFC 8080, 6.1
    let key: Dnskey = "257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=".parse().expect("a key");
    let ds = Ds::of(&zone("example.com"), &key, DigestType::Sha256);
    assert_eq!(ds.to_string(), "3613 15 2 3AA5AB37EFCE57F737FC1627013FEE07BDF241BD10F3B1964AB55C78E79A304B");
}

#[test]
fn a_key_and_a_ds_read_back_and_nonsense_does_not() {
    let key: Dnskey = "257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=".parse().expect("a key");
    assert_eq!(Dnskey::from_rdata(&key.rdata()), Ok(key.clone()));
    assert_eq!(key.to_string().parse(), Ok(key.clone()));
    let ds = Ds::of(&zone("example.com"), &key, DigestType::Sha256);
    let grouped = ds.to_string().to_ascii_lowercase().replace("f6", "f6 ");
    assert_eq!(grouped.parse(), Ok(ds.clone()));
    assert!(ds.is_of(&zone("example.com"), &key) && !ds.is_of(&zone("example.org"), &key));
    for text in ["", "257 3 15", "257 2 15 AAAA", "x 3 15 AAAA", "257 3 15 !"] {
        assert!(text.parse::<Dnskey>().is_err(), "{text}");
    }
    for text in ["", "1 13 2", "1 13 2 XYZ", "70000 13 2 AB", "1 13 2 ABC"] {
        assert!(text.parse::<Ds>().is_err(), "{text}");
    }
}
