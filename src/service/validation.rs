//! Proving that a name is one's own: a challenge, published by the tenant where the name is served today, looked up at
//! its authoritative servers.

use rand::RngCore;
use serde_json::{Value, json};

use crate::authz::{self, Caller, Permission, Target, Visibility, ZoneAccess};
use crate::dns::{ZoneName, reverse};
use crate::ids::{ValidationId, ZoneId};
use crate::resolve::{CHALLENGE_LABEL, DelegationOutcome, ProofOutcome};
use crate::storage::validations::{self, ValidationRow};
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{audit as audit_log, within};
use crate::tenancy::ZoneStatus;

use super::audit;
use super::context::ActorRecord;
use super::platform::PlatformSettings;
use super::zones::{go_live, load, may_skip_proof, zone_resource};
use super::{Context, Error, RequestInfo, Result, Services};

/// A TXT record where the domain is served today.
pub const TXT_RECORD: &str = "txt_record";
/// A delegation to the platform that names this very claim; offered if `VALIDATION_NAMESERVERS_TYPE` says so.
pub const NAMESERVERS: &str = "nameservers";

const PRIVATE_NETWORK: &str =
    "A reverse zone of a private network cannot be proven; it takes somebody who needs no proof";

/// What a look brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    pub is_valid: bool,
    pub message: String,
    pub validation: Option<ValidationId>,
}

impl CheckResult {
    fn not_yet(message: impl Into<String>, validation: Option<ValidationId>) -> Self {
        Self { is_valid: false, message: message.into(), validation }
    }

    fn proven(validation: Option<ValidationId>) -> Self {
        Self { is_valid: true, message: "Domain validated".into(), validation }
    }
}

/// A record that is to be published.
pub struct ChallengeRecord {
    pub name: String,
    pub record_type: &'static str,
    pub value: String,
}

/// What is to be published: a TXT record in the domain, or one of the domain's NS records at its parent.
pub fn dns_record(nameservers: &[String], zone: &ZoneRow, row: &ValidationRow) -> ChallengeRecord {
    let value = expected(nameservers, row);
    match row.validation_type.as_str() {
        NAMESERVERS => ChallengeRecord { name: zone.name.as_str().to_owned(), record_type: "NS", value },
        _ => ChallengeRecord { name: format!("{CHALLENGE_LABEL}.{}", zone.name), record_type: "TXT", value },
    }
}

fn expected(nameservers: &[String], row: &ValidationRow) -> String {
    let challenge = &row.challenge_value;
    match (row.validation_type.as_str(), nameservers.first()) {
        (NAMESERVERS, Some(first)) => format!("{challenge}.{first}"),
        _ => format!("scaidns-verify={challenge}"),
    }
}

/// A challenge about to be made: 128 random bits of its own.
pub fn new_challenge(
    services: &Services,
    platform: &PlatformSettings,
    zone: ZoneId,
    validation_type: &'static str,
) -> ValidationRow {
    let mut value = [0u8; 16];
    rand::rng().fill_bytes(&mut value);
    let now = services.clock.now();
    ValidationRow {
        id: ValidationId::new(),
        zone,
        validation_type: validation_type.to_owned(),
        status: "pending".to_owned(),
        challenge_value: hex::encode(value),
        expires_at: now + platform.terms.validation_expiry,
        created_at: now,
    }
}

/// The newest challenge that can still be checked.
pub async fn get(services: &Services, context: &Context, zone: ZoneId) -> Result<(ZoneRow, Option<ValidationRow>)> {
    let (row, access) = load(services, context, zone, Permission::DomainsRead).await?;
    if row.status != ZoneStatus::PendingValidation {
        return Ok((row, None));
    }
    let open = within(validations::open(&services.db, &access)).await?;
    let open = open.filter(|open| open.expires_at > services.clock.now());
    Ok((row, open))
}

/// Makes a new challenge; the one before is superseded.
pub async fn start(
    services: &Services,
    context: &Context,
    zone: ZoneId,
    validation_type: &str,
) -> Result<(ZoneRow, ValidationRow)> {
    let (_, access) = load(services, context, zone, Permission::DomainsUpdate).await?;
    let offers_nameservers = services.config.validation.nameservers_type;
    let validation_type = match validation_type {
        TXT_RECORD => TXT_RECORD,
        NAMESERVERS if offers_nameservers => NAMESERVERS,
        NAMESERVERS => return Err(Error::invalid("validation_type", "the type nameservers is not enabled here")),
        _ => {
            let offered =
                if offers_nameservers { "there are txt_record and nameservers" } else { "there is txt_record" };
            return Err(Error::invalid("validation_type", format!("unknown validation type; {offered}")));
        }
    };
    let platform = services.platform.settings().await?;
    let challenge = new_challenge(services, &platform, zone, validation_type);
    let mut tx = services.db.begin().await?;
    let row = zones::lock(&mut tx, access.zone().id).await?.ok_or(Error::NotFound("Domain"))?;
    if row.status != ZoneStatus::PendingValidation {
        return Err(Error::conflict("domain_validated", "The domain is validated already"));
    }
    validations::supersede(&mut tx, &challenge).await?;
    let after = json!({ "validation_id": challenge.id, "validation_type": challenge.validation_type });
    record(services, context, &row, "domain.validation.start", (Value::Null, after), &mut tx).await?;
    tx.commit().await.map_err(crate::storage::StorageError::from)?;
    Ok((row, challenge))
}

/// Ends the open challenge.
pub async fn cancel(services: &Services, context: &Context, zone: ZoneId) -> Result<()> {
    let (_, access) = load(services, context, zone, Permission::DomainsUpdate).await?;
    let open = within(validations::open(&services.db, &access)).await?.ok_or(Error::NotFound("Validation"))?;
    let mut tx = services.db.begin().await?;
    let row = zones::lock(&mut tx, access.zone().id).await?.ok_or(Error::NotFound("Domain"))?;
    if !validations::set_status(&mut tx, open.id, "cancelled", services.clock.now()).await? {
        return Err(Error::NotFound("Validation"));
    }
    let values = (json!({ "status": open.status }), json!({ "status": "cancelled", "validation_id": open.id }));
    record(services, context, &row, "domain.validation.cancel", values, &mut tx).await?;
    tx.commit().await.map_err(crate::storage::StorageError::from)?;
    Ok(())
}

/// Looks whether the challenge is published; if so, the zone goes live. Safe to repeat, in parallel or after a crash.
///
/// `force_transfer`: the platform's admin has decided that this claim, once proven, takes the name from the tenant
/// whose zone of it is live.
pub async fn check(services: &Services, context: &Context, zone: ZoneId, force_transfer: bool) -> Result<CheckResult> {
    let checked = try_check(services, context, zone, force_transfer).await;
    let result = match &checked {
        Ok(CheckResult { is_valid: true, .. }) => "valid",
        Ok(_) => "invalid",
        Err(_) => "error",
    };
    metrics::counter!("scaidns_validation_checks_total", "result" => result).increment(1);
    checked
}

async fn try_check(services: &Services, context: &Context, zone: ZoneId, force_transfer: bool) -> Result<CheckResult> {
    if force_transfer {
        authz::decide(&context.caller, Permission::PlatformManage, Target::Platform)?;
    }
    let (row, access) = load(services, context, zone, Permission::DomainsUpdate).await?;
    match row.status {
        ZoneStatus::Active => return Ok(CheckResult::proven(None)),
        ZoneStatus::Inactive | ZoneStatus::Deleted => {
            return Err(Error::conflict("domain_inactive", "The domain is withdrawn"));
        }
        ZoneStatus::PendingValidation => {}
    }
    if may_skip_proof(services, context, &row).await? {
        go_live(services, context, &row, access, None, false).await?;
        return Ok(CheckResult::proven(None));
    }
    if is_private_network(&row.name) {
        return Ok(CheckResult::not_yet(PRIVATE_NETWORK, None));
    }
    let Some(open) = within(validations::open(&services.db, &access)).await? else {
        let latest = within(validations::latest(&services.db, &access)).await?;
        return Ok(match latest.filter(|latest| latest.status == "expired") {
            Some(expired) => CheckResult::not_yet("Challenge expired", Some(expired.id)),
            None => CheckResult::not_yet("No pending challenge", None),
        });
    };
    if open.expires_at <= services.clock.now() {
        end(services, context, &row, &open, (&open.status, "expired")).await?;
        return Ok(CheckResult::not_yet("Challenge expired", Some(open.id)));
    }
    look(services, context, &row, access, &open, force_transfer).await
}

/// A reverse zone of addresses that everybody has: nobody can prove it, whatever some server says.
fn is_private_network(name: &ZoneName) -> bool {
    reverse::zone_named(name).is_some_and(|zone| reverse::is_private(&zone.network))
}

async fn look(
    services: &Services,
    context: &Context,
    row: &ZoneRow,
    access: ZoneAccess,
    open: &ValidationRow,
    force_transfer: bool,
) -> Result<CheckResult> {
    begin(services, context, row, open).await?;
    let platform = services.platform.settings().await?;
    if let Err(message) = published(services, &platform.nameservers.names, row, open).await {
        end(services, context, row, open, ("verifying", "failed")).await?;
        return Ok(CheckResult::not_yet(message, Some(open.id)));
    }
    go_live(services, context, row, access, Some(open.id), force_transfer).await?;
    Ok(CheckResult::proven(Some(open.id)))
}

/// Whether the DNS shows what the challenge asks for; if not, what is to be said of it.
async fn published(
    services: &Services,
    nameservers: &[String],
    row: &ZoneRow,
    open: &ValidationRow,
) -> std::result::Result<(), String> {
    let (name, expected) = (row.name.as_str(), expected(nameservers, open));
    if open.validation_type == NAMESERVERS {
        let wanted = wanted_nameservers(nameservers, &expected);
        let outcome = services.resolve.delegation_proof(name, &wanted).await;
        return if outcome == DelegationOutcome::Proven { Ok(()) } else { Err(outcome.message(name)) };
    }
    let outcome = services.resolve.txt_proof(name, &expected).await;
    if outcome == ProofOutcome::Proven { Ok(()) } else { Err(outcome.message(name, &expected)) }
}

/// What the parent's NS set must hold: the platform's nameservers, and the name that was made for this claim.
fn wanted_nameservers(nameservers: &[String], own: &str) -> Vec<String> {
    nameservers.iter().cloned().chain([own.to_owned()]).collect()
}

/// A look begins; one that is never heard of again can be repeated like any other.
async fn begin(services: &Services, context: &Context, row: &ZoneRow, open: &ValidationRow) -> Result<()> {
    let mut tx = services.db.begin().await?;
    let locked = zones::lock(&mut tx, row.id).await?.ok_or(Error::NotFound("Domain"))?;
    if validations::set_status(&mut tx, open.id, "verifying", services.clock.now()).await? {
        let values = (json!({ "status": open.status }), json!({ "status": "verifying", "validation_id": open.id }));
        record(services, context, &locked, "domain.validation.check", values, &mut tx).await?;
    }
    tx.commit().await.map_err(crate::storage::StorageError::from)?;
    Ok(())
}

/// Ends challenges whose time is over; how many were.
pub async fn expire(services: &Services) -> Result<u64> {
    const CHALLENGES_PER_RUN: u32 = 200; // two statements and a commit each; the next run goes on
    let overdue = within(validations::overdue(&services.db, services.clock.now(), CHALLENGES_PER_RUN)).await?;
    let mut ended = 0;
    for open in overdue {
        let Some(row) = within(zones::find(&services.db, &Visibility::system(), open.zone)).await? else { continue };
        let context = Context { caller: Caller::system("expiry", row.tenant), request: RequestInfo::none() };
        match end(services, &context, &row, &open, (&open.status, "expired")).await {
            Ok(()) => ended += 1,
            // one challenge that cannot be ended now must not hold up the others
            Err(error) => tracing::warn!(zone = %row.name, %error, "a challenge could not be ended yet"),
        }
    }
    Ok(ended)
}

/// A look that brought nothing. A challenge that was superseded or proven meanwhile stays as it is.
async fn end(
    services: &Services,
    context: &Context,
    row: &ZoneRow,
    open: &ValidationRow,
    (before, status): (&str, &str),
) -> Result<()> {
    let mut tx = services.db.begin().await?;
    let locked = zones::lock(&mut tx, row.id).await?.ok_or(Error::NotFound("Domain"))?;
    if validations::set_status(&mut tx, open.id, status, services.clock.now()).await? {
        let values = (json!({ "status": before }), json!({ "status": status, "validation_id": open.id }));
        record(services, context, &locked, "domain.validation.failure", values, &mut tx).await?;
    }
    tx.commit().await.map_err(crate::storage::StorageError::from)?;
    Ok(())
}

async fn record(
    services: &Services,
    context: &Context,
    row: &ZoneRow,
    action: &str,
    values: (Value, Value),
    tx: &mut sqlx::Transaction<'static, sqlx::MySql>,
) -> Result<()> {
    let actor = ActorRecord::from(&context.caller.actor);
    let resource = zone_resource(row.id, &row.name);
    let now = services.clock.now();
    let entry = audit::entry(&actor, &context.request, Some(row.tenant), action, resource, values, now);
    audit_log::append(tx, None, &[entry]).await?;
    Ok(())
}
