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
