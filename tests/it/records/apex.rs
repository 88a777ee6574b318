//! What the platform keeps at a domain's apex: the SOA, and the last of the nameservers.

use hickory_proto::rr::RecordType;
use serde_json::json;

use super::id;
use crate::support::{Trials, World, eventually, trials};

pub fn tests() -> Trials {
    trials![the_timers_of_the_soa_can_be_edited_and_nothing_else, the_apex_nameservers_may_change_but_not_go,]
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
    let serial = world.serial(&domain.name).await;
    assert!(serial > before);
    let told = edited["content"].as_str().expect("content").split(' ').nth(2);
    assert_eq!(told, Some(&*serial.to_string()), "the answer has the serial that the change led to");
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
