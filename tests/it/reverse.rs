//! Reverse zones: which zones a network needs, and the names of its addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Api, Domain, Trials, World, trials};

pub fn tests() -> Trials {
    trials![
        a_network_is_shown_with_its_zones,
        what_is_no_network_is_refused_with_its_field,
        every_address_of_a_24_gets_its_name_in_one_call,
        ipv6_addresses_get_their_names_in_one_call,
        a_part_of_a_24_is_led_to_by_its_parent,
        a_network_of_several_zones_is_claimed_as_a_list,
        ptrs_are_written_together_or_not_at_all,
        an_address_brings_its_ptr_where_there_is_a_zone_for_it,
        many_addresses_bring_their_ptrs_in_one_call,
        nobody_writes_a_ptr_where_it_may_not,
        only_asking_takes_no_name_away,
        a_name_that_does_not_lead_back_is_warned_of,
        a_zone_is_found_by_its_network_and_by_a_part_of_it,
        a_private_network_cannot_be_proven,
    ]
}

/// The zone of a network, live.
async fn live(world: &World, api: &Api, cidr: &str) -> Domain {
    let domain = Domain::new(api.post("/reverse-zones/", json!({ "cidr": cidr })).await.ok());
    assert_eq!(domain.body["cidr"], cidr);
    world.publish(&domain).await;
    let checked = api.check(&domain).await;
    assert_eq!(checked["is_valid"], true, "{checked}");
    domain
}

fn ptr(domain: &Domain) -> String {
    format!("/reverse-zones/{}/ptr", domain.id)
}

/// What `dig -x` finds, asking PowerDNS.
async fn dig(world: &World, addresses: &[IpAddr]) -> BTreeMap<IpAddr, String> {
    let mut found = BTreeMap::new();
    let server = world.dns_address();
    for addresses in addresses.chunks(64) {
        let mut command = Command::new("dig");
        command.args([format!("@{}", server.ip()), "-p".into(), server.port().to_string()]);
        command.args(["+short", "+tries=3", "+time=5"]);
        for address in addresses {
            command.args(["-x", &address.to_string()]);
        }
        let output = command.output().await.expect("dig runs");
        let names = String::from_utf8(output.stdout).expect("names");
        found.extend(addresses.iter().copied().zip(names.lines().map(str::to_owned)));
    }
    found
}

async fn a_network_is_shown_with_its_zones() {
    let api = World::shared().await.admin();
    let preview = async |cidr: &str| api.post("/reverse-zones/preview", json!({ "cidr": cidr })).await.ok();
    let shown = preview("192.0.2.0/24").await;
    let wanted = json!({"zone_name": "2.0.192.in-addr.arpa", "start_ip": "192.0.2.0", "end_ip": "192.0.2.255",
        "ip_count": 256, "domain_type": "reverse_ipv4"});
    assert_eq!(shown, wanted);
    let shown = preview("2001:db8::/32").await;
    assert_eq!(
        (&shown["zone_name"], &shown["domain_type"]),
        (&"8.b.d.0.1.0.0.2.ip6.arpa".into(), &"reverse_ipv6".into())
    );
    assert_eq!(shown["end_ip"], "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
    let shown = preview("192.0.16.0/20").await;
    assert_eq!((shown["zones"].as_array().map(Vec::len), &shown["ip_count"]), (Some(16), &json!(4096)));
    assert_eq!(shown["zones"][15]["zone_name"], "31.0.192.in-addr.arpa");
    let shown = preview("192.0.2.16/28").await;
    assert_eq!(shown["zone_name"], "16-28.2.0.192.in-addr.arpa");
    let records = shown["parent_records"].as_array().expect("records");
    assert_eq!(records.len(), 2 + 16);
    assert_eq!(records[0]["content"], "ns1.scaidns-dev.test.");
    let alias =
        json!({"name": "16.2.0.192.in-addr.arpa", "type": "CNAME", "content": "16.16-28.2.0.192.in-addr.arpa."});
    assert_eq!(records[2], alias);
}

async fn what_is_no_network_is_refused_with_its_field() {
    let world = World::shared().await;
    let api = world.admin();
    for cidr in ["", "x", "192.0.2.0", "192.0.2.0/33", "192.0.2.1/24", "2001:db8::/33", "2001:db8::/128", "0.0.0.0/0"] {
        for path in ["/reverse-zones/", "/reverse-zones/preview"] {
            let detail = api.post(path, json!({ "cidr": cidr })).await.refused(400, "invalid");
            assert_eq!(detail["field"], "cidr", "{cidr}");
        }
    }
    let detail = api.post("/reverse-zones/preview", json!({"cidr": "192.0.2.77/24"})).await.refused(400, "invalid");
    assert!(detail["message"].as_str().is_some_and(|message| message.contains("192.0.2.0/24")), "{detail}");
    let body = json!({"name": "9.51.198.in-addr.arpa", "domain_type": "reverse_ipv4", "cidr": "198.51.8.0/24"});
    assert_eq!(api.post("/domains/", body).await.refused(400, "invalid")["field"], "cidr");
    let forward = world.pending(&api, "no-reverse").await;
    api.get(&ptr(&forward)).await.refused(404, "not_found");
}

async fn every_address_of_a_24_gets_its_name_in_one_call() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = live(world, &api, "198.51.79.0/24").await;
    let addresses: Vec<IpAddr> = (0..=255).map(|last| IpAddr::from([198, 51, 79, last])).collect();
    let name = |address: &IpAddr| format!("host-{}.hosts.test", address.to_string().replace('.', "-"));
    let ptrs: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip, "hostname": name(ip), "ttl": 300})).collect();
    let made = api.post(&format!("{}/bulk", ptr(&domain)), json!({ "ptrs": ptrs })).await.ok();
    assert_eq!(made["total_created"], 256);
    let wanted: BTreeMap<IpAddr, String> = addresses.iter().map(|ip| (*ip, format!("{}.", name(ip)))).collect();
    assert_eq!(dig(world, &addresses).await, wanted);

    let listed = api.get(&format!("{}?page=2&page_size=100", ptr(&domain))).await.ok();
    assert_eq!((&listed["total"], &listed["data"][0]["ip"]), (&json!(256), &json!("198.51.79.100")));
    let next = listed["next_cursor"].as_str().expect("a cursor");
    let rest = api.get(&format!("{}?page_size=100&cursor={next}", ptr(&domain))).await.ok();
    assert_eq!((rest["data"].as_array().map(Vec::len), rest.get("next_cursor")), (Some(56), None));
    let found = api.get("/reverse-zones/lookup/198.51.79.7").await.ok();
    let wanted = json!({"ip": "198.51.79.7", "hostname": "host-198-51-79-7.hosts.test", "ttl": 300,
        "domain_id": domain.id, "zone_name": domain.name});
    assert_eq!(found, wanted);
    assert_eq!(api.delete(&format!("{}/198.51.79.7", ptr(&domain))).await.status, 204);
    api.get("/reverse-zones/lookup/198.51.79.7").await.refused(404, "not_found");
    api.delete(&format!("{}/198.51.79.7", ptr(&domain))).await.refused(404, "not_found");
    world.other().get("/reverse-zones/lookup/198.51.79.8").await.refused(404, "not_found");
    for search in ["198.51.79.0%2F24", "79.51.198", "in-addr"] {
        let found = api.get(&format!("/reverse-zones/?search={search}")).await.ok();
        let ids: Vec<&Value> = found["data"].as_array().expect("a list").iter().map(|zone| &zone["id"]).collect();
        assert!(ids.contains(&&json!(domain.id)), "{search}: {found}");
    }
    let all = api.get("/reverse-zones").await.ok();
    let is_reverse = |zone: &Value| zone["domain_type"].as_str().is_some_and(|kind| kind.starts_with("reverse_"));
    assert!(all["data"].as_array().is_some_and(|zones| zones.iter().all(is_reverse)));
}

async fn ipv6_addresses_get_their_names_in_one_call() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = live(world, &api, "2001:db8:77::/48").await;
    let base = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 0).to_bits();
    let addresses: Vec<IpAddr> =
        (0..256_u128).map(|n| IpAddr::from(Ipv6Addr::from_bits(base + (n << 64) + n))).collect();
    let ptrs: Vec<Value> = addresses
        .iter()
        .enumerate()
        .map(|(n, ip)| json!({"ip": ip, "hostname": format!("six-{n}.hosts.test")}))
        .collect();
    api.post(&format!("{}/bulk", ptr(&domain)), json!({ "ptrs": ptrs })).await.ok();
    let wanted: BTreeMap<IpAddr, String> =
        addresses.iter().enumerate().map(|(n, ip)| (*ip, format!("six-{n}.hosts.test."))).collect();
    assert_eq!(dig(world, &addresses).await, wanted);
    let found = api.get("/reverse-zones/lookup/2001:db8:77:1::1").await.ok();
    assert_eq!(found["hostname"], "six-1.hosts.test");
}

async fn a_part_of_a_24_is_led_to_by_its_parent() {
    let world = World::shared().await;
    let api = world.admin();
    let parent = live(world, &api, "198.51.80.0/24").await;
    let child = Domain::new(api.post("/reverse-zones/", json!({"cidr": "198.51.80.64/27"})).await.ok());
    assert_eq!((&child.name, &child.body["status"]), (&"64-27.80.51.198.in-addr.arpa".to_owned(), &json!("active")));
    let shown = api.post("/reverse-zones/preview", json!({"cidr": "198.51.80.64/27"})).await.ok();
    api.post(&format!("{}/bulk", parent.records()), json!({"records": shown["parent_records"]})).await.ok();
    let one = json!({"ip": "198.51.80.65", "hostname": "gateway.hosts.test"});
    let made = api.post(&ptr(&child), one).await.ok();
    assert_eq!((&made["ip"], &made["hostname"]), (&json!("198.51.80.65"), &json!("gateway.hosts.test")));
    let output = Command::new("dig")
        .args(["@127.0.0.1", "-p", &world.dns_address().port().to_string(), "+short", "-x", "198.51.80.65"])
        .output()
        .await
        .expect("dig runs");
    let found = String::from_utf8(output.stdout).expect("names");
    assert_eq!(found, "65.64-27.80.51.198.in-addr.arpa.\ngateway.hosts.test.\n");
    assert_eq!(api.get("/reverse-zones/lookup/198.51.80.65").await.ok()["zone_name"], child.name);
    let outside = json!({"ip": "198.51.80.1", "hostname": "x.hosts.test"});
    assert_eq!(api.post(&ptr(&child), outside).await.refused(400, "invalid")["field"], "ip");
}

async fn a_network_of_several_zones_is_claimed_as_a_list() {
    let world = World::shared().await;
    let api = world.admin();
    let made = api.post("/reverse-zones/", json!({"cidr": "203.0.84.0/22", "default_ttl": 600})).await.ok();
    let zones = made["data"].as_array().expect("a list");
    let names: Vec<&Value> = zones.iter().map(|zone| &zone["name"]).collect();
    assert_eq!(
        names,
        ["84.0.203.in-addr.arpa", "85.0.203.in-addr.arpa", "86.0.203.in-addr.arpa", "87.0.203.in-addr.arpa"]
    );
    assert_eq!((&zones[3]["cidr"], &zones[3]["default_ttl"]), (&json!("203.0.87.0/24"), &json!(600)));
    assert!(zones.iter().all(|zone| zone["validation"]["challenge_value"].is_string()), "each has its own challenge");
    api.post("/reverse-zones/", json!({"cidr": "203.0.86.0/23"})).await.refused(409, "domain_exists");
}

async fn ptrs_are_written_together_or_not_at_all() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = live(world, &api, "198.51.81.0/24").await;
    let one = |ip: &str, hostname: &str| json!({"ip": ip, "hostname": hostname});
    api.post(&ptr(&domain), one("198.51.81.1", "a.hosts.test")).await.ok();
    let ptrs = [
        one("198.51.81.2", "b.hosts.test"),
        one("198.51.81.3", "192.0.2.1"),
        one("198.51.82.1", "c.hosts.test"),
        one("nonsense", "c.hosts.test"),
        one("198.51.81.1", "d.hosts.test"),
    ];
    let detail =
        api.post(&format!("{}/bulk", ptr(&domain)), json!({ "ptrs": ptrs })).await.refused(400, "several_errors");
    let errors = detail["errors"].as_array().expect("errors");
    let indexes: Vec<&Value> = errors.iter().map(|error| &error["index"]).collect();
    assert_eq!(indexes, [1, 2, 3, 4], "{detail}");
    assert_eq!(api.get(&ptr(&domain)).await.ok()["total"], 1);
    api.post(&ptr(&domain), one("198.51.81.1", "d.hosts.test")).await.refused(409, "record_conflict");
    let asked = api.post(&format!("{}?dry_run=true", ptr(&domain)), one("198.51.81.9", "x.hosts.test")).await.ok();
    assert_eq!(asked["applied"], false);
    assert_eq!(api.get(&ptr(&domain)).await.ok()["total"], 1);
    api.post(&format!("{}/bulk", ptr(&domain)), json!({"ptrs": []})).await.refused(422, "validation_error");
}

/// An address with its PTR.
fn with_ptr(name: &str, address: &str) -> Value {
    let record_type = if address.contains(':') { "AAAA" } else { "A" };
    json!({"name": name, "type": record_type, "content": address, "ptr": true})
}

async fn an_address_brings_its_ptr_where_there_is_a_zone_for_it() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "with-ptrs").await;
    let four = live(world, &api, "198.51.90.0/24").await;
    let six = live(world, &api, "2001:db8:90::/48").await;
    let add = async |body: Value| api.post(&domain.records(), body).await.ok();

    let mut first = with_ptr("www", "198.51.90.1");
    first["ttl"] = json!(120);
    let made = add(first).await;
    let there = api.records_where(&four, "type=PTR").await.remove(0);
    let wanted = json!({"status": "created", "zone_id": four.id, "zone_name": four.name,
        "name": "1.90.51.198.in-addr.arpa", "record_id": there["id"], "detail": null});
    assert_eq!(made["ptr"], wanted);
    assert_eq!((&there["content"], &there["ttl"]), (&json!(format!("{}.", domain.at("www"))), &json!(120)));
    let made = add(with_ptr("www", "2001:db8:90::1")).await;
    assert_eq!((&made["ptr"]["status"], &made["ptr"]["zone_id"]), (&json!("created"), &json!(six.id)), "{made}");
    let addresses: Vec<IpAddr> = ["198.51.90.1", "2001:db8:90::1"].map(|ip| ip.parse().expect("an address")).to_vec();
    let www = format!("{}.", domain.at("www"));
    assert_eq!(dig(world, &addresses).await.into_values().collect::<Vec<_>>(), [www.clone(), www]);
    assert_eq!(world.actions(there["id"].as_str().expect("an id")).await, ["record.create"]);

    // what stands there stands
    api.post(&ptr(&four), json!({"ip": "198.51.90.2", "hostname": domain.at("mail")})).await.ok();
    let made = add(with_ptr("mail", "198.51.90.2")).await;
    assert_eq!((&made["ptr"]["status"], &made["ptr"]["detail"]), (&json!("exists"), &Value::Null), "{made}");
    let made = add(with_ptr("other", "198.51.90.2")).await;
    assert_eq!(made["ptr"]["status"], "skipped", "{made}");
    let detail = made["ptr"]["detail"].as_str().expect("a reason");
    assert!(detail.contains(&domain.at("mail")), "{detail}");
    // no zone, no name, no service: the address is there all the same
    for (body, status) in [
        (with_ptr("far", "203.0.250.1"), "skipped"),
        (with_ptr("*.wild", "198.51.90.3"), "skipped"),
        (json!({"name": "off", "type": "A", "content": "198.51.90.4", "ptr": true, "disabled": true}), "skipped"),
    ] {
        let made = add(body).await;
        assert_eq!((&made["ptr"]["status"], made["ptr"]["detail"].is_string()), (&json!(status), true), "{made}");
        assert!(made["id"].is_string());
    }
    let asked = api.post(&format!("{}?dry_run=true", domain.records()), with_ptr("dry", "198.51.90.9")).await.ok();
    assert_eq!((&asked["applied"], &asked["ptr"]["status"]), (&json!(false), &json!("created")), "{asked}");
    let plain = add(json!({"name": "plain", "type": "A", "content": "198.51.90.10"})).await;
    assert_eq!(plain.get("ptr"), None);
    assert_eq!(api.get(&ptr(&four)).await.ok()["total"], 2);
    let text = json!({"name": "t", "type": "TXT", "content": "x", "ptr": true});
    assert_eq!(api.post(&domain.records(), text).await.refused(400, "invalid")["field"], "ptr");
    // an address that is refused brings none
    api.post(&domain.records(), with_ptr("www", "198.51.90.1")).await.refused(409, "record_conflict");
    // a zone that is still to be proven keeps it until then
    let pending = Domain::new(api.post("/reverse-zones/", json!({"cidr": "198.51.94.0/24"})).await.ok());
    let made = add(with_ptr("early", "198.51.94.1")).await;
    assert_eq!((&made["ptr"]["status"], &made["ptr"]["zone_id"]), (&json!("created"), &json!(pending.id)), "{made}");
    assert_eq!(api.get(&ptr(&pending)).await.ok()["total"], 1);
    // and none that is withdrawn takes it
    api.patch(&four.path(), json!({"status": "inactive"})).await.ok();
    assert_eq!(add(with_ptr("late", "198.51.90.20")).await["ptr"]["status"], "skipped");
}

async fn many_addresses_bring_their_ptrs_in_one_call() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "many-ptrs").await;
    let zones = [live(world, &api, "198.51.91.0/24").await, live(world, &api, "198.51.92.0/24").await];
    let serial = world.serial(&zones[0].name).await;
    let address = |n: u8| format!("198.51.{}.{n}", 91 + n % 2);
    let mut records: Vec<Value> = (0..200).map(|n| with_ptr(&format!("h{n}"), &address(n))).collect();
    records.push(with_ptr("second", &address(7)));
    records.push(json!({"name": "h0", "type": "TXT", "content": "without"}));
    let body = json!({ "records": records });
    let send = async || {
        let request = api.request(reqwest::Method::POST, &format!("{}/bulk", domain.records()));
        api.send(request.header("Idempotency-Key", format!("ptrs-{}", domain.id)).json(&body)).await
    };
    let first = send().await;
    assert_eq!(send().await.text, first.text, "sent again, it is answered again");
    crate::idempotency::lose_answers(world, &domain).await;
    assert!(send().await.text == first.text, "and where the answer was lost, too");
    let made = first.ok();
    let created = made["created"].as_array().expect("records");
    let statuses: Vec<&Value> = created.iter().map(|record| &record["ptr"]["status"]).collect();
    assert!(statuses[..200].iter().all(|status| **status == "created"), "{made}");
    assert_eq!((statuses[200], created[201].get("ptr")), (&json!("skipped"), None));
    let addresses: Vec<IpAddr> = (0..200).map(|n| address(n).parse().expect("an address")).collect();
    let wanted: BTreeMap<IpAddr, String> =
        (0..200).map(|n| (addresses[n], format!("{}.", domain.at(&format!("h{n}"))))).collect();
    assert_eq!(dig(world, &addresses).await, wanted);
    assert_eq!(world.serial(&zones[0].name).await, serial + 1, "one change for each zone");
}

async fn nobody_writes_a_ptr_where_it_may_not() {
    let world = World::shared().await;
    let (api, other) = (world.admin(), world.other());
    let reverse = live(world, &api, "198.51.93.0/24").await;
    let theirs = world.live(&other, "their-ptrs").await;
    let made = other.post(&theirs.records(), with_ptr("www", "198.51.93.1")).await;
    assert!(!made.text.contains(&reverse.id), "{}", made.text);
    assert_eq!(made.ok()["ptr"]["status"], "skipped");
    // a key that may write in the forward domain alone
    let domain = world.live(&api, "forward-only").await;
    let user = world.admin_user();
    let grant = json!({"grant_type": "user", "grantee_id": scaidns::dev::scaikey::directory::NORTHWIND_USER_2,
        "role": "domain_manager"});
    user.post(&format!("{}/access-grants", domain.path()), grant).await.ok();
    let carol = world.user(scaidns::dev::scaikey::directory::NORTHWIND_USER_2);
    crate::support::eventually("the grant counts", || async {
        let answer = carol.get(&domain.records()).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    let made = carol.post(&domain.records(), with_ptr("www", "198.51.93.2")).await;
    assert!(!made.text.contains(&reverse.id), "{}", made.text);
    assert_eq!(made.ok()["ptr"]["status"], "skipped");
    assert_eq!(api.get(&ptr(&reverse)).await.ok()["total"], 0);
}

async fn only_asking_takes_no_name_away() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = live(world, &api, "198.51.95.0/24").await;
    let made = api.post(&ptr(&domain), json!({"ip": "198.51.95.1", "hostname": "kept.hosts.test"})).await.ok();
    let path = format!("{}/198.51.95.1", ptr(&domain));
    let asked = api.delete(&format!("{path}?dry_run=true")).await.ok();
    let wanted = json!({"id": made["id"], "ip": "198.51.95.1", "hostname": "kept.hosts.test", "ttl": made["ttl"],
        "applied": false});
    assert_eq!(asked, wanted);
    assert_eq!(api.get("/reverse-zones/lookup/198.51.95.1").await.ok()["hostname"], "kept.hosts.test");
    assert_eq!(api.delete(&path).await.status, 204);
    api.delete(&format!("{path}?dry_run=true")).await.refused(404, "not_found");
}

async fn a_name_that_does_not_lead_back_is_warned_of() {
    let world = World::shared().await;
    let api = world.admin();
    let forward = world.live(&api, "leads-back").await;
    api.add(&forward, "www", "A", "198.51.96.1").await;
    api.add(&forward, "alias", "CNAME", "www").await;
    let domain = live(world, &api, "198.51.96.0/24").await;
    let warned = |item: &Value| {
        let warnings = item["warnings"].as_array().cloned().unwrap_or_default();
        warnings
            .iter()
            .any(|warning| warning["message"].as_str().is_some_and(|text| text.contains("has no record with")))
    };
    let one = |last: u8, host: &str| json!({"ip": format!("198.51.96.{last}"), "hostname": host});
    let many = json!({"ptrs": [one(1, &forward.at("www")), one(2, &forward.at("www")), one(3, &forward.at("nothing")),
        one(4, &forward.at("alias")), one(5, "www.elsewhere.test")]});
    let made = api.post(&format!("{}/bulk", ptr(&domain)), many).await.ok();
    let made: Vec<bool> = made["created"].as_array().expect("PTRs").iter().map(warned).collect();
    assert_eq!(made, [false, true, true, false, false]);
    let asked = api.post(&format!("{}?dry_run=true", ptr(&domain)), one(9, &forward.at("www"))).await.ok();
    assert!(warned(&asked), "{asked}");
    let as_record = json!({"name": "10", "type": "PTR", "content": format!("{}.", forward.at("www"))});
    let made = api.post(&domain.records(), as_record).await.ok();
    assert!(warned(&made), "{made}");
    // nothing is told of what is another tenant's
    let theirs = world.live(&world.other(), "leads-nowhere").await;
    let made = api.post(&ptr(&domain), one(11, &theirs.at("www"))).await.ok();
    assert!(!warned(&made), "{made}");
}

async fn a_zone_is_found_by_its_network_and_by_a_part_of_it() {
    let world = World::shared().await;
    let api = world.admin();
    let made = api.post("/reverse-zones/", json!({"cidr": "203.0.96.0/22"})).await.ok();
    assert_eq!(made["data"].as_array().map(Vec::len), Some(4));
    api.post("/reverse-zones/", json!({"cidr": "203.96.0.0/24"})).await.ok();
    for (search, found) in [
        ("203.0.96.0%2F22", vec!["203.0.96.0/24", "203.0.97.0/24", "203.0.98.0/24", "203.0.99.0/24"]),
        ("203.0.96.0%2F24", vec!["203.0.96.0/24"]),
        ("203.96.0.0%2F24", vec!["203.96.0.0/24"]),
        ("203.0.9", vec!["203.0.96.0/24", "203.0.97.0/24", "203.0.98.0/24", "203.0.99.0/24"]),
        ("203.0.96.0", vec!["203.0.96.0/24"]),
        ("97.0.203.IN-ADDR", vec!["203.0.97.0/24"]),
        ("203.0.100.0%2F24", vec![]),
    ] {
        let listed = api.get(&format!("/reverse-zones/?search={search}")).await.ok();
        let zones = listed["data"].as_array().expect("a list");
        let mut networks: Vec<&str> = zones.iter().map(|zone| zone["cidr"].as_str().expect("a network")).collect();
        networks.sort_unstable();
        assert_eq!(networks, found, "{search}");
    }
}

async fn a_private_network_cannot_be_proven() {
    let world = World::shared().await;
    let (api, platform) = (world.admin(), world.platform());
    for cidr in ["172.20.77.0/24", "fd77:7700::/32"] {
        let domain = Domain::new(api.post("/reverse-zones/", json!({ "cidr": cidr })).await.ok());
        assert_eq!(domain.body["status"], "pending_validation");
        let told = api.check(&domain).await;
        assert_eq!(told["is_valid"], false);
        let message = told["message"].as_str().expect("a message");
        assert!(message.contains("private network"), "{message}");
        api.delete(&format!("{}?hard=true", domain.path())).await.expect(204);
        let had = platform.post("/reverse-zones/", json!({ "cidr": cidr })).await.ok();
        assert_eq!(had["status"], "active", "with validation:bypass: {had}");
    }
}
