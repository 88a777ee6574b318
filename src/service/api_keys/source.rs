//! Whose rights a key may have, and who may say so. The same test guards whatever hands out a
//! secret or brings one back to life.

use time::OffsetDateTime;

use crate::authz::{Actor, Assignment, Caller, Permission, Target, Visibility, decide};
use crate::ids::{ApiKeyId, GroupId, TenantId, UserId};
use crate::storage::api_keys::{ApiKeyRow, Source};
use crate::storage::directory::{self, Holder, HolderKind, Reference, TenantRow};
use crate::storage::roles::Assignee;
use crate::storage::{self, Db};
use crate::tenancy::Standing;

use super::super::identity::rights::{admin_role, assignments_in, check_standing, covers};
use super::super::{Error, Result};

/// How a request names the source of a key.
#[derive(Clone, Debug)]
pub enum SourceReference {
    User(Reference<UserId>),
    Group(Reference<GroupId>),
}

impl SourceReference {
    /// `kind` is `user` or `group`; an id that is none names nobody.
    pub fn parse(kind: &str, id: &str) -> Result<Self> {
        match kind {
            "user" => Reference::parse(id).map(Self::User).ok_or(Error::NotFound("User")),
            "group" => Reference::parse(id).map(Self::Group).ok_or(Error::NotFound("Group")),
            _ => Err(Error::invalid("permission_source", "must be user or group")),
        }
    }
}

/// The user that asks, with the groups it is in.
pub struct Asker<'a> {
    pub caller: &'a Caller,
    pub holder: Holder,
    pub user: UserId,
}

impl<'a> Asker<'a> {
    /// Keys are managed by people: a key never manages keys.
    pub async fn load(db: &Db, caller: &'a Caller) -> Result<Self> {
        let Actor::User { id, scaikey_id, .. } = &caller.actor else {
            return Err(key_not_accepted());
        };
        let found = storage::within(directory::user_by_scaikey_id(db, scaikey_id)).await?;
        let holder = found.ok_or_else(|| Error::Unauthenticated("Token is of a user that is gone".into()))?;
        Ok(Self { caller, holder, user: *id })
    }

    pub fn groups(&self) -> &[GroupId] {
        &self.holder.groups
    }

    pub fn owns(&self, source: Source) -> bool {
        match source {
            Source::User(id) => id == self.user,
            Source::Group(id) => self.holder.groups.contains(&id),
        }
    }

    /// Whether something may be done with a key. One that the caller may not even read does not exist for it.
    pub fn check(&self, key: &ApiKeyRow, permission: Permission) -> Result<()> {
        if self.owns(key.source) {
            return Ok(());
        }
        let target = Target::Tenant(key.tenant);
        decide(self.caller, Permission::ApiKeysRead, target).map_err(|_| Error::NotFound("API key"))?;
        Ok(decide(self.caller, permission, target)?)
    }

    /// Whether the caller may have a secret that gives what the source has in `tenant`; what that is.
    pub fn may_issue(&self, source: &Holder, tenant: &TenantRow, now: OffsetDateTime) -> Result<Vec<Assignment>> {
        let assignments = assignments_in(source, admin_role(source), tenant, now);
        if !self.owns(source_of(source)) {
            decide(self.caller, Permission::ApiKeysCreate, Target::Tenant(tenant.id))?;
        }
        if !covers(self.caller, &assignments, tenant.id) {
            let message = "The source of the key holds more than you do".into();
            return Err(Error::Forbidden { message, code: "source_exceeds_caller" });
        }
        Ok(assignments)
    }

    /// The source that a request names: the caller itself, or a user or group of the tenant acted in.
    pub async fn find(&self, db: &Db, reference: &SourceReference) -> Result<Holder> {
        let tenant = self.caller.tenant;
        let holder = find_holder(db, reference).await?;
        let in_reach = |holder: &Holder| holder.home.id == tenant || source_of(holder) == Source::User(self.user);
        let holder = holder.filter(|holder| in_reach(holder) && !is_gone(holder));
        let holder = holder.ok_or(match reference {
            SourceReference::User(_) => Error::NotFound("User"),
            SourceReference::Group(_) => Error::NotFound("Group"),
        })?;
        check_standing(&holder)?;
        Ok(holder)
    }
}

/// What a key is told that would manage keys.
pub fn key_not_accepted() -> Error {
    let message = "API keys are managed with a user's token, not with a key".into();
    Error::Forbidden { message, code: "key_not_accepted" }
}

/// The source of a key that exists.
pub async fn of_key(db: &Db, key: &ApiKeyRow) -> Result<Holder> {
    let reference = match key.source {
        Source::User(id) => SourceReference::User(Reference::Ours(id)),
        Source::Group(id) => SourceReference::Group(Reference::Ours(id)),
    };
    let found = find_holder(db, &reference).await?;
    found.ok_or_else(|| Error::Internal(format!("the owner of {} is not in the mirror", key.id)))
}

pub async fn find_holder(db: &Db, reference: &SourceReference) -> Result<Option<Holder>> {
    // its tenant is compared by whoever asks: the caller itself may be of another
    let everywhere = Visibility::system();
    Ok(match reference {
        SourceReference::User(id) => storage::within(directory::user(db, &everywhere, id)).await?,
        SourceReference::Group(id) => storage::within(directory::group(db, &everywhere, id)).await?,
    })
}

/// The user or group of this tenant that a body names; one that is gone is not there.
pub async fn find_in_tenant(db: &Db, reference: &SourceReference, tenant: TenantId) -> Result<Holder> {
    let found = find_holder(db, reference).await?;
    found.filter(|holder| holder.home.id == tenant && !is_gone(holder)).ok_or(match reference {
        SourceReference::User(_) => Error::NotFound("User"),
        SourceReference::Group(_) => Error::NotFound("Group"),
    })
}

/// Whom a role or grant is given to.
pub fn assignee(holder: &Holder) -> Assignee {
    match &holder.kind {
        HolderKind::User(user) => Assignee::User(user.id),
        HolderKind::Group(group) => Assignee::Group(group.id),
    }
}

pub fn source_of(holder: &Holder) -> Source {
    match &holder.kind {
        HolderKind::User(user) => Source::User(user.id),
        HolderKind::Group(group) => Source::Group(group.id),
    }
}

/// ScaiKey's id, as it is shown.
pub fn scaikey_id_of(holder: &Holder) -> &str {
    match &holder.kind {
        HolderKind::User(user) => &user.scaikey_id,
        HolderKind::Group(group) => &group.scaikey_id,
    }
}

fn is_gone(holder: &Holder) -> bool {
    let standing = match &holder.kind {
        HolderKind::User(user) => user.status,
        HolderKind::Group(group) => group.status,
    };
    standing == Standing::Inactive
}

/// The key that a request names, if its tenant is visible to the caller.
pub fn found(key: Option<ApiKeyRow>) -> Result<ApiKeyRow> {
    key.ok_or(Error::NotFound("API key"))
}

/// Reads an id of the path; what is none names no key.
pub fn key_id(text: &str) -> Result<ApiKeyId> {
    text.parse().map_err(|_| Error::NotFound("API key"))
}
