//! Changes of zone transfers, and the keys they are signed with, by several at once: what is said, what is served and
//! what is in use stay the same thing.

use serde_json::{Value, json};

use crate::support::{Api, Domain, Trials, World, eventually, trials};

pub fn tests() -> Trials {
    trials![
        settings_written_at_once_never_part_what_is_served_from_what_is_said,
        a_key_that_a_change_under_way_will_use_is_in_use,
        a_key_that_is_being_deleted_is_not_taken_into_use,
        two_who_change_a_part_of_a_source_at_once_both_have_their_way,
        a_change_that_is_refused_has_changed_no_masters,
    ]
}

/// Whom MariaDB says that a domain may be transferred to, and whom PowerDNS lets.
async fn said_and_served(world: &World, api: &Api, domain: &Domain) -> (Value, Value) {
    let said = api.domain(domain).await["settings"]["transfers"]["addresses"].clone();
    let path = format!("/zones/{}./metadata/ALLOW-AXFR-FROM", domain.name);
    let served: Value = world.pdns_get(&path).await.json().await.expect("JSON");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    (json!(list(&said)), json!(list(&served["metadata"])))
}

async fn settings_written_at_once_never_part_what_is_served_from_what_is_said() {
    const ROUNDS: usize = 12;
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "settled").await;
    for round in 0..ROUNDS {
        // the one who opens it, and others who have read the settings before; one of them is busy with the status first
        api.patch(&domain.path(), json!({"status": "inactive", "settings": {}})).await.ok();
        let patch = |n: usize, body: Value| {
            let (api, path) = (api.at(&world.urls[n % world.urls.len()]), domain.path());
            async move { api.patch(&path, body).await }
        };
        let transfers = json!({"addresses": [format!("192.0.2.{round}/32")]});
        let answers = futures::future::join_all([
            patch(round, json!({"status": "active", "settings": {"color": 1}})),
            patch(round + 1, json!({"settings": {"transfers": transfers}})),
            patch(round, json!({"settings": {"color": 2}, "description": "x"})),
            patch(round + 1, json!({"settings": {"color": 3}})),
        ])
        .await;
        for answer in answers {
            assert!([200, 503].contains(&answer.status), "{answer:?}");
        }
        let (said, served) = said_and_served(world, &api, &domain).await;
        assert_eq!(said, served, "round {round}");
    }
}

async fn a_key_that_a_change_under_way_will_use_is_in_use() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "key-soon").await;
    let key = api.post("/tsig-keys/", json!({"name": "soon in use"})).await.ok();
    let path = format!("/tsig-keys/{}", key["id"].as_str().expect("an id"));
    // as a writer leaves it that has told PowerDNS and not yet MariaDB
    let payload = json!({"kind": "outgoing", "settings": {"transfers": {"tsig_key_id": key["id"]}}});
    let sql = "INSERT INTO zone_intents (zone_name, zone_id, change_id, epoch, kind, payload, deadline, created_at) \
               SELECT name, id, id, 0, 'outgoing', ?, NOW(6) + INTERVAL 1 HOUR, NOW(6) FROM zones WHERE live_name = ?";
    sqlx::query(sql).bind(payload.to_string()).bind(&domain.name).execute(&world.db).await.expect("written");
    let deleted = api.delete(&path).await;
    let written = api.patch(&domain.path(), json!({"settings": {"color": 1}})).await;
    let sql = "DELETE FROM zone_intents WHERE zone_name = ?";
    sqlx::query(sql).bind(&domain.name).execute(&world.db).await.expect("written");
    deleted.refused(409, "tsig_key_in_use");
    assert_eq!(written.status, 503, "its settle would write over it: {written:?}");
    api.delete(&path).await.expect(204);
}

/// Waits until so many statements like this one wait in the database.
async fn waiting(world: &World, like: &str, wanted: i64) {
    let sql = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE ? AND INFO NOT LIKE '%PROCESSLIST%'";
    eventually(&format!("{wanted} statements wait: {like}"), || async {
        let found: i64 = sqlx::query_scalar(sql).bind(like).fetch_one(&world.db).await.expect("processes");
        if found >= wanted { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
}

async fn a_key_that_is_being_deleted_is_not_taken_into_use() {
    let world = World::private("key-going").await;
    let api = world.admin();
    let domain = world.live(&api, "key-going").await;
    for uses in 0..2 {
        let key = api.post("/tsig-keys/", json!({"name": format!("going {uses}")})).await.ok();
        // somebody's deletion has looked for users of the key, and is about to commit
        let mut deletion = world.db.begin().await.expect("begins");
        let sql = "UPDATE tsig_keys SET state = 'deleting', state_since = NOW(6) WHERE key_name = ?";
        let key_name = key["key_name"].as_str().expect("a name").trim_end_matches('.');
        sqlx::query(sql).bind(key_name).execute(&mut *deletion).await.expect("written");
        let (caller, path, key_id) = (api.clone(), domain.path(), key["id"].clone());
        let using = tokio::spawn(async move {
            if uses == 0 {
                return caller.patch(&path, json!({"settings": {"transfers": {"tsig_key_id": key_id}}})).await;
            }
            let body = json!({"name": "key-gone.test", "domain_type": "secondary", "masters": ["127.0.0.1:5301"],
                "tsig_key_id": key_id});
            caller.post("/domains/", body).await
        });
        waiting(&world, "%tsig_keys%LOCK IN SHARE MODE%", 1).await;
        deletion.commit().await.expect("commits");
        using.await.expect("no panic").refused(404, "not_found");
    }
    assert_eq!(said_and_served(&world, &api, &domain).await, (json!([]), json!([])));
    assert_eq!(api.get("/domains/").await.ok()["total"], 1);
    world.stop().await;
}

async fn two_who_change_a_part_of_a_source_at_once_both_have_their_way() {
    let world = World::private("two-parts").await;
    let api = world.admin();
    let body = json!({"name": world.fresh("two-parts"), "domain_type": "secondary", "masters": ["127.0.0.1:5301"]});
    let domain = Domain::new(api.post("/domains/", body).await.ok());
    let key = api.post("/tsig-keys/", json!({"name": "the other part"})).await.ok();
    let mut others = world.db.begin().await.expect("begins");
    let sql = "SELECT id FROM zones WHERE name = ? FOR UPDATE";
    sqlx::query(sql).bind(&domain.name).fetch_one(&mut *others).await.expect("locked");
    let patch = |n: usize, body: Value| {
        let (api, path) = (api.at(&world.urls[n]), domain.path());
        tokio::spawn(async move { api.patch(&path, body).await })
    };
    let both = [patch(0, json!({"masters": ["127.0.0.1:5302"]})), patch(1, json!({"tsig_key_id": key["id"]}))];
    waiting(&world, "%FROM zones z WHERE z.id = % FOR UPDATE", 2).await;
    drop(others);
    for one in both {
        one.await.expect("no panic").ok();
    }
    let detail = api.domain(&domain).await;
    assert_eq!((&detail["masters"], &detail["tsig_key_id"]), (&json!(["127.0.0.1:5302"]), &key["id"]), "{detail}");
    let told = world.audit(&format!("resource_id={}&action=domain.update", domain.id)).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1]["details"]["before"], told[0]["details"]["after"], "each tells what it found");
    world.stop().await;
}

async fn a_change_that_is_refused_has_changed_no_masters() {
    let world = World::shared().await;
    let api = world.admin();
    let body = json!({"name": world.fresh("unmoved"), "domain_type": "secondary", "masters": ["127.0.0.1:5301"]});
    let domain = Domain::new(api.post("/domains/", body).await.ok());
    let patch = json!({"masters": ["127.0.0.1:5302"], "status": "inactive"});
    api.patch(&domain.path(), patch).await.refused(409, "domain_pending");
    assert_eq!(api.domain(&domain).await["masters"], json!(["127.0.0.1:5301"]));
}
