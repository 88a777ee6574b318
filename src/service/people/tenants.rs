//! Tenants and partners, for the platform's admin. Names and standing are ScaiKey's, settings are ours.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::authz::{Permission, Target, Visibility, decide};
use crate::ids::{PartnerId, TenantId};
use crate::scaikey::{TenantStatement, WriteError};
use crate::storage::directory::lists::{self, DirectoryFilter};
use crate::storage::directory::{self, PartnerRow, Reference, TenantRow};
use crate::storage::within;
use crate::tenancy::{SigningTerms, Standing};

use super::super::mirror::decide::Step;
use super::super::mirror::{Intake, Made, Source, transaction};
use super::super::{Context, Error, PageRequest, Result, Services};
use super::{After, PeoplePage, check_length, fields, paged, part, scaikey_status, source};

const NAME_CHARACTERS_MAX: usize = 255;

/// Settings are quotas and what small tools keep, not a store.
const SETTINGS_BYTES_MAX: usize = 64 * 1024;

/// What counts things or calls: whole numbers.
const QUOTAS: [&str; 4] = ["max_domains", "max_records_per_domain", "max_api_keys", RATE];
const RATE: &str = "requests_per_minute";

/// A tenant that ScaiKey has and that is to be known here at once.
#[derive(Debug)]
pub struct NewTenant {
    pub name: String,
    pub slug: String,
    pub scaikey_tenant_id: String,
    pub partner: Option<String>,
    pub settings: Option<Map<String, Value>>,
}

/// What is to change; None leaves a field as it is.
#[derive(Debug, Default)]
pub struct TenantPatch {
    pub name: Option<String>,
    pub status: Option<String>,
    /// In place of what was.
    pub settings: Option<Map<String, Value>>,
}

pub async fn list(
    services: &Services,
    context: &Context,
    (status, search): (Option<Standing>, Option<String>),
    page: PageRequest,
    after: After,
) -> Result<PeoplePage<TenantRow>> {
    decide(&context.caller, Permission::PlatformRead, Target::Platform)?;
    let filter = DirectoryFilter { status, search, tenant: None };
    Ok(paged(within(lists::list_tenants(&services.db, &filter, &part(page, after))).await?, page))
}

pub async fn get(services: &Services, context: &Context, id: &str) -> Result<TenantRow> {
    let tenant = find(services, context, id).await?;
    decide(&context.caller, Permission::PlatformRead, Target::Platform)?;
    Ok(tenant)
}

/// Registers a tenant before ScaiKey has told of it. Whatever ScaiKey says of it later counts.
pub async fn create(services: &Services, context: &Context, new: NewTenant) -> Result<TenantRow> {
    decide(&context.caller, Permission::PlatformManage, Target::Platform)?;
    let NewTenant { name, slug, scaikey_tenant_id, partner, settings } = new;
    check_length("name", Some(&name), 1, NAME_CHARACTERS_MAX)?;
    check_slug(&slug)?;
    let is_id = scaikey_tenant_id.starts_with("tnt_") && Reference::<TenantId>::parse(&scaikey_tenant_id).is_some();
    if !is_id {
        return Err(Error::invalid("scaikey_tenant_id", "must be ScaiKey's id of a tenant: tnt_…"));
    }
    let settings = settings.map(checked_settings).transpose()?;
    let partner = match partner {
        Some(text) => Some(find_partner(services, &text).await?.scaikey_id),
        None => None,
    };
    let said = [TenantStatement {
        id: scaikey_tenant_id.clone(),
        name: Some(name),
        slug: Some(slug),
        status: Some(Standing::Active),
        partner,
    }];
    let source = source(context, services.clock.now());
    let is_new = transaction!({
        let mut intake = Intake::begin(services, &source).await?;
        let steps = intake.tenants(&said, &Made::default()).await?;
        let Some(Step::Create(row)) = steps.first() else { return Ok(false) };
        directory::register_tenant(&mut intake.tx, row.id, settings.as_deref()).await?;
        intake.commit().await?;
        Ok(true)
    })?;
    if !is_new {
        return Err(Error::conflict("tenant_exists", "Tenant already exists"));
    }
    find(services, context, &scaikey_tenant_id).await
}

/// Name and standing are written at ScaiKey; a tenant that is registered here only is changed here only.
pub async fn update(services: &Services, context: &Context, id: &str, patch: TenantPatch) -> Result<TenantRow> {
    let tenant = find(services, context, id).await?;
    decide(&context.caller, Permission::PlatformManage, Target::Platform)?;
    let TenantPatch { name, status, settings } = patch;
    check_length("name", name.as_ref(), 1, NAME_CHARACTERS_MAX)?;
    let written = fields([("name", name.clone()), ("status", scaikey_status(status.as_deref())?)]);
    let settings = settings.map(checked_settings).transpose()?;
    let mut source = source(context, services.clock.now());
    let said = match written.is_empty() {
        true => None,
        false => match services.scaikey.admin().update_tenant(&tenant.scaikey_id, &written).await {
            Ok(said) => Some(said),
            Err(WriteError::Refused { status: 404, .. }) => {
                // newer than what is known, older than all that ScaiKey says
                source.at = tenant.stated_at + time::Duration::microseconds(1);
                let status = status.map(|text| Standing::parse(&text));
                Some(TenantStatement { id: tenant.scaikey_id.clone(), name, slug: None, status, partner: None })
            }
            Err(error) => return Err(error.into()),
        },
    };
    take_in(services, &source, &tenant, said, settings).await?;
    find(services, context, id).await
}

async fn take_in(
    services: &Services,
    source: &Source,
    tenant: &TenantRow,
    said: Option<TenantStatement>,
    settings: Option<String>,
) -> Result<()> {
    let now = services.clock.now();
    let settings = settings.filter(|settings| *settings != tenant.settings);
    let taken_in = transaction!({
        let mut intake = Intake::begin(services, source).await?;
        if let Some(said) = &said {
            intake.tenants(std::slice::from_ref(said), &Made::default()).await?;
        }
        if let Some(settings) = &settings {
            directory::set_tenant_settings(&mut intake.tx, tenant.id, settings, now).await?;
            let subject = (tenant.id.to_string(), tenant.name.clone(), Some(tenant.id));
            let read = |text: &str| json!({ "settings": serde_json::from_str::<Value>(text).unwrap_or_default() });
            intake.note("tenant", "update", subject, (read(&tenant.settings), read(settings)));
        }
        intake.commit().await
    });
    Ok(taken_in?)
}

pub async fn list_partners(
    services: &Services,
    context: &Context,
    (status, search): (Option<Standing>, Option<String>),
    page: PageRequest,
    after: After,
) -> Result<PeoplePage<PartnerRow>> {
    decide(&context.caller, Permission::PlatformRead, Target::Platform)?;
    let filter = DirectoryFilter { status, search, tenant: None };
    Ok(paged(within(lists::list_partners(&services.db, &filter, &part(page, after))).await?, page))
}

/// For all but the platform's admin there are none.
pub async fn get_partner(services: &Services, context: &Context, id: &str) -> Result<PartnerRow> {
    decide(&context.caller, Permission::PlatformRead, Target::Platform).map_err(|_| Error::NotFound("Partner"))?;
    find_partner(services, id).await
}

async fn find(services: &Services, context: &Context, id: &str) -> Result<TenantRow> {
    let absent = Error::NotFound("Tenant");
    let reference: Reference<TenantId> = Reference::parse(id).ok_or(absent.clone())?;
    let visible = Visibility::of_lookup(&context.caller);
    let found = within(directory::tenant(&services.db, &reference)).await?;
    found.filter(|tenant| visible.tenant().is_none_or(|id| id == tenant.id)).ok_or(absent)
}

async fn find_partner(services: &Services, id: &str) -> Result<PartnerRow> {
    let absent = Error::NotFound("Partner");
    let (named, ours): (Option<String>, Option<Uuid>) = match Reference::<PartnerId>::parse(id) {
        Some(Reference::Ours(id)) => (None, Some(id.0)),
        Some(Reference::ScaiKey(id)) => (Some(id), None),
        None => return Err(absent),
    };
    within(lists::partner(&services.db, named.as_deref(), ours)).await?.ok_or(absent)
}

fn check_slug(slug: &str) -> Result<()> {
    let is_plain = slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_plain && (1..=63).contains(&slug.len()) {
        return Ok(());
    }
    Err(Error::schema(&["body", "slug"], "must have 1 to 63 lower-case letters, digits and hyphens"))
}

/// A quota that is null is none of the tenant's own, as if it were absent.
fn checked_settings(mut settings: Map<String, Value>) -> Result<String> {
    for name in QUOTAS {
        // a tenant that may not call at all is a suspended one
        let least = u64::from(name == RATE);
        match settings.get(name) {
            None => {}
            Some(Value::Null) => drop(settings.remove(name)),
            Some(value) if value.as_u64().is_some_and(|n| (least..=u64::from(u32::MAX)).contains(&n)) => {}
            Some(_) => {
                let message = format!("must be a whole number from {least} to {}, or null", u32::MAX);
                return Err(Error::schema(&["body", "settings", name], message));
            }
        }
    }
    let settings = Value::Object(settings);
    if let Some(problem) = SigningTerms::problem(&settings) {
        return Err(Error::schema(&["body", "settings", "dnssec"], problem));
    }
    let text = settings.to_string();
    if text.len() > SETTINGS_BYTES_MAX {
        return Err(Error::schema(
            &["body", "settings"],
            format!("must not be larger than {SETTINGS_BYTES_MAX} bytes"),
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(settings: Value) -> Result<String> {
        checked_settings(settings.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn what_is_stored_of_quotas_is_what_counts() {
        for good in [json!({"max_domains": 0}), json!({"requests_per_minute": 1}), json!({"max_api_keys": u32::MAX})] {
            assert_eq!(checked(good.clone()).expect("good"), good.to_string());
        }
        for bad in [
            json!({"requests_per_minute": 0}),
            json!({"max_domains": u64::from(u32::MAX) + 1}),
            json!({"max_domains": -1}),
            json!({"max_records_per_domain": 1.5}),
            json!({"max_api_keys": "7"}),
        ] {
            assert!(matches!(checked(bad.clone()), Err(Error::Schema(_))), "{bad}");
        }
        let reset = json!({"max_domains": null, "requests_per_minute": null, "colour": null});
        assert_eq!(checked(reset).expect("good"), r#"{"colour":null}"#);
    }
}
