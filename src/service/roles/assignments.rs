//! Who holds a role, and where: a user or group of the tenant, on the platform, in the tenant, in a domain, or over the
//! records of one name and type that a record belongs to.

use serde_json::{Value, json};

use crate::authz::{
    Assignment, AssignmentScope, Names, Permission, RecordScope, Role, TenantAccess, Visibility, decide_tenant,
};
use crate::ids::{RecordId, RoleAssignmentId, TenantId, ZoneId};
use crate::storage::directory::{self, Reference, StoredRecord};
use crate::storage::roles::{self as store, Assignee, AssignmentRow};
use crate::storage::{self, record_ids, within, within_write, zones};

use super::super::api_keys::SourceReference;
use super::super::api_keys::source::{assignee, find_in_tenant, scaikey_id_of};
use super::super::audit::{Resource, entry};
use super::super::escalation::may_give;
use super::super::zones::decide;
use super::super::{ActorRecord, Context, Error, Result, Services};
use super::{RoleView, find};

/// A list of them is read as a whole.
const ASSIGNMENTS_PER_ROLE_MAX: u64 = 1_000;
/// All of them are read with the holder, at each look-up.
const ASSIGNMENTS_PER_HOLDER_MAX: u64 = 500;

/// An assignment to be made.
#[derive(Clone, Debug)]
pub struct NewAssignment {
    pub assignee_type: String,
    pub assignee_id: String,
    pub scope: String,
    pub scope_id: Option<String>,
}

/// A role's assignments in the tenant acted in, the oldest first.
pub async fn list(services: &Services, context: &Context, role: &str) -> Result<(RoleView, Vec<AssignmentRow>)> {
    let access = decide_tenant(&context.caller, Permission::RolesRead)?;
    let role = find(services, access.tenant(), role).await?;
    let rows = within(store::assignments(&services.db, &access, &role.key())).await?;
    Ok((role, rows))
}

/// Gives somebody the role, if the caller holds all that it gives there.
pub async fn create(
    services: &Services,
    context: &Context,
    role: &str,
    wanted: NewAssignment,
) -> Result<(RoleView, AssignmentRow)> {
    let access = decide_tenant(&context.caller, Permission::RolesUpdate)?;
    let role = find(services, access.tenant(), role).await?;
    let (row, given) = draft(services, context, &access, role.role()?, wanted).await?;
    may_give(&context.caller, &given, access.tenant())?;
    let mut tx = storage::revocations::begin(&services.db).await?;
    store::lock_and_count(&mut tx, access.tenant()).await?;
    if let RoleView::Own(own) = &role {
        store::find_for_update(&mut tx, access.tenant(), own.id).await?.ok_or(Error::NotFound("Role"))?;
    }
    if store::is_assigned(&mut tx, &role.key(), &row).await? {
        return Err(Error::conflict("role_already_assigned", "Role already assigned"));
    }
    let (of_role, of_assignee) = store::count_assignments(&mut tx, row.tenant, &role.key(), row.assignee).await?;
    if of_role >= ASSIGNMENTS_PER_ROLE_MAX || of_assignee >= ASSIGNMENTS_PER_HOLDER_MAX {
        let message = format!(
            "A role has at most {ASSIGNMENTS_PER_ROLE_MAX} assignments, a user or group {ASSIGNMENTS_PER_HOLDER_MAX}"
        );
        return Err(Error::Forbidden { message, code: "quota_exceeded" });
    }
    store::assign(&mut tx, &role.key(), &row).await?;
    record(services, context, "role.assign", &role, (Value::Null, described(&row)), &mut tx).await?;
    services.identity.forget(&within_write(tx.commit()).await?);
    Ok((role, row))
}

pub async fn delete(services: &Services, context: &Context, role: &str, id: RoleAssignmentId) -> Result<()> {
    let access = decide_tenant(&context.caller, Permission::RolesUpdate)?;
    let role = find(services, access.tenant(), role).await?;
    let mut tx = storage::revocations::begin(&services.db).await?;
    let found = store::assignment_for_update(&mut tx, &access, &role.key(), id).await?;
    let row = found.ok_or(Error::NotFound("Role assignment"))?;
    store::unassign(&mut tx, &row).await?;
    record(services, context, "role.revoke", &role, (described(&row), Value::Null), &mut tx).await?;
    services.identity.forget(&within_write(tx.commit()).await?);
    Ok(())
}

/// The row that is asked for, and what it gives.
async fn draft(
    services: &Services,
    context: &Context,
    access: &TenantAccess,
    role: Role,
    wanted: NewAssignment,
) -> Result<(AssignmentRow, Assignment)> {
    let tenant = access.tenant();
    let NewAssignment { assignee_type, assignee_id, scope, scope_id } = wanted;
    let reference = match assignee_type.as_str() {
        "user" | "group" => SourceReference::parse(&assignee_type, &assignee_id)?,
        _ => return Err(Error::invalid("assignee_type", "must be user or group")),
    };
    let place = Place::read(services, context, tenant, &role, &scope, scope_id.as_deref()).await?;
    let holder = find_in_tenant(&services.db, &reference, tenant).await?;
    let row = AssignmentRow {
        id: RoleAssignmentId::new(),
        tenant,
        assignee: assignee(&holder),
        assignee_scaikey_id: scaikey_id_of(&holder).to_owned(),
        scope,
        scope_id: place.id,
        record: place.record,
        created_by: Some(ActorRecord::from(&context.caller.actor).actor_id),
        created_at: services.clock.now(),
    };
    Ok((row, Assignment { role, scope: place.scope }))
}

/// Where a role is to hold.
struct Place {
    scope: AssignmentScope,
    id: Option<uuid::Uuid>,
    record: Option<StoredRecord>,
}

impl Place {
    async fn read(
        services: &Services,
        context: &Context,
        tenant: TenantId,
        role: &Role,
        scope: &str,
        id: Option<&str>,
    ) -> Result<Self> {
        let missing = || Error::schema(&["body", "scope_id"], format!("is required for the scope {scope}"));
        match scope {
            "platform" => {
                if matches!(role, Role::Custom(_)) {
                    return Err(Error::invalid("scope", "a tenant's own role does not hold on the platform"));
                }
                if id.is_some() {
                    return Err(Error::invalid("scope_id", "the platform has no id"));
                }
                Ok(Self { scope: AssignmentScope::Platform, id: None, record: None })
            }
            "tenant" => {
                if let Some(id) = id {
                    same_tenant(services, tenant, id).await?;
                }
                Ok(Self { scope: AssignmentScope::Tenant(tenant), id: Some(tenant.0), record: None })
            }
            "domain" => {
                let id: ZoneId = id.ok_or_else(missing)?.parse().map_err(|_| Error::NotFound("Domain"))?;
                zone_of(services, context, tenant, id).await?;
                Ok(Self { scope: AssignmentScope::Zone(id), id: Some(id.0), record: None })
            }
            "record" => {
                let id: RecordId = id.ok_or_else(missing)?.parse().map_err(|_| Error::NotFound("Record"))?;
                Self::of_record(services, context, tenant, id).await
            }
            _ => Err(Error::invalid("scope", "must be platform, tenant, domain or record")),
        }
    }

    /// The RRset of a record: a record shares its TTL with those beside it, and so cannot be had alone.
    async fn of_record(services: &Services, context: &Context, tenant: TenantId, id: RecordId) -> Result<Self> {
        let absent = || Error::NotFound("Record");
        let zone = within(record_ids::zone_of(&services.db, tenant, id)).await?.ok_or_else(absent)?;
        let row = zone_of(services, context, tenant, zone).await.map_err(|_| absent())?;
        let access = decide(context, Permission::RecordsRead, row.reference())?;
        let view = services.writer.view(&access).await?;
        let key = view.find(id).ok_or_else(absent)?.reference.key;
        let name = key.name.display_name(&row.name);
        let record_type = key.record_type.as_str().to_owned();
        let names = Names::Only(name.as_str().into());
        let scope = RecordScope { names, types: Some([key.record_type].into()) };
        let record = Some(StoredRecord { zone, name, record_type });
        Ok(Self { scope: AssignmentScope::Records(zone, scope), id: Some(id.0), record })
    }
}

async fn same_tenant(services: &Services, tenant: TenantId, id: &str) -> Result<()> {
    let absent = || Error::NotFound("Tenant");
    let reference: Reference<TenantId> = Reference::parse(id).ok_or_else(absent)?;
    let found = within(directory::tenant(&services.db, &reference)).await?;
    found.filter(|found| found.id == tenant).map(|_| ()).ok_or_else(absent)
}

async fn zone_of(services: &Services, context: &Context, tenant: TenantId, id: ZoneId) -> Result<zones::ZoneRow> {
    let visible = Visibility::of_lookup(&context.caller);
    let found = within(zones::find(&services.db, &visible, id)).await?;
    found.filter(|zone| zone.tenant == tenant).ok_or(Error::NotFound("Domain"))
}

/// What a role's holder is, as an id of the scope shows it.
pub fn scope_id(row: &AssignmentRow) -> Option<String> {
    let id = row.scope_id?;
    Some(match row.scope.as_str() {
        "domain" => ZoneId(id).to_string(),
        "record" => RecordId(id).to_string(),
        _ => TenantId(id).to_string(),
    })
}

fn described(row: &AssignmentRow) -> Value {
    json!({
        "assignment_id": row.id,
        "assignee_type": assignee_type(row),
        "assignee_id": row.assignee_scaikey_id,
        "scope": row.scope,
        "scope_id": scope_id(row),
    })
}

pub fn assignee_type(row: &AssignmentRow) -> &'static str {
    match row.assignee {
        Assignee::User(_) => "user",
        Assignee::Group(_) => "group",
    }
}

async fn record(
    services: &Services,
    context: &Context,
    action: &str,
    role: &RoleView,
    change: (Value, Value),
    tx: &mut storage::revocations::RightsTx,
) -> Result<()> {
    let resource =
        Resource { resource_type: "role", id: Some(role.id().to_string()), name: Some(role.name().to_owned()) };
    let actor = ActorRecord::from(&context.caller.actor);
    let tenant = Some(context.caller.tenant);
    let entry = entry(&actor, &context.request, tenant, action, resource, change, services.clock.now());
    storage::audit::append(tx, None, &[entry]).await?;
    Ok(())
}
