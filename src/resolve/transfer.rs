//! A whole zone from another server (AXFR, RFC 5936): over TCP, signed where there is a key, within bounds of time and
//! size. What comes is handed on as texts, record by record.
//!
//! Never here: which server may be asked. That is decided by who knows what the operator allows, and the address that
//! was checked is the one that is connected to.

use std::net::SocketAddr;
use std::time::Duration;

use rand::TryRngCore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::tsig::{Distrust, Sequence, TsigKey};
use crate::clock::Clock;
use crate::dns::ZoneName;
use crate::dns::wire::{self, CLASS_IN, Entry, Malformed, Message, TYPE_AXFR, TYPE_SOA};

/// As long as a transfer may take in all: two hundred thousand records come in a few seconds from nearby.
const TIME_MAX: Duration = Duration::from_secs(60);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// From one message to the next.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Of all messages: two hundred thousand records of 250 octets.
const OCTETS_MAX: usize = 50_000_000;
/// What a server answers that does not believe a signature.
const NOTAUTH: u8 = 9;
/// Records that make up signing: another server's signatures are of no use in a zone that is signed here.
const OF_SIGNING: [u16; 6] = [46, 47, 48, 50, 51, 65_534];

/// A record as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferredRecord {
    pub name: String,
    pub ttl: u32,
    /// Type and content. None: of a type that no zone here keeps, with its number.
    pub content: Result<(&'static str, String), u16>,
}

/// Why there is no transfer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it does not answer in time")]
    TimedOut,
    #[error("it refuses the transfer ({0})")]
    Refused(&'static str),
    #[error("it broke off before the end of the zone")]
    BrokenOff,
    #[error("its answer does not read as a transfer of this zone")]
    Malformed,
    #[error("{0}")]
    Distrusted(#[from] Distrust),
    /// Not read to its end.
    #[error("the zone is larger than may be taken in")]
    TooLarge,
}

impl From<Malformed> for TransferError {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<std::io::Error> for TransferError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => Self::BrokenOff,
            kind => Self::Unreachable(kind.to_string()),
        }
    }
}

/// The zone as that server has it, its SOA once and without what signing adds; at most `records_max` records.
pub async fn transfer(
    server: SocketAddr,
    zone: &ZoneName,
    (key, clock): (Option<&TsigKey>, &Clock),
    records_max: usize,
) -> Result<Vec<TransferredRecord>, TransferError> {
    let until = Instant::now() + TIME_MAX;
    timeout_at(until, talk(server, zone, (key, clock), records_max)).await.unwrap_or(Err(TransferError::TimedOut))
}

async fn talk(
    server: SocketAddr,
    zone: &ZoneName,
    (key, clock): (Option<&TsigKey>, &Clock),
    records_max: usize,
) -> Result<Vec<TransferredRecord>, TransferError> {
    // the kernel's generator fails only on a broken machine; then nothing may be sent at all
    let id = rand::rngs::OsRng.try_next_u32().map_err(|_| TransferError::TimedOut)? as u16;
    let mut question = question(id, zone).ok_or(TransferError::Malformed)?;
    let sequence = match key {
        Some(key) => Some(Sequence::begin(key, clock, &mut question).ok_or(TransferError::Malformed)?),
        None => None,
    };
    let connecting = timeout(CONNECT_TIME_MAX, TcpStream::connect(server));
    let mut stream = connecting.await.map_err(|_| TransferError::TimedOut)??;
    let length = u16::try_from(question.len()).map_err(|_| TransferError::Malformed)?;
    stream.write_all(&[&length.to_be_bytes()[..], &question].concat()).await?;

    let mut gathered = Gathered::new(id, zone, sequence, records_max);
    while !gathered.is_over {
        let octets = timeout(SILENCE_MAX, next(&mut stream)).await.map_err(|_| TransferError::TimedOut)??;
        gathered.take(&octets)?;
    }
    gathered.end()
}

async fn next(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut octets = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut octets).await?;
    Ok(octets)
}

fn question(id: u16, zone: &ZoneName) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    for number in [id, 0, 1, 0, 0, 0] {
        octets.extend(number.to_be_bytes());
    }
    octets.extend(wire::name_octets(&zone.fqdn())?);
    octets.extend(TYPE_AXFR.to_be_bytes());
    octets.extend(CLASS_IN.to_be_bytes());
    Some(octets)
}

fn refusal(code: u8) -> Option<&'static str> {
    match code {
        0 => None,
        1 => Some("FORMERR"),
        2 => Some("SERVFAIL"),
        3 => Some("NXDOMAIN"),
        4 => Some("NOTIMP"),
        5 => Some("REFUSED"),
        NOTAUTH => Some("NOTAUTH"),
        _ => Some("an error"),
    }
}

/// What has come so far.
pub(super) struct Gathered<'a> {
    /// Of the question.
    id: u16,
    /// With its dot at the end.
    zone: String,
    /// Where the question was signed.
    sequence: Option<Sequence<'a>>,
    records_max: usize,
    octets_left: usize,
    records: Vec<TransferredRecord>,
    /// The first record, which comes once more at the end.
    soa: Option<(u32, String)>,
    pub(super) is_over: bool,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(id: u16, zone: &ZoneName, sequence: Option<Sequence<'a>>, records_max: usize) -> Self {
        let (zone, octets_left) = (zone.fqdn(), OCTETS_MAX);
        Self { id, zone, sequence, records_max, octets_left, records: Vec::new(), soa: None, is_over: false }
    }

    /// The next message as it came.
    pub(super) fn take(&mut self, octets: &[u8]) -> Result<(), TransferError> {
        self.octets_left = self.octets_left.checked_sub(octets.len()).ok_or(TransferError::TooLarge)?;
        let message = Message::read(octets)?;
        if message.id != self.id || !message.is_response || message.is_truncated {
            return Err(TransferError::Malformed);
        }
        // a server that takes the signature for wrong says so in one of its own, which is not signed
        let distrust = self.sequence.as_mut().map_or(Ok(()), |sequence| sequence.check(octets, &message));
        if let Some(code) = refusal(message.code) {
            return Err(match distrust {
                Err(distrust @ (Distrust::Refused | Distrust::Clock)) => distrust.into(),
                Err(_) if message.code == NOTAUTH => Distrust::Refused.into(),
                _ => TransferError::Refused(code),
            });
        }
        distrust?;
        self.add(octets, &message)?;
        match self.records.len() > self.records_max {
            true => Err(TransferError::TooLarge),
            false => Ok(()),
        }
    }

    /// The records, after the last message.
    pub(super) fn end(self) -> Result<Vec<TransferredRecord>, TransferError> {
        match self.sequence.is_none_or(|sequence| sequence.is_settled()) {
            true => Ok(self.records),
            false => Err(Distrust::Unsigned.into()),
        }
    }

    fn add(&mut self, octets: &[u8], message: &Message) -> Result<(), TransferError> {
        if message.question.as_ref().is_some_and(|(name, kind)| *name != self.zone || *kind != TYPE_AXFR) {
            return Err(TransferError::Malformed);
        }
        for entry in &message.answers {
            let Entry { name, record_type, class, ttl, start: _, data } = entry;
            if self.is_over || *class != CLASS_IN || (self.soa.is_none() && *record_type != TYPE_SOA) {
                return Err(TransferError::Malformed);
            }
            let content = wire::content(*record_type, octets, data)?.ok_or(*record_type);
            if let (TYPE_SOA, Ok((_, content))) = (*record_type, &content) {
                let soa = (*ttl, content.clone());
                match &self.soa {
                    Some(first) if *first == soa => {
                        self.is_over = true;
                        continue;
                    }
                    // the zone has changed in the middle of its transfer
                    Some(_) => return Err(TransferError::BrokenOff),
                    None if *name != self.zone => return Err(TransferError::Malformed),
                    None => self.soa = Some(soa),
                }
            }
            if !OF_SIGNING.contains(record_type) {
                self.records.push(TransferredRecord { name: name.clone(), ttl: *ttl, content });
            }
        }
        Ok(())
    }
}
