//! What a caller is told of itself: where it may act, and whether it may do something.

use reqwest::Method;
use scaidns::dev::scaikey::directory;
use serde_json::{Value, json};

use crate::support::{Api, Trials, World, eventually, trials};

pub fn tests() -> Trials {
    trials![
        the_context_names_the_tenants_that_may_be_acted_in,
        the_platforms_admin_lists_all_tenants_until_it_chooses_one,
        a_check_answers_as_the_doors_do,
    ]
}

fn slugs(context: &Value) -> Vec<&str> {
    context["tenants"].as_array().expect("tenants").iter().filter_map(|tenant| tenant["slug"].as_str()).collect()
}

async fn the_context_names_the_tenants_that_may_be_acted_in() {
    let world = World::shared().await;
    let alice = world.admin_user().get("/me/context").await.ok();
    assert_eq!(alice["id"], directory::NORTHWIND_ADMIN, "{alice}");
    assert_eq!((slugs(&alice).len(), &alice["tenant"]["id"]), (1, &alice["tenant_id"]), "{alice}");
    assert!(alice["partner"]["id"].as_str().is_some_and(|id| id.starts_with("p_")), "{alice}");
    for caller in [world.platform(), world.user(directory::PARTNER_ADMIN)] {
        let context = caller.get("/me/context").await.ok();
        assert_eq!(slugs(&context).len(), 2, "{context}");
        for tenant in context["tenants"].as_array().expect("tenants") {
            let request = caller.request(Method::GET, "/me/context");
            let there = caller.send(request.header("X-Tenant-ID", tenant["id"].as_str().expect("id"))).await.ok();
            assert_eq!(there["tenant"], *tenant);
        }
    }
    let key = world.admin().get("/me/context").await.ok();
    assert_eq!((slugs(&key).len(), key["api_key"].is_object()), (1, true), "{key}");
    // another tenant than may be acted in is not there, and a key has but one
    let elsewhere = |api: &Api| api.request(Method::GET, "/me/context").header("X-Tenant-ID", directory::FABRIKAM);
    world.admin_user().send(elsewhere(&world.admin_user())).await.refused(404, "not_found");
    world.admin().send(elsewhere(&world.admin())).await.refused(400, "tenant_with_key");
}

async fn the_platforms_admin_lists_all_tenants_until_it_chooses_one() {
    let world = World::shared().await;
    let platform = world.platform();
    let ours = world.pending(&world.admin_user(), "chosen").await;
    let theirs = world.pending(&world.other_user(), "chosen").await;
    let tenant = |domain: &Value| domain["tenant_id"].as_str().expect("a tenant").to_owned();
    let (northwind, fabrikam) = (tenant(&ours.body), tenant(&theirs.body));
    let list = async |path: &str, chosen: Option<&str>| {
        let mut request = platform.request(Method::GET, path);
        if let Some(chosen) = chosen {
            request = request.header("X-Tenant-ID", chosen);
        }
        platform.send(request).await.ok()
    };
    for (domain, chosen, expected) in [
        (&ours, None, 1),
        (&theirs, None, 1),
        (&ours, Some(&northwind), 1),
        (&theirs, Some(&northwind), 0),
        (&ours, Some(&fabrikam), 0),
        (&theirs, Some(&fabrikam), 1),
    ] {
        let found = list(&format!("/domains/?search={}", domain.name), chosen.map(String::as_str)).await;
        assert_eq!(found["total"], expected, "{chosen:?}: {found}");
        list(&domain.path(), chosen.map(String::as_str)).await;
    }
    for path in ["/admin/users/", "/admin/groups/", "/admin/audit-logs/"] {
        for chosen in [&northwind, &fabrikam] {
            let found = list(&format!("{path}?page_size=100"), Some(chosen)).await;
            let data = found["data"].as_array().expect("data");
            assert!(data.iter().all(|item| item["tenant_id"] == **chosen), "{path} {chosen}: {found}");
            assert!(!data.is_empty() || path == "/admin/groups/", "{path} {chosen}");
        }
    }
    let everybody = list("/admin/users/?page_size=100", None).await;
    let homes: std::collections::BTreeSet<String> =
        everybody["data"].as_array().expect("data").iter().map(tenant).collect();
    assert!(homes.len() > 1, "{homes:?}");
}

async fn a_check_answers_as_the_doors_do() {
    let world = World::private("me-check").await;
    let (admin, bob) = (world.admin_user(), world.user(directory::NORTHWIND_USER));
    let domain = world.pending(&admin, "asked").await;
    let asked = async |api: &Api, body: Value| api.post("/me/permissions/check", body).await.ok()["allowed"].clone();
    let on = |permission: &str| json!({"permission": permission, "resource_type": "domain", "resource_id": domain.id});
    assert_eq!(asked(&admin, json!({"permission": "domains:create"})).await, true);
    assert_eq!(asked(&admin, json!({"permission": "platform:manage", "resource_type": "platform"})).await, false);
    assert_eq!(asked(&admin, on("records:*")).await, true);
    assert_eq!(asked(&bob, on("records:read")).await, false);
    assert_eq!(asked(&world.other_user(), on("domains:read")).await, false, "another tenant's is not there");
    let grant = json!({"grant_type": "user", "grantee_id": directory::NORTHWIND_USER, "role": "record_editor",
        "record_pattern": "*.dev", "record_types": ["A"]});
    admin.post(&format!("{}/access-grants", domain.path()), grant).await.ok();
    eventually("the grant counts", || async {
        let answer = bob.post("/me/permissions/check", on("domains:read")).await;
        if answer.body["allowed"] == true { Ok(()) } else { Err(answer.text) }
    })
    .await;
    for (permission, name, of, allowed) in [
        ("records:create", "a.dev", "A", true),
        ("records:create", "a.dev", "TXT", false),
        ("records:create", "www", "A", false),
        ("records:delete", "a.dev", "A", false),
    ] {
        let mut question = on(permission);
        (question["record_name"], question["record_type"]) = (json!(name), json!(of));
        assert_eq!(asked(&bob, question.clone()).await, allowed, "{question}");
    }
    assert_eq!(asked(&bob, on("records:create")).await, false, "not in the whole domain");
    for (field, value) in [("permission", "records:fly"), ("resource_type", "galaxy"), ("record_type", "FLY")] {
        let mut question = on("records:read");
        question[field] = json!(value);
        let detail = admin.post("/me/permissions/check", question).await.refused(400, "invalid");
        assert_eq!(detail["field"], field, "{detail}");
    }
    world.stop().await;
}
