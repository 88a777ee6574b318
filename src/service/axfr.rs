//! An import from another server: the zone as it stands there is transferred once and taken in like a file.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;

use crate::dns::zone_file;
use crate::ids::ZoneId;
use crate::resolve::{self, Algorithm, TransferError, TransferredRecord, TsigKey};

use super::zone_files::{ImportMode, Imported, RECORDS_MAX, Wanted, open, take_in, turn};
use super::zone_names::NamedZone;
use super::{Context, Error, Result, Services, transfers};

/// A zone to be fetched and taken in.
#[derive(Debug)]
pub struct Axfr {
    /// An address, so that the one that is checked is the one that is asked.
    pub server: String,
    pub port: Option<u16>,
    pub tsig_key: Option<String>,
    pub mode: ImportMode,
    pub include_system: bool,
    pub preview: bool,
}

/// Takes in what another server has of the zone. In the answer, a record's place in the transfer is its line.
pub async fn import(services: &Services, context: &Context, zone: ZoneId, axfr: Axfr) -> Result<Imported> {
    let Axfr { server, port, tsig_key, mode, include_system, preview } = axfr;
    let (zone, access) = open(services, context, zone, mode).await?;
    let server = target(services, &server, port)?;
    let key = match tsig_key {
        Some(id) => Some(key(services, &zone, &id).await?),
        None => None,
    };
    let _turn = turn().await?;
    let transferred = resolve::transfer(server, &zone.name, (key.as_ref(), &services.clock), RECORDS_MAX).await;
    let records = transferred.map_err(|error| failed(server, error))?;
    drop(key);
    let raw = records.iter().zip(1..).map(|(record, line)| {
        let TransferredRecord { name, ttl, content } = record;
        zone_file::Transferred { line, name, ttl: *ttl, content: content.as_ref().map_err(|number| *number) }
    });
    let file = zone_file::of_transfer(&zone.name, raw);
    drop(records);
    take_in(services, context, (zone, access), file, Wanted { mode, include_system, preview }).await
}

fn target(services: &Services, server: &str, port: Option<u16>) -> Result<SocketAddr> {
    let address: IpAddr =
        server.parse().map_err(|_| Error::invalid("server", "must be an IP address, since names may lead anywhere"))?;
    let text = match port {
        Some(port) => SocketAddr::new(address, port).to_string(),
        None => address.to_string(),
    };
    transfers::target(&services.config, &text, "server")
}

/// The key as PowerDNS has it: read for this transfer, kept nowhere.
async fn key(services: &Services, zone: &NamedZone, id: &str) -> Result<TsigKey> {
    let row = transfers::key(services, zone.tenant, id).await?;
    let algorithm = Algorithm::parse(&row.algorithm).ok_or_else(|| {
        Error::invalid("tsig_key_id", format!("a key of {} signs no import; SHA-2 does", row.algorithm))
    })?;
    let secret = services.pdns.tsig_secret(&row.key_name).await?.ok_or(Error::NotFound("TSIG key"))?;
    let secret = STANDARD.decode(secret.expose_secret()).map_err(|_| Error::pdns("a TSIG key does not read"))?;
    Ok(TsigKey { name: format!("{}.", row.key_name), algorithm, secret: secret.into() })
}

fn failed(server: SocketAddr, error: TransferError) -> Error {
    match error {
        TransferError::TooLarge => {
            let message = format!("the zone at {server} holds more than {RECORDS_MAX} records");
            Error::Invalid { message, field: Some("server"), code: "import_too_large" }
        }
        TransferError::Unreachable(_)
        | TransferError::TimedOut
        | TransferError::Refused(_)
        | TransferError::BrokenOff
        | TransferError::Malformed
        | TransferError::Distrusted(_) => Error::Upstream(format!("No transfer from {server}: {error}")),
    }
}
