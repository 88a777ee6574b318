//! One change under its lock: intend, send, read the answer, settle, and where no answer is clear, recover. Records and
//! the steps of a zone's life alike go this way.

use std::time::Duration;

use tokio::time::Instant;

use crate::dns::{RrsetChange, serial as serials};
use crate::ids::ChangeId;
use crate::pdns::RrsetPatch;
use crate::storage::idempotency;
use crate::storage::intents::{self, BatchOutcome, Intent};
use crate::storage::settlement::Settled;
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{StorageError, live_names, signing, tsig_keys, validations, within, within_write};
use crate::tenancy::{Quotas, ZoneStatus};

use super::super::idempotency::{MARK_LOST, mark_lost};
use super::super::{Error, Result, quotas};
use super::life::Sent;
use super::payload::{Kind, Payload};
use super::recovery::{Recovered, count_suspect};
use super::settle::{Ending, settle};
use super::store;
use super::transition::claimed;
use super::{Inner, protocol};

/// A PATCH or DELETE leaves no later than this after its intent; recovery looks at 15 s.
const SEND_UNTIL: Duration = Duration::from_secs(10);
/// Why a late writer sends nothing.
pub const LATE: &str = "the writer was held up for too long";
/// How a challenge that was ended meanwhile comes out of the transaction that would go live by it.
const CHALLENGE_ENDED: &str = "challenge ended";
/// How a TSIG key that is deleted meanwhile comes out of the transaction that would use it.
const KEY_GONE: &str = "TSIG key gone";
/// How a tenant's bound comes out of the transaction that would restore one domain too many.
const NO_ROOM: &str = "no room for a domain";
/// The unique key that keeps one live zone a name.
const LIVE_NAME_KEY: &str = "zones_live_name";

/// Whether the zone is still as it was read. Every settled batch steps `last_change`, also one without a revision.
pub fn is_unmoved(read: &ZoneRow, now: &ZoneRow) -> bool {
    now.standing() == read.standing()
}

/// For how long who has a zone's lock may send, be it a writer or recovery. Begun no later than the lock was had: by then
/// its deadline was not set yet.
#[derive(Clone, Copy, Debug)]
pub struct SendTime(Instant);

impl SendTime {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Held up until somebody else may have the lock: what is not sent by now stays unsent. A call waits for its turn and
    /// its connection for two seconds each at most, so that what is sent leaves before the deadline.
    pub fn is_over(self) -> bool {
        self.0.elapsed() > SEND_UNTIL
    }
}

/// Whether the zone counts as its tenant's again.
fn is_restore(row: &ZoneRow, payload: &Payload) -> bool {
    row.status == ZoneStatus::Deleted && matches!(payload.kind, Kind::SetStatus { .. } | Kind::SecondaryStatus { .. })
}

/// A zone's lock in hand.
pub struct Held {
    pub intent: Intent,
    pub time: SendTime,
}

impl Held {
    pub fn is_late(&self) -> bool {
        self.time.is_over()
    }
}

/// What came of sending.
pub struct Answered {
    pub sent: Sent,
    pub at: Instant,
    pub rectify_left_on: bool,
}

impl Answered {
    fn now(sent: Sent) -> Self {
        Self { sent, at: Instant::now(), rectify_left_on: false }
    }
}

/// How a change ended for its writer.
pub enum Finished {
    Applied {
        /// Of the zone now, where nobody else can have had a hand in it.
        serial: Option<u32>,
        /// Somebody else waits for the zone.
        wanted: bool,
    },
    /// By PowerDNS; nothing ran.
    Refused(String),
    Failed(Error),
    /// It never ran and never will: deciding anew is safe.
    NotApplied,
    /// 504: recovery settles it.
    Unknown,
}

impl Inner {
    /// Takes the zone's lock, if it stands as it was read. None: moved, or locked by another.
    pub async fn intend(&self, row: &ZoneRow, change: ChangeId, payload: &Payload) -> Result<Option<Held>> {
        self.intend_with(row, change, payload, payload.to_json()?).await
    }

    /// The same where the payload is at hand as JSON.
    pub async fn intend_with(
        &self,
        row: &ZoneRow,
        change: ChangeId,
        payload: &Payload,
        json: String,
    ) -> Result<Option<Held>> {
        let usual = match is_restore(row, payload) {
            true => Some(self.platform.settings().await?.terms.quotas),
            false => None,
        };
        let time = SendTime::start();
        let intent = Intent {
            zone_name: row.name.as_str().to_owned(),
            zone: row.id,
            change,
            epoch: 0,
            kind: payload.kind.name().to_owned(),
            payload: json,
        };
        match within_write(self.insert_intent(row, &intent, (payload, usual))).await {
            Ok(true) => Ok(Some(Held { intent, time })),
            Ok(false) | Err(StorageError::Deadlock(_)) => Ok(None),
            Err(error) if error.is_duplicate_of("PRIMARY") => Ok(None),
            Err(error) if error.is_duplicate_of(MARK_LOST) => Err(Error::IdempotencyInProgress),
            Err(error) if error.is_duplicate_of(LIVE_NAME_KEY) => Err(claimed()),
            Err(error) if error.is_duplicate_of(NO_ROOM) => {
                Err(quotas::no_room_for_zone(&self.db, row.tenant, usual.unwrap_or_default()).await)
            }
            Err(error) if error.is_duplicate_of(KEY_GONE) => Err(Error::NotFound("TSIG key")),
            Err(error) if error.is_duplicate_of(CHALLENGE_ENDED) => {
                Err(Error::conflict("challenge_ended", "The challenge was cancelled or superseded meanwhile"))
            }
            Err(StorageError::Unavailable(why)) => match within(intents::find(&self.db, change)).await {
                // the commit's answer was lost, the commit was not
                Ok(Some(found)) if found.epoch == 0 => Ok(Some(Held { intent, time })),
                _ => {
                    tracing::warn!(zone = %row.name, %change, %why, "the outcome of an intent is unknown");
                    Err(StorageError::Unavailable(why).into())
                }
            },
            Err(error) => Err(error.into()),
        }
    }

    async fn insert_intent(
        &self,
        row: &ZoneRow,
        intent: &Intent,
        (payload, usual): (&Payload, Option<Quotas>),
    ) -> crate::storage::Result<bool> {
        if !matches!(payload.kind, Kind::GoLive { .. } | Kind::Signing { .. } | Kind::SecondaryGoLive { .. }) {
            return self.take(row, intent, (payload, usual)).await;
        }
        let mut tx = self.db.begin().await?;
        let unmoved = zones::lock(&mut tx, row.id).await?.is_some_and(|locked| is_unmoved(row, &locked));
        if !unmoved {
            return Ok(false);
        }
        if let Kind::Signing { state, version } = &payload.kind {
            if !signing::begin_step(&mut tx, row.id, *version, state, &payload.audit, self.clock.now()).await? {
                return Ok(false);
            }
            intents::insert(&mut tx, intent).await?;
            tx.commit().await?;
            return Ok(true);
        }
        if let Kind::GoLive { validation: Some(validation) }
        | Kind::SecondaryGoLive { validation: Some(validation), .. } = &payload.kind
            && !validations::is_open(&mut tx, *validation).await?
        {
            return Err(StorageError::Duplicate { key: CHALLENGE_ENDED.into() });
        }
        zones::mark_born(&mut tx, row.id).await?;
        intents::insert(&mut tx, intent).await?;
        // with the lock in hand nobody else goes live under this name; somebody may have before
        if live_names::is_name_live(&mut tx, &intent.zone_name).await? {
            return Err(StorageError::Duplicate { key: LIVE_NAME_KEY.into() });
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Changes under idempotency keys are bound to the intent by its own transaction; a TSIG key that is about to be used
    /// is locked in it, so that it is not deleted before the intent says so; and a domain that is restored is counted in
    /// it. Otherwise it is one statement.
    async fn take(
        &self,
        row: &ZoneRow,
        intent: &Intent,
        (payload, usual): (&Payload, Option<Quotas>),
    ) -> crate::storage::Result<bool> {
        let (steps, tsig_key) = (&payload.steps, payload.kind.tsig_key());
        if steps.is_empty() && tsig_key.is_none() && usual.is_none() {
            return intents::take(self.db.pool(), intent, &row.standing()).await;
        }
        let mut tx = self.db.begin().await?;
        if let Some(usual) = usual
            && !quotas::has_room_for_zone(&mut tx, row.tenant, usual).await?
        {
            return Err(StorageError::Duplicate { key: NO_ROOM.into() });
        }
        if let Some(key) = tsig_key
            && tsig_keys::lock(&mut tx, row.tenant, key).await?.is_none()
        {
            return Err(StorageError::Duplicate { key: KEY_GONE.into() });
        }
        if !idempotency::bind_steps(&mut tx, steps, intent.change).await? {
            return Err(mark_lost());
        }
        let taken = intents::take(&mut *tx, intent, &row.standing()).await?;
        if taken {
            tx.commit().await?;
        }
        Ok(taken)
    }

    /// The PATCH of an edit, with rectification inside its transaction where the change needs it.
    pub async fn send_edit(
        &self,
        row: &ZoneRow,
        held: &Held,
        payload: &Payload,
        changes: &[RrsetChange],
        left_on: bool,
    ) -> Answered {
        let patch = protocol::write(&row.name, held.intent.change, changes);
        if left_on
            && !payload.rectify
            && let Err(error) = self.pdns.set_api_rectify(row.name.as_str(), false).await
        {
            return Answered::now(Sent::Unsent(error.to_string()));
        }
        self.send(row, held, &patch, payload.rectify).await
    }

    /// The one place from which a guarded PATCH leaves. A writer that was held up until its intent may have been taken
    /// over sends nothing any more; the guard would stop it, and need not.
    pub async fn send(&self, row: &ZoneRow, held: &Held, patch: &[RrsetPatch], rectify: bool) -> Answered {
        let zone = row.name.as_str();
        if rectify && let Err(error) = self.pdns.set_api_rectify(zone, true).await {
            return Answered::now(Sent::Unsent(error.to_string()));
        }
        if held.is_late() {
            return Answered::now(Sent::Unsent(LATE.into()));
        }
        let answer = self.pdns.patch(zone, patch).await;
        let mut answered = Answered::now(Sent::of(answer, held.intent.change));
        if rectify && let Err(error) = self.pdns.set_api_rectify(zone, false).await {
            // every PATCH costs more until a writer that has read the zone switches it off; nothing is wrong
            tracing::warn!(zone, %error, "rectification could not be switched off again");
            answered.rectify_left_on = true;
        }
        answered
    }

    /// From PowerDNS's answer to a settled change, or to the admission that only recovery can tell.
    pub async fn finish(&self, row: &ZoneRow, intent: &Intent, payload: &Payload, sent: Sent) -> Finished {
        match sent {
            Sent::Applied { serial } => {
                let serial = match serial {
                    Some(serial) => Some(serial),
                    None => match store::serial(&self.pdns, &row.name).await {
                        Ok(serial) => serial,
                        Err(error) => return self.recover_inline(intent, &error.to_string()).await,
                    },
                };
                let expected = payload.serial.map(serials::next);
                let drift = matches!(payload.kind, Kind::Edit) && serial != expected;
                if drift {
                    count_suspect("serial");
                    tracing::warn!(zone = %row.name, ?serial, ?expected, "somebody wrote to the zone behind our back");
                }
                match self.settle_known(intent, payload, BatchOutcome::Applied, serial, drift, "").await {
                    Finished::Applied { serial: _, wanted } => {
                        Finished::Applied { serial: serial.filter(|_| !drift), wanted }
                    }
                    other => other,
                }
            }
            Sent::Refused(message) => {
                match self.settle_known(intent, payload, BatchOutcome::Refused, None, false, &message).await {
                    Finished::Applied { .. } => Finished::Refused(message),
                    other => other,
                }
            }
            Sent::Unsent(why) => {
                match self.settle_known(intent, payload, BatchOutcome::Dropped, None, false, &why).await {
                    Finished::Applied { .. } => Finished::Failed(Error::pdns(&why)),
                    other => other,
                }
            }
            Sent::Unknown(why) => self.recover_inline(intent, &why).await,
        }
    }

    /// Writes into the intent what has become of the change meanwhile, under a new epoch, so that recovery has either what
    /// was there before and owns the change, or this. False: recovery owns it.
    pub(super) async fn renew(&self, held: &mut Held, payload: &Payload) -> Result<bool> {
        let json = payload.to_json()?;
        if !within_write(intents::renew(&self.db, &held.intent, &json)).await? {
            return Ok(false);
        }
        held.intent.epoch += 1;
        held.intent.payload = json;
        Ok(true)
    }

    /// Settles what is known. `Finished::Applied` says that it is settled as asked.
    async fn settle_known(
        &self,
        intent: &Intent,
        payload: &Payload,
        outcome: BatchOutcome,
        serial: Option<u32>,
        drift: bool,
        detail: &str,
    ) -> Finished {
        let ending = Ending { outcome, detail, serial, change_serial: None, drift, now: self.clock.now() };
        match settle(&self.db, intent, payload, &ending).await {
            Ok(Settled::Done { wanted }) => Finished::Applied { serial: None, wanted },
            Ok(Settled::NotHeld) => self.look_again(intent, outcome).await,
            Err(error) => {
                tracing::warn!(change = %intent.change, %error, "the outcome of a settle is unknown");
                self.look_again(intent, outcome).await
            }
        }
    }

    /// The settle's own outcome is unknown, or somebody took over: what stands in the database decides.
    pub(super) async fn look_again(&self, intent: &Intent, wanted: BatchOutcome) -> Finished {
        const LOOKS: u32 = 40; // two seconds: whoever took over is about to settle
        const PAUSE: Duration = Duration::from_millis(50);
        for _ in 0..LOOKS {
            match within(intents::outcome(&self.db, intent.change)).await {
                Ok(Some((found, _))) if found == wanted => return Finished::Applied { serial: None, wanted: false },
                Ok(Some((BatchOutcome::Applied, _))) => return Finished::Unknown,
                Ok(Some(_)) => return Finished::NotApplied,
                Ok(None) => tokio::time::sleep(PAUSE).await,
                Err(_) => return Finished::Unknown,
            }
        }
        Finished::Unknown
    }

    /// The writer helps itself at once; if it cannot, the worker will.
    async fn recover_inline(&self, intent: &Intent, why: &str) -> Finished {
        tracing::warn!(change = %intent.change, why, "no clear answer from PowerDNS, recovering");
        match self.recovery().run(intent.clone()).await {
            Recovered::Applied => Finished::Applied { serial: None, wanted: false },
            Recovered::Dropped => Finished::NotApplied,
            Recovered::NotOurs => self.look_again(intent, BatchOutcome::Applied).await,
            Recovered::Undecided(_) => Finished::Unknown,
        }
    }
}
