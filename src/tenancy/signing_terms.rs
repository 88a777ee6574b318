//! How long keys live, as the settings of a tenant or a zone say, under `dnssec`. A zone's words win over its tenant's,
//! and these over the operator's; where nobody says anything, the operator's configuration holds.

use serde_json::Value;

/// Ten years; more is a slip of the finger.
pub const DAYS_MAX: u32 = 3_650;

/// What settings say, in days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigningTerms {
    /// 0: rolled when asked for.
    pub zsk_lifetime_days: Option<u32>,
    /// 0: rolled when asked for.
    pub ksk_lifetime_days: Option<u32>,
    /// How long a replaced zone-signing key stays published, if caches do not need it longer.
    pub overlap_days: Option<u32>,
}

impl SigningTerms {
    const NAMES: [&'static str; 3] = ["zsk_lifetime_days", "ksk_lifetime_days", "overlap_days"];

    /// Reads settings, a JSON object; what is missing or nonsense is not said.
    pub fn read(settings: &Value) -> Self {
        let days = |name: &str| {
            let days = settings.get("dnssec")?.get(name)?.as_u64()?;
            u32::try_from(days).ok().filter(|days| *days <= DAYS_MAX)
        };
        let [zsk_lifetime_days, ksk_lifetime_days, overlap_days] = Self::NAMES.map(days);
        Self { zsk_lifetime_days, ksk_lifetime_days, overlap_days }
    }

    /// What is not said here is as there.
    pub fn or(self, other: Self) -> Self {
        Self {
            zsk_lifetime_days: self.zsk_lifetime_days.or(other.zsk_lifetime_days),
            ksk_lifetime_days: self.ksk_lifetime_days.or(other.ksk_lifetime_days),
            overlap_days: self.overlap_days.or(other.overlap_days),
        }
    }

    /// What is wrong with settings that somebody wants to keep.
    pub fn problem(settings: &Value) -> Option<String> {
        let terms = settings.get("dnssec").filter(|terms| !terms.is_null())?;
        let Some(terms) = terms.as_object() else { return Some("must be an object".to_owned()) };
        terms.iter().find_map(|(name, value)| {
            if !Self::NAMES.contains(&name.as_str()) {
                return Some(format!("has '{name}', but only {} are known", Self::NAMES.join(", ")));
            }
            let is_days = value.as_u64().is_some_and(|days| days <= u64::from(DAYS_MAX));
            (!is_days).then(|| format!("'{name}' must be a whole number from 0 to {DAYS_MAX}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_zone_says_more_than_its_tenant_and_nonsense_says_nothing() {
        let tenant = SigningTerms::read(&json!({ "dnssec": { "zsk_lifetime_days": 60, "overlap_days": 3 } }));
        let zone = SigningTerms::read(&json!({ "dnssec": { "zsk_lifetime_days": 0, "ksk_lifetime_days": -1 } }));
        let both = zone.or(tenant);
        let wanted = SigningTerms { zsk_lifetime_days: Some(0), ksk_lifetime_days: None, overlap_days: Some(3) };
        assert_eq!(both, wanted);
        assert_eq!(SigningTerms::read(&json!({ "dnssec": { "overlap_days": 3_651 } })), SigningTerms::default());
        assert_eq!(SigningTerms::read(&Value::Null), SigningTerms::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for fine in [json!({}), json!({ "dnssec": null }), json!({ "dnssec": { "ksk_lifetime_days": 3_650 } })] {
            assert_eq!(SigningTerms::problem(&fine), None, "{fine}");
        }
        for (wrong, word) in [
            (json!({ "dnssec": 5 }), "object"),
            (json!({ "dnssec": { "zsk_lifetime": 5 } }), "zsk_lifetime"),
            (json!({ "dnssec": { "overlap_days": "7" } }), "overlap_days"),
            (json!({ "dnssec": { "overlap_days": 3_651 } }), "overlap_days"),
        ] {
            let problem = SigningTerms::problem(&wrong).unwrap_or_default();
            assert!(problem.contains(word), "{wrong}: {problem}");
        }
    }
}
