//! The end of a zone at PowerDNS: removed for good, or to make room for who has proven its name.

use crate::dns::{RrsetChange, ZoneContent};
use crate::ids::ChangeId;
use crate::pdns::DeleteAnswer;
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{audit, intents, live_names, within, within_write};
use crate::tenancy::ZoneStatus;

use super::super::{Error, Result};
use super::change::{Held, LATE, is_unmoved};
use super::life::Sent;
use super::payload::{Entry, Kind, Payload};
use super::store::{self, LiveState, ZoneState};
use super::transition::{Departure, Step, claimed, count, in_a_task, payload_change, take_before};
use super::{Inner, ZoneWriter, protocol};

/// Of a zone's content so much goes into one row of its history: an intent is one statement, and holds it too.
const HISTORY_BYTES_MAX: usize = 4_000_000;
/// RRsets that go ahead in one PATCH: a second's work for PowerDNS, a tenth of what a writer may take.
const PART_RRSETS_MAX: usize = 1_000;
/// Parts in which a zone makes room: twice what 200,000 records take.
const ROOM_TURNS_MAX: u32 = 400;

impl ZoneWriter {
    /// Removes a zone that is not served: row, content and PowerDNS zone. History and audit stay.
    pub async fn delete(&self, request: Departure) -> Result<()> {
        let inner = self.inner.clone();
        in_a_task(async move {
            let zone = request.access.zone().id;
            inner.until_done(zone, |row| inner.try_delete(row, &request)).await
        })
        .await
    }

    /// [`Self::delete`] of a zone of which something still holds when it is removed; whether it did.
    pub async fn delete_if(
        &self,
        request: Departure,
        still: impl Fn(&ZoneRow) -> bool + Send + Sync + 'static,
    ) -> Result<bool> {
        let inner = self.inner.clone();
        in_a_task(async move {
            let zone = request.access.zone().id;
            inner.until_done(zone, |row| inner.try_delete_if(row, &request, &still)).await
        })
        .await
    }

    /// Lets a withdrawn zone make room for who has proven its name. Safe to repeat.
    pub async fn make_room(&self, request: Departure) -> Result<()> {
        let inner = self.inner.clone();
        in_a_task(async move {
            let zone = request.access.zone().id;
            for _ in 0..ROOM_TURNS_MAX {
                if inner.until_done(zone, |row| inner.try_make_room(row, &request)).await? {
                    return Ok(());
                }
            }
            Err(Error::unavailable("The domain before has not made room yet; go on where this ended"))
        })
        .await
    }
}

impl Inner {
    pub(super) async fn try_delete(&self, row: ZoneRow, request: &Departure) -> Result<Step<()>> {
        Self::check_unheld(&row)?;
        if row.status == ZoneStatus::Active {
            return Err(Error::conflict("domain_active", "The domain is served; it must be withdrawn first"));
        }
        if !row.born || self.is_anothers(&row).await? {
            return self.delete_claim(&row, request).await;
        }
        let mut payload = self.empty_payload(&row, Kind::Delete);
        payload.audit = request.audit.clone();
        self.remove(&row, payload).await
    }

    async fn try_delete_if(
        &self,
        row: ZoneRow,
        request: &Departure,
        still: &(dyn Fn(&ZoneRow) -> bool + Send + Sync),
    ) -> Result<Step<bool>> {
        if !still(&row) {
            return Ok(Step::Done(false));
        }
        Ok(self.try_delete(row, request).await?.map(|()| true))
    }

    /// A withdrawn zone makes room: its content into its history, and nothing of it left at PowerDNS. Whether it has; if
    /// not, a part of it is gone, and the next turn goes on.
    pub(super) async fn try_make_room(&self, row: ZoneRow, request: &Departure) -> Result<Step<bool>> {
        if row.status == ZoneStatus::Active {
            return Err(claimed());
        }
        Self::check_unheld(&row)?;
        if row.is_kept_here() {
            return Ok(Step::Done(true));
        }
        let state = match self.owns_at_server(&row).await? {
            true => store::read(&self.db, &self.pdns, &row).await?,
            false => ZoneState { content: ZoneContent::new(row.name.clone()), live: None },
        };
        let (gone, is_partial) = first_to_history(&state.content);
        if is_partial && let Some(live) = state.live {
            return Ok(self.clear(&row, request, (state.content, live), gone).await?.map(|()| false));
        }
        let mut payload = self.empty_payload(&row, Kind::MakeRoom);
        payload.record_count = 0;
        payload.entries = vec![entry(request, gone)];
        payload.audit = request.audit.clone();
        Ok(self.remove(&row, payload).await?.map(|()| true))
    }

    /// More content than one intent can hold: a part of it goes ahead.
    async fn clear(
        &self,
        row: &ZoneRow,
        request: &Departure,
        (mut content, live): (ZoneContent, LiveState),
        gone: Vec<RrsetChange>,
    ) -> Result<Step<()>> {
        for change in &gone {
            content.set(change.key.clone(), None);
        }
        let mut payload = self.empty_payload(row, Kind::Clear);
        payload.record_count = count(&content);
        take_before(&mut payload, live);
        payload.entries = vec![entry(request, gone)];
        let changes = payload.entries[0].changes.clone();
        let Some(held) = self.intend(row, payload_change(&payload), &payload).await? else { return Ok(Step::Again) };
        let sent = self.send(row, &held, &protocol::write(&row.name, held.intent.change, &changes), false).await.sent;
        self.conclude(row, &held.intent, &payload, sent).await
    }

    /// Removes what PowerDNS has of the zone, under the name's lock.
    async fn remove(&self, row: &ZoneRow, payload: Payload) -> Result<Step<()>> {
        let Some(held) = self.intend(row, payload_change(&payload), &payload).await? else { return Ok(Step::Again) };
        let intent = &held.intent;
        match self.delete_own(row, &held).await {
            DeleteAnswer::Gone => {
                let sent = Sent::Applied { serial: Some(row.serial.unwrap_or(0)) };
                self.conclude(row, intent, &payload, sent).await
            }
            DeleteAnswer::NotSent(why) | DeleteAnswer::Refused(why) => {
                self.drop_intent(intent, &payload, &why).await?;
                Err(Error::pdns(&why))
            }
            DeleteAnswer::Unknown(why) => {
                tracing::warn!(zone = %row.name, why, "the outcome of a deletion is unknown");
                // the intent stays: recovery repeats the call and lets the name rest
                Err(Error::OutcomeUnknown(intent.change))
            }
        }
    }

    /// Removes the zone that PowerDNS has of this name, if it was made for this row.
    pub(super) async fn delete_own(&self, row: &ZoneRow, held: &Held) -> DeleteAnswer {
        match self.owns_at_server(row).await {
            Ok(true) if held.is_late() => DeleteAnswer::NotSent(LATE.into()),
            Ok(true) => self.pdns.delete_zone(row.name.as_str()).await,
            Ok(false) => DeleteAnswer::Gone,
            Err(error) => DeleteAnswer::NotSent(error.to_string()),
        }
    }

    /// Whether the live zone of this name is somebody else's.
    async fn is_anothers(&self, row: &ZoneRow) -> Result<bool> {
        Ok(within(live_names::live_of_name(&self.db, row.name.as_str())).await?.is_some_and(|live| live != row.id))
    }

    /// A claim for which PowerDNS holds nothing: one transaction, without the name's lock, which may be another's.
    async fn delete_claim(&self, row: &ZoneRow, request: &Departure) -> Result<Step<()>> {
        let deleted = within_write(async {
            let mut tx = self.db.begin().await?;
            let unmoved = zones::lock(&mut tx, row.id).await?.is_some_and(|locked| is_unmoved(row, &locked));
            if !unmoved || intents::exists_for_zone(&mut tx, row.id).await? {
                return Ok(false);
            }
            zones::delete(&mut tx, row).await?;
            audit::append(&mut tx, None, &request.audit).await?;
            tx.commit().await?;
            Ok(true)
        });
        Ok(if deleted.await? { Step::Done(()) } else { Step::Again })
    }

    /// Whether PowerDNS holds a zone that was made for this row.
    async fn owns_at_server(&self, row: &ZoneRow) -> Result<bool> {
        let head = self.pdns.zone_head(row.name.as_str()).await?;
        Ok(head.is_some_and(|head| head.account == row.id.to_string()))
    }
}

/// As much of the content as one row of history and one PATCH take, as what goes; SOA and apex NS last. Whether some is
/// left.
fn first_to_history(content: &ZoneContent) -> (Vec<RrsetChange>, bool) {
    let (system, others): (Vec<_>, Vec<_>) = content.iter().partition(|(key, _)| content.is_system(key));
    let (mut gone, mut history, mut patch) = (Vec::new(), 0, 0);
    for (key, rrset) in others.into_iter().chain(system) {
        let change = RrsetChange { key: key.clone(), before: Some(rrset.clone()), after: None };
        history += key.name.as_str().len() + protocol::rrset_bytes(Some(rrset));
        patch += protocol::patch_bytes(std::slice::from_ref(&change));
        let is_full = history > HISTORY_BYTES_MAX || patch > protocol::PATCH_BYTES_MAX || gone.len() >= PART_RRSETS_MAX;
        if is_full && !gone.is_empty() {
            return (gone, true);
        }
        gone.push(change);
    }
    (gone, false)
}

fn entry(request: &Departure, changes: Vec<RrsetChange>) -> Entry {
    Entry { change: ChangeId::new(), actor: request.actor.clone(), request: request.request.clone(), changes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{OwnerName, Record, RecordType, Rrset, RrsetKey, ZoneName};

    #[test]
    fn what_goes_ahead_of_a_zone_fits_into_one_patch_and_leaves_nothing_out() {
        const HOSTS: usize = 3_500;
        let mut content = ZoneContent::new(ZoneName::trusted("large.test".into()));
        let key = |name: &str, record_type| RrsetKey { name: OwnerName::from_server(name), record_type };
        let rrset =
            |content: &str| Rrset { ttl: 60, records: vec![Record { content: content.into(), disabled: false }] };
        content.set(key("large.test", RecordType::Soa), Some(rrset("a. b. 1 2 3 4 5")));
        content.set(key("large.test", RecordType::Ns), Some(rrset("ns1.dns.test.")));
        for host in 0..HOSTS {
            content.set(key(&format!("h{host}.large.test"), RecordType::A), Some(rrset("192.0.2.1")));
        }
        let (mut parts, mut went) = (0, 0);
        loop {
            let (gone, is_partial) = first_to_history(&content);
            assert!(gone.len() <= PART_RRSETS_MAX && protocol::patch_bytes(&gone) <= protocol::PATCH_BYTES_MAX);
            assert!(!is_partial || gone.iter().all(|change| !content.is_system(&change.key)), "they go last");
            (parts, went) = (parts + 1, went + gone.len());
            for change in gone {
                content.set(change.key, None);
            }
            if !is_partial {
                break;
            }
        }
        assert_eq!((parts, went), (4, HOSTS + 2));
    }
}
