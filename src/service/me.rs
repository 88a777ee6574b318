//! What a caller asks of itself: whether it may do something, and where it may act.

use crate::authz::{
    Caller, Denied, Permission, PermissionSet, RecordReach, Target, Visibility, ZoneRef, decide, decide_zone,
};
use crate::dns::{OwnerName, RecordType, ZoneName};
use crate::ids::{TenantId, ZoneId};
use crate::storage::directory::{self, PartnerRow, Reference, TenantRow};
use crate::storage::{within, zones};
use crate::tenancy::AdminRole;

use super::api_keys::source::Asker;
use super::identity::rights::admin_role;
use super::{Context, Error, Result, Services};

/// More tenants than a person chooses from; an operator has a list of its own.
const TENANTS_MAX: u32 = 1_000;

/// Whether the caller holds a permission, on what.
#[derive(Clone, Debug)]
pub struct Question {
    pub permission: String,
    pub resource_type: Option<String>,
    pub resource_id: Option<String>,
    pub record_name: Option<String>,
    pub record_type: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Verdict {
    pub allowed: bool,
    pub reason: String,
}

/// Where a caller acts and may act.
pub struct Places {
    pub tenant: TenantRow,
    pub partner: Option<PartnerRow>,
    /// By name; the one acted in among them.
    pub tenants: Vec<TenantRow>,
}

/// Answers as the decision would; what the caller may not see is not there.
pub async fn check(services: &Services, context: &Context, question: Question) -> Result<Verdict> {
    let Question { permission, resource_type, resource_id, record_name, record_type } = question;
    let wanted =
        PermissionSet::parse_one(&permission).map_err(|error| Error::invalid("permission", error.to_string()))?;
    let caller = &context.caller;
    let kind = match (&resource_type, &resource_id) {
        (Some(kind), _) => kind.as_str(),
        (None, Some(id)) if id.starts_with("d_") => "domain",
        (None, _) => "tenant",
    };
    match kind {
        "platform" => Ok(all(wanted, |permission| decide(caller, permission, Target::Platform))),
        "tenant" => {
            let reference: Option<Reference<TenantId>> = match &resource_id {
                None => Some(Reference::Ours(caller.tenant)),
                Some(id) => Reference::parse(id),
            };
            let found = match &reference {
                Some(reference) => within(directory::tenant(&services.db, reference)).await?,
                None => None,
            };
            let Some(tenant) = found.map(|tenant| tenant.id) else { return Ok(no("Tenant not found")) };
            Ok(all(wanted, |permission| decide(caller, permission, Target::Tenant(tenant))))
        }
        "domain" => {
            let id = resource_id.ok_or_else(|| Error::schema(&["body", "resource_id"], "is required for a domain"))?;
            let visible = Visibility::of_lookup(caller);
            let found = match id.parse::<ZoneId>() {
                Ok(id) => within(zones::find(&services.db, &visible, id)).await?,
                Err(_) => None,
            };
            let Some(row) = found else { return Ok(no("Domain not found")) };
            let record = Record::parse(record_name.as_deref(), record_type.as_deref(), &row.name)?;
            Ok(in_zone(caller, wanted, row.reference(), &row.name, &record))
        }
        _ => Err(Error::invalid("resource_type", "must be domain, tenant or platform")),
    }
}

/// The records that a question is about.
struct Record {
    name: Option<OwnerName>,
    record_type: Option<RecordType>,
}

impl Record {
    fn parse(name: Option<&str>, record_type: Option<&str>, zone: &ZoneName) -> Result<Self> {
        let named = |field| move |error: crate::dns::FieldError| Error::invalid(field, error.message);
        Ok(Self {
            name: name.map(|name| OwnerName::parse(name, zone)).transpose().map_err(named("record_name"))?,
            record_type: record_type.map(RecordType::parse).transpose().map_err(named("record_type"))?,
        })
    }
}

fn in_zone(caller: &Caller, wanted: PermissionSet, zone: ZoneRef, name: &ZoneName, record: &Record) -> Verdict {
    for permission in wanted.iter() {
        let access = match decide_zone(caller, permission, zone) {
            Ok(access) => access,
            Err(Denied::Hidden) => return no("Domain not found"),
            Err(Denied::Missing(missing)) => return missing_permission(missing),
        };
        let reach = access.reach(permission);
        if !access.is_limited() || *reach == RecordReach::Nothing {
            continue;
        }
        let covered = match (&record.name, &record.record_type) {
            (Some(owner), Some(record_type)) => reach.covers(name, owner, record_type),
            _ => return no(format!("{permission} is held over some records only: give record_name and record_type")),
        };
        if !covered {
            return no(format!("{permission} is held over other records of the domain only"));
        }
    }
    yes()
}

fn all(wanted: PermissionSet, decide: impl Fn(Permission) -> std::result::Result<(), Denied>) -> Verdict {
    match wanted.iter().find_map(|permission| decide(permission).err()) {
        None => yes(),
        Some(Denied::Hidden) => no("Tenant not found"),
        Some(Denied::Missing(permission)) => missing_permission(permission),
    }
}

fn missing_permission(permission: Permission) -> Verdict {
    no(format!("Permission {permission} is required"))
}

fn yes() -> Verdict {
    Verdict { allowed: true, reason: "Allowed".into() }
}

fn no(reason: impl Into<String>) -> Verdict {
    Verdict { allowed: false, reason: reason.into() }
}

/// The tenant acted in, its partner, and the tenants that the caller may act in: a key in its own alone.
pub async fn places(services: &Services, context: &Context) -> Result<Places> {
    let caller = &context.caller;
    let found = within(directory::tenant(&services.db, &Reference::Ours(caller.tenant))).await?;
    let tenant = found.ok_or(Error::NotFound("Tenant"))?;
    let partner = match tenant.partner {
        Some(id) => within(directory::partner(&services.db, id)).await?,
        None => None,
    };
    if caller.is_api_key() {
        return Ok(Places { tenants: vec![tenant.clone()], tenant, partner });
    }
    let tenants = if caller.holds_on_platform() {
        within(directory::active_tenants(&services.db, None, TENANTS_MAX)).await?
    } else {
        let holder = Asker::load(&services.db, caller).await?.holder;
        match (admin_role(&holder), holder.home.partner) {
            (AdminRole::PartnerAdmin, Some(partner)) => {
                within(directory::active_tenants(&services.db, Some(partner), TENANTS_MAX)).await?
            }
            _ => vec![holder.home],
        }
    };
    Ok(Places { tenant, partner, tenants })
}
