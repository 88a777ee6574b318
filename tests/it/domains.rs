//! Domains: names, claims, lists, changes, the end.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Domain, Trials, World, trials};

pub fn tests() -> Trials {
    trials![
        a_new_domain_waits_for_its_proof_and_is_not_served,
        names_are_normalised_and_shown_in_both_forms,
        names_that_nobody_may_have_are_refused,
        names_of_the_platforms_nameservers_are_its_admins_alone,
        a_tenant_has_a_name_once,
        the_first_of_two_claims_to_prove_wins,
        a_list_is_filtered_paged_and_walked,
        a_patch_tells_absent_from_null_and_value,
        a_withdrawn_domain_is_refused_and_comes_back,
        a_pending_domain_has_no_status_to_change,
        a_domain_deleted_for_good_leaves_nothing,
        a_name_can_be_had_again_after_its_deletion,
        a_name_had_again_goes_on_above_its_old_serial,
        both_forms_of_the_slash_are_answered_directly,
        a_zone_below_ones_own_goes_live_at_once,
        a_zone_below_anothers_must_be_proven,
        the_platforms_admin_needs_no_proof,
        the_catalogue_of_types_has_examples_that_are_accepted,
        wrong_types_and_values_are_refused_with_their_field,
    ]
}

async fn create(api: &Api, name: &str) -> Answer {
    api.post("/domains/", json!({"name": name, "domain_type": "primary"})).await
}

fn names(list: &Value) -> Vec<String> {
    let data = list["data"].as_array().expect("data");
    data.iter().map(|item| item["name"].as_str().expect("name").to_owned()).collect()
}

async fn a_new_domain_waits_for_its_proof_and_is_not_served() {
    let world = World::shared().await;
    let api = world.admin();
    let name = world.fresh("shop");
    let body = json!({"name": name, "domain_type": "primary", "default_ttl": 300, "description": "Für den Laden"});
    let domain = Domain::new(api.post("/domains/", body).await.ok());
    let detail = &domain.body;
    assert!(domain.id.starts_with("d_") && domain.id.len() == 28, "{detail}");
    assert_eq!(detail["status"], "pending_validation");
    assert_eq!(detail["default_ttl"], 300);
    assert_eq!(detail["description"], "Für den Laden");
    assert_eq!(detail["nameservers"], json!(["ns1.scaidns-dev.test", "ns2.scaidns-dev.test"]));
    for absent in ["serial", "cidr", "deleted_at"] {
        assert!(
            detail.as_object().is_some_and(|all| all.get(absent).is_some_and(Value::is_null)),
            "{absent}: {detail}"
        );
    }
    assert_eq!(detail["validation"]["dns_record"]["name"], format!("_scaidns-verify.{name}"));
    assert_eq!(api.domain(&domain).await, *detail);
    assert_eq!(world.dns(&name, RecordType::SOA).await.code, ResponseCode::Refused);
    assert_eq!(world.pdns_get(&format!("/zones/{name}.")).await.status(), 404);
    assert_eq!(world.actions(&domain.id).await, ["domain.create", "domain.validation.start"]);
}

async fn names_are_normalised_and_shown_in_both_forms() {
    let world = World::shared().await;
    let api = world.admin();
    let upper = create(&api, "MixedCase-Names.TEST.").await.ok();
    assert_eq!(upper["name"], "mixedcase-names.test");
    assert!(upper.get("name_unicode").is_none(), "{upper}");
    let idna = create(&api, "Bücher-Domains.test").await.ok();
    assert_eq!(idna["name"], "xn--bcher-domains-wob.test");
    assert_eq!(idna["name_unicode"], "bücher-domains.test");
    create(&api, "xn--bcher-domains-wob.test").await.refused(409, "domain_exists");
    let found = api.get("/domains/?search=bcher-domains").await.ok();
    assert_eq!(names(&found), ["xn--bcher-domains-wob.test"]);
    for search in ["b%C3%BCcher-domains", "B%C3%9CCHER-Domains.test", "xn--bcher-domains-wob.test."] {
        let found = api.get(&format!("/domains/?search={search}")).await.ok();
        assert_eq!(names(&found), ["xn--bcher-domains-wob.test"], "{search}");
    }
}

async fn names_that_nobody_may_have_are_refused() {
    let world = World::shared().await;
    let api = world.admin();
    let long = format!("{}.test", vec!["a".repeat(60); 5].join("."));
    let bad = [
        "",
        ".",
        "test",
        "com",
        "co.uk",
        "shop",
        "a..test",
        ".a.test",
        "-a.test",
        "a-.test",
        "a b.test",
        "a/b.test",
        "ä\u{0}.test",
        "a_b.test",
        "192.0.2.1",
        "x.local",
        "x.internal",
        "x.onion",
        "xn--zz--zzzzzz.test",
        "*.a.test",
        &long,
        &format!("{}.test", "a".repeat(64)),
        "a.test\n",
        "a@b.test",
        "http://a.test",
        "\u{202e}a.test",
    ];
    let before = api.get("/domains/?page_size=1").await.ok()["total"].clone();
    assert!(before.is_number());
    for name in bad {
        let detail = create(&api, name).await.refused(400, "invalid_domain_name");
        assert_eq!(detail, "Invalid domain name", "{name:?}");
    }
    create(&api, "own.github.io").await.ok();
}

async fn names_of_the_platforms_nameservers_are_its_admins_alone() {
    let world = World::shared().await;
    for name in ["scaidns-dev.test", "ns1.scaidns-dev.test", "below.ns2.scaidns-dev.test"] {
        for api in [world.admin(), world.other(), world.admin_user()] {
            let detail = create(&api, name).await.refused(400, "invalid_domain_name");
            assert_eq!(detail, "Invalid domain name");
        }
    }
    let beside = create(&world.admin(), "beside.scaidns-dev.test").await.ok();
    assert_eq!(beside["status"], "pending_validation");
    let own = Domain::new(create(&world.platform(), "below.ns2.scaidns-dev.test").await.ok());
    assert_eq!(own.body["status"], "active");
    world.platform().delete(&format!("{}?hard=true", own.path())).await.expect(204);
}

async fn a_tenant_has_a_name_once() {
    let world = World::shared().await;
    let domain = world.pending(&world.admin(), "once").await;
    for api in [world.admin(), world.admin_user()] {
        for name in [domain.name.clone(), domain.name.to_uppercase(), format!("{}.", domain.name)] {
            assert_eq!(create(&api, &name).await.refused(409, "domain_exists"), "Domain already exists");
        }
    }
    let at_once = world.fresh("at-once");
    let both = futures::future::join_all((0..6).map(|n| {
        let api = world.admin().at(&world.urls[n % world.urls.len()]);
        let name = at_once.clone();
        async move { create(&api, &name).await.status }
    }));
    let mut statuses = both.await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409]);
}

async fn the_first_of_two_claims_to_prove_wins() {
    let world = World::shared().await;
    let (first, second) = (world.admin(), world.other());
    let name = world.fresh("contested");
    let ours = first.create_domain(&name).await;
    let theirs = second.create_domain(&name).await;
    assert_ne!(ours.challenge(), theirs.challenge());
    second.add(&theirs, "www", "A", "192.0.2.66").await;

    world.publish(&ours).await;
    assert_eq!(first.check(&ours).await["is_valid"], true);
    // Without a proof of its own the other is told nothing.
    let told = second.check(&theirs).await;
    assert_eq!(told["is_valid"], false, "{told}");
    let expected = format!("TXT record found but value doesn't match. Expected: {}", theirs.challenge());
    assert_eq!(told["message"], expected.as_str());

    world.publish_text(&name, theirs.challenge()).await;
    second.post_empty(&theirs.check()).await.refused(409, "domain_claimed");
    assert_eq!(second.domain(&theirs).await["status"], "pending_validation");
    assert_eq!(first.domain(&ours).await["status"], "active");
    assert_eq!(world.dns(&format!("www.{name}"), RecordType::A).await.code, ResponseCode::NXDomain);
    second.get(&ours.path()).await.refused(404, "not_found");
    let successes = World::audit_as(&world.other_user(), &format!("resource_id={}", theirs.id)).await;
    assert!(successes.iter().all(|entry| entry["action"] != "domain.validation.success"), "{successes:?}");
}

async fn a_list_is_filtered_paged_and_walked() {
    let world = World::shared().await;
    let api = world.admin();
    let mut wanted: Vec<String> = Vec::new();
    for n in 0..5 {
        let name = format!("walk-{n}-{}", world.fresh("listing"));
        wanted.push(api.create_domain(&name).await.name);
    }
    let search = "search=-listing-";
    let all = api.get(&format!("/domains/?{search}")).await.ok();
    assert_eq!(names(&all), wanted);
    assert_eq!(
        (&all["total"], &all["page"], &all["page_size"], &all["total_pages"]),
        (&5.into(), &1.into(), &50.into(), &1.into())
    );
    let second = api.get(&format!("/domains/?{search}&page=2&page_size=2")).await.ok();
    assert_eq!(names(&second), wanted[2..4]);
    assert_eq!((&second["total"], &second["total_pages"]), (&5.into(), &3.into()));

    let mut walked = Vec::new();
    let mut next = String::new();
    for _ in 0..10 {
        let page = api.get(&format!("/domains/?{search}&page_size=2{next}")).await.ok();
        walked.extend(names(&page));
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(walked, wanted);

    let none = api.get(&format!("/domains/?{search}&status=active")).await.ok();
    assert_eq!((names(&none), &none["total"]), (Vec::new(), &0.into()));
    for query in ["status=pending_validation", "domain_type=primary", "dnssec_enabled=false", "include_deleted=true"] {
        assert_eq!(api.get(&format!("/domains/?{search}&{query}")).await.ok()["total"], 5, "{query}");
    }
    for query in ["domain_type=reverse_ipv4", "dnssec_enabled=true"] {
        assert_eq!(api.get(&format!("/domains/?{search}&{query}")).await.ok()["total"], 0, "{query}");
    }
    assert_eq!(api.get("/domains/?search=%25").await.ok()["total"], 0, "% is a character, no pattern");
    assert_eq!(world.other().get(&format!("/domains/?{search}")).await.ok()["total"], 0);

    for query in
        ["page=0", "page_size=0", "page_size=101", "page=x", "page=-1", "cursor=%21", "cursor=e30", "page=99999999999"]
    {
        api.get(&format!("/domains/?{query}")).await.refused(422, "validation_error");
    }
    for query in ["status=asleep", "domain_type=tertiary"] {
        api.get(&format!("/domains/?{query}")).await.refused(400, "invalid");
    }
}

async fn a_patch_tells_absent_from_null_and_value() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "patched").await;
    let patch = async |body: Value| api.patch(&domain.path(), body).await.ok();
    let changed = patch(json!({"description": "one", "default_ttl": 120, "settings": {"colour": "red"}})).await;
    assert_eq!((&changed["description"], &changed["default_ttl"]), (&"one".into(), &120.into()));
    assert_eq!(patch(json!({})).await["description"], "one");
    assert_eq!(patch(json!({"default_ttl": 60})).await["description"], "one");
    assert_eq!(patch(json!({"description": null})).await["description"], Value::Null);
    let replaced = patch(json!({"settings": {"size": 4}})).await;
    assert_eq!(replaced["settings"], json!({"size": 4}));
    assert_eq!(replaced["default_ttl"], 60);
    assert_eq!(api.domain(&domain).await["settings"], json!({"size": 4}));

    let updates = world.audit(&format!("resource_id={}&action=domain.update", domain.id)).await;
    assert_eq!(updates.len(), 4, "the empty patch changed nothing: {updates:?}");
    assert_eq!(updates[0]["details"]["before"]["default_ttl"], 3600);
    assert_eq!(updates[0]["details"]["after"]["default_ttl"], 120);

    for body in [
        json!({"name": "other.test"}),
        json!({"default_ttl": -1}),
        json!({"default_ttl": 2_147_483_648_u32}),
        json!({"settings": []}),
        json!({"description": 4}),
        json!({"description": "a".repeat(1001)}),
        json!({"settings": {"a": "b".repeat(20_000)}}),
    ] {
        api.patch(&domain.path(), body).await.refused(422, "validation_error");
    }
    let detail = api.patch(&domain.path(), json!({"status": "deleted"})).await.refused(400, "invalid");
    assert_eq!(detail["field"], "status");
}

async fn a_withdrawn_domain_is_refused_and_comes_back() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "withdrawn").await;
    let record = api.add(&domain, "www", "A", "192.0.2.1").await;
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1"]).await;
    let serial = world.serial(&domain.name).await;

    assert_eq!(api.patch(&domain.path(), json!({"status": "inactive"})).await.ok()["status"], "inactive");
    world.answers_with(&domain.at("www"), RecordType::A, ResponseCode::Refused).await;
    world.answers_with(&domain.name, RecordType::SOA, ResponseCode::Refused).await;
    assert_eq!(api.try_add(&domain, "new", "A", "192.0.2.2").await.status, 409);
    let id = record["id"].as_str().expect("id");
    assert_eq!(api.delete(&domain.record(id)).await.status, 409);
    assert_eq!(api.records(&domain).await.len(), 1, "its records can still be read");

    assert_eq!(api.patch(&domain.path(), json!({"status": "active"})).await.ok()["status"], "active");
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1"]).await;
    assert!(world.serial(&domain.name).await > serial);
    assert_eq!(api.records(&domain).await[0]["id"], id);
    let changes = world.audit(&format!("resource_id={}&action=domain.update", domain.id)).await;
    let states: Vec<&Value> = changes.iter().map(|entry| &entry["details"]["after"]["status"]).collect();
    assert_eq!(states, ["inactive", "active"]);
}

async fn a_pending_domain_has_no_status_to_change() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "impatient").await;
    for status in ["active", "inactive"] {
        api.patch(&domain.path(), json!({"status": status})).await.refused(409, "domain_pending");
    }
    assert_eq!(api.domain(&domain).await["status"], "pending_validation");
}

async fn a_domain_deleted_for_good_leaves_nothing() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "gone").await;
    api.add(&domain, "www", "A", "192.0.2.1").await;
    let answer = api.delete(&format!("{}?hard=true", domain.path())).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    world.answers_with(&domain.at("www"), RecordType::A, ResponseCode::Refused).await;
    assert_eq!(world.pdns_get(&format!("/zones/{}.", domain.name)).await.status(), 404);
    for path in [domain.path(), domain.records(), domain.validation()] {
        api.get(&path).await.refused(404, "not_found");
    }
    api.delete(&format!("{}?hard=true", domain.path())).await.refused(404, "not_found");
    assert_eq!(api.get(&format!("/domains/?search={}", domain.name)).await.ok()["total"], 0);
    let deletions = world.audit(&format!("resource_id={}&action=domain.delete", domain.id)).await;
    assert_eq!(deletions.len(), 1, "{deletions:?}");
    assert_eq!(deletions[0]["details"]["after"], Value::Null);

    let pending = world.pending(&api, "gone-early").await;
    api.delete(&format!("{}?hard=true", pending.path())).await.expect(204);
    api.get(&pending.path()).await.refused(404, "not_found");
}

async fn a_name_can_be_had_again_after_its_deletion() {
    let world = World::shared().await;
    let api = world.admin();
    let before = world.live(&api, "phoenix").await;
    api.add(&before, "old", "A", "192.0.2.1").await;
    api.delete(&format!("{}?hard=true", before.path())).await.expect(204);
    let after = api.create_domain(&before.name).await;
    assert_ne!(after.id, before.id);
    assert_ne!(after.challenge(), before.challenge());
    assert_eq!(api.check(&after).await["is_valid"], false, "the old proof proves nothing");
    world.publish_text(&after.name, after.challenge()).await;
    assert_eq!(api.check(&after).await["is_valid"], true);
    assert!(api.records(&after).await.is_empty());
    world.answers_with(&before.at("old"), RecordType::A, ResponseCode::NXDomain).await;
}

async fn a_name_had_again_goes_on_above_its_old_serial() {
    let world = World::shared().await;
    let api = world.admin();
    let before = world.live(&api, "serial").await;
    for n in 0..20 {
        api.add(&before, "www", "TXT", &format!("more changes than seconds: {n}")).await;
    }
    let serial = world.serial(&before.name).await;
    api.delete(&format!("{}?hard=true", before.path())).await.expect(204);
    let after = api.create_domain(&before.name).await;
    world.publish_text(&after.name, after.challenge()).await;
    assert_eq!(api.check(&after).await["is_valid"], true);
    let now = world.serial(&after.name).await;
    assert!(now > serial, "secondaries do not follow from {serial} to {now} (RFC 1982)");
}

async fn both_forms_of_the_slash_are_answered_directly() {
    let world = World::shared().await;
    let api = world.admin();
    for path in ["/domains", "/domains/", "/me", "/me/", "/domains/types", "/domains/types/", "/admin/audit-logs"] {
        assert_eq!(api.get(path).await.status, 200, "{path}");
    }
    let body = json!({"name": world.fresh("slash"), "domain_type": "primary"});
    let domain = Domain::new(api.post("/domains", body).await.ok());
    for path in [format!("{}/", domain.path()), format!("{}/", domain.records()), format!("{}/", domain.validation())] {
        assert_eq!(api.get(&path).await.status, 200, "{path}");
    }
    let record = json!({"name": "www", "type": "A", "content": "192.0.2.1"});
    api.post(&format!("{}/", domain.records()), record).await.ok();
    api.post_empty(&format!("{}/", domain.check())).await.ok();
}

async fn a_zone_below_ones_own_goes_live_at_once() {
    let world = World::shared().await;
    let api = world.admin();
    let parent = world.live(&api, "parent").await;
    let child = api.create_domain(&parent.at("eu")).await;
    assert_eq!(child.body["status"], "active", "{}", child.body);
    assert_eq!(child.body["validation"], Value::Null);
    api.add(&child, "www", "A", "192.0.2.5").await;
    world.served(&child.at("www"), RecordType::A, &["192.0.2.5"]).await;
    assert_eq!(world.dns(&child.name, RecordType::SOA).await.values(RecordType::SOA).len(), 1);
    assert_eq!(world.actions(&child.id).await, ["domain.create", "domain.validation.success"]);
}

async fn a_zone_below_anothers_must_be_proven() {
    let world = World::shared().await;
    let parent = world.live(&world.admin(), "guarded").await;
    let child = world.other().create_domain(&parent.at("sub")).await;
    assert_eq!(child.body["status"], "pending_validation");
    assert_eq!(world.other().check(&child).await["is_valid"], false);
    let below = world.live(&world.other(), "theirs-below").await;
    let above = world.platform().create_domain(&below.at("deep")).await;
    assert_eq!(above.body["status"], "pending_validation", "the bypass never reaches past another tenant's names");
}

async fn the_platforms_admin_needs_no_proof() {
    let world = World::shared().await;
    let domain = world.pending(&world.platform(), "bypass").await;
    assert_eq!(domain.body["status"], "active", "{}", domain.body);
    world.platform().add(&domain, "www", "A", "192.0.2.9").await;
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.9"]).await;
    let ns = world.dns_values(&domain.name, RecordType::NS).await;
    assert_eq!(ns, ["ns1.scaidns-dev.test.", "ns2.scaidns-dev.test."]);
    let soa = world.dns_values(&domain.name, RecordType::SOA).await;
    assert!(soa[0].starts_with(&format!("ns1.scaidns-dev.test. hostmaster.{}. ", domain.name)), "{soa:?}");
}

async fn the_catalogue_of_types_has_examples_that_are_accepted() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "catalogue").await;
    let types = api.get("/domains/types").await.ok();
    let types = types.as_array().expect("a list");
    let names: Vec<&str> = types.iter().filter_map(|item| item["type"].as_str()).collect();
    for expected in ["A", "AAAA", "CNAME", "MX", "TXT", "NS", "SRV", "CAA", "PTR", "SOA"] {
        assert!(names.contains(&expected), "{expected} in {names:?}");
    }
    for item in types {
        let name = match item["type"].as_str() {
            Some("SOA") => continue,
            Some("SRV") => "_sip._tcp",
            Some("DS") => continue,
            Some(other) => &format!("t-{}", other.to_lowercase()),
            None => panic!("no type in {item}"),
        };
        let body = json!({"name": name, "type": item["type"], "content": item["example"]});
        let checked = api.post(&format!("{}/check", domain.records()), body).await.ok();
        assert_eq!(checked["valid"], true, "{item}: {checked}");
        assert!(item["description"].as_str().is_some_and(|text| !text.is_empty()));
    }
}

async fn wrong_types_and_values_are_refused_with_their_field() {
    let world = World::shared().await;
    let api = world.admin();
    let name = world.fresh("wrong");
    for (domain_type, field) in [("tertiary", "domain_type"), ("", "domain_type")] {
        let answer = api.post("/domains/", json!({"name": name, "domain_type": domain_type})).await;
        assert_eq!(answer.refused(400, "invalid")["field"], field, "{domain_type}");
    }
    let secondary = api.post("/domains/", json!({"name": name, "domain_type": "secondary"})).await;
    assert_eq!(secondary.refused(422, "validation_error")[0]["loc"], json!(["body", "masters"]));
    let reverse = api.post("/domains/", json!({"name": name, "domain_type": "reverse_ipv4"})).await;
    assert_eq!(reverse.refused(400, "invalid")["field"], "name");
    for (body, field) in [
        (json!({"domain_type": "primary"}), "name"),
        (json!({"name": name}), "domain_type"),
        (json!({"name": 4, "domain_type": "primary"}), "name"),
        (json!({"name": null, "domain_type": "primary"}), "name"),
        (json!({"name": name, "domain_type": "primary", "default_ttl": "1"}), "default_ttl"),
        (json!({"name": name, "domain_type": "primary", "default_ttl": 4_294_967_295_u32}), "default_ttl"),
        (json!({"name": name, "domain_type": "primary", "colour": "red"}), "colour"),
    ] {
        let detail = api.post("/domains/", body.clone()).await.refused(422, "validation_error");
        assert_eq!(detail[0]["loc"], json!(["body", field]), "{body}");
    }
    assert_eq!(api.get(&format!("/domains/?search={name}")).await.ok()["total"], 0, "nothing was made");
}
