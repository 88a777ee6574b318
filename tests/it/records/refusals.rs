//! What records are refused for, and what only asking says.

use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use super::id;
use crate::support::{Trials, World, eventually, trials};

pub fn tests() -> Trials {
    trials![
        a_cname_stands_alone_and_conflicts_are_named,
        the_same_record_in_another_form_is_the_same_record,
        a_check_says_everything_and_writes_nothing,
        a_dry_run_answers_and_writes_nothing,
        contents_that_are_wrong_are_refused_with_their_field,
        owner_names_are_understood_in_every_form,
        a_record_of_another_domain_is_not_found,
    ]
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
    assert!(world.audit(&format!("resource_id={}", domain.id)).await.len() <= 4);
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
        ("", "LUA", "a.example.", "type"),
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
