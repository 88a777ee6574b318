//! Webhooks: the header that signs, and the body.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use sha2::Sha256;

use super::{Outcome, now, seeds_of, text};
use crate::scaikey::{Event, Told, check_signature};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const BODY: &str = r#"{"event_id":"evt_1","event_type":"user.created","timestamp":"2026-01-01T00:00:00Z","data":{"id":"usr_1","status":"ACTIVE"},"tenant_id":"tnt_1","actor":{"id":"usr_2","type":"user"}}"#;

/// The header, a line break, the body.
pub fn seeds() -> Vec<Vec<u8>> {
    let at = now().unix_timestamp();
    let good = format!("t={at},v1={}", hex_of(&format!("{at}.{BODY}")));
    seeds_of([
        format!("{good}\n{BODY}"),
        format!("v1=00,{good},v0=1\n{BODY}"),
        format!("t={at}\n{BODY}"),
        "\n{}".to_owned(),
    ])
}

pub fn run(input: &[u8]) -> Outcome {
    let input = &*text(input);
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
        Ok(Told::Event(event)) => format!("{good} {:?}", std::mem::discriminant(&event.happened)),
        Ok(Told::Unknown { .. }) => format!("{good} unknown"),
        Ok(Told::Unusable { reason, .. }) => format!("{good} {reason}"),
        Err(error) => format!("{good} {error}"),
    }
}

fn hex_of(signed: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key of any length");
    mac.update(signed.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}
