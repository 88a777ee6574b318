//! Making audit entries: who did what to which thing, with what came before and after.

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::ids::{AuditId, TenantId};
use crate::storage::audit::AuditEntry;

use super::context::{ActorRecord, RequestInfo};

/// The thing that was acted on.
#[derive(Clone, Debug)]
pub struct Resource {
    pub resource_type: &'static str,
    pub id: Option<String>,
    pub name: Option<String>,
}

/// An entry for `action` on `resource`.
pub fn entry(
    actor: &ActorRecord,
    request: &RequestInfo,
    tenant: Option<TenantId>,
    action: &str,
    resource: Resource,
    (before, after): (Value, Value),
    now: OffsetDateTime,
) -> AuditEntry {
    AuditEntry {
        id: AuditId::new(),
        tenant,
        actor_type: actor.actor_type.clone(),
        actor_id: actor.actor_id.clone(),
        actor_email: actor.actor_email.clone(),
        action: action.to_owned(),
        resource_type: resource.resource_type.to_owned(),
        resource_id: resource.id,
        resource_name: resource.name,
        details: json!({ "before": before, "after": after }),
        ip_address: request.ip_address.map(|address| address.to_string()),
        user_agent: request.user_agent.clone(),
        request_id: Some(request.request_id.clone()),
        created_at: now,
    }
}
