//! `POST /webhooks/scaikey`: what ScaiKey tells, signed.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;

use utoipa::ToSchema;

use crate::service::Services;
use crate::service::webhooks::{self, Delivery, Receipt};

use super::error::ApiError;
use super::extract::{Anonymous, RawBody, single_header};

/// What came of an event. Without success it is kept and tried again, unless nothing can ever be done with it.
#[derive(Serialize, ToSchema)]
pub struct WebhookAnswer {
    pub success: bool,
    #[schema(example = "Event user.created processed successfully")]
    pub message: String,
    #[schema(example = "evt_01jd3v9q4m")]
    pub event_id: String,
}

/// Takes an event of ScaiKey: `event_id`, `event_type`, `timestamp`, `data`. The signature covers the body as it came.
#[utoipa::path(post, path = "/api/v1/webhooks/scaikey", tag = "webhooks",
    params(
        ("X-ScaiKey-Signature" = Option<String>, Header, description = "`t=<unix>,v1=<hex HMAC-SHA256 of t.body>`"),
        ("X-ScaiKey-Event-Id" = Option<String>, Header, description = "Where the body names none"),
        ("X-ScaiKey-Event-Type" = Option<String>, Header, description = "Where the body names none"),
    ),
    request_body(content = serde_json::Value, content_type = "application/json"),
    responses((status = 200, body = WebhookAnswer)))]
pub async fn scaikey(
    Anonymous(request): Anonymous,
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Json<WebhookAnswer>, ApiError> {
    let delivery = delivery(&headers, &body)?;
    Ok(Json(webhooks::receive(&services, &request, delivery).await?.into()))
}

fn delivery<'a>(headers: &'a HeaderMap, body: &'a Bytes) -> Result<Delivery<'a>, ApiError> {
    Ok(Delivery {
        signature: single_header(headers, "x-scaikey-signature")?,
        // neither is signed, and neither is needed: what cannot be read is as if it were not there
        event_id: single_header(headers, "x-scaikey-event-id").ok().flatten(),
        event_type: single_header(headers, "x-scaikey-event-type").ok().flatten(),
        body,
    })
}

impl From<Receipt> for WebhookAnswer {
    fn from(receipt: Receipt) -> Self {
        let Receipt { success, message, event_id } = receipt;
        Self { success, message, event_id }
    }
}
