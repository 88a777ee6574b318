//! The proof by delegation.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::json;

use crate::support::{Trials, World, trials};

pub fn tests() -> Trials {
    trials![a_delegation_that_names_the_claim_is_a_proof]
}

async fn a_delegation_that_names_the_claim_is_a_proof() {
    let builder = World::builder("delegation").replicas(1).without_worker();
    let world = builder.env("VALIDATION_NAMESERVERS_TYPE", "true").start().await;
    let api = world.admin();
    let domain = world.pending(&api, "delegated").await;
    let challenge = api.post(&domain.validation(), json!({"validation_type": "nameservers"})).await.ok();
    assert_eq!(challenge["validation_type"], "nameservers");
    let value = challenge["challenge_value"].as_str().expect("value");
    let own = format!("{value}.ns1.scaidns-dev.test");
    assert_eq!(challenge["dns_record"]["type"], "NS");
    assert_eq!(challenge["dns_record"]["name"], domain.name.as_str());
    assert_eq!(challenge["dns_record"]["value"], own.as_str());

    let message = async || {
        let checked = api.check(&domain).await;
        assert_eq!(checked["is_valid"], false, "{checked}");
        checked["message"].as_str().expect("a message").to_owned()
    };
    let delegate = async |servers: &[&str]| {
        world.registrar.register(&domain.name, servers).await.expect("registered");
    };
    let lacks = |names: &str| format!("The delegation of {} at its parent lacks {names}", domain.name);
    assert_eq!(message().await, format!("Domain {} does not exist in DNS", domain.name));
    delegate(&["ns1.provider.test", "ns2.provider.test"]).await;
    assert_eq!(message().await, lacks(&format!("{own}, ns1.scaidns-dev.test, ns2.scaidns-dev.test")));
    delegate(&["ns1.scaidns-dev.test", "ns2.scaidns-dev.test"]).await;
    assert_eq!(message().await, lacks(&own), "a bare delegation proves nothing");
    delegate(&["ns1.scaidns-dev.test", &own]).await;
    assert_eq!(message().await, lacks("ns2.scaidns-dev.test"));
    let others = format!("{}.ns1.scaidns-dev.test", "0".repeat(32));
    delegate(&["ns1.scaidns-dev.test", "ns2.scaidns-dev.test", &others]).await;
    assert_eq!(message().await, lacks(&own), "another claim's name proves nothing for this one");
    assert_eq!(world.dns(&domain.name, RecordType::SOA).await.code, ResponseCode::Refused);

    delegate(&["ns1.scaidns-dev.test", "ns2.scaidns-dev.test", &own]).await;
    let checked = api.check(&domain).await;
    assert_eq!((&checked["is_valid"], &checked["validation_id"]), (&true.into(), &challenge["id"]));
    world.answers_with(&domain.name, RecordType::SOA, ResponseCode::NoError).await;
    let actions = world.actions(&domain.id).await;
    let count = |wanted: &str| actions.iter().filter(|action| *action == wanted).count();
    let counts = ["check", "failure", "success"].map(|what| count(&format!("domain.validation.{what}")));
    assert_eq!(counts, [6, 5, 1], "{actions:?}");
    world.stop().await;
}
