//! One question to one server: UDP or TCP, and the checks that an answer must pass before anyone reads it.
//!
//! An answer counts only if it comes from the address and port asked (the socket is connected), bears the query's
//! id (from the operating system's randomness; the port is the kernel's choice), and repeats the question.
//! Anything else on a UDP socket is ignored and the wait goes on, so that a forged or stray packet cannot end it.
//! Never here: what an answer means.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Header, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use rand::TryRngCore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout_at;

use super::ResolveSettings;
use super::address::is_globally_reachable;
use super::budget::{Budget, Spent, TCP_WAIT};

/// What we offer to take over UDP: fits an Ethernet frame unfragmented (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1_232;
/// What we read of a datagram: more than was offered, as some servers exceed it; the rest is cut off and fails to
/// parse. Over TCP the two bytes of length are the bound.
const DATAGRAM_MAX: usize = 4_096;

/// An address that may be asked. There is no other way to make one than the two below, and no other way to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server(SocketAddr);

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    pub name: Name,
    pub record_type: RecordType,
    /// RD: set for recursive resolvers only.
    pub recursion_desired: bool,
    /// Whether to send an OPT record (RFC 6891); servers that choke on it are asked again without.
    pub edns: bool,
    /// DO: whether signatures are wanted too (RFC 3225).
    pub dnssec_ok: bool,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The budget is used up.
    Spent,
    /// Nothing that counts came in time.
    TimedOut,
    /// The network, or the host, refuses; asking again the same way is useless.
    Refused,
}

impl Server {
    /// One of the operator's recursive resolvers.
    pub fn resolver(address: SocketAddr) -> Self {
        Self(address)
    }

    /// A nameserver out of the DNS, thus out of a tenant's hand: `None` where it must not be asked.
    pub fn nameserver(settings: &ResolveSettings, address: IpAddr) -> Option<Self> {
        let allowed = settings.allow_private_nameservers || is_globally_reachable(address);
        allowed.then(|| Self(SocketAddr::new(address, settings.authoritative_port)))
    }
}

/// Asks over UDP, and over TCP if the answer says that it was cut off.
pub async fn ask(budget: &Budget, server: Server, question: &Question, wait: Duration) -> Result<Message, Silence> {
    match ask_udp(budget, server, question, wait).await? {
        Received::Whole(message) => Ok(*message),
        Received::Truncated => ask_tcp(budget, server, question).await,
    }
}

/// Asks over TCP.
pub async fn ask_tcp(budget: &Budget, server: Server, question: &Question) -> Result<Message, Silence> {
    let (id, packet) = encode(&Question { edns: question.dnssec_ok, ..question.clone() })?;
    budget.draw_packet()?;
    let talk = async {
        let mut stream = TcpStream::connect(server.0).await?;
        let length = u16::try_from(packet.len()).map_err(std::io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], &packet].concat()).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = match timeout_at(budget.until(TCP_WAIT), talk).await {
        Err(_) => return Err(Silence::TimedOut),
        Ok(Err(_)) => return Err(Silence::Refused),
        Ok(Ok(answer)) => answer,
    };
    match accept(&answer, id, question) {
        Some(Received::Whole(message)) => Ok(*message),
        // There is no larger transport: an answer cut off over TCP is none.
        Some(Received::Truncated) | None => Err(Silence::Refused),
    }
}

impl From<Spent> for Silence {
    fn from(Spent: Spent) -> Self {
        Self::Spent
    }
}

pub(super) enum Received {
    Whole(Box<Message>),
    Truncated,
}

async fn ask_udp(budget: &Budget, server: Server, question: &Question, wait: Duration) -> Result<Received, Silence> {
    let (id, packet) = encode(question)?;
    let local: IpAddr = match server.0 {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let until = budget.until(wait);
    let talk = async {
        let socket = UdpSocket::bind((local, 0)).await.map_err(|_| Silence::Refused)?;
        socket.connect(server.0).await.map_err(|_| Silence::Refused)?;
        budget.draw_packet()?;
        socket.send(&packet).await.map_err(|_| Silence::Refused)?;
        let mut buffer = vec![0; DATAGRAM_MAX];
        loop {
            let length = socket.recv(&mut buffer).await.map_err(|_| Silence::Refused)?;
            if let Some(received) = accept(&buffer[..length], id, question) {
                return Ok(received);
            }
        }
    };
    timeout_at(until, talk).await.unwrap_or(Err(Silence::TimedOut))
}

fn encode(question: &Question) -> Result<(u16, Vec<u8>), Silence> {
    let Question { name, record_type, recursion_desired, edns, dnssec_ok } = question;
    // The kernel's generator fails only on a broken machine; then nothing may be sent at all.
    let id = rand::rngs::OsRng.try_next_u32().map_err(|_| Silence::Refused)? as u16;
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = *recursion_desired;
    message.add_query(Query::query(name.clone(), *record_type));
    if *edns {
        let mut opt = Edns::new();
        opt.set_max_payload(UDP_PAYLOAD).set_version(0).set_dnssec_ok(*dnssec_ok);
        message.set_edns(opt);
    }
    let packet = message.to_vec().map_err(|_| Silence::Refused)?;
    Ok((id, packet))
}

/// The packet as the answer to the question, if it is one.
///
/// A truncated answer is recognised by its header and question alone, as it may end in the middle of a record.
pub(super) fn accept(packet: &[u8], id: u16, question: &Question) -> Option<Received> {
    let mut decoder = BinDecoder::new(packet);
    let Header { metadata, counts, .. } = Header::read(&mut decoder).ok()?;
    let is_ours = metadata.id == id
        && metadata.message_type == MessageType::Response
        && metadata.op_code == OpCode::Query
        && counts.queries == 1;
    if !is_ours {
        return None;
    }
    let asked = Query::query(question.name.clone(), question.record_type);
    if Message::read_queries(&mut decoder, 1).ok()? != [asked] {
        return None;
    }
    if metadata.truncation {
        return Some(Received::Truncated);
    }
    Message::from_vec(packet).ok().map(|message| Received::Whole(Box::new(message)))
}
