//! Metrics of what only the database knows: what waits there, and for how long.

use crate::storage::backlog::{self, Backlog};
use crate::storage::within;

use super::{Result, Services};

/// Looks once.
pub async fn tell(services: &Services) -> Result<()> {
    let Backlog {
        intents,
        intents_overdue,
        oldest_intent_seconds,
        fences,
        // counted where they happen
        recovered_applied: _,
        recovered_dropped: _,
        refused: _,
        suspects,
        jobs_waiting,
        oldest_job_seconds,
        events_waiting,
        events_given_up,
        failing: _,
        late: _,
    } = within(backlog::read(&services.db)).await?;
    for (name, value) in [
        ("scaidns_intents", intents),
        ("scaidns_intents_overdue", intents_overdue),
        ("scaidns_intent_oldest_seconds", oldest_intent_seconds.unwrap_or(0)),
        ("scaidns_fences", fences),
        ("scaidns_suspects", suspects),
        ("scaidns_jobs_waiting", jobs_waiting),
        ("scaidns_job_oldest_seconds", oldest_job_seconds.unwrap_or(0)),
        ("scaidns_webhook_events_waiting", events_waiting),
        ("scaidns_webhook_events_given_up", events_given_up),
    ] {
        metrics::gauge!(name).set(value as f64);
    }
    Ok(())
}
