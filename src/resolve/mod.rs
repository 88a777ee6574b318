//! DNS look-ups: those by which a tenant proves that a domain is theirs, the DS at a domain's parent, and what the
//! platform's own servers serve.
//!
//! Lives here: finding the servers of a zone, asking each of them for the challenge record, judging whether they
//! agree, and the guard that keeps every packet away from addresses that are not globally reachable.
//! Never lives here: the challenge itself (its making, its expiry), the database, HTTP, PowerDNS.
//!
//! ```text
//!  proof, delegation ── cut ──── recursive ─┐
//!    │                                      ├─ exchange ── budget
//!    └─ authoritative ──────────────────────┘      └────── address
//!         └─ answer (pure: response → what it says → whether all agree)
//! ```
//!
//! Beside these stands `transfer`, with `tsig`: whole zones, from addresses that `service/transfers.rs` has checked.
//!
//! *Invariants.* No packet of a proof leaves but through `exchange`, which takes only a `Server`: an address the operator
//! chose, or one that passed `is_globally_reachable` (the address checked is the address used). Every packet and
//! every wait is drawn from the proof's one `Budget`. Addresses of nameservers come from the recursive resolvers
//! alone: glue in an answer is never read. A proof needs *every* server that answers to show the value.

mod address;
mod answer;
mod authoritative;
mod budget;
mod cut;
mod delegation;
mod delegation_signer;
mod exchange;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod proof;
mod recursive;
mod serial;
mod served_keys;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transfer;
mod tsig;

use std::net::SocketAddr;
use std::sync::Arc;

pub use address::is_globally_reachable;
pub use delegation::DelegationOutcome;
pub use delegation_signer::ParentAnswer;
pub use serial::serial_at;
pub use served_keys::{ServedKeys, served_keys_at};
pub use transfer::{TransferError, TransferredRecord, transfer};
pub use tsig::{Algorithm, TsigKey};

use crate::fairness::{self, Place, Places};
use budget::Budget;

/// The label under which the proof stands: `_scaidns-verify.<domain>`.
pub const CHALLENGE_LABEL: &str = "_scaidns-verify";

/// Proofs under way at once in this process. Each holds at most 13 sockets, so this keeps a burst of checks a good
/// way below the usual limit of 1,024 open files; those beyond it wait, and their waiting counts as their time.
const PROOFS_IN_PARALLEL: usize = 32;

/// What the operator settles (`VALIDATION_*`).
#[derive(Clone, Debug)]
pub struct ResolveSettings {
    /// Recursive resolvers, tried in this order. Chosen by the operator, hence exempt from the address guard.
    pub resolvers: Vec<SocketAddr>,
    /// The port at which authoritative servers are asked: 53 everywhere but on a development machine.
    pub authoritative_port: u16,
    /// Whether nameservers at private addresses may be asked: never in production.
    pub allow_private_nameservers: bool,
}

/// Looks proofs up; cheap to clone.
#[derive(Clone)]
pub struct Resolve {
    settings: Arc<ResolveSettings>,
    places: Places,
}

/// What the DNS says about one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProofOutcome {
    /// Every server that answered shows the expected value.
    Proven,
    /// The domain exists, the challenge name does not, or has no TXT record.
    NoRecord,
    /// There are TXT records at the challenge name, the expected one is not among them.
    WrongValue,
    /// A recursive resolver says NXDOMAIN for the domain itself, and nothing stands at the challenge name.
    DomainDoesNotExist,
    /// No server could be asked, or none gave a usable answer within the bounds.
    Unreachable,
    /// Some servers show the value and others do not. Holds the names of those that do not (of all that answered,
    /// where none does but they point to different places), lower case, without final dot, sorted.
    Disagree(Vec<String>),
}

impl Resolve {
    pub fn new(settings: ResolveSettings) -> Self {
        Self { settings: Arc::new(settings), places: Places::new("look_ups", PROOFS_IN_PARALLEL) }
    }

    /// Looks whether TXT `<expected>` stands at `_scaidns-verify.<domain>`.
    ///
    /// `domain` is in lower-case A-labels without final dot; `expected` is the whole text of the record,
    /// `scaidns-verify=<challenge value>`. Takes 10 seconds and 40 packets at most (`budget`).
    pub async fn txt_proof(&self, domain: &str, expected: &str) -> ProofOutcome {
        let budget = Budget::start();
        let Some(_place) = self.place(&budget).await else { return ProofOutcome::Unreachable };
        let outcome = fairness::aside(proof::look(&self.settings, &budget, domain, expected)).await;
        tracing::debug!(domain, ?outcome, packets = budget.spent(), "looked for the proof of {domain}");
        outcome
    }

    /// Looks whether the parent of `domain` delegates it to all of `wanted`, and perhaps to others: names in lower-case
    /// A-labels without final dot. Within the same bounds as [`Self::txt_proof`].
    pub async fn delegation_proof(&self, domain: &str, wanted: &[String]) -> DelegationOutcome {
        let budget = Budget::start();
        let Some(_place) = self.place(&budget).await else { return DelegationOutcome::Unreachable };
        let outcome = fairness::aside(delegation::look(&self.settings, &budget, domain, wanted)).await;
        tracing::debug!(domain, ?outcome, packets = budget.spent(), "looked for the delegation of {domain}");
        outcome
    }

    /// What each server of the domain's parent has as its DS; None where the parent cannot be found.
    ///
    /// Within the same bounds as a proof.
    pub async fn delegation_signers(&self, domain: &str) -> Option<Vec<ParentAnswer>> {
        let budget = Budget::start();
        let _place = self.place(&budget).await?;
        fairness::aside(delegation_signer::look(&self.settings, &budget, domain)).await
    }

    /// A turn among the look-ups, while there is time.
    async fn place(&self, budget: &Budget) -> Option<Place> {
        let patience = budget.deadline().saturating_duration_since(tokio::time::Instant::now());
        fairness::aside(self.places.enter(fairness::party(), patience)).await.ok()
    }
}

impl ProofOutcome {
    /// The message of a check, word for word.
    pub fn message(&self, domain: &str, expected: &str) -> String {
        match self {
            Self::Proven => "Domain validated".to_owned(),
            Self::NoRecord => format!("No DNS record found for {CHALLENGE_LABEL}.{domain}"),
            Self::WrongValue => format!("TXT record found but value doesn't match. Expected: {expected}"),
            Self::DomainDoesNotExist => format!("Domain {domain} does not exist in DNS"),
            Self::Unreachable => "Authoritative nameservers could not be reached".to_owned(),
            Self::Disagree(names) => format!("Nameservers disagree: {}", names.join(", ")),
        }
    }
}
