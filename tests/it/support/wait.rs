//! Waiting for a condition.

use std::time::{Duration, Instant};

/// Long enough for a loaded machine, short enough for a person.
const USUAL_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(25);

/// Asks again until it is `Ok`; the last `Err` is the message when it never is.
#[track_caller]
pub fn eventually<T, F, R>(what: &str, condition: F) -> impl Future<Output = T>
where
    F: FnMut() -> R,
    R: Future<Output = Result<T, String>>,
{
    eventually_within(USUAL_LIMIT, what, condition)
}

/// [`eventually`] with a limit of its own.
#[track_caller]
pub fn eventually_within<T, F, R>(limit: Duration, what: &str, mut condition: F) -> impl Future<Output = T>
where
    F: FnMut() -> R,
    R: Future<Output = Result<T, String>>,
{
    let caller = std::panic::Location::caller();
    async move {
        let begun = Instant::now();
        loop {
            match condition().await {
                Ok(value) => return value,
                Err(last) if begun.elapsed() > limit => {
                    panic!("{caller}: not within {limit:?}: {what}; last seen: {last}")
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }
}
