//! The decision, case by case; in [`properties`] by the thousand.

mod properties;

use super::*;
use crate::ids::{TenantId, ZoneId};

fn caller(tenant: TenantId, assignments: Vec<Assignment>) -> Caller {
    Caller {
        actor: Actor::System { name: "test" },
        tenant,
        assignments,
        scopes: None,
        has_chosen_tenant: false,
        decisions: Default::default(),
    }
}

fn held(role: SystemRole, scope: AssignmentScope) -> Assignment {
    Assignment::new(role, scope)
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
fn the_platforms_admin_lists_all_tenants_until_it_chooses_one() {
    let (tenant, other) = (TenantId::new(), TenantId::new());
    let mut admin = caller(tenant, vec![held(SystemRole::PlatformAdmin, AssignmentScope::Platform)]);
    for chosen in [false, true] {
        admin.has_chosen_tenant = chosen;
        for list in [Visibility::of_list(&admin), Visibility::of_zones(&admin)] {
            assert_eq!((list.tenant(), list.zones()), (chosen.then_some(tenant), None));
        }
        assert_eq!(Visibility::of_lookup(&admin).tenant(), None);
        assert!(decide_zone(&admin, Permission::RecordsRead, ZoneRef { id: ZoneId::new(), tenant: other }).is_ok());
    }
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
