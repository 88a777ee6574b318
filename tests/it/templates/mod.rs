//! Templates: made, shown and changed; what their records become in a domain, and in one that is claimed with them.

mod applied;
mod claimed;
mod kept;

use serde_json::{Value, json};

use crate::support::{Api, Domain, Trials, World};

pub fn tests() -> Trials {
    [kept::tests(), applied::tests(), claimed::tests()].into_iter().flatten().collect()
}

/// A template under a name of its own.
async fn template(world: &World, api: &Api, records: Value, variables: Value) -> Value {
    let body = json!({"name": world.fresh("template"), "records": records, "variables": variables});
    api.post("/templates/", body).await.ok()
}

fn path(template: &Value) -> String {
    format!("/templates/{}", template["id"].as_str().expect("an id"))
}

fn application(template: &Value, domain: &Domain, variables: Value) -> Value {
    json!({"template_id": template["id"], "domain_id": domain.id, "variables": variables})
}

/// `display_name type content`, in the order of the answer.
fn shown(records: &Value) -> Vec<String> {
    let text = |record: &Value, field: &str| record[field].as_str().expect("a text").to_owned();
    let name = |record: &Value| record["display_name"].as_str().map_or_else(|| text(record, "name"), str::to_owned);
    let records = records.as_array().expect("records").iter();
    records.map(|record| format!("{} {} {}", name(record), text(record, "type"), text(record, "content"))).collect()
}

async fn revision(api: &Api, domain: &Domain) -> u64 {
    api.get(&format!("{}?page_size=1", domain.changes())).await.ok()["total"].as_u64().expect("a number")
}

async fn system(api: &Api, name: &str) -> Value {
    let listed = api.get("/templates/?template_type=system").await.ok();
    let found = listed["data"].as_array().expect("a list").iter().find(|one| one["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {listed}")).clone()
}
