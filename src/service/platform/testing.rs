//! A configuration for tests that reach no server.

use crate::config::Config;

/// Complete, with these variables besides.
pub fn config(more: &[(&str, &str)]) -> Config {
    let lookup = |name: &str| {
        let given = more.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let value = given.or(match name {
            "DATABASE_URL" => Some("mysql://u:p@127.0.0.1:1/db"),
            "REDIS_URL" => Some("redis://127.0.0.1:1"),
            "EXTERNAL_URL" | "PDNS_API_URL" | "SCAIKEY_URL" => Some("http://127.0.0.1:1"),
            "SESSION_SECRET" | "API_KEY_PEPPER" => Some("0123456789abcdef0123456789abcdef"),
            "PDNS_API_KEY"
            | "SCAIKEY_CLIENT_ID"
            | "SCAIKEY_CLIENT_SECRET"
            | "SCAIKEY_APPLICATION_ID"
            | "SCAIKEY_WEBHOOK_SECRET" => Some("x"),
            _ => None,
        });
        value.map(str::to_owned)
    };
    Config::from_lookup(lookup).expect("complete")
}
