//! The one place that asks what time it is. Everything else is told.
//!
//! The time of the program is that of its database. What one replica writes down, another one decides on: when a key may
//! leave a signed zone, which of two statements about a user is the later one, whether a grant is over. So all of them
//! go by one clock, MariaDB's, which each process reads now and then, and between two readings by the monotonic clock. A
//! machine whose clock is wrong, or set while the program runs, decides nothing; it is only logged.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use uuid::{ContextV7, Timestamp, Uuid};

/// A source of UTC time; passed in, so that tests can move it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> OffsetDateTime + Send + Sync>);

/// Of this process: it has one database.
static LEAD: RwLock<Option<Lead>> = RwLock::new(None);

impl Clock {
    /// The machine's clock, cut to microseconds as MariaDB keeps them.
    pub fn system() -> Self {
        Self(Arc::new(of_the_machine))
    }

    /// The clock that [`lead`] leads; before its first reading the machine's.
    pub fn led() -> Self {
        Self(Arc::new(led))
    }

    /// A clock that a test moves by hand.
    pub fn from_fn(now: impl Fn() -> OffsetDateTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The present moment in UTC.
    pub fn now(&self) -> OffsetDateTime {
        (self.0)()
    }

    /// The moment `duration` from now.
    pub fn after(&self, duration: Duration) -> OffsetDateTime {
        self.now() + duration
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// What another clock said.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub asked: Instant,
    pub answered: Instant,
    /// It was this late at some moment in between.
    pub time: OffsetDateTime,
}

/// Leads all clocks of this process that are led. Returns by how much the machine's own one is ahead.
pub fn lead(reading: &Reading) -> time::Duration {
    let machine = of_the_machine();
    let mut lead = LEAD.write().unwrap_or_else(PoisonError::into_inner);
    let before = lead.unwrap_or(Lead { at: Instant::now(), time: machine });
    let after = before.corrected(reading);
    *lead = Some(after);
    machine - after.now(Instant::now())
}

/// Whether any reading has come yet.
pub fn is_led() -> bool {
    LEAD.read().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// An id that sorts after those made before, by the clock that is led.
pub fn new_id() -> Uuid {
    static CONTEXT: LazyLock<Mutex<AssertUnwindSafe<ContextV7>>> =
        LazyLock::new(|| Mutex::new(AssertUnwindSafe(ContextV7::new())));
    let now = led();
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(&*CONTEXT, seconds, now.nanosecond()))
}

/// It was this late then; since then the monotonic clock goes on.
#[derive(Clone, Copy, Debug)]
struct Lead {
    at: Instant,
    time: OffsetDateTime,
}

impl Lead {
    fn now(&self, instant: Instant) -> OffsetDateTime {
        self.time + instant.saturating_duration_since(self.at)
    }

    /// Moved no further than the reading proves it wrong: small differences come from the way of the answer.
    fn corrected(&self, reading: &Reading) -> Self {
        let Reading { asked, answered, time } = reading;
        let latest = *time + answered.saturating_duration_since(*asked);
        Self { at: *answered, time: self.now(*answered).clamp(*time, latest) }
    }
}

fn led() -> OffsetDateTime {
    let lead = *LEAD.read().unwrap_or_else(PoisonError::into_inner);
    lead.map_or_else(of_the_machine, |lead| cut_to_micros(lead.now(Instant::now())))
}

fn of_the_machine() -> OffsetDateTime {
    cut_to_micros(OffsetDateTime::now_utc())
}

fn cut_to_micros(t: OffsetDateTime) -> OffsetDateTime {
    t.replace_nanosecond(t.nanosecond() / 1_000 * 1_000).unwrap_or(t)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: time::Duration = time::Duration::HOUR;
    const TRIP: Duration = Duration::from_millis(40);

    /// A lead, and readings a second later that took [`TRIP`], with this much more on the clock than was expected.
    fn after_a_reading(ahead: time::Duration) -> time::Duration {
        let (at, time) = (Instant::now(), OffsetDateTime::UNIX_EPOCH);
        let asked = at + Duration::from_secs(1);
        let answered = asked + TRIP;
        let expected = time + (answered - at);
        let reading = Reading { asked, answered, time: expected + ahead };
        Lead { at, time }.corrected(&reading).now(answered) - expected
    }

    #[test]
    fn a_reading_that_agrees_within_its_own_way_moves_nothing() {
        for ahead in [time::Duration::ZERO, -time::Duration::milliseconds(1), -time::Duration::milliseconds(40)] {
            assert_eq!(after_a_reading(ahead), time::Duration::ZERO, "{ahead}");
        }
    }

    #[test]
    fn a_clock_that_is_wrong_is_set_as_far_as_the_reading_proves() {
        assert_eq!(after_a_reading(HOUR), HOUR);
        assert_eq!(after_a_reading(-HOUR), -HOUR + time::Duration::milliseconds(40));
        assert_eq!(after_a_reading(time::Duration::milliseconds(3)), time::Duration::milliseconds(3));
    }

    #[test]
    fn ids_sort_as_they_were_made() {
        let ids: Vec<Uuid> = (0..1_000).map(|_| new_id()).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids[0].get_version_num(), 7);
    }
}
