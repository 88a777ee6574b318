//! The judge: whether what was said, what is served, what was audited and what history holds are one story.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use scaidns::ids::encode;
use serde_json::Value;
use uuid::Uuid;

use super::ledger::{Attempt, Said, Zone};
use crate::support::{World, eventually_within};

/// The deadline of a change is 15 s; a recovery that could not decide waits as long again.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// PowerDNS may answer from its caches for 20 s.
const CACHE_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
/// Of what is wrong, so much is shown.
const SHOWN: usize = 20;

/// The value that goes and the one that comes: which request it was.
type Step = (Option<String>, Option<String>);

/// What the judge has counted.
#[derive(Debug, Default)]
pub struct Tally {
    pub acknowledged: usize,
    pub refused: usize,
    pub unknown: usize,
    /// Of the unknown ones.
    pub unknown_applied: usize,
    pub served: usize,
    pub statuses: BTreeMap<u16, usize>,
}

/// Waits until no change of these zones is under way.
pub async fn settled(world: &World, zones: &[Zone]) {
    eventually_within(SETTLE_LIMIT, "no intent is left", || async {
        let left: Vec<String> = sqlx::query_scalar("SELECT zone_name FROM zone_intents")
            .fetch_all(&world.db)
            .await
            .map_err(|error| error.to_string())?;
        let ours: Vec<&String> =
            left.iter().filter(|name| zones.iter().any(|zone| zone.domain.name == **name)).collect();
        if ours.is_empty() { Ok(()) } else { Err(format!("{ours:?}")) }
    })
    .await;
}

/// Waits until all is settled, then compares everything with everything.
pub async fn judge(world: &World, zones: &[Zone], attempts: &[Attempt]) -> Tally {
    settled(world, zones).await;
    let begun = Instant::now();
    let mut wrong = Vec::new();
    let mut tally = Tally::default();
    for (index, zone) in zones.iter().enumerate() {
        let attempts: Vec<&Attempt> = attempts.iter().filter(|attempt| attempt.zone == index).collect();
        let audited = audited(zone).await;
        let history = history(world, zone, &mut wrong).await;
        let mut case = Case { zone, attempts: &attempts, wrong: &mut wrong, begun };
        case.compare(&audited, &history, &mut tally);
        let expected = case.expected(&history);
        case.compare_list(&expected).await;
        case.compare_served(world, &expected).await;
        case.compare_marker(world).await;
        tally.served += expected.len();
    }
    let count = wrong.len();
    wrong.truncate(SHOWN);
    assert!(wrong.is_empty(), "{count} things are wrong, such as:\n{}\n{tally:?}", wrong.join("\n"));
    tally
}

/// Steps that the audit log tells of, as its reader sees it; how often each.
async fn audited(zone: &Zone) -> BTreeMap<Step, usize> {
    let entries = World::audit_as(&zone.auditor, "resource_type=record").await;
    let suffix = format!(".{}", zone.domain.name);
    let mut steps = BTreeMap::new();
    for entry in entries {
        let details = &entry["details"];
        let of_zone = |side: &str| details[side]["name"].as_str().is_some_and(|name| name.ends_with(&suffix));
        if of_zone("before") || of_zone("after") {
            let side = |side: &str| details[side]["content"].as_str().map(|text| text.trim_matches('"').to_owned());
            let step = (side("before"), side("after"));
            let action = match step {
                (None, _) => "record.create",
                (_, None) => "record.delete",
                (Some(_), Some(_)) => "record.update",
            };
            assert_eq!(entry["action"], action, "{entry}");
            *steps.entry(step).or_insert(0) += 1;
        }
    }
    steps
}

/// Steps that the history holds, in its order. Its revisions have no gap, its serials never go down.
async fn history(world: &World, zone: &Zone, wrong: &mut Vec<String>) -> Vec<Step> {
    let sql = "SELECT c.revision, c.serial, c.changes, z.revision FROM zone_changes c JOIN zones z ON z.id = c.zone_id \
               WHERE z.name = ? AND z.live_name IS NOT NULL ORDER BY c.revision";
    let rows: Vec<(u64, Option<u32>, String, u64)> =
        sqlx::query_as(sql).bind(&zone.domain.name).fetch_all(&world.db).await.expect("history");
    let mut steps = Vec::new();
    let mut serial_before = 0;
    for (place, (revision, serial, changes, _)) in rows.iter().enumerate() {
        if *revision != place as u64 + 1 {
            wrong.push(format!("{}: revision {revision} stands at place {}", zone.domain.name, place + 1));
        }
        if let Some(serial) = serial {
            if *serial < serial_before {
                wrong.push(format!(
                    "{}: revision {revision} has serial {serial} after {serial_before}",
                    zone.domain.name
                ));
            }
            serial_before = *serial;
        }
        let changes: Value = serde_json::from_str(changes).expect("JSON");
        let texts = changes.as_array().expect("a list").iter().filter(|change| change["type"] == "TXT");
        for change in texts {
            let (before, after) = (values(&change["before"]), values(&change["after"]));
            let (mut gone, mut come) = (before.difference(&after).cloned(), after.difference(&before).cloned());
            steps.push((gone.next(), come.next()));
            if let Some(more) = gone.next().or(come.next()) {
                wrong.push(format!("{}: revision {revision} changed {more}, too", zone.domain.name));
            }
        }
    }
    let last = rows.last().map_or(0, |row| row.3);
    if last != rows.len() as u64 {
        wrong.push(format!("{}: revision {last} with {} changes in history", zone.domain.name, rows.len()));
    }
    steps
}

/// The TXT values of an RRset as history keeps it.
pub fn values(rrset: &Value) -> BTreeSet<String> {
    let records = rrset["records"].as_array().into_iter().flatten();
    records.filter_map(|record| Some(record["content"].as_str()?.trim_matches('"').to_owned())).collect()
}

/// One zone before the judge.
struct Case<'a> {
    zone: &'a Zone,
    attempts: &'a [&'a Attempt],
    wrong: &'a mut Vec<String>,
    /// When all was settled.
    begun: Instant,
}

impl Case<'_> {
    fn wrong(&mut self, what: String) {
        self.wrong.push(format!("{}: {what}", self.zone.domain.name));
    }

    /// What was said against what was written down.
    fn compare(&mut self, audited: &BTreeMap<Step, usize>, history: &[Step], tally: &mut Tally) {
        let mut asked = BTreeMap::<Step, (usize, usize)>::new();
        for attempt in self.attempts {
            // A deletion that was refused may be tried again, and is the same step then.
            let (applied, unknown) = asked.entry((attempt.from.clone(), attempt.to.clone())).or_default();
            match attempt.said {
                Said::Applied(_) => *applied += 1,
                Said::NotApplied => tally.refused += 1,
                Said::Unknown => *unknown += 1,
            }
            *tally.statuses.entry(attempt.status).or_insert(0) += 1;
        }
        for (step, (applied, unknown)) in &asked {
            let in_audit = audited.get(step).copied().unwrap_or(0);
            let in_history = history.iter().filter(|other| *other == step).count();
            if !(*applied..=applied + unknown).contains(&in_audit) || in_audit > 1 || in_audit != in_history {
                let told: Vec<_> = self.attempts.iter().filter(|a| (&a.from, &a.to) == (&step.0, &step.1)).collect();
                self.wrong(format!("{in_audit} times in the audit log, {in_history} times in history: {told:?}"));
            }
            tally.acknowledged += applied;
            tally.unknown += unknown;
            tally.unknown_applied += in_audit.saturating_sub(*applied);
        }
        let invented = audited.keys().chain(history).filter(|step| !asked.contains_key(*step));
        for step in invented.cloned().collect::<BTreeSet<_>>() {
            self.wrong(format!("nobody asked for {step:?}"));
        }
    }

    /// What history leads to: the value, its name, and its id where it was said.
    fn expected(&mut self, history: &[Step]) -> BTreeMap<String, (String, Option<String>)> {
        let mut present = BTreeMap::new();
        for (from, to) in history {
            if let Some(from) = from
                && present.remove(from).is_none()
            {
                self.wrong(format!("{from} went before it came"));
            }
            if let Some(to) = to {
                let attempt = self.attempts.iter().find(|attempt| attempt.to.as_ref() == Some(to));
                let name = attempt.map_or_else(String::new, |attempt| attempt.name.clone());
                let id = attempt.and_then(|attempt| match &attempt.said {
                    Said::Applied(id) => Some(id.clone()),
                    Said::NotApplied | Said::Unknown => None,
                });
                present.insert(to.clone(), (name, id));
            }
        }
        present
    }

    async fn compare_list(&mut self, expected: &BTreeMap<String, (String, Option<String>)>) {
        let listed = self.zone.api.records_where(&self.zone.domain, "include_system=true").await;
        let text = |record: &Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
        for record in &listed {
            if text(record, "name").contains("_scaidns") {
                self.wrong(format!("a tenant sees {record}"));
            }
        }
        let ids: BTreeSet<String> = listed.iter().map(|record| text(record, "id")).collect();
        if ids.len() != listed.len() {
            self.wrong(format!("{} records have {} ids", listed.len(), ids.len()));
        }
        let texts = listed.iter().filter(|record| record["type"] == "TXT");
        let found: BTreeMap<String, (String, String)> = texts
            .map(|record| {
                (text(record, "content").trim_matches('"').to_owned(), (text(record, "name"), text(record, "id")))
            })
            .collect();
        for (value, (name, id)) in expected {
            match found.get(value) {
                None => self.wrong(format!("{value} is not in the list")),
                Some((at, _)) if at != name => self.wrong(format!("{value} is at {at}, not {name}")),
                Some((_, other)) if id.as_ref().is_some_and(|id| id != other) => {
                    self.wrong(format!("{value} is {other} in the list and was {id:?} when it was made"));
                }
                Some(_) => {}
            }
        }
        for value in found.keys().filter(|value| !expected.contains_key(*value)) {
            self.wrong(format!("{value} is in the list and not in history"));
        }
    }

    /// By DNS: all that history says, and nothing that any writer ever wanted beside it.
    async fn compare_served(&mut self, world: &World, expected: &BTreeMap<String, (String, Option<String>)>) {
        let names: BTreeSet<&String> = self.attempts.iter().map(|attempt| &attempt.name).collect();
        for name in names {
            let mut wanted: Vec<&str> =
                expected.iter().filter(|(_, (at, _))| at == name).map(|(value, _)| value.as_str()).collect();
            wanted.sort_unstable();
            let different = loop {
                let found = world.dns_values(name, RecordType::TXT).await;
                if found == wanted {
                    break None;
                }
                if self.begun.elapsed() > CACHE_LIMIT {
                    break Some(found);
                }
                tokio::time::sleep(POLL).await;
            };
            if let Some(found) = different {
                let missing: Vec<_> = wanted.iter().filter(|value| !found.iter().any(|f| f == *value)).collect();
                let foreign: Vec<_> = found.iter().filter(|value| !wanted.contains(&value.as_str())).collect();
                self.wrong(format!("{name} lacks {missing:?} by DNS, and has {foreign:?} too much"));
            }
        }
    }

    /// The marker names the change that the database holds for the last one; nobody is left in between.
    async fn compare_marker(&mut self, world: &World) {
        let name = &self.zone.domain.name;
        let sql = "SELECT content, disabled FROM records WHERE type = 'TXT' AND name = ?";
        let marker: Vec<(String, bool)> =
            sqlx::query_as(sql).bind(format!("_scaidns.{name}")).fetch_all(&world.pdns_db).await.expect("marker");
        let last: Uuid = sqlx::query_scalar("SELECT last_change FROM zones WHERE live_name = ?")
            .bind(name)
            .fetch_one(&world.db)
            .await
            .expect("the zone");
        if marker != [(format!("\"{}\"", encode(last)), true)] {
            self.wrong(format!("the marker is {marker:?}, the last change {}", encode(last)));
        }
    }
}
