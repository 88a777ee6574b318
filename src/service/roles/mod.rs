//! Roles: what every installation has, and what a tenant bundles for itself. Who holds them is in [`assignments`].

pub mod assignments;

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::authz::{CustomRole, Permission, PermissionSet, Role, SystemRole, decide_tenant};
use crate::ids::{RoleId, TenantId};
use crate::storage::roles::{self as store, RoleKey, RoleRow};
use crate::storage::{self, StorageError, within_write};

use super::api_keys::input::bounded_text;
use super::audit::{Resource, entry};
use super::escalation::may_bundle;
use super::{ActorRecord, Context, Error, Result, Services};

const NAME_CHARACTERS_MAX: usize = 64; // what the column holds
const DESCRIPTION_CHARACTERS_MAX: usize = 1_000;
/// More entries than there are permissions say nothing more.
const PERMISSIONS_MAX: usize = 100;
const PERMISSION_CHARACTERS_MAX: usize = 64;
/// A list of them is read as a whole.
const ROLES_PER_TENANT_MAX: u64 = 200;

/// A role, to show.
#[derive(Clone, Debug)]
pub enum RoleView {
    System(SystemRole),
    Own(RoleRow),
}

impl RoleView {
    pub fn id(&self) -> RoleId {
        match self {
            Self::System(role) => role.id(),
            Self::Own(row) => row.id,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::System(role) => role.as_str(),
            Self::Own(row) => &row.name,
        }
    }

    pub(super) fn key(&self) -> RoleKey {
        match self {
            Self::System(role) => RoleKey::System(role.as_str()),
            Self::Own(row) => RoleKey::Custom(row.id),
        }
    }

    /// As somebody holds it.
    pub(super) fn role(&self) -> Result<Role> {
        match self {
            Self::System(role) => Ok(Role::System(*role)),
            Self::Own(row) => {
                let permissions = stored_permissions(row)?;
                Ok(Role::Custom(CustomRole { id: row.id, name: row.name.clone(), permissions }.into()))
            }
        }
    }
}

/// A role to be made.
#[derive(Clone, Debug)]
pub struct NewRole {
    pub name: String,
    pub description: Option<String>,
    pub permissions: Vec<String>,
}

/// What is to change; None leaves it.
#[derive(Clone, Debug, Default)]
pub struct RolePatch {
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub permissions: Option<Vec<String>>,
}

/// All roles of the tenant acted in, by name; system roles among them.
pub async fn list(services: &Services, context: &Context) -> Result<Vec<RoleView>> {
    let access = decide_tenant(&context.caller, Permission::RolesRead)?;
    let own = storage::within(store::list(&services.db, access.tenant())).await?;
    let system = SystemRole::ALL.into_iter().map(RoleView::System);
    let mut all: Vec<RoleView> = system.chain(own.into_iter().map(RoleView::Own)).collect();
    all.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(all)
}

pub async fn get(services: &Services, context: &Context, id: &str) -> Result<RoleView> {
    let access = decide_tenant(&context.caller, Permission::RolesRead)?;
    find(services, access.tenant(), id).await
}

pub async fn create(services: &Services, context: &Context, wanted: NewRole) -> Result<RoleView> {
    let access = decide_tenant(&context.caller, Permission::RolesCreate)?;
    let NewRole { name, description, permissions } = wanted;
    let (permissions, set) = checked_permissions(permissions)?;
    may_bundle(&context.caller, set)?;
    let now = services.clock.now();
    let row = RoleRow {
        id: RoleId::new(),
        tenant: access.tenant(),
        name: checked_name(&name)?,
        description: checked_description(description)?,
        permissions,
        created_at: now,
        updated_at: now,
    };
    let mut tx = services.db.begin().await?;
    if store::lock_and_count(&mut tx, row.tenant).await? >= ROLES_PER_TENANT_MAX {
        let message = format!("The tenant has {ROLES_PER_TENANT_MAX} roles, which is the most");
        return Err(Error::Forbidden { message, code: "quota_exceeded" });
    }
    store::insert(&mut tx, &access, &row).await.map_err(name_taken)?;
    let entry = role_entry(context, "role.create", &row, (Value::Null, described(&row)), now);
    storage::audit::append(&mut tx, None, &[entry]).await?;
    within_write(async { tx.commit().await.map_err(StorageError::from) }).await?;
    Ok(RoleView::Own(row))
}

pub async fn update(services: &Services, context: &Context, id: &str, patch: RolePatch) -> Result<RoleView> {
    let access = decide_tenant(&context.caller, Permission::RolesUpdate)?;
    let found = own(find(services, access.tenant(), id).await?)?;
    let RolePatch { name, description, permissions } = patch;
    let name = name.map(|name| checked_name(&name)).transpose()?;
    let description = description.map(checked_description).transpose()?;
    let permissions = permissions.map(checked_permissions).transpose()?;
    let now = services.clock.now();
    let mut tx = storage::revocations::begin(&services.db).await?;
    let before = store::find_for_update(&mut tx, access.tenant(), found.id).await?.ok_or(Error::NotFound("Role"))?;
    if let Some((_, set)) = &permissions {
        // what the role holds already was measured when it was put in
        may_bundle(&context.caller, set.without(stored_permissions(&before)?))?;
    }
    let mut after = before.clone();
    after.name = name.unwrap_or(after.name);
    after.description = description.unwrap_or(after.description);
    after.permissions = permissions.map_or(after.permissions, |(texts, _)| texts);
    if after == before {
        return Ok(RoleView::Own(before));
    }
    after.updated_at = now;
    store::update(&mut tx, &after).await.map_err(name_taken)?;
    let entry = role_entry(context, "role.update", &after, (described(&before), described(&after)), now);
    storage::audit::append(&mut tx, None, &[entry]).await?;
    services.identity.forget(&within_write(tx.commit()).await?);
    Ok(RoleView::Own(after))
}

/// Removes a role; whoever held it by assignment or grant holds it no more.
pub async fn delete(services: &Services, context: &Context, id: &str) -> Result<()> {
    let access = decide_tenant(&context.caller, Permission::RolesDelete)?;
    let found = own(find(services, access.tenant(), id).await?)?;
    let mut tx = storage::revocations::begin(&services.db).await?;
    store::lock_and_count(&mut tx, access.tenant()).await?;
    let row = store::find_for_update(&mut tx, access.tenant(), found.id).await?.ok_or(Error::NotFound("Role"))?;
    let (assignments, grants) = store::delete(&mut tx, &row).await?;
    let mut before = described(&row);
    before["assignments_ended"] = assignments.into();
    before["access_grants_ended"] = grants.into();
    let entry = role_entry(context, "role.delete", &row, (before, Value::Null), services.clock.now());
    storage::audit::append(&mut tx, None, &[entry]).await?;
    services.identity.forget(&within_write(tx.commit()).await?);
    Ok(())
}

/// A role of the tenant or the system, by id or name: what a path or a body names.
pub(super) async fn find(services: &Services, tenant: TenantId, text: &str) -> Result<RoleView> {
    let absent = || Error::NotFound("Role");
    if let Some(role) = SystemRole::parse(text) {
        return Ok(RoleView::System(role));
    }
    let found = match text.parse::<RoleId>() {
        Ok(id) => match SystemRole::by_id(id) {
            Some(role) => return Ok(RoleView::System(role)),
            None => storage::within(store::find(&services.db, tenant, id)).await?,
        },
        Err(_) if text.is_empty() || text.chars().count() > NAME_CHARACTERS_MAX => None,
        Err(_) => storage::within(store::find_by_name(&services.db, tenant, text)).await?,
    };
    found.map(RoleView::Own).ok_or_else(absent)
}

/// System roles are the product's.
fn own(role: RoleView) -> Result<RoleRow> {
    match role {
        RoleView::Own(row) => Ok(row),
        RoleView::System(role) => {
            let message = format!("{} is a system role, which nobody changes", role.as_str());
            Err(Error::Forbidden { message, code: "system_role" })
        }
    }
}

fn checked_name(text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > NAME_CHARACTERS_MAX || text.chars().any(char::is_control) {
        let message = format!("must have 1 to {NAME_CHARACTERS_MAX} characters, none of them control characters");
        return Err(Error::schema(&["body", "name"], message));
    }
    let lower = text.to_lowercase();
    if SystemRole::parse(&lower).is_some() || lower == "custom" {
        return Err(Error::Conflict {
            message: format!("The name {lower} is the system's"),
            code: "role_exists",
            field: Some("name"),
            conflicts: Vec::new(),
        });
    }
    if lower.starts_with("role_") && lower.parse::<RoleId>().is_ok() {
        return Err(Error::schema(&["body", "name"], "must not be an id"));
    }
    Ok(text.to_owned())
}

fn checked_description(text: Option<String>) -> Result<String> {
    bounded_text("description", text.unwrap_or_default(), DESCRIPTION_CHARACTERS_MAX)
}

fn checked_permissions(texts: Vec<String>) -> Result<(Vec<String>, PermissionSet)> {
    if texts.len() > PERMISSIONS_MAX || texts.iter().any(|text| text.chars().count() > PERMISSION_CHARACTERS_MAX) {
        let message = format!("must have at most {PERMISSIONS_MAX} entries of {PERMISSION_CHARACTERS_MAX} characters");
        return Err(Error::schema(&["body", "permissions"], message));
    }
    let mut kept: Vec<String> = Vec::new();
    let mut set = PermissionSet::EMPTY;
    for text in texts {
        let one = PermissionSet::parse_one(&text).map_err(|error| Error::invalid("permissions", error.to_string()))?;
        set = set.union(one);
        if !kept.contains(&text) {
            kept.push(text);
        }
    }
    Ok((kept, set))
}

fn stored_permissions(row: &RoleRow) -> Result<PermissionSet> {
    PermissionSet::parse(row.permissions.iter().map(String::as_str))
        .map_err(|error| Error::Internal(format!("stored permission of {}: {error}", row.id)))
}

fn name_taken(error: StorageError) -> Error {
    if error.is_duplicate_of("roles_tenant_name") {
        return Error::Conflict {
            message: "A role of this name already exists".into(),
            code: "role_exists",
            field: Some("name"),
            conflicts: Vec::new(),
        };
    }
    error.into()
}

fn described(row: &RoleRow) -> Value {
    let RoleRow { id: _, tenant: _, name, description, permissions, created_at: _, updated_at: _ } = row;
    json!({ "name": name, "description": description, "permissions": permissions })
}

fn role_entry(
    context: &Context,
    action: &str,
    row: &RoleRow,
    change: (Value, Value),
    now: OffsetDateTime,
) -> storage::audit::AuditEntry {
    let resource = Resource { resource_type: "role", id: Some(row.id.to_string()), name: Some(row.name.clone()) };
    let actor = ActorRecord::from(&context.caller.actor);
    entry(&actor, &context.request, Some(row.tenant), action, resource, change, now)
}
