//! What is remembered of a zone is what stands there, whoever wrote: this replica, another, or an outsider.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::recovery::Recovered;
use super::snapshot::Snapshot;
use super::tests::{World, actor, addition, decided, departure};
use super::*;
use crate::dns::RecordType;
use crate::pdns::{PatchAnswer, RrsetPatch, ServerRecord};

/// Row, content, ids, marker and serial as they are when read whole.
async fn read_anew(world: &World, writer: &ZoneWriter, access: &ZoneAccess) -> Snapshot {
    writer.inner.read_live(world.row(access).await).await.expect("the zone")
}

fn assert_same(remembered: &Snapshot, read: &Snapshot, when: &str) {
    assert_eq!(remembered.row.standing(), read.row.standing(), "{when}");
    assert_eq!(remembered.row.record_count, read.row.record_count, "{when}");
    assert_eq!(remembered.content, read.content, "{when}");
    assert_eq!(remembered.live.marker, read.live.marker, "{when}");
    assert_eq!(remembered.live.serial, read.live.serial, "{when}");
    // rows of records that are gone may be left in either; of those that stand, each must know the same
    for (reference, ..) in read.content.records() {
        let digest = reference.digest();
        let ids = |snapshot: &Snapshot| {
            let (id, row) = snapshot.ids.id_of(&digest);
            (id, row.map(|row| (row.created_at, row.updated_at)))
        };
        assert_eq!(ids(remembered), ids(read), "{when}: {reference:?}");
        let (id, _) = read.ids.id_of(&digest);
        assert_eq!(remembered.ids.resolve(id, &remembered.content), Some(reference), "{when}");
    }
}

/// A few additions, edits and deletions, whatever they may come to.
async fn edit_at_random(rng: &mut StdRng, writer: &ZoneWriter, access: &ZoneAccess) {
    let zone = "turns.test";
    let name = format!("h{}.{zone}", rng.random_range(0..6));
    let value = format!("192.0.2.{}", rng.random_range(0..8));
    let mut write = addition(access, &name, RecordType::A, &value);
    let view = writer.view(access).await.expect("the zone");
    let records: Vec<RecordView> = view.records_where(|key| !key.name.is_apex(&view.row.name)).collect();
    let picked = (!records.is_empty()).then(|| records[rng.random_range(0..records.len())].id);
    match (rng.random_range(0..5), picked) {
        (0, Some(id)) => write.operations = vec![RecordOperation::Delete { id }],
        (1, Some(id)) => {
            let content = Some(value);
            write.operations = vec![RecordOperation::Update { id, content, ttl: None, disabled: None }];
        }
        (2, Some(id)) => {
            let ttl = Some(rng.random_range(60..600));
            write.operations = vec![RecordOperation::Update { id, content: None, ttl, disabled: Some(rng.random()) }];
        }
        _ => {}
    }
    match writer.apply(write).await {
        Ok(_) | Err(Error::Conflict { .. } | Error::Invalid { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_write_in_turns_catch_up_to_what_reading_the_zone_would_show() {
    let seed = std::env::var("SCAIDNS_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("SCAIDNS_TEST_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::start().await;
    let (one, two) = (world.writer(), world.writer());
    let access = world.live(&one, "turns.test").await;
    for writer in [&one, &two] {
        writer.view(&access).await.expect("the zone");
    }
    let mut caught_up = 0;
    for round in 0..30 {
        for _ in 0..rng.random_range(1..5) {
            edit_at_random(&mut rng, &one, &access).await;
            if rng.random_bool(0.15) {
                write_outside(&world, "turns.test", &format!("o{}", rng.random_range(0..3)), round).await;
            }
        }
        let read = read_anew(&world, &one, &access).await;
        let when = format!("round {round}");
        if let Some(known) = two.inner.snapshots.get(access.zone().id)
            && let Some(brought) = two.inner.catch_up(&known, &read.row).await.expect("history")
            && brought.live.serial == read.live.serial
        {
            caught_up += usize::from(!Arc::ptr_eq(&brought, &known));
            assert_same(&brought, &read, &when);
        }
        for writer in [&one, &two] {
            let view = writer.view(&access).await.expect("the zone");
            assert_eq!((view.row.revision, view.serial), (read.row.revision, Some(read.live.serial)), "{when}");
            let known = writer.inner.snapshots.get(access.zone().id).expect("remembered");
            assert_same(&known, &read, &when);
        }
        edit_at_random(&mut rng, &two, &access).await;
        if let Some(known) = two.inner.snapshots.get(access.zone().id) {
            assert_same(&known, &read_anew(&world, &two, &access).await, &when);
        }
    }
    assert!(caught_up > 5, "only {caught_up} rounds had something to catch up");
}

/// Replaces an A RRset as somebody else would: by PowerDNS's API, without marker or guard.
async fn write_outside(world: &World, zone: &str, label: &str, number: usize) {
    let record = ServerRecord { content: format!("198.51.100.{number}"), disabled: false };
    let patch = [RrsetPatch::replace(format!("{label}.{zone}."), "A", 300, vec![record])];
    assert!(matches!(world.pdns().patch(zone, &patch).await, PatchAnswer::Applied { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_outsider_wrote_elsewhere_in_the_zone_is_not_caught_up_over() {
    let world = World::start().await;
    let (one, two) = (world.writer(), world.writer());
    let access = world.live(&one, "beside.test").await;
    two.view(&access).await.expect("remembered");
    write_outside(&world, "beside.test", "x", 1).await;
    one.apply(addition(&access, "y.beside.test", RecordType::A, "192.0.2.1")).await.expect("written");
    // its history has no gap in revisions, but one in serials
    two.apply(addition(&access, "x.beside.test", RecordType::A, "192.0.2.2")).await.expect("written");
    let view = two.view(&access).await.expect("the zone");
    let shown: Vec<String> =
        view.records_where(|key| key.name.as_str() == "x.beside.test").map(|record| record.reference.content).collect();
    assert_eq!(shown, ["192.0.2.2", "198.51.100.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_never_ran_after_a_change_of_transfers_is_dropped_and_not_taken_for_an_outsiders() {
    let world = World::start().await;
    let writer = world.writer();
    let access = world.live(&writer, "open.test").await;
    writer.apply(addition(&access, "a.open.test", RecordType::A, "192.0.2.1")).await.expect("remembered");
    let request = OutgoingChange {
        access: access.clone(),
        actor: actor(),
        request: RequestInfo::none(),
        settings: serde_json::json!({}),
        outgoing: Outgoing { allow_from: vec!["192.0.2.0/24".into()], ..Outgoing::default() },
    };
    writer.set_outgoing(request).await.expect("told");
    let known = writer.inner.snapshots.get(access.zone().id).expect("remembered still");
    let brought = writer.inner.catch_up(&known, &world.row(&access).await).await.expect("looked").expect("caught up");
    assert_same(&brought, &read_anew(&world, &writer, &access).await, "no PATCH has touched the marker");
    // as a writer decides on it whose PATCH does not arrive
    let (row, mut payload, _) = decided(&world, &writer.inner, &access, "b.open.test").await;
    payload.previous_marker.clone_from(&brought.live.marker);
    let change = payload.entries[0].change;
    let held = writer.inner.intend(&row, change, &payload).await.expect("asked").expect("locked");
    assert_eq!(writer.inner.recovery().run(held.intent).await, Recovered::Dropped);
    writer.apply(addition(&access, "b.open.test", RecordType::A, "192.0.2.1")).await.expect("the zone is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_for_a_change_that_was_dropped_is_taken_for_nobodys_write() {
    let world = World::start().await;
    let (one, two) = (world.writer(), world.writer());
    let access = world.live(&one, "fenced.test").await;
    two.apply(addition(&access, "a.fenced.test", RecordType::A, "192.0.2.1")).await.expect("remembered");
    let (row, payload, _) = decided(&world, &one.inner, &access, "b.fenced.test").await;
    let held = one.inner.intend(&row, payload.entries[0].change, &payload).await.expect("asked").expect("locked");
    assert_eq!(one.inner.recovery().run(held.intent).await, Recovered::Dropped);
    let known = two.inner.snapshots.get(access.zone().id).expect("remembered");
    assert!(two.inner.catch_up(&known, &world.row(&access).await).await.expect("looked").is_none(), "to be read whole");
    two.apply(addition(&access, "c.fenced.test", RecordType::A, "192.0.2.1")).await.expect("written");
    assert_eq!(world.count("SELECT COUNT(*) FROM zones WHERE drift_noted_at IS NOT NULL").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settle_that_is_killed_in_the_middle_leaves_nothing_half_done() {
    let world = World::start().await;
    let writer = world.writer();
    let access = world.live(&writer, "killed.test").await;
    let mut lock = world.db.begin().await.expect("transaction");
    let add = |name: &str| addition(&access, name, RecordType::A, "192.0.2.1");
    writer.apply(add("a.killed.test")).await.expect("written");
    // the settle waits for the history's table, inside its own transaction
    sqlx::query("SELECT * FROM zone_changes WHERE zone_id = ? FOR UPDATE")
        .bind(access.zone().id.0)
        .fetch_all(&mut *lock)
        .await
        .expect("locked");
    sqlx::query("SELECT * FROM record_ids WHERE zone_id = ? FOR UPDATE")
        .bind(access.zone().id.0)
        .fetch_all(&mut *lock)
        .await
        .expect("locked");
    let asked = {
        let writer = writer.clone();
        let view = writer.view(&access).await.expect("the zone");
        let id = view.records_where(|key| key.name.as_str() == "a.killed.test").next().expect("there").id;
        let mut write = add("a.killed.test");
        write.operations = vec![RecordOperation::Delete { id }];
        tokio::spawn(async move { writer.apply(write).await })
    };
    let waiting = "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE '%DELETE r FROM JSON_TABLE%' \
                   AND INFO NOT LIKE '%PROCESSLIST%' AND TIME_MS > 50";
    let settle: i64 = loop {
        if let Some(id) = sqlx::query_scalar(waiting).fetch_optional(world.db.pool()).await.expect("processes") {
            break id;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    sqlx::query(sqlx::AssertSqlSafe(format!("KILL QUERY {settle}"))).execute(world.db.pool()).await.expect("killed");
    drop(lock);
    let answer = asked.await.expect("no panic");
    // whoever settles it in the end, writer or recovery, it was applied once
    let is_settled = async || world.count("SELECT COUNT(*) FROM zone_intents").await == 0;
    for _ in 0..200 {
        if is_settled().await {
            break;
        }
        sqlx::query("UPDATE zone_intents SET deadline = NOW(6)").execute(world.db.pool()).await.expect("hurried");
        writer.recover_overdue().await.expect("recovers");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(is_settled().await, "answered {answer:?}");
    assert!(matches!(answer, Ok(_) | Err(Error::OutcomeUnknown(_))), "{answer:?}");
    assert_eq!(world.count("SELECT COUNT(*) FROM zone_changes WHERE revision = 3").await, 1, "{answer:?}");
    assert_eq!(world.count("SELECT COUNT(*) FROM audit_log WHERE action = 'record.delete'").await, 1);
    assert_eq!(world.count("SELECT COUNT(*) FROM record_ids").await, 0);
    let view = writer.view(&access).await.expect("the zone");
    assert_eq!(view.row.revision, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_outsider_wrote_is_neither_overwritten_nor_hidden() {
    let world = World::start().await;
    let (one, two) = (world.writer(), world.writer());
    let access = world.live(&one, "outside.test").await;
    let add = |value: &'static str| addition(&access, "w.outside.test", RecordType::A, value);
    one.apply(add("192.0.2.1")).await.expect("written");
    two.view(&access).await.expect("remembered at the other replica, too");
    for (round, writer) in [&one, &two, &one].into_iter().enumerate() {
        let view = writer.view(&access).await.expect("the zone");
        let own = |record: RecordView| ServerRecord { content: record.reference.content, disabled: record.disabled };
        let mut records: Vec<ServerRecord> =
            view.records_where(|key| key.name.as_str() == "w.outside.test").map(own).collect();
        let outside = format!("198.51.100.{round}");
        records.push(ServerRecord { content: outside.clone(), disabled: false });
        let patch = [RrsetPatch::replace("w.outside.test.".into(), "A", 300, records)];
        assert!(matches!(world.pdns().patch("outside.test", &patch).await, PatchAnswer::Applied { .. }));
        // at once, on what was remembered from before
        let value = ["192.0.2.10", "192.0.2.11", "192.0.2.12"][round];
        writer.apply(add(value)).await.expect("written");
        let view = writer.view(&access).await.expect("the zone");
        let shown: Vec<String> = view.records_where(|_| true).map(|record| record.reference.content).collect();
        for wanted in [outside.as_str(), value] {
            assert!(shown.iter().any(|content| content == wanted), "round {round}: {wanted} in {shown:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_zone_that_was_withdrawn_or_removed_elsewhere_takes_no_write() {
    let world = World::start().await;
    let (one, two) = (world.writer(), world.writer());
    let access = world.live(&one, "gone.test").await;
    let add = |name: &str| addition(&access, name, RecordType::A, "192.0.2.1");
    two.apply(add("a.gone.test")).await.expect("written, so remembered");
    one.set_status(departure(&access), Move::Withdraw).await.expect("withdrawn");
    assert!(matches!(two.apply(add("b.gone.test")).await, Err(Error::Conflict { .. })));
    // what would change nothing is refused all the same
    assert!(matches!(two.apply(add("a.gone.test")).await, Err(Error::Conflict { code: "domain_inactive", .. })));
    one.delete(departure(&access)).await.expect("removed");
    assert!(matches!(two.apply(add("b.gone.test")).await, Err(Error::NotFound(_))));
    assert!(matches!(two.view(&access).await, Err(Error::NotFound(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_records_that_an_outsider_took_away_are_swept_and_no_others() {
    let world = World::start().await;
    let writer = world.writer();
    let access = world.live(&writer, "swept.test").await;
    for name in ["stays.swept.test", "goes.swept.test"] {
        writer.apply(addition(&access, name, RecordType::A, "192.0.2.1")).await.expect("written");
    }
    let ids = async || {
        let view = writer.view(&access).await.expect("the zone");
        view.records_where(|key| key.record_type == RecordType::A).map(|record| record.id).collect::<Vec<_>>()
    };
    assert_eq!((ids().await.len(), world.count("SELECT COUNT(*) FROM record_ids").await), (2, 2));
    assert_eq!(writer.sweep_record_ids().await.expect("swept"), 0, "all of them stand");
    let patch = [RrsetPatch::delete("goes.swept.test.".into(), "A")];
    assert!(matches!(world.pdns().patch("swept.test", &patch).await, PatchAnswer::Applied { .. }));
    assert_eq!(writer.sweep_record_ids().await.expect("swept"), 1);
    assert_eq!(world.count("SELECT COUNT(*) FROM record_ids").await, 1);
    let left = ids().await;
    assert_eq!(left.len(), 1);
    // the row of the one that stands is still its own
    let update = RecordOperation::Update { id: left[0], content: Some("192.0.2.2".into()), ttl: None, disabled: None };
    let mut write = addition(&access, "stays.swept.test", RecordType::A, "192.0.2.1");
    write.operations = vec![update];
    writer.apply(write).await.expect("changed");
    assert_eq!(ids().await, left);
    assert_eq!(writer.sweep_record_ids().await.expect("swept"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_edited_while_another_replica_reads_the_zone_is_not_missing_there() {
    const ROUNDS: usize = 60;
    let world = World::start().await;
    let (one, mut rng) = (world.writer(), rand::rng());
    let access = world.live(&one, "mixed.test").await;
    one.apply(addition(&access, "w.mixed.test", RecordType::A, "192.0.2.1")).await.expect("written");
    let view = one.view(&access).await.expect("the zone");
    let id = view.records_where(|key| key.record_type == RecordType::A).map(|record| record.id).next().expect("it");
    let edit = |content: String| {
        let mut write = addition(&access, "w.mixed.test", RecordType::A, "192.0.2.1");
        write.operations = vec![RecordOperation::Update { id, content: Some(content), ttl: None, disabled: None }];
        write
    };
    for round in 0..ROUNDS {
        // it has nothing to remember, so it reads content and ids side by side
        let other = world.writer();
        let pause = std::time::Duration::from_micros(rng.random_range(0..8_000));
        let late = async {
            tokio::time::sleep(pause).await;
            other.apply(edit(format!("198.51.100.{round}"))).await
        };
        let (first, second) = tokio::join!(one.apply(edit(format!("192.0.2.{}", 100 + round))), late);
        first.expect("written");
        second.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
    }
}
