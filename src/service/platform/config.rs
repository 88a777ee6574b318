//! The settings as the platform's admin reads and changes them.

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::authz::{Permission, Target, decide};
use crate::storage::platform_settings::{self, SettingRow};
use crate::storage::{StorageError, audit as audit_log, within_write};

use super::super::audit::{self, Resource};
use super::super::context::ActorRecord;
use super::super::{Context, Error, Result, Services};
use super::catalogue::{CATALOGUE, Definition};

/// A setting as it stands.
#[derive(Debug)]
pub struct ConfigValue {
    pub key: &'static str,
    pub value: Value,
    pub description: &'static str,
    /// None: never changed.
    pub updated_at: Option<OffsetDateTime>,
    pub updated_by: Option<String>,
}

pub async fn list(services: &Services, context: &Context) -> Result<Vec<ConfigValue>> {
    decide(&context.caller, Permission::PlatformRead, Target::Platform)?;
    let settings = services.platform.fresh().await?;
    let row = |key: &str| settings.rows.iter().find(|row| row.name == key);
    Ok(CATALOGUE.iter().map(|definition| shown(services, definition, row(definition.key))).collect())
}

pub async fn get(services: &Services, context: &Context, key: &str) -> Result<ConfigValue> {
    decide(&context.caller, Permission::PlatformRead, Target::Platform)?;
    let definition = find(key)?;
    let settings = services.platform.fresh().await?;
    Ok(shown(services, definition, settings.rows.iter().find(|row| row.name == key)))
}

/// Sets a value, or, with null, goes back to what the environment says.
pub async fn set(services: &Services, context: &Context, key: &str, value: &Value) -> Result<ConfigValue> {
    decide(&context.caller, Permission::PlatformManage, Target::Platform)?;
    let definition = find(key)?;
    let config = &services.config;
    let value = match value {
        Value::Null => Value::Null,
        value => definition.checked(config, value).map_err(|problem| Error::schema(&["body", "value"], problem))?,
    };
    let row = within_write(async {
        let mut tx = services.db.begin().await?;
        let row = platform_settings::lock(&mut tx, key).await?;
        if row.value == value {
            return Ok(row);
        }
        let before = shown(services, definition, Some(&row)).value;
        let by = ActorRecord::from(&context.caller.actor);
        let now = services.clock.now();
        let row = platform_settings::put(&mut tx, row, value.clone(), &by.actor_id, now).await?;
        let values = (json!({ "value": before }), json!({ "value": shown(services, definition, Some(&row)).value }));
        let entry = audit::entry(&by, &context.request, None, ACTION, resource(key), values, now);
        audit_log::append(&mut tx, None, &[entry]).await?;
        tx.commit().await.map_err(StorageError::from)?;
        Ok(row)
    });
    let row = row.await;
    // also where the outcome is not known
    services.platform.forget();
    Ok(shown(services, definition, Some(&row?)))
}

/// How the audit log calls any change of what the platform's admin decides.
pub(super) const ACTION: &str = "config.update";

pub(super) fn resource(name: &str) -> Resource {
    Resource { resource_type: "config", id: Some(name.to_owned()), name: Some(name.to_owned()) }
}

fn find(key: &str) -> Result<&'static Definition> {
    Definition::find(key).ok_or(Error::NotFound("Setting"))
}

fn shown(services: &Services, definition: &'static Definition, row: Option<&SettingRow>) -> ConfigValue {
    let value = row.and_then(|row| definition.checked(&services.config, &row.value).ok());
    ConfigValue {
        key: definition.key,
        value: value.unwrap_or_else(|| definition.initial(&services.config)),
        description: definition.description,
        updated_at: row.and_then(|row| row.updated_at),
        updated_by: row.and_then(|row| row.updated_by.clone()),
    }
}
