//! That nobody gives more than it has: the one place where what is given is measured against its giver. It is measured
//! when it is given; that the giver loses it later takes nothing back.

use time::OffsetDateTime;

use crate::authz::{Actor, Assignment, Caller, PermissionSet};
use crate::ids::TenantId;
use crate::storage::directory::{Holder, HolderKind};
use crate::tenancy::AdminRole;

use super::identity::rights::{admin_role, assignments_in, covers};
use super::{Error, Result};

/// Whether the caller may give somebody in `tenant` this, by an assignment or a grant.
pub fn may_give(caller: &Caller, given: &Assignment, tenant: TenantId) -> Result<()> {
    not_of_platform(caller, given.role.permissions())?;
    if covers(caller, std::slice::from_ref(given), tenant) {
        return Ok(());
    }
    let message = "This gives more than you have".into();
    Err(Error::Forbidden { message, code: "exceeds_caller" })
}

/// Whether the caller may put these permissions into a role of its tenant, from where they may be had tenant-wide.
pub fn may_bundle(caller: &Caller, permissions: PermissionSet) -> Result<()> {
    not_of_platform(caller, permissions)?;
    let beyond = permissions.without(caller.tenant_permissions());
    match beyond.iter().next() {
        None => Ok(()),
        Some(first) => {
            let message = format!("The role would hold more than you do: {first}");
            Err(Error::Forbidden { message, code: "exceeds_caller" })
        }
    }
}

/// Whether the caller may write to a user or a group, its members, its password: who can, can act in its stead, and so
/// must hold all that it holds. A group's members hold what the group and those it is in hold.
pub fn may_write(caller: &Caller, holder: &Holder, now: OffsetDateTime) -> Result<()> {
    let exceeds = || {
        let message = "This user or group holds more than you do".into();
        Err(Error::Forbidden { message, code: "exceeds_caller" })
    };
    let is_self = match (&caller.actor, &holder.kind) {
        (Actor::User { id, .. }, HolderKind::User(user)) => *id == user.id,
        _ => false,
    };
    // what a partner's admin holds in the partner's other tenants is not seen from this one
    let reaches_on = admin_role(holder) == AdminRole::PartnerAdmin;
    if reaches_on && !is_self && !caller.is_platform_admin() {
        return exceeds();
    }
    let held = assignments_in(holder, admin_role(holder), &holder.home, now);
    if covers(caller, &held, holder.home.id) { Ok(()) } else { exceeds() }
}

/// The platform's own permissions, and the bypass of a proof that all tenants rely on, are the platform admin's to give.
fn not_of_platform(caller: &Caller, permissions: PermissionSet) -> Result<()> {
    let kept = permissions.intersection(PermissionSet::of_platform());
    match kept.iter().next() {
        Some(first) if !caller.is_platform_admin() => {
            let message = format!("{first} is given by the platform's admin only");
            Err(Error::Forbidden { message, code: "exceeds_caller" })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
