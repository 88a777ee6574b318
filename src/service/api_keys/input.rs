//! What is asked of a key, checked: names, scopes, networks, bounds. Pure.

use time::{OffsetDateTime, UtcOffset};

use crate::authz::PermissionSet;
use crate::storage::api_keys::AllowedNetwork;

use super::super::{Error, Result};

pub const NAME_CHARACTERS_MAX: usize = 255; // what the column holds
pub const DESCRIPTION_CHARACTERS_MAX: usize = 1_000;
pub const REASON_CHARACTERS_MAX: usize = 500;
pub const SCOPES_MAX: usize = 64;
pub const SCOPE_CHARACTERS_MAX: usize = 64;
pub const NETWORKS_MAX: usize = 100;
/// Requests a minute.
pub const RATE_LIMIT_MAX: u32 = 1_000_000;

/// Years that every clock and the database agree on.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=9998;

/// A name, trimmed.
pub fn name(text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > NAME_CHARACTERS_MAX {
        return Err(schema("name", "must have 1 to 255 characters"));
    }
    if text.chars().any(char::is_control) {
        return Err(schema("name", "must not have control characters"));
    }
    Ok(text.to_owned())
}

/// A description; line breaks are fine.
pub fn description(text: Option<String>) -> Result<Option<String>> {
    text.map(|text| bounded_text("description", text, DESCRIPTION_CHARACTERS_MAX)).transpose()
}

/// Why a key is revoked, for the audit log.
pub fn reason(text: Option<String>) -> Result<Option<String>> {
    text.map(|text| bounded_text("reason", text, REASON_CHARACTERS_MAX)).transpose()
}

/// Scopes, each once, in the order given; and what they allow together.
pub fn scopes(texts: Option<Vec<String>>) -> Result<Option<(Vec<String>, PermissionSet)>> {
    let Some(texts) = texts else { return Ok(None) };
    if texts.is_empty() || texts.len() > SCOPES_MAX {
        return Err(schema("scopes", "must have 1 to 64 entries; leave it out for all that the source has"));
    }
    let mut scopes: Vec<String> = Vec::new();
    let mut allowed = PermissionSet::EMPTY;
    for text in texts {
        if text.chars().count() > SCOPE_CHARACTERS_MAX {
            return Err(schema("scopes", "has an entry that is too long"));
        }
        let set = PermissionSet::parse_one(&text).map_err(|error| Error::invalid("scopes", error.to_string()))?;
        allowed = allowed.union(set);
        if !scopes.contains(&text) {
            scopes.push(text);
        }
    }
    Ok(Some((scopes, allowed)))
}

/// Addresses and networks that a key may be used from; none: from everywhere.
pub fn networks(texts: Vec<String>) -> Result<Vec<AllowedNetwork>> {
    if texts.len() > NETWORKS_MAX {
        return Err(schema("ip_whitelist", "must have at most 100 entries"));
    }
    let mut networks: Vec<AllowedNetwork> = Vec::new();
    for text in texts {
        let shown: String = text.chars().take(64).collect();
        let malformed = || Error::invalid("ip_whitelist", format!("{shown:?} is neither an address nor a CIDR"));
        let network = AllowedNetwork::parse(&text).ok_or_else(malformed)?;
        if !networks.contains(&network) {
            networks.push(network);
        }
    }
    Ok(networks)
}

pub fn rate_limit(limit: Option<u32>) -> Result<Option<u32>> {
    match limit {
        Some(limit) if !(1..=RATE_LIMIT_MAX).contains(&limit) => {
            Err(schema("rate_limit", "must be from 1 to 1,000,000 requests a minute"))
        }
        limit => Ok(limit),
    }
}

/// A moment in UTC; one in the past means expired.
pub fn expires_at(at: Option<OffsetDateTime>) -> Result<Option<OffsetDateTime>> {
    let Some(at) = at else { return Ok(None) };
    let utc = at.checked_to_offset(UtcOffset::UTC).filter(|at| YEARS.contains(&at.year()));
    let cut = utc.and_then(|at| at.replace_nanosecond(at.nanosecond() / 1_000 * 1_000).ok());
    cut.map(Some).ok_or_else(|| schema("expires_at", "must be from 1970 to 9998"))
}

pub fn bounded_text(field: &'static str, text: String, most: usize) -> Result<String> {
    if text.chars().count() > most {
        return Err(schema(field, &format!("must have at most {most} characters")));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(schema(field, "must not have control characters"));
    }
    Ok(text)
}

fn schema(field: &str, message: &str) -> Error {
    Error::schema(&["body", field], message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_bounded() {
        assert_eq!(name("  CI  ").expect("a name"), "CI");
        for bad in ["", " \t ", "a\0b", "a\nb", &"x".repeat(256)] {
            assert!(matches!(name(bad), Err(Error::Schema(_))), "{bad:?}");
        }
    }

    #[test]
    fn scopes_are_known_and_stand_once() {
        let given = vec!["records:write".to_owned(), "records:read".to_owned(), "records:write".to_owned()];
        let (texts, allowed) = scopes(Some(given)).expect("known").expect("given");
        assert_eq!(texts, ["records:write", "records:read"]);
        assert_eq!(allowed.iter().count(), 4);
        assert!(scopes(None).expect("absent").is_none());
        assert!(matches!(scopes(Some(vec![])), Err(Error::Schema(_))));
        assert!(matches!(scopes(Some(vec!["records:fly".into()])), Err(Error::Invalid { field: Some("scopes"), .. })));
    }

    #[test]
    fn a_whitelist_takes_addresses_and_networks() {
        let given = ["192.0.2.1", "198.51.100.7/24", "2001:db8::/32", "::ffff:192.0.2.1"];
        let networks = networks(given.map(str::to_owned).to_vec()).expect("well formed");
        let texts: Vec<&str> = networks.iter().map(|network| network.text.as_str()).collect();
        assert_eq!(texts, ["192.0.2.1", "198.51.100.0/24", "2001:db8::/32"]);
        for bad in ["", "192.0.2.1/33", "example.org", "1.2.3", "10.0.0.0/8 "] {
            let refused = super::networks(vec![bad.to_owned()]);
            assert!(matches!(refused, Err(Error::Invalid { field: Some("ip_whitelist"), .. })), "{bad:?}");
        }
    }
}
