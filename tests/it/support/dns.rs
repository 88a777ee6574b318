//! Questions to a server over UDP, and over TCP when the answer was cut off.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

const WAIT: Duration = Duration::from_secs(2);
const TRIES: usize = 4;
const TRANSFER_WAIT: Duration = Duration::from_secs(20);
const UDP_PAYLOAD: u16 = 1_232;

/// What a server answered.
#[derive(Debug, Clone)]
pub struct DnsAnswer {
    pub code: ResponseCode,
    pub authoritative: bool,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
}

impl DnsAnswer {
    /// The data of the answers of this type in text form, sorted. TXT: its strings put together, without quotes.
    pub fn values(&self, record_type: RecordType) -> Vec<String> {
        let wanted = self.answers.iter().filter(|record| record.record_type() == record_type);
        let mut values: Vec<String> = wanted.map(|record| text(&record.data)).collect();
        values.sort();
        values
    }

    /// The TTL of the first answer.
    #[track_caller]
    pub fn ttl(&self) -> u32 {
        self.answers.first().unwrap_or_else(|| panic!("no answer in {self:?}")).ttl
    }

    pub fn is_nodata(&self) -> bool {
        self.code == ResponseCode::NoError && self.answers.is_empty()
    }
}

/// Asks; panics when no answer comes at all.
pub async fn ask(server: SocketAddr, name: &str, record_type: RecordType) -> DnsAnswer {
    let mut last = String::new();
    for _ in 0..TRIES {
        match tokio::time::timeout(WAIT, exchange(server, name, record_type)).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = format!("no answer within {WAIT:?}"),
        }
    }
    panic!("{server} does not answer {name} {record_type}: {last}");
}

async fn exchange(server: SocketAddr, name: &str, record_type: RecordType) -> std::io::Result<DnsAnswer> {
    let id = rand::random::<u16>();
    let mut question = Message::new(id, MessageType::Query, OpCode::Query);
    let mut owner = Name::from_ascii(name).map_err(std::io::Error::other)?;
    owner.set_fqdn(true);
    question.add_query(Query::query(owner, record_type));
    let mut opt = Edns::new();
    opt.set_max_payload(UDP_PAYLOAD).set_version(0);
    question.set_edns(opt);
    let packet = question.to_vec().map_err(std::io::Error::other)?;

    let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
    socket.connect(server).await?;
    socket.send(&packet).await?;
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).await?;
    let mut answer = Message::from_vec(&buffer[..length]).map_err(std::io::Error::other)?;
    if answer.metadata.truncation {
        let mut stream = TcpStream::connect(server).await?;
        let length = u16::try_from(packet.len()).map_err(std::io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], &packet].concat()).await?;
        let mut bytes = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut bytes).await?;
        answer = Message::from_vec(&bytes).map_err(std::io::Error::other)?;
    }
    if answer.metadata.id != id {
        return Err(std::io::Error::other("the answer to another question"));
    }
    Ok(DnsAnswer {
        code: answer.metadata.response_code,
        authoritative: answer.metadata.authoritative,
        answers: answer.answers,
        authorities: answer.authorities,
    })
}

/// A zone as a secondary gets it (AXFR), without the SOA that ends it. An error where the server refuses.
pub async fn transfer(server: SocketAddr, zone: &str) -> Result<Vec<Record>, ResponseCode> {
    tokio::time::timeout(TRANSFER_WAIT, transferred(server, zone))
        .await
        .expect("a transfer in time")
        .expect("a transfer")
}

async fn transferred(server: SocketAddr, zone: &str) -> std::io::Result<Result<Vec<Record>, ResponseCode>> {
    let mut question = Message::new(rand::random::<u16>(), MessageType::Query, OpCode::Query);
    let mut name = Name::from_ascii(zone).map_err(std::io::Error::other)?;
    name.set_fqdn(true);
    question.add_query(Query::query(name, RecordType::AXFR));
    let packet = question.to_vec().map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(packet.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &packet].concat()).await?;
    let mut records: Vec<Record> = Vec::new();
    loop {
        let mut bytes = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut bytes).await?;
        let answer = Message::from_vec(&bytes).map_err(std::io::Error::other)?;
        if answer.metadata.response_code != ResponseCode::NoError || answer.answers.is_empty() {
            return Ok(Err(answer.metadata.response_code));
        }
        records.extend(answer.answers);
        if records.len() > 1 && records.last().is_some_and(|record| record.record_type() == RecordType::SOA) {
            records.pop();
            return Ok(Ok(records));
        }
    }
}

/// A record's data as [`DnsAnswer::values`] has it.
pub fn text(data: &RData) -> String {
    match data {
        RData::TXT(txt) => txt.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect(),
        other => other.to_string(),
    }
}
