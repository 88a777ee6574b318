//! Clocks that are set while the program runs: those of a replica and of the worker jump an hour ahead, back, an hour
//! behind and back again, under load. The time that counts is the database's, so nobody may notice: no write lost or
//! refused, no token or key good or bad at the wrong time, nothing dated when it was not, and nothing that ScaiKey says
//! later taken for older.
//!
//! The clock is libfaketime's (Debian: `faketime`); the monotonic clock goes on, as the kernel's does.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use scaidns::dev::scaikey::directory::{ACTIVE, FABRIKAM_USER, NORTHWIND_ADMIN, NORTHWIND_USER};
use scaidns::dev::servers::{Probe, Server};
use serde_json::{Value, json};

use crate::crash::judge::judge;
use crate::crash::ledger::{self, Load};
use crate::crash::seed;
use crate::support::{Api, Trials, World, eventually_within, scaidns, trials};

/// The port of the replica whose clock is set, among those of replicas.
const JUMPING: u16 = 5;
const LIMIT: Duration = Duration::from_secs(60);
const HOUR: i64 = 3_600;
/// What is found when a process hears that its clock is wrong, and when it is right again.
const WRONG: &str = "this machine's clock differs";
const RIGHT: &str = "this machine's clock agrees";

pub fn tests() -> Trials {
    trials![a_replica_and_a_worker_whose_clocks_jump_an_hour_ahead_and_back_and_behind_are_not_noticed]
}

async fn a_replica_and_a_worker_whose_clocks_jump_an_hour_ahead_and_back_and_behind_are_not_noticed() {
    let seed = seed("clocks");
    let mut world = World::builder("clocks").replicas(1).without_worker().start().await;
    let mut jumping = Jumping::start(&world).await;
    world.urls.push(jumping.url.clone());
    let zones = ledger::zones(&world, "clocks", 2).await;
    let began: String = sqlx::query_scalar("SELECT CAST(NOW(6) AS CHAR)").fetch_one(&world.db).await.expect("the time");
    let load = Load::start(&world, &zones, 2, seed);
    load.until_acknowledged(40).await;

    for (round, offset) in [HOUR, 0, -HOUR, 0].into_iter().enumerate() {
        jumping.set(&world, offset).await;
        load.until_acknowledged(60).await;
        let (there, here) = (world.admin_user().at(&jumping.url), world.admin_user());
        tokens_are_good_while_they_are(&world, &there).await;
        keys_are_good_while_they_are(&world, &there, &here, round).await;
        a_request_sent_again_is_answered_again(&zones[0], &there, &here, round).await;
        what_scaikey_says_later_is_later(&world, &there, round).await;
        every_time_written_down_has_come(&world).await;
    }
    let attempts = load.end().await;
    let tally = judge(&world, &zones, &attempts).await;
    eprintln!("clocks set {} times: {tally:?}", 4);
    assert_eq!((tally.refused, tally.unknown), (0, 0), "nobody noticed: {tally:?}");
    let early = "SELECT COUNT(*) FROM audit_log WHERE created_at < ? - INTERVAL 60 SECOND";
    let early: i64 = sqlx::query_scalar(early).bind(began).fetch_one(&world.db).await.expect("a count");
    assert_eq!(early, 0, "audited before it happened");
    jumping.stop().await;
    world.stop().await;
}

/// Its times are the replica's to judge: ten minutes more, and ten minutes too late.
async fn tokens_are_good_while_they_are(world: &World, there: &Api) {
    for (expires_in, status) in [(600, 200), (-600, 401)] {
        let body = json!({"email": "alice@northwind.test", "expires_in": expires_in});
        let request = reqwest::Client::new().post(format!("{}/dev/token", world.scaikey.url())).json(&body);
        let made: Value = request.send().await.expect("ScaiKey").json().await.expect("JSON");
        let token = made["access_token"].as_str().unwrap_or_else(|| panic!("no token in {made}"));
        let answer = Api::with_token(there.url(), token).get("/me/").await;
        assert_eq!(answer.status, status, "a token for {expires_in} s: {answer:?}");
    }
}

/// A key that ends in half an hour, made at one replica and used at the other.
async fn keys_are_good_while_they_are(world: &World, there: &Api, here: &Api, round: usize) {
    let sql = "SELECT DATE_FORMAT(NOW(6) + INTERVAL 30 MINUTE, '%Y-%m-%dT%H:%i:%SZ')";
    let ends: String = sqlx::query_scalar(sql).fetch_one(&world.db).await.expect("a time");
    for (makes, uses, name) in [(there, here, "there"), (here, there, "here")] {
        let body = json!({
            "name": format!("clocks-{name}-{round}"),
            "permission_source": "user",
            "permission_source_id": NORTHWIND_ADMIN,
            "expires_at": ends,
        });
        let made = makes.post("/api-keys/", body).await.ok();
        let key = made["key"].as_str().unwrap_or_else(|| panic!("no key in {made}"));
        Api::with_key(uses.url(), key).get("/me/").await.ok();
    }
}

async fn a_request_sent_again_is_answered_again(zone: &ledger::Zone, there: &Api, here: &Api, round: usize) {
    let path = "/domains/".to_owned();
    let body = json!({"name": format!("again-{round}-{}", zone.domain.name), "domain_type": "primary"});
    let key = format!("again-{round}");
    let mut answers = Vec::new();
    for api in [there, here, there] {
        let request = api.request(Method::POST, &path).json(&body).header("Idempotency-Key", &key);
        answers.push(api.send(request).await.ok());
    }
    assert!(answers.iter().all(|answer| answer["id"] == answers[0]["id"]), "{answers:?}");
}

/// A statement that the replica made itself, and one of ScaiKey's after it, which a sync by a machine with the right time
/// brings. Both users: one is changed while the clock is wrong, one by the round before.
async fn what_scaikey_says_later_is_later(world: &World, there: &Api, round: usize) {
    let path = format!("/admin/users/{NORTHWIND_USER}");
    let name = format!("Bob of round {round}");
    assert_eq!(there.patch(&path, json!({"display_name": name})).await.ok()["name"], name.as_str());
    for (status, seen) in [("SUSPENDED", "suspended"), (ACTIVE, "active")] {
        world.scaikey.change(|directory| {
            for user in &mut directory.users {
                if [NORTHWIND_USER, FABRIKAM_USER].contains(&user.id.as_str()) {
                    status.clone_into(&mut user.status);
                }
            }
        });
        scaidns(&["sync"], &world.env).await.ok();
        assert_eq!(there.get(&path).await.ok()["status"], seen, "in round {round}");
    }
}

/// Wherever the database holds when something was made, changed, said or settled.
async fn every_time_written_down_has_come(world: &World) {
    let sql = "SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR) FROM information_schema.columns \
               WHERE table_schema = DATABASE() AND data_type = 'datetime' AND column_name IN \
               ('created_at', 'updated_at', 'stated_at', 'settled_at', 'noted_at', 'started_at', 'finished_at', \
               'received_at', 'deleted_at', 'validated_at', 'assigned_at', 'members_stated_at')";
    let columns: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&world.db).await.expect("columns");
    assert!(columns.len() > 20, "{columns:?}");
    for (table, column) in columns {
        let sql = format!("SELECT COUNT(*) FROM `{table}` WHERE `{column}` > NOW(6) + INTERVAL 60 SECOND");
        let ahead: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&world.db).await.expect("a count");
        assert_eq!(ahead, 0, "{table}.{column} is yet to come");
    }
}

/// A replica and a worker by a clock that is set.
struct Jumping {
    replica: Server,
    worker: Server,
    url: String,
    clock: PathBuf,
}

impl Jumping {
    async fn start(world: &World) -> Self {
        let clock = world.folder.join("clock");
        let url = format!("http://127.0.0.1:{}", world.ports.api(JUMPING));
        std::fs::write(&clock, "+0").expect("the clock is set");
        let library = library();
        let fake = [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", clock.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("BIND_ADDRESS", url.trim_start_matches("http://").to_owned()),
        ];
        let fake = fake.map(|(name, value)| (name.to_owned(), value));
        let replica = world.program("api-jumping", &["api"]).with_env(&fake);
        let probe = Probe::Http { url: format!("{url}/health/live") };
        let replica = Server::launch(replica, probe).await.expect("a replica by another clock");
        let worker = world.program("worker-jumping", &["worker"]).with_env(&fake);
        let worker = Server::launch(worker, Probe::Running).await.expect("a worker by another clock");
        Self { replica, worker, url, clock }
    }

    /// Sets the clock so many seconds ahead of the right time, and waits until both processes have seen it.
    async fn set(&mut self, world: &World, seconds: i64) {
        let told = if seconds == 0 { RIGHT } else { WRONG };
        let count = || ["api-jumping", "worker-jumping"].map(|name| world.log(name).matches(told).count());
        let before = count();
        std::fs::write(&self.clock, format!("{seconds:+}")).expect("the clock is set");
        eventually_within(LIMIT, &format!("both have seen that their clock is {seconds} s ahead"), || async {
            let now = count();
            let seen = now.iter().zip(before).all(|(now, before)| *now > before);
            if seen { Ok(()) } else { Err(format!("{told:?}: {before:?}, now {now:?}")) }
        })
        .await;
    }

    async fn stop(mut self) {
        tokio::join!(self.replica.stop(), self.worker.stop());
    }
}

fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    found.find(|library| library.exists()).expect("libfaketime: apt-get install faketime, as scripts/test does")
}
