//! What one proof may spend: packets and time, every bound with its name.
//!
//! Never here: what they are spent on.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Nameservers of a zone that are asked; more is not seen in earnest (the root has 13). Contract section 4.
pub const NAMESERVERS_MAX: usize = 13;
/// Addresses of one nameserver that are used, of each family. Contract section 4.
pub const ADDRESSES_PER_FAMILY_MAX: usize = 2;
/// Queries one proof may send, to resolvers and authoritative servers together. Contract section 4.
/// A query over TCP counts as one. 40 is one look-up of NS and, for 13 servers, an address, a question, and one spare.
pub const PACKETS_MAX: u32 = 40;
/// How long one proof may take. Contract section 4.
pub const PROOF_TIME_MAX: Duration = Duration::from_secs(10);
/// CNAMEs (and delegations of the challenge name) that are followed: the usual limit of resolvers is 8 to 16.
pub const HOPS_MAX: usize = 8;
/// Wait for a recursive resolver, which may itself have to ask around the world.
pub const RECURSIVE_WAIT: Duration = Duration::from_millis(1_500);
/// Wait for an authoritative server over UDP: twice the round trip of the longest terrestrial paths.
pub const UDP_WAIT: Duration = Duration::from_millis(800);
/// Wait for a server over TCP, handshake to last byte.
pub const TCP_WAIT: Duration = Duration::from_millis(1_500);

/// The means of one proof, shared by all that works for it.
pub struct Budget {
    deadline: Instant,
    packets_left: AtomicU32,
}

/// Nothing is left: no packet, or no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent;

impl Budget {
    /// The contract's bounds, counted from now.
    pub fn start() -> Self {
        Self::of(PACKETS_MAX, PROOF_TIME_MAX)
    }

    pub fn of(packets: u32, time: Duration) -> Self {
        Self { deadline: Instant::now() + time, packets_left: AtomicU32::new(packets) }
    }

    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Draws one packet; to be called before it is sent.
    pub fn draw_packet(&self) -> Result<(), Spent> {
        if Instant::now() >= self.deadline {
            return Err(Spent);
        }
        self.packets_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .map(|_| ())
            .map_err(|_| Spent)
    }

    /// The end of a wait that begins now: `wait` from now, never beyond the deadline.
    pub fn until(&self, wait: Duration) -> Instant {
        self.deadline.min(Instant::now() + wait)
    }

    pub fn is_spent(&self) -> bool {
        self.packets_left.load(Ordering::Relaxed) == 0 || Instant::now() >= self.deadline
    }

    /// Packets drawn so far, of those that [`Budget::start`] grants.
    pub fn spent(&self) -> u32 {
        PACKETS_MAX.saturating_sub(self.packets_left.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_packet_is_granted_beyond_the_bound() {
        let budget = Budget::start();
        for _ in 0..PACKETS_MAX {
            assert_eq!(budget.draw_packet(), Ok(()));
        }
        assert_eq!(budget.draw_packet(), Err(Spent));
        assert_eq!(budget.spent(), PACKETS_MAX);
        assert!(budget.is_spent());
    }

    #[test]
    fn no_packet_is_granted_and_no_wait_lasts_beyond_the_deadline() {
        let budget = Budget::of(PACKETS_MAX, Duration::ZERO);
        assert_eq!(budget.draw_packet(), Err(Spent));
        assert!(budget.until(UDP_WAIT) <= budget.deadline());
        assert!(budget.is_spent());
    }
}
