//! The domains that the platform itself answers for: below them a tenant's new domain needs no proof, since nobody else
//! could give one. What another tenant has is never taken by it; see `needs_proof` in `zones/claims.rs`.

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::authz::{Permission, Target, decide};
use crate::dns::ZoneName;
use crate::storage::platform_settings::{self, SettingRow};
use crate::storage::{StorageError, audit as audit_log, within_write};

use super::super::context::ActorRecord;
use super::super::{Context, Error, Result, Services, audit};
use super::config::{ACTION, resource};

/// The row that has them.
pub(super) const NAME: &str = "authoritative_domains";
/// They are looked through for each new domain.
const DOMAINS_MAX: usize = 1_000;

/// The domains as they stand.
#[derive(Debug)]
pub struct Domains {
    pub domains: Vec<ZoneName>,
    pub updated_at: Option<OffsetDateTime>,
    pub updated_by: Option<String>,
}

pub async fn domains(services: &Services, context: &Context) -> Result<Domains> {
    decide(&context.caller, Permission::PlatformRead, Target::Platform)?;
    let settings = services.platform.fresh().await?;
    Ok(settings
        .rows
        .iter()
        .find(|row| row.name == NAME)
        .map_or_else(|| Domains { domains: Vec::new(), updated_at: None, updated_by: None }, shown))
}

/// Puts these in place of those that were.
pub async fn set_domains(services: &Services, context: &Context, domains: &[String]) -> Result<Domains> {
    decide(&context.caller, Permission::PlatformManage, Target::Platform)?;
    let domains = checked(domains)?;
    let row = within_write(async {
        let mut tx = services.db.begin().await?;
        let row = platform_settings::lock(&mut tx, NAME).await?;
        let before = read(&row);
        if before == domains {
            return Ok(row);
        }
        let by = ActorRecord::from(&context.caller.actor);
        let now = services.clock.now();
        let row = platform_settings::put(&mut tx, row, json!(domains), &by.actor_id, now).await?;
        let values = (json!({ "domains": before }), json!({ "domains": domains }));
        let entry = audit::entry(&by, &context.request, None, ACTION, resource(NAME), values, now);
        audit_log::append(&mut tx, None, &[entry]).await?;
        tx.commit().await.map_err(StorageError::from)?;
        Ok(row)
    });
    let row = row.await;
    // also where the outcome is not known
    services.platform.forget();
    Ok(shown(&row?))
}

fn shown(row: &SettingRow) -> Domains {
    Domains { domains: read(row), updated_at: row.updated_at, updated_by: row.updated_by.clone() }
}

pub(super) fn read(row: &SettingRow) -> Vec<ZoneName> {
    match &row.value {
        Value::Null => Vec::new(),
        value => serde_json::from_value(value.clone()).unwrap_or_else(|error| {
            tracing::error!(%error, "the authoritative domains cannot be read; there are none");
            Vec::new()
        }),
    }
}

fn checked(texts: &[String]) -> Result<Vec<ZoneName>> {
    if texts.len() > DOMAINS_MAX {
        return Err(Error::schema(&["body", "domains"], format!("must have at most {DOMAINS_MAX} entries")));
    }
    let mut domains: Vec<ZoneName> = Vec::with_capacity(texts.len());
    for text in texts {
        let name = ZoneName::parse(text)
            .map_err(|error| Error::invalid("domains", format!("{text:?} is no domain name: {error}")))?;
        if domains.contains(&name) {
            return Err(Error::invalid("domains", format!("{name} is there twice")));
        }
        domains.push(name);
    }
    Ok(domains)
}
