//! Lists of records: what shows, narrowed, searched, in pages.

use serde_json::json;

use super::id;
use crate::support::{Trials, World, trials};

pub fn tests() -> Trials {
    trials![
        soa_and_apex_ns_show_only_when_asked_for,
        a_list_is_narrowed_by_type_and_name_and_paged,
        a_long_list_is_walked_with_a_cursor,
        records_are_found_by_a_part_of_their_name_or_content,
    ]
}

async fn soa_and_apex_ns_show_only_when_asked_for() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "system").await;
    api.add(&domain, "sub", "NS", "ns.example.com.").await;
    let types = async |query: &str| -> Vec<String> {
        let records = api.records_where(&domain, query).await;
        records
            .iter()
            .map(|r| {
                format!("{} {}", r["display_name"].as_str().unwrap_or_default(), r["type"].as_str().unwrap_or_default())
            })
            .collect()
    };
    assert_eq!(types("").await, ["sub NS"]);
    let mut all = types("include_system=true").await;
    all.sort();
    assert_eq!(all, ["@ NS", "@ NS", "@ SOA", "sub NS"], "and nothing of our own bookkeeping");
    assert_eq!(types("include_system=false&type=SOA").await, Vec::<String>::new());
    assert_eq!(types("include_system=true&type=SOA").await, ["@ SOA"]);
    let soa = &api.records_where(&domain, "include_system=true&type=SOA").await[0];
    assert_eq!(api.delete(&domain.record(id(soa))).await.status, 400);
    let second = api.try_add(&domain, "@", "SOA", "ns1.example. h.example. 1 2 3 4 5").await;
    assert!([400, 409].contains(&second.status), "{second:?}");
}

async fn a_list_is_narrowed_by_type_and_name_and_paged() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "filters").await;
    for n in 0..5 {
        api.add(&domain, &format!("host{n}"), "A", "192.0.2.1").await;
    }
    api.add(&domain, "host1", "TXT", "text").await;
    let listed = async |query: &str| api.get(&format!("{}?{query}", domain.records())).await.ok();
    let all = listed("").await;
    assert_eq!(all["total"], 6);
    assert_eq!((&all["domain_id"], &all["domain_name"]), (&domain.id.as_str().into(), &domain.name.as_str().into()));
    assert!(all.get("page").is_none(), "not paged unless asked");
    for (query, total) in [
        ("type=A", 5),
        ("type=txt", 1),
        ("type=AAAA", 0),
        ("name=host1", 2),
        ("name=HOST", 6),
        ("name=host1&type=A", 1),
        ("name=%25", 0),
    ] {
        assert_eq!(listed(query).await["total"], total, "{query}");
    }
    let page = listed("page=2&page_size=4").await;
    assert_eq!(
        (page["data"].as_array().map(Vec::len), &page["total"], &page["total_pages"]),
        (Some(2), &6.into(), &2.into())
    );
    let answer = api.get(&format!("{}?type=BOGUS", domain.records())).await;
    assert_eq!(answer.refused(400, "invalid")["field"], "type");
    for query in ["page=0", "page_size=101", "include_system=perhaps"] {
        api.get(&format!("{}?{query}", domain.records())).await.refused(422, "validation_error");
    }
}

async fn a_long_list_is_walked_with_a_cursor() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.pending(&api, "walked").await;
    for n in 0..7 {
        api.add(&domain, &format!("host{n}"), "A", "192.0.2.1").await;
    }
    let mut seen = Vec::new();
    let mut query = "page_size=3".to_owned();
    loop {
        let page = api.get(&format!("{}?{query}", domain.records())).await.ok();
        assert_eq!(page["total"], 7);
        seen.extend(page["data"].as_array().expect("data").iter().map(|record| record["id"].clone()));
        // what comes to stand before the place reached moves nothing behind it
        if seen.len() == 3 {
            api.add(&domain, "aaa", "TXT", "new").await;
            api.delete(&format!("{}/{}", domain.records(), seen[0].as_str().expect("id"))).await.expect(204);
        }
        match page.get("next_cursor") {
            Some(cursor) => query = format!("page_size=3&cursor={}", cursor.as_str().expect("cursor")),
            None => break,
        }
    }
    assert_eq!(seen.len(), 7, "each once: {seen:?}");
    let wrong = api.get(&format!("{}?cursor=AAAA", domain.records())).await;
    wrong.refused(422, "validation_error");
}

async fn records_are_found_by_a_part_of_their_name_or_content() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "search").await;
    api.add(&domain, "mail", "A", "192.0.2.25").await;
    api.add(&domain, "@", "MX", "10 Mail.example.net.").await;
    api.add(&domain, "note", "TXT", "Ask the POSTMASTER").await;
    for n in 0..3 {
        api.add(&domain, &format!("host{n}"), "A", "198.51.100.7").await;
    }
    let path = format!("{}/search", domain.records());
    let found = async |query: &str| -> Vec<String> {
        let body = api.post(&path, json!({ "query": query })).await.ok();
        assert_eq!(body["domain_id"], domain.id.as_str());
        let records = body["data"].as_array().expect("records");
        assert_eq!(body["total"], records.len());
        records.iter().map(|r| format!("{} {}", r["display_name"], r["type"]).replace('"', "")).collect()
    };
    assert_eq!(found("MAIL").await, ["@ MX", "mail A"]);
    assert_eq!(found("postmaster").await, ["note TXT"]);
    assert_eq!(found("198.51.100").await, ["host0 A", "host1 A", "host2 A"]);
    assert_eq!(found("nothing-of-it").await, Vec::<String>::new());
    assert_eq!(found("scaidns-dev").await, Vec::<String>::new(), "the platform's own only when asked for");
    let system = api.post(&format!("{path}?include_system=true"), json!({"query": "scaidns-dev"})).await.ok();
    assert_eq!(system["total"], 3, "{system}");

    let page = api.post(&format!("{path}?page_size=2"), json!({"query": "host"})).await.ok();
    assert_eq!((page["data"].as_array().map(Vec::len), &page["total_pages"]), (Some(2), &2.into()));
    let rest = format!("{path}?page_size=2&cursor={}", page["next_cursor"].as_str().expect("more"));
    let rest = api.post(&rest, json!({"query": "host"})).await.ok();
    assert_eq!(rest["data"][0]["display_name"], "host2");
    for body in [json!({}), json!({"query": ""}), json!({"query": "x".repeat(256)}), json!({"query": "a", "q": 1})] {
        api.post(&path, body).await.refused(422, "validation_error");
    }
    world.other().post(&path, json!({"query": "mail"})).await.refused(404, "not_found");
}
