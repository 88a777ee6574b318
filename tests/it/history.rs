//! The history of a domain: what changed, by whom; what lies between two revisions; and putting back what was.

use std::collections::BTreeMap;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::support::{Api, Domain, Trials, World, trials};

pub fn tests() -> Trials {
    trials![
        every_change_is_told_newest_first_with_who_made_it,
        a_long_history_is_walked_in_pages_and_by_cursor,
        two_revisions_differ_in_what_lies_between,
        a_change_is_undone_unless_somebody_changed_it_since,
        a_domain_goes_back_to_a_revision_in_one_change,
        what_others_wrote_is_not_overwritten_unasked,
        the_timers_of_the_soa_go_back_and_its_serial_goes_on,
        the_history_leads_from_nothing_to_what_stands,
        a_file_of_a_revision_is_what_stood_then,
    ]
}

async fn put(api: &Api, domain: &Domain, lines: &[&str]) -> Value {
    let rrsets: Vec<Value> = lines
        .iter()
        .map(|line| {
            let mut parts = line.splitn(3, ' ');
            let mut next = || parts.next().unwrap_or_default();
            let (name, record_type) = (next(), next());
            let contents = next().split('|').filter(|content| !content.is_empty());
            let records: Vec<Value> = contents.map(|content| json!({ "content": content })).collect();
            json!({"name": name, "type": record_type, "records": records})
        })
        .collect();
    api.put(&domain.rrsets(), json!({ "rrsets": rrsets })).await.ok()
}

async fn history(api: &Api, domain: &Domain) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api.get(&format!("{}?page_size=7{cursor}", domain.changes())).await.ok();
        all.extend(page["data"].as_array().cloned().expect("changes"));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// TTL, and contents with whether they are disabled, by name and type.
type Content = BTreeMap<(String, String), (Value, Vec<(String, Value)>)>;

/// All that stands, by name and type: what the API shows, without the SOA's serial.
async fn stands(api: &Api, domain: &Domain) -> Content {
    let mut all = Content::new();
    for record in api.records_where(domain, "include_system=true").await {
        let text = |field: &str| record[field].as_str().expect("text").to_owned();
        let entry = all.entry((text("name"), text("type"))).or_insert_with(|| (record["ttl"].clone(), Vec::new()));
        entry.1.push((without_serial(&text("type"), &text("content")), record["disabled"].clone()));
    }
    all.values_mut().for_each(|(_, values)| values.sort_by(|one, other| one.0.cmp(&other.0)));
    all
}

fn without_serial(record_type: &str, content: &str) -> String {
    if record_type != "SOA" {
        return content.to_owned();
    }
    let mut fields: Vec<&str> = content.split(' ').collect();
    fields[2] = "serial";
    fields.join(" ")
}

/// The same, from the history alone; each change must begin where the ones before it have led.
fn replayed(history: &[Value]) -> Content {
    let mut all = Content::new();
    for change in history.iter().rev() {
        for rrset in change["changes"].as_array().expect("changes") {
            let text = |field: &str| rrset[field].as_str().expect("text").to_owned();
            let key = (text("name"), text("type"));
            let state = |side: &Value| {
                let records = side["records"].as_array()?;
                let values = records
                    .iter()
                    .map(|r| (without_serial(&key.1, r["content"].as_str().expect("text")), r["disabled"].clone()));
                Some((side["ttl"].clone(), values.collect::<Vec<_>>()))
            };
            assert_eq!(all.get(&key).cloned(), state(&rrset["before"]), "revision {}: {key:?}", change["revision"]);
            match state(&rrset["after"]) {
                Some(after) => drop(all.insert(key, after)),
                None => drop(all.remove(&key)),
            }
        }
    }
    all
}

async fn every_change_is_told_newest_first_with_who_made_it() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "told").await;
    let request = api.request(reqwest::Method::POST, &domain.records()).header("X-Request-ID", "req-for-history");
    let body = json!({"name": "www", "type": "A", "content": "192.0.2.1", "ttl": 300});
    let record = api.send(request.json(&body)).await.ok();
    let path = domain.record(record["id"].as_str().expect("an id"));
    world.admin_user().patch(&path, json!({"content": "192.0.2.2"})).await.ok();
    api.delete(&path).await.expect(204);

    let page = api.get(&domain.changes()).await.ok();
    assert_eq!((&page["total"], &page["page"], &page["page_size"]), (&4.into(), &1.into(), &50.into()));
    let changes = page["data"].as_array().expect("changes");
    let revisions: Vec<u64> = changes.iter().map(|change| change["revision"].as_u64().expect("a number")).collect();
    assert_eq!(revisions, [4, 3, 2, 1]);
    let [deleted, edited, added, live] = &changes[..] else { panic!("{page}") };
    let value = |content: &str| json!({"ttl": 300, "records": [{"content": content, "disabled": false}]});
    let rrset = |before: Value, after: Value| json!([{"name": domain.at("www"), "type": "A", "before": before, "after": after}]);
    assert_eq!(added["changes"], rrset(Value::Null, value("192.0.2.1")));
    assert_eq!(edited["changes"], rrset(value("192.0.2.1"), value("192.0.2.2")));
    assert_eq!(deleted["changes"], rrset(value("192.0.2.2"), Value::Null));
    assert_eq!((&added["actor"]["actor_type"], &added["request_id"]), (&"api_key".into(), &"req-for-history".into()));
    assert_eq!(edited["actor"]["actor_email"], "alice@northwind.test");
    assert_eq!(added["ip_address"], "127.0.0.1");
    assert_eq!(deleted["serial"], world.serial(&domain.name).await);
    let types: Vec<&Value> = live["changes"].as_array().expect("changes").iter().map(|c| &c["type"]).collect();
    assert_eq!(types, ["SOA", "NS"], "{live}");
    let id = added["id"].as_str().expect("an id");
    assert!(id.starts_with("chg_"), "{id}");
    assert_eq!(&api.get(&format!("{}/{id}", domain.changes())).await.ok(), added);
    api.get(&format!("{}/chg_01jd0000000000000000000000", domain.changes())).await.refused(404, "not_found");
    // a change of another domain is none of this one's
    let other = world.live(&api, "told-other").await;
    api.get(&format!("{}/{id}", other.changes())).await.refused(404, "not_found");
}

async fn a_long_history_is_walked_in_pages_and_by_cursor() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "long").await;
    for n in 0..17 {
        api.add(&domain, "www", "A", &format!("192.0.2.{n}")).await;
    }
    let revisions = |changes: &[Value]| -> Vec<u64> {
        changes.iter().map(|change| change["revision"].as_u64().expect("a number")).collect()
    };
    let newest_first: Vec<u64> = (1..=17).rev().collect();
    assert_eq!(revisions(&history(&api, &domain).await), newest_first);
    let page = api.get(&format!("{}?page=3&page_size=7", domain.changes())).await.ok();
    assert_eq!(revisions(page["data"].as_array().expect("changes")), [3, 2, 1]);
    assert_eq!((&page["total"], &page["total_pages"]), (&17.into(), &3.into()));
    assert_eq!((page.get("next_cursor"), page.get("total_capped")), (None, None));
    assert_eq!(page["data"][0]["serial"], Value::Null, "it is not live");
    for query in ["page=0", "page_size=101", "page_size=0", "cursor=x"] {
        api.get(&format!("{}?{query}", domain.changes())).await.refused(422, "validation_error");
    }
}

async fn two_revisions_differ_in_what_lies_between() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "diff").await;
    put(&api, &domain, &["www A 192.0.2.1", "gone A 192.0.2.1"]).await;
    put(&api, &domain, &["www A 192.0.2.2", "gone A"]).await;
    put(&api, &domain, &["www A 192.0.2.1", "new A 192.0.2.3"]).await;
    let diff = async |query: &str| api.get(&format!("{}/diff?{query}", domain.changes())).await;
    let names = |body: &Value| -> Vec<String> {
        let changes = body["changes"].as_array().expect("changes");
        changes
            .iter()
            .map(|change| {
                let name = change["name"].as_str().expect("a name").split('.').next().unwrap_or_default();
                let sides = ["before", "after"].map(|side| if change[side].is_null() { "-" } else { "+" });
                format!("{name}{}", sides.concat())
            })
            .collect()
    };
    assert_eq!(names(&diff("from=1&to=3").await.ok()), ["gone+-", "new-+"], "www is as it was");
    assert_eq!(names(&diff("from=3&to=1").await.ok()), ["gone-+", "new+-"]);
    assert_eq!(names(&diff("from=0").await.ok()), ["new-+", "www-+"]);
    assert_eq!(names(&diff("from=1&to=2").await.ok()), ["gone+-", "www++"]);
    assert_eq!(names(&diff("from=2&to=2").await.ok()), Vec::<String>::new());
    assert_eq!(diff("from=1&to=9").await.refused(400, "invalid")["field"], "to");
    for query in ["", "to=1", "from=-1", "from=x"] {
        diff(query).await.refused(422, "validation_error");
    }
}

async fn a_change_is_undone_unless_somebody_changed_it_since() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "undone").await;
    put(&api, &domain, &["www A 192.0.2.1", "a A 192.0.2.7", "gone TXT one"]).await;
    let before = stands(&api, &domain).await;
    let change = put(&api, &domain, &["www A 192.0.2.2", "gone TXT", "new A 192.0.2.3"]).await;
    let revert = format!("{}/{}/revert", domain.changes(), change["change_id"].as_str().expect("an id"));
    put(&api, &domain, &["a A 192.0.2.8"]).await;
    let asked = api.post_empty(&format!("{revert}?dry_run=true")).await.ok();
    assert_eq!((&asked["applied"], asked["changes"].as_array().map(Vec::len)), (&false.into(), Some(3)));

    put(&api, &domain, &["www A 192.0.2.9"]).await;
    let www = api.records_where(&domain, "name=www").await[0]["id"].clone();
    let detail = api.post_empty(&revert).await.refused(409, "changed_since");
    assert_eq!(detail["conflicts"], json!([www]));
    assert!(detail["message"].as_str().is_some_and(|text| text.contains(&domain.at("www"))), "{detail}");
    let done = api.post(&revert, json!({"force": true})).await.ok();
    assert_eq!((&done["created"], &done["updated"], &done["deleted"]), (&1.into(), &1.into(), &1.into()));
    put(&api, &domain, &["a A 192.0.2.7"]).await;
    assert_eq!(stands(&api, &domain).await, before);
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1"]).await;
    world.answers_with(&domain.at("new"), RecordType::A, ResponseCode::NXDomain).await;
    let again = api.post_empty(&revert).await.ok();
    assert_eq!((&again["change_id"], &again["changes"]), (&Value::Null, &json!([])), "it is undone already");
    // the revert is a change like any other, and is undone like any other
    let redo = format!("{}/{}/revert", domain.changes(), done["change_id"].as_str().expect("an id"));
    api.post_empty(&redo).await.ok();
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.9"]).await;
    let live = history(&api, &domain).await.pop().expect("going live");
    let live = format!("{}/{}/revert", domain.changes(), live["id"].as_str().expect("an id"));
    assert_eq!(api.post(&live, json!({"force": true})).await.ok()["changes"], json!([]), "SOA and apex NS stay");
    api.post(&revert, json!({"forced": true})).await.refused(422, "validation_error");
}

async fn a_domain_goes_back_to_a_revision_in_one_change() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "restored").await;
    put(&api, &domain, &["www A 192.0.2.1", "@ MX 10 mail.example.net."]).await;
    world.publish(&domain).await;
    assert_eq!(api.check(&domain).await["is_valid"], true);
    let there = stands(&api, &domain).await;
    let kept = api.records_where(&domain, "type=MX").await;
    put(&api, &domain, &["www A 192.0.2.2|192.0.2.3", "_sip._tcp SRV 10 20 5060 sip.example.net."]).await;
    put(&api, &domain, &["www A", "new CNAME elsewhere.example."]).await;
    let serial = world.serial(&domain.name).await;
    let path = format!("{}/restore-revision", domain.path());
    let asked = api.post(&format!("{path}?dry_run=true"), json!({"revision": 2})).await.ok();
    assert_eq!((&asked["applied"], asked["changes"].as_array().map(Vec::len)), (&false.into(), Some(3)));
    let done = api.post(&path, json!({"revision": 2})).await.ok();
    assert_eq!(done["changes"], asked["changes"]);
    assert_eq!(stands(&api, &domain).await, there);
    assert_eq!(api.records_where(&domain, "type=MX").await, kept, "what did not change is the same record");
    assert_eq!(world.serial(&domain.name).await, serial + 1);
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1"]).await;
    world.answers_with(&domain.at("_tcp"), RecordType::A, ResponseCode::NXDomain).await;
    let to_nothing = api.post(&path, json!({"revision": 0})).await.ok();
    assert_eq!(to_nothing["deleted"], 2, "{to_nothing}");
    assert_eq!(api.records(&domain).await.len(), 0);
    assert_eq!(api.records_where(&domain, "include_system=true").await.len(), 3);
    assert_eq!(api.post(&path, json!({"revision": 99})).await.refused(400, "invalid")["field"], "revision");
    api.post(&path, json!({})).await.refused(422, "validation_error");
}

async fn what_others_wrote_is_not_overwritten_unasked() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "outsider").await;
    put(&api, &domain, &["www A 192.0.2.1"]).await;
    put(&api, &domain, &["www A 192.0.2.2"]).await;
    let record = json!([{"content": "192.0.2.66", "disabled": false}]);
    let outside = json!({"rrsets": [{"name": format!("{}.", domain.at("www")), "type": "A", "changetype": "REPLACE",
        "ttl": 60, "records": record}]});
    let zone = format!("/zones/{}.", domain.name);
    let answer = world.pdns_request(reqwest::Method::PATCH, &zone).json(&outside).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 204);
    let path = format!("{}/restore-revision", domain.path());
    api.post(&path, json!({"revision": 2})).await.refused(409, "changed_since");
    api.post(&path, json!({"revision": 2, "force": true})).await.ok();
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1"]).await;
}

async fn the_timers_of_the_soa_go_back_and_its_serial_goes_on() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "soa-back").await;
    let soa = async || api.records_where(&domain, "include_system=true&type=SOA").await.remove(0);
    let before = soa().await;
    let mut fields: Vec<&str> = before["content"].as_str().expect("content").split(' ').collect();
    fields[3] = "7201";
    let path = domain.record(before["id"].as_str().expect("an id"));
    api.patch(&path, json!({"content": fields.join(" ")})).await.ok();
    api.add(&domain, "www", "A", "192.0.2.1").await;
    let serial = world.serial(&domain.name).await;
    let change = &history(&api, &domain).await[1];
    let revert = format!("{}/{}/revert", domain.changes(), change["id"].as_str().expect("an id"));
    api.post_empty(&revert).await.ok();
    let after = soa().await;
    let content = |soa: &Value| without_serial("SOA", soa["content"].as_str().expect("content"));
    assert_eq!((content(&after), &after["id"]), (content(&before), &before["id"]));
    assert!(world.serial(&domain.name).await > serial);
}

async fn the_history_leads_from_nothing_to_what_stands() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "replay").await;
    put(&api, &domain, &["www A 192.0.2.1", "@ NS ns.example.net."]).await;
    world.publish(&domain).await;
    assert_eq!(api.check(&domain).await["is_valid"], true);
    let whole = async || {
        let history = history(&api, &domain).await;
        let revisions: Vec<_> = history.iter().rev().map(|change| change["revision"].as_u64().expect("one")).collect();
        assert_eq!(revisions, (1..=history.len() as u64).collect::<Vec<_>>(), "no revision is missing");
        assert_eq!(replayed(&history), stands(&api, &domain).await);
    };
    whole().await;
    let soa = api.records_where(&domain, "include_system=true&type=SOA").await.remove(0);
    let content = soa["content"].as_str().expect("content").replace(" 10800 ", " 7201 ");
    api.patch(&domain.record(soa["id"].as_str().expect("an id")), json!({"content": content, "ttl": 600})).await.ok();
    put(&api, &domain, &["www A 192.0.2.2|192.0.2.3", "_sip._tcp SRV 10 20 5060 sip.example.net."]).await;
    api.post(&format!("{}/restore-revision", domain.path()), json!({"revision": 2})).await.ok();
    whole().await;
    api.patch(&domain.path(), json!({"status": "inactive"})).await.ok();
    whole().await;
    api.patch(&domain.path(), json!({"status": "active"})).await.ok();
    api.add(&domain, "back", "A", "192.0.2.9").await;
    whole().await;
    api.delete(&domain.path()).await.expect(204);
    api.post_empty(&format!("{}/restore", domain.path())).await.ok();
    whole().await;
    // the name had again is another domain, whose history begins with nothing
    api.delete(&format!("{}?hard=true", domain.path())).await.expect(204);
    let again = api.create_domain(&domain.name).await;
    world.publish_text(&domain.name, again.challenge()).await;
    assert_eq!(api.check(&again).await["is_valid"], true);
    api.add(&again, "www", "A", "192.0.2.1").await;
    assert_eq!(replayed(&history(&api, &again).await), stands(&api, &again).await);
}

async fn a_file_of_a_revision_is_what_stood_then() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "filed").await;
    let export = async |query: &str| {
        let body = api.get(&format!("{}/export{query}", domain.path())).await.ok();
        body["zone_file"].as_str().expect("a text").to_owned()
    };
    put(&api, &domain, &["www A 192.0.2.1", "@ TXT first"]).await;
    let pending = export("").await;
    world.publish(&domain).await;
    assert_eq!(api.check(&domain).await["is_valid"], true);
    let mut files = vec![export("?revision=0").await, pending, export("").await];
    for lines in [
        &["www A 192.0.2.2|192.0.2.3", "new CNAME elsewhere.example."][..],
        &["www A", "@ TXT second"],
        &["www AAAA ::1"],
    ] {
        put(&api, &domain, lines).await;
        files.push(export("").await);
    }
    let off = json!({"name": "off", "type": "A", "content": "192.0.2.9", "disabled": true, "ttl": 77});
    api.post(&domain.records(), off).await.ok();
    files.push(export("").await);
    assert!(!files[0].contains(" IN ") && files[1].contains("192.0.2.1") && !files[1].contains("SOA"), "{files:?}");
    for (revision, file) in files.iter().enumerate() {
        // the serial is that of then, too
        assert_eq!(&export(&format!("?revision={revision}")).await, file, "revision {revision}");
    }
    for (format, extension) in [("bind", "zone"), ("json", "json"), ("csv", "csv")] {
        let path = format!("{}/export/download?format={format}&revision=3", domain.path());
        let answer = api.get(&path).await;
        let disposition = format!("attachment; filename=\"{}.{extension}\"", domain.name);
        assert_eq!((answer.status, answer.header("content-disposition")), (200, disposition.as_str()));
        assert_eq!(answer.text, export(&format!("?format={format}&revision=3")).await);
        assert!(answer.text.contains("192.0.2.3") && !answer.text.contains("second"), "{}", answer.text);
    }
    let entry = world.audit(&format!("resource_id={}&action=domain.export", domain.id)).await.pop().expect("an entry");
    assert_eq!(entry["details"]["after"], json!({"format": "csv", "revision": 3}));
    for door in ["export", "export/download"] {
        let path = format!("{}/{door}", domain.path());
        let detail = api.get(&format!("{path}?revision=99")).await.refused(422, "validation_error");
        assert_eq!(detail[0]["loc"], json!(["query", "revision"]));
        assert_eq!(detail[0]["msg"], "there is no such revision: the domain is at 6");
        api.get(&format!("{path}?revision=-1")).await.refused(422, "validation_error");
        api.get(&format!("{path}?revision=x")).await.refused(422, "validation_error");
    }
    world.other().get(&format!("{}/export?revision=1", domain.path())).await.refused(404, "not_found");
}
