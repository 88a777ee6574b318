//! How long keys live, by operator, tenant and domain, and what is rolled by itself.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{LONG, path, quick, server_keys, sign, signed, state, tags, until, until_phase};
use crate::support::{Api, Trials, World, eventually_within, trials};
use scaidns::dev::scaikey::directory;

pub fn tests() -> Trials {
    trials![
        lifetimes_are_the_domains_the_tenants_or_the_operators,
        a_key_that_has_served_its_time_is_rolled_by_itself,
        a_replaced_zsk_stays_for_the_overlap_which_another_rollover_cuts_short,
    ]
}

/// How many days a key lives, as it is shown.
fn days(now: &Value, kind: &str) -> Option<f64> {
    let key = &now[kind][0];
    let moment = |name: &str| OffsetDateTime::parse(key[name].as_str()?, &Rfc3339).ok();
    let lived = moment("expires_at")? - moment("created_at")?;
    Some(lived.as_seconds_f64() / 86_400.0)
}

/// Up to a tenth earlier, so that not all are rolled in one night.
#[track_caller]
fn assert_lives(now: &Value, kind: &str, wanted: f64) {
    let found = days(now, kind).unwrap_or_else(|| panic!("{now}"));
    assert!(found > wanted * 0.9 - 0.1 && found < wanted + 0.1, "{kind} lives {found} days of {wanted}");
}

async fn tenant_settings(world: &World, settings: Value) {
    let path = format!("/admin/tenants/{}", directory::FABRIKAM);
    world.platform().patch(&path, json!({ "settings": settings })).await.ok();
}

async fn domain_settings(api: &Api, path: &str, settings: Value) {
    api.patch(path, json!({ "settings": settings })).await.ok();
}

async fn lifetimes_are_the_domains_the_tenants_or_the_operators() {
    let world = World::private("dnssec-lifetimes").await;
    let api = world.other();
    let domain = signed(&world, &api, "lives", json!({})).await;
    let now = state(&api, &domain).await;
    assert_lives(&now, "zsk", 30.0);
    assert_lives(&now, "ksk", 365.0);
    for (key, days) in [("dnssec_zsk_lifetime_days", 20), ("dnssec_ksk_lifetime_days", 200)] {
        world.platform().patch(&format!("/admin/config/{key}"), json!({ "value": days })).await.ok();
    }
    let now = eventually_within(LONG, "as the platform says", || async {
        let now = state(&api, &domain).await;
        let as_set = |kind: &str, most: f64| days(&now, kind).is_some_and(|days| days < most + 0.1);
        if as_set("zsk", 20.0) && as_set("ksk", 200.0) { Ok(now) } else { Err(now.to_string()) }
    })
    .await;
    assert_lives(&now, "zsk", 20.0);
    assert_lives(&now, "ksk", 200.0);
    for key in ["dnssec_zsk_lifetime_days", "dnssec_ksk_lifetime_days"] {
        world.platform().patch(&format!("/admin/config/{key}"), json!({ "value": null })).await.ok();
    }
    tenant_settings(&world, json!({ "dnssec": { "zsk_lifetime_days": 60, "ksk_lifetime_days": 100 } })).await;
    domain_settings(&api, &domain.path(), json!({ "dnssec": { "zsk_lifetime_days": 90 }, "colour": "red" })).await;
    let now = state(&api, &domain).await;
    assert_lives(&now, "zsk", 90.0);
    assert_lives(&now, "ksk", 100.0);
    domain_settings(&api, &domain.path(), json!({ "dnssec": { "ksk_lifetime_days": 0 } })).await;
    let now = state(&api, &domain).await;
    assert_lives(&now, "zsk", 60.0);
    assert_eq!(days(&now, "ksk"), None, "rolled when asked for");

    for wrong in [json!({ "zsk_lifetime_days": "30" }), json!({ "ksk": 5 }), json!({ "overlap_days": 4_000 }), json!(7)]
    {
        let settings = json!({ "settings": { "dnssec": wrong } });
        let refused = api.patch(&domain.path(), settings.clone()).await.refused(422, "validation_error");
        assert_eq!(refused[0]["loc"], json!(["body", "settings", "dnssec"]), "{refused}");
        let path = format!("/admin/tenants/{}", directory::FABRIKAM);
        let refused = world.platform().patch(&path, settings).await.refused(422, "validation_error");
        assert_eq!(refused[0]["loc"], json!(["body", "settings", "dnssec"]), "{refused}");
    }
    let kept = api.domain(&domain).await;
    assert_eq!(kept["settings"], json!({ "dnssec": { "ksk_lifetime_days": 0 } }), "what was refused changed nothing");
    world.stop().await;
}

async fn a_key_that_has_served_its_time_is_rolled_by_itself() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = signed(world, &api, "aged", json!({})).await;
    let before = state(&api, &domain).await;
    let age = |index: usize| {
        format!(
            "UPDATE zone_signing SET state = JSON_SET(state, '$.keys[{index}].current_since', '2020-01-01T00:00:00Z'), \
             version = version + 1, due_at = UTC_TIMESTAMP(6) WHERE zone_id = (SELECT id FROM zones WHERE name = ?)"
        )
    };
    let pass = async |index: usize, phase: &str| {
        eventually_within(LONG, phase, || async {
            let now = state(&api, &domain).await;
            if now["phase"] == phase {
                return Ok(());
            }
            let aged = age(index);
            sqlx::query(sqlx::AssertSqlSafe(aged)).bind(&domain.name).execute(&world.db).await.expect("time passes");
            Err(now.to_string())
        })
        .await;
    };
    pass(1, "zsk_published").await;
    let now = until_phase(&api, &domain, "active").await;
    assert!(tags(&now["zsk"]).is_disjoint(&tags(&before["zsk"])), "{now}");
    pass(0, "ksk_published").await;
    let now = until_phase(&api, &domain, "ksk_wait_ds").await;
    assert_eq!((&now["status"], &now["next"]["waiting_for"]), (&json!("rotating_ksk"), &json!("parent")), "{now}");
    super::do_as_asked(world, &api, &domain).await;
    until_phase(&api, &domain, "active").await;
    assert_eq!(server_keys(world, &domain).await, [(256, true, true), (257, true, true)]);
    let by_itself = world.audit(&format!("resource_id={}&actor_type=system", domain.id)).await;
    assert!(by_itself.iter().any(|entry| entry["action"] == "dnssec.rotate_zsk"), "{by_itself:?}");
    assert!(by_itself.iter().any(|entry| entry["action"] == "dnssec.rotate_ksk"), "{by_itself:?}");
}

async fn a_replaced_zsk_stays_for_the_overlap_which_another_rollover_cuts_short() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = quick(world, &api, "overlap").await;
    domain_settings(&api, &domain.path(), json!({ "dnssec": { "overlap_days": 3 } })).await;
    sign(world, &api, &domain, json!({})).await;
    let rolled = api.post_empty(&path(&domain, "/rotate-zsk")).await.ok();
    let retires = OffsetDateTime::parse(rolled["retire_at"].as_str().expect("a moment"), &Rfc3339).expect("a moment");
    let left = retires - OffsetDateTime::now_utc();
    assert!(left > time::Duration::hours(71) && left < time::Duration::hours(73), "{rolled}");
    let now = until_phase(&api, &domain, "zsk_retiring").await;
    assert_eq!(now["status"], "rotating_zsk");
    assert_eq!(server_keys(world, &domain).await, [(256, false, true), (256, true, true), (257, true, true)]);
    // once no cache needs the old key, it stands in nobody's way
    eventually_within(LONG, "a KSK rollover", || async {
        let answer = api.post_empty(&path(&domain, "/rotate-ksk")).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    assert_eq!(server_keys(world, &domain).await, [(256, true, true), (257, true, true), (257, true, true)]);
    until(&api, &domain, "ksk_wait_ds", |now| now["phase"] == "ksk_wait_ds").await;
    super::do_as_asked(world, &api, &domain).await;
    until_phase(&api, &domain, "active").await;
    // a shorter one counts at once
    api.post_empty(&path(&domain, "/rotate-zsk")).await.ok();
    until_phase(&api, &domain, "zsk_retiring").await;
    domain_settings(&api, &domain.path(), json!({ "dnssec": { "overlap_days": 0 } })).await;
    sqlx::query(
        "UPDATE zone_signing SET due_at = UTC_TIMESTAMP(6) WHERE zone_id = (SELECT id FROM zones WHERE name = ?)",
    )
    .bind(&domain.name)
    .execute(&world.db)
    .await
    .expect("somebody looks");
    until_phase(&api, &domain, "active").await;
}
