//! What a large import is to change, in the parts that it is written in. A part is marked as done in the transaction that
//! settles its batch, so that what is left to be done stands here, whatever is killed and when.

use sqlx::mysql::MySqlRow;
use sqlx::{FromRow, MySql, MySqlExecutor, Row, Transaction};

use crate::ids::{ChangeId, JobId};

use super::{Db, Result};

/// How many records come, change and go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub created: u64,
    pub updated: u64,
    pub deleted: u64,
}

/// A part to be kept.
#[derive(Clone, Debug)]
pub struct NewPart {
    /// RRsets before and after, as JSON.
    pub changes: String,
    pub rrsets: u32,
    pub tally: Tally,
}

/// A part that is to be written.
#[derive(Clone, Debug, FromRow)]
pub struct OpenPart {
    pub part: u32,
    pub changes: String,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub parts: u64,
    pub parts_done: u64,
    pub rrsets: u64,
    pub rrsets_done: u64,
    /// Of all parts.
    pub wanted: Tally,
    /// Of those that were written for the job.
    pub written: Tally,
}

/// Keeps a part. Before there is the job nobody looks at it.
pub async fn insert(db: &Db, (job, number): (JobId, u32), part: &NewPart) -> Result<()> {
    let NewPart { changes, rrsets, tally: Tally { created, updated, deleted } } = part;
    sqlx::query(
        "INSERT INTO import_parts (job_id, part, changes, rrsets, created, updated, deleted, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, NOW(6))",
    )
    .bind(job.0)
    .bind(number)
    .bind(changes)
    .bind(rrsets)
    .bind(created)
    .bind(updated)
    .bind(deleted)
    .execute(db.pool())
    .await?;
    Ok(())
}

/// The first part that is not done.
pub async fn next(db: &Db, job: JobId) -> Result<Option<OpenPart>> {
    let sql = "SELECT part, changes FROM import_parts WHERE job_id = ? AND NOT done ORDER BY part LIMIT 1";
    Ok(sqlx::query_as(sql).bind(job.0).fetch_optional(db.pool()).await?)
}

/// The part was written by this batch, which is being settled.
pub async fn settle(tx: &mut Transaction<'_, MySql>, (job, part): (JobId, u32), batch: ChangeId) -> Result<()> {
    sqlx::query("UPDATE import_parts SET done = TRUE, change_id = ? WHERE job_id = ? AND part = ?")
        .bind(batch.0)
        .bind(job.0)
        .bind(part)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The part stands in the zone without having been written for the job.
pub async fn mark_standing(db: &Db, (job, part): (JobId, u32)) -> Result<()> {
    sqlx::query("UPDATE import_parts SET done = TRUE WHERE job_id = ? AND part = ?")
        .bind(job.0)
        .bind(part)
        .execute(db.pool())
        .await?;
    Ok(())
}

/// Of a job. In a transaction that has locked the zone's row no part is settled meanwhile.
pub async fn progress<'c>(connection: impl MySqlExecutor<'c>, job: JobId) -> Result<Progress> {
    const SQL: &str = "SELECT CAST(COUNT(*) AS UNSIGNED) AS parts, CAST(COALESCE(SUM(done), 0) AS UNSIGNED) AS parts_done, \
         CAST(COALESCE(SUM(rrsets), 0) AS UNSIGNED) AS rrsets, \
         CAST(COALESCE(SUM(IF(done, rrsets, 0)), 0) AS UNSIGNED) AS rrsets_done, \
         CAST(COALESCE(SUM(created), 0) AS UNSIGNED) AS created, \
         CAST(COALESCE(SUM(updated), 0) AS UNSIGNED) AS updated, \
         CAST(COALESCE(SUM(deleted), 0) AS UNSIGNED) AS deleted, \
         CAST(COALESCE(SUM(IF(change_id IS NULL, 0, created)), 0) AS UNSIGNED) AS created_done, \
         CAST(COALESCE(SUM(IF(change_id IS NULL, 0, updated)), 0) AS UNSIGNED) AS updated_done, \
         CAST(COALESCE(SUM(IF(change_id IS NULL, 0, deleted)), 0) AS UNSIGNED) AS deleted_done \
         FROM import_parts WHERE job_id = ?";
    Ok(sqlx::query_as(SQL).bind(job.0).fetch_one(connection).await?)
}

impl FromRow<'_, MySqlRow> for Progress {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        Ok(Self {
            parts: row.try_get("parts")?,
            parts_done: row.try_get("parts_done")?,
            rrsets: row.try_get("rrsets")?,
            rrsets_done: row.try_get("rrsets_done")?,
            wanted: Tally {
                created: row.try_get("created")?,
                updated: row.try_get("updated")?,
                deleted: row.try_get("deleted")?,
            },
            written: Tally {
                created: row.try_get("created_done")?,
                updated: row.try_get("updated_done")?,
                deleted: row.try_get("deleted_done")?,
            },
        })
    }
}

/// Removes what no job works on, in bounded steps: the parts of one that is over, or was never made.
pub async fn sweep(db: &Db) -> Result<u64> {
    const MADE_AND_NOT_USED: u32 = 10; // minutes: a job is made within seconds of its parts
    const PARTS_PER_STEP: u32 = 20; // up to some MB each
    let sql = "SELECT p.job_id FROM import_parts p LEFT JOIN jobs j ON j.id = p.job_id AND j.look_at IS NOT NULL \
               WHERE j.id IS NULL AND p.created_at < NOW(6) - INTERVAL ? MINUTE LIMIT 1";
    let found: Option<uuid::Uuid> = sqlx::query_scalar(sql).bind(MADE_AND_NOT_USED).fetch_optional(db.pool()).await?;
    let Some(job) = found else { return Ok(0) };
    let query = sqlx::query("DELETE FROM import_parts WHERE job_id = ? ORDER BY part LIMIT ?");
    Ok(query.bind(job).bind(PARTS_PER_STEP).execute(db.pool()).await?.rows_affected())
}

/// Removes the parts of a job that was not made after all.
pub async fn clear(db: &Db, job: JobId) -> Result<()> {
    sqlx::query("DELETE FROM import_parts WHERE job_id = ?").bind(job.0).execute(db.pool()).await?;
    Ok(())
}

#[cfg(all(test, feature = "dev"))]
mod tests {
    use super::*;
    use crate::storage::testing;

    fn part(created: u64) -> NewPart {
        NewPart { changes: format!("[{created}]"), rrsets: 2, tally: Tally { created, ..Tally::default() } }
    }

    #[tokio::test]
    async fn what_is_left_is_what_no_settled_batch_and_nobody_has_marked() {
        let db = testing::database().await;
        let job = JobId::new();
        for (number, created) in [1, 10, 100].into_iter().enumerate() {
            insert(&db, (job, number as u32), &part(created)).await.expect("kept");
        }
        assert_eq!(next(&db, job).await.expect("read").map(|next| (next.part, next.changes)), Some((0, "[1]".into())));
        let mut tx = db.begin().await.expect("begins");
        settle(&mut tx, (job, 0), ChangeId::new()).await.expect("marked");
        drop(tx);
        assert_eq!(next(&db, job).await.expect("read").map(|next| next.part), Some(0), "not settled, not marked");
        let mut tx = db.begin().await.expect("begins");
        settle(&mut tx, (job, 0), ChangeId::new()).await.expect("marked");
        tx.commit().await.expect("commits");
        mark_standing(&db, (job, 1)).await.expect("marked");
        assert_eq!(next(&db, job).await.expect("read").map(|next| next.part), Some(2));
        let progress = progress(db.pool(), job).await.expect("read");
        assert_eq!((progress.parts, progress.parts_done, progress.rrsets, progress.rrsets_done), (3, 2, 6, 4));
        assert_eq!((progress.wanted.created, progress.written.created), (111, 1), "written for the job: the first");
    }

    #[tokio::test]
    async fn parts_without_a_job_that_works_on_them_are_swept_after_a_while() {
        let db = testing::database().await;
        let job = JobId::new();
        insert(&db, (job, 0), &part(1)).await.expect("kept");
        insert(&db, (job, 1), &part(2)).await.expect("kept");
        assert_eq!(sweep(&db).await.expect("swept"), 0, "their job may be about to be made");
        let old = "UPDATE import_parts SET created_at = NOW(6) - INTERVAL 1 HOUR";
        sqlx::query(old).execute(db.pool()).await.expect("moved");
        assert_eq!(sweep(&db).await.expect("swept"), 2);
        assert_eq!(sweep(&db).await.expect("swept"), 0);
    }
}
