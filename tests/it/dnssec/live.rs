//! Whole lives of domains under the eyes of two validating resolvers with their caches, a worst-case judge of caches,
//! and other people's verifiers: no SERVFAIL, no lost proof, at no moment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use scaidns::dev::registrar::Entry;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::observer::{Observer, the_judge_of_caches_sees_a_key_that_was_swapped_at_once};
use super::resolver::{Resolver, Said, Temper};
use super::{LONG, do_as_asked, path, questions, server_keys, set_ds, shorten, state, until, until_phase, verify};
use crate::support::world::NAMESERVERS;
use crate::support::{Api, Domain, Trials, World, eventually_within, trials};

pub fn tests() -> Trials {
    trials![
        no_resolver_loses_a_domain_on_its_way_through_all_rollovers,
        the_judge_of_caches_sees_a_key_that_was_swapped_at_once,
    ]
}

/// Each name is asked for this often.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Of everything in these domains, in seconds: long enough that steps meet what caches have, short enough to wait for.
const TTL: u32 = 2;
/// What was served must have met in caches, or the judge has seen nothing.
const COMBINATIONS_MIN: usize = 40;
/// Denial, the algorithm at first, and the one that is rolled to.
const USUAL: [(&str, u64, u64); 1] = [("narrow", 13, 15)];
const ALL: [(&str, u64, u64); 6] =
    [("narrow", 13, 15), ("narrow", 8, 13), ("nsec3", 13, 15), ("nsec3", 8, 13), ("nsec", 13, 15), ("nsec", 8, 13)];

async fn no_resolver_loses_a_domain_on_its_way_through_all_rollovers() {
    let all = std::env::var("SCAIDNS_TEST_DNSSEC").is_ok_and(|text| text == "all");
    let lives = if all { &ALL[..] } else { &USUAL[..] };
    // such zones' waits are short; several are looked at by one worker
    let world = World::builder("dnssec-live").replicas(1).env("DNSSEC_POLL_SECONDS", "1").start().await;
    let api = world.admin();
    let (mut domains, mut zones) = (Vec::new(), Vec::new());
    for (denial, from, to) in lives {
        let domain = delegated(&world, &api, &format!("{denial}-{from}-{to}")).await;
        zones.push((domain.name.clone(), world.dns_address()));
        zones.push((domain.at("sub"), provider(&world).await));
        domains.push(domain);
    }
    let resolvers = Arc::new([
        Resolver::start(&world, "unbound-usual", Temper::Usual, &zones).await,
        Resolver::start(&world, "unbound-strict", Temper::Strict, &zones).await,
    ]);
    let lives = domains.iter().zip(lives).map(|(domain, life)| live(&world, &api, domain, *life, resolvers.clone()));
    futures::future::join_all(lives).await;
    drop(resolvers);
    world.stop().await;
}

/// A live domain that its parent delegates to the platform, with a delegation of its own.
async fn delegated(world: &World, api: &Api, label: &str) -> Domain {
    let domain = world.live(api, label).await;
    let sub = domain.at("sub");
    api.post(&domain.records(), json!({ "name": "sub", "type": "NS", "content": "ns1.provider.test." })).await.ok();
    shorten(world, api, &domain, TTL).await;
    world.registrar.register(&domain.name, &NAMESERVERS).await.expect("delegated");
    world.registrar.register(&sub, &["ns1.provider.test"]).await.expect("delegated");
    let entry = Entry::new(&format!("www.{sub}"), "A", "192.0.2.4");
    world.registrar.add_record(&sub, entry).await.expect("published");
    domain
}

async fn provider(world: &World) -> SocketAddr {
    let url = format!("{}/nameservers", world.registrar.api_url());
    let hosts: Value = reqwest::get(url).await.expect("an answer").json().await.expect("JSON");
    let address = hosts["ns1.provider.test"]["addresses"][0].as_str().expect("an address");
    SocketAddr::new(address.parse().expect("an address"), world.ports.dns())
}

/// Signed, every rollover, unsigned.
async fn live(
    world: &World,
    api: &Api,
    domain: &Domain,
    life: (&'static str, u64, u64),
    resolvers: Arc<[Resolver; 2]>,
) {
    let (denial, from, to) = life;
    if denial != "narrow" {
        let transfers = json!({ "transfers": { "addresses": ["127.0.0.1"] } });
        api.patch(&domain.path(), json!({ "settings": transfers })).await.ok();
    }
    let asking = Asking::start(domain, resolvers.clone());
    let observer = Observer::start(world, domain);
    let verifier = Verifier { world, api, domain, denial, resolver: resolvers[0].address };

    begin(api, domain, "/enable", json!({ "algorithm": from, "denial": denial })).await;
    verifier.until("pending_ds").await;
    do_as_asked(world, api, domain).await;
    until_phase(api, domain, "active").await;
    // what is cached from before the DS is proven by nobody
    for resolver in resolvers.iter() {
        for Expected { name, kind, .. } in expected(domain, 0).into_iter().filter(|expected| expected.proven) {
            eventually_within(LONG, "the first proof", || async {
                let said = resolver.ask(&name, kind).await;
                if said.as_ref().is_some_and(|said| said.authentic) { Ok(()) } else { Err(format!("{name}: {said:?}")) }
            })
            .await;
        }
    }
    asking.secure.store(true, Ordering::SeqCst);

    for rollover in ["zsk", "ksk", "algorithm", "zsk"] {
        let before = state(api, domain).await;
        let (call, body) = match rollover {
            "zsk" => ("/rotate-zsk", json!({})),
            "ksk" => ("/rotate-ksk", json!({})),
            _ => ("/rotate-ksk", json!({ "algorithm": to })),
        };
        begin(api, domain, call, body).await;
        let waits_in = match rollover {
            "zsk" => None,
            "ksk" => Some("ksk_wait_ds"),
            _ => Some("alg_wait_ds"),
        };
        if let Some(phase) = waits_in {
            verifier.until(phase).await;
            do_as_asked(world, api, domain).await;
        }
        verifier.until("active").await;
        let after = until_phase(api, domain, "active").await;
        let kind = if rollover == "zsk" { "zsk" } else { "ksk" };
        assert_ne!(super::tags(&before[kind]), super::tags(&after[kind]), "{rollover}");
        assert_eq!(server_keys(world, domain).await, [(256, true, true), (257, true, true)], "{rollover}");
    }
    assert_eq!(state(api, domain).await["algorithm"], to);

    asking.secure.store(false, Ordering::SeqCst);
    set_ds(world, domain, &[]).await;
    eventually_within(LONG, "disabled", || async {
        let answer = api.post_empty(&path(domain, "/disable")).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    // whatever somebody has in his cache of the signed domain has left it by then
    let (asked, secure) = asking.until_more(world).await;
    let verdict = observer.end().await;
    eprintln!(
        "{denial} {from}→{to}: {asked} answers of two resolvers, {secure} of them proven while the DS was published; {} \
         things served, {} combinations in caches",
        verdict.things, verdict.combinations
    );
    assert!(verdict.violations.is_empty(), "{denial} {from}→{to}: {:#?}", verdict.violations);
    assert!(verdict.combinations > COMBINATIONS_MIN, "{verdict:?}");
}

/// Asks for a step, again where PowerDNS was too slow: RSA keys take their time on a busy machine.
async fn begin(api: &Api, domain: &Domain, call: &str, body: Value) {
    eventually_within(LONG, call, || async {
        let answer = api.post(&path(domain, call), body.clone()).await;
        // an answer that came too late for the first one
        let is_begun = matches!(answer.body["code"].as_str(), Some("dnssec_enabled" | "rollover_in_progress"));
        if answer.status == 200 || is_begun { Ok(()) } else { Err(answer.text) }
    })
    .await;
}

struct Verifier<'a> {
    world: &'a World,
    api: &'a Api,
    domain: &'a Domain,
    denial: &'static str,
    resolver: SocketAddr,
}

impl Verifier<'_> {
    /// Verifies in each phase once its step is served, up to this one, which must not pass by itself.
    async fn until(&self, last: &str) {
        let mut verified = String::new();
        loop {
            let now = until(self.api, self.domain, last, |now| {
                now["phase"] != verified.as_str() && !now["not_before"].is_null()
            })
            .await;
            let phase = now["phase"].as_str().expect("a phase").to_owned();
            self.verify(&phase).await;
            if phase == last {
                return;
            }
            verified = phase;
        }
    }

    async fn verify(&self, phase: &str) {
        if self.denial != "narrow" {
            let found = verify::whole_zone(self.world, self.domain).await;
            // between two calls of the step after it tools complain; no resolver does, and nobody waits there
            let now = state(self.api, self.domain).await;
            let still = now["phase"] == phase && !now["not_before"].is_null();
            assert!(found.is_ok() || !still, "{} in {phase}: {found:?}", self.domain.name);
        }
        if !matches!(phase, "signing" | "pending_ds") {
            let anchor = verify::root_anchor(self.world, &self.domain.name);
            verify::delv(self.resolver, &anchor, ".", &questions(self.domain)).await;
        }
    }
}

/// Asks both resolvers for every kind of name, all the time.
struct Asking {
    /// From now on every answer must be proven.
    secure: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
    tally: Arc<Tally>,
}

#[derive(Default)]
struct Tally {
    asked: AtomicUsize,
    proven: AtomicUsize,
    silent: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

/// What must come back: the code, whether there is an answer, and whether it is proven in a signed domain.
#[derive(Clone)]
struct Expected {
    name: String,
    kind: RecordType,
    code: ResponseCode,
    answered: bool,
    proven: bool,
}

fn expected(domain: &Domain, round: usize) -> Vec<Expected> {
    use ResponseCode::{NXDomain, NoError};
    let one = |name: String, kind, code, answered, proven| Expected { name, kind, code, answered, proven };
    vec![
        one(domain.name.clone(), RecordType::SOA, NoError, true, true),
        one(domain.name.clone(), RecordType::NS, NoError, true, true),
        one(domain.at("www"), RecordType::A, NoError, true, true),
        one(domain.at("www"), RecordType::AAAA, NoError, false, true),
        one(domain.at("missing"), RecordType::A, NXDomain, false, true),
        one(domain.at(&format!("missing-{round}")), RecordType::A, NXDomain, false, true),
        one(domain.at("in.the"), RecordType::A, NoError, false, true),
        one(domain.at("any.wild"), RecordType::A, NoError, true, true),
        one(domain.at(&format!("any-{round}.wild")), RecordType::A, NoError, true, true),
        one(domain.at("sub"), RecordType::DS, NoError, false, true),
        // the delegated zone is unsigned, which is proven
        one(domain.at("www.sub"), RecordType::A, NoError, true, false),
    ]
}

impl Asking {
    fn start(domain: &Domain, resolvers: Arc<[Resolver; 2]>) -> Self {
        let (secure, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let tally = Arc::new(Tally::default());
        let (domain, is_secure, stopped, counted) = (domain.clone(), secure.clone(), stop.clone(), tally.clone());
        let task = tokio::spawn(async move {
            let mut round = 0;
            while !stopped.load(Ordering::SeqCst) {
                round += 1;
                let each = resolvers.iter().flat_map(|resolver| {
                    let (secure, tally) = (&is_secure, &counted);
                    let one = move |expected| ask(resolver, expected, secure, tally);
                    expected(&domain, round).into_iter().map(one).collect::<Vec<_>>()
                });
                tokio::join!(futures::future::join_all(each), tokio::time::sleep(ASK_EVERY));
            }
        });
        Self { secure, stop, task, tally }
    }

    /// Goes on until everything was asked some more times, then says how much was asked and proven.
    async fn until_more(self, world: &World) -> (usize, usize) {
        let Self { secure: _, stop, task, tally } = self;
        const MORE: usize = 8 * 22;
        let until = tally.asked.load(Ordering::SeqCst) + MORE;
        eventually_within(LONG, "some more answers", || async {
            let asked = tally.asked.load(Ordering::SeqCst);
            if asked >= until { Ok(()) } else { Err(asked.to_string()) }
        })
        .await;
        stop.store(true, Ordering::SeqCst);
        task.await.expect("it asked");
        let wrong = tally.wrong.lock().await;
        let logs = ["unbound-usual", "unbound-strict"].map(|name| {
            let log = world.log(name);
            let lines: Vec<&str> = log.lines().rev().filter(|line| line.contains("validation fail")).take(8).collect();
            lines.join("\n")
        });
        assert!(wrong.is_empty(), "{} wrong: {:#?}\n{}", wrong.len(), &wrong[..wrong.len().min(12)], logs.join("\n"));
        let (asked, proven, silent) = (&tally.asked, &tally.proven, &tally.silent);
        let (asked, silent) = (asked.load(Ordering::SeqCst), silent.load(Ordering::SeqCst));
        assert!(silent * 100 <= asked, "{silent} of {asked} not answered in time");
        (asked, proven.load(Ordering::SeqCst))
    }
}

async fn ask(resolver: &Resolver, expected: Expected, secure: &AtomicBool, tally: &Tally) {
    let secure_before = secure.load(Ordering::SeqCst);
    let said = resolver.ask(&expected.name, expected.kind).await;
    let must_be_proven = secure_before && secure.load(Ordering::SeqCst) && expected.proven;
    tally.asked.fetch_add(1, Ordering::SeqCst);
    let Some(Said { code, authentic, answers }) = said else {
        tally.silent.fetch_add(1, Ordering::SeqCst);
        return;
    };
    let answered = answers.iter().any(|record| record.record_type() == expected.kind);
    if must_be_proven && authentic {
        tally.proven.fetch_add(1, Ordering::SeqCst);
    }
    if code != expected.code || answered != expected.answered || (must_be_proven && !authentic) {
        let Expected { name, kind, .. } = expected;
        let wrong = format!("{} {name} {kind}: {code:?}, authentic {authentic}, answered {answered}", resolver.name);
        tally.wrong.lock().await.push(wrong);
    }
}
