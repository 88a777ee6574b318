//! The client: one HTTP call each.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::PdnsConfig;
use crate::fairness::{self, Places};

use super::types::{DeleteAnswer, ListedZone, PatchAnswer, RrsetPatch, ServerRrset, ServerZone, ZoneCreation};

/// PowerDNS's web server has a listen backlog of 10; dropped SYNs cost a second each.
const CALLS_IN_FLIGHT_MAX: usize = 8;
/// With several replicas more calls than it lets wait may meet there all the same. The kernel would try again after a
/// second; we do after this, and nothing has been sent by then.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(250);
const CONNECT_ATTEMPTS: u32 = 8;
/// Until the first byte: callers hear of a PowerDNS that is down within three seconds.
const READ_TIMEOUT: Duration = Duration::from_millis(2_300);
/// 100,000 records take gmysql about a second: a factor of ten.
const READ_TIME_PER_RECORD: Duration = Duration::from_micros(100);
/// How long a call waits for its turn.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Until the last byte of what is read.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// 500 operations take 0.4 s on gmysql: a factor of 25.
const PATCH_TIMEOUT: Duration = Duration::from_secs(10);
/// What a large PATCH gets on top: with 10,000 RRsets it still ends before help comes for its change.
const PATCH_TIME_PER_RRSET: Duration = Duration::from_micros(400);
/// A DELETE cannot be guarded, so it gets long enough to be answered.
const DELETE_TIMEOUT: Duration = Duration::from_secs(30);

/// PowerDNS could not be reached, or answered what it should not.
#[derive(Debug, thiserror::Error)]
pub enum PdnsError {
    #[error("no answer: {0}")]
    Unreachable(String),
    /// The connection was never made.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The call never had its turn.
    #[error("not sent: too many calls to PowerDNS are under way")]
    Busy,
    #[error("unexpected answer {status}: {message}")]
    Unexpected { status: u16, message: String },
}

/// The API of one writable PowerDNS server. Cheap to clone.
#[derive(Clone)]
pub struct Pdns {
    client: reqwest::Client,
    base: String,
    in_flight: Places,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: String,
}

impl Pdns {
    pub fn new(config: &PdnsConfig) -> Result<Self, PdnsError> {
        let mut key = HeaderValue::from_str(config.api_key.expose_secret())
            .map_err(|_| PdnsError::Unreachable("PDNS_API_KEY has characters that no header may hold".into()))?;
        key.set_sensitive(true);
        let client = reqwest::Client::builder()
            .default_headers(HeaderMap::from_iter([(reqwest::header::HeaderName::from_static("x-api-key"), key)]))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(0)
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| PdnsError::Unreachable(error.to_string()))?;
        let base = format!("{}/api/v1/servers/localhost", config.api_url);
        Ok(Self { client, base, in_flight: Places::new("powerdns", CALLS_IN_FLIGHT_MAX) })
    }

    /// The whole zone, disabled records included; None when there is no such zone. (Reading by name leaves disabled
    /// records out on 4.x, so it is never done for content.)
    ///
    /// `records`: about how many there are; PowerDNS answers nothing before it has read them all.
    pub async fn zone(&self, name: &str, records: u32) -> Result<Option<ServerZone>, PdnsError> {
        let patience = READ_TIMEOUT + READ_TIME_PER_RECORD * records;
        let request = self.request(Method::GET, &format!("/zones/{}", zone_path(name)));
        let response = self.read_within(patience, request).await?;
        match response.status() {
            StatusCode::OK => body(response).await.map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(unexpected(response).await),
        }
    }

    /// The zone without its records.
    pub async fn zone_head(&self, name: &str) -> Result<Option<ServerZone>, PdnsError> {
        let request = self.request(Method::GET, &format!("/zones/{}", zone_path(name))).query(&[("rrsets", "false")]);
        let response = self.read(request).await?;
        match response.status() {
            StatusCode::OK => body(response).await.map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(unexpected(response).await),
        }
    }

    /// Whether a zone has an RRset that is served: this look leaves disabled records out.
    pub async fn is_served(&self, zone: &str, name: &str, record_type: &str) -> Result<bool, PdnsError> {
        let fqdn = format!("{name}.");
        let wanted = [("rrset_name", fqdn.as_str()), ("rrset_type", record_type)];
        let request = self.request(Method::GET, &format!("/zones/{}", zone_path(zone))).query(&wanted);
        let response = self.read(request).await?;
        match response.status() {
            StatusCode::OK => {
                let found: ServerZone = body(response).await?;
                let is_it = |rrset: &ServerRrset| rrset.record_type == record_type && rrset.name == fqdn;
                Ok(found.rrsets.iter().any(|rrset| is_it(rrset) && rrset.records.iter().any(|record| !record.disabled)))
            }
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(unexpected(response).await),
        }
    }

    /// Whose the zone is and its serial, straight from the database behind PowerDNS. The list narrowed to one zone is
    /// the cheapest call that says it: half of what [`Self::zone_head`] costs.
    pub async fn listed_zone(&self, name: &str) -> Result<Option<ListedZone>, PdnsError> {
        let fqdn = format!("{name}.");
        let request = self.request(Method::GET, "/zones").query(&[("zone", fqdn.as_str()), ("dnssec", "false")]);
        let response = self.read(request).await?;
        match response.status() {
            StatusCode::OK => Ok(body::<Vec<ListedZone>>(response).await?.into_iter().next()),
            _ => Err(unexpected(response).await),
        }
    }

    /// Makes a zone. `Ok(false)`: there is one of that name.
    pub async fn create_zone(&self, zone: &ZoneCreation) -> Result<bool, PdnsError> {
        let request = self.request(Method::POST, "/zones").query(&[("rrsets", "false")]).json(zone);
        let response = self.send(request, PATCH_TIMEOUT).await?;
        match response.status() {
            StatusCode::CREATED => Ok(true),
            StatusCode::CONFLICT => Ok(false),
            _ => Err(unexpected(response).await),
        }
    }

    /// Runs one PATCH, never repeated.
    pub async fn patch(&self, name: &str, rrsets: &[RrsetPatch]) -> PatchAnswer {
        let request =
            self.request(Method::PATCH, &format!("/zones/{}", zone_path(name))).json(&json!({ "rrsets": rrsets }));
        let patience = PATCH_TIMEOUT + PATCH_TIME_PER_RRSET * u32::try_from(rrsets.len()).unwrap_or(u32::MAX);
        let response = match self.send(request, patience).await {
            Ok(response) => response,
            Err(error @ (PdnsError::NotSent(_) | PdnsError::Busy)) => return PatchAnswer::NotSent(error.to_string()),
            Err(error) => return PatchAnswer::Unknown(error.to_string()),
        };
        let status = response.status();
        let new_serial =
            response.headers().get("X-PDNS-New-Serial").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
        if status == StatusCode::NO_CONTENT {
            return PatchAnswer::Applied { new_serial };
        }
        let message = message(response).await;
        // 4.7 throws this one after the edits, without an explicit rollback
        if status.is_client_error() && !message.contains("Failed to rectify") {
            return PatchAnswer::Refused { status: status.as_u16(), message };
        }
        PatchAnswer::Unknown(format!("{status}: {message}"))
    }

    /// Switches rectification within a PATCH's transaction on or off.
    pub async fn set_api_rectify(&self, name: &str, on: bool) -> Result<(), PdnsError> {
        let path = format!("/zones/{}", zone_path(name));
        let request = self.request(Method::PUT, &path).json(&json!({ "api_rectify": on }));
        let response = self.send(request, PATCH_TIMEOUT).await?;
        if response.status() == StatusCode::NO_CONTENT { Ok(()) } else { Err(unexpected(response).await) }
    }

    pub async fn delete_zone(&self, name: &str) -> DeleteAnswer {
        let request = self.request(Method::DELETE, &format!("/zones/{}", zone_path(name)));
        let response = match self.send(request, DELETE_TIMEOUT).await {
            Ok(response) => response,
            Err(error @ (PdnsError::NotSent(_) | PdnsError::Busy)) => return DeleteAnswer::NotSent(error.to_string()),
            Err(error) => return DeleteAnswer::Unknown(error.to_string()),
        };
        let status = response.status();
        match status {
            StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => DeleteAnswer::Gone,
            _ if status.is_client_error() => DeleteAnswer::Refused(message(response).await),
            _ => DeleteAnswer::Unknown(format!("{status}: {}", message(response).await)),
        }
    }

    /// Drops what the server's caches hold of exactly this name.
    pub async fn flush_cache(&self, name: &str) -> Result<(), PdnsError> {
        let request = self.request(Method::PUT, "/cache/flush").query(&[("domain", format!("{name}."))]);
        let response = self.read(request).await?;
        if response.status().is_success() { Ok(()) } else { Err(unexpected(response).await) }
    }

    /// Seconds since the server was started. A smaller one than before proves that it was started anew, and that no
    /// call sent before is still on its way; no clock but the server's own is in it.
    pub async fn uptime(&self) -> Result<u64, PdnsError> {
        let response = self.read(self.request(Method::GET, "/statistics").query(&[("statistic", "uptime")])).await?;
        if response.status() != StatusCode::OK {
            return Err(unexpected(response).await);
        }
        let statistics: Vec<Value> = body(response).await?;
        let uptime = statistics
            .iter()
            .find(|statistic| statistic["name"] == "uptime")
            .and_then(|statistic| statistic["value"].as_str()?.parse::<u64>().ok());
        uptime.ok_or_else(|| PdnsError::Unexpected { status: 200, message: "no uptime statistic".into() })
    }

    /// The server's settings, as far as it tells them.
    pub async fn settings(&self) -> Result<HashMap<String, String>, PdnsError> {
        let response = self.read(self.request(Method::GET, "/config")).await?;
        if response.status() != StatusCode::OK {
            return Err(unexpected(response).await);
        }
        let settings: Vec<Value> = body(response).await?;
        let pair =
            |setting: &Value| Some((setting["name"].as_str()?.to_owned(), setting["value"].as_str()?.to_owned()));
        Ok(settings.iter().filter_map(pair).collect())
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(super) async fn read(&self, request: RequestBuilder) -> Result<Response, PdnsError> {
        self.read_within(READ_TIMEOUT, request).await
    }

    async fn read_within(&self, patience: Duration, request: RequestBuilder) -> Result<Response, PdnsError> {
        // the wait for a permit counts: behind calls that hang, a read hears of it in time
        match tokio::time::timeout(patience, self.send(request, BODY_TIMEOUT)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(PdnsError::Unreachable("no answer in time".into())),
        }
    }

    pub(super) async fn send(&self, request: RequestBuilder, timeout: Duration) -> Result<Response, PdnsError> {
        let began = Instant::now();
        let answer = fairness::aside(self.try_send(request, timeout)).await;
        let status = answer.as_ref().map_or_else(|_| "none".to_owned(), |answer| answer.status().as_u16().to_string());
        metrics::counter!("scaidns_pdns_requests_total", "status" => status).increment(1);
        metrics::histogram!("scaidns_pdns_request_duration_seconds").record(began.elapsed());
        answer
    }

    async fn try_send(&self, mut request: RequestBuilder, timeout: Duration) -> Result<Response, PdnsError> {
        let Ok(_place) = self.in_flight.enter(fairness::party(), PERMIT_TIMEOUT).await else {
            return Err(PdnsError::Busy);
        };
        let mut attempts = CONNECT_ATTEMPTS;
        loop {
            attempts -= 1;
            let again = request.try_clone().filter(|_| attempts > 0);
            let error = match request.timeout(timeout).send().await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            match again {
                // the connection was never made: a refusal means that nobody listens, a time-out that too many wait
                Some(again) if error.is_connect() && error.is_timeout() => request = again,
                _ if error.is_connect() => return Err(PdnsError::NotSent(cause(error))),
                _ => return Err(unreachable(error)),
            }
        }
    }
}

/// A zone's name as a path segment: PowerDNS's own escape of what a URL may not hold (RFC 2317's slash).
pub(super) fn zone_path(name: &str) -> String {
    let mut path = String::with_capacity(name.len() + 1);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("={byte:02X}"));
        }
    }
    path.push('.');
    path
}

pub(super) async fn body<T: serde::de::DeserializeOwned>(response: Response) -> Result<T, PdnsError> {
    let bytes = fairness::aside(response.bytes()).await.map_err(unreachable)?;
    serde_json::from_slice(&bytes).map_err(|error| PdnsError::Unexpected { status: 200, message: error.to_string() })
}

pub(super) async fn unexpected(response: Response) -> PdnsError {
    PdnsError::Unexpected { status: response.status().as_u16(), message: message(response).await }
}

async fn message(response: Response) -> String {
    let text = response.text().await.unwrap_or_default();
    let text = serde_json::from_str::<ErrorBody>(&text).map_or(text, |body| body.error);
    text.chars().take(500).collect()
}

fn unreachable(error: reqwest::Error) -> PdnsError {
    PdnsError::Unreachable(cause(error))
}

/// The whole chain, without the address: these texts may get further than the log.
fn cause(error: reqwest::Error) -> String {
    use std::error::Error;
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_name_is_escaped_as_powerdns_does() {
        assert_eq!(zone_path("shop.test"), "shop.test.");
        assert_eq!(zone_path("0/25.2.0.192.in-addr.arpa"), "0=2F25.2.0.192.in-addr.arpa.");
    }

    #[tokio::test]
    async fn a_call_that_is_not_let_in_at_first_is_made_all_the_same() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        use tokio::net::{TcpSocket, TcpStream};

        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let listener = socket.listen(1).expect("listens");
        let address = listener.local_addr().expect("an address");
        // those who wait already, as many as it lets wait
        let mut waiting = Vec::new();
        while let Ok(stream) = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            waiting.push(stream.expect("let in"));
        }
        let server = tokio::spawn(async move {
            // past one attempt, and before the kernel's own next one
            tokio::time::sleep(CONNECT_TIMEOUT * 2).await;
            loop {
                let (mut stream, _) = listener.accept().await.expect("a caller");
                let mut request = vec![0; 4_096];
                if stream.read(&mut request).await.is_ok_and(|length| request[..length].starts_with(b"PUT ")) {
                    let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
                    stream.write_all(answer).await.expect("answered");
                    return;
                }
            }
        });
        drop(waiting);
        let config = PdnsConfig { api_url: format!("http://{address}"), api_key: "key".into(), dns_address: None };
        let pdns = Pdns::new(&config).expect("a client");
        pdns.set_api_rectify("shop.test", true).await.expect("an answer");
        server.await.expect("one call");
    }
}
