//! More than a replica takes: connections, slow clients, what hangs behind, and a tenant that wants everything.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use scaidns::dev::servers::{Probe, Server};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::proxy::{Fault, Proxy, is_patch};
use crate::support::{Api, Domain, Trials, World, eventually_within, trials};

/// For a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(60);
/// How long one who connects listens whether it is refused.
const LISTEN: Duration = Duration::from_secs(2);
/// Zones that the greedy tenant writes to at once, with so many writers each: many more than batches that go at a time.
const GREEDY_ZONES: usize = 20;
const GREEDY_WRITERS: usize = 4;
/// Writes of the modest tenant, one after the other.
const MODEST_WRITES: usize = 60;

pub fn tests() -> Trials {
    trials![
        a_connection_too_many_is_told_to_come_back_and_those_there_are_served,
        one_address_holds_no_more_than_its_share_and_a_trusted_proxy_is_not_counted,
        a_client_that_does_not_finish_its_head_is_cut_off,
        a_body_that_stops_coming_is_408_and_holds_up_nobody_meanwhile,
        what_hangs_behind_is_answered_by_the_deadline_and_the_write_is_all_or_nothing,
        a_tenant_that_wants_everything_waits_behind_itself,
    ]
}

/// A replica beside those of the world.
struct Replica {
    server: Server,
    port: u16,
}

impl Replica {
    async fn start(world: &World, name: &str, variables: &[(&str, String)]) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = free.local_addr().expect("its address").port();
        drop(free);
        let mut env = vec![("BIND_ADDRESS".to_owned(), format!("127.0.0.1:{port}"))];
        env.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let program = world.program(name, &["api"]).with_env(&env);
        let probe = Probe::Http { url: format!("http://127.0.0.1:{port}/health/live") };
        Self { server: Server::launch(program, probe).await.expect("a replica"), port }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.expect("a connection")
    }

    async fn connect_from(&self, address: Ipv4Addr) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((address, 0).into()).expect("an address of this machine");
        socket.connect((Ipv4Addr::LOCALHOST, self.port).into()).await.expect("a connection")
    }

    async fn stop(mut self) {
        self.server.stop().await;
    }
}

/// All that comes until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut bytes)).await.expect("closed in time");
    // a reset is an end, too
    drop(read);
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn a_connection_too_many_is_told_to_come_back_and_those_there_are_served() {
    const PLACES: usize = 6;
    let world = World::shared().await;
    let variables = ["HTTP_MAX_CONNECTIONS", "HTTP_MAX_CONNECTIONS_PER_ADDRESS"].map(|name| (name, PLACES.to_string()));
    let replica = Replica::start(world, "api-few", &variables).await;
    let mut first = replica.connect().await;
    let mut others = Vec::new();
    let refused = loop {
        let mut stream = replica.connect().await;
        let mut begin = [0; 1];
        if tokio::time::timeout(LISTEN, stream.read_exact(&mut begin)).await.is_ok() {
            break String::from_utf8_lossy(&begin).into_owned() + &rest(&mut stream).await;
        }
        others.push(stream);
        assert!(others.len() < 2 * PLACES, "nobody is refused");
    };
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 1\r\n"), "{refused}");
    assert!(refused.contains(r#""code":"overloaded""#), "{refused}");
    assert!(others.len() < PLACES, "{} besides the first", others.len());

    let request = "GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    first.write_all(request.as_bytes()).await.expect("sent");
    let answer = rest(&mut first).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "who was there before is served: {answer}");
    drop(others);
    let api = Api::anonymous(&replica.url());
    eventually_within(LIMIT, "there is room again", || async {
        let answer = api.try_call(Method::GET, "/health/live", None).await;
        if answer.as_ref().is_ok_and(|answer| answer.status == 200) { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    replica.stop().await;
}

async fn one_address_holds_no_more_than_its_share_and_a_trusted_proxy_is_not_counted() {
    const SHARE: usize = 3;
    let world = World::shared().await;
    let variables = [("HTTP_MAX_CONNECTIONS", "12".to_owned()), ("TRUSTED_PROXIES", "127.0.0.3/32".to_owned())];
    let replica = Replica::start(world, "api-share", &variables).await;
    let [greedy, modest, proxy] = [2, 4, 3].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let request = "GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answered = async |from: Ipv4Addr| {
        let mut stream = replica.connect_from(from).await;
        // whoever is turned away may hear of it before it has asked
        let _ = stream.write_all(request.as_bytes()).await;
        rest(&mut stream).await
    };
    let mut held = Vec::new();
    for _ in 0..SHARE {
        held.push(replica.connect_from(greedy).await);
    }
    let refused = answered(greedy).await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 1\r\n"), "{refused}");
    assert!(refused.contains(r#""code":"overloaded""#) && refused.contains("Your address"), "{refused}");
    for _ in 0..SHARE + 2 {
        held.push(replica.connect_from(proxy).await);
    }
    for from in [modest, proxy] {
        let answer = answered(from).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{from}: {answer}");
    }
    let first = held.remove(0);
    drop(first);
    eventually_within(LIMIT, "what goes makes room", || async {
        let answer = answered(greedy).await;
        if answer.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(answer) }
    })
    .await;
    replica.stop().await;
}

async fn a_client_that_does_not_finish_its_head_is_cut_off() {
    let world = World::shared().await;
    let replica = Replica::start(world, "api-heads", &[("HTTP_HEADER_TIMEOUT", "2".to_owned())]).await;
    let (mut silent, mut slow) = (replica.connect().await, replica.connect().await);
    slow.write_all(b"GET /health/live HTTP/1.1\r\nho").await.expect("sent");
    let began = Instant::now();
    for stream in [&mut silent, &mut slow] {
        let heard = rest(stream).await;
        assert!(!heard.starts_with("HTTP/1.1 200"), "{heard}");
    }
    assert!(began.elapsed() > Duration::from_secs(1), "they had their time: {:?}", began.elapsed());
    Api::anonymous(&replica.url()).get("/health/live").await.ok();
    replica.stop().await;
}

/// One connection of the database: whoever holds up others while it reads a body, holds up everybody here.
async fn a_body_that_stops_coming_is_408_and_holds_up_nobody_meanwhile() {
    let world = World::shared().await;
    let replica = Replica::start(world, "api-bodies", &[("DATABASE_POOL_SIZE", "1".to_owned())]).await;
    let domain = world.pending(&world.admin(), "stalls").await;
    let head = |more: &str| {
        format!(
            "POST /api/v1{} HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\ncontent-type: application/json\r\n\
             content-length: 100\r\n{more}\r\n{{\"name\":",
            domain.records(),
            world.admin_key
        )
    };
    let mut stalled = Vec::new();
    for more in ["", "idempotency-key: stalls\r\n"] {
        let mut stream = replica.connect().await;
        stream.write_all(head(more).as_bytes()).await.expect("sent");
        stalled.push(stream);
    }
    let api = world.admin().at(&replica.url());
    for number in 0..5 {
        api.add(&domain, &format!("meanwhile{number}"), "A", "192.0.2.1").await;
    }
    for mut stream in stalled {
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains(r#""code":"body_stalled""#), "{answer}");
    }
    assert_eq!(world.admin().records(&domain).await.len(), 5);
    replica.stop().await;
}

async fn what_hangs_behind_is_answered_by_the_deadline_and_the_write_is_all_or_nothing() {
    let world = World::shared().await;
    let domain = world.live(&world.admin(), "late").await;
    let proxy = Proxy::start(world.ports.pdns_api()).await;
    let variables = [("PDNS_API_URL", format!("http://127.0.0.1:{}", proxy.port())), ("HTTP_DEADLINE", "1".to_owned())];
    let replica = Replica::start(world, "api-late", &variables).await;
    let api = world.admin().at(&replica.url());
    let hangs = Fault { after: 0, times: 1, reaches_server: false, closes: false };

    proxy.arm(|bytes| bytes.starts_with(b"GET "), hangs);
    let answer = api.get(&domain.records()).await;
    assert_eq!(answer.header("retry-after"), "1", "{answer:?}");
    answer.refused(503, "unavailable");
    proxy.arm(is_patch, Fault { reaches_server: true, ..hangs });
    let body = json!({"name": "late", "type": "A", "content": "192.0.2.1"});
    let told = api.post(&domain.records(), body).await;
    told.refused(504, "deadline_missed");
    // the writer goes on without its client
    eventually_within(LIMIT, "it is settled", || async {
        let sql = "SELECT COUNT(*) FROM zone_intents WHERE zone_name = ?";
        let left: i64 = sqlx::query_scalar(sql).bind(&domain.name).fetch_one(&world.db).await.expect("a count");
        if left == 0 { Ok(()) } else { Err("it is under way".to_owned()) }
    })
    .await;
    let records = world.admin().records(&domain).await;
    assert_eq!(records.len(), 1, "PowerDNS had it: {records:?}");
    assert_eq!(world.actions(records[0]["id"].as_str().expect("an id")).await, ["record.create"]);
    replica.stop().await;
}

async fn a_tenant_that_wants_everything_waits_behind_itself() {
    let world = World::builder("greedy").replicas(1).start().await;
    let modest = world.live(&world.other(), "modest").await;
    let mut greedy = Vec::new();
    for _ in 0..GREEDY_ZONES {
        greedy.push(world.live(&world.admin(), "greedy").await);
    }
    let alone = writes(&world.other(), &modest, "alone").await;

    let stop = Arc::new(AtomicBool::new(false));
    let mut crowd = Vec::new();
    for domain in &greedy {
        for writer in 0..GREEDY_WRITERS {
            let (api, domain, stop) = (world.admin(), domain.clone(), stop.clone());
            crowd.push(tokio::spawn(async move {
                let mut times = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let name = format!("w{writer}n{}", times.len());
                    let began = Instant::now();
                    let answer = api.try_add(&domain, &name, "A", "192.0.2.1").await;
                    assert!([200, 429, 503].contains(&answer.status), "{answer:?}");
                    times.push(began.elapsed());
                }
                times
            }));
        }
    }
    let beside = writes(&world.other(), &modest, "beside").await;
    stop.store(true, Ordering::Relaxed);
    let mut crowded = Vec::new();
    for writer in crowd {
        crowded.extend(writer.await.expect("no panic"));
    }
    crowded.sort_unstable();
    let (usual, of_the_crowd) = (percentile(&beside, 50), percentile(&crowded, 50));
    eprintln!(
        "alone p50 {:?} p99 {:?}; beside {} writes p50 {usual:?} p99 {:?}; those took p50 {of_the_crowd:?} p99 {:?}",
        percentile(&alone, 50),
        percentile(&alone, 99),
        crowded.len(),
        percentile(&beside, 99),
        percentile(&crowded, 99),
    );
    // times differ from machine to machine; that the crowd waits, and the one beside it does not, does not
    assert!(usual < of_the_crowd, "{usual:?} for one write beside a crowd whose writes take {of_the_crowd:?}");
    assert_eq!(world.other().records(&modest).await.len(), 2 * MODEST_WRITES);
    world.stop().await;
}

/// How long each of some writes took, the shortest first.
async fn writes(api: &Api, domain: &Domain, label: &str) -> Vec<Duration> {
    let mut times = Vec::new();
    for number in 0..MODEST_WRITES {
        let began = Instant::now();
        api.add(domain, &format!("{label}{number}"), "A", "192.0.2.1").await;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times
}

fn percentile(times: &[Duration], percent: usize) -> Duration {
    times[(times.len() * percent / 100).min(times.len() - 1)]
}
