//! What the parent's servers show, what of it is remembered, and what is wrong with it.

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::key::{Dnskey, Ds};
use super::words::{Refused, Trouble};
use crate::dns::ZoneName;

/// What one of the parent's servers showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerLook {
    pub server: String,
    /// None: no usable answer, so nothing is known.
    pub ds: Option<Vec<Ds>>,
    /// Of the DS RRset, where there is one.
    pub ttl: Option<u32>,
}

/// One look at all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub at: OffsetDateTime,
    pub servers: Vec<ServerLook>,
}

/// What is remembered of the parent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub servers: Vec<ServerLook>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub looked_at: Option<OffsetDateTime>,
    /// The largest TTL that a DS of this zone was seen with.
    pub ds_ttl: Option<u32>,
    /// Whether one was ever seen.
    pub ds_seen: bool,
    /// Since when none was seen at any server, all of which answered, after one was there or may have been.
    #[serde(with = "time::serde::rfc3339::option")]
    pub gone_since: Option<OffsetDateTime>,
    /// When all servers last answered; before the first look, when somebody was first asked to bring a DS there.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub complete_at: Option<OffsetDateTime>,
    /// What each server had when it last answered.
    #[serde(default)]
    pub known: Vec<(String, Vec<Ds>)>,
}

/// What somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alarm {
    Trouble(Trouble),
    /// A server of the parent has a DS of none of our keys.
    DsForeign {
        server: String,
        key_tag: u16,
    },
    /// A server of the parent no longer has the DS that resolvers need.
    DsVanished {
        server: String,
    },
    DsOverdue {
        since: OffsetDateTime,
    },
    ParentSilent {
        server: String,
    },
}

impl Alarm {
    /// All codes.
    pub const CODES: [&'static str; 7] =
        ["key_missing", "key_foreign", "not_served", "ds_foreign", "ds_vanished", "ds_overdue", "parent_silent"];
    /// Those that do not come and go with a packet lost or a server that takes its time.
    pub const TOLD: [&'static str; 5] = ["key_missing", "key_foreign", "ds_foreign", "ds_vanished", "ds_overdue"];

    /// Whether nothing should be begun while it lasts.
    pub fn freezes(&self) -> bool {
        match self {
            Self::Trouble(_) | Self::DsForeign { .. } | Self::DsVanished { .. } => true,
            Self::DsOverdue { .. } | Self::ParentSilent { .. } => false,
        }
    }

    /// For programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Trouble(Trouble::KeyMissing { .. }) => "key_missing",
            Self::Trouble(Trouble::KeyForeign { .. }) => "key_foreign",
            Self::Trouble(Trouble::NotServed { .. }) => "not_served",
            Self::DsForeign { .. } => "ds_foreign",
            Self::DsVanished { .. } => "ds_vanished",
            Self::DsOverdue { .. } => "ds_overdue",
            Self::ParentSilent { .. } => "parent_silent",
        }
    }
}

impl std::fmt::Display for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Trouble(Trouble::KeyMissing { key_tag }) => {
                write!(f, "The key {key_tag} is missing at the nameservers")
            }
            Self::Trouble(Trouble::KeyForeign { id: _, key_tag }) => {
                write!(f, "The nameservers have a key {key_tag} that was not made here")
            }
            Self::Trouble(Trouble::NotServed { server, what }) => write!(f, "{server} does not serve {what} yet"),
            Self::DsForeign { server, key_tag } => {
                write!(f, "{server} has a DS with key tag {key_tag}, which is none of this domain's keys")
            }
            Self::DsVanished { server } => write!(f, "{server} does not have this domain's DS any more"),
            Self::DsOverdue { since } => write!(f, "The parent's DS is waited for since {since}"),
            Self::ParentSilent { server } => write!(f, "{server} does not answer for this domain's DS"),
        }
    }
}

impl Look {
    /// Whether every server answered.
    pub fn is_complete(&self) -> bool {
        !self.servers.is_empty() && self.servers.iter().all(|server| server.ds.is_some())
    }

    /// Whether any server has any DS.
    pub fn shows_any(&self) -> bool {
        self.servers.iter().flat_map(|server| &server.ds).any(|ds| !ds.is_empty())
    }

    /// Whether any server has a DS of this key.
    pub fn shows_anywhere(&self, zone: &ZoneName, key: &Dnskey) -> bool {
        self.servers.iter().flat_map(|server| &server.ds).flatten().any(|ds| ds.is_of(zone, key))
    }

    /// Whether every server has a DS of this key. One that does not answer is not known to have it.
    pub fn shows_everywhere(&self, zone: &ZoneName, key: &Dnskey) -> Result<(), Refused> {
        let lacks = |ds: &Vec<Ds>| !ds.iter().any(|ds| ds.is_of(zone, key));
        if self.servers.iter().flat_map(|server| &server.ds).any(lacks) {
            return Err(Refused::DsNotFound);
        }
        if self.is_complete() { Ok(()) } else { Err(Refused::ParentUnknown) }
    }
}

impl Parent {
    /// After one more look. A DS may have come and gone without being seen where the parent was not seen whole for longer
    /// than `unwatched`; it is then waited for as if it had gone just now.
    pub fn after(&self, look: &Look, unwatched: Duration) -> Self {
        let missed = self.complete_at.is_some_and(|before| look.at - before > unwatched);
        let ttl = look.servers.iter().filter_map(|server| server.ttl).max();
        let gone_since = match (look.shows_any(), look.is_complete()) {
            (true, _) => None,
            (false, true) if missed => Some(look.at),
            (false, true) => self.gone_since.or_else(|| self.ds_seen.then_some(look.at)),
            // some did not answer: what was known before may still hold, but nothing new is
            (false, false) => self.gone_since,
        };
        let known = look.servers.iter().filter_map(|found| {
            let before = || self.known.iter().find(|(server, _)| *server == found.server).map(|(_, ds)| ds.clone());
            Some((found.server.clone(), found.ds.clone().or_else(before)?))
        });
        Self {
            known: known.collect(),
            servers: look.servers.clone(),
            looked_at: Some(look.at),
            ds_ttl: self.ds_ttl.max(ttl),
            ds_seen: self.ds_seen || look.shows_any(),
            gone_since,
            complete_at: if look.is_complete() { Some(look.at) } else { self.complete_at },
        }
    }

    /// Every DS that some server is known to have, whosever key it is of.
    pub fn all_known(&self) -> Vec<Ds> {
        let all: std::collections::BTreeSet<&Ds> = self.known.iter().flat_map(|(_, ds)| ds).collect();
        all.into_iter().cloned().collect()
    }

    /// The last look.
    pub fn look(&self, at: OffsetDateTime) -> Look {
        Look { at, servers: self.servers.clone() }
    }

    pub(super) fn strangers(&self, zone: &ZoneName, keys: &[&Dnskey]) -> Option<Alarm> {
        self.servers.iter().find_map(|server| {
            let stranger =
                server.ds.iter().flatten().find(|ds| !keys.iter().any(|key| ds.is_of_or_alike(zone, key)))?;
            Some(Alarm::DsForeign { server: server.server.clone(), key_tag: stranger.key_tag })
        })
    }

    pub(super) fn lacking(&self, zone: &ZoneName, keys: &[&Dnskey]) -> Option<Alarm> {
        let lacks = |server: &&ServerLook| {
            server.ds.as_ref().is_some_and(|found| !found.iter().any(|ds| keys.iter().any(|key| ds.is_of(zone, key))))
        };
        let server = self.servers.iter().find(lacks)?;
        Some(Alarm::DsVanished { server: server.server.clone() })
    }

    pub(super) fn silent(&self) -> Option<Alarm> {
        let server = self.servers.iter().find(|server| server.ds.is_none())?;
        Some(Alarm::ParentSilent { server: server.server.clone() })
    }
}

impl Ds {
    /// A DS of the key, or one by a digest that we do not compute.
    fn is_of_or_alike(&self, zone: &ZoneName, key: &Dnskey) -> bool {
        const SHA1: u8 = 1;
        let unknown_digest = self.digest_type == SHA1 || self.digest_type == 3 || self.digest_type > 4;
        self.is_of(zone, key) || (unknown_digest && self.key_tag == key.key_tag() && self.algorithm == key.algorithm)
    }
}
