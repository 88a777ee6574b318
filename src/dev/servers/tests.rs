//! The servers as the crash tests use them: on real ports, killed and continued.

use std::time::Duration;

use super::*;

async fn soa_of(address: &str, zone: &str) -> String {
    let (host, port) = address.split_once(':').unwrap();
    let output = tokio::process::Command::new("dig")
        .args([&format!("@{host}"), "-p", port, zone, "SOA", "+time=2", "+tries=1"])
        .output()
        .await
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn create_zone(servers: &Servers, zone: &str) -> reqwest::StatusCode {
    reqwest::Client::new()
        .post(format!("{}/api/v1/servers/localhost/zones", servers.pdns_api_url()))
        .header("X-API-Key", servers.pdns_api_key())
        .json(&serde_json::json!({"name": zone, "kind": "Native", "nameservers": ["ns1.scaidns-dev.test."]}))
        .send()
        .await
        .unwrap()
        .status()
}

#[tokio::test]
async fn servers_start_answer_survive_kills_and_find_their_data_again() {
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::free();
    let mut servers = Servers::start(folder.path(), ports).await.unwrap();

    // A new zone is answered at once: the API adds it to the zone cache.
    assert_eq!(create_zone(&servers, "one.example.").await, 201);
    let answer = soa_of(&servers.dns_address(), "one.example").await;
    assert!(answer.contains("NOERROR"), "{answer}");

    let url = servers.create_database("case_1").await.unwrap();
    assert!(mariadb::answers(&url).await);

    servers.pdns.kill().await;
    servers.mariadb.kill().await;
    servers.mariadb.restart().await.unwrap();
    servers.pdns.restart().await.unwrap();
    servers.redis.restart().await.unwrap();
    assert!(soa_of(&servers.dns_address(), "one.example").await.contains("NOERROR"));

    servers.pdns.pause();
    assert!(!servers.pdns.probe.answers().await);
    servers.pdns.resume();
    assert!(servers.pdns.probe.answers().await);

    let pids = [servers.mariadb.pid(), servers.redis.pid(), servers.pdns.pid()];
    servers.stop().await;
    assert!(pids.iter().all(|pid| crate::dev::process::Identity::of(*pid).is_none()));
    assert!(ports.check(0).is_ok());

    let servers = Servers::start(folder.path(), Ports::free()).await.unwrap();
    assert!(soa_of(&servers.dns_address(), "one.example").await.contains("NOERROR"));
    servers.stop().await;
}

#[tokio::test]
async fn a_half_initialised_folder_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("mariadb")).unwrap();
    let error = Servers::start(folder.path(), Ports::free()).await.unwrap_err().to_string();
    assert!(error.contains("half initialised") && error.contains("scaidns dev reset"), "{error}");

    Secrets::load_or_create(folder.path()).unwrap();
    let error = Servers::start(folder.path(), Ports::free()).await.unwrap_err().to_string();
    assert!(error.contains("lacks its system tables"), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_start_shows_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::free();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", ports.redis())).unwrap();
    let data = prepare(folder.path()).unwrap();
    let connection = Connection { ports, secrets: Secrets::load_or_create(&data).unwrap() };
    let started = tokio::time::timeout(Duration::from_secs(10), redis::start(&data, &connection)).await.unwrap();
    let error = started.unwrap_err().to_string();
    assert!(error.contains("redis ended while starting") && error.contains("in use"), "{error}");
}
