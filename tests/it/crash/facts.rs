//! What the write protocol believes of PowerDNS and MariaDB, tried out on them. Where one of these fails on a newer
//! version, the protocol has to be thought over before anything else.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use scaidns::dev::{Ports, Servers};
use serde_json::{Value, json};

use super::fences::{Powerdns, delete, replace};
use crate::support::{Trials, World, eventually, reaper, trials, world};

/// RRsets in a PATCH that takes PowerDNS long enough to be hung up on.
const MANY: usize = 300;
/// How often the insert that is no compare-and-set is tried at most.
const TRIES: usize = 20;

pub fn tests() -> Trials {
    trials![
        replacing_a_cname_with_nothing_beside_an_enabled_record_fails_the_whole_patch,
        a_disabled_fence_does_not_stop_a_guard,
        a_connection_closed_after_sending_does_not_abort_a_patch,
        a_patch_in_the_queue_of_a_stopped_powerdns_runs_when_it_goes_on,
        a_read_by_name_leaves_disabled_records_out,
        a_disabled_soa_is_refused_at_once_and_back_at_once,
        an_insert_from_a_select_is_no_compare_and_set_and_with_for_update_it_is,
    ]
}

async fn replacing_a_cname_with_nothing_beside_an_enabled_record_fails_the_whole_patch() {
    let powerdns = Powerdns::of(World::shared().await);
    let zone = powerdns.zone("guarded").await;
    let fence = format!("_fence.{zone}");
    powerdns.patch(&zone, &[replace(&fence, "TXT", &[("\"here\"", false)])]).await.expect(204);
    let guard = replace(&fence, "CNAME", &[]);
    let old = replace(&format!("old.{zone}"), "A", &[("192.0.2.1", false)]);
    powerdns.patch(&zone, std::slice::from_ref(&old)).await.expect(204);
    let before = powerdns.rrsets(&zone).await;
    let change = replace(&format!("new.{zone}"), "A", &[("192.0.2.2", false)]);
    let deletion = delete(&format!("old.{zone}"), "A");
    for order in [[&guard, &change, &deletion], [&change, &guard, &deletion], [&change, &deletion, &guard]] {
        let refused = powerdns.patch(&zone, &order.map(Value::clone)).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert!(refused.text.contains(&fence) && refused.text.contains("Conflicts"), "{refused:?}");
        assert_eq!(powerdns.rrsets(&zone).await, before, "rolled back");
    }
    // Where nothing stands the guard does nothing.
    let free = replace(&format!("_free.{zone}"), "CNAME", &[]);
    powerdns.patch(&zone, &[free, change, deletion]).await.expect(204);
    powerdns.drop_zone(&zone).await;
}

async fn a_disabled_fence_does_not_stop_a_guard() {
    let powerdns = Powerdns::of(World::shared().await);
    let zone = powerdns.zone("disabled-fence").await;
    let fence = format!("_fence.{zone}");
    powerdns.patch(&zone, &[replace(&fence, "TXT", &[("\"here\"", true)])]).await.expect(204);
    powerdns.patch(&zone, &[replace(&fence, "CNAME", &[])]).await.expect(204);
    powerdns.drop_zone(&zone).await;
}

async fn a_connection_closed_after_sending_does_not_abort_a_patch() {
    let powerdns = Powerdns::of(World::shared().await);
    let zone = powerdns.zone("hung-up").await;
    powerdns.send_and_hang_up(&zone, &many(&zone)).await;
    eventually("what was sent is there", || async {
        let found = powerdns.rrsets(&zone).await.len();
        if found >= MANY { Ok(()) } else { Err(format!("{found} RRsets")) }
    })
    .await;
    powerdns.drop_zone(&zone).await;
}

async fn a_patch_in_the_queue_of_a_stopped_powerdns_runs_when_it_goes_on() {
    let ports = Ports::from_base(world::port_base().parse().expect("a port")).expect("a range of ports");
    let servers = Servers::start(&reaper::folder("queue"), ports).await.expect("servers");
    let powerdns = Powerdns::new(&servers);
    let zone = powerdns.zone("queue").await;
    servers.pdns.pause();
    powerdns.send_and_hang_up(&zone, &many(&zone)).await;
    servers.pdns.resume();
    eventually("what was sent is there", || async {
        let found = powerdns.rrsets(&zone).await.len();
        if found >= MANY { Ok(()) } else { Err(format!("{found} RRsets")) }
    })
    .await;
    servers.stop().await;
}

fn many(zone: &str) -> Vec<Value> {
    (0..MANY).map(|n| replace(&format!("host-{n}.{zone}"), "A", &[("192.0.2.1", false)])).collect()
}

async fn a_read_by_name_leaves_disabled_records_out() {
    let powerdns = Powerdns::of(World::shared().await);
    let zone = powerdns.zone("by-name").await;
    let name = format!("www.{zone}");
    let records = [("192.0.2.1", false), ("192.0.2.2", true)];
    powerdns.patch(&zone, &[replace(&name, "A", &records)]).await.expect(204);
    let whole = powerdns.rrsets(&zone).await;
    let by_name = powerdns.get(&format!("/zones/{zone}?rrset_name={name}&rrset_type=A")).await.json();
    let count = |rrsets: &Value| {
        let rrset = rrsets.as_array().and_then(|all| all.iter().find(|rrset| rrset["name"] == name.as_str()));
        rrset.and_then(|rrset| rrset["records"].as_array().map(Vec::len)).unwrap_or(0)
    };
    assert_eq!(count(&json!(whole)), 2, "the whole zone has both");
    let version = powerdns.get("").await.json()["version"].as_str().unwrap_or_default().to_owned();
    let found = count(&by_name["rrsets"]);
    if version.starts_with("4.7.") {
        assert_eq!(found, 1, "PowerDNS {version}: {by_name}");
    } else {
        // Newer ones may have mended it; the product reads whole zones and needs neither.
        eprintln!("PowerDNS {version}: a read by name shows {found} of 2 records, one of them disabled");
        assert!((1..=2).contains(&found), "PowerDNS {version}: {by_name}");
    }
    powerdns.drop_zone(&zone).await;
}

async fn a_disabled_soa_is_refused_at_once_and_back_at_once() {
    let world = World::shared().await;
    let powerdns = Powerdns::of(world);
    let zone = powerdns.zone("dark").await;
    let name = format!("www.{zone}");
    powerdns.patch(&zone, &[replace(&name, "A", &[("192.0.2.1", false)])]).await.expect(204);
    // The caches are warm.
    world.served(name.trim_end_matches('.'), RecordType::A, &["192.0.2.1"]).await;
    world.answers_with(zone.trim_end_matches('.'), RecordType::SOA, ResponseCode::NoError).await;
    for (disabled, code) in [(true, ResponseCode::Refused), (false, ResponseCode::NoError)] {
        let soa = powerdns.soa(&zone).await;
        powerdns.patch(&zone, &[replace(&zone, "SOA", &[(&soa, disabled)])]).await.expect(204);
        powerdns.flush(&zone).await;
        for (name, record_type) in [(&name, RecordType::A), (&zone, RecordType::SOA)] {
            let answer = world.dns(name.trim_end_matches('.'), record_type).await;
            assert_eq!(answer.code, code, "{name} {record_type}, SOA disabled: {disabled}");
        }
    }
    powerdns.drop_zone(&zone).await;
}

/// Two writers have read revision 0. The second's statement finds it still 0, then waits for the first's intent to go;
/// that goes together with revision 0, and the statement, its condition looked at long ago, inserts all the same.
async fn an_insert_from_a_select_is_no_compare_and_set_and_with_for_update_it_is() {
    let world = World::shared().await;
    let mut overtaken = 0;
    for _ in 0..TRIES {
        overtaken += insert_while_the_revision_moves(world, "").await;
        assert_eq!(insert_while_the_revision_moves(world, " FOR UPDATE").await, 0, "the locking read waits, then sees");
    }
    assert!(overtaken > 0, "not once of {TRIES} times");
}

/// How many rows the second writer has inserted for a revision that is gone.
async fn insert_while_the_revision_moves(world: &World, lock: &str) -> u64 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let (zones, intents) = (format!("fact_zones_{number}"), format!("fact_intents_{number}"));
    let db = &world.db;
    let run = async |sql: String| sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(db).await.expect("SQL");
    run(format!("CREATE TABLE {zones} (name VARCHAR(20) PRIMARY KEY, revision INT NOT NULL) ENGINE = InnoDB")).await;
    run(format!("CREATE TABLE {intents} (name VARCHAR(20) PRIMARY KEY, change_id INT NOT NULL) ENGINE = InnoDB")).await;
    run(format!("INSERT INTO {zones} VALUES ('shop.test', 0)")).await;
    run(format!("INSERT INTO {intents} VALUES ('shop.test', 1)")).await;

    let mut first = db.begin().await.expect("a transaction");
    for sql in [format!("UPDATE {zones} SET revision = 1"), format!("DELETE FROM {intents}")] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *first).await.expect("SQL");
    }
    let insert =
        format!("INSERT INTO {intents} SELECT name, 2 FROM {zones} WHERE name = 'shop.test' AND revision = 0{lock}");
    let second = {
        let (db, insert) = (db.clone(), insert.clone());
        tokio::spawn(async move {
            let mut connection = db.acquire().await.expect("a connection");
            let level = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
            sqlx::raw_sql(level).execute(&mut *connection).await.expect("SQL");
            sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(&mut *connection).await.expect("SQL").rows_affected()
        })
    };
    eventually("the second statement runs", || async {
        let sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE info = ?";
        let running: i64 = sqlx::query_scalar(sql).bind(&insert).fetch_one(db).await.map_err(|e| e.to_string())?;
        if running > 0 { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    first.commit().await.expect("commit");
    let inserted = second.await.expect("no panic");
    run(format!("DROP TABLE {zones}, {intents}")).await;
    inserted
}
