//! A replica that dies while a proven domain goes live: repeating the check is all that is ever needed.

use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;

use super::{hurry, seed};
use crate::support::{Api, Domain, Trials, World, eventually_within, trials};

/// Names that are tried; every second kill comes as soon as PowerDNS holds the zone.
const NAMES: usize = 10;
/// Longer than the deadline of a change and the patience of a caller.
const LIMIT: Duration = Duration::from_secs(60);

pub fn tests() -> Trials {
    trials![a_replica_killed_while_a_domain_goes_live_leaves_a_check_that_can_be_repeated]
}

async fn a_replica_killed_while_a_domain_goes_live_leaves_a_check_that_can_be_repeated() {
    let seed = seed("validation");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::private("validation").await;
    let api = world.admin();
    let usual = how_long_a_check_takes(&world, &api).await;
    let mut domains = Vec::new();
    let mut half_way = 0;
    for number in 0..NAMES {
        let domain = world.pending(&api, "half-way").await;
        api.add(&domain, "www", "A", "192.0.2.80").await;
        world.publish(&domain).await;
        let (caller, path) = (api.clone(), domain.check());
        let asked = tokio::spawn(async move { caller.try_call(Method::POST, &path, None).await });
        if number % 2 == 0 {
            until_powerdns_holds(&world, &domain).await;
        } else {
            // The instant is what is tried out.
            tokio::time::sleep(usual.mul_f64(rng.random_range(0.3..1.1))).await;
        }
        world.apis[0].kill().await;
        let _ = asked.await.expect("no panic");
        if held_by_powerdns(&world, &domain).await && !is_active(&world, &domain).await {
            half_way += 1;
        }
        world.apis[0].restart().await.expect("it comes back");
        domains.push(domain);
    }
    // Half are helped at once, half wait for their real deadline.
    hurry(&world).await;
    futures::future::join_all(domains.iter().map(|domain| check_until_valid(&world, &api, domain))).await;

    for domain in &domains {
        assert_eq!(api.domain(domain).await["status"], "active");
        world.served(&domain.at("www"), RecordType::A, &["192.0.2.80"]).await;
        world.answers_with(&domain.name, RecordType::NS, ResponseCode::NoError).await;
        let successes = world.audit(&format!("resource_id={}&action=domain.validation.success", domain.id)).await;
        assert_eq!(successes.len(), 1, "{} went live once: {successes:?}", domain.name);
        assert_eq!(api.records(domain).await.len(), 1);
    }
    assert_every_zone_at_powerdns_is_an_active_one(&world).await;
    eprintln!("{half_way} of {NAMES} kills came between the zone's birth and its going live; a check takes {usual:?}");
    assert!(half_way > 0, "no kill came half-way");
    world.stop().await;
}

async fn how_long_a_check_takes(world: &World, api: &Api) -> Duration {
    let domain = world.pending(api, "measured").await;
    world.publish(&domain).await;
    let begun = std::time::Instant::now();
    assert_eq!(api.check(&domain).await["is_valid"], true);
    begun.elapsed()
}

async fn held_by_powerdns(world: &World, domain: &Domain) -> bool {
    let found: Option<i32> = sqlx::query_scalar("SELECT id FROM domains WHERE name = ?")
        .bind(&domain.name)
        .fetch_optional(&world.pdns_db)
        .await
        .expect("PowerDNS's database");
    found.is_some()
}

/// Looks without a pause: what comes next takes but some milliseconds.
async fn until_powerdns_holds(world: &World, domain: &Domain) {
    let looking = async { while !held_by_powerdns(world, domain).await {} };
    tokio::time::timeout(LIMIT, looking).await.expect("the zone is made");
}

async fn is_active(world: &World, domain: &Domain) -> bool {
    let found: Option<i32> = sqlx::query_scalar("SELECT 1 FROM zones WHERE live_name = ? AND status = 'active'")
        .bind(&domain.name)
        .fetch_optional(&world.db)
        .await
        .expect("the database");
    found.is_some()
}

async fn check_until_valid(world: &World, api: &Api, domain: &Domain) {
    eventually_within(LIMIT, &format!("{} is valid", domain.name), || async {
        let replica = api.at(&world.urls[1]);
        let answer = replica.call(Method::POST, &domain.check(), None).await;
        match answer.status {
            200 if answer.body["is_valid"] == true => Ok(()),
            503 | 504 => Err(answer.text),
            _ => panic!("{answer:?}"),
        }
    })
    .await;
}

/// What PowerDNS holds belongs to a domain that is active; there is no orphan, dark or not.
async fn assert_every_zone_at_powerdns_is_an_active_one(world: &World) {
    let mut held: Vec<String> =
        sqlx::query_scalar("SELECT name FROM domains").fetch_all(&world.pdns_db).await.expect("PowerDNS's database");
    let mut active: Vec<String> = sqlx::query_scalar("SELECT live_name FROM zones WHERE status = 'active'")
        .fetch_all(&world.db)
        .await
        .expect("the database");
    held.sort();
    active.sort();
    assert_eq!(held, active);
}
