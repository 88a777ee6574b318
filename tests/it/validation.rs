//! Proving a domain over real DNS.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use scaidns::dev::registrar::{Entry, Mode};
use serde_json::{Value, json};

use crate::support::{Api, Domain, Trials, World, eventually_within, trials};

pub fn tests() -> Trials {
    trials![
        a_challenge_says_what_to_publish,
        each_way_of_not_being_proven_has_its_message,
        servers_that_do_not_answer_prove_nothing,
        servers_that_disagree_are_named,
        one_of_several_texts_is_enough_and_aliases_are_followed,
        a_new_challenge_takes_the_place_of_the_old,
        a_cancelled_challenge_cannot_be_met,
        an_expired_challenge_cannot_be_met,
        checks_at_once_make_one_zone_and_one_entry,
        an_active_domain_is_valid_and_takes_no_challenge,
        other_types_of_proof_are_refused,
    ]
}

async fn message(api: &Api, domain: &Domain) -> String {
    let checked = api.check(domain).await;
    assert_eq!(checked["is_valid"], false, "{checked}");
    checked["message"].as_str().expect("a message").to_owned()
}

async fn a_challenge_says_what_to_publish() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "challenge").await;
    let challenge = api.get(&domain.validation()).await.ok();
    assert_eq!(challenge, domain.body["validation"]);
    let value = challenge["challenge_value"].as_str().expect("value");
    assert!(value.len() == 32 && value.bytes().all(|b| b.is_ascii_hexdigit()), "128 bits: {value}");
    assert_eq!(challenge["validation_type"], "txt_record");
    assert_eq!(challenge["status"], "pending");
    assert_eq!(challenge["dns_record"]["type"], "TXT");
    assert_eq!(challenge["dns_record"]["name"], format!("_scaidns-verify.{}", domain.name));
    assert_eq!(challenge["dns_record"]["value"], format!("scaidns-verify={value}"));
    for time in ["created_at", "expires_at"] {
        assert!(challenge[time].as_str().is_some_and(|text| text.ends_with('Z')), "{challenge}");
    }
}

async fn each_way_of_not_being_proven_has_its_message() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "unproven").await;
    let name = &domain.name;
    assert_eq!(message(&api, &domain).await, format!("Domain {name} does not exist in DNS"));
    assert_eq!(api.get(&domain.validation()).await.ok()["status"], "failed");

    world.registrar.register(name, &[]).await.expect("registered");
    assert_eq!(message(&api, &domain).await, format!("No DNS record found for _scaidns-verify.{name}"));

    world.publish_text(name, "scaidns-verify=00000000000000000000000000000000").await;
    let expected = format!("TXT record found but value doesn't match. Expected: {}", domain.challenge());
    assert_eq!(message(&api, &domain).await, expected);
    assert_eq!(world.dns(name, RecordType::SOA).await.code, ResponseCode::Refused);

    world.publish_text(name, domain.challenge()).await;
    let checked = api.check(&domain).await;
    assert_eq!(checked["is_valid"], true);
    assert_eq!(checked["message"], "Domain validated");
    assert_eq!(checked["validation_id"], domain.body["validation"]["id"]);
    let actions = world.actions(&domain.id).await;
    assert_eq!(actions.last().map(String::as_str), Some("domain.validation.success"), "{actions:?}");
    assert_eq!(actions.iter().filter(|action| *action == "domain.validation.success").count(), 1);
}

async fn servers_that_do_not_answer_prove_nothing() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "silent").await;
    world.publish(&domain).await;
    for mode in [Mode::Silent, Mode::Servfail] {
        for server in ["ns1.provider.test", "ns2.provider.test"] {
            world.registrar.set_mode(&domain.name, server, mode).await.expect("mode");
        }
        assert_eq!(message(&api, &domain).await, "Authoritative nameservers could not be reached", "{mode:?}");
    }
    world.registrar.set_mode(&domain.name, "ns2.provider.test", Mode::Normal).await.expect("mode");
    assert_eq!(api.check(&domain).await["is_valid"], true, "those that answer agree");
}

async fn servers_that_disagree_are_named() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "discord").await;
    world.registrar.register(&domain.name, &[]).await.expect("registered");
    world.registrar.set_mode(&domain.name, "ns2.provider.test", Mode::Stale).await.expect("mode");
    world.publish_text(&domain.name, domain.challenge()).await;
    let said = message(&api, &domain).await;
    assert!(said.starts_with("Nameservers disagree: ") && said.contains("ns2.provider.test"), "{said}");
    world.registrar.set_mode(&domain.name, "ns2.provider.test", Mode::Normal).await.expect("mode");
    assert_eq!(api.check(&domain).await["is_valid"], true);
}

async fn one_of_several_texts_is_enough_and_aliases_are_followed() {
    let world = World::shared().await;
    let api = world.admin();
    let several = world.pending(&api, "several").await;
    world.registrar.register(&several.name, &[]).await.expect("registered");
    for text in ["v=other", "scaidns-verify=ffffffffffffffffffffffffffffffff"] {
        world.publish_text(&several.name, text).await;
    }
    world.publish_text(&several.name, several.challenge()).await;
    assert_eq!(api.check(&several).await["is_valid"], true);

    let aliased = world.pending(&api, "aliased").await;
    let elsewhere = world.fresh("elsewhere");
    for name in [&aliased.name, &elsewhere] {
        world.registrar.register(name, &[]).await.expect("registered");
    }
    let owner = format!("_scaidns-verify.{}", aliased.name);
    let alias = Entry::new(&owner, "CNAME", &format!("proof.{elsewhere}."));
    world.registrar.add_record(&aliased.name, alias).await.expect("alias");
    let text = Entry::new(&format!("proof.{elsewhere}"), "TXT", aliased.challenge());
    world.registrar.add_record(&elsewhere, text).await.expect("text");
    assert_eq!(api.check(&aliased).await["is_valid"], true);
}

async fn a_new_challenge_takes_the_place_of_the_old() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "superseded").await;
    world.publish(&domain).await;
    let second = api.post_empty(&domain.validation()).await.ok();
    assert_ne!(second["challenge_value"], domain.body["validation"]["challenge_value"]);
    assert_eq!(api.get(&domain.validation()).await.ok(), second);
    assert_eq!(api.domain(&domain).await["validation"]["id"], second["id"]);
    assert!(message(&api, &domain).await.starts_with("TXT record found but value doesn't match"));
    let third = api.post(&domain.validation(), json!({"validation_type": "txt_record"})).await.ok();
    world.publish_text(&domain.name, third["dns_record"]["value"].as_str().expect("value")).await;
    assert_eq!(api.check(&domain).await["validation_id"], third["id"]);
    let starts = world.audit(&format!("resource_id={}&action=domain.validation.start", domain.id)).await;
    assert_eq!(starts.len(), 3);
}

async fn a_cancelled_challenge_cannot_be_met() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "cancelled").await;
    world.publish(&domain).await;
    api.delete(&domain.validation()).await.expect(204);
    let left = api.get(&domain.validation()).await;
    assert_eq!((left.status, left.text.as_str()), (200, "null"));
    assert_eq!(message(&api, &domain).await, "No pending challenge");
    api.delete(&domain.validation()).await.refused(404, "not_found");
    assert_eq!(api.domain(&domain).await["validation"], Value::Null);
    let actions = world.actions(&domain.id).await;
    assert_eq!(actions, ["domain.create", "domain.validation.start", "domain.validation.cancel"]);
}

async fn an_expired_challenge_cannot_be_met() {
    let mut world =
        World::builder("expiry").replicas(1).without_worker().env("VALIDATION_EXPIRY_HOURS", "1").start().await;
    let api = world.admin();
    let (checked, swept) = (world.pending(&api, "expired").await, world.pending(&api, "swept").await);
    let hour = |time: &str| {
        checked.body["validation"][time].as_str().expect("a time")[11..13].parse::<u32>().expect("an hour")
    };
    assert_eq!((hour("created_at") + 1) % 24, hour("expires_at"));
    world.publish(&checked).await;
    let past = "UPDATE validations SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND";
    sqlx::query(past).execute(&world.db).await.expect("time passes");
    assert_eq!(message(&api, &checked).await, "Challenge expired");
    assert_eq!(api.get(&checked.validation()).await.ok(), Value::Null);
    assert_eq!(api.domain(&checked).await["validation"], Value::Null);
    assert_eq!(api.domain(&swept).await["validation"], Value::Null, "an expired challenge is not shown as pending");

    world.start_worker().await.expect("worker");
    let limit = std::time::Duration::from_secs(30);
    eventually_within(limit, "the worker expires what nobody checks", || async {
        let open = "SELECT COUNT(*) FROM validations WHERE status = 'expired'";
        let count: i64 = sqlx::query_scalar(open).fetch_one(&world.db).await.expect("count");
        if count == 2 { Ok(()) } else { Err(format!("{count} expired")) }
    })
    .await;
    assert_eq!(message(&api, &swept).await, "Challenge expired");
    let fresh = api.post_empty(&checked.validation()).await.ok();
    world.publish_text(&checked.name, fresh["dns_record"]["value"].as_str().expect("value")).await;
    assert_eq!(api.check(&checked).await["is_valid"], true);
    world.stop().await;
}

async fn checks_at_once_make_one_zone_and_one_entry() {
    let world = World::shared().await;
    let domain = world.pending(&world.admin(), "at-once").await;
    world.admin().add(&domain, "www", "A", "192.0.2.7").await;
    world.publish(&domain).await;
    let checks = (0..8).map(|n| {
        let api = world.admin().at(&world.urls[n % world.urls.len()]);
        let path = domain.check();
        async move { api.post_empty(&path).await }
    });
    for answer in futures::future::join_all(checks).await {
        assert_eq!(answer.ok()["is_valid"], true);
    }
    let successes = world.audit(&format!("resource_id={}&action=domain.validation.success", domain.id)).await;
    assert_eq!(successes.len(), 1, "{successes:?}");
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.7"]).await;
}

async fn an_active_domain_is_valid_and_takes_no_challenge() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "settled").await;
    let before = world.actions(&domain.id).await;
    let checked = api.check(&domain).await;
    assert_eq!((&checked["is_valid"], &checked["message"]), (&true.into(), &"Domain validated".into()));
    assert_eq!(api.post_empty(&domain.validation()).await.status, 409);
    assert_eq!(api.get(&domain.validation()).await.ok(), Value::Null);
    api.delete(&domain.validation()).await.refused(404, "not_found");
    assert_eq!(world.actions(&domain.id).await, before, "nothing changed, nothing is recorded");
}

async fn other_types_of_proof_are_refused() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "types").await;
    for kind in ["nameservers", "http", ""] {
        let detail = api.post(&domain.validation(), json!({"validation_type": kind})).await.refused(400, "invalid");
        assert_eq!(detail["field"], "validation_type");
    }
    api.post(&domain.validation(), json!({"kind": "txt"})).await.refused(422, "validation_error");
    api.post(&domain.check(), json!({"force": 1})).await.refused(422, "validation_error");
}
