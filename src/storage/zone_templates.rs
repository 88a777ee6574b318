//! The templates that zones were claimed with, kept as they were then until they are applied, and what came of it.

use sqlx::types::Json;
use sqlx::{MySql, Row, Transaction};
use time::OffsetDateTime;

use crate::authz::ZoneAccess;
use crate::dns::template::{Template, TemplateRecord, Values};
use crate::ids::{TemplateId, ZoneId};

use super::{Db, Result, datetime};

/// A template with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneTemplate {
    pub id: TemplateId,
    pub name: String,
    pub template: Template,
    pub given: Values,
}

/// A record that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LeftOut {
    #[serde(flatten)]
    pub record: TemplateRecord,
    pub reason: String,
}

/// What is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneTemplateState {
    pub id: TemplateId,
    pub name: String,
    /// None: not yet.
    pub applied_at: Option<OffsetDateTime>,
    pub skipped: Vec<LeftOut>,
}

/// With the zone's own row.
pub async fn insert(tx: &mut Transaction<'_, MySql>, zone: ZoneId, wanted: &ZoneTemplate) -> Result<()> {
    let ZoneTemplate { id, name, template, given } = wanted;
    let sql = "INSERT INTO zone_templates (zone_id, template_id, template_name, definition, given) \
               VALUES (?, ?, ?, ?, ?)";
    let query = sqlx::query(sql).bind(zone.0).bind(id.0).bind(name);
    query.bind(Json(template)).bind(Json(given)).execute(&mut **tx).await?;
    Ok(())
}

/// What is still to be applied.
pub async fn open(db: &Db, zone: ZoneId) -> Result<Option<ZoneTemplate>> {
    let sql = "SELECT template_id, template_name, definition, given FROM zone_templates \
               WHERE zone_id = ? AND applied_at IS NULL";
    let Some(row) = sqlx::query(sql).bind(zone.0).fetch_optional(db.pool()).await? else { return Ok(None) };
    let (Json(template), Json(given)) = (row.try_get("definition")?, row.try_get("given")?);
    let id = TemplateId(row.try_get("template_id")?);
    Ok(Some(ZoneTemplate { id, name: row.try_get("template_name")?, template, given }))
}

/// It is applied; whoever said so first is believed.
pub async fn applied(db: &Db, zone: ZoneId, skipped: &[LeftOut], now: OffsetDateTime) -> Result<()> {
    let sql = "UPDATE zone_templates SET applied_at = ?, skipped = ? WHERE zone_id = ? AND applied_at IS NULL";
    sqlx::query(sql).bind(datetime(now)).bind(Json(skipped)).bind(zone.0).execute(db.pool()).await?;
    Ok(())
}

/// How it stands with the template of a zone.
pub async fn state(db: &Db, access: &ZoneAccess) -> Result<Option<ZoneTemplateState>> {
    let sql = "SELECT template_id, template_name, applied_at, skipped FROM zone_templates WHERE zone_id = ?";
    let query = sqlx::query(sql).bind(access.zone().id.0);
    let Some(row) = query.fetch_optional(db.pool()).await? else { return Ok(None) };
    let skipped: Option<Json<Vec<LeftOut>>> = row.try_get("skipped")?;
    Ok(Some(ZoneTemplateState {
        id: TemplateId(row.try_get("template_id")?),
        name: row.try_get("template_name")?,
        applied_at: row.try_get("applied_at")?,
        skipped: skipped.map(|Json(skipped)| skipped).unwrap_or_default(),
    }))
}
