//! Records: what goes in, what resolvers get, what is refused.

mod apex;
mod lists;
mod refusals;

use std::collections::BTreeMap;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::support::{Api, Domain, Trials, World, eventually, trials};

pub fn tests() -> Trials {
    let mut all = trials![
        every_type_is_served_in_its_canonical_form,
        every_change_of_a_record_is_one_audit_entry,
        a_ttl_belongs_to_the_whole_rrset,
        unusual_ttls_are_warned_of_and_impossible_ones_refused,
        a_disabled_record_is_kept_and_not_served,
        the_id_of_a_record_never_changes,
        records_written_by_others_have_ids_that_last,
        records_of_a_pending_domain_go_live_with_their_ids,
        empty_names_between_exist_and_go_with_their_last_record,
        parallel_additions_from_two_replicas_all_arrive,
    ];
    all.extend([apex::tests(), lists::tests(), refusals::tests()].into_iter().flatten());
    all
}

fn id(record: &Value) -> &str {
    record["id"].as_str().unwrap_or_else(|| panic!("no id in {record}"))
}

/// Content by id, of all records that show.
async fn contents(api: &Api, domain: &Domain) -> BTreeMap<String, String> {
    let records = api.records_where(domain, "include_system=true").await;
    records.iter().map(|r| (id(r).to_owned(), r["content"].as_str().expect("content").to_owned())).collect()
}

async fn every_type_is_served_in_its_canonical_form() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "types").await;
    let cases = [
        ("www", "A", " 192.0.2.1 ", "192.0.2.1", "192.0.2.1"),
        ("www", "AAAA", "2001:DB8:0:0::1", "2001:db8::1", "2001:db8::1"),
        ("blog", "cname", "Target.Example.COM.", "target.example.com.", "target.example.com."),
        ("@", "MX", "10 Mail.Example.com.", "10 mail.example.com.", "10 mail.example.com."),
        ("@", "TXT", "v=spf1 -all", "\"v=spf1 -all\"", "v=spf1 -all"),
        ("sub", "NS", "ns1.elsewhere.example.", "ns1.elsewhere.example.", ""),
        (
            "_sip._tcp",
            "SRV",
            "10 20 5060 sip.example.com.",
            "10 20 5060 sip.example.com.",
            "10 20 5060 sip.example.com.",
        ),
        ("@", "CAA", "0 issue letsencrypt.org", "0 issue \"letsencrypt.org\"", ""),
        ("ptr", "PTR", "host.example.com.", "host.example.com.", "host.example.com."),
    ];
    for (name, record_type, given, canonical, served) in cases {
        let record = api.add(&domain, name, record_type, given).await;
        assert_eq!(record["content"], canonical, "{record}");
        assert_eq!(record["type"], record_type.to_uppercase());
        assert_eq!(record["display_name"], name);
        let owner = if name == "@" { domain.name.clone() } else { domain.at(name) };
        assert_eq!(record["name"], owner.as_str());
        assert_eq!((&record["ttl"], &record["disabled"]), (&3600.into(), &false.into()));
        assert_eq!(record["domain_id"], domain.id.as_str());
        assert_eq!(api.get(&domain.record(id(&record))).await.ok()["content"], canonical);
        if !served.is_empty() {
            let wanted: RecordType = record_type.to_uppercase().parse().expect("type");
            world.served(&owner, wanted, &[served]).await;
        }
    }
    assert_eq!(world.dns(&domain.name, RecordType::CAA).await.answers.len(), 1);
    let referral = world.dns(&domain.at("x.sub"), RecordType::A).await;
    assert!(!referral.authoritative && referral.authorities.len() == 1, "{referral:?}");
    assert_eq!(api.domain(&domain).await["record_count"], cases.len());
}

async fn every_change_of_a_record_is_one_audit_entry() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "audited").await;
    let record = api.add(&domain, "www", "A", "192.0.2.1").await;
    let path = domain.record(id(&record));
    api.patch(&path, json!({"content": "192.0.2.2"})).await.ok();
    api.patch(&path, json!({"content": "192.0.2.2"})).await.ok(); // no change, no entry
    let answer = api.send(api.request(reqwest::Method::DELETE, &path).header("X-Request-ID", "req-of-mine")).await;
    answer.expect(204);
    api.delete(&path).await.refused(404, "not_found");
    world.answers_with(&domain.at("www"), RecordType::A, ResponseCode::NXDomain).await;

    let entries = world.audit(&format!("resource_id={}", id(&record))).await;
    let actions: Vec<&str> = entries.iter().filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(actions, ["record.create", "record.update", "record.delete"]);
    assert_eq!(entries[0]["resource_name"], format!("www.{} A", domain.name));
    assert_eq!(entries[0]["details"]["before"], Value::Null);
    assert_eq!(entries[1]["details"]["before"]["content"], "192.0.2.1");
    assert_eq!(entries[1]["details"]["after"]["content"], "192.0.2.2");
    assert_eq!(entries[2]["details"]["after"], Value::Null);
    assert_eq!(entries[2]["request_id"], "req-of-mine");
    for entry in &entries {
        assert_eq!((&entry["actor_type"], &entry["ip_address"]), (&"api_key".into(), &"127.0.0.1".into()));
        assert_eq!(entry["resource_type"], "record");
    }
    let history = "SELECT COUNT(*) FROM zone_changes c JOIN zones z ON z.id = c.zone_id WHERE z.name = ?";
    let count: i64 = sqlx::query_scalar(history).bind(&domain.name).fetch_one(&world.db).await.expect("count");
    assert_eq!(count, 4, "going live and three changes");
}

async fn a_ttl_belongs_to_the_whole_rrset() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "ttl").await;
    let first = api.add(&domain, "www", "A", "192.0.2.1").await;
    let inherits = api.add(&domain, "www", "A", "192.0.2.2").await;
    assert_eq!(inherits["ttl"], 3600);
    assert!(inherits.get("warnings").is_none(), "{inherits}");
    let body = json!({"name": "www", "type": "A", "content": "192.0.2.3", "ttl": 300});
    let changes = api.post(&domain.records(), body).await.ok();
    assert_eq!(changes["warnings"][0]["field"], "ttl", "{changes}");
    let ttls = async || -> Vec<Value> { api.records(&domain).await.iter().map(|r| r["ttl"].clone()).collect() };
    assert_eq!(ttls().await, [300, 300, 300]);
    api.patch(&domain.record(id(&first)), json!({"ttl": 600})).await.ok();
    assert_eq!(ttls().await, [600, 600, 600]);
    eventually("the TTL is served", || async {
        let ttl = world.dns(&domain.at("www"), RecordType::A).await.ttl();
        if ttl == 600 { Ok(()) } else { Err(ttl.to_string()) }
    })
    .await;
    let other = api.add(&domain, "www", "AAAA", "2001:db8::1").await;
    assert_eq!(other["ttl"], 3600, "another RRset");
}

async fn unusual_ttls_are_warned_of_and_impossible_ones_refused() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "ttl-bounds").await;
    for (ttl, warned) in [(0, true), (59, true), (60, false), (604_800, false), (604_801, true), (2_147_483_647, true)]
    {
        let body = json!({"name": format!("t{ttl}"), "type": "A", "content": "192.0.2.1", "ttl": ttl});
        let record = api.post(&domain.records(), body).await.ok();
        assert_eq!(record["ttl"], ttl);
        assert_eq!(record["warnings"][0]["field"] == "ttl", warned, "{record}");
    }
    for ttl in [json!(-1), json!(2_147_483_648_u64), json!(1.5), json!("300")] {
        let body = json!({"name": "t", "type": "A", "content": "192.0.2.1", "ttl": ttl});
        let answer = api.post(&domain.records(), body).await;
        assert!([400, 422].contains(&answer.status), "{ttl}: {answer:?}");
        assert!(answer.text.contains("ttl"), "the field is named: {}", answer.text);
    }
}

async fn a_disabled_record_is_kept_and_not_served() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "disabled").await;
    api.add(&domain, "www", "A", "192.0.2.1").await;
    let body = json!({"name": "www", "type": "A", "content": "192.0.2.2", "disabled": true});
    let hidden = api.post(&domain.records(), body).await.ok();
    assert_eq!(hidden["disabled"], true);
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1"]).await;
    api.patch(&domain.record(id(&hidden)), json!({"disabled": false})).await.ok();
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1", "192.0.2.2"]).await;
    let off = api.patch(&domain.record(id(&hidden)), json!({"disabled": true})).await.ok();
    assert_eq!((&off["disabled"], &off["id"]), (&true.into(), &hidden["id"]));
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1"]).await;
    assert_eq!(api.records(&domain).await.len(), 2);
}

async fn the_id_of_a_record_never_changes() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "ids").await;
    let one = api.add(&domain, "www", "A", "192.0.2.1").await;
    let two = api.add(&domain, "www", "A", "192.0.2.2").await;
    let edited = api.patch(&domain.record(id(&one)), json!({"content": "192.0.2.9", "ttl": 120})).await.ok();
    assert_eq!(edited["id"], one["id"]);
    assert_eq!(edited["created_at"], one["created_at"]);
    api.delete(&domain.record(id(&two))).await.expect(204);
    let again = api.add(&domain, "www", "A", "192.0.2.2").await;
    assert_ne!(again["id"], two["id"], "the one that was deleted is not this one");
    // The content of another: two records are never one.
    let twice = api.patch(&domain.record(id(&again)), json!({"content": "192.0.2.9"})).await;
    assert_eq!(twice.status, 409, "{twice:?}");
    assert_eq!(twice.body["detail"]["conflicts"], json!([one["id"]]));
    for url in &world.urls {
        let seen = contents(&api.at(url), &domain).await;
        assert_eq!(seen.get(id(&one)).map(String::as_str), Some("192.0.2.9"));
        assert_eq!(seen.get(id(&again)).map(String::as_str), Some("192.0.2.2"));
    }
}

async fn records_written_by_others_have_ids_that_last() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "foreign").await;
    let zone = format!("/zones/{}.", domain.name);
    let without_soa = |records: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        records
            .iter()
            .filter(|(_, content)| !content.contains("hostmaster"))
            .map(|(i, c)| (i.clone(), c.clone()))
            .collect()
    };
    let rrset = |contents: &[&str]| {
        let records: Vec<Value> = contents.iter().map(|c| json!({"content": c, "disabled": false})).collect();
        json!({"rrsets": [{"name": format!("ext.{}.", domain.name), "type": "A", "ttl": 77, "changetype": "REPLACE",
            "records": records}]})
    };
    let patch = async |contents: &[&str]| {
        let request = world.pdns_request(reqwest::Method::PATCH, &zone).json(&rrset(contents));
        assert_eq!(request.send().await.expect("an answer").status(), 204);
    };
    patch(&["198.51.100.1", "198.51.100.2"]).await;
    let before = contents(&api, &domain).await;
    let ours: Vec<&String> = before.iter().filter(|(_, c)| c.starts_with("198.51.100.")).map(|(id, _)| id).collect();
    assert_eq!(ours.len(), 2);
    assert_eq!(contents(&api, &domain).await, before, "the same at every look");
    assert_eq!(contents(&api.at(&world.urls[1]), &domain).await, before, "and at every replica");

    patch(&["198.51.100.1", "198.51.100.2", "198.51.100.3"]).await;
    let grown = contents(&api, &domain).await;
    assert!(before.keys().all(|id| grown.contains_key(id)), "{before:?} {grown:?}");
    let kept = without_soa(&before);
    assert!(kept.iter().all(|(id, content)| grown.get(id) == Some(content)), "{before:?} {grown:?}");

    // Edited through us it keeps the id that it was shown under.
    let (target, _) = before.iter().find(|(_, content)| *content == "198.51.100.2").expect("there");
    let edited = api.patch(&domain.record(target), json!({"content": "198.51.100.9"})).await.ok();
    assert_eq!((edited["id"].as_str(), &edited["ttl"]), (Some(target.as_str()), &77.into()));
    world.served(&domain.at("ext"), RecordType::A, &["198.51.100.1", "198.51.100.3", "198.51.100.9"]).await;
    assert_eq!(contents(&api, &domain).await.get(target).map(String::as_str), Some("198.51.100.9"));
    assert_eq!(world.actions(target).await, ["record.update"]);
}

async fn records_of_a_pending_domain_go_live_with_their_ids() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "staged").await;
    let kept = api.add(&domain, "www", "A", "192.0.2.1").await;
    let edited = api.add(&domain, "mail", "A", "192.0.2.2").await;
    let gone = api.add(&domain, "old", "A", "192.0.2.3").await;
    api.patch(&domain.record(id(&edited)), json!({"content": "192.0.2.4", "ttl": 90})).await.ok();
    api.delete(&domain.record(id(&gone))).await.expect(204);
    let before = api.records(&domain).await;
    assert_eq!(before.len(), 2);
    assert_eq!(world.dns(&domain.at("www"), RecordType::A).await.code, ResponseCode::Refused);

    world.publish(&domain).await;
    assert_eq!(api.check(&domain).await["is_valid"], true);
    assert_eq!(api.records(&domain).await, before, "ids, times, everything");
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1"]).await;
    world.served(&domain.at("mail"), RecordType::A, &["192.0.2.4"]).await;
    world.answers_with(&domain.at("old"), RecordType::A, ResponseCode::NXDomain).await;
    assert_eq!(world.actions(id(&kept)).await, ["record.create"], "going live creates no record");
    assert_eq!(world.actions(id(&gone)).await, ["record.create", "record.delete"]);
}

async fn empty_names_between_exist_and_go_with_their_last_record() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "ent").await;
    let record = api.add(&domain, "_sip._tcp", "SRV", "10 20 5060 sip.example.com.").await;
    eventually("_tcp exists", || async {
        let answer = world.dns(&domain.at("_tcp"), RecordType::A).await;
        if answer.is_nodata() { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    let deep = api.add(&domain, "a.b.c", "A", "192.0.2.1").await;
    for between in ["b.c", "c"] {
        eventually(between, || async {
            let answer = world.dns(&domain.at(between), RecordType::A).await;
            if answer.is_nodata() { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
    }
    for gone in [&record, &deep] {
        api.delete(&domain.record(id(gone))).await.expect(204);
    }
    for name in ["_sip._tcp", "_tcp", "a.b.c", "b.c", "c"] {
        world.answers_with(&domain.at(name), RecordType::A, ResponseCode::NXDomain).await;
    }
}

async fn parallel_additions_from_two_replicas_all_arrive() {
    const CLIENTS: usize = 8;
    const EACH: usize = 25;
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "crowd").await;
    let start = world.serial(&domain.name).await;
    let clients = (0..CLIENTS).map(|client| {
        let api = api.at(&world.urls[client % world.urls.len()]);
        let domain = domain.clone();
        tokio::spawn(async move {
            for n in 0..EACH {
                api.add(&domain, "crowd", "TXT", &format!("client {client} value {n}")).await;
            }
        })
    });
    let watched = async {
        let mut last = start;
        loop {
            let now = world.serial(&domain.name).await;
            assert!(now >= last, "the serial went from {last} to {now}");
            last = now;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        done = futures::future::join_all(clients) => for one in done { one.expect("all are accepted") },
        () = watched => {}
    }
    let wanted: std::collections::BTreeSet<String> =
        (0..CLIENTS).flat_map(|c| (0..EACH).map(move |n| format!("client {c} value {n}"))).collect();
    eventually("all are served", || async {
        let served: std::collections::BTreeSet<String> =
            world.dns_values(&domain.at("crowd"), RecordType::TXT).await.into_iter().collect();
        if served == wanted { Ok(()) } else { Err(format!("{} of {}", served.len(), wanted.len())) }
    })
    .await;
    let records = api.records(&domain).await;
    let ids: std::collections::BTreeSet<&str> = records.iter().map(id).collect();
    assert_eq!(ids.len(), CLIENTS * EACH);
    let entries = world.audit("action=record.create&resource_type=record").await;
    let of_these: Vec<&str> =
        entries.iter().filter_map(|e| e["resource_id"].as_str()).filter(|i| ids.contains(i)).collect();
    assert_eq!(of_these.len(), CLIENTS * EACH, "one entry each");
    assert_eq!(of_these.iter().collect::<std::collections::BTreeSet<_>>().len(), CLIENTS * EACH);
    assert!(world.serial(&domain.name).await > start);
}
