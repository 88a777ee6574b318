//! What the container files name is there: each variable is one that ScaiDNS reads, each secret is made, each path exists,
//! each port is listened on. Nothing is built or started here.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use scaidns::config::Config;
use serde_yaml_ng::Value;

use crate::support::{Trials, executable, scaidns, trials};

pub fn tests() -> Trials {
    trials![
        the_compose_file_has_the_form_of_its_specification,
        scaidns_is_configured_as_it_reads_its_configuration,
        secrets_volumes_networks_and_dependencies_lead_somewhere,
        ports_are_those_that_something_listens_on,
        images_are_built_from_what_is_there,
        powerdns_gets_all_that_its_template_leaves_open,
        commands_are_those_that_scaidns_has,
        units_of_systemd_run_what_there_is_with_a_whole_configuration,
    ]
}

const SCAIDNS_SERVICES: [&str; 4] = ["api-1", "api-2", "worker", "migrate"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The file with its merge keys resolved, as compose sees it.
fn compose() -> Value {
    let mut file: Value = serde_yaml_ng::from_str(&read("docker-compose.yml")).expect("YAML");
    // what is merged may itself be merged from something
    for _ in 0..3 {
        file.apply_merge().expect("merge keys");
    }
    file
}

fn entries(value: &Value) -> BTreeMap<String, Value> {
    let Some(map) = value.as_mapping() else { return BTreeMap::new() };
    map.iter().map(|(name, value)| (text(name), value.clone())).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        other => panic!("{other:?} is no text"),
    }
}

fn list(value: &Value) -> Vec<String> {
    value.as_sequence().into_iter().flatten().map(text).collect()
}

fn services() -> BTreeMap<String, Value> {
    entries(&compose()["services"])
}

/// `NAME=value` lines.
fn env_file(path: &str) -> BTreeMap<String, String> {
    let file = read(path);
    let lines = file.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines.map(|line| line.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())).expect(line)).collect()
}

/// `${NAME:-default}` and `${NAME:?message}` as compose fills them in; whatever is wanted and not given fails.
fn filled_in(text: &str, given: &BTreeMap<String, String>) -> String {
    let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
    let (inside, after) = rest.split_once('}').unwrap_or_else(|| panic!("{text} does not end"));
    let value = match (inside.split_once(":-"), inside.split_once(":?")) {
        (Some((name, default)), _) => given.get(name).cloned().unwrap_or_else(|| default.to_owned()),
        (_, Some((name, _))) => given.get(name).cloned().unwrap_or_else(|| panic!("{name} is in no env file")),
        _ => panic!("{inside} says nothing of its absence"),
    };
    format!("{before}{value}{}", filled_in(after, given))
}

/// Every name that the configuration looks up.
fn variables_read() -> BTreeSet<String> {
    let names = RefCell::new(BTreeSet::new());
    let _ = Config::from_lookup(|name| {
        names.borrow_mut().insert(name.to_owned());
        None
    });
    names.into_inner()
}

/// Reads a configuration whose secrets are where the containers would have them.
fn configured(variables: &BTreeMap<String, String>) -> Config {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    let read = Config::from_lookup(|name| {
        let value = variables.get(name)?.clone();
        if !name.ends_with("_FILE") {
            return Some(value);
        }
        let content = if value.ends_with("database-url") { "mysql://u:p@mariadb/scaidns" } else { &"s".repeat(64) };
        std::fs::write(&file, content).expect("written");
        Some(file.display().to_string())
    });
    read.unwrap_or_else(|problems| panic!("{problems}"))
}

async fn the_compose_file_has_the_form_of_its_specification() {
    let python = root().join("target/venv/bin/python");
    let mut command = executable::command(&python);
    command.current_dir(root());
    command.args(["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"]);
    let output = executable::run(&mut command).await;
    assert_eq!(output.code, Some(0), "scripts/test installs check-jsonschema: {} {}", output.stdout, output.stderr);
}

async fn scaidns_is_configured_as_it_reads_its_configuration() {
    let known = variables_read();
    assert!(known.contains("DATABASE_URL") && known.contains("DATABASE_URL_FILE"), "the reading works");
    let services = services();
    for env in ["docker/example.env", "docker/dev.env"] {
        let given = env_file(env);
        for service in SCAIDNS_SERVICES {
            let environment = entries(&services[service]["environment"]);
            for name in environment.keys() {
                assert!(known.contains(name), "{service}: ScaiDNS does not read {name}");
            }
            let variables =
                environment.iter().map(|(name, value)| (name.clone(), filled_in(&text(value), &given))).collect();
            let config = configured(&variables);
            assert_eq!(config.bind_address.port(), 8000);
            assert!(config.metrics.enabled && config.metrics.bind_address.port() == 9090);
            assert_eq!(config.pdns.dns_address.as_deref(), Some("powerdns:5300"));
        }
        // nothing is given that is not taken
        let file = read("docker-compose.yml");
        for name in given.keys() {
            assert!(file.contains(&format!("${{{name}:")), "{env}: {name} is not used");
        }
    }
    let dev = env_file("docker/dev.env");
    assert_eq!(dev["SCAIKEY_CLIENT_ID"], scaidns::dev::scaikey::CLIENT_ID);
    assert_eq!(dev["SCAIKEY_APPLICATION_ID"], scaidns::dev::scaikey::APPLICATION_ID);
    // the proxy is trusted by the network that it is in, and PowerDNS's API open to the one without a way out
    let file = compose();
    let subnet = |network: &str| text(&file["networks"][network]["ipam"]["config"][0]["subnet"]);
    assert_eq!(text(&services["api-1"]["environment"]["TRUSTED_PROXIES"]), subnet("outside"));
    assert_eq!(text(&services["powerdns"]["environment"]["PDNS_API_ALLOW_FROM"]), subnet("inside"));
    assert_eq!(file["networks"]["inside"]["internal"], Value::Bool(true));
}

async fn secrets_volumes_networks_and_dependencies_lead_somewhere() {
    let (file, services) = (compose(), services());
    let [secrets, volumes, networks] = ["secrets", "volumes", "networks"].map(|part| entries(&file[part]));
    let maker = read("docker/make-secrets.sh");
    for (name, secret) in &secrets {
        assert_eq!(text(&secret["file"]), format!("./docker/secrets/{name}"));
        assert!(maker.contains(name.as_str()), "nothing makes the secret {name}");
    }
    assert!(read(".gitignore").lines().any(|line| line == "/docker/secrets"), "secrets are not committed");
    let mut used = (BTreeSet::new(), BTreeSet::new());
    for (name, service) in &services {
        let given = list(&service["secrets"]);
        assert!(given.iter().all(|secret| secrets.contains_key(secret)), "{name}: {given:?}");
        let mounted = |value: &str| value.strip_prefix("/run/secrets/").map(str::to_owned);
        for wanted in entries(&service["environment"]).values().filter_map(|value| mounted(&text(value))) {
            assert!(given.contains(&wanted), "{name} is not given the secret {wanted}");
        }
        used.0.extend(given);
        for volume in list(&service["volumes"]) {
            let (source, target) = volume.split_once(':').expect("source and target");
            assert!(target.starts_with('/'), "{name}: {volume}");
            match source.strip_prefix("./") {
                Some(path) => assert!(root().join(path).is_file(), "{name}: {path} is not there"),
                None => assert!(volumes.contains_key(source) && used.1.insert(source.to_owned()), "{name}: {source}"),
            }
        }
        for network in list(&service["networks"]) {
            assert!(networks.contains_key(&network), "{name}: {network}");
        }
        for (other, how) in entries(&service["depends_on"]) {
            let condition = text(&how["condition"]);
            let other = services.get(&other).unwrap_or_else(|| panic!("{name} waits for {other}"));
            if condition == "service_healthy" {
                assert!(other["healthcheck"]["test"].is_sequence(), "{name} waits for what nobody looks at");
            }
        }
        if name != "scaikey" && name != "migrate" {
            assert!(service["healthcheck"]["test"].is_sequence(), "{name} has no health check");
        }
    }
    assert_eq!(used.0, secrets.keys().cloned().collect(), "each secret is somebody's");
    assert_eq!(used.1, volumes.keys().cloned().collect(), "each volume is somebody's");
    assert!(read("docker/mariadb.sh").contains("/run/secrets/pdns-database-password"));
}

async fn ports_are_those_that_something_listens_on() {
    let services = services();
    let proxy = read("docker/Caddyfile");
    for api in ["api-1", "api-2"] {
        let address = text(&services[api]["environment"]["BIND_ADDRESS"]);
        let port = address.rsplit(':').next().expect("a port");
        assert!(proxy.contains(&format!("{api}:{port}")), "the proxy does not go to {api}:{port}");
        assert!(services[api]["ports"].is_null(), "only the proxy is reached from outside");
    }
    assert!(proxy.contains("{$SCAIDNS_SITE}") && !services["proxy"]["environment"]["SCAIDNS_SITE"].is_null());
    let starter = read("docker/powerdns.sh");
    assert!(starter.contains("s|{{dns_port}}|5300|") && starter.contains("s|{{api_port}}|8081|"));
    let published: Vec<String> = services.values().flat_map(|service| list(&service["ports"])).collect();
    let inner: BTreeSet<&str> = published.iter().map(|port| port.rsplit(':').next().expect("a port")).collect();
    assert_eq!(inner, BTreeSet::from(["80", "443", "5300/udp", "5300/tcp"]));
    for secretive in ["mariadb", "redis", "worker", "migrate"] {
        assert!(services[secretive]["ports"].is_null(), "{secretive} is reached from outside");
    }
    let scaikey = list(&services["scaikey"]["command"]).join(" ");
    let dev = env_file("docker/dev.env");
    assert!(scaikey.contains("--listen=0.0.0.0:8025") && scaikey.contains(&format!("--url={}", dev["SCAIKEY_URL"])));
}

async fn images_are_built_from_what_is_there() {
    let dockerfile = read("Dockerfile");
    let words: Vec<Vec<&str>> = dockerfile.lines().map(|line| line.split_whitespace().collect()).collect();
    let stages: BTreeSet<&str> =
        words.iter().filter(|line| line.first() == Some(&"FROM")).filter_map(|line| line.last().copied()).collect();
    let kept = read(".dockerignore");
    let mut copied = 0;
    for line in words.iter().filter(|line| line.first() == Some(&"COPY")) {
        match line.iter().find_map(|word| word.strip_prefix("--from=")) {
            Some(stage) => assert!(stages.contains(stage), "{line:?}"),
            None => {
                let paths: Vec<&&str> = line[1..line.len() - 1].iter().filter(|word| !word.starts_with("--")).collect();
                for path in paths {
                    let top = path.split('/').next().expect("a part");
                    assert!(root().join(path).exists(), "{path} is not there");
                    assert!(kept.contains(&format!("!{top}")), ".dockerignore leaves {path} out");
                    copied += 1;
                }
            }
        }
    }
    assert!(copied >= 7, "only {copied} paths");
    for (name, service) in services() {
        let target = &service["build"]["target"];
        assert!(target.is_null() || stages.contains(text(target).as_str()), "{name}: {target:?}");
        assert!(service["image"].is_string(), "{name} has no image");
    }
    for what in ["migrations", "src"] {
        assert!(dockerfile.contains(&format!("COPY {what} {what}")), "{what} is compiled in");
    }
    // whatever the package's own files name is there when it is built
    for target in ["benches", "tests"] {
        assert!(read("Cargo.toml").contains(target) == dockerfile.contains(&format!("COPY {target} {target}")));
    }
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a version");
    assert!(dockerfile.contains(&format!("FROM rust:{}-", version.trim_matches('"'))), "another compiler: {version}");
    let last = dockerfile.rsplit("FROM ").next().expect("a stage");
    for expected in ["USER nonroot", "HEALTHCHECK", "\"/usr/local/bin/scaidns\", \"health\"", "EXPOSE 8000/tcp"] {
        assert!(last.contains(expected), "the product's image lacks {expected}");
    }
}

async fn powerdns_gets_all_that_its_template_leaves_open() {
    let (template, starter) = (read("powerdns/pdns.conf"), read("docker/powerdns.sh"));
    let mut open = BTreeSet::new();
    for line in template.lines().filter(|line| !line.starts_with('#')) {
        let rest = line.split("{{").skip(1);
        open.extend(rest.filter_map(|rest| rest.split_once("}}")).map(|(name, _)| name.to_owned()));
    }
    assert!(open.len() >= 10, "{open:?}");
    let environment = entries(&services()["powerdns"]["environment"]);
    for name in &open {
        assert!(starter.contains(&format!("s|{{{{{name}}}}}|")), "powerdns.sh does not fill {name} in");
    }
    let wanted: BTreeSet<&str> =
        starter.split("\"$PDNS_").skip(1).filter_map(|rest| rest.split_once('"')).map(|(name, _)| name).collect();
    for name in &wanted {
        assert!(environment.contains_key(&format!("PDNS_{name}")), "compose does not say PDNS_{name}");
    }
    assert_eq!(wanted.len(), environment.len(), "{wanted:?}");

    // the very script, with a PowerDNS that only shows what it was given
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("secret"), "a&b\\c|d\n").expect("written");
    std::fs::write(at("pdns_server"), "#!/bin/sh\ncat \"${1#--config-dir=}/pdns.conf\"\n").expect("written");
    let script =
        starter.replace("/etc/powerdns/pdns.conf.template", &root().join("powerdns/pdns.conf").display().to_string());
    let script = script.replace("/run/powerdns", &folder.path().display().to_string());
    let mut command = executable::command(Path::new("/bin/sh"));
    command.arg("-c").arg(format!("chmod +x {}\n{script}", at("pdns_server")));
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
    for name in environment.keys() {
        let value = if name.ends_with("_FILE") { at("secret") } else { "value".to_owned() };
        command.env(name, value);
    }
    let output = executable::run(&mut command).await;
    assert_eq!(output.code, Some(0), "{} {}", output.stdout, output.stderr);
    for expected in ["api-key=a&b\\c|d\n", "gmysql-host=value\n", "local-port=5300\n", "webserver-port=8081\n"] {
        assert!(output.stdout.contains(expected), "no {expected} in {}", output.stdout);
    }
}

async fn commands_are_those_that_scaidns_has() {
    for (name, service) in services() {
        let command = list(&service["command"]);
        if !text(&service["image"]).starts_with("scaidns") || command.is_empty() {
            continue;
        }
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let output = scaidns(&arguments, &[]).await;
        assert_eq!(output.code, Some(0), "{name}: scaidns {command:?}: {}", output.stderr);
        let health = list(&service["healthcheck"]["test"]);
        if health.first().is_some_and(|first| first == "CMD") {
            let mut arguments: Vec<&str> = health[2..].iter().map(String::as_str).collect();
            arguments.push("--help");
            assert_eq!(scaidns(&arguments, &[]).await.code, Some(0), "{name}: {health:?}");
        }
    }
}

async fn units_of_systemd_run_what_there_is_with_a_whole_configuration() {
    let known = variables_read();
    let variables = env_file("docs/systemd/scaidns.env");
    for name in variables.keys() {
        assert!(known.contains(name), "ScaiDNS does not read {name}");
    }
    configured(&variables);
    for (unit, command) in [("scaidns-api@.service", "api"), ("scaidns-worker.service", "worker")] {
        let unit = read(&PathBuf::from("docs/systemd").join(unit).display().to_string());
        assert!(unit.contains(&format!("ExecStart=/usr/local/bin/scaidns {command}\n")), "{unit}");
        let line = unit.lines().find_map(|line| line.strip_prefix("Environment=")).expect("its own address");
        for assignment in line.split(' ') {
            let (name, value) = assignment.split_once('=').expect("name and value");
            assert!(known.contains(name) && !variables.contains_key(name), "{assignment}");
            value.replace("%i", "8000").parse::<std::net::SocketAddr>().unwrap_or_else(|_| panic!("{assignment}"));
        }
    }
}
