//! Reading a zone for a writer or a reader: its content as one consistent state, from PowerDNS or the staged store.

use crate::dns::{OwnerName, Record, RecordType, Rrset, RrsetKey, ZoneContent, ZoneName, canonical_from_server};
use crate::pdns::{Pdns, PdnsError, ServerRrset, ServerZone};
use crate::storage::zones::ZoneRow;
use crate::storage::{Db, staged, within};
use crate::tenancy::ZoneStatus;

use super::super::{Error, Result};
use super::protocol;

/// A zone as it stands.
pub struct ZoneState {
    pub content: ZoneContent,
    /// None: not live, MariaDB holds the content.
    pub live: Option<LiveState>,
}

/// What only a zone at PowerDNS has.
pub struct LiveState {
    pub marker: Option<String>,
    pub serial: u32,
    /// Left on by a writer that did not come to switch it off.
    pub api_rectify: bool,
}

/// The content of a zone, from where its status says it is.
pub async fn read(db: &Db, pdns: &Pdns, row: &ZoneRow) -> Result<ZoneState> {
    if row.status == ZoneStatus::PendingValidation {
        let content = within(staged::content(db, row.id, &row.name)).await?;
        return Ok(ZoneState { content, live: None });
    }
    let Some(server) = pdns.zone(row.name.as_str(), row.record_count).await? else {
        tracing::error!(zone = %row.name, "an active zone is missing in PowerDNS");
        return Err(Error::Upstream(format!("PowerDNS does not hold the zone {}", row.name)));
    };
    if server.account != row.id.to_string() {
        tracing::error!(zone = %row.name, account = %server.account, "PowerDNS holds another zone of this name");
        return Err(Error::Upstream(format!("PowerDNS holds another zone of the name {}", row.name)));
    }
    Ok(from_server(&row.name, server))
}

/// PowerDNS's answer as content in our canonical forms, without our own names.
pub fn from_server(zone: &ZoneName, server: ServerZone) -> ZoneState {
    let marker = protocol::read_marker(zone, &server);
    let live = Some(LiveState { marker, serial: server.serial, api_rectify: server.api_rectify });
    let mut content = ZoneContent::new(zone.clone());
    for ServerRrset { name, record_type, ttl, records } in server.rrsets {
        let name = OwnerName::from_server(&name);
        if name.is_reserved(zone) {
            continue;
        }
        let record_type = RecordType::from_server(&record_type);
        let records = records
            .into_iter()
            .map(|record| Record {
                content: canonical_from_server(&record_type, &record.content),
                disabled: record.disabled,
            })
            .collect();
        content.insert(RrsetKey { name, record_type }, Rrset { ttl, records });
    }
    ZoneState { content, live }
}

/// The serial that PowerDNS has for the zone now.
pub async fn serial(pdns: &Pdns, zone: &ZoneName) -> std::result::Result<Option<u32>, PdnsError> {
    Ok(pdns.zone_head(zone.as_str()).await?.map(|head| head.serial))
}
