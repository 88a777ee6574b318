//! Rate limits: for each key or user, for each tenant, and for each address from which nobody known calls. All replicas
//! share one count in Redis ([`shared`]), of which each takes some in advance ([`bucket`]), so that a request asks
//! nobody; without Redis each replica goes on counting for itself.

mod bucket;
mod shared;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use time::OffsetDateTime;

use crate::authz::{Actor, Caller};
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::{ApiKeyId, TenantId, UserId};

use super::identity::Known;
use super::platform::Platform;
use bucket::Bucket;
pub use bucket::Verdict;
use shared::Shared;

/// Who has called lately, a few hundred bytes each. Of more the least busy are forgotten, who then begin with what
/// Redis knows.
const SUBJECTS_MAX: u64 = 100_000;
/// A bucket that was left alone for this long is full again, in Redis as well.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(120);

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    Key(ApiKeyId),
    User(UserId),
    Tenant(TenantId),
    /// An IPv4 address, or an IPv6 network of 64 bits: one customer has at least that many addresses.
    Address(IpAddr),
}

impl Subject {
    pub fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::Address(address.into()),
            IpAddr::V6(address) => Self::Address(std::net::Ipv6Addr::from(u128::from(address) >> 64 << 64).into()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => id.fmt(f),
            Self::User(id) => id.fmt(f),
            Self::Tenant(id) => id.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// How a caller stands after a request was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub limit: u32,
    pub remaining: u32,
    /// When the whole limit is there again, if nothing more is used. Unix seconds, rounded up.
    pub reset: i64,
    /// The request is one too many: in how many seconds the next may come.
    pub refused: Option<u32>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct RateLimits {
    platform: Platform,
    clock: Clock,
    shared: Arc<Shared>,
    buckets: Cache<Subject, Arc<Bucket>>,
}

impl RateLimits {
    pub fn new(config: &Config, platform: Platform, clock: Clock) -> Result<Self, redis::RedisError> {
        let buckets = Cache::builder().max_capacity(SUBJECTS_MAX).time_to_idle(FORGOTTEN_AFTER).build();
        Ok(Self { platform, clock, shared: Arc::new(Shared::new(&config.redis)?), buckets })
    }

    /// Counts a request of this caller: on itself, then on the tenant that it acts in. The standing is its own, or the
    /// tenant's where that has used up what it may.
    pub async fn count(&self, known: &Known) -> Option<Standing> {
        let Known { caller, rate_limit, requests_per_minute } = known;
        let Caller { actor, tenant, .. } = caller;
        let limits = self.platform.last_known().terms.rate_limits;
        let most = limits.per_minute;
        let (subject, limit) = match actor {
            Actor::ApiKey { id, .. } => (Subject::Key(*id), rate_limit.map_or(most, |limit| limit.min(most))),
            Actor::User { id, .. } => (Subject::User(*id), most),
            Actor::System { .. } => return None,
        };
        let own = self.take(subject, limit).await;
        if own.refused.is_some() {
            return Some(own);
        }
        let of_tenant = requests_per_minute.unwrap_or(limits.tenant_per_minute);
        let shared = self.take(Subject::Tenant(*tenant), of_tenant).await;
        Some(if shared.refused.is_some() { shared } else { own })
    }

    /// Counts a request of nobody known.
    pub async fn count_anonymous(&self, address: IpAddr) -> Standing {
        let limits = self.platform.last_known().terms.rate_limits;
        self.take(Subject::of_address(address), limits.anonymous_per_minute).await
    }

    async fn take(&self, subject: Subject, limit: u32) -> Standing {
        let limit = NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN);
        let known = self.buckets.get(&subject).filter(|bucket| bucket.limit() == limit);
        let bucket = known.unwrap_or_else(|| {
            let bucket = Arc::new(Bucket::new(subject.to_string(), limit));
            self.buckets.insert(subject, bucket.clone());
            bucket
        });
        let Verdict { remaining, full_in, refused } = bucket.take(&self.shared).await;
        let limit = limit.get();
        Standing {
            limit,
            remaining,
            reset: rounded_up(self.clock.now() + full_in),
            refused: refused.map(whole_seconds),
        }
    }
}

fn rounded_up(at: OffsetDateTime) -> i64 {
    at.unix_timestamp() + i64::from(at.nanosecond() > 0)
}

/// At least one: a client that is told zero comes at once.
fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).unwrap_or(u32::MAX).max(1)
}
