//! One caller's bucket in this replica: what it has of the count that all share, and a count of its own, which never lets
//! through more than the limit and is all that counts while Redis is gone.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::shared::{Granted, Shared};

const MINUTE: Duration = Duration::from_secs(60);
/// Of its limit a replica takes a tenth at a time: one request in hundreds waits for Redis, and what an idle replica
/// holds back from the others is little.
const CHUNKS: u32 = 10;

type Local = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// What came of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub remaining: u32,
    /// Until the whole limit is there again.
    pub full_in: Duration,
    /// Too many: how long until the next may come.
    pub refused: Option<Duration>,
}

pub struct Bucket {
    caller: String,
    limit: NonZeroU32,
    local: Local,
    lease: Mutex<Lease>,
    /// One asks Redis, the others wait for what it gets.
    asking: tokio::sync::Mutex<()>,
    refilling: AtomicBool,
}

/// What this replica holds of the count that all share.
#[derive(Debug, Default)]
struct Lease {
    tokens: u32,
    /// What Redis last said, and when.
    heard: Option<(Instant, Granted)>,
}

/// What a lease gives.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    One,
    /// One, and it is time to ask for more.
    OneOfFew,
    Empty,
    /// Redis said a moment ago that there is nothing; for how much longer that holds.
    Nothing(Duration),
}

impl Lease {
    fn take(&mut self, limit: NonZeroU32, now: Instant) -> Taken {
        let interval = MINUTE / limit.get();
        let Some((at, granted)) = self.heard else { return Taken::Empty };
        // by then they have come back to the shared count
        if now.saturating_duration_since(at) >= MINUTE {
            *self = Self::default();
            return Taken::Empty;
        }
        if self.tokens > 0 {
            self.tokens -= 1;
            let few = self.tokens == chunk(limit) / 4 && chunk(limit) >= 4;
            return if few { Taken::OneOfFew } else { Taken::One };
        }
        if granted.tokens == 0 {
            let wait = (granted.debt + interval).saturating_sub(MINUTE);
            let left = wait.saturating_sub(now.saturating_duration_since(at));
            if left > Duration::ZERO {
                return Taken::Nothing(left);
            }
        }
        Taken::Empty
    }

    fn put(&mut self, granted: Granted, now: Instant) {
        self.tokens += granted.tokens;
        self.heard = Some((now, granted));
    }

    /// How much of the limit is left, and until when it is whole, over all replicas.
    fn standing(&self, limit: NonZeroU32, now: Instant) -> Option<(u32, Duration)> {
        let (at, granted) = self.heard?;
        let interval = MINUTE / limit.get();
        let debt = granted.debt.saturating_sub(now.saturating_duration_since(at));
        let free = MINUTE.saturating_sub(debt).as_nanos() / interval.as_nanos().max(1);
        let remaining = u32::try_from(free).unwrap_or(u32::MAX).saturating_add(self.tokens).min(limit.get());
        Some((remaining, debt.saturating_sub(interval * self.tokens)))
    }
}

fn chunk(limit: NonZeroU32) -> u32 {
    (limit.get() / CHUNKS).max(1)
}

impl Bucket {
    pub fn new(caller: String, limit: NonZeroU32) -> Self {
        let quota = Quota::with_period(MINUTE / limit.get()).unwrap_or_else(|| Quota::per_minute(limit));
        let local = RateLimiter::direct(quota.allow_burst(limit)).with_middleware::<StateInformationMiddleware>();
        Self {
            caller,
            limit,
            local,
            lease: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            refilling: AtomicBool::new(false),
        }
    }

    pub fn limit(&self) -> NonZeroU32 {
        self.limit
    }

    /// Counts one request.
    pub async fn take(self: &Arc<Self>, shared: &Arc<Shared>) -> Verdict {
        let refused = self.take_shared(shared).await;
        let now = Instant::now();
        if let Some(wait) = refused {
            let (_, full_in) = self.lease().standing(self.limit, now).unwrap_or((0, wait));
            return Verdict { remaining: 0, full_in, refused: Some(wait) };
        }
        match self.local.check() {
            Err(until) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                Verdict { remaining: 0, full_in: MINUTE.min(wait + MINUTE), refused: Some(wait) }
            }
            Ok(state) => {
                let mine = state.remaining_burst_capacity();
                let used = self.limit.get().saturating_sub(mine);
                let alone = (mine, MINUTE / self.limit.get() * used);
                let known = if shared.is_down() { None } else { self.lease().standing(self.limit, now) };
                let (remaining, full_in) = known.unwrap_or(alone);
                Verdict { remaining, full_in, refused: None }
            }
        }
    }

    /// Takes one of what all share. Some: there is none, for so long. Where Redis is gone there is no saying.
    async fn take_shared(self: &Arc<Self>, shared: &Arc<Shared>) -> Option<Duration> {
        match self.take_leased() {
            Taken::One => return None,
            Taken::OneOfFew => {
                self.refill_soon(shared);
                return None;
            }
            Taken::Nothing(wait) => return Some(wait),
            Taken::Empty if shared.is_down() => return None,
            Taken::Empty => {}
        }
        let _turn = self.asking.lock().await;
        match self.take_leased() {
            Taken::One | Taken::OneOfFew => return None,
            Taken::Nothing(wait) => return Some(wait),
            Taken::Empty if shared.is_down() => return None,
            Taken::Empty => {}
        }
        self.refill(shared).await;
        match self.take_leased() {
            Taken::Nothing(wait) => Some(wait),
            // empty: Redis has not answered
            Taken::One | Taken::OneOfFew | Taken::Empty => None,
        }
    }

    async fn refill(&self, shared: &Shared) {
        if let Some(granted) = shared.lease(&self.caller, self.limit.get(), chunk(self.limit)).await {
            self.lease().put(granted, Instant::now());
        }
    }

    fn refill_soon(self: &Arc<Self>, shared: &Arc<Shared>) {
        if shared.is_down() || self.refilling.swap(true, Ordering::AcqRel) {
            return;
        }
        let (bucket, shared) = (self.clone(), shared.clone());
        tokio::spawn(async move {
            bucket.refill(&shared).await;
            bucket.refilling.store(false, Ordering::Release);
        });
    }

    fn take_leased(&self) -> Taken {
        self.lease().take(self.limit, Instant::now())
    }

    fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).expect("not zero")
    }

    fn granted(tokens: u32, debt_seconds: u64) -> Granted {
        Granted { tokens, debt: Duration::from_secs(debt_seconds) }
    }

    #[test]
    fn a_lease_gives_what_was_granted_and_asks_for_more_before_it_is_empty() {
        let (mut lease, now) = (Lease::default(), Instant::now());
        assert_eq!(lease.take(limit(60), now), Taken::Empty);
        lease.put(granted(6, 6), now);
        let taken: Vec<Taken> = (0..7).map(|_| lease.take(limit(60), now)).collect();
        assert_eq!(taken.iter().filter(|taken| **taken == Taken::OneOfFew).count(), 1);
        assert_eq!(taken.last(), Some(&Taken::Empty));
        assert!(taken[..6].iter().all(|taken| *taken != Taken::Empty), "{taken:?}");
    }

    #[test]
    fn what_was_granted_and_not_used_within_the_minute_is_gone() {
        let (mut lease, now) = (Lease::default(), Instant::now());
        lease.put(granted(6, 6), now);
        assert_eq!(lease.take(limit(60), now + MINUTE), Taken::Empty);
    }

    #[test]
    fn a_no_holds_until_the_next_one_comes_free() {
        let (mut lease, now) = (Lease::default(), Instant::now());
        lease.put(granted(0, 60), now);
        assert_eq!(lease.take(limit(60), now), Taken::Nothing(Duration::from_secs(1)));
        assert_eq!(lease.take(limit(60), now + Duration::from_secs(1)), Taken::Empty);
        assert_eq!(lease.standing(limit(60), now), Some((0, MINUTE)));
    }

    #[test]
    fn what_remains_and_when_it_is_whole_counts_what_is_leased_as_not_used() {
        let (mut lease, now) = (Lease::default(), Instant::now());
        lease.put(granted(6, 6), now);
        assert_eq!(lease.standing(limit(60), now), Some((60, Duration::ZERO)));
        lease.take(limit(60), now);
        assert_eq!(lease.standing(limit(60), now), Some((59, Duration::from_secs(1))));
        assert_eq!(lease.standing(limit(60), now + Duration::from_secs(1)), Some((60, Duration::ZERO)));
    }
}
