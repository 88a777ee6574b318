//! Whether what was said, history, audit log, list and what PowerDNS serves are one story, for requests of several
//! records: all of one or nothing of it.

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::rr::RecordType;
use serde_json::Value;

use super::Common;
use super::mixed::Operation;
use crate::crash::judge::values;
use crate::crash::ledger::Zone;
use crate::support::{World, dns};

/// A change of a zone: who asked, and which values came and went.
struct Change {
    request: String,
    come: BTreeSet<String>,
    gone: BTreeSet<String>,
}

pub async fn tell(world: &World, zones: &[Zone], operations: &[Operation], common: &Common) {
    let audited = audited(world).await;
    for (index, zone) in zones.iter().enumerate() {
        let (changes, replayed) = history(world, zone, common).await;
        for operation in operations.iter().filter(|operation| operation.zone == index) {
            compare(operation, &changes, &audited, common);
        }
        let known = |value: &String| operations.iter().any(|operation| operation.values.contains(value));
        for invented in changes.iter().flat_map(|change| &change.come).filter(|value| !known(value)) {
            common.wrong(format!("{}: nobody asked for {invented}", zone.domain.name));
        }
        let listed = listed(zone).await;
        if listed != replayed {
            let (more, less) = (listed.difference(&replayed), replayed.difference(&listed));
            let (more, less): (Vec<_>, Vec<_>) = (more.take(5).collect(), less.take(5).collect());
            common.wrong(format!("{}: the list has {more:?} and lacks {less:?} of history", zone.domain.name));
        }
        let served = served(world, zone).await;
        if served != replayed {
            let (more, less) = (served.difference(&replayed), replayed.difference(&served));
            let (more, less): (Vec<_>, Vec<_>) = (more.take(5).collect(), less.take(5).collect());
            common.wrong(format!("{}: a transfer has {more:?} and lacks {less:?} of history", zone.domain.name));
        }
    }
}

fn compare(operation: &Operation, changes: &[Change], audited: &BTreeMap<String, u64>, common: &Common) {
    let of = |request: &str| {
        let rest = request.strip_prefix("chaos-").and_then(|rest| rest.strip_prefix(operation.id.as_str()));
        rest.is_some_and(|rest| rest.starts_with('-'))
    };
    let side = |change: &Change| {
        let values = if operation.removes { &change.gone } else { &change.come };
        operation.values.iter().filter(|value| values.contains(*value)).count()
    };
    let found: Vec<&Change> = changes.iter().filter(|change| side(change) > 0 && of(&change.request)).collect();
    let entries: u64 = audited.iter().filter(|(request, _)| of(request)).map(|(_, count)| count).sum();
    let whole = found.iter().all(|change| side(change) == operation.values.len());
    let as_said = match operation.applied {
        Some(applied) => found.len() == usize::from(applied),
        None => found.len() <= 1,
    };
    if !whole || !as_said || entries != found.len() as u64 {
        let requests: Vec<&String> = found.iter().map(|change| &change.request).collect();
        common.wrong(format!("{operation:?}: in history under {requests:?}, whole: {whole}, audited {entries} times"));
    }
}

/// In how many batches each request was audited.
async fn audited(world: &World) -> BTreeMap<String, u64> {
    let sql = "SELECT request_id, CAST(COUNT(DISTINCT batch_id) AS UNSIGNED) FROM audit_log \
               WHERE request_id LIKE 'chaos-%' AND batch_id IS NOT NULL GROUP BY request_id";
    let rows: Vec<(String, u64)> = sqlx::query_as(sql).fetch_all(&world.db).await.expect("audit");
    rows.into_iter().collect()
}

/// Changes in their order, and the values that they lead to, each with its name. Each begins where the last one ended.
async fn history(world: &World, zone: &Zone, common: &Common) -> (Vec<Change>, BTreeSet<(String, String)>) {
    let sql = "SELECT c.revision, c.serial, c.request_id, c.changes FROM zone_changes c JOIN zones z ON z.id = c.zone_id \
               WHERE z.name = ? AND z.live_name IS NOT NULL ORDER BY c.revision";
    let rows: Vec<(u64, Option<u32>, String, String)> =
        sqlx::query_as(sql).bind(&zone.domain.name).fetch_all(&world.db).await.expect("history");
    let mut stands: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut changes = Vec::new();
    let mut last = 0;
    for (place, (revision, serial, request, text)) in rows.into_iter().enumerate() {
        let name = &zone.domain.name;
        if revision != place as u64 + 1 || serial.is_some_and(|serial| serial < last) {
            common.wrong(format!("{name}: revision {revision} at {place}, serial {serial:?} after {last}"));
        }
        last = serial.unwrap_or(last);
        let mut change = Change { request, come: BTreeSet::new(), gone: BTreeSet::new() };
        let list: Value = serde_json::from_str(&text).expect("JSON");
        for rrset in list.as_array().expect("a list").iter().filter(|change| change["type"] == "TXT") {
            let owner = rrset["name"].as_str().expect("a name").trim_end_matches('.').to_owned();
            let (before, after) = (values(&rrset["before"]), values(&rrset["after"]));
            let stood = stands.insert(owner.clone(), after.clone()).unwrap_or_default();
            if stood != before {
                common.wrong(format!("{name}: at revision {revision} {owner} had {before:?}, not {stood:?}"));
            }
            change.come.extend(after.difference(&before).cloned());
            change.gone.extend(before.difference(&after).cloned());
        }
        changes.push(change);
    }
    let pairs =
        stands.into_iter().flat_map(|(owner, values)| values.into_iter().map(move |value| (owner.clone(), value)));
    (changes, pairs.collect())
}

async fn listed(zone: &Zone) -> BTreeSet<(String, String)> {
    let text = |record: &Value, field: &str| record[field].as_str().unwrap_or_default().trim_matches('"').to_owned();
    let records = zone.api.records_where(&zone.domain, "type=TXT").await;
    records.iter().map(|record| (text(record, "name"), text(record, "content"))).collect()
}

/// As a secondary gets it.
async fn served(world: &World, zone: &Zone) -> BTreeSet<(String, String)> {
    let records = dns::transfer(world.dns_address(), &zone.domain.name).await.expect("a transfer");
    let texts = records.iter().filter(|record| record.record_type() == RecordType::TXT);
    let pairs = texts.map(|record| (record.name.to_ascii().trim_end_matches('.').to_owned(), dns::text(&record.data)));
    // fences stand until they are swept, and are nobody's
    pairs.filter(|(name, _)| !name.starts_with("_scaidns")).collect()
}
