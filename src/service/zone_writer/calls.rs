//! What PowerDNS is told of zone transfers. None of these calls is guarded as a PATCH is. Each change is some of them in
//! turn and may be repeated as a whole; none leaves once the lock's time is over, since somebody else may have said
//! something else by then.

use serde::{Deserialize, Serialize};

use crate::ids::ZoneId;
use crate::pdns::{Pdns, PdnsError, SecondaryCreation};

use super::change::{LATE, SendTime};
use super::life::Sent;

/// Who may transfer a zone and who is told of its changes, in PowerDNS's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Addresses and networks.
    pub allow_from: Vec<String>,
    /// The name of a key; who has it may transfer from anywhere.
    pub tsig_key: Option<String>,
    /// `address` or `address:port`.
    pub also_notify: Vec<String>,
}

impl Outgoing {
    pub fn is_primary(&self) -> bool {
        *self != Self::default()
    }

    /// Makes PowerDNS know it. Safe to repeat.
    pub async fn put(&self, pdns: &Pdns, zone: &str, time: SendTime) -> Result<(), Broken> {
        let Self { allow_from, tsig_key, also_notify } = self;
        let mut calls = Calls::new(time);
        calls.run(pdns.set_metadata(zone, "ALLOW-AXFR-FROM", allow_from)).await?;
        calls.run(pdns.set_metadata(zone, "ALSO-NOTIFY", also_notify)).await?;
        calls.run(pdns.set_outgoing(zone, self.is_primary(), tsig_key.as_slice())).await
    }
}

/// Where a secondary zone's content comes from, in PowerDNS's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incoming {
    /// `address` or `address:port`.
    pub masters: Vec<String>,
    /// The name of a key.
    pub tsig_key: Option<String>,
}

impl Incoming {
    /// Afterwards PowerDNS has the zone, and asks for its content. `Ok(false)`: another zone has this name. Safe to
    /// repeat.
    pub async fn put(&self, pdns: &Pdns, zone: &str, id: ZoneId, time: SendTime) -> Result<bool, Broken> {
        let Self { masters, tsig_key } = self;
        let creation = SecondaryCreation {
            name: format!("{zone}."),
            kind: "Slave",
            account: id.to_string(),
            masters: masters.clone(),
            slave_tsig_key_ids: tsig_key.iter().map(|key| format!("{key}.")).collect(),
        };
        let mut calls = Calls::new(time);
        let is_made = calls.run(pdns.create_secondary_zone(&creation)).await?;
        let is_own =
            is_made || calls.run(pdns.zone_head(zone)).await?.is_some_and(|head| head.account == id.to_string());
        if is_own {
            calls.run(pdns.retrieve(zone)).await?;
        }
        Ok(is_own)
    }

    /// Tells PowerDNS of another source, and has the zone transferred from there. Safe to repeat.
    pub async fn change(&self, pdns: &Pdns, zone: &str, time: SendTime) -> Result<(), Broken> {
        let Self { masters, tsig_key } = self;
        let mut calls = Calls::new(time);
        calls.run(pdns.set_incoming(zone, masters, tsig_key.as_slice())).await?;
        calls.run(pdns.retrieve(zone)).await
    }
}

/// Why calls did not come to their end.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// None of them left.
    #[error("{0}")]
    Unsent(String),
    /// Some of them ran, or may have.
    #[error("{0}")]
    Unclear(String),
}

impl From<Broken> for Sent {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Unsent(why) => Self::Unsent(why),
            Broken::Unclear(why) => Self::Unknown(why),
        }
    }
}

/// The calls of one change, in turn.
struct Calls {
    time: SendTime,
    some_left: bool,
}

impl Calls {
    fn new(time: SendTime) -> Self {
        Self { time, some_left: false }
    }

    async fn run<T>(&mut self, call: impl Future<Output = Result<T, PdnsError>>) -> Result<T, Broken> {
        if self.time.is_over() {
            return Err(self.unsent(LATE.into()));
        }
        let answer = call.await;
        match answer {
            Err(error @ (PdnsError::NotSent(_) | PdnsError::Busy)) => Err(self.unsent(error.to_string())),
            answer => {
                self.some_left = true;
                answer.map_err(|error| Broken::Unclear(error.to_string()))
            }
        }
    }

    fn unsent(&self, why: String) -> Broken {
        if self.some_left { Broken::Unclear(why) } else { Broken::Unsent(why) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_that_broke_off_behind_one_that_left_have_no_known_outcome() {
        let mut calls = Calls::new(SendTime::start());
        assert!(matches!(calls.run(async { Err::<(), _>(PdnsError::Busy) }).await, Err(Broken::Unsent(_))));
        calls.run(async { Ok(()) }).await.expect("answered");
        assert!(matches!(calls.run(async { Err::<(), _>(PdnsError::Busy) }).await, Err(Broken::Unclear(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_leaves_once_the_locks_time_is_over() {
        let mut calls = Calls::new(SendTime::start());
        let slow = async {
            tokio::time::sleep(std::time::Duration::from_secs(11)).await;
            Ok(())
        };
        calls.run(slow).await.expect("it left in time");
        let mut has_left = false;
        let next = async {
            has_left = true;
            Ok(())
        };
        let late = calls.run(next).await;
        assert!(matches!(late, Err(Broken::Unclear(why)) if why == LATE));
        assert!(!has_left);
    }
}
