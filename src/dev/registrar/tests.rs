//! The registrar as others see it: dig over UDP and TCP, curl over HTTP.

use serde_json::{Value, json};

use super::*;

async fn start() -> (tempfile::TempDir, Registrar) {
    let folder = tempfile::tempdir().unwrap();
    let registrar = Registrar::start(Settings::anywhere(folder.path())).await.unwrap();
    (folder, registrar)
}

async fn dig(server: &str, port: u16, question: &[&str]) -> String {
    let port = port.to_string();
    let output = tokio::process::Command::new("dig")
        .args([&format!("@{server}"), "-p", &port, "+time=1", "+tries=1"])
        .args(question)
        .output()
        .await
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

impl Registrar {
    async fn resolver_says(&self, question: &[&str]) -> String {
        dig("127.0.0.1", self.resolver.port(), question).await
    }

    async fn nameserver_says(&self, address: &str, question: &[&str]) -> String {
        dig(address, self.dns_port().await, question).await
    }

    async fn http(&self, method: reqwest::Method, path: &str, body: Value) -> (u16, Value) {
        let request = reqwest::Client::new().request(method, format!("{}{path}", self.api_url()));
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }
}

const CHALLENGE: &str = "_scaidns-verify.example.test";

#[tokio::test]
async fn a_registered_name_is_delegated_and_answered_by_its_provider() {
    let (_folder, registrar) = start().await;
    let (status, body) = registrar.http(reqwest::Method::PUT, "/names/Example.test.", Value::Null).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["nameservers"], json!(["ns1.provider.test", "ns2.provider.test"]));
    let records = json!([
        {"name": CHALLENGE, "type": "TXT", "value": "scaidns-verify=abc"},
        {"name": "@", "type": "MX", "value": "10 mail.example.test"},
        {"name": "a.very.deep.name.example.test", "type": "A", "value": "192.0.2.1"},
    ]);
    assert_eq!(registrar.http(reqwest::Method::PUT, "/names/example.test/records", records).await.0, 200);

    assert_eq!(
        registrar.resolver_says(&["example.test", "NS", "+short"]).await,
        "ns1.provider.test.\nns2.provider.test.\n"
    );
    assert_eq!(registrar.resolver_says(&["ns2.provider.test", "A", "+short"]).await, "127.0.0.4\n");
    let negative = registrar.resolver_says(&["unknown.test", "A"]).await;
    assert!(negative.contains("NXDOMAIN") && negative.contains("a.nic.test. hostmaster.test."), "{negative}");
    assert!(negative.contains(" ra;"), "{negative}");
    assert!(registrar.resolver_says(&["example.com", "A"]).await.contains("NXDOMAIN"));

    for transport in ["+notcp", "+tcp"] {
        let question = [CHALLENGE, "TXT", "+short", "+norec", transport];
        assert_eq!(registrar.nameserver_says("127.0.0.3", &question).await, "\"scaidns-verify=abc\"\n");
        assert_eq!(registrar.resolver_says(&[CHALLENGE, "TXT", "+short", transport]).await, "\"scaidns-verify=abc\"\n");
    }
    let referral = registrar.nameserver_says("127.0.0.2", &["www.example.test", "A", "+norec"]).await;
    assert!(referral.contains("ANSWER: 0, AUTHORITY: 2, ADDITIONAL: 3"), "{referral}");
    let between = registrar.resolver_says(&["deep.name.example.test", "A"]).await;
    assert!(between.contains("NOERROR") && between.contains("SOA"), "{between}");
    let deep = ["A.very.DEEP.name.example.test", "A", "+short"];
    assert_eq!(registrar.resolver_says(&deep).await, "192.0.2.1\n");
    assert!(registrar.nameserver_says("127.0.0.3", &["other.test", "A"]).await.contains("REFUSED"));
}

#[tokio::test]
async fn nameservers_can_fall_silent_fail_or_lag_behind_one_by_one() {
    let (_folder, registrar) = start().await;
    registrar.register("example.test", &["ns1.provider.test", "ns2.provider.test", "ns3.other.test"]).await.unwrap();
    registrar.add_record("example.test", Entry::new(CHALLENGE, "TXT", "old")).await.unwrap();
    for (nameserver, mode) in
        [("ns1.provider.test", "stale"), ("ns2.provider.test", "silent"), ("ns3.other.test", "servfail")]
    {
        let path = format!("/names/example.test/nameservers/{nameserver}/state");
        assert_eq!(registrar.http(reqwest::Method::PUT, &path, json!({ "mode": mode })).await.0, 200);
    }
    registrar.add_record("example.test", Entry::new(CHALLENGE, "TXT", "new")).await.unwrap();

    let question = [CHALLENGE, "TXT", "+short", "+norec"];
    assert_eq!(registrar.nameserver_says("127.0.0.3", &question).await, "\"old\"\n");
    assert!(registrar.nameserver_says("127.0.0.4", &question).await.contains("timed out"));
    assert!(registrar.nameserver_says("127.0.0.5", &[CHALLENGE, "TXT", "+norec"]).await.contains("SERVFAIL"));
    assert_eq!(registrar.resolver_says(&[CHALLENGE, "TXT", "+short"]).await, "\"old\"\n");

    registrar.set_mode("example.test", "ns1.provider.test", Mode::Normal).await.unwrap();
    assert_eq!(registrar.nameserver_says("127.0.0.3", &question).await, "\"old\"\n\"new\"\n");
    // The same nameserver still serves other names as ever.
    registrar.register("other.test", &["ns2.provider.test"]).await.unwrap();
    assert!(registrar.nameserver_says("127.0.0.4", &["other.test", "SOA", "+norec"]).await.contains("NOERROR"));

    registrar.set_mode("example.test", "ns1.provider.test", Mode::Silent).await.unwrap();
    assert!(registrar.resolver_says(&[CHALLENGE, "TXT"]).await.contains("SERVFAIL"));
    let unknown = registrar.set_mode("example.test", "ns9.provider.test", Mode::Silent).await.unwrap_err();
    assert_eq!(unknown.to_string(), "nameserver ns9.provider.test of example.test not found");
}

#[tokio::test]
async fn aliases_and_zone_cuts_are_followed() {
    let (_folder, registrar) = start().await;
    registrar.register("example.test", &[]).await.unwrap();
    registrar.register("dept.example.test", &["ns1.dept.example.test"]).await.unwrap();
    registrar.register("acme.test", &["ns9.acme-dns.test"]).await.unwrap();
    let ds = format!("12345 13 2 {}", "AB".repeat(32));
    for (zone, entry) in [
        ("example.test", Entry::new(CHALLENGE, "CNAME", "token.acme.test")),
        ("acme.test", Entry::new("token.acme.test", "CNAME", "real.acme.test.")),
        ("acme.test", Entry::new("real.acme.test", "TXT", "scaidns-verify=abc")),
        ("example.test", Entry::new("*.wild.example.test", "A", "192.0.2.7")),
        ("dept.example.test", Entry::new("www.dept.example.test", "A", "192.0.2.9")),
        ("dept.example.test", Entry::new("dept.example.test", "DS", &ds)),
    ] {
        registrar.add_record(zone, entry).await.unwrap();
    }
    assert_eq!(
        registrar.resolver_says(&[CHALLENGE, "TXT", "+short"]).await,
        "token.acme.test.\nreal.acme.test.\n\"scaidns-verify=abc\"\n"
    );
    assert_eq!(registrar.nameserver_says("127.0.0.3", &[CHALLENGE, "TXT", "+short"]).await, "token.acme.test.\n");
    assert_eq!(registrar.resolver_says(&["x.y.wild.example.test", "A", "+short"]).await, "192.0.2.7\n");

    let cut = registrar.nameserver_says("127.0.0.3", &["www.dept.example.test", "A", "+norec"]).await;
    assert!(cut.contains("ns1.dept.example.test.\t1\tIN\tA\t127.0.0.5") && cut.contains("ANSWER: 0"), "{cut}");
    assert_eq!(registrar.resolver_says(&["www.dept.example.test", "A", "+short"]).await, "192.0.2.9\n");
    let answered = registrar.resolver_says(&["dept.example.test", "DS", "+short", "+nosplit"]).await;
    assert_eq!(answered.trim_end(), ds);
    let no_ds = registrar.resolver_says(&["example.test", "DS"]).await;
    assert!(no_ds.contains("NOERROR") && no_ds.contains("test.\t\t\t1\tIN\tSOA"), "{no_ds}");
}

#[tokio::test]
async fn a_large_answer_is_truncated_over_udp_and_whole_over_tcp() {
    let (_folder, registrar) = start().await;
    registrar.register("example.test", &[]).await.unwrap();
    for n in 0..20 {
        let entry = Entry::new("example.test", "TXT", &format!("{n:03}{}", "x".repeat(300)));
        registrar.add_record("example.test", entry).await.unwrap();
    }
    let udp = registrar.nameserver_says("127.0.0.3", &["example.test", "TXT", "+ignore", "+norec"]).await;
    assert!(udp.contains(" tc") && udp.contains("ANSWER: 0"), "{udp}");
    let tcp = registrar.nameserver_says("127.0.0.3", &["example.test", "TXT", "+norec"]).await;
    assert!(tcp.contains("ANSWER: 20"), "{tcp}");
}

/// A validator that knows nothing but the root's key.
async fn delv(registrar: &Registrar, folder: &std::path::Path, question: &[&str]) -> String {
    let anchor = registrar.trust_anchor();
    let fields: Vec<&str> = anchor.split(' ').skip(2).collect();
    let file = folder.join("anchor");
    let [flags, protocol, algorithm, key] = fields.as_slice() else { panic!("{anchor}") };
    let text = format!("trust-anchors {{ . static-key {flags} {protocol} {algorithm} \"{key}\"; }};\n");
    std::fs::write(&file, text).unwrap();
    let output = tokio::process::Command::new("delv")
        .args(["@127.0.0.2", "-p", &registrar.dns_port().await.to_string(), "-a"])
        .arg(&file)
        .arg("+root=.")
        .args(question)
        .output()
        .await
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn the_parent_signs_what_it_says_and_that_there_is_nothing() {
    let (folder, registrar) = start().await;
    registrar.register("plain.test", &[]).await.unwrap();
    registrar.register("safe.test", &[]).await.unwrap();
    let ds = format!("4711 13 2 {}", "AB".repeat(32));
    registrar.add_record("safe.test", Entry::new("@", "DS", &ds)).await.unwrap();
    let positive: [&[&str]; 5] =
        [&["test", "SOA"], &["test", "DS"], &["a.nic.test", "A"], &["ns1.provider.test", "A"], &["safe.test", "DS"]];
    for question in positive {
        let said = delv(&registrar, folder.path(), question).await;
        assert!(said.contains("; fully validated") && !said.contains("negative"), "{question:?}: {said}");
    }
    for question in [&["plain.test", "DS"], &["nobody.test", "A"], &["test", "TXT"], &["a.nic.test", "AAAA"]] {
        let said = delv(&registrar, folder.path(), question).await;
        assert!(said.contains("; negative response, fully validated"), "{question:?}: {said}");
    }
    // who does not ask for signatures gets what he always got
    let said = registrar.nameserver_says("127.0.0.2", &["nobody.test", "A", "+norec"]).await;
    assert!(said.contains("NXDOMAIN") && !said.contains("RRSIG"), "{said}");
    registrar.stop().await;
    let again = Registrar::start(Settings::anywhere(folder.path())).await.unwrap();
    let said = delv(&again, folder.path(), &["safe.test", "DS"]).await;
    assert!(said.contains("; fully validated"), "{said}");
}

#[tokio::test]
async fn a_second_start_finds_the_world_again_and_what_is_wrong_is_refused() {
    let (folder, registrar) = start().await;
    let outside = registrar.http(reqwest::Method::PUT, "/names/example.com", Value::Null).await;
    assert_eq!(outside, (422, json!({"detail": "\"example.com\" is not below .test, in-addr.arpa or ip6.arpa"})));
    let unknown = registrar.http(reqwest::Method::GET, "/names/example.test", Value::Null).await;
    assert_eq!(unknown, (404, json!({"detail": "example.test not found"})));
    registrar.register("example.test", &[]).await.unwrap();
    registrar.register("2.0.192.in-addr.arpa", &["ns1.scaidns-dev.test"]).await.unwrap();
    let path = "/names/example.test/records";
    for wrong in [
        json!({"name": "www.other.test", "type": "A", "value": "192.0.2.1"}),
        json!({"name": "www.example.test", "type": "A", "value": "192.0.2"}),
        json!({"name": "www.example.test", "type": "NOPE", "value": "x"}),
    ] {
        assert_eq!(registrar.http(reqwest::Method::POST, path, wrong.clone()).await.0, 422, "{wrong}");
    }
    registrar.add_record("example.test", Entry::new("www.example.test", "a", "192.0.2.1")).await.unwrap();
    registrar.add_record("example.test", Entry::new("example.test", "TXT", "gone soon")).await.unwrap();
    let (_, removed) = registrar.http(reqwest::Method::DELETE, &format!("{path}?type=txt"), Value::Null).await;
    assert_eq!(removed, json!({"removed": 1}));
    registrar.stop().await;

    let registrar = Registrar::start(Settings::anywhere(folder.path())).await.unwrap();
    assert_eq!(registrar.resolver_says(&["www.example.test", "A", "+short"]).await, "192.0.2.1\n");
    let arpa = registrar.nameserver_says("127.0.0.2", &["1.2.0.192.in-addr.arpa", "PTR", "+norec"]).await;
    assert!(arpa.contains("ns1.scaidns-dev.test.\t1\tIN\tA\t127.0.0.1"), "{arpa}");
    assert_eq!(registrar.http(reqwest::Method::DELETE, "/names/example.test", Value::Null).await.0, 204);
    assert!(registrar.resolver_says(&["www.example.test", "A"]).await.contains("NXDOMAIN"));
}

#[tokio::test]
async fn a_name_delegated_to_the_platform_is_answered_by_powerdns() {
    let folder = tempfile::tempdir().unwrap();
    let ports = crate::dev::Ports::free();
    let servers = crate::dev::Servers::start(&folder.path().join("data"), ports).await.unwrap();
    let settings = Settings { dns_port: ports.dns(), ..Settings::anywhere(folder.path().join("registrar")) };
    let registrar = Registrar::start(settings).await.unwrap();
    registrar.register("moved.test", &["ns1.scaidns-dev.test", "abc123.ns1.scaidns-dev.test"]).await.unwrap();
    // Another name than the one asked for later: PowerDNS remembers a REFUSED for 20 s.
    assert!(registrar.resolver_says(&["early.moved.test", "TXT"]).await.contains("SERVFAIL"));

    let long = (0..8).map(|n| json!({"content": format!("\"{n}{}\"", "x".repeat(200)), "disabled": false}));
    let zone = json!({
        "name": "moved.test.", "kind": "Native", "nameservers": ["ns1.scaidns-dev.test."],
        "rrsets": [{"name": "www.moved.test.", "type": "TXT", "ttl": 60, "records": long.collect::<Vec<_>>()}],
    });
    let created = reqwest::Client::new()
        .post(format!("{}/api/v1/servers/localhost/zones", servers.pdns_api_url()))
        .header("X-API-Key", servers.pdns_api_key())
        .json(&zone)
        .send();
    assert_eq!(created.await.unwrap().status(), 201);

    assert_eq!(registrar.resolver_says(&["moved.test", "NS", "+short"]).await, "ns1.scaidns-dev.test.\n");
    let large = registrar.resolver_says(&["www.moved.test", "TXT"]).await;
    assert!(large.contains("ANSWER: 8"), "{large}");
    assert_eq!(registrar.resolver_says(&["abc123.ns1.scaidns-dev.test", "A", "+short"]).await, "127.0.0.1\n");
    let parent = registrar.nameserver_says("127.0.0.2", &["moved.test", "NS", "+norec"]).await;
    assert!(parent.contains("abc123.ns1.scaidns-dev.test.") && parent.contains("ANSWER: 0"), "{parent}");
    servers.stop().await;
}
