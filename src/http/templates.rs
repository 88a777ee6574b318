//! `/templates/`: records to be written with a few values filled in.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::dns::template::{TEMPLATE_RECORDS_MAX, Template, TemplateRecord, TemplateVariable, Values};
use crate::ids::{TemplateId, ZoneId};
use crate::service::templates::application::{self, Application, Applied, Skipped};
use crate::service::templates::{self, Kind, NewTemplate, TemplatePage, TemplatePatch, TemplateView};
use crate::service::{Error, Services};
use crate::storage::zone_templates::LeftOut;

use super::domains::three_states;
use super::error::{ApiError, ErrorDetail, StructuredDetail};
use super::extract::{ApiJson, ApiPath, ApiQuery, Authenticated, OptionalJson, parse_part};
use super::paging::{Page, decode_cursor, page_request};
use super::records::{DryRun, RecordItem, item as record_item};

/// A template.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateItem {
    #[schema(example = "tpl_01jd0000000000000000000000")]
    pub id: String,
    pub name: String,
    #[schema(required = true)]
    pub description: Option<String>,
    /// `system` or `custom`.
    pub template_type: String,
    pub records: Vec<TemplateRecordItem>,
    pub variables: Vec<TemplateVariableItem>,
    /// Null for the system's, which all tenants share.
    #[schema(required = true)]
    pub tenant_id: Option<String>,
}

/// A record of a template. `${name}` stands for the value of a variable or for what is built in; `$${` is a `${` that
/// is meant as such.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateRecordItem {
    #[schema(example = "www")]
    pub name: String,
    #[serde(rename = "type")]
    #[schema(example = "A")]
    pub record_type: String,
    #[schema(example = "${address}")]
    pub content: String,
    /// Seconds; where absent the RRset's, else the domain's default.
    #[schema(maximum = 2147483647, required = false)]
    pub ttl: Option<u32>,
}

/// What is filled in.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateVariableItem {
    /// 1 to 64 letters, digits and `_`, beginning with a letter.
    #[schema(example = "address")]
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// Whether it must be given; where absent, it must be unless there is a default.
    #[schema(value_type = bool, required = false)]
    pub required: Option<bool>,
    /// For one that is not required; may have what is built in. Without it, an empty text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// A template to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTemplate {
    /// 1 to 255 characters.
    #[schema(min_length = 1, max_length = 255, example = "Web server")]
    pub name: String,
    #[schema(max_length = 1000)]
    pub description: Option<String>,
    #[schema(min_items = 1, max_items = 500)]
    pub records: Vec<TemplateRecordItem>,
    #[serde(default)]
    #[schema(max_items = 50)]
    pub variables: Vec<TemplateVariableItem>,
}

/// A template to be applied to a domain.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyTemplate {
    pub template_id: String,
    pub domain_id: String,
    /// Values by variable.
    #[serde(default)]
    pub variables: Values,
}

/// One of the two: with `template_id` and `domain_id` a template is applied, else one is made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents a body that is read as one or the other")]
pub enum CreateOrApply {
    Create(CreateTemplate),
    Apply(ApplyTemplate),
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchTemplate {
    #[schema(min_length = 1, max_length = 255)]
    pub name: Option<String>,
    /// `null` removes it.
    #[serde(default, deserialize_with = "three_states")]
    #[schema(value_type = Option<String>, max_length = 1000)]
    pub description: Option<Option<String>>,
    /// All of them.
    #[schema(min_items = 1, max_items = 500)]
    pub records: Option<Vec<TemplateRecordItem>>,
    /// All of them.
    #[schema(max_items = 50)]
    pub variables: Option<Vec<TemplateVariableItem>>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewTemplate {
    /// Values by variable.
    #[serde(default)]
    pub variables: Values,
}

/// What a template made.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppliedTemplate {
    pub created_records: Vec<RecordItem>,
    /// Left out, since they clash with what stands in the domain.
    pub skipped_records: Vec<SkippedRecord>,
    pub total_created: usize,
    pub total_skipped: usize,
    /// `false`: only asked, nothing was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<bool>,
}

/// What was made: the template, or records by it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum CreatedOrApplied {
    Created(TemplateItem),
    Applied(AppliedTemplate),
}

/// A record that was left out, with its values filled in.
#[derive(Debug, Serialize, ToSchema)]
pub struct SkippedRecord {
    pub name: String,
    #[serde(rename = "type")]
    pub record_type: String,
    pub content: String,
    #[schema(required = true)]
    pub ttl: Option<u32>,
    /// Why.
    pub reason: String,
    /// Of the record, where one is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The records that stand in its way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub conflicts: Vec<String>,
}

/// A placeholder that needs no variable.
#[derive(Debug, Serialize, ToSchema)]
pub struct BuiltInItem {
    #[schema(example = "domain")]
    pub name: String,
    pub description: String,
    /// What it stands for; null where that depends on the domain.
    #[schema(required = true)]
    pub value: Option<String>,
}

/// The variables that must be given.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequiredVariables {
    pub template_id: String,
    pub variables: Vec<TemplateVariableItem>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListTemplates {
    /// `system` or `custom`; both where absent.
    template_type: Option<String>,
    #[param(minimum = 1, default = 1)]
    page: Option<u32>,
    #[param(minimum = 1, maximum = 100, default = 50)]
    page_size: Option<u32>,
    /// From `next_cursor` of the page before; wins over `page`.
    cursor: Option<String>,
}

/// The system's templates and the tenant's own, by name.
#[utoipa::path(get, path = "/api/v1/templates/", tag = "templates", operation_id = "list_templates",
    params(ListTemplates), responses((status = 200, body = Page<TemplateItem>)))]
pub async fn list(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiQuery(query): ApiQuery<ListTemplates>,
) -> Result<Json<Page<TemplateItem>>, ApiError> {
    let request = page_request(query.page, query.page_size)?;
    let after = decode_cursor(query.cursor.as_deref())?;
    let kind = match query.template_type.as_deref() {
        None => None,
        Some("system") => Some(Kind::System),
        Some("custom") => Some(Kind::Custom),
        Some(_) => return Err(Error::invalid("template_type", "must be system or custom").into()),
    };
    let TemplatePage { templates, total, next } = templates::list(&services, &context, kind, request, after).await?;
    Ok(Json(Page::new(&request, templates.into_iter().map(item).collect(), total, next)))
}

/// Makes a template; or, with `template_id` and `domain_id`, applies one: its records are added to the domain in one
/// change. Those that clash with what stands there are left out and told; where one cannot be at all, nothing is written.
#[utoipa::path(post, path = "/api/v1/templates/", tag = "templates", operation_id = "create_or_apply_template",
    params(DryRun), request_body = CreateOrApply, responses((status = 200, body = CreatedOrApplied)))]
pub async fn create_or_apply(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiQuery(query): ApiQuery<DryRun>,
    ApiJson(body): ApiJson<Value>,
) -> Result<Json<CreatedOrApplied>, ApiError> {
    let is_given = |field: &str| body.get(field).is_some();
    if is_given("template_id") || is_given("domain_id") {
        let body: ApplyTemplate = read(&body)?;
        let ApplyTemplate { template_id, domain_id, variables } = body;
        let template = template_id.parse().map_err(|_| Error::NotFound("Template"))?;
        let zone = domain_id.parse().map_err(|_| Error::NotFound("Domain"))?;
        let wanted = Application { template, zone, given: variables, dry_run: query.wanted() };
        let applied = application::apply(&services, &context, wanted).await?;
        return Ok(Json(CreatedOrApplied::Applied(applied_item(applied, query.wanted()))));
    }
    let CreateTemplate { name, description, records, variables } = read(&body)?;
    if query.wanted() {
        return Err(Error::schema(&["query", "dry_run"], "is for applying a template").into());
    }
    let template =
        Template { records: checked_records(records)?, variables: variables.into_iter().map(variable).collect() };
    let made = templates::create(&services, &context, NewTemplate { name, description, template }).await?;
    Ok(Json(CreatedOrApplied::Created(item(made))))
}

/// The placeholders that every template may have without a variable.
#[utoipa::path(get, path = "/api/v1/templates/variables", tag = "templates", operation_id = "list_built_in_variables",
    responses((status = 200, body = Page<BuiltInItem>)))]
pub async fn built_ins(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
) -> Result<Json<Page<BuiltInItem>>, ApiError> {
    let nameservers = templates::nameservers(&services, &context).await?;
    let of_domain = |name: &str, description: &str| BuiltInItem {
        name: name.to_owned(),
        description: description.to_owned(),
        value: None,
    };
    let mut data = vec![
        of_domain("domain", "The domain's name, without a dot at its end"),
        of_domain("tenant", "The short name (slug) of the domain's tenant"),
        of_domain("default_ttl", "The domain's default TTL, in seconds"),
    ];
    data.extend(nameservers.into_iter().enumerate().map(|(index, nameserver)| BuiltInItem {
        name: format!("ns{}", index + 1),
        description: "A nameserver of the platform, without a dot at its end".to_owned(),
        value: Some(nameserver),
    }));
    let (page, total) = (page_request(None, None)?, data.len() as u64);
    Ok(Json(Page::new(&page, data, total, None::<()>)))
}

/// One template.
#[utoipa::path(get, path = "/api/v1/templates/{template_id}", tag = "templates", operation_id = "get_template",
    params(("template_id" = String, Path)), responses((status = 200, body = TemplateItem)))]
pub async fn get(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<TemplateId>,
) -> Result<Json<TemplateItem>, ApiError> {
    Ok(Json(item(templates::get(&services, &context, id).await?)))
}

/// Changes a template of the tenant's own. Records that it has made stay as they are.
#[utoipa::path(patch, path = "/api/v1/templates/{template_id}", tag = "templates", operation_id = "update_template",
    params(("template_id" = String, Path)), request_body = PatchTemplate,
    responses((status = 200, body = TemplateItem)))]
pub async fn update(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<TemplateId>,
    ApiJson(body): ApiJson<PatchTemplate>,
) -> Result<Json<TemplateItem>, ApiError> {
    let PatchTemplate { name, description, records, variables } = body;
    let patch = TemplatePatch {
        name,
        description,
        records: records.map(checked_records).transpose()?,
        variables: variables.map(|variables| variables.into_iter().map(variable).collect()),
    };
    Ok(Json(item(templates::update(&services, &context, id, patch).await?)))
}

/// Deletes a template of the tenant's own. Records that it has made stay.
#[utoipa::path(delete, path = "/api/v1/templates/{template_id}", tag = "templates", operation_id = "delete_template",
    params(("template_id" = String, Path)), responses((status = 204, description = "Gone")))]
pub async fn delete(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<TemplateId>,
) -> Result<StatusCode, ApiError> {
    templates::delete(&services, &context, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The variables of a template that must be given.
#[utoipa::path(get, path = "/api/v1/templates/{template_id}/required-variables", tag = "templates",
    operation_id = "required_variables", params(("template_id" = String, Path)),
    responses((status = 200, body = RequiredVariables)))]
pub async fn required_variables(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<TemplateId>,
) -> Result<Json<RequiredVariables>, ApiError> {
    let found = templates::get(&services, &context, id).await?;
    let required =
        found.template.variables.into_iter().filter(|variable| variable.required && variable.default.is_none());
    Ok(Json(RequiredVariables { template_id: id.to_string(), variables: required.map(variable_item).collect() }))
}

/// What would become of a template in a domain; writes nothing.
#[utoipa::path(post, path = "/api/v1/templates/{template_id}/preview/{domain_id}", tag = "templates",
    operation_id = "preview_template", params(("template_id" = String, Path), ("domain_id" = String, Path)),
    request_body = Option<PreviewTemplate>, responses((status = 200, body = AppliedTemplate)))]
pub async fn preview(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath((template, zone)): ApiPath<(TemplateId, ZoneId)>,
    OptionalJson(body): OptionalJson<PreviewTemplate>,
) -> Result<Json<AppliedTemplate>, ApiError> {
    let wanted = Application { template, zone, given: body.variables, dry_run: true };
    Ok(Json(applied_item(application::apply(&services, &context, wanted).await?, true)))
}

fn read<T: serde::de::DeserializeOwned>(body: &Value) -> Result<T, Error> {
    parse_part(body, "").map_err(|problem| Error::Schema(vec![problem]))
}

/// As many as other calls take.
fn checked_records(records: Vec<TemplateRecordItem>) -> Result<Vec<TemplateRecord>, ApiError> {
    if records.len() > TEMPLATE_RECORDS_MAX {
        let message = format!("A template has at most {TEMPLATE_RECORDS_MAX} records");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_records", message));
    }
    Ok(records.into_iter().map(record).collect())
}

fn record(body: TemplateRecordItem) -> TemplateRecord {
    let TemplateRecordItem { name, record_type, content, ttl } = body;
    TemplateRecord { name, record_type: record_type.to_ascii_uppercase(), content, ttl }
}

fn variable(body: TemplateVariableItem) -> TemplateVariable {
    let TemplateVariableItem { name, description, required, default } = body;
    TemplateVariable { required: required.unwrap_or(default.is_none()), name, description, default }
}

fn item(view: TemplateView) -> TemplateItem {
    let TemplateView { id, tenant, name, description, template: Template { records, variables } } = view;
    let record = |record: TemplateRecord| {
        let TemplateRecord { name, record_type, content, ttl } = record;
        TemplateRecordItem { name, record_type, content, ttl }
    };
    TemplateItem {
        id: id.to_string(),
        name,
        description,
        template_type: if tenant.is_some() { "custom" } else { "system" }.to_owned(),
        records: records.into_iter().map(record).collect(),
        variables: variables.into_iter().map(variable_item).collect(),
        tenant_id: tenant.map(|tenant| tenant.to_string()),
    }
}

fn variable_item(variable: TemplateVariable) -> TemplateVariableItem {
    let TemplateVariable { name, description, required, default } = variable;
    TemplateVariableItem { name, description, required: Some(required), default }
}

fn applied_item(done: Applied, dry_run: bool) -> AppliedTemplate {
    let Applied { zone, created, skipped } = done;
    let created: Vec<RecordItem> =
        created.into_iter().map(|(view, warnings)| record_item(&zone, view, warnings, None)).collect();
    let skipped: Vec<SkippedRecord> = skipped.into_iter().map(SkippedRecord::from).collect();
    AppliedTemplate {
        total_created: created.len(),
        total_skipped: skipped.len(),
        created_records: created,
        skipped_records: skipped,
        applied: dry_run.then_some(false),
    }
}

impl From<Skipped> for SkippedRecord {
    fn from(skipped: Skipped) -> Self {
        let Skipped { record: TemplateRecord { name, record_type, content, ttl }, error } = skipped;
        let reason = error.to_string();
        let (field, conflicts) = match ErrorDetail::from(error) {
            ErrorDetail::Structured(StructuredDetail { message: _, field, conflicts, change_id: _ }) => {
                (field, conflicts)
            }
            ErrorDetail::Text(_) | ErrorDetail::Several(_) | ErrorDetail::Schema(_) => (None, Vec::new()),
        };
        Self { name, record_type, content, ttl, reason, field, conflicts }
    }
}

impl From<LeftOut> for SkippedRecord {
    fn from(left_out: LeftOut) -> Self {
        let LeftOut { record: TemplateRecord { name, record_type, content, ttl }, reason } = left_out;
        Self { name, record_type, content, ttl, reason, field: None, conflicts: Vec::new() }
    }
}
