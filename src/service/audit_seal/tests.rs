//! The chain over a real database that somebody tampers with.

use secrecy::SecretString;
use serde_json::json;
use sqlx::Executor;
use time::{Duration, OffsetDateTime};

use super::*;
use crate::ids::AuditId;
use crate::storage::audit::{self, AuditEntry};
use crate::storage::{Db, testing};

fn keys() -> Vec<SecretString> {
    vec!["0123456789abcdef0123456789abcdef".to_owned().into()]
}

async fn append(db: &Db, age: Duration, texts: &[&str]) {
    let entry = |text: &&str| AuditEntry {
        id: AuditId::new(),
        tenant: None,
        actor_type: "system".into(),
        actor_id: "worker".into(),
        actor_email: None,
        action: "record.create".into(),
        resource_type: "record".into(),
        resource_id: None,
        resource_name: Some(format!("{text}.example.com A")),
        details: json!({"after": {"content": text}}),
        ip_address: None,
        user_agent: None,
        request_id: None,
        created_at: OffsetDateTime::now_utc() - age,
    };
    let entries: Vec<AuditEntry> = texts.iter().map(entry).collect();
    let mut tx = db.pool().begin().await.expect("a transaction");
    audit::append(&mut tx, None, &entries).await.expect("appended");
    tx.commit().await.expect("committed");
}

async fn seal_all(db: &Db, chain: &Chain) -> u32 {
    audit_seals::seal_next(db, |head, entry| chain.seal(head, entry)).await.expect("sealed")
}

async fn problems(db: &Db, chain: &Chain, kept: Option<Head>) -> Vec<Problem> {
    verify(db, chain, kept, &|_| {}).await.expect("verified").problems
}

async fn run(db: &Db, sql: &'static str) {
    db.pool().execute(sql).await.expect(sql);
}

async fn sealed() -> (Db, Chain, Head) {
    let db = testing::database().await;
    let chain = Chain::new(&keys()).expect("a key");
    append(&db, Duration::seconds(60), &["a", "b", "c", "d", "e", "f"]).await;
    assert_eq!(seal_all(&db, &chain).await, 6);
    let report = verify(&db, &chain, None, &|_| {}).await.expect("verified");
    assert_eq!((report.sealed, report.unsealed, report.problems.as_slice()), (6, 0, [].as_slice()));
    (db, chain, report.head)
}

#[tokio::test]
async fn what_is_young_waits_and_what_is_old_gets_its_place_once() {
    let (db, chain, head) = sealed().await;
    append(&db, Duration::ZERO, &["young"]).await;
    assert_eq!(seal_all(&db, &chain).await, 0);
    append(&db, Duration::seconds(60), &["late"]).await;
    assert_eq!(seal_all(&db, &chain).await, 1);
    let report = verify(&db, &chain, Some(head), &|_| {}).await.expect("verified");
    assert_eq!((report.sealed, report.unsealed, report.problems), (7, 1, vec![]));
    assert_eq!(report.head.0.sequence, 7);
}

#[tokio::test]
async fn two_workers_make_one_chain() {
    let db = testing::database().await;
    let chain = Chain::new(&keys()).expect("a key");
    let texts: Vec<String> = (0..1_200).map(|n| format!("h{n}")).collect();
    append(&db, Duration::seconds(60), &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let work = async || {
        let mut count = 0;
        while let sealed @ 1.. = seal_all(&db, &chain).await {
            count += sealed;
        }
        count
    };
    let (one, two) = tokio::join!(work(), work());
    assert_eq!(one + two, 1_200);
    assert_eq!(problems(&db, &chain, None).await, []);
}

#[tokio::test]
async fn an_edited_removed_moved_or_cut_entry_is_found() {
    let edits: &[(&[&'static str], &str)] = &[
        (&["UPDATE audit_log SET details = '{}' WHERE sequence = 3"], "[Altered { sequence: 3"),
        (&["UPDATE audit_log SET resource_name = NULL WHERE sequence = 1"], "[Altered { sequence: 1"),
        (
            &["UPDATE audit_log SET created_at = created_at + INTERVAL 1 SECOND WHERE sequence = 6"],
            "[Altered { sequence: 6",
        ),
        (&["DELETE FROM audit_log WHERE sequence = 2"], "[Missing { first: 2, last: 2 }"),
        (&["DELETE FROM audit_log WHERE sequence <= 2"], "[Missing { first: 1, last: 2 }"),
        (&["DELETE FROM audit_log WHERE sequence >= 5"], "[Cut { last: 4, known: 6 }"),
        (
            &[
                "DELETE FROM audit_log WHERE sequence = 2",
                "UPDATE audit_log SET sequence = sequence - 1 WHERE sequence > 2 ORDER BY sequence",
            ],
            "[Altered { sequence: 2",
        ),
        (
            &[
                "UPDATE audit_log SET sequence = 99 WHERE sequence = 2",
                "UPDATE audit_log SET sequence = 2 WHERE sequence = 4",
                "UPDATE audit_log SET sequence = 4 WHERE sequence = 99",
            ],
            "[Altered { sequence: 2",
        ),
        (
            &[
                "DELETE FROM audit_log WHERE sequence <= 2",
                "INSERT INTO audit_seal_marks (name, sequence, seal, mac) \
                 VALUES ('start', 2, REPEAT('x', 32), REPEAT('y', 32))",
            ],
            "[ForgedStart { sequence: 2 }",
        ),
    ];
    for (statements, expected) in edits {
        let (db, chain, _) = sealed().await;
        for sql in *statements {
            run(&db, sql).await;
        }
        let found = format!("{:?}", problems(&db, &chain, None).await);
        assert!(found.starts_with(expected), "{statements:?}: {found}");
    }
}

#[tokio::test]
async fn who_cuts_the_log_and_its_mark_is_found_by_a_head_kept_elsewhere() {
    let (db, chain, head) = sealed().await;
    run(&db, "DELETE FROM audit_log WHERE sequence >= 5").await;
    run(&db, "UPDATE audit_seal_marks SET sequence = 4, seal = (SELECT seal FROM audit_log WHERE sequence = 4) WHERE name = 'head'").await;
    assert_eq!(problems(&db, &chain, None).await, [], "nobody can tell without the head");
    assert_eq!(problems(&db, &chain, Some(head)).await, [Problem::Cut { last: 4, known: 6 }]);
    // the log goes on, and is longer than before
    append(&db, Duration::seconds(60), &["g", "h", "i"]).await;
    assert_eq!(seal_all(&db, &chain).await, 3);
    assert_eq!(problems(&db, &chain, Some(head)).await, [Problem::OtherHead { sequence: 6 }]);
}

#[tokio::test]
async fn what_remains_after_old_entries_went_can_still_be_verified() {
    let db = testing::database().await;
    let chain = Chain::new(&keys()).expect("a key");
    append(&db, Duration::days(10), &["old", "older"]).await;
    append(&db, Duration::days(1), &["young"]).await;
    let retire = async || audit_seals::retire(&db, 5, |last| chain.mac_of_start(last)).await.expect("retired");
    assert_eq!(retire().await, 0, "what is not sealed stays");
    assert_eq!(seal_all(&db, &chain).await, 3);
    let old = verify(&db, &chain, None, &|_| {}).await.expect("verified").head;
    assert_eq!((retire().await, retire().await), (2, 0));
    let report = verify(&db, &chain, Some(old), &|_| {}).await.expect("verified");
    assert_eq!((report.sealed, report.first, report.problems), (1, 3, vec![]));
    let gone = Head(audit_seals::Link { sequence: 1, seal: [7; 32] });
    assert_eq!(problems(&db, &chain, Some(gone)).await, [Problem::HeadTooOld { sequence: 1 }]);
    run(&db, "DELETE FROM audit_seal_marks WHERE name = 'start'").await;
    assert_eq!(problems(&db, &chain, None).await, [Problem::Missing { first: 1, last: 2 }]);
}
