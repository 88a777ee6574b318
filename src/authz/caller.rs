//! Who asks: built once a request from what the mirror says, pure from then on.

use std::collections::BTreeSet;

use crate::ids::{ApiKeyId, TenantId, UserId, ZoneId};

use super::decisions::Decisions;
use super::permission::{Permission, PermissionSet};
use super::record_scope::{RecordReach, RecordScope};
use super::role::{Role, SystemRole};

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
    /// Some records of a zone: of the role no more than [`PermissionSet::of_records`].
    Records(ZoneId, RecordScope),
}

/// A role held somewhere, by an assignment or an access grant. What has expired is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub role: Role,
    pub scope: AssignmentScope,
}

impl Assignment {
    pub fn new(role: impl Into<Role>, scope: AssignmentScope) -> Self {
        Self { role: role.into(), scope }
    }

    /// What it gives where it holds.
    pub fn permissions(&self) -> PermissionSet {
        match self.scope {
            AssignmentScope::Platform | AssignmentScope::Tenant(_) | AssignmentScope::Zone(_) => {
                self.role.permissions()
            }
            AssignmentScope::Records(..) => self.role.permissions().intersection(PermissionSet::of_records()),
        }
    }
}

/// The caller of one request.
#[derive(Clone, Debug)]
pub struct Caller {
    pub actor: Actor,
    /// The tenant acted in.
    pub tenant: TenantId,
    /// It has said that it acts in this one (`X-Tenant-ID`): its lists are this tenant's, even the platform admin's.
    pub has_chosen_tenant: bool,
    pub assignments: Vec<Assignment>,
    /// A key's `scopes`: narrows everything else; None narrows nothing.
    pub scopes: Option<PermissionSet>,
    /// What was allowed so far.
    pub decisions: Decisions,
}

impl Caller {
    /// The program itself, of which the audit log has this name: it holds nothing, and asks no decision.
    pub fn system(name: &'static str, tenant: TenantId) -> Self {
        let actor = Actor::System { name };
        Self {
            actor,
            tenant,
            has_chosen_tenant: false,
            assignments: Vec::new(),
            scopes: None,
            decisions: Decisions::default(),
        }
    }

    /// What the caller holds in the tenant it acts in, as a whole (not counting single zones).
    pub fn tenant_permissions(&self) -> PermissionSet {
        self.narrowed(|scope| match scope {
            AssignmentScope::Platform => true,
            AssignmentScope::Tenant(tenant) => *tenant == self.tenant,
            AssignmentScope::Zone(_) | AssignmentScope::Records(..) => false,
        })
    }

    /// What the caller holds in the whole of one zone of one tenant.
    pub(super) fn zone_permissions(&self, tenant: TenantId, zone: ZoneId) -> PermissionSet {
        self.narrowed(|scope| match scope {
            AssignmentScope::Platform => true,
            AssignmentScope::Tenant(held) => *held == tenant,
            AssignmentScope::Zone(held) => *held == zone && tenant == self.tenant,
            AssignmentScope::Records(..) => false,
        })
    }

    /// What the caller holds in one zone or somewhere in it.
    pub(super) fn permissions_within(&self, tenant: TenantId, zone: ZoneId) -> PermissionSet {
        let within = self.narrowed(|scope| match scope {
            AssignmentScope::Records(held, _) => *held == zone && tenant == self.tenant,
            AssignmentScope::Platform | AssignmentScope::Tenant(_) | AssignmentScope::Zone(_) => false,
        });
        self.zone_permissions(tenant, zone).union(within)
    }

    /// How far `permission` reaches over the records of a zone.
    pub(super) fn reach(&self, permission: Permission, tenant: TenantId, zone: ZoneId) -> RecordReach {
        if self.zone_permissions(tenant, zone).contains(permission) {
            return RecordReach::Everything;
        }
        let part: Vec<RecordScope> = self
            .assignments
            .iter()
            .filter(|assignment| assignment.permissions().contains(permission) && self.in_scopes(permission))
            .filter_map(|assignment| match &assignment.scope {
                AssignmentScope::Records(held, scope) if *held == zone && tenant == self.tenant => Some(scope.clone()),
                _ => None,
            })
            .collect();
        if part.is_empty() { RecordReach::Nothing } else { RecordReach::Part(part) }
    }

    /// Zones that the caller may read though it holds nothing in the tenant as a whole.
    pub fn readable_zones(&self) -> Vec<ZoneId> {
        let readable = |assignment: &&Assignment| {
            assignment.permissions().contains(Permission::DomainsRead) && self.in_scopes(Permission::DomainsRead)
        };
        let zones = self.assignments.iter().filter(readable).filter_map(|assignment| match assignment.scope {
            AssignmentScope::Zone(zone) | AssignmentScope::Records(zone, _) => Some(zone),
            AssignmentScope::Platform | AssignmentScope::Tenant(_) => None,
        });
        zones.collect::<BTreeSet<ZoneId>>().into_iter().collect()
    }

    /// Whether the caller is the platform's admin, with nothing taken away.
    pub fn is_platform_admin(&self) -> bool {
        self.holds_role(SystemRole::PlatformAdmin, |scope| *scope == AssignmentScope::Platform)
    }

    pub fn is_tenant_admin(&self) -> bool {
        self.is_platform_admin()
            || self.holds_role(SystemRole::TenantAdmin, |scope| match scope {
                AssignmentScope::Platform => true,
                AssignmentScope::Tenant(tenant) => *tenant == self.tenant,
                AssignmentScope::Zone(_) | AssignmentScope::Records(..) => false,
            })
    }

    /// Whether the caller holds something in every tenant, and so may act in each.
    pub fn holds_on_platform(&self) -> bool {
        self.assignments.iter().any(|assignment| assignment.scope == AssignmentScope::Platform)
    }

    pub fn is_api_key(&self) -> bool {
        matches!(self.actor, Actor::ApiKey { .. })
    }

    fn holds_role(&self, role: SystemRole, wanted: impl Fn(&AssignmentScope) -> bool) -> bool {
        self.assignments.iter().any(|assignment| assignment.role == Role::System(role) && wanted(&assignment.scope))
    }

    fn in_scopes(&self, permission: Permission) -> bool {
        self.scopes.is_none_or(|scopes| scopes.contains(permission))
    }

    fn narrowed(&self, covers: impl Fn(&AssignmentScope) -> bool) -> PermissionSet {
        let held = self
            .assignments
            .iter()
            .filter(|assignment| covers(&assignment.scope))
            .fold(PermissionSet::EMPTY, |set, assignment| set.union(assignment.permissions()));
        match self.scopes {
            Some(scopes) => held.intersection(scopes),
            None => held,
        }
    }
}
