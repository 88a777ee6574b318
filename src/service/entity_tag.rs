//! Entity tags (RFC 9110 section 8.8): what something was when a client saw it. The tag of a list begins with that of
//! the zone, so that a writer can tell whether the zone is still as the list showed it, whatever the list left out.

use sha2::{Digest, Sha256};

use crate::dns::{Rrset, RrsetKey};

use super::{Error, Result};

/// Tags that one request may name.
const TAGS_MAX: usize = 100;

/// A strong entity tag, with its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag(String);

impl EntityTag {
    /// Of a list: the zone's version, and what else determines what is shown.
    pub fn of_list(version: &str, parts: &[&str]) -> Self {
        Self(format!("\"{}-{}\"", digest(&[version]), digest(parts)))
    }

    /// Of an RRset as it stands.
    pub fn of_rrset(key: &RrsetKey, rrset: &Rrset) -> Self {
        let Rrset { ttl, records } = rrset;
        let mut parts = vec![key.name.as_str().to_owned(), key.record_type.as_str().to_owned(), ttl.to_string()];
        for record in records {
            parts.extend([record.content.clone(), record.disabled.to_string()]);
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        Self(format!("\"{}\"", digest(&parts)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `If-Match`: what the client wants to change, as it last saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// `*`: whatever it is, as long as it is there.
    any: bool,
    tags: Vec<String>,
}

impl Expected {
    /// Reads the header's values. A weak tag never matches here (RFC 9110 section 13.1.1).
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut expected = Self { any: false, tags: Vec::new() };
        for tag in values.into_iter().flat_map(|value| value.split(',')).map(str::trim) {
            let is_quoted = tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"');
            match tag {
                "*" => expected.any = true,
                _ if is_quoted && expected.tags.len() < TAGS_MAX => expected.tags.push(tag.to_owned()),
                _ if tag.starts_with("W/\"") => {}
                _ => return Err(Error::schema(&["header", "If-Match"], "must be entity tags in quotes, or *")),
            }
        }
        Ok(expected)
    }

    /// Whether the zone is as a list showed it.
    pub fn is_zone(&self, version: &str) -> bool {
        let zone = format!("\"{}-", digest(&[version]));
        self.tags.iter().any(|tag| tag.starts_with(&zone))
    }

    /// Whether an RRset is as the client saw it.
    pub fn is_rrset(&self, key: &RrsetKey, rrset: Option<&Rrset>) -> bool {
        rrset.is_some_and(|rrset| self.any || self.tags.contains(&EntityTag::of_rrset(key, rrset).0))
    }
}

fn digest(parts: &[&str]) -> String {
    const OCTETS: usize = 12;
    let mut hasher = Sha256::new_with_prefix(env!("CARGO_PKG_VERSION")); // another release may show it otherwise
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hex::encode(&hasher.finalize()[..OCTETS])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
    }

    #[test]
    fn a_zone_is_known_by_any_list_of_it() {
        let (all, part) = (EntityTag::of_list("7", &["", "a"]), EntityTag::of_list("7", &["type=A", "b"]));
        assert_ne!(all, part);
        for tag in [all, part] {
            let expected = Expected::parse([tag.as_str()]).expect("a tag");
            assert!(expected.is_zone("7"));
            assert!(!expected.is_zone("8"));
        }
    }

    #[test]
    fn if_match_takes_tags_in_any_form_that_a_client_may_send() {
        let parse = |text: &str| Expected::parse([text]);
        assert_eq!(parse("\"a\", \"b\"").expect("tags").tags, ["\"a\"", "\"b\""]);
        assert!(parse("*").expect("any").any);
        assert!(parse("W/\"a\"").expect("a weak one").tags.is_empty());
        for malformed in ["a", "", "\"a"] {
            assert!(parse(malformed).is_err(), "{malformed}");
        }
    }
}
