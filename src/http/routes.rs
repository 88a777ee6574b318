//! Every path of the API, in one table. A route that is not here does not exist; one that is here is documented.

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::service::Services;

use super::{
    access_grants, api_keys, audit_logs, auth, bulk, dnssec, domains, health, history, jobs, login, record_search,
    records, reverse_zones, roles, rrsets, validation, webhooks, zone_files,
};

pub fn routes() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(domains::list, domains::create))
        .routes(routes!(domains::types))
        .routes(routes!(domains::get, domains::update, domains::delete))
        .routes(routes!(domains::restore))
        .routes(routes!(validation::get, validation::start, validation::cancel))
        .routes(routes!(validation::check))
        .routes(routes!(records::list, records::create))
        .routes(routes!(records::check))
        .routes(routes!(record_search::search))
        .routes(routes!(bulk::create))
        .routes(routes!(bulk::delete))
        .routes(routes!(rrsets::put, rrsets::patch))
        .routes(routes!(history::list))
        .routes(routes!(history::diff))
        .routes(routes!(history::get))
        .routes(routes!(history::revert))
        .routes(routes!(history::restore))
        .routes(routes!(records::get, records::update, records::delete))
        .routes(routes!(reverse_zones::list, reverse_zones::create))
        .routes(routes!(reverse_zones::preview))
        .routes(routes!(reverse_zones::look_up))
        .routes(routes!(reverse_zones::list_ptrs, reverse_zones::create_ptr))
        .routes(routes!(reverse_zones::create_ptrs))
        .routes(routes!(reverse_zones::delete_ptr))
        .routes(routes!(zone_files::export))
        .routes(routes!(zone_files::download))
        .routes(routes!(zone_files::import_text))
        .routes(routes!(zone_files::import_file))
        .routes(routes!(zone_files::preview))
        .routes(routes!(login::config))
        .routes(routes!(login::token))
        .routes(routes!(login::refresh))
        .routes(routes!(login::logout))
        .routes(routes!(login::validate))
        .routes(routes!(webhooks::scaikey))
        .routes(routes!(dnssec::get))
        .routes(routes!(dnssec::enable))
        .routes(routes!(dnssec::disable))
        .routes(routes!(dnssec::rotate_zsk))
        .routes(routes!(dnssec::rotate_ksk))
        .routes(routes!(dnssec::confirm))
        .routes(routes!(dnssec::list))
        .routes(routes!(auth::auth_me))
        .routes(routes!(auth::me))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::get, api_keys::update, api_keys::delete))
        .routes(routes!(api_keys::regenerate))
        .routes(routes!(api_keys::revoke))
        .routes(routes!(api_keys::activate))
        .routes(routes!(access_grants::list, access_grants::create))
        .routes(routes!(access_grants::get, access_grants::update, access_grants::delete))
        .routes(routes!(roles::list, roles::create))
        .routes(routes!(roles::get, roles::update, roles::delete))
        .routes(routes!(roles::list_assignments, roles::assign))
        .routes(routes!(roles::unassign))
        .routes(routes!(audit_logs::list))
        .routes(routes!(audit_logs::get))
        .routes(routes!(jobs::get))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::get_any))
}
