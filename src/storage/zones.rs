//! Zones and their counters, one at a time; lists are in [`super::zone_lists`].

use serde_json::Value;
use sqlx::mysql::MySqlRow;
use sqlx::types::Json;
use sqlx::{FromRow, MySql, QueryBuilder, Row, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::authz::{TenantAccess, Visibility, ZoneAccess, ZoneRef};
use crate::dns::ZoneName;
use crate::dns::dnssec::Denial;
use crate::ids::{ChangeId, JobId, TenantId, ZoneId};
use crate::tenancy::{ZoneStatus, ZoneType};

use super::intents::Standing;
use super::{Db, Result, StorageError};

/// A zone's row.
#[derive(Clone, Debug)]
pub struct ZoneRow {
    pub id: ZoneId,
    pub tenant: TenantId,
    pub name: ZoneName,
    pub zone_type: ZoneType,
    pub status: ZoneStatus,
    pub default_ttl: u32,
    pub description: Option<String>,
    pub settings: Value,
    pub cidr: Option<String>,
    pub dnssec_enabled: bool,
    /// Of a signed zone: how it proves that a name does not exist.
    pub denial: Option<Denial>,
    pub revision: u64,
    pub serial: Option<u32>,
    pub last_change: Option<ChangeId>,
    pub record_count: u32,
    pub born: bool,
    pub deleted_at: Option<OffsetDateTime>,
    /// What a deleted zone was.
    pub status_before: Option<ZoneStatus>,
    /// Another tenant has proven its name.
    pub displaced: bool,
    /// The job that alone may write to it.
    pub held_by: Option<JobId>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl ZoneRow {
    pub fn reference(&self) -> ZoneRef {
        ZoneRef { id: self.id, tenant: self.tenant }
    }

    /// Whether MariaDB has what there is of its content: it has not been live yet, or has made room.
    pub fn is_kept_here(&self) -> bool {
        let pending = Some(ZoneStatus::PendingValidation);
        Some(self.status) == pending || self.status_before == pending || self.displaced
    }

    /// Whether each write must be rectified: what is not made up on the spot (narrow) stands in the database.
    pub fn needs_rectified_writes(&self) -> bool {
        matches!(self.denial, Some(Denial::Nsec | Denial::Nsec3))
    }

    /// What decisions about the zone's content rest on.
    pub fn standing(&self) -> Standing {
        Standing {
            revision: self.revision,
            status: self.status,
            last_change: self.last_change,
            default_ttl: self.default_ttl,
            dnssec_enabled: self.dnssec_enabled,
            held_by: self.held_by,
        }
    }
}

pub(super) const COLUMNS: &str = "z.id, z.tenant_id, z.name, z.domain_type, z.status, z.default_ttl, z.description, z.settings, \
    z.cidr, z.dnssec_enabled, z.denial, z.revision, z.serial, z.last_change, z.record_count, z.born, \
    z.deleted_at, z.status_before, z.displaced, z.held_by, z.created_at, z.updated_at";

impl FromRow<'_, MySqlRow> for ZoneRow {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        let unknown = |column: &str, text: &str| sqlx::Error::ColumnDecode {
            index: column.to_owned(),
            source: format!("unknown value {text:?}").into(),
        };
        let status: String = row.try_get("status")?;
        let status_before: Option<String> = row.try_get("status_before")?;
        let zone_type: String = row.try_get("domain_type")?;
        Ok(Self {
            id: ZoneId(row.try_get("id")?),
            tenant: TenantId(row.try_get("tenant_id")?),
            name: ZoneName::trusted(row.try_get("name")?),
            zone_type: ZoneType::parse(&zone_type).ok_or_else(|| unknown("domain_type", &zone_type))?,
            status: ZoneStatus::parse(&status).ok_or_else(|| unknown("status", &status))?,
            default_ttl: row.try_get("default_ttl")?,
            description: row.try_get("description")?,
            settings: row.try_get::<Json<Value>, _>("settings")?.0,
            cidr: row.try_get("cidr")?,
            dnssec_enabled: row.try_get("dnssec_enabled")?,
            denial: row.try_get::<Option<String>, _>("denial")?.as_deref().and_then(Denial::parse),
            revision: row.try_get("revision")?,
            serial: row.try_get("serial")?,
            last_change: row.try_get::<Option<Uuid>, _>("last_change")?.map(ChangeId),
            record_count: row.try_get("record_count")?,
            born: row.try_get("born")?,
            deleted_at: row.try_get("deleted_at")?,
            status_before: status_before
                .map(|text| ZoneStatus::parse(&text).ok_or_else(|| unknown("status_before", &text)))
                .transpose()?,
            displaced: row.try_get("displaced")?,
            held_by: row.try_get::<Option<Uuid>, _>("held_by")?.map(JobId),
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

/// A zone about to be claimed.
#[derive(Clone, Debug)]
pub struct NewZone {
    pub id: ZoneId,
    pub name: ZoneName,
    pub zone_type: ZoneType,
    pub default_ttl: u32,
    pub description: Option<String>,
    pub cidr: Option<String>,
    pub now: OffsetDateTime,
}

pub async fn find(db: &Db, visibility: &Visibility, id: ZoneId) -> Result<Option<ZoneRow>> {
    let mut query = QueryBuilder::new(format!("SELECT {COLUMNS} FROM zones z WHERE z.id = "));
    query.push_bind(id.0);
    if let Some(tenant) = visibility.tenant() {
        query.push(" AND z.tenant_id = ").push_bind(tenant.0);
    }
    if let Some(zones) = visibility.zones() {
        query.push(" AND z.id IN (NULL");
        for zone in zones {
            query.push(", ").push_bind(zone.0);
        }
        query.push(")");
    }
    Ok(query.build_query_as().fetch_optional(db.pool()).await?)
}

/// The visible zones of this name: claims of several tenants may have one.
pub async fn named(db: &Db, visibility: &Visibility, name: &str) -> Result<Vec<ZoneRow>> {
    let mut query = QueryBuilder::new(format!("SELECT {COLUMNS} FROM zones z WHERE z.name = "));
    query.push_bind(name);
    if let Some(tenant) = visibility.tenant() {
        query.push(" AND z.tenant_id = ").push_bind(tenant.0);
    }
    Ok(query.build_query_as().fetch_all(db.pool()).await?)
}

/// The visible zones of any of these names.
pub async fn named_any(db: &Db, visibility: &Visibility, names: &[String]) -> Result<Vec<ZoneRow>> {
    const NAMES_PER_QUERY: usize = 1_000; // far below the 65,535 that a statement may bind
    let mut found = Vec::new();
    for names in names.chunks(NAMES_PER_QUERY) {
        let mut query = QueryBuilder::new(format!("SELECT {COLUMNS} FROM zones z WHERE z.name IN (NULL"));
        for name in names {
            query.push(", ").push_bind(name);
        }
        query.push(")");
        if let Some(tenant) = visibility.tenant() {
            query.push(" AND z.tenant_id = ").push_bind(tenant.0);
        }
        found.extend(query.build_query_as::<ZoneRow>().fetch_all(db.pool()).await?);
    }
    Ok(found)
}

/// The zone for a writer: its row as it is now, and whether a change is under way at its name.
pub async fn for_write(db: &Db, zone: ZoneId) -> Result<Option<(ZoneRow, Option<super::intents::IntentMark>)>> {
    let sql = format!(
        "SELECT {COLUMNS}, i.zone_id AS intent_zone, i.change_id AS intent_change, \
         i.deadline < NOW(6) AS intent_overdue FROM zones z LEFT JOIN zone_intents i ON i.zone_name = z.name WHERE z.id = ?"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(zone.0).fetch_optional(db.pool()).await?;
    let Some(row) = row else { return Ok(None) };
    let mark = match row.try_get::<Option<Uuid>, _>("intent_change").map_err(StorageError::from)? {
        None => None,
        Some(change) => Some(super::intents::IntentMark {
            zone: ZoneId(row.try_get("intent_zone").map_err(StorageError::from)?),
            change: ChangeId(change),
            overdue: row.try_get::<i64, _>("intent_overdue").map_err(StorageError::from)? != 0,
        }),
    };
    Ok(Some((ZoneRow::from_row(&row)?, mark)))
}

/// Locks the zone's row until the transaction ends; what stands in it then decides.
pub async fn lock(tx: &mut Transaction<'_, MySql>, zone: ZoneId) -> Result<Option<ZoneRow>> {
    let sql = format!("SELECT {COLUMNS} FROM zones z WHERE z.id = ? FOR UPDATE");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(zone.0).fetch_optional(&mut **tx).await?)
}

/// Locks a tenant against parallel creation; its settings.
pub async fn lock_tenant(tx: &mut Transaction<'_, MySql>, tenant: TenantId) -> Result<String> {
    let query = sqlx::query_scalar("SELECT settings FROM tenants WHERE id = ? FOR UPDATE");
    Ok(query.bind(tenant.0).fetch_one(&mut **tx).await?)
}

/// A tenant's settings as they are.
pub async fn tenant_settings(db: &Db, tenant: TenantId) -> Result<String> {
    let query = sqlx::query_scalar("SELECT settings FROM tenants WHERE id = ?").bind(tenant.0);
    Ok(query.fetch_optional(db.pool()).await?.unwrap_or_default())
}

/// The zones that a tenant has, pending claims among them; what is deleted counts only if it is being restored. One
/// statement, so that a restore that is settled meanwhile is seen on one side or the other.
pub async fn count(tx: &mut Transaction<'_, MySql>, tenant: TenantId) -> Result<u64> {
    let sql = "SELECT CAST(COALESCE(SUM(zones), 0) + ( \
                   SELECT COUNT(*) FROM zone_intents i JOIN zones z ON z.id = i.zone_id WHERE z.tenant_id = ? \
                   AND z.status = 'deleted' AND i.kind IN ('set_status', 'secondary_status') \
               ) AS SIGNED) FROM zone_counters WHERE tenant_id = ? AND status <> 'deleted'";
    let count: i64 = sqlx::query_scalar(sql).bind(tenant.0).bind(tenant.0).fetch_one(&mut **tx).await?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Makes a pending claim. `zones_tenant_name` violated: the tenant has it already.
pub async fn insert(tx: &mut Transaction<'_, MySql>, access: &TenantAccess, zone: &NewZone) -> Result<()> {
    let NewZone { id, name, zone_type, default_ttl, description, cidr, now } = zone;
    sqlx::query(
        "INSERT INTO zones (id, tenant_id, name, domain_type, status, default_ttl, description, settings, cidr, \
         created_at, updated_at) VALUES (?, ?, ?, ?, 'pending_validation', ?, ?, '{}', ?, ?, ?)",
    )
    .bind(id.0)
    .bind(access.tenant().0)
    .bind(name.as_str())
    .bind(zone_type.as_str())
    .bind(default_ttl)
    .bind(description)
    .bind(cidr)
    .bind(super::datetime(now))
    .bind(super::datetime(now))
    .execute(&mut **tx)
    .await?;
    add_to_counter(tx, access.tenant(), ZoneStatus::PendingValidation, *zone_type, false, 1).await
}

/// Changes what is not zone content.
pub async fn update(
    tx: &mut Transaction<'_, MySql>,
    access: &ZoneAccess,
    default_ttl: u32,
    description: Option<&str>,
    settings: &Value,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query("UPDATE zones SET default_ttl = ?, description = ?, settings = ?, updated_at = ? WHERE id = ?")
        .bind(default_ttl)
        .bind(description)
        .bind(settings.to_string())
        .bind(super::datetime(now))
        .bind(access.zone().id.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Replaces the settings, under the zone's lock.
pub async fn set_settings(
    tx: &mut Transaction<'_, MySql>,
    row: &ZoneRow,
    settings: &Value,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query("UPDATE zones SET settings = ?, updated_at = ? WHERE id = ?")
        .bind(settings.to_string())
        .bind(super::datetime(now))
        .bind(row.id.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What a settled batch leaves in the zone's row.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub revisions: u64,
    /// None: left as it is.
    pub serial: Option<u32>,
    pub last_change: ChangeId,
    pub record_count: u32,
    /// Somebody wrote behind our back.
    pub drift: bool,
    pub now: OffsetDateTime,
}

pub async fn advance(tx: &mut Transaction<'_, MySql>, zone: ZoneId, progress: &Progress) -> Result<()> {
    let Progress { revisions, serial, last_change, record_count, drift, now } = progress;
    sqlx::query(
        "UPDATE zones SET revision = revision + ?, serial = COALESCE(?, serial), last_change = ?, record_count = ?, \
         drift_noted_at = IF(?, ?, drift_noted_at), updated_at = ? WHERE id = ?",
    )
    .bind(revisions)
    .bind(serial)
    .bind(last_change.0)
    .bind(record_count)
    .bind(drift)
    .bind(super::datetime(now))
    .bind(super::datetime(now))
    .bind(zone.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that somebody waits for the zone while others write to it.
pub async fn want(db: &Db, zone: ZoneId) -> Result<()> {
    sqlx::query("UPDATE zones SET wanted_at = NOW(6) WHERE id = ?").bind(zone.0).execute(db.pool()).await?;
    Ok(())
}

/// Whether somebody has waited for the zone within the last second.
pub async fn is_wanted(tx: &mut Transaction<'_, MySql>, zone: ZoneId) -> Result<bool> {
    let sql = "SELECT COALESCE(wanted_at > NOW(6) - INTERVAL 1 SECOND, FALSE) FROM zones WHERE id = ?";
    let wanted: i64 = sqlx::query_scalar(sql).bind(zone.0).fetch_one(&mut **tx).await?;
    Ok(wanted != 0)
}

/// Notes that PowerDNS may hold a zone for this row from now on.
pub async fn mark_born(tx: &mut Transaction<'_, MySql>, zone: ZoneId) -> Result<()> {
    sqlx::query("UPDATE zones SET born = TRUE WHERE id = ?").bind(zone.0).execute(&mut **tx).await?;
    Ok(())
}

/// From now on only this job writes to the zone; its end lets it go (`jobs::succeed`, `jobs::fail`).
pub async fn hold(tx: &mut Transaction<'_, MySql>, zone: ZoneId, job: JobId) -> Result<()> {
    sqlx::query("UPDATE zones SET held_by = ? WHERE id = ?").bind(job.0).bind(zone.0).execute(&mut **tx).await?;
    Ok(())
}

/// Lets go of a zone that the job holds.
pub async fn let_go(tx: &mut Transaction<'_, MySql>, zone: ZoneId, job: JobId) -> Result<()> {
    sqlx::query("UPDATE zones SET held_by = NULL WHERE id = ? AND held_by = ?")
        .bind(zone.0)
        .bind(job.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Moves the zone to another status. A deleted one remembers what it was; no other has been anything.
pub async fn set_status(
    tx: &mut Transaction<'_, MySql>,
    row: &ZoneRow,
    status: ZoneStatus,
    now: OffsetDateTime,
) -> Result<()> {
    let was = Some(row).filter(|_| status == ZoneStatus::Deleted);
    sqlx::query("UPDATE zones SET status = ?, status_before = ?, deleted_at = ?, updated_at = ? WHERE id = ?")
        .bind(status.as_str())
        .bind(was.map(|row| row.status.as_str()))
        .bind(was.map(|_| super::datetime(now)))
        .bind(super::datetime(now))
        .bind(row.id.0)
        .execute(&mut **tx)
        .await?;
    // in one order for all, so that two transitions cannot wait for each other
    let mut steps = [(row.status, -1), (status, 1)];
    steps.sort_by_key(|(status, _)| status.as_str());
    for (status, by) in steps {
        add_to_counter(tx, row.tenant, status, row.zone_type, row.dnssec_enabled, by).await?;
    }
    Ok(())
}

/// Marks that the row has moved where no change of content says so: what was decided on it before is void.
pub async fn touch(tx: &mut Transaction<'_, MySql>, zone: ZoneId, change: ChangeId) -> Result<()> {
    sqlx::query("UPDATE zones SET last_change = ? WHERE id = ?").bind(change.0).bind(zone.0).execute(&mut **tx).await?;
    Ok(())
}

/// Deleted zones whose time is over, the oldest first.
pub async fn deleted_before(db: &Db, time: OffsetDateTime, limit: u32) -> Result<Vec<ZoneRow>> {
    let sql = format!("SELECT {COLUMNS} FROM zones z WHERE z.deleted_at < ? ORDER BY z.deleted_at LIMIT ?");
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(super::datetime(time)).bind(limit);
    Ok(query.fetch_all(db.pool()).await?)
}

/// The zone is signed, with this way of denial, or unsigned.
pub async fn set_denial(tx: &mut Transaction<'_, MySql>, row: &ZoneRow, denial: Option<Denial>) -> Result<()> {
    sqlx::query("UPDATE zones SET dnssec_enabled = ?, denial = ? WHERE id = ?")
        .bind(denial.is_some())
        .bind(denial.map(Denial::as_str))
        .bind(row.id.0)
        .execute(&mut **tx)
        .await?;
    if row.dnssec_enabled == denial.is_some() {
        return Ok(());
    }
    // in one order for all, see `set_status`
    for (signed, by) in [(false, if denial.is_some() { -1 } else { 1 }), (true, if denial.is_some() { 1 } else { -1 })]
    {
        add_to_counter(tx, row.tenant, row.status, row.zone_type, signed, by).await?;
    }
    Ok(())
}

/// Claims made before this time and not proven, the oldest first.
pub async fn claimed_before(db: &Db, time: OffsetDateTime, limit: u32) -> Result<Vec<ZoneRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM zones z WHERE z.status = 'pending_validation' AND z.created_at < ? \
         ORDER BY z.created_at LIMIT ?"
    );
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(super::datetime(time)).bind(limit);
    Ok(query.fetch_all(db.pool()).await?)
}

/// What PowerDNS serves by now, where no change of ours says it.
pub async fn set_serial(tx: &mut Transaction<'_, MySql>, zone: ZoneId, serial: u32) -> Result<()> {
    sqlx::query("UPDATE zones SET serial = ? WHERE id = ?").bind(serial).bind(zone.0).execute(&mut **tx).await?;
    Ok(())
}

/// Takes the zone's name away for the one who has proven it: nothing of it is in PowerDNS any more.
pub async fn displace(tx: &mut Transaction<'_, MySql>, row: &ZoneRow) -> Result<()> {
    retire_serial(tx, row).await?;
    for statement in [
        "DELETE FROM record_ids WHERE zone_id = ?",
        "DELETE FROM emptied_zones WHERE zone_id = ?",
        "DELETE FROM zone_signing WHERE zone_id = ?",
        "UPDATE zones SET displaced = TRUE, born = FALSE, serial = NULL WHERE id = ?",
    ] {
        sqlx::query(statement).bind(row.id.0).execute(&mut **tx).await?;
    }
    // its keys went with it
    set_denial(tx, row, None).await
}

/// The next zone of this name goes on above what this one has served.
async fn retire_serial(tx: &mut Transaction<'_, MySql>, row: &ZoneRow) -> Result<()> {
    let Some(serial) = row.serial else { return Ok(()) };
    let sql = "INSERT INTO retired_serials (zone_name, serial) VALUES (?, ?) \
               ON DUPLICATE KEY UPDATE serial = VALUES(serial)";
    sqlx::query(sql).bind(row.name.as_str()).bind(serial).execute(&mut **tx).await?;
    Ok(())
}

/// Removes the row and all that hangs on it but history and audit.
pub async fn delete(tx: &mut Transaction<'_, MySql>, row: &ZoneRow) -> Result<()> {
    retire_serial(tx, row).await?;
    for statement in [
        "DELETE FROM record_ids WHERE zone_id = ?",
        "DELETE FROM staged_rrsets WHERE zone_id = ?",
        "DELETE FROM emptied_zones WHERE zone_id = ?",
        "DELETE FROM validations WHERE zone_id = ?",
        "DELETE FROM zone_signing WHERE zone_id = ?",
        "DELETE FROM secondary_zones WHERE zone_id = ?",
        "DELETE FROM zone_templates WHERE zone_id = ?",
        "DELETE FROM zones WHERE id = ?",
    ] {
        sqlx::query(statement).bind(row.id.0).execute(&mut **tx).await?;
    }
    add_to_counter(tx, row.tenant, row.status, row.zone_type, row.dnssec_enabled, -1).await
}

async fn add_to_counter(
    tx: &mut Transaction<'_, MySql>,
    tenant: TenantId,
    status: ZoneStatus,
    zone_type: ZoneType,
    dnssec_enabled: bool,
    by: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO zone_counters (tenant_id, status, domain_type, dnssec_enabled, zones) VALUES (?, ?, ?, ?, ?) \
         ON DUPLICATE KEY UPDATE zones = zones + VALUES(zones)",
    )
    .bind(tenant.0)
    .bind(status.as_str())
    .bind(zone_type.as_str())
    .bind(dnssec_enabled)
    .bind(by)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The serial that the last zone of this name ended with.
pub async fn retired_serial(db: &Db, name: &str) -> Result<Option<u32>> {
    let sql = "SELECT serial FROM retired_serials WHERE zone_name = ?";
    Ok(sqlx::query_scalar(sql).bind(name).fetch_optional(db.pool()).await?)
}
