//! The DS records that the owner of a zone is to have at the parent, and the CDS and CDNSKEY records that say the same
//! to parents which look for them (RFC 7344, 8078).

use time::OffsetDateTime;

use super::key::{DigestType, Ds};
use super::plan::{Cds, cds};
use super::state::{Key, Signing};
use super::words::{Age, Phase, Policy, Role};
use crate::dns::ZoneName;

/// What is to be done with a DS at the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Keep,
    Add,
    Remove,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Add => "add",
            Self::Remove => "remove",
        }
    }
}

/// A DS record with what is to be done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DsRecord {
    pub ds: Ds,
    pub action: Action,
    /// No earlier than this.
    pub not_before: Option<OffsetDateTime>,
}

/// RFC 8078, 4.
const CDS_DELETE: &str = "0 0 0 00";
const CDNSKEY_DELETE: &str = "0 3 0 AA==";

impl Signing {
    /// The DS records of this zone, by both digests. On the way to an unsigned zone, what the parent is to remove: all
    /// that it has, since one of a key long gone, left alone, would lead nowhere.
    pub fn ds_records(&self, zone: &ZoneName, policy: &Policy) -> Vec<DsRecord> {
        if matches!(self.phase, Phase::WaitDsGone | Phase::DsGone | Phase::Unsigning) {
            let remove = |ds| DsRecord { ds, action: Action::Remove, not_before: None };
            return self.parent.all_known().into_iter().map(remove).collect();
        }
        let mut records = Vec::new();
        for key in self.keys.iter().filter(|key| key.role == Role::Ksk) {
            let Some(dnskey) = &key.dnskey else { continue };
            let Some((action, not_before)) = self.asked_of(zone, key, policy) else { continue };
            records.extend(DigestType::ALL.map(|digest_type| DsRecord {
                ds: Ds::of(zone, dnskey, digest_type),
                action,
                not_before,
            }));
        }
        records
    }

    fn asked_of(&self, zone: &ZoneName, key: &Key, policy: &Policy) -> Option<(Action, Option<OffsetDateTime>)> {
        let dnskey = key.dnskey.as_ref()?;
        let look = self.parent.looked_at.map(|at| self.parent.look(at));
        let everywhere = look.as_ref().is_some_and(|look| look.shows_everywhere(zone, dnskey).is_ok());
        let anywhere = look.as_ref().is_some_and(|look| look.shows_anywhere(zone, dnskey));
        let add = |not_before| Some((if everywhere { Action::Keep } else { Action::Add }, not_before));
        let from = match self.phase {
            Phase::Signing | Phase::KskPublished | Phase::AlgPublished => Some(self.ends(policy)),
            _ => self.ds_not_before,
        };
        let rolls = matches!(
            self.phase,
            Phase::KskPublished | Phase::KskWaitDs | Phase::AlgPresign | Phase::AlgPublished | Phase::AlgWaitDs
        );
        match (self.phase, key.age) {
            // all of the parent's go, see above
            (Phase::WaitDsGone | Phase::DsGone | Phase::Unsigning, _) => None,
            (Phase::Signing | Phase::PendingDs, Age::Current) => add(from),
            (Phase::AlgPresign, Age::Current) => Some((Action::Keep, None)),
            (_, Age::Current) if rolls => Some((Action::Remove, from)),
            // how long the algorithm's first wait is may still change: from when on is said with the second
            (Phase::AlgPresign, Age::Next) => None,
            (_, Age::Next) => add(from),
            (_, Age::Current) => {
                // one that was there and is missing is to come back
                let is_missing = self.parent.ds_seen && look.is_some() && !everywhere;
                Some((if is_missing { Action::Add } else { Action::Keep }, None))
            }
            (_, Age::Old) => anywhere.then_some((Action::Remove, None)),
        }
    }

    /// The contents of the CDS and CDNSKEY RRsets in this phase; empty where there are none.
    pub fn cds_contents(&self, zone: &ZoneName) -> (Vec<String>, Vec<String>) {
        match cds(self.phase) {
            Cds::Absent => (Vec::new(), Vec::new()),
            Cds::Delete => (vec![CDS_DELETE.to_owned()], vec![CDNSKEY_DELETE.to_owned()]),
            Cds::Of(age) => match self.key(Role::Ksk, age).and_then(|key| key.dnskey.as_ref()) {
                Some(key) => {
                    let ds = Ds::of(zone, key, DigestType::Sha256);
                    (vec![ds.to_string().to_ascii_lowercase()], vec![key.to_string()])
                }
                None => (Vec::new(), Vec::new()),
            },
        }
    }
}
