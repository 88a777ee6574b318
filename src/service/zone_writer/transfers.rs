//! Zone transfers: what PowerDNS is to know of a zone's own secondaries, and zones that are secondaries themselves.
//!
//! Each is an intent of its kind under the zone's lock. None of their calls ([`super::calls`]) is a guarded PATCH, and all
//! may be repeated, so recovery repeats them: what was begun is done, whoever dies over it. What of an earlier call lands
//! late says the same.

use serde_json::{Value, json};

use crate::authz::{Visibility, ZoneAccess};
use crate::dns::ZoneContent;
use crate::ids::ChangeId;
use crate::pdns::DeleteAnswer;
use crate::storage::audit::AuditEntry;
use crate::storage::secondary_zones::{self, Source, SourceChange};
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{audit, intents, live_names, tsig_keys, within, within_write};
use crate::tenancy::ZoneStatus;

use super::super::audit as entries;
use super::super::context::{ActorRecord, RequestInfo};
use super::super::zones::zone_resource;
use super::super::{Error, Result};
use super::calls::{Incoming, Outgoing};
use super::change::{Held, is_unmoved};
use super::life::Sent;
use super::payload::Kind;
use super::transition::{Departure, GoLive, Step, claimed, in_a_task};
use super::{Inner, ZoneWriter};

/// Another source of a secondary zone than before.
#[derive(Clone, Debug)]
pub struct IncomingChange {
    pub access: ZoneAccess,
    pub actor: ActorRecord,
    pub request: RequestInfo,
    pub change: SourceChange,
}

/// Other secondaries of a zone than before.
#[derive(Clone, Debug)]
pub struct OutgoingChange {
    pub access: ZoneAccess,
    pub actor: ActorRecord,
    pub request: RequestInfo,
    /// The zone's settings as they are to be, with what they mean for PowerDNS.
    pub settings: Value,
    pub outgoing: Outgoing,
}

/// What came of noting another source.
enum Noted {
    Done,
    /// The zone is locked or moved.
    Moved,
    KeyGone,
}

impl ZoneWriter {
    /// Lets others transfer a zone, and tells them of changes; the settings that say so with it. Safe to repeat.
    pub async fn set_outgoing(&self, request: OutgoingChange) -> Result<()> {
        let inner = self.inner.clone();
        in_a_task(async move {
            let zone = request.access.zone().id;
            inner.until_done(zone, |row| inner.try_set_outgoing(row, &request)).await
        })
        .await
    }
}

impl ZoneWriter {
    /// Has a secondary zone's content come from elsewhere. Safe to repeat.
    pub async fn set_incoming(&self, request: IncomingChange) -> Result<()> {
        let inner = self.inner.clone();
        in_a_task(async move {
            let zone = request.access.zone().id;
            inner.until_done(zone, |row| inner.try_set_incoming(row, &request)).await
        })
        .await
    }
}

impl Inner {
    async fn try_set_incoming(&self, row: ZoneRow, request: &IncomingChange) -> Result<Step<()>> {
        if row.status != ZoneStatus::Active {
            return self.note_incoming(&row, request).await;
        }
        // read after the row: every change of it moves the row, so that the lock is had only if this still stands
        let before = within(secondary_zones::find(&self.db, row.id)).await?.ok_or_else(|| no_masters(&row))?;
        let source = request.change.of(&before);
        if source == before {
            return Ok(Step::Done(()));
        }
        let incoming = self.as_told(source.clone()).await?;
        let audit = vec![self.source_entry(&row, request, (&before, &source))];
        let kind = Kind::Masters { source, incoming: incoming.clone() };
        let mut payload = self.empty_payload(&row, kind);
        payload.audit = audit;
        let Some(held) = self.intend(&row, ChangeId::new(), &payload).await? else { return Ok(Step::Again) };
        let sent = match incoming.change(&self.pdns, row.name.as_str(), held.time).await {
            Ok(()) => Sent::Applied { serial: Some(row.serial.unwrap_or(0)) },
            Err(broken) => broken.into(),
        };
        self.conclude(&row, &held.intent, &payload, sent).await
    }

    /// A secondary zone that is not served is not at PowerDNS either.
    async fn note_incoming(&self, row: &ZoneRow, request: &IncomingChange) -> Result<Step<()>> {
        let noted = within_write(async {
            let mut tx = self.db.begin().await?;
            let unmoved = zones::lock(&mut tx, row.id).await?.is_some_and(|locked| is_unmoved(row, &locked));
            if !unmoved || intents::exists_for_zone(&mut tx, row.id).await? {
                return Ok(Noted::Moved);
            }
            let Some(before) = secondary_zones::find_within(&mut *tx, row.id).await? else { return Ok(Noted::Moved) };
            let source = request.change.of(&before);
            if let Some(key) = source.tsig_key
                && tsig_keys::lock(&mut tx, row.tenant, key).await?.is_none()
            {
                return Ok(Noted::KeyGone);
            }
            if source == before {
                return Ok(Noted::Done);
            }
            secondary_zones::update(&mut tx, row.id, &source).await?;
            // a step that has read the source before is void
            zones::touch(&mut tx, row.id, ChangeId::new()).await?;
            audit::append(&mut tx, None, &[self.source_entry(row, request, (&before, &source))]).await?;
            tx.commit().await?;
            Ok(Noted::Done)
        });
        match noted.await? {
            Noted::Done => Ok(Step::Done(())),
            Noted::Moved => Ok(Step::Again),
            Noted::KeyGone => Err(Error::NotFound("TSIG key")),
        }
    }

    fn source_entry(&self, row: &ZoneRow, by: &IncomingChange, (before, after): (&Source, &Source)) -> AuditEntry {
        let shown = |source: &Source| json!({ "masters": source.masters, "tsig_key_id": source.tsig_key });
        self.update_entry(row, (&by.actor, &by.request), (shown(before), shown(after)))
    }

    fn update_entry(
        &self,
        row: &ZoneRow,
        (actor, request): (&ActorRecord, &RequestInfo),
        values: (Value, Value),
    ) -> AuditEntry {
        let resource = zone_resource(row.id, &row.name);
        entries::entry(actor, request, Some(row.tenant), "domain.update", resource, values, self.clock.now())
    }

    async fn try_set_outgoing(&self, row: ZoneRow, request: &OutgoingChange) -> Result<Step<()>> {
        let OutgoingChange { access: _, actor, request, settings, outgoing } = request;
        if row.is_kept_here() {
            // by now the name may be another tenant's
            return Err(Error::conflict("domain_pending", "Transfers can be set once the domain is validated"));
        }
        let kind = Kind::Outgoing { settings: settings.clone(), outgoing: outgoing.clone() };
        let mut payload = self.empty_payload(&row, kind);
        let values = (json!({ "settings": row.settings }), json!({ "settings": settings }));
        payload.audit = vec![self.update_entry(&row, (actor, request), values)];
        let Some(held) = self.intend(&row, ChangeId::new(), &payload).await? else { return Ok(Step::Again) };
        let sent = match outgoing.put(&self.pdns, row.name.as_str(), held.time).await {
            Ok(()) => Sent::Applied { serial: Some(row.serial.unwrap_or(0)) },
            Err(broken) => broken.into(),
        };
        self.conclude(&row, &held.intent, &payload, sent).await
    }

    /// Where the content comes from, as PowerDNS is told.
    async fn incoming(&self, row: &ZoneRow) -> Result<Incoming> {
        let source = within(secondary_zones::find(&self.db, row.id)).await?;
        self.as_told(source.ok_or_else(|| no_masters(row))?).await
    }

    async fn as_told(&self, source: Source) -> Result<Incoming> {
        let Source { masters, tsig_key } = source;
        let tsig_key = match tsig_key {
            Some(id) => {
                let key = within(tsig_keys::find(&self.db, &Visibility::system(), id)).await?;
                Some(key.ok_or(Error::NotFound("TSIG key"))?.key_name)
            }
            None => None,
        };
        Ok(Incoming { masters, tsig_key })
    }

    /// Nothing of this is guarded, so recovery must not take to its end what was never looked at: the intent says whether
    /// the looks under the lock were passed, and before it does nothing is sent.
    pub(super) async fn try_secondary_go_live(&self, row: ZoneRow, request: &GoLive) -> Result<Step<()>> {
        let incoming = self.incoming(&row).await?;
        if within(live_names::live_of_name(&self.db, row.name.as_str())).await?.is_some() {
            return Err(claimed());
        }
        let kind =
            |may_send| Kind::SecondaryGoLive { validation: request.validation, incoming: incoming.clone(), may_send };
        let mut payload = self.payload(&row, kind(false), &ZoneContent::new(row.name.clone()), Some((request, &[])));
        let Some(mut held) = self.intend_to_go_live(&row, request, &payload).await? else { return Ok(Step::Again) };
        if let Err(error) = self.check_rest(&row.name).await {
            self.drop_intent(&held.intent, &payload, &error.to_string()).await?;
            return Err(error);
        }
        payload.kind = kind(true);
        if !self.renew(&mut held, &payload).await? {
            return Ok(Step::Again);
        }
        let sent = self.send_incoming(&row, &held, &incoming).await;
        self.conclude(&row, &held.intent, &payload, sent).await
    }

    /// A secondary zone is withdrawn by removing it from PowerDNS, since its content is another server's; returned, it is
    /// made anew and transferred.
    pub(super) async fn try_secondary_status(
        &self,
        row: &ZoneRow,
        request: &Departure,
        status: ZoneStatus,
    ) -> Result<Step<()>> {
        let incoming = self.incoming(row).await?;
        let is_return = status == ZoneStatus::Active;
        if is_return {
            self.check_rest(&row.name).await?;
        }
        let kind = Kind::SecondaryStatus { status, incoming: incoming.clone() };
        let mut payload = self.empty_payload(row, kind);
        payload.audit = request.audit.clone();
        let Some(held) = self.intend(row, ChangeId::new(), &payload).await? else { return Ok(Step::Again) };
        let sent = if is_return {
            self.send_incoming(row, &held, &incoming).await
        } else {
            match self.delete_own(row, &held).await {
                DeleteAnswer::Gone => Sent::Applied { serial: Some(0) },
                DeleteAnswer::NotSent(why) => Sent::Unsent(why),
                DeleteAnswer::Refused(why) | DeleteAnswer::Unknown(why) => Sent::Unknown(why),
            }
        };
        self.conclude(row, &held.intent, &payload, sent).await
    }

    async fn send_incoming(&self, row: &ZoneRow, held: &Held, incoming: &Incoming) -> Sent {
        match incoming.put(&self.pdns, row.name.as_str(), row.id, held.time).await {
            Ok(true) => Sent::Applied { serial: Some(0) },
            Ok(false) => Sent::Unsent("another zone has this name".into()),
            Err(broken) => broken.into(),
        }
    }
}

fn no_masters(row: &ZoneRow) -> Error {
    Error::Internal(format!("the secondary zone {} has no masters", row.name))
}
