//! Recovery: settling a change whose writer is gone, slow, or got no clear answer. Take over, fence, probe, read the
//! marker, settle; every step may be repeated, by anybody, at any time. No assumption about time anywhere.

use crate::dns::serial as serials;
use crate::ids::ZoneId;
use crate::pdns::{DeleteAnswer, PatchAnswer};
use crate::storage::intents::{self, BatchOutcome, Intent};
use crate::storage::settlement::Settled;
use crate::storage::{Db, fences, within, zones};
use crate::tenancy::ZoneStatus;
use crate::{clock::Clock, dns::ZoneName, pdns::Pdns};

use super::super::platform::Platform;
use super::calls::{Incoming, Outgoing};
use super::change::{LATE, SendTime};
use super::life;
use super::payload::{Kind, Payload};
use super::protocol;
use super::settle::{Ending, settle};

/// Fence and probe are repeated this often when an outsider took the fence away in between.
const FENCE_ATTEMPTS: u32 = 3;

/// What recovery found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovered {
    Applied,
    /// It never ran and never will.
    Dropped,
    /// Somebody else recovers or has settled it.
    NotOurs,
    /// Cannot be decided now; the zone stays locked.
    Undecided(String),
}

impl Recovered {
    /// As metrics have it.
    fn name(&self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Dropped => "dropped",
            Self::NotOurs => "not_ours",
            Self::Undecided(_) => "undecided",
        }
    }
}

/// Counts a zone that is not as we left it: somebody else wrote to it, or took it away.
pub fn count_suspect(kind: &'static str) {
    metrics::counter!("scaidns_suspects_found_total", "kind" => kind).increment(1);
}

/// What recovery works with.
pub struct Recovery<'a> {
    pub db: &'a Db,
    pub pdns: &'a Pdns,
    pub clock: &'a Clock,
    pub platform: &'a Platform,
}

impl Recovery<'_> {
    /// Recovers one intent.
    pub async fn run(&self, intent: Intent) -> Recovered {
        self.run_with(intent, None).await
    }

    /// The same with an operator's word, whether the change ran: it counts where the marker says nothing, since somebody
    /// else changed it. The fence holds first, so that a PATCH that is still on its way cannot make it a lie.
    pub async fn run_with(&self, intent: Intent, word: Option<bool>) -> Recovered {
        let recovered = self.recover(intent, word).await;
        metrics::counter!("scaidns_recoveries_total", "outcome" => recovered.name()).increment(1);
        recovered
    }

    async fn recover(&self, mut intent: Intent, word: Option<bool>) -> Recovered {
        let time = SendTime::start();
        match within(intents::take_over(self.db, &intent)).await {
            Ok(true) => intent.epoch += 1,
            Ok(false) => return Recovered::NotOurs,
            Err(error) => return Recovered::Undecided(error.to_string()),
        }
        let payload: Payload = match serde_json::from_str(&intent.payload) {
            Ok(payload) => payload,
            Err(error) => return Recovered::Undecided(format!("the intent does not read back: {error}")),
        };
        let zone = ZoneName::trusted(intent.zone_name.clone());
        let found = match &payload.kind {
            Kind::Delete | Kind::MakeRoom => self.delete_again(&intent, &zone, time).await,
            Kind::Outgoing { outgoing, .. } => self.put_outgoing(&payload, (&zone, time), outgoing).await,
            // nothing was sent yet, nor looked at
            Kind::SecondaryGoLive { may_send: false, .. } => Ok(Found::NeverRan { serial: None }),
            Kind::SecondaryGoLive { incoming, .. } | Kind::SecondaryStatus { status: ZoneStatus::Active, incoming } => {
                self.put_incoming(&intent, (&zone, time), incoming).await
            }
            Kind::Masters { incoming, .. } => self.change_incoming(&payload, (&zone, time), incoming).await,
            Kind::SecondaryStatus { .. } => self.delete_again(&intent, &zone, time).await,
            Kind::Edit
            | Kind::GoLive { .. }
            | Kind::SetStatus { .. }
            | Kind::Signing { .. }
            | Kind::Switch { .. }
            | Kind::Clear
            | Kind::Sweep { .. } => self.fence_and_look(&intent, &payload, &zone, word).await,
        };
        let recovered = match found {
            Ok(found) => self.settle(&intent, &payload, found).await,
            Err(why) => Recovered::Undecided(why),
        };
        tracing::info!(change = %intent.change, zone = %zone, epoch = intent.epoch, ?word, ?recovered, "recovered a change");
        recovered
    }

    async fn settle(&self, intent: &Intent, payload: &Payload, found: Found) -> Recovered {
        let (outcome, serial, recovered) = match found {
            Found::Ran { serial } => (BatchOutcome::Applied, serial, Recovered::Applied),
            Found::NeverRan { serial } => (BatchOutcome::Dropped, serial, Recovered::Dropped),
        };
        let change_serial = match payload.kind {
            Kind::Edit | Kind::Sweep { .. } => payload.serial.map(serials::next),
            Kind::GoLive { .. }
            | Kind::SetStatus { .. }
            | Kind::Signing { .. }
            | Kind::Switch { .. }
            | Kind::Clear
            | Kind::MakeRoom
            | Kind::Delete => None,
            Kind::Outgoing { .. }
            | Kind::Masters { .. }
            | Kind::SecondaryGoLive { .. }
            | Kind::SecondaryStatus { .. } => None,
        };
        let now = self.clock.now();
        let ending = Ending { outcome, detail: "settled by recovery", serial, change_serial, drift: false, now };
        match settle(self.db, intent, payload, &ending).await {
            Ok(Settled::Done { .. }) => recovered,
            Ok(Settled::NotHeld) => Recovered::NotOurs,
            Err(error) => Recovered::Undecided(error.to_string()),
        }
    }

    async fn fence_and_look(
        &self,
        intent: &Intent,
        payload: &Payload,
        zone: &ZoneName,
        word: Option<bool>,
    ) -> Result<Found, String> {
        let mut cancelled = false;
        for _ in 0..FENCE_ATTEMPTS {
            if !self.put_fence(intent, payload, zone).await? {
                return Ok(Found::NeverRan { serial: None });
            }
            if self.probe(intent, zone).await? {
                cancelled = true;
                break;
            }
        }
        if !cancelled {
            return Err("the fence does not hold".into());
        }
        let server = self.pdns.zone(zone.as_str(), payload.record_count).await.map_err(|error| error.to_string())?;
        let Some(server) = server else { return Err("the zone vanished while it was recovered".into()) };
        let marker = protocol::read_marker(zone, &server);
        if marker.as_deref() == Some(&protocol::marker_value(intent.change)) {
            // cleans up behind a writer that died between PATCH and PUT; slow if it fails, never wrong
            if payload.rectify && server.api_rectify {
                let _ = self.pdns.set_api_rectify(zone.as_str(), false).await;
            }
            if matches!(payload.kind, Kind::SetStatus { .. } | Kind::Switch { .. } | Kind::GoLive { .. }) {
                let _ = self.pdns.flush_cache(zone.as_str()).await;
            }
            return Ok(Found::Ran { serial: Some(server.serial) });
        }
        let never_ran = matches!(payload.kind, Kind::GoLive { .. }) || marker == payload.previous_marker;
        if never_ran {
            return Ok(Found::NeverRan { serial: Some(server.serial) });
        }
        count_suspect("marker");
        tracing::error!(zone = %zone, change = %intent.change, ?marker, previous = ?payload.previous_marker,
            "diverged: the marker is neither this change's nor the one before; somebody else wrote to this zone");
        match word {
            Some(true) => Ok(Found::Ran { serial: Some(server.serial) }),
            Some(false) => Ok(Found::NeverRan { serial: Some(server.serial) }),
            None => Err("diverged: the zone's marker was changed by somebody else".into()),
        }
    }

    /// Puts the fence up; false: there is no zone in which the change could have run.
    async fn put_fence(&self, intent: &Intent, payload: &Payload, zone: &ZoneName) -> Result<bool, String> {
        let fence = protocol::fence(zone, intent.change);
        // noted anew each time: only what comes after this may prove it obsolete
        let uptime = self.pdns.uptime().await.map_err(|error| error.to_string())?;
        let noted = within(fences::insert(self.db, &intent.zone_name, intent.change, uptime)).await;
        noted.map_err(|error| error.to_string())?;
        match self.pdns.patch(zone.as_str(), &fence).await {
            PatchAnswer::Applied { .. } => Ok(true),
            PatchAnswer::Refused { status: 404, .. } if matches!(payload.kind, Kind::GoLive { .. }) => {
                // a creation is only rolled forward: the zone is made, dark, so that the fence can stand in it
                let fences = within(fences::of_name(self.db, &intent.zone_name)).await.map_err(|e| e.to_string())?;
                let retired = within(zones::retired_serial(self.db, zone.as_str())).await.map_err(|e| e.to_string())?;
                let serial = life::birth_serial(self.clock.now(), retired);
                let platform = self.platform.settings().await.map_err(|error| error.to_string())?;
                let creation = life::dark_zone(zone, intent.zone, &platform, &fences, serial);
                self.pdns.create_zone(&creation).await.map_err(|error| error.to_string())?;
                match self.pdns.patch(zone.as_str(), &fence).await {
                    PatchAnswer::Applied { .. } => Ok(true),
                    other => Err(format!("the fence could not be put up: {other:?}")),
                }
            }
            PatchAnswer::Refused { status: 404, .. } => {
                count_suspect("missing");
                tracing::error!(zone = %zone, "the zone is missing in PowerDNS");
                Ok(false)
            }
            other => Err(format!("the fence could not be put up: {other:?}")),
        }
    }

    /// True: refused for the fence, so no PATCH of this change is past its guard.
    async fn probe(&self, intent: &Intent, zone: &ZoneName) -> Result<bool, String> {
        match self.pdns.patch(zone.as_str(), &protocol::probe(zone, intent.change)).await {
            PatchAnswer::Refused { message, .. } => Ok(protocol::names_guard(&message, intent.change)),
            other => Err(format!("the probe was not refused: {other:?}")),
        }
    }

    /// What does the same each time is repeated.
    async fn put_outgoing(
        &self,
        payload: &Payload,
        (zone, time): (&ZoneName, SendTime),
        outgoing: &Outgoing,
    ) -> Result<Found, String> {
        outgoing.put(self.pdns, zone.as_str(), time).await.map_err(|error| error.to_string())?;
        Ok(Found::Ran { serial: payload.serial })
    }

    async fn change_incoming(
        &self,
        payload: &Payload,
        (zone, time): (&ZoneName, SendTime),
        incoming: &Incoming,
    ) -> Result<Found, String> {
        incoming.change(self.pdns, zone.as_str(), time).await.map_err(|error| error.to_string())?;
        Ok(Found::Ran { serial: payload.serial })
    }

    async fn put_incoming(
        &self,
        intent: &Intent,
        (zone, time): (&ZoneName, SendTime),
        incoming: &Incoming,
    ) -> Result<Found, String> {
        match incoming.put(self.pdns, zone.as_str(), intent.zone, time).await.map_err(|error| error.to_string())? {
            true => Ok(Found::Ran { serial: None }),
            false => Ok(Found::NeverRan { serial: None }),
        }
    }

    /// A DELETE cannot be guarded: it is repeated, and its name rests, since the first may still land.
    async fn delete_again(&self, intent: &Intent, zone: &ZoneName, time: SendTime) -> Result<Found, String> {
        let uptime = self.pdns.uptime().await.map_err(|error| error.to_string())?;
        within(fences::rest(self.db, &intent.zone_name, uptime)).await.map_err(|error| error.to_string())?;
        let head = self.pdns.zone_head(zone.as_str()).await.map_err(|error| error.to_string())?;
        match head {
            Some(head) if is_own(&head.account, intent.zone) && time.is_over() => Err(LATE.into()),
            Some(head) if is_own(&head.account, intent.zone) => match self.pdns.delete_zone(zone.as_str()).await {
                DeleteAnswer::Gone => Ok(Found::Ran { serial: None }),
                other => Err(format!("the zone could not be deleted: {other:?}")),
            },
            // gone, or by now somebody else's
            _ => Ok(Found::Ran { serial: None }),
        }
    }
}

enum Found {
    Ran { serial: Option<u32> },
    NeverRan { serial: Option<u32> },
}

fn is_own(account: &str, zone: ZoneId) -> bool {
    account == zone.to_string()
}
