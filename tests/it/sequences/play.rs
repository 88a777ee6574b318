//! One play: a zone, its model, and the steps that change both.

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::rr::RecordType;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::model::{Edit, Key, Model, Rrset, Values};
use crate::support::{Answer, Api, Domain, World, dns, eventually};

const NAMES: [&str; 7] = ["@", "a", "b", "deep.a", "_s._tcp", "*.w", "x.y.z"];
const TTLS: [u64; 3] = [60, 300, 3_600];

pub struct Play {
    world: &'static World,
    apis: [Api; 2],
    domain: Domain,
    random: StdRng,
    model: Model,
    /// The model at each revision; the first is that of nothing.
    revisions: Vec<Model>,
    is_live: bool,
    /// What is being done, for whoever reads a failure.
    doing: String,
    pub refused: usize,
}

impl Play {
    pub async fn new(world: &'static World, seed: u64) -> Self {
        let api = world.admin();
        let domain = world.pending(&api, "sequence").await;
        Self {
            world,
            apis: [api.clone(), api.at(&world.urls[1])],
            domain,
            random: StdRng::seed_from_u64(seed),
            model: Model::default(),
            revisions: vec![Model::default()],
            is_live: false,
            doing: String::new(),
            refused: 0,
        }
    }

    pub fn changes(&self) -> usize {
        self.revisions.len() - 1
    }

    pub async fn go_live(&mut self) {
        self.doing = "go live".into();
        self.world.publish(&self.domain).await;
        assert_eq!(self.apis[0].check(&self.domain).await["is_valid"], true);
        self.is_live = true;
        self.revisions.push(self.model.clone());
    }

    /// One change in one of the ways, or two at once through the two replicas.
    pub async fn step(&mut self) {
        match self.random.random_range(0..23) {
            0..=3 => self.add_one().await,
            4..=6 => self.edit_one().await,
            7 => self.delete_one().await,
            8..=9 => self.add_many().await,
            10 => self.delete_many().await,
            11..=13 => self.put_rrsets().await,
            14..=15 => self.patch_rrsets().await,
            16 => self.revert().await,
            17 => self.restore().await,
            18..=20 => self.import().await,
            _ => self.two_at_once().await,
        }
    }

    fn api(&mut self) -> Api {
        let replica = usize::from(self.random.random::<bool>());
        self.apis[replica].clone()
    }

    fn some<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all.choose(&mut self.random).copied().expect("there are some")
    }

    fn any_value(&mut self) -> (Key, String) {
        let name = self.some(&NAMES).to_owned();
        let host = self.random.random_range(1..5);
        let (record_type, content) = match self.random.random_range(0..10) {
            0..=3 => ("A", format!("192.0.2.{host}")),
            4..=5 => ("TXT", format!("\"value {host}\"")),
            6 => ("MX", format!("{host} mail{host}.example.net.")),
            7 => ("AAAA", format!("2001:db8::{host}")),
            8 => ("CAA", format!("0 issue \"ca{host}.example\"")),
            _ => ("CNAME", format!("host{host}.example.net.")),
        };
        ((name, record_type.to_owned()), content)
    }

    fn any_ttl(&mut self) -> Option<u64> {
        self.random.random_bool(0.3).then(|| TTLS[self.random.random_range(0..TTLS.len())])
    }

    fn any_standing(&mut self) -> Option<(Key, String)> {
        let all: Vec<(Key, String)> = self
            .model
            .0
            .iter()
            .flat_map(|(key, rrset)| rrset.values.keys().map(|content| (key.clone(), content.clone())))
            .collect();
        all.choose(&mut self.random).cloned()
    }

    async fn id_of(&self, key: &Key, content: &str) -> String {
        let ids = self.ids().await;
        ids.get(&(key.clone(), content.to_owned())).unwrap_or_else(|| panic!("{key:?} {content} has no id")).clone()
    }

    async fn ids(&self) -> BTreeMap<(Key, String), String> {
        let records = self.apis[0].records(&self.domain).await;
        let text = |record: &Value, field: &str| record[field].as_str().expect("text").to_owned();
        records
            .iter()
            .map(|r| (((text(r, "display_name"), text(r, "type")), text(r, "content")), text(r, "id")))
            .collect()
    }

    /// Takes an accepted change into the model; a refused one is not to have changed anything.
    fn settle(&mut self, answer: &Answer, change: impl FnOnce(&mut Model)) {
        if answer.status >= 500 {
            panic!("{}: {answer:?}", self.doing);
        }
        if ![200, 204].contains(&answer.status) {
            assert!([400, 409].contains(&answer.status), "{}: {answer:?}", self.doing);
            self.refused += 1;
            return;
        }
        let before = self.model.clone();
        change(&mut self.model);
        if self.model != before {
            self.revisions.push(self.model.clone());
        }
    }

    async fn add_one(&mut self) {
        let ((key, content), ttl, disabled) = (self.any_value(), self.any_ttl(), self.random.random_bool(0.2));
        let (api, body) = (self.api(), record(&key, &content, ttl, disabled));
        self.doing = format!("add {body}");
        let answer = api.post(&self.domain.records(), body).await;
        if self.model.0.get(&key).is_some_and(|rrset| rrset.values.contains_key(&content)) {
            assert_eq!(answer.status, 409, "{}: it is there already", self.doing);
        }
        self.settle(&answer, |model| model.add(&key, &content, ttl, disabled));
    }

    async fn edit_one(&mut self) {
        let Some((key, old)) = self.any_standing() else { return };
        let new = match self.any_value() {
            ((_, record_type), content) if record_type == key.1 => content,
            _ => old.clone(),
        };
        let (ttl, disabled) = (self.any_ttl(), self.random.random_bool(0.3).then(|| self.random.random()));
        let mut body = json!({"content": new});
        if let Some(ttl) = ttl {
            body["ttl"] = json!(ttl);
        }
        if let Some(disabled) = disabled {
            body["disabled"] = json!(disabled);
        }
        self.doing = format!("edit {key:?} {old}: {body}");
        let path = self.domain.record(&self.id_of(&key, &old).await);
        let answer = self.api().patch(&path, body).await;
        self.settle(&answer, |model| model.edit(&key, &old, &new, ttl, disabled));
    }

    async fn delete_one(&mut self) {
        let Some((key, content)) = self.any_standing() else { return };
        self.doing = format!("delete {key:?} {content}");
        let path = self.domain.record(&self.id_of(&key, &content).await);
        let answer = self.api().delete(&path).await;
        self.settle(&answer, |model| model.remove(&key, &content));
    }

    async fn add_many(&mut self) {
        let number = self.random.random_range(2..6);
        let values: Vec<_> = (0..number).map(|_| (self.any_value(), self.any_ttl())).collect();
        let records: Vec<Value> =
            values.iter().map(|((key, content), ttl)| record(key, content, *ttl, false)).collect();
        let continue_on_error = self.random.random::<bool>();
        let body = json!({"records": records, "continue_on_error": continue_on_error});
        self.doing = format!("add many {body}");
        let answer = self.api().post(&format!("{}/bulk", self.domain.records()), body).await;
        let failed: BTreeSet<u64> = answer.body["errors"]
            .as_array()
            .map(|errors| errors.iter().filter_map(|error| error["index"].as_u64()).collect())
            .unwrap_or_default();
        self.settle(&answer, |model| {
            for (index, ((key, content), ttl)) in (0..).zip(&values) {
                if !failed.contains(&index) {
                    model.add(key, content, *ttl, false);
                }
            }
        });
    }

    async fn delete_many(&mut self) {
        let wanted: BTreeSet<(Key, String)> = (0..4).filter_map(|_| self.any_standing()).collect();
        if wanted.is_empty() {
            return;
        }
        let ids = self.ids().await;
        let ids: Vec<&String> = wanted.iter().map(|record| &ids[record]).collect();
        self.doing = format!("delete many {wanted:?}");
        let path = format!("{}/bulk-delete", self.domain.records());
        let body = json!({ "record_ids": ids });
        let answer = self.api().post(&path, body).await;
        assert_eq!(answer.status, 200, "{}: {answer:?}", self.doing);
        self.settle(&answer, |model| wanted.iter().for_each(|(key, content)| model.remove(key, content)));
    }

    fn any_edit(&mut self, op: &'static str) -> Edit {
        let (key, content) = self.any_value();
        let mut values = Values::from([(content, self.random.random_bool(0.2))]);
        for _ in 0..self.random.random_range(0..4) {
            let (other, content) = self.any_value();
            if other.1 == key.1 && key.1 != "CNAME" {
                values.insert(content, false);
            }
        }
        if op == "replace" && self.random.random_bool(0.2) {
            values.clear();
        }
        let ttl = if op == "remove" { None } else { self.any_ttl() };
        Edit { op, key, ttl, values }
    }

    async fn put_rrsets(&mut self) {
        let number = self.random.random_range(1..5);
        let mut edits: Vec<Edit> = (0..number).map(|_| self.any_edit("replace")).collect();
        edits.sort_by(|one, other| one.key.cmp(&other.key));
        edits.dedup_by(|one, other| one.key == other.key);
        let prune = self.random.random_bool(0.15);
        let body = json!({"rrsets": edits.iter().map(Edit::to_json).collect::<Vec<_>>(), "prune": prune});
        self.doing = format!("put {body}");
        let before = self.ids().await;
        let answer = self.api().put(&self.domain.rrsets(), body).await;
        self.settle(&answer, |model| model.edit_rrsets(&edits, prune));
        for (record, id) in self.ids().await {
            assert!(before.get(&record).is_none_or(|was| *was == id), "{}: {record:?} is another record", self.doing);
        }
    }

    async fn patch_rrsets(&mut self) {
        let mut edits = Vec::new();
        for _ in 0..self.random.random_range(1..4) {
            let op = self.some(&["add", "remove", "replace"]);
            let mut edit = self.any_edit(op);
            if let ("remove", Some((key, content))) = (op, self.any_standing()) {
                edit = Edit { key, values: Values::from([(content, false)]), ..edit };
            }
            edits.push(edit);
        }
        let mut seen = BTreeSet::new();
        edits.retain(|edit| seen.insert(edit.key.clone()));
        let changes: Vec<Value> = edits
            .iter()
            .map(|edit| {
                let mut body = edit.to_json();
                body["op"] = edit.op.into();
                body
            })
            .collect();
        let body = json!({ "changes": changes });
        self.doing = format!("patch {body}");
        let answer = self.api().patch(&self.domain.rrsets(), body).await;
        self.settle(&answer, |model| model.edit_rrsets(&edits, false));
    }

    /// A file in one of the formats, in one of the modes.
    async fn import(&mut self) {
        let number = self.random.random_range(1..6);
        let mut edits: Vec<Edit> = (0..number).map(|_| self.any_edit("replace")).collect();
        edits.retain(|edit| !edit.values.is_empty());
        edits.sort_by(|one, other| one.key.cmp(&other.key));
        edits.dedup_by(|one, other| one.key == other.key);
        let mode = self.some(&["merge", "replace", "skip_existing"]);
        let format = self.some(&["bind", "json", "csv"]);
        for edit in &mut edits {
            // a line of a master file that has no ttl takes that of the one before
            edit.ttl = edit.ttl.or((format == "bind").then_some(TTLS[1]));
            let disabled = self.random.random_bool(0.2);
            edit.values.values_mut().for_each(|value| *value = disabled);
        }
        let content = file_of(format, &edits);
        let body = json!({"format": format, "mode": mode, "content": content});
        self.doing = format!("import {body}");
        let answer = self.api().post(&format!("{}/import/text", self.domain.path()), body).await;
        self.settle(&answer, |model| model.import(&edits, mode));
    }

    async fn revert(&mut self) {
        if self.changes() == 0 {
            return;
        }
        let revision = self.random.random_range(1..=self.changes());
        let force = self.random.random::<bool>();
        self.doing = format!("revert revision {revision}, force {force}");
        let back = self.changes() - revision;
        let page = format!("{}?page_size=1&page={}", self.domain.changes(), back + 1);
        let change = self.apis[0].get(&page).await.ok()["data"][0].clone();
        assert_eq!(change["revision"], revision, "{}", self.doing);
        let path = format!("{}/{}/revert", self.domain.changes(), change["id"].as_str().expect("an id"));
        let answer = self.api().post(&path, json!({ "force": force })).await;
        let (wanted, left) = (self.revisions[revision - 1].clone(), self.revisions[revision].clone());
        let keys: BTreeSet<&Key> = wanted.0.keys().chain(left.0.keys()).collect();
        let differs = |key: &&Key| wanted.0.get(*key) != left.0.get(*key);
        let stands = |key: &Key| [wanted.0.get(key), left.0.get(key)].contains(&self.model.0.get(key));
        if !force && keys.into_iter().filter(differs).any(|key| !stands(key)) {
            assert_eq!((answer.status, &answer.body["code"]), (409, &"changed_since".into()), "{}", self.doing);
        }
        self.settle(&answer, |model| model.put_back(&wanted, &left));
    }

    async fn restore(&mut self) {
        let revision = self.random.random_range(0..=self.changes());
        self.doing = format!("restore revision {revision}");
        let path = format!("{}/restore-revision", self.domain.path());
        let answer = self.api().post(&path, json!({ "revision": revision })).await;
        assert_eq!(answer.status, 200, "what stood once can stand again: {}: {answer:?}", self.doing);
        let wanted = self.revisions[revision].clone();
        self.settle(&answer, |model| *model = wanted);
    }

    /// Two additions to one RRset at the same time: both stay.
    async fn two_at_once(&mut self) {
        let name = self.some(&NAMES).to_owned();
        let key = (name, "TXT".to_owned());
        let contents = [0, 1].map(|side| format!("\"{side} {}\"", self.random.random::<u32>()));
        self.doing = format!("two at once {key:?}");
        let [one, other] = [0, 1].map(|side| {
            let (api, path) = (self.apis[side].clone(), self.domain.records());
            let body = record(&key, &contents[side], None, false);
            async move { api.post(&path, body).await }
        });
        let answers: [Answer; 2] = tokio::join!(one, other).into();
        assert_eq!(answers[0].status, answers[1].status, "{}: {answers:?}", self.doing);
        // whichever was first: the history says it
        let newest = self.apis[0].get(&format!("{}?page_size=1", self.domain.changes())).await.ok();
        let stood = newest["data"][0]["changes"][0]["before"].to_string();
        let first = usize::from(answers[0].status == 200 && stood.contains(contents[1].trim_matches('"')));
        for side in [first, 1 - first] {
            let content = &contents[side];
            self.settle(&answers[side], |model| model.add(&key, content, None, false));
        }
    }

    /// The model is what either replica shows and what a secondary gets.
    pub async fn check(&mut self) {
        self.model.assert_sound();
        for api in &self.apis {
            assert_eq!(shown(api, &self.domain).await, self.model, "{}: the API at another state", self.doing);
        }
        if self.is_live {
            let transferred = dns::transfer(self.world.dns_address(), &self.domain.name).await.expect("allowed here");
            let served: BTreeSet<String> = transferred.iter().filter_map(|record| self.line(record)).collect();
            assert_eq!(served, self.model.served(), "{}: PowerDNS at another state", self.doing);
        }
    }

    /// `name type ttl content`, of what is the tenant's.
    fn line(&self, record: &hickory_proto::rr::Record) -> Option<String> {
        let name = record.name.to_ascii();
        let relative = name.trim_end_matches('.').strip_suffix(&self.domain.name).expect("in the zone");
        let relative = if relative.is_empty() { "@" } else { relative.trim_end_matches('.') };
        let record_type = record.record_type();
        let is_system = relative == "@" && [RecordType::SOA, RecordType::NS].contains(&record_type);
        if is_system || relative.starts_with("_scaidns") {
            return None;
        }
        let content = match record_type {
            RecordType::TXT => format!("\"{}\"", dns::text(&record.data)),
            _ => dns::text(&record.data),
        };
        Some(format!("{relative} {record_type} {} {content}", record.ttl))
    }

    /// From nothing, the history leads through every state of the model to the present; and empty names between exist.
    pub async fn check_history(&mut self) {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.apis[1].get(&format!("{}?page_size=100{cursor}", self.domain.changes())).await.ok();
            all.extend(page["data"].as_array().cloned().expect("changes"));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        all.reverse();
        assert_eq!(all.len(), self.changes(), "one change a revision");
        let mut replayed = Model::default();
        for (index, change) in all.iter().enumerate() {
            for rrset in change["changes"].as_array().expect("changes") {
                self.replay(&mut replayed, rrset);
            }
            assert_eq!(replayed, self.revisions[index + 1], "at revision {}", index + 1);
        }
        self.check_names_between().await;
    }

    /// A name with something served below it exists; without, it does not.
    async fn check_names_between(&self) {
        let served: BTreeSet<&str> = self
            .model
            .0
            .iter()
            .filter(|(_, rrset)| rrset.values.values().any(|disabled| !disabled))
            .map(|((name, _), _)| name.as_str())
            .collect();
        for (below, between) in [("_s._tcp", "_tcp"), ("x.y.z", "y.z"), ("x.y.z", "z")] {
            let exists = served.contains(below);
            eventually(&format!("{between} exists: {exists}"), || async {
                let answer = self.world.dns(&self.domain.at(between), RecordType::A).await;
                let is_so = if exists { answer.is_nodata() } else { !answer.is_nodata() };
                if is_so { Ok(()) } else { Err(format!("{answer:?}")) }
            })
            .await;
        }
    }

    fn replay(&self, model: &mut Model, rrset: &Value) {
        let text = |field: &str| rrset[field].as_str().expect("text").to_owned();
        let name = text("name");
        let relative = name.strip_suffix(&self.domain.name).expect("in the zone").trim_end_matches('.');
        let key = (if relative.is_empty() { "@".to_owned() } else { relative.to_owned() }, text("type"));
        if key.0 == "@" && ["SOA", "NS"].contains(&key.1.as_str()) {
            return;
        }
        let state = |side: &Value| {
            let records = side["records"].as_array()?;
            let value = |r: &Value| {
                (r["content"].as_str().expect("text").to_owned(), r["disabled"].as_bool().expect("a boolean"))
            };
            Some(Rrset { ttl: side["ttl"].as_u64().expect("a number"), values: records.iter().map(value).collect() })
        };
        assert_eq!(model.0.get(&key).cloned(), state(&rrset["before"]), "each change begins where the last has led");
        match state(&rrset["after"]) {
            Some(after) => drop(model.0.insert(key, after)),
            None => drop(model.0.remove(&key)),
        }
    }
}

fn record((name, record_type): &Key, content: &str, ttl: Option<u64>, disabled: bool) -> Value {
    let mut body = json!({"name": name, "type": record_type, "content": content, "disabled": disabled});
    if let Some(ttl) = ttl {
        body["ttl"] = json!(ttl);
    }
    body
}

async fn shown(api: &Api, domain: &Domain) -> Model {
    let mut model = Model::default();
    for r in api.records(domain).await {
        let text = |field: &str| r[field].as_str().expect("text").to_owned();
        let disabled = r["disabled"].as_bool().expect("a boolean");
        model.add(&(text("display_name"), text("type")), &text("content"), r["ttl"].as_u64(), disabled);
    }
    model
}

/// RRsets as a file.
fn file_of(format: &str, edits: &[Edit]) -> String {
    let mut lines = Vec::new();
    for Edit { op: _, key, ttl, values } in edits {
        let (name, record_type) = key;
        for (content, disabled) in values {
            let shown = ttl.map(|ttl| ttl.to_string()).unwrap_or_default();
            lines.push(match format {
                "json" => record(key, content, *ttl, *disabled).to_string(),
                "csv" => format!("{name},{record_type},\"{}\",{shown},{disabled}", content.replace('"', "\"\"")),
                _ => format!("{}{name} {shown} IN {record_type} {content}", if *disabled { ";disabled " } else { "" }),
            });
        }
    }
    match format {
        "json" => format!("[{}]", lines.join(",\n")),
        "csv" => format!("name,type,content,ttl,disabled\n{}\n", lines.join("\n")),
        _ => lines.join("\n"),
    }
}
