//! What is wrong with a zone's signing, as far as it can be told from what is kept of it.

use time::OffsetDateTime;

use super::key::Dnskey;
use super::parent::Alarm;
use super::state::Signing;
use super::words::{Age, Phase, Policy, Role};
use crate::dns::ZoneName;

impl Signing {
    /// What is wrong, as far as it can be told from what is kept.
    pub fn alarm(&self, zone: &ZoneName, now: OffsetDateTime, policy: &Policy) -> Option<Alarm> {
        if let Some(trouble) = &self.trouble {
            return Some(Alarm::Trouble(trouble.clone()));
        }
        let keys: Vec<&Dnskey> = self.secure_entry_points().collect();
        if let Some(alarm) = self.parent.strangers(zone, &keys) {
            return Some(alarm);
        }
        let relied_on = match self.phase {
            Phase::Signing | Phase::PendingDs | Phase::WaitDsGone | Phase::DsGone | Phase::Unsigning => None,
            _ => self.key(Role::Ksk, Age::Current).and_then(|key| key.dnskey.as_ref()),
        };
        if let Some(key) = relied_on
            && self.parent.ds_seen
            && let Some(alarm) = self.vanished(zone, key)
        {
            return Some(alarm);
        }
        if self.phase.waits_for_parent() && now > self.begun_at + policy.ds_deadline {
            return Some(Alarm::DsOverdue { since: self.begun_at });
        }
        self.parent.silent()
    }

    /// While a DS is swapped, that of the next key will do.
    fn vanished(&self, zone: &ZoneName, current: &Dnskey) -> Option<Alarm> {
        let next = self.key(Role::Ksk, Age::Next).and_then(|key| key.dnskey.as_ref());
        let accepted: Vec<&Dnskey> = std::iter::once(current).chain(next).collect();
        self.parent.lacking(zone, &accepted)
    }
}
