//! `/health/live` and `/health/ready`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::service::Services;
use crate::service::readiness::{Check, Report};

#[derive(Serialize, ToSchema)]
pub struct Live {
    /// Always `ok`: the process answers.
    pub status: &'static str,
}

/// Each dependency is `ok` or says what is wrong.
#[derive(Serialize, ToSchema)]
pub struct Ready {
    /// `ok`, or `degraded` when database or PowerDNS fail.
    pub status: &'static str,
    pub checks: ReadyChecks,
}

#[derive(Serialize, ToSchema)]
pub struct ReadyChecks {
    pub database: String,
    /// Failing alone it does not make the service unready.
    pub redis: String,
    pub pdns: String,
    /// Failing alone it does not make the service unready.
    pub scaikey_jwks: String,
}

/// Whether the process answers at all.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, body = Live)))]
pub async fn live() -> Json<Live> {
    Json(Live { status: "ok" })
}

/// Whether requests can be served.
#[utoipa::path(get, path = "/health/ready", tag = "health",
    responses((status = 200, body = Ready), (status = 503, description = "Database or PowerDNS fail", body = Ready)))]
pub async fn ready(State(services): State<Arc<Services>>) -> (StatusCode, Json<Ready>) {
    let report = services.readiness.check().await;
    let (status, word) =
        if report.is_ready() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "degraded") };
    let Report { database, redis, pdns, scaikey_jwks } = report;
    let checks = ReadyChecks {
        database: word_of(database),
        redis: word_of(redis),
        pdns: word_of(pdns),
        scaikey_jwks: word_of(scaikey_jwks),
    };
    (status, Json(Ready { status: word, checks }))
}

fn word_of(check: Check) -> String {
    check.err().unwrap_or_else(|| "ok".to_owned())
}
