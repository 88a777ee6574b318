//! Validating resolvers that know nothing but the root's key: unbound, with its caches as resolvers have them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket as Blocking};
use std::path::PathBuf;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType};
use scaidns::dev::process::Program;
use scaidns::dev::servers::{Probe, Server};
use tokio::net::UdpSocket;

use crate::support::{World, eventually};

/// A resolver may have to ask several servers, on a busy machine.
const WAIT: Duration = Duration::from_secs(6);

/// What a resolver said.
#[derive(Debug, Clone)]
pub struct Said {
    pub code: ResponseCode,
    /// It has found a chain of trust from the root to this.
    pub authentic: bool,
    pub answers: Vec<Record>,
}

pub struct Resolver {
    _server: Server,
    pub name: &'static str,
    pub address: SocketAddr,
}

/// How strict a resolver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    Usual,
    /// Wants a signature for each algorithm of the DS set, and makes up denials from what it has in its cache.
    Strict,
}

impl Resolver {
    /// `zones`: which servers have them, as (name, address); everything else under the root is the registrar's.
    pub async fn start(world: &World, name: &'static str, temper: Temper, zones: &[(String, SocketAddr)]) -> Self {
        let port = free_port();
        let folder = world.folder.join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let strict = if temper == Temper::Strict { "yes" } else { "no" };
        let mut configuration = format!(
            "server:\n  interface: 127.0.0.1\n  port: {port}\n  do-ip6: no\n  username: \"\"\n  chroot: \"\"\n  \
             directory: \"{}\"\n  pidfile: \"\"\n  use-syslog: no\n  num-threads: 1\n  do-daemonize: no\n  \
             do-not-query-localhost: no\n  access-control: 127.0.0.0/8 allow\n  local-zone: \"test.\" nodefault\n  \
             module-config: \"validator iterator\"\n  trust-anchor: \"{}\"\n  trust-anchor-signaling: no\n  \
             val-log-level: 2\n  target-fetch-policy: \"0 0 0 0 0\"\n  harden-algo-downgrade: {strict}\n  \
             aggressive-nsec: {strict}\nremote-control:\n  control-enable: no\n",
            folder.display(),
            world.registrar.trust_anchor(),
        );
        let parent = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), world.ports.dns()));
        let parents = ["", "test"].map(|top| (top.to_owned(), parent));
        for (zone, server) in parents.iter().chain(zones) {
            let address = format!("{}@{}", server.ip(), server.port());
            configuration += &format!("stub-zone:\n  name: \"{zone}.\"\n  stub-addr: {address}\n  stub-prime: no\n");
        }
        let file = folder.join("unbound.conf");
        std::fs::write(&file, configuration).expect("written");
        let program = Program::new(&world.folder, name, unbound()).args(["-d", "-c"]).arg(file.display().to_string());
        let server = Server::launch(program, Probe::Running).await.expect("it starts");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let resolver = Self { _server: server, name, address };
        eventually(&format!("{name} finds the parent's zone secure"), || async {
            match resolver.ask("test", RecordType::SOA).await {
                Some(said) if said.authentic => Ok(()),
                other => Err(format!("{other:?}; {}", world.log(name))),
            }
        })
        .await;
        resolver
    }

    /// None: no answer in time.
    pub async fn ask(&self, name: &str, kind: RecordType) -> Option<Said> {
        tokio::time::timeout(WAIT, self.exchange(name, kind)).await.ok()?.ok()
    }

    async fn exchange(&self, name: &str, kind: RecordType) -> std::io::Result<Said> {
        let message = question(name, kind, true)?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        socket.connect(self.address).await?;
        socket.send(&message.to_vec().map_err(std::io::Error::other)?).await?;
        let mut buffer = vec![0; 65_535];
        let length = socket.recv(&mut buffer).await?;
        let answer = Message::from_vec(&buffer[..length]).map_err(std::io::Error::other)?;
        Ok(Said {
            code: answer.metadata.response_code,
            authentic: answer.metadata.authentic_data,
            answers: answer.answers,
        })
    }
}

/// A question of somebody who wants signatures.
pub fn question(name: &str, kind: RecordType, recursive: bool) -> std::io::Result<Message> {
    let mut question = Message::new(rand::random::<u16>(), MessageType::Query, OpCode::Query);
    let mut owner = Name::from_ascii(name).map_err(std::io::Error::other)?;
    owner.set_fqdn(true);
    question.add_query(Query::query(owner, kind));
    question.metadata.recursion_desired = recursive;
    let mut edns = Edns::new();
    edns.set_max_payload(4_096).set_version(0).set_dnssec_ok(true);
    question.set_edns(edns);
    Ok(question)
}

fn unbound() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join("unbound")).find(|file| file.is_file());
    found.expect("unbound is installed: scripts/test does it")
}

/// Free for UDP and TCP.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        if Blocking::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
