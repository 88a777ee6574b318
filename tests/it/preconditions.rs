//! `ETag`, `If-None-Match`, `If-Match`: nobody overwrites what he has not seen.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Domain, Trials, World, trials};

pub fn tests() -> Trials {
    trials![
        a_record_is_changed_only_as_it_was_seen,
        the_lists_tag_stands_for_the_whole_zone,
        of_writers_that_saw_the_same_one_wins,
        an_unchanged_record_is_304,
    ]
}

async fn change(api: &Api, domain: &Domain, id: &str, tag: &str, content: &str) -> Answer {
    let request = api.request(Method::PATCH, &domain.record(id)).header("If-Match", tag);
    api.send(request.json(&json!({ "content": content }))).await
}

async fn tag_of(api: &Api, path: &str) -> String {
    let answer = api.get(path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let tag = answer.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    tag
}

fn id(record: &Value) -> String {
    record["id"].as_str().expect("an id").to_owned()
}

async fn a_record_is_changed_only_as_it_was_seen() {
    let world = World::shared().await;
    for domain in [world.live(&world.admin(), "seen").await, world.pending(&world.admin(), "seen").await] {
        let (api, other) = (world.admin(), world.admin().at(&world.urls[1]));
        let record = id(&api.add(&domain, "www", "A", "192.0.2.1").await);
        let seen = tag_of(&api, &domain.record(&record)).await;
        change(&other, &domain, &record, &seen, "192.0.2.2").await.ok();
        let stale = change(&api, &domain, &record, &seen, "192.0.2.3").await;
        stale.refused(412, "precondition_failed");
        let request = api.request(Method::DELETE, &domain.record(&record)).header("If-Match", &seen);
        api.send(request).await.refused(412, "precondition_failed");
        assert_eq!(api.get(&domain.record(&record)).await.ok()["content"], "192.0.2.2");

        // a sibling that comes changes the RRset; a record beside it does not
        let seen = tag_of(&other, &domain.record(&record)).await;
        api.add(&domain, "mail", "A", "192.0.2.9").await;
        assert_eq!(tag_of(&api, &domain.record(&record)).await, seen);
        api.add(&domain, "www", "A", "192.0.2.7").await;
        change(&api, &domain, &record, &seen, "192.0.2.4").await.refused(412, "precondition_failed");
        let both = format!("\"other\", {}", tag_of(&api, &domain.record(&record)).await);
        change(&api, &domain, &record, &both, "192.0.2.4").await.ok();
        change(&api, &domain, &record, "*", "192.0.2.5").await.ok();
        change(&api, &domain, &record, "W/\"weak\"", "192.0.2.6").await.refused(412, "precondition_failed");
        let malformed = change(&api, &domain, &record, "bare", "192.0.2.6").await;
        assert_eq!(malformed.status, 422, "{malformed:?}");
    }
}

async fn the_lists_tag_stands_for_the_whole_zone() {
    let world = World::shared().await;
    let (api, other) = (world.admin(), world.admin().at(&world.urls[1]));
    let domain = world.live(&api, "list").await;
    let record = id(&api.add(&domain, "www", "A", "192.0.2.1").await);
    let seen = tag_of(&other, &format!("{}?type=MX", domain.records())).await;
    let add = async |tag: &str, content: &str| {
        let body = json!({"name": "www", "type": "A", "content": content});
        api.send(api.request(Method::POST, &domain.records()).header("If-Match", tag).json(&body)).await
    };
    add(&seen, "192.0.2.2").await.ok();
    add(&seen, "192.0.2.3").await.refused(412, "precondition_failed");
    change(&api, &domain, &record, &seen, "192.0.2.3").await.refused(412, "precondition_failed");
    let seen = tag_of(&api, &domain.records()).await;
    change(&other, &domain, &record, &seen, "192.0.2.3").await.ok();
    assert_eq!(api.records(&domain).await.len(), 2);
}

async fn of_writers_that_saw_the_same_one_wins() {
    const WRITERS: usize = 16;
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "same").await;
    let record = id(&api.add(&domain, "www", "A", "192.0.2.1").await);
    let tags = [tag_of(&api, &domain.record(&record)).await, tag_of(&api, &domain.records()).await];
    for (round, tag) in tags.into_iter().enumerate() {
        let current = if tag.contains('-') { tag_of(&api, &domain.records()).await } else { tag };
        let writers = (0..WRITERS).map(|n| {
            let (api, domain, record, tag) =
                (api.at(&world.urls[n % world.urls.len()]), &domain, &record, current.clone());
            async move { change(&api, domain, record, &tag, &format!("198.51.{round}.{n}")).await.status }
        });
        let mut statuses = futures::future::join_all(writers).await;
        statuses.sort_unstable();
        assert_eq!(statuses[0], 200, "{statuses:?}");
        assert!(statuses[1..].iter().all(|status| *status == 412), "{statuses:?}");
    }
}

async fn an_unchanged_record_is_304() {
    let world = World::shared().await;
    let (api, other) = (world.admin(), world.admin().at(&world.urls[1]));
    let domain = world.live(&api, "unchanged").await;
    let record = id(&api.add(&domain, "www", "A", "192.0.2.1").await);
    let tag = tag_of(&api, &domain.record(&record)).await;
    let ask = async |tag: &str| {
        other.send(other.request(Method::GET, &domain.record(&record)).header("If-None-Match", tag)).await
    };
    let unchanged = ask(&tag).await;
    assert_eq!((unchanged.status, unchanged.text.as_str(), unchanged.header("etag")), (304, "", tag.as_str()));
    assert_eq!(ask("\"other\"").await.status, 200);
    api.patch(&domain.record(&record), json!({"ttl": 60})).await.ok();
    assert_eq!(ask(&tag).await.status, 200);
}
