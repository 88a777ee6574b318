//! A proven claim goes live: dark creation, then one guarded PATCH with everything, the enabled SOA in it.

use crate::dns::{Rrset, RrsetChange, ZoneContent, ZoneName, rectify};
use crate::ids::ChangeId;
use crate::pdns::{DeleteAnswer, ServerZone};
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{fences, live_names, within};
use crate::tenancy::{ZoneStatus, ZoneType};

use super::super::neighbours::Neighbours;
use super::super::platform::PlatformSettings;
use super::super::{Error, Result};
use super::change::{Held, LATE};
use super::life::{self, Sent};
use super::payload::{Kind, Payload};
use super::store::{self, ZoneState};
use super::transition::{GoLive, Step, claimed, payload_change};
use super::{Inner, ZoneWriter, protocol};

impl ZoneWriter {
    /// Whether a zone of this name could go live now, as far as that can be told beforehand.
    pub async fn check_service(&self, name: &ZoneName) -> Result<()> {
        check_nameservers(&*self.inner.platform.settings().await?)?;
        self.inner.check_rest(name).await?;
        self.inner.check_delegation(name).await
    }
}

impl Inner {
    /// A DELETE without an answer may still land on the next zone of the name. The server's uptime, as it was asked for.
    pub(super) async fn check_rest(&self, name: &ZoneName) -> Result<u64> {
        let uptime = self.pdns.uptime().await?;
        if within(fences::is_resting(&self.db, name.as_str(), uptime)).await? {
            let message = "A deletion of this name has no known outcome yet; the name rests for up to an hour";
            return Err(Error::Unavailable { message: message.into(), retry_after: 60 });
        }
        Ok(uptime)
    }

    /// Below a zone that is signed here a name must be delegated there: to a validating resolver the signed zone
    /// proves that there is nothing.
    pub(super) async fn check_delegation(&self, name: &ZoneName) -> Result<()> {
        let around = within(live_names::live_at_or_above(&self.db, name)).await?;
        let active = ZoneStatus::Active.as_str();
        let Some(parent) = around.iter().find(|zone| zone.name != name.as_str() && zone.status == active) else {
            return Ok(());
        };
        let head = self.pdns.zone_head(&parent.name).await?;
        if !head.is_some_and(|head| head.dnssec) || self.pdns.is_served(&parent.name, name.as_str(), "NS").await? {
            return Ok(());
        }
        let platform = self.platform.settings().await?;
        let records: Vec<String> =
            platform.nameservers.names.iter().map(|server| format!("{name}. NS {server}.")).collect();
        let message = format!("The domain {} is signed: add to it first {}", parent.name, records.join(", "));
        Err(Error::Invalid { message, field: None, code: "delegation_missing" })
    }

    /// Whether it is live; if not, there is more to be brought to PowerDNS than one turn takes.
    pub(super) async fn try_go_live(&self, row: ZoneRow, request: &GoLive) -> Result<Step<bool>> {
        if row.status == ZoneStatus::Active {
            return Ok(Step::Done(true));
        }
        if row.status != ZoneStatus::PendingValidation {
            return Err(Error::conflict("domain_inactive", "The domain is withdrawn"));
        }
        Self::check_unheld(&row)?;
        if row.zone_type == ZoneType::Secondary {
            return Ok(self.try_secondary_go_live(row, request).await?.map(|()| true));
        }
        let platform = self.platform.fresh().await?;
        check_nameservers(&platform)?;
        self.check_delegation(&row.name).await?;
        if within(live_names::live_of_name(&self.db, row.name.as_str())).await?.is_some() {
            return Err(claimed());
        }
        let state = store::read(&self.db, &self.pdns, &row).await?;
        let retired = within(zones::retired_serial(&self.db, row.name.as_str())).await?;
        let serial = life::birth_serial(self.clock.now(), retired);
        let (content, changes) = live_content(&row, state.content, &platform, serial);
        let mut payload =
            self.payload(&row, Kind::GoLive { validation: request.validation }, &content, Some((request, &changes)));
        let everything: Vec<RrsetChange> = content
            .iter()
            .map(|(key, rrset)| RrsetChange { key: key.clone(), before: None, after: Some(rrset.clone()) })
            .collect();
        payload.rectify = rectify::needed(&content, &everything);
        let Some(held) = self.intend_to_go_live(&row, request, &payload).await? else { return Ok(Step::Again) };
        let intent = &held.intent;
        let sent = match self.ensure_dark(&row, &held, &platform, serial).await {
            Ok((dark, fences)) => {
                match self.fill_and_light(&row, &held, (&content, payload.rectify), dark, &fences).await {
                    Some(sent) => sent,
                    None => {
                        self.drop_intent(intent, &payload, "there is more than one turn takes").await?;
                        return Ok(Step::Done(false));
                    }
                }
            }
            // a POST may still land, as a dark zone that harms nobody; the next attempt goes on from there
            Err(error) => {
                self.drop_intent(intent, &payload, &error.to_string()).await?;
                return Err(error);
            }
        };
        let step = self.conclude(&row, intent, &payload, sent).await?.map(|()| true);
        if let Step::Done(true) = step
            && let Err(error) = self.note_nameservers(row.id, platform.nameservers.version).await
        {
            tracing::debug!(zone = %row.name, %error, "a new zone is looked at once more for its nameservers");
        }
        Ok(step)
    }

    /// Takes the lock under which a claim goes live. One without a proof stands back from other tenants' names near it:
    /// whether it needs a proof was decided before, and another claim may have gone live since, or be about to. Each
    /// takes its lock first and looks then, so of two at once at least one sees the other.
    pub(super) async fn intend_to_go_live(
        &self,
        row: &ZoneRow,
        request: &GoLive,
        payload: &Payload,
    ) -> Result<Option<Held>> {
        let Some(held) = self.intend(row, payload_change(payload), payload).await? else { return Ok(None) };
        if request.validation.is_some() {
            return Ok(Some(held));
        }
        let room = self.look_for_room(row).await;
        if let Ok(true) = room {
            return Ok(Some(held));
        }
        self.drop_intent(&held.intent, payload, "another tenant's domain is near").await?;
        room.map(|_| None)
    }

    /// Whether a claim without a proof may go on. False: another tenant's claim near it has not got to its end yet.
    async fn look_for_room(&self, row: &ZoneRow) -> Result<bool> {
        // in this order: what goes live between the two looks is seen by one of them
        let is_alone = !within(live_names::foreign_arriving(&self.db, &row.name, row.tenant)).await?;
        if Neighbours::of(&self.db, &row.name, row.tenant).await?.demand_proof() {
            let message = "Another tenant's domain near this name went live meanwhile: prove that it is yours";
            return Err(Error::conflict("proof_needed", message));
        }
        Ok(is_alone)
    }

    /// Makes the dark zone, or finds the one that an earlier attempt left; with it the fences that are to stay in it.
    /// The caller holds the name, so nobody else makes or removes a zone of it now; what may land late is a DELETE of
    /// unknown outcome, for which the name rests.
    async fn ensure_dark(
        &self,
        row: &ZoneRow,
        held: &Held,
        platform: &PlatformSettings,
        serial: u32,
    ) -> Result<(ServerZone, Vec<ChangeId>)> {
        const ATTEMPTS: u32 = 3; // a foreign dark zone is removed once, then ours is made
        let zone = row.name.as_str();
        let uptime = self.check_rest(&row.name).await?;
        let fences = within(fences::of_name(&self.db, zone)).await?;
        for _ in 0..ATTEMPTS {
            let creation = life::dark_zone(&row.name, row.id, platform, &fences, serial);
            let created = self.pdns.create_zone(&creation).await?;
            let Some(server) = self.pdns.zone(zone, row.record_count).await? else { continue };
            if server.account == row.id.to_string() {
                return Ok((server, fences));
            }
            if created || !life::is_dark(&row.name, &server) {
                tracing::error!(zone, account = %server.account, "PowerDNS serves a zone of this name that is not ours");
                return Err(Error::conflict("domain_claimed", "This name is already served here"));
            }
            // an orphan of a claim that never went live
            within(fences::rest(&self.db, zone, uptime)).await?;
            // a DELETE cannot be guarded: one that left after its lock was lost could hit the next owner's zone
            if held.is_late() {
                return Err(Error::pdns(LATE));
            }
            match self.pdns.delete_zone(zone).await {
                DeleteAnswer::Gone => within(fences::end_rest(&self.db, zone)).await?,
                other => return Err(Error::pdns(&format!("an orphan zone could not be removed: {other:?}"))),
            }
        }
        Err(Error::pdns("the zone could not be made"))
    }

    /// Brings a dark zone to the wanted content. What does not fit into one PATCH goes ahead while the zone is dark,
    /// under the same guard; the last PATCH has the SOA, and is the one that counts. None: the lock's time is over
    /// before that one, and another turn goes on from what is there.
    async fn fill_and_light(
        &self,
        row: &ZoneRow,
        held: &Held,
        (content, rectify): (&ZoneContent, bool),
        dark: ServerZone,
        fences: &[ChangeId],
    ) -> Option<Sent> {
        let change = held.intent.change;
        let forgotten = protocol::forgotten_fences(&row.name, &dark, fences);
        let ZoneState { content: there, live } = store::from_server(&row.name, dark);
        let marker = live.and_then(|live| live.marker).unwrap_or_else(|| protocol::MARKER_BORN.to_owned());
        let (parts, last) = life::filling(&there, content);
        for part in &parts {
            if held.is_late() {
                return None;
            }
            let patch = protocol::write_dark(&row.name, change, &marker, part);
            match self.send(row, held, &patch, false).await.sent {
                Sent::Applied { .. } => {}
                other => return Some(other),
            }
        }
        if held.is_late() {
            return None;
        }
        let mut patch = protocol::write(&row.name, change, &last);
        patch.extend(forgotten);
        Some(self.send(row, held, &patch, rectify).await.sent)
    }
}

/// The staged records with the platform's SOA and nameservers, beside those that the tenant brought.
fn live_content(
    row: &ZoneRow,
    mut content: ZoneContent,
    platform: &PlatformSettings,
    serial: u32,
) -> (ZoneContent, Vec<RrsetChange>) {
    let mut changes = Vec::new();
    for (key, platform) in life::platform_rrsets(&row.name, platform, serial) {
        let before = content.get(&key).cloned();
        let mut after = before.clone().unwrap_or_else(|| Rrset { ttl: platform.ttl, records: Vec::new() });
        after.records.retain(|record| !platform.records.iter().any(|ours| ours.content == record.content));
        after.records.extend(platform.records);
        content.set(key.clone(), Some(after));
        let after = content.get(&key).cloned();
        changes.push(RrsetChange { key, before, after });
    }
    (content, changes)
}

fn check_nameservers(platform: &PlatformSettings) -> Result<()> {
    if platform.nameservers.names.is_empty() {
        return Err(Error::unavailable("This platform has no nameservers yet; its operator must set NAMESERVERS"));
    }
    Ok(())
}
