//! Trouble: servers that stop, hang or die, ports in use, missing configuration, the end of a process.

use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;
use scaidns::dev::servers::Server;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Domain, Trials, World, eventually, eventually_within, scaidns, trials};

pub fn tests() -> Trials {
    trials![
        health_needs_no_credentials_and_names_each_dependency,
        without_powerdns_content_is_502_and_all_else_goes_on,
        a_powerdns_that_hangs_is_a_powerdns_that_is_down,
        without_mariadb_everything_is_503_and_comes_back,
        a_mariadb_that_hangs_is_503,
        without_redis_everything_goes_on,
        without_scaikey_known_callers_go_on,
        a_replica_drains_at_the_first_signal,
        the_worker_ends_at_the_first_signal,
        a_port_in_use_is_one_clear_line,
        all_that_is_wrong_with_the_configuration_is_said_at_once,
        doctor_says_what_is_wrong_and_what_to_do,
        commands_say_what_they_take,
    ]
}

/// What the contract allows until an answer, with room for a machine that is busy with other tests.
const AT_MOST: Duration = Duration::from_millis(3_800);

async fn timed(call: impl Future<Output = Answer>) -> Answer {
    let begun = Instant::now();
    let answer = call.await;
    assert!(begun.elapsed() < AT_MOST, "{:?} for {answer:?}", begun.elapsed());
    answer
}

async fn add(api: &Api, domain: &Domain, name: &str) -> Answer {
    api.try_add(domain, name, "A", "192.0.2.1").await
}

/// Waits until writing works again, by itself.
async fn writes_again(world: &World, domain: &Domain, name: &str) {
    let api = world.admin();
    // PowerDNS finds its own database again, too
    eventually_within(Duration::from_secs(60), "records can be written again", || async {
        let answer = add(&api, domain, name).await;
        // Settled by recovery meanwhile: a repetition finds it there.
        if [200, 409].contains(&answer.status) { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    world.served(&domain.at(name), RecordType::A, &["192.0.2.1"]).await;
    world.until_ready().await;
}

async fn health_needs_no_credentials_and_names_each_dependency() {
    let world = World::shared().await;
    for url in &world.urls {
        let api = Api::anonymous(url);
        assert_eq!(api.get("/health/live").await.ok(), json!({"status": "ok"}));
        let ok =
            json!({"status": "ok", "checks": {"database": "ok", "redis": "ok", "pdns": "ok", "scaikey_jwks": "ok"}});
        assert_eq!(api.get("/health/ready").await.ok(), ok);
    }
}

async fn powerdns_gone(world: &World, domain: &Domain, record: &Value) {
    let api = world.admin();
    let path = domain.record(record["id"].as_str().expect("id"));
    timed(api.get(&domain.records())).await.refused(502, "upstream_unavailable");
    timed(api.get(&path)).await.refused(502, "upstream_unavailable");
    timed(add(&api, domain, "new")).await.refused(502, "upstream_unavailable");
    timed(api.patch(&path, json!({"ttl": 60}))).await.refused(502, "upstream_unavailable");
    timed(api.delete(&path)).await.refused(502, "upstream_unavailable");

    assert_eq!(timed(api.get("/domains/")).await.status, 200);
    assert_eq!(timed(api.get(&domain.path())).await.status, 200);
    timed(api.patch(&domain.path(), json!({"description": "meanwhile"}))).await.ok();
    assert_eq!(timed(world.admin_user().get("/api-keys/")).await.status, 200);
    assert_eq!(timed(world.admin_user().get("/admin/audit-logs/")).await.status, 200);
    let pending =
        timed(api.post("/domains/", json!({"name": world.fresh("meanwhile"), "domain_type": "primary"}))).await;
    let pending = Domain::new(pending.ok());
    assert_eq!(timed(add(&api, &pending, "staged")).await.status, 200, "a pending domain needs no PowerDNS");

    let ready = timed(world.nobody().get("/health/ready")).await;
    assert_eq!((ready.status, &ready.body["status"]), (503, &"degraded".into()));
    assert_eq!(ready.body["checks"]["database"], "ok");
    assert_ne!(ready.body["checks"]["pdns"], "ok");
    assert_eq!(timed(world.nobody().get("/health/live")).await.status, 200);
}

async fn without_powerdns_content_is_502_and_all_else_goes_on() {
    let mut world = World::private("no-pdns").await;
    let domain = world.live(&world.admin(), "shop").await;
    let record = world.admin().add(&domain, "www", "A", "192.0.2.1").await;
    world.servers.pdns.kill().await;
    powerdns_gone(&world, &domain, &record).await;
    world.servers.pdns.restart().await.expect("PowerDNS is back");
    writes_again(&world, &domain, "new").await;
    assert_eq!(world.admin().records(&domain).await.len(), 2);
    for record in world.admin().records(&domain).await {
        let actions = world.actions(record["id"].as_str().expect("id")).await;
        assert_eq!(actions, ["record.create"], "{record}: nothing happened while PowerDNS was gone");
    }
    world.stop().await;
}

async fn a_powerdns_that_hangs_is_a_powerdns_that_is_down() {
    let world = World::private("pdns-hangs").await;
    let domain = world.live(&world.admin(), "shop").await;
    let record = world.admin().add(&domain, "www", "A", "192.0.2.1").await;
    world.servers.pdns.pause();
    powerdns_gone(&world, &domain, &record).await;
    world.servers.pdns.resume();
    writes_again(&world, &domain, "after").await;
    eventually("no change is left unsettled", || async {
        let count: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM zone_intents").fetch_one(&world.db).await.expect("count");
        if count == 0 { Ok(()) } else { Err(format!("{count} intents")) }
    })
    .await;
    world.stop().await;
}

async fn mariadb_gone(world: &World, domain: &Domain) {
    // first: within ten seconds it looks for zones to transfer, and ends itself
    let resolved = world.dns(&domain.at("www"), RecordType::A).await;
    assert_eq!(resolved.values(RecordType::A), ["192.0.2.1"], "PowerDNS answers from its cache");
    let api = world.admin();
    for answer in [
        timed(api.get("/domains/")).await,
        timed(api.get(&domain.records())).await,
        timed(add(&api, domain, "x")).await,
        timed(world.admin_user().get("/api-keys/")).await,
        timed(world.admin_user().get("/me/")).await,
    ] {
        assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
        answer.refused(503, "unavailable");
    }
    let ready = timed(world.nobody().get("/health/ready")).await;
    assert_eq!(ready.status, 503);
    assert_ne!(ready.body["checks"]["database"], "ok");
    assert_eq!(timed(world.nobody().get("/health/live")).await.status, 200);
}

async fn without_mariadb_everything_is_503_and_comes_back() {
    let mut world = World::builder("no-mariadb").start().await;
    let domain = world.live(&world.admin(), "shop").await;
    world.admin().add(&domain, "www", "A", "192.0.2.1").await;
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1"]).await;
    let pids: Vec<i32> = world.apis.iter().chain(&world.worker).map(Server::pid).collect();
    world.servers.mariadb.kill().await;
    mariadb_gone(&world, &domain).await;
    world.servers.restart_mariadb().await.expect("MariaDB is back");
    writes_again(&world, &domain, "after").await;
    for pid in pids {
        assert!(scaidns::dev::process::Identity::of(pid).is_some(), "a process of ScaiDNS has ended");
    }
    world.stop().await;
}

async fn a_mariadb_that_hangs_is_503() {
    let mut world = World::builder("mariadb-hangs").start().await;
    let domain = world.live(&world.admin(), "shop").await;
    world.admin().add(&domain, "www", "A", "192.0.2.1").await;
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1"]).await;
    world.servers.mariadb.pause();
    mariadb_gone(&world, &domain).await;
    world.servers.mariadb.resume();
    world.servers.revive_pdns().await.expect("PowerDNS is back");
    writes_again(&world, &domain, "after").await;
    world.stop().await;
}

async fn without_redis_everything_goes_on() {
    let mut world = World::builder("no-redis").start().await;
    let api = world.admin();
    let domain = world.live(&api, "before").await;
    for hang in [true, false] {
        if hang {
            world.servers.redis.pause();
        } else {
            world.servers.redis.kill().await;
        }
        assert_eq!(timed(add(&api, &domain, if hang { "one" } else { "two" })).await.status, 200);
        assert_eq!(timed(api.get(&domain.records())).await.status, 200);
        let second = world.live(&api, "meanwhile").await;
        timed(api.delete(&format!("{}?hard=true", second.path()))).await.expect(204);
        let made = json!({"name": "k", "permission_source": "user",
            "permission_source_id": scaidns::dev::scaikey::directory::NORTHWIND_ADMIN});
        let key = timed(world.admin_user().post("/api-keys/", made)).await.ok();
        let caller = Api::with_key(&world.urls[1], key["key"].as_str().expect("key"));
        assert_eq!(timed(caller.get("/me/")).await.status, 200);
        let path = format!("/api-keys/{}/revoke", key["id"].as_str().expect("id"));
        timed(world.admin_user().post_empty(&path)).await.ok();
        eventually("the key is refused without Redis", || async {
            let status = caller.get("/me/").await.status;
            if status == 401 { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
        let ready = timed(world.nobody().get("/health/ready")).await;
        assert_eq!((ready.status, &ready.body["status"]), (200, &"ok".into()), "{ready:?}");
        assert_ne!(ready.body["checks"]["redis"], "ok");
        world.servers.redis.restart().await.expect("Redis is back");
        world.until_ready().await;
    }
    world.stop().await;
}

async fn without_scaikey_known_callers_go_on() {
    let world = World::builder("no-scaikey").replicas(1).start().await;
    world.admin_user().get("/me/").await.ok(); // the signing key is known now
    let World { scaikey, .. } = world;
    scaikey.stop().await;
    let token = Api::with_token(&world.urls[0], &world.admin_token);
    assert_eq!(timed(token.get("/me/")).await.status, 200);
    assert_eq!(timed(Api::with_key(&world.urls[0], &world.admin_key).get("/domains/")).await.status, 200);
    let ready = timed(Api::anonymous(&world.urls[0]).get("/health/ready")).await;
    assert_eq!(ready.status, 200, "{ready:?}");
}

async fn a_replica_drains_at_the_first_signal() {
    let mut world = World::builder("drain").start().await;
    let api = world.admin();
    let domain = world.live(&api, "drained").await;
    world.servers.pdns.pause();
    let slow = tokio::spawn({
        let (api, path) = (api.clone(), domain.records());
        async move { api.get(&path).await }
    });
    // It waits for PowerDNS once bytes lie there that nobody reads.
    eventually("the request is under way", || async {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        let wanted = format!(":{:04X}", world.ports.pdns_api());
        let unread = sockets.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.get(1).is_some_and(|local| local.ends_with(&wanted))
                && fields.get(4).is_some_and(|queues| !queues.ends_with(":00000000"))
        });
        if unread { Ok(()) } else { Err("nothing for PowerDNS to read".to_owned()) }
    })
    .await;
    kill(Pid::from_raw(world.apis[0].pid()), Signal::SIGTERM).expect("signal");
    eventually("no new connections", || async {
        let fresh = api.try_call(Method::GET, "/health/live", None).await;
        if fresh.is_err() { Ok(()) } else { Err("still listens".to_owned()) }
    })
    .await;
    let answer = slow.await.expect("an answer");
    assert_eq!(answer.status, 502, "the request under way was answered: {answer:?}");
    let status =
        tokio::time::timeout(Duration::from_secs(10), world.apis[0].wait()).await.expect("it ends").expect("status");
    assert!(status.success(), "{status:?}");
    world.servers.pdns.resume();
    let other = api.at(&world.urls[1]);
    eventually("the other replica serves", || async {
        let status = other.get(&domain.records()).await.status;
        if status == 200 { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    world.apis[0].restart().await.expect("it starts again");
    assert_eq!(api.get(&domain.path()).await.status, 200);
    world.stop().await;
}

async fn the_worker_ends_at_the_first_signal() {
    let mut world = World::builder("worker-ends").replicas(1).start().await;
    let worker = world.worker.as_mut().expect("a worker");
    kill(Pid::from_raw(worker.pid()), Signal::SIGTERM).expect("signal");
    let status = tokio::time::timeout(Duration::from_secs(10), worker.wait()).await.expect("it ends").expect("status");
    assert!(status.success(), "{status:?}");
    world.stop().await;
}

async fn a_port_in_use_is_one_clear_line() {
    let world = World::shared().await;
    let mut env = world.env.clone();
    let taken = format!("127.0.0.1:{}", world.ports.api(0));
    env.push(("BIND_ADDRESS".to_owned(), taken.clone()));
    let output = scaidns(&["api"], &env).await;
    assert!(output.code.is_some_and(|code| code != 0), "{output:?}");
    let lines: Vec<&str> = output.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "{output:?}");
    assert!(lines[0].contains(&taken) && lines[0].contains("BIND_ADDRESS"), "{output:?}");
}

async fn all_that_is_wrong_with_the_configuration_is_said_at_once() {
    let required = [
        "DATABASE_URL",
        "REDIS_URL",
        "PDNS_API_URL",
        "PDNS_API_KEY",
        "SCAIKEY_URL",
        "SCAIKEY_CLIENT_ID",
        "SCAIKEY_CLIENT_SECRET",
        "SCAIKEY_APPLICATION_ID",
        "SCAIKEY_WEBHOOK_SECRET",
        "EXTERNAL_URL",
        "SESSION_SECRET",
        "API_KEY_PEPPER",
    ];
    for command in ["api", "worker", "migrate", "doctor", "sync"] {
        let output = scaidns(&[command], &[]).await;
        assert_eq!(output.code, Some(2), "{output:?}");
        assert_eq!(output.stdout, "");
        for variable in required {
            assert!(output.stderr.contains(variable), "{variable} is not named by {command}: {output:?}");
        }
    }
    let world = World::shared().await;
    let mut env = world.env.clone();
    for (name, value) in [
        ("DATABASE_URL", "postgres://secret-word@x/y"),
        ("SESSION_SECRET", "too-short"),
        ("ENVIRONMENT", "production"),
        ("DATABASE_POOL_SIZE", "0"),
        ("BIND_ADDRESS", "everywhere"),
        ("NAMESERVERS", "ns1.example,n_s"),
        ("LOG_FORMAT", "xml"),
    ] {
        env.retain(|(known, _)| known != name);
        env.push((name.to_owned(), value.to_owned()));
    }
    let output = scaidns(&["api"], &env).await;
    assert_eq!(output.code, Some(2), "{output:?}");
    for variable in [
        "DATABASE_URL",
        "SESSION_SECRET",
        "VALIDATION_ALLOW_PRIVATE_NAMESERVERS",
        "DATABASE_POOL_SIZE",
        "BIND_ADDRESS",
        "NAMESERVERS",
        "LOG_FORMAT",
    ] {
        assert!(output.stderr.contains(variable), "{variable}: {output:?}");
    }
    assert!(!output.stderr.contains("secret-word") && !output.stderr.contains("too-short"), "{output:?}");
}

async fn doctor_says_what_is_wrong_and_what_to_do() {
    let mut world = World::builder("doctor").replicas(1).start().await;
    let well = scaidns(&["doctor"], &world.env).await;
    assert_eq!(well.code, Some(0), "{well:?}");
    for part in ["database", "pdns", "redis", "scaikey", "nameservers"] {
        assert!(well.stdout.lines().any(|line| line.starts_with("ok") && line.contains(part)), "{part}: {well:?}");
    }
    assert!(well.stdout.contains("no change is under way"), "{well:?}");
    for sql in [
        "INSERT INTO fences (zone_name, change_id, created_at) VALUES ('x.test', RANDOM_BYTES(16), NOW(6))",
        "INSERT INTO webhook_events (event_id, event_type, state, body, look_at, received_at) \
         VALUES ('e', 'user.created', 'given_up', '', NOW(6), NOW(6))",
        "INSERT INTO settled_batches (change_id, zone_id, outcome, detail, settled_at) \
         VALUES (RANDOM_BYTES(16), RANDOM_BYTES(16), 'dropped', 'settled by recovery', NOW(6))",
    ] {
        sqlx::query(sql).execute(&world.db).await.expect("put there");
    }
    let output = scaidns(&["doctor"], &world.env).await.ok();
    for told in
        ["1 fences stand", "1 events of ScaiKey were given up", "1 settled by recovery within a day: 0 done, 1 not"]
    {
        assert!(output.contains(told), "{told}: {output}");
    }
    let mut unnamed = world.env.clone();
    unnamed.retain(|(name, _)| name != "NAMESERVERS");
    let output = scaidns(&["doctor"], &unnamed).await;
    assert_eq!(output.code, Some(7), "{output:?}");
    assert!(output.stdout.contains("set NAMESERVERS"), "{output:?}");

    world.servers.redis.kill().await;
    let output = scaidns(&["doctor"], &world.env).await;
    assert!(output.stdout.lines().any(|line| line.starts_with("PROBLEM") && line.contains("redis")), "{output:?}");
    world.servers.pdns.kill().await;
    world.servers.mariadb.kill().await;
    let begun = Instant::now();
    let output = scaidns(&["doctor"], &world.env).await;
    assert_eq!(output.code, Some(7), "{output:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    for part in ["database", "pdns", "redis"] {
        assert!(
            output.stdout.lines().any(|line| line.starts_with("PROBLEM") && line.contains(part)),
            "{part}: {output:?}"
        );
    }
    let fresh = scaidns(&["migrate"], &world.env).await;
    assert!(fresh.code.is_some_and(|code| code != 0) && !fresh.stderr.contains("panicked"), "{fresh:?}");
}

async fn commands_say_what_they_take() {
    let help = scaidns(&["--help"], &[]).await.ok();
    for command in ["api", "worker", "migrate", "sync", "keys", "doctor", "dev"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {help}");
    }
    assert!(scaidns(&["--version"], &[]).await.ok().starts_with("scaidns "));
    for wrong in [&["fly"][..], &[], &["api", "--fast"], &["keys", "create"]] {
        let output = scaidns(wrong, &[]).await;
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{wrong:?}: {output:?}");
    }
}
