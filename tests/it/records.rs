//! Records: what goes in, what resolvers get, what is refused.

use std::collections::BTreeMap;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::support::{Api, Domain, Trials, World, eventually, trials};

pub fn tests() -> Trials {
    trials![
        every_type_is_served_in_its_canonical_form,
        every_change_of_a_record_is_one_audit_entry,
        a_ttl_belongs_to_the_whole_rrset,
        unusual_ttls_are_warned_of_and_impossible_ones_refused,
        a_disabled_record_is_kept_and_not_served,
        the_id_of_a_record_never_changes,
        records_written_by_others_have_ids_that_last,
        soa_and_apex_ns_show_only_when_asked_for,
        a_list_is_narrowed_by_type_and_name_and_paged,
        records_of_a_pending_domain_go_live_with_their_ids,
        the_timers_of_the_soa_can_be_edited_and_nothing_else,
        the_apex_nameservers_may_change_but_not_go,
        a_cname_stands_alone_and_conflicts_are_named,
        the_same_record_in_another_form_is_the_same_record,
        a_check_says_everything_and_writes_nothing,
        a_dry_run_answers_and_writes_nothing,
        empty_names_between_exist_and_go_with_their_last_record,
        contents_that_are_wrong_are_refused_with_their_field,
        owner_names_are_understood_in_every_form,
        a_record_of_another_domain_is_not_found,
        parallel_additions_from_two_replicas_all_arrive,
    ]
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

async fn soa_and_apex_ns_show_only_when_asked_for() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "system").await;
    api.add(&domain, "sub", "NS", "ns.example.com.").await;
    let types = async |query: &str| -> Vec<String> {
        let records = api.records_where(&domain, query).await;
        records
            .iter()
            .map(|r| {
                format!("{} {}", r["display_name"].as_str().unwrap_or_default(), r["type"].as_str().unwrap_or_default())
            })
            .collect()
    };
    assert_eq!(types("").await, ["sub NS"]);
    let mut all = types("include_system=true").await;
    all.sort();
    assert_eq!(all, ["@ NS", "@ NS", "@ SOA", "sub NS"], "and nothing of our own bookkeeping");
    assert_eq!(types("include_system=false&type=SOA").await, Vec::<String>::new());
    assert_eq!(types("include_system=true&type=SOA").await, ["@ SOA"]);
    let soa = &api.records_where(&domain, "include_system=true&type=SOA").await[0];
    assert_eq!(api.delete(&domain.record(id(soa))).await.status, 400);
    let second = api.try_add(&domain, "@", "SOA", "ns1.example. h.example. 1 2 3 4 5").await;
    assert!([400, 409].contains(&second.status), "{second:?}");
}

async fn a_list_is_narrowed_by_type_and_name_and_paged() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "filters").await;
    for n in 0..5 {
        api.add(&domain, &format!("host{n}"), "A", "192.0.2.1").await;
    }
    api.add(&domain, "host1", "TXT", "text").await;
    let listed = async |query: &str| api.get(&format!("{}?{query}", domain.records())).await.ok();
    let all = listed("").await;
    assert_eq!(all["total"], 6);
    assert_eq!((&all["domain_id"], &all["domain_name"]), (&domain.id.as_str().into(), &domain.name.as_str().into()));
    assert!(all.get("page").is_none(), "not paged unless asked");
    for (query, total) in [
        ("type=A", 5),
        ("type=txt", 1),
        ("type=AAAA", 0),
        ("name=host1", 2),
        ("name=HOST", 6),
        ("name=host1&type=A", 1),
        ("name=%25", 0),
    ] {
        assert_eq!(listed(query).await["total"], total, "{query}");
    }
    let page = listed("page=2&page_size=4").await;
    assert_eq!(
        (page["data"].as_array().map(Vec::len), &page["total"], &page["total_pages"]),
        (Some(2), &6.into(), &2.into())
    );
    let answer = api.get(&format!("{}?type=BOGUS", domain.records())).await;
    assert_eq!(answer.refused(400, "invalid")["field"], "type");
    for query in ["page=0", "page_size=101", "include_system=perhaps"] {
        api.get(&format!("{}?{query}", domain.records())).await.refused(422, "validation_error");
    }
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

async fn the_timers_of_the_soa_can_be_edited_and_nothing_else() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "soa").await;
    let soa = api.records_where(&domain, "include_system=true&type=SOA").await.remove(0);
    let fields: Vec<String> = soa["content"].as_str().expect("content").split(' ').map(str::to_owned).collect();
    let content = |change: &[(usize, &str)]| {
        let mut fields = fields.clone();
        for (n, value) in change {
            fields[*n] = (*value).to_owned();
        }
        json!({"content": fields.join(" ")})
    };
    let before = world.serial(&domain.name).await;
    let path = domain.record(id(&soa));
    let edited = api.patch(&path, content(&[(3, "7201"), (6, "901")])).await.ok();
    assert_eq!(edited["id"], soa["id"]);
    eventually("the timers are served", || async {
        let served = world.dns_values(&domain.name, RecordType::SOA).await;
        if served[0].contains(" 7201 ") && served[0].ends_with(" 901") { Ok(()) } else { Err(served[0].clone()) }
    })
    .await;
    assert!(world.serial(&domain.name).await > before);
    let tried = api.patch(&path, content(&[(2, "4000000000"), (3, "7202")])).await.ok();
    assert!(tried["warnings"].to_string().contains("serial"), "{tried}");
    assert!(world.serial(&domain.name).await < 4_000_000_000);
    let refused = api.patch(&path, content(&[(0, "evil.example.")])).await.refused(400, "invalid");
    assert_eq!(refused["field"], "content");
}

async fn the_apex_nameservers_may_change_but_not_go() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "apex").await;
    let servers = api.records_where(&domain, "include_system=true&type=NS").await;
    assert_eq!(servers.len(), 2);
    api.add(&domain, "@", "NS", "ns3.example.com.").await;
    for server in &servers {
        api.delete(&domain.record(id(server))).await.expect(204);
    }
    world.served(&domain.name, RecordType::NS, &["ns3.example.com."]).await;
    let last = api.records_where(&domain, "include_system=true&type=NS").await.remove(0);
    let answer = api.delete(&domain.record(id(&last))).await;
    assert!([400, 409].contains(&answer.status), "{answer:?}");
    let answer = api.patch(&domain.record(id(&last)), json!({"disabled": true})).await;
    assert!([400, 409].contains(&answer.status), "disabled is gone, too: {answer:?}");
    let moved = api.patch(&domain.record(id(&last)), json!({"content": "ns4.example.com."})).await.ok();
    assert_eq!(moved["id"], last["id"]);
    world.served(&domain.name, RecordType::NS, &["ns4.example.com."]).await;
}

async fn a_cname_stands_alone_and_conflicts_are_named() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "coexist").await;
    let address = api.add(&domain, "www", "A", "192.0.2.1").await;
    let text = api.add(&domain, "www", "TXT", "hello").await;
    let detail = api.try_add(&domain, "www", "CNAME", "a.example.com.").await.refused(409, "record_conflict");
    assert_eq!(detail["message"], "Record conflicts with existing entries");
    assert!(detail["field"].is_string(), "{detail}");
    let mut named: Vec<&str> = detail["conflicts"].as_array().expect("ids").iter().filter_map(Value::as_str).collect();
    let mut real = vec![id(&address), id(&text)];
    named.sort_unstable();
    real.sort_unstable();
    assert_eq!(named, real);

    let alias = api.add(&domain, "alias", "CNAME", "www.example.com.").await;
    for (record_type, content) in [("A", "192.0.2.1"), ("TXT", "x"), ("CNAME", "other.example.com.")] {
        let detail = api.try_add(&domain, "alias", record_type, content).await.refused(409, "record_conflict");
        assert_eq!(detail["conflicts"], json!([alias["id"]]), "{record_type}");
    }
    let apex = api.try_add(&domain, "@", "CNAME", "www.example.com.").await;
    assert!([400, 409].contains(&apex.status), "{apex:?}");
    for (name, record_type, content) in [
        ("self", "CNAME", format!("self.{}.", domain.name)),
        ("@", "MX", format!("10 alias.{}.", domain.name)),
        ("c", "CNAME", "192.0.2.1".to_owned()),
    ] {
        let detail = api.try_add(&domain, name, record_type, &content).await.refused(400, "invalid");
        assert_eq!(detail["field"], "content", "{record_type} {content}");
    }
    // A record that others wrote is named by the id it is listed under.
    let rrset = json!({"rrsets": [{"name": format!("theirs.{}.", domain.name), "type": "A", "ttl": 60,
        "changetype": "REPLACE", "records": [{"content": "192.0.2.8", "disabled": false}]}]});
    let zone = format!("/zones/{}.", domain.name);
    let patched = world.pdns_request(reqwest::Method::PATCH, &zone).json(&rrset).send().await.expect("an answer");
    assert_eq!(patched.status(), 204);
    let detail = api.try_add(&domain, "theirs", "CNAME", "a.example.com.").await.refused(409, "record_conflict");
    let listed = api.records_where(&domain, "name=theirs").await;
    assert_eq!(detail["conflicts"], json!([listed[0]["id"]]));
    assert_eq!(api.get(&domain.record(id(&listed[0]))).await.ok()["content"], "192.0.2.8");
}

async fn the_same_record_in_another_form_is_the_same_record() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "same").await;
    for (name, record_type, first, second) in [
        ("a", "AAAA", "2001:db8::1", "2001:0DB8:0:0:0:0:0:1"),
        ("A", "MX", "10 mail.example.com.", "10  MAIL.example.com."),
        ("t", "TXT", "hello world", "\"hello world\""),
    ] {
        let record = api.add(&domain, name, record_type, first).await;
        let detail =
            api.try_add(&domain, &name.to_lowercase(), record_type, second).await.refused(409, "record_conflict");
        assert_eq!(detail["conflicts"], json!([record["id"]]), "{record_type}");
    }
    assert_eq!(api.records(&domain).await.len(), 3);
}

async fn a_check_says_everything_and_writes_nothing() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "checked").await;
    let before = world.audit("").await.len();
    assert!(before > 0);
    let check = async |body: Value| api.post(&format!("{}/check", domain.records()), body).await;
    let good = check(json!({"name": "WWW", "type": "aaaa", "content": "2001:DB8::1", "ttl": 5})).await.ok();
    assert_eq!(good["valid"], true);
    assert_eq!(
        good["record"],
        json!({"name": domain.at("www"), "display_name": "www", "type": "AAAA",
        "content": "2001:db8::1", "ttl": 5, "disabled": false})
    );
    assert_eq!(good["warnings"][0]["field"], "ttl");
    for (body, field) in [
        (json!({"name": "www", "type": "A", "content": "999.0.0.1"}), "content"),
        (json!({"name": "www", "type": "LUA", "content": "A \"x\""}), "type"),
        (json!({"name": "www.example.com.", "type": "A", "content": "192.0.2.1"}), "name"),
    ] {
        let bad = check(body.clone()).await.ok();
        assert_eq!((&bad["valid"], &bad["record"]), (&false.into(), &Value::Null), "{body}");
        assert_eq!(bad["errors"][0]["field"], field, "{body}");
    }
    check(json!({"name": "www", "type": "A"})).await.refused(422, "validation_error");
    assert!(api.records(&domain).await.is_empty());
    assert!(world.audit(&format!("resource_id={}", domain.id)).await.len() <= 3);
}

async fn a_dry_run_answers_and_writes_nothing() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "dry").await;
    let record = api.add(&domain, "www", "A", "192.0.2.1").await;
    let serial = world.serial(&domain.name).await;
    let body = json!({"name": "new", "type": "A", "content": "192.0.2.2"});
    let asked = api.post(&format!("{}?dry_run=true", domain.records()), body).await.ok();
    assert_eq!((&asked["applied"], &asked["content"]), (&false.into(), &"192.0.2.2".into()));
    api.get(&domain.record(id(&asked))).await.refused(404, "not_found");
    let path = domain.record(id(&record));
    let asked = api.patch(&format!("{path}?dry_run=true"), json!({"content": "192.0.2.3"})).await.ok();
    assert_eq!(
        (&asked["applied"], &asked["content"], &asked["id"]),
        (&false.into(), &"192.0.2.3".into(), &record["id"])
    );
    let asked = api.delete(&format!("{path}?dry_run=true")).await.ok();
    assert_eq!((&asked["applied"], &asked["id"]), (&false.into(), &record["id"]));
    let clash = json!({"name": "www", "type": "CNAME", "content": "a.example.com."});
    api.post(&format!("{}?dry_run=true", domain.records()), clash).await.refused(409, "record_conflict");
    api.patch(&format!("{path}?dry_run=perhaps"), json!({})).await.refused(422, "validation_error");

    assert_eq!(api.get(&path).await.ok(), {
        let mut now = record.clone();
        now.as_object_mut().expect("object").remove("warnings");
        now
    });
    assert_eq!(api.records(&domain).await.len(), 1);
    assert_eq!(world.serial(&domain.name).await, serial);
    assert_eq!(world.actions(id(&record)).await, ["record.create"]);
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

async fn contents_that_are_wrong_are_refused_with_their_field() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "refused").await;
    let serial = world.serial(&domain.name).await;
    for (name, record_type, content, field) in [
        ("x", "A", "192.0.2", "content"),
        ("x", "A", "192.0.2.01", "content"),
        ("x", "A", "", "content"),
        ("x", "AAAA", "fe80::1%eth0", "content"),
        ("x", "AAAA", "192.0.2.1", "content"),
        ("x", "MX", "65536 a.example.", "content"),
        ("x", "MX", "10 192.0.2.1.", "content"),
        ("x", "MX", "mail", "content"),
        ("x", "NS", "192.0.2.1.", "content"),
        ("x", "CAA", "1 issue \"a\"", "content"),
        ("x", "CAA", "0 bogus_tag! \"x\"", "content"),
        ("_a._tcp", "SRV", "1 2 70000 a.example.", "content"),
        ("x", "TXT", "a\u{7}b", "content"),
        ("x", "BOGUS", "x", "type"),
        ("x", "LUA", "A \"x\"", "type"),
        ("x", "RRSIG", "x", "type"),
        ("x", "SPF", "x", "type"),
        ("-x", "A", "192.0.2.1", "name"),
        ("a.*.b", "A", "192.0.2.1", "name"),
        ("x y", "A", "192.0.2.1", "name"),
        ("www.other.example.", "A", "192.0.2.1", "name"),
        (&"a".repeat(64), "A", "192.0.2.1", "name"),
        ("a..b", "A", "192.0.2.1", "name"),
        ("", "ALIAS", "a.example.", "type"),
    ] {
        let answer = api.try_add(&domain, name, record_type, content).await;
        assert_eq!(answer.status, 400, "{name} {record_type} {content:?}: {answer:?}");
        assert_eq!(answer.body["detail"]["field"], field, "{name} {record_type} {content:?}: {}", answer.text);
    }
    assert!(api.records(&domain).await.is_empty());
    assert_eq!(world.serial(&domain.name).await, serial, "nothing was written");
}

async fn owner_names_are_understood_in_every_form() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "owners").await;
    let idna = "xn--bcher-kva";
    for (n, (given, owner)) in [
        ("@".to_owned(), domain.name.clone()),
        (String::new(), domain.name.clone()),
        (domain.name.clone(), domain.name.clone()),
        (format!("{}.", domain.name.to_uppercase()), domain.name.clone()),
        ("WWW".to_owned(), domain.at("www")),
        (domain.at("www"), domain.at("www")),
        (format!("{}.", domain.at("deep.www")), domain.at("deep.www")),
        ("*".to_owned(), domain.at("*")),
        ("_acme-challenge.bücher".to_owned(), domain.at(&format!("_acme-challenge.{idna}"))),
    ]
    .into_iter()
    .enumerate()
    {
        let record = api.add(&domain, &given, "TXT", &format!("n{n}")).await;
        assert_eq!(record["name"], owner.as_str(), "{given:?}");
        let served = if owner.starts_with('*') { domain.at("anything") } else { owner };
        eventually(&format!("{given:?} is served"), || async {
            let found = world.dns_values(&served, RecordType::TXT).await;
            if found.contains(&format!("n{n}")) { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    }
}

async fn a_record_of_another_domain_is_not_found() {
    let world = World::shared().await;
    let api = world.admin();
    let (one, two) = (world.pending(&api, "one").await, world.pending(&api, "two").await);
    let record = api.add(&one, "www", "A", "192.0.2.1").await;
    let path = two.record(id(&record));
    api.get(&path).await.refused(404, "not_found");
    api.patch(&path, json!({"content": "192.0.2.2"})).await.refused(404, "not_found");
    api.delete(&path).await.refused(404, "not_found");
    for bad in ["r_00000000000000000000000000", "r_x", "x", "%00", "d_00000000000000000000000000"] {
        api.get(&one.record(bad)).await.refused(404, "not_found");
    }
    assert_eq!(api.records(&one).await.len(), 1);
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
