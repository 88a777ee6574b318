//! The corpus of `src/dns/corpus/`, and what must hold for every content anyone may send.

use proptest::prelude::*;

use super::{canonical, canonical_from_server};
use crate::dns::{RecordType, ZoneName, catalogue};

const CORPUS: [(&str, &str); 28] = [
    ("A", include_str!("../corpus/a.txt")),
    ("AAAA", include_str!("../corpus/aaaa.txt")),
    ("ALIAS", include_str!("../corpus/alias.txt")),
    ("CAA", include_str!("../corpus/caa.txt")),
    ("CDNSKEY", include_str!("../corpus/cdnskey.txt")),
    ("CDS", include_str!("../corpus/cds.txt")),
    ("CERT", include_str!("../corpus/cert.txt")),
    ("CNAME", include_str!("../corpus/cname.txt")),
    ("CSYNC", include_str!("../corpus/csync.txt")),
    ("DNAME", include_str!("../corpus/dname.txt")),
    ("DS", include_str!("../corpus/ds.txt")),
    ("HINFO", include_str!("../corpus/hinfo.txt")),
    ("HTTPS", include_str!("../corpus/https.txt")),
    ("LOC", include_str!("../corpus/loc.txt")),
    ("MX", include_str!("../corpus/mx.txt")),
    ("NAPTR", include_str!("../corpus/naptr.txt")),
    ("NS", include_str!("../corpus/ns.txt")),
    ("OPENPGPKEY", include_str!("../corpus/openpgpkey.txt")),
    ("PTR", include_str!("../corpus/ptr.txt")),
    ("RP", include_str!("../corpus/rp.txt")),
    ("SMIMEA", include_str!("../corpus/smimea.txt")),
    ("SOA", include_str!("../corpus/soa.txt")),
    ("SRV", include_str!("../corpus/srv.txt")),
    ("SSHFP", include_str!("../corpus/sshfp.txt")),
    ("SVCB", include_str!("../corpus/svcb.txt")),
    ("TLSA", include_str!("../corpus/tlsa.txt")),
    ("TXT", include_str!("../corpus/txt.txt")),
    ("URI", include_str!("../corpus/uri.txt")),
];

const LINES_MIN: usize = 12;

#[test]
fn every_line_of_the_corpus_holds() {
    for (record_type, lines) in CORPUS {
        let record_type = RecordType::parse(record_type).expect("of the table");
        let mut zone = zone("example.com");
        let mut count = 0;
        for line in lines.lines() {
            if let Some(name) = line.strip_prefix("@zone ") {
                zone = self::zone(name);
                continue;
            }
            check_line(&record_type, line, &zone);
            count += 1;
        }
        assert!(count >= LINES_MIN, "{record_type} has {count} lines");
    }
}

#[test]
fn every_type_has_a_corpus() {
    for info in catalogue() {
        assert!(CORPUS.iter().any(|(name, _)| *name == info.record_type), "{}", info.record_type);
    }
}

#[test]
fn what_does_not_parse_on_the_server_stays_visible() {
    assert_eq!(canonical_from_server(&RecordType::Mx, "10 192.0.2.1."), "10 192.0.2.1.");
    assert_eq!(canonical_from_server(&RecordType::from_server("LUA"), "A \"x\""), "A \"x\"");
    assert_eq!(canonical_from_server(&RecordType::Aaaa, "::ffff:1.2.3.4"), "::ffff:102:304");
    assert_eq!(canonical_from_server(&RecordType::Cname, "WWW.example.com."), "www.example.com.");
    // it escapes neither of these
    assert_eq!(canonical_from_server(&RecordType::Ptr, "a\"b;c.example."), "a\\034b\\059c.example.");
}

#[test]
fn a_foreign_type_cannot_be_written() {
    let error = canonical(&RecordType::from_server("LUA"), "A \"x\"", &zone("example.com")).expect_err("foreign");
    assert_eq!(error.field, "type");
}

fn check_line(record_type: &RecordType, line: &str, zone: &ZoneName) {
    let parts: Vec<String> = line.split(" |").map(|part| expand(part.strip_prefix(' ').unwrap_or(part))).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let what = format!("{record_type}: {line}");
    match parts.as_slice() {
        ["ok", content] => assert_accepted(record_type, content, content, zone, false, &what),
        ["form", content, wanted] => assert_accepted(record_type, content, wanted, zone, false, &what),
        ["warn", content, wanted] => assert_accepted(record_type, content, wanted, zone, true, &what),
        ["no", content, reason] => {
            let error = canonical(record_type, content, zone).expect_err(&what);
            assert_eq!(error.field, "content", "{what}");
            assert!(error.message.contains(reason), "{what}: {}", error.message);
        }
        _ => panic!("not a line of the corpus: {what}"),
    }
}

fn assert_accepted(record_type: &RecordType, content: &str, wanted: &str, zone: &ZoneName, warned: bool, what: &str) {
    let (result, warnings) = canonical(record_type, content, zone).expect(what);
    assert_eq!(result, wanted, "{what}");
    assert_eq!(!warnings.is_empty(), warned, "{what}: {warnings:?}");
    assert_eq!(canonical(record_type, wanted, zone).expect(what).0, wanted, "{what}");
    assert_eq!(canonical_from_server(record_type, wanted), wanted, "{what}");
}

/// `<repeat N X>` and `<U+XXXX>`.
fn expand(text: &str) -> String {
    let Some((before, rest)) = text.split_once("<repeat ").or_else(|| text.split_once("<U+")) else {
        return text.to_owned();
    };
    let (inside, after) = rest.split_once('>').expect("is closed");
    let middle = match inside.split_once(' ') {
        Some((count, unit)) => unit.repeat(count.parse().expect("is a number")),
        None => char::from_u32(u32::from_str_radix(inside, 16).expect("is hexadecimal")).expect("is one").to_string(),
    };
    format!("{before}{middle}{}", expand(after))
}

fn zone(name: &str) -> ZoneName {
    ZoneName::parse(name).expect("valid")
}

fn any_type() -> impl Strategy<Value = RecordType> {
    prop::sample::select(catalogue()).prop_map(|info| RecordType::from_server(info.record_type))
}

/// Texts made of what the parsers look for.
fn likely_content() -> impl Strategy<Value = String> {
    let pieces = vec![
        " ",
        "\"",
        "\\",
        ".",
        "0",
        "10",
        "65535",
        "256",
        "\\046",
        "\\255",
        "a",
        "www.example.com.",
        "_tcp",
        "*",
        "@",
        "ü",
        "-",
        "issue",
        "192.0.2.1",
        "::",
        "2001:db8:",
        "/",
        ";",
        "xn--",
        "\u{3002}",
        "\u{ad}",
        "\u{2488}",
        "ſ",
        "K",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..14).prop_map(|pieces| pieces.concat())
}

fn assert_stable(record_type: &RecordType, content: &str) -> Result<(), TestCaseError> {
    for zone in [zone("example.com"), zone("2.0.192.in-addr.arpa")] {
        if let Ok((once, _)) = canonical(record_type, content, &zone) {
            let twice = canonical(record_type, &once, &zone).map(|(content, _)| content);
            prop_assert_eq!(twice.as_deref(), Ok(once.as_str()));
            prop_assert_eq!(canonical_from_server(record_type, &once), once.as_str());
            prop_assert!(once.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_refused_or_has_a_stable_form(record_type in any_type(), content in any::<String>()) {
        assert_stable(&record_type, &content)?;
        canonical_from_server(&record_type, &content);
    }

    #[test]
    fn likely_texts_are_refused_or_have_a_stable_form(record_type in any_type(), content in likely_content()) {
        assert_stable(&record_type, &content)?;
        canonical_from_server(&record_type, &content);
    }

    #[test]
    fn numbered_texts_are_refused_or_have_a_stable_form(content in likely_content(), record_type in any_type()) {
        for front in ["10 ", "0 0 0 ", "0 issue ", "ns.test. "] {
            assert_stable(&record_type, &format!("{front}{content}"))?;
        }
    }

    #[test]
    fn any_octets_survive_as_text(octets in prop::collection::vec(any::<u8>(), 1..600)) {
        let escaped: String = octets.iter().map(|octet| format!("\\{octet:03}")).collect();
        let (content, _) = canonical(&RecordType::Txt, &escaped, &zone("example.com")).expect("escapes are text");
        prop_assert_eq!(super::text::quoted_strings(&content).expect("canonical").concat(), octets);
    }
}
