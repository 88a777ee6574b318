//! Users, groups, tenants and partners for those who administer them: written at ScaiKey, read from the mirror.

use std::time::Duration;

use scaidns::dev::scaikey::directory::{
    FABRIKAM, FABRIKAM_USER, NORTHWIND, NORTHWIND_ADMIN, NORTHWIND_USER, ON_CALL, OPERATORS, PARTNER, PASSWORD,
    SUPER_ADMIN,
};
use scaidns::dev::scaikey::faults::{Answers, Faults};
use serde_json::{Value, json};

use crate::support::{Api, Trials, World, eventually_within, login, scaidns, trials};

pub fn tests() -> Trials {
    trials![
        a_user_is_made_at_scaikey_and_can_log_in,
        a_group_and_its_members_are_kept_at_scaikey,
        nobody_changes_who_holds_more_than_he,
        tenants_and_partners_are_the_platforms,
        with_scaikey_down_people_go_on_and_writes_are_502,
    ]
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap_or_else(|| panic!("{name} in {body}"))
}

async fn a_user_is_made_at_scaikey_and_can_log_in() {
    let world = World::shared().await;
    let alice = world.admin_user();
    let email = format!("grace-{}@northwind.test", rand::random::<u32>());
    let new = json!({"email": email, "first_name": "Grace", "last_name": "Hopper", "password": PASSWORD});
    let made = alice.post("/admin/users/", new.clone()).await.ok();
    assert_eq!((text(&made, "email"), text(&made, "name"), text(&made, "status")), (&*email, "Grace Hopper", "active"));
    let (id, scaikey_id) = (text(&made, "id"), text(&made, "scaikey_user_id"));
    assert!(id.starts_with("u_") && scaikey_id.starts_with("usr_"), "{made}");
    alice.post("/admin/users/", new).await.refused(409, "scaikey_conflict");
    for name in [id, scaikey_id] {
        assert_eq!(alice.get(&format!("/admin/users/{name}")).await.ok(), made);
    }
    let found = alice.get(&format!("/admin/users/?search={}&status=active", &email[..12])).await.ok();
    assert!(found["data"].as_array().is_some_and(|all| all.contains(&made)), "{found}");

    let tokens = login::log_in(&world.nobody(), &email).await;
    let grace = Api::with_token(&world.urls[1], text(&tokens, "access_token"));
    assert_eq!(grace.get("/me/").await.ok()["data"]["id"], scaikey_id);

    let path = format!("/admin/users/{id}");
    let renamed = alice.patch(&path, json!({"display_name": "Amazing Grace"})).await.ok();
    assert_eq!(renamed["name"], "Amazing Grace");
    assert_eq!(alice.patch(&path, json!({"status": "suspended"})).await.ok()["status"], "suspended");
    eventually_within(Duration::from_secs(1), "refused at the other replica", || async {
        let status = grace.get("/me/").await.status;
        if status == 403 { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    assert_eq!(alice.patch(&path, json!({"status": "active"})).await.ok()["status"], "active");
    grace.get("/me/").await.ok();
    alice.post(&format!("{path}/password"), json!({"password": "short"})).await.refused(400, "scaikey_refused");
    alice.post(&format!("{path}/password"), json!({"password": "long enough"})).await.ok();
    alice.delete(&path).await.expect(204);
    assert_eq!(alice.get(&path).await.ok()["status"], "inactive");
    let actions: Vec<String> = world.actions(id).await;
    let expected = ["create", "update", "suspend", "activate", "password", "delete"].map(|verb| format!("user.{verb}"));
    assert_eq!(actions, expected);

    let invited = alice.post("/admin/users/invite", json!({"email": format!("i-{email}")})).await.ok();
    assert_eq!(invited["status"], "inactive");
    alice.post_empty(&format!("/admin/users/{}/resend-invite", text(&invited, "id"))).await.ok();
    alice.post("/admin/users/", json!({"email": "no address"})).await.refused(422, "validation_error");
    alice.get("/admin/users/?status=asleep").await.refused(400, "invalid");
    let elsewhere = json!({"email": format!("e-{email}"), "tenant_id": FABRIKAM});
    alice.post("/admin/users/", elsewhere).await.refused(404, "not_found");
    world.user(NORTHWIND_USER).get("/admin/users/").await.refused(403, "permission_denied");
}

async fn a_group_and_its_members_are_kept_at_scaikey() {
    let world = World::shared().await;
    let alice = world.admin_user();
    let name = format!("Night shift {}", rand::random::<u32>());
    let made = alice.post("/admin/groups/", json!({"name": name, "description": "who is awake"})).await.ok();
    assert_eq!((text(&made, "group_type"), &made["member_count"]), ("SECURITY", &json!(0)));
    let path = format!("/admin/groups/{}", text(&made, "id"));
    let members = format!("{path}/members");
    let added = alice.post(&members, json!({"user_id": NORTHWIND_USER})).await.ok();
    assert_eq!((text(&added, "member_type"), text(&added, "scaikey_id")), ("user", NORTHWIND_USER));
    alice.post(&members, json!({"user_id": NORTHWIND_USER})).await.refused(409, "scaikey_conflict");
    alice.post(&members, json!({"group_id": ON_CALL})).await.ok();
    alice.post(&members, json!({"user_id": FABRIKAM_USER})).await.refused(404, "not_found");
    alice.post(&members, json!({})).await.refused(422, "validation_error");
    let listed = alice.get(&members).await.ok();
    assert_eq!((&listed["total"], text(&listed["data"][0], "member_type")), (&json!(2), "group"));
    assert_eq!(alice.get(&path).await.ok()["member_count"], 2);
    // walked one by one, two of one name among them
    alice.post(&members, json!({"user_id": NORTHWIND_ADMIN})).await.ok();
    let mut namesakes = Vec::new();
    for number in 0..2 {
        let email = format!("twin-{number}-{}@northwind.test", rand::random::<u32>());
        let twin = alice.post("/admin/users/", json!({"email": email, "display_name": "Twin"})).await.ok();
        alice.post(&members, json!({"user_id": twin["id"]})).await.ok();
        namesakes.push(text(&twin, "id").to_owned());
    }
    let listed = alice.get(&members).await.ok();
    let (mut walked, mut next) = (Vec::new(), String::new());
    loop {
        let page = alice.get(&format!("{members}?page_size=1{next}")).await.ok();
        assert_eq!(page["total"], 5, "{page}");
        walked.extend(page["data"].as_array().expect("data").clone());
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(Some(&walked), listed["data"].as_array());
    assert!(listed["next_cursor"].is_null(), "{listed}");
    for odd in ["x", "WyJ1c2VyIiwiYSJd", "WyLDqSIsImEiLCJiIl0"] {
        alice.get(&format!("{members}?cursor={odd}")).await.refused(422, "validation_error");
    }
    for id in [NORTHWIND_ADMIN, &namesakes[0], &namesakes[1]] {
        alice.delete(&format!("{members}/{id}")).await.expect(204);
    }
    alice.delete(&format!("{members}/{NORTHWIND_USER}")).await.expect(204);
    alice.delete(&format!("{members}/{NORTHWIND_USER}")).await.refused(404, "not_found");
    assert_eq!(alice.patch(&path, json!({"description": "new"})).await.ok()["description"], "new");
    alice.post("/admin/groups/", json!({"name": "x", "group_type": "CLUB"})).await.refused(400, "invalid");
    alice.delete(&path).await.expect(204);
    assert_eq!(alice.get(&path).await.ok()["status"], "inactive");
    assert_eq!(alice.get(&path).await.ok()["member_count"], 0);
}

async fn nobody_changes_who_holds_more_than_he() {
    let world = World::shared().await;
    let alice = world.admin_user();
    let root = format!("/admin/users/{SUPER_ADMIN}");
    alice.post(&format!("{root}/password"), json!({"password": "taken over"})).await.refused(403, "exceeds_caller");
    alice.patch(&root, json!({"email": "alice2@northwind.test"})).await.refused(403, "exceeds_caller");
    alice.delete(&root).await.refused(403, "exceeds_caller");
    world.platform().get(&format!("/admin/users/{NORTHWIND_ADMIN}")).await.ok();
    assert_eq!(world.platform().get(&root).await.ok()["is_platform_admin"], true);
    alice.get(&format!("/admin/groups/{OPERATORS}")).await.ok();
}

async fn tenants_and_partners_are_the_platforms() {
    let world = World::shared().await;
    let root = world.platform();
    let partners = root.get("/admin/partners").await.ok();
    assert_eq!(partners["data"][0]["scaikey_partner_id"], PARTNER);
    root.get(&format!("/admin/partners/{PARTNER}")).await.ok();
    let found = root.get("/admin/tenants?search=northw&status=active").await.ok();
    assert_eq!(found["data"][0]["scaikey_tenant_id"], NORTHWIND);
    let id = format!("tnt_{:x}", rand::random::<u64>());
    let new = json!({"name": "New", "slug": id.replace('_', "-"), "scaikey_tenant_id": id, "partner_id": PARTNER,
        "settings": {"max_domains": 5}});
    let made = root.post("/admin/tenants", new.clone()).await.ok();
    assert_eq!((text(&made, "status"), &made["settings"]), ("active", &json!({"max_domains": 5})));
    assert!(text(&made, "created_at") > "2020", "{made}");
    root.post("/admin/tenants", new).await.refused(409, "tenant_exists");
    let path = format!("/admin/tenants/{}", text(&made, "id"));
    let change = json!({"status": "suspended", "settings": {"max_domains": 6}});
    let changed = root.patch(&path, change).await.ok();
    assert_eq!((text(&changed, "status"), &changed["settings"]["max_domains"]), ("suspended", &json!(6)));
    assert_eq!(root.patch(&path, json!({"status": "active"})).await.ok()["status"], "active");
    root.patch(&path, json!({"settings": {"max_domains": -1}})).await.refused(422, "validation_error");
    let alice = world.admin_user();
    alice.get("/admin/tenants").await.refused(403, "permission_denied");
    alice.get(&format!("/admin/tenants/{NORTHWIND}")).await.refused(403, "permission_denied");
    alice.get(&format!("/admin/tenants/{FABRIKAM}")).await.refused(404, "not_found");
    alice.get(&format!("/admin/partners/{PARTNER}")).await.refused(404, "not_found");
}

async fn with_scaikey_down_people_go_on_and_writes_are_502() {
    let world = World::private("scaikey-down").await;
    world.admin_user().get("/me/").await.ok();
    world.user(NORTHWIND_USER).at(&world.urls[1]).get("/me/").await.ok();
    world.scaikey.set_faults(Faults { answers: Answers::Down, ..Faults::default() });
    for url in &world.urls {
        world.admin_user().at(url).get("/me/").await.ok();
        world.admin().at(url).get("/domains/").await.ok();
        world.user(NORTHWIND_USER).at(url).get("/me/").await.ok();
    }
    let new = json!({"email": "late@northwind.test"});
    world.admin_user().post("/admin/users/", new.clone()).await.refused(502, "upstream_unavailable");
    world.admin_user().get("/admin/users/").await.ok();
    assert_eq!(world.readiness().await.0, 200, "reported, not fatal");
    // meanwhile somebody goes; nobody hears of it
    world.scaikey.change(|directory| directory.users.retain(|user| user.id != NORTHWIND_USER));
    assert_ne!(scaidns(&["sync"], &world.env).await.code, Some(0));
    world.scaikey.set_faults(Faults::default());
    assert_eq!(scaidns(&["sync"], &world.env).await.code, Some(0));
    world.admin_user().post("/admin/users/", new).await.ok();
    let bob = format!("/admin/users/{NORTHWIND_USER}");
    assert_eq!(world.admin_user().get(&bob).await.ok()["status"], "inactive", "the mirror has caught up");
    world.stop().await;
}
