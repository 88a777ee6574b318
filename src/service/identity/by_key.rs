//! The caller behind an API key: what its owner holds at this moment, in the key's tenant, narrowed by its scopes.

use std::net::IpAddr;
use std::sync::Arc;

use time::OffsetDateTime;

use crate::authz::{Actor, Caller, PermissionSet};
use crate::storage::api_keys::{self, ApiKeyRow, PresentedKey, SecretHash};
use crate::storage::directory::HolderKind;
use crate::tenancy::Quotas;

use super::super::{Error, RequestInfo, Result};
use super::rights::{admin_role, check_standing, check_tenant, key_assignments_in, may_act_in};
use super::{Inner, Known, secret};

pub(super) async fn caller(identity: &Inner, secret: &str, request: &RequestInfo) -> Result<Known> {
    let from = request.ip_address;
    let presented = find(identity, secret, from).await?.ok_or_else(|| refused("API key is invalid"))?;
    let now = identity.clock.now();
    check(&presented, from, now)?;
    let caller = caller_of(&presented, now)?;
    identity.uses.count(&caller, request, now);
    let PresentedKey { key, tenant, owner: _ } = presented.as_ref();
    let requests_per_minute = Quotas::read(&tenant.settings, Quotas::default()).requests_per_minute;
    Ok(Known { caller, rate_limit: key.rate_limit, requests_per_minute })
}

/// Remembered or looked up. The rows are judged anew at each request: expiry and address are of the moment.
async fn find(identity: &Inner, secret: &str, from: Option<IpAddr>) -> Result<Option<Arc<PresentedKey>>> {
    if !secret::is_well_formed(secret) {
        return Ok(None);
    }
    let hashes: Vec<SecretHash> = identity.peppers.hashes(secret).collect();
    let suffices = |known: &PresentedKey| check(known, from, identity.clock.now()).is_ok();
    let look = async {
        for hash in &hashes {
            if let Some(found) = api_keys::by_secret(&identity.db, hash).await? {
                return Ok(Some((*hash, found)));
            }
        }
        Ok(None)
    };
    identity.keys.find(&hashes, suffices, look).await
}

/// Whether the key may be used at all, from here and now.
fn check(presented: &PresentedKey, from: Option<IpAddr>, now: OffsetDateTime) -> Result<()> {
    let PresentedKey { key, tenant, owner } = presented;
    if key.revoked {
        return Err(refused("API key is revoked"));
    }
    if key.expires_at.is_some_and(|at| at <= now) {
        return Err(refused("API key has expired"));
    }
    if !is_allowed_from(key, from) {
        let message = "API key cannot be used from this address".into();
        return Err(Error::Forbidden { message, code: "address_not_allowed" });
    }
    check_standing(owner)?;
    check_tenant(tenant)?;
    if !may_act_in(owner, admin_role(owner), tenant) {
        let message = "The owner of the API key may no longer act in its tenant".into();
        return Err(Error::Forbidden { message, code: "owner_out_of_reach" });
    }
    Ok(())
}

/// An empty list allows every address; an address that is not known is in no list.
fn is_allowed_from(key: &ApiKeyRow, from: Option<IpAddr>) -> bool {
    key.ip_whitelist.is_empty()
        || from.is_some_and(|address| key.ip_whitelist.iter().any(|allowed| allowed.network.contains(&address)))
}

fn caller_of(presented: &PresentedKey, now: OffsetDateTime) -> Result<Caller> {
    let PresentedKey { key, tenant, owner } = presented;
    let scopes = key.scopes.as_ref().map(|scopes| PermissionSet::parse(scopes.iter().map(String::as_str)));
    let scopes = scopes.transpose().map_err(|error| Error::Internal(format!("stored scope of {}: {error}", key.id)))?;
    let (owner_name, email) = match &owner.kind {
        HolderKind::User(user) => (user.name.clone(), Some(user.email.clone())),
        HolderKind::Group(group) => (group.name.clone(), None),
    };
    let actor =
        Actor::ApiKey { id: key.id, name: key.name.clone(), owner: key.source_scaikey_id.clone(), owner_name, email };
    Ok(Caller {
        actor,
        tenant: tenant.id,
        assignments: key_assignments_in(owner, tenant, now),
        scopes,
        has_chosen_tenant: false,
        decisions: Default::default(),
    })
}

fn refused(message: &str) -> Error {
    Error::Unauthenticated(message.to_owned())
}
