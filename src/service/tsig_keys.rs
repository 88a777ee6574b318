//! TSIG keys: made, listed, deleted. ScaiDNS remembers what they are called, PowerDNS has the secrets.
//!
//! The row of a key that is being made or deleted is the intent. Whoever dies over it leaves it in that state, and
//! [`settle`] ends it: a key that was being made is taken back, since nobody was told its secret; one that was being
//! deleted is deleted. Both calls may be repeated. A call that lands after all that makes a key that no zone names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore as _;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use time::Duration;

use crate::authz::{Permission, TenantAccess, Visibility, decide, decide_tenant};
use crate::dns::key_name;
use crate::ids::TsigKeyId;
use crate::pdns::PdnsError;
use crate::storage::directory::{self, Reference};
use crate::storage::tsig_keys::{self, TsigKeyCursor, TsigKeyRow};
use crate::storage::{secondary_zones, within, within_write};

use super::audit::{self, Resource};
use super::context::ActorRecord;
use super::{Context, Error, PageRequest, Result, Services};

/// Keys of one tenant: one for each pair of servers is plenty.
const KEYS_MAX: u32 = 100;
/// Names are for people.
const NAME_CHARACTERS_MAX: usize = 255;
/// The longest secret that a foreign server may have made.
const SECRET_OCTETS_MAX: usize = 512;
/// Algorithms (RFC 8945 section 6) with the octets of a secret that is as long as the hash. MD5 is left out.
const ALGORITHMS: &[(&str, usize)] =
    &[("hmac-sha256", 32), ("hmac-sha384", 48), ("hmac-sha512", 64), ("hmac-sha224", 28), ("hmac-sha1", 20)];
/// Letters before the tenant's name in a key's own name: 80 random bits.
const RANDOM_CHARACTERS: usize = 16;
/// An intent that is older than this is nobody's any more: calls end after ten seconds.
const GIVEN_UP_AFTER: Duration = Duration::seconds(60);

/// A key to be made.
pub struct NewTsigKey {
    pub name: String,
    pub algorithm: Option<String>,
    /// Of a foreign server's key; where absent, one is made.
    pub secret: Option<SecretString>,
}

/// A key as it was made: the one time that its secret is shown.
pub struct CreatedTsigKey {
    pub key: TsigKeyRow,
    pub secret: SecretString,
}

/// One page of keys.
pub struct TsigKeyPage {
    pub keys: Vec<TsigKeyRow>,
    pub total: u64,
    pub next: Option<TsigKeyCursor>,
}

pub async fn list(
    services: &Services,
    context: &Context,
    page: PageRequest,
    after: Option<TsigKeyCursor>,
) -> Result<TsigKeyPage> {
    let access = decide_tenant(&context.caller, Permission::DomainsRead)?;
    let offset = if after.is_some() { 0 } else { page.offset() };
    let found = tsig_keys::list(&services.db, &access, after.as_ref(), (offset, page.page_size + 1));
    let (mut keys, total) = within(found).await?;
    let more = keys.len() > page.page_size as usize;
    keys.truncate(page.page_size as usize);
    let next = keys.last().filter(|_| more).map(|key| TsigKeyCursor { name: key.name.clone(), id: key.id });
    Ok(TsigKeyPage { keys, total, next })
}

pub async fn get(services: &Services, context: &Context, id: TsigKeyId) -> Result<TsigKeyRow> {
    load(services, context, id, Permission::DomainsRead).await
}

pub async fn create(services: &Services, context: &Context, wanted: NewTsigKey) -> Result<CreatedTsigKey> {
    let access = decide_tenant(&context.caller, Permission::DomainsCreate)?;
    let (key, secret) = checked(services, &access, wanted).await?;
    let begun = within_write(tsig_keys::begin(&services.db, &access, &key, KEYS_MAX)).await;
    match begun {
        Ok(true) => {}
        Ok(false) => {
            let message = format!("This tenant has {KEYS_MAX} TSIG keys already");
            return Err(Error::Forbidden { message, code: "quota_exceeded" });
        }
        Err(error) if error.is_duplicate_of("tsig_keys_key_name") => return Err(in_use()),
        Err(error) => return Err(error.into()),
    }
    match services.pdns.create_tsig_key(&key.key_name, &key.algorithm, &secret).await {
        Ok(true) => {}
        Ok(false) => {
            within_write(tsig_keys::give_up(&services.db, key.id)).await?;
            return Err(in_use());
        }
        // it cannot have been made; whatever else happened, the row stays until it is settled
        Err(error @ (PdnsError::NotSent(_) | PdnsError::Busy)) => {
            within_write(tsig_keys::give_up(&services.db, key.id)).await?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    }
    let entry = entry(services, context, &key, "tsig_key.create", (Value::Null, described(&key)));
    if !within_write(tsig_keys::complete(&services.db, key.id, &entry)).await? {
        return Err(Error::unavailable("The key was not made in time"));
    }
    Ok(CreatedTsigKey { key, secret })
}

pub async fn delete(services: &Services, context: &Context, id: TsigKeyId) -> Result<()> {
    let key = load(services, context, id, Permission::DomainsDelete).await?;
    let entry = entry(services, context, &key, "tsig_key.delete", (described(&key), Value::Null));
    let now = services.clock.now();
    let begun = within_write(async {
        let mut tx = services.db.begin().await?;
        let begun = tsig_keys::begin_end(&mut tx, id, &entry, now).await?;
        let user = secondary_zones::user_of_key(&mut tx, key.tenant, id).await?;
        if user.is_none() {
            tx.commit().await?;
        }
        Ok((begun, user))
    });
    match begun.await? {
        (_, Some(zone)) => {
            let message = format!("The key is in use by {zone}");
            return Err(Error::conflict("tsig_key_in_use", message));
        }
        (false, None) => return Err(Error::NotFound("TSIG key")),
        (true, None) => {}
    }
    // from here on it goes, whatever becomes of this request
    services.pdns.delete_tsig_key(&key.key_name).await?;
    Ok(within_write(tsig_keys::end(&services.db, id)).await?)
}

/// Ends what others have left half done; how many.
pub async fn settle(services: &Services) -> Result<u64> {
    const KEYS_PER_RUN: u32 = 50; // a call each; the next run goes on
    let before = services.clock.now() - GIVEN_UP_AFTER;
    let unsettled = within(tsig_keys::unsettled(&services.db, before, KEYS_PER_RUN)).await?;
    let mut settled = 0;
    for TsigKeyRow { id, key_name, .. } in unsettled {
        let end = async {
            services.pdns.delete_tsig_key(&key_name).await?;
            Ok::<_, Error>(within_write(tsig_keys::end(&services.db, id)).await?)
        };
        match end.await {
            Ok(()) => settled += 1,
            // one key that cannot be removed now must not hold up the others
            Err(error) => tracing::warn!(%id, %error, "a key that was left half done could not be removed yet"),
        }
    }
    Ok(settled)
}

async fn load(services: &Services, context: &Context, id: TsigKeyId, permission: Permission) -> Result<TsigKeyRow> {
    let visible = Visibility::of_lookup(&context.caller);
    let key = within(tsig_keys::find(&services.db, &visible, id)).await?.ok_or(Error::NotFound("TSIG key"))?;
    decide(&context.caller, permission, crate::authz::Target::Tenant(key.tenant))?;
    Ok(key)
}

async fn checked(services: &Services, access: &TenantAccess, wanted: NewTsigKey) -> Result<(TsigKeyRow, SecretString)> {
    let NewTsigKey { name, algorithm, secret } = wanted;
    let algorithm = algorithm.as_deref().unwrap_or(ALGORITHMS[0].0);
    let Some((algorithm, octets)) = ALGORITHMS.iter().find(|(known, _)| *known == algorithm) else {
        let known: Vec<&str> = ALGORITHMS.iter().map(|(known, _)| *known).collect();
        return Err(Error::invalid("algorithm", format!("must be one of {}", known.join(", "))));
    };
    if name.is_empty() || name.chars().count() > NAME_CHARACTERS_MAX {
        let message = format!("must have 1 to {NAME_CHARACTERS_MAX} characters");
        return Err(Error::schema(&["body", "name"], message));
    }
    // a foreign key is called what the other side calls it; one of our own has a name that nobody else can have
    let foreign = key_name(&name).map_err(|error| Error::invalid("name", error.message));
    let (key_name, secret) = match secret {
        Some(secret) => (foreign?, checked_secret(secret)?),
        None => (own_name(services, access).await?, made_secret(*octets)),
    };
    let name = foreign_or_given(&name)?;
    let key = TsigKeyRow {
        id: TsigKeyId::new(),
        tenant: access.tenant(),
        name,
        key_name,
        algorithm: (*algorithm).to_owned(),
        created_at: services.clock.now(),
    };
    Ok((key, secret))
}

/// What people call it: printable ASCII.
fn foreign_or_given(name: &str) -> Result<String> {
    if name.bytes().any(|byte| !(byte.is_ascii_graphic() || byte == b' ')) {
        return Err(Error::invalid("name", "must have printable ASCII characters only"));
    }
    Ok(name.to_owned())
}

fn checked_secret(secret: SecretString) -> Result<SecretString> {
    let octets = STANDARD.decode(secret.expose_secret().trim()).map(|octets| octets.len()).unwrap_or_default();
    if !(1..=SECRET_OCTETS_MAX).contains(&octets) {
        return Err(Error::invalid("secret", format!("must be base64 of 1 to {SECRET_OCTETS_MAX} octets")));
    }
    Ok(secret.expose_secret().trim().into())
}

fn made_secret(octets: usize) -> SecretString {
    let mut secret = vec![0; octets];
    rand::rng().fill_bytes(&mut secret);
    STANDARD.encode(secret).into()
}

async fn own_name(services: &Services, access: &TenantAccess) -> Result<String> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let reference = Reference::Ours(access.tenant());
    let tenant = within(directory::tenant(&services.db, &reference)).await?.ok_or(Error::NotFound("Tenant"))?;
    let mut random = [0; RANDOM_CHARACTERS];
    rand::rng().fill_bytes(&mut random);
    let random: String = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect();
    key_name(&format!("{random}.{}", tenant.slug)).map_err(|error| Error::Internal(error.message))
}

fn in_use() -> Error {
    Error::conflict("tsig_key_exists", "A TSIG key of this name is in use on this platform")
}

fn described(key: &TsigKeyRow) -> Value {
    json!({ "name": key.name, "key_name": format!("{}.", key.key_name), "algorithm": key.algorithm })
}

fn entry(
    services: &Services,
    context: &Context,
    key: &TsigKeyRow,
    action: &str,
    values: (Value, Value),
) -> crate::storage::audit::AuditEntry {
    let actor = ActorRecord::from(&context.caller.actor);
    let resource = Resource { resource_type: "tsig_key", id: Some(key.id.to_string()), name: Some(key.name.clone()) };
    audit::entry(&actor, &context.request, Some(key.tenant), action, resource, values, services.clock.now())
}
