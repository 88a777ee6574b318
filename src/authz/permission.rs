//! The closed catalogue of permissions, and sets of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A name that is no permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown permission '{0}'")]
pub struct UnknownPermission(pub String);

macro_rules! permissions {
    ($($variant:ident = $text:literal,)*) => {
        /// One thing that may be allowed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum Permission { $(#[serde(rename = $text)] $variant,)* }

        impl Permission {
            pub const ALL: &'static [Permission] = &[$(Permission::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Permission::$variant => $text,)* }
            }
        }
    };
}

permissions! {
    DomainsRead = "domains:read",
    DomainsCreate = "domains:create",
    DomainsUpdate = "domains:update",
    DomainsDelete = "domains:delete",
    RecordsRead = "records:read",
    RecordsCreate = "records:create",
    RecordsUpdate = "records:update",
    RecordsDelete = "records:delete",
    DnssecRead = "dnssec:read",
    DnssecEnable = "dnssec:enable",
    DnssecDisable = "dnssec:disable",
    DnssecRotate = "dnssec:rotate",
    AccessGrantsRead = "access_grants:read",
    AccessGrantsCreate = "access_grants:create",
    AccessGrantsUpdate = "access_grants:update",
    AccessGrantsDelete = "access_grants:delete",
    TemplatesRead = "templates:read",
    TemplatesCreate = "templates:create",
    TemplatesUpdate = "templates:update",
    TemplatesDelete = "templates:delete",
    ApiKeysRead = "api_keys:read",
    ApiKeysCreate = "api_keys:create",
    ApiKeysUpdate = "api_keys:update",
    ApiKeysDelete = "api_keys:delete",
    UsersRead = "users:read",
    UsersCreate = "users:create",
    UsersUpdate = "users:update",
    UsersDelete = "users:delete",
    GroupsRead = "groups:read",
    GroupsCreate = "groups:create",
    GroupsUpdate = "groups:update",
    GroupsDelete = "groups:delete",
    RolesRead = "roles:read",
    RolesCreate = "roles:create",
    RolesUpdate = "roles:update",
    RolesDelete = "roles:delete",
    AuditRead = "audit:read",
    ValidationBypass = "validation:bypass",
    PlatformRead = "platform:read",
    PlatformManage = "platform:manage",
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of permissions; a bit each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PermissionSet(u64);

impl PermissionSet {
    pub const EMPTY: Self = Self(0);

    pub fn all() -> Self {
        Permission::ALL.iter().copied().collect()
    }

    /// What of a role a right over a part of a zone conveys.
    pub fn of_records() -> Self {
        use Permission as P;
        [P::DomainsRead, P::RecordsRead, P::RecordsCreate, P::RecordsUpdate, P::RecordsDelete].into_iter().collect()
    }

    /// What only the platform's admin may give: the platform, and the bypass of a proof that others rely on.
    pub fn of_platform() -> Self {
        [Permission::ValidationBypass, Permission::PlatformRead, Permission::PlatformManage].into_iter().collect()
    }

    /// Reads `resource:action`, `resource:*`, `*`, and `resource:write` for create, update and delete together.
    pub fn parse_one(text: &str) -> Result<Self, UnknownPermission> {
        if text == "*" {
            return Ok(Self::all());
        }
        let unknown = || UnknownPermission(text.to_owned());
        let (resource, action) = text.split_once(':').ok_or_else(unknown)?;
        let wanted = |permission: &&Permission| {
            let Some((r, a)) = permission.as_str().split_once(':') else { return false };
            r == resource
                && (action == "*" || a == action || (action == "write" && matches!(a, "create" | "update" | "delete")))
        };
        let found: Self = Permission::ALL.iter().filter(wanted).copied().collect();
        if found == Self::EMPTY { Err(unknown()) } else { Ok(found) }
    }

    /// The union of several texts.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownPermission> {
        texts.into_iter().try_fold(Self::EMPTY, |set, text| Ok(set.union(Self::parse_one(text)?)))
    }

    pub fn contains(self, permission: Permission) -> bool {
        self.0 & bit(permission) != 0
    }

    pub fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |p| self.contains(*p))
    }
}

fn bit(permission: Permission) -> u64 {
    1 << permission as u8
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, p| bits | bit(p)))
    }
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_room_for_every_permission() {
        assert!(Permission::ALL.len() <= 64);
        assert_eq!(PermissionSet::all().iter().count(), Permission::ALL.len());
    }

    #[test]
    fn records_write_is_create_update_and_delete() {
        let set = PermissionSet::parse_one("records:write").expect("known");
        let names: Vec<&str> = set.iter().map(Permission::as_str).collect();
        assert_eq!(names, ["records:create", "records:update", "records:delete"]);
    }

    #[test]
    fn an_unknown_permission_is_refused() {
        for text in ["", "records", "records:", "records:fly", "nothing:read", "*:read"] {
            assert!(PermissionSet::parse_one(text).is_err(), "{text}");
        }
    }
}
