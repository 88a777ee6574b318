//! `/domains/{id}/dnssec`: signing a domain, its keys and its DS at the parent; `/admin/dnssec` for operators.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::dns::dnssec::{Age, Denial, Ds, DsRecord, Key, Phase, Role, Signing};
use crate::ids::ZoneId;
use crate::service::dnssec::{self, DnssecView, DsClaim};
use crate::service::{Error, Services};
use crate::storage::signing::{SignedFilter, SignedZone};

use super::error::ApiError;
use super::extract::{ApiPath, ApiQuery, Authenticated, OptionalJson};
use super::paging::{Page, decode_cursor, page_request};

const ALGORITHM_DEFAULT: u64 = 13; // contract
/// More DS records than anybody has at a parent.
const DS_CLAIMED_MAX: usize = 50;

/// How a domain is signed.
#[derive(Serialize, ToSchema)]
pub struct DnssecState {
    pub enabled: bool,
    /// `disabled`, `pending_ds`, `active`, `rotating_ksk` or `rotating_zsk`.
    #[schema(example = "active")]
    pub status: String,
    #[schema(example = 13)]
    pub algorithm: Option<u8>,
    /// How it is proven that a name does not exist: `narrow`, `nsec3` or `nsec`.
    pub denial: Option<String>,
    pub ksk: Vec<KeyItem>,
    pub zsk: Vec<KeyItem>,
    /// What the parent should have.
    pub ds_records: Vec<DsItem>,
    /// What its nameservers had when they were last asked.
    pub parent: Vec<ParentServer>,
    /// The step of the machine, finer than `status`.
    pub phase: Option<String>,
    /// When the wait of this step ends.
    #[serde(with = "time::serde::rfc3339::option")]
    pub not_before: Option<OffsetDateTime>,
    /// What happens next by itself, or waits for somebody.
    pub next: Option<NextStep>,
    /// What somebody should look at.
    pub alarm: Option<AlarmItem>,
}

/// The step that a zone's signing is in, and what ends it.
#[derive(Serialize, ToSchema)]
pub struct NextStep {
    /// As `phase`.
    pub step: String,
    /// Not before this does it end; known once all servers serve it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub not_before: Option<OffsetDateTime>,
    /// `servers`: they do not all serve it yet. `caches`: what was served before must leave them. `parent`: its DS.
    /// `schedule`: nothing is under way; the next rollover.
    #[schema(example = "caches")]
    pub waiting_for: String,
}

/// A key; the private half never leaves the nameservers.
#[derive(Serialize, ToSchema)]
pub struct KeyItem {
    #[schema(example = 42871)]
    pub key_tag: Option<u16>,
    pub algorithm: u8,
    /// `KSK` or `ZSK`.
    #[schema(example = "KSK")]
    pub key_type: String,
    /// 257 for a key-signing key, 256 for a zone-signing key.
    pub flags: u16,
    /// Base 64.
    pub public_key: Option<String>,
    /// As a DNSKEY record's content.
    pub dnskey: Option<String>,
    /// `next`, `current` or `old`.
    pub state: String,
    /// It signs.
    pub active: bool,
    /// It is in the DNSKEY RRset.
    pub published: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it is due to be rolled; none where it is rolled when asked for, or is not in use.
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

/// A DS record, and what is to be done with it at the parent.
#[derive(Serialize, ToSchema)]
pub struct DsItem {
    pub key_tag: u16,
    pub algorithm: u8,
    /// 2 is SHA-256, 4 SHA-384; one of them is enough.
    pub digest_type: u8,
    /// Upper-case hexadecimal.
    pub digest: String,
    /// The record's content.
    #[schema(example = "42871 13 2 1B2C…")]
    pub ds: String,
    /// `keep`, `add` or `remove`.
    pub action: String,
    /// Not earlier than this.
    #[serde(with = "time::serde::rfc3339::option")]
    pub not_before: Option<OffsetDateTime>,
}

/// A nameserver of the parent.
#[derive(Serialize, ToSchema)]
pub struct ParentServer {
    pub server: String,
    /// Null where it did not answer.
    pub ds: Option<Vec<String>>,
    /// It has a DS of this domain's keys.
    pub matches: bool,
}

#[derive(Serialize, ToSchema)]
pub struct AlarmItem {
    #[schema(example = "ds_vanished")]
    pub code: String,
    pub message: String,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Enable {
    /// 8, 10, 13 (default), 14 or 15.
    #[schema(example = 13)]
    pub algorithm: Option<u64>,
    /// `narrow` (default), `nsec3` or `nsec`.
    #[schema(example = "narrow")]
    pub denial: Option<String>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Disable {
    /// Whatever the parent has: the domain may stop resolving.
    #[serde(default)]
    pub force: bool,
    /// Asks the parent by CDS to remove the DS, and disables once it has left all caches.
    #[serde(default)]
    pub wait_for_parent: bool,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateZsk {}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKsk {
    /// Another algorithm than before: both keys are rolled to it.
    pub algorithm: Option<u64>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    pub key_tag: Option<u16>,
    /// As contents (`42871 13 2 1B2C…`), or as objects with `key_tag`, `algorithm`, `digest_type` and `digest`.
    pub ds_records: Option<Vec<Value>>,
    /// Somebody answers for it: the parent is not asked.
    #[serde(default)]
    pub force: bool,
}

/// What became of enabling.
#[derive(Serialize, ToSchema)]
pub struct Enabled {
    pub domain_id: String,
    #[schema(example = "enable")]
    pub action: &'static str,
    #[schema(example = "DNSSEC enabled")]
    pub message: &'static str,
    pub ksk: Option<KeyItem>,
    pub zsk: Option<KeyItem>,
    pub ds_records: Vec<DsItem>,
    pub status: String,
}

/// What became of disabling.
#[derive(Serialize, ToSchema)]
pub struct Disabled {
    pub domain_id: String,
    #[schema(example = "disable")]
    pub action: &'static str,
    pub message: &'static str,
    pub status: String,
}

/// A rollover of the zone-signing key that has begun.
#[derive(Serialize, ToSchema)]
pub struct ZskRotation {
    pub domain_id: String,
    #[schema(example = "rotate_zsk")]
    pub action: &'static str,
    pub message: &'static str,
    pub new_zsk: Option<KeyItem>,
    pub retiring_zsk: Option<KeyItem>,
    /// When the old key is removed, as things stand.
    #[serde(with = "time::serde::rfc3339")]
    pub retire_at: OffsetDateTime,
    pub status: String,
}

/// A rollover of the key-signing key that has begun.
#[derive(Serialize, ToSchema)]
pub struct KskRotation {
    pub domain_id: String,
    #[schema(example = "rotate_ksk")]
    pub action: &'static str,
    pub message: &'static str,
    pub new_ksk: Option<KeyItem>,
    pub ds_records: Vec<DsItem>,
    #[schema(example = "rotating_ksk")]
    pub status: String,
}

/// A DS that has been taken note of.
#[derive(Serialize, ToSchema)]
pub struct Confirmed {
    pub domain_id: String,
    #[schema(example = "confirm_ds_published")]
    pub action: &'static str,
    pub message: &'static str,
    #[schema(example = "active")]
    pub status: String,
    pub ds_records: Vec<DsItem>,
}

/// A signed domain as operators see it.
#[derive(Serialize, ToSchema)]
pub struct SignedDomain {
    pub domain_id: String,
    pub domain_name: String,
    pub tenant_id: String,
    pub status: String,
    pub phase: String,
    pub algorithm: Option<u8>,
    /// What is wrong, by its code.
    pub alarm: Option<String>,
    /// When somebody looks at it next.
    #[serde(with = "time::serde::rfc3339")]
    pub due_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub not_before: Option<OffsetDateTime>,
    /// Since when it is in this phase.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SignedQuery {
    #[param(minimum = 1, default = 1)]
    page: Option<u32>,
    #[param(minimum = 1, maximum = 100, default = 50)]
    page_size: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// `due`, `waiting` or `stuck`; all where absent.
    state: Option<String>,
}

/// How the domain is signed.
#[utoipa::path(get, path = "/api/v1/domains/{id}/dnssec", tag = "dnssec", params(("id" = String, Path)),
    responses((status = 200, body = DnssecState)))]
pub async fn get(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
) -> Result<Json<DnssecState>, ApiError> {
    Ok(Json(state(dnssec::get(&services, &context, id).await?)))
}

/// Signs the domain. Its DS goes to the parent, no earlier than `not_before`.
#[utoipa::path(post, path = "/api/v1/domains/{id}/dnssec/enable", tag = "dnssec", params(("id" = String, Path)),
    request_body = Option<Enable>, responses((status = 200, body = Enabled)))]
pub async fn enable(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    OptionalJson(Enable { algorithm, denial }): OptionalJson<Enable>,
) -> Result<Json<Enabled>, ApiError> {
    let algorithm = algorithm.unwrap_or(ALGORITHM_DEFAULT);
    let view = dnssec::enable(&services, &context, id, algorithm, denial.as_deref()).await?;
    Ok(Json(Enabled {
        domain_id: view.zone.to_string(),
        action: "enable",
        message: "DNSSEC enabled",
        ksk: key_of(&view, Role::Ksk, Age::Current),
        zsk: key_of(&view, Role::Zsk, Age::Current),
        status: status(view.signing.as_ref()),
        ds_records: ds_items(view.ds_records),
    }))
}

/// Removes all keys, once the parent has no DS any more and no resolver remembers one.
#[utoipa::path(post, path = "/api/v1/domains/{id}/dnssec/disable", tag = "dnssec", params(("id" = String, Path)),
    request_body = Option<Disable>, responses((status = 200, body = Disabled)))]
pub async fn disable(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    OptionalJson(Disable { force, wait_for_parent }): OptionalJson<Disable>,
) -> Result<Json<Disabled>, ApiError> {
    let left = dnssec::disable(&services, &context, id, (force, wait_for_parent && !force)).await?;
    let message = match left {
        None => "DNSSEC disabled",
        Some(_) => "DNSSEC is disabled once the parent's DS has left all caches",
    };
    let status = status(left.as_ref().and_then(|view| view.signing.as_ref()));
    Ok(Json(Disabled { domain_id: id.to_string(), action: "disable", message, status }))
}

/// Rolls the zone-signing key; everything after this happens by itself.
#[utoipa::path(post, path = "/api/v1/domains/{id}/dnssec/rotate-zsk", tag = "dnssec", params(("id" = String, Path)),
    request_body = Option<RotateZsk>, responses((status = 200, body = ZskRotation)))]
pub async fn rotate_zsk(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    OptionalJson(RotateZsk {}): OptionalJson<RotateZsk>,
) -> Result<Json<ZskRotation>, ApiError> {
    let view = dnssec::rotate_zsk(&services, &context, id).await?;
    let ends = view.signing.as_ref().map_or(services.clock.now(), |signing| signing.zsk_retires(&view.policy));
    Ok(Json(ZskRotation {
        domain_id: view.zone.to_string(),
        action: "rotate_zsk",
        message: "ZSK rollover begun",
        new_zsk: key_of(&view, Role::Zsk, Age::Next),
        retiring_zsk: key_of(&view, Role::Zsk, Age::Current),
        retire_at: ends,
        status: status(view.signing.as_ref()),
    }))
}

/// Rolls the key-signing key: the new one signs beside the old until the parent has its DS, and a while longer.
#[utoipa::path(post, path = "/api/v1/domains/{id}/dnssec/rotate-ksk", tag = "dnssec", params(("id" = String, Path)),
    request_body = Option<RotateKsk>, responses((status = 200, body = KskRotation)))]
pub async fn rotate_ksk(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    OptionalJson(RotateKsk { algorithm }): OptionalJson<RotateKsk>,
) -> Result<Json<KskRotation>, ApiError> {
    let view = dnssec::rotate_ksk(&services, &context, id, algorithm).await?;
    Ok(Json(KskRotation {
        domain_id: view.zone.to_string(),
        action: "rotate_ksk",
        message: "KSK rollover begun",
        new_ksk: key_of(&view, Role::Ksk, Age::Next),
        status: status(view.signing.as_ref()),
        ds_records: ds_items(view.ds_records),
    }))
}

/// Looks for the DS at the parent's nameservers, and goes on if all of them have it.
#[utoipa::path(post, path = "/api/v1/domains/{id}/dnssec/confirm-ds-published", tag = "dnssec",
    params(("id" = String, Path)), request_body = Option<Confirm>, responses((status = 200, body = Confirmed)))]
pub async fn confirm(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiPath(id): ApiPath<ZoneId>,
    OptionalJson(body): OptionalJson<Confirm>,
) -> Result<Json<Confirmed>, ApiError> {
    let view = dnssec::confirm_ds(&services, &context, id, claim(body)?).await?;
    Ok(Json(Confirmed {
        domain_id: view.zone.to_string(),
        action: "confirm_ds_published",
        message: "DS confirmed",
        status: status(view.signing.as_ref()),
        ds_records: ds_items(view.ds_records),
    }))
}

/// Signed domains of all tenants: what is due, waits, or is stuck; for the platform's admin.
#[utoipa::path(get, path = "/api/v1/admin/dnssec", tag = "admin dnssec", params(SignedQuery),
    responses((status = 200, body = Page<SignedDomain>)))]
pub async fn list(
    State(services): State<Arc<Services>>,
    Authenticated(context): Authenticated,
    ApiQuery(query): ApiQuery<SignedQuery>,
) -> Result<Json<Page<SignedDomain>>, ApiError> {
    let page = page_request(query.page, query.page_size)?;
    let after = decode_cursor(query.cursor.as_deref())?;
    let (rows, total, more) = dnssec::list(&services, &context, filter(query.state.as_deref())?, &page, after).await?;
    let next = rows.last().filter(|_| more).map(|zone| (zone.name.clone(), zone.row.zone));
    Ok(Json(Page::new(&page, rows.into_iter().map(signed_domain).collect(), total, next)))
}

fn filter(state: Option<&str>) -> Result<SignedFilter, Error> {
    match state {
        None => Ok(SignedFilter::All),
        Some("due") => Ok(SignedFilter::Due),
        Some("waiting") => Ok(SignedFilter::Waiting),
        Some("stuck") => Ok(SignedFilter::Stuck),
        Some(_) => Err(Error::invalid("state", "must be due, waiting or stuck")),
    }
}

fn signed_domain(zone: SignedZone) -> SignedDomain {
    let SignedZone { name, tenant, row } = zone;
    SignedDomain {
        domain_id: row.zone.to_string(),
        domain_name: name,
        tenant_id: tenant.to_string(),
        status: row.state.phase.status().as_str().to_owned(),
        phase: row.state.phase.as_str().to_owned(),
        algorithm: row.state.algorithm().map(|algorithm| algorithm.number()),
        alarm: row.alarm,
        due_at: row.due_at,
        not_before: row.state.not_before,
        since: row.state.begun_at,
    }
}

fn claim(body: Confirm) -> Result<DsClaim, Error> {
    let Confirm { key_tag, ds_records, force } = body;
    let claimed = ds_records.unwrap_or_default();
    if claimed.len() > DS_CLAIMED_MAX {
        let message = format!("must have at most {DS_CLAIMED_MAX} entries");
        return Err(Error::schema(&["body", "ds_records"], message));
    }
    let ds = claimed.iter().map(claimed_ds).collect::<Result<_, _>>()?;
    Ok(DsClaim { key_tag, ds, force })
}

/// As a record's content, or as its parts; what else is in an object, such as our own `action`, is not looked at.
fn claimed_ds(value: &Value) -> Result<Ds, Error> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Object(parts) => {
            let part = |name: &str| match parts.get(name) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            };
            ["key_tag", "algorithm", "digest_type", "digest"].map(part).join(" ")
        }
        _ => String::new(),
    };
    text.parse().map_err(|_| Error::invalid("ds_records", "has an entry that is not a valid DS record"))
}

fn state(view: DnssecView) -> DnssecState {
    let keys = |role: Role| -> Vec<KeyItem> {
        let signing = view.signing.iter();
        signing
            .flat_map(|signing| signing.keys.iter().map(move |key| (signing, key)))
            .filter(|(_, key)| key.role == role)
            .map(|(signing, key)| key_item(&view, signing, key))
            .collect()
    };
    let signing = view.signing.as_ref();
    DnssecState {
        enabled: signing.is_some(),
        status: status(signing),
        algorithm: signing.and_then(Signing::algorithm).map(|algorithm| algorithm.number()),
        denial: signing.map(|signing| Denial::as_str(signing.denial).to_owned()),
        ksk: keys(Role::Ksk),
        zsk: keys(Role::Zsk),
        parent: signing.map(|signing| parent(&view, signing)).unwrap_or_default(),
        phase: signing.map(|signing| signing.phase.as_str().to_owned()),
        not_before: signing.and_then(|signing| signing.not_before),
        next: signing.map(next_step),
        alarm: view.alarm.as_ref().map(|a| AlarmItem { code: a.code().to_owned(), message: a.to_string() }),
        ds_records: ds_items(view.ds_records),
    }
}

fn next_step(signing: &Signing) -> NextStep {
    let waiting_for = match signing.phase {
        _ if signing.verified_at.is_none() => "servers",
        phase if phase.waits_for_parent() => "parent",
        Phase::Active => "schedule",
        _ => "caches",
    };
    NextStep {
        step: signing.phase.as_str().to_owned(),
        not_before: signing.not_before,
        waiting_for: waiting_for.to_owned(),
    }
}

fn status(signing: Option<&Signing>) -> String {
    signing.map_or("disabled", |signing| signing.phase.status().as_str()).to_owned()
}

fn parent(view: &DnssecView, signing: &Signing) -> Vec<ParentServer> {
    let is_ours = |ds: &Ds| signing.secure_entry_points().any(|key| ds.is_of(&view.name, key));
    let server = |server: &crate::dns::dnssec::ServerLook| ParentServer {
        server: server.server.clone(),
        ds: server.ds.as_ref().map(|found| found.iter().map(ToString::to_string).collect()),
        matches: server.ds.as_ref().is_some_and(|found| found.iter().any(is_ours)),
    };
    signing.parent.servers.iter().map(server).collect()
}

fn key_of(view: &DnssecView, role: Role, age: Age) -> Option<KeyItem> {
    let signing = view.signing.as_ref()?;
    Some(key_item(view, signing, signing.key(role, age)?))
}

fn key_item(view: &DnssecView, signing: &Signing, key: &Key) -> KeyItem {
    let visible = dnssec::visible(signing, key);
    let state = match key.age {
        Age::Next => "next",
        Age::Current => "current",
        Age::Old => "old",
    };
    let (key_type, lifetime) = match key.role {
        Role::Ksk => ("KSK", view.policy.ksk_lifetime),
        Role::Zsk => ("ZSK", view.policy.zsk_lifetime),
    };
    let since = key.current_since.filter(|_| key.age == Age::Current);
    KeyItem {
        key_type: key_type.to_owned(),
        expires_at: since.zip(lifetime).map(|(since, lifetime)| since + lifetime),
        key_tag: key.key_tag(),
        algorithm: key.algorithm.number(),
        flags: if key.role == Role::Ksk { 257 } else { 256 },
        public_key: key.dnskey.as_ref().map(|dnskey| dnskey.public_key_text()),
        dnskey: key.dnskey.as_ref().map(ToString::to_string),
        state: state.to_owned(),
        active: visible.active,
        published: visible.published,
        created_at: key.created_at,
    }
}

fn ds_items(records: Vec<DsRecord>) -> Vec<DsItem> {
    let item = |record: DsRecord| {
        let DsRecord { ds, action, not_before } = record;
        let text = ds.to_string();
        let Ds { key_tag, algorithm, digest_type, digest } = ds;
        DsItem { key_tag, algorithm, digest_type, digest, ds: text, action: action.as_str().to_owned(), not_before }
    };
    records.into_iter().map(item).collect()
}
