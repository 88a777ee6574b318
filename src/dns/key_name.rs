//! The name of a TSIG key (RFC 8945): a domain name that belongs to no zone.

use super::error::FieldError;
use super::labels::{self, LabelRules};

/// Parses a key's name; it is absolute with or without its dot. Lower case, no trailing dot.
///
/// # Errors
/// Names the field `name`.
pub fn key_name(input: &str) -> Result<String, FieldError> {
    let (text, _) = labels::strip_root(input);
    let rules = LabelRules { underscore: true, slash: false, wildcard: false };
    labels::parse_name(text, rules).map_err(FieldError::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_called_like_a_host_or_a_service() {
        for (input, name) in [("transfer", "transfer"), ("A.B.example.", "a.b.example"), ("_x.y", "_x.y")] {
            assert_eq!(key_name(input).as_deref(), Ok(name));
        }
        for input in ["", ".", "a..b", "a b", "*", &"a".repeat(64)] {
            assert!(key_name(input).is_err(), "{input}");
        }
    }
}
