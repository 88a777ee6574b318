//! What `/me/` shows: who the caller is and what it holds in the tenant acted in.

use time::OffsetDateTime;

use crate::authz::{Actor, Assignment, AssignmentScope, Caller, Permission};
use crate::ids::{ApiKeyId, TenantId};
use crate::tenancy::Standing;

use super::super::{Error, Result};

/// The caller, to show.
#[derive(Clone, Debug)]
pub struct Profile {
    /// ScaiKey's id of the user; for a key, of its owner.
    pub id: String,
    /// A group has none.
    pub email: Option<String>,
    pub name: String,
    /// The tenant acted in.
    pub tenant: TenantId,
    pub status: Standing,
    pub is_platform_admin: bool,
    pub is_tenant_admin: bool,
    pub roles: Vec<HeldRole>,
    /// Held in the tenant acted in as a whole.
    pub permissions: Vec<Permission>,
    pub api_key: Option<KeyProfile>,
}

/// A good access token, to show.
#[derive(Clone, Debug)]
pub struct TokenProfile {
    pub profile: Profile,
    /// As the token says: OAuth's, not this API's.
    pub scopes: Vec<String>,
    pub expires_at: OffsetDateTime,
}

#[derive(Clone, Debug)]
pub struct HeldRole {
    pub role: String,
    /// `platform`, `tenant`, `domain` or `record`
    pub scope: &'static str,
    pub scope_id: Option<String>,
}

#[derive(Clone, Debug)]
pub struct KeyProfile {
    pub id: ApiKeyId,
    pub name: String,
}

pub(super) fn profile(caller: &Caller) -> Result<Profile> {
    let (id, email, name, api_key) = match &caller.actor {
        Actor::User { id: _, scaikey_id, email, name } => (scaikey_id.clone(), Some(email.clone()), name.clone(), None),
        Actor::ApiKey { id, name, owner, owner_name, email } => {
            let key = KeyProfile { id: *id, name: name.clone() };
            (owner.clone(), email.clone(), owner_name.clone(), Some(key))
        }
        Actor::System { name } => return Err(Error::Internal(format!("{name} has no profile"))),
    };
    Ok(Profile {
        id,
        email: email.filter(|email| !email.is_empty()),
        name,
        tenant: caller.tenant,
        // whoever is not does not come here
        status: Standing::Active,
        is_platform_admin: caller.is_platform_admin(),
        is_tenant_admin: caller.is_tenant_admin(),
        roles: caller.assignments.iter().map(held_role).collect(),
        permissions: caller.tenant_permissions().iter().collect(),
        api_key,
    })
}

fn held_role(assignment: &Assignment) -> HeldRole {
    let Assignment { role, scope } = assignment;
    let (scope, scope_id) = match scope {
        AssignmentScope::Platform => ("platform", None),
        AssignmentScope::Tenant(id) => ("tenant", Some(id.to_string())),
        AssignmentScope::Zone(id) => ("domain", Some(id.to_string())),
        AssignmentScope::Records(id, _) => ("record", Some(id.to_string())),
    };
    HeldRole { role: role.name().to_owned(), scope, scope_id }
}
