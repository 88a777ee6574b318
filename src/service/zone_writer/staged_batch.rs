//! A batch for a zone that is not live: its content stands in MariaDB, so that one transaction is intent and settle.

use crate::ids::ChangeId;
use crate::storage::record_ids;
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{StorageError, audit, history, idempotency, import_parts, intents, staged, within, within_write};

use super::super::idempotency::{MARK_LOST, mark_lost};
use super::batch::{Answers, Batch, Round, answer_unknown};
use super::change::is_unmoved;
use super::decide::net;
use super::payload::{IdRow, Payload};
use super::settle::new_changes;

impl Batch<'_> {
    /// A zone that is not live: one MariaDB transaction is intent and settle together.
    pub(super) async fn write_staged(
        &mut self,
        row: &ZoneRow,
        payload: &Payload,
        answers: Answers,
        now: time::OffsetDateTime,
    ) -> Round {
        let Some(batch) = payload.entries.first().map(|entry| entry.change) else {
            return Round::Done { wanted: false };
        };
        match within_write(self.commit_staged(row, payload, batch, now)).await {
            Ok(Some(wanted)) => {
                answers.send();
                Round::Done { wanted }
            }
            Ok(None) | Err(StorageError::Deadlock(_)) => {
                self.requests = answers.take_back();
                Round::Again
            }
            Err(StorageError::Unavailable(why)) => {
                tracing::warn!(zone = %row.name, %batch, why, "the outcome of a staged change is unknown");
                match within(history::exists(&self.inner.db, batch)).await {
                    Ok(true) => answers.send(),
                    Ok(false) | Err(_) => answer_unknown(answers),
                }
                Round::Done { wanted: false }
            }
            Err(error) if error.is_duplicate_of(MARK_LOST) => {
                self.requests = answers.take_back();
                Round::MarkLost
            }
            Err(error) => {
                self.requests = answers.take_back();
                Round::Failed(error.into())
            }
        }
    }

    /// Whether somebody waits for the zone, as a check that puts it live does. None: it moved since it was read.
    async fn commit_staged(
        &self,
        row: &ZoneRow,
        payload: &Payload,
        batch: ChangeId,
        now: time::OffsetDateTime,
    ) -> crate::storage::Result<Option<bool>> {
        let mut tx = self.inner.db.begin().await?;
        if !idempotency::bind_steps(&mut tx, &payload.steps, batch).await? {
            return Err(mark_lost());
        }
        let unmoved = zones::lock(&mut tx, row.id).await?.is_some_and(|locked| is_unmoved(row, &locked));
        if !unmoved || intents::exists_for_zone(&mut tx, row.id).await? {
            return Ok(None);
        }
        let wanted = zones::is_wanted(&mut tx, row.id).await?;
        staged::apply(&mut tx, row.id, &net(&payload.entries)).await?;
        let reference = history::BatchRef {
            id: batch,
            zone: row.id,
            tenant: row.tenant,
            revision: row.revision,
            serial: None,
            now,
        };
        history::append(&mut tx, &reference, &new_changes(&payload.entries)?).await?;
        audit::append(&mut tx, Some(batch), &payload.audit).await?;
        let put: Vec<_> = payload.ids_put.iter().filter_map(IdRow::to_row).collect();
        record_ids::replace(&mut tx, row.id, &payload.ids_removed, &put).await?;
        let progress = zones::Progress {
            revisions: payload.entries.len() as u64,
            serial: None,
            last_change: batch,
            record_count: payload.record_count,
            drift: false,
            now,
        };
        zones::advance(&mut tx, row.id, &progress).await?;
        if let Some(part) = payload.part {
            import_parts::settle(&mut tx, part.key(), batch).await?;
        }
        tx.commit().await?;
        Ok(Some(wanted))
    }
}
