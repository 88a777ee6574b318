//! Zone files: out, in, and what other programs make of the same file.

use std::collections::BTreeSet;
use std::path::Path;

use hickory_proto::rr::RecordType;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use scaidns::dev::scaikey::directory;
use scaidns::dns;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Answer, Api, Domain, Trials, World, trials};

pub fn tests() -> Trials {
    trials![
        an_export_that_is_imported_changes_nothing,
        each_mode_does_what_it_says,
        every_line_that_is_wrong_is_told_and_nothing_is_written,
        a_preview_says_what_would_change_and_writes_nothing,
        a_file_may_come_as_a_form,
        who_may_not_write_all_of_a_file_writes_none_of_it,
        files_of_real_shape_are_read_as_bind_and_powerdns_read_them,
        thousands_of_rrsets_are_one_change,
    ]
}

async fn import(api: &Api, domain: &Domain, format: &str, mode: &str, content: &str) -> Answer {
    let body = json!({"format": format, "mode": mode, "content": content});
    api.post(&format!("{}/import/text", domain.path()), body).await
}

async fn export(api: &Api, domain: &Domain, format: &str) -> String {
    let body = api.get(&format!("{}/export?format={format}", domain.path())).await.ok();
    assert_eq!((&body["format"], &body["domain_name"]), (&json!(format), &json!(domain.name)));
    body["zone_file"].as_str().expect("a text").to_owned()
}

/// `name type ttl disabled content` of all records but SOA and apex NS.
async fn state(api: &Api, domain: &Domain) -> BTreeSet<String> {
    let records = api.records(domain).await;
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let shown = |record: &Value| {
        let (name, kind, content) = (text(&record["name"]), text(&record["type"]), text(&record["content"]));
        format!("{name} {kind} {} {} {content}", record["ttl"], record["disabled"])
    };
    records.iter().map(shown).collect()
}

pub fn counts(outcome: &Value) -> [u64; 5] {
    ["created", "updated", "deleted", "skipped", "imported_count"].map(|name| outcome[name].as_u64().expect("a number"))
}

/// The file of this name, for this domain.
fn file(name: &str, domain: &Domain) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/zones").join(name);
    std::fs::read_to_string(path).expect("a file").replace("@@zone@@", &domain.name)
}

async fn an_export_that_is_imported_changes_nothing() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "identity").await;
    let zone = file("quoting.zone", &domain);
    import(&api, &domain, "bind", "merge", &zone).await.ok();
    let off = json!({"name": "off", "type": "A", "content": "192.0.2.99", "disabled": true, "ttl": 77});
    api.post(&domain.records(), off).await.ok();
    let before = state(&api, &domain).await;
    let serial = world.serial(&domain.name).await;
    for format in ["bind", "json", "csv"] {
        let text = export(&api, &domain, format).await;
        for mode in ["merge", "replace", "skip_existing"] {
            let outcome = import(&api, &domain, format, mode, &text).await.ok();
            assert_eq!(counts(&outcome)[..3], [0, 0, 0], "{format} {mode}: {outcome}");
            assert_eq!(outcome["change_id"], Value::Null);
        }
        let other = world.live(&api, "identity-copy").await;
        let copied = text.replace(&domain.name, &other.name);
        import(&api, &other, format, "replace", &copied).await.ok();
        let wanted: BTreeSet<String> = before.iter().map(|line| line.replace(&domain.name, &other.name)).collect();
        assert_eq!(state(&api, &other).await, wanted, "{format}");
    }
    assert_eq!((state(&api, &domain).await, world.serial(&domain.name).await), (before, serial));
    assert!(export(&api, &domain, "bind").await.contains(&format!("\n;disabled off.{}. 77 IN A", domain.name)));

    let answer = api.get(&format!("{}/export/download", domain.path())).await;
    assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"{}.zone\"", domain.name));
    assert_eq!(answer.text, export(&api, &domain, "bind").await);
    api.get(&format!("{}/export?format=xml", domain.path())).await.refused(400, "invalid");
    let exports = world.audit(&format!("resource_id={}&action=domain.export", domain.id)).await;
    assert_eq!(exports.len(), 6, "one entry for each");
}

async fn each_mode_does_what_it_says() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "modes").await;
    let base = "a 300 A 192.0.2.1\na 300 A 192.0.2.2\nb 300 TXT one\n";
    assert_eq!(counts(&import(&api, &domain, "bind", "merge", base).await.ok()), [3, 0, 0, 0, 3]);
    let ids = api.records(&domain).await;
    let change = "@ NS ns.elsewhere.test.\na 600 A 192.0.2.1\n;disabled b 300 TXT one\nc 60 A 192.0.2.3\n";
    let name = &domain.name;

    let skipped = import(&api, &domain, "bind", "skip_existing", change).await.ok();
    assert_eq!(counts(&skipped), [1, 0, 0, 3, 1], "{skipped}");
    assert!(state(&api, &domain).await.contains(&format!("a.{name} A 300 false 192.0.2.1")));

    let merged = import(&api, &domain, "bind", "merge", change).await.ok();
    assert_eq!(counts(&merged), [0, 3, 0, 1, 3], "both records of the RRset have the new ttl: {merged}");
    let replaced = import(&api, &domain, "bind", "replace", change).await.ok();
    assert_eq!(counts(&replaced), [0, 0, 1, 4, 0], "{replaced}");
    let wanted = [
        format!("a.{name} A 600 false 192.0.2.1"),
        format!("b.{name} TXT 300 true \"one\""),
        format!("c.{name} A 60 false 192.0.2.3"),
    ];
    assert_eq!(state(&api, &domain).await, BTreeSet::from(wanted));
    world.served(&domain.at("a"), RecordType::A, &["192.0.2.1"]).await;
    world.served(name, RecordType::NS, &["ns1.scaidns-dev.test.", "ns2.scaidns-dev.test."]).await;
    let kept = api.records(&domain).await;
    assert!(kept.iter().any(|record| record["id"] == ids[0]["id"]), "a record that stays keeps its id");

    let body = json!({"content": change, "include_system": true});
    api.post(&format!("{}/import/text", domain.path()), body).await.ok();
    assert_eq!(world.dns_values(name, RecordType::NS).await.len(), 3, "asked for, the apex NS counts");
    let entries = world.audit(&format!("resource_id={}&action=domain.import", domain.id)).await;
    assert_eq!(entries.len(), 5, "one entry for each import that changed something");
    for (field, value) in [("format", "xml"), ("mode", "overwrite")] {
        let mut body = json!({"content": "a A 192.0.2.1"});
        body[field] = value.into();
        let detail = api.post(&format!("{}/import/text", domain.path()), body).await.refused(400, "invalid");
        assert_eq!(detail["field"], field);
    }
}

const WRONG: &str =
    "good A 192.0.2.1\nbad A 192.0.2.300\n\n$INCLUDE other\ngood CNAME a.test.\nx.elsewhere.test. A 192.0.2.1\n";

async fn every_line_that_is_wrong_is_told_and_nothing_is_written() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "lines").await;
    let serial = world.serial(&domain.name).await;
    let detail = import(&api, &domain, "bind", "merge", WRONG).await.refused(400, "several_errors");
    let errors = detail["errors"].as_array().expect("errors");
    let lines: Vec<&Value> = errors.iter().map(|error| &error["line"]).collect();
    assert_eq!(lines, [2, 4, 5, 6], "{detail}");
    assert_eq!((&errors[0]["field"], &errors[3]["field"]), (&json!("content"), &json!("name")));
    assert!(errors.iter().all(|error| error["message"].as_str().is_some_and(|message| !message.is_empty())));
    assert_eq!((state(&api, &domain).await, world.serial(&domain.name).await), (BTreeSet::new(), serial));
    for (format, text) in [("json", "[{]"), ("csv", "a,b\n"), ("json", "[{\"name\": \"a\"}]")] {
        let detail = import(&api, &domain, format, "merge", text).await.refused(400, "several_errors");
        assert_eq!(detail["errors"][0]["line"], 1);
    }
    import(&api, &domain, "bind", "merge", "$GENERATE 1-200002 a$ A 192.0.2.1").await.refused(400, "import_too_large");
}

async fn a_preview_says_what_would_change_and_writes_nothing() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "preview").await;
    api.add(&domain, "a", "A", "192.0.2.1").await;
    let serial = world.serial(&domain.name).await;
    let body = json!({"format": "bind", "mode": "replace", "content": "b 60 A 192.0.2.2\n"});
    for path in ["import/preview", "import/text?preview=true", "import/text?dry_run=true"] {
        let outcome = api.post(&format!("{}/{path}", domain.path()), body.clone()).await.ok();
        assert_eq!(counts(&outcome)[..3], [1, 0, 1], "{outcome}");
        assert_eq!((&outcome["applied"], outcome["changes"].as_array().map(Vec::len)), (&json!(false), Some(2)));
    }
    let wrong = json!({"content": WRONG});
    let outcome = api.post(&format!("{}/import/preview", domain.path()), wrong).await.ok();
    assert_eq!((outcome["errors"].as_array().map(Vec::len), &outcome["conflict_count"]), (Some(4), &json!(1)));
    assert_eq!(world.serial(&domain.name).await, serial);
}

async fn a_file_may_come_as_a_form() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "form").await;
    let path = format!("{}/import/file", domain.path());
    let send = async |form: Form| api.send(api.request(Method::POST, &path).multipart(form)).await;
    let file = |text: &str| Part::bytes(text.as_bytes().to_vec()).file_name("example.zone");
    let form = Form::new().part("file", file("a 60 A 192.0.2.1\n")).text("format", "bind").text("mode", "merge");
    assert_eq!(counts(&send(form).await.ok())[0], 1);
    send(Form::new().text("format", "bind")).await.refused(422, "validation_error");
    send(Form::new().text("colour", "red")).await.refused(422, "validation_error");
    send(Form::new().part("file", Part::bytes(vec![0xff, 0xfe]))).await.refused(422, "validation_error");
    api.post(&path, json!({})).await.refused(415, "unsupported_media_type");
}

async fn who_may_not_write_all_of_a_file_writes_none_of_it() {
    let world = World::shared().await;
    let domain = world.live(&world.admin(), "rights").await;
    let bob = world.user(directory::NORTHWIND_USER);
    import(&bob, &domain, "bind", "merge", "a A 192.0.2.1").await.refused(404, "not_found");
    import(&world.other(), &domain, "bind", "merge", "a A 192.0.2.1").await.refused(404, "not_found");
    world.other().get(&format!("{}/export", domain.path())).await.refused(404, "not_found");
    assert!(state(&world.admin(), &domain).await.is_empty());
}

/// `name type ttl content` in our canonical form, from lines as zone files have them; without SOA and apex NS.
pub fn canonical_lines(text: &str, zone: &str) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for line in text.lines() {
        let mut rest = line;
        let mut word = || {
            rest = rest.trim_start_matches([' ', '\t']);
            let end = rest.find([' ', '\t']).unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end);
            rest = tail;
            word
        };
        let (name, ttl, class, kind) = (word(), word(), word(), word());
        if class != "IN" {
            continue;
        }
        let name = name.trim_end_matches('.').to_lowercase();
        if kind == "SOA" || (kind == "NS" && name == zone) {
            continue;
        }
        let content = dns::canonical_from_server(&dns::RecordType::from_server(kind), rest.trim_matches([' ', '\t']));
        lines.insert(format!("{name} {kind} {ttl} {content}"));
    }
    lines
}

async fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().await;
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; scripts/test installs it"));
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program}: {text}{errors}");
    text.into_owned()
}

/// What BIND makes of a file.
pub async fn as_bind_reads(path: &Path, zone: &str) -> BTreeSet<String> {
    let path = path.to_str().expect("a path");
    let checks = ["-k", "ignore", "-n", "ignore", "-m", "ignore", "-r", "ignore", "-i", "none", "-M", "ignore"];
    let text = run("named-compilezone", &[&checks[..], &["-q", "-s", "full", "-o", "-", zone, path]].concat()).await;
    canonical_lines(&text, zone)
}

/// What PowerDNS's own loader makes of it, in a server that has nothing else.
pub async fn as_powerdns_reads(path: &Path, zone: &str) -> BTreeSet<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let named = format!("zone \"{zone}\" {{ type master; file \"{}\"; }};\n", path.display());
    std::fs::write(folder.path().join("named.conf"), named).expect("written");
    let settings = format!("launch=bind\nbind-config={}/named.conf\n", folder.path().display());
    std::fs::write(folder.path().join("pdns.conf"), settings).expect("written");
    let config = format!("--config-dir={}", folder.path().display());
    canonical_lines(&run("pdnsutil", &[&config, "list-zone", zone]).await, zone)
}

async fn files_of_real_shape_are_read_as_bind_and_powerdns_read_them() {
    let world = World::shared().await;
    let api = world.admin();
    for name in ["mail.zone", "generate.zone", "classless.zone", "quoting.zone", "delegations.zone"] {
        let domain = if name == "classless.zone" {
            let body = json!({"name": "78.51.198.in-addr.arpa", "domain_type": "reverse_ipv4"});
            let domain = Domain::new(api.post("/domains/", body).await.ok());
            world.publish(&domain).await;
            assert_eq!(api.check(&domain).await["is_valid"], true);
            domain
        } else {
            world.live(&api, "shape").await
        };
        let text = file(name, &domain);
        let outcome = import(&api, &domain, "bind", "replace", &text).await.ok();
        let records = api.records(&domain).await;
        let ours: BTreeSet<String> = records
            .iter()
            .map(|record| {
                let text = |name: &str| record[name].as_str().unwrap_or_default();
                format!("{} {} {} {}", text("name"), text("type"), record["ttl"], text("content"))
            })
            .collect();
        assert_eq!(outcome["created"], ours.len(), "{name}");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, &text).expect("written");
        assert_same(&format!("{name}: BIND"), &ours, &as_bind_reads(&path, &domain.name).await);
        assert_same(&format!("{name}: PowerDNS"), &ours, &as_powerdns_reads(&path, &domain.name).await);
        // and what we write is read by both as we meant it
        std::fs::write(&path, export(&api, &domain, "bind").await).expect("written");
        assert_same(&format!("{name}, exported: BIND"), &ours, &as_bind_reads(&path, &domain.name).await);
        assert_same(&format!("{name}, exported: PowerDNS"), &ours, &as_powerdns_reads(&path, &domain.name).await);
    }
}

#[track_caller]
pub fn assert_same(what: &str, ours: &BTreeSet<String>, theirs: &BTreeSet<String>) {
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>().join("\n  ");
    assert_eq!(ours, theirs, "{what}\nours only:\n  {}\ntheirs only:\n  {}", only(ours, theirs), only(theirs, ours));
}

async fn thousands_of_rrsets_are_one_change() {
    let world = World::shared().await;
    let api = world.admin();
    let domain = world.live(&api, "large").await;
    let serial = world.serial(&domain.name).await;
    let text = "$TTL 300\n$GENERATE 0-5999 h$ A 10.0.0.1\n";
    let outcome = import(&api, &domain, "bind", "merge", text).await.ok();
    assert_eq!(counts(&outcome)[0], 6_000);
    assert_eq!(world.serial(&domain.name).await, serial + 1);
    for name in ["h0", "h5000", "h5999"] {
        world.served(&domain.at(name), RecordType::A, &["10.0.0.1"]).await;
    }
    assert_eq!(api.domain(&domain).await["record_count"], 6_000);
}
