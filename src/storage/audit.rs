//! The audit log: append-only. No function here changes or removes an entry.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{MySql, QueryBuilder, Transaction};
use time::OffsetDateTime;

use crate::ids::{AuditId, ChangeId, TenantId};

use super::Result;

/// An entry about to be written, complete but for its place in a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditEntry {
    pub id: AuditId,
    /// None: it belongs to no tenant (the operator's own doings).
    pub tenant: Option<TenantId>,
    pub actor_type: String,
    pub actor_id: String,
    pub actor_email: Option<String>,
    pub action: String,
    pub resource_type: String,
    pub resource_id: Option<String>,
    pub resource_name: Option<String>,
    /// `{"before", "after"}`.
    pub details: Value,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// Appends entries. `batch`: the change they belong to; their place in it is unique, so none is written twice.
pub async fn append(tx: &mut Transaction<'_, MySql>, batch: Option<ChangeId>, entries: &[AuditEntry]) -> Result<()> {
    const ENTRIES_PER_STATEMENT: usize = 500; // keeps a statement well under max_allowed_packet and 65,535 parameters
    for (chunk_index, chunk) in entries.chunks(ENTRIES_PER_STATEMENT).enumerate() {
        let mut query = QueryBuilder::new(
            "INSERT INTO audit_log (id, tenant_id, batch_id, ordinal, actor_type, actor_id, actor_email, action, \
             resource_type, resource_id, resource_name, details, ip_address, user_agent, request_id, created_at) ",
        );
        query.push_values(chunk.iter().enumerate(), |mut row, (index, entry)| {
            let AuditEntry {
                id,
                tenant,
                actor_type,
                actor_id,
                actor_email,
                action,
                resource_type,
                resource_id,
                resource_name,
                details,
                ip_address,
                user_agent,
                request_id,
                created_at,
            } = entry;
            let ordinal = batch.map(|_| (chunk_index * ENTRIES_PER_STATEMENT + index) as u32);
            row.push_bind(id.0)
                .push_bind(tenant.map(|tenant| tenant.0))
                .push_bind(batch.map(|batch| batch.0))
                .push_bind(ordinal)
                .push_bind(actor_type)
                .push_bind(actor_id)
                .push_bind(actor_email)
                .push_bind(action)
                .push_bind(resource_type)
                .push_bind(resource_id)
                .push_bind(resource_name.as_deref().map(shown_name))
                .push_bind(details.to_string())
                .push_bind(ip_address)
                .push_bind(user_agent)
                .push_bind(request_id)
                .push_bind(super::datetime(*created_at));
        });
        query.build().execute(&mut **tx).await?;
    }
    Ok(())
}

/// A resource's name as far as the log keeps it.
pub(super) fn shown_name(name: &str) -> String {
    const CHARACTERS_MAX: usize = 512; // the column's
    name.chars().take(CHARACTERS_MAX).collect()
}
