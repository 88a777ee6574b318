//! Changing what of a zone is not its records: description, TTL, settings, where a secondary zone's content comes from,
//! and whether it is served.

use serde_json::{Value, json};

use crate::authz::{Permission, ZoneAccess};
use crate::ids::ZoneId;
use crate::storage::audit as audit_log;
use crate::storage::zones;
use crate::tenancy::{SigningTerms, ZoneStatus};

use super::super::context::ActorRecord;
use super::super::zone_life::{departure, status_values};
use super::super::zone_writer::Move;
use super::super::{Context, Error, Result, Services, audit, transfers};
use super::{ZoneDetail, checked_description, checked_ttl, detail, load, zone_resource};

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
    // first what may be refused, so that a refusal changes nothing
    if let Some(settings) = &wanted.settings {
        transfers::update(services, context, (&row, &access), settings).await?;
    }
    if masters.is_some() || tsig_key_id.is_some() {
        transfers::update_source(services, context, (&row, &access), (masters, tsig_key_id)).await?;
    }
    if let Some(status) = status.filter(|status| *status != row.status) {
        let values = status_values(row.status, status);
        let departure = departure(services, context, &row, access.clone(), "domain.update", values);
        let step = if status == ZoneStatus::Active { Move::Return } else { Move::Withdraw };
        services.writer.set_status(departure, step).await?;
    }
    if wanted.changes_something() {
        write_row(services, context, &access, &wanted).await?;
    }
    let (row, access) = load(services, context, id, Permission::DomainsUpdate).await?;
    detail(services, row, &access).await
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

async fn write_row(services: &Services, context: &Context, access: &ZoneAccess, wanted: &Wanted) -> Result<()> {
    let now = services.clock.now();
    let mut tx = services.db.begin().await?;
    let row = zones::lock(&mut tx, access.zone().id).await?.ok_or(Error::NotFound("Domain"))?;
    let description = wanted.description.clone().unwrap_or_else(|| row.description.clone());
    let default_ttl = wanted.default_ttl.unwrap_or(row.default_ttl);
    let settings = wanted.settings.clone().unwrap_or_else(|| row.settings.clone());
    let before = json!({ "description": row.description, "default_ttl": row.default_ttl, "settings": row.settings });
    let after = json!({ "description": description, "default_ttl": default_ttl, "settings": settings });
    if before == after {
        return Ok(());
    }
    zones::update(&mut tx, access, default_ttl, description.as_deref(), &settings, now).await?;
    let actor = ActorRecord::from(&context.caller.actor);
    let resource = zone_resource(row.id, &row.name);
    let tenant = Some(row.tenant);
    let entry = audit::entry(&actor, &context.request, tenant, "domain.update", resource, (before, after), now);
    audit_log::append(&mut tx, None, &[entry]).await?;
    tx.commit().await.map_err(crate::storage::StorageError::from)?;
    Ok(())
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
