//! What has ended is refused on every replica within a second, though each remembers what it has seen; and a replica
//! that cannot hear of it believes nothing that it remembers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Method;
use scaidns::dev::scaikey::directory;
use serde_json::json;

use crate::support::{Api, Trials, World, eventually, eventually_within, trials};

/// From the acknowledgement to the last answer that is not a refusal.
const LIMIT: Duration = Duration::from_secs(1);
/// Goes on for so long after it: nothing may come back.
const WATCHED: Duration = Duration::from_secs(2);
/// Between two requests of a client that uses a key steadily.
const PACE: Duration = Duration::from_millis(5);
const USES_BEFORE: usize = 100;

pub fn tests() -> Trials {
    trials![
        a_key_in_steady_use_is_refused_everywhere_within_a_second_of_its_end,
        a_key_that_is_activated_works_everywhere_at_once,
        a_replica_that_cannot_read_revocations_believes_nothing_that_it_remembers,
        revocations_are_removed_after_an_hour,
    ]
}

struct Key {
    path: String,
    secret: String,
}

async fn make(world: &World, name: &str) -> Key {
    let wanted = json!({"name": name, "permission_source": "user", "permission_source_id": directory::NORTHWIND_ADMIN});
    let made = world.admin_user().post("/api-keys/", wanted).await.ok();
    let text = |name: &str| made[name].as_str().unwrap_or_else(|| panic!("no {name} in {made}")).to_owned();
    Key { path: format!("/api-keys/{}", text("id")), secret: text("key") }
}

/// One request: when it was sent and answered, and with what.
#[derive(Debug, Clone, Copy)]
struct Use {
    sent: Instant,
    answered: Instant,
    status: u16,
}

async fn use_once(caller: &Api) -> Use {
    let sent = Instant::now();
    let status = caller.get("/me/").await.status;
    Use { sent, answered: Instant::now(), status }
}

async fn a_key_in_steady_use_is_refused_everywhere_within_a_second_of_its_end() {
    let world = World::shared().await;
    let ends = [
        ("revoked", Method::POST, "/revoke", None, 401),
        ("regenerated", Method::POST, "/regenerate", None, 401),
        ("deleted", Method::DELETE, "", None, 401),
        ("narrowed", Method::PATCH, "", Some(json!({"ip_whitelist": ["192.0.2.1"]})), 403),
    ];
    let took = join_all(ends.map(|(what, method, call, body, refusal)| async move {
        let key = make(world, what).await;
        let (ended, mut acknowledged) = tokio::sync::watch::channel(None::<Instant>);
        let used: Vec<AtomicUsize> = world.urls.iter().map(|_| AtomicUsize::default()).collect();
        let clients = world.urls.iter().zip(&used).map(|(url, used)| {
            let (caller, ended) = (Api::with_key(url, &key.secret), ended.subscribe());
            async move {
                let mut uses = Vec::new();
                while ended.borrow().is_none_or(|at| at.elapsed() < WATCHED) {
                    uses.push(use_once(&caller).await);
                    used.store(uses.len(), Ordering::Relaxed);
                    tokio::time::sleep(PACE).await;
                }
                uses
            }
        });
        let ending = async {
            eventually("in use for longer than a replica takes to hear of anything", || async {
                let least = used.iter().map(|count| count.load(Ordering::Relaxed)).min().unwrap_or_default();
                if least >= USES_BEFORE { Ok(()) } else { Err(least.to_string()) }
            })
            .await;
            let answer = world.admin_user().call(method, &format!("{}{call}", key.path), body).await;
            assert!([200, 204].contains(&answer.status), "{answer:?}");
            ended.send_replace(Some(Instant::now()));
        };
        let (uses, ()) = tokio::join!(join_all(clients), ending);
        let acknowledged = acknowledged.borrow_and_update().expect("ended");
        uses.into_iter().map(|uses| judge(what, &uses, acknowledged, refusal)).max().expect("replicas")
    }))
    .await;
    eprintln!("the last request let in was sent at most {:?} after the end", took.into_iter().max());
}

/// Accepted before the end, refused from a second after it on, and nothing accepted after a refusal. How long after the
/// acknowledgement the last request was sent that was let in.
fn judge(what: &str, uses: &[Use], acknowledged: Instant, refusal: u16) -> Duration {
    assert!(uses.iter().all(|answer| [200, refusal].contains(&answer.status)), "{what}: {uses:?}");
    let before = uses.iter().filter(|answer| answer.answered < acknowledged && answer.status == 200).count();
    assert!(before >= USES_BEFORE, "{what}: {before} uses before the end");
    let late = uses.iter().filter(|answer| answer.sent > acknowledged + LIMIT).count();
    assert!(late > 10, "{what}: {late} uses after the second");
    let first = uses.iter().find(|answer| answer.status == refusal).unwrap_or_else(|| panic!("{what}: never refused"));
    assert!(first.answered < acknowledged + LIMIT, "{what}: first refused {:?} after", first.answered - acknowledged);
    let accepted: Vec<&Use> = uses.iter().filter(|answer| answer.status == 200).collect();
    assert!(accepted.iter().all(|answer| answer.sent < first.answered), "{what}: let in after a refusal: {uses:?}");
    accepted.iter().map(|answer| answer.sent.saturating_duration_since(acknowledged)).max().unwrap_or_default()
}

async fn a_key_that_is_activated_works_everywhere_at_once() {
    let world = World::shared().await;
    let user = world.admin_user();
    let key = make(world, "back").await;
    let callers: Vec<Api> = world.urls.iter().map(|url| Api::with_key(url, &key.secret)).collect();
    for _ in 0..3 {
        user.post_empty(&format!("{}/revoke", key.path)).await.ok();
        for caller in &callers {
            eventually_within(LIMIT, "refused", || async {
                let answer = use_once(caller).await;
                if answer.status == 401 { Ok(()) } else { Err(answer.status.to_string()) }
            })
            .await;
        }
        user.post_empty(&format!("{}/activate", key.path)).await.ok();
        let activated = Instant::now();
        while activated.elapsed() < LIMIT {
            for caller in &callers {
                let answer = use_once(caller).await;
                assert_eq!(answer.status, 200, "{:?} after the activation", answer.sent - activated);
            }
            tokio::time::sleep(PACE).await;
        }
    }
}

async fn a_replica_that_cannot_read_revocations_believes_nothing_that_it_remembers() {
    let world = World::builder("deaf").replicas(1).without_worker().start().await;
    let (by_key, by_token) = (world.admin(), world.admin_user());
    // in use until it is answered from memory: the database stands still, and it goes on
    eventually("remembered", || async {
        for caller in [&by_key, &by_token] {
            assert_eq!(use_once(caller).await.status, 200);
        }
        world.servers.mariadb.pause();
        let paused = Instant::now();
        let answers = [use_once(&by_key).await, use_once(&by_token).await];
        let from_memory = answers.iter().all(|answer| answer.status == 200) && paused.elapsed() < LIMIT;
        if from_memory {
            loop {
                let answer = use_once(&by_key).await;
                assert!(answer.status == 200 || answer.status == 503, "{answer:?}");
                assert!(answer.status == 503 || answer.sent < paused + LIMIT, "{answer:?}, paused at {paused:?}");
                if answer.status == 503 {
                    assert!(answer.answered - answer.sent < Duration::from_secs(3), "{answer:?}");
                    break;
                }
                tokio::time::sleep(PACE).await;
            }
            assert_eq!(use_once(&by_token).await.status, 503);
        }
        world.servers.mariadb.resume();
        if from_memory { Ok(()) } else { Err(format!("{answers:?}")) }
    })
    .await;
    eventually("everything works again", || async {
        let statuses = [use_once(&by_key).await.status, use_once(&by_token).await.status];
        if statuses == [200, 200] { Ok(()) } else { Err(format!("{statuses:?}")) }
    })
    .await;
    world.stop().await;
}

async fn revocations_are_removed_after_an_hour() {
    let world = World::builder("old-revocations").replicas(1).without_worker().start().await;
    for minutes in [61, 59] {
        let sql = "INSERT INTO revocations (concerns, created_at) VALUES ('all', NOW(6) - INTERVAL ? MINUTE)";
        sqlx::query(sql).bind(minutes).execute(&world.db).await.expect("inserted");
    }
    let mut world = world;
    world.start_worker().await.expect("a worker");
    let aged = "SELECT CAST(COUNT(*) AS SIGNED) FROM revocations WHERE created_at < NOW(6) - INTERVAL 30 MINUTE";
    eventually("the older one is gone", || async {
        let left: i64 = sqlx::query_scalar(aged).fetch_one(&world.db).await.expect("a count");
        assert!(left >= 1, "the younger one stays");
        if left == 1 { Ok(()) } else { Err(left.to_string()) }
    })
    .await;
    world.stop().await;
}
