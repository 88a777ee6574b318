//! API keys: making, changing, ending them. Every change and its audit entry are one transaction.

pub mod input;
pub(super) mod source;

use secrecy::SecretString;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::authz::{Permission, PermissionSet, Visibility, decide_tenant};
use crate::ids::{ApiKeyId, TenantId};
use crate::storage::api_keys::{AllowedNetwork, ApiKeyRow, KeysOf};
use crate::storage::audit::AuditEntry;
use crate::storage::directory::{self, Holder, Reference, TenantRow};
use crate::storage::{self, StorageError, api_keys as store, revocations};
use crate::tenancy::Quotas;

use super::audit::{Resource, entry};
use super::identity::rights::{admin_role, assignments_in, check_standing, held_anywhere};
use super::identity::secret::NewSecret;
use super::quotas;
use super::{ActorRecord, Context, Error, PageRequest, RequestInfo, Result, Services};
use source::{Asker, found, scaikey_id_of, source_of};

pub use source::{SourceReference, key_id, key_not_accepted};

/// What is asked of a new key.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    pub name: String,
    pub description: Option<String>,
    pub source: SourceReference,
    pub scopes: Option<Vec<String>>,
    pub rate_limit: Option<u32>,
    pub ip_whitelist: Vec<String>,
    pub expires_at: Option<OffsetDateTime>,
}

/// What is to change; the outer None leaves a field as it is, the inner one empties it.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyPatch {
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub rate_limit: Option<Option<u32>>,
    pub ip_whitelist: Option<Option<Vec<String>>>,
    pub expires_at: Option<Option<OffsetDateTime>>,
}

/// A key and its secret, which is never told again.
pub struct IssuedKey {
    pub key: ApiKeyRow,
    /// None: shown before, in an answer that was lost.
    pub secret: Option<SecretString>,
}

/// One page of keys.
pub struct KeyPage {
    pub keys: Vec<ApiKeyRow>,
    pub total: u64,
    /// There is another page behind this one.
    pub more: bool,
}

/// The keys that the caller and its groups own, or all of the tenant for who may read them; by name.
pub async fn list(
    services: &Services,
    context: &Context,
    include_revoked: bool,
    page: PageRequest,
    after: Option<(String, ApiKeyId)>,
) -> Result<KeyPage> {
    let asker = Asker::load(&services.db, &context.caller).await?;
    let of = match decide_tenant(&context.caller, Permission::ApiKeysRead) {
        Ok(access) => KeysOf::Tenant(access),
        Err(_) => KeysOf::Owners { tenant: context.caller.tenant, user: asker.user, groups: asker.groups() },
    };
    let offset = if after.is_some() { 0 } else { page.offset() };
    let after = after.as_ref().map(|(name, id)| (name.as_str(), *id));
    let look = store::list(&services.db, &of, include_revoked, after, (offset, page.page_size + 1));
    let (mut keys, total) = storage::within(look).await?;
    let more = keys.len() > page.page_size as usize;
    keys.truncate(page.page_size as usize);
    Ok(KeyPage { keys, total, more })
}

pub async fn get(services: &Services, context: &Context, id: ApiKeyId) -> Result<ApiKeyRow> {
    let asker = Asker::load(&services.db, &context.caller).await?;
    let visible = Visibility::of_lookup(&context.caller);
    let key = found(storage::within(store::find(&services.db, &visible, id)).await?)?;
    asker.check(&key, Permission::ApiKeysRead)?;
    Ok(key)
}

pub async fn create(services: &Services, context: &Context, wanted: NewApiKey) -> Result<IssuedKey> {
    let asker = Asker::load(&services.db, &context.caller).await?;
    let draft = Draft::check(wanted)?;
    let owner = asker.find(&services.db, &draft.source).await?;
    let tenant = tenant(services, context.caller.tenant).await?;
    let held = held_anywhere(&asker.may_issue(&owner, &tenant, services.clock.now())?);
    let by = By { actor: (&context.caller.actor).into(), request: &context.request };
    issue(services, draft, &owner, tenant.id, held, by).await
}

/// For the operator's command line: a key of any active user or group, in its own tenant.
pub async fn create_as_operator(services: &Services, wanted: NewApiKey) -> Result<IssuedKey> {
    let draft = Draft::check(wanted)?;
    let owner = source::find_holder(&services.db, &draft.source).await?.ok_or(Error::NotFound("Owner"))?;
    check_standing(&owner)?;
    let held = held_anywhere(&assignments_in(&owner, admin_role(&owner), &owner.home, services.clock.now()));
    let actor = ActorRecord::from(&crate::authz::Actor::System { name: "operator" });
    let by = By { actor, request: &RequestInfo::none() };
    issue(services, draft, &owner, owner.home.id, held, by).await
}

/// The owner that the operator names: an address, or an id of either kind.
pub async fn owner_of_operator(services: &Services, text: &str) -> Result<SourceReference> {
    if !text.contains('@') {
        let is_group = text.starts_with("grp_") || text.starts_with("g_");
        return SourceReference::parse(if is_group { "group" } else { "user" }, text);
    }
    let mut found = storage::within(directory::users_by_email(&services.db, text)).await?;
    match (found.pop(), found.pop()) {
        (Some(id), None) => Ok(SourceReference::User(Reference::ScaiKey(id))),
        (None, _) => Err(Error::NotFound("Owner")),
        (Some(_), Some(_)) => Err(Error::invalid("owner", "several users have this address; give an id")),
    }
}

pub async fn update(services: &Services, context: &Context, id: ApiKeyId, patch: ApiKeyPatch) -> Result<ApiKeyRow> {
    let change = Change::check(patch)?;
    if change.expires_at.is_some() {
        // it may bring an expired key back to life
        check_issuable(services, context, id).await?;
    }
    change_key(services, context, id, Permission::ApiKeysUpdate, "api_key.update", None, |key| {
        change.apply(key);
        Ok(())
    })
    .await
}

pub async fn revoke(services: &Services, context: &Context, id: ApiKeyId, reason: Option<String>) -> Result<ApiKeyRow> {
    let reason = input::reason(reason)?;
    change_key(services, context, id, Permission::ApiKeysUpdate, "api_key.revoke", reason, |key| {
        key.revoked = true;
        Ok(())
    })
    .await
}

/// Brings a revoked key back, by somebody who could make it.
pub async fn activate(services: &Services, context: &Context, id: ApiKeyId) -> Result<ApiKeyRow> {
    check_issuable(services, context, id).await?;
    change_key(services, context, id, Permission::ApiKeysUpdate, "api_key.activate", None, |key| {
        key.revoked = false;
        Ok(())
    })
    .await
}

/// Gives a key a new secret; the old one is dead at once.
pub async fn regenerate(services: &Services, context: &Context, id: ApiKeyId) -> Result<IssuedKey> {
    check_issuable(services, context, id).await?;
    let asker = Asker::load(&services.db, &context.caller).await?;
    let visible = Visibility::of_lookup(&context.caller);
    let by = By { actor: (&context.caller.actor).into(), request: &context.request };
    let NewSecret { secret, shown_prefix } = NewSecret::random();
    let hash = services.identity.peppers().newest(&secret).ok_or_else(no_pepper)?;
    let key = in_time(async {
        let mut tx = revocations::begin(&services.db).await?;
        let before = found(store::find_for_update(&mut tx, &visible, id).await?)?;
        asker.check(&before, Permission::ApiKeysUpdate)?;
        if before.revoked {
            return Err(Error::conflict("api_key_revoked", "The API key is revoked; activate it first"));
        }
        let after = ApiKeyRow { key_prefix: shown_prefix, updated_at: services.clock.now(), ..before.clone() };
        store::replace_secret(&mut tx, &after, &hash).await?;
        let entry = by.entry("api_key.regenerate", &after, (described(&before), described(&after)));
        storage::audit::append(&mut tx, None, &[entry]).await?;
        services.identity.forget(&tx.commit().await?);
        Ok(after)
    })
    .await?;
    Ok(IssuedKey { key, secret: Some(secret) })
}

/// Removes a key; the audit log remembers it.
pub async fn delete(services: &Services, context: &Context, id: ApiKeyId) -> Result<()> {
    let asker = Asker::load(&services.db, &context.caller).await?;
    let visible = Visibility::of_lookup(&context.caller);
    let by = By { actor: (&context.caller.actor).into(), request: &context.request };
    in_time(async {
        let mut tx = revocations::begin(&services.db).await?;
        let key = found(store::find_for_update(&mut tx, &visible, id).await?)?;
        asker.check(&key, Permission::ApiKeysDelete)?;
        store::delete(&mut tx, id).await?;
        let gone = ApiKeyRow { updated_at: services.clock.now(), ..key.clone() };
        let entry = by.entry("api_key.delete", &gone, (described(&key), Value::Null));
        storage::audit::append(&mut tx, None, &[entry]).await?;
        services.identity.forget(&tx.commit().await?);
        Ok(())
    })
    .await
}

/// A new key, checked as far as that needs no database.
struct Draft {
    name: String,
    description: Option<String>,
    source: SourceReference,
    scopes: Option<(Vec<String>, PermissionSet)>,
    rate_limit: Option<u32>,
    ip_whitelist: Vec<AllowedNetwork>,
    expires_at: Option<OffsetDateTime>,
}

impl Draft {
    fn check(wanted: NewApiKey) -> Result<Self> {
        let NewApiKey { name, description, source, scopes, rate_limit, ip_whitelist, expires_at } = wanted;
        Ok(Self {
            name: input::name(&name)?,
            description: input::description(description)?,
            source,
            scopes: input::scopes(scopes)?,
            rate_limit: input::rate_limit(rate_limit)?,
            ip_whitelist: input::networks(ip_whitelist)?,
            expires_at: input::expires_at(expires_at)?,
        })
    }
}

/// A patch, checked.
struct Change {
    name: Option<String>,
    description: Option<Option<String>>,
    rate_limit: Option<Option<u32>>,
    ip_whitelist: Option<Vec<AllowedNetwork>>,
    expires_at: Option<Option<OffsetDateTime>>,
}

impl Change {
    fn check(patch: ApiKeyPatch) -> Result<Self> {
        let ApiKeyPatch { name, description, rate_limit, ip_whitelist, expires_at } = patch;
        Ok(Self {
            name: name.map(|name| input::name(&name)).transpose()?,
            description: description.map(input::description).transpose()?,
            rate_limit: rate_limit.map(input::rate_limit).transpose()?,
            ip_whitelist: ip_whitelist.map(|list| input::networks(list.unwrap_or_default())).transpose()?,
            expires_at: expires_at.map(input::expires_at).transpose()?,
        })
    }

    fn apply(self, key: &mut ApiKeyRow) {
        let Self { name, description, rate_limit, ip_whitelist, expires_at } = self;
        key.name = name.unwrap_or_else(|| key.name.clone());
        key.description = description.unwrap_or_else(|| key.description.clone());
        key.rate_limit = rate_limit.unwrap_or(key.rate_limit);
        key.ip_whitelist = ip_whitelist.unwrap_or_else(|| key.ip_whitelist.clone());
        key.expires_at = expires_at.unwrap_or(key.expires_at);
    }
}

/// Who changes keys, and with which request.
struct By<'a> {
    actor: ActorRecord,
    request: &'a RequestInfo,
}

impl By<'_> {
    fn entry(&self, action: &str, key: &ApiKeyRow, change: (Value, Value)) -> AuditEntry {
        let resource =
            Resource { resource_type: "api_key", id: Some(key.id.to_string()), name: Some(key.name.clone()) };
        entry(&self.actor, self.request, Some(key.tenant), action, resource, change, key.updated_at)
    }
}

/// Writes a new key, within its source's permissions and its tenant's quota.
async fn issue(
    services: &Services,
    draft: Draft,
    owner: &Holder,
    tenant: TenantId,
    held: PermissionSet,
    by: By<'_>,
) -> Result<IssuedKey> {
    let Draft { name, description, source: _, scopes, rate_limit, ip_whitelist, expires_at } = draft;
    if scopes.as_ref().is_some_and(|(_, allowed)| !allowed.is_subset(held)) {
        let message = "The scopes go beyond the permissions of the key's source".into();
        return Err(Error::Forbidden { message, code: "scope_exceeds_source" });
    }
    let NewSecret { secret, shown_prefix } = NewSecret::random();
    let hash = services.identity.peppers().newest(&secret).ok_or_else(no_pepper)?;
    let now = services.clock.now();
    let key = ApiKeyRow {
        id: ApiKeyId(by.request.new_object()),
        tenant,
        name,
        description,
        key_prefix: shown_prefix,
        revoked: false,
        source: source_of(owner),
        source_scaikey_id: scaikey_id_of(owner).to_owned(),
        scopes: scopes.map(|(texts, _)| texts),
        rate_limit,
        ip_whitelist,
        expires_at,
        last_used_at: None,
        last_used_ip: None,
        use_count: 0,
        created_at: now,
        updated_at: now,
    };
    let usual = services.platform.settings().await?.terms.quotas;
    in_time(async {
        let mut tx = services.db.begin().await?;
        if by.request.is_repeated()
            && let Some(made) = store::find_for_update(&mut tx, &Visibility::system(), key.id).await?
        {
            // its secret went with the answer that was lost
            return Ok(IssuedKey { key: made, secret: None });
        }
        let (settings, count) = store::lock_and_count(&mut tx, tenant).await?;
        check_quota(&settings, usual, count)?;
        store::insert(&mut tx, &key, &hash).await?;
        let entry = by.entry("api_key.create", &key, (Value::Null, described(&key)));
        storage::audit::append(&mut tx, None, &[entry]).await?;
        tx.commit().await.map_err(StorageError::from)?;
        Ok(IssuedKey { key, secret: Some(secret) })
    })
    .await
}

/// One change of a key under its lock; what changes nothing is not recorded.
async fn change_key(
    services: &Services,
    context: &Context,
    id: ApiKeyId,
    permission: Permission,
    action: &str,
    reason: Option<String>,
    change: impl FnOnce(&mut ApiKeyRow) -> Result<()>,
) -> Result<ApiKeyRow> {
    let asker = Asker::load(&services.db, &context.caller).await?;
    let visible = Visibility::of_lookup(&context.caller);
    let by = By { actor: (&context.caller.actor).into(), request: &context.request };
    in_time(async {
        let mut tx = revocations::begin(&services.db).await?;
        let before = found(store::find_for_update(&mut tx, &visible, id).await?)?;
        asker.check(&before, permission)?;
        let mut after = before.clone();
        change(&mut after)?;
        if described(&after) == described(&before) {
            return Ok(before);
        }
        after.updated_at = services.clock.now();
        store::update(&mut tx, &after).await?;
        let mut described_after = described(&after);
        if let (Some(reason), Some(fields)) = (reason, described_after.as_object_mut()) {
            fields.insert("reason".into(), reason.into());
        }
        let entry = by.entry(action, &after, (described(&before), described_after));
        storage::audit::append(&mut tx, None, &[entry]).await?;
        services.identity.forget(&tx.commit().await?);
        Ok(after)
    })
    .await
}

/// Whether the caller could make this very key.
async fn check_issuable(services: &Services, context: &Context, id: ApiKeyId) -> Result<()> {
    let asker = Asker::load(&services.db, &context.caller).await?;
    let visible = Visibility::of_lookup(&context.caller);
    let key = found(storage::within(store::find(&services.db, &visible, id)).await?)?;
    asker.check(&key, Permission::ApiKeysUpdate)?;
    let owner = source::of_key(&services.db, &key).await?;
    check_standing(&owner)?;
    let tenant = tenant(services, key.tenant).await?;
    asker.may_issue(&owner, &tenant, services.clock.now())?;
    Ok(())
}

async fn tenant(services: &Services, id: TenantId) -> Result<TenantRow> {
    let found = storage::within(directory::tenant(&services.db, &Reference::Ours(id))).await?;
    found.ok_or(Error::NotFound("Tenant"))
}

fn check_quota(settings: &str, usual: Quotas, count: u64) -> Result<()> {
    let most = Quotas::read(settings, usual).max_api_keys;
    if count < u64::from(most) { Ok(()) } else { Err(quotas::exceeded("max_api_keys", most)) }
}

/// What the audit log keeps of a key: all but its uses, and nothing of its secret but the shown prefix.
fn described(key: &ApiKeyRow) -> Value {
    json!({
        "name": key.name,
        "description": key.description,
        "key_prefix": key.key_prefix,
        "status": if key.revoked { "revoked" } else { "active" },
        "permission_source": match key.source { store::Source::User(_) => "user", store::Source::Group(_) => "group" },
        "permission_source_id": key.source_scaikey_id,
        "scopes": key.scopes,
        "rate_limit": key.rate_limit,
        "ip_whitelist": key.ip_whitelist.iter().map(|network| &network.text).collect::<Vec<_>>(),
        "expires_at": key.expires_at.and_then(|at| at.format(&time::format_description::well_known::Rfc3339).ok()),
    })
}

/// Bounds a transaction as a look is bounded: a server that is stopped must not hold a request.
async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(storage::LOOK_TIMEOUT, work)
        .await
        .unwrap_or_else(|_| Err(Error::unavailable("The database does not answer in time")))
}

fn no_pepper() -> Error {
    Error::Internal("no pepper for api keys is configured".into())
}
