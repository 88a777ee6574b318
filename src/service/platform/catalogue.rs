//! The settings that there are: a closed list, each with its bounds, what it is without a word of the admin's, and the
//! place among the [`Terms`] where it takes effect.

use std::time::Duration;

use serde_json::{Value, json};

use crate::config::{Config, Environment, PURGE_AFTER_LEAST, RATE_MAX, RateLimitConfig, duration};
use crate::dns::{SoaTimers, TTL_MAX};
use crate::storage::platform_settings::SettingRow;
use crate::tenancy::{DAYS_MAX, Quotas, SigningTerms};

const DEFAULT_TTL: u32 = 3_600; // contract
const SECONDS_A_DAY: u64 = 86_400;
/// A century, as for the environment.
const AUDIT_DAYS_MAX: u64 = 36_500;
const EXPIRY_HOURS_MAX: u64 = 8_760;

/// What the settings come to, typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Of a domain that names none.
    pub default_ttl: u32,
    /// Of a zone that goes live.
    pub soa: SoaTimers,
    pub validation_expiry: Duration,
    pub purge_after: Duration,
    pub audit_retention_days: Option<u32>,
    /// Of tenants whose settings do not say otherwise.
    pub quotas: Quotas,
    pub rate_limits: RateLimits,
    /// What is not said here is as the environment says.
    pub signing: SigningTerms,
}

/// Requests a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    pub per_minute: u32,
    pub tenant_per_minute: u32,
    pub anonymous_per_minute: u32,
}

/// What a value may look like.
#[derive(Clone, Copy)]
enum Form {
    /// A whole number within bounds.
    Number { least: u64, most: u64 },
    /// A time with its unit, kept as seconds; in production no shorter than a day.
    Time,
}

/// One setting.
pub struct Definition {
    pub key: &'static str,
    pub description: &'static str,
    form: Form,
    /// Without a word of the admin's.
    initial: fn(&Config) -> u64,
    /// Values are within the form's bounds.
    put: fn(&mut Terms, u64),
}

const fn number(least: u64, most: u64) -> Form {
    Form::Number { least, most }
}

const TIMER: Form = number(1, TTL_MAX as u64);
const COUNT: Form = number(0, u32::MAX as u64);
const RATE: Form = number(1, RATE_MAX as u64);
const DAYS: Form = number(0, DAYS_MAX as u64);

/// Every setting, by key.
pub const CATALOGUE: &[Definition] = &[
    Definition {
        key: "audit_retention_days",
        description: "How many days entries of the audit log are kept; 0 is for ever",
        form: number(0, AUDIT_DAYS_MAX),
        initial: |config| config.audit_retention_days.unwrap_or(0).into(),
        put: |terms, days| terms.audit_retention_days = Some(narrow(days)).filter(|days| *days > 0),
    },
    Definition {
        key: "default_ttl",
        description: "The default TTL, in seconds, of a new domain that names none",
        form: number(0, TTL_MAX as u64),
        initial: |_| DEFAULT_TTL.into(),
        put: |terms, seconds| terms.default_ttl = narrow(seconds),
    },
    Definition {
        key: "dnssec_ksk_lifetime_days",
        description: "Days after which a key-signing key is rolled, unless a tenant's or a domain's settings say \
                      otherwise; 0: when asked for",
        form: DAYS,
        initial: |config| days(config.dnssec.ksk_lifetime),
        put: |terms, days| terms.signing.ksk_lifetime_days = Some(narrow(days)),
    },
    Definition {
        key: "dnssec_overlap_days",
        description: "Days for which a replaced zone-signing key stays published, unless a tenant's or a domain's \
                      settings say otherwise",
        form: DAYS,
        initial: |config| days(Some(config.dnssec.overlap)),
        put: |terms, days| terms.signing.overlap_days = Some(narrow(days)),
    },
    Definition {
        key: "dnssec_zsk_lifetime_days",
        description: "Days after which a zone-signing key is rolled, unless a tenant's or a domain's settings say \
                      otherwise; 0: when asked for",
        form: DAYS,
        initial: |config| days(config.dnssec.zsk_lifetime),
        put: |terms, days| terms.signing.zsk_lifetime_days = Some(narrow(days)),
    },
    Definition {
        key: "domain_purge_after",
        description: "How long a deleted domain can be restored, as 12h or 30d; then it is removed for good",
        form: Form::Time,
        initial: |config| config.purge_after.as_secs(),
        put: |terms, seconds| terms.purge_after = Duration::from_secs(seconds),
    },
    Definition {
        key: "max_api_keys",
        description: "How many API keys a tenant may have whose settings do not say otherwise",
        form: COUNT,
        initial: |_| Quotas::default().max_api_keys.into(),
        put: |terms, count| terms.quotas.max_api_keys = narrow(count),
    },
    Definition {
        key: "max_domains",
        description: "How many domains a tenant may have whose settings do not say otherwise; pending ones count",
        form: COUNT,
        initial: |_| Quotas::default().max_domains.into(),
        put: |terms, count| terms.quotas.max_domains = narrow(count),
    },
    Definition {
        key: "max_records_per_domain",
        description: "How many records a domain may have whose tenant's settings do not say otherwise",
        form: COUNT,
        initial: |_| Quotas::default().max_records_per_domain.into(),
        put: |terms, count| terms.quotas.max_records_per_domain = narrow(count),
    },
    Definition {
        key: "rate_limit_anonymous_per_minute",
        description: "Requests a minute from one address from which nobody known calls",
        form: RATE,
        initial: |config| config.rate_limits.anonymous_per_minute.into(),
        put: |terms, rate| terms.rate_limits.anonymous_per_minute = narrow(rate),
    },
    Definition {
        key: "rate_limit_per_minute",
        description: "Requests a minute of one key or user; a key's own limit only lowers it",
        form: RATE,
        initial: |config| config.rate_limits.per_minute.into(),
        put: |terms, rate| terms.rate_limits.per_minute = narrow(rate),
    },
    Definition {
        key: "rate_limit_tenant_per_minute",
        description: "Requests a minute of one tenant whose settings do not say otherwise",
        form: RATE,
        initial: |config| config.rate_limits.tenant_per_minute.into(),
        put: |terms, rate| terms.rate_limits.tenant_per_minute = narrow(rate),
    },
    Definition {
        key: "soa_expire",
        description: "SOA of a domain that goes live: seconds until a secondary that hears nothing stops answering",
        form: TIMER,
        initial: |_| SoaTimers::default().expire.into(),
        put: |terms, seconds| terms.soa.expire = narrow(seconds),
    },
    Definition {
        key: "soa_minimum",
        description: "SOA of a domain that goes live: seconds for which the absence of a record is remembered",
        form: TIMER,
        initial: |_| SoaTimers::default().minimum.into(),
        put: |terms, seconds| terms.soa.minimum = narrow(seconds),
    },
    Definition {
        key: "soa_refresh",
        description: "SOA of a domain that goes live: seconds between a secondary's questions",
        form: TIMER,
        initial: |_| SoaTimers::default().refresh.into(),
        put: |terms, seconds| terms.soa.refresh = narrow(seconds),
    },
    Definition {
        key: "soa_retry",
        description: "SOA of a domain that goes live: seconds until a failed question is asked again",
        form: TIMER,
        initial: |_| SoaTimers::default().retry.into(),
        put: |terms, seconds| terms.soa.retry = narrow(seconds),
    },
    Definition {
        key: "validation_expiry_hours",
        description: "Hours for which a new challenge can be met",
        form: number(1, EXPIRY_HOURS_MAX),
        initial: |config| config.validation.expiry.as_secs() / 3_600,
        put: |terms, hours| terms.validation_expiry = Duration::from_secs(3_600 * hours),
    },
];

impl Definition {
    pub fn find(key: &str) -> Option<&'static Self> {
        CATALOGUE.iter().find(|definition| definition.key == key)
    }

    /// What holds without a word of the admin's.
    pub fn initial(&self, config: &Config) -> Value {
        self.shown((self.initial)(config))
    }

    /// The value in the form in which it is kept and shown; or what it must be.
    pub fn checked(&self, config: &Config, value: &Value) -> Result<Value, String> {
        self.read(config, value).map(|read| self.shown(read))
    }

    fn read(&self, config: &Config, value: &Value) -> Result<u64, String> {
        match self.form {
            Form::Number { least, most } => {
                let number = value.as_u64().filter(|number| (least..=most).contains(number));
                number.ok_or_else(|| format!("must be a whole number from {least} to {most}"))
            }
            Form::Time => {
                let time = value.as_str().and_then(duration).ok_or("must be a time as 90s, 15m, 12h or 30d")?;
                if config.environment == Environment::Production && time < PURGE_AFTER_LEAST {
                    return Err("must be at least a day in production".to_owned());
                }
                Ok(time.as_secs())
            }
        }
    }

    fn shown(&self, value: u64) -> Value {
        match self.form {
            Form::Number { .. } => json!(value),
            Form::Time => {
                let units = [(SECONDS_A_DAY, "d"), (3_600, "h"), (60, "m")];
                let fitting = units.into_iter().find(|(unit, _)| value.is_multiple_of(*unit));
                let (unit, letter) = fitting.unwrap_or((1, "s"));
                json!(format!("{}{letter}", value / unit))
            }
        }
    }
}

impl Terms {
    /// As the environment says, but for what the admin has set. What this version does not take holds nobody up: then
    /// the environment's value stays.
    pub fn read(config: &Config, rows: &[SettingRow]) -> Self {
        let mut terms = Self::initial(config);
        for row in rows.iter().filter(|row| !row.value.is_null()) {
            let Some(definition) = Definition::find(&row.name) else { continue };
            match definition.read(config, &row.value) {
                Ok(value) => (definition.put)(&mut terms, value),
                Err(problem) => tracing::warn!(key = row.name, problem, "a platform setting is not taken"),
            }
        }
        terms
    }

    fn initial(config: &Config) -> Self {
        let RateLimitConfig { per_minute, tenant_per_minute, anonymous_per_minute } = config.rate_limits;
        Self {
            default_ttl: DEFAULT_TTL,
            soa: SoaTimers::default(),
            validation_expiry: config.validation.expiry,
            purge_after: config.purge_after,
            audit_retention_days: config.audit_retention_days,
            quotas: Quotas::default(),
            rate_limits: RateLimits { per_minute, tenant_per_minute, anonymous_per_minute },
            signing: SigningTerms::default(),
        }
    }
}

/// Every number in the catalogue is bounded by what fits.
fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn days(lifetime: Option<Duration>) -> u64 {
    lifetime.map_or(0, |lifetime| lifetime.as_secs() / SECONDS_A_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::platform::testing::config;

    fn row(name: &str, value: Value) -> SettingRow {
        SettingRow { name: name.to_owned(), value, version: 1, updated_at: None, updated_by: None }
    }

    #[test]
    fn every_setting_has_an_effect_of_its_own_and_its_initial_value_changes_nothing() {
        let config = config(&[]);
        let usual = Terms::read(&config, &[]);
        let mut seen: Vec<Terms> = Vec::new();
        for definition in CATALOGUE {
            let initial = definition.initial(&config);
            assert_eq!(definition.checked(&config, &initial), Ok(initial), "{}", definition.key);
            let other = if definition.key == "domain_purge_after" { json!("7d") } else { json!(17) };
            let terms = Terms::read(&config, &[row(definition.key, other)]);
            assert!(terms != usual && !seen.contains(&terms), "{} does nothing of its own", definition.key);
            seen.push(terms);
        }
        let keys: Vec<&str> = CATALOGUE.iter().map(|definition| definition.key).collect();
        assert!(keys.is_sorted(), "{keys:?}");
    }

    #[test]
    fn what_the_environment_says_is_the_first_value_and_what_is_not_taken_leaves_it() {
        let config = config(&[("VALIDATION_EXPIRY_HOURS", "5"), ("DOMAIN_PURGE_AFTER", "36h")]);
        let shown = |key| Definition::find(key).map(|definition| definition.initial(&config));
        assert_eq!(shown("validation_expiry_hours"), Some(json!(5)));
        assert_eq!(shown("domain_purge_after"), Some(json!("36h")));
        assert_eq!(shown("dnssec_zsk_lifetime_days"), Some(json!(30)));
        assert!(Definition::find("nameservers").is_none());
        let hours = |value| Terms::read(&config, &[row("validation_expiry_hours", value)]).validation_expiry.as_secs();
        for (value, wanted) in [(json!(7), 7), (json!(null), 5), (json!("7"), 5), (json!(8_761), 5), (json!(-1), 5)] {
            assert_eq!(hours(value.clone()), 3_600 * wanted, "{value}");
        }
    }

    #[test]
    fn in_production_nothing_is_purged_within_a_day() {
        let checked = |environment, value: &str| {
            let config = config(&[("ENVIRONMENT", environment)]);
            Definition::find("domain_purge_after").expect("there").checked(&config, &json!(value))
        };
        assert!(checked("production", "23h").is_err());
        assert_eq!(checked("production", "48h"), Ok(json!("2d")));
        assert_eq!(checked("development", "90"), Ok(json!("90s")));
        assert!(checked("development", "soon").is_err());
    }
}
