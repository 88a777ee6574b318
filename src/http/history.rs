//! `/domains/{id}/changes`: what changed in a domain, when and by whom; differences, and putting back what was.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::ids::{ChangeId, ZoneId};
use crate::service::history::{self, Change, Difference, HistoryPage};
use crate::service::{ActorRecord, Services};

use super::error::ApiError;
use super::extract::{ApiJson, ApiPath, ApiQuery, Authenticated, OptionalJson};
use super::paging::{Page, decode_cursor, page_request};
use super::records::DryRun;
use super::rrsets::{RrsetChangeItem, RrsetsChanged, change_item, changed};

/// One change of a domain's records.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeItem {
    #[schema(example = "chg_01jd0000000000000000000000")]
    pub id: String,
    /// Of the domain after this change; each change is one revision on.
    pub revision: u64,
    /// The SOA's serial after it; null while the domain was not live.
    #[schema(required = true)]
    pub serial: Option<u32>,
    pub actor: ChangeActor,
    #[schema(required = true)]
    pub ip_address: Option<String>,
    pub request_id: String,
    #[serde(with = "time::serde::rfc3339")]
    pub timestamp: OffsetDateTime,
    /// RRsets before and after.
    pub changes: Vec<RrsetChangeItem>,
    /// There is too much in it for a list: the change alone is shown with it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub changes_omitted: bool,
}

/// Who made a change, as the audit log names them.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeActor {
    /// `user`, `api_key` or `system`.
    pub actor_type: String,
    pub actor_id: String,
    #[schema(required = true)]
    pub actor_email: Option<String>,
    pub name: String,
}

/// In what two revisions differ.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevisionDiff {
    pub from: u64,
    pub to: u64,
    /// RRsets as they were at `from` and at `to`, by name.
    pub changes: Vec<RrsetChangeItem>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListChanges {
    #[param(minimum = 1, default = 1)]
    page: Option<u32>,
    #[param(minimum = 1, maximum = 100, default = 50)]
    page_size: Option<u32>,
    /// From `next_cursor` of the page before; wins over `page`.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    /// A revision, which must be given; 0 is the empty domain.
    from: Option<u64>,
    /// A revision; the present where absent.
    to: Option<u64>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevertChange {
    /// `true`: also what has been changed since.
    #[serde(default)]
    pub force: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreRevision {
    /// 0 is the empty domain.
    pub revision: u64,
    /// `true`: also what does not stand as the history says.
    #[serde(default)]
    pub force: bool,
}

/// The changes of a domain, newest first.
#[utoipa::path(get, path = "/api/v1/domains/{id}/changes", tag = "history", operation_id = "list_changes",
    params(("id" = String, Path), ListChanges), responses((status = 200, body = Page<ChangeItem>)))]
pub async fn list(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<ListChanges>,
) -> Result<Json<Page<ChangeItem>>, ApiError> {
    let request = page_request(query.page, query.page_size)?;
    let below = decode_cursor(query.cursor.as_deref())?;
    let HistoryPage { changes, total, total_capped, more } =
        history::list(&services, &context, id, request, below).await?;
    let next = changes.last().filter(|_| more).map(|change| change.revision);
    let data = changes.into_iter().map(item).collect();
    Ok(Json(Page { total_capped, ..Page::new(&request, data, total, next) }))
}

/// One change, whole.
#[utoipa::path(get, path = "/api/v1/domains/{id}/changes/{chg}", tag = "history", operation_id = "get_change",
    params(("id" = String, Path), ("chg" = String, Path)), responses((status = 200, body = ChangeItem)))]
pub async fn get(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath((id, chg)): ApiPath<(ZoneId, ChangeId)>,
) -> Result<Json<ChangeItem>, ApiError> {
    Ok(Json(item(history::get(&services, &context, id, chg).await?)))
}

/// In what two revisions of a domain differ.
#[utoipa::path(get, path = "/api/v1/domains/{id}/changes/diff", tag = "history", operation_id = "diff_revisions",
    params(("id" = String, Path), DiffQuery), responses((status = 200, body = RevisionDiff)))]
pub async fn diff(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<DiffQuery>,
) -> Result<Json<RevisionDiff>, ApiError> {
    let Difference { from, to, changes } = history::difference(&services, &context, id, (query.from, query.to)).await?;
    Ok(Json(RevisionDiff { from, to, changes: changes.into_iter().map(change_item).collect() }))
}

/// Puts the RRsets of a change back as they were before it, as a change of its own. 409 where one of them has been
/// changed since, unless `force` is given.
#[utoipa::path(post, path = "/api/v1/domains/{id}/changes/{chg}/revert", tag = "history",
    operation_id = "revert_change", params(("id" = String, Path), ("chg" = String, Path), DryRun),
    request_body = Option<RevertChange>, responses((status = 200, body = RrsetsChanged)))]
pub async fn revert(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(ids): ApiPath<(ZoneId, ChangeId)>,
    ApiQuery(query): ApiQuery<DryRun>,
    OptionalJson(body): OptionalJson<RevertChange>,
) -> Result<Json<RrsetsChanged>, ApiError> {
    let RevertChange { force } = body;
    Ok(Json(changed(history::revert(&services, &context, ids, force, query.wanted()).await?, query.wanted())))
}

/// Makes a domain's records what they were at a revision, as a change of its own; SOA and apex NS do not go.
#[utoipa::path(post, path = "/api/v1/domains/{id}/restore-revision", tag = "history",
    operation_id = "restore_revision", params(("id" = String, Path), DryRun), request_body = RestoreRevision,
    responses((status = 200, body = RrsetsChanged)))]
pub async fn restore(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<DryRun>,
    ApiJson(body): ApiJson<RestoreRevision>,
) -> Result<Json<RrsetsChanged>, ApiError> {
    let RestoreRevision { revision, force } = body;
    let restored = history::restore(&services, &context, (id, revision), force, query.wanted()).await?;
    Ok(Json(changed(restored, query.wanted())))
}

fn item(change: Change) -> ChangeItem {
    let Change { id, revision, serial, actor, ip_address, request_id, at, changes } = change;
    let ActorRecord { actor_type, actor_id, actor_email, name } = actor;
    ChangeItem {
        id: id.to_string(),
        revision,
        serial,
        actor: ChangeActor { actor_type, actor_id, actor_email, name },
        ip_address,
        request_id,
        timestamp: at,
        changes_omitted: changes.is_none(),
        changes: changes.unwrap_or_default().into_iter().map(change_item).collect(),
    }
}
