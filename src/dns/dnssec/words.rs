//! The words in which a zone's signing is spoken of: phases, roles, ages, what the operator decided, and why something
//! is refused. No rule lives here.

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::parent::Alarm;

/// Where a zone's signing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Signing,
    PendingDs,
    Active,
    ZskPublished,
    ZskRetiring,
    KskPublished,
    KskWaitDs,
    KskRetiring,
    AlgPresign,
    AlgPublished,
    AlgWaitDs,
    AlgDsTtl,
    AlgUnpublished,
    WaitDsGone,
    DsGone,
    Unsigning,
}

/// The same for those who only want to know what they have to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    PendingDs,
    Active,
    RotatingKsk,
    RotatingZsk,
}

/// By whom it is said that the parent has a DS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirmed {
    /// All of its servers showed it; they are asked again when it counts.
    Seen,
    /// Somebody answers for it: it is not looked for.
    Vouched,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::PendingDs => "pending_ds",
            Self::Active => "active",
            Self::ZskPublished => "zsk_published",
            Self::ZskRetiring => "zsk_retiring",
            Self::KskPublished => "ksk_published",
            Self::KskWaitDs => "ksk_wait_ds",
            Self::KskRetiring => "ksk_retiring",
            Self::AlgPresign => "alg_presign",
            Self::AlgPublished => "alg_published",
            Self::AlgWaitDs => "alg_wait_ds",
            Self::AlgDsTtl => "alg_ds_ttl",
            Self::AlgUnpublished => "alg_unpublished",
            Self::WaitDsGone => "wait_ds_gone",
            Self::DsGone => "ds_gone",
            Self::Unsigning => "unsigning",
        }
    }

    /// A key rollover is over for its owner once the parent has the new DS; what is left happens by itself.
    pub fn status(self) -> Status {
        match self {
            Self::Signing | Self::PendingDs => Status::PendingDs,
            Self::ZskPublished | Self::ZskRetiring => Status::RotatingZsk,
            Self::KskPublished | Self::KskWaitDs | Self::AlgPresign | Self::AlgPublished | Self::AlgWaitDs => {
                Status::RotatingKsk
            }
            Self::Active | Self::KskRetiring | Self::AlgDsTtl | Self::AlgUnpublished => Status::Active,
            Self::WaitDsGone | Self::DsGone | Self::Unsigning => Status::Active,
        }
    }

    /// Nothing but the parent ends these.
    pub fn waits_for_parent(self) -> bool {
        matches!(self, Self::PendingDs | Self::KskWaitDs | Self::AlgWaitDs | Self::WaitDsGone)
    }
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PendingDs => "pending_ds",
            Self::Active => "active",
            Self::RotatingKsk => "rotating_ksk",
            Self::RotatingZsk => "rotating_zsk",
        }
    }
}

/// How it is proven that a name does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Denial {
    /// NSEC3 with answers made on the spot: writes cost what they cost unsigned. Cannot be transferred.
    #[default]
    Narrow,
    Nsec3,
    Nsec,
}

impl Denial {
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Narrow, Self::Nsec3, Self::Nsec].into_iter().find(|denial| denial.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Narrow => "narrow",
            Self::Nsec3 => "nsec3",
            Self::Nsec => "nsec",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Signs the keys; the parent's DS points to it. Alone, it signs everything.
    Ksk,
    /// Signs the data.
    Zsk,
}

/// A key's place in a rollover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Age {
    Next,
    Current,
    Old,
}

/// TTLs that RRsets were served with, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ttls {
    /// The largest of any RRset, the negative one included.
    pub largest: u32,
    /// The SOA's minimum: of DNSKEY, CDS, denials.
    pub minimum: u32,
}

impl Ttls {
    pub fn max(self, other: Self) -> Self {
        Self { largest: self.largest.max(other.largest), minimum: self.minimum.max(other.minimum) }
    }
}

/// What the operator decided.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long our own servers may go on giving old answers after a step: their caches, and the way to them.
    pub propagation: Duration,
    /// On top of each wait for the parent: clocks, and servers of the parent that nobody sees.
    pub margin: Duration,
    pub zsk_lifetime: Option<Duration>,
    pub ksk_lifetime: Option<Duration>,
    /// How long a replaced ZSK stays listed at least. Nothing depends on it: caches are waited for anyway.
    pub zsk_overlap: Duration,
    /// Between two looks at a parent that is waited for, and at one that is only watched.
    pub poll_waiting: Duration,
    pub poll_active: Duration,
    /// Where not all of the parent's servers were seen for longer, a DS may have been there without anybody here having
    /// noticed. (One that comes and goes between two usual looks is never known of.)
    pub unwatched: Duration,
    /// A DS that has not come, or not gone, by then is worth an alarm.
    pub ds_deadline: Duration,
}

/// Why a step cannot be taken. It is tried again; people should look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Trouble {
    /// A key that we rely on is gone from PowerDNS.
    KeyMissing { key_tag: u16 },
    /// PowerDNS has a key that we did not make.
    KeyForeign { id: u64, key_tag: u16 },
    /// A server does not serve the step yet.
    NotServed { server: String, what: String },
}

/// Why something that was asked for is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The step before is still on its way to the servers.
    Busy,
    PendingDs,
    RollingOver {
        phase: Phase,
        until: Option<OffsetDateTime>,
    },
    Removing,
    Alarm(Alarm),
    /// No DS is waited for.
    NothingToConfirm,
    /// The new keys have not reached every cache.
    TooEarly {
        until: Option<OffsetDateTime>,
    },
    DsNotFound,
    /// At an algorithm rollover the new DS must replace the old one.
    OldDsStillPublished,
    DsStillPublished,
    DsStillCached {
        until: OffsetDateTime,
    },
    /// Not all of the parent's servers gave an answer.
    ParentUnknown,
}
