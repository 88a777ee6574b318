//! Every route of the API's own document, called by those who must not: a new route is covered the day it is made.

use reqwest::Method;
use scaidns::dev::scaikey::directory;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Domain, Trials, World, trials};

pub fn tests() -> Trials {
    trials![
        without_credentials_every_route_is_401,
        another_tenants_objects_are_404_on_every_route,
        every_route_has_a_row_that_says_who_may_call_it,
        a_key_that_has_ended_is_401_on_every_route,
        a_key_of_too_few_scopes_is_refused_on_every_route,
    ]
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    /// Anybody; its statuses are in [`OPEN`].
    Open,
    /// Who signs it; credentials of the API say nothing there.
    Signed,
    /// Whoever is let in: it tells of the caller alone, or of nothing that is anybody's.
    LetIn,
    /// Users, with a token: a key is 403.
    Users,
    /// Who holds this permission, of the tenant or of the object; `records:*`: any of them, as what it does asks.
    Holds(&'static str),
    /// The platform's admin.
    Platform,
}

/// Every route of the product. One that is not here fails the tests below: whoever adds it says who may call it.
const ROUTES: &[(&str, &str, Who)] = &[
    ("GET", "/health/live", Who::Open),
    ("GET", "/health/ready", Who::Open),
    ("GET", "/api/v1/auth/config", Who::Open),
    ("POST", "/api/v1/auth/token", Who::Open),
    ("POST", "/api/v1/auth/refresh", Who::Open),
    ("POST", "/api/v1/auth/validate", Who::Open),
    ("POST", "/api/v1/webhooks/scaikey", Who::Signed),
    ("POST", "/api/v1/auth/logout", Who::Users),
    ("GET", "/api/v1/auth/me", Who::LetIn),
    ("GET", "/api/v1/me/", Who::LetIn),
    ("GET", "/api/v1/me/context", Who::LetIn),
    ("POST", "/api/v1/me/permissions/check", Who::LetIn),
    ("GET", "/api/v1/domains/types", Who::LetIn),
    ("GET", "/api/v1/domains/", Who::Holds("domains:read")),
    ("POST", "/api/v1/domains/", Who::Holds("domains:create")),
    ("GET", "/api/v1/domains/{id}", Who::Holds("domains:read")),
    ("PATCH", "/api/v1/domains/{id}", Who::Holds("domains:update")),
    ("DELETE", "/api/v1/domains/{id}", Who::Holds("domains:delete")),
    ("POST", "/api/v1/domains/{id}/restore", Who::Holds("domains:delete")),
    ("GET", "/api/v1/domains/{id}/validation", Who::Holds("domains:read")),
    ("POST", "/api/v1/domains/{id}/validation", Who::Holds("domains:update")),
    ("DELETE", "/api/v1/domains/{id}/validation", Who::Holds("domains:update")),
    ("POST", "/api/v1/domains/{id}/validation/check", Who::Holds("domains:update")),
    ("GET", "/api/v1/domains/{id}/records", Who::Holds("records:read")),
    ("POST", "/api/v1/domains/{id}/records", Who::Holds("records:create")),
    ("POST", "/api/v1/domains/{id}/records/check", Who::Holds("records:create")),
    ("POST", "/api/v1/domains/{id}/records/bulk", Who::Holds("records:create")),
    ("GET", "/api/v1/domains/{id}/records/{rid}", Who::Holds("records:read")),
    ("PATCH", "/api/v1/domains/{id}/records/{rid}", Who::Holds("records:update")),
    ("DELETE", "/api/v1/domains/{id}/records/{rid}", Who::Holds("records:delete")),
    ("POST", "/api/v1/domains/{id}/records/search", Who::Holds("records:read")),
    ("POST", "/api/v1/domains/{id}/records/bulk-delete", Who::Holds("records:delete")),
    ("PUT", "/api/v1/domains/{id}/rrsets", Who::Holds("records:*")),
    ("PATCH", "/api/v1/domains/{id}/rrsets", Who::Holds("records:*")),
    ("GET", "/api/v1/domains/{id}/changes", Who::Holds("records:read")),
    ("GET", "/api/v1/domains/{id}/changes/diff", Who::Holds("records:read")),
    ("GET", "/api/v1/domains/{id}/changes/{chg}", Who::Holds("records:read")),
    ("POST", "/api/v1/domains/{id}/changes/{chg}/revert", Who::Holds("records:*")),
    ("POST", "/api/v1/domains/{id}/restore-revision", Who::Holds("records:*")),
    ("GET", "/api/v1/domains/{id}/dnssec", Who::Holds("dnssec:read")),
    ("POST", "/api/v1/domains/{id}/dnssec/enable", Who::Holds("dnssec:enable")),
    ("POST", "/api/v1/domains/{id}/dnssec/disable", Who::Holds("dnssec:disable")),
    ("POST", "/api/v1/domains/{id}/dnssec/rotate-zsk", Who::Holds("dnssec:rotate")),
    ("POST", "/api/v1/domains/{id}/dnssec/rotate-ksk", Who::Holds("dnssec:rotate")),
    ("POST", "/api/v1/domains/{id}/dnssec/confirm-ds-published", Who::Holds("dnssec:rotate")),
    ("GET", "/api/v1/domains/{id}/export", Who::Holds("records:read")),
    ("GET", "/api/v1/domains/{id}/export/download", Who::Holds("records:read")),
    ("POST", "/api/v1/domains/{id}/import/text", Who::Holds("records:*")),
    ("POST", "/api/v1/domains/{id}/import/file", Who::Holds("records:*")),
    ("POST", "/api/v1/domains/{id}/import/preview", Who::Holds("records:*")),
    ("POST", "/api/v1/domains/{id}/import/axfr", Who::Holds("records:*")),
    ("GET", "/api/v1/domains/{id}/access-grants", Who::Holds("access_grants:read")),
    ("POST", "/api/v1/domains/{id}/access-grants", Who::Holds("access_grants:create")),
    ("GET", "/api/v1/domains/{id}/access-grants/{grant_id}", Who::Holds("access_grants:read")),
    ("PATCH", "/api/v1/domains/{id}/access-grants/{grant_id}", Who::Holds("access_grants:update")),
    ("DELETE", "/api/v1/domains/{id}/access-grants/{grant_id}", Who::Holds("access_grants:delete")),
    ("POST", "/api/v1/domains/{id}/transfer", Who::Holds("domains:update")),
    ("GET", "/api/v1/reverse-zones/", Who::Holds("domains:read")),
    ("POST", "/api/v1/reverse-zones/", Who::Holds("domains:create")),
    ("POST", "/api/v1/reverse-zones/preview", Who::LetIn),
    ("GET", "/api/v1/reverse-zones/lookup/{ip}", Who::LetIn),
    ("GET", "/api/v1/reverse-zones/{id}/ptr", Who::Holds("records:read")),
    ("POST", "/api/v1/reverse-zones/{id}/ptr", Who::Holds("records:create")),
    ("POST", "/api/v1/reverse-zones/{id}/ptr/bulk", Who::Holds("records:create")),
    ("DELETE", "/api/v1/reverse-zones/{id}/ptr/{ip}", Who::Holds("records:delete")),
    ("GET", "/api/v1/tsig-keys/", Who::Holds("domains:read")),
    ("POST", "/api/v1/tsig-keys/", Who::Holds("domains:create")),
    ("GET", "/api/v1/tsig-keys/{tsig}", Who::Holds("domains:read")),
    ("DELETE", "/api/v1/tsig-keys/{tsig}", Who::Holds("domains:delete")),
    ("GET", "/api/v1/templates/", Who::Holds("templates:read")),
    ("POST", "/api/v1/templates/", Who::Holds("templates:create")),
    ("GET", "/api/v1/templates/variables", Who::Holds("templates:read")),
    ("GET", "/api/v1/templates/{template_id}", Who::Holds("templates:read")),
    ("PATCH", "/api/v1/templates/{template_id}", Who::Holds("templates:update")),
    ("DELETE", "/api/v1/templates/{template_id}", Who::Holds("templates:delete")),
    ("GET", "/api/v1/templates/{template_id}/required-variables", Who::Holds("templates:read")),
    ("POST", "/api/v1/templates/{template_id}/preview/{domain_id}", Who::Holds("records:create")),
    ("GET", "/api/v1/roles/", Who::Holds("roles:read")),
    ("POST", "/api/v1/roles/", Who::Holds("roles:create")),
    ("GET", "/api/v1/roles/{role_id}", Who::Holds("roles:read")),
    ("PATCH", "/api/v1/roles/{role_id}", Who::Holds("roles:update")),
    ("DELETE", "/api/v1/roles/{role_id}", Who::Holds("roles:delete")),
    ("GET", "/api/v1/roles/{role_id}/assignments", Who::Holds("roles:read")),
    ("POST", "/api/v1/roles/{role_id}/assignments", Who::Holds("roles:update")),
    ("DELETE", "/api/v1/roles/{role_id}/assignments/{assignment_id}", Who::Holds("roles:update")),
    ("GET", "/api/v1/api-keys/", Who::Users),
    ("POST", "/api/v1/api-keys/", Who::Users),
    ("GET", "/api/v1/api-keys/{key_id}", Who::Users),
    ("PATCH", "/api/v1/api-keys/{key_id}", Who::Users),
    ("DELETE", "/api/v1/api-keys/{key_id}", Who::Users),
    ("POST", "/api/v1/api-keys/{key_id}/regenerate", Who::Users),
    ("POST", "/api/v1/api-keys/{key_id}/revoke", Who::Users),
    ("POST", "/api/v1/api-keys/{key_id}/activate", Who::Users),
    ("GET", "/api/v1/admin/users/", Who::Holds("users:read")),
    ("POST", "/api/v1/admin/users/", Who::Holds("users:create")),
    ("POST", "/api/v1/admin/users/invite", Who::Holds("users:create")),
    ("GET", "/api/v1/admin/users/{user_id}", Who::Holds("users:read")),
    ("PATCH", "/api/v1/admin/users/{user_id}", Who::Holds("users:update")),
    ("DELETE", "/api/v1/admin/users/{user_id}", Who::Holds("users:delete")),
    ("POST", "/api/v1/admin/users/{user_id}/password", Who::Holds("users:update")),
    ("POST", "/api/v1/admin/users/{user_id}/resend-invite", Who::Holds("users:update")),
    ("GET", "/api/v1/admin/groups/", Who::Holds("groups:read")),
    ("POST", "/api/v1/admin/groups/", Who::Holds("groups:create")),
    ("GET", "/api/v1/admin/groups/{group_id}", Who::Holds("groups:read")),
    ("PATCH", "/api/v1/admin/groups/{group_id}", Who::Holds("groups:update")),
    ("DELETE", "/api/v1/admin/groups/{group_id}", Who::Holds("groups:delete")),
    ("GET", "/api/v1/admin/groups/{group_id}/members", Who::Holds("groups:read")),
    ("POST", "/api/v1/admin/groups/{group_id}/members", Who::Holds("groups:update")),
    ("DELETE", "/api/v1/admin/groups/{group_id}/members/{user_id}", Who::Holds("groups:update")),
    ("GET", "/api/v1/admin/tenants", Who::Platform),
    ("POST", "/api/v1/admin/tenants", Who::Platform),
    ("GET", "/api/v1/admin/tenants/{tenant_id}", Who::Platform),
    ("PATCH", "/api/v1/admin/tenants/{tenant_id}", Who::Platform),
    ("GET", "/api/v1/admin/partners", Who::Platform),
    ("GET", "/api/v1/admin/partners/{partner_id}", Who::Platform),
    ("GET", "/api/v1/admin/config", Who::Platform),
    ("GET", "/api/v1/admin/config/{key}", Who::Platform),
    ("PATCH", "/api/v1/admin/config/{key}", Who::Platform),
    ("GET", "/api/v1/admin/nameservers", Who::Platform),
    ("PUT", "/api/v1/admin/nameservers", Who::Platform),
    ("GET", "/api/v1/admin/authoritative-domains", Who::Platform),
    ("PUT", "/api/v1/admin/authoritative-domains", Who::Platform),
    ("GET", "/api/v1/admin/audit-logs/", Who::Holds("audit:read")),
    ("GET", "/api/v1/admin/audit-logs/{log_id}", Who::Holds("audit:read")),
    ("GET", "/api/v1/jobs/{job_id}", Who::Holds("domains:read")),
    ("GET", "/api/v1/admin/jobs", Who::Platform),
    ("GET", "/api/v1/admin/dnssec", Who::Platform),
    ("GET", "/api/v1/admin/jobs/{job_id}", Who::Platform),
];

fn row(operation: &Operation) -> Who {
    let found = ROUTES.iter().find(|(method, path, _)| operation.method == *method && operation.path == *path);
    let (_, _, who) = found.unwrap_or_else(|| {
        panic!("{} {} has no row in ROUTES: say there who may call it", operation.method, operation.path)
    });
    *who
}

/// Routes that anybody may call; one more needs a thought, and a line here.
/// The statuses are what a sample of the documented form meets there.
const OPEN: [(&str, &[u16]); 6] = [
    ("/health/live", &[200]),
    ("/health/ready", &[200]),
    ("/api/v1/auth/config", &[200]),
    ("/api/v1/auth/token", &[400]),
    ("/api/v1/auth/refresh", &[400]),
    ("/api/v1/auth/validate", &[200]),
];

/// Whether anybody may call this.
pub fn is_open(path: &str) -> bool {
    OPEN.iter().any(|(open, _)| *open == path)
}

/// One operation of the document.
pub struct Operation {
    pub method: Method,
    pub path: String,
    pub definition: Value,
}

impl Operation {
    /// The names in braces.
    pub fn parameters(&self) -> Vec<&str> {
        self.path.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name)).collect()
    }

    /// A body of the documented form, where it takes one.
    fn body(&self, document: &Value) -> Option<Value> {
        let schema = &self.definition["requestBody"]["content"]["application/json"]["schema"];
        (!schema.is_null()).then(|| sample(document, schema))
    }
}

/// All operations of the document that the replica serves.
pub async fn operations(api: &Api) -> (Value, Vec<Operation>) {
    let document = api.get("/openapi.json").await.ok();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, definition) in item.as_object().expect("operations") {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            if [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(&method) {
                all.push(Operation { method, path: path.clone(), definition: definition.clone() });
            }
        }
    }
    assert!(all.len() >= 20, "only {} operations", all.len());
    (document, all)
}

/// The least that has the schema's form: required fields only, from examples where there are any.
fn sample(document: &Value, schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}"));
        return sample(document, target);
    }
    for example in [&schema["example"], &schema["examples"][0], &schema["enum"][0], &schema["const"]] {
        if !example.is_null() {
            return example.clone();
        }
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        let found = schema[choice].as_array().and_then(|all| all.iter().find(|one| one["type"] != "null"));
        if let Some(found) = found {
            return sample(document, found);
        }
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"].as_array().and_then(|all| all[0].as_str()));
    match kind {
        Some("object") | None => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let fields = required.iter().filter_map(Value::as_str);
            fields.map(|name| (name.to_owned(), sample(document, &schema["properties"][name]))).collect()
        }
        Some("array") if schema["minItems"].as_u64().is_some_and(|least| least > 0) => {
            json!([sample(document, &schema["items"])])
        }
        Some("array") => json!([]),
        Some("boolean") => json!(false),
        Some("integer" | "number") => json!(1),
        Some(_) => json!("x"),
    }
}

async fn call(api: &Api, operation: &Operation, path: &str, document: &Value) -> Answer {
    api.call(operation.method.clone(), path, operation.body(document)).await
}

async fn without_credentials_every_route_is_401() {
    let world = World::shared().await;
    let (document, operations) = operations(&world.admin()).await;
    for operation in operations {
        let path = operation
            .parameters()
            .iter()
            .fold(operation.path.clone(), |path, name| path.replace(&format!("{{{name}}}"), "x"));
        let answer = call(&world.nobody(), &operation, &path, &document).await;
        if let Some((_, statuses)) = OPEN.iter().find(|(open, _)| *open == operation.path) {
            assert!(statuses.contains(&answer.status), "{answer:?}");
        } else {
            assert_eq!(answer.status, 401, "{} {}: {answer:?}", operation.method, operation.path);
            answer.refused(401, "unauthenticated");
        }
    }
}

async fn another_tenants_objects_are_404_on_every_route() {
    let world = World::shared().await;
    let admin = world.admin();
    let domain = world.live(&admin, "private").await;
    let record = admin.add(&domain, "secret", "A", "192.0.2.99").await;
    let key =
        json!({"name": "private key", "permission_source": "user", "permission_source_id": directory::NORTHWIND_ADMIN});
    let key = world.admin_user().post("/api-keys/", key).await.ok();
    let role = json!({"name": "private role", "permissions": ["domains:read"]});
    let role = world.admin_user().post("/roles/", role).await.ok();
    let assigned = json!({"assignee_type": "user", "assignee_id": directory::NORTHWIND_ADMIN, "scope": "tenant"});
    let roles = format!("/roles/{}", role["id"].as_str().expect("id"));
    let assigned = world.admin_user().post(&format!("{roles}/assignments"), assigned).await.ok();
    let grant = json!({"grant_type": "user", "grantee_id": directory::NORTHWIND_ADMIN, "role": "read_only"});
    let grant = admin.post(&format!("{}/access-grants", domain.path()), grant).await.ok();
    let entry = world.audit(&format!("resource_id={}", domain.id)).await.remove(0);
    let text = |value: &Value| value["id"].as_str().expect("id").to_owned();
    let job = crate::jobs::finished_job(world, &domain, "import").await;
    let tsig = admin.post("/tsig-keys/", json!({"name": "private"})).await.ok();
    let change = admin.get(&domain.changes()).await.ok()["data"][0].clone();
    let secret = json!({"name": "@", "type": "TXT", "content": "private"});
    let template = admin.post("/templates/", json!({"name": "private template", "records": [secret]})).await.ok();
    let objects = [
        ("id", domain.id.clone()),
        ("rid", text(&record)),
        ("key_id", text(&key)),
        ("log_id", text(&entry)),
        ("role_id", text(&role)),
        ("assignment_id", text(&assigned)),
        ("grant_id", text(&grant)),
        ("job_id", job),
        ("ip", "192.0.2.99".to_owned()),
        ("chg", text(&change)),
        ("tsig", text(&tsig)),
        ("template_id", text(&template)),
        ("domain_id", domain.id.clone()),
        ("ip", "203.0.113.77".to_owned()),
        ("user_id", directory::NORTHWIND_USER.to_owned()),
        ("group_id", directory::OPERATORS.to_owned()),
        ("tenant_id", directory::NORTHWIND.to_owned()),
        ("partner_id", directory::PARTNER.to_owned()),
    ];
    let state = async || {
        let key = world.admin_user().get(&format!("/api-keys/{}", objects[2].1)).await.ok();
        let user = world.admin_user();
        let rights = [user.get(&format!("{roles}/assignments")).await.ok(), user.get(&roles).await.ok()];
        (admin.domain(&domain).await, admin.records_where(&domain, "include_system=true").await, key, rights)
    };
    let before = state().await;

    let (document, operations) = operations(&admin).await;
    let (mut with_objects, mut collections) = (0, 0);
    for operation in &operations {
        // a setting of the platform is nobody's object, and no secret: who may not read it is told so
        let mut path = operation.path.replace("{key}", "default_ttl");
        let is_platforms = path != operation.path;
        for name in operation.parameters().into_iter().filter(|name| *name != "key") {
            let (_, id) = objects.iter().find(|(known, _)| *known == name).unwrap_or_else(|| {
                panic!("{} has the parameter {name}; give this test an object of tenant A for it", operation.path)
            });
            path = path.replace(&format!("{{{name}}}"), id);
        }
        if operation.method == Method::DELETE && path.ends_with(&domain.id) {
            path += "?hard=true";
        }
        // a token of this test's own, as one of the calls ends it
        for (who, api) in [("key", world.other()), ("token", world.user(directory::FABRIKAM_ADMIN))] {
            let answer = call(&api, operation, &path, &document).await;
            let described = format!(
                "{} {} with the other's {who}: {} {}",
                operation.method, operation.path, answer.status, answer.text
            );
            assert!(answer.status < 500, "{described}");
            for (_, id) in &objects {
                assert!(!answer.text.contains(id.as_str()), "{described}");
            }
            assert!(!answer.text.contains(&domain.name), "{described}");
            if path.starts_with("/api/v1/api-keys/") && who == "key" {
                assert_eq!(answer.status, 403, "{described}");
                continue;
            }
            if is_platforms {
                answer.refused(403, "permission_denied");
            } else if operation.parameters().is_empty() {
                collections += 1;
            } else {
                with_objects += 1;
                assert_eq!(answer.status, 404, "{described}");
                answer.refused(404, "not_found");
            }
        }
    }
    assert!(with_objects >= 20 && collections >= 5, "{with_objects} and {collections}");
    assert_eq!(state().await, before, "nothing of tenant A has changed");
}

async fn every_route_has_a_row_that_says_who_may_call_it() {
    let world = World::shared().await;
    let (_, operations) = operations(&world.admin()).await;
    for operation in &operations {
        assert_eq!(row(operation) == Who::Open, is_open(&operation.path), "{} {}", operation.method, operation.path);
    }
    for (method, path, _) in ROUTES {
        let is_there = operations.iter().any(|operation| operation.method == *method && operation.path == *path);
        assert!(is_there, "{method} {path} has a row and is no route");
    }
}

/// A key of Northwind's admin with these fields besides.
async fn key_with(world: &World, more: Value) -> (String, Api) {
    let mut body =
        json!({"name": "isolated", "permission_source": "user", "permission_source_id": directory::NORTHWIND_ADMIN});
    for (name, value) in more.as_object().expect("fields") {
        body[name] = value.clone();
    }
    let made = world.admin_user().post("/api-keys/", body).await.ok();
    let text = |name: &str| made[name].as_str().unwrap_or_else(|| panic!("no {name} in {made}")).to_owned();
    (text("id"), Api::with_key(&world.urls[0], &text("key")))
}

/// The path with objects of the tenant in it, where there are any to be had cheaply.
fn filled(operation: &Operation, domain: &Domain, record: &Value) -> String {
    let record = record["id"].as_str().expect("id");
    operation.parameters().iter().fold(operation.path.clone(), |path, name| {
        let value = match *name {
            "id" => domain.id.as_str(),
            "rid" => record,
            // a system role, so that the role is there, and a system template
            "role_id" => "read_only",
            "template_id" => "tpl_00000000000000000000000001",
            "domain_id" => domain.id.as_str(),
            "ip" => "192.0.2.1",
            "key" => "default_ttl",
            _ => "x",
        };
        path.replace(&format!("{{{name}}}"), value)
    })
}

async fn a_key_that_has_ended_is_401_on_every_route() {
    let world = World::shared().await;
    let domain = world.pending(&world.admin(), "ended").await;
    let record = world.admin().add(&domain, "www", "A", "192.0.2.1").await;
    let (revoked, ended) = key_with(world, json!({})).await;
    world.admin_user().post_empty(&format!("/api-keys/{revoked}/revoke")).await.ok();
    let (_, expired) = key_with(world, json!({"expires_at": "2020-01-01T00:00:00Z"})).await;
    let unknown = Api::with_key(&world.urls[0], &format!("sdk_live_{}", "a".repeat(43)));
    let (document, operations) = operations(&world.admin()).await;
    for operation in operations.iter().filter(|operation| row(operation) != Who::Open) {
        for (what, key) in [("revoked", &ended), ("expired", &expired), ("unknown", &unknown)] {
            let answer = call(key, operation, &filled(operation, &domain, &record), &document).await;
            assert!(!answer.text.contains(&domain.id) && !answer.text.contains(&domain.name), "{what}: {answer:?}");
            answer.refused(401, "unauthenticated");
        }
    }
    assert_eq!(world.admin().records(&domain).await, [record]);
}

async fn a_key_of_too_few_scopes_is_refused_on_every_route() {
    let world = World::shared().await;
    let domain = world.pending(&world.admin(), "scoped").await;
    let record = world.admin().add(&domain, "www", "A", "192.0.2.1").await;
    let (document, operations) = operations(&world.admin()).await;
    let all: Vec<&str> = scaidns::authz::Permission::ALL.iter().map(|permission| permission.as_str()).collect();
    let held = |permission: &&str| !permission.starts_with("platform:") && *permission != "validation:bypass";
    let mut keys: std::collections::BTreeMap<&str, Api> = std::collections::BTreeMap::new();
    for operation in &operations {
        let path = filled(operation, &domain, &record);
        let missing = match row(operation) {
            Who::Open | Who::Signed | Who::LetIn => continue,
            Who::Holds(permission) => permission,
            // whatever a key holds, it is none
            Who::Users | Who::Platform => "",
        };
        if !keys.contains_key(missing) {
            let is_missing = |permission: &&str| match missing.strip_suffix('*') {
                Some(resource) => permission.starts_with(resource),
                None => *permission == missing,
            };
            let scopes: Vec<&str> =
                all.iter().copied().filter(held).filter(|permission| !is_missing(permission)).collect();
            keys.insert(missing, key_with(world, json!({"scopes": scopes})).await.1);
        }
        let answer = call(&keys[missing], operation, &path, &document).await;
        let described = format!("{} {} without {missing:?}: {}", operation.method, path, answer.text);
        // 404 where the object is none of the domain's: nothing is told of it either
        let is_absent = answer.status == 404 && path.contains("/x");
        assert!(answer.status == 403 || is_absent, "{described}");
    }
    assert_eq!(world.admin().records(&domain).await, [record], "nothing was written");
}
