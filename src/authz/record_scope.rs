//! Parts of a zone: the records that a limited right is about, by name and type.

use std::collections::BTreeSet;
use std::fmt;

use crate::dns::{OwnerName, RecordType, ZoneName};

/// A pattern of owner names relative to the zone, `@` being the apex: `*` stands for any characters, dots and none
/// among them; letters count in either case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamePattern(Box<str>);

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    #[error("must have 1 to {NAME_PATTERN_MAX} characters")]
    Length,
    #[error("has '{}', which no name has; write other scripts in their xn-- form", .0.escape_debug())]
    Character(char),
    #[error("is relative to the domain and does not end in a dot")]
    Absolute,
}

/// As long as a name can be.
pub const NAME_PATTERN_MAX: usize = 253;

impl NamePattern {
    /// Reads a pattern as a person writes it.
    ///
    /// # Errors
    /// What no owner name could ever match.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        if text.is_empty() || text.len() > NAME_PATTERN_MAX {
            return Err(BadPattern::Length);
        }
        let is_of_names = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '*' | '@' | '-' | '_' | '.' | '/');
        if let Some(other) = text.chars().find(|c| !is_of_names(c)) {
            return Err(BadPattern::Character(other));
        }
        if text.ends_with('.') {
            return Err(BadPattern::Absolute);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a relative name is meant.
    pub fn matches(&self, relative: &str) -> bool {
        spans(self.0.as_bytes(), relative.as_bytes())
    }

    /// Whether every name that `other` means is meant here, too. A `*` of the other's is taken for a character that
    /// only a `*` can stand for: what holds for it holds for whatever it stands for.
    pub fn contains(&self, other: &Self) -> bool {
        spans(self.0.as_bytes(), other.0.as_bytes())
    }
}

impl fmt::Debug for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamePattern({})", self.0)
    }
}

/// Whether `pattern` spans all of `text`; in time proportional to the product of their lengths at worst.
fn spans(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // the last star, and how far its span reaches so far
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p, t));
                p += 1;
            }
            Some(wanted) if wanted.eq_ignore_ascii_case(&text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match back {
                Some((star, reached)) => {
                    back = Some((star, reached + 1));
                    p = star + 1;
                    t = reached + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|rest| *rest == b'*')
}

/// Which names of a zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Names {
    All,
    Like(NamePattern),
    /// One relative name in lower case, of which a `*` is part and stands for nothing else.
    Only(Box<str>),
}

/// Records of a zone that a right is limited to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordScope {
    pub names: Names,
    /// None: all types.
    pub types: Option<BTreeSet<RecordType>>,
}

impl RecordScope {
    /// Whether records of this relative name and type are among them.
    pub fn covers(&self, relative: &str, record_type: &RecordType) -> bool {
        self.covers_name(relative) && self.types.as_ref().is_none_or(|types| types.contains(record_type))
    }

    pub fn covers_name(&self, relative: &str) -> bool {
        match &self.names {
            Names::All => true,
            Names::Like(pattern) => pattern.matches(relative),
            Names::Only(name) => name.eq_ignore_ascii_case(relative),
        }
    }

    /// Whether every name of the other's is one of these, whatever their types.
    fn contains_names(&self, other: &Names) -> bool {
        match (&self.names, other) {
            (Names::All, _) => true,
            (Names::Like(pattern), Names::All) => pattern.as_str().bytes().all(|byte| byte == b'*'),
            (Names::Like(pattern), Names::Like(other)) => pattern.contains(other),
            (Names::Like(pattern), Names::Only(name)) => pattern.matches(name),
            (Names::Only(_), Names::All) => false,
            (Names::Only(name), Names::Like(other)) => !other.as_str().contains('*') && **name == *other.as_str(),
            (Names::Only(name), Names::Only(other)) => name == other,
        }
    }
}

/// Whether these scopes together have all that `wanted` has. Errs to no: names must lie within one scope for each type.
pub fn contain(scopes: &[RecordScope], wanted: &RecordScope) -> bool {
    let of_names = || scopes.iter().filter(|scope| scope.contains_names(&wanted.names));
    match &wanted.types {
        None => of_names().any(|scope| scope.types.is_none()),
        Some(types) => types
            .iter()
            .all(|wanted| of_names().any(|scope| scope.types.as_ref().is_none_or(|types| types.contains(wanted)))),
    }
}

/// How far a right over records reaches within a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordReach {
    Nothing,
    /// Never empty.
    Part(Vec<RecordScope>),
    Everything,
}

impl RecordReach {
    pub fn covers(&self, zone: &ZoneName, name: &OwnerName, record_type: &RecordType) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Part(scopes) => {
                let relative = relative(zone, name);
                scopes.iter().any(|scope| scope.covers(relative, record_type))
            }
        }
    }

    /// Whether records of this name and any type are covered.
    pub fn covers_name(&self, zone: &ZoneName, name: &OwnerName) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Part(scopes) => scopes.iter().any(|scope| scope.covers_name(relative(zone, name))),
        }
    }
}

fn relative<'a>(zone: &ZoneName, name: &'a OwnerName) -> &'a str {
    // a name outside the zone, which nothing lets in, is no relative name and matches as a whole
    if name.is_apex(zone) { "@" } else { name.relative(zone).unwrap_or(name.as_str()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> NamePattern {
        NamePattern::parse(text).expect("a pattern")
    }

    #[test]
    fn a_star_spans_any_characters_and_the_apex_is_an_at() {
        for (text, matched, not) in [
            ("*", &["@", "www", "a.b.c", "*.dev"][..], &[][..]),
            ("@", &["@"], &["www", "a"]),
            ("www", &["www", "WWW"], &["www.a", "ww", "wwww", "@"]),
            ("*.dev", &["a.dev", "a.b.dev", "*.dev", ".dev"], &["dev", "a.dev.x", "adev"]),
            ("_acme-challenge*", &["_acme-challenge", "_acme-challenge.www"], &["x._acme-challenge"]),
            ("a*b*c", &["abc", "axxbyyc", "abcbc"], &["ab", "acb", "abcx"]),
            ("Dev*", &["dev1", "DEV.a"], &["xdev"]),
        ] {
            for name in matched {
                assert!(pattern(text).matches(name), "{text} {name}");
            }
            for name in not {
                assert!(!pattern(text).matches(name), "{text} {name}");
            }
        }
    }

    #[test]
    fn what_no_name_could_match_is_no_pattern() {
        assert_eq!(NamePattern::parse(""), Err(BadPattern::Length));
        assert_eq!(NamePattern::parse(&"a".repeat(254)), Err(BadPattern::Length));
        assert_eq!(NamePattern::parse("a?"), Err(BadPattern::Character('?')));
        assert_eq!(NamePattern::parse("[ab]"), Err(BadPattern::Character('[')));
        assert_eq!(NamePattern::parse("bücher"), Err(BadPattern::Character('ü')));
        assert_eq!(NamePattern::parse("www."), Err(BadPattern::Absolute));
    }

    #[test]
    fn a_pattern_with_very_many_stars_ends_soon() {
        let started = std::time::Instant::now();
        assert!(!pattern(&"*a".repeat(126)).matches(&"a".repeat(125)));
        assert!(!pattern(&format!("{}b", "*a".repeat(126))).matches(&"a".repeat(253)));
        assert!(started.elapsed() < std::time::Duration::from_secs(1));
    }

    fn scope(names: Names, types: Option<&[RecordType]>) -> RecordScope {
        RecordScope { names, types: types.map(|types| types.iter().cloned().collect()) }
    }

    #[test]
    fn a_scope_lies_in_others_if_its_names_lie_in_one_for_each_type() {
        let dev = |types| scope(Names::Like(pattern("*.dev")), types);
        let only_star = scope(Names::Only("*.dev".into()), None);
        assert!(contain(&[dev(None)], &only_star));
        assert!(!contain(std::slice::from_ref(&only_star), &dev(None)), "a name with a star is one name");
        assert!(contain(&[dev(None)], &scope(Names::Like(pattern("a*.dev")), Some(&[RecordType::A]))));
        assert!(!contain(&[dev(Some(&[RecordType::A]))], &dev(None)));
        let both: &[RecordType] = &[RecordType::A, RecordType::Txt];
        assert!(contain(&[dev(Some(&[RecordType::A])), dev(Some(&[RecordType::Txt]))], &dev(Some(both))));
        assert!(!contain(&[dev(Some(&[RecordType::A]))], &dev(Some(both))));
        assert!(!contain(&[dev(None)], &scope(Names::All, None)));
        assert!(contain(&[scope(Names::Like(pattern("*")), None)], &scope(Names::All, None)));
        assert!(!contain(&[], &only_star));
    }

    proptest! {
        #[test]
        fn what_a_contained_pattern_matches_is_matched(
            outer in "[ab.*]{1,6}", inner in "[ab.*]{1,6}", name in "[ab.*]{1,8}",
        ) {
            prop_assume!(!outer.ends_with('.') && !inner.ends_with('.'));
            let (outer, inner) = (pattern(&outer), pattern(&inner));
            if outer.contains(&inner) && inner.matches(&name) {
                prop_assert!(outer.matches(&name), "{outer:?} {inner:?} {name}");
            }
        }

        #[test]
        fn matching_is_what_the_definition_says(text in "[ab*]{1,6}", name in "[ab]{0,6}") {
            fn by_definition(pattern: &str, name: &str) -> bool {
                match pattern.split_at_checked(1) {
                    None => name.is_empty(),
                    Some(("*", rest)) => (0..=name.len()).any(|n| by_definition(rest, &name[n..])),
                    Some((first, rest)) => name.strip_prefix(first).is_some_and(|name| by_definition(rest, name)),
                }
            }
            prop_assert_eq!(pattern(&text).matches(&name), by_definition(&text, &name));
        }
    }
}
