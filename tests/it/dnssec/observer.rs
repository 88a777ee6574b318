//! The worst that caches may do with what was really served: everything that PowerDNS and the parent were seen to give
//! is taken as cached for its whole TTL, and every combination that may have met in a cache must have a chain of
//! trust. A resolver alone does not notice a missing pre-publication, since it fetches keys again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use scaidns::dns::dnssec::Dnskey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinHandle;

use super::resolver::question;
use crate::support::{Domain, World};

const LOOK_EVERY: Duration = Duration::from_millis(150);
const WAIT: Duration = Duration::from_millis(800);

/// A key by its tag and algorithm; tags of one zone's few keys hardly ever meet.
type Key = (u16, u8);
type Keys = BTreeSet<Key>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Thing {
    /// The keys that the parent points to.
    Ds(Keys),
    Dnskey {
        listed: Keys,
        signers: Keys,
    },
    /// Who has signed an RRset, or all RRsets of a denial.
    Data(Keys),
}

/// Something that was served, from when to when, and for how long caches keep it.
#[derive(Clone, Debug)]
struct Served {
    thing: Thing,
    first: Instant,
    last: Instant,
    ttl: Duration,
}

impl Served {
    fn gone(&self) -> Instant {
        self.last + self.ttl
    }

    fn meets(&self, other: &Self) -> bool {
        self.first < other.gone() && other.first < self.gone()
    }

    /// Keys that were found secure by a DS are so as long as they are cached: fetched at the latest while the DS was.
    fn trusted_by(&self, ds: &Self) -> (Instant, Instant) {
        (self.first.max(ds.first), self.last.min(ds.gone()) + self.ttl)
    }
}

/// Looks until it is told to stop.
pub struct Observer {
    stop: Arc<AtomicBool>,
    task: JoinHandle<BTreeMap<&'static str, Vec<Served>>>,
}

/// What was seen, and what must not have been.
#[derive(Debug)]
pub struct Verdict {
    /// Different things that were served, of all kinds.
    pub things: usize,
    pub combinations: usize,
    pub violations: Vec<String>,
}

impl Observer {
    pub fn start(world: &World, domain: &Domain) -> Self {
        let (server, name) = (world.dns_address(), domain.name.clone());
        let parent = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), world.ports.dns()));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut seen: BTreeMap<&'static str, Vec<Served>> = BTreeMap::new();
            while !stopped.load(Ordering::Relaxed) {
                let looks = [
                    ("DS", parent, name.clone(), RecordType::DS),
                    ("DNSKEY", server, name.clone(), RecordType::DNSKEY),
                    ("SOA", server, name.clone(), RecordType::SOA),
                    ("existing", server, format!("www.{name}"), RecordType::A),
                    ("missing", server, format!("missing.{name}"), RecordType::A),
                    ("wildcard", server, format!("any.wild.{name}"), RecordType::A),
                ];
                for (what, server, name, kind) in looks {
                    let begun = Instant::now();
                    let Some((thing, ttl)) = look(server, &name, kind).await else { continue };
                    note(seen.entry(what).or_default(), thing, ttl, begun);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            seen
        });
        Self { stop, task }
    }

    pub async fn end(self) -> Verdict {
        self.stop.store(true, Ordering::Relaxed);
        judge(&self.task.await.expect("it looked"))
    }
}

fn note(served: &mut Vec<Served>, thing: Thing, ttl: Duration, at: Instant) {
    match served.last_mut() {
        Some(last) if last.thing == thing => {
            last.last = at;
            last.ttl = last.ttl.max(ttl);
        }
        _ => served.push(Served { thing, first: at, last: at, ttl }),
    }
}

fn judge(seen: &BTreeMap<&'static str, Vec<Served>>) -> Verdict {
    let mut verdict = Verdict { things: seen.values().map(Vec::len).sum(), combinations: 0, violations: Vec::new() };
    let of = |what: &str| seen.get(what).map(Vec::as_slice).unwrap_or_default();
    let begun = seen.values().flatten().map(|served| served.first).min();
    for ds in of("DS") {
        let Thing::Ds(wanted) = &ds.thing else { continue };
        if wanted.is_empty() {
            continue; // whoever has this does not ask for signatures
        }
        for keys in of("DNSKEY").iter().filter(|keys| keys.meets(ds)) {
            let Thing::Dnskey { listed, signers } = &keys.thing else { continue };
            let (from, until) = keys.trusted_by(ds);
            for (what, data) in seen {
                for data in data.iter().filter(|data| data.first < until && from < data.gone()) {
                    let Thing::Data(signed_by) = &data.thing else { continue };
                    verdict.combinations += 1;
                    if !has_chain(wanted, listed, signers, signed_by) {
                        let at = begun.map(|begun| data.first.max(keys.first).max(ds.first) - begun);
                        verdict.violations.push(format!(
                            "{at:.1?}: DS {wanted:?}, DNSKEY {listed:?} signed by {signers:?}, {what} signed by \
                             {signed_by:?}"
                        ));
                    }
                }
            }
        }
    }
    verdict
}

/// The judge must see what resolvers do not: a ZSK that is swapped without having been published before.
pub async fn the_judge_of_caches_sees_a_key_that_was_swapped_at_once() {
    const TTL: Duration = Duration::from_secs(5);
    let begun = Instant::now();
    let key = |tag: u16| Keys::from([(tag, 13)]);
    let dnskey = |zsk: u16| Thing::Dnskey { listed: Keys::from([(1, 13), (zsk, 13)]), signers: key(1) };
    let life = |swapped: u64, published: u64| {
        let mut seen: BTreeMap<&'static str, Vec<Served>> = BTreeMap::new();
        for second in 0..40 {
            let at = begun + Duration::from_secs(second);
            note(seen.entry("DS").or_default(), Thing::Ds(key(1)), TTL, at);
            let listed = match second {
                _ if second < published => dnskey(2),
                _ if second < swapped + 6 => {
                    Thing::Dnskey { listed: Keys::from([(1, 13), (2, 13), (3, 13)]), signers: key(1) }
                }
                _ => dnskey(3),
            };
            note(seen.entry("DNSKEY").or_default(), listed, TTL, at);
            note(seen.entry("data").or_default(), Thing::Data(key(if second < swapped { 2 } else { 3 })), TTL, at);
        }
        judge(&seen)
    };
    let proper = life(20, 10);
    assert!(proper.violations.is_empty() && proper.combinations > 3, "{proper:?}");
    for (swapped, published) in [(20, 20), (20, 17)] {
        assert!(!life(swapped, published).violations.is_empty(), "swapped at {swapped}, published at {published}");
    }
}

/// A chain by each algorithm of the DS set, as the strictest of resolvers want it.
fn has_chain(ds: &Keys, listed: &Keys, signers: &Keys, signed_by: &Keys) -> bool {
    ds.iter().all(|(_, algorithm)| {
        let of = |key: &&Key| key.1 == *algorithm;
        let entered = ds.iter().filter(of).any(|key| listed.contains(key) && signers.contains(key));
        entered && signed_by.iter().filter(of).any(|key| listed.contains(key))
    })
}

async fn look(server: SocketAddr, name: &str, kind: RecordType) -> Option<(Thing, Duration)> {
    let message = tokio::time::timeout(WAIT, exchange(server, name, kind)).await.ok()?.ok()?;
    if !matches!(message.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return None;
    }
    let section = if message.answers.is_empty() { &message.authorities } else { &message.answers };
    let ttl = section.iter().map(|record| record.ttl).max().unwrap_or(1);
    let thing = match kind {
        RecordType::DS => Thing::Ds(of_type(&message.answers, kind).filter_map(|(_, rdata)| ds_key(rdata)).collect()),
        RecordType::DNSKEY => Thing::Dnskey {
            listed: of_type(&message.answers, kind)
                .filter_map(|(_, rdata)| Dnskey::from_rdata(rdata).ok())
                .map(|key| (key.key_tag(), key.algorithm))
                .collect(),
            signers: signers(&message.answers),
        },
        _ => Thing::Data(signers(section)),
    };
    Some((thing, Duration::from_secs(ttl.into())))
}

fn of_type(records: &[Record], kind: RecordType) -> impl Iterator<Item = (&Record, &[u8])> {
    records.iter().filter_map(move |record| match &record.data {
        RData::Unknown { code, rdata } if *code == kind => Some((record, rdata.anything.as_slice())),
        _ => None,
    })
}

fn ds_key(rdata: &[u8]) -> Option<Key> {
    Some((u16::from_be_bytes([*rdata.first()?, *rdata.get(1)?]), *rdata.get(2)?))
}

/// The keys that have signed every RRset of a section (RFC 4034, 3.1).
fn signers(section: &[Record]) -> Keys {
    let mut each: BTreeMap<(String, u16), Keys> = BTreeMap::new();
    for record in section.iter().filter(|record| record.record_type() != RecordType::RRSIG) {
        each.entry((record.name.to_string(), record.record_type().into())).or_default();
    }
    for (record, rdata) in of_type(section, RecordType::RRSIG) {
        let (Some([high, low, algorithm]), Some([tag_high, tag_low])) = (rdata.get(..3), rdata.get(16..18)) else {
            continue;
        };
        let covered = (record.name.to_string(), u16::from_be_bytes([*high, *low]));
        each.entry(covered).or_default().insert((u16::from_be_bytes([*tag_high, *tag_low]), *algorithm));
    }
    each.into_values().reduce(|one, other| one.intersection(&other).copied().collect()).unwrap_or_default()
}

async fn exchange(server: SocketAddr, name: &str, kind: RecordType) -> std::io::Result<Message> {
    let packet = question(name, kind, false)?.to_vec().map_err(std::io::Error::other)?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(server).await?;
    socket.send(&packet).await?;
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).await?;
    let answer = Message::from_vec(&buffer[..length]).map_err(std::io::Error::other)?;
    if !answer.metadata.truncation {
        return Ok(answer);
    }
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(packet.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &packet].concat()).await?;
    let mut bytes = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut bytes).await?;
    Message::from_vec(&bytes).map_err(std::io::Error::other)
}
