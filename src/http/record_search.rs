//! `/domains/{id}/records/search`: records by a part of their name or content.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::ids::ZoneId;
use crate::service::records::{self, RecordFilter};
use crate::service::{Error, Services};

use super::error::ApiError;
use super::extract::{ApiJson, ApiPath, ApiQuery, Authenticated, truth};
use super::records::{RecordList, Window};

/// The longest name there is, which is also enough of any content.
const QUERY_CHARACTERS_MAX: usize = 255;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchRecords {
    /// Part of an owner name or of a content, in any case; 1 to 255 characters.
    #[schema(min_length = 1, max_length = 255, example = "mail")]
    pub query: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchWindow {
    /// Finds SOA and apex NS too.
    #[serde(default, deserialize_with = "truth")]
    include_system: Option<bool>,
    /// From 1.
    #[param(minimum = 1)]
    page: Option<u32>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    page_size: Option<u32>,
    /// From `next_cursor` of the page before; wins over `page`.
    cursor: Option<String>,
}

/// The records whose name or content has this text, by name; paged only if asked for.
#[utoipa::path(post, path = "/api/v1/domains/{id}/records/search", tag = "records", operation_id = "search_records",
    params(("id" = String, Path), SearchWindow), request_body = SearchRecords,
    responses((status = 200, body = RecordList)))]
pub async fn search(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<SearchWindow>,
    ApiJson(body): ApiJson<SearchRecords>,
) -> Result<Json<RecordList>, ApiError> {
    let window = Window::new(query.page, query.page_size, query.cursor.as_deref())?;
    let filter = RecordFilter::search(checked(&body.query)?, query.include_system.unwrap_or(false));
    let view = records::open(&services, &context, id).await?;
    Ok(Json(window.of(&view, records::listed(&view, &filter))))
}

fn checked(query: &str) -> Result<&str, Error> {
    if query.is_empty() || query.chars().count() > QUERY_CHARACTERS_MAX {
        let message = format!("must have 1 to {QUERY_CHARACTERS_MAX} characters");
        return Err(Error::schema(&["body", "query"], message));
    }
    Ok(query)
}
