//! Every route of the API's own document, called by those who must not: a new route is covered the day it is made.

use reqwest::Method;
use scaidns::dev::scaikey::directory;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Trials, World, trials};

pub fn tests() -> Trials {
    trials![without_credentials_every_route_is_401, another_tenants_objects_are_404_on_every_route]
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
    let entry = world.audit(&format!("resource_id={}", domain.id)).await.remove(0);
    let text = |value: &Value| value["id"].as_str().expect("id").to_owned();
    let job = crate::jobs::finished_job(world, &domain, "import").await;
    let change = admin.get(&domain.changes()).await.ok()["data"][0].clone();
    let objects = [
        ("id", domain.id.clone()),
        ("rid", text(&record)),
        ("key_id", text(&key)),
        ("log_id", text(&entry)),
        ("job_id", job),
        ("chg", text(&change)),
    ];
    let state = async || {
        let key = world.admin_user().get(&format!("/api-keys/{}", objects[2].1)).await.ok();
        (admin.domain(&domain).await, admin.records_where(&domain, "include_system=true").await, key)
    };
    let before = state().await;

    let (document, operations) = operations(&admin).await;
    let (mut with_objects, mut collections) = (0, 0);
    for operation in &operations {
        let mut path = operation.path.clone();
        for name in operation.parameters() {
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
            if operation.parameters().is_empty() {
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
