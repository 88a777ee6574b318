//! Labels: the parts of a name, as text. Splitting, converting and checking them lives here once, for zone names,
//! owner names and the names inside record contents.
//!
//! What never lives here: what a name means (that is [`super::zone_name`], [`super::owner_name`] and the types).

use std::cmp::Ordering;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// Longest label on the wire (RFC 1035 section 2.3.4).
pub(super) const LABEL_OCTETS_MAX: usize = 63;
/// Longest name on the wire, with its length octets and the root (RFC 1035 section 2.3.4).
pub(super) const NAME_OCTETS_MAX: usize = 255;
/// Longest text that is looked at as a name. A name of 255 octets has at most 1,004 characters in `\DDD` form and
/// fewer as U-labels; what is longer is refused before any work is done on it.
pub(super) const NAME_INPUT_MAX: usize = 1_024;

/// Which characters a label may hold beyond letters, digits and inner hyphens.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LabelRules {
    /// `_` anywhere (attribute leaves, RFC 8552).
    pub underscore: bool,
    /// `/` (classless reverse delegation, RFC 2317).
    pub slash: bool,
    /// `*` as the whole leftmost label (RFC 4592).
    pub wildcard: bool,
}

/// The labels of `name`, rightmost first; a dot behind a backslash separates nothing. The root has none.
pub(super) fn from_the_right(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = (!name.is_empty()).then_some(name);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut end = text.len();
        while let Some(dot) = text[..end].rfind('.') {
            if !is_escaped(text, dot) {
                rest = Some(&text[..dot]);
                return Some(&text[dot + 1..]);
            }
            end = dot;
        }
        rest = None;
        Some(text)
    })
}

/// The parent of `name`, or nothing for the root.
pub(super) fn parent(name: &str) -> Option<&str> {
    if name.is_empty() {
        return None;
    }
    let dot = name.match_indices('.').map(|(position, _)| position).find(|dot| !is_escaped(name, *dot));
    Some(dot.map_or("", |dot| &name[dot + 1..]))
}

/// Canonical DNS order of two lower-case names (RFC 4034 section 6.1): by labels, from the right.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let shared = shared_labels(a, b);
    compare_labels(&a[..a.len() - shared], &b[..b.len() - shared])
}

fn compare_labels(a: &str, b: &str) -> Ordering {
    from_the_right(a).map(str::as_bytes).cmp(from_the_right(b).map(str::as_bytes))
}

/// Octets at the end of both names, from a dot on, that are the same: names of one zone have most of them in common, and
/// comparing them label by label is what sorting a large zone would spend its time on.
fn shared_labels(a: &str, b: &str) -> usize {
    let same = same_at_end(a.as_bytes(), b.as_bytes());
    let tail = &a.as_bytes()[a.len() - same..];
    match tail.iter().position(|octet| *octet == b'.') {
        // a backslash there, or before the dot, may make it part of a label
        Some(dot) if dot > 0 && !tail.contains(&b'\\') => same - dot,
        _ => 0,
    }
}

fn same_at_end(a: &[u8], b: &[u8]) -> usize {
    const AT_ONCE: usize = 8; // one comparison of a machine word
    let words = a.rchunks_exact(AT_ONCE).zip(b.rchunks_exact(AT_ONCE)).take_while(|(a, b)| a == b).count();
    let same = words * AT_ONCE;
    let rest = a[..a.len() - same].iter().rev().zip(b[..b.len() - same].iter().rev());
    same + rest.take_while(|(a, b)| a == b).count()
}

/// Whether `name` is `ancestor` or lies below it; both lower case without a trailing dot.
pub(super) fn is_at_or_below(name: &str, ancestor: &str) -> bool {
    match name.strip_suffix(ancestor) {
        None => false,
        Some("") => true,
        Some(_) if ancestor.is_empty() => true,
        Some(front) => front.ends_with('.') && !is_escaped(front, front.len() - 1),
    }
}

/// The labels of a name as a person wrote it, leftmost first. The full stops that UTS 46 takes for dots are dots.
pub(super) fn split_input(name: &str) -> impl Iterator<Item = &str> {
    name.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'])
}

/// The lower-case A-label of `label`. Only a label with a character outside ASCII is converted (UTS 46).
pub(super) fn to_ascii(label: &str) -> Result<String, String> {
    if label.is_ascii() {
        return Ok(label.to_ascii_lowercase());
    }
    Uts46::new()
        .to_ascii(label.as_bytes(), AsciiDenyList::EMPTY, Hyphens::CheckFirstLast, DnsLength::Ignore)
        .map(|ascii| ascii.into_owned())
        .map_err(|_| format!("'{label}' is not a valid internationalised label"))
}

/// A text that is looked for in names, as it would stand in them: a whole U-label is the A-label that it stands for.
pub fn searched(text: &str) -> String {
    let text = text.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(text);
    let labels = split_input(text).map(|label| to_ascii(label).unwrap_or_else(|_| label.to_lowercase()));
    labels.collect::<Vec<_>>().join(".")
}

/// Checks a lower-case ASCII label; `leftmost` says whether it is the first of its name.
pub(super) fn check(label: &str, leftmost: bool, rules: LabelRules) -> Result<(), String> {
    if label.is_empty() {
        return Err("a label is empty".to_owned());
    }
    if label.len() > LABEL_OCTETS_MAX {
        return Err(format!("label '{label}' is longer than {LABEL_OCTETS_MAX} octets"));
    }
    if label == "*" && leftmost && rules.wildcard {
        return Ok(());
    }
    for character in label.chars() {
        let allowed = match character {
            'a'..='z' | '0'..='9' | '-' => true,
            '_' => rules.underscore,
            '/' => rules.slash,
            _ => false,
        };
        if !allowed {
            return Err(format!("label '{}' holds '{}'", label.escape_debug(), character.escape_debug()));
        }
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(format!("label '{label}' begins or ends with a hyphen"));
    }
    Ok(())
}

/// Converts and checks a whole name without escapes: lower-case A-labels, no trailing dot.
pub(super) fn parse_name(input: &str, rules: LabelRules) -> Result<String, String> {
    if input.len() > NAME_INPUT_MAX {
        return Err(format!("name is longer than {NAME_OCTETS_MAX} octets"));
    }
    let mut name = String::with_capacity(input.len());
    for (position, label) in split_input(input).enumerate() {
        let label = to_ascii(label)?;
        check(&label, position == 0, rules)?;
        if position > 0 {
            name.push('.');
        }
        name.push_str(&label);
    }
    check_length(&name)?;
    Ok(name)
}

/// Checks that an unescaped name without trailing dot fits on the wire.
pub(super) fn check_length(name: &str) -> Result<(), String> {
    // One length octet for the first label (the others stand where the dots do) and one for the root.
    if name.len() + 2 > NAME_OCTETS_MAX {
        return Err(format!("name is longer than {NAME_OCTETS_MAX} octets"));
    }
    Ok(())
}

/// The name without one trailing dot, and whether it had one.
pub(super) fn strip_root(name: &str) -> (&str, bool) {
    for dot in ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'] {
        if let Some(stripped) = name.strip_suffix(dot) {
            return (stripped, true);
        }
    }
    (name, false)
}

fn is_escaped(text: &str, position: usize) -> bool {
    let backslashes = text.as_bytes()[..position].iter().rev().take_while(|byte| **byte == b'\\').count();
    backslashes % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_short_way_compares_as_the_long_one(
            a in r"([ab\\]{0,3}\.){0,3}[ab\\]{0,3}",
            b in r"([ab\\]{0,3}\.){0,3}[ab\\]{0,3}",
            end in r"(\.?[ab]{1,12}){0,2}",
        ) {
            let (a, b) = (format!("{a}{end}"), format!("{b}{end}"));
            assert_eq!(compare(&a, &b), compare_labels(&a, &b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_dot_behind_a_backslash_separates_nothing() {
        assert_eq!(from_the_right(r"a\.b.c").collect::<Vec<_>>(), ["c", r"a\.b"]);
        assert_eq!(from_the_right(r"a\\.b.c").collect::<Vec<_>>(), ["c", "b", r"a\\"]);
        assert_eq!(parent(r"a\.b.c"), Some("c"));
        assert!(!is_at_or_below(r"a\.b.c", "b.c"));
        assert!(is_at_or_below(r"a\\.b.c", "b.c"));
    }

    #[test]
    fn the_root_is_above_everything() {
        assert_eq!(from_the_right("").count(), 0);
        assert_eq!(parent("com"), Some(""));
        assert_eq!(parent(""), None);
        assert!(is_at_or_below("com", ""));
        assert!(is_at_or_below("", ""));
        assert!(!is_at_or_below("notexample.com", "example.com"));
    }
}
