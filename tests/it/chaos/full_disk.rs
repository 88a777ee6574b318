//! A database without room: writes are refused, reads go on, and once there is room everything goes on by itself.
//!
//! All tables lie in one file that InnoDB may not let grow beyond a bound, and a transaction beside them takes what is
//! left: so each insert that needs a page fails as on a full disk (1114), for ScaiDNS and for PowerDNS, whose database
//! it is, too. Its end makes room. This needs neither a mount nor other privileges. What it does not show is a redo log
//! without room, which MariaDB keeps at its full size from the start.

use std::time::Duration;

use hickory_proto::rr::RecordType;
use sqlx::{Executor as _, MySqlConnection};

use crate::crash::judge::judge;
use crate::crash::ledger::{self, Load};
use crate::crash::seed;
use crate::support::{Trials, World, trials};

/// Far more than all that the test writes.
const ROOM: &str = "--innodb-data-file-path=ibdata1:12M:autoextend:max:64M";
/// How many rows are put in at a time until they do not fit any more, then fewer.
const ROWS: [u32; 4] = [500, 50, 5, 1];
/// Refusals that are waited for.
const REFUSED: usize = 10;
const LIMIT: Duration = Duration::from_secs(90);

pub fn tests() -> Trials {
    trials![a_database_without_room_refuses_writes_and_goes_on_by_itself_once_there_is_room]
}

async fn a_database_without_room_refuses_writes_and_goes_on_by_itself_once_there_is_room() {
    let seed = seed("full disk");
    let world = World::builder("full").mariadb("--innodb-file-per-table=OFF").mariadb(ROOM).start().await;
    let zones = ledger::zones(&world, "full", 2).await;
    let load = Load::start(&world, &zones, 2, seed);
    load.until_acknowledged(40).await;

    execute(&world, "CREATE TABLE filler (n INT AUTO_INCREMENT PRIMARY KEY, piece VARBINARY(3000)) ENGINE = InnoDB")
        .await;
    let mut everything = world.db.begin().await.expect("a transaction");
    let filled = async {
        while load.with_status(503) < REFUSED {
            fill(&mut everything).await;
        }
    };
    tokio::time::timeout(LIMIT, filled).await.expect("writers are refused");
    for zone in &zones {
        zone.api.get(&zone.domain.records()).await.ok();
        assert_eq!(world.dns_values(&zone.domain.name, RecordType::SOA).await.len(), 1, "DNS goes on");
    }
    let without_room = load.acknowledged();
    everything.rollback().await.expect("room");
    load.until_acknowledged(100).await;
    let attempts = load.end().await;
    let tally = judge(&world, &zones, &attempts).await;
    eprintln!("{without_room} writes acknowledged before there was room again: {tally:?}");
    assert!(!tally.statuses.contains_key(&0), "every caller got an answer: {tally:?}");
    let log = ["api-1", "api-2", "worker"].map(|name| world.log(name)).concat();
    assert!(log.contains("the database has no room"), "operators are told: {log}");
    world.until_ready().await;
    world.stop().await;
}

/// Takes what is left of the file.
async fn fill(connection: &mut MySqlConnection) {
    for rows in ROWS {
        let sql = "INSERT INTO filler (piece) SELECT REPEAT('x', 3000) FROM seq_1_to_500 LIMIT ?";
        while sqlx::query(sql).bind(rows).execute(&mut *connection).await.is_ok() {}
    }
}

async fn execute(world: &World, sql: &'static str) {
    world.db.execute(sqlx::raw_sql(sql)).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}
