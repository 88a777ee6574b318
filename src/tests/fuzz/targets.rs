//! What is fuzzed, from which seeds, and what must hold for whatever is accepted.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use sha2::Sha256;
use time::OffsetDateTime;

use super::Outcome;
use crate::authz::NamePattern;
use crate::dns::zone_file::{self, ZoneFileFormat};
use crate::dns::{OwnerName, RecordType, ZoneName, canonical, canonical_from_server, catalogue, for_server};
use crate::http::{decode_cursor, encode_cursor};
use crate::scaikey::{Event, check_signature, open_token};

const RECORDS_MAX: usize = 500;
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const BODY: &str = r#"{"event_id":"evt_1","event_type":"user.created","timestamp":"2026-01-01T00:00:00Z","data":{"id":"usr_1","status":"ACTIVE"},"tenant_id":"tnt_1","actor":{"id":"usr_2","type":"user"}}"#;

fn zone() -> ZoneName {
    ZoneName::parse("example.com").expect("a name")
}

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_767_225_600).expect("a time")
}

fn seeds<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Vec<Vec<u8>> {
    texts.into_iter().map(|text| text.as_ref().as_bytes().to_vec()).collect()
}

/// The type, a blank, the content.
pub fn record_seeds() -> Vec<Vec<u8>> {
    seeds(catalogue().into_iter().map(|info| format!("{} {}", info.record_type, info.example)))
}

pub fn record(input: &str) -> Outcome {
    let (name, content) = input.split_once(' ').unwrap_or((input, ""));
    let record_type = match RecordType::parse(name) {
        Ok(record_type) => record_type,
        Err(_) => return "no type".to_owned(),
    };
    let as_it_is = canonical_from_server(&record_type, content);
    assert_eq!(
        canonical_from_server(&record_type, &as_it_is),
        as_it_is,
        "what is on the server is read the same again"
    );
    match canonical(&record_type, content, &zone()) {
        Ok((form, warnings)) => {
            let again = canonical(&record_type, &form, &zone()).expect("a canonical content is accepted").0;
            assert_eq!(again, form, "canonical is canonical");
            let there = for_server(&record_type, &form);
            assert_eq!(canonical_from_server(&record_type, &there), form, "it comes back from the server");
            format!("{name} {}", warnings.iter().map(|warning| warning.message.as_str()).collect::<String>())
        }
        Err(error) => format!("{name} {}", error.message),
    }
}

/// The format, a line break, the file.
pub fn zone_file_seeds() -> Vec<Vec<u8>> {
    let mail = include_str!("../../../tests/it/zones/mail.zone");
    let generate = include_str!("../../../tests/it/zones/generate.zone");
    let quoting = include_str!("../../../tests/it/zones/quoting.zone");
    let csv = "name,type,content,ttl,disabled\nwww,A,192.0.2.1,300,false\n\"a\",TXT,\"\"\"x y\"\"\",,true\n";
    let json =
        r#"[{"name":"www","type":"A","content":"192.0.2.1","ttl":300},{"name":"@","type":"MX","content":"10 mail"}]"#;
    let small =
        "$ORIGIN example.com.\n$TTL 1h\n@ IN SOA ns1 host ( 1 2 3\n 4 5 ) ; c\nwww 300 IN A 192.0.2.1\n\tAAAA ::1\n";
    let bind = [mail, generate, quoting, small].map(|text| format!("bind\n{text}"));
    seeds(bind.into_iter().chain([format!("csv\n{csv}"), format!("json\n{json}")]))
}

pub fn zone_file(input: &str) -> Outcome {
    let (format, text) = input.split_once('\n').unwrap_or((input, ""));
    let Some(format) = ZoneFileFormat::parse(format) else { return "no format".to_owned() };
    let file = zone_file::read(format, text, &zone(), RECORDS_MAX);
    // it stops at the first one that is too many
    assert!(file.records.len() <= RECORDS_MAX + usize::from(file.too_many), "no more than was asked for");
    let lines = text.lines().count() + 1;
    for record in &file.records {
        assert!((1..=lines).contains(&record.line), "line {} of {lines}", record.line);
        assert!(record.key.name.is_in(&zone()), "{:?}", record.key.name);
        // SOA and DNSSEC records of a file are told apart later
        if let Ok((form, _)) = canonical(&record.key.record_type, &record.content, &zone()) {
            assert_eq!(form, record.content, "canonical is canonical");
        }
    }
    for error in &file.errors {
        assert!((1..=lines).contains(&error.line), "{error:?} of {lines} lines");
    }
    format!("{format:?} {} {} {:?}", file.records.len().min(3), file.too_many, file.errors.first().map(|e| &e.message))
}

pub fn name_seeds() -> Vec<Vec<u8>> {
    seeds([
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

pub fn name(input: &str) -> Outcome {
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

pub fn token_seeds() -> Vec<Vec<u8>> {
    seeds([
        // {"alg":"RS256","typ":"JWT","kid":"k1"} and {"alg":"ES256","kid":"k1","crit":["x"]}, {"alg":"none"}
        "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsxIn0.eyJzdWIiOiJ1c3JfMSJ9.c2ln",
        "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIiwiY3JpdCI6WyJ4Il19.eyJzdWIiOiJ1c3JfMSJ9.c2ln",
        "eyJhbGciOiJub25lIn0.e30.",
        "a.b.c",
        "",
    ])
}

pub fn token(input: &str) -> Outcome {
    open_token(input)
}

/// The header, a line break, the body.
pub fn signature_seeds() -> Vec<Vec<u8>> {
    let at = now().unix_timestamp();
    let good = format!("t={at},v1={}", hex_of(&format!("{at}.{BODY}")));
    seeds([
        format!("{good}\n{BODY}"),
        format!("v1=00,{good},v0=1\n{BODY}"),
        format!("t={at}\n{BODY}"),
        "\n{}".to_owned(),
    ])
}

pub fn signature(input: &str) -> Outcome {
    let (header, body) = input.split_once('\n').unwrap_or((input, ""));
    let good = check_signature(header, body.as_bytes(), &[SecretString::from(SECRET)], now());
    if good {
        let signed = header.split(',').find_map(|part| part.trim().strip_prefix("t=")).expect("a time");
        let wanted = format!("v1={}", hex_of(&format!("{signed}.{body}")));
        assert!(header.split(',').any(|part| part.trim() == wanted), "nobody signed {input}");
        let age = signed.parse::<i64>().expect("a number").abs_diff(now().unix_timestamp());
        assert!(age <= 300, "signed {age} s ago");
    }
    match Event::parse(body.as_bytes(), Some("evt_header"), None, now()) {
        Ok(event) => format!("{good} {:?}", std::mem::discriminant(&event.happened)),
        Err(error) => format!("{good} {error}"),
    }
}

fn hex_of(signed: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key of any length");
    mac.update(signed.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Two patterns and a name, a line each.
pub fn pattern_seeds() -> Vec<Vec<u8>> {
    seeds([
        "*\nwww\nwww",
        "*.dev\nx.dev\nx.dev",
        "_acme-challenge*\n_acme-challenge.*\n_acme-challenge.www",
        "@\n@\n@",
        "a*b*c\na*b*b*c\naxbybc",
        "**\n*\n",
        "*a*a*a*a*a*a*b\naaaaaaaaaaaaaaaaaaaaaaaaaaaa\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ])
}

pub fn pattern(input: &str) -> Outcome {
    let mut lines = input.lines();
    let (one, other, name) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    match (NamePattern::parse(one), NamePattern::parse(other)) {
        (Ok(one), Ok(other)) => {
            assert!(one.contains(&one), "{one:?} contains itself");
            let (contains, matches) = (one.contains(&other), other.matches(name));
            let wide = one.matches(name);
            assert!(!(contains && matches) || wide, "{one:?} contains {other:?}, which means {name:?}, and does not");
            format!("{contains} {matches} {wide}")
        }
        (Err(error), _) | (_, Err(error)) => error.to_string(),
    }
}

pub fn cursor_seeds() -> Vec<Vec<u8>> {
    seeds([
        encode_cursor(&("example.com", 7_u64)),
        encode_cursor(&"example.com"),
        encode_cursor(&Some(1_i64)),
        "!!".to_owned(),
        String::new(),
    ])
}

pub fn cursor(input: &str) -> Outcome {
    let pair = decode_cursor::<(String, u64)>(Some(input));
    if let Ok(Some(key)) = &pair {
        let again = decode_cursor::<(String, u64)>(Some(&encode_cursor(key))).expect("one of ours");
        assert_eq!(again.as_ref(), Some(key));
    }
    let id = decode_cursor::<Option<i64>>(Some(input));
    if let Ok(Some(key)) = &id {
        assert_eq!(decode_cursor::<Option<i64>>(Some(&encode_cursor(key))).expect("one of ours"), Some(*key));
    }
    format!("{} {}", pair.is_ok(), id.is_ok())
}
