//! The one decision, and the proofs it gives.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dns::{OwnerName, RecordType, ZoneName};
use crate::ids::{TenantId, ZoneId};

use super::caller::Caller;
use super::decisions::NotedTarget;
use super::permission::{Permission, PermissionSet};
use super::record_scope::{RecordReach, RecordScope, contain};

/// What a permission is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    Platform,
    Tenant(TenantId),
    /// The whole zone: what is held over some of its records does not count.
    Zone(ZoneRef),
    /// All records of the zone that the scope names.
    Records(ZoneRef, &'a RecordScope),
}

/// A zone and whose it is, as loaded from the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneRef {
    pub id: ZoneId,
    pub tenant: TenantId,
}

/// Why not. What does not exist for the caller is `Hidden`, and answered as absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("not visible to the caller")]
    Hidden,
    #[error("permission {0} is required")]
    Missing(Permission),
}

/// Proof that the caller may use `permission` in the whole tenant.
#[derive(Clone, Copy, Debug)]
pub struct TenantAccess {
    tenant: TenantId,
    permission: Permission,
}

impl TenantAccess {
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    pub fn permission(&self) -> Permission {
        self.permission
    }
}

/// Proof that the caller may use `permission` on one zone, or on some of its records.
///
/// Whoever shows or changes records obeys [`ZoneAccess::covers`]: the view of a zone shows no others, and the zone
/// writer refuses to touch them.
#[derive(Clone, Debug)]
pub struct ZoneAccess {
    zone: ZoneRef,
    permission: Permission,
    is_limited: bool,
    records: Arc<RecordRights>,
}

/// How far the caller's rights over records reach, whatever the proof is of.
#[derive(Debug)]
struct RecordRights {
    read: RecordReach,
    create: RecordReach,
    update: RecordReach,
    delete: RecordReach,
}

impl ZoneAccess {
    pub fn zone(&self) -> ZoneRef {
        self.zone
    }

    pub fn permission(&self) -> Permission {
        self.permission
    }

    /// Whether the permission is held over some of the zone's records only.
    pub fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// Whether the permission is held over records of this name and type. A permission that is not about records lets
    /// those be seen that may be read.
    pub fn covers(&self, zone: &ZoneName, name: &OwnerName, record_type: &RecordType) -> bool {
        self.reach_of(self.permission).unwrap_or(&self.records.read).covers(zone, name, record_type)
    }

    /// How far this permission over records reaches; nowhere for one that is about something else.
    pub fn reach(&self, permission: Permission) -> &RecordReach {
        self.reach_of(permission).unwrap_or(&RecordReach::Nothing)
    }

    /// What tells this caller's view of the records from others'; None where it is the whole zone.
    pub fn view(&self) -> Option<String> {
        match &self.records.read {
            RecordReach::Everything => None,
            reach => Some(format!("{reach:?}")),
        }
    }

    fn reach_of(&self, permission: Permission) -> Option<&RecordReach> {
        match permission {
            Permission::RecordsRead => Some(&self.records.read),
            Permission::RecordsCreate => Some(&self.records.create),
            Permission::RecordsUpdate => Some(&self.records.update),
            Permission::RecordsDelete => Some(&self.records.delete),
            _ => None,
        }
    }

    /// The program itself: a job, or a step that another tenant's proven claim makes necessary. Not for what a request
    /// asks for.
    pub fn system(zone: ZoneRef, permission: Permission) -> Self {
        let [read, create, update, delete] = [(); 4].map(|()| RecordReach::Everything);
        Self { zone, permission, is_limited: false, records: Arc::new(RecordRights { read, create, update, delete }) }
    }
}

/// Which rows exist for the caller at all: given to every look-up by id and to every list.
#[derive(Clone, Debug)]
pub struct Visibility {
    /// None: every tenant.
    tenant: Option<TenantId>,
    /// None: every zone of the tenant.
    zones: Option<Vec<ZoneId>>,
}

impl Visibility {
    /// What a look-up by id may find, before the decision says what is allowed with it.
    pub fn of_lookup(caller: &Caller) -> Self {
        let tenant = if caller.is_platform_admin() { None } else { Some(caller.tenant) };
        Self { tenant, zones: None }
    }

    /// Whose rows a list shows: to the platform's admin those of all tenants, unless it has chosen one.
    pub fn of_list(caller: &Caller) -> Self {
        let all = caller.is_platform_admin() && !caller.has_chosen_tenant;
        Self { tenant: (!all).then_some(caller.tenant), zones: None }
    }

    /// The zones that `caller` may read: for lists.
    pub fn of_zones(caller: &Caller) -> Self {
        let all = caller.is_platform_admin() || caller.tenant_permissions().contains(Permission::DomainsRead);
        Self { zones: (!all).then(|| caller.readable_zones()), ..Self::of_list(caller) }
    }

    /// The program itself: recovery and jobs. Not for requests.
    pub fn system() -> Self {
        Self { tenant: None, zones: None }
    }

    pub fn tenant(&self) -> Option<TenantId> {
        self.tenant
    }

    pub fn zones(&self) -> Option<&[ZoneId]> {
        self.zones.as_deref()
    }
}

/// The decision. Deny by default; a key's scopes only narrow; another tenant's things do not exist.
pub fn decide(caller: &Caller, permission: Permission, target: Target<'_>) -> Result<(), Denied> {
    let held = match target {
        Target::Platform => {
            if caller.is_platform_admin() {
                caller.tenant_permissions()
            } else {
                PermissionSet::EMPTY
            }
        }
        Target::Tenant(tenant) => {
            if tenant != caller.tenant && !caller.is_platform_admin() {
                return Err(Denied::Hidden);
            }
            caller.tenant_permissions()
        }
        Target::Zone(zone) => visible_zone(caller, zone)?.whole,
        Target::Records(zone, wanted) => {
            let held = visible_zone(caller, zone)?;
            let is_reached = match caller.reach(permission, zone.tenant, zone.id) {
                RecordReach::Part(scopes) => contain(&scopes, wanted),
                RecordReach::Nothing | RecordReach::Everything => false,
            };
            if is_reached {
                caller.decisions.note(permission, NotedTarget::Within(zone));
                return Ok(());
            }
            held.whole
        }
    };
    if !held.contains(permission) {
        return Err(Denied::Missing(permission));
    }
    caller.decisions.note(permission, NotedTarget::from(target));
    Ok(())
}

/// [`decide`] for the tenant acted in, as a proof.
pub fn decide_tenant(caller: &Caller, permission: Permission) -> Result<TenantAccess, Denied> {
    decide(caller, permission, Target::Tenant(caller.tenant))?;
    Ok(TenantAccess { tenant: caller.tenant, permission })
}

/// What a caller holds in a zone that it may see.
struct HeldInZone {
    whole: PermissionSet,
    /// In the whole zone or over some of its records.
    within: PermissionSet,
}

fn visible_zone(caller: &Caller, zone: ZoneRef) -> Result<HeldInZone, Denied> {
    if zone.tenant != caller.tenant && !caller.is_platform_admin() {
        return Err(Denied::Hidden);
    }
    let within = caller.permissions_within(zone.tenant, zone.id);
    if within == PermissionSet::EMPTY {
        return Err(Denied::Hidden);
    }
    Ok(HeldInZone { whole: caller.zone_permissions(zone.tenant, zone.id), within })
}

/// The decision for one zone, as a proof. Held over some of its records suffices: the proof says of which.
pub fn decide_zone(caller: &Caller, permission: Permission, zone: ZoneRef) -> Result<ZoneAccess, Denied> {
    let held = visible_zone(caller, zone)?;
    if !held.within.contains(permission) {
        return Err(Denied::Missing(permission));
    }
    caller.decisions.note(permission, NotedTarget::Within(zone));
    let reach = |permission| caller.reach(permission, zone.tenant, zone.id);
    let records = RecordRights {
        read: reach(Permission::RecordsRead),
        create: reach(Permission::RecordsCreate),
        update: reach(Permission::RecordsUpdate),
        delete: reach(Permission::RecordsDelete),
    };
    Ok(ZoneAccess { zone, permission, is_limited: !held.whole.contains(permission), records: Arc::new(records) })
}
