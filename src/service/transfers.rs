//! Zone transfers: from whom a secondary zone gets its content, who may have a zone's, and where any of them may be.
//!
//! A tenant names addresses, never names, so that the address that is checked here is the one PowerDNS talks to.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;

use crate::authz::{Permission, Visibility, ZoneAccess};
use crate::config::Config;
use crate::dns::dnssec::Denial;
use crate::ids::{TenantId, TsigKeyId, ZoneId};
use crate::resolve::is_globally_reachable;
use crate::storage::secondary_zones::SourceChange;
use crate::storage::tsig_keys::TsigKeyRow;
use crate::storage::zones::ZoneRow;
use crate::storage::{signing, tsig_keys, within};
use crate::tenancy::{ZoneStatus, ZoneType};

use super::context::ActorRecord;
use super::zone_writer::{IncomingChange, Outgoing, OutgoingChange};
use super::zones::load;
use super::{Context, Error, Result, Services};

/// More masters, networks or secondaries make no zone safer.
const TARGETS_MAX: usize = 16;
/// Where DNS is spoken, beside [`UNPRIVILEGED_PORTS`]: no other service of a machine is to be knocked at.
const DNS_PORT: u16 = 53;
const UNPRIVILEGED_PORTS: std::ops::RangeFrom<u16> = 1_024..;

/// `settings.transfers` as a caller writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TransferSettings {
    addresses: Vec<String>,
    tsig_key_id: Option<String>,
    also_notify: Vec<String>,
}

/// How a secondary zone stands, as far as PowerDNS tells.
#[derive(Debug)]
pub struct TransferState {
    /// None: never transferred.
    pub serial: Option<u32>,
    pub last_check: Option<time::OffsetDateTime>,
}

/// Masters as a caller names them, in the form that PowerDNS takes.
pub fn checked_masters(config: &Config, masters: &[String]) -> Result<Vec<String>> {
    if masters.is_empty() || masters.len() > TARGETS_MAX {
        let message = format!("must have 1 to {TARGETS_MAX} addresses");
        return Err(Error::schema(&["body", "masters"], message));
    }
    masters.iter().map(|text| checked_target(config, text, "masters")).collect()
}

/// What settings of a zone mean for its transfers; the key must be the tenant's.
pub async fn outgoing(services: &Services, tenant: TenantId, settings: &Value) -> Result<Outgoing> {
    let Some(transfers) = part(settings) else { return Ok(Outgoing::default()) };
    let parsed = TransferSettings::deserialize(transfers);
    let TransferSettings { addresses, tsig_key_id, also_notify } =
        parsed.map_err(|error| Error::schema(&["body", "settings", "transfers"], error.to_string()))?;
    if addresses.len() > TARGETS_MAX || also_notify.len() > TARGETS_MAX {
        let message = format!("must have at most {TARGETS_MAX} addresses");
        return Err(Error::schema(&["body", "settings", "transfers"], message));
    }
    let targets = also_notify.iter().map(|text| checked_target(&services.config, text, "settings"));
    Ok(Outgoing {
        allow_from: addresses.iter().map(|text| checked_network(text)).collect::<Result<_>>()?,
        also_notify: targets.collect::<Result<_>>()?,
        tsig_key: match tsig_key_id {
            Some(id) => Some(key_name(services, tenant, &id).await?.1),
            None => None,
        },
    })
}

/// What settings change about a zone's transfers, if they may; None: nothing.
pub async fn planned(services: &Services, row: &ZoneRow, settings: &Value) -> Result<Option<Outgoing>> {
    if part(settings) == part(&row.settings) {
        return Ok(None);
    }
    let outgoing = outgoing(services, row.tenant, settings).await?;
    if row.zone_type == ZoneType::Secondary {
        return Err(Error::invalid("settings", "a secondary domain is not transferred on"));
    }
    if row.is_kept_here() {
        return Err(Error::conflict("domain_pending", "Transfers can be set once the domain is validated"));
    }
    let signing = if row.dnssec_enabled { within(signing::find(&services.db, row.id)).await? } else { None };
    if part(settings).is_some() && signing.is_some_and(|signing| signing.state.denial == Denial::Narrow) {
        let message = "A domain that is signed with narrow denial cannot be transferred; sign it with nsec3 or nsec";
        return Err(Error::conflict("denial_is_narrow", message));
    }
    Ok(Some(outgoing))
}

/// What of a zone's settings is about its transfers.
pub fn part(settings: &Value) -> Option<&Value> {
    settings.get("transfers").filter(|transfers| !transfers.is_null())
}

/// Changes whom a zone is transferred to, if other settings say something else about it; whether they do. If so, the
/// settings as a whole are written with that.
pub async fn update(
    services: &Services,
    context: &Context,
    (row, access): (&ZoneRow, &ZoneAccess),
    settings: &Value,
) -> Result<bool> {
    let Some(outgoing) = planned(services, row, settings).await? else { return Ok(false) };
    let (actor, request) = (ActorRecord::from(&context.caller.actor), context.request.clone());
    let (access, settings) = (access.clone(), settings.clone());
    services.writer.set_outgoing(OutgoingChange { access, actor, request, settings, outgoing }).await?;
    Ok(true)
}

/// Another source for a secondary zone, as a caller names it; what is not given stays.
pub async fn checked_source(
    services: &Services,
    row: &ZoneRow,
    (masters, tsig_key): (Option<Vec<String>>, Option<Option<String>>),
) -> Result<SourceChange> {
    if row.zone_type != ZoneType::Secondary {
        let field = if masters.is_some() { "masters" } else { "tsig_key_id" };
        return Err(Error::invalid(field, "only a secondary domain has masters"));
    }
    Ok(SourceChange {
        masters: masters.map(|masters| checked_masters(&services.config, &masters)).transpose()?,
        tsig_key: match tsig_key {
            Some(Some(id)) => Some(Some(key_name(services, row.tenant, &id).await?.0)),
            Some(None) => Some(None),
            None => None,
        },
    })
}

/// Changes where a secondary zone's content comes from.
pub async fn update_source(
    services: &Services,
    context: &Context,
    access: &ZoneAccess,
    change: SourceChange,
) -> Result<()> {
    let (actor, request) = (ActorRecord::from(&context.caller.actor), context.request.clone());
    services.writer.set_incoming(IncomingChange { access: access.clone(), actor, request, change }).await
}

/// The tenant's key of this id, and what it is called on the wire.
pub async fn key_name(services: &Services, tenant: TenantId, id: &str) -> Result<(TsigKeyId, String)> {
    let TsigKeyRow { id, key_name, .. } = key(services, tenant, id).await?;
    Ok((id, key_name))
}

/// The tenant's key of this id.
pub async fn key(services: &Services, tenant: TenantId, id: &str) -> Result<TsigKeyRow> {
    let absent = || Error::NotFound("TSIG key");
    let id: TsigKeyId = id.parse().map_err(|_| absent())?;
    let visible = Visibility::system();
    let key = within(tsig_keys::find(&services.db, &visible, id)).await?.filter(|key| key.tenant == tenant);
    key.ok_or_else(absent)
}

/// Has a secondary zone transferred now.
pub async fn start(services: &Services, context: &Context, zone: ZoneId) -> Result<ZoneRow> {
    let (row, _) = load(services, context, zone, Permission::DomainsUpdate).await?;
    if row.zone_type != ZoneType::Secondary {
        return Err(Error::conflict("domain_not_secondary", "The domain gets its records from nowhere else"));
    }
    if row.status != ZoneStatus::Active {
        return Err(Error::conflict("domain_inactive", "The domain is not served"));
    }
    services.pdns.retrieve(row.name.as_str()).await?;
    Ok(row)
}

/// How the last transfer went; None for what is not transferred.
pub async fn state(services: &Services, row: &ZoneRow) -> Result<Option<TransferState>> {
    if row.zone_type != ZoneType::Secondary || row.status != ZoneStatus::Active {
        return Ok(None);
    }
    let head = services.pdns.zone_head(row.name.as_str()).await?;
    Ok(head.map(|head| TransferState {
        serial: Some(head.serial).filter(|serial| *serial != 0),
        last_check: time::OffsetDateTime::from_unix_timestamp(head.last_check).ok().filter(|_| head.last_check > 0),
    }))
}

/// `address` or `address:port`, where the platform may talk to: globally reachable, or what the operator allowed.
fn checked_target(config: &Config, text: &str, field: &'static str) -> Result<String> {
    let target = target(config, text, field)?;
    Ok(if target.port() == DNS_PORT { target.ip().to_string() } else { target.to_string() })
}

/// The same, as what is connected to.
pub fn target(config: &Config, text: &str, field: &'static str) -> Result<SocketAddr> {
    let plain = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT));
    let target = plain.or_else(|_| text.parse::<SocketAddr>());
    let Ok(target) = target else {
        return Err(Error::invalid(field, format!("'{}' is no address, with or without a port", shown(text))));
    };
    let target = SocketAddr::new(target.ip().to_canonical(), target.port());
    let is_allowed = config.allow_private_targets.iter().any(|network| network.contains(&target.ip()));
    if !is_allowed && (!is_globally_reachable(target.ip()) || is_own(config, target.ip())) {
        return Err(Error::invalid(field, format!("'{}' is not an address that may be talked to", target.ip())));
    }
    if target.port() != DNS_PORT && !UNPRIVILEGED_PORTS.contains(&target.port()) {
        return Err(Error::invalid(field, format!("the port {} is neither 53 nor above 1023", target.port())));
    }
    Ok(target)
}

/// Who may ask: an address or a network.
fn checked_network(text: &str) -> Result<String> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    match network {
        Ok(network) => Ok(network.trunc().to_string()),
        Err(_) => Err(Error::invalid("settings", format!("'{}' is no address or network", shown(text)))),
    }
}

/// An address of the platform, as far as its configuration names them.
fn is_own(config: &Config, address: IpAddr) -> bool {
    let host = |url: &str| url.split("://").last().and_then(|rest| rest.split(['/', ':']).next()).map(str::to_owned);
    let own = [host(&config.pdns.api_url), config.pdns.dns_address.as_deref().and_then(host)];
    own.into_iter().flatten().any(|host| host.parse() == Ok(address))
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}
