//! Withdrawal and return: inactive, deleted, restored. The SOA is disabled or enabled, or, below another tenant's
//! zone, everything but SOA and apex NS ([`emptying`]); the status goes with it, in the settle.

use serde_json::json;

use crate::dns::{OwnerName, RecordType, Rrset, RrsetChange, RrsetKey, ZoneContent, rectify};
use crate::ids::ChangeId;
use crate::storage::emptied as emptied_zones;
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{audit, intents, live_names, within, within_write};
use crate::tenancy::{ZoneStatus, ZoneType};

use super::super::audit as entries;
use super::super::zones::zone_resource;
use super::super::{Error, Result, quotas};
use super::change::is_unmoved;
use super::payload::{Emptied, Entry, Kind, Payload};
use super::store::{self, LiveState, ZoneState};
use super::transition::{Departure, Step, claimed, count, payload_change, take_before};
use super::{Inner, ZoneWriter, emptying, life, protocol};

/// What is asked of a zone's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Return,
    Withdraw,
    /// In such a way that it can be taken back.
    Delete,
    /// To what it was before it was deleted.
    Restore,
}

impl Move {
    /// As the audit log has it.
    fn action(self) -> &'static str {
        match self {
            Self::Return | Self::Withdraw => "domain.update",
            Self::Delete => "domain.delete",
            Self::Restore => "domain.restore",
        }
    }
}

/// What that means for a zone as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// It is so already.
    Stay,
    /// Nothing changes at PowerDNS.
    Row(ZoneStatus),
    Withdraw(ZoneStatus),
    Return,
}

impl Course {
    fn of(row: &ZoneRow, wanted: Move) -> Result<Self> {
        let was = row.status_before.unwrap_or(ZoneStatus::Inactive);
        let target = match (wanted, row.status) {
            (Move::Return | Move::Withdraw, ZoneStatus::PendingValidation) => {
                return Err(Error::conflict("domain_pending", "The domain is not validated yet"));
            }
            (Move::Return | Move::Withdraw, ZoneStatus::Deleted) => return Err(Error::NotFound("Domain")),
            (Move::Restore, ZoneStatus::Deleted) => was,
            (Move::Restore, status) => status,
            (Move::Return, _) => ZoneStatus::Active,
            (Move::Withdraw, _) => ZoneStatus::Inactive,
            (Move::Delete, _) => ZoneStatus::Deleted,
        };
        if target == row.status {
            return Ok(Self::Stay);
        }
        if row.displaced && target != ZoneStatus::Deleted {
            return Err(claimed());
        }
        Ok(match (row.status, target) {
            (ZoneStatus::Active, target) => Self::Withdraw(target),
            (_, ZoneStatus::Active) => Self::Return,
            (_, target) => Self::Row(target),
        })
    }
}

/// What came of moving a zone's row alone.
enum Moved {
    Done,
    /// The zone is locked or moved.
    Not,
    /// The tenant has as many domains as it may.
    NoRoom,
}

impl ZoneWriter {
    /// Withdraws a zone, deletes it so that it can be restored, or returns it, with an audit entry of its own. Safe to
    /// repeat.
    pub async fn set_status(&self, request: Departure, wanted: Move) -> Result<()> {
        let writer = self.clone();
        super::transition::in_a_task(async move {
            let (inner, zone) = (&writer.inner, request.access.zone());
            inner.until_done(zone.id, |row| inner.try_set_status(row, &request, wanted)).await?;
            if matches!(wanted, Move::Return | Move::Restore) {
                writer.follow_nameservers_after_return(zone).await;
            }
            Ok(())
        })
        .await
    }

    /// Whether [`Self::set_status`] would refuse this now, as far as that can be told beforehand.
    pub async fn check_status(&self, row: &ZoneRow, wanted: Move) -> Result<()> {
        Inner::check_unheld(row)?;
        match Course::of(row, wanted)? {
            Course::Return if row.zone_type == ZoneType::Secondary => {
                self.inner.check_rest(&row.name).await.map(|_| ())
            }
            Course::Return => self.inner.check_delegation(&row.name).await,
            Course::Stay | Course::Row(_) | Course::Withdraw(_) => Ok(()),
        }
    }

    /// Goes on with zones that were left half emptied; how many there were.
    pub async fn finish_emptying(&self) -> Result<usize> {
        const ZONES_PER_RUN: u32 = 20; // each takes a few PATCHes; the next run goes on
        let zones = within(emptied_zones::partial(&self.inner.db, ZONES_PER_RUN)).await?;
        let count = zones.len();
        for zone in zones {
            // one zone that cannot be written to now must not hold up the others
            if let Err(error) = self.inner.until_done(zone, |row| self.inner.try_switch(row)).await {
                tracing::warn!(%zone, %error, "a withdrawn zone could not be emptied, the next run tries again");
            }
        }
        Ok(count)
    }
}

impl Inner {
    async fn try_set_status(&self, row: ZoneRow, request: &Departure, wanted: Move) -> Result<Step<()>> {
        Self::check_unheld(&row)?;
        let course = Course::of(&row, wanted)?;
        let request = &self.told(&row, request, (wanted, course));
        match course {
            Course::Stay => self.try_switch(row).await,
            Course::Row(status) => self.try_move_row(&row, request, status).await,
            Course::Withdraw(status) if row.zone_type == ZoneType::Secondary => {
                self.try_secondary_status(&row, request, status).await
            }
            Course::Return if row.zone_type == ZoneType::Secondary => {
                self.try_secondary_status(&row, request, ZoneStatus::Active).await
            }
            Course::Withdraw(status) => self.try_withdraw(&row, request, status).await,
            Course::Return => self.try_return(&row, request).await,
        }
    }

    /// The request with the audit entry that tells of it, from the row that it is decided on.
    fn told(&self, row: &ZoneRow, request: &Departure, (wanted, course): (Move, Course)) -> Departure {
        let after = match course {
            Course::Stay => return request.clone(),
            Course::Row(status) | Course::Withdraw(status) => status,
            Course::Return => ZoneStatus::Active,
        };
        let Departure { access, actor, request, audit: _ } = request.clone();
        let values = (json!({ "status": row.status }), json!({ "status": after }));
        let (resource, now) = (zone_resource(row.id, &row.name), self.clock.now());
        let entry = entries::entry(&actor, &request, Some(row.tenant), wanted.action(), resource, values, now);
        Departure { access, actor, request, audit: vec![entry] }
    }

    /// Where nothing changes at PowerDNS one transaction is all.
    async fn try_move_row(&self, row: &ZoneRow, request: &Departure, status: ZoneStatus) -> Result<Step<()>> {
        let usual = self.platform.settings().await?.terms.quotas;
        let moved = within_write(async {
            let mut tx = self.db.begin().await?;
            // the tenant before the zone, as everywhere
            if row.status == ZoneStatus::Deleted && !quotas::has_room_for_zone(&mut tx, row.tenant, usual).await? {
                return Ok(Moved::NoRoom);
            }
            let unmoved = zones::lock(&mut tx, row.id).await?.is_some_and(|locked| is_unmoved(row, &locked));
            if !unmoved || intents::exists_for_zone(&mut tx, row.id).await? {
                return Ok(Moved::Not);
            }
            zones::set_status(&mut tx, row, status, self.clock.now()).await?;
            zones::touch(&mut tx, row.id, ChangeId::new()).await?;
            audit::append(&mut tx, None, &request.audit).await?;
            tx.commit().await?;
            Ok(Moved::Done)
        });
        match moved.await? {
            Moved::Done => Ok(Step::Done(())),
            Moved::Not => Ok(Step::Again),
            Moved::NoRoom => Err(quotas::no_room_for_zone(&self.db, row.tenant, usual).await),
        }
    }

    async fn try_withdraw(&self, row: &ZoneRow, request: &Departure, status: ZoneStatus) -> Result<Step<()>> {
        // at once: while this is found out, writers go on and move the zone
        let (served, is_below_anothers) = tokio::join!(self.read_served(row), self.is_below_anothers(row));
        let (content, live) = served?;
        let (changes, emptied) = if is_below_anothers? {
            let (changes, is_partial) = emptying::part(emptying::emptying(&content));
            (changes, Some(Emptied { disabled: emptying::own_disabled(&content), is_partial }))
        } else {
            (vec![soa_switched(&content, true)?], None)
        };
        let is_partial = emptied.as_ref().is_some_and(|emptied| emptied.is_partial);
        // what is emptied shows as it was; the SOA does not, so the history tells it
        let told = if emptied.is_none() { changes.clone() } else { Vec::new() };
        let mut payload = self.status_payload(row, request, Kind::SetStatus { status, emptied }, (&content, told));
        take_before(&mut payload, live);
        let step = self.run_switch(row, content, changes, payload).await?;
        // once more around: what did not fit into the first PATCH is still served
        Ok(if is_partial && matches!(step, Step::Done(())) { Step::Again } else { step })
    }

    async fn try_return(&self, row: &ZoneRow, request: &Departure) -> Result<Step<()>> {
        self.check_delegation(&row.name).await?;
        let (emptied, served) = tokio::join!(within(emptied_zones::find(&self.db, row.id)), self.read_served(row));
        let (emptied, (content, live)) = (emptied?, served?);
        let kind = Kind::SetStatus { status: ZoneStatus::Active, emptied: None };
        let Some(emptied) = emptied else {
            let change = soa_switched(&content, false)?;
            let mut payload = self.status_payload(row, request, kind, (&content, vec![change.clone()]));
            take_before(&mut payload, live);
            return self.run_switch(row, content, vec![change], payload).await;
        };
        let (changes, is_partial) = emptying::part(emptying::filling(&content, &emptied.disabled));
        if is_partial {
            let payload = self.switch_payload(row, true, (&content, live));
            self.run_switch(row, content, changes, payload).await?;
            return Ok(Step::Again);
        }
        let mut payload = self.status_payload(row, request, kind, (&content, Vec::new()));
        take_before(&mut payload, live);
        self.run_switch(row, content, changes, payload).await
    }

    /// Disables what is left enabled in a withdrawn zone that was emptied in parts.
    async fn try_switch(&self, row: ZoneRow) -> Result<Step<()>> {
        if !matches!(row.status, ZoneStatus::Inactive | ZoneStatus::Deleted) || row.is_kept_here() {
            return Ok(Step::Done(()));
        }
        let emptied = within(emptied_zones::find(&self.db, row.id)).await?;
        if emptied.is_none_or(|emptied| !emptied.is_partial) {
            return Ok(Step::Done(()));
        }
        let (content, live) = self.read_served(&row).await?;
        let (changes, is_partial) = emptying::part(emptying::emptying(&content));
        let payload = self.switch_payload(&row, is_partial, (&content, live));
        let step = self.run_switch(&row, content, changes, payload).await?;
        Ok(if is_partial { Step::Again } else { step })
    }

    /// Sends the changes under the zone's lock, and settles.
    async fn run_switch(
        &self,
        row: &ZoneRow,
        mut content: ZoneContent,
        changes: Vec<RrsetChange>,
        mut payload: Payload,
    ) -> Result<Step<()>> {
        for RrsetChange { key, before: _, after } in &changes {
            content.set(key.clone(), after.clone());
        }
        // without an SOA nothing can be rectified; with it, its name takes its place in the chain again
        let has_soa = content.get(&soa_key(row)).is_some_and(Rrset::is_enabled);
        payload.rectify = rectify::needed(&content, &changes) || (has_soa && row.needs_rectified_writes());
        let Some(held) = self.intend(row, payload_change(&payload), &payload).await? else { return Ok(Step::Again) };
        let patch = protocol::write(&row.name, held.intent.change, &changes);
        let sent = self.send(row, &held, &patch, payload.rectify).await.sent;
        self.conclude(row, &held.intent, &payload, sent).await
    }

    /// The zone as PowerDNS has it, disabled records as they stand there.
    async fn read_served(&self, row: &ZoneRow) -> Result<(ZoneContent, LiveState)> {
        let ZoneState { content, live } = store::read_as_served(&self.db, &self.pdns, row).await?;
        let live = live.ok_or_else(|| Error::Internal(format!("the zone {} is not at PowerDNS", row.name)))?;
        Ok((content, live))
    }

    /// Whether the nearest zone around this one that is served here is another tenant's.
    async fn is_below_anothers(&self, row: &ZoneRow) -> Result<bool> {
        let around = within(live_names::live_at_or_above(&self.db, &row.name)).await?;
        let active = ZoneStatus::Active.as_str();
        let parent = around.iter().find(|zone| zone.name != row.name.as_str() && zone.status == active);
        Ok(parent.is_some_and(|parent| parent.tenant_id != row.tenant.0))
    }

    fn status_payload(
        &self,
        row: &ZoneRow,
        request: &Departure,
        kind: Kind,
        (content, changes): (&ZoneContent, Vec<RrsetChange>),
    ) -> Payload {
        let mut payload = self.empty_payload(row, kind);
        payload.record_count = count(content);
        payload.audit = request.audit.clone();
        payload.entries = vec![Entry {
            change: ChangeId::new(),
            actor: request.actor.clone(),
            request: request.request.clone(),
            changes,
        }];
        payload
    }

    fn switch_payload(&self, row: &ZoneRow, is_partial: bool, (content, live): (&ZoneContent, LiveState)) -> Payload {
        let mut payload = self.empty_payload(row, Kind::Switch { is_partial });
        payload.record_count = count(content);
        take_before(&mut payload, live);
        payload
    }
}

fn soa_key(row: &ZoneRow) -> RrsetKey {
    RrsetKey { name: OwnerName::apex(&row.name), record_type: RecordType::Soa }
}

fn soa_switched(content: &ZoneContent, disabled: bool) -> Result<RrsetChange> {
    life::switch_soa(content, disabled).ok_or_else(|| Error::pdns("the zone has no SOA"))
}
