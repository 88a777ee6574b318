//! `/domains/{id}/export` and `/domains/{id}/import`: a domain's records as a file.

use std::sync::Arc;

use axum::Json;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::dns::zone_file::{LineError, ZoneFileFormat};
use crate::ids::ZoneId;
use crate::service::axfr::{self, Axfr};
use crate::service::zone_files::{self, Import, ImportMode, Imported};
use crate::service::{Error, Services};

use super::error::{ApiError, PartError};
use super::extract::{ApiJson, ApiPath, ApiQuery, Authenticated, body_too_large, truth};
use super::rrsets::{RrsetChangeItem, change_item};

/// Changes that a preview shows: a screen full, not a hundred thousand.
const CHANGES_SHOWN_MAX: usize = 1_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// `bind` (default), `json` or `csv`.
    #[param(required = false)]
    format: Option<String>,
    /// The records as they were at this revision of the domain (see its changes); the present where absent, 0 is the
    /// empty domain.
    #[param(required = false)]
    revision: Option<u64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ImportQuery {
    /// `true`: says what would become of the file, and writes nothing.
    #[param(required = false)]
    #[serde(default, deserialize_with = "truth")]
    preview: Option<bool>,
    /// The same.
    #[param(required = false)]
    #[serde(default, deserialize_with = "truth")]
    dry_run: Option<bool>,
}

/// A domain's records, written down.
#[derive(Debug, Serialize, ToSchema)]
pub struct Exported {
    pub domain_id: String,
    pub domain_name: String,
    #[schema(example = "bind")]
    pub format: String,
    /// The file, whatever its format.
    pub zone_file: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportText {
    /// `bind` (default), `json` (an array of records) or `csv` (with the head `name,type,content,ttl,disabled`).
    #[schema(example = "bind")]
    pub format: Option<String>,
    /// `merge` (default): records come, or become as the file has them. `replace`: the domain holds what the file holds.
    /// `skip_existing`: records come that are not there.
    #[schema(example = "merge")]
    pub mode: Option<String>,
    /// The file.
    #[schema(example = "www 300 IN A 192.0.2.1")]
    pub content: String,
    /// Whether the SOA and the apex NS of the file count, too.
    #[serde(default)]
    pub include_system: bool,
}

/// Where a domain's records are fetched from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportAxfr {
    /// The address of a server that gives the domain away.
    #[schema(example = "192.0.2.53")]
    pub server: String,
    /// 53 where absent; 53 or above 1023.
    pub port: Option<u16>,
    /// A key that the server knows, too.
    pub tsig_key_id: Option<String>,
    /// As in `import/text`.
    #[schema(example = "merge")]
    pub mode: Option<String>,
    /// Whether the SOA and the apex NS count, too.
    #[serde(default)]
    pub include_system: bool,
}

/// The form of `import/file`.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "documents a form that is read part by part")]
pub struct ImportForm {
    /// The file, as UTF-8.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// As in `import/text`.
    format: Option<String>,
    /// As in `import/text`.
    mode: Option<String>,
    include_system: Option<bool>,
}

/// What became of a file.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportOutcome {
    /// `created` and `updated` together.
    pub imported_count: u64,
    /// Records that came to be.
    pub created: u64,
    /// Records that were there and are not as they were.
    pub updated: u64,
    /// Records that went.
    pub deleted: u64,
    /// Records of the file that changed nothing.
    pub skipped: u64,
    /// Of the errors: those that clash with other records.
    pub conflict_count: usize,
    /// What stands in the way; only with `preview`, as otherwise the answer is an error.
    pub errors: Vec<LineProblem>,
    /// Of the change in the domain's history; null where nothing changed.
    #[schema(required = true)]
    pub change_id: Option<String>,
    /// What would change; only with `preview`, and the first 1,000 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<RrsetChangeItem>>,
    /// How many more would change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_changes: Option<usize>,
    /// `false`: only asked, nothing was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<bool>,
}

/// An import that goes on without the request.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportJob {
    /// How far it is, and what came of it: `GET /jobs/{job_id}`.
    #[schema(example = "job_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub job_id: String,
}

/// What is wrong with a line of a file.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineProblem {
    /// From 1.
    pub line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    pub message: String,
}

/// A domain's records as a file, within JSON.
#[utoipa::path(get, path = "/api/v1/domains/{id}/export", tag = "files", operation_id = "export",
    params(("id" = String, Path), ExportQuery), responses((status = 200, body = Exported)))]
pub async fn export(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<ExportQuery>,
) -> Result<Json<Exported>, ApiError> {
    let format = format(query.format.as_deref())?;
    let (view, zone_file) = zone_files::export(&services, &context, id, (format, query.revision)).await?;
    Ok(Json(Exported {
        domain_id: id.to_string(),
        domain_name: view.row.name.to_string(),
        format: format.as_str().to_owned(),
        zone_file,
    }))
}

/// A domain's records as a file to be saved.
#[utoipa::path(get, path = "/api/v1/domains/{id}/export/download", tag = "files", operation_id = "export_download",
    params(("id" = String, Path), ExportQuery),
    responses((status = 200, body = String, content_type = "text/plain; charset=utf-8")))]
pub async fn download(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<ExportQuery>,
) -> Result<([(HeaderName, String); 2], String), ApiError> {
    let format = format(query.format.as_deref())?;
    let (view, zone_file) = zone_files::export(&services, &context, id, (format, query.revision)).await?;
    let extension = match format {
        ZoneFileFormat::Bind => "zone",
        ZoneFileFormat::Json => "json",
        ZoneFileFormat::Csv => "csv",
    };
    // the slash of a classless reverse zone is none of a path
    let name = view.row.name.as_str().replace('/', "-");
    let disposition = format!("attachment; filename=\"{name}.{extension}\"");
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, zone_file))
}

/// Takes a file's records into a domain, in one change: all of them, or none and what is wrong with each line. What is
/// more than 10,000 RRsets or 1.5 MB of changes is left to a job (202), once all of it is found to be right; until that
/// is over nobody else writes to the domain.
#[utoipa::path(post, path = "/api/v1/domains/{id}/import/text", tag = "files", operation_id = "import_text",
    params(("id" = String, Path), ImportQuery), request_body = ImportText,
    responses((status = 200, body = ImportOutcome), (status = 202, body = ImportJob)))]
pub async fn import_text(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<ImportQuery>,
    ApiJson(body): ApiJson<ImportText>,
) -> Result<Response, ApiError> {
    let import = wanted(body, query.wanted())?;
    answer(zone_files::import(&services, &context, id, import).await?, query.wanted())
}

/// What would become of a file; writes nothing.
#[utoipa::path(post, path = "/api/v1/domains/{id}/import/preview", tag = "files", operation_id = "import_preview",
    params(("id" = String, Path)), request_body = ImportText, responses((status = 200, body = ImportOutcome)))]
pub async fn preview(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiJson(body): ApiJson<ImportText>,
) -> Result<Response, ApiError> {
    let import = wanted(body, true)?;
    answer(zone_files::import(&services, &context, id, import).await?, true)
}

/// The same as `import/text`, with the file as a part of a form.
#[utoipa::path(post, path = "/api/v1/domains/{id}/import/file", tag = "files", operation_id = "import_file",
    params(("id" = String, Path), ImportQuery),
    request_body(content = ImportForm, content_type = "multipart/form-data"),
    responses((status = 200, body = ImportOutcome), (status = 202, body = ImportJob)))]
pub async fn import_file(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<ImportQuery>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, ApiError> {
    // who may not import need not send the file
    zone_files::may_import(&services, &context, id).await?;
    let body = read_form(form).await?;
    let import = wanted(body, query.wanted())?;
    answer(zone_files::import(&services, &context, id, import).await?, query.wanted())
}

/// Takes in what another server has of the domain, by one zone transfer (AXFR), as `import/text` does a file. A record's
/// place in the transfer is its line. Records of DNSSEC signing are left out.
#[utoipa::path(post, path = "/api/v1/domains/{id}/import/axfr", tag = "files", operation_id = "import_axfr",
    params(("id" = String, Path), ImportQuery), request_body = ImportAxfr,
    responses((status = 200, body = ImportOutcome), (status = 202, body = ImportJob)))]
pub async fn import_axfr(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    ApiQuery(query): ApiQuery<ImportQuery>,
    ApiJson(body): ApiJson<ImportAxfr>,
) -> Result<Response, ApiError> {
    let ImportAxfr { server, port, tsig_key_id, mode: name, include_system } = body;
    let preview = query.wanted();
    let axfr = Axfr { server, port, tsig_key: tsig_key_id, mode: mode(name.as_deref())?, include_system, preview };
    answer(axfr::import(&services, &context, id, axfr).await?, preview)
}

impl ImportQuery {
    fn wanted(&self) -> bool {
        self.preview.unwrap_or(false) || self.dry_run.unwrap_or(false)
    }
}

fn format(name: Option<&str>) -> Result<ZoneFileFormat, Error> {
    let name = name.unwrap_or("bind");
    ZoneFileFormat::parse(name).ok_or_else(|| Error::invalid("format", "must be bind, json or csv"))
}

fn wanted(body: ImportText, preview: bool) -> Result<Import, Error> {
    let ImportText { format: name, mode, content, include_system } = body;
    let mode = self::mode(mode.as_deref())?;
    Ok(Import { format: format(name.as_deref())?, mode, text: content, include_system, preview })
}

fn mode(name: Option<&str>) -> Result<ImportMode, Error> {
    ImportMode::parse(name.unwrap_or("merge"))
        .ok_or_else(|| Error::invalid("mode", "must be merge, replace or skip_existing"))
}

async fn read_form(form: Result<Multipart, MultipartRejection>) -> Result<ImportText, ApiError> {
    let unsupported = "The body must be of the type multipart/form-data";
    let mut form =
        form.map_err(|_| ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", unsupported))?;
    let mut body = ImportText { format: None, mode: None, content: String::new(), include_system: false };
    let mut has_file = false;
    while let Some(part) = form.next_field().await.map_err(unreadable)? {
        let name = part.name().unwrap_or_default().to_owned();
        let bytes = part.bytes().await.map_err(unreadable)?;
        let text =
            String::from_utf8(bytes.into()).map_err(|_| Error::schema(&["body", &name], "must be text in UTF-8"))?;
        match name.as_str() {
            "file" => (body.content, has_file) = (text, true),
            "format" => body.format = Some(text),
            "mode" => body.mode = Some(text),
            "include_system" => {
                let value = text.parse().map_err(|_| Error::schema(&["body", &name], "must be true or false"))?;
                body.include_system = value;
            }
            _ => return Err(Error::schema(&["body", &name], "is not a part of this form").into()),
        }
    }
    if !has_file {
        return Err(Error::schema(&["body", "file"], "is missing").into());
    }
    Ok(body)
}

fn unreadable(error: axum::extract::multipart::MultipartError) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return body_too_large();
    }
    Error::schema(&["body"], format!("cannot be read as a form: {}", error.body_text())).into()
}

fn answer(imported: Imported, preview: bool) -> Result<Response, ApiError> {
    let Imported { change, job, created, updated, deleted, skipped, conflicts, errors, error_count, mut changes } =
        imported;
    if !preview && error_count > 0 {
        let message = format!("{error_count} lines cannot be imported; nothing was written");
        return Err(ApiError::lines(message, errors.into_iter().map(part).collect()));
    }
    if let Some(job) = job {
        return Ok((StatusCode::ACCEPTED, Json(ImportJob { job_id: job.to_string() })).into_response());
    }
    let more_changes = changes.len().saturating_sub(CHANGES_SHOWN_MAX);
    changes.truncate(CHANGES_SHOWN_MAX);
    let outcome = ImportOutcome {
        imported_count: created + updated,
        created,
        updated,
        deleted,
        skipped,
        conflict_count: conflicts,
        errors: errors.into_iter().map(problem).collect(),
        change_id: change.map(|change| change.to_string()),
        changes: preview.then(|| changes.into_iter().map(change_item).collect()),
        more_changes: (preview && more_changes > 0).then_some(more_changes),
        applied: preview.then_some(false),
    };
    Ok(Json(outcome).into_response())
}

fn part(error: LineError) -> PartError {
    let LineError { line, field, message } = error;
    PartError { index: None, line: Some(line), record: None, field: field.map(str::to_owned), message }
}

fn problem(error: LineError) -> LineProblem {
    let LineError { line, field, message } = error;
    LineProblem { line, field: field.map(str::to_owned), message }
}
