//! What was learned of a zone's signing is kept here, with the alarm that follows from it: one entry of the audit log
//! when it begins and one when it ends, and a count for the operator.

use serde_json::{Value, json};

use crate::dns::dnssec::{Alarm, Policy};
use crate::storage::audit::AuditEntry;
use crate::storage::signing::{self, SigningRow};
use crate::storage::within;
use crate::storage::zones::ZoneRow;

use super::super::audit;
use super::super::context::{ActorRecord, RequestInfo};
use super::super::zones::zone_resource;
use super::super::{Result, Services};

/// Keeps a row with the alarm that follows from it. False: it was another one by now.
pub async fn keep(services: &Services, zone: &ZoneRow, policy: &Policy, row: SigningRow) -> Result<bool> {
    let now = services.clock.now();
    let alarm = row.state.alarm(&zone.name, now, policy);
    let code = alarm.as_ref().map(|alarm| alarm.code().to_owned());
    let mut entries = Vec::new();
    if code != row.alarm {
        if let Some(alarm) = &alarm {
            tracing::warn!(zone = %zone.name, alarm = alarm.code(), "{alarm}");
        }
        entries.extend(entry(services, zone, row.alarm.as_deref(), alarm.as_ref()));
    }
    Ok(within(signing::keep(&services.db, &SigningRow { alarm: code, ..row }, &entries, now)).await?)
}

/// What the audit log says of an alarm that begins or ends. What comes and goes with a packet lost is not for it.
fn entry(services: &Services, zone: &ZoneRow, before: Option<&str>, after: Option<&Alarm>) -> Option<AuditEntry> {
    let told = |code: &&str| Alarm::TOLD.contains(code);
    let before = before.filter(told);
    let after = after.filter(|alarm| told(&alarm.code()));
    if before.is_none() && after.is_none() {
        return None;
    }
    let action = if after.is_some() { "dnssec.alarm" } else { "dnssec.alarm_over" };
    let shown = after.map_or(Value::Null, |alarm| json!({ "alarm": alarm.code(), "message": alarm.to_string() }));
    let values = (before.map_or(Value::Null, |code| json!({ "alarm": code })), shown);
    let resource = zone_resource(zone.id, &zone.name);
    let (actor, request) = (system(), RequestInfo::none());
    Some(audit::entry(&actor, &request, Some(zone.tenant), action, resource, values, services.clock.now()))
}

/// Counts the zones in each alarm, for the operator's metrics.
pub async fn count_alarms(services: &Services) -> Result<u64> {
    let counts = within(signing::alarms(&services.db)).await?;
    for code in Alarm::CODES {
        let zones = counts.iter().find(|(alarm, _)| alarm == code).map_or(0, |(_, zones)| *zones);
        metrics::gauge!("scaidns_dnssec_alarms", "alarm" => code).set(zones as f64);
    }
    Ok(0)
}

/// Who does what nobody asks for.
pub fn system() -> ActorRecord {
    const NAME: &str = "dnssec";
    ActorRecord { actor_type: "system".into(), actor_id: NAME.into(), actor_email: None, name: NAME.into() }
}
