//! Roles of a tenant's own, and who holds a role where.

use std::time::Duration;

use reqwest::Method;
use scaidns::dev::scaikey::directory;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Trials, World, eventually, eventually_within, trials};

pub fn tests() -> Trials {
    trials![
        a_role_is_made_shown_changed_and_removed,
        a_role_holds_where_it_is_assigned_and_ends_with_its_assignment,
        nobody_gives_a_role_that_holds_more_than_it_does,
        roles_and_assignments_stay_in_their_tenant,
        a_role_held_on_the_platform_holds_in_every_tenant_and_gives_no_more_there,
    ]
}

async fn make(api: &Api, name: &str, permissions: Value) -> Value {
    api.post("/roles/", json!({"name": name, "description": "", "permissions": permissions})).await.ok()
}

fn path(role: &Value) -> String {
    format!("/roles/{}", role["id"].as_str().expect("an id"))
}

fn to(user: &str, scope: &str, id: Value) -> Value {
    let kind = if user.starts_with("grp_") { "group" } else { "user" };
    json!({"assignee_type": kind, "assignee_id": user, "scope": scope, "scope_id": id})
}

/// Until a call of every replica has this status; within a second.
async fn soon(world: &World, user: &str, call: &str, status: u16) {
    for url in &world.urls {
        let caller = world.user(user).at(url);
        eventually_within(Duration::from_secs(1), &format!("{call} is {status}"), || async {
            let answer = caller.get(call).await;
            if answer.status == status { Ok(()) } else { Err(answer.text) }
        })
        .await;
    }
}

async fn a_role_is_made_shown_changed_and_removed() {
    let world = World::private("roles-life").await;
    let admin = world.admin_user();
    let made = make(&admin, "dns-operators", json!(["domains:read", "records:*", "records:*"])).await;
    assert_eq!(made["permissions"], json!(["domains:read", "records:*"]), "{made}");
    assert_eq!(made["is_system"], false);
    assert!(made["id"].as_str().is_some_and(|id| id.starts_with("role_")), "{made}");
    assert_eq!(admin.get(&path(&made)).await.ok(), made);
    let list = admin.get("/roles/").await.ok();
    let names: Vec<&str> =
        list["data"].as_array().expect("data").iter().filter_map(|role| role["name"].as_str()).collect();
    let all = [
        "dns-operators",
        "domain_admin",
        "domain_manager",
        "platform_admin",
        "read_only",
        "record_editor",
        "tenant_admin",
        "validation_bypass",
    ];
    assert_eq!((names, &list["total"]), (all.to_vec(), &json!(8)));
    assert_eq!(admin.get("/roles").await.ok(), list, "either slash form");
    let mut walked = Vec::new();
    let mut next = String::new();
    loop {
        let page = admin.get(&format!("/roles/?page_size=3{next}")).await.ok();
        walked.extend(page["data"].as_array().expect("data").clone());
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(Some(&walked), list["data"].as_array());

    let changed = admin.patch(&path(&made), json!({"name": "operators", "permissions": ["records:read"]})).await.ok();
    assert_eq!((&changed["name"], &changed["permissions"]), (&json!("operators"), &json!(["records:read"])));
    for taken in ["Operators", "tenant_admin"] {
        admin.post("/roles/", json!({"name": taken, "permissions": []})).await.refused(409, "role_exists");
    }
    let detail =
        admin.post("/roles/", json!({"name": "x", "permissions": ["records:fly"]})).await.refused(400, "invalid");
    assert_eq!(detail["field"], "permissions");
    for bad in [
        json!({"permissions": []}),
        json!({"name": "", "permissions": []}),
        json!({"name": "x"}),
        json!({"name": "x", "permissions": [], "colour": 1}),
    ] {
        admin.post("/roles/", bad).await.refused(422, "validation_error");
    }
    let system = list["data"].as_array().expect("data").iter().find(|role| role["name"] == "read_only").expect("there");
    assert_eq!(admin.get(&path(system)).await.ok()["is_system"], true);
    assert_eq!(&admin.get("/roles/read_only").await.ok(), system, "by its name");
    admin.patch(&path(system), json!({"name": "x"})).await.refused(403, "system_role");
    admin.delete(&path(system)).await.refused(403, "system_role");

    admin.delete(&path(&made)).await.expect(204);
    admin.get(&path(&made)).await.refused(404, "not_found");
    let id = made["id"].as_str().expect("an id");
    assert_eq!(world.actions(id).await, ["role.create", "role.update", "role.delete"]);
    world.stop().await;
}

async fn a_role_holds_where_it_is_assigned_and_ends_with_its_assignment() {
    let world = World::private("roles-held").await;
    let admin = world.admin_user();
    let (domain, sibling) = (world.live(&admin, "held").await, world.pending(&admin, "apart").await);
    let record = admin.add(&domain, "www", "A", "192.0.2.1").await;
    admin.add(&domain, "api", "A", "192.0.2.2").await;
    let role = make(&admin, "readers", json!(["domains:read", "records:read", "records:update"])).await;
    let assignments = format!("{}/assignments", path(&role));
    let bob = directory::NORTHWIND_USER;
    soon(&world, bob, &domain.records(), 404).await;

    // of one domain
    let held = admin.post(&assignments, to(bob, "domain", json!(domain.id))).await.ok();
    assert_eq!(
        (&held["role"], &held["scope"], &held["scope_id"]),
        (&json!("readers"), &json!("domain"), &json!(domain.id))
    );
    assert_eq!((&held["assignee_id"], &held["created_by"]), (&json!(bob), &json!(directory::NORTHWIND_ADMIN)));
    admin.post(&assignments, to(bob, "domain", json!(domain.id))).await.refused(409, "role_already_assigned");
    soon(&world, bob, &domain.records(), 200).await;
    soon(&world, bob, &sibling.records(), 404).await;
    let me = world.user(bob).get("/me/").await.ok();
    assert_eq!(me["data"]["roles"], json!([{"role": "readers", "scope": "domain", "scope_id": domain.id}]), "{me}");
    assert_eq!(me["data"]["permissions"], json!([]));
    world.user(bob).try_add(&domain, "x", "A", "192.0.2.3").await.refused(403, "permission_denied");
    let list = admin.get(&assignments).await.ok();
    assert_eq!((&list["data"], &list["total"]), (&json!([held]), &json!(1)));
    let one = format!("{assignments}/{}", held["id"].as_str().expect("an id"));
    admin.delete(&one).await.expect(204);
    soon(&world, bob, &domain.records(), 404).await;
    admin.delete(&one).await.refused(404, "not_found");

    // of one record: all of its name and type
    let of_record = admin.post(&assignments, to(bob, "record", record["id"].clone())).await.ok();
    assert_eq!(of_record["scope_id"], record["id"]);
    soon(&world, bob, &domain.records(), 200).await;
    let seen = world.user(bob).records_where(&domain, "include_system=true").await;
    assert_eq!(seen.iter().map(|record| &record["display_name"]).collect::<Vec<_>>(), ["www"]);
    let path_of_record = domain.record(record["id"].as_str().expect("an id"));
    world.user(bob).patch(&path_of_record, json!({"ttl": 120})).await.ok();
    admin.delete(&format!("{assignments}/{}", of_record["id"].as_str().expect("an id"))).await.expect(204);
    soon(&world, bob, &domain.records(), 404).await;

    // of the tenant, through a group inside a group; a change of the role is a change for all who hold it
    let carol = directory::NORTHWIND_USER_2;
    admin.post(&assignments, to(directory::OPERATORS, "tenant", Value::Null)).await.ok();
    for user in [bob, carol] {
        soon(&world, user, &sibling.records(), 200).await;
    }
    let me = world.user(carol).get("/auth/me").await.ok();
    assert_eq!(me["data"]["permissions"], json!(["domains:read", "records:read", "records:update"]), "{me}");
    admin.patch(&path(&role), json!({"permissions": ["domains:read"]})).await.ok();
    soon(&world, carol, &sibling.records(), 403).await;
    admin.delete(&path(&role)).await.expect(204);
    soon(&world, carol, &sibling.path(), 404).await;

    // a system role, by its name
    let held = admin.post("/roles/read_only/assignments", to(carol, "tenant", Value::Null)).await.ok();
    soon(&world, carol, &domain.records(), 200).await;
    assert_eq!(admin.get("/roles/read_only/assignments").await.ok()["data"], json!([held]));
    let actions = world.actions(role["id"].as_str().expect("an id")).await;
    assert_eq!(
        actions,
        [
            "role.create",
            "role.assign",
            "role.revoke",
            "role.assign",
            "role.revoke",
            "role.assign",
            "role.update",
            "role.delete"
        ]
    );
    world.stop().await;
}

async fn nobody_gives_a_role_that_holds_more_than_it_does() {
    let world = World::private("roles-measure").await;
    let (admin, platform, bob) = (world.admin_user(), world.platform(), world.user(directory::NORTHWIND_USER));
    let domain = world.pending(&admin, "strong").await;
    let carol = directory::NORTHWIND_USER_2;
    // the platform's own is its admin's to give
    for beyond in ["validation:bypass", "platform:read", "platform:*", "*"] {
        admin.post("/roles/", json!({"name": "beyond", "permissions": [beyond]})).await.refused(403, "exceeds_caller");
    }
    for (role, scope) in [
        ("validation_bypass", "tenant"),
        ("platform_admin", "platform"),
        ("platform_admin", "tenant"),
        ("read_only", "platform"),
    ] {
        let call = format!("/roles/{role}/assignments");
        admin.post(&call, to(carol, scope, Value::Null)).await.refused(403, "exceeds_caller");
    }
    let bypass = make(&platform, "bypass", json!(["validation:bypass"])).await;
    let call = format!("{}/assignments", path(&bypass));
    admin.post(&call, to(directory::NORTHWIND_ADMIN, "tenant", Value::Null)).await.refused(403, "exceeds_caller");
    admin
        .patch(&path(&bypass), json!({"permissions": ["validation:bypass", "platform:read"]}))
        .await
        .refused(403, "exceeds_caller");
    admin.patch(&path(&bypass), json!({"description": "kept"})).await.ok();
    platform.post(&call, to(carol, "tenant", Value::Null)).await.ok();
    // who may hand out roles hands out no more than it holds
    let deputy = make(&admin, "deputy", json!(["roles:*", "records:read", "domains:read", "api_keys:*"])).await;
    admin
        .post(&format!("{}/assignments", path(&deputy)), to(directory::NORTHWIND_USER, "tenant", Value::Null))
        .await
        .ok();
    soon(&world, directory::NORTHWIND_USER, "/roles/", 200).await;
    bob.post("/roles/", json!({"name": "mine", "permissions": ["records:*"]})).await.refused(403, "exceeds_caller");
    bob.patch(&path(&deputy), json!({"permissions": ["roles:*", "records:write"]}))
        .await
        .refused(403, "exceeds_caller");
    bob.post("/roles/tenant_admin/assignments", to(carol, "tenant", Value::Null)).await.refused(403, "exceeds_caller");
    bob.post("/roles/record_editor/assignments", to(carol, "domain", json!(domain.id)))
        .await
        .refused(403, "exceeds_caller");
    let readers = make(&bob, "mine", json!(["records:read"])).await;
    bob.post(&format!("{}/assignments", path(&readers)), to(directory::NORTHWIND_USER, "tenant", Value::Null))
        .await
        .ok();
    // a key with fewer scopes gives fewer
    let wanted = json!({"name": "narrow", "permission_source": "user", "permission_source_id": directory::NORTHWIND_USER, "scopes": ["roles:*"]});
    let made = bob.post("/api-keys/", wanted).await.ok();
    let key = Api::with_key(&world.urls[0], made["key"].as_str().expect("a key"));
    key.post("/roles/", json!({"name": "more", "permissions": ["records:read"]})).await.refused(403, "exceeds_caller");
    // keys of somebody who holds by a role what the maker does not
    for source in [carol, directory::NORTHWIND_ADMIN] {
        let wanted = json!({"name": "stolen", "permission_source": "user", "permission_source_id": source});
        assert_eq!(bob.post("/api-keys/", wanted).await.status, 403, "{source}");
    }
    let wanted = json!({"name": "stolen", "permission_source": "user", "permission_source_id": carol});
    assert_eq!(admin.post("/api-keys/", wanted).await.status, 403, "she holds the bypass");
    world.stop().await;
}

async fn roles_and_assignments_stay_in_their_tenant() {
    let world = World::private("roles-tenant").await;
    let (admin, other) = (world.admin_user(), world.other_user());
    let role = make(&admin, "ours", json!(["domains:read"])).await;
    let domain = world.pending(&admin, "ours").await;
    let foreign = world.pending(&other, "theirs").await;
    let call = format!("{}/assignments", path(&role));
    for path in [path(&role), call.clone()] {
        other.get(&path).await.refused(404, "not_found");
    }
    other.patch(&path(&role), json!({"name": "x"})).await.refused(404, "not_found");
    other.delete(&path(&role)).await.refused(404, "not_found");
    other.post(&call, to(directory::FABRIKAM_USER, "tenant", Value::Null)).await.refused(404, "not_found");
    for (who, scope, id) in [
        (directory::FABRIKAM_USER, "tenant", Value::Null),
        (directory::NORTHWIND_USER, "tenant", json!(directory::FABRIKAM)),
        (directory::NORTHWIND_USER, "domain", json!(foreign.id)),
        (directory::NORTHWIND_USER, "domain", json!("d_nothing")),
        (directory::NORTHWIND_USER, "record", json!(domain.id)),
    ] {
        admin.post(&call, to(who, scope, id)).await.refused(404, "not_found");
    }
    admin.post(&call, to(directory::NORTHWIND_USER, "galaxy", Value::Null)).await.refused(400, "invalid");
    admin.post(&call, to(directory::NORTHWIND_USER, "domain", Value::Null)).await.refused(422, "validation_error");
    world.platform().post(&call, to(directory::NORTHWIND_USER, "platform", Value::Null)).await.refused(400, "invalid");
    // an assignment of a system role is seen in its own tenant only
    let held = admin
        .post("/roles/read_only/assignments", to(directory::NORTHWIND_USER, "domain", json!(domain.id)))
        .await
        .ok();
    assert_eq!(other.get("/roles/read_only/assignments").await.ok()["total"], 0);
    let one = format!("/roles/read_only/assignments/{}", held["id"].as_str().expect("an id"));
    other.delete(&one).await.refused(404, "not_found");
    admin.delete(&one).await.expect(204);
    world.stop().await;
}

/// A call in the other tenant, by the header.
async fn abroad(api: &Api, method: Method, path: &str, body: Option<Value>) -> Answer {
    let mut request = api.request(method, path).header("X-Tenant-ID", directory::FABRIKAM);
    if let Some(body) = body {
        request = request.json(&body);
    }
    api.send(request).await
}

async fn a_role_held_on_the_platform_holds_in_every_tenant_and_gives_no_more_there() {
    let world = World::private("roles-platform").await;
    let (platform, bob) = (world.platform(), world.user(directory::NORTHWIND_USER));
    let own = world.pending(&world.admin_user(), "ours").await;
    let foreign = world.pending(&world.other_user(), "theirs").await;
    let get = async |path: &str| abroad(&bob, Method::GET, path, None).await;
    let held = async |role: &str| {
        let call = format!("/roles/{role}/assignments");
        let held = platform.post(&call, to(directory::NORTHWIND_USER, "platform", Value::Null)).await.ok();
        format!("{call}/{}", held["id"].as_str().expect("an id"))
    };
    let until = async |path: &str, status: u16| {
        eventually(&format!("{path} is {status} there"), || async {
            let answer = get(path).await;
            if answer.status == status { Ok(()) } else { Err(answer.text) }
        })
        .await;
    };
    get("/me/").await.refused(404, "not_found");

    let read_only = held("read_only").await;
    until(&foreign.path(), 200).await;
    let listed = get("/domains/").await.ok();
    assert_eq!((&listed["total"], &listed["data"][0]["id"]), (&json!(1), &json!(foreign.id)), "{listed}");
    let context = get("/me/context").await.ok();
    assert_eq!(context["tenants"].as_array().map(Vec::len), Some(2), "{context}");
    assert_eq!(context["roles"], json!([{"role": "read_only", "scope": "platform", "scope_id": null}]), "{context}");
    assert_eq!((&context["is_platform_admin"], &context["is_tenant_admin"]), (&json!(false), &json!(false)));
    // what it gives, and no more; in the tenant acted in
    let record = json!({"name": "www", "type": "A", "content": "192.0.2.1"});
    abroad(&bob, Method::POST, &foreign.records(), Some(record)).await.refused(403, "permission_denied");
    get("/admin/users/").await.refused(403, "permission_denied");
    get("/admin/config").await.refused(403, "permission_denied");
    get(&own.path()).await.refused(404, "not_found");
    bob.get(&foreign.path()).await.refused(404, "not_found");
    bob.get(&own.path()).await.ok();
    platform.delete(&read_only).await.expect(204);
    until("/me/", 404).await;

    let admin = held("platform_admin").await;
    until("/me/", 200).await;
    let listed = world.admin_user().get("/admin/users/?search=bob@northwind.test").await.ok();
    let one = world.admin_user().get(&format!("/admin/users/{}", directory::NORTHWIND_USER)).await.ok();
    assert_eq!(listed["data"], json!([one]), "{listed}");
    assert_eq!((&one["is_platform_admin"], &one["is_tenant_admin"]), (&json!(true), &json!(true)), "{one}");
    assert_eq!(get("/me/").await.ok()["data"]["is_platform_admin"], true);
    // a key acts in the tenant that it was made in, for as long as its owner may act there
    let wanted =
        json!({"name": "there", "permission_source": "user", "permission_source_id": directory::NORTHWIND_USER});
    let made = abroad(&bob, Method::POST, "/api-keys/", Some(wanted)).await.ok();
    let key = Api::with_key(&world.urls[0], made["key"].as_str().expect("a key"));
    key.get(&foreign.path()).await.ok();
    key.get(&own.path()).await.refused(404, "not_found");
    key.get("/admin/config").await.refused(403, "permission_denied");
    platform.delete(&admin).await.expect(204);
    until("/me/", 404).await;
    let no_more = world.admin_user().get(&format!("/admin/users/{}", directory::NORTHWIND_USER)).await.ok();
    assert_eq!((&no_more["is_platform_admin"], &no_more["is_tenant_admin"]), (&json!(false), &json!(false)));
    eventually("the key's owner may no longer act there", || async {
        let answer = key.get("/me/").await;
        if answer.body["code"] == "owner_out_of_reach" { Ok(()) } else { Err(answer.text) }
    })
    .await;
    world.stop().await;
}
