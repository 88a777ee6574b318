//! Access grants: what somebody may do with one domain, or with some of its records, and through which doors.

use std::time::{Duration, Instant};

use reqwest::Method;
use scaidns::dev::scaikey::directory;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::{Api, Domain, Trials, World, eventually_within, trials};

pub fn tests() -> Trials {
    trials![
        a_limited_grant_is_obeyed_by_every_door_of_the_records,
        a_grant_is_made_shown_changed_and_taken_back,
        what_is_wrong_with_a_grant_is_said_and_nothing_is_given,
        nobody_grants_more_than_it_has,
        a_grant_that_is_taken_back_or_expires_is_refused_on_both_replicas_within_a_second,
    ]
}

fn grants(domain: &Domain) -> String {
    format!("/domains/{}/access-grants", domain.id)
}

async fn grant(api: &Api, domain: &Domain, to: &str, role: &str, more: Value) -> Value {
    let kind = if to.starts_with("grp_") { "group" } else { "user" };
    let mut body = json!({"grant_type": kind, "grantee_id": to, "role": role});
    for (name, value) in more.as_object().expect("fields") {
        body[name] = value.clone();
    }
    api.post(&grants(domain), body).await.ok()
}

fn names(list: &Value) -> Vec<String> {
    let records = list["data"].as_array().unwrap_or_else(|| panic!("no data in {list}"));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    records.iter().map(|record| format!("{} {}", text(&record["display_name"]), text(&record["type"]))).collect()
}

fn id(object: &Value) -> String {
    object["id"].as_str().unwrap_or_else(|| panic!("no id in {object}")).to_owned()
}

/// Until this call has this status, within a second.
async fn soon(api: &Api, call: &str, status: u16) {
    eventually_within(Duration::from_secs(1), &format!("{call} is {status}"), || async {
        let answer = api.get(call).await;
        if answer.status == status { Ok(()) } else { Err(answer.text) }
    })
    .await;
}

async fn a_limited_grant_is_obeyed_by_every_door_of_the_records() {
    let world = World::private("grants-doors").await;
    let (admin, bob) = (world.admin(), world.user(directory::NORTHWIND_USER));
    let domain = world.live(&admin, "parts").await;
    let own = admin.add(&domain, "a.dev", "A", "192.0.2.1").await;
    let text = admin.add(&domain, "a.dev", "TXT", "x").await;
    let other = admin.add(&domain, "www", "A", "192.0.2.2").await;
    bob.get(&domain.path()).await.refused(404, "not_found");
    bob.get("/domains/").await.refused(403, "permission_denied");
    let part = json!({"record_pattern": "*.DEV", "record_types": ["a", "AAAA"]});
    let given = grant(&admin, &domain, directory::NORTHWIND_USER, "domain_manager", part).await;
    assert_eq!((&given["record_pattern"], &given["record_types"]), (&json!("*.dev"), &json!(["A", "AAAA"])), "{given}");
    soon(&bob, &domain.path(), 200).await;

    is_read_in_part(&bob, &admin, &domain, (&own, &[&text, &other])).await;
    is_written_in_part(&bob, &domain, &own).await;
    for (method, path, body) in [
        (Method::PATCH, domain.path(), Some(json!({"description": "mine"}))),
        (Method::DELETE, format!("{}?hard=true", domain.path()), None),
        (Method::GET, grants(&domain), None),
        (
            Method::POST,
            grants(&domain),
            Some(json!({"grant_type": "user", "grantee_id": directory::NORTHWIND_USER_2, "role": "read_only"})),
        ),
        (Method::POST, format!("{}/validation", domain.path()), Some(json!({"validation_type": "txt_record"}))),
    ] {
        bob.call(method, &path, body).await.refused(403, "permission_denied");
    }

    // a record that may be seen and not written is 403, not 404
    grant(&admin, &domain, directory::NORTHWIND_USER, "read_only", json!({})).await;
    soon(&bob, &domain.record(&id(&other)), 200).await;
    let refusal = bob.delete(&domain.record(&id(&other))).await.refused(403, "outside_grant");
    assert_eq!(refusal["field"], "name");
    bob.delete(&domain.record(&id(&own))).await.expect(204);

    // a key has what its owner has, narrowed
    let wanted = json!({"name": "dev", "permission_source": "user",
        "permission_source_id": directory::NORTHWIND_USER, "scopes": ["records:create"]});
    let made = bob.post("/api-keys/", wanted).await.ok();
    let key = Api::with_key(&world.urls[1], made["key"].as_str().expect("a key"));
    key.try_add(&domain, "k.dev", "A", "192.0.2.6").await.ok();
    key.try_add(&domain, "www", "A", "192.0.2.7").await.refused(403, "outside_grant");
    key.get(&domain.records()).await.refused(403, "permission_denied");
    world.stop().await;
}

/// Lists, counts, one record, entity tags: what is covered, and no trace of the rest.
async fn is_read_in_part(bob: &Api, admin: &Api, domain: &Domain, (own, hidden): (&Value, &[&Value])) {
    let listed = bob.get(&domain.records()).await;
    let tag = listed.header("etag").to_owned();
    let listed = listed.ok();
    assert_eq!((names(&listed), &listed["total"]), (vec!["a.dev A".to_owned()], &json!(1)));
    let all = bob.get(&format!("{}?include_system=true", domain.records())).await.ok();
    assert_eq!(names(&all), ["a.dev A"], "neither SOA nor NS");
    assert_eq!(names(&bob.get(&format!("{}?name=www", domain.records())).await.ok()), [""; 0]);
    let seen = bob.get(&domain.path()).await.ok();
    assert_eq!(seen["record_count"], 1, "{seen}");
    assert_eq!(admin.domain(domain).await["record_count"], 3);
    let domains = bob.get("/domains/").await.ok();
    assert_eq!((&domains["total"], &domains["data"][0]["id"]), (&json!(1), &json!(domain.id)), "{domains}");
    assert_ne!(admin.get(&domain.records()).await.header("etag"), tag, "another view of it");
    let again = bob.request(Method::GET, &domain.records()).header("If-None-Match", &tag);
    assert_eq!(bob.send(again).await.status, 304);
    let foreign = admin.request(Method::GET, &domain.records()).header("If-None-Match", &tag);
    assert_eq!(admin.send(foreign).await.status, 200, "one caller's tag is nothing to another");
    bob.get(&domain.record(&id(own))).await.ok();
    for revision in ["", "&revision=4", "&revision=3"] {
        let file = bob.get(&format!("{}/export?format=csv{revision}", domain.path())).await.ok();
        let file = file["zone_file"].as_str().expect("a text");
        assert_eq!(file.lines().count(), 2, "the head and the record: {file}");
        assert!(file.contains("192.0.2.1"), "{file}");
    }
    for record in hidden {
        let path = domain.record(&id(record));
        bob.get(&path).await.refused(404, "not_found");
        bob.patch(&path, json!({"ttl": 60})).await.refused(404, "not_found");
        bob.delete(&path).await.refused(404, "not_found");
    }
}

/// What is covered is written; the rest is 403 with its field, meant or only asked.
async fn is_written_in_part(bob: &Api, domain: &Domain, own: &Value) {
    bob.add(domain, "b.dev", "A", "192.0.2.3").await;
    bob.patch(&domain.record(&id(own)), json!({"content": "192.0.2.9"})).await.ok();
    let outside = [("www", "A", "192.0.2.4", "name"), ("b.dev", "TXT", "x", "type"), ("@", "A", "192.0.2.4", "name")];
    for (name, of, content, field) in outside {
        let body = json!({"name": name, "type": of, "content": content});
        for door in ["", "?dry_run=true", "/check"] {
            let path = format!("{}{door}", domain.records());
            let detail = bob.post(&path, body.clone()).await.refused(403, "outside_grant");
            assert_eq!(detail["field"], field, "{detail}");
        }
    }
    let inside = json!({"name": "c.dev", "type": "A", "content": "192.0.2.5"});
    let outside = json!({"name": "www", "type": "A", "content": "192.0.2.5"});
    let bulk = format!("{}/bulk", domain.records());
    let mut mixed = json!({"records": [inside, outside]});
    bob.post(&bulk, mixed.clone()).await.refused(403, "outside_grant");
    assert!(!names(&bob.get(&domain.records()).await.ok()).contains(&"c.dev A".to_owned()), "as a whole");
    mixed["continue_on_error"] = json!(true);
    let done = bob.post(&bulk, mixed).await.ok();
    assert_eq!((&done["total_created"], &done["errors"][0]["index"]), (&json!(1), &json!(1)), "{done}");
    assert_eq!(done["errors"][0]["detail"]["field"], "name", "{done}");
}

async fn a_grant_is_made_shown_changed_and_taken_back() {
    let world = World::private("grants-life").await;
    let admin = world.admin_user();
    let domain = world.pending(&admin, "given").await;
    let path = grants(&domain);
    let made = grant(&admin, &domain, directory::OPERATORS, "record_editor", json!({"notes": "on call"})).await;
    assert!(id(&made).starts_with("ag_"), "{made}");
    let fields: Vec<&String> = made.as_object().expect("an object").keys().collect();
    let mut wanted =
        ["id", "grant_type", "grantee_id", "role", "record_pattern", "record_types", "expires_at", "notes"].to_vec();
    wanted.extend(["created_by", "created_at"]);
    assert!(fields.len() == wanted.len() && wanted.iter().all(|name| made.get(name).is_some()), "{made}");
    assert_eq!((&made["grant_type"], &made["grantee_id"]), (&json!("group"), &json!(directory::OPERATORS)));
    assert_eq!(made["created_by"], directory::NORTHWIND_ADMIN);
    let one = format!("{path}/{}", id(&made));
    assert_eq!(admin.get(&one).await.ok(), made);
    // a group's grant is its members', and theirs who are in a group inside it
    for (user, name) in [(directory::NORTHWIND_USER, "bob"), (directory::NORTHWIND_USER_2, "carol")] {
        let user = world.user(user);
        soon(&user, &domain.records(), 200).await;
        user.add(&domain, name, "A", "192.0.2.1").await;
        let me = user.get("/me/").await.ok();
        let held = json!({"role": "record_editor", "scope": "domain", "scope_id": domain.id});
        assert!(me["data"]["roles"].as_array().is_some_and(|roles| roles.contains(&held)), "{me}");
    }
    let changed = admin.patch(&one, json!({"record_pattern": "@", "notes": null, "role": "read_only"})).await.ok();
    assert_eq!(
        (&changed["record_pattern"], &changed["notes"], &changed["role"]),
        (&json!("@"), &Value::Null, &json!("read_only"))
    );
    // one in the past is accepted and means expired
    let past = json!({"expires_at": "2020-01-01T00:00:00Z"});
    let expired = grant(&admin, &domain, directory::NORTHWIND_USER, "read_only", past).await;
    assert_eq!(expired["expires_at"], "2020-01-01T00:00:00Z");
    let count = async |query: &str| admin.get(&format!("{path}{query}")).await.ok()["total"].clone();
    assert_eq!((count("").await, count("?include_expired=true").await), (json!(1), json!(2)));
    let page = admin.get(&format!("{path}?include_expired=true&page_size=1")).await.ok();
    let cursor = page["next_cursor"].as_str().expect("more");
    let next = admin.get(&format!("{path}?include_expired=true&page_size=1&cursor={cursor}")).await.ok();
    assert_eq!((&page["data"][0]["id"], &next["data"][0]["id"]), (&made["id"], &expired["id"]));

    admin.delete(&one).await.expect(204);
    admin.get(&one).await.refused(404, "not_found");
    admin.delete(&one).await.refused(404, "not_found");
    let actions = ["access_grant.create", "access_grant.update", "access_grant.delete"];
    assert_eq!(world.actions(&id(&made)).await, actions);
    world.stop().await;
}

async fn what_is_wrong_with_a_grant_is_said_and_nothing_is_given() {
    let world = World::shared().await;
    let admin = world.admin_user();
    let domain = world.pending(&admin, "refused").await;
    let path = grants(&domain);
    let with = |field: &str, value: Value| {
        let mut body = json!({"grant_type": "user", "grantee_id": directory::NORTHWIND_USER, "role": "read_only"});
        body[field] = value;
        body
    };
    for (field, value) in [
        ("record_pattern", json!("")),
        ("record_pattern", json!("a b")),
        ("record_pattern", json!("www.")),
        ("record_pattern", json!(format!("*.{}", domain.name))),
        ("record_types", json!(["FLY"])),
        ("role", json!("emperor")),
        ("grant_type", json!("dog")),
    ] {
        let detail = admin.post(&path, with(field, value)).await.refused(400, "invalid");
        assert_eq!(detail["field"], field, "{detail}");
    }
    for (field, value) in [
        ("record_types", json!([])),
        ("wings", json!(2)),
        ("expires_at", json!("soon")),
        ("notes", json!("x".repeat(1_001))),
    ] {
        admin.post(&path, with(field, value)).await.refused(422, "validation_error");
    }
    for stranger in [directory::FABRIKAM_USER, directory::FABRIKAM_ADMIN, "usr_nobody", ""] {
        admin.post(&path, with("grantee_id", json!(stranger))).await.refused(404, "not_found");
        // the platform's admin gives within the domain's tenant, too
        world.platform().post(&path, with("grantee_id", json!(stranger))).await.refused(404, "not_found");
    }
    assert_eq!(admin.get(&format!("{path}?include_expired=true")).await.ok()["total"], 0);
}

async fn nobody_grants_more_than_it_has() {
    let world = World::private("grants-measure").await;
    let (admin, bob) = (world.admin_user(), world.user(directory::NORTHWIND_USER));
    let domain = world.pending(&admin, "measured").await;
    let sibling = world.pending(&admin, "sibling").await;
    grant(&admin, &domain, directory::NORTHWIND_USER, "domain_admin", json!({})).await;
    soon(&bob, &grants(&domain), 200).await;
    let carol = directory::NORTHWIND_USER_2;
    // what it has, or a part of it, in its zone
    for (role, more) in [("domain_admin", json!({})), ("record_editor", json!({"record_pattern": "a*"}))] {
        grant(&bob, &domain, carol, role, more).await;
    }
    let body = |role: &str| json!({"grant_type": "user", "grantee_id": carol, "role": role});
    for role in ["tenant_admin", "platform_admin", "validation_bypass", "read_only"] {
        // read_only reads templates, which a domain's admin does not
        bob.post(&grants(&domain), body(role)).await.refused(403, "exceeds_caller");
    }
    bob.post(&grants(&sibling), body("record_editor")).await.refused(404, "not_found");
    for role in ["platform_admin", "validation_bypass"] {
        admin.post(&grants(&domain), body(role)).await.refused(403, "exceeds_caller");
    }
    // a key that is narrowed gives no more than it may
    let wanted = json!({"name": "giver", "permission_source": "user",
        "permission_source_id": directory::NORTHWIND_USER,
        "scopes": ["domains:read", "records:read", "access_grants:*"]});
    let made = bob.post("/api-keys/", wanted).await.ok();
    let key = Api::with_key(&world.urls[0], made["key"].as_str().expect("a key"));
    key.post(&grants(&domain), body("record_editor")).await.refused(403, "exceeds_caller");
    // nor does changing a grant
    let weak = grant(&bob, &domain, carol, "record_editor", json!({"record_pattern": "b*"})).await;
    let path = format!("{}/{}", grants(&domain), id(&weak));
    bob.patch(&path, json!({"role": "tenant_admin", "record_pattern": null})).await.refused(403, "exceeds_caller");
    key.patch(&path, json!({"record_pattern": null})).await.refused(403, "exceeds_caller");
    key.patch(&path, json!({"notes": "a note gives nothing"})).await.ok();
    // a key made for a stronger user: an admin, and one who is given something in another domain
    grant(&admin, &sibling, carol, "record_editor", json!({"record_types": ["TXT"]})).await;
    for source in [directory::NORTHWIND_ADMIN, carol] {
        let wanted = json!({"name": "stolen", "permission_source": "user", "permission_source_id": source});
        assert_eq!(bob.post("/api-keys/", wanted).await.status, 403, "{source}");
    }
    world.stop().await;
}

async fn a_grant_that_is_taken_back_or_expires_is_refused_on_both_replicas_within_a_second() {
    let world = World::private("grants-end").await;
    let admin = world.admin();
    let domain = world.live(&admin, "ends").await;
    let bobs: Vec<Api> = world.urls.iter().map(|url| world.user(directory::NORTHWIND_USER).at(url)).collect();
    for expires in [false, true] {
        let at = OffsetDateTime::now_utc() + Duration::from_secs(4);
        let more = if expires { json!({"expires_at": at.format(&Rfc3339).expect("a time")}) } else { json!({}) };
        let given = grant(&admin, &domain, directory::NORTHWIND_USER, "record_editor", more).await;
        for bob in &bobs {
            soon(bob, &domain.records(), 200).await;
        }
        let ended = if expires {
            // remembered rights do not outlive it
            let left = (at - OffsetDateTime::now_utc()).try_into().unwrap_or_default();
            tokio::time::sleep(left).await;
            Instant::now()
        } else {
            admin.delete(&format!("{}/{}", grants(&domain), id(&given))).await.expect(204);
            Instant::now()
        };
        for bob in &bobs {
            eventually_within(Duration::from_secs(1), "it has ended", || async {
                let answer = bob.try_add(&domain, "late", "A", "192.0.2.1").await;
                if answer.status == 404 { Ok(()) } else { Err(answer.text) }
            })
            .await;
        }
        assert!(ended.elapsed() < Duration::from_secs(2), "within a second on each");
        for _ in 0..20 {
            for bob in &bobs {
                bob.get(&domain.records()).await.refused(404, "not_found");
            }
        }
    }
    world.stop().await;
}
