//! The full pull from ScaiKey: what it brings, what it takes away, what it leaves alone, and what it costs.

use std::time::{Duration, Instant};

use scaidns::dev::scaikey::directory::{
    ACTIVE, Directory, FABRIKAM_USER, Group, Member, NORTHWIND, NORTHWIND_USER, NORTHWIND_USER_2, ON_CALL, OPERATORS,
    User,
};
use scaidns::dev::scaikey::faults::{Answers, Faults};
use scaidns::dev::scaikey::webhooks::signature;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::support::{Api, Trials, World, eventually_within, scaidns, trials};

pub fn tests() -> Trials {
    trials![
        what_is_gone_is_deactivated_and_what_comes_back_is_active_again,
        a_dry_run_says_what_would_be_done_and_does_nothing,
        an_empty_or_failed_answer_takes_nothing_away,
        a_sync_that_races_a_suspension_does_not_undo_it,
        ten_thousand_users_are_pulled_in_batches,
    ]
}

async fn sync(world: &World, more: &[&str]) -> Value {
    let arguments: Vec<&str> = ["sync", "--json"].into_iter().chain(more.iter().copied()).collect();
    let output = scaidns(&arguments, &world.env).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    serde_json::from_str(&output.stdout).expect("JSON")
}

fn counts(report: &Value, kind: &str) -> [u64; 4] {
    ["created", "updated", "unchanged", "deactivated"].map(|name| report[kind][name].as_u64().expect("a number"))
}

async fn count(world: &World, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&world.db).await.expect("a number")
}

async fn status(world: &World, user: &str) -> String {
    let query = "SELECT status FROM users WHERE scaikey_id = ?";
    sqlx::query_scalar(query).bind(user).fetch_one(&world.db).await.expect("a row")
}

async fn what_is_gone_is_deactivated_and_what_comes_back_is_active_again() {
    let world = World::private("sync-gone").await;
    let before = count(&world, "SELECT COUNT(*) FROM audit_log").await;
    let nothing_new = sync(&world, &[]).await;
    for (kind, unchanged) in [("partners", 1), ("tenants", 2), ("users", 7), ("groups", 2), ("members", 3)] {
        assert_eq!(counts(&nothing_new, kind), [0, 0, unchanged, 0], "{kind}");
    }
    assert_eq!(count(&world, "SELECT COUNT(*) FROM audit_log").await, before, "nothing happened");

    let bob: Vec<Api> = world.urls.iter().map(|url| Api::with_token(url, &world.token(NORTHWIND_USER))).collect();
    for api in &bob {
        api.get("/me/").await.ok();
    }
    let all = std::sync::Mutex::new(None::<Directory>);
    world.scaikey.change(|directory| {
        *all.lock().expect("unpoisoned") = Some(directory.clone());
        directory.users.retain(|user| user.id != NORTHWIND_USER);
        directory.groups.retain(|group| group.id != ON_CALL);
        for group in &mut directory.groups {
            group.members = vec![Member::user(NORTHWIND_USER_2)];
            group.description = "changed".into();
        }
    });
    let gone = sync(&world, &[]).await;
    assert_eq!(counts(&gone, "users"), [0, 0, 6, 1]);
    assert_eq!(counts(&gone, "groups"), [0, 1, 0, 1]);
    assert_eq!(counts(&gone, "members")[0], 1, "{gone}");
    for api in &bob {
        eventually_within(Duration::from_secs(1), "refused everywhere", || async {
            let status = api.get("/me/").await.status;
            if status == 403 { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    }
    assert_eq!(status(&world, NORTHWIND_USER).await, "inactive");
    let members = "SELECT COUNT(*) FROM group_members";
    assert_eq!(count(&world, members).await, 1, "what was in the group that is gone went with it");
    let actions: Vec<Value> = world.audit("actor_type=system&actor_id=sync").await;
    let named: Vec<&str> = actions.iter().filter_map(|entry| entry["action"].as_str()).collect();
    for action in ["user.delete", "group.delete", "group.update", "group.member_add", "group.member_remove"] {
        assert!(named.contains(&action), "{action} in {named:?}");
    }

    world.scaikey.change(|directory| *directory = all.lock().expect("unpoisoned").take().expect("kept"));
    let back = sync(&world, &[]).await;
    assert_eq!(counts(&back, "users"), [0, 1, 6, 0]);
    assert_eq!(counts(&back, "members"), [3, 0, 0, 1]);
    bob[0].get("/me/").await.ok();

    // of one tenant: the other's are left alone
    world
        .scaikey
        .change(|directory| directory.users.retain(|user| user.id != FABRIKAM_USER && user.id != NORTHWIND_USER));
    let one = sync(&world, &["--tenant", NORTHWIND]).await;
    assert_eq!(counts(&one, "users"), [0, 0, 3, 1]);
    assert_eq!(status(&world, FABRIKAM_USER).await, "active");
    world.stop().await;
}

async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let world = World::private("sync-dry").await;
    world.scaikey.change(|directory| {
        directory.users.retain(|user| user.id != FABRIKAM_USER);
        let mut tenant = directory.tenants[0].clone();
        tenant.id = "tnt_new".into();
        directory.tenants.push(tenant);
        let mut user = directory.users[0].clone();
        (user.id, user.tenant_id) = ("usr_new".into(), "tnt_new".into());
        directory.users.push(user);
        let mut group = directory.groups[0].clone();
        (group.id, group.tenant_id, group.members) =
            ("grp_new".into(), "tnt_new".into(), vec![Member::user("usr_new")]);
        directory.groups.push(group);
    });
    let tables = async || {
        let mut all = Vec::new();
        for query in [
            "SELECT COUNT(*) FROM users",
            "SELECT COUNT(*) FROM users WHERE status = 'active'",
            "SELECT COUNT(*) FROM tenants",
            "SELECT COUNT(*) FROM user_groups",
            "SELECT COUNT(*) FROM group_members",
            "SELECT COUNT(*) FROM audit_log",
        ] {
            all.push(count(&world, query).await);
        }
        let stamps: Vec<time::PrimitiveDateTime> =
            sqlx::query_scalar("SELECT stated_at FROM users ORDER BY id").fetch_all(&world.db).await.expect("rows");
        (all, stamps)
    };
    let before = tables().await;
    let dry = sync(&world, &["--dry-run"]).await;
    assert_eq!(dry["dry_run"], true);
    assert_eq!(tables().await, before);
    let wet = sync(&world, &[]).await;
    for kind in ["partners", "tenants", "users", "groups", "members"] {
        assert_eq!(wet[kind], dry[kind], "{kind}");
    }
    assert_eq!(counts(&wet, "users"), [1, 0, 6, 1]);
    assert_eq!(counts(&wet, "members"), [1, 0, 3, 0]);
    world.stop().await;
}

async fn an_empty_or_failed_answer_takes_nothing_away() {
    let world = World::private("sync-empty").await;
    let active = async || count(&world, "SELECT COUNT(*) FROM users WHERE status = 'active'").await;
    let members = async || count(&world, "SELECT COUNT(*) FROM group_members").await;
    for (answers, path) in [
        (Answers::Error, Some("/api/v1/admin/groups")),
        (Answers::Error, Some("/api/v1/admin/users")),
        (Answers::Down, None),
    ] {
        // somebody is missing, but not all that is needed to say so is heard
        world.scaikey.change(|directory| directory.users.retain(|user| user.id != FABRIKAM_USER));
        world.scaikey.set_faults(Faults { answers, path: path.map(str::to_owned), ..Faults::default() });
        let output = scaidns(&["sync"], &world.env).await;
        assert_eq!(output.code, Some(7), "{output:?}");
        assert_eq!((active().await, members().await), (7, 3), "{answers:?} at {path:?}");
    }
    world.scaikey.set_faults(Faults::default());
    world.scaikey.change(|directory| {
        directory.users.clear();
        directory.groups.clear();
        directory.tenants.clear();
    });
    let report = sync(&world, &[]).await;
    assert!(report["warnings"].as_array().is_some_and(|warnings| warnings.len() >= 3), "{report}");
    assert_eq!((active().await, members().await), (7, 3));
    assert_eq!(count(&world, "SELECT COUNT(*) FROM tenants WHERE status = 'active'").await, 2);
    world.stop().await;
}

async fn a_sync_that_races_a_suspension_does_not_undo_it() {
    let world = World::private("sync-race").await;
    // what ScaiKey says of the users is true when it is asked, and comes two seconds later
    let slow = Faults {
        answers: Answers::Slow,
        path: Some("/api/v1/admin/users".into()),
        delay_ms: 2_000,
        ..Faults::default()
    };
    world.scaikey.set_faults(slow);
    let started = OffsetDateTime::now_utc();
    let pull = tokio::spawn({
        let env = world.env.clone();
        async move { scaidns(&["sync", "--json"], &env).await }
    });
    // it has asked for the users: the tenants are stamped
    eventually_within(Duration::from_secs(20), "the pull is under way", || async {
        let query = "SELECT COUNT(*) FROM tenants WHERE stated_at >= ?";
        let started = time::PrimitiveDateTime::new(started.date(), started.time());
        let count: i64 = sqlx::query_scalar(query).bind(started).fetch_one(&world.db).await.expect("a number");
        if count == 2 { Ok(()) } else { Err(format!("{count}")) }
    })
    .await;
    for (event_type, data) in [
        ("user.suspended", json!({"id": NORTHWIND_USER})),
        ("group.member_removed", json!({"group_id": OPERATORS, "user_id": NORTHWIND_USER})),
    ] {
        let at = OffsetDateTime::now_utc();
        let timestamp = at.format(&time::format_description::well_known::Rfc3339).expect("a moment");
        let body =
            json!({"event_id": event_type, "event_type": event_type, "timestamp": timestamp, "data": data}).to_string();
        let secret = &world.env.iter().find(|(name, _)| name == "SCAIKEY_WEBHOOK_SECRET").expect("a secret").1;
        let nobody = world.nobody();
        let request = nobody.request(reqwest::Method::POST, "/webhooks/scaikey");
        let request = request.header("X-ScaiKey-Signature", signature(secret, at.unix_timestamp(), body.as_bytes()));
        assert_eq!(nobody.send(request.body(body)).await.ok()["success"], true);
    }
    let output = pull.await.expect("it ends");
    assert_eq!(output.code, Some(0), "{output:?}");
    let report: Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(report["users"]["skipped"], 1, "the suspended one has heard of something later: {report}");
    assert_eq!(status(&world, NORTHWIND_USER).await, "suspended");
    assert_eq!(count(&world, "SELECT COUNT(*) FROM group_members").await, 2, "nor is the removed member back");
    world.user(NORTHWIND_USER).get("/me/").await.expect(403);
    world.stop().await;
}

const USERS: usize = 10_000;
const GROUPS: usize = 2_000;
const MEMBERS_PER_GROUP: usize = 25;

fn fill(directory: &mut Directory) {
    let user = |n: usize| User {
        id: format!("usr_many{n:06}"),
        email: format!("user{n}@northwind.test"),
        first_name: "User".into(),
        last_name: n.to_string(),
        display_name: format!("User {n}"),
        status: ACTIVE.into(),
        tenant_id: NORTHWIND.into(),
        role: "user".into(),
        password: None,
    };
    let group = |n: usize| Group {
        id: format!("grp_many{n:06}"),
        name: format!("Group {n}"),
        description: String::new(),
        tenant_id: NORTHWIND.into(),
        group_type: "SECURITY".into(),
        status: ACTIVE.into(),
        members: (0..MEMBERS_PER_GROUP)
            .map(|m| Member::user(&format!("usr_many{:06}", (n * MEMBERS_PER_GROUP + m * 7) % USERS)))
            .collect(),
    };
    directory.users.extend((0..USERS).map(user));
    directory.groups.extend((0..GROUPS).map(group));
}

async fn ten_thousand_users_are_pulled_in_batches() {
    let world = World::builder("sync-many").replicas(1).without_worker().start().await;
    world.scaikey.change(fill);
    let statements = async || {
        let row: (String, String) =
            sqlx::query_as("SHOW GLOBAL STATUS LIKE 'Questions'").fetch_one(&world.db).await.expect("a counter");
        row.1.parse::<u64>().expect("a number")
    };
    for (run, created) in [("first", USERS as u64), ("no change", 0)] {
        let (before, began) = (statements().await, Instant::now());
        let report = sync(&world, &[]).await;
        let (took, asked) = (began.elapsed(), statements().await - before);
        println!(
            "{run} sync of {USERS} users, {GROUPS} groups, {} memberships: {took:.1?}, {asked} statements",
            GROUPS * MEMBERS_PER_GROUP
        );
        assert_eq!(report["users"]["created"], created, "{report}");
        assert_eq!(report["members"]["seen"], (GROUPS * MEMBERS_PER_GROUP + 3) as u64);
        // 20 times 500 users, 4 times 500 groups, 40 times 50 groups with their members, each some statements
        assert!(asked < 1_500, "{asked} statements");
        assert!(took < Duration::from_secs(180), "{took:?}");
    }
    assert_eq!(count(&world, "SELECT COUNT(*) FROM group_members").await, (GROUPS * MEMBERS_PER_GROUP + 3) as i64);
    world.stop().await;
}
