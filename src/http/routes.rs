//! Every path of the API, in one table. A route that is not here does not exist; one that is here is documented.

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::service::Services;

use super::health;

pub fn routes() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new().routes(routes!(health::live))
}
