//! The shortest way through everything; when this fails, look here first.

use hickory_proto::rr::RecordType;

use crate::support::{Trials, World, trials};

pub fn tests() -> Trials {
    trials![a_proven_domain_serves_its_records]
}

async fn a_proven_domain_serves_its_records() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "smoke").await;
    let record = api.add(&domain, "www", "A", "192.0.2.1").await;
    world.served(&domain.at("www"), RecordType::A, &["192.0.2.1"]).await;
    assert_eq!(world.actions(record["id"].as_str().unwrap_or_default()).await, ["record.create"]);
}
