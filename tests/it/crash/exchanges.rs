//! Single exchanges that break: what a server has done and nobody was told, what never arrived, and replicas that die
//! at each step of a write.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use scaidns::dev::servers::{Probe, Server};

use super::judge::{judge, settled};
use super::ledger::{self, Attempt, Load, Said, Zone};
use super::{hurry, seed};
use crate::support::proxy::{Fault, Proxy, Wanted, is_commit, is_intent_or_settle, is_patch};
use crate::support::{Api, Trials, World, eventually, trials};

/// Exchanges broken while writers write.
const BROKEN: usize = 30;
/// The port of the replica behind the proxies, among those of replicas.
const BEHIND: u16 = 5;

pub fn tests() -> Trials {
    trials![
        the_databases_answer_to_powerdns_commit_is_swallowed,
        the_databases_answers_to_powerdns_are_swallowed_until_nobody_can_tell,
        powerdns_commits_are_swallowed_and_cut_while_writers_write,
        commits_of_a_replica_are_swallowed_and_cut_and_it_knows_or_says_that_it_does_not,
        a_commit_for_a_pending_domain_whose_answer_is_lost_is_not_called_refused,
        a_record_listed_before_its_settle_has_the_id_it_keeps,
        a_replica_killed_at_each_step_of_a_write_leaves_all_or_nothing_and_its_late_patch_is_refused,
    ]
}

async fn the_databases_answer_to_powerdns_commit_is_swallowed() {
    let mut world = World::private("swallowed").await;
    let zones = ledger::zones(&world, "swallowed", 1).await;
    let proxy = powerdns_behind_a_proxy(&mut world).await;
    let before = ledger::add(&zones[0].api, (0, &zones[0]), "before").await;

    proxy.arm(is_commit, Fault::SWALLOW);
    let swallowed = ledger::add(&zones[0].api, (0, &zones[0]), "swallowed").await;
    assert_eq!(proxy.hits(), 1);
    proxy.arm(is_commit, Fault::CUT);
    let cut = ledger::add(&zones[1].api, (1, &zones[1]), "cut").await;
    assert_eq!(proxy.hits(), 2);
    let log = world.log("api-1");
    assert_eq!(log.matches("500 Internal Server Error").count(), 2, "PowerDNS says 500 to both: {log}");

    // The marker tells them apart: what ran is settled, what did not is written anew.
    assert_eq!((before.status, swallowed.status, cut.status), (200, 200, 200));
    let settled = async |outcome: &str| {
        let sql = "SELECT COUNT(*) FROM settled_batches WHERE detail LIKE '%recovery%' AND outcome = ?";
        sqlx::query_scalar::<_, i64>(sql).bind(outcome).fetch_one(&world.db).await.expect("a count")
    };
    assert_eq!((settled("applied").await, settled("dropped").await), (1, 1));
    let after = ledger::add(&zones[1].api, (1, &zones[1]), "after").await;
    judge(&world, &zones, &[before, swallowed, cut, after]).await;
    world.stop().await;
}

async fn the_databases_answers_to_powerdns_are_swallowed_until_nobody_can_tell() {
    let mut world = World::private("unknown").await;
    let zones = ledger::zones(&world, "unknown", 1).await;
    let proxy = powerdns_behind_a_proxy(&mut world).await;
    // The change's own, and those of whoever wants to find out.
    proxy.arm(is_commit, Fault { times: 1_000, ..Fault::SWALLOW });
    let unknown = ledger::add(&zones[0].api, (0, &zones[0]), "unknown").await;
    assert_eq!(unknown.status, 504, "nobody can tell yet: {unknown:?}");
    assert!(proxy.hits() >= 2, "its own and the fence's");
    // Others wait for it, and are refused rather than let past.
    let waiting = ledger::add(&zones[0].api, (0, &zones[0]), "waiting").await;
    assert_eq!(waiting.status, 503, "{waiting:?}");
    proxy.disarm();
    let tally = judge(&world, &zones, &[unknown, waiting]).await;
    assert_eq!(tally.unknown_applied, 1, "it was live all the time: {tally:?}");
    world.stop().await;
}

async fn powerdns_commits_are_swallowed_and_cut_while_writers_write() {
    let seed = seed("commits under load");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::private("commits").await;
    let zones = ledger::zones(&world, "commits", 2).await;
    let proxy = powerdns_behind_a_proxy(&mut world).await;
    let load = Load::start(&world, &zones, 2, seed);
    for broken in 1..=BROKEN {
        let fault = if rng.random_bool(0.6) { Fault::SWALLOW } else { Fault::CUT };
        proxy.arm(is_commit, Fault { after: rng.random_range(0..6), ..fault });
        proxy.until_hits(broken).await;
        hurry(&world).await;
    }
    let attempts = load.end().await;
    let tally = judge(&world, &zones, &attempts).await;
    eprintln!("{BROKEN} commits of PowerDNS broken: {tally:?}");
    world.stop().await;
}

/// The commits of one write are the intent's and the settle's.
async fn commits_of_a_replica_are_swallowed_and_cut_and_it_knows_or_says_that_it_does_not() {
    let world = World::private("own-commits").await;
    let zones = ledger::zones(&world, "own-commits", 2).await;
    let mut behind = Behind::start(&world).await;
    let cases = [(0, Fault::SWALLOW, 200), (0, Fault::CUT, 503), (1, Fault::SWALLOW, 200), (1, Fault::CUT, 504)];
    let mut attempts = Vec::new();
    for (index, (after, fault, status)) in cases.into_iter().enumerate() {
        let caller = behind.caller(&zones[index]).await;
        behind.database.arm(is_intent_or_settle, Fault { after, ..fault });
        let attempt = ledger::add(&caller, (index, &zones[index]), "broken").await;
        assert_eq!(behind.database.hits(), index + 1);
        assert_eq!(attempt.status, status, "commit {after} with {fault:?}");
        attempts.push(attempt);
    }
    let tally = judge(&world, &zones, &attempts).await;
    assert_eq!(tally.unknown_applied, 1, "PowerDNS had it before the settle was cut: {tally:?}");
    behind.replica.stop().await;
    world.stop().await;
}

/// A pending domain has one commit, intent and settle in one.
async fn a_commit_for_a_pending_domain_whose_answer_is_lost_is_not_called_refused() {
    let world = World::private("staged").await;
    let mut behind = Behind::start(&world).await;
    let domain = world.pending(&world.admin(), "staged").await;
    let zone = Zone { domain, api: world.admin(), auditor: world.admin_user() };
    let caller = behind.caller(&zone).await;
    for (fault, there) in [(Fault::CUT, false), (Fault::SWALLOW, true)] {
        behind.database.arm(is_commit, fault);
        let attempt = ledger::add(&caller, (0, &zone), "broken").await;
        assert_eq!(!zone.api.records(&zone.domain).await.is_empty(), there);
        let told = match attempt.said {
            Said::Applied(_) => Some(true),
            Said::NotApplied => Some(false),
            Said::Unknown => None,
        };
        assert!(told.is_none_or(|told| told == there), "with {fault:?} it is there: {there}; said: {attempt:?}");
    }
    behind.replica.stop().await;
    world.stop().await;
}

/// PowerDNS has it, the settle is still to come: a reader may wait, or leave it out, or know its id from the intent.
async fn a_record_listed_before_its_settle_has_the_id_it_keeps() {
    let world = World::private("listed").await;
    let mut behind = Behind::start(&world).await;
    let api = world.admin();
    let zone = Zone { domain: world.live(&api, "listed").await, api, auditor: world.admin_user() };
    let caller = behind.caller(&zone).await;
    behind.database.arm(is_intent_or_settle, Fault { after: 1, times: 1, reaches_server: false, closes: false });
    let asked = {
        let zone = zone.clone();
        tokio::spawn(async move { ledger::add(&caller, (0, &zone), "unsettled").await })
    };
    behind.database.until_hits(1).await;
    let early = zone.api.get(&zone.domain.records()).await;
    behind.replica.kill().await;
    let attempt = asked.await.expect("no panic");
    assert_eq!(attempt.said, Said::Unknown);
    hurry(&world).await;
    settled(&world, std::slice::from_ref(&zone)).await;
    let kept = zone.api.records(&zone.domain).await;
    assert_eq!(kept.len(), 1, "it was applied: {kept:?}");
    let shown = early.body["data"].as_array().cloned().unwrap_or_default();
    assert!(shown.iter().all(|record| record["id"] == kept[0]["id"]), "first {shown:?}, then {kept:?}");
    world.stop().await;
}

async fn a_replica_killed_at_each_step_of_a_write_leaves_all_or_nothing_and_its_late_patch_is_refused() {
    let world = World::private("steps").await;
    let zones = ledger::zones(&world, "steps", 3).await;
    let mut behind = Behind::start(&world).await;
    let before = |after| Fault { after, times: 1, reaches_server: false, closes: false };
    let once_done = |after| Fault { reaches_server: true, ..before(after) };
    let steps: [(&str, bool, Wanted, Fault); 6] = [
        ("intent not committed", false, is_intent_or_settle, before(0)),
        ("intent committed", false, is_intent_or_settle, once_done(0)),
        ("PATCH not sent", false, is_patch, before(0)),
        ("PATCH done", true, is_patch, once_done(0)),
        ("settle not committed", true, is_intent_or_settle, before(1)),
        ("settle committed", true, is_intent_or_settle, once_done(1)),
    ];
    let mut attempts = Vec::new();
    for (index, (step, _, wanted, fault)) in steps.iter().enumerate() {
        let zone = &zones[index];
        let caller = behind.caller(zone).await;
        let proxy = if wanted(b"PATCH ") { &behind.powerdns } else { &behind.database };
        let hits = proxy.hits() + 1;
        proxy.arm(*wanted, *fault);
        let asked = {
            let (caller, zone) = (caller.clone(), zone.clone());
            tokio::spawn(async move { ledger::add(&caller, (index, &zone), "dying").await })
        };
        proxy.until_hits(hits).await;
        behind.replica.kill().await;
        let attempt: Attempt = asked.await.expect("no panic");
        assert_eq!(attempt.said, Said::Unknown, "{step}: {attempt:?}");
        attempts.push(attempt);
        behind.replica.restart().await.expect("it comes back");
    }
    // Its writer is dead, and now its time is over.
    hurry(&world).await;
    settled(&world, &zones).await;
    let late = behind.powerdns.deliver_held().await;
    assert!(late.starts_with("HTTP/1.1 422 ") && late.contains("_scaidns-"), "the late PATCH: {late}");

    let tally = judge(&world, &zones, &attempts).await;
    for ((step, applied, ..), zone) in steps.iter().zip(&zones) {
        let there = !zone.api.records(&zone.domain).await.is_empty();
        assert_eq!(there, *applied, "{step}");
    }
    eprintln!("killed at {} steps: {tally:?}", steps.len());
    behind.replica.stop().await;
    world.stop().await;
}

/// Puts a proxy between PowerDNS and its database.
async fn powerdns_behind_a_proxy(world: &mut World) -> Proxy {
    let proxy = Proxy::start(world.ports.mariadb()).await;
    let path = world.folder.join("pdns/pdns.conf");
    let text = std::fs::read_to_string(&path).expect("PowerDNS's configuration");
    let direct = format!("gmysql-port={}\n", world.ports.mariadb());
    assert!(text.contains(&direct), "{text}");
    std::fs::write(&path, text.replace(&direct, &format!("gmysql-port={}\n", proxy.port()))).expect("written");
    world.servers.pdns.restart().await.expect("PowerDNS behind the proxy");
    proxy
}

/// A replica that reaches its database and PowerDNS through proxies.
struct Behind {
    replica: Server,
    url: String,
    database: Proxy,
    powerdns: Proxy,
}

impl Behind {
    async fn start(world: &World) -> Self {
        let ports = world.ports;
        let database = Proxy::start(ports.mariadb()).await;
        let powerdns = Proxy::start(ports.pdns_api()).await;
        let through = |url: String, port: u16, proxy: &Proxy| {
            url.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{}", proxy.port()))
        };
        let url = format!("http://127.0.0.1:{}", ports.api(BEHIND));
        let variables = [
            ("DATABASE_URL", through(world.servers.database_url(), ports.mariadb(), &database)),
            ("PDNS_API_URL", through(world.servers.pdns_api_url(), ports.pdns_api(), &powerdns)),
            ("BIND_ADDRESS", format!("127.0.0.1:{}", ports.api(BEHIND))),
            ("METRICS_BIND_ADDRESS", format!("127.0.0.1:{}", ports.api_metrics(BEHIND))),
        ];
        let program = world.program("api-behind", &["api"]);
        let program = program.with_env(&variables.map(|(name, value)| (name.to_owned(), value)));
        let probe = Probe::Http { url: format!("{url}/health/live") };
        let replica = Server::launch(program, probe).await.expect("a replica behind proxies");
        Self { replica, url, database, powerdns }
    }

    /// The zone's tenant at this replica, which knows the caller by now. Logged in, since the first use of a key is
    /// noted by a commit of its own.
    async fn caller(&self, zone: &Zone) -> Api {
        let caller = zone.auditor.at(&self.url);
        eventually("the replica serves the zone", || async {
            let answer = caller.get(&zone.domain.records()).await;
            if answer.status == 200 { Ok(()) } else { Err(answer.text) }
        })
        .await;
        caller
    }
}
