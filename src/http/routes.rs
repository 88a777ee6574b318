//! Every path of the API, in one table. A route that is not here does not exist; one that is here is documented.

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::service::Services;

use super::{domains, health, records, validation};

pub fn routes() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(domains::list, domains::create))
        .routes(routes!(domains::types))
        .routes(routes!(domains::get, domains::update, domains::delete))
        .routes(routes!(validation::get, validation::start, validation::cancel))
        .routes(routes!(validation::check))
        .routes(routes!(records::list, records::create))
        .routes(routes!(records::check))
        .routes(routes!(records::get, records::update, records::delete))
}
