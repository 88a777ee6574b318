//! UDP and TCP: sockets in, messages out. What to answer is decided elsewhere.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::DNSClass;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::State;
use super::answer::{self, Answer};
use super::resolver;
use super::signed;
use super::world::PARENT_ADDRESS;
use crate::dev::DevError;

/// No DNS message is larger.
pub(super) const MESSAGE_MAX: usize = 65_535;
/// What a client without EDNS takes over UDP (RFC 1035).
const UDP_PLAIN_MAX: usize = 512;
/// What is sent over UDP at most, whatever the client offers (DNS flag day 2020).
const UDP_MAX: u16 = 1232;
/// How long a TCP connection may lie idle.
const TCP_IDLE: Duration = Duration::from_secs(10);
/// How often a free port common to UDP and TCP is looked for.
const PORT_TRIES: usize = 20;

/// Everything the registrar listens on.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    port: u16,
    authorities: HashMap<IpAddr, Listener>,
    resolver: Option<Listener>,
}

/// One address, both transports.
#[derive(Debug)]
struct Listener {
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Who is being asked.
#[derive(Debug, Clone, Copy)]
enum Role {
    Authority(IpAddr),
    /// Holds the port of the nameservers it may have to ask.
    Resolver {
        authorities_port: u16,
    },
}

impl Listeners {
    /// The port of all nameservers.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Listens as the nameserver at `address`, unless it does already.
    pub(super) async fn open_authority(
        &mut self,
        state: &Arc<State>,
        address: IpAddr,
        port: u16,
    ) -> Result<(), DevError> {
        if self.authorities.contains_key(&address) {
            return Ok(());
        }
        let port = if port == 0 { self.port } else { port };
        let (listener, bound) = open(state, (address, port).into(), Role::Authority(address), "DNS").await?;
        self.port = bound.port();
        self.authorities.insert(address, listener);
        Ok(())
    }

    /// Listens as the recursive resolver; after the first nameserver, whose port it asks at.
    pub(super) async fn open_resolver(
        &mut self,
        state: &Arc<State>,
        address: SocketAddr,
    ) -> Result<SocketAddr, DevError> {
        let role = Role::Resolver { authorities_port: self.port };
        let (listener, bound) = open(state, address, role, "registrar resolver").await?;
        self.resolver = Some(listener);
        Ok(bound)
    }

    pub(super) fn close(&mut self) {
        self.authorities.clear();
        self.resolver = None;
    }
}

async fn open(
    state: &Arc<State>,
    address: SocketAddr,
    role: Role,
    purpose: &str,
) -> Result<(Listener, SocketAddr), DevError> {
    let (udp, tcp, bound) = bind(address, purpose).await?;
    // Weak: the state holds the listeners, so they must not hold the state.
    let udp_task = tokio::spawn(serve_udp(Arc::downgrade(state), Arc::new(udp), role));
    let tcp_task = tokio::spawn(serve_tcp(Arc::downgrade(state), tcp, role));
    Ok((Listener { tasks: [udp_task, tcp_task] }, bound))
}

async fn bind(address: SocketAddr, purpose: &str) -> Result<(UdpSocket, TcpListener, SocketAddr), DevError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let bound = async {
            let tcp = TcpListener::bind(address).await?;
            let bound = tcp.local_addr()?;
            Ok::<_, std::io::Error>((UdpSocket::bind(bound).await?, tcp, bound))
        };
        match bound.await {
            Ok(bound) => return Ok(bound),
            Err(_) if address.port() == 0 && tries < PORT_TRIES => {}
            Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
                return Err(DevError::PortInUse { port: address.port(), purpose: format!("{purpose} at {address}") });
            }
            Err(source) => return Err(DevError::Spawn { name: format!("{purpose} at {address}"), source }),
        }
    }
}

async fn serve_udp(state: Weak<State>, socket: Arc<UdpSocket>, role: Role) {
    let mut buffer = vec![0; MESSAGE_MAX];
    loop {
        // An error is about an earlier answer that nobody took (ICMP); the socket is still good.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let Some(state) = state.upgrade() else { return };
        let (query, socket) = (buffer[..length].to_vec(), socket.clone());
        tokio::spawn(async move {
            if let Some(reply) = reply(&state, role, &query, Transport::Udp).await {
                let _ = socket.send_to(&reply, client).await;
            }
        });
    }
}

async fn serve_tcp(state: Weak<State>, listener: TcpListener, role: Role) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve_connection(state.clone(), stream, role))),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await, // out of file descriptors
        }
    }
}

async fn serve_connection(state: Weak<State>, mut stream: TcpStream, role: Role) {
    while let Ok(Ok(query)) = timeout(TCP_IDLE, read_message(&mut stream)).await {
        let Some(state) = state.upgrade() else { return };
        if let Some(reply) = reply(&state, role, &query, Transport::Tcp).await
            && write_message(&mut stream, &reply).await.is_err()
        {
            return;
        }
    }
}

/// One question and its answer over TCP.
pub(super) async fn exchange_tcp(server: SocketAddr, query: &[u8]) -> Option<Message> {
    let mut stream = TcpStream::connect(server).await.ok()?;
    write_message(&mut stream, query).await.ok()?;
    Message::from_vec(&read_message(&mut stream).await.ok()?).ok()
}

async fn read_message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write_message(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    let length = u16::try_from(message.len()).map_err(std::io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
}

/// The bytes to send back; none for silence and for what is no question.
async fn reply(state: &State, role: Role, bytes: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let query = Message::from_vec(bytes).ok()?;
    if query.metadata.message_type != MessageType::Query {
        return None;
    }
    let answer = decide(state, role, &query).await?;
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.add_queries(query.queries.iter().cloned());
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.metadata.recursion_available = matches!(role, Role::Resolver { .. });
    let Answer { code, authoritative, answers, authorities, additionals } = answer;
    reply.metadata.response_code = code;
    reply.metadata.authoritative = authoritative;
    reply.add_answers(answers).add_authorities(authorities).add_additionals(additionals);
    let mut limit = UDP_PLAIN_MAX;
    if let Some(asked) = &query.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_MAX).set_dnssec_ok(asked.flags().dnssec_ok);
        limit = usize::from(asked.max_payload().clamp(UDP_PLAIN_MAX as u16, UDP_MAX));
        reply.set_edns(edns);
    }
    let encoded = reply.to_vec().ok()?;
    match transport {
        Transport::Udp if encoded.len() > limit => reply.truncate().to_vec().ok(),
        Transport::Udp | Transport::Tcp => Some(encoded),
    }
}

async fn decide(state: &State, role: Role, query: &Message) -> Option<Answer> {
    if query.metadata.op_code != OpCode::Query {
        return Some(Answer::refuse(ResponseCode::NotImp));
    }
    let [question] = query.queries.as_slice() else {
        return Some(Answer::refuse(ResponseCode::FormErr));
    };
    if question.query_class() != DNSClass::IN {
        return Some(Answer::refuse(ResponseCode::Refused));
    }
    let world = state.world();
    let (name, kind) = (question.name().to_lowercase(), question.query_type());
    let secure = query.edns.as_ref().is_some_and(|asked| asked.flags().dnssec_ok);
    match role {
        Role::Authority(address) if address == PARENT_ADDRESS => {
            Some(signed::parent(&world, &state.key, (&name, kind), secure, state.clock.now()))
        }
        Role::Authority(address) => answer::authoritative(&world, address, &name, kind),
        Role::Resolver { authorities_port } if query.metadata.recursion_desired => {
            Some(resolver::resolve(&world, authorities_port, &name, kind).await)
        }
        Role::Resolver { .. } => Some(answer::parent(&world, &name, kind)),
    }
}
