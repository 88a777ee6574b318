//! Leads this process's clock by MariaDB's. See [`crate::clock`].

use std::time::{Duration, Instant};

use crate::clock::{self, Reading};
use crate::storage::{Db, health, within};

use super::Result;

/// The clock is compared this often, and until it was once, as often as the other.
const EVERY: Duration = Duration::from_secs(1);
const AT_FIRST: Duration = Duration::from_millis(100);
/// What is told: less may come from the way of the answer, and from clocks that are kept well.
const TOLD_FROM: time::Duration = time::Duration::seconds(2);

/// One reading. Returns by how much the machine's clock is ahead.
pub async fn read(db: &Db) -> Result<time::Duration> {
    let asked = Instant::now();
    let time = within(health::time(db)).await?;
    Ok(clock::lead(&Reading { asked, answered: Instant::now(), time }))
}

/// Reads for ever. What cannot be read now goes on by the monotonic clock.
pub async fn keep(db: &Db) {
    let mut told = false;
    loop {
        if let Ok(ahead) = read(db).await {
            let wrong = ahead.abs() > TOLD_FROM;
            metrics::gauge!("scaidns_clock_ahead_seconds").set(ahead.as_seconds_f64());
            if wrong && !told {
                tracing::warn!(ahead = %ahead, "this machine's clock differs from the database's, which counts");
            } else if told && !wrong {
                tracing::info!("this machine's clock agrees with the database's again");
            }
            told = wrong;
        }
        tokio::time::sleep(if clock::is_led() { EVERY } else { AT_FIRST }).await;
    }
}
