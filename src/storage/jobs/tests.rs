//! Jobs against a real MariaDB: claims, leases that run out, ends.

use serde_json::json;

use super::*;
use crate::storage::testing;

const KINDS: [&str; 1] = ["test"];

fn new(zone: Option<ZoneId>) -> NewJob {
    let (requested_by, parameters) = (json!({}), json!({"a": 1}));
    NewJob { id: JobId::new(), kind: "test", tenant: None, zone, requested_by, parameters, total: Some(3) }
}

async fn created(db: &Db, job: NewJob) -> JobId {
    let mut tx = db.begin().await.expect("begins");
    create(&mut tx, &job).await.expect("created");
    tx.commit().await.expect("commits");
    job.id
}

async fn claimed(db: &Db) -> Option<ClaimedJob> {
    let due = due(db, &KINDS, 1).await.expect("read");
    claim(db, due.first()?).await.expect("claimed")
}

async fn note(db: &Db, hold: Hold, done: u64, state: &Value) -> bool {
    let mut tx = db.begin().await.expect("begins");
    let progress = Progress { done, total: Some(3), message: Some("on the way".into()) };
    let held = checkpoint(&mut tx, hold, &progress, Some(state)).await.expect("noted");
    tx.commit().await.expect("commits");
    held
}

async fn ended(db: &Db, hold: Hold, outcome: std::result::Result<Value, &str>) -> bool {
    let mut tx = db.begin().await.expect("begins");
    let held = match outcome {
        Ok(result) => succeed(&mut tx, hold, &result).await,
        Err(error) => fail(&mut tx, hold, error).await,
    };
    tx.commit().await.expect("commits");
    held.expect("asked")
}

async fn end_lease(db: &Db, id: JobId) {
    let query = "UPDATE jobs SET look_at = NOW(6) - INTERVAL 1 SECOND WHERE id = ?";
    sqlx::query(query).bind(id.0).execute(db.pool()).await.expect("moved");
}

#[tokio::test]
async fn a_job_is_there_when_its_transaction_commits_and_goes_to_one() {
    let db = testing::database().await;
    let mut tx = db.begin().await.expect("begins");
    create(&mut tx, &new(None)).await.expect("created");
    assert!(claimed(&db).await.is_none(), "not yet committed");
    drop(tx);
    assert!(claimed(&db).await.is_none(), "rolled back");
    let id = created(&db, new(None)).await;
    let due = due(&db, &KINDS, 5).await.expect("read");
    assert!(super::due(&db, &["another"], 5).await.expect("read").is_empty(), "of kinds that are asked for only");
    let both = tokio::join!(claim(&db, &due[0]), claim(&db, &due[0]));
    let holders: Vec<_> = [both.0, both.1].into_iter().filter_map(|one| one.expect("asked")).collect();
    assert_eq!(holders.len(), 1, "{holders:?}");
    assert_eq!(holders[0].hold.job, id);
    assert!(claimed(&db).await.is_none(), "it is held");
}

#[tokio::test]
async fn a_lease_that_ran_out_goes_to_another_who_goes_on_and_the_first_writes_nothing_any_more() {
    let db = testing::database().await;
    let id = created(&db, new(None)).await;
    let first = claimed(&db).await.expect("claimed");
    assert_eq!((first.attempts, first.state.clone()), (1, None));
    assert!(note(&db, first.hold, 1, &json!({"at": "b"})).await);
    end_lease(&db, id).await;
    let second = claimed(&db).await.expect("claimed");
    assert_eq!(second.state, Some(json!({"at": "b"})));
    assert_eq!((second.progress.done, second.attempts), (1, 1), "counted since it got further");
    assert!(!note(&db, first.hold, 2, &json!({"at": "c"})).await);
    assert!(!renew(&db, first.hold).await.expect("asked"));
    assert!(!ended(&db, first.hold, Ok(json!({}))).await);
    assert!(!give_back(&db, first.hold, 0, None).await.expect("asked"));
    assert!(renew(&db, second.hold).await.expect("asked"));
    assert!(ended(&db, second.hold, Ok(json!({"n": 3}))).await);
    let row = find(&db, &Visibility::system(), id).await.expect("read").expect("there");
    assert_eq!((row.status, row.result, row.look_at), (JobStatus::Succeeded, Some(json!({"n": 3})), None));
    assert!(claimed(&db).await.is_none());
}

#[tokio::test]
async fn a_zone_has_one_unfinished_job_of_a_kind() {
    let db = testing::database().await;
    let zone = ZoneId::new();
    created(&db, new(Some(zone))).await;
    created(&db, new(Some(ZoneId::new()))).await;
    let mut tx = db.begin().await.expect("begins");
    let refused = create(&mut tx, &new(Some(zone))).await.expect_err("busy");
    assert!(refused.is_duplicate_of(BUSY_ZONE), "{refused}");
    drop(tx);
    assert!(is_busy(&db, "test", zone).await.expect("read"));
    let held = claimed(&db).await.expect("claimed");
    assert_eq!(held.zone, Some(zone), "the one that waits longest");
    assert!(ended(&db, held.hold, Err("no")).await);
    assert!(!is_busy(&db, "test", zone).await.expect("read"));
    created(&db, new(Some(zone))).await;
}

#[tokio::test]
async fn what_was_given_back_is_due_after_its_pause_and_what_is_long_over_is_swept() {
    let db = testing::database().await;
    let id = created(&db, new(None)).await;
    let held = claimed(&db).await.expect("claimed");
    assert!(give_back(&db, held.hold, 60, Some("busy")).await.expect("asked"));
    assert!(claimed(&db).await.is_none());
    end_lease(&db, id).await;
    let again = claimed(&db).await.expect("claimed");
    assert_eq!((again.attempts, again.waits), (2, 0));
    assert!(wait(&db, again.hold, 60, "away").await.expect("asked"));
    assert!(!wait(&db, again.hold, 60, "away").await.expect("asked"), "it is not held any more");
    assert!(claimed(&db).await.is_none());
    end_lease(&db, id).await;
    let again = claimed(&db).await.expect("claimed");
    assert_eq!((again.attempts, again.waits), (2, 1), "a wait is no attempt");
    assert!(note(&db, again.hold, 1, &json!({})).await);
    end_lease(&db, id).await;
    let again = claimed(&db).await.expect("claimed");
    assert_eq!((again.attempts, again.waits), (1, 0), "both are counted since it got further");
    assert!(ended(&db, again.hold, Err("never")).await);
    assert_eq!(sweep(&db).await.expect("swept"), 0);
    let old = "UPDATE jobs SET finished_at = NOW(6) - INTERVAL 31 DAY WHERE id = ?";
    sqlx::query(old).bind(id.0).execute(db.pool()).await.expect("moved");
    assert_eq!(sweep(&db).await.expect("swept"), 1);
}
