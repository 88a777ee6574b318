//! What a user or a group holds in a tenant, decided from the mirror alone. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use time::OffsetDateTime;

use crate::authz::{
    Assignment, AssignmentScope, Caller, CustomRole, NamePattern, Names, PermissionSet, RecordScope, Role, SystemRole,
    Target, ZoneRef, decide,
};
use crate::dns::RecordType;
use crate::ids::{TenantId, ZoneId};
use crate::storage::directory::{Holder, HolderKind, StoredAssignment, StoredRecord, StoredRole, TenantRow, UserRow};
use crate::tenancy::{AdminRole, Standing};

use super::super::{Error, Result};

/// The tenants that an admin role reaches from its home.
pub fn reaches(home: &TenantRow, role: AdminRole, tenant: &TenantRow) -> bool {
    if tenant.id == home.id {
        return true;
    }
    match role {
        AdminRole::SuperAdmin => true,
        AdminRole::PartnerAdmin => home.partner.is_some() && home.partner == tenant.partner,
        AdminRole::TenantAdmin | AdminRole::None => false,
    }
}

/// The tenants that somebody may act in: those that its admin role reaches, and all of them for who holds a role on the
/// platform. What it may there is what it holds there: elsewhere than at home no more than that role.
pub fn may_act_in(holder: &Holder, role: AdminRole, tenant: &TenantRow) -> bool {
    let on_platform = |stored: &StoredAssignment| {
        stored_assignment(stored, tenant.id).is_some_and(|held| held.scope == AssignmentScope::Platform)
    };
    reaches(&holder.home, role, tenant) || holder.assignments.iter().any(on_platform)
}

/// What `holder` holds at this moment where it acts in `tenant`, given the admin role that counts.
pub fn assignments_in(holder: &Holder, role: AdminRole, tenant: &TenantRow, now: OffsetDateTime) -> Vec<Assignment> {
    let lasting = |stored: &&StoredAssignment| stored.expires_at.is_none_or(|at| at > now);
    let stored = holder.assignments.iter().filter(lasting).filter_map(|stored| stored_assignment(stored, tenant.id));
    admin_assignment(&holder.home, role, tenant).into_iter().chain(stored).collect()
}

/// The same for a key, which acts in its tenant only: what is held on the platform holds in that tenant.
pub fn key_assignments_in(holder: &Holder, tenant: &TenantRow, now: OffsetDateTime) -> Vec<Assignment> {
    let scope = AssignmentScope::Tenant(tenant.id);
    let mut pinned = Vec::new();
    for Assignment { role, scope: held } in assignments_in(holder, admin_role(holder), tenant, now) {
        if held != AssignmentScope::Platform {
            pinned.push(Assignment { role, scope: held });
            continue;
        }
        if role == Role::System(SystemRole::PlatformAdmin) {
            pinned.push(Assignment::new(SystemRole::TenantAdmin, scope.clone()));
        }
        pinned.push(Assignment { role, scope: scope.clone() });
    }
    pinned
}

/// A group has none.
pub fn admin_role(holder: &Holder) -> AdminRole {
    match &holder.kind {
        HolderKind::User(UserRow { admin_role, .. }) => *admin_role,
        HolderKind::Group(_) => AdminRole::None,
    }
}

/// Every permission held anywhere, single zones included: what a key's scopes may name.
pub fn held_anywhere(assignments: &[Assignment]) -> PermissionSet {
    assignments.iter().fold(PermissionSet::EMPTY, |set, assignment| set.union(assignment.permissions()))
}

/// Whether the caller holds all that these give, wherever they hold.
pub fn covers(caller: &Caller, assignments: &[Assignment], tenant: TenantId) -> bool {
    assignments.iter().all(|assignment| {
        let target = match &assignment.scope {
            AssignmentScope::Platform => Target::Platform,
            AssignmentScope::Tenant(held) => Target::Tenant(*held),
            AssignmentScope::Zone(zone) => Target::Zone(ZoneRef { id: *zone, tenant }),
            AssignmentScope::Records(zone, scope) => Target::Records(ZoneRef { id: *zone, tenant }, scope),
        };
        assignment.permissions().iter().all(|permission| decide(caller, permission, target).is_ok())
    })
}

/// Refuses the suspended and the removed, and who belongs to one.
pub fn check_standing(holder: &Holder) -> Result<()> {
    let (what, standing) = match &holder.kind {
        HolderKind::User(user) => ("User", user.status),
        HolderKind::Group(group) => ("Group", group.status),
    };
    active(what, standing)?;
    check_tenant(&holder.home)
}

/// Refuses a tenant that may not act, or whose partner may not.
pub fn check_tenant(tenant: &TenantRow) -> Result<()> {
    active("Tenant", tenant.status)?;
    active("Partner", tenant.partner_status.unwrap_or(Standing::Active))
}

fn active(what: &str, standing: Standing) -> Result<()> {
    let forbidden = |how, code| Err(Error::Forbidden { message: format!("{what} is {how}"), code });
    match standing {
        Standing::Active => Ok(()),
        Standing::Suspended => forbidden("suspended", "suspended"),
        Standing::Inactive => forbidden("no longer active", "inactive"),
    }
}

fn admin_assignment(home: &TenantRow, role: AdminRole, tenant: &TenantRow) -> Option<Assignment> {
    if !reaches(home, role, tenant) {
        return None;
    }
    match role {
        AdminRole::None => None,
        AdminRole::TenantAdmin | AdminRole::PartnerAdmin => {
            Some(Assignment::new(SystemRole::TenantAdmin, AssignmentScope::Tenant(tenant.id)))
        }
        AdminRole::SuperAdmin => Some(Assignment::new(SystemRole::PlatformAdmin, AssignmentScope::Platform)),
    }
}

/// Roles and scopes of unknown names give nothing, nor does what else cannot be read. A tenant's own role never holds
/// beyond the tenant.
fn stored_assignment(stored: &StoredAssignment, tenant: TenantId) -> Option<Assignment> {
    let StoredAssignment { tenant: held_in, role, custom, scope, scope_id, record, pattern, types, expires_at: _ } =
        stored;
    let role = match custom {
        Some(StoredRole { id, name, permissions }) => {
            let permissions = PermissionSet::parse(permissions.iter().map(String::as_str)).ok()?;
            Role::Custom(Arc::new(CustomRole { id: *id, name: name.clone(), permissions }))
        }
        None => Role::System(SystemRole::parse(role)?),
    };
    let scope = match scope.as_str() {
        "platform" if custom.is_none() => AssignmentScope::Platform,
        _ if *held_in != tenant => return None,
        "tenant" => AssignmentScope::Tenant(tenant),
        "domain" => zone_scope(ZoneId((*scope_id)?), pattern.as_deref(), types.as_deref())?,
        "record" => {
            let StoredRecord { zone, name, record_type } = record.as_ref()?;
            let types = Some(BTreeSet::from([RecordType::from_server(record_type)]));
            AssignmentScope::Records(*zone, RecordScope { names: Names::Only(name.as_str().into()), types })
        }
        _ => return None,
    };
    Some(Assignment { role, scope })
}

/// A zone, or the part of it that a pattern and types leave.
pub fn zone_scope(zone: ZoneId, pattern: Option<&str>, types: Option<&[String]>) -> Option<AssignmentScope> {
    if pattern.is_none() && types.is_none() {
        return Some(AssignmentScope::Zone(zone));
    }
    let names = match pattern {
        Some(text) => Names::Like(NamePattern::parse(text).ok()?),
        None => Names::All,
    };
    let types = types.map(|types| types.iter().map(|name| RecordType::from_server(name)).collect());
    Some(AssignmentScope::Records(zone, RecordScope { names, types }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::{Actor, Permission};
    use crate::ids::{PartnerId, UserId};

    fn tenant(partner: Option<PartnerId>) -> TenantRow {
        let at = OffsetDateTime::UNIX_EPOCH;
        TenantRow {
            id: TenantId::new(),
            scaikey_id: "tnt_1".into(),
            partner,
            name: "One".into(),
            slug: "one".into(),
            status: Standing::Active,
            partner_status: partner.map(|_| Standing::Active),
            settings: "{}".into(),
            stated_at: at,
            created_at: at,
            updated_at: at,
        }
    }

    fn user(home: &TenantRow, admin_role: AdminRole, assignments: Vec<StoredAssignment>) -> Holder {
        let at = OffsetDateTime::UNIX_EPOCH;
        let user = UserRow {
            id: UserId::new(),
            scaikey_id: "usr_1".into(),
            tenant: home.id,
            email: "a@example.org".into(),
            name: "A".into(),
            status: Standing::Active,
            admin_role,
            stated_at: at,
            admin_role_stated_at: at,
            created_at: at,
            updated_at: at,
        };
        Holder { kind: HolderKind::User(user), home: home.clone(), groups: vec![], assignments }
    }

    fn stored(home: &TenantRow, role: &str, scope: &str, scope_id: Option<uuid::Uuid>) -> StoredAssignment {
        StoredAssignment {
            tenant: home.id,
            role: role.into(),
            custom: None,
            scope: scope.into(),
            scope_id,
            record: None,
            pattern: None,
            types: None,
            expires_at: None,
        }
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH
    }

    fn caller(holder: &Holder, tenant: &TenantRow) -> Caller {
        let assignments = assignments_in(holder, admin_role(holder), tenant, now());
        Caller {
            actor: Actor::System { name: "test" },
            tenant: tenant.id,
            assignments,
            scopes: None,
            has_chosen_tenant: false,
            decisions: Default::default(),
        }
    }

    #[test]
    fn a_partner_admin_is_tenant_admin_in_every_tenant_of_its_partner_and_no_other() {
        let partner = Some(PartnerId::new());
        let (home, sibling) = (tenant(partner), tenant(partner));
        let (foreign, alone) = (tenant(Some(PartnerId::new())), tenant(None));
        let admin = user(&home, AdminRole::PartnerAdmin, vec![]);
        for reached in [&home, &sibling] {
            assert!(caller(&admin, reached).is_tenant_admin());
            assert!(!caller(&admin, reached).is_platform_admin());
        }
        for other in [&foreign, &alone] {
            assert!(!reaches(&home, AdminRole::PartnerAdmin, other));
            assert!(assignments_in(&admin, AdminRole::PartnerAdmin, other, now()).is_empty());
        }
        assert!(!reaches(&alone, AdminRole::PartnerAdmin, &tenant(None)), "no partner is not a common partner");
    }

    #[test]
    fn a_role_held_in_one_tenant_gives_nothing_in_another() {
        let (home, other) = (tenant(None), tenant(None));
        let stored = stored(&home, "read_only", "tenant", None);
        let holder = user(&home, AdminRole::None, vec![stored]);
        assert!(caller(&holder, &home).tenant_permissions().contains(Permission::DomainsRead));
        assert!(assignments_in(&holder, AdminRole::None, &other, now()).is_empty());
    }

    #[test]
    fn a_role_held_on_the_platform_holds_in_every_tenant_and_gives_no_more_there() {
        let (home, other) = (tenant(Some(PartnerId::new())), tenant(Some(PartnerId::new())));
        let mut own = stored(&home, "tenant_admin", "platform", None);
        own.custom = Some(StoredRole { id: crate::ids::RoleId::new(), name: "own".into(), permissions: vec![] });
        let given = [
            (stored(&home, "read_only", "tenant", None), false),
            (stored(&home, "read_only", "domain", Some(ZoneId::new().0)), false),
            (stored(&home, "of a later version", "platform", None), false),
            (own, false),
            (stored(&home, "read_only", "platform", None), true),
        ];
        for (stored, reached) in given {
            let holder = user(&home, AdminRole::TenantAdmin, vec![stored.clone()]);
            assert!(may_act_in(&holder, AdminRole::TenantAdmin, &home));
            assert_eq!(may_act_in(&holder, AdminRole::TenantAdmin, &other), reached, "{stored:?}");
            let there = caller(&holder, &other);
            let permissions = if reached { SystemRole::ReadOnly.permissions() } else { PermissionSet::EMPTY };
            assert_eq!(there.tenant_permissions(), permissions, "{stored:?}");
            assert!(!there.is_tenant_admin() && !there.is_platform_admin());
            assert!(caller(&holder, &home).is_tenant_admin());
        }
        let holder = user(&home, AdminRole::None, vec![stored(&home, "platform_admin", "platform", None)]);
        assert!(caller(&holder, &other).is_platform_admin());
        let mut key = caller(&holder, &other);
        key.assignments = key_assignments_in(&holder, &other, now());
        assert!(!key.is_platform_admin() && key.is_tenant_admin());
    }

    #[test]
    fn a_key_of_the_platforms_admin_reaches_its_own_tenant_only() {
        let home = tenant(None);
        let holder = user(&home, AdminRole::SuperAdmin, vec![]);
        let mut key = caller(&holder, &home);
        assert!(key.is_platform_admin());
        key.assignments = key_assignments_in(&holder, &home, now());
        assert!(!key.is_platform_admin());
        assert!(key.is_tenant_admin());
        assert!(decide(&key, Permission::DomainsRead, Target::Tenant(TenantId::new())).is_err());
        assert!(decide(&key, Permission::PlatformManage, Target::Platform).is_err());
    }

    #[test]
    fn who_holds_less_does_not_cover_who_holds_more() {
        let home = tenant(None);
        let zone = ZoneId::new();
        let on_zone = |role: &str| stored(&home, role, "domain", Some(zone.0));
        let editor = user(&home, AdminRole::None, vec![on_zone("record_editor")]);
        let manager = user(&home, AdminRole::None, vec![on_zone("domain_manager")]);
        let admin = user(&home, AdminRole::TenantAdmin, vec![]);
        let platform = user(&home, AdminRole::SuperAdmin, vec![]);
        let covers = |a: &Holder, b: &Holder| {
            super::covers(&caller(a, &home), &assignments_in(b, admin_role(b), &home, now()), home.id)
        };
        assert!(covers(&manager, &editor));
        assert!(!covers(&editor, &manager));
        assert!(covers(&admin, &manager));
        assert!(!covers(&manager, &admin));
        assert!(!covers(&admin, &platform));
        assert!(covers(&platform, &admin));
    }
}
