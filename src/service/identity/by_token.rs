//! The caller behind an access token. The token says who it is; the mirror says what it may. What the token states of
//! its user's admin role goes into the mirror first, if nothing newer is there.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::authz::{Actor, Caller};
use crate::ids::{TenantId, UserId};
use crate::scaikey::{AccessToken, Issuer};
use crate::storage::directory::{self, Holder, HolderKind, Reference, TenantRow, UserRow};
use crate::storage::{self, StorageError, revocations};
use crate::tenancy::{AdminRole, Quotas, Standing};

use super::super::audit::{Resource, entry};
use super::super::{ActorRecord, Error, RequestInfo, Result};
use super::rights::{assignments_in, check_standing, check_tenant, may_act_in, reaches};
use super::{Inner, Known, logout};

pub(super) async fn caller(
    identity: &Inner,
    presented: &str,
    tenant: Option<&str>,
    request: &RequestInfo,
) -> Result<Known> {
    let token = identity.scaikey.verify(presented).await?;
    logout::check(identity, presented).await?;
    let is_known = identity.users.knows(&token.subject);
    let said = Said { token: &token, request };
    match admit(identity, said, tenant, false).await {
        // no is never said from memory
        Err(Error::Unauthenticated(_) | Error::Forbidden { .. } | Error::NotFound(_)) if is_known => {
            admit(identity, said, tenant, true).await
        }
        admitted => admitted,
    }
}

/// A good token, and the request that it came with.
#[derive(Clone, Copy)]
struct Said<'a> {
    token: &'a AccessToken,
    request: &'a RequestInfo,
}

/// Who the token's user is here. `anew`: as the database says, whatever is remembered.
async fn admit(identity: &Inner, said: Said<'_>, tenant: Option<&str>, anew: bool) -> Result<Known> {
    let Said { token, request: _ } = said;
    let holder = match find_user(identity, &token.subject, anew).await? {
        Some(holder) => holder,
        None => first_login(identity, said).await?,
    };
    check_standing(&holder)?;
    let user = hear(identity, user_of(&holder)?, &holder.home, said).await?;
    let role = counting_role(&user, token);
    let acted = acted_in(identity, &holder, role, token, tenant).await?;
    check_tenant(&acted)?;
    let UserRow { id, scaikey_id, email, name, .. } = user;
    let caller = Caller {
        actor: Actor::User { id, scaikey_id, email, name },
        tenant: acted.id,
        assignments: assignments_in(&holder, role, &acted, identity.clock.now()),
        scopes: None,
        has_chosen_tenant: tenant.is_some(),
        decisions: Default::default(),
    };
    let requests_per_minute = Quotas::read(&acted.settings, Quotas::default()).requests_per_minute;
    Ok(Known { caller, rate_limit: None, requests_per_minute })
}

/// Makes a row for a user that the mirror does not know, in a tenant that it knows and that may act. What a later
/// statement of ScaiKey says of the user wins over all of it.
async fn first_login(identity: &Inner, Said { token, request }: Said<'_>) -> Result<Arc<Holder>> {
    let named = token.tenant.clone().ok_or_else(|| refused("Token names no tenant"))?;
    let tenant = find_tenant(identity, &Reference::ScaiKey(named), |_| true).await?;
    let tenant = tenant.ok_or_else(|| refused("Unknown tenant"))?;
    check_tenant(&tenant)?;
    let user = new_user(token, tenant.id, identity.clock.now());
    storage::within(async {
        let mut tx = identity.db.begin().await?;
        if directory::insert_user_if_absent(&mut tx, &user).await? {
            let entry = user_entry("user.create", &user, request, (Value::Null, described(&user)));
            storage::audit::append(&mut tx, None, &[entry]).await?;
        }
        tx.commit().await.map_err(StorageError::from)
    })
    .await?;
    let found = find_user(identity, &token.subject, true).await?;
    found.ok_or_else(|| Error::Internal(format!("user {} is not there after its first login", token.subject)))
}

fn new_user(token: &AccessToken, tenant: TenantId, now: time::OffsetDateTime) -> UserRow {
    let email = token.email.clone().unwrap_or_default();
    let fallback = if email.is_empty() { token.subject.clone() } else { email.chars().take(255).collect() };
    UserRow {
        id: UserId::new(),
        scaikey_id: token.subject.clone(),
        tenant,
        name: token.name.clone().unwrap_or(fallback),
        email,
        status: Standing::Active,
        admin_role: token.admin_role.unwrap_or(AdminRole::None),
        // a token says nothing of its user's standing: any statement that does is newer
        stated_at: time::OffsetDateTime::UNIX_EPOCH,
        admin_role_stated_at: token.admin_role.map_or(time::OffsetDateTime::UNIX_EPOCH, |_| token.issued_at),
        created_at: now,
        updated_at: now,
    }
}

/// Takes the token's statement of the admin role into the mirror, if it is one and none newer is there.
async fn hear(identity: &Inner, user: &UserRow, home: &TenantRow, said: Said<'_>) -> Result<UserRow> {
    let Said { token, request } = said;
    let Some(role) = token.admin_role.filter(|role| is_news(user, home, token, *role)) else {
        return Ok(user.clone());
    };
    let heard = storage::within(async {
        let mut tx = revocations::begin(&identity.db).await?;
        let Some(before) = directory::user_for_update(&mut tx, &user.scaikey_id).await? else {
            return Ok(user.clone());
        };
        if !is_news(&before, home, token, role) {
            return Ok(before);
        }
        let now = identity.clock.now();
        let after =
            UserRow { admin_role: role, admin_role_stated_at: token.issued_at, updated_at: now, ..before.clone() };
        directory::state_admin_role(&mut tx, &before, role, token.issued_at, now).await?;
        if after.admin_role != before.admin_role {
            let entry = user_entry("user.update", &after, request, (described(&before), described(&after)));
            storage::audit::append(&mut tx, None, &[entry]).await?;
        }
        identity.watch.revoke(&tx.commit().await?);
        Ok(after)
    })
    .await?;
    // what is remembered has an older stamp and would be asked about at each request
    identity.users.forget(&user.scaikey_id);
    // what the user is called and where it belongs is as it was read; only the role was heard
    Ok(UserRow { admin_role: heard.admin_role, admin_role_stated_at: heard.admin_role_stated_at, ..user.clone() })
}

/// Whether the statement counts. One about another tenant than the user's says nothing of this one, and a tenant's
/// issuer says nothing of the roles above tenants.
fn is_news(user: &UserRow, home: &TenantRow, token: &AccessToken, role: AdminRole) -> bool {
    let above_tenants = |role| matches!(role, AdminRole::PartnerAdmin | AdminRole::SuperAdmin);
    let of_home = token.tenant.as_ref().is_none_or(|tenant| *tenant == home.scaikey_id);
    let may_speak = match token.issuer {
        Issuer::Platform => of_home || above_tenants(role),
        Issuer::Tenant => of_home && !above_tenants(role) && !above_tenants(user.admin_role),
    };
    let is_newer = token.issued_at > user.admin_role_stated_at;
    let differs = role != user.admin_role && token.issued_at == user.admin_role_stated_at;
    may_speak && (is_newer || differs)
}

/// The mirror's role; but under a tenant's issuer nothing above the tenant.
fn counting_role(user: &UserRow, token: &AccessToken) -> AdminRole {
    match (token.issuer, user.admin_role) {
        (Issuer::Tenant, AdminRole::PartnerAdmin | AdminRole::SuperAdmin) => match token.admin_role {
            Some(AdminRole::TenantAdmin) => AdminRole::TenantAdmin,
            _ => AdminRole::None,
        },
        (_, role) => role,
    }
}

/// The tenant acted in: the header's, else the token's, else the user's own.
async fn acted_in(
    identity: &Inner,
    holder: &Holder,
    role: AdminRole,
    token: &AccessToken,
    header: Option<&str>,
) -> Result<TenantRow> {
    let home = &holder.home;
    let in_reach = |tenant: &TenantRow| may_act_in(holder, role, tenant);
    let claimed = match &token.tenant {
        Some(id) if *id != home.scaikey_id => {
            let tenant = find_tenant(identity, &Reference::ScaiKey(id.clone()), in_reach).await?;
            let tenant = tenant.ok_or_else(|| refused("Unknown tenant"))?;
            // a token speaks for another tenant for a partner's admin alone; a role held here needs the header
            if role != AdminRole::PartnerAdmin || !reaches(home, role, &tenant) {
                return Err(refused("Token is for another tenant than its user's"));
            }
            tenant
        }
        _ => home.clone(),
    };
    let Some(header) = header else { return Ok(claimed) };
    let absent = || Error::NotFound("Tenant");
    let reference = Reference::parse(header).ok_or_else(absent)?;
    let named = match &reference {
        Reference::Ours(id) if *id == home.id => home.clone(),
        Reference::ScaiKey(id) if *id == home.scaikey_id => home.clone(),
        _ => find_tenant(identity, &reference, in_reach).await?.ok_or_else(absent)?,
    };
    if in_reach(&named) { Ok(named) } else { Err(absent()) }
}

/// Remembered or, if that is not to count or there is nothing, looked up.
async fn find_user(identity: &Inner, scaikey_id: &str, anew: bool) -> Result<Option<Arc<Holder>>> {
    let id = scaikey_id.to_owned();
    let look = async {
        let found = directory::user_by_scaikey_id(&identity.db, scaikey_id).await?;
        Ok(found.map(|holder| (id.clone(), holder)))
    };
    identity.users.find(std::slice::from_ref(&id), |_| !anew, look).await
}

/// Remembered or looked up. One that may not act, or not be acted in, is looked up.
async fn find_tenant(
    identity: &Inner,
    reference: &Reference<TenantId>,
    may_be_acted_in: impl Fn(&TenantRow) -> bool,
) -> Result<Option<TenantRow>> {
    let suffices = |tenant: &TenantRow| check_tenant(tenant).is_ok() && may_be_acted_in(tenant);
    let look = async {
        let found = directory::tenant(&identity.db, reference).await?;
        Ok(found.map(|tenant| (reference.clone(), tenant)))
    };
    let found = identity.tenants.find(std::slice::from_ref(reference), suffices, look).await?;
    Ok(found.map(|tenant| TenantRow::clone(&tenant)))
}

fn user_of(holder: &Holder) -> Result<&UserRow> {
    match &holder.kind {
        HolderKind::User(user) => Ok(user),
        HolderKind::Group(group) => Err(Error::Internal(format!("group {} was found as a user", group.id))),
    }
}

/// The user itself is the actor: its login is what changed the mirror.
fn user_entry(
    action: &str,
    user: &UserRow,
    request: &RequestInfo,
    change: (Value, Value),
) -> storage::audit::AuditEntry {
    let actor = ActorRecord {
        actor_type: "user".into(),
        actor_id: user.scaikey_id.clone(),
        actor_email: Some(user.email.clone()),
        name: user.name.clone(),
    };
    let resource = Resource { resource_type: "user", id: Some(user.id.to_string()), name: Some(user.email.clone()) };
    entry(&actor, request, Some(user.tenant), action, resource, change, user.updated_at)
}

fn described(user: &UserRow) -> Value {
    json!({ "email": user.email, "name": user.name, "status": user.status, "admin_role": user.admin_role.as_str() })
}

fn refused(message: &str) -> Error {
    Error::Unauthenticated(message.to_owned())
}
