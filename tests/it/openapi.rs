//! The OpenAPI document: whole, true, and kept to.

use std::path::Path;

use serde_json::Value;

use crate::isolation::{is_open, operations};
use crate::support::{Trials, World, executable, trials};

pub fn tests() -> Trials {
    trials![
        every_operation_is_documented,
        every_reference_leads_somewhere_and_examples_have_their_type,
        the_document_and_its_pages_are_served,
        schemathesis_finds_nothing,
    ]
}

async fn every_operation_is_documented() {
    let world = World::shared().await;
    let (document, operations) = operations(&world.admin()).await;
    assert_eq!(document["openapi"].as_str().map(|version| &version[..2]), Some("3."));
    let mut ids = std::collections::BTreeSet::new();
    for operation in operations {
        let described = format!("{} {}", operation.method, operation.path);
        let definition = &operation.definition;
        let responses = definition["responses"].as_object().unwrap_or_else(|| panic!("{described}"));
        let succeeds = ["200", "202", "204"].iter().any(|status| responses.contains_key(*status));
        assert!(succeeds, "{described} has no success");
        for status in ["401", "404", "405", "422", "503"] {
            let schema = &responses[status]["content"]["application/json"]["schema"];
            assert!(
                schema["$ref"].as_str().is_some_and(|r| r.ends_with("/ErrorBody"))
                    || operation.path.starts_with("/health/"),
                "{described} {status}: {schema}"
            );
        }
        let open = is_open(&operation.path);
        assert_eq!(
            definition["security"].as_array().map(Vec::len).unwrap_or_default(),
            if open { 0 } else { 2 },
            "{described}"
        );
        assert!(definition["summary"].is_string() || definition["description"].is_string(), "{described} says nothing");
        assert!(definition["tags"][0].is_string(), "{described} has no tag");
        let id = definition["operationId"].as_str().unwrap_or_else(|| panic!("{described} has no operationId"));
        assert!(ids.insert(format!("{}/{id}", definition["tags"][0])), "{described}: {id} is there twice");
        let declared: Vec<&str> = definition["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "path")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        for name in operation.parameters() {
            assert!(declared.contains(&name), "{described} does not declare {name}");
        }
        assert!(operation.path.starts_with("/api/v1/") || open, "{described}");
    }
}

async fn every_reference_leads_somewhere_and_examples_have_their_type() {
    fn walk(document: &Value, value: &Value, at: &str) {
        if let Some(reference) = value["$ref"].as_str() {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{at}: {reference} leads nowhere");
        }
        let example = &value["example"];
        if let (false, Some(kind)) = (example.is_null(), value["type"].as_str()) {
            let fits = match kind {
                "string" => example.is_string(),
                "integer" => example.is_i64() || example.is_u64(),
                "number" => example.is_number(),
                "boolean" => example.is_boolean(),
                "array" => example.is_array(),
                "object" => example.is_object(),
                _ => false,
            };
            assert!(fits, "{at}: {example} is no {kind}");
        }
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, inner)| walk(document, inner, &format!("{at}/{name}")))
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(n, inner)| walk(document, inner, &format!("{at}/{n}")))
            }
            _ => {}
        }
    }
    let document = serde_json::to_value(scaidns::http::document()).expect("JSON");
    walk(&document, &document, "");
    let world = World::shared().await;
    let (served, _) = operations(&world.admin()).await;
    assert_eq!(served, document, "what is served is what the routes say");
}

async fn the_document_and_its_pages_are_served() {
    let world = World::shared().await;
    let nobody = world.nobody();
    assert_eq!(nobody.get("/api/v1/openapi.json").await.status, 200);
    let page = nobody.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("swagger"), "{}", page.text);
    let initializer = nobody.get("/docs/swagger-initializer.js").await;
    assert!(initializer.text.contains("/api/v1/openapi.json"), "{}", initializer.text);
    for text in [&page.text, &initializer.text] {
        assert!(!text.contains("https://") || !text.contains("cdn"), "nothing comes from elsewhere: {text}");
    }
    let bare = nobody.get("/docs").await;
    assert!([200, 301, 302, 303, 307, 308].contains(&bare.status), "{bare:?}");
}

async fn schemathesis_finds_nothing() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/schemathesis");
    assert!(program.exists(), "{} is not there: run scripts/test, which installs it", program.display());
    let world = World::builder("schemathesis").replicas(1).start().await;
    let mut command = executable::command(&program);
    let log = world.folder.join("log/schemathesis.log");
    command.current_dir(&world.folder).arg("run").arg(format!("{}/api/v1/openapi.json", world.urls[0])).args([
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--max-examples",
        "8",
        "--seed",
        "1",
        "--generation-database",
        "none",
        "--request-timeout",
        "10",
        "--no-color",
        // it would end the token that all the others are made with
        "--exclude-path",
        "/api/v1/auth/logout",
    ]);
    command.arg("--header").arg(format!("Authorization: Bearer {}", world.admin_token));
    let output = executable::run(&mut command).await;
    let _ = std::fs::write(log, &output.stdout);
    assert_eq!(output.code, Some(0), "{}\n{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("Tested"), "it has tested something: {}", output.stdout);
    world.until_ready().await;
    world.stop().await;
}
