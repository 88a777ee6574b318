//! Many at once, through two replicas: nothing is lost, nothing is double, and of those who cannot all have their way
//! one does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::crash::judge::{judge, values};
use crate::crash::ledger::{self, Load};
use crate::crash::seed;
use crate::support::{Api, Domain, Trials, World, trials};

const CLIENTS: usize = 8;
const VALUES: usize = 200;
/// Names that two tenants race for.
const CONTESTED: usize = 6;

pub fn tests() -> Trials {
    trials![
        eight_clients_on_two_replicas_add_200_values_to_one_txt_rrset_and_lose_none,
        clients_that_add_change_and_delete_through_two_replicas_leave_what_history_says,
        an_id_listed_while_others_write_is_the_id_that_stays,
        of_eight_who_add_the_same_value_one_does,
        of_eight_who_delete_one_record_one_does,
        what_is_acknowledged_while_a_domain_is_withdrawn_and_returned_is_there,
        records_added_while_a_domain_goes_live_are_all_served,
        of_two_tenants_who_prove_one_name_at_once_one_has_it,
        parallel_checks_of_one_validation_put_it_live_once,
        of_many_who_create_one_domain_in_a_tenant_one_does,
    ]
}

/// The caller at both replicas in turn.
fn replicas(world: &World, api: &Api, clients: usize) -> Vec<Api> {
    (0..clients).map(|client| api.at(&world.urls[client % world.urls.len()])).collect()
}

async fn eight_clients_on_two_replicas_add_200_values_to_one_txt_rrset_and_lose_none() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "busy").await;
    let born = stored(world, &domain).await;
    let done = AtomicBool::new(false);
    let adding = async {
        let clients = replicas(world, &api, CLIENTS).into_iter().enumerate().map(|(client, api)| {
            let domain = &domain;
            async move {
                let mut ids = Vec::new();
                for n in 0..VALUES / CLIENTS {
                    let before = stored(world, domain).await.serial;
                    let record = api.add(domain, "@", "TXT", &value(client, n)).await;
                    let after = stored(world, domain).await.serial;
                    assert!(after > before, "the serial was {before} before {record} and {after} after");
                    ids.push(record["id"].as_str().expect("an id").to_owned());
                }
                ids
            }
        });
        let ids = join_all(clients).await;
        done.store(true, Ordering::Relaxed);
        ids
    };
    let sampling = async {
        let (mut serial, mut samples) = (0, 0);
        while !done.load(Ordering::Relaxed) {
            let now = world.serial(&domain.name).await;
            assert!(now >= serial, "the serial went down from {serial} to {now}");
            (serial, samples) = (now, samples + 1);
        }
        samples
    };
    let (ids, samples) = tokio::join!(adding, sampling);
    let ids: BTreeSet<String> = ids.into_iter().flatten().collect();
    assert_eq!(ids.len(), VALUES);
    assert!(samples > VALUES / 10, "{samples} looks at the serial");

    let wanted: BTreeSet<String> = (0..CLIENTS).flat_map(|c| (0..VALUES / CLIENTS).map(move |n| value(c, n))).collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    assert_eq!(wanted.len(), VALUES);
    world.served(&domain.name, RecordType::TXT, &wanted).await;
    let listed = api.records(&domain).await;
    let unquoted = |value: &Value| value.as_str().unwrap_or_default().trim_matches('"').to_owned();
    let contents: BTreeSet<String> = listed.iter().map(|record| unquoted(&record["content"])).collect();
    assert_eq!(contents.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
    let listed_ids: BTreeSet<String> = listed.iter().map(|record| unquoted(&record["id"])).collect();
    assert_eq!(listed_ids, ids);

    let audit = world.audit("action=record.create").await;
    let audited: Vec<&Value> =
        audit.iter().filter(|entry| entry["details"]["after"]["name"] == domain.name.as_str()).collect();
    assert_eq!(audited.len(), VALUES);
    let audited: BTreeSet<String> =
        audited.iter().map(|entry| unquoted(&entry["details"]["after"]["content"])).collect();
    assert_eq!(audited.iter().map(String::as_str).collect::<Vec<_>>(), wanted);

    let now = stored(world, &domain).await;
    assert_eq!(now.revision - born.revision, VALUES as u64);
    let batches = world_count(world, "SELECT COUNT(DISTINCT batch_id)", &domain).await;
    let changes = world_count(world, "SELECT COUNT(*)", &domain).await;
    let revisions = world_count(world, "SELECT COUNT(DISTINCT revision)", &domain).await;
    assert_eq!((changes, revisions), (now.revision, now.revision), "one revision a change");
    assert_eq!(u64::from(now.serial - born.serial), batches - 1, "one step of the serial a batch");
    let came = came_in_history(world, &domain).await;
    assert_eq!(came.iter().map(String::as_str).collect::<Vec<_>>(), wanted, "each is in history once");
    eprintln!("{VALUES} additions in {} PATCHes, {samples} looks at the serial", batches - 1);
}

/// The TXT values that came with each change, in the order of values.
async fn came_in_history(world: &World, domain: &Domain) -> Vec<String> {
    let sql = "SELECT changes FROM zone_changes WHERE zone_id = (SELECT id FROM zones WHERE live_name = ?)";
    let rows: Vec<String> = sqlx::query_scalar(sql).bind(&domain.name).fetch_all(&world.db).await.expect("history");
    let mut came = Vec::new();
    for row in rows {
        let changes: Vec<Value> = serde_json::from_str(&row).expect("JSON");
        for change in changes.iter().filter(|change| change["type"] == "TXT") {
            let before = values(&change["before"]);
            let after = values(&change["after"]);
            came.extend(after.difference(&before).cloned());
        }
    }
    came.sort();
    came
}

fn value(client: usize, n: usize) -> String {
    format!("value of client {client}, number {n:02}")
}

struct Stored {
    revision: u64,
    serial: u32,
}

/// The serial in PowerDNS's database, the revision in ours.
async fn stored(world: &World, domain: &Domain) -> Stored {
    let revision = sqlx::query_scalar("SELECT revision FROM zones WHERE live_name = ?").bind(&domain.name);
    let soa = sqlx::query_scalar("SELECT content FROM records WHERE type = 'SOA' AND name = ?").bind(&domain.name);
    let (revision, soa): (u64, String) =
        tokio::try_join!(revision.fetch_one(&world.db), soa.fetch_one(&world.pdns_db)).expect("the zone");
    Stored { revision, serial: soa.split(' ').nth(2).and_then(|text| text.parse().ok()).expect("a serial") }
}

async fn world_count(world: &World, select: &'static str, domain: &Domain) -> u64 {
    let sql = format!("{select} FROM zone_changes WHERE zone_id = (SELECT id FROM zones WHERE live_name = ?)");
    let count: i64 =
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(&domain.name).fetch_one(&world.db).await.expect("history");
    count.unsigned_abs()
}

async fn clients_that_add_change_and_delete_through_two_replicas_leave_what_history_says() {
    let world = World::shared().await;
    let zones = ledger::zones(world, "model", 2).await;
    let load = Load::start(world, &zones, 4, seed("races"));
    load.until_acknowledged(400).await;
    let attempts = load.end().await;
    let tally = judge(world, &zones, &attempts).await;
    assert_eq!((tally.refused, tally.unknown), (0, 0), "nothing stood in the way: {tally:?}");
    eprintln!("two replicas against a model: {tally:?}");
}

async fn an_id_listed_while_others_write_is_the_id_that_stays() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "listed").await;
    let done = AtomicBool::new(false);
    let adding = async {
        let clients = replicas(world, &api, CLIENTS).into_iter().enumerate().map(|(client, api)| {
            let domain = &domain;
            async move {
                for n in 0..20 {
                    api.add(domain, &format!("host-{client}"), "TXT", &value(client, n)).await;
                }
            }
        });
        join_all(clients).await;
        done.store(true, Ordering::Relaxed);
    };
    let listing = async {
        let mut seen = BTreeMap::<String, BTreeSet<String>>::new();
        let mut lists = 0;
        while !done.load(Ordering::Relaxed) {
            let reader = api.at(&world.urls[lists % world.urls.len()]);
            for record in reader.records(&domain).await {
                let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
                seen.entry(text("content")).or_default().insert(text("id"));
            }
            lists += 1;
        }
        (seen, lists)
    };
    let ((), (seen, lists)) = tokio::join!(adding, listing);
    let moved: Vec<_> = seen.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(moved.is_empty(), "in {lists} lists {} of {} records had two ids: {:?}", moved.len(), seen.len(), moved[0]);
}

async fn of_eight_who_add_the_same_value_one_does() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "same").await;
    for n in 0..5 {
        let content = format!("192.0.2.{n}");
        let callers = replicas(world, &api, CLIENTS);
        let answers = join_all(callers.iter().map(|api| api.try_add(&domain, "www", "A", &content))).await;
        assert_one_wins(answers.iter().map(|answer| (answer.status, answer.body["code"].clone())), "record_conflict");
    }
    assert_eq!(api.records(&domain).await.len(), 5);
    let audit = world.audit("action=record.create").await;
    let name = domain.at("www");
    assert_eq!(audit.iter().filter(|entry| entry["details"]["after"]["name"] == name.as_str()).count(), 5);
}

async fn of_eight_who_delete_one_record_one_does() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "deleted").await;
    for _ in 0..5 {
        let record = api.add(&domain, "www", "A", "192.0.2.1").await;
        let path = domain.record(record["id"].as_str().expect("an id"));
        let callers = replicas(world, &api, CLIENTS);
        let answers = join_all(callers.iter().map(|api| api.delete(&path))).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [vec![204], vec![404; CLIENTS - 1]].concat());
        let id = record["id"].as_str().expect("an id");
        assert_eq!(world.actions(id).await, ["record.create", "record.delete"]);
    }
    world.answers_with(&domain.at("www"), RecordType::A, ResponseCode::NXDomain).await;
}

async fn what_is_acknowledged_while_a_domain_is_withdrawn_and_returned_is_there() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "toggled").await;
    let done = AtomicBool::new(false);
    let toggling = async {
        for n in 0..12 {
            let status = if n % 2 == 0 { "inactive" } else { "active" };
            let changed = api.at(&world.urls[n % 2]).patch(&domain.path(), json!({ "status": status })).await.ok();
            assert_eq!(changed["status"], status);
        }
        done.store(true, Ordering::Relaxed);
    };
    let adding = join_all(replicas(world, &api, 4).into_iter().enumerate().map(|(client, api)| {
        let (domain, done) = (&domain, &done);
        async move {
            let mut told = BTreeMap::new();
            for n in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let value = format!("c{client}n{n}");
                let answer = api.try_add(domain, "all", "TXT", &value).await;
                assert!(answer.status == 200 || answer.body["code"] == "domain_inactive", "{answer:?}");
                told.insert(value, answer.status);
            }
            told
        }
    }));
    let ((), told) = tokio::join!(toggling, adding);
    let told: BTreeMap<String, u16> = told.into_iter().flatten().collect();
    let acknowledged: Vec<&str> =
        told.iter().filter(|(_, status)| **status == 200).map(|(value, _)| value.as_str()).collect();
    assert!(!acknowledged.is_empty() && acknowledged.len() < told.len(), "both happened: {told:?}");
    world.served(&domain.at("all"), RecordType::TXT, &acknowledged).await;
    assert_eq!(api.records(&domain).await.len(), acknowledged.len());
}

async fn records_added_while_a_domain_goes_live_are_all_served() {
    let world = World::shared().await;
    let api = world.admin();
    let going = (0..3).map(|_| async {
        let domain = world.pending(&api, "going-live").await;
        world.publish(&domain).await;
        let live = AtomicBool::new(false);
        let checking = async {
            assert_eq!(api.check(&domain).await["is_valid"], true);
            live.store(true, Ordering::Relaxed);
        };
        let adding = join_all(replicas(world, &api, 4).into_iter().enumerate().map(|(client, api)| {
            let (domain, live) = (&domain, &live);
            async move {
                let mut added = Vec::new();
                let mut more = 2; // after it is live
                for n in 0.. {
                    more -= usize::from(live.load(Ordering::Relaxed));
                    let value = format!("c{client}n{n}");
                    api.add(domain, "all", "TXT", &value).await;
                    added.push(value);
                    if more == 0 {
                        break;
                    }
                }
                added
            }
        }));
        let ((), added) = tokio::join!(checking, adding);
        let mut added: Vec<String> = added.into_iter().flatten().collect();
        added.sort();
        world.served(&domain.at("all"), RecordType::TXT, &added.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert_eq!(api.records(&domain).await.len(), added.len());
    });
    join_all(going).await;
}

async fn of_two_tenants_who_prove_one_name_at_once_one_has_it() {
    let world = World::shared().await;
    let mut wins = [0, 0];
    for number in 0..CONTESTED {
        let name = world.fresh("raced");
        let [ours, theirs] = [world.admin(), world.other()].map(|api| api.at(&world.urls[number % 2]));
        let theirs = theirs.at(&world.urls[(number + 1) % 2]);
        let (first, second) = (ours.create_domain(&name).await, theirs.create_domain(&name).await);
        ours.add(&first, "www", "A", "192.0.2.1").await;
        theirs.add(&second, "www", "A", "192.0.2.2").await;
        world.publish(&first).await;
        world.publish_text(&name, second.challenge()).await;
        let (check, other_check) = (first.check(), second.check());
        let (one, other) = tokio::join!(ours.post_empty(&check), theirs.post_empty(&other_check));
        let winner = usize::from(other.status == 200);
        wins[winner] += 1;
        let (won, lost) = if winner == 0 { (one, other) } else { (other, one) };
        assert_eq!(won.ok()["is_valid"], true);
        lost.refused(409, "domain_claimed");
        world.served(&format!("www.{name}"), RecordType::A, &[["192.0.2.1", "192.0.2.2"][winner]]).await;
        let statuses = [ours.domain(&first).await["status"].clone(), theirs.domain(&second).await["status"].clone()];
        let expected = if winner == 0 { ["active", "pending_validation"] } else { ["pending_validation", "active"] };
        assert_eq!(statuses, expected);
    }
    eprintln!("{CONTESTED} names raced for, won {wins:?}");
}

async fn parallel_checks_of_one_validation_put_it_live_once() {
    let world = World::shared().await;
    let api = world.admin();
    for _ in 0..3 {
        let domain = world.pending(&api, "checked").await;
        api.add(&domain, "www", "A", "192.0.2.1").await;
        world.publish(&domain).await;
        let callers = replicas(world, &api, CLIENTS);
        for checked in join_all(callers.iter().map(|api| api.check(&domain))).await {
            assert_eq!(checked["is_valid"], true, "{checked}");
        }
        world.served(&domain.at("www"), RecordType::A, &["192.0.2.1"]).await;
        let successes = world.audit(&format!("resource_id={}&action=domain.validation.success", domain.id)).await;
        assert_eq!(successes.len(), 1, "{successes:?}");
        assert_eq!(stored(world, &domain).await.revision, 2, "the staged record, then going live");
        assert_eq!(world_count(world, "SELECT COUNT(*)", &domain).await, 2);
    }
}

async fn of_many_who_create_one_domain_in_a_tenant_one_does() {
    let world = World::shared().await;
    for _ in 0..4 {
        let name = world.fresh("created");
        let callers = replicas(world, &world.admin(), CLIENTS);
        let body = json!({"name": name, "domain_type": "primary"});
        let answers = join_all(callers.iter().map(|api| api.post("/domains/", body.clone()))).await;
        assert_one_wins(answers.iter().map(|answer| (answer.status, answer.body["code"].clone())), "domain_exists");
        let won = answers.into_iter().find(|answer| answer.status == 200).expect("one");
        let domain = Domain::new(won.ok());
        let created = world.audit(&format!("resource_id={}&action=domain.create", domain.id)).await;
        assert_eq!(created.len(), 1, "{created:?}");
        let listed = world.admin().get(&format!("/domains/?search={name}")).await.ok();
        assert_eq!(listed["total"], 1, "{listed}");
    }
}

/// One 200, all others 409 with this code.
fn assert_one_wins(answers: impl Iterator<Item = (u16, Value)>, code: &str) {
    let mut answers: Vec<(u16, String)> =
        answers.map(|(status, code)| (status, code.as_str().unwrap_or_default().to_owned())).collect();
    answers.sort();
    let lost = vec![(409, code.to_owned()); CLIENTS - 1];
    assert_eq!(answers, [vec![(200, String::new())], lost].concat());
}
