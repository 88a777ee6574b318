//! Workers against a real MariaDB: two beside each other, and one that goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::jobs::{Jobs, recurring};
use crate::authz::{Actor, Visibility};
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::JobId;
use crate::service::jobs::kinds::{Kind, Stop, no_entries};
use crate::service::jobs::{JobRequest, RequestedBy, create};
use crate::service::{ActorRecord, RequestInfo, Services};
use crate::storage::jobs::{JobRow, JobStatus, Progress, find};
use crate::storage::{recurring_jobs, testing};

const PATIENCE: Duration = Duration::from_secs(30);

async fn services() -> Arc<Services> {
    let database = testing::database_url().await;
    let config = Config::from_lookup(|name| {
        let value = match name {
            "DATABASE_URL" => &database,
            "REDIS_URL" => "redis://127.0.0.1:1",
            "EXTERNAL_URL" | "PDNS_API_URL" | "SCAIKEY_URL" => "http://127.0.0.1:1",
            "SESSION_SECRET" | "API_KEY_PEPPER" => "0123456789abcdef0123456789abcdef",
            "PDNS_API_KEY"
            | "SCAIKEY_CLIENT_ID"
            | "SCAIKEY_CLIENT_SECRET"
            | "SCAIKEY_APPLICATION_ID"
            | "SCAIKEY_WEBHOOK_SECRET" => "x",
            _ => return None,
        };
        Some(value.to_owned())
    });
    Arc::new(Services::new(Arc::new(config.expect("complete")), Clock::system()).expect("services"))
}

async fn asked_for(services: &Services, kind: &'static str, parameters: Value) -> JobId {
    let by = RequestedBy { actor: ActorRecord::from(&Actor::System { name: "test" }), request: RequestInfo::none() };
    let mut tx = services.db.begin().await.expect("begins");
    let request = JobRequest { id: JobId::new(), kind, tenant: None, zone: None, parameters, total: None };
    let id = create(&mut tx, &by, request).await.expect("created");
    tx.commit().await.expect("commits");
    id
}

async fn until(services: &Services, id: JobId, wanted: impl Fn(&JobRow) -> bool) -> JobRow {
    let look = async {
        loop {
            let row = find(&services.db, &Visibility::system(), id).await.expect("read").expect("there");
            if wanted(&row) {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("in time")
}

#[tokio::test]
async fn two_workers_run_each_job_once() {
    static RUNNING: [AtomicI32; 12] = [const { AtomicI32::new(0) }; 12];
    static RUNS: AtomicU32 = AtomicU32::new(0);
    const KINDS: &[Kind] = &[Kind {
        name: "count",
        closing: no_entries,
        run: |_, run| {
            Box::pin(async {
                let number: usize = run.parameters()?;
                assert_eq!(RUNNING[number].fetch_add(1, Ordering::SeqCst), 0, "job {number} runs twice");
                RUNS.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(100)).await;
                RUNNING[number].fetch_sub(1, Ordering::SeqCst);
                Ok(json!({ "number": number }))
            })
        },
    }];
    let services = services().await;
    let mut ids = Vec::new();
    for number in 0..12 {
        ids.push(asked_for(&services, "count", json!(number)).await);
    }
    let (one, two) = (Jobs::new(services.clone(), KINDS), Jobs::new(services.clone(), KINDS));
    let all = async {
        for (number, id) in ids.iter().enumerate() {
            let row = until(&services, *id, |row| row.status == JobStatus::Succeeded).await;
            assert_eq!(row.result, Some(json!({ "number": number })));
        }
    };
    tokio::select! {
        () = one.run() => {}
        () = two.run() => {}
        () = all => {}
    }
    assert_eq!(RUNS.load(Ordering::SeqCst), 12);
}

#[tokio::test]
async fn a_worker_that_goes_leaves_its_job_to_the_next_which_goes_on_where_it_stopped() {
    const KINDS: &[Kind] = &[Kind {
        name: "steps",
        closing: no_entries,
        run: |_, run| {
            Box::pin(async {
                let at: u64 = run.state()?.unwrap_or(0);
                if at == 2 {
                    return Ok(json!({ "went_on_at": at }));
                }
                for step in at..2 {
                    let progress = Progress { done: step + 1, total: Some(3), message: None };
                    run.checkpoint(&progress, Some(&json!(step + 1))).await?;
                }
                std::future::pending().await
            })
        },
    }];
    let services = services().await;
    let id = asked_for(&services, "steps", Value::Null).await;
    let first = Jobs::new(services.clone(), KINDS);
    tokio::select! {
        () = first.run() => {}
        row = until(&services, id, |row| row.progress.done == 2) => assert_eq!(row.status, JobStatus::Running),
    }
    first.give_back().await;
    let second = Jobs::new(services.clone(), KINDS);
    tokio::select! {
        () = second.run() => {}
        row = until(&services, id, |row| row.finished_at.is_some()) => {
            assert_eq!((row.status, row.result), (JobStatus::Succeeded, Some(json!({ "went_on_at": 2 }))));
        }
    }
}

#[tokio::test]
async fn a_handler_that_fails_is_tried_again_or_not_as_it_says_and_a_panic_is_a_failure() {
    const KINDS: &[Kind] = &[Kind {
        name: "fails",
        closing: no_entries,
        run: |_, run| {
            Box::pin(async {
                match run.parameters::<String>()?.as_str() {
                    "for good" => Err(Stop::Fail("cannot be done".into())),
                    "once" if run.state::<u64>()?.is_none() => {
                        run.checkpoint(&Progress::default(), Some(&json!(1))).await?;
                        panic!("as told");
                    }
                    _ => Ok(Value::Null),
                }
            })
        },
    }];
    let services = services().await;
    let for_good = asked_for(&services, "fails", json!("for good")).await;
    let once = asked_for(&services, "fails", json!("once")).await;
    let unreadable = asked_for(&services, "fails", json!(7)).await;
    let jobs = Jobs::new(services.clone(), KINDS);
    let look = async {
        let row = until(&services, for_good, |row| row.finished_at.is_some()).await;
        assert_eq!((row.status, row.error.as_deref()), (JobStatus::Failed, Some("cannot be done")));
        let row = until(&services, once, |row| row.finished_at.is_some()).await;
        assert_eq!((row.status, row.error.as_deref()), (JobStatus::Succeeded, None));
        let row = until(&services, unreadable, |row| row.finished_at.is_some()).await;
        assert_eq!(row.status, JobStatus::Failed);
    };
    tokio::select! {
        () = jobs.run() => {}
        () = look => {}
    }
}

#[tokio::test]
async fn what_recurs_is_run_by_one_of_two_workers_and_its_outcome_noted() {
    let services = services().await;
    let look = async {
        let done = async {
            loop {
                let rows = recurring_jobs::list(&services.db).await.expect("read");
                if !rows.is_empty() && rows.iter().all(|row| row.runs > 0) {
                    return rows;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, done).await.expect("in time")
    };
    tokio::select! {
        () = recurring(&services) => {}
        () = recurring(&services) => {}
        rows = look => {
            for row in rows {
                // neither PowerDNS nor ScaiKey is there
                let fails = ["fences", "scaikey_sync"].contains(&row.name.as_str());
                let outcome = if fails { "failed" } else { "succeeded" };
                assert_eq!((row.runs, row.last_outcome.as_deref()), (1, Some(outcome)), "{row:?}");
                assert!(row.look_at > row.finished_at.expect("finished"), "{row:?}");
            }
        }
    }
}
