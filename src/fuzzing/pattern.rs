//! Patterns of names that rights are limited to.

use super::{Outcome, seeds_of, text};
use crate::authz::NamePattern;

/// Two patterns and a name, a line each.
pub fn seeds() -> Vec<Vec<u8>> {
    seeds_of([
        "*\nwww\nwww",
        "*.dev\nx.dev\nx.dev",
        "_acme-challenge*\n_acme-challenge.*\n_acme-challenge.www",
        "@\n@\n@",
        "a*b*c\na*b*b*c\naxbybc",
        "**\n*\n",
        "*a*a*a*a*a*a*b\naaaaaaaaaaaaaaaaaaaaaaaaaaaa\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ])
}

pub fn run(input: &[u8]) -> Outcome {
    let input = &*text(input);
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
