//! Proving that a name is one's own: a challenge, published by the tenant where the name is served today, looked up at
//! its authoritative servers.

use rand::RngCore;
use serde_json::{Value, json};

use crate::authz::{Permission, ZoneAccess};
use crate::ids::{ValidationId, ZoneId};
use crate::resolve::ProofOutcome;
use crate::storage::validations::{self, ValidationRow};
use crate::storage::zones::{self, ZoneRow};
use crate::storage::{audit as audit_log, within};
use crate::tenancy::ZoneStatus;

use super::audit;
use super::context::ActorRecord;
use super::zones::{go_live, load, may_skip_proof, zone_resource};
use super::{Context, Error, Result, Services};

/// The only type of proof offered.
pub const TXT_RECORD: &str = "txt_record";

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

/// What is to be published: owner name and value of the TXT record.
pub fn dns_record(zone: &ZoneRow, row: &ValidationRow) -> (String, String) {
    (format!("_scaidns-verify.{}", zone.name), expected(row))
}

fn expected(row: &ValidationRow) -> String {
    format!("scaidns-verify={}", row.challenge_value)
}

/// A challenge about to be made: 128 random bits of its own.
pub fn new_challenge(services: &Services, zone: ZoneId) -> ValidationRow {
    let mut value = [0u8; 16];
    rand::rng().fill_bytes(&mut value);
    let now = services.clock.now();
    ValidationRow {
        id: ValidationId::new(),
        zone,
        validation_type: TXT_RECORD.to_owned(),
        status: "pending".to_owned(),
        challenge_value: hex::encode(value),
        expires_at: now + services.config.validation.expiry,
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
    match validation_type {
        TXT_RECORD => {}
        "nameservers" => return Err(Error::invalid("validation_type", "the type nameservers is not enabled here")),
        _ => return Err(Error::invalid("validation_type", "unknown validation type; there is txt_record")),
    }
    let challenge = new_challenge(services, zone);
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
pub async fn check(services: &Services, context: &Context, zone: ZoneId) -> Result<CheckResult> {
    let (row, access) = load(services, context, zone, Permission::DomainsUpdate).await?;
    match row.status {
        ZoneStatus::Active => return Ok(CheckResult::proven(None)),
        ZoneStatus::Inactive | ZoneStatus::Deleted => {
            return Err(Error::conflict("domain_inactive", "The domain is withdrawn"));
        }
        ZoneStatus::PendingValidation => {}
    }
    if may_skip_proof(services, context, &row).await? {
        go_live(services, context, &row, access, None).await?;
        return Ok(CheckResult::proven(None));
    }
    let Some(open) = within(validations::open(&services.db, &access)).await? else {
        let latest = within(validations::latest(&services.db, &access)).await?;
        return Ok(match latest.filter(|latest| latest.status == "expired") {
            Some(expired) => CheckResult::not_yet("Challenge expired", Some(expired.id)),
            None => CheckResult::not_yet("No pending challenge", None),
        });
    };
    if open.expires_at <= services.clock.now() {
        end(services, context, &row, &open, "expired").await?;
        return Ok(CheckResult::not_yet("Challenge expired", Some(open.id)));
    }
    look(services, context, &row, access, &open).await
}

async fn look(
    services: &Services,
    context: &Context,
    row: &ZoneRow,
    access: ZoneAccess,
    open: &ValidationRow,
) -> Result<CheckResult> {
    let expected = expected(open);
    let outcome = services.resolve.txt_proof(row.name.as_str(), &expected).await;
    if outcome != ProofOutcome::Proven {
        end(services, context, row, open, "failed").await?;
        return Ok(CheckResult::not_yet(outcome.message(row.name.as_str(), &expected), Some(open.id)));
    }
    go_live(services, context, row, access, Some(open.id)).await?;
    Ok(CheckResult::proven(Some(open.id)))
}

/// A look that brought nothing. A challenge that was superseded or proven meanwhile stays as it is.
async fn end(services: &Services, context: &Context, row: &ZoneRow, open: &ValidationRow, status: &str) -> Result<()> {
    let mut tx = services.db.begin().await?;
    let locked = zones::lock(&mut tx, row.id).await?.ok_or(Error::NotFound("Domain"))?;
    if validations::set_status(&mut tx, open.id, status, services.clock.now()).await? {
        let values = (json!({ "status": open.status }), json!({ "status": status, "validation_id": open.id }));
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
