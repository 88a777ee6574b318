//! The name of a zone: what a customer may hold here, in one form.
//!
//! What never lives here: who holds a name, and the names at, above or below the platform's own name servers.

use std::fmt;
use std::sync::Arc;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::labels::{self, LabelRules, NAME_OCTETS_MAX};

/// What ScaiDNS itself puts before a zone's name: the label `_scaidns-<26 characters>` with its length octet.
/// A zone must leave room for it, or its writes could not be fenced.
const OWN_LABEL_OCTETS: usize = 36;

/// Top-level names that are not of the public DNS: RFC 6762 (`local`), RFC 7686 (`onion`), ICANN's 2024
/// reservation (`internal`).
const SPECIAL_TOP_LEVEL: [&str; 3] = ["internal", "local", "onion"];

const REVERSE_SUFFIXES: [&str; 2] = ["in-addr.arpa", "ip6.arpa"];

/// A name that no zone may have. The API says `Invalid domain name` and nothing else; the reason is for warnings,
/// logs and the command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid domain name")]
pub struct NameError {
    /// Why, lower case, without a full stop.
    pub reason: String,
}

/// A zone's name: lower-case A-labels, no trailing dot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneName(Arc<str>);

impl ZoneName {
    /// Parses what a person wrote: U-labels and a trailing dot are accepted.
    ///
    /// # Errors
    /// For bad labels, names over 253 octets or without room for ScaiDNS's own names, bare labels, addresses,
    /// public suffixes of the ICANN section, `.internal`, `.local` and `.onion`.
    pub fn parse(input: &str) -> Result<Self, NameError> {
        let (text, _) = labels::strip_root(input);
        let reverse = is_reverse(&text.to_ascii_lowercase());
        // Underscores pass here and are looked at below, where the registrable part is known.
        let rules = LabelRules { underscore: true, slash: reverse, wildcard: false };
        let name = labels::parse_name(text, rules).map_err(|reason| NameError { reason })?;
        check_zone(&name).map_err(|reason| NameError { reason })?;
        Ok(Self(name.into()))
    }

    /// Takes a name from our own database, where only parsed names are.
    pub fn trusted(stored: String) -> Self {
        Self(stored.into())
    }

    /// The name without trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with trailing dot.
    pub fn fqdn(&self) -> String {
        format!("{}.", self.0)
    }

    /// The U-label form, when it differs and is one that leads back here: some A-labels stand for what is none.
    pub fn unicode(&self) -> Option<String> {
        let (unicode, result) = Uts46::new().to_unicode(self.0.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow);
        if result.is_err() || *unicode == *self.0 || Self::parse(&unicode).as_ref() != Ok(self) {
            return None;
        }
        Some(unicode.into_owned())
    }

    /// Whether the zone lies below `in-addr.arpa` or `ip6.arpa`.
    pub fn is_reverse(&self) -> bool {
        is_reverse(&self.0)
    }

    /// The names above this one, nearest first, without the root: `b.c` and `c` for `a.b.c`.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(labels::parent(&self.0), |name| labels::parent(name)).filter(|name| !name.is_empty())
    }

    /// Whether this name is `other` or lies below it. `other` is lower case; a trailing dot does not matter.
    pub fn is_at_or_below(&self, other: &str) -> bool {
        labels::is_at_or_below(&self.0, other.strip_suffix('.').unwrap_or(other))
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ZoneName({})", self.0)
    }
}

impl Serialize for ZoneName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Reads what [`Serialize`] wrote, like [`ZoneName::trusted`]; a caller's text goes through [`ZoneName::parse`].
impl<'de> Deserialize<'de> for ZoneName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::trusted)
    }
}

fn is_reverse(name: &str) -> bool {
    REVERSE_SUFFIXES.iter().any(|suffix| labels::is_at_or_below(name, suffix))
}

fn check_zone(name: &str) -> Result<(), String> {
    let Some((_, top)) = name.rsplit_once('.') else {
        return Err("a single label is not a zone".to_owned());
    };
    if top.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("an address is not a domain name".to_owned());
    }
    if SPECIAL_TOP_LEVEL.contains(&top) {
        return Err(format!("'.{top}' is not part of the public DNS"));
    }
    if name.len() + 2 + OWN_LABEL_OCTETS > NAME_OCTETS_MAX {
        return Err(format!("name leaves less than {OWN_LABEL_OCTETS} octets for names inside the zone"));
    }
    if let Some(suffix) = psl::suffix(name.as_bytes())
        && suffix.as_bytes() == name.as_bytes()
        && suffix.typ() == Some(psl::Type::Icann)
    {
        return Err(format!("'{name}' is a public suffix"));
    }
    check_labels(name)
}

/// Underscores only as the first character of labels in front of the registrable name (`_tcp.example.com` may be
/// delegated, `_example.com` is not sold), and `xn--` only where it decodes.
fn check_labels(name: &str) -> Result<(), String> {
    let registrable = psl::domain(name.as_bytes()).map_or(name.len(), |domain| domain.as_bytes().len());
    let mut end = name.len();
    for label in labels::from_the_right(name) {
        let start = end - label.len();
        let in_registrable = name.len() - start <= registrable;
        if label.contains('_') && (in_registrable || !label.starts_with('_')) {
            return Err(format!("label '{label}' holds '_'"));
        }
        if label.starts_with("xn--")
            && Uts46::new()
                .to_ascii(label.as_bytes(), AsciiDenyList::EMPTY, Hyphens::CheckFirstLast, DnsLength::Ignore)
                .map_or(true, |ascii| *ascii != *label)
        {
            return Err(format!("'{label}' is not a valid A-label"));
        }
        end = start.saturating_sub(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_in_one_form() {
        for (input, wanted) in [
            ("example.com", "example.com"),
            ("Example.COM.", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("bücher。example", "xn--bcher-kva.example"),
            ("straße.de", "xn--strae-oqa.de"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("github.io", "github.io"),
            ("_domainkey.example.com", "_domainkey.example.com"),
            ("2.0.192.in-addr.arpa", "2.0.192.in-addr.arpa"),
            ("0/25.2.0.192.in-addr.arpa", "0/25.2.0.192.in-addr.arpa"),
            ("8.B.D.0.1.0.0.2.ip6.arpa.", "8.b.d.0.1.0.0.2.ip6.arpa"),
            ("r3---sn.example.com", "r3---sn.example.com"),
            ("zone.test", "zone.test"),
        ] {
            assert_eq!(ZoneName::parse(input).map(|name| name.to_string()).as_deref(), Ok(wanted), "{input}");
        }
    }

    #[test]
    fn names_that_no_zone_may_have_are_refused() {
        let long_label = format!("{}.com", "a".repeat(64));
        let long_name = format!("{}example.com", "abcdefghi.".repeat(25));
        let no_room = format!("{}.com", ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(23)].join("."));
        let huge = "a.".repeat(100_000);
        for input in [
            "",
            ".",
            "..",
            "com",
            "com.",
            "co.uk",
            "in-addr.arpa",
            "ip6.arpa",
            "localhost",
            "a..b.com",
            ".example.com",
            "example.com..",
            "-a.com",
            "a-.com",
            "a b.com",
            " example.com",
            "exa_mple.com",
            "_example.com",
            "*.example.com",
            "0/25.example.com",
            "foo.internal",
            "foo.local",
            "a.foo.onion",
            "192.0.2.1",
            "2001:db8::1",
            "http://a.com",
            "a.com/",
            "xn--a.com",
            "xn--zz--zz.com",
            "a\u{0}.com",
            "a\n.com",
            "a\\.b.com",
            "\u{ad}.com",
            "@.com",
            &long_label,
            &long_name,
            &no_room,
            &huge,
        ] {
            let error = ZoneName::parse(input).expect_err(input);
            assert_eq!(error.to_string(), "Invalid domain name");
            assert!(!error.reason.is_empty());
        }
    }

    #[test]
    fn the_longest_zone_still_has_room_for_a_fence() {
        let longest = format!("{}.com", ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(21)].join("."));
        assert_eq!(longest.len(), 217);
        assert!(ZoneName::parse(&longest).is_ok());
        assert!(ZoneName::parse(&format!("e{longest}")).is_err());
    }

    #[test]
    fn the_unicode_form_is_given_only_when_it_differs() {
        let name = ZoneName::parse("bücher.example").expect("valid");
        assert_eq!(name.unicode().as_deref(), Some("bücher.example"));
        assert_eq!(ZoneName::parse("example.com").expect("valid").unicode(), None);
    }

    #[test]
    fn relations_between_names_go_by_labels() {
        let name = ZoneName::parse("a.example.com").expect("valid");
        assert_eq!(name.ancestors().collect::<Vec<_>>(), ["example.com", "com"]);
        assert!(name.is_at_or_below("a.example.com"));
        assert!(name.is_at_or_below("example.com."));
        assert!(!name.is_at_or_below("ample.com"));
        assert!(!name.is_reverse());
        assert!(ZoneName::parse("10.in-addr.arpa").expect("valid").is_reverse());
    }
}
