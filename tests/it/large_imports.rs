//! Files that are more than one change of a zone: left to a job, which whoever is killed does not stop, and which nobody
//! writes in between.
//!
//! `SCAIDNS_TEST_HOSTS` says how many hosts the largest has: 10,100 unless told otherwise.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use reqwest::Method;
use scaidns::dev::scaikey::directory;
use serde_json::{Value, json};

use crate::files::{as_bind_reads, as_powerdns_reads, assert_same};
use crate::support::{Answer, Api, Domain, Trials, World, eventually_within, trials};

/// More than go into one change.
const HOSTS: usize = 10_100;
/// As long as an import of a hundred thousand may take.
const PATIENCE: Duration = Duration::from_secs(900);

pub fn tests() -> Trials {
    trials![
        a_large_file_is_taken_in_as_a_whole_whoever_is_killed_and_nobody_writes_in_between,
        a_large_file_with_one_wrong_line_is_refused_before_anything_is_written,
        an_import_that_cannot_go_on_lets_go_of_its_domain_and_says_what_was_written,
        an_import_whose_parts_are_gone_fails_and_lets_go_of_its_domain,
        a_large_file_goes_into_a_domain_that_is_not_proven_yet,
    ]
}

fn hosts() -> usize {
    std::env::var("SCAIDNS_TEST_HOSTS").ok().and_then(|text| text.parse().ok()).unwrap_or(HOSTS)
}

/// One host a line.
fn file(hosts: usize) -> String {
    let mut text = "$TTL 300\n".to_owned();
    for n in 0..hosts {
        let _ = writeln!(text, "h{n} A 10.{}.{}.{}", n >> 16, (n >> 8) & 255, n & 255);
    }
    text
}

async fn import(api: &Api, domain: &Domain, mode: &str, content: &str) -> Answer {
    send(api, &format!("{}/import/text", domain.path()), mode, content).await
}

async fn send(api: &Api, path: &str, mode: &str, content: &str) -> Answer {
    let body = json!({"format": "bind", "mode": mode, "content": content});
    api.send(api.request(Method::POST, path).timeout(PATIENCE).json(&body)).await
}

fn job_of(answer: Answer) -> String {
    let body = answer.expect(202);
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{body}");
    body["job_id"].as_str().expect("an id").to_owned()
}

async fn job(api: &Api, id: &str) -> Value {
    api.get(&format!("/jobs/{id}")).await.ok()
}

/// Waits until the job is over.
async fn ended(api: &Api, id: &str) -> Value {
    eventually_within(PATIENCE, "the job is over", || async {
        let job = job(api, id).await;
        if job["finished_at"].is_null() { Err(job.to_string()) } else { Ok(()) }
    })
    .await;
    job(api, id).await
}

#[track_caller]
fn assert_busy(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.message().contains("busy with an import"), "{answer:?}");
    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0), "{answer:?}");
}

/// Whoever else wants to change the domain, at any replica.
async fn everybody_else_is_told_to_come_back(api: &Api, domain: &Domain, standing: &str) {
    let record = json!({"name": "other", "type": "A", "content": "192.0.2.1"});
    assert_busy(&api.post(&domain.records(), record.clone()).await);
    assert_busy(&api.post(&format!("{}?dry_run=true", domain.records()), record.clone()).await);
    assert_busy(&api.patch(&domain.record(standing), json!({"content": "192.0.2.2"})).await);
    assert_busy(&api.delete(&domain.record(standing)).await);
    assert_busy(&api.post(&format!("{}/bulk", domain.records()), json!({"records": [record]})).await);
    let rrset = json!({"name": "other", "type": "A", "records": [{"content": "192.0.2.1"}]});
    assert_busy(&api.put(&domain.rrsets(), json!({"rrsets": [rrset]})).await);
    assert_busy(&import(api, domain, "merge", "other A 192.0.2.1").await);
    assert_busy(&api.post(&format!("{}/restore-revision", domain.path()), json!({"revision": 1, "force": true})).await);
    assert_busy(&api.patch(&domain.path(), json!({"status": "inactive"})).await);
    assert_busy(&api.delete(&domain.path()).await);
}

/// The changes of the zone in its history, each as the RRsets that it touched.
async fn history(world: &World, domain: &Domain) -> Vec<(u64, Vec<Value>)> {
    let sql = "SELECT c.revision, c.changes FROM zone_changes c JOIN zones z ON z.id = c.zone_id WHERE z.name = ? \
               ORDER BY c.revision";
    let rows: Vec<(u64, String)> = sqlx::query_as(sql).bind(&domain.name).fetch_all(&world.db).await.expect("history");
    rows.into_iter().map(|(revision, changes)| (revision, serde_json::from_str(&changes).expect("JSON"))).collect()
}

/// Kilobytes: now, and at most so far.
fn memory(pid: i32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let lines = status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}

async fn a_large_file_is_taken_in_as_a_whole_whoever_is_killed_and_nobody_writes_in_between() {
    let hosts = hosts();
    let mut world = World::private("large_import").await;
    let quota = json!({ "max_records_per_domain": hosts + 1 });
    let query = sqlx::query("UPDATE tenants SET settings = ? WHERE scaikey_id = ?").bind(quota.to_string());
    query.bind(directory::NORTHWIND).execute(&world.db).await.expect("written");
    let api = world.admin();
    let other = api.at(&world.urls[1]);
    let domain = world.live(&api, "hosts").await;
    api.add(&domain, "gone", "A", "192.0.2.1").await;
    api.add(&domain, "h7", "A", "192.0.2.7").await;
    let standing = api.add(&domain, "h8", "A", "10.0.0.8").await["id"].as_str().expect("an id").to_owned();
    let revision = history(&world, &domain).await.last().expect("a change").0;
    let text = file(hosts);

    // an api that dies over it leaves all of it or nothing, and no domain that nobody can write to
    let cut = tokio::time::timeout(Duration::from_millis(400), import(&other, &domain, "replace", &text)).await;
    assert!(cut.is_err(), "it was faster than the kill");
    world.apis[1].kill().await;
    world.apis[1].restart().await.expect("it comes back");
    let sql = "SELECT COUNT(*) FROM jobs WHERE kind = 'import'";
    let jobs: i64 = sqlx::query_scalar(sql).fetch_one(&world.db).await.expect("counted");
    assert_eq!(jobs, 0, "it was killed after its answer was due");

    let begun = Instant::now();
    let preview = send(&api, &format!("{}/import/preview", domain.path()), "replace", &text).await.ok();
    let previewed = begun.elapsed();
    // h7 goes and comes with another address, h8 has another ttl
    assert_eq!(preview["created"], hosts - 1);
    assert_eq!((&preview["deleted"], &preview["updated"], &preview["skipped"]), (&json!(2), &json!(1), &json!(0)));
    assert_eq!(preview["changes"].as_array().map(Vec::len), Some(1_000));
    assert_eq!(preview["more_changes"], hosts + 1 - 1_000);

    let begun = Instant::now();
    let id = job_of(import(&api, &domain, "replace", &text).await);
    let answered = begun.elapsed();
    eprintln!("{hosts} hosts: preview {previewed:?}, 202 after {answered:?}, api {}", memory(world.apis[0].pid()));
    everybody_else_is_told_to_come_back(&other, &domain, &standing).await;
    eventually_within(PATIENCE, "half of it is written", || async {
        let job = job(&api, &id).await;
        if job["progress"]["done"].as_u64() >= Some(hosts as u64 / 2) { Ok(()) } else { Err(job.to_string()) }
    })
    .await;
    let worker = world.worker.as_mut().expect("a worker");
    worker.kill().await;
    let at_kill = job(&api, &id).await;
    assert_eq!(at_kill["status"], "running", "{at_kill}");
    everybody_else_is_told_to_come_back(&other, &domain, &standing).await;
    // as if its lease had run out: nobody holds it any more
    let sql = "UPDATE jobs SET look_at = NOW(6) WHERE kind = 'import'";
    sqlx::query(sql).execute(&world.db).await.expect("moved");
    let worker = world.worker.as_mut().expect("a worker");
    worker.restart().await.expect("it comes back");
    let pid = worker.pid();
    let done = ended(&api, &id).await;
    eprintln!("killed at {}; all of it after {:?}, worker {}", at_kill["progress"], begun.elapsed(), memory(pid));
    assert_eq!(done["status"], "succeeded", "{done}");
    let counts = json!({"imported_count": hosts, "created": hosts - 1, "updated": 1, "deleted": 2, "skipped": 0});
    assert_eq!((&done["result"], &done["progress"]["done"]), (&counts, &json!(hosts + 1)), "{done}");

    // all of it is there, as others read the file
    let ours = api.records(&domain).await;
    let line = |record: &Value| {
        let text = |name: &str| record[name].as_str().unwrap_or_default();
        format!("{} {} {} {}", text("name"), text("type"), record["ttl"], text("content"))
    };
    let ours = ours.iter().map(line).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hosts.zone");
    let head = format!(
        "$ORIGIN {0}.\n@ 300 IN SOA ns.elsewhere.test. h.elsewhere.test. 1 60 60 60 60\n@ 300 IN NS ns.elsewhere.test.\n",
        domain.name
    );
    std::fs::write(&path, head + &text).expect("written");
    assert_same("BIND", &ours, &as_bind_reads(&path, &domain.name).await);
    assert_same("PowerDNS", &ours, &as_powerdns_reads(&path, &domain.name).await);
    for n in [0, hosts / 2, hosts - 1] {
        let address = format!("10.{}.{}.{}", n >> 16, (n >> 8) & 255, n & 255);
        world.served(&domain.at(&format!("h{n}")), RecordType::A, &[&address]).await;
    }
    assert_eq!(api.domain(&domain).await["record_count"], hosts);

    // each change is in the history once, and leads from what was to what is
    let mut touched = BTreeMap::new();
    let mut revisions = revision;
    for (number, changes) in history(&world, &domain).await.into_iter().filter(|(number, _)| *number > revision) {
        revisions += 1;
        assert_eq!(number, revisions);
        for change in changes {
            let key = (change["name"].as_str().expect("a name").to_owned(), change["type"].to_string());
            assert_eq!(touched.insert(key, change["after"].is_null()), None, "a change is there twice: {change}");
        }
    }
    assert_eq!((touched.len(), touched.values().filter(|gone| **gone).count()), (hosts + 1, 1));
    let entries = world.audit(&format!("resource_id={}&action=domain.import", domain.id)).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    let after = &entries[0]["details"]["after"];
    assert_eq!((&after["records"], &after["complete"], &after["job_id"]), (&json!(hosts), &json!(true), &json!(id)));
    assert_eq!(entries[0]["actor_type"], "api_key", "in the name of who asked");

    // and the domain is everybody's again
    api.add(&domain, "h0", "AAAA", "2001:db8::1").await;
    let record = api.try_add(&domain, "more", "A", "192.0.2.1").await;
    record.refused(403, "quota_exceeded");
    world.stop().await;
}

async fn a_large_file_with_one_wrong_line_is_refused_before_anything_is_written() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "large-wrong").await;
    let serial = world.serial(&domain.name).await;
    let mut text = file(10_500);
    text.push_str("bad A 192.0.2.300\nh5 CNAME h6\n");
    let detail = import(&api, &domain, "merge", &text).await.refused(400, "several_errors");
    let errors = detail["errors"].as_array().expect("errors");
    let lines: Vec<&Value> = errors.iter().map(|error| &error["line"]).collect();
    assert_eq!(lines, [10_502, 10_503], "{detail}");
    let doubled = file(1_200) + &file(1_200).replace(" A 10.", " CNAME x10.");
    let detail = import(&api, &domain, "merge", &doubled).await.refused(400, "several_errors");
    assert_eq!(detail["errors"].as_array().map(Vec::len), Some(1_000), "not a hundred megabytes of errors");
    assert!(
        detail["message"].as_str().is_some_and(|message| message.starts_with("1200 lines")),
        "{}",
        detail["message"]
    );
    assert_eq!(world.serial(&domain.name).await, serial);
    api.add(&domain, "a", "A", "192.0.2.1").await;
    assert!(world.audit(&format!("resource_id={}&action=domain.import", domain.id)).await.is_empty());
}

async fn an_import_that_cannot_go_on_lets_go_of_its_domain_and_says_what_was_written() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "large-broken").await;
    let id = job_of(import(&api, &domain, "merge", &file(10_500)).await);
    let sql = "UPDATE import_parts p JOIN jobs j ON j.id = p.job_id JOIN zones z ON z.id = j.zone_id \
               SET p.changes = '[{' WHERE z.name = ? AND p.part >= 5";
    let done = sqlx::query(sql).bind(&domain.name).execute(&world.db).await.expect("spoilt");
    assert!(done.rows_affected() > 0);
    let job = ended(&api, &id).await;
    assert_eq!((&job["status"], &job["progress"]["done"]), (&json!("failed"), &json!(5_000)), "{job}");
    assert!(job["error"].as_str().is_some_and(|error| error.contains("part 5")), "{job}");
    assert_eq!(api.domain(&domain).await["record_count"], 5_000);
    let entries = world.audit(&format!("resource_id={}&action=domain.import", domain.id)).await;
    let after = &entries[0]["details"]["after"];
    assert_eq!(
        (entries.len(), &after["records"], &after["complete"]),
        (1, &json!(5_000), &json!(false)),
        "{entries:?}"
    );
    // whoever asks again has the rest done
    let rest = import(&api, &domain, "merge", &file(10_500)).await.ok();
    assert_eq!((&rest["created"], &rest["skipped"]), (&json!(5_500), &json!(5_000)));
}

async fn an_import_whose_parts_are_gone_fails_and_lets_go_of_its_domain() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "large-lost").await;
    let lost = format!(
        "CREATE TRIGGER lost_parts AFTER INSERT ON jobs FOR EACH ROW DELETE p FROM import_parts p \
         JOIN zones z ON z.id = NEW.zone_id AND z.name = '{}' WHERE p.job_id = NEW.id",
        domain.name
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(lost)).execute(&world.db).await.expect("a trigger");
    let id = job_of(import(&api, &domain, "merge", &file(10_500)).await);
    sqlx::raw_sql("DROP TRIGGER lost_parts").execute(&world.db).await.expect("dropped");
    let job = ended(&api, &id).await;
    assert_eq!(job["status"], "failed", "{job}");
    assert!(job["error"].as_str().is_some_and(|error| error.contains("no longer there")), "{job}");
    assert_eq!(api.domain(&domain).await["record_count"], 0);
    api.add(&domain, "www", "A", "192.0.2.1").await;
}

async fn a_large_file_goes_into_a_domain_that_is_not_proven_yet() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "large-pending").await;
    world.publish(&domain).await;
    let path = format!("{}/import/text", domain.path());
    let asked = || {
        let request = api.request(Method::POST, &path).timeout(PATIENCE).header("Idempotency-Key", &domain.id);
        request.json(&json!({"content": file(10_500)}))
    };
    let id = job_of(api.send(asked()).await);
    assert_eq!(job_of(api.send(asked()).await), id, "asked for again, it is the same job");
    assert_busy(&api.post_empty(&domain.check()).await);
    let job = ended(&api, &id).await;
    assert_eq!((&job["status"], &job["result"]["created"]), (&json!("succeeded"), &json!(10_500)), "{job}");
    assert_eq!(api.domain(&domain).await["record_count"], 10_500);
    assert_eq!(api.records_where(&domain, "name=h10499").await[0]["content"], "10.0.41.3");
    // more than PowerDNS takes in one turn of a writer
    let checked = eventually_within(PATIENCE, "the domain is live", || async {
        // a check that a request has no time for is gone on with by the next one
        let answer = api.send(api.request(Method::POST, &domain.check()).timeout(PATIENCE)).await;
        if answer.status == 200 { Ok(answer.body) } else { Err(answer.text) }
    })
    .await;
    assert_eq!(checked["is_valid"], true, "{checked}");
    for host in ["h0", "h5000", "h10499"] {
        assert!(!world.dns_values(&domain.at(host), RecordType::A).await.is_empty(), "{host}");
    }
    assert_eq!(api.domain(&domain).await["record_count"], 10_500);
}
