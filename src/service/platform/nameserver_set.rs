//! The platform's nameservers, and what they mean for the NS records at the apex of a zone. Pure.

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::dns::{Rrset, RrsetValue};
use crate::storage::platform_settings::SettingRow;

/// The platform's nameservers as they are now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameserverSet {
    /// Lower case, without a dot at the end; the first is the primary of every SOA.
    pub names: Vec<String>,
    /// Raised each time they are set; 0: as the environment says.
    pub version: u32,
    /// Those that they have been before. They stand in zones that were not brought up to date yet.
    pub former: Vec<String>,
}

/// How a set is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Kept {
    pub names: Vec<String>,
    pub former: Vec<String>,
}

impl NameserverSet {
    /// As set, or as the environment says.
    pub fn read(config: &Config, row: Option<&SettingRow>) -> Self {
        let set = row.and_then(|row| Some((row.version, serde_json::from_value::<Kept>(row.value.clone()).ok()?)));
        match set {
            Some((version, Kept { names, former })) => Self { names, version, former },
            None => Self { names: config.nameservers.clone(), version: 0, former: Vec::new() },
        }
    }

    /// What the NS records of an apex are to become, those that stand there with the zone's primary in view. None: they
    /// stay, since none of the platform's is among them: then they are the tenant's own choice as a whole.
    pub fn apex(&self, standing: &Rrset, primary: Option<&str>) -> Option<Vec<RrsetValue>> {
        let is_own = |content: &str| {
            let name = content.trim_end_matches('.');
            let primary = primary.map(|primary| primary.trim_end_matches('.'));
            Some(name) == primary || self.names.iter().chain(&self.former).any(|own| own == name)
        };
        if !standing.records.iter().any(|record| is_own(&record.content)) {
            return None;
        }
        let wanted: Vec<String> = self.names.iter().map(|name| format!("{name}.")).collect();
        let stays = |content: &String| wanted.contains(content) || !is_own(content);
        let staying = standing.records.iter().filter(|record| stays(&record.content));
        let staying = staying.map(|record| RrsetValue { content: record.content.clone(), disabled: record.disabled });
        let mut values: Vec<RrsetValue> = staying.collect();
        for content in wanted {
            if !values.iter().any(|value| value.content == content) {
                values.push(RrsetValue { content, disabled: false });
            }
        }
        Some(values)
    }

    /// The primary that every SOA names, with a dot at its end.
    pub fn primary(&self) -> Option<String> {
        self.names.first().map(|name| format!("{name}."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Record;

    fn set(names: &[&str], former: &[&str]) -> NameserverSet {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        NameserverSet { names: owned(names), version: 2, former: owned(former) }
    }

    fn after(set: &NameserverSet, standing: &[&str], primary: Option<&str>) -> Option<Vec<String>> {
        let records = standing.iter().map(|name| Record { content: (*name).to_owned(), disabled: false }).collect();
        let values = set.apex(&Rrset { ttl: 3_600, records }, primary)?;
        Some(values.into_iter().map(|value| value.content).collect())
    }

    #[test]
    fn old_ones_go_new_ones_come_and_a_tenants_own_stay() {
        let set = set(&["ns2.new.test", "both.test"], &["ns1.old.test", "ns0.older.test"]);
        let wanted = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let moved = after(&set, &["both.test.", "ns1.old.test.", "ns.tenant.test."], None);
        assert_eq!(moved, wanted(&["both.test.", "ns.tenant.test.", "ns2.new.test."]));
        let from_older = after(&set, &["ns0.older.test."], None);
        assert_eq!(from_older, wanted(&["ns2.new.test.", "both.test."]));
        let again = after(&set, &["ns2.new.test.", "both.test.", "ns.tenant.test."], None);
        assert_eq!(again, wanted(&["ns2.new.test.", "both.test.", "ns.tenant.test."]));
        assert_eq!(after(&set, &["ns.tenant.test."], None), None, "a set of the tenant's own");
        let known_by_its_soa = after(&set, &["ns.forgotten.test."], Some("ns.forgotten.test."));
        assert_eq!(known_by_its_soa, wanted(&["ns2.new.test.", "both.test."]));
    }

    #[test]
    fn what_a_tenant_has_disabled_stays_so_while_the_name_is_the_platforms() {
        let record = |content: &str, disabled| Record { content: content.to_owned(), disabled };
        let standing = Rrset { ttl: 60, records: vec![record("a.test.", true), record("b.test.", false)] };
        let values = set(&["a.test", "c.test"], &["b.test"]).apex(&standing, None).expect("to be moved");
        let values: Vec<(&str, bool)> = values.iter().map(|value| (value.content.as_str(), value.disabled)).collect();
        assert_eq!(values, [("a.test.", true), ("c.test.", false)]);
    }
}
