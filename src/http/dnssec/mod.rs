//! `/domains/{id}/dnssec`: signing a domain, its keys and its DS at the parent; `/admin/dnssec` for operators.

mod asked;
mod bodies;
mod shown;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::dns::dnssec::{Age, Role};
use crate::ids::ZoneId;
use crate::service::Services;
use crate::service::dnssec;

use super::error::ApiError;
use super::extract::{ApiPath, ApiQuery, Authenticated, OptionalJson};
use super::paging::{Page, decode_cursor, page_request};

use asked::{claim, filter};
use bodies::{
    Confirm, Confirmed, Disable, Disabled, DnssecState, Enable, Enabled, KskRotation, RotateKsk, RotateZsk,
    SignedDomain, SignedQuery, ZskRotation,
};
use shown::{ds_items, key_of, signed_domain, state, status};

const ALGORITHM_DEFAULT: u64 = 13; // contract

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
