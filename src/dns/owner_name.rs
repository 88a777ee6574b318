//! The owner name of a record: a name at or below its zone's, in one form and in canonical order.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::FieldError;
use super::labels::{self, LabelRules};
use super::zone_name::ZoneName;

/// ScaiDNS's own label directly below a zone's apex: the marker of the write path.
const OWN_LABEL: &str = "_scaidns";
/// The labels of its fences begin so.
const OWN_LABEL_PREFIX: &str = "_scaidns-";
/// Where a claim is proven; a customer creates it, at another provider or here.
const PROOF_LABEL: &str = "_scaidns-verify";

/// An owner name: fully qualified, lower case, no trailing dot.
///
/// The order is the canonical one of DNS (RFC 4034 section 6.1), so that a name and everything below it are one range
/// of a sorted map.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OwnerName(Arc<str>);

impl OwnerName {
    /// Parses an owner name as a person gives it: `@` or nothing for the apex, relative, or absolute. A name that ends
    /// in the zone's name is absolute with or without its dot.
    ///
    /// # Errors
    /// Names the field `name`: bad labels, names outside the zone, too long ones, and those ScaiDNS keeps for itself.
    pub fn parse(input: &str, zone: &ZoneName) -> Result<Self, FieldError> {
        if input.is_empty() || input == "@" {
            return Ok(Self::apex(zone));
        }
        let (text, absolute) = labels::strip_root(input);
        let rules = LabelRules { underscore: true, slash: zone.is_reverse(), wildcard: true };
        let mut name = labels::parse_name(text, rules).map_err(FieldError::name)?;
        if !labels::is_at_or_below(&name, zone.as_str()) {
            if absolute {
                return Err(FieldError::name(format!("'{name}.' is not in the zone '{zone}'")));
            }
            name = format!("{name}.{zone}");
            labels::check_length(&name).map_err(FieldError::name)?;
        }
        let name = Self(name.into());
        if name.is_reserved(zone) {
            return Err(FieldError::name(format!("'{name}' is reserved")));
        }
        Ok(name)
    }

    /// Takes a name as PowerDNS answers it; the trailing dot goes, letters become lower case.
    pub fn from_server(fqdn: &str) -> Self {
        let name = fqdn.strip_suffix('.').unwrap_or(fqdn);
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Self(name.to_ascii_lowercase().into());
        }
        Self(name.into())
    }

    /// The zone's own name.
    pub fn apex(zone: &ZoneName) -> Self {
        Self(zone.as_str().into())
    }

    /// The name without trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with trailing dot.
    pub fn fqdn(&self) -> String {
        format!("{}.", self.0)
    }

    /// The name relative to the zone, `@` at the apex. A name outside the zone is given in full, with its dot.
    pub fn display_name(&self, zone: &ZoneName) -> String {
        if self.is_apex(zone) {
            return "@".to_owned();
        }
        // nothing is left of a name that no server should have, as `.example.com`
        self.relative(zone).filter(|relative| !relative.is_empty()).map_or_else(|| self.fqdn(), str::to_owned)
    }

    /// Whether this is the zone's own name.
    pub fn is_apex(&self, zone: &ZoneName) -> bool {
        *self.0 == *zone.as_str()
    }

    /// Whether ScaiDNS keeps the name for itself: the label directly below the apex is `_scaidns` or begins with
    /// `_scaidns-`, but for `_scaidns-verify`, which is the customers'.
    pub fn is_reserved(&self, zone: &ZoneName) -> bool {
        let label = self.relative(zone).and_then(|relative| labels::from_the_right(relative).next());
        label.is_some_and(|label| label == OWN_LABEL || (label.starts_with(OWN_LABEL_PREFIX) && label != PROOF_LABEL))
    }

    /// Whether the name lies strictly below `other`.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && labels::is_at_or_below(&self.0, &other.0)
    }

    /// Whether the name is the zone's or lies below it.
    pub fn is_in(&self, zone: &ZoneName) -> bool {
        labels::is_at_or_below(&self.0, zone.as_str())
    }

    /// The name one label up; nothing above the root.
    pub fn parent(&self) -> Option<Self> {
        labels::parent(&self.0).map(|name| Self(name.into()))
    }

    /// The names strictly between this one and the zone's apex, nearest first.
    pub fn ancestors_below_apex(&self, zone: &ZoneName) -> impl Iterator<Item = Self> + use<> {
        let zone = zone.clone();
        std::iter::successors(self.parent(), Self::parent)
            .take_while(move |name| name.is_in(&zone) && !name.is_apex(&zone))
    }

    /// Whether the leftmost label is `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The labels, leftmost first.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        let mut labels: Vec<&str> = labels::from_the_right(&self.0).collect();
        labels.reverse();
        labels.into_iter()
    }

    /// The name without the zone's: nothing at the apex and outside the zone.
    pub fn relative(&self, zone: &ZoneName) -> Option<&str> {
        if !self.is_in(zone) {
            return None;
        }
        self.0.strip_suffix(zone.as_str())?.strip_suffix('.')
    }
}

impl Ord for OwnerName {
    fn cmp(&self, other: &Self) -> Ordering {
        labels::compare(&self.0, &other.0)
    }
}

impl PartialOrd for OwnerName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnerName({})", self.0)
    }
}

impl Serialize for OwnerName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Reads what [`Serialize`] wrote, like [`OwnerName::from_server`].
impl<'de> Deserialize<'de> for OwnerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self::from_server(&name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zone() -> ZoneName {
        ZoneName::parse("example.com").expect("valid")
    }

    #[test]
    fn every_way_to_write_a_name_has_one_form() {
        for (input, wanted, display) in [
            ("@", "example.com", "@"),
            ("", "example.com", "@"),
            ("example.com", "example.com", "@"),
            ("EXAMPLE.com.", "example.com", "@"),
            ("www", "www.example.com", "www"),
            ("WWW.Example.Com", "www.example.com", "www"),
            ("a.b", "a.b.example.com", "a.b"),
            ("other.org", "other.org.example.com", "other.org"),
            ("notexample.com", "notexample.com.example.com", "notexample.com"),
            ("*", "*.example.com", "*"),
            ("*.dev", "*.dev.example.com", "*.dev"),
            ("_sip._tcp", "_sip._tcp.example.com", "_sip._tcp"),
            ("_acme-challenge.bücher", "_acme-challenge.xn--bcher-kva.example.com", "_acme-challenge.xn--bcher-kva"),
            ("_scaidns-verify", "_scaidns-verify.example.com", "_scaidns-verify"),
            ("_scaidns.sub", "_scaidns.sub.example.com", "_scaidns.sub"),
        ] {
            let name = OwnerName::parse(input, &zone()).expect(input);
            assert_eq!((name.as_str(), name.display_name(&zone()).as_str()), (wanted, display), "{input}");
        }
    }

    #[test]
    fn a_name_of_an_internationalised_zone_may_be_absolute_in_either_form() {
        let zone = ZoneName::parse("bücher.example").expect("valid");
        for input in ["_acme-challenge.bücher.example", "_acme-challenge.xn--bcher-kva.example.", "_acme-challenge"] {
            let name = OwnerName::parse(input, &zone).expect(input);
            assert_eq!(name.as_str(), "_acme-challenge.xn--bcher-kva.example");
        }
    }

    #[test]
    fn bad_names_are_refused_with_their_field() {
        let long_label = "a".repeat(64);
        let long_name = "abcdefghi.".repeat(25);
        for input in [
            ".",
            "www.",
            "www.example.org.",
            "com.",
            "a..b",
            ".a",
            "a.*",
            "a*",
            "**",
            "-a",
            "a-",
            "a b",
            "a/b",
            "a\\.b",
            "a@b",
            "a\tb",
            "\u{7f}",
            "_scaidns",
            "_SCAIDNS",
            "x._scaidns",
            "_scaidns-01j",
            "a._scaidns-x.example.com.",
            &long_label,
            &long_name,
        ] {
            assert_eq!(OwnerName::parse(input, &zone()).expect_err(input).field, "name");
        }
        let reverse = ZoneName::parse("2.0.192.in-addr.arpa").expect("valid");
        assert!(OwnerName::parse("0/25", &reverse).is_ok());
    }

    #[test]
    fn names_from_the_server_keep_their_escapes() {
        let name = OwnerName::from_server(r"My\.Host.example.com.");
        assert_eq!(name.as_str(), r"my\.host.example.com");
        assert_eq!(name.parent().expect("has one").as_str(), "example.com");
        assert!(name.is_below(&OwnerName::apex(&zone())));
        assert!(!name.is_below(&OwnerName::from_server("host.example.com.")));
    }

    #[test]
    fn ancestors_end_below_the_apex() {
        let name = OwnerName::from_server("a.b.c.example.com.");
        let ancestors: Vec<String> = name.ancestors_below_apex(&zone()).map(|name| name.to_string()).collect();
        assert_eq!(ancestors, ["b.c.example.com", "c.example.com"]);
        assert_eq!(OwnerName::apex(&zone()).ancestors_below_apex(&zone()).count(), 0);
    }

    fn small_name() -> impl Strategy<Value = OwnerName> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "a-b", "_x", "*", "z1", r"a\.b"]), 0..5)
            .prop_map(|labels| OwnerName::from_server(&labels.join(".")))
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_is_stable(input in any::<String>()) {
            if let Ok(name) = OwnerName::parse(&input, &zone()) {
                prop_assert_eq!(OwnerName::parse(&name.fqdn(), &zone()), Ok(name.clone()));
                prop_assert!(name.as_str().len() <= 253);
            }
            if let Ok(name) = ZoneName::parse(&input) {
                prop_assert_eq!(ZoneName::parse(name.as_str()), Ok(name));
            }
        }

        #[test]
        fn a_subtree_is_one_range(mut names in prop::collection::vec(small_name(), 1..40), top in small_name()) {
            names.push(top.clone());
            names.sort();
            names.dedup();
            let start = names.iter().position(|name| *name == top).expect("just put there");
            let inside = |name: &OwnerName| *name == top || name.is_below(&top);
            let length = names[start..].iter().take_while(|name| inside(name)).count();
            prop_assert_eq!(names.iter().filter(|name| inside(name)).count(), length);
        }
    }
}
