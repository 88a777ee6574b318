//! The write path on real servers: what its guards are for, one fault at a time.

use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;
use tempfile::TempDir;

use super::change::Finished;
use super::life::Sent;
use super::payload::{Entry, Kind, Payload};
use super::*;
use crate::authz::{Actor, Assignment, AssignmentScope, Caller, Permission, SystemRole, decide_tenant};
use crate::config::{DatabaseConfig, PdnsConfig};
use crate::dev::{Ports, Servers};
use crate::dns::{OwnerName, Record, RecordType, Rrset, RrsetChange, RrsetKey, ZoneName};
use crate::ids::{ChangeId, TenantId};
use crate::pdns::PatchAnswer;
use crate::service::ActorRecord;
use crate::service::platform::{Platform, testing};
use crate::storage::zones::NewZone;
use crate::storage::{intents::Intent, zones};
use crate::tenancy::{ZoneStatus, ZoneType};

/// Private servers, a migrated database, and as many writers as a test wants.
pub(super) struct World {
    servers: Servers,
    pub(super) db: Db,
    tenant: TenantId,
    _folder: TempDir,
}

impl World {
    pub(super) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let servers = Servers::start(Path::new(folder.path()), Ports::free()).await.expect("servers");
        let config = DatabaseConfig { url: SecretString::from(servers.database_url()), pool_size: 10 };
        let db = Db::lazy(&config).expect("database");
        db.migrate().await.expect("migrations");
        Self { servers, db, tenant: TenantId::new(), _folder: folder }
    }

    pub(super) fn pdns(&self) -> Pdns {
        let api_key = SecretString::from(self.servers.pdns_api_key().to_owned());
        let config = PdnsConfig { api_url: self.servers.pdns_api_url(), api_key, dns_address: None };
        Pdns::new(&config).expect("client")
    }

    /// A replica: its queue and its calls in flight are its own.
    pub(super) fn writer(&self) -> ZoneWriter {
        let config = testing::config(&[("NAMESERVERS", "ns1.dns.test,ns2.dns.test")]);
        let platform = Platform::new(self.db.clone(), config.into());
        ZoneWriter::new(self.db.clone(), self.pdns(), Clock::system(), platform, None)
    }

    async fn claim(&self, name: &str) -> ZoneAccess {
        self.claim_of(name, ZoneType::Primary).await
    }

    pub(super) async fn claim_of(&self, name: &str, zone_type: ZoneType) -> ZoneAccess {
        let scope = AssignmentScope::Tenant(self.tenant);
        let caller = Caller {
            actor: Actor::System { name: "test" },
            tenant: self.tenant,
            assignments: vec![Assignment::new(SystemRole::TenantAdmin, scope)],
            scopes: None,
            has_chosen_tenant: false,
            decisions: Default::default(),
        };
        let access = decide_tenant(&caller, Permission::DomainsCreate).expect("a tenant admin may");
        let zone = NewZone {
            id: ZoneId::new(),
            name: ZoneName::trusted(name.to_owned()),
            zone_type,
            default_ttl: 300,
            description: None,
            cidr: None,
            now: Clock::system().now(),
        };
        let mut tx = self.db.begin().await.expect("transaction");
        zones::insert(&mut tx, &access, &zone).await.expect("insert");
        tx.commit().await.expect("commit");
        let reference = crate::authz::ZoneRef { id: zone.id, tenant: self.tenant };
        ZoneAccess::system(reference, Permission::RecordsCreate)
    }

    pub(super) async fn live(&self, writer: &ZoneWriter, name: &str) -> ZoneAccess {
        let access = self.claim(name).await;
        writer.go_live(going_live(&access)).await.expect("goes live");
        access
    }

    pub(super) async fn row(&self, access: &ZoneAccess) -> zones::ZoneRow {
        zones::for_write(&self.db, access.zone().id).await.expect("look").expect("there").0
    }

    pub(super) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.db.pool()).await.expect("count")
    }
}

pub(super) fn actor() -> ActorRecord {
    ActorRecord { actor_type: "system".into(), actor_id: "test".into(), actor_email: None, name: "test".into() }
}

fn going_live(access: &ZoneAccess) -> GoLive {
    GoLive { access: access.clone(), actor: actor(), request: RequestInfo::none(), validation: None, audit: Vec::new() }
}

pub(super) fn departure(access: &ZoneAccess) -> Departure {
    Departure { access: access.clone(), actor: actor(), request: RequestInfo::none(), audit: Vec::new() }
}

pub(super) fn addition(access: &ZoneAccess, name: &str, record_type: RecordType, content: &str) -> ZoneWrite {
    ZoneWrite {
        access: access.clone(),
        actor: actor(),
        request: RequestInfo::none(),
        operations: vec![RecordOperation::Add {
            name: OwnerName::from_server(name),
            record_type,
            content: content.to_owned(),
            ttl: None,
            disabled: false,
        }],
        grouping: Grouping::Single,
        dry_run: false,
        large: None,
    }
}

/// An intent that adds one A record, with the PATCH that goes with it.
async fn intend(world: &World, inner: &Inner, access: &ZoneAccess, name: &str) -> (Intent, Payload, Vec<RrsetChange>) {
    let (row, payload, changes) = decided(world, inner, access, name).await;
    let change = payload.entries[0].change;
    let held = inner.intend(&row, change, &payload).await.expect("database").expect("lock");
    (held.intent, payload, changes)
}

/// What such an intent is made of, and the row that it was decided on.
pub(super) async fn decided(
    world: &World,
    inner: &Inner,
    access: &ZoneAccess,
    name: &str,
) -> (zones::ZoneRow, Payload, Vec<RrsetChange>) {
    let row = world.row(access).await;
    let state = store::read(&world.db, &inner.pdns, &row).await.expect("content");
    let live = state.live.expect("live");
    let after = Rrset { ttl: 300, records: vec![Record { content: "192.0.2.9".into(), disabled: false }] };
    let key = RrsetKey { name: OwnerName::from_server(name), record_type: RecordType::A };
    let changes = vec![RrsetChange { key, before: None, after: Some(after) }];
    let change = ChangeId::new();
    let entry = Entry { change, actor: actor(), request: RequestInfo::none(), changes: changes.clone() };
    let payload = Payload {
        kind: Kind::Edit,
        tenant: row.tenant,
        revision: row.revision,
        serial: Some(live.serial),
        previous_marker: live.marker,
        rectify: false,
        entries: vec![entry],
        audit: Vec::new(),
        ids_removed: Vec::new(),
        ids_put: Vec::new(),
        record_count: row.record_count + 1,
        part: None,
        steps: Vec::new(),
    };
    (row, payload, changes)
}

async fn records_of(writer: &ZoneWriter, access: &ZoneAccess) -> Vec<String> {
    let view = writer.view(access).await.expect("view");
    view.records_where(|_| true).map(|r| format!("{} {}", r.reference.key.name, r.reference.content)).collect()
}

#[tokio::test]
async fn staged_records_go_live_with_their_ids() {
    let world = World::start().await;
    let writer = world.writer();
    let access = world.claim("shop.test").await;
    let staged = writer.apply(addition(&access, "www.shop.test", RecordType::A, "192.0.2.1")).await.expect("staged");
    let id = staged.operations[0].after.as_ref().expect("record").id;
    assert!(world.pdns().zone("shop.test", 0).await.expect("answer").is_none());
    writer.go_live(going_live(&access)).await.expect("goes live");
    writer.go_live(going_live(&access)).await.expect("safe to repeat");
    let view = writer.view(&access).await.expect("view");
    let record = view.find(id).expect("the same id");
    assert_eq!(record.reference.content, "192.0.2.1");
    let server = world.pdns().zone("shop.test", 0).await.expect("answer").expect("zone");
    assert!(server.rrsets.iter().any(|rrset| rrset.name == "www.shop.test." && !rrset.records[0].disabled));
    assert_eq!(world.row(&access).await.status, ZoneStatus::Active);
    assert_eq!(world.count("SELECT COUNT(*) FROM staged_rrsets").await, 0);
    assert_eq!(world.count("SELECT COUNT(*) FROM zone_intents").await, 0);
    world.servers.stop().await;
}

#[tokio::test]
async fn parallel_additions_from_two_replicas_lose_nothing() {
    let world = World::start().await;
    let writers = [world.writer(), world.writer()];
    let access = world.live(&writers[0], "busy.test").await;
    let serial_before = world.row(&access).await.serial.expect("serial");
    let mut tasks = Vec::new();
    for client in 0..8 {
        let (writer, access) = (writers[client % 2].clone(), access.clone());
        tasks.push(tokio::spawn(async move {
            for n in 0..12 {
                let content = format!("\"value {client}-{n}\"");
                writer.apply(addition(&access, "busy.test", RecordType::Txt, &content)).await.expect("accepted");
            }
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    let server = world.pdns().zone("busy.test", 0).await.expect("answer").expect("zone");
    let txt = server.rrsets.iter().find(|r| r.name == "busy.test." && r.record_type == "TXT").expect("rrset");
    assert_eq!(txt.records.len(), 96);
    assert_eq!(world.count("SELECT COUNT(*) FROM record_ids").await, 96);
    assert_eq!(world.count("SELECT COUNT(*) FROM audit_log WHERE action = 'record.create'").await, 96);
    assert_eq!(world.count("SELECT COUNT(*) FROM zone_intents").await, 0);
    assert_eq!(world.count("SELECT COUNT(*) FROM zones WHERE drift_noted_at IS NOT NULL").await, 0);
    assert!(server.serial > serial_before);
    assert_eq!(world.row(&access).await.serial, Some(server.serial));
    world.servers.stop().await;
}

#[tokio::test]
async fn a_change_that_never_ran_is_dropped_and_its_late_patch_refused() {
    let world = World::start().await;
    let writer = world.writer();
    let access = world.live(&writer, "late.test").await;
    let (intent, _, changes) = intend(&world, &writer.inner, &access, "late.late.test").await;
    assert_eq!(writer.inner.recovery().run(intent.clone()).await, Recovered::Dropped);
    // the writer was only slow: its PATCH comes now
    let zone = ZoneName::trusted("late.test".into());
    let answer = world.pdns().patch("late.test", &protocol::write(&zone, intent.change, &changes)).await;
    assert!(matches!(Sent::of(answer, intent.change), Sent::Unknown(_)), "refused by the fence");
    assert!(!records_of(&writer, &access).await.iter().any(|record| record.starts_with("late.late.test ")));
    assert_eq!(world.count("SELECT COUNT(*) FROM zone_intents").await, 0);
    // and the zone is free for others
    writer.apply(addition(&access, "next.late.test", RecordType::A, "192.0.2.3")).await.expect("accepted");
    world.servers.stop().await;
}

#[tokio::test]
async fn a_change_that_ran_is_settled_once_by_whoever_comes_first() {
    let world = World::start().await;
    let (first, second) = (world.writer(), world.writer());
    let access = world.live(&first, "ran.test").await;
    let (intent, payload, changes) = intend(&world, &first.inner, &access, "ran.ran.test").await;
    let zone = ZoneName::trusted("ran.test".into());
    let answer = world.pdns().patch("ran.test", &protocol::write(&zone, intent.change, &changes)).await;
    let PatchAnswer::Applied { new_serial } = answer else { panic!("{answer:?}") };
    let recoveries = tokio::join!(async { first.inner.recovery().run(intent.clone()).await }, async {
        second.inner.recovery().run(intent.clone()).await
    });
    let applied = [&recoveries.0, &recoveries.1].iter().filter(|r| ***r == Recovered::Applied).count();
    assert_eq!(applied, 1, "{recoveries:?}");
    // the writer wakes up and settles too: it learns that it was done for it
    let row = world.row(&access).await;
    let finished = first.inner.finish(&row, &intent, &payload, Sent::Applied { serial: new_serial }).await;
    assert!(matches!(finished, Finished::Applied { .. }));
    assert_eq!(world.count("SELECT COUNT(*) FROM zone_changes WHERE changes LIKE '%ran.ran.test%'").await, 1);
    assert!(records_of(&first, &access).await.contains(&"ran.ran.test 192.0.2.9".to_owned()));
    world.servers.stop().await;
}

#[tokio::test]
async fn a_server_that_sleeps_longer_than_every_timeout_tears_nothing() {
    let world = World::start().await;
    let writer = world.writer();
    let access = world.live(&writer, "sleepy.test").await;
    let (intent, payload, changes) = intend(&world, &writer.inner, &access, "x.sleepy.test").await;
    world.servers.pdns.pause();
    let zone = ZoneName::trusted("sleepy.test".into());
    let answer = world.pdns().patch("sleepy.test", &protocol::write(&zone, intent.change, &changes)).await;
    let sent = Sent::of(answer, intent.change);
    assert!(matches!(sent, Sent::Unknown(_)), "no answer in time");
    let row = world.row(&access).await;
    assert!(matches!(writer.inner.finish(&row, &intent, &payload, sent).await, Finished::Unknown));
    world.servers.pdns.resume();
    // the PATCH that slept in the server's queue races with recovery; whichever wins, they agree
    let outcome = loop {
        let waiting = intents::find(&world.db, intent.change).await.expect("look").expect("still there");
        match writer.inner.recovery().run(waiting).await {
            Recovered::Undecided(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            decided => break decided,
        }
    };
    let served = records_of(&writer, &access).await.contains(&"x.sleepy.test 192.0.2.9".to_owned());
    assert_eq!(served, outcome == Recovered::Applied, "{outcome:?}");
    let in_history = world.count("SELECT COUNT(*) FROM zone_changes WHERE changes LIKE '%x.sleepy.test%'").await;
    assert_eq!(in_history == 1, served);
    world.servers.stop().await;
}

#[tokio::test]
async fn a_change_whose_marker_somebody_took_away_is_settled_as_the_operator_says() {
    let world = World::start().await;
    let writer = world.writer();
    for ran in [false, true] {
        let name = if ran { "ran.test" } else { "never.test" };
        let access = world.live(&writer, name).await;
        let zone = ZoneName::trusted(name.into());
        let (intent, _, changes) = intend(&world, &writer.inner, &access, &format!("x.{name}")).await;
        if ran {
            let sent = world.pdns().patch(name, &protocol::write(&zone, intent.change, &changes)).await;
            assert!(matches!(sent, PatchAnswer::Applied { .. }));
        }
        let outsider = [crate::pdns::RrsetPatch::delete(protocol::marker_name(&zone), "TXT")];
        assert!(matches!(world.pdns().patch(name, &outsider).await, PatchAnswer::Applied { .. }));
        assert_eq!(writer.settle_as(intent.change, ran).await.expect("looked"), None, "it is not overdue yet");
        let overdue = "UPDATE zone_intents SET deadline = NOW(6) - INTERVAL 1 SECOND";
        sqlx::query(overdue).execute(world.db.pool()).await.expect("SQL");
        let waiting = intents::find(&world.db, intent.change).await.expect("look").expect("still there");
        assert!(
            matches!(writer.inner.recovery().run(waiting).await, Recovered::Undecided(why) if why.starts_with("diverged"))
        );
        sqlx::query(overdue).execute(world.db.pool()).await.expect("SQL");
        let settled = writer.settle_as(intent.change, ran).await.expect("settled");
        assert_eq!(settled, Some(if ran { Recovered::Applied } else { Recovered::Dropped }));
        let in_history = world.count("SELECT COUNT(*) FROM zone_changes WHERE changes LIKE '%x.%.test%'").await;
        assert_eq!(in_history, i64::from(ran));
        writer.apply(addition(&access, &format!("after.{name}"), RecordType::A, "192.0.2.1")).await.expect("goes on");
    }
}

#[tokio::test]
async fn an_operators_word_does_not_call_off_a_deletion() {
    let world = World::start().await;
    let writer = world.writer();
    let access = world.live(&writer, "half.test").await;
    writer.set_status(departure(&access), Move::Withdraw).await.expect("withdrawn");
    let row = world.row(&access).await;
    let payload = writer.inner.empty_payload(&row, super::payload::Kind::Delete);
    let change = ChangeId::new();
    writer.inner.intend(&row, change, &payload).await.expect("database").expect("lock");
    let overdue = "UPDATE zone_intents SET deadline = NOW(6) - INTERVAL 1 SECOND";
    sqlx::query(overdue).execute(world.db.pool()).await.expect("SQL");
    let settled = writer.settle_as(change, false).await.expect("settled");
    assert_eq!(settled, Some(Recovered::Applied), "it is repeated, as ever");
    assert!(world.pdns().zone("half.test", 0).await.expect("answer").is_none());
    assert_eq!(world.count("SELECT COUNT(*) FROM zones").await, 0);
}

#[tokio::test]
async fn a_zone_is_withdrawn_returned_and_deleted_for_good() {
    let world = World::start().await;
    let writer = world.writer();
    let access = world.live(&writer, "gone.test").await;
    writer.apply(addition(&access, "www.gone.test", RecordType::A, "192.0.2.1")).await.expect("accepted");
    assert!(matches!(writer.delete(departure(&access)).await, Err(Error::Conflict { .. })), "it is served");
    writer.set_status(departure(&access), Move::Withdraw).await.expect("withdrawn");
    let refused = writer.apply(addition(&access, "b.gone.test", RecordType::A, "192.0.2.2")).await;
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    writer.set_status(departure(&access), Move::Return).await.expect("returned");
    writer.apply(addition(&access, "c.gone.test", RecordType::A, "192.0.2.2")).await.expect("accepted");
    writer.set_status(departure(&access), Move::Withdraw).await.expect("withdrawn");
    writer.delete(departure(&access)).await.expect("deleted");
    assert!(world.pdns().zone("gone.test", 0).await.expect("answer").is_none());
    assert_eq!(world.count("SELECT COUNT(*) FROM zones").await, 0);
    assert_eq!(world.count("SELECT COUNT(*) FROM record_ids").await, 0);
    // the name is free again, and its serial goes on above the old one
    world.live(&writer, "gone.test").await;
    world.servers.stop().await;
}

#[tokio::test]
async fn a_claim_that_went_live_since_it_was_listed_is_not_removed_as_unproven() {
    let world = World::start().await;
    let writer = world.writer();
    let is_unproven = |row: &zones::ZoneRow| row.status == ZoneStatus::PendingValidation;
    let proven = world.live(&writer, "proven.test").await;
    writer.set_status(departure(&proven), Move::Withdraw).await.expect("withdrawn");
    assert!(!writer.delete_if(departure(&proven), is_unproven).await.expect("looked"));
    assert_eq!(world.row(&proven).await.status, ZoneStatus::Inactive);
    assert!(world.pdns().zone_head("proven.test").await.expect("an answer").is_some());
    let unproven = world.claim("unproven.test").await;
    assert!(writer.delete_if(departure(&unproven), is_unproven).await.expect("removed"));
    assert_eq!(world.count("SELECT COUNT(*) FROM zones").await, 1);
}

#[tokio::test]
async fn fences_are_taken_down_once_powerdns_was_started_anew() {
    let mut world = World::start().await;
    let writer = world.writer();
    let access = world.live(&writer, "fenced.test").await;
    // uptime is in whole seconds: the fence is noted at one that a server just started does not have
    while world.pdns().uptime().await.expect("uptime") < 5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (intent, _, _) = intend(&world, &writer.inner, &access, "x.fenced.test").await;
    assert_eq!(writer.inner.recovery().run(intent).await, Recovered::Dropped);
    assert_eq!(writer.sweep_fences().await.expect("sweep"), 0, "the PATCH might still come");
    world.servers.pdns.restart().await.expect("restart");
    assert_eq!(writer.sweep_fences().await.expect("sweep"), 1);
    let server = world.pdns().zone("fenced.test", 0).await.expect("answer").expect("zone");
    assert!(!server.rrsets.iter().any(|rrset| rrset.name.starts_with("_scaidns-")));
    assert_eq!(world.count("SELECT COUNT(*) FROM fences").await, 0);
    assert_eq!(world.count("SELECT COUNT(*) FROM zones WHERE drift_noted_at IS NOT NULL").await, 0);
    world.servers.stop().await;
}

#[tokio::test]
async fn a_claim_larger_than_one_patch_goes_live_whole() {
    let world = World::start().await;
    let writer = world.writer();
    let access = world.claim("large.test").await;
    let long = format!("\"{}\"", "x".repeat(250));
    let content = vec![long; 200].join(" ");
    for n in 0..45 {
        let name = format!("t{n}.large.test");
        writer.apply(addition(&access, &name, RecordType::Txt, &content)).await.expect("staged");
    }
    writer.go_live(going_live(&access)).await.expect("goes live");
    let server = world.pdns().zone("large.test", 45).await.expect("answer").expect("zone");
    assert_eq!(server.rrsets.iter().filter(|rrset| rrset.name.starts_with('t')).count(), 45);
    assert_eq!(world.row(&access).await.status, ZoneStatus::Active);
    world.servers.stop().await;
}

#[tokio::test]
async fn a_cancelled_patch_stays_cancelled_in_the_next_zone_of_that_name() {
    let world = World::start().await;
    let writer = world.writer();
    let access = world.live(&writer, "again.test").await;
    let (intent, _, changes) = intend(&world, &writer.inner, &access, "www.again.test").await;
    assert_eq!(writer.inner.recovery().run(intent.clone()).await, Recovered::Dropped);
    writer.set_status(departure(&access), Move::Withdraw).await.expect("withdrawn");
    writer.delete(departure(&access)).await.expect("deleted");
    // the name is had by the next one, and only now the PATCH of before comes through
    let access = world.live(&writer, "again.test").await;
    let zone = ZoneName::trusted("again.test".into());
    let answer = world.pdns().patch("again.test", &protocol::write(&zone, intent.change, &changes)).await;
    assert!(matches!(Sent::of(answer, intent.change), Sent::Unknown(_)), "refused by the fence");
    assert!(!records_of(&writer, &access).await.iter().any(|record| record.starts_with("www.")));
    world.servers.stop().await;
}

#[tokio::test]
async fn a_name_had_again_goes_on_above_its_old_serial() {
    let world = World::start().await;
    let writer = world.writer();
    let access = world.live(&writer, "serial.test").await;
    for n in 0..30 {
        let name = format!("h{n}.serial.test");
        writer.apply(addition(&access, &name, RecordType::A, "192.0.2.1")).await.expect("accepted");
    }
    let old = world.row(&access).await.serial.expect("serial");
    writer.set_status(departure(&access), Move::Withdraw).await.expect("withdrawn");
    writer.delete(departure(&access)).await.expect("deleted");
    let access = world.live(&writer, "serial.test").await;
    let new = world.row(&access).await.serial.expect("serial");
    assert!(crate::dns::serial::is_newer(new, old), "{old} then {new}");
    world.servers.stop().await;
}

#[tokio::test]
async fn a_staged_name_without_its_parents_goes_live_with_empty_non_terminals() {
    let world = World::start().await;
    let writer = world.writer();
    let access = world.claim("deep.test").await;
    let service = addition(&access, "_sip._tcp.deep.test", RecordType::Srv, "10 20 5060 deep.test.");
    writer.apply(service).await.expect("staged");
    writer.go_live(going_live(&access)).await.expect("goes live");
    // PowerDNS keeps an empty non-terminal as a row without a type
    let url = world.servers.pdns_database_url();
    let pool = sqlx::MySqlPool::connect(&url).await.expect("PowerDNS's database");
    let sql = "SELECT COUNT(*) FROM records WHERE name = '_tcp.deep.test' AND type IS NULL";
    let rows: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.expect("count");
    assert_eq!(rows, 1);
    assert!(!world.pdns().zone_head("deep.test").await.expect("answer").expect("zone").api_rectify);
    world.servers.stop().await;
}

#[tokio::test]
async fn two_sweeps_at_once_leave_no_zone_stuck() {
    let world = World::start().await;
    let (first, second) = (world.writer(), world.writer());
    let access = world.live(&first, "swept.test").await;
    let row = world.row(&access).await;
    let payload = |marker: Option<String>| Payload {
        kind: Kind::Sweep { fences: Vec::new() },
        tenant: row.tenant,
        revision: row.revision,
        serial: row.serial,
        previous_marker: marker,
        rectify: false,
        entries: Vec::new(),
        audit: Vec::new(),
        ids_removed: Vec::new(),
        ids_put: Vec::new(),
        record_count: row.record_count,
        part: None,
        steps: Vec::new(),
    };
    let state = store::read(&world.db, &first.inner.pdns, &row).await.expect("content");
    let marker = state.live.expect("live").marker;
    let held =
        first.inner.intend(&row, ChangeId::new(), &payload(marker.clone())).await.expect("database").expect("lock");
    let zone = ZoneName::trusted("swept.test".into());
    let sent = first.inner.send(&row, &held, &protocol::write(&zone, held.intent.change, &[]), false).await;
    let finished = first.inner.finish(&row, &held.intent, &payload(marker.clone()), sent.sent).await;
    assert!(matches!(finished, Finished::Applied { .. }));
    // the second read before the first settled: what it read is gone, so it must not get the lock
    let stale = second.inner.intend(&row, ChangeId::new(), &payload(marker)).await.expect("database");
    assert!(stale.is_none());
    world.servers.stop().await;
}
