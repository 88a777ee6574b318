//! The audit entries of a request that changes records.

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::dns::RecordRef;
use crate::storage::audit::AuditEntry;
use crate::storage::zones::ZoneRow;

use super::super::audit::{self, Resource};
use super::super::zones::zone_resource;
use super::ZoneWrite;
use super::decide::{Grouping, RecordOutcome, RecordView};

/// Records that one entry lists; of more it says how many, and the zone's history has them.
const RECORDS_IN_ENTRY_MAX: usize = 500;

/// One for each record that is no longer as it was, or one for all of them.
pub fn audit_entries(
    row: &ZoneRow,
    now: OffsetDateTime,
    write: &ZoneWrite,
    operations: &[RecordOutcome],
) -> Vec<AuditEntry> {
    let entry = |action: &str, resource: Resource, values: (Value, Value)| {
        audit::entry(&write.actor, &write.request, Some(row.tenant), action, resource, values, now)
    };
    let changed = operations.iter().filter(|outcome| outcome.before != outcome.after);
    match write.grouping {
        Grouping::Single => changed
            .map(|outcome| {
                let values = (record_value(outcome.before.as_ref()), record_value(outcome.after.as_ref()));
                let (action, resource) = single(outcome);
                entry(action, resource, values)
            })
            .collect(),
        Grouping::Part(_) => Vec::new(),
        Grouping::Together(action) | Grouping::EachAlone(action) => {
            let (before, after): (Vec<_>, Vec<_>) =
                changed.map(|outcome| (outcome.before.as_ref(), outcome.after.as_ref())).unzip();
            let values = if before.len() > RECORDS_IN_ENTRY_MAX {
                (
                    json!({"records": before.iter().flatten().count()}),
                    json!({"records": after.iter().flatten().count()}),
                )
            } else {
                (record_values(&before), record_values(&after))
            };
            vec![entry(action, zone_resource(row.id, &row.name), values)]
        }
    }
}

fn single(outcome: &RecordOutcome) -> (&'static str, Resource) {
    let (action, view) = match (outcome.before.as_ref(), outcome.after.as_ref()) {
        (None, view) => ("record.create", view),
        (view, None) => ("record.delete", view),
        (Some(_), view) => ("record.update", view),
    };
    let name = view.map(|view| {
        let key = &view.reference.key;
        format!("{} {}", key.name.as_str(), key.record_type.as_str())
    });
    (action, Resource { resource_type: "record", id: view.map(|view| view.id.to_string()), name })
}

fn record_value(view: Option<&RecordView>) -> Value {
    view.map_or(Value::Null, |view| {
        let RecordView { id: _, reference: RecordRef { key, content }, ttl, disabled, .. } = view;
        json!({
            "name": key.name.as_str(),
            "type": key.record_type.as_str(),
            "content": content,
            "ttl": ttl,
            "disabled": disabled,
        })
    })
}

/// Records with their ids, since the entry that has them is about the zone; null where there are none.
fn record_values(views: &[Option<&RecordView>]) -> Value {
    let values: Vec<Value> = views
        .iter()
        .flatten()
        .map(|view| {
            let mut value = record_value(Some(view));
            value["id"] = json!(view.id);
            value
        })
        .collect();
    if values.is_empty() { Value::Null } else { Value::Array(values) }
}
