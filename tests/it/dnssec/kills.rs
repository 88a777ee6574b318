//! Everything is killed at random instants while keys roll: what was begun comes to its end, with no key too many and
//! none gone too early.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use super::observer::Observer;
use super::{LONG, asked_for, assert_validates, path, server_keys, set_ds, shorten, sign, state, until_phase};
use crate::crash::{hurry, number, seed};
use crate::support::{Api, Domain, Trials, World, eventually_within, trials};

pub fn tests() -> Trials {
    trials![kill_9_of_worker_api_and_powerdns_in_rollovers_leaves_no_key_too_many_and_none_too_few]
}

/// How often something is killed, unless told otherwise.
const KILLS: u64 = 12;
/// The last of them, after which nobody hurries.
const LEFT_ALONE: u64 = 3;
const TTL: u32 = 2;
/// After the kill before: about as long as a step and its wait.
const INSTANT_WITHIN_MS: u64 = 3_500;

async fn kill_9_of_worker_api_and_powerdns_in_rollovers_leaves_no_key_too_many_and_none_too_few() {
    let mut rng = StdRng::seed_from_u64(seed("kill -9 in rollovers"));
    let kills = number("SCAIDNS_TEST_DNSSEC_KILLS", KILLS);
    let mut world = World::builder("dnssec-kill").replicas(1).env("DNSSEC_POLL_SECONDS", "1").start().await;
    let api = world.admin();
    let domain = world.live(&api, "killed").await;
    shorten(&world, &api, &domain, TTL).await;
    sign(&world, &api, &domain, json!({})).await;
    let observer = Observer::start(&world, &domain);
    let (mut begun, mut ended, mut hit) = (0, 0, 0);
    let mut known = keys(&api, &domain).await;
    for kill in 0..kills {
        let mut phase = reached(&world, &api, &domain).await;
        if phase == "active" {
            let now = keys(&api, &domain).await;
            if now != known {
                known = now;
                ended += 1;
            }
            begun += 1;
            phase = format!("active, {} begins", begin(&api, &domain, begun, &mut rng).await);
        }
        // The instant is what is tried out: between transitions, and inside of them.
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..INSTANT_WITHIN_MS))).await;
        let under_way = state(&api, &domain).await["phase"] != "active";
        hit += usize::from(under_way);
        let victim = ["worker", "api", "PowerDNS"][rng.random_range(0..3_usize)];
        eprintln!("kill {}: {victim}, {phase}", kill + 1);
        match victim {
            "worker" => {
                let worker = world.worker.as_mut().expect("a worker");
                worker.kill().await;
                worker.restart().await.expect("the worker is back");
            }
            "api" => {
                world.apis[0].kill().await;
                world.apis[0].restart().await.expect("the api is back");
            }
            _ => {
                world.servers.pdns.kill().await;
                world.servers.pdns.restart().await.expect("PowerDNS is back");
            }
        }
        // the last ones wait for real deadlines and leases
        if kill + LEFT_ALONE < kills {
            hurry(&world).await;
            sqlx::query("UPDATE zone_signing SET due_at = UTC_TIMESTAMP(6)").execute(&world.db).await.expect("due");
        }
    }
    eventually_within(LONG * 2, "every rollover is over", || async {
        let phase = reached(&world, &api, &domain).await;
        if phase == "active" { Ok(()) } else { Err(phase) }
    })
    .await;
    until_phase(&api, &domain, "active").await;
    assert_eq!(server_keys(&world, &domain).await, [(256, true, true), (257, true, true)]);
    assert_validates(&world, &api, &domain).await;
    ended += usize::from(keys(&api, &domain).await != known);
    let verdict = observer.end().await;
    eprintln!(
        "{kills} kills, {hit} of them in a rollover; {begun} begun, {ended} came to their end; {} things served, {} \
         combinations in caches",
        verdict.things, verdict.combinations
    );
    assert!(verdict.violations.is_empty(), "{:#?}", verdict.violations);
    assert!(ended > 0 && hit > 0, "nothing was rolled, or no kill came into a rollover");
    world.stop().await;
}

/// The phase; the owner does what the parent is waited for to do.
async fn reached(world: &World, api: &Api, domain: &Domain) -> String {
    let now = state(api, domain).await;
    let phase = now["phase"].as_str().unwrap_or_default().to_owned();
    if now["next"]["waiting_for"] == "parent" {
        set_ds(world, domain, &asked_for(api, domain).await).await;
    }
    phase
}

/// Asks for a rollover, and does not wait for the answer: the replica may be killed before it comes.
async fn begin(api: &Api, domain: &Domain, number: usize, rng: &mut StdRng) -> &'static str {
    let algorithm = state(api, domain).await["algorithm"].clone();
    let other = if algorithm == 13 { 15 } else { 13 };
    let (name, call, body) = match number % 3 {
        1 => ("a ZSK rollover", "/rotate-zsk", json!({})),
        2 => ("a KSK rollover", "/rotate-ksk", json!({})),
        _ => ("an algorithm rollover", "/rotate-ksk", json!({ "algorithm": other })),
    };
    let (api, path) = (api.clone(), path(domain, call));
    let call = tokio::spawn(async move { api.try_call(Method::POST, &path, Some(body)).await });
    if rng.random_bool(0.5) {
        // refused or cut off, it is as if nobody had asked
        drop(call.await);
    }
    name
}

async fn keys(api: &Api, domain: &Domain) -> Vec<Value> {
    let now = state(api, domain).await;
    let tags = |kind: &str| now[kind].as_array().cloned().unwrap_or_default().into_iter().map(|k| k["key_tag"].clone());
    tags("ksk").chain(tags("zsk")).collect()
}
