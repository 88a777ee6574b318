//! Marker, guard, fence and probe against PowerDNS itself, and a small client of its API to speak of them.

use std::time::Duration;

use reqwest::{Client, Method};
use scaidns::dev::{Ports, Servers};
use serde_json::{Value, json};
use sqlx::MySqlPool;
use sqlx::mysql::MySqlPoolOptions;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Trials, World, eventually, reaper, trials, world};

/// PATCHes at once to one zone, and how many each sender sends.
const SENDERS: usize = 4;
const PATCHES: usize = 15;
/// Of an RRset that is most of a small database.
const VALUES: usize = 100;
/// Long enough to see that an answer is not there.
const A_MOMENT: Duration = Duration::from_millis(500);
/// Longer than a PATCH takes, shorter than PowerDNS waits for its database (10 s).
const A_WHILE: Duration = Duration::from_secs(5);

pub fn tests() -> Trials {
    trials![
        patches_that_begin_with_the_marker_queue_and_step_the_serial_once_each,
        a_patch_past_its_guard_is_waited_for_by_the_probe_and_seen_by_the_marker,
        a_patch_does_not_wait_for_a_row_of_another_zone_however_small_the_database,
    ]
}

/// Without the marker some would be answered 500 and others would share a serial.
async fn patches_that_begin_with_the_marker_queue_and_step_the_serial_once_each() {
    let powerdns = Powerdns::of(World::shared().await);
    let zone = powerdns.zone("queueing").await;
    let before = powerdns.serial(&zone).await;
    let senders = (0..SENDERS).map(|sender| {
        let (powerdns, zone) = (&powerdns, &zone);
        async move {
            for n in 0..PATCHES {
                let change = format!("{sender}x{n}");
                let name = format!("host-{change}.{zone}");
                let patch = [marker(zone, &change), guard(zone, &change), replace(&name, "A", &[("192.0.2.1", false)])];
                powerdns.patch(zone, &patch).await.expect(204);
            }
        }
    });
    futures::future::join_all(senders).await;
    assert_eq!(powerdns.serial(&zone).await - before, u32::try_from(SENDERS * PATCHES).expect("few"));
    powerdns.drop_zone(&zone).await;
}

async fn a_patch_past_its_guard_is_waited_for_by_the_probe_and_seen_by_the_marker() {
    let (servers, db) = own_servers("in-flight").await;
    // In a small table MariaDB may read every row to delete one, and wait for rows that are none of its business.
    let many = "INSERT INTO records (domain_id, name, type, content, ttl) \
                SELECT 1000000, CONCAT('host-', seq, '.others.test'), 'A', '192.0.2.1', 60 FROM seq_1_to_20000";
    sqlx::raw_sql(many).execute(&db).await.expect("other rows");
    let powerdns = Powerdns::new(&servers);
    let zone = powerdns.zone("in-flight").await;
    let name = format!("www.{zone}");
    powerdns.patch(&zone, &[replace(&name, "A", &[("192.0.2.1", false)])]).await.expect(204);

    // A row that the PATCH comes to after its guard is locked, so that it stays in flight.
    let held = lock(&db, &name, "A").await.expect("the lock");
    let patch = vec![marker(&zone, "zombie"), guard(&zone, "zombie"), replace(&name, "A", &[("192.0.2.2", false)])];
    let zombie = powerdns.later(&zone, patch.clone());
    eventually("the PATCH holds the marker's row", || async {
        let free = lock(&db, &format!("_scaidns.{zone}"), "TXT").await;
        if free.is_err() { Ok(()) } else { Err("it is free".to_owned()) }
    })
    .await;

    // The fence goes up at once and says nothing about it.
    let fence = replace(&format!("_scaidns-zombie.{zone}"), "TXT", &[("\"cancelled\"", false)]);
    powerdns.patch(&zone, &[fence]).await.expect(204);
    let never = replace(&format!("_scaidns.{zone}"), "A", &[("never", false)]);
    let mut probe = powerdns.later(&zone, vec![marker(&zone, "probe"), guard(&zone, "zombie"), never]);
    let early = tokio::time::timeout(A_MOMENT, &mut probe).await;
    assert!(early.is_err(), "the probe did not wait for the PATCH: {early:?}");

    held.rollback().await.expect("unlocked");
    zombie.await.expect("no panic").expect(204);
    let probed = probe.await.expect("no panic");
    assert!(probed.status == 422 && probed.text.contains("_scaidns-zombie"), "{probed:?}");
    let rrsets = powerdns.rrsets(&zone).await;
    let content = |name: &str, kind: &str| {
        let found = rrsets.iter().find(|rrset| rrset["name"] == name && rrset["type"] == kind);
        found.map(|rrset| rrset["records"][0]["content"].clone()).unwrap_or_default()
    };
    assert_eq!(content(&format!("_scaidns.{zone}"), "TXT"), "\"zombie\"", "the marker tells that it ran");
    assert_eq!(content(&name, "A"), "192.0.2.2");
    let again = powerdns.patch(&zone, &patch).await;
    assert!(again.status == 422 && again.text.contains("_scaidns-zombie"), "{again:?}");
    db.close().await;
    servers.stop().await;
}

/// Else they would wait for each other in a circle, too: deadlocks, and changes refused for nothing.
async fn a_patch_does_not_wait_for_a_row_of_another_zone_however_small_the_database() {
    let (servers, db) = own_servers("small").await;
    let powerdns = Powerdns::new(&servers);
    let (busy, other) = (powerdns.zone("busy").await, powerdns.zone("other").await);
    let name = format!("www.{busy}");
    powerdns.patch(&busy, &[replace(&name, "A", &[("192.0.2.1", false)])]).await.expect(204);
    // Most of what the database holds is one RRset: cheaper to read everything than to use the index.
    let values: Vec<String> = (0..VALUES).map(|n| format!("\"value {n}\"")).collect();
    let many: Vec<(&str, bool)> = values.iter().map(|value| (value.as_str(), false)).collect();
    powerdns.patch(&other, &[replace(&other, "TXT", &many)]).await.expect(204);
    let held = lock(&db, &name, "A").await.expect("the lock");
    let mut patch = powerdns.later(&other, vec![marker(&other, "change"), replace(&other, "TXT", &many[1..])]);
    let answer = tokio::time::timeout(A_WHILE, &mut patch).await;
    held.rollback().await.expect("unlocked");
    let said = answer.unwrap_or_else(|_| panic!("a PATCH of {other} waits for a row of {busy}")).expect("no panic");
    said.expect(204);
    db.close().await;
    servers.stop().await;
}

/// MariaDB and PowerDNS of one test's own, and a pool for the rows of the latter.
async fn own_servers(name: &str) -> (Servers, MySqlPool) {
    let ports = Ports::from_base(world::port_base().parse().expect("a port")).expect("a range of ports");
    let servers = Servers::start(&reaper::folder(name), ports).await.expect("servers");
    let options = MySqlPoolOptions::new().after_connect(|connection, _| {
        // As PowerDNS has it: no gaps are locked.
        Box::pin(async move {
            let level = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
            sqlx::raw_sql(level).execute(connection).await.map(drop)
        })
    });
    let db = options.connect(&servers.pdns_database_url()).await.expect("a pool");
    (servers, db)
}

/// Locks the rows of an RRset, and no other; an error when somebody else has.
async fn lock(db: &MySqlPool, name: &str, record_type: &str) -> sqlx::Result<sqlx::Transaction<'static, sqlx::MySql>> {
    let mut transaction = db.begin().await?;
    let sql = "SELECT id FROM records FORCE INDEX (records_name_type) WHERE name = ? AND type = ? FOR UPDATE NOWAIT";
    let query = sqlx::query_scalar(sql).bind(name.trim_end_matches('.')).bind(record_type);
    let rows: Vec<i64> = query.fetch_all(&mut *transaction).await?;
    assert_eq!(rows.len(), 1, "{name} {record_type}");
    Ok(transaction)
}

fn marker(zone: &str, value: &str) -> Value {
    replace(&format!("_scaidns.{zone}"), "TXT", &[(&format!("\"{value}\""), true)])
}

fn guard(zone: &str, change: &str) -> Value {
    replace(&format!("_scaidns-{change}.{zone}"), "CNAME", &[])
}

/// One step of a PATCH: records with whether they are disabled.
pub fn replace(name: &str, record_type: &str, records: &[(&str, bool)]) -> Value {
    let records: Vec<Value> =
        records.iter().map(|(content, disabled)| json!({"content": content, "disabled": disabled})).collect();
    json!({"name": name, "type": record_type, "ttl": 60, "changetype": "REPLACE", "records": records})
}

pub fn delete(name: &str, record_type: &str) -> Value {
    json!({"name": name, "type": record_type, "changetype": "DELETE"})
}

/// What PowerDNS's API said.
#[derive(Debug)]
pub struct Said {
    pub status: u16,
    pub text: String,
}

impl Said {
    #[track_caller]
    pub fn expect(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.text);
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// PowerDNS's own API, for zones that ScaiDNS knows nothing of. Their names end with a dot.
#[derive(Debug, Clone)]
pub struct Powerdns {
    client: Client,
    base: String,
    key: String,
}

impl Powerdns {
    pub fn new(servers: &Servers) -> Self {
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
        Self { client, base: servers.pdns_api_url(), key: servers.pdns_api_key().to_owned() }
    }

    pub fn of(world: &World) -> Self {
        Self::new(&world.servers)
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Said {
        let url = format!("{}/api/v1/servers/localhost{path}", self.base);
        let mut request = self.client.request(method, url).header("X-API-Key", &self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("an answer of PowerDNS");
        Said { status: response.status().as_u16(), text: response.text().await.expect("its body") }
    }

    pub async fn get(&self, path: &str) -> Said {
        self.call(Method::GET, path, None).await
    }

    /// Makes a zone with a marker, as ScaiDNS does, but live.
    pub async fn zone(&self, label: &str) -> String {
        let zone = format!("{label}-{}.facts.test.", rand::random::<u32>());
        let soa = format!("ns1.scaidns-dev.test. hostmaster.{zone} 1000 10800 3600 604800 3600");
        let rrsets = [
            replace(&zone, "SOA", &[(&soa, false)]),
            replace(&zone, "NS", &[("ns1.scaidns-dev.test.", false)]),
            marker(&zone, "born"),
        ];
        let body = json!({"name": zone, "kind": "Native", "soa_edit_api": "INCREASE", "api_rectify": false,
            "nameservers": [], "rrsets": rrsets});
        self.call(Method::POST, "/zones", Some(body)).await.expect(201);
        zone
    }

    pub async fn drop_zone(&self, zone: &str) {
        self.call(Method::DELETE, &format!("/zones/{zone}"), None).await.expect(204);
    }

    pub async fn patch(&self, zone: &str, rrsets: &[Value]) -> Said {
        self.call(Method::PATCH, &format!("/zones/{zone}"), Some(json!({ "rrsets": rrsets }))).await
    }

    /// A PATCH in a task of its own.
    pub fn later(&self, zone: &str, rrsets: Vec<Value>) -> tokio::task::JoinHandle<Said> {
        let (powerdns, zone) = (self.clone(), zone.to_owned());
        tokio::spawn(async move { powerdns.patch(&zone, &rrsets).await })
    }

    /// Sends a PATCH, whole, and closes the connection without waiting for anything.
    pub async fn send_and_hang_up(&self, zone: &str, rrsets: &[Value]) {
        let address = self.base.trim_start_matches("http://");
        let body = json!({ "rrsets": rrsets }).to_string();
        let head = format!(
            "PATCH /api/v1/servers/localhost/zones/{zone} HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.key,
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.expect("PowerDNS");
        stream.write_all(format!("{head}{body}").as_bytes()).await.expect("sent");
        stream.shutdown().await.expect("closed");
    }

    pub async fn flush(&self, zone: &str) {
        self.call(Method::PUT, &format!("/cache/flush?domain={zone}"), None).await.expect(200);
    }

    /// All RRsets of the zone but its SOA, whose serial moves, by name.
    pub async fn rrsets(&self, zone: &str) -> Vec<Value> {
        let body = self.get(&format!("/zones/{zone}")).await.json();
        let mut rrsets = body["rrsets"].as_array().cloned().unwrap_or_default();
        rrsets.retain(|rrset| rrset["type"] != "SOA");
        rrsets.sort_by_key(|rrset| format!("{} {}", rrset["name"], rrset["type"]));
        rrsets
    }

    pub async fn serial(&self, zone: &str) -> u32 {
        let body = self.get(&format!("/zones/{zone}?rrsets=false")).await.json();
        body["serial"].as_u64().and_then(|serial| u32::try_from(serial).ok()).unwrap_or_else(|| panic!("{body}"))
    }

    /// The content of its SOA.
    pub async fn soa(&self, zone: &str) -> String {
        let body = self.get(&format!("/zones/{zone}")).await.json();
        let rrsets = body["rrsets"].as_array().cloned().unwrap_or_default();
        let soa = rrsets.iter().find(|rrset| rrset["type"] == "SOA").expect("an SOA");
        soa["records"][0]["content"].as_str().expect("content").to_owned()
    }
}
