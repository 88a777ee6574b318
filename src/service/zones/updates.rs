//! Changing what of a zone is not its records: description, TTL, settings, where a secondary zone's content comes from,
//! and whether it is served.

use serde_json::{Value, json};

use crate::authz::{Permission, ZoneAccess};
use crate::ids::ZoneId;
use crate::storage::audit as audit_log;
use crate::storage::intents;
use crate::storage::zones::{self, ZoneRow};
use crate::tenancy::{SigningTerms, ZoneStatus};

use super::super::context::ActorRecord;
use super::super::zone_life::change_of_status;
use super::super::zone_writer::{Move, OUTGOING};
use super::super::{Context, Error, Result, Services, audit, transfers};
use super::{ZoneDetail, checked_description, checked_ttl, decide, detail, load, zone_resource};

/// A zone's settings are for people and small tools, not a store.
const SETTINGS_BYTES_MAX: usize = 16 * 1024;

/// What of a zone's row is to change; None leaves it.
#[derive(Clone, Debug, Default)]
pub struct ZonePatch {
    pub description: Option<Option<String>>,
    pub default_ttl: Option<u32>,
    pub settings: Option<serde_json::Map<String, Value>>,
    pub status: Option<String>,
    /// Of a secondary zone.
    pub masters: Option<Vec<String>>,
    pub tsig_key_id: Option<Option<String>>,
}

pub async fn update(services: &Services, context: &Context, id: ZoneId, patch: ZonePatch) -> Result<ZoneDetail> {
    let (row, access) = load(services, context, id, Permission::DomainsUpdate).await?;
    let ZonePatch { description, default_ttl, settings, status, masters, tsig_key_id } = patch;
    let status = status.map(|text| checked_status(&text)).transpose()?;
    let wanted = Wanted {
        description: match description {
            Some(description) => Some(checked_description(description)?),
            None => None,
        },
        default_ttl: default_ttl.map(checked_ttl).transpose()?,
        settings: settings.map(checked_settings).transpose()?,
    };
    let step = match status.filter(|status| *status != row.status) {
        Some(ZoneStatus::Active) => Some(Move::Return),
        Some(_) => Some(Move::Withdraw),
        None => None,
    };
    // all that may be refused is looked at before anything is done, so that a refusal changes nothing
    if let Some(settings) = &wanted.settings {
        transfers::planned(services, &row, settings).await?;
    }
    let source = match masters.is_some() || tsig_key_id.is_some() {
        true => Some(transfers::checked_source(services, &row, (masters, tsig_key_id)).await?),
        false => None,
    };
    if let Some(step) = step {
        services.writer.check_status(&row, step).await?;
    }
    if let Some(source) = source {
        transfers::update_source(services, context, &access, source).await?;
    }
    if let Some(step) = step {
        services.writer.set_status(change_of_status(context, access), step).await?;
    }
    write(services, context, row, wanted).await?;
    let (row, access) = load(services, context, id, Permission::DomainsUpdate).await?;
    detail(services, row, &access).await
}

/// Writes what of the row is to change. Settings that change who may transfer the zone go by way of PowerDNS; whether
/// they do is looked at again under the row's lock.
async fn write(services: &Services, context: &Context, mut row: ZoneRow, mut wanted: Wanted) -> Result<()> {
    const ATTEMPTS: u32 = 20; // with the pause two seconds: others' settings are settled by then
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
    for _ in 0..ATTEMPTS {
        let (id, access) = (row.id, decide(context, Permission::DomainsUpdate, row.reference())?);
        if let Some(settings) = &wanted.settings
            && transfers::update(services, context, (&row, &access), settings).await?
        {
            wanted.settings = None;
        }
        if !wanted.changes_something() || write_row(services, context, &access, &wanted).await? {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
        (row, _) = load(services, context, id, Permission::DomainsUpdate).await?;
    }
    Err(Error::unavailable("The domain's settings are being changed by another request"))
}

struct Wanted {
    description: Option<Option<String>>,
    default_ttl: Option<u32>,
    settings: Option<Value>,
}

impl Wanted {
    fn changes_something(&self) -> bool {
        self.description.is_some() || self.default_ttl.is_some() || self.settings.is_some()
    }
}

/// False: what the settings say about transfers has changed since it was read, or is about to.
async fn write_row(services: &Services, context: &Context, access: &ZoneAccess, wanted: &Wanted) -> Result<bool> {
    let now = services.clock.now();
    let mut tx = services.db.begin().await?;
    let row = zones::lock(&mut tx, access.zone().id).await?.ok_or(Error::NotFound("Domain"))?;
    if let Some(settings) = &wanted.settings
        && (transfers::part(settings) != transfers::part(&row.settings)
            || intents::is_under_way(&mut tx, row.id, OUTGOING).await?)
    {
        return Ok(false);
    }
    let description = wanted.description.clone().unwrap_or_else(|| row.description.clone());
    let default_ttl = wanted.default_ttl.unwrap_or(row.default_ttl);
    let settings = wanted.settings.clone().unwrap_or_else(|| row.settings.clone());
    let before = json!({ "description": row.description, "default_ttl": row.default_ttl, "settings": row.settings });
    let after = json!({ "description": description, "default_ttl": default_ttl, "settings": settings });
    if before == after {
        return Ok(true);
    }
    zones::update(&mut tx, access, default_ttl, description.as_deref(), &settings, now).await?;
    let actor = ActorRecord::from(&context.caller.actor);
    let resource = zone_resource(row.id, &row.name);
    let tenant = Some(row.tenant);
    let entry = audit::entry(&actor, &context.request, tenant, "domain.update", resource, (before, after), now);
    audit_log::append(&mut tx, None, &[entry]).await?;
    tx.commit().await.map_err(crate::storage::StorageError::from)?;
    Ok(true)
}

fn checked_settings(settings: serde_json::Map<String, Value>) -> Result<Value> {
    let value = Value::Object(settings);
    if value.to_string().len() > SETTINGS_BYTES_MAX {
        return Err(Error::schema(&["body", "settings"], "must have at most 16 kB"));
    }
    if let Some(problem) = SigningTerms::problem(&value) {
        return Err(Error::schema(&["body", "settings", "dnssec"], problem));
    }
    Ok(value)
}

fn checked_status(text: &str) -> Result<ZoneStatus> {
    match ZoneStatus::parse(text) {
        Some(status @ (ZoneStatus::Active | ZoneStatus::Inactive)) => Ok(status),
        Some(ZoneStatus::PendingValidation | ZoneStatus::Deleted) | None => {
            Err(Error::invalid("status", "must be active or inactive"))
        }
    }
}
