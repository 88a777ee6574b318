//! What ScaiKey tells: signed, each event once, in whatever order; and what is told in vain is tried again.

use std::time::Duration;

use reqwest::Method;
use scaidns::dev::scaikey::directory::{FABRIKAM, NORTHWIND, OPERATORS, PARTNER};
use scaidns::dev::scaikey::webhooks::signature;
use serde_json::{Value, json};
use sqlx::Row;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::{Answer, Api, Trials, World, eventually, eventually_within, trials};

const PATH: &str = "/webhooks/scaikey";

pub fn tests() -> Trials {
    trials![
        only_what_is_signed_freshly_and_as_it_came_is_taken,
        a_user_comes_changes_is_suspended_and_goes,
        an_event_counts_once_and_by_its_time_not_by_its_arrival,
        what_cannot_be_taken_in_yet_is_kept_and_taken_in_later,
        members_come_and_go_and_go_with_their_group,
        a_tenant_or_a_partner_that_is_suspended_is_refused_within_a_second,
        what_is_not_known_is_ignored,
        what_can_never_be_taken_in_is_said_and_not_kept,
        an_application_speaks_of_a_user_only_in_passing,
    ]
}

fn secret(world: &World) -> String {
    world.env.iter().find(|(name, _)| name == "SCAIKEY_WEBHOOK_SECRET").expect("a secret").1.clone()
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// An event that happened `seconds` from now.
fn event(event_type: &str, seconds: f64, data: Value) -> Value {
    let at = now() + time::Duration::seconds_f64(seconds);
    json!({
        "event_id": format!("evt_{:032x}", rand::random::<u128>()),
        "event_type": event_type,
        "timestamp": at.format(&Rfc3339).expect("a moment"),
        "data": data,
    })
}

fn new_id(prefix: &str) -> String {
    format!("{prefix}_{:026x}", rand::random::<u64>())
}

async fn send_raw(world: &World, header: Option<&str>, body: &str) -> Answer {
    let nobody = world.nobody();
    let mut request = nobody.request(Method::POST, PATH).header("Content-Type", "application/json");
    if let Some(header) = header {
        request = request.header("X-ScaiKey-Signature", header);
    }
    nobody.send(request.body(body.to_owned())).await
}

async fn send(world: &World, event: &Value) -> Value {
    let body = event.to_string();
    let header = signature(&secret(world), now().unix_timestamp(), body.as_bytes());
    send_raw(world, Some(&header), &body).await.ok()
}

/// What is sent is taken in at once; by the worker a moment later, where others are in each other's way.
async fn told(world: &World, event: &Value) {
    let answer = send(world, event).await;
    if answer["message"].as_str().is_some_and(|message| message.ends_with("the database is busy")) {
        return eventually("the worker takes it in", || async {
            let query = sqlx::query_scalar("SELECT state FROM webhook_events WHERE event_id = ?");
            let state: Option<String> =
                query.bind(event["event_id"].as_str()).fetch_optional(&world.db).await.map_err(|e| e.to_string())?;
            if state.as_deref() == Some("done") { Ok(()) } else { Err(format!("{state:?}")) }
        })
        .await;
    }
    let message = format!("Event {} processed successfully", event["event_type"].as_str().expect("a type"));
    assert_eq!(answer, json!({"success": true, "message": message, "event_id": event["event_id"]}));
}

/// A user's row: status, name and whether there is one.
async fn user(world: &World, id: &str) -> Option<(String, String)> {
    let query = "SELECT status, name FROM users WHERE scaikey_id = ?";
    let row = sqlx::query(query).bind(id).fetch_optional(&world.db).await.expect("a look");
    row.map(|row| (row.get("status"), row.get("name")))
}

async fn only_what_is_signed_freshly_and_as_it_came_is_taken() {
    let world = World::shared().await;
    let secret = secret(world);
    let id = new_id("usr");
    let event = event("user.created", 0.0, json!({"id": id, "email": "x@northwind.test", "tenant_id": NORTHWIND}));
    let body = event.to_string();
    let t = now().unix_timestamp();
    let good = signature(&secret, t, body.as_bytes());
    let altered = body.replace("x@northwind.test", "y@northwind.test");
    let again = serde_json::to_string_pretty(&event).expect("JSON");
    for (header, body, why) in [
        (None, body.as_str(), "no signature"),
        (Some(String::new()), &body, "an empty one"),
        (Some(good.clone()), &altered, "an altered body"),
        (Some(good.clone()), &again, "the same, written otherwise"),
        (Some(signature(&secret, t - 301, body.as_bytes())), &body, "a replay after 300 seconds"),
        (Some(signature(&secret, t + 310, body.as_bytes())), &body, "one from the future"),
        (Some(signature("another secret", t, body.as_bytes())), &body, "another secret"),
        (Some(format!("t={t}")), &body, "no v1"),
        (Some(good.replace("v1=", "v0=")), &body, "no v1 but a v0"),
        (Some(good.split_once(',').expect("two parts").1.to_owned()), &body, "no moment"),
        (Some(good.clone()), "", "no body"),
    ] {
        let answer = send_raw(world, header.as_deref(), body).await;
        assert_eq!(answer.status, 401, "{why}: {answer:?}");
        answer.refused(401, "unauthenticated");
    }
    assert_eq!(user(world, &id).await, None, "nothing of it was taken in");
    // what is no event is looked at only once its signature is good
    let nonsense = "{\"data\": 1";
    let header = signature(&secret, t, nonsense.as_bytes());
    send_raw(world, Some(&header), nonsense).await.refused(422, "validation_error");
    assert_eq!(send_raw(world, Some(&good), &body).await.ok()["success"], true);
    assert!(user(world, &id).await.is_some());
}

async fn a_user_comes_changes_is_suspended_and_goes() {
    let world = World::shared().await;
    let id = new_id("usr");
    let full = json!({
        "id": id, "email": format!("{id}@northwind.test"), "first_name": "Grace", "last_name": "Hopper", "more": [1],
    });
    let mut created = event("user.created", -60.0, full);
    created["tenant_id"] = json!(NORTHWIND);
    created["resource"] = json!({"type": "user", "id": id});
    told(world, &created).await;
    assert_eq!(user(world, &id).await, Some(("active".into(), "Grace Hopper".into())));

    world.scaikey.change(|directory| {
        let mut known = directory.users[2].clone();
        known.id = id.clone();
        known.email = format!("{id}@northwind.test");
        directory.users.push(known);
    });
    let grace: Vec<Api> = world.urls.iter().map(|url| Api::with_token(url, &world.token(&id))).collect();
    for api in &grace {
        api.get("/me/").await.ok();
    }
    told(world, &event("user.suspended", -50.0, json!({"user_id": id}))).await;
    for api in &grace {
        eventually_within(Duration::from_secs(1), "refused everywhere", || async {
            let status = api.get("/me/").await.status;
            if status == 403 { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    }
    told(world, &event("user.activated", -40.0, json!({"user": {"id": id}}))).await;
    grace[0].get("/me/").await.ok();
    told(world, &event("user.updated", -30.0, json!({"id": id, "display_name": "Amazing Grace"}))).await;
    assert_eq!(user(world, &id).await, Some(("active".into(), "Amazing Grace".into())));
    told(world, &event("user.deleted", -20.0, json!({"id": id}))).await;
    assert_eq!(user(world, &id).await, Some(("inactive".into(), "Amazing Grace".into())));
    grace[0].get("/me/").await.expect(403);

    let ours: String = sqlx::query_scalar("SELECT HEX(id) FROM users WHERE scaikey_id = ?")
        .bind(&id)
        .fetch_one(&world.db)
        .await
        .expect("a row");
    let ours = scaidns::ids::UserId(uuid::Uuid::parse_str(&ours).expect("an id")).to_string();
    let entries = world.audit(&format!("resource_id={ours}")).await;
    let actions: Vec<&str> = entries.iter().filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(actions, ["user.create", "user.suspend", "user.activate", "user.update", "user.delete"]);
    assert!(entries.iter().all(|entry| entry["actor_type"] == "webhook"), "{entries:?}");
    assert_eq!(entries[1]["details"]["after"]["status"], "suspended");
}

async fn an_event_counts_once_and_by_its_time_not_by_its_arrival() {
    let world = World::shared().await;
    let id = new_id("usr");
    let named = |name: &str| json!({"id": id, "display_name": name, "tenant": {"id": NORTHWIND}});
    let first = event("user.created", -60.0, named("first"));
    told(world, &first).await;
    told(world, &event("user.updated", -20.0, named("third"))).await;
    told(world, &event("user.updated", -40.0, named("second, late"))).await;
    assert_eq!(user(world, &id).await, Some(("active".into(), "third".into())));

    // told again, even with another content: no effect
    let mut again = first.clone();
    again["timestamp"] = event("x", 0.0, json!({}))["timestamp"].clone();
    again["data"]["display_name"] = json!("again");
    assert_eq!(send(world, &again).await["success"], true);
    assert_eq!(user(world, &id).await, Some(("active".into(), "third".into())));

    // of one moment: what is equal applies, but what ends wins
    let mut suspended = event("user.suspended", 0.0, json!({"id": id}));
    let mut activated = event("user.activated", 0.0, json!({"id": id}));
    activated["timestamp"] = suspended["timestamp"].clone();
    told(world, &suspended).await;
    told(world, &activated).await;
    assert_eq!(user(world, &id).await.expect("a row").0, "suspended");
    suspended["event_id"] = json!(format!("{id}-deleted"));
    suspended["event_type"] = json!("user.deleted");
    told(world, &suspended).await;
    assert_eq!(user(world, &id).await.expect("a row").0, "inactive");

    // deleted before it is created, as it arrives
    let late = new_id("usr");
    told(world, &event("user.deleted", -10.0, json!({"id": late, "tenant_id": NORTHWIND}))).await;
    told(world, &event("user.created", -30.0, json!({"id": late, "tenant_id": NORTHWIND}))).await;
    assert_eq!(user(world, &late).await.expect("a row").0, "inactive");
}

async fn what_cannot_be_taken_in_yet_is_kept_and_taken_in_later() {
    let world = World::shared().await;
    let (tenant, id) = (new_id("tnt"), new_id("usr"));
    let early = event("user.created", -10.0, json!({"id": id, "email": "e@new.test", "tenant_id": tenant}));
    let answer = send(world, &early).await;
    assert_eq!((&answer["success"], &answer["event_id"]), (&json!(false), &early["event_id"]), "{answer}");
    assert_eq!(user(world, &id).await, None);
    let partner = json!({"id": tenant, "name": "New", "slug": tenant, "partner_id": PARTNER, "status": "ACTIVE"});
    told(world, &event("tenant.created", -20.0, partner)).await;
    eventually("the worker takes it in", || async {
        user(world, &id).await.map(drop).ok_or_else(|| "not there".to_owned())
    })
    .await;
    let state: String = sqlx::query_scalar("SELECT state FROM webhook_events WHERE event_id = ?")
        .bind(early["event_id"].as_str())
        .fetch_one(&world.db)
        .await
        .expect("kept");
    assert_eq!(state, "done");
}

/// Whether the user is in the group, as the mirror has it.
async fn is_member(world: &World, group: &str, user: &str) -> bool {
    let query = "SELECT 1 FROM group_members m JOIN user_groups g ON g.id = m.group_id JOIN users u ON u.id = m.member_id \
                 WHERE m.member_type = 'user' AND g.scaikey_id = ? AND u.scaikey_id = ?";
    let row = sqlx::query(query).bind(group).bind(user).fetch_optional(&world.db).await;
    row.expect("a look").is_some()
}

async fn members_come_and_go_and_go_with_their_group() {
    let world = World::shared().await;
    let (group, id) = (new_id("grp"), new_id("usr"));
    told(world, &event("user.created", -90.0, json!({"id": id, "tenant_id": NORTHWIND}))).await;
    let said = json!({"id": group, "name": group, "tenant_id": NORTHWIND, "group_type": "SECURITY"});
    told(world, &event("group.created", -90.0, said.clone())).await;
    let pair = json!({"group_id": group, "user_id": id});
    told(world, &event("group.member_added", -80.0, pair.clone())).await;
    assert!(is_member(world, &group, &id).await);
    told(world, &event("group.member_removed", -60.0, pair.clone())).await;
    assert!(!is_member(world, &group, &id).await);
    told(world, &event("group.member_added", -70.0, pair.clone())).await;
    assert!(!is_member(world, &group, &id).await, "older than what is known");
    let mut added = event("group.member_added", -50.0, pair.clone());
    told(world, &added).await;
    assert!(is_member(world, &group, &id).await);
    added["event_id"] = json!(format!("{group}-removed"));
    added["event_type"] = json!("group.member_removed");
    told(world, &added).await;
    assert!(!is_member(world, &group, &id).await, "of one moment, the end counts");
    told(world, &event("group.member_added", -40.0, pair.clone())).await;
    told(world, &event("group.deleted", -30.0, json!({"id": group}))).await;
    assert!(!is_member(world, &group, &id).await);
    told(world, &event("group.updated", -20.0, json!({"id": group, "status": "ACTIVE"}))).await;
    assert!(!is_member(world, &group, &id).await, "what comes back comes back empty");
    for application in ["application.user_assigned", "application.user_unassigned"] {
        told(world, &event(application, -10.0, json!({"application_id": "app_1", "user_id": id}))).await;
    }
    assert!(is_member(world, OPERATORS, scaidns::dev::scaikey::directory::NORTHWIND_USER).await);
}

async fn a_tenant_or_a_partner_that_is_suspended_is_refused_within_a_second() {
    let world = World::private("webhooks-tenant").await;
    let refused_within_a_second = async |api: &Api| {
        for url in &world.urls {
            let api = api.at(url);
            eventually_within(Duration::from_secs(1), "refused everywhere", || async {
                let status = api.get("/me/").await.status;
                if status == 403 { Ok(()) } else { Err(status.to_string()) }
            })
            .await;
        }
    };
    for api in [&world.other(), &world.other_user(), &world.admin()] {
        for url in &world.urls {
            api.at(url).get("/me/").await.ok();
        }
    }
    let status = |id: &str, status: &str| json!({"id": id, "status": status});
    told(&world, &event("tenant.updated", 1.0, status(FABRIKAM, "SUSPENDED"))).await;
    refused_within_a_second(&world.other()).await;
    refused_within_a_second(&world.other_user()).await;
    world.admin().get("/me/").await.ok();
    told(&world, &event("tenant.updated", 2.0, status(FABRIKAM, "ACTIVE"))).await;
    world.other().get("/me/").await.ok();
    told(&world, &event("tenant.deleted", 3.0, json!({"id": FABRIKAM}))).await;
    refused_within_a_second(&world.other()).await;
    told(&world, &event("partner.updated", 1.0, status(PARTNER, "SUSPENDED"))).await;
    refused_within_a_second(&world.admin()).await;
    let statuses: Vec<String> =
        sqlx::query_scalar("SELECT status FROM tenants ORDER BY slug").fetch_all(&world.db).await.expect("rows");
    assert_eq!(statuses, ["suspended", "active"]);
    world.stop().await;
}

async fn what_is_not_known_is_ignored() {
    let world = World::shared().await;
    let unknown = event("invoice.paid", 0.0, json!({"id": 7}));
    let answer = send(world, &unknown).await;
    assert_eq!((&answer["success"], &answer["event_id"]), (&json!(true), &unknown["event_id"]));
    for odd in [
        json!({"event_type": "invoice.paid", "timestamp": "soon"}),
        json!({"event_type": "invoice.paid", "event_id": "an event", "data": []}),
        json!({"event_type": "x".repeat(200)}),
    ] {
        assert_eq!(send(world, &odd).await["success"], true, "{odd}");
    }
}

async fn what_can_never_be_taken_in_is_said_and_not_kept() {
    let world = World::shared().await;
    let id = new_id("usr");
    let mut timeless = event("user.created", 0.0, json!({"id": id, "tenant_id": NORTHWIND}));
    timeless["timestamp"] = json!("soon");
    let nameless = event("user.created", 0.0, json!({"email": "nobody@northwind.test"}));
    for (event, why) in [(&timeless, "its timestamp is malformed"), (&nameless, "it names no user")] {
        let answer = send(world, event).await;
        let message = format!("Event user.created cannot be processed: {why}");
        assert_eq!(answer, json!({"success": false, "message": message, "event_id": event["event_id"]}));
        let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM webhook_events WHERE event_id = ?")
            .bind(event["event_id"].as_str())
            .fetch_one(&world.db)
            .await
            .expect("a look");
        assert_eq!(kept, 0, "{why}");
    }
    assert_eq!(user(world, &id).await, None);
    // an id that the inbox has no room for, or that has blanks, is one all the same, and counts once
    for odd in [format!("{id} {id}"), id.repeat(10)] {
        let known = new_id("usr");
        let mut created = event("user.created", -10.0, json!({"id": known, "tenant_id": NORTHWIND}));
        created["event_id"] = json!(odd);
        let answer = send(world, &created).await;
        let is_kept = answer["message"].as_str().is_some_and(|message| message.ends_with("the database is busy"));
        assert!(answer["success"] == true || is_kept, "{odd}: {answer}");
        eventually("the user is known", || async { user(world, &known).await.map(drop).ok_or("not yet".to_owned()) })
            .await;
        created["data"]["display_name"] = json!("again");
        assert_eq!(send(world, &created).await["message"], "Event user.created was received before");
    }
    let body = timeless.to_string();
    for no_event in [body.replace("event_type", "kind"), format!("[{body}]"), body[1..].to_owned()] {
        let header = signature(&secret(world), now().unix_timestamp(), no_event.as_bytes());
        send_raw(world, Some(&header), &no_event).await.refused(422, "validation_error");
    }
}

async fn an_application_speaks_of_a_user_only_in_passing() {
    let world = World::shared().await;
    // known: what is said beside its assignment does not count, and holds nothing off
    let id = new_id("usr");
    told(world, &event("user.created", -90.0, json!({"id": id, "display_name": "Ada", "tenant_id": NORTHWIND}))).await;
    let assigned = |id: &str| {
        let of_user = json!({"id": id, "display_name": "In passing", "status": "ACTIVE"});
        let mut assigned =
            event("application.user_assigned", -10.0, json!({"application_id": "app_1", "user": of_user}));
        // the tenant stands in the envelope
        assigned["tenant_id"] = json!(NORTHWIND);
        assigned
    };
    told(world, &assigned(&id)).await;
    assert_eq!(user(world, &id).await, Some(("active".into(), "Ada".into())));
    told(world, &event("user.suspended", -50.0, json!({"id": id}))).await;
    assert_eq!(user(world, &id).await.expect("a row").0, "suspended", "older than the assignment, and about the user");
    // not known: it is made, and hears of what is said of it itself
    let new = new_id("usr");
    told(world, &assigned(&new)).await;
    assert_eq!(user(world, &new).await, Some(("active".into(), "In passing".into())));
    told(world, &event("user.suspended", -50.0, json!({"id": new}))).await;
    assert_eq!(user(world, &new).await.expect("a row").0, "suspended");
}
