//! The audit log as a chain: each entry is sealed over what it says and over the seal before, with a key that the
//! database does not have. Whoever can write to the database can still change the log, but not unnoticed.
//!
//! The worker seals, some seconds behind; no request waits for it. [`verify`] walks the chain.

mod chain;
#[cfg(all(test, feature = "dev"))]
mod tests;
mod verify;

pub use chain::{Chain, Head};
pub use verify::{Problem, Report, verify};

use crate::storage::{audit_seals, within};

use super::{Result, Services};

/// Transactions of one run.
const STEPS_PER_RUN: u32 = 100;

/// Seals what is old enough; how many entries.
pub async fn seal(services: &Services) -> Result<u64> {
    let Some(chain) = Chain::new(&services.config.secrets.audit_seal_keys) else { return Ok(0) };
    let mut sealed = 0;
    for _ in 0..STEPS_PER_RUN {
        let count = within(audit_seals::seal_next(&services.db, |head, entry| chain.seal(head, entry))).await?;
        sealed += u64::from(count);
        if count < audit_seals::PER_STEP {
            break;
        }
    }
    if let Some(head) = within(audit_seals::head_to_tell(&services.db)).await? {
        tracing::info!(head = %Head(head), "the audit log is sealed up to here; keep this line where the database's administrator cannot write");
    }
    Ok(sealed)
}

/// Removes the oldest entries beyond their time, in such a way that the rest can still be verified; how many.
pub async fn retire(services: &Services, chain: &Chain, days: u32) -> Result<u64> {
    Ok(within(audit_seals::retire(&services.db, days, |last| chain.mac_of_start(last))).await?)
}
