//! Jobs as clients and operators see them; how they are run is tested beside the worker.

use scaidns::dev::scaikey::directory;
use scaidns::dev::servers::{Probe, Server};
use scaidns::ids::JobId;
use serde_json::json;

use crate::support::{Domain, Trials, World, eventually, trials};

pub fn tests() -> Trials {
    trials![
        what_recurs_is_shown_to_the_platforms_admin_with_its_last_run,
        a_job_is_shown_to_who_may_read_its_domain_and_to_nobody_else,
        jobs_are_listed_by_page_status_and_kind,
        challenges_and_claims_end_when_their_time_is_over_once_for_two_workers,
    ]
}

/// A finished job of this domain's tenant: there is nothing a worker would do with it.
pub async fn finished_job(world: &World, domain: &Domain, kind: &str) -> String {
    let id = JobId::new();
    sqlx::query(
        "INSERT INTO jobs (id, kind, tenant_id, zone_id, requested_by, parameters, status, done, total, error, \
         created_at, started_at, finished_at, updated_at) SELECT ?, ?, tenant_id, id, '{}', 'null', 'failed', 2, 5, \
         'line 3', NOW(6), NOW(6), NOW(6), NOW(6) FROM zones WHERE name = ?",
    )
    .bind(id.0)
    .bind(kind)
    .bind(&domain.name)
    .execute(&world.db)
    .await
    .expect("a job");
    id.to_string()
}

async fn what_recurs_is_shown_to_the_platforms_admin_with_its_last_run() {
    let world = World::shared().await;
    let platform = world.platform();
    eventually("every cleaning has run", || async {
        let body = platform.get("/admin/jobs").await.ok();
        let recurring = body["recurring"].as_array().expect("a list");
        // the full pull from ScaiKey has its first run after an hour
        let cleanings = recurring.iter().filter(|job| job["name"] != "scaikey_sync");
        let mut cleanings = cleanings.filter(|job| job["last_outcome"] != "succeeded" || job["running"] == true);
        let waiting = cleanings.next();
        match waiting {
            None if recurring.len() >= 5 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let body = platform.get("/admin/jobs/").await.ok();
    let fences = body["recurring"].as_array().into_iter().flatten().find(|job| job["name"] == "fences");
    let fences = fences.expect("fences are swept");
    assert!(fences["runs"].as_u64().is_some_and(|runs| runs >= 1), "{fences}");
    assert!(fences["last_count"].is_u64() && fences["last_started_at"].is_string(), "{fences}");
    assert!(fences["next_run_at"].as_str() > fences["last_finished_at"].as_str(), "{fences}");
    for api in [world.admin(), world.admin_user(), world.other_user()] {
        api.get("/admin/jobs").await.refused(403, "permission_denied");
    }
}

async fn a_job_is_shown_to_who_may_read_its_domain_and_to_nobody_else() {
    let world = World::shared().await;
    let domain = world.pending(&world.admin(), "job").await;
    let id = finished_job(world, &domain, "test").await;
    let path = format!("/jobs/{id}");
    let job = world.admin().get(&path).await.ok();
    assert_eq!((&job["id"], &job["status"], &job["domain_id"]), (&json!(id), &json!("failed"), &json!(domain.id)));
    assert_eq!(job["progress"], json!({"done": 2, "total": 5, "message": null}));
    assert_eq!(job["error"], "line 3");
    assert!(job["created_at"].as_str().is_some_and(|time| time.ends_with('Z')), "{job}");
    assert_eq!(world.admin_user().get(&format!("{path}/")).await.ok(), job);
    assert_eq!(world.platform().get(&format!("/admin{path}")).await.ok(), job);
    for api in [world.other(), world.other_user(), world.user(directory::NORTHWIND_USER)] {
        api.get(&path).await.refused(404, "not_found");
    }
    world.admin_user().get(&format!("/admin{path}")).await.refused(403, "permission_denied");
    world.other_user().get(&format!("/admin{path}")).await.refused(404, "not_found");
    world.nobody().get(&path).await.refused(401, "unauthenticated");
    for unknown in ["job_1", "x", &JobId::new().to_string()] {
        world.admin().get(&format!("/jobs/{unknown}")).await.refused(404, "not_found");
    }
}

async fn jobs_are_listed_by_page_status_and_kind() {
    let world = World::shared().await;
    let domain = world.pending(&world.admin(), "jobs").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.insert(0, finished_job(world, &domain, "listed").await);
    }
    let platform = world.platform();
    let page = platform.get("/admin/jobs?kind=listed&page_size=2").await.ok();
    let found = |body: &serde_json::Value| {
        let jobs = body["data"].as_array().cloned().unwrap_or_default();
        jobs.iter().map(|job| job["id"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((found(&page), &page["total"], &page["total_pages"]), (ids[..2].to_vec(), &json!(3), &json!(2)));
    let cursor = page["next_cursor"].as_str().expect("another page");
    let rest = platform.get(&format!("/admin/jobs?kind=listed&page_size=2&cursor={cursor}")).await.ok();
    assert_eq!((found(&rest), &rest["next_cursor"]), (ids[2..].to_vec(), &json!(null)));
    assert_eq!(found(&platform.get("/admin/jobs?kind=listed&page=2&page_size=2").await.ok()), ids[2..]);
    assert!(found(&platform.get("/admin/jobs?kind=listed&status=running").await.ok()).is_empty());
    platform.get("/admin/jobs?status=done").await.refused(400, "invalid");
    platform.get("/admin/jobs?page=0").await.refused(422, "validation_error");
}

async fn challenges_and_claims_end_when_their_time_is_over_once_for_two_workers() {
    let mut world = World::builder("cleaning").replicas(1).without_worker().start().await;
    let api = world.admin();
    let (late, forgotten, fresh) =
        (world.pending(&api, "late").await, world.pending(&api, "forgotten").await, world.pending(&api, "fresh").await);
    let live = world.live(&api, "long-live").await;
    let move_back = async |sql: &'static str, domain: &Domain| {
        let done = sqlx::query(sql).bind(&domain.name).execute(&world.db).await.expect("moved");
        assert_eq!(done.rows_affected(), 1);
    };
    const EXPIRED: &str = "UPDATE validations SET expires_at = NOW(6) - INTERVAL 1 SECOND \
                           WHERE zone_id = (SELECT id FROM zones WHERE name = ?)";
    const OLD: &str = "UPDATE zones SET created_at = NOW(6) - INTERVAL 31 DAY WHERE name = ?";
    move_back(EXPIRED, &late).await;
    move_back(OLD, &forgotten).await;
    move_back(OLD, &live).await;
    world.start_worker().await.expect("a worker");
    let second = world.program("worker-2", &["worker"]);
    let second = Server::launch(second, Probe::Running).await.expect("another worker");
    eventually("both are dealt with", || async {
        let gone = api.get(&forgotten.path()).await.status;
        let open = api.get(&late.validation()).await.body;
        if gone == 404 && open.is_null() { Ok(()) } else { Err(format!("{gone} {open}")) }
    })
    .await;
    let actions = world.actions(&forgotten.id).await;
    assert_eq!(actions, ["domain.create", "domain.validation.start", "domain.purge"]);
    let actions = world.actions(&late.id).await;
    assert_eq!(actions, ["domain.create", "domain.validation.start", "domain.validation.failure"]);
    let told = api.check(&late).await;
    assert_eq!((&told["is_valid"], &told["message"]), (&json!(false), &json!("Challenge expired")));
    assert!(!api.get(&fresh.validation()).await.ok().is_null());
    assert_eq!(api.get(&live.path()).await.ok()["status"], "active", "what was proven stays");
    drop(second);
    world.stop().await;
}
