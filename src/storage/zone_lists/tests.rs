use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};

use super::*;
use crate::authz::{Actor, Assignment, AssignmentScope, Caller, SystemRole};
use crate::storage::testing;

/// A database with zones made by `SELECT <columns> FROM seq_1_to_n`, on one session, whose reads are counted.
async fn database_of(seeds: &[String]) -> Db {
    let options: MySqlConnectOptions = testing::database_url().await.parse().expect("a URL");
    let db = Db::from_pool(MySqlPoolOptions::new().max_connections(1).connect_lazy_with(options));
    for seed in seeds {
        let insert = format!(
            "INSERT INTO zones (id, tenant_id, name, domain_type, status, dnssec_enabled, default_ttl, settings, \
             created_at, updated_at) SELECT {seed}"
        );
        sqlx::query(sqlx::AssertSqlSafe(insert)).execute(db.pool()).await.expect("zones are made");
    }
    let count = "INSERT INTO zone_counters SELECT tenant_id, status, domain_type, dnssec_enabled, COUNT(*) FROM zones \
                 GROUP BY tenant_id, status, domain_type, dnssec_enabled";
    sqlx::query(count).execute(db.pool()).await.expect("they are counted");
    db
}

fn hex(tenant: TenantId) -> String {
    format!("UNHEX('{}')", tenant.0.simple())
}

fn of_tenant(tenant: TenantId) -> Visibility {
    seen_by(tenant, vec![Assignment::new(SystemRole::TenantAdmin, AssignmentScope::Tenant(tenant))])
}

fn of_zones(tenant: TenantId, zones: &[ZoneId]) -> Visibility {
    let editor = |zone: &ZoneId| Assignment::new(SystemRole::RecordEditor, AssignmentScope::Zone(*zone));
    seen_by(tenant, zones.iter().map(editor).collect())
}

fn seen_by(tenant: TenantId, assignments: Vec<Assignment>) -> Visibility {
    Visibility::of_zones(&Caller {
        actor: Actor::System { name: "test" },
        tenant,
        assignments,
        scopes: None,
        has_chosen_tenant: false,
        decisions: Default::default(),
    })
}

fn cursor_of(row: &ZoneRow) -> ZoneCursor {
    ZoneCursor { name: row.name.as_str().to_owned(), id: row.id }
}

fn ids(rows: &[ZoneRow]) -> Vec<ZoneId> {
    rows.iter().map(|row| row.id).collect()
}

#[test]
fn a_page_is_read_from_the_end_that_is_nearer() {
    assert_eq!(Reach::of(0, 50, 100_000), Reach { skip: 0, take: 51, backwards: false });
    assert_eq!(Reach::of(49_900, 50, 100_000), Reach { skip: 49_900, take: 51, backwards: false });
    assert_eq!(Reach::of(50_000, 50, 100_000), Reach { skip: 49_950, take: 50, backwards: true });
    assert_eq!(Reach::of(99_950, 50, 100_000), Reach { skip: 0, take: 50, backwards: true });
    assert_eq!(Reach::of(99_990, 50, 100_000), Reach { skip: 0, take: 10, backwards: true });
    assert_eq!(Reach::of(100_000, 50, 100_000), Reach { skip: 0, take: 0, backwards: true });
    assert_eq!(Reach::of(u64::MAX, 50, 0).take, 0);
}

#[test]
fn what_is_rare_is_merged_and_what_is_common_walked() {
    let counted = |wanted: &[u64], all| Counted { wanted: wanted.to_vec(), all };
    for (zones, kinds, reach, searched, way) in [
        (counted(&[100_000], 100_000), 24, 51, false, Way::Walk),
        (counted(&[80_000, 19_000], 100_000), 24, 40_000, false, Way::Walk),
        (counted(&[80_000], 100_000), 8, 51, false, Way::Merge),
        (counted(&[3], 100_000), 8, 51, false, Way::Merge),
        (counted(&[], 100_000), 8, 51, false, Way::Merge),
        (counted(&[50], 50), 24, 51, false, Way::Walk),
        (counted(&[99_000], 100_000), 24, 51, true, Way::Walk),
        (counted(&[2_000], 100_000), 24, 51, true, Way::Merge),
    ] {
        assert_eq!(zones.way(kinds, reach, searched), way, "{zones:?}, {reach}");
    }
}

/// Forwards by number and by cursor, whatever the filter: the same as looking at every zone.
#[tokio::test]
async fn pages_by_number_and_by_cursor_are_what_a_look_at_every_zone_finds() {
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let (own, other) = (TenantId::new(), TenantId::new());
    // a few hundred names, half of them claimed by both tenants, of all kinds in very different numbers
    let seeds = [(own, 'a', 400), (other, 'b', 200)].map(|(tenant, salt, zones)| {
        format!(
            "UNHEX(MD5(CONCAT('{salt}', seq))), {}, CONCAT(SUBSTR(MD5(seq), 1, 4), IF(seq % 3, '-shop', '_x'), \
             seq, '.test'), IF(seq % 7, 'primary', ELT(1 + FLOOR(seq / 7) % 4, 'reverse_ipv4', 'reverse_ipv6', \
             'secondary', 'primary')), IF('{salt}' = 'b' OR seq % 4 = 0, 'pending_validation', \
             IF(seq % 5, 'deleted', IF(seq % 25, 'active', 'inactive'))), seq % 6 = 0, 3600, '{{}}', NOW(6), NOW(6) \
             FROM seq_1_to_{zones}",
            hex(tenant)
        )
    });
    let db = database_of(&seeds).await;
    let mut all: Vec<ZoneRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM zones z")))
        .fetch_all(db.pool())
        .await
        .expect("zones");
    all.sort_by(|a, b| (a.name.as_str(), a.id.0).cmp(&(b.name.as_str(), b.id.0)));

    for round in 0..100 {
        let single: Vec<ZoneId> = all.choose_multiple(&mut random, 40).map(|row| row.id).collect();
        let visibility = match random.random_range(0..4) {
            0 => Visibility::system(),
            1 => of_zones(own, &single),
            _ => of_tenant(own),
        };
        let seen = |row: &ZoneRow| {
            visibility.tenant().is_none_or(|tenant| row.tenant == tenant)
                && visibility.zones().is_none_or(|zones| zones.contains(&row.id))
        };
        let searches = ["shop", "_x", "%", "7", "SHOP1", "nothing", "ü", ".test"];
        let text = (*searches.choose(&mut random).expect("some")).to_owned();
        let search = match random.random_range(0..3) {
            0 => Search::Name(text),
            1 => Search::NameOrNetwork(text),
            _ => Search::Names(all.choose_multiple(&mut random, 3).map(|row| row.name.to_string()).collect()),
        };
        let filter = ZoneFilter {
            status: random.random_bool(0.3).then(|| *ZoneStatus::ALL.choose(&mut random).expect("some")),
            zone_type: random.random_bool(0.3).then(|| *ZoneType::ALL.choose(&mut random).expect("some")),
            reverse_only: random.random_bool(0.2),
            dnssec_enabled: random.random_bool(0.3).then(|| random.random()),
            search: random.random_bool(0.4).then_some(search),
            include_deleted: random.random(),
        };
        let wanted: Vec<ZoneId> = all.iter().filter(|row| seen(row) && fits(row, &filter)).map(|row| row.id).collect();
        let limit: u32 = random.random_range(1..=100);
        let said = format!("seed {seed}, round {round}: {filter:?}, {limit} a page");

        let pages = wanted.len() / limit as usize + 1;
        let mut numbered = Vec::new();
        for number in 0..=pages {
            let offset = number as u64 * u64::from(limit);
            let found = page(&db, &visibility, &filter, Start::Offset(offset), limit).await.expect("a page");
            assert_eq!(found.total, wanted.len() as u64, "{said}");
            assert_eq!(found.more, offset + u64::from(limit) < found.total, "{said}");
            numbered.extend(ids(&found.rows));
        }
        assert_eq!(numbered, wanted, "{said}");

        let mut walked = Vec::new();
        let mut last: Option<ZoneCursor> = None;
        loop {
            let start = last.as_ref().map_or(Start::Offset(0), Start::After);
            let found = page(&db, &visibility, &filter, start, limit).await.expect("a page");
            assert_eq!(found.total, wanted.len() as u64, "{said}");
            walked.extend(ids(&found.rows));
            last = found.rows.last().map(cursor_of);
            if !found.more {
                break;
            }
        }
        assert_eq!(walked, wanted, "{said}");
    }
}

fn fits(row: &ZoneRow, filter: &ZoneFilter) -> bool {
    let ZoneFilter { status, zone_type, reverse_only, dnssec_enabled, search, include_deleted } = filter;
    status.is_none_or(|status| row.status == status)
        && zone_type.is_none_or(|zone_type| row.zone_type == zone_type)
        && (!reverse_only || matches!(row.zone_type, ZoneType::ReverseIpv4 | ZoneType::ReverseIpv6))
        && dnssec_enabled.is_none_or(|signed| row.dnssec_enabled == signed)
        && search.as_ref().is_none_or(|search| is_found(row, search))
        && (*include_deleted || row.status != ZoneStatus::Deleted)
}

fn is_found(row: &ZoneRow, search: &Search) -> bool {
    let is_in_name = |text: &str| row.name.as_str().contains(&text.to_lowercase());
    match search {
        Search::Name(text) => is_in_name(text),
        Search::NameOrNetwork(text) => {
            is_in_name(text) || row.cidr.as_ref().is_some_and(|cidr| cidr.contains(&text.to_lowercase()))
        }
        Search::Names(names) => names.iter().any(|name| name == row.name.as_str()),
    }
}

/// How many index entries and rows the session has read.
async fn reads(db: &Db) -> u64 {
    let rows = sqlx::query("SHOW SESSION STATUS LIKE 'Handler_read%'").fetch_all(db.pool()).await.expect("counters");
    rows.iter().map(|row| row.get::<String, _>(1).parse::<u64>().expect("a number")).sum()
}

async fn reads_of(db: &Db, visibility: &Visibility, filter: &ZoneFilter, start: Start<'_>) -> u64 {
    let first = reads(db).await;
    let of_looking = reads(db).await - first;
    let before = reads(db).await;
    page(db, visibility, filter, start, 50).await.expect("a page");
    reads(db).await - before - of_looking
}

#[tokio::test]
async fn a_page_of_many_zones_reads_few_of_them() {
    const ZONES: u64 = 5_000;
    /// A page of each of the kinds there are, read, copied, sorted, and its rows.
    const FEW: u64 = 1_200;
    let (full, emptied) = (TenantId::new(), TenantId::new());
    let rest = "3600, '{}', NOW(6), NOW(6) FROM seq_1_to_5000";
    let name = "CONCAT(SUBSTR(MD5(seq), 1, 8), '.test')";
    let db = database_of(&[
        // nine in ten active, the pending ones last by name
        format!(
            "UNHEX(MD5(CONCAT('f', seq))), {}, IF(seq % 10, {name}, CONCAT('z-', {name})), \
             IF(seq % 1000, 'primary', 'reverse_ipv4'), IF(seq % 10, 'active', 'pending_validation'), seq % 50 = 0, {rest}",
            hex(full)
        ),
        // nearly all soft-deleted
        format!(
            "UNHEX(MD5(CONCAT('e', seq))), {}, CONCAT('e', {name}), 'primary', IF(seq % 500, 'deleted', 'pending_validation'), FALSE, {rest}",
            hex(emptied)
        ),
    ])
    .await;
    sqlx::query("ANALYZE TABLE zones").execute(db.pool()).await.expect("analysed");

    let all = ZoneFilter::default();
    let of = |status| ZoneFilter { status: Some(status), ..ZoneFilter::default() };
    let of_type = |zone_type| ZoneFilter { zone_type: Some(zone_type), ..ZoneFilter::default() };
    let signed = |signed| ZoneFilter { dnssec_enabled: Some(signed), ..ZoneFilter::default() };
    let filters = [
        all.clone(),
        ZoneFilter { include_deleted: true, ..ZoneFilter::default() },
        of(ZoneStatus::Active),
        of(ZoneStatus::PendingValidation),
        of(ZoneStatus::Inactive),
        of_type(ZoneType::Primary),
        of_type(ZoneType::ReverseIpv4),
        of_type(ZoneType::Secondary),
        signed(true),
        signed(false),
        ZoneFilter { zone_type: Some(ZoneType::Primary), dnssec_enabled: Some(true), ..of(ZoneStatus::Active) },
    ];
    for visibility in [of_tenant(full), of_tenant(emptied), Visibility::system()] {
        for filter in &filters {
            let found = page(&db, &visibility, filter, Start::Offset(0), 50).await.expect("a page");
            let last_page = found.total.saturating_sub(1) / 50 * 50;
            let middle = ZoneCursor { name: "8".into(), id: ZoneId::new() };
            for start in [Start::Offset(0), Start::Offset(last_page), Start::Offset(1 << 40), Start::After(&middle)] {
                let read = reads_of(&db, &visibility, filter, start).await;
                assert!(read < FEW, "{read} for {filter:?} at {start:?}");
            }
        }
    }

    let search = |text: &str| ZoneFilter { search: Some(Search::Name(text.to_owned())), ..ZoneFilter::default() };
    let middle = ZoneCursor { name: "8".into(), id: ZoneId::new() };
    for text in ["a", "test", "nothing"] {
        for start in [Start::Offset(0), Start::Offset(2_000), Start::After(&middle)] {
            let read = reads_of(&db, &of_tenant(full), &search(text), start).await;
            assert!(read < ZONES + 200, "one pass over the names: {read} for {text} at {start:?}");
        }
        let read = reads_of(&db, &of_tenant(emptied), &search(text), Start::Offset(0)).await;
        assert!(read < 200, "the deleted ones are not looked at: {read} for {text}");
    }
}
