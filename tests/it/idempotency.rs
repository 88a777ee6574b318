//! Clients that repeat themselves: under an `Idempotency-Key` a request is carried out once, whatever is killed.

use std::net::Ipv4Addr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use scaidns::dev::scaikey::directory;
use scaidns::dev::servers::{Probe, Server};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::crash::{hurry, seed};
use crate::support::proxy::{Fault, Proxy};
use crate::support::{Answer, Api, Domain, Trials, World, eventually_within, trials};

/// Clients that repeat one request at the same time.
const CLIENTS: usize = 16;
/// Requests that are repeated while a replica is killed.
const ROUNDS: usize = 12;

pub fn tests() -> Trials {
    trials![
        a_repeated_request_gets_the_first_answer_and_is_carried_out_once,
        a_refusal_is_repeated_too_even_when_it_would_be_no_more,
        a_key_belongs_to_one_request_and_one_caller,
        the_replay_of_a_keys_creation_lacks_the_secret,
        who_has_lost_the_right_hears_the_answer_no_more,
        sixteen_clients_repeat_one_request_through_two_replicas_one_killed_and_one_record_is_there,
        a_client_that_sends_everything_twice_leaves_what_one_leaves,
        a_client_that_retries_until_it_is_answered_leaves_what_one_leaves_whatever_dies,
        who_cannot_be_told_for_a_moment_is_refused_and_nothing_is_done_without_the_key,
        after_a_504_the_key_gets_what_recovery_settles,
    ]
}

async fn keyed(api: &Api, key: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    api.send(request(api, key, method, path, body)).await
}

fn request(api: &Api, key: &str, method: Method, path: &str, body: Option<Value>) -> reqwest::RequestBuilder {
    let request = api.request(method, path).header("Idempotency-Key", key);
    match body {
        Some(body) => request.json(&body),
        None => request,
    }
}

fn text(value: &str) -> Option<Value> {
    Some(json!({"name": "www", "type": "TXT", "content": value}))
}

#[track_caller]
fn assert_replayed(first: &Answer, second: &Answer) {
    assert_eq!(first.header("idempotency-replayed"), "", "{first:?}");
    assert_eq!(second.header("idempotency-replayed"), "true", "{second:?}");
    assert_eq!((first.status, &first.text), (second.status, &second.text));
    assert_eq!(first.header("content-type"), second.header("content-type"));
}

/// Loses the answers to requests that changed the domain under a key, as a replica does that dies before it keeps them.
pub async fn lose_answers(world: &World, domain: &Domain) {
    let sql = "UPDATE idempotency_keys SET status = NULL, headers = NULL, body = NULL, decisions = NULL, \
               deadline = NOW(6) - INTERVAL 1 SECOND WHERE digest IN (SELECT s.digest FROM idempotency_steps s \
               JOIN zone_changes c ON c.batch_id = s.batch_id JOIN zones z ON z.id = c.zone_id WHERE z.name = ?)";
    let lost = sqlx::query(sql).bind(&domain.name).execute(&world.db).await.expect("written");
    assert!(lost.rows_affected() > 0, "there are none");
}

async fn changes(world: &World, domain: &Domain) -> i64 {
    let sql = "SELECT COUNT(*) FROM zone_changes c JOIN zones z ON z.id = c.zone_id WHERE z.name = ?";
    sqlx::query_scalar(sql).bind(&domain.name).fetch_one(&world.db).await.expect("a count")
}

async fn a_repeated_request_gets_the_first_answer_and_is_carried_out_once() {
    let world = World::shared().await;
    let (api, other) = (world.admin(), world.admin().at(&world.urls[1]));
    let domain = world.live(&api, "again").await;
    let records = domain.records();

    let made = keyed(&api, "again-1", Method::POST, &records, text("one")).await;
    let again = keyed(&other, "again-1", Method::POST, &records, text("one")).await;
    assert_replayed(&made, &again);
    let slash = keyed(&other, "again-1", Method::POST, &format!("{records}/"), text("one")).await;
    assert_replayed(&made, &slash);

    let id = made.ok()["id"].as_str().expect("an id").to_owned();
    let change = Some(json!({"content": "two"}));
    let changed = keyed(&api, "again-2", Method::PATCH, &domain.record(&id), change.clone()).await;
    assert_replayed(&changed, &keyed(&other, "again-2", Method::PATCH, &domain.record(&id), change).await);
    let deleted = keyed(&api, "again-3", Method::DELETE, &domain.record(&id), None).await;
    assert_eq!(deleted.status, 204);
    assert_replayed(&deleted, &keyed(&other, "again-3", Method::DELETE, &domain.record(&id), None).await);
    assert_eq!(changes(world, &domain).await, 4, "going live, and three");
    assert_eq!(world.audit(&format!("resource_id={id}")).await.len(), 3);

    let body = Some(json!({"name": world.fresh("again"), "domain_type": "primary"}));
    let created = keyed(&api, "again-4", Method::POST, "/domains/", body.clone()).await;
    assert_eq!(created.status, 200);
    assert_replayed(&created, &keyed(&other, "again-4", Method::POST, "/domains", body).await);
}

async fn a_refusal_is_repeated_too_even_when_it_would_be_no_more() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "refused").await;
    let record = api.add(&domain, "www", "TXT", "there").await;
    let refused = keyed(&api, "refused-1", Method::POST, &domain.records(), text("there")).await;
    assert_eq!(refused.status, 409);
    assert_eq!(api.delete(&domain.record(record["id"].as_str().expect("an id"))).await.status, 204);
    let again = keyed(&api, "refused-1", Method::POST, &domain.records(), text("there")).await;
    assert_replayed(&refused, &again);
    assert!(api.records(&domain).await.is_empty());
}

async fn a_key_belongs_to_one_request_and_one_caller() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "whose").await;
    let records = domain.records();
    keyed(&api, "whose-1", Method::POST, &records, text("one")).await.ok();
    for (path, body) in [(records.clone(), text("two")), (format!("{records}?dry_run=true"), text("one"))] {
        let refused = keyed(&api, "whose-1", Method::POST, &path, body).await;
        let detail = refused.refused(422, "idempotency_key_reused");
        assert_eq!(detail[0]["loc"], json!(["header", "Idempotency-Key"]));
    }
    for malformed in ["", &"x".repeat(256)] {
        let refused = keyed(&api, malformed, Method::POST, &records, text("three")).await;
        assert_eq!(refused.status, 422, "{malformed}: {refused:?}");
    }
    // the same person with a token, and another tenant's: each has keys of its own
    let own = keyed(&world.admin_user(), "whose-1", Method::POST, &records, text("two")).await;
    assert_eq!((own.status, own.header("idempotency-replayed")), (200, ""), "{own:?}");
    let foreign = keyed(&world.other(), "whose-1", Method::POST, &records, text("one")).await;
    foreign.refused(404, "not_found");
    let anonymous = keyed(&world.nobody(), "whose-1", Method::POST, &records, text("one")).await;
    anonymous.refused(401, "unauthenticated");
    assert_eq!(api.records(&domain).await.len(), 2);
}

async fn the_replay_of_a_keys_creation_lacks_the_secret() {
    let world = World::shared().await;
    let user = world.admin_user();
    let body = json!({"name": "once", "permission_source": "user", "permission_source_id": directory::NORTHWIND_ADMIN});
    let made = keyed(&user, "secret-1", Method::POST, "/api-keys/", Some(body.clone())).await.ok();
    let secret = made["key"].as_str().expect("a secret").to_owned();
    let again = keyed(&user, "secret-1", Method::POST, "/api-keys/", Some(body)).await.ok();
    let mut expected = made.clone();
    expected.as_object_mut().expect("an object").remove("key");
    assert_eq!(again, expected);
    let path = format!("/api-keys/{}/regenerate", made["id"].as_str().expect("an id"));
    let anew = keyed(&user, "secret-2", Method::POST, &path, None).await.ok();
    let again = keyed(&user, "secret-2", Method::POST, &path, None).await.ok();
    assert!(anew["key"].is_string() && again.get("key").is_none(), "{again}");
    let secrets = [secret, anew["key"].as_str().expect("a secret").to_owned()];
    let kept: Vec<Vec<u8>> = sqlx::query_scalar("SELECT body FROM idempotency_keys WHERE body IS NOT NULL")
        .fetch_all(&world.db)
        .await
        .expect("the kept answers");
    for body in kept {
        let body = String::from_utf8_lossy(&body);
        assert!(secrets.iter().all(|secret| !body.contains(secret)), "a secret is kept: {body}");
    }
}

async fn who_has_lost_the_right_hears_the_answer_no_more() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "lost").await;
    let key = json!({"name": "lost", "permission_source": "user", "permission_source_id": directory::NORTHWIND_ADMIN});
    let key = world.admin_user().post("/api-keys/", key).await.ok();
    let caller = Api::with_key(&world.urls[0], key["key"].as_str().expect("a secret"));
    keyed(&caller, "lost-1", Method::POST, &domain.records(), text("one")).await.ok();
    // narrowed by hand: no interface changes a key's scopes
    let sql = "UPDATE api_keys SET scopes = '[\"records:read\"]' WHERE name = 'lost'";
    sqlx::query(sql).execute(&world.db).await.expect("narrowed");
    eventually_within(Duration::from_secs(15), "the answer is refused", || async {
        let again = keyed(&caller, "lost-1", Method::POST, &domain.records(), text("one")).await;
        if again.status == 403 { Ok(()) } else { Err(format!("{again:?}")) }
    })
    .await;
}

async fn sixteen_clients_repeat_one_request_through_two_replicas_one_killed_and_one_record_is_there() {
    let seed = seed("sixteen clients");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::private("sixteen").await;
    let api = world.admin();
    let domain = world.live(&api, "sixteen").await;
    let before = changes(&world, &domain).await;
    for round in 0..ROUNDS {
        let value = format!("round-{round}");
        let clients = (0..CLIENTS).map(|client| {
            let api = api.at(&world.urls[client % world.urls.len()]);
            let others = api.at(&world.urls[(client + 1) % world.urls.len()]);
            tokio::spawn(until_answered([api, others], value.clone(), domain.records()))
        });
        let clients: Vec<_> = clients.collect();
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..60_000))).await;
        let victim = rng.random_range(0..world.apis.len());
        world.apis[victim].kill().await;
        world.apis[victim].restart().await.expect("it comes back");
        // what died is given up at once, rather than in fifteen seconds
        hurry(&world).await;
        let sql = "UPDATE idempotency_keys SET deadline = NOW(6) - INTERVAL 1 SECOND WHERE status IS NULL";
        sqlx::query(sql).execute(&world.db).await.expect("given up");
        let mut answers = Vec::new();
        for client in clients {
            answers.push(client.await.expect("an answer"));
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "round {round}: one answer for all");
        let id = answers[0]["id"].as_str().expect("an id").to_owned();
        assert_eq!(world.audit(&format!("resource_id={id}")).await.len(), 1, "round {round}");
    }
    let mut found: Vec<String> =
        api.records(&domain).await.iter().map(|record| record["content"].to_string()).collect();
    found.sort();
    found.dedup();
    assert_eq!(found.len(), ROUNDS, "{found:?}");
    assert_eq!(api.records(&domain).await.len(), ROUNDS);
    assert_eq!(changes(&world, &domain).await - before, i64::try_from(ROUNDS).expect("few"));
    world.stop().await;
}

/// A client that asks again, at either replica, until it has an answer that counts.
async fn until_answered(replicas: [Api; 2], value: String, path: String) -> Value {
    const ATTEMPTS: usize = 600;
    for attempt in 0..ATTEMPTS {
        let api = &replicas[attempt % replicas.len()];
        let answer = api.try_send(request(api, &value, Method::POST, &path, text(&value))).await;
        match answer {
            Ok(answer) if answer.status == 200 => return answer.body,
            Ok(answer) => assert!([409, 502, 503, 504].contains(&answer.status), "{answer:?}"),
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no answer for {value}")
}

/// How a client sends its requests.
#[derive(Clone, Copy)]
enum Manner {
    Once,
    Twice,
    /// Again, at any replica, until the answer counts.
    UntilAnswered,
}

/// A client with what it needs, apart from the world whose servers die.
struct Worker {
    /// With a key, at each replica.
    replicas: Vec<Api>,
    /// Logged in, at each replica.
    users: Vec<Api>,
    manner: Manner,
    label: String,
    sent: usize,
}

impl Worker {
    fn new(world: &World, domain: &Domain, manner: Manner) -> Self {
        let at_each = |api: &Api| world.urls.iter().map(|url| api.at(url)).collect();
        let (replicas, users) = (at_each(&world.admin()), at_each(&world.admin_user()));
        Self { replicas, users, manner, label: domain.name.clone(), sent: 0 }
    }

    async fn send(&mut self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.sent += 1;
        let key = format!("{}-{}", self.label, self.sent);
        // keys are made by people
        let callers = if path.starts_with("/api-keys") { &self.users } else { &self.replicas };
        let at = |n: usize| callers[n % callers.len()].clone();
        let once = async |n: usize| keyed(&at(n), &key, method.clone(), path, body.clone()).await;
        match self.manner {
            Manner::Once => once(0).await,
            Manner::Twice => {
                once(0).await;
                once(1).await
            }
            Manner::UntilAnswered => {
                const ATTEMPTS: usize = 1_200;
                for n in 0..ATTEMPTS {
                    match at(n).try_send(request(&at(n), &key, method.clone(), path, body.clone())).await {
                        Ok(answer) if answer.status < 500 && answer.body["code"] != "idempotency_in_progress" => {
                            return answer;
                        }
                        Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                }
                panic!("no answer: {method} {path}")
            }
        }
    }
}

/// What a client leaves behind: records, changes in the history, audit entries, domains and keys.
type Left = (Vec<Value>, i64, Vec<Value>, usize, usize);

async fn work(world: &World, domain: &Domain, manner: Manner) -> Left {
    do_work(Worker::new(world, domain, manner), domain.clone()).await;
    left(world, domain).await
}

/// The same work, whatever happens meanwhile.
async fn do_work(mut worker: Worker, domain: Domain) {
    let label = domain.name.clone();
    let mut ids = Vec::new();
    for n in 0..6 {
        let made = worker.send(Method::POST, &domain.records(), text(&format!("value {n}"))).await.ok();
        ids.push(made["id"].as_str().expect("an id").to_owned());
    }
    let many = json!({"records": [
        {"name": "a", "type": "A", "content": "192.0.2.1"}, {"name": "b", "type": "A", "content": "192.0.2.2"}]});
    worker.send(Method::POST, &format!("{}/bulk", domain.records()), Some(many)).await.ok();
    worker.send(Method::PATCH, &domain.record(&ids[0]), Some(json!({"content": "edited", "ttl": 60}))).await.ok();
    assert_eq!(worker.send(Method::DELETE, &domain.record(&ids[1]), None).await.status, 204);
    assert_eq!(worker.send(Method::POST, &domain.records(), text("edited")).await.status, 409);
    for n in 0..4 {
        let body = json!({"name": format!("n{n}-{label}"), "domain_type": "primary"});
        worker.send(Method::POST, "/domains/", Some(body)).await.ok();
        let source = ("user", directory::NORTHWIND_ADMIN);
        let body = json!({"name": label, "permission_source": source.0, "permission_source_id": source.1});
        worker.send(Method::POST, "/api-keys/", Some(body)).await.ok();
    }
}

async fn left(world: &World, domain: &Domain) -> Left {
    let api = world.admin();
    let shown = |record: &Value| json!([record["display_name"], record["type"], record["content"], record["ttl"]]);
    let records = api.records(domain).await.iter().map(shown).collect();
    let entries = world.audit("resource_type=record").await;
    let of_zone = |entry: &&Value| entry["resource_name"].as_str().is_some_and(|name| name.contains(&domain.name));
    let entries = entries.iter().filter(of_zone).map(|entry| entry["action"].clone()).collect();
    let claims = api.get(&format!("/domains/?search={}&status=pending_validation", domain.name)).await.ok();
    let keys = "SELECT COUNT(*) FROM api_keys WHERE name = ?";
    let keys: i64 = sqlx::query_scalar(keys).bind(&domain.name).fetch_one(&world.db).await.expect("a count");
    let claims = claims["data"].as_array().expect("domains").len();
    (records, changes(world, domain).await, entries, claims, usize::try_from(keys).expect("a count"))
}

async fn a_client_that_sends_everything_twice_leaves_what_one_leaves() {
    let world = World::shared().await;
    let api = world.admin();
    let once = work(world, &world.live(&api, "twice").await, Manner::Once).await;
    assert_eq!((once.0.len(), once.3, once.4), (7, 4, 4));
    assert_eq!(work(world, &world.live(&api, "twice").await, Manner::Twice).await, once);
}

async fn a_client_that_retries_until_it_is_answered_leaves_what_one_leaves_whatever_dies() {
    const CLIENTS: usize = 4;
    let seed = seed("retrying clients");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::private("retrying").await;
    let api = world.admin();
    let clean = work(&world, &world.live(&api, "clean").await, Manner::Once).await;
    let mut domains = Vec::new();
    for _ in 0..CLIENTS {
        domains.push(world.live(&api, "retrying").await);
    }
    let start = |domain: &Domain| {
        let worker = Worker::new(&world, domain, Manner::UntilAnswered);
        tokio::spawn(do_work(worker, domain.clone()))
    };
    let clients: Vec<_> = domains.iter().map(start).collect();
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(rng.random_range(50..700))).await;
        match rng.random_range(0..4) {
            0 => {
                world.servers.pdns.kill().await;
                world.servers.pdns.restart().await.expect("PowerDNS comes back");
            }
            1 => {
                world.servers.mariadb.kill().await;
                world.servers.restart_mariadb().await.expect("MariaDB comes back");
            }
            _ => {
                let victim = rng.random_range(0..world.apis.len());
                world.apis[victim].kill().await;
                world.apis[victim].restart().await.expect("it comes back");
            }
        }
        hurry(&world).await;
        let sql = "UPDATE idempotency_keys SET deadline = NOW(6) - INTERVAL 1 SECOND WHERE status IS NULL";
        // what died is given up at once, rather than in fifteen seconds; MariaDB may not be there yet
        let _ = sqlx::query(sql).execute(&world.db).await;
    }
    for client in clients {
        client.await.expect("all is answered");
    }
    until_steady(&world).await;
    for domain in &domains {
        assert_eq!(left(&world, domain).await, clean, "{}", domain.name);
    }
    world.stop().await;
}

/// Waits until no replica keeps a connection to a MariaDB that is gone.
async fn until_steady(world: &World) {
    const READS: usize = 60; // more than a replica has connections
    eventually_within(Duration::from_secs(30), "every read is answered", || async {
        for n in 0..READS {
            let answer = world.admin().at(&world.urls[n % world.urls.len()]).get("/domains/").await;
            if answer.status != 200 {
                return Err(answer.text);
            }
        }
        Ok(())
    })
    .await;
}

/// The first look for the caller fails, a second one would not: by then the key must not be forgotten.
async fn who_cannot_be_told_for_a_moment_is_refused_and_nothing_is_done_without_the_key() {
    let world = World::shared().await;
    let domain = world.pending(&world.admin(), "untold").await;
    let proxy = Proxy::start(world.ports.mariadb()).await;
    let direct = format!("127.0.0.1:{}", world.ports.mariadb());
    let through = world.servers.database_url().replace(&direct, &format!("127.0.0.1:{}", proxy.port()));
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = free.local_addr().expect("its address").to_string();
    drop(free);
    let variables = [("DATABASE_URL".to_owned(), through), ("BIND_ADDRESS".to_owned(), address.clone())];
    let probe = Probe::Http { url: format!("http://{address}/health/live") };
    let mut replica =
        Server::launch(world.program("api-untold", &["api"]).with_env(&variables), probe).await.expect("a replica");
    let api = world.admin().at(&format!("http://{address}"));
    let ask = async || keyed(&api, "untold", Method::POST, &domain.records(), text("untold")).await;

    proxy.arm(looks_for_a_key, Fault::CUT);
    ask().await.refused(503, "unavailable");
    assert_eq!(proxy.hits(), 1);
    assert!(world.admin().records(&domain).await.is_empty(), "nothing was done without the key");
    let made = ask().await;
    made.clone().ok();
    assert_replayed(&made, &ask().await);
    assert_eq!(world.admin().records(&domain).await.len(), 1);
    replica.stop().await;
}

/// Its preparation, as a new connection has it.
fn looks_for_a_key(bytes: &[u8]) -> bool {
    const BY_SECRET: &[u8] = b"WHERE secret_hash = ?";
    bytes.windows(BY_SECRET.len()).any(|window| window == BY_SECRET)
}

async fn after_a_504_the_key_gets_what_recovery_settles() {
    let world = World::private("settled").await;
    let api = world.admin();
    let domain = world.live(&api, "settled").await;
    api.add(&domain, "first", "TXT", "so that the zone is remembered").await;
    world.servers.pdns.pause();
    let unknown = keyed(&api, "settled-1", Method::POST, &domain.records(), text("late")).await;
    assert!([502, 504].contains(&unknown.status), "{unknown:?}");
    world.servers.pdns.resume();
    let limit = Duration::from_secs(60);
    eventually_within(limit, "the key has its answer", || async {
        let again = keyed(&api, "settled-1", Method::POST, &domain.records(), text("late")).await;
        if again.status == 200 { Ok(()) } else { Err(format!("{again:?}")) }
    })
    .await;
    let found = api.records_where(&domain, "name=www").await;
    assert_eq!(found.len(), 1, "{found:?}");
    let id = found[0]["id"].as_str().expect("an id");
    assert_eq!(world.audit(&format!("resource_id={id}")).await.len(), 1);
    world.stop().await;
}
