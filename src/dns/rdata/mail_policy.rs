//! What mail reads in TXT records: SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489). Only warnings: a text that no
//! mail server understands is still a text.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::dns::error::Warning;
use crate::dns::owner_name::OwnerName;

/// Terms that cost a look-up, and how many there may be (RFC 7208 section 4.6.4).
const SPF_LOOK_UP_TERMS: [&str; 6] = ["include", "a", "mx", "ptr", "exists", "redirect"];
const SPF_LOOK_UPS_MAX: usize = 10;

/// What one text says about itself.
pub(super) fn spf_warnings(text: &[u8]) -> Vec<Warning> {
    let Some(terms) = spf_terms(text) else { return Vec::new() };
    let look_ups = terms
        .split(' ')
        .map(|term| term.trim_start_matches(['+', '-', '~', '?']))
        .map(|term| term.split([':', '/', '=']).next().unwrap_or_default())
        .filter(|name| SPF_LOOK_UP_TERMS.iter().any(|known| known.eq_ignore_ascii_case(name)))
        .count();
    if look_ups <= SPF_LOOK_UPS_MAX {
        return Vec::new();
    }
    vec![Warning::content(format!("SPF takes {look_ups} look-ups of its own; more than {SPF_LOOK_UPS_MAX} fail"))]
}

/// What the texts of one name say together, and what the name makes of them.
pub(super) fn rrset_warnings(owner: &OwnerName, texts: &[Vec<u8>]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if texts.iter().filter(|text| spf_terms(text).is_some()).count() > 1 {
        warnings.push(Warning::content("more than one 'v=spf1' at this name; mail servers then ignore all (RFC 7208)"));
    }
    let labels: Vec<&str> = owner.labels().collect();
    if labels.first() == Some(&"_dmarc") {
        warnings.extend(dmarc_problem(texts).map(|problem| Warning::content(format!("DMARC: {problem}"))));
    } else if labels.iter().skip(1).any(|label| *label == "_domainkey") {
        let problems = texts.iter().filter_map(|text| dkim_problem(text));
        warnings.extend(problems.map(|problem| Warning::content(format!("DKIM: {problem}"))));
    }
    warnings
}

/// The text behind `v=spf1`, if it is a record of SPF.
fn spf_terms(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text).into_owned();
    let version = text.get(..6)?;
    let rest = text.get(6..)?;
    (version.eq_ignore_ascii_case("v=spf1") && (rest.is_empty() || rest.starts_with(' '))).then(|| rest.to_owned())
}

fn dmarc_problem(texts: &[Vec<u8>]) -> Option<String> {
    let policies: Vec<Vec<(String, String)>> =
        texts.iter().map(|text| tags(text)).filter(|tags| is_first(tags, "v", "DMARC1")).collect();
    let [policy] = policies.as_slice() else {
        return match policies.len() {
            0 if texts.is_empty() => None,
            0 => Some("no text begins with 'v=DMARC1'".to_owned()),
            _ => Some("more than one policy at this name; all are ignored".to_owned()),
        };
    };
    match policy.iter().find(|(name, _)| name == "p") {
        None => Some("the tag 'p' is missing".to_owned()),
        Some((_, value)) if !["none", "quarantine", "reject"].iter().any(|known| known.eq_ignore_ascii_case(value)) => {
            Some(format!("'p={}' is not one of none, quarantine, reject", value.escape_debug()))
        }
        Some(_) => None,
    }
}

fn dkim_problem(text: &[u8]) -> Option<String> {
    let tags = tags(text);
    if tags.iter().any(|(name, _)| name == "v") && !is_first(&tags, "v", "DKIM1") {
        return Some("the tag 'v' must come first and be 'DKIM1'".to_owned());
    }
    let Some((_, key)) = tags.iter().find(|(name, _)| name == "p") else {
        return Some("the tag 'p' with the key is missing".to_owned());
    };
    let key: String = key.chars().filter(|character| *character != ' ').collect();
    let decodes = STANDARD.decode(&key).is_ok() || STANDARD_NO_PAD.decode(&key).is_ok();
    (!decodes).then(|| "the key in 'p' is not base64".to_owned())
}

/// The `name=value` list of RFC 6376 section 3.2; what has no `=` is left out.
fn tags(text: &[u8]) -> Vec<(String, String)> {
    String::from_utf8_lossy(text)
        .split(';')
        .filter_map(|tag| tag.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

fn is_first(tags: &[(String, String)], name: &str, value: &str) -> bool {
    tags.first().is_some_and(|(first, content)| first == name && content == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(owner: &str, texts: &[&str]) -> usize {
        let texts: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        rrset_warnings(&OwnerName::from_server(owner), &texts).len()
    }

    #[test]
    fn spf_is_counted_and_stands_alone() {
        let ten = "v=spf1 include:a.test a mx ptr exists:b.test ~a:c.test +mx/24 a/16 ?include:d.test redirect=e.test";
        assert_eq!(spf_warnings(ten.as_bytes()), []);
        assert_eq!(spf_warnings(format!("{ten} MX:f.test").as_bytes()).len(), 1);
        assert_eq!(spf_warnings(b"v=spf10 a a a a a a a a a a a a"), []);
        assert_eq!(warnings("example.com", &["v=spf1 -all", "V=SPF1 mx"]), 1);
        assert_eq!(warnings("example.com", &["v=spf1 -all", "hello"]), 0);
    }

    #[test]
    fn broken_dmarc_and_dkim_are_noticed() {
        assert_eq!(warnings("_dmarc.example.com", &["v=DMARC1; p=none; rua=mailto:a@example.com"]), 0);
        assert_eq!(warnings("_dmarc.example.com", &["v=DMARC1; p=maybe"]), 1);
        assert_eq!(warnings("_dmarc.example.com", &["v=DMARC1"]), 1);
        assert_eq!(warnings("_dmarc.example.com", &["p=none; v=DMARC1"]), 1);
        assert_eq!(warnings("_dmarc.example.com", &["v=DMARC1; p=none", "v=DMARC1; p=reject"]), 1);
        assert_eq!(warnings("s1._domainkey.example.com", &["v=DKIM1; k=rsa; p=MIGf MA0="]), 0);
        assert_eq!(warnings("s1._domainkey.example.com", &["p="]), 0);
        assert_eq!(warnings("s1._domainkey.example.com", &["k=rsa"]), 1);
        assert_eq!(warnings("s1._domainkey.example.com", &["v=DKIM1; p=%%%"]), 1);
        assert_eq!(warnings("_domainkey.example.com", &["o=-"]), 0);
    }
}
