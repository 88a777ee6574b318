//! The OpenAPI document, made from the routes themselves and completed with what holds for all of them; and the pages
//! that show it.

use std::sync::Arc;

use axum::Router;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, ContentBuilder, Info, OpenApi, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};
use utoipa_swagger_ui::SwaggerUi;

use crate::service::Services;

use super::error::{ErrorBody, ErrorDetail, PartError, SchemaDetail, SeveralDetail, StructuredDetail};
use super::routes;

/// What any call may be answered with, beside its own success.
const ERRORS: &[(&str, &str)] = &[
    ("400", "Parses but cannot be processed; the field is named"),
    ("401", "Missing or invalid credentials"),
    ("403", "Not allowed"),
    ("404", "Absent, or not visible to the caller"),
    ("405", "Method not allowed"),
    ("409", "Conflict with present state"),
    ("413", "Too large"),
    ("415", "The body is not JSON"),
    ("422", "Does not have the documented form; each field is named"),
    ("429", "Rate limit; `Retry-After` says when to come back"),
    ("502", "PowerDNS or ScaiKey unreachable"),
    ("503", "Overload or maintenance; `Retry-After` says when to come back"),
    ("504", "Outcome unknown in time; the body names the change, which recovery settles"),
];

/// Paths that take no credentials.
pub(super) const OPEN_PATHS: &[&str] = &[
    "/health/live",
    "/health/ready",
    "/api/v1/auth/config",
    "/api/v1/auth/token",
    "/api/v1/auth/refresh",
    "/api/v1/auth/validate",
];

/// The whole document.
pub fn document() -> OpenApi {
    let (_, document) = complete(routes::routes().split_for_parts());
    document
}

/// Adds what every operation has in common.
pub fn complete<S>((router, mut document): (Router<S>, OpenApi)) -> (Router<S>, OpenApi) {
    document.info = Info::new("ScaiDNS", env!("CARGO_PKG_VERSION"));
    document.info.description = Some(
        "A multi-tenant DNS control plane in front of PowerDNS. Times are ISO 8601 in UTC; ids are opaque strings. \
         Send exactly one of `X-API-Key` and `Authorization: Bearer`."
            .to_owned(),
    );
    let components = document.components.get_or_insert_with(Components::new);
    for (name, schema) in [
        (ErrorBody::name(), ErrorBody::schema()),
        (ErrorDetail::name(), ErrorDetail::schema()),
        (StructuredDetail::name(), StructuredDetail::schema()),
        (SeveralDetail::name(), SeveralDetail::schema()),
        (PartError::name(), PartError::schema()),
        (SchemaDetail::name(), SchemaDetail::schema()),
    ] {
        components.schemas.insert(name.into_owned(), schema);
    }
    let key = ApiKeyValue::new("X-API-Key");
    components.add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(key)));
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            if !OPEN_PATHS.contains(&path.as_str()) {
                operation.security = Some(vec![
                    SecurityRequirement::new::<_, [&str; 0], &str>("api_key", []),
                    SecurityRequirement::new::<_, [&str; 0], &str>("bearer", []),
                ]);
            }
            for (status, description) in ERRORS {
                let responses = &mut operation.responses.responses;
                responses.entry((*status).to_owned()).or_insert_with(|| RefOr::T(error_response(description)));
            }
        }
    }
    (router, document)
}

/// `GET /api/v1/openapi.json` and Swagger UI at `/docs`, from the executable itself.
pub fn pages(document: OpenApi) -> Router<Arc<Services>> {
    Router::new().merge(SwaggerUi::new("/docs").url("/api/v1/openapi.json", document))
}

fn error_response(description: &str) -> Response {
    let schema = Ref::from_schema_name(ErrorBody::name());
    ResponseBuilder::new()
        .description(description)
        .content("application/json", ContentBuilder::new().schema(Some(schema)).build())
        .build()
}
