//! Keys by which clients repeat requests: which request holds one, which changes of zones it has made, and what was
//! answered.
//!
//! A key's row says who runs under it; it dies with its deadline. A step is written in the transaction of the intent
//! that carries it out, under the key's lock: so a request that was taken for dead and is not can no longer write.

use sqlx::mysql::MySqlRow;
use sqlx::{FromRow, MySql, Row, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ids::ChangeId;

use super::{Db, Result, datetime};

/// How long a request holds its key without renewing it: what died is repeated after this.
pub const MARK_SECONDS: u32 = 15;
/// How long an answer is given again.
const KEEP_HOURS: u32 = 24; // contract

/// A key as one caller sent it, and what it was sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyDigest {
    pub key: [u8; 32],
    pub fingerprint: [u8; 32],
}

/// An answer that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    pub status: u16,
    /// As JSON.
    pub headers: String,
    pub body: Vec<u8>,
    /// As JSON: what had to be allowed.
    pub decisions: String,
}

/// What became of the wish to run under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The caller runs.
    Ours {
        /// Somebody ran before and left no answer; changes may have been made.
        resumed: bool,
        /// When the first of them began.
        since: OffsetDateTime,
    },
    Running,
    Done(StoredAnswer),
    /// The key was used for something else.
    Reused,
}

struct KeyRow {
    fingerprint: Vec<u8>,
    run: Uuid,
    is_overdue: bool,
    is_forgotten: bool,
    since: OffsetDateTime,
    answer: Option<StoredAnswer>,
}

impl FromRow<'_, MySqlRow> for KeyRow {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        let status: Option<u16> = row.try_get("status")?;
        let answer = match status {
            Some(status) => Some(StoredAnswer {
                status,
                headers: row.try_get("headers")?,
                body: row.try_get("body")?,
                decisions: row.try_get("decisions")?,
            }),
            None => None,
        };
        Ok(Self {
            fingerprint: row.try_get("fingerprint")?,
            run: row.try_get("run")?,
            is_overdue: row.try_get::<i64, _>("is_overdue")? == 1,
            is_forgotten: row.try_get::<i64, _>("is_forgotten")? == 1,
            since: row.try_get("created_at")?,
            answer,
        })
    }
}

/// Takes a key for `run`, unless somebody else has it or had it.
pub async fn take(db: &Db, key: &KeyDigest, run: Uuid, now: OffsetDateTime) -> Result<Taken> {
    const ATTEMPTS: u32 = 3; // the row may be swept in between
    for _ in 0..ATTEMPTS {
        match insert(db, key, run, now).await {
            Ok(()) => return Ok(Taken::Ours { resumed: false, since: now }),
            Err(error) if error.is_duplicate_of("PRIMARY") => {}
            Err(error) => return Err(error),
        }
        let Some(row) = find(db, key).await? else { continue };
        let is_ended = row.answer.is_some() || row.is_overdue;
        if row.is_forgotten && is_ended {
            forget(db, key, row.run).await?;
            continue;
        }
        if row.fingerprint != key.fingerprint {
            return Ok(Taken::Reused);
        }
        if let Some(answer) = row.answer {
            return Ok(Taken::Done(answer));
        }
        let taken = row.is_overdue && take_over(db, key, row.run, run).await?;
        return Ok(if taken { Taken::Ours { resumed: true, since: row.since } } else { Taken::Running });
    }
    Ok(Taken::Running)
}

async fn insert(db: &Db, key: &KeyDigest, run: Uuid, now: OffsetDateTime) -> Result<()> {
    sqlx::query(
        "INSERT INTO idempotency_keys (digest, fingerprint, run, deadline, created_at) \
         VALUES (?, ?, ?, NOW(6) + INTERVAL ? SECOND, ?)",
    )
    .bind(&key.key[..])
    .bind(&key.fingerprint[..])
    .bind(run)
    .bind(MARK_SECONDS)
    .bind(datetime(now))
    .execute(db.pool())
    .await?;
    Ok(())
}

async fn find(db: &Db, key: &KeyDigest) -> Result<Option<KeyRow>> {
    let sql = "SELECT fingerprint, run, deadline < NOW(6) AS is_overdue, \
               created_at < NOW(6) - INTERVAL ? HOUR AS is_forgotten, created_at, status, headers, body, decisions \
               FROM idempotency_keys WHERE digest = ?";
    Ok(sqlx::query_as(sql).bind(KEEP_HOURS).bind(&key.key[..]).fetch_optional(db.pool()).await?)
}

async fn take_over(db: &Db, key: &KeyDigest, from: Uuid, to: Uuid) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE idempotency_keys SET run = ?, deadline = NOW(6) + INTERVAL ? SECOND \
         WHERE digest = ? AND run = ? AND status IS NULL AND deadline < NOW(6)",
    )
    .bind(to)
    .bind(MARK_SECONDS)
    .bind(&key.key[..])
    .bind(from)
    .execute(db.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A key whose time is over may be used anew, for anything.
async fn forget(db: &Db, key: &KeyDigest, run: Uuid) -> Result<()> {
    let mut tx = db.begin().await?;
    let gone = sqlx::query("DELETE FROM idempotency_keys WHERE digest = ? AND run = ?")
        .bind(&key.key[..])
        .bind(run)
        .execute(&mut *tx)
        .await?;
    if gone.rows_affected() == 1 {
        sqlx::query("DELETE FROM idempotency_steps WHERE digest = ?").bind(&key.key[..]).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Says that the request still runs. False: somebody has taken over.
pub async fn renew(db: &Db, key: &[u8; 32], run: Uuid) -> Result<bool> {
    let sql = "UPDATE idempotency_keys SET deadline = NOW(6) + INTERVAL ? SECOND WHERE digest = ? AND run = ?";
    let done = sqlx::query(sql).bind(MARK_SECONDS).bind(&key[..]).bind(run).execute(db.pool()).await?;
    Ok(done.rows_affected() == 1)
}

/// Ends without an answer that counts: the next request under the key goes on at once.
pub async fn release(db: &Db, key: &[u8; 32], run: Uuid) -> Result<()> {
    let sql = "UPDATE idempotency_keys SET deadline = NOW(6) - INTERVAL 1 SECOND \
               WHERE digest = ? AND run = ? AND status IS NULL";
    sqlx::query(sql).bind(&key[..]).bind(run).execute(db.pool()).await?;
    Ok(())
}

/// Keeps the answer.
pub async fn finish(db: &Db, key: &[u8; 32], run: Uuid, answer: &StoredAnswer) -> Result<()> {
    let StoredAnswer { status, headers, body, decisions } = answer;
    sqlx::query(
        "UPDATE idempotency_keys SET status = ?, headers = ?, body = ?, decisions = ? \
         WHERE digest = ? AND run = ? AND status IS NULL",
    )
    .bind(status)
    .bind(headers)
    .bind(body)
    .bind(decisions)
    .bind(&key[..])
    .bind(run)
    .execute(db.pool())
    .await?;
    Ok(())
}

/// A change of a zone that a request under a key makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub key: [u8; 32],
    pub run: Uuid,
    pub ordinal: u16,
    /// What comes of it.
    pub outcome: String,
}

/// Binds steps to the batch that makes them, in that batch's own transaction. False: another request runs under one of
/// the keys by now, and nothing may be written for this one.
pub async fn bind_steps(tx: &mut Transaction<'_, MySql>, steps: &[Step], batch: ChangeId) -> Result<bool> {
    for Step { key, run, ordinal, outcome } in steps {
        let held: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM idempotency_keys WHERE digest = ? AND run = ? FOR UPDATE")
                .bind(&key[..])
                .bind(run)
                .fetch_optional(&mut **tx)
                .await?;
        if held.is_none() {
            return Ok(false);
        }
        // whoever holds the key has seen to it that an earlier try under this number came to nothing
        sqlx::query(
            "REPLACE INTO idempotency_steps (digest, ordinal, batch_id, outcome, created_at) \
             VALUES (?, ?, ?, ?, NOW(6))",
        )
        .bind(&key[..])
        .bind(ordinal)
        .bind(batch.0)
        .bind(outcome)
        .execute(&mut **tx)
        .await?;
    }
    Ok(true)
}

/// How a step stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Never made, and nobody is at it.
    Open,
    /// Its batch is not settled.
    UnderWay(ChangeId),
    /// Made; what came of it.
    Done(String),
}

pub async fn step(db: &Db, key: &[u8; 32], ordinal: u16) -> Result<StepState> {
    // one statement, one view: a batch is settled in the transaction that removes its intent
    let found = sqlx::query(
        "SELECT s.batch_id, s.outcome, i.change_id IS NOT NULL AS is_under_way, b.outcome AS settled \
         FROM idempotency_steps s LEFT JOIN zone_intents i ON i.change_id = s.batch_id \
         LEFT JOIN settled_batches b ON b.change_id = s.batch_id WHERE s.digest = ? AND s.ordinal = ?",
    )
    .bind(&key[..])
    .bind(ordinal)
    .fetch_optional(db.pool())
    .await?;
    let Some(row) = found else { return Ok(StepState::Open) };
    if row.try_get::<i64, _>("is_under_way")? == 1 {
        return Ok(StepState::UnderWay(ChangeId(row.try_get("batch_id")?)));
    }
    let settled: Option<String> = row.try_get("settled")?;
    Ok(match settled.as_deref() {
        // a batch of a zone that is not live is one transaction, its step included
        None | Some("applied") => StepState::Done(row.try_get("outcome")?),
        Some(_) => StepState::Open,
    })
}

/// Forgets keys whose time is over, each with its steps, in bounded steps.
pub async fn sweep(db: &Db) -> Result<u64> {
    const KEYS: u32 = 1_000; // a statement that holds its locks for milliseconds
    // the condition stands twice: the row that is locked may be a new one under the same key
    let sql = "DELETE k, s FROM (SELECT digest FROM idempotency_keys WHERE created_at < NOW(6) - INTERVAL ? HOUR \
               AND deadline < NOW(6) ORDER BY created_at LIMIT ?) d JOIN idempotency_keys k ON k.digest = d.digest \
               LEFT JOIN idempotency_steps s ON s.digest = d.digest WHERE k.created_at < NOW(6) - INTERVAL ? HOUR";
    let done = sqlx::query(sql).bind(KEEP_HOURS).bind(KEYS).bind(KEEP_HOURS).execute(db.pool()).await?;
    Ok(done.rows_affected())
}

#[cfg(all(test, feature = "dev"))]
mod tests {
    use super::super::testing::database;
    use super::*;

    fn key(n: u8) -> KeyDigest {
        KeyDigest { key: [n; 32], fingerprint: [n + 100; 32] }
    }

    fn answer() -> StoredAnswer {
        StoredAnswer { status: 200, headers: "{}".into(), body: b"{}".to_vec(), decisions: "[]".into() }
    }

    fn step_of(key: &KeyDigest, run: Uuid) -> Step {
        Step { key: key.key, run, ordinal: 0, outcome: "made".into() }
    }

    async fn take_now(db: &Db, key: &KeyDigest, run: Uuid) -> Result<Taken> {
        take(db, key, run, crate::clock::Clock::system().now()).await
    }

    /// None: not the caller's to run.
    fn resumed(taken: Taken) -> Option<bool> {
        match taken {
            Taken::Ours { resumed, .. } => Some(resumed),
            Taken::Running | Taken::Done(_) | Taken::Reused => None,
        }
    }

    async fn age(db: &Db, hours: u32) {
        let sql = "UPDATE idempotency_keys SET created_at = created_at - INTERVAL ? HOUR, \
                   deadline = deadline - INTERVAL ? HOUR";
        sqlx::query(sql).bind(hours).bind(hours).execute(db.pool()).await.expect("aged");
    }

    async fn bind(db: &Db, step: Step, batch: ChangeId) -> bool {
        let mut tx = db.begin().await.expect("a transaction");
        let bound = bind_steps(&mut tx, &[step], batch).await.expect("bound");
        if bound {
            tx.commit().await.expect("committed");
        }
        bound
    }

    async fn settled(db: &Db, batch: ChangeId, outcome: &str) {
        let sql = "INSERT INTO settled_batches (change_id, zone_id, outcome, detail, settled_at) \
                   VALUES (?, ?, ?, '', NOW(6))";
        sqlx::query(sql).bind(batch.0).bind(batch.0).bind(outcome).execute(db.pool()).await.expect("settled");
    }

    #[tokio::test]
    async fn one_runs_under_a_key_and_the_others_hear_of_it_or_get_its_answer() {
        let db = database().await;
        let (key, first, second) = (key(1), Uuid::now_v7(), Uuid::now_v7());
        assert_eq!(resumed(take_now(&db, &key, first).await.expect("taken")), Some(false));
        assert_eq!(take_now(&db, &key, second).await.expect("looked"), Taken::Running);
        let other = KeyDigest { fingerprint: [0; 32], ..key };
        assert_eq!(take_now(&db, &other, second).await.expect("looked"), Taken::Reused);
        finish(&db, &key.key, first, &answer()).await.expect("finished");
        assert_eq!(take_now(&db, &key, second).await.expect("looked"), Taken::Done(answer()));
    }

    #[tokio::test]
    async fn a_key_whose_request_died_goes_to_one_of_those_who_repeat_it_and_the_dead_write_nothing() {
        let db = database().await;
        let (key, dead) = (key(2), Uuid::now_v7());
        take_now(&db, &key, dead).await.expect("taken");
        release(&db, &key.key, dead).await.expect("released");
        let takers = (0..8).map(|_| take_now(&db, &key, Uuid::now_v7()));
        let taken = futures::future::try_join_all(takers).await.expect("looked");
        assert_eq!(taken.iter().filter(|taken| resumed((*taken).clone()) == Some(true)).count(), 1, "{taken:?}");
        assert!(!bind(&db, step_of(&key, dead), ChangeId::new()).await, "the dead one's intent cannot be");
        assert!(!renew(&db, &key.key, dead).await.expect("looked"));
        finish(&db, &key.key, dead, &answer()).await.expect("nothing finished");
        assert_eq!(take_now(&db, &key, Uuid::now_v7()).await.expect("looked"), Taken::Running);
    }

    #[tokio::test]
    async fn a_step_stands_as_its_batch_does() {
        let db = database().await;
        let (key, run) = (key(3), Uuid::now_v7());
        take_now(&db, &key, run).await.expect("taken");
        assert_eq!(step(&db, &key.key, 0).await.expect("looked"), StepState::Open);
        let (dropped, applied) = (ChangeId::new(), ChangeId::new());
        assert!(bind(&db, step_of(&key, run), dropped).await);
        settled(&db, dropped, "dropped").await;
        assert_eq!(step(&db, &key.key, 0).await.expect("looked"), StepState::Open);
        assert!(bind(&db, step_of(&key, run), applied).await);
        settled(&db, applied, "applied").await;
        assert_eq!(step(&db, &key.key, 0).await.expect("looked"), StepState::Done("made".into()));
    }

    #[tokio::test]
    async fn a_key_may_be_used_anew_after_a_day_and_nothing_of_it_stays() {
        let db = database().await;
        let (old, swept) = (key(4), key(5));
        for key in [&old, &swept] {
            let run = Uuid::now_v7();
            take_now(&db, key, run).await.expect("taken");
            assert!(bind(&db, step_of(key, run), ChangeId::new()).await);
            finish(&db, &key.key, run, &answer()).await.expect("finished");
        }
        age(&db, 23).await;
        assert_eq!(take_now(&db, &old, Uuid::now_v7()).await.expect("looked"), Taken::Done(answer()));
        assert_eq!(sweep(&db).await.expect("swept"), 0);
        age(&db, 2).await;
        let anew = KeyDigest { fingerprint: [9; 32], ..old };
        assert_eq!(resumed(take_now(&db, &anew, Uuid::now_v7()).await.expect("taken")), Some(false));
        assert_eq!(step(&db, &old.key, 0).await.expect("looked"), StepState::Open);
        assert_eq!(sweep(&db).await.expect("swept"), 2, "a key and its step, not the new one");
        assert_eq!(take_now(&db, &anew, Uuid::now_v7()).await.expect("looked"), Taken::Running);
    }
}
