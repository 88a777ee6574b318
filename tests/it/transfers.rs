//! Zone transfers with real servers on the other side: TSIG keys, secondary domains, and domains that others transfer.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use reqwest::Method;
use scaidns::dev::process::Program;
use scaidns::dev::servers::{PDNS, Probe, Server};
use serde_json::{Value, json};

use crate::support::{Api, Domain, Trials, World, dns, eventually, trials};

pub fn tests() -> Trials {
    trials![
        a_key_is_made_once_shown_and_deleted,
        a_key_of_another_server_is_taken_in,
        a_secondary_domain_follows_its_master,
        another_server_transfers_a_domain_and_follows_it,
        nobody_is_talked_to_who_must_not_be,
        a_secondary_domain_may_get_other_masters,
        a_zone_of_another_server_is_taken_in_with_records_of_every_type,
        a_transfer_that_cannot_be_is_told_and_nothing_is_asked_that_must_not_be,
    ]
}

/// Another PowerDNS, with a database of its own.
struct Elsewhere {
    _server: Server,
    api: String,
    dns: SocketAddr,
}

const API_KEY: &str = "elsewhere";

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

impl Elsewhere {
    async fn start(world: &World, name: &'static str) -> Self {
        let database = world.servers.create_database(name).await.expect("a database");
        let pool = sqlx::MySqlPool::connect(&database).await.expect("connected");
        sqlx::raw_sql(include_str!("../../powerdns/schema.mysql.sql")).execute(&pool).await.expect("the schema");
        let database = reqwest::Url::parse(&database).expect("a URL");
        let (api_port, dns_port) = (free_port(), free_port());
        let folder = world.folder.join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let configuration = format!(
            "launch=gmysql\ngmysql-host=127.0.0.1\ngmysql-port={}\ngmysql-dbname={}\ngmysql-user={}\n\
             gmysql-password={}\ngmysql-dnssec=yes\napi=yes\napi-key={API_KEY}\nwebserver-address=127.0.0.1\n\
             webserver-port={api_port}\nlocal-address=127.0.0.1\nlocal-port={dns_port}\nsocket-dir={}\nprimary=yes\n\
             secondary=yes\nonly-notify=\nallow-axfr-ips=\nxfr-cycle-interval=2\nzone-cache-refresh-interval=0\n\
             cache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nsecurity-poll-suffix=\nsetuid=\nsetgid=\n",
            database.port().expect("a port"),
            database.path().trim_start_matches('/'),
            database.username(),
            database.password().unwrap_or_default(),
            folder.display(),
        );
        std::fs::write(folder.join("pdns.conf"), configuration).expect("written");
        let program = PDNS.find().expect("PowerDNS is installed");
        let program = Program::new(&world.folder, name, program).arg(format!("--config-dir={}", folder.display()));
        let api = format!("http://127.0.0.1:{api_port}");
        let probe = Probe::Pdns { url: api.clone(), api_key: API_KEY.to_owned() };
        let server = Server::launch(program, probe).await.expect("it starts");
        Self { _server: server, api, dns: (Ipv4Addr::LOCALHOST, dns_port).into() }
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/api/v1/servers/localhost{path}", self.api);
        let request = reqwest::Client::new().request(method, url).header("X-API-Key", API_KEY).json(&body);
        let answer = request.send().await.expect("an answer");
        let (status, text) = (answer.status(), answer.text().await.expect("a body"));
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn serves(&self, name: &str, value: &str) {
        eventually(&format!("{name} is {value} elsewhere"), || async {
            let found = dns::ask(self.dns, name, RecordType::A).await.values(RecordType::A);
            if found == [value] { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    }

    async fn set(&self, zone: &str, value: &str) {
        let name = format!("www.{zone}.");
        let records = json!([{"content": value, "disabled": false}]);
        let rrsets = json!([{"name": name, "type": "A", "ttl": 60, "changetype": "REPLACE", "records": records}]);
        self.call(Method::PATCH, &format!("/zones/{zone}."), json!({ "rrsets": rrsets })).await;
        self.call(Method::PUT, &format!("/zones/{zone}./notify"), json!({})).await;
    }
}

fn id(body: &Value) -> &str {
    body["id"].as_str().unwrap_or_else(|| panic!("no id in {body}"))
}

async fn secondary(world: &World, api: &Api, body: Value) -> Domain {
    let domain = Domain::new(api.post("/domains/", body).await.ok());
    world.publish(&domain).await;
    let checked = api.check(&domain).await;
    assert_eq!(checked["is_valid"], true, "{checked}");
    domain
}

async fn a_key_is_made_once_shown_and_deleted() {
    let world = World::shared().await;
    let api = world.admin_user();
    let made = api.post("/tsig-keys/", json!({"name": "made here"})).await.ok();
    assert!(made["secret"].as_str().is_some_and(|secret| secret.len() == 44), "{made}");
    assert_eq!(made["algorithm"], "hmac-sha256");
    let key_name = made["key_name"].as_str().expect("a name");
    assert!(key_name.ends_with(".northwind."), "{key_name}");
    let path = format!("/tsig-keys/{}", id(&made));
    let mut shown = made.clone();
    shown.as_object_mut().expect("an object").remove("secret");
    assert_eq!(api.get(&path).await.ok(), shown, "the secret is shown once");
    let listed = api.get("/tsig-keys?page_size=100").await.ok();
    assert!(listed["data"].as_array().expect("keys").contains(&shown), "{listed}");
    assert!(!listed.to_string().contains("secret"));
    assert_eq!(world.pdns_get(&format!("/tsigkeys/{key_name}")).await.status().as_u16(), 200);
    world.other().get(&path).await.refused(404, "not_found");
    world.other().delete(&path).await.refused(404, "not_found");
    assert_eq!(world.actions(id(&made)).await, ["tsig_key.create"]);
    assert!(!world.audit(&format!("resource_id={}", id(&made))).await[0].to_string().contains("secret"));
    api.delete(&path).await.expect(204);
    api.delete(&path).await.refused(404, "not_found");
    assert_eq!(world.pdns_get(&format!("/tsigkeys/{key_name}")).await.status().as_u16(), 404);
    assert_eq!(world.actions(id(&made)).await, ["tsig_key.create", "tsig_key.delete"]);
}

async fn a_key_of_another_server_is_taken_in() {
    let world = World::shared().await;
    let api = world.admin();
    let body = json!({"name": "Foreign.Example.", "algorithm": "hmac-sha512", "secret": "c2VjcmV0IG9mIGFub3RoZXI="});
    let made = api.post("/tsig-keys/", body.clone()).await.ok();
    assert_eq!((&made["key_name"], &made["secret"]), (&"foreign.example.".into(), &body["secret"]));
    world.other().post("/tsig-keys/", body).await.refused(409, "tsig_key_exists");
    for (body, field) in [
        (json!({"name": "x", "algorithm": "hmac-md5"}), "algorithm"),
        (json!({"name": "x", "secret": "not base64!"}), "secret"),
        (json!({"name": "a b", "secret": "c2VjcmV0"}), "name"),
    ] {
        assert_eq!(api.post("/tsig-keys/", body).await.refused(400, "invalid")["field"], field);
    }
    for body in [json!({}), json!({"name": ""}), json!({"name": "x", "key": "y"})] {
        api.post("/tsig-keys/", body).await.refused(422, "validation_error");
    }
}

async fn a_secondary_domain_follows_its_master() {
    let world = World::shared().await;
    let api = world.admin();
    let elsewhere = Elsewhere::start(world, "elsewhere_primary").await;
    let name = world.fresh("followed");
    let key =
        elsewhere.call(Method::POST, "/tsigkeys", json!({"name": format!("key.{name}"), "algorithm": "hmac-sha256"}));
    let key = key.await;
    let soa = format!("ns.{name}. hostmaster.{name}. 1 60 30 3600 30");
    let record = |content: &str| json!([{"content": content, "disabled": false}]);
    let zone = json!({"name": format!("{name}."), "kind": "Master", "soa_edit_api": "INCREASE", "nameservers": [],
        "rrsets": [{"name": format!("{name}."), "type": "SOA", "ttl": 60, "records": record(&soa)},
            {"name": format!("{name}."), "type": "NS", "ttl": 60, "records": record(&format!("ns.{name}."))},
            {"name": format!("ns.{name}."), "type": "A", "ttl": 60, "records": record("192.0.2.53")},
            {"name": format!("www.{name}."), "type": "A", "ttl": 60, "records": record("192.0.2.1")}]});
    elsewhere.call(Method::POST, "/zones", zone).await;
    let path = format!("/zones/{name}.");
    elsewhere.call(Method::PUT, &path, json!({"master_tsig_key_ids": [key["id"]]})).await;
    let notify = json!({"kind": "ALSO-NOTIFY", "metadata": [world.dns_address().to_string()]});
    elsewhere.call(Method::PUT, &format!("{path}/metadata/ALSO-NOTIFY"), notify).await;

    let ours = json!({"name": key["name"], "algorithm": "hmac-sha256", "secret": key["key"]});
    let ours = api.post("/tsig-keys/", ours).await.ok();
    let body = json!({"name": name, "domain_type": "secondary", "masters": [elsewhere.dns.to_string()],
        "tsig_key_id": ours["id"]});
    let domain = secondary(world, &api, body).await;
    let www = domain.at("www");
    world.served(&www, RecordType::A, &["192.0.2.1"]).await;
    let detail = api.domain(&domain).await;
    assert_eq!((&detail["masters"], &detail["tsig_key_id"]), (&json!([elsewhere.dns.to_string()]), &ours["id"]));
    let serial = world.serial(&name).await;
    assert_eq!((&detail["transfer"]["state"], &detail["serial"]), (&"transferred".into(), &serial.into()), "{detail}");
    elsewhere.set(&name, "192.0.2.2").await;
    world.served(&www, RecordType::A, &["192.0.2.2"]).await;
    let listed = api.records_where(&domain, "name=www").await;
    assert_eq!(listed[0]["content"], "192.0.2.2");
    api.try_add(&domain, "own", "A", "192.0.2.9").await.refused(409, "domain_secondary");
    assert_eq!(api.post_empty(&format!("{}/transfer", domain.path())).await.ok()["domain_id"], domain.id.as_str());

    let key_path = format!("/tsig-keys/{}", id(&ours));
    api.delete(&key_path).await.refused(409, "tsig_key_in_use");
    api.patch(&domain.path(), json!({"status": "inactive"})).await.ok();
    world.answers_with(&www, RecordType::A, ResponseCode::Refused).await;
    api.patch(&domain.path(), json!({"status": "active"})).await.ok();
    world.served(&www, RecordType::A, &["192.0.2.2"]).await;
    api.delete(&format!("{}?hard=true", domain.path())).await.expect(204);
    world.answers_with(&www, RecordType::A, ResponseCode::Refused).await;
    api.delete(&key_path).await.expect(204);
    let primary = world.live(&api, "not-secondary").await;
    api.post_empty(&format!("{}/transfer", primary.path())).await.refused(409, "domain_not_secondary");
}

async fn another_server_transfers_a_domain_and_follows_it() {
    let world = World::shared().await;
    let api = world.admin();
    let elsewhere = Elsewhere::start(world, "elsewhere_secondary").await;
    let domain = world.live(&api, "transferred").await;
    let record = api.add(&domain, "www", "A", "192.0.2.1").await;
    let key = api.post("/tsig-keys/", json!({"name": "for elsewhere"})).await.ok();
    let there = json!({"name": key["key_name"], "algorithm": key["algorithm"], "key": key["secret"]});
    let there = elsewhere.call(Method::POST, "/tsigkeys", there).await;
    let transfers = json!({"tsig_key_id": key["id"], "also_notify": [elsewhere.dns.to_string()]});
    let changed = api.patch(&domain.path(), json!({"settings": {"note": "x", "transfers": transfers}})).await.ok();
    assert_eq!(changed["settings"]["transfers"], transfers);
    let zone = json!({"name": format!("{}.", domain.name), "kind": "Slave",
        "masters": [world.dns_address().to_string()], "slave_tsig_key_ids": [there["id"]]});
    elsewhere.call(Method::POST, "/zones", zone).await;
    elsewhere.call(Method::PUT, &format!("/zones/{}./axfr-retrieve", domain.name), json!({})).await;
    let www = domain.at("www");
    elsewhere.serves(&www, "192.0.2.1").await;
    api.patch(&domain.record(id(&record)), json!({"content": "192.0.2.2"})).await.ok();
    elsewhere.serves(&www, "192.0.2.2").await;
    api.delete(&format!("/tsig-keys/{}", id(&key))).await.refused(409, "tsig_key_in_use");
    let updates = world.audit(&format!("resource_id={}&action=domain.update", domain.id)).await;
    assert_eq!(updates.len(), 1, "{updates:?}");

    // taken back, the key opens nothing any more
    api.patch(&domain.path(), json!({"settings": {}})).await.ok();
    let metadata = world.pdns_get(&format!("/zones/{}./metadata", domain.name)).await;
    let metadata: Value = metadata.json().await.expect("JSON");
    let kinds: Vec<&str> =
        metadata.as_array().expect("kinds").iter().filter_map(|kind| kind["kind"].as_str()).collect();
    assert!(
        !kinds.iter().any(|kind| ["TSIG-ALLOW-AXFR", "ALSO-NOTIFY", "ALLOW-AXFR-FROM"].contains(kind)),
        "{kinds:?}"
    );
    api.delete(&format!("/tsig-keys/{}", id(&key))).await.expect(204);
    let pending = world.pending(&api, "transfers-early").await;
    let settings = json!({"settings": {"transfers": {"addresses": ["192.0.2.0/24"]}}});
    api.patch(&pending.path(), settings).await.refused(409, "domain_pending");
}

async fn nobody_is_talked_to_who_must_not_be() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "guarded").await;
    let targets = [
        "10.0.0.1",
        "169.254.169.254",
        "192.168.1.1:5300",
        "::1",
        "[fe80::1]:53",
        "::ffff:10.0.0.1",
        "0.0.0.0",
        "ns1.example.net",
        "",
        "127.0.0.1:25",
        "1.1.1.1:80",
        "1.1.1.1:70000",
    ];
    for target in targets {
        let body = json!({"name": world.fresh("guard"), "domain_type": "secondary", "masters": [target]});
        let refused = api.post("/domains/", body).await.refused(400, "invalid");
        assert_eq!(refused["field"], "masters", "{target}");
        let settings = json!({"settings": {"transfers": {"also_notify": [target]}}});
        assert_eq!(api.patch(&domain.path(), settings).await.refused(400, "invalid")["field"], "settings", "{target}");
    }
    for masters in [json!([]), json!(vec!["1.1.1.1"; 17])] {
        let body = json!({"name": world.fresh("guard"), "domain_type": "secondary", "masters": masters});
        api.post("/domains/", body).await.refused(422, "validation_error");
    }
    let body = json!({"name": world.fresh("guard"), "domain_type": "primary", "masters": ["1.1.1.1"]});
    assert_eq!(api.post("/domains/", body).await.refused(400, "invalid")["field"], "masters");
    let foreign = world.other().post("/tsig-keys/", json!({"name": "not ours"})).await.ok();
    let body = json!({"name": world.fresh("guard"), "domain_type": "secondary", "masters": ["1.1.1.1"],
        "tsig_key_id": foreign["id"]});
    api.post("/domains/", body).await.refused(404, "not_found");
    let settings = json!({"settings": {"transfers": {"tsig_key_id": foreign["id"]}}});
    api.patch(&domain.path(), settings).await.refused(404, "not_found");
    let settings = json!({"settings": {"transfers": {"adresses": []}}});
    api.patch(&domain.path(), settings).await.refused(422, "validation_error");
    assert_eq!(api.domain(&domain).await["settings"], json!({}));
}

async fn a_secondary_domain_may_get_other_masters() {
    let world = World::shared().await;
    let api = world.admin();
    let elsewhere = Elsewhere::start(world, "elsewhere_later").await;
    let name = world.fresh("moved");
    let www = json!({"name": format!("www.{name}."), "type": "A", "ttl": 60,
        "records": [{"content": "192.0.2.1", "disabled": false}]});
    let key = given_away(&elsewhere, &name, vec![www]).await;
    let ours = json!({"name": key["name"], "algorithm": "hmac-sha512", "secret": key["key"]});
    let ours = api.post("/tsig-keys/", ours).await.ok();
    let nobody = format!("127.0.0.1:{}", free_port());
    let body = json!({"name": name, "domain_type": "secondary", "masters": [nobody]});
    let claimed = Domain::new(api.post("/domains/", body).await.ok());
    let changed = api.patch(&claimed.path(), json!({"masters": [nobody, "127.0.0.1:5300"]})).await.ok();
    assert_eq!(changed["masters"], json!([nobody, "127.0.0.1:5300"]), "also before it is served");
    world.publish(&claimed).await;
    assert_eq!(api.check(&claimed).await["is_valid"], true);
    let to = json!({"masters": [elsewhere.dns.to_string()], "tsig_key_id": ours["id"]});
    let changed = api.patch(&claimed.path(), to.clone()).await.ok();
    assert_eq!((&changed["masters"], &changed["tsig_key_id"]), (&to["masters"], &to["tsig_key_id"]));
    world.served(&claimed.at("www"), RecordType::A, &["192.0.2.1"]).await;
    api.patch(&claimed.path(), to).await.ok();
    let updates = world.audit(&format!("resource_id={}&action=domain.update", claimed.id)).await;
    assert_eq!(updates.len(), 2, "what changes nothing is not told: {updates:?}");
    assert_eq!(updates[1]["details"]["after"]["masters"], json!([elsewhere.dns.to_string()]));
    api.delete(&format!("/tsig-keys/{}", id(&ours))).await.refused(409, "tsig_key_in_use");
    assert_eq!(api.patch(&claimed.path(), json!({"tsig_key_id": null})).await.ok()["tsig_key_id"], Value::Null);
    api.delete(&format!("/tsig-keys/{}", id(&ours))).await.expect(204);

    api.patch(&claimed.path(), json!({"masters": []})).await.refused(422, "validation_error");
    for target in ["10.0.0.1", "ns.elsewhere.test"] {
        let refused = api.patch(&claimed.path(), json!({"masters": [target]})).await.refused(400, "invalid");
        assert_eq!(refused["field"], "masters");
    }
    let foreign = world.other().post("/tsig-keys/", json!({"name": "foreign too"})).await.ok();
    api.patch(&claimed.path(), json!({"tsig_key_id": foreign["id"]})).await.refused(404, "not_found");
    let primary = world.live(&api, "no-masters").await;
    let refused = api.patch(&primary.path(), json!({"masters": ["127.0.0.1"]})).await.refused(400, "invalid");
    assert_eq!(refused["field"], "masters");
}

/// A zone at another server that gives it away to who has the key; the key, as that server made it.
async fn given_away(elsewhere: &Elsewhere, name: &str, rrsets: Vec<Value>) -> Value {
    let key = json!({"name": format!("given.{name}"), "algorithm": "hmac-sha512"});
    let key = elsewhere.call(Method::POST, "/tsigkeys", key).await;
    let soa = format!("ns.elsewhere.test. hostmaster.{name}. 1 60 30 3600 30");
    let mut all = vec![
        json!({"name": format!("{name}."), "type": "SOA", "ttl": 60, "records": [{"content": soa, "disabled": false}]}),
        json!({"name": format!("{name}."), "type": "NS", "ttl": 60,
            "records": [{"content": "ns.elsewhere.test.", "disabled": false}]}),
    ];
    all.extend(rrsets);
    let zone = json!({"name": format!("{name}."), "kind": "Master", "nameservers": [], "rrsets": all});
    elsewhere.call(Method::POST, "/zones", zone).await;
    elsewhere.call(Method::PUT, &format!("/zones/{name}."), json!({"master_tsig_key_ids": [key["id"]]})).await;
    key
}

async fn a_zone_of_another_server_is_taken_in_with_records_of_every_type() {
    /// So many that they do not go into one message.
    const HOSTS: usize = 5_000;
    let world = World::shared().await;
    let api = world.admin();
    let elsewhere = Elsewhere::start(world, "elsewhere_given").await;
    let domain = world.live(&api, "given").await;
    let name = &domain.name;
    let mut wanted = std::collections::BTreeSet::new();
    let mut rrsets = Vec::new();
    let mut put = |owner: String, record_type: &str, content: &str| {
        let kind = scaidns::dns::RecordType::from_server(record_type);
        let sent = scaidns::dns::for_server(&kind, content);
        let records = json!([{"content": sent, "disabled": false}]);
        rrsets.push(json!({"name": format!("{owner}."), "type": record_type, "ttl": 77, "records": records}));
        wanted.insert(format!("{owner} {record_type} 77 {content}"));
    };
    for kind in scaidns::dns::catalogue() {
        let owner = match kind.record_type {
            "SOA" | "ALIAS" => continue,
            // PowerDNS makes these itself, and gives none away that stand in its database
            "CDS" | "CDNSKEY" => continue,
            "NS" | "DS" => format!("sub.{name}"),
            "CSYNC" => name.clone(),
            "SRV" => format!("_sip._tcp.{name}"),
            "TLSA" => format!("_443._tcp.{name}"),
            other => format!("{}.{name}", other.to_lowercase()),
        };
        put(owner, kind.record_type, kind.example);
    }
    for host in 0..HOSTS {
        put(format!("h{host}.{name}"), "A", &format!("192.0.{}.{}", host / 250, host % 250));
    }
    let key = given_away(&elsewhere, name, rrsets).await;
    let secret = key["key"].as_str().expect("a secret");
    let ours = json!({"name": key["name"], "algorithm": "hmac-sha512", "secret": secret});
    let ours = api.post("/tsig-keys/", ours).await.ok();
    let body = json!({"server": elsewhere.dns.ip().to_string(), "port": elsewhere.dns.port(),
        "tsig_key_id": ours["id"], "mode": "replace"});
    let path = format!("{}/import/axfr", domain.path());
    let preview = api.post(&format!("{path}?preview=true"), body.clone()).await.ok();
    assert_eq!((&preview["errors"], &preview["applied"]), (&json!([]), &json!(false)));
    let outcome = api.post(&path, body.clone()).await.ok();
    assert_eq!(outcome["created"], wanted.len(), "{outcome}");
    let records = api.records(&domain).await;
    let shown = |record: &Value| {
        let text = |field: &str| record[field].as_str().unwrap_or_default();
        format!("{} {} {} {}", text("name"), text("type"), record["ttl"], text("content"))
    };
    let found: std::collections::BTreeSet<String> = records.iter().map(shown).collect();
    crate::files::assert_same("what was transferred", &found, &wanted);
    let again = api.post(&path, body).await.ok();
    assert_eq!((&again["created"], &again["deleted"], &again["change_id"]), (&json!(0), &json!(0), &Value::Null));
    assert!(!world.log("api-1").contains(secret), "a secret is in the log");
    let entries = world.audit(&format!("resource_id={}&action=domain.import", domain.id)).await;
    assert_eq!(entries.len(), 1);
}

async fn a_transfer_that_cannot_be_is_told_and_nothing_is_asked_that_must_not_be() {
    let world = World::shared().await;
    let api = world.admin();
    let elsewhere = Elsewhere::start(world, "elsewhere_kept").await;
    let domain = world.live(&api, "kept").await;
    let key = given_away(&elsewhere, &domain.name, Vec::new()).await;
    let path = format!("{}/import/axfr", domain.path());
    let (server, port) = (elsewhere.dns.ip().to_string(), elsewhere.dns.port());
    let asked = |key: &Value| json!({"server": server, "port": port, "tsig_key_id": key});
    let told = async |body: Value, words: &str| {
        let answer = api.post(&path, body).await;
        assert_eq!(answer.status, 502, "{answer:?}");
        assert!(answer.text.contains(words), "{answer:?}");
    };
    told(asked(&Value::Null), "refuses the transfer").await;
    let forged = json!({"name": key["name"], "algorithm": "hmac-sha512", "secret": "bm90IHRoZSBzZWNyZXQ="});
    let forged = api.post("/tsig-keys/", forged).await.ok();
    told(asked(&forged["id"]), "the key").await;
    let closed = free_port();
    told(json!({"server": server, "port": closed}), "cannot be reached").await;
    // what answers nothing holds nobody up for ever, and what is no DNS is told so
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let babble = std::thread::spawn(move || {
        use std::io::Write as _;
        let (mut stream, _) = silent.accept().expect("a connection");
        stream.write_all(&[0, 5, 1, 2, 3, 4, 5]).expect("sent");
    });
    told(json!({"server": server, "port": port}), "does not read as a transfer").await;
    babble.join().expect("ends");
    for (body, field) in [
        (json!({"server": "10.0.0.1"}), "server"),
        (json!({"server": "169.254.169.254", "port": 5300}), "server"),
        (json!({"server": "ns.elsewhere.test"}), "server"),
        (json!({"server": server, "port": 22}), "server"),
        (json!({"server": server, "mode": "overwrite"}), "mode"),
    ] {
        assert_eq!(api.post(&path, body).await.refused(400, "invalid")["field"], field);
    }
    let foreign = world.other().post("/tsig-keys/", json!({"name": "foreign"})).await.ok();
    api.post(&path, asked(&foreign["id"])).await.refused(404, "not_found");
    let old = json!({"name": "old.example", "algorithm": "hmac-sha1", "secret": "c2VjcmV0"});
    let old = api.post("/tsig-keys/", old).await.ok();
    assert_eq!(api.post(&path, asked(&old["id"])).await.refused(400, "invalid")["field"], "tsig_key_id");
    api.post(&path, json!({"server": server, "key": "x"})).await.refused(422, "validation_error");
    assert!(world.audit(&format!("resource_id={}&action=domain.import", domain.id)).await.is_empty());
}
