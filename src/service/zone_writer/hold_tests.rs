//! A zone that a job holds: nobody else writes to it, however early he decided, and each part is made once, by whomever.

use super::parts::{ImportPart, PartRef};
use super::recovery::Recovered;
use super::status::Move;
use super::tests::{World, actor, addition, decided, departure};
use super::*;
use crate::dns::{OwnerName, Record, RecordType, Rrset, RrsetChange, RrsetKey};
use crate::ids::JobId;
use crate::storage::import_parts::{self, NewPart, Tally};
use crate::storage::zones;

/// A job of so many parts holds the zone.
async fn hold(world: &World, access: &ZoneAccess, parts: u32) -> JobId {
    let job = JobId::new();
    for number in 0..parts {
        let tally = Tally { created: 1, ..Tally::default() };
        let part = NewPart { changes: "[]".into(), rrsets: 1, tally };
        import_parts::insert(&world.db, (job, number), &part).await.expect("kept");
    }
    let mut tx = world.db.begin().await.expect("begins");
    zones::hold(&mut tx, access.zone().id, job).await.expect("held");
    tx.commit().await.expect("commits");
    job
}

async fn let_go(world: &World, access: &ZoneAccess, job: JobId) {
    let mut tx = world.db.begin().await.expect("begins");
    zones::let_go(&mut tx, access.zone().id, job).await.expect("let go");
    tx.commit().await.expect("commits");
}

fn part(access: &ZoneAccess, job: JobId, number: u32, name: &str) -> ImportPart {
    let key = RrsetKey { name: OwnerName::from_server(name), record_type: RecordType::A };
    let after = Rrset { ttl: 300, records: vec![Record { content: "192.0.2.9".into(), disabled: false }] };
    ImportPart {
        access: access.clone(),
        actor: actor(),
        request: RequestInfo::none(),
        part: PartRef { job, part: number },
        changes: vec![RrsetChange { key, before: None, after: Some(after) }],
    }
}

fn is_busy<T>(outcome: &Result<T>) -> bool {
    matches!(outcome, Err(Error::Unavailable { message, .. }) if message.contains("busy with an import"))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_decided_before_a_job_held_the_zone_does_not_get_its_lock() {
    let world = World::start().await;
    let (writer, other) = (world.writer(), world.writer());
    let access = world.live(&writer, "held.test").await;
    let add = |name: &str| addition(&access, name, RecordType::A, "192.0.2.1");
    writer.apply(add("a.held.test")).await.expect("remembered from now on");
    let (row, payload, _) = decided(&world, &writer.inner, &access, "b.held.test").await;
    let job = hold(&world, &access, 1).await;
    let change = payload.entries[0].change;
    assert!(writer.inner.intend(&row, change, &payload).await.expect("asked").is_none(), "the row has moved");
    assert!(is_busy(&writer.apply(add("b.held.test")).await), "decided on what is remembered");
    assert!(is_busy(&other.apply(add("b.held.test")).await), "decided on what was read");
    assert!(is_busy(&writer.apply(ZoneWrite { dry_run: true, ..add("b.held.test") }).await));
    assert!(is_busy(&writer.apply(add("a.held.test")).await), "also what would change nothing");
    assert!(is_busy(&writer.set_status(departure(&access), Move::Withdraw).await));
    assert_eq!(world.count("SELECT COUNT(*) FROM zone_intents").await, 0);
    writer.view(&access).await.expect("it is read all the same");
    let_go(&world, &access, job).await;
    writer.apply(add("b.held.test")).await.expect("written");
    other.apply(add("c.held.test")).await.expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_made_once_by_its_job_alone_and_marked_by_whoever_settles_it() {
    let world = World::start().await;
    let (first, second) = (world.writer(), world.writer());
    let access = world.live(&first, "parts.test").await;
    let changes = async || world.count("SELECT COUNT(*) FROM zone_changes WHERE revision > 1").await;
    let job = hold(&world, &access, 3).await;
    assert!(is_busy(&first.write_part(part(&access, JobId::new(), 0, "a.parts.test")).await), "another's");
    // two holders, since the one before may not know that it is overtaken
    let both = tokio::join!(
        first.write_part(part(&access, job, 0, "a.parts.test")),
        second.write_part(part(&access, job, 0, "a.parts.test"))
    );
    both.0.and(both.1).expect("written, or there already");
    assert_eq!(changes().await, 1);
    // one died between PATCH and settle: whoever recovers the part marks it
    let (row, mut payload, patch) = decided(&world, &first.inner, &access, "b.parts.test").await;
    payload.part = Some(PartRef { job, part: 1 });
    let change = payload.entries[0].change;
    let held = first.inner.intend(&row, change, &payload).await.expect("asked").expect("locked");
    world.pdns().patch("parts.test", &protocol::write(&row.name, change, &patch)).await;
    assert_eq!(second.inner.recovery().run(held.intent).await, Recovered::Applied);
    assert_eq!(import_parts::next(&world.db, job).await.expect("read").map(|next| next.part), Some(2));
    second.write_part(part(&access, job, 1, "b.parts.test")).await.expect("there already");
    second.write_part(part(&access, job, 2, "c.parts.test")).await.expect("written");
    let progress = import_parts::progress(world.db.pool(), job).await.expect("read");
    assert_eq!((progress.parts_done, progress.written.created, changes().await), (3, 3, 3));
    assert_eq!(world.count("SELECT COUNT(*) FROM audit_log").await, 0, "the import has one entry, at its end");
    assert_eq!(world.count("SELECT COUNT(*) FROM record_ids").await, 2, "the recovered part brought no row of its own");
    let_go(&world, &access, job).await;
    let late = first.write_part(part(&access, job, 2, "d.parts.test")).await;
    assert!(matches!(late, Err(Error::Conflict { code: "import_over", .. })), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_stay_where_nobody_knows_whether_their_job_was_made() {
    let world = World::start().await;
    let writer = world.writer();
    let access = world.live(&writer, "slow.test").await;
    // longer than a writer waits for its transaction
    let slow = "CREATE TRIGGER slow BEFORE UPDATE ON zones FOR EACH ROW BEGIN DECLARE ignored INT; \
                IF NEW.held_by IS NOT NULL AND OLD.held_by IS NULL THEN SET ignored = SLEEP(15); END IF; END";
    sqlx::raw_sql(slow).execute(world.db.pool()).await.expect("a trigger");
    let operations = (0..10_001).map(|host| RecordOperation::Add {
        name: OwnerName::from_server(&format!("h{host}.slow.test")),
        record_type: RecordType::A,
        content: "192.0.2.1".into(),
        ttl: None,
        disabled: false,
    });
    let nothing = serde_json::json!({});
    let write = ZoneWrite {
        operations: operations.collect(),
        grouping: Grouping::Together("domain.import"),
        large: Some(Large { kind: "import", requested_by: nothing.clone(), parameters: nothing }),
        ..addition(&access, "h.slow.test", RecordType::A, "192.0.2.1")
    };
    let answer = writer.apply(write).await;
    assert!(matches!(answer, Err(Error::OutcomeUnknown(_))), "{answer:?}");
    assert!(world.count("SELECT COUNT(*) FROM import_parts").await > 1, "the job would find nothing to do");
}
