//! Templates of records: those that every installation has, and those that a tenant makes for itself. What becomes of
//! their records in a zone is in [`application`], a zone that is claimed with one in [`claimed`].

pub mod application;
pub mod claimed;
mod system;

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::authz::{Permission, Target, TenantAccess, Visibility, decide, decide_tenant};
use crate::dns::FieldError;
use crate::dns::template::{PartProblem, Template, TemplateProblem};
use crate::ids::{TemplateId, TenantId};
use crate::storage::audit::AuditEntry;
use crate::storage::templates::{self as store, TemplateRow};
use crate::storage::{StorageError, audit as audit_log, within, within_write, zones};

use super::api_keys::input::{bounded_text, name as checked_name};
use super::audit::{self, Resource};
use super::{ActorRecord, Context, Error, PageRequest, Refusal, Result, SchemaProblem, Services};
use system::SystemTemplate;

const DESCRIPTION_CHARACTERS_MAX: usize = 1_000;
/// Their names are read as a whole.
const TEMPLATES_PER_TENANT_MAX: u64 = 200;

/// A template, to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateView {
    pub id: TemplateId,
    /// None: the system's.
    pub tenant: Option<TenantId>,
    pub name: String,
    pub description: Option<String>,
    pub template: Template,
}

impl From<SystemTemplate> for TemplateView {
    fn from(system: SystemTemplate) -> Self {
        Self {
            id: system.id(),
            tenant: None,
            name: system.name().to_owned(),
            description: Some(system.description().to_owned()),
            template: system.template(),
        }
    }
}

impl From<TemplateRow> for TemplateView {
    fn from(row: TemplateRow) -> Self {
        let TemplateRow { id, tenant, name, description, template, created_at: _, updated_at: _ } = row;
        Self { id, tenant: Some(tenant), name, description, template }
    }
}

/// A template to be made.
#[derive(Clone, Debug)]
pub struct NewTemplate {
    pub name: String,
    pub description: Option<String>,
    pub template: Template,
}

/// What is to change; None leaves it.
#[derive(Clone, Debug, Default)]
pub struct TemplatePatch {
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub records: Option<Vec<crate::dns::template::TemplateRecord>>,
    pub variables: Option<Vec<crate::dns::template::TemplateVariable>>,
}

/// Which templates a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    System,
    Custom,
}

/// Where the list goes on: behind this template. The name is in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct TemplateCursor {
    pub name: String,
    pub id: TemplateId,
}

/// One page of templates.
pub struct TemplatePage {
    pub templates: Vec<TemplateView>,
    pub total: u64,
    pub next: Option<TemplateCursor>,
}

/// The system's and the tenant's own, by name.
pub async fn list(
    services: &Services,
    context: &Context,
    kind: Option<Kind>,
    page: PageRequest,
    after: Option<TemplateCursor>,
) -> Result<TemplatePage> {
    let access = decide_tenant(&context.caller, Permission::TemplatesRead)?;
    let mut all: Vec<TemplateCursor> = Vec::new();
    if kind != Some(Kind::Custom) {
        all.extend(SystemTemplate::ALL.map(|system| cursor(system.id(), system.name())));
    }
    if kind != Some(Kind::System) {
        let own = within(store::names(&services.db, &access)).await?;
        all.extend(own.into_iter().map(|(id, name)| cursor(id, &name)));
    }
    all.sort();
    let total = all.len();
    let begin = match &after {
        Some(after) => all.partition_point(|one| one <= after),
        None => usize::try_from(page.offset()).unwrap_or(usize::MAX).min(total),
    };
    let wanted: Vec<TemplateCursor> = all.into_iter().skip(begin).take(page.page_size as usize).collect();
    let next = wanted.last().filter(|_| begin + wanted.len() < total).cloned();
    let ids: Vec<TemplateId> = wanted.iter().map(|one| one.id).collect();
    let mut found: Vec<TemplateView> = ids.iter().filter_map(|id| SystemTemplate::by_id(*id)).map(Into::into).collect();
    found.extend(within(store::of_ids(&services.db, &access, &ids)).await?.into_iter().map(TemplateView::from));
    found.sort_by_key(|template| ids.iter().position(|id| *id == template.id));
    Ok(TemplatePage { templates: found, total: total as u64, next })
}

pub async fn get(services: &Services, context: &Context, id: TemplateId) -> Result<TemplateView> {
    find(services, context, id, Permission::TemplatesRead).await
}

pub async fn create(services: &Services, context: &Context, wanted: NewTemplate) -> Result<TemplateView> {
    let access = decide_tenant(&context.caller, Permission::TemplatesCreate)?;
    let row = checked(services, context, &access, wanted).await?;
    let visible = Visibility::of_lookup(&context.caller);
    // a request that is sent again: it was made, and could not be told
    if context.request.is_repeated()
        && let Some(made) = within(store::find(&services.db, &visible, row.id)).await?
    {
        return Ok(made.into());
    }
    let mut tx = services.db.begin().await?;
    zones::lock_tenant(&mut tx, row.tenant).await?;
    if store::count(&mut tx, row.tenant).await? >= TEMPLATES_PER_TENANT_MAX {
        let message = format!("The tenant has {TEMPLATES_PER_TENANT_MAX} templates, which is the most");
        return Err(Error::Forbidden { message, code: "quota_exceeded" });
    }
    store::insert(&mut tx, &access, &row).await.map_err(name_taken)?;
    let entry = entry(context, "template.create", &row, (Value::Null, described(&row)), row.created_at);
    audit_log::append(&mut tx, None, &[entry]).await?;
    within_write(async { tx.commit().await.map_err(StorageError::from) }).await?;
    Ok(row.into())
}

pub async fn update(
    services: &Services,
    context: &Context,
    id: TemplateId,
    patch: TemplatePatch,
) -> Result<TemplateView> {
    let tenant = own(services, context, id, Permission::TemplatesUpdate).await?;
    let TemplatePatch { name, description, records, variables } = patch;
    let name = name.map(|name| checked_name(&name)).transpose()?;
    let description = description.map(checked_description).transpose()?;
    let mut tx = services.db.begin().await?;
    let before = store::find_for_update(&mut tx, tenant, id).await?.ok_or(Error::NotFound("Template"))?;
    let mut after = before.clone();
    after.name = name.unwrap_or(after.name);
    after.description = description.unwrap_or(after.description);
    after.template.records = records.unwrap_or(after.template.records);
    after.template.variables = variables.unwrap_or(after.template.variables);
    if after == before {
        return Ok(before.into());
    }
    if after.template != before.template {
        check(services, &after.template).await?;
    }
    after.updated_at = services.clock.now();
    store::update(&mut tx, &after).await.map_err(name_taken)?;
    let values = (described(&before), described(&after));
    let entry = entry(context, "template.update", &after, values, after.updated_at);
    audit_log::append(&mut tx, None, &[entry]).await?;
    within_write(async { tx.commit().await.map_err(StorageError::from) }).await?;
    Ok(after.into())
}

/// Removes a template. Zones that were claimed with it keep what it was.
pub async fn delete(services: &Services, context: &Context, id: TemplateId) -> Result<()> {
    let tenant = own(services, context, id, Permission::TemplatesDelete).await?;
    let mut tx = services.db.begin().await?;
    let row = store::find_for_update(&mut tx, tenant, id).await?.ok_or(Error::NotFound("Template"))?;
    store::delete(&mut tx, &row).await?;
    let entry = entry(context, "template.delete", &row, (described(&row), Value::Null), services.clock.now());
    audit_log::append(&mut tx, None, &[entry]).await?;
    within_write(async { tx.commit().await.map_err(StorageError::from) }).await?;
    Ok(())
}

/// How many nameservers there are to name in a template.
pub async fn nameservers(services: &Services, context: &Context) -> Result<Vec<String>> {
    decide_tenant(&context.caller, Permission::TemplatesRead)?;
    Ok(services.platform.settings().await?.nameservers.names.clone())
}

/// A template that the caller may use for this; another tenant's does not exist.
async fn find(services: &Services, context: &Context, id: TemplateId, permission: Permission) -> Result<TemplateView> {
    if let Some(system) = SystemTemplate::by_id(id) {
        decide_tenant(&context.caller, permission)?;
        return Ok(system.into());
    }
    let visible = Visibility::of_lookup(&context.caller);
    let found = within(store::find(&services.db, &visible, id)).await?.ok_or(Error::NotFound("Template"))?;
    decide(&context.caller, permission, Target::Tenant(found.tenant))?;
    Ok(found.into())
}

/// Whose a template is that the caller may change: the system's are the product's.
async fn own(services: &Services, context: &Context, id: TemplateId, permission: Permission) -> Result<TenantId> {
    let found = find(services, context, id, permission).await?;
    found.tenant.ok_or_else(|| Error::Forbidden {
        message: format!("{} is a system template, which nobody changes", found.name),
        code: "system_template",
    })
}

fn cursor(id: TemplateId, name: &str) -> TemplateCursor {
    TemplateCursor { name: name.to_lowercase(), id }
}

async fn checked(
    services: &Services,
    context: &Context,
    access: &TenantAccess,
    wanted: NewTemplate,
) -> Result<TemplateRow> {
    let NewTemplate { name, description, template } = wanted;
    check(services, &template).await?;
    let now = services.clock.now();
    Ok(TemplateRow {
        id: TemplateId(context.request.new_object()),
        tenant: access.tenant(),
        name: checked_name(&name)?,
        description: checked_description(description)?,
        template,
        created_at: now,
        updated_at: now,
    })
}

fn checked_description(text: Option<String>) -> Result<Option<String>> {
    text.map(|text| bounded_text("description", text, DESCRIPTION_CHARACTERS_MAX)).transpose()
}

async fn check(services: &Services, template: &Template) -> Result<()> {
    let platform = services.platform.settings().await?;
    template.check(platform.nameservers.names.len()).map_err(|problem| match problem {
        TemplateProblem::Whole(FieldError { field, message }) => Error::schema(&["body", field], message),
        TemplateProblem::Variables(problems) => Error::Schema(problems.into_iter().map(variable_problem).collect()),
        TemplateProblem::Records(problems) => wrong_records(template.records.len(), problems),
    })
}

fn variable_problem(PartProblem { index, error: FieldError { field, message } }: PartProblem) -> SchemaProblem {
    let location = ["body", "variables", &index.to_string(), field].map(str::to_owned).to_vec();
    SchemaProblem { location, message, kind: "value_error" }
}

/// Records of a template that cannot be, by their place in it.
fn wrong_records(total: usize, problems: Vec<PartProblem>) -> Error {
    let message = format!("{} of {total} records of the template cannot be", problems.len());
    let refusal = |PartProblem { index, error }: PartProblem| Refusal { index, error: error.into() };
    Error::Several { message, errors: problems.into_iter().map(refusal).collect() }
}

fn name_taken(error: StorageError) -> Error {
    if error.is_duplicate_of("templates_tenant_name") {
        return Error::Conflict {
            message: "A template of this name already exists".into(),
            code: "template_exists",
            field: Some("name"),
            conflicts: Vec::new(),
        };
    }
    error.into()
}

fn described(row: &TemplateRow) -> Value {
    let TemplateRow { id: _, tenant: _, name, description, template, created_at: _, updated_at: _ } = row;
    let Template { records, variables } = template;
    json!({ "name": name, "description": description, "records": records, "variables": variables })
}

fn entry(
    context: &Context,
    action: &str,
    row: &TemplateRow,
    change: (Value, Value),
    now: OffsetDateTime,
) -> AuditEntry {
    let resource = Resource { resource_type: "template", id: Some(row.id.to_string()), name: Some(row.name.clone()) };
    let actor = ActorRecord::from(&context.caller.actor);
    audit::entry(&actor, &context.request, Some(row.tenant), action, resource, change, now)
}
