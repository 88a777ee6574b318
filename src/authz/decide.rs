//! The one decision, and the proofs it gives.

use crate::ids::{TenantId, ZoneId};

use super::caller::Caller;
use super::permission::{Permission, PermissionSet};

/// What a permission is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Platform,
    Tenant(TenantId),
    Zone(ZoneRef),
}

/// A zone and whose it is, as loaded from the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Proof that the caller may use `permission` on one zone.
#[derive(Clone, Copy, Debug)]
pub struct ZoneAccess {
    zone: ZoneRef,
    permission: Permission,
}

impl ZoneAccess {
    pub fn zone(&self) -> ZoneRef {
        self.zone
    }

    pub fn permission(&self) -> Permission {
        self.permission
    }

    /// For tests of what stands behind the decision.
    #[cfg(test)]
    pub fn system(zone: ZoneRef, permission: Permission) -> Self {
        Self { zone, permission }
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

    /// The zones that `caller` may read: for lists.
    pub fn of_zones(caller: &Caller) -> Self {
        if caller.is_platform_admin() {
            return Self { tenant: None, zones: None };
        }
        let all = caller.tenant_permissions().contains(Permission::DomainsRead);
        Self { tenant: Some(caller.tenant), zones: if all { None } else { Some(caller.readable_zones()) } }
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
pub fn decide(caller: &Caller, permission: Permission, target: Target) -> Result<(), Denied> {
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
        Target::Zone(zone) => {
            if zone.tenant != caller.tenant && !caller.is_platform_admin() {
                return Err(Denied::Hidden);
            }
            let held = caller.zone_permissions(zone.tenant, zone.id);
            if !held.contains(Permission::DomainsRead) && held == PermissionSet::EMPTY {
                return Err(Denied::Hidden);
            }
            held
        }
    };
    if held.contains(permission) { Ok(()) } else { Err(Denied::Missing(permission)) }
}

/// [`decide`] for the tenant acted in, as a proof.
pub fn decide_tenant(caller: &Caller, permission: Permission) -> Result<TenantAccess, Denied> {
    decide(caller, permission, Target::Tenant(caller.tenant))?;
    Ok(TenantAccess { tenant: caller.tenant, permission })
}

/// [`decide`] for one zone, as a proof.
pub fn decide_zone(caller: &Caller, permission: Permission, zone: ZoneRef) -> Result<ZoneAccess, Denied> {
    decide(caller, permission, Target::Zone(zone))?;
    Ok(ZoneAccess { zone, permission })
}

#[cfg(test)]
mod tests {
    use super::super::{Actor, Assignment, AssignmentScope, SystemRole};
    use super::*;

    fn caller(tenant: TenantId, assignments: Vec<Assignment>) -> Caller {
        Caller { actor: Actor::System { name: "test" }, tenant, assignments, scopes: None }
    }

    fn held(role: SystemRole, scope: AssignmentScope) -> Assignment {
        Assignment { role, scope }
    }

    #[test]
    fn nobody_holds_anything_by_default() {
        let tenant = TenantId::new();
        let nobody = caller(tenant, vec![]);
        let zone = ZoneRef { id: ZoneId::new(), tenant };
        for permission in Permission::ALL {
            assert!(decide_tenant(&nobody, *permission).is_err());
            assert_eq!(decide_zone(&nobody, *permission, zone).err(), Some(Denied::Hidden));
        }
    }

    #[test]
    fn another_tenants_zone_does_not_exist() {
        let (own, other) = (TenantId::new(), TenantId::new());
        let admin = caller(own, vec![held(SystemRole::TenantAdmin, AssignmentScope::Tenant(own))]);
        let zone = ZoneRef { id: ZoneId::new(), tenant: other };
        for permission in Permission::ALL {
            assert_eq!(decide_zone(&admin, *permission, zone).err(), Some(Denied::Hidden));
        }
    }

    #[test]
    fn scopes_narrow_and_never_widen() {
        let tenant = TenantId::new();
        let mut key = caller(tenant, vec![held(SystemRole::ReadOnly, AssignmentScope::Tenant(tenant))]);
        key.scopes = Some(PermissionSet::parse(["records:read", "records:write"]).expect("known"));
        let zone = ZoneRef { id: ZoneId::new(), tenant };
        assert!(decide_zone(&key, Permission::RecordsRead, zone).is_ok());
        let denied = |p| decide_zone(&key, p, zone).err();
        assert_eq!(denied(Permission::RecordsCreate), Some(Denied::Missing(Permission::RecordsCreate)));
        assert_eq!(denied(Permission::DomainsRead), Some(Denied::Missing(Permission::DomainsRead)));
    }

    #[test]
    fn a_role_on_one_zone_reaches_no_other() {
        let tenant = TenantId::new();
        let zone = ZoneRef { id: ZoneId::new(), tenant };
        let editor = caller(tenant, vec![held(SystemRole::RecordEditor, AssignmentScope::Zone(zone.id))]);
        assert!(decide_zone(&editor, Permission::RecordsCreate, zone).is_ok());
        assert!(decide_zone(&editor, Permission::RecordsDelete, zone).is_err());
        let sibling = ZoneRef { id: ZoneId::new(), tenant };
        assert_eq!(decide_zone(&editor, Permission::RecordsRead, sibling).err(), Some(Denied::Hidden));
        assert_eq!(Visibility::of_zones(&editor).zones(), Some(&[zone.id][..]));
    }

    #[test]
    fn a_tenant_admin_holds_neither_the_bypass_nor_the_platform() {
        let tenant = TenantId::new();
        let admin = caller(tenant, vec![held(SystemRole::TenantAdmin, AssignmentScope::Tenant(tenant))]);
        assert!(decide_tenant(&admin, Permission::DomainsCreate).is_ok());
        for permission in [Permission::ValidationBypass, Permission::PlatformManage] {
            assert!(decide_tenant(&admin, permission).is_err());
            assert!(decide(&admin, permission, Target::Platform).is_err());
        }
    }
}
