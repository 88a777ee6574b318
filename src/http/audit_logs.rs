//! `/admin/audit-logs/`: read only.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::macros::format_description;
use time::{Date, OffsetDateTime, Time, UtcOffset};
use utoipa::{IntoParams, ToSchema};

use crate::ids::AuditId;
use crate::service::audit_log::{self, AuditPage, AuditQuery};
use crate::service::{Error, Services};
use crate::storage::audit::AuditEntry;
use crate::storage::audit_log::AuditFilter;

use super::error::ApiError;
use super::extract::{ApiPath, ApiQuery, Authenticated};
use super::moments;
use super::paging::{Page, decode_cursor, page_request};

/// Longer than anything that a filter is compared with.
const FILTER_CHARACTERS_MAX: usize = 64;

/// What was done, by whom, to what.
#[derive(Serialize, ToSchema)]
pub struct AuditLogEntry {
    #[schema(example = "log_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub id: String,
    /// The tenant acted in; null for the operator's own doings.
    pub tenant_id: Option<String>,
    /// `user`, `api_key`, `system` or `webhook`.
    #[schema(example = "user")]
    pub actor_type: String,
    #[schema(example = "usr_5f1c2a")]
    pub actor_id: String,
    pub actor_email: Option<String>,
    #[schema(example = "record.create")]
    pub action: String,
    #[schema(example = "record")]
    pub resource_type: String,
    pub resource_id: Option<String>,
    #[schema(example = "www.example.com A")]
    pub resource_name: Option<String>,
    pub details: AuditLogDetails,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub timestamp: OffsetDateTime,
}

/// The thing before and after; null where there was none.
#[derive(Serialize, ToSchema)]
pub struct AuditLogDetails {
    pub before: Value,
    pub after: Value,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditLogQuery {
    #[param(minimum = 1, default = 1)]
    page: Option<u32>,
    #[param(minimum = 1, maximum = 100, default = 50)]
    page_size: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Ours or ScaiKey's id.
    #[param(max_length = 64)]
    tenant_id: Option<String>,
    /// `user`, `api_key`, `system` or `webhook`.
    #[param(max_length = 64)]
    actor_type: Option<String>,
    #[param(max_length = 64)]
    actor_id: Option<String>,
    #[param(max_length = 64, example = "record.create")]
    action: Option<String>,
    #[param(max_length = 64)]
    resource_type: Option<String>,
    #[param(max_length = 64)]
    resource_id: Option<String>,
    /// A day, or a moment in ISO 8601, in UTC where it has no offset; inclusive.
    #[param(example = "2026-01-31")]
    start_date: Option<String>,
    /// A day, or a moment in ISO 8601; inclusive.
    #[param(example = "2026-01-31T23:59:59Z")]
    end_date: Option<String>,
}

/// Entries of the tenant, newest first; for the platform's admin all of them.
#[utoipa::path(get, path = "/api/v1/admin/audit-logs/", tag = "audit", params(AuditLogQuery),
    responses((status = 200, body = Page<AuditLogEntry>)))]
pub async fn list(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiQuery(query): ApiQuery<AuditLogQuery>,
) -> Result<Json<Page<AuditLogEntry>>, ApiError> {
    let request = page_request(query.page, query.page_size)?;
    let after = decode_cursor(query.cursor.as_deref())?;
    let AuditPage { entries, total, total_capped, more } =
        audit_log::list(&services, &context, wanted(query)?, request, after).await?;
    let next = entries.last().filter(|_| more).map(|entry| entry.id);
    let data = entries.into_iter().map(AuditLogEntry::from).collect();
    Ok(Json(Page { total_capped, ..Page::new(&request, data, total, next) }))
}

/// One entry.
#[utoipa::path(get, path = "/api/v1/admin/audit-logs/{log_id}", tag = "audit", params(("log_id" = String, Path)),
    responses((status = 200, body = AuditLogEntry)))]
pub async fn get(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<AuditLogEntry>, ApiError> {
    let id: AuditId = id.parse().map_err(|_| Error::NotFound("Audit entry"))?;
    Ok(Json(audit_log::get(&services, &context, id).await?.into()))
}

fn wanted(query: AuditLogQuery) -> Result<AuditQuery, Error> {
    let AuditLogQuery {
        page: _,
        page_size: _,
        cursor: _,
        tenant_id,
        actor_type,
        actor_id,
        action,
        resource_type,
        resource_id,
        start_date,
        end_date,
    } = query;
    let actor_type = plain("actor_type", actor_type)?;
    if actor_type.as_ref().is_some_and(|kind| !["user", "api_key", "system", "webhook"].contains(&kind.as_str())) {
        return Err(Error::invalid("actor_type", "must be user, api_key, system or webhook"));
    }
    Ok(AuditQuery {
        tenant: plain("tenant_id", tenant_id)?,
        filter: AuditFilter {
            tenant: None,
            actor_type,
            actor_id: plain("actor_id", actor_id)?,
            action: plain("action", action)?,
            resource_type: plain("resource_type", resource_type)?,
            resource_id: plain("resource_id", resource_id)?,
            from: moment("start_date", start_date, Time::MIDNIGHT)?,
            until: moment("end_date", end_date, Time::MAX)?,
        },
    })
}

/// What these are compared with is short and ASCII.
fn plain(field: &str, text: Option<String>) -> Result<Option<String>, Error> {
    let Some(text) = text else { return Ok(None) };
    if text.len() > FILTER_CHARACTERS_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::schema(&["query", field], "must have at most 64 printable ASCII characters"));
    }
    Ok(Some(text))
}

/// A day means its first or its last moment, in UTC.
fn moment(field: &str, text: Option<String>, time_of_day: Time) -> Result<Option<OffsetDateTime>, Error> {
    let Some(text) = text else { return Ok(None) };
    let day = || {
        Date::parse(&text, format_description!("[year]-[month]-[day]"))
            .ok()
            .map(|day| day.with_time(time_of_day).assume_utc())
    };
    let parsed = moments::moment(&text).or_else(day);
    let utc = parsed.and_then(|at| at.checked_to_offset(UtcOffset::UTC));
    match utc.filter(|at| (1970..=9998).contains(&at.year())) {
        Some(at) => Ok(Some(at)),
        None => {
            Err(Error::schema(&["query", field], "must be a day or a moment, as 2026-01-31 or 2026-01-31T12:00:00Z"))
        }
    }
}

impl From<AuditEntry> for AuditLogEntry {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry {
            id,
            tenant,
            actor_type,
            actor_id,
            actor_email,
            action,
            resource_type,
            resource_id,
            resource_name,
            mut details,
            ip_address,
            user_agent,
            request_id,
            created_at,
        } = entry;
        let mut part = |name: &str| details.get_mut(name).map_or(Value::Null, Value::take);
        Self {
            id: id.to_string(),
            tenant_id: tenant.map(|tenant| tenant.to_string()),
            actor_type,
            actor_id,
            actor_email,
            action,
            resource_type,
            resource_id,
            resource_name,
            details: AuditLogDetails { before: part("before"), after: part("after") },
            ip_address,
            user_agent,
            request_id,
            timestamp: created_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_stands_for_its_whole_length() {
        let at = |text: &str, time| moment("start_date", Some(text.to_owned()), time).ok().flatten();
        let (first, last) = (at("2026-01-31", Time::MIDNIGHT), at("2026-01-31", Time::MAX));
        assert!(first < last && last < at("2026-02-01", Time::MIDNIGHT));
        for same in ["2026-01-31T01:00:00+01:00", "2026-01-31T00:00:00", "2026-01-31T00:00:00.000000"] {
            assert_eq!(at(same, Time::MAX), first, "{same}");
        }
        for bad in ["", "soon", "2026-02-30", "0000-01-01T00:00:00+23:59", "9999-12-31", "2026-01-31 00:00:00"] {
            assert!(at(bad, Time::MIDNIGHT).is_none(), "{bad:?}");
        }
    }
}
