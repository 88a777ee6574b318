//! DNS servers for the tests: real packets on loopback, one address each, one port for all.
//!
//! Never here: assertions about proofs.

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Edns, Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use super::{Resolve, ResolveSettings};

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Plain,
    /// Takes questions and connections, and never says a word.
    Silent,
    TcpOnly,
    /// Over UDP says only that it has been cut off, in the middle of a record.
    Truncates,
    Code(ResponseCode),
    NotAuthoritative,
    /// Before the answer sends all that must be ignored, each with the wrong value in it.
    ForgesFirst,
    /// Answers FORMERR to a question with EDNS, as if of 1990.
    RefusesEdns,
    /// Drops questions with EDNS, as some firewalls do.
    DropsEdns,
    /// Over UDP cut off; over TCP announces 65,535 bytes and sends ten.
    Stalls,
}

/// A server to be started.
#[derive(Clone)]
pub struct Host {
    recursive: bool,
    manner: Manner,
    records: Vec<Record>,
}

/// Servers under way; they end with this value.
pub struct Net {
    port: u16,
    log: Arc<Mutex<Vec<Heard>>>,
    _tasks: JoinSet<()>,
}

/// One question as it came in.
#[derive(Clone, Debug)]
pub struct Heard {
    pub host: usize,
    pub tcp: bool,
    pub name: String,
    pub record_type: RecordType,
}

/// Records written `owner TYPE data`, TXT strings parted by `|`.
pub fn records<T: AsRef<str>>(lines: &[T]) -> Vec<Record> {
    lines.iter().map(|line| record(line.as_ref())).collect()
}

impl Host {
    /// Knows everything that it is given, and says NXDOMAIN to the rest.
    pub fn recursive<T: AsRef<str>>(lines: &[T]) -> Self {
        Self { recursive: true, manner: Manner::Plain, records: records(lines) }
    }

    /// Serves the zones whose SOA it is given, and says REFUSED to the rest.
    pub fn authoritative<T: AsRef<str>>(lines: &[T]) -> Self {
        Self { recursive: false, manner: Manner::Plain, records: records(lines) }
    }

    pub fn with(self, manner: Manner) -> Self {
        Self { manner, ..self }
    }
}

/// The address of the host with this number.
pub fn address(host: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, u8::try_from(host + 1).expect("few hosts"))
}

impl Net {
    /// Starts the hosts at 127.0.0.1, 127.0.0.2, …
    pub async fn start(hosts: &[Host]) -> Self {
        let (port, sockets) = loop {
            if let Ok(bound) = bind_all(hosts.len()).await {
                break bound;
            }
        };
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for (index, ((udp, tcp), host)) in sockets.into_iter().zip(hosts).enumerate() {
            let host = Arc::new(host.clone());
            tasks.spawn(serve_udp(udp, index, host.clone(), log.clone()));
            tasks.spawn(serve_tcp(tcp, index, host, log.clone()));
        }
        Self { port, log, _tasks: tasks }
    }

    /// The look-ups, with the first host as the only recursive resolver.
    pub fn resolve(&self) -> Resolve {
        self.resolve_with(&[0], true)
    }

    pub fn resolve_with(&self, resolvers: &[usize], allow_private_nameservers: bool) -> Resolve {
        Resolve::new(self.settings(resolvers, allow_private_nameservers))
    }

    pub fn settings(&self, resolvers: &[usize], allow_private_nameservers: bool) -> ResolveSettings {
        ResolveSettings {
            resolvers: resolvers.iter().map(|host| SocketAddr::new(address(*host).into(), self.port)).collect(),
            authoritative_port: self.port,
            allow_private_nameservers,
        }
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.log.lock().expect("log").clone()
    }

    pub fn heard_by(&self, host: usize) -> usize {
        self.heard().iter().filter(|heard| heard.host == host).count()
    }
}

async fn bind_all(hosts: usize) -> std::io::Result<(u16, Vec<(UdpSocket, TcpListener)>)> {
    let mut port = 0;
    let mut sockets = Vec::new();
    for host in 0..hosts {
        let udp = UdpSocket::bind((address(host), port)).await?;
        port = udp.local_addr()?.port();
        sockets.push((udp, TcpListener::bind((address(host), port)).await?));
    }
    Ok((port, sockets))
}

type Log = Arc<Mutex<Vec<Heard>>>;

fn note(log: &Log, host: usize, tcp: bool, query: &Message) {
    let asked = &query.queries[0];
    let name = asked.name.to_ascii();
    log.lock().expect("log").push(Heard { host, tcp, name, record_type: asked.query_type });
}

async fn serve_udp(socket: UdpSocket, index: usize, host: Arc<Host>, log: Log) {
    let mut buffer = vec![0; 4_096];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let query = Message::from_vec(&buffer[..length]).expect("a query");
        note(&log, index, false, &query);
        assert_eq!(query.metadata.recursion_desired, host.recursive, "RD goes to resolvers only");
        for packet in host.datagrams(&query) {
            socket.send_to(&packet, peer).await.expect("sent");
        }
    }
}

async fn serve_tcp(listener: TcpListener, index: usize, host: Arc<Host>, log: Log) {
    let mut open = Vec::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let length = stream.read_u16().await.expect("length");
        let mut packet = vec![0; usize::from(length)];
        stream.read_exact(&mut packet).await.expect("query");
        let query = Message::from_vec(&packet).expect("a query");
        note(&log, index, true, &query);
        match host.manner {
            Manner::Silent => open.push(stream),
            Manner::Stalls => {
                stream.write_all(&[255; 12]).await.expect("sent");
                open.push(stream);
            }
            _ => {
                let answer = host.answer(&query).to_vec().expect("encoded");
                stream.write_u16(u16::try_from(answer.len()).expect("64 kB")).await.expect("sent");
                stream.write_all(&answer).await.expect("sent");
            }
        }
    }
}

impl Host {
    fn datagrams(&self, query: &Message) -> Vec<Vec<u8>> {
        let answer = self.answer(query);
        let whole = answer.to_vec().expect("encoded");
        let room = query.edns.as_ref().map_or(512, |edns| usize::from(edns.max_payload()));
        match self.manner {
            Manner::Silent | Manner::TcpOnly => vec![],
            Manner::DropsEdns if query.edns.is_some() => vec![],
            Manner::ForgesFirst => forgeries(&answer, &whole).into_iter().chain([whole]).collect(),
            Manner::Truncates | Manner::Stalls => vec![cut_off(&answer)],
            _ if whole.len() > room => vec![cut_off(&answer)],
            _ => vec![whole],
        }
    }

    fn answer(&self, query: &Message) -> Message {
        let asked = query.queries[0].clone();
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.add_query(asked.clone());
        answer.metadata.authoritative = !self.recursive && self.manner != Manner::NotAuthoritative;
        if query.edns.is_some() {
            answer.set_edns(Edns::new());
        }
        match self.manner {
            Manner::Code(code) => answer.metadata.response_code = code,
            Manner::RefusesEdns if query.edns.is_some() => answer.metadata.response_code = ResponseCode::FormErr,
            _ => self.fill(&mut answer, asked.name.to_lowercase(), asked.query_type),
        }
        answer
    }

    fn fill(&self, answer: &mut Message, mut name: Name, record_type: RecordType) {
        for _ in 0..20 {
            let apex = self.apex(&name);
            if !self.recursive {
                let Some(apex) = &apex else {
                    if answer.answers.is_empty() {
                        answer.metadata.response_code = ResponseCode::Refused;
                    }
                    return;
                };
                let delegated =
                    |r: &&Record| r.record_type() == RecordType::NS && r.name != apex.name && r.name.zone_of(&name);
                if let Some(ns) = self.records.iter().find(delegated) {
                    answer.metadata.authoritative &= !answer.answers.is_empty();
                    answer.add_authority(ns.clone());
                    return;
                }
            }
            let here = |wanted| move |r: &&Record| r.record_type() == wanted;
            let at_name: Vec<&Record> = self.records.iter().filter(|r| r.name == name).collect();
            let found: Vec<Record> = at_name.iter().copied().filter(here(record_type)).cloned().collect();
            if !found.is_empty() {
                answer.add_answers(found);
                return;
            }
            let Some(alias) = at_name.iter().copied().find(here(RecordType::CNAME)) else {
                if !self.records.iter().any(|r| name.zone_of(&r.name)) {
                    answer.metadata.response_code = ResponseCode::NXDomain;
                }
                answer.add_authorities(apex.cloned());
                return;
            };
            answer.add_answer(alias.clone());
            if let RData::CNAME(target) = &alias.data {
                name = target.0.to_lowercase();
            }
        }
    }

    fn apex(&self, name: &Name) -> Option<&Record> {
        let around = |r: &&Record| r.record_type() == RecordType::SOA && r.name.zone_of(name);
        self.records.iter().filter(around).max_by_key(|r| r.name.num_labels())
    }
}

/// Header and question with TC set, and the beginning of a record.
fn cut_off(answer: &Message) -> Vec<u8> {
    let mut packet = Message::response(answer.metadata.id, answer.metadata.op_code);
    packet.metadata.truncation = true;
    packet.queries = answer.queries.clone();
    let mut packet = packet.to_vec().expect("encoded");
    packet[7] = 1;
    packet.extend_from_slice(&[0xc0, 12, 0]);
    packet
}

fn forgeries(answer: &Message, whole: &[u8]) -> Vec<Vec<u8>> {
    let mut forged = answer.clone();
    forged.answers =
        records(&[format!("{} TXT forged", answer.queries[0].name.to_ascii()), "z.test. TXT forged".to_owned()]);
    let id = answer.metadata.id;
    let mut other_id = forged.clone();
    other_id.metadata.id = id.wrapping_add(1);
    let mut other_question = forged.clone();
    other_question.queries[0].name = Name::from_str("z.test.").expect("name");
    let mut other_type = forged.clone();
    other_type.queries[0].query_type = RecordType::MX;
    let mut no_question = forged.clone();
    no_question.queries.clear();
    // An owner that points to itself.
    let mut loops = Message::response(id, answer.metadata.op_code);
    loops.queries = answer.queries.clone();
    let mut loops = loops.to_vec().expect("encoded");
    let here = u8::try_from(loops.len()).expect("short");
    loops[7] = 1;
    loops.extend_from_slice(&[0xc0, here, 0, 16, 0, 1, 0, 0, 0, 0, 0, 2, 1, b'x']);
    let mut query = forged.clone();
    query.metadata.message_type = hickory_proto::op::MessageType::Query;
    let forged = [other_id, other_question, other_type, no_question, query];
    let forged = forged.into_iter().map(|message| message.to_vec().expect("encoded"));
    let garbage = [vec![], vec![0; 3], vec![255; 600], whole[..whole.len() / 2].to_vec(), loops];
    forged.chain(garbage).collect()
}

fn record(line: &str) -> Record {
    let mut parts = line.splitn(3, ' ');
    let mut next = || parts.next().unwrap_or_else(|| panic!("owner TYPE data: {line}"));
    let (owner, record_type, data) = (next(), next(), next());
    let name = || Name::from_str(data).expect(line);
    let data = match record_type {
        "A" => RData::A(A(data.parse().expect(line))),
        "AAAA" => RData::AAAA(AAAA(data.parse().expect(line))),
        "NS" => RData::NS(NS(name())),
        "CNAME" => RData::CNAME(CNAME(name())),
        "SOA" => RData::SOA(SOA::new(name(), name(), 1, 2, 3, 4, 5)),
        "TXT" => RData::TXT(TXT::new(data.split('|').map(str::to_owned).collect())),
        other => panic!("{other} in {line}"),
    };
    Record::from_rdata(Name::from_str(owner).expect(line), 60, data)
}
