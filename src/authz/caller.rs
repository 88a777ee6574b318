//! Who asks: built once a request from what the mirror says, pure from then on.

use crate::ids::{ApiKeyId, TenantId, UserId, ZoneId};

use super::permission::{Permission, PermissionSet};
use super::role::SystemRole;

/// Who acts, as the audit log names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    User {
        id: UserId,
        scaikey_id: String,
        email: String,
        name: String,
    },
    /// A key acts with what its owner has; the owner is a user or a group, so the label is its own.
    ApiKey {
        id: ApiKeyId,
        name: String,
        /// ScaiKey's id.
        owner: String,
        owner_name: String,
        email: Option<String>,
    },
    /// The program itself: jobs and the operator's command line.
    System {
        name: &'static str,
    },
}

/// Where an assignment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssignmentScope {
    Platform,
    Tenant(TenantId),
    Zone(ZoneId),
}

/// A role held somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub role: SystemRole,
    pub scope: AssignmentScope,
}

/// The caller of one request.
#[derive(Clone, Debug)]
pub struct Caller {
    pub actor: Actor,
    /// The tenant acted in.
    pub tenant: TenantId,
    pub assignments: Vec<Assignment>,
    /// A key's `scopes`: narrows everything else; None narrows nothing.
    pub scopes: Option<PermissionSet>,
}

impl Caller {
    /// What the caller holds in the tenant it acts in, as a whole (not counting single zones).
    pub fn tenant_permissions(&self) -> PermissionSet {
        self.narrowed(|scope| match scope {
            AssignmentScope::Platform => true,
            AssignmentScope::Tenant(tenant) => *tenant == self.tenant,
            AssignmentScope::Zone(_) => false,
        })
    }

    /// What the caller holds in one zone of one tenant.
    pub(super) fn zone_permissions(&self, tenant: TenantId, zone: ZoneId) -> PermissionSet {
        self.narrowed(|scope| match scope {
            AssignmentScope::Platform => true,
            AssignmentScope::Tenant(held) => *held == tenant,
            AssignmentScope::Zone(held) => *held == zone && tenant == self.tenant,
        })
    }

    /// Zones that the caller may read though it holds nothing in the tenant as a whole.
    pub fn readable_zones(&self) -> Vec<ZoneId> {
        let readable = |assignment: &&Assignment| {
            assignment.role.permissions().contains(Permission::DomainsRead) && self.in_scopes(Permission::DomainsRead)
        };
        self.assignments
            .iter()
            .filter(readable)
            .filter_map(|assignment| match assignment.scope {
                AssignmentScope::Zone(zone) => Some(zone),
                AssignmentScope::Platform | AssignmentScope::Tenant(_) => None,
            })
            .collect()
    }

    /// Whether the caller is the platform's admin, with nothing taken away.
    pub fn is_platform_admin(&self) -> bool {
        self.holds_role(SystemRole::PlatformAdmin, |scope| *scope == AssignmentScope::Platform)
    }

    pub fn is_tenant_admin(&self) -> bool {
        self.is_platform_admin()
            || self.holds_role(SystemRole::TenantAdmin, |scope| *scope == AssignmentScope::Tenant(self.tenant))
    }

    pub fn is_api_key(&self) -> bool {
        matches!(self.actor, Actor::ApiKey { .. })
    }

    fn holds_role(&self, role: SystemRole, wanted: impl Fn(&AssignmentScope) -> bool) -> bool {
        self.assignments.iter().any(|assignment| assignment.role == role && wanted(&assignment.scope))
    }

    fn in_scopes(&self, permission: Permission) -> bool {
        self.scopes.is_none_or(|scopes| scopes.contains(permission))
    }

    fn narrowed(&self, covers: impl Fn(&AssignmentScope) -> bool) -> PermissionSet {
        let held = self
            .assignments
            .iter()
            .filter(|assignment| covers(&assignment.scope))
            .fold(PermissionSet::EMPTY, |set, assignment| set.union(assignment.role.permissions()));
        match self.scopes {
            Some(scopes) => held.intersection(scopes),
            None => held,
        }
    }
}
