//! The end of a zone: its removal for good.

use crate::ids::ChangeId;
use crate::pdns::DeleteAnswer;
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{audit, intents, within, within_write};
use crate::tenancy::ZoneStatus;

use super::super::{Error, Result};
use super::Inner;
use super::change::{LATE, is_unmoved};
use super::life::Sent;
use super::payload::Kind;
use super::transition::{Departure, Step};

impl Inner {
    pub(super) async fn try_delete(&self, row: ZoneRow, request: &Departure) -> Result<Step<()>> {
        if row.status == ZoneStatus::Active {
            return Err(Error::conflict("domain_active", "The domain is served; it must be withdrawn first"));
        }
        if !row.born || self.is_anothers(&row).await? {
            return self.delete_claim(&row, request).await;
        }
        let mut payload = self.empty_payload(&row, Kind::Delete);
        payload.audit = request.audit.clone();
        let Some(held) = self.intend(&row, ChangeId::new(), &payload).await? else { return Ok(Step::Again) };
        let intent = &held.intent;
        let answer = match self.owns_at_server(&row).await {
            Ok(true) if held.is_late() => DeleteAnswer::NotSent(LATE.into()),
            Ok(true) => self.pdns.delete_zone(row.name.as_str()).await,
            Ok(false) => DeleteAnswer::Gone,
            Err(error) => DeleteAnswer::NotSent(error.to_string()),
        };
        match answer {
            DeleteAnswer::Gone => {
                let sent = Sent::Applied { serial: Some(row.serial.unwrap_or(0)) };
                self.conclude(&row, intent, &payload, sent).await
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

    /// Whether the live zone of this name is somebody else's.
    async fn is_anothers(&self, row: &ZoneRow) -> Result<bool> {
        Ok(within(zones::live_of_name(&self.db, row.name.as_str())).await?.is_some_and(|live| live != row.id))
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
