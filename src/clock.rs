//! The one place that asks what time it is. Everything else is told.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

/// A source of UTC time; passed in, so that tests can move it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> OffsetDateTime + Send + Sync>);

impl Clock {
    /// The machine's clock, cut to microseconds as MariaDB keeps them.
    pub fn system() -> Self {
        Self(Arc::new(|| cut_to_micros(OffsetDateTime::now_utc())))
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

fn cut_to_micros(t: OffsetDateTime) -> OffsetDateTime {
    t.replace_nanosecond(t.nanosecond() / 1_000 * 1_000).unwrap_or(t)
}
