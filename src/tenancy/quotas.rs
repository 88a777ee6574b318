//! What a tenant may use, as its settings say; where they say nothing, or nonsense, what the platform gives every
//! tenant.

use serde_json::Value;

const DOMAINS: u32 = 1_000; // contract
const RECORDS_PER_DOMAIN: u32 = 100_000; // contract
const API_KEYS: u32 = 100; // contract

/// A tenant's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Pending claims count.
    pub max_domains: u32,
    pub max_records_per_domain: u32,
    /// Revoked keys count until they are deleted.
    pub max_api_keys: u32,
    /// None: as the operator has configured for all.
    pub requests_per_minute: Option<u32>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            max_domains: DOMAINS,
            max_records_per_domain: RECORDS_PER_DOMAIN,
            max_api_keys: API_KEYS,
            requests_per_minute: None,
        }
    }
}

impl Quotas {
    /// Reads a tenant's settings, a JSON object.
    pub fn read(settings: &str, defaults: Self) -> Self {
        // most tenants have none, and this is read at each request
        if settings == "{}" {
            return defaults;
        }
        let settings: Value = serde_json::from_str(settings).unwrap_or_default();
        let number = |name: &str| settings.get(name).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        Self {
            max_domains: number("max_domains").unwrap_or(defaults.max_domains),
            max_records_per_domain: number("max_records_per_domain").unwrap_or(defaults.max_records_per_domain),
            max_api_keys: number("max_api_keys").unwrap_or(defaults.max_api_keys),
            requests_per_minute: number("requests_per_minute").filter(|limit| *limit > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_settings_do_not_say_is_as_for_every_tenant() {
        assert_eq!(Quotas::read("{}", Quotas::default()), Quotas::default());
        let read = Quotas::read(r#"{"max_domains": 0, "requests_per_minute": 5, "colour": "red"}"#, Quotas::default());
        assert_eq!(read, Quotas { max_domains: 0, requests_per_minute: Some(5), ..Quotas::default() });
        let given = Quotas { max_domains: 7, max_api_keys: 8, ..Quotas::default() };
        assert_eq!(Quotas::read(r#"{"max_domains": 9}"#, given), Quotas { max_domains: 9, ..given });
        for nonsense in ["", "[]", "null", r#"{"max_domains": -1, "max_api_keys": "many", "requests_per_minute": 0}"#] {
            assert_eq!(Quotas::read(nonsense, Quotas::default()), Quotas::default(), "{nonsense}");
        }
    }
}
