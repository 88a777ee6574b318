//! The client commands, as somebody types them: against a real API, by their output and exit codes.

use futures::StreamExt;
use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::support::{Domain, Output, Trials, World, reaper, scaidns, trials};

pub fn tests() -> Trials {
    trials![
        a_domain_is_claimed_proven_filled_and_removed,
        records_are_added_changed_and_removed,
        zone_files_go_in_and_come_out,
        reverse_zones_and_grants_are_looked_after,
        templates_make_records,
        signing_is_shown,
        failures_have_the_exit_code_of_their_kind,
        settings_come_from_the_environment_or_a_file,
        a_migration_without_a_database_is_an_upstreams_failure,
        lists_are_walked_to_their_end,
        shells_are_told_what_completes_a_command,
    ]
}

/// Somebody at a shell.
struct Shell {
    env: Vec<(String, String)>,
}

impl Shell {
    fn new(url: &str, key: &str) -> Self {
        let home = reaper::folder("home");
        std::fs::create_dir_all(&home).expect("a folder");
        let variables = [("SCAIDNS_URL", url), ("SCAIDNS_API_KEY", key), ("XDG_CONFIG_HOME", &home.to_string_lossy())];
        Self { env: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec() }
    }

    async fn admin() -> (&'static World, Self) {
        let world = World::shared().await;
        (world, Self::new(&world.urls[0], &world.admin_key))
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        scaidns(arguments, &self.env).await
    }

    async fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).await.ok()
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let printed = self.ok(&arguments).await;
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{arguments:?} printed {printed:?}: {error}"))
    }
}

async fn a_domain_is_claimed_proven_filled_and_removed() {
    let (world, shell) = Shell::admin().await;
    let name = world.fresh("typed");
    let claimed = shell.json(&["domains", "create", &name, "--description", "by hand"]).await;
    assert_eq!((&claimed["name"], &claimed["status"]), (&json!(name), &json!("pending_validation")));
    let challenge = shell.json(&["validation", "show", &name]).await;
    assert_eq!(challenge["id"], claimed["validation"]["id"]);
    let unproven = shell.run(&["validation", "check", &name]).await;
    assert_eq!(unproven.code, Some(6), "{unproven:?}");
    let domain = Domain::new(claimed.clone());
    world.publish(&domain).await;
    assert_eq!(shell.json(&["validation", "check", &name]).await["is_valid"], true);
    shell.ok(&["records", "add", &name, "www", "a", "192.0.2.7", "--ttl", "300"]).await;
    world.served(&format!("www.{name}"), RecordType::A, &["192.0.2.7"]).await;
    let met = shell.run(&["validation", "show", &name, "--json"]).await;
    assert_eq!((met.code, met.stdout.as_str()), (Some(5), "null\n"), "{met:?}");
    let list = shell.ok(&["domains", "list", "--search", &name]).await;
    assert!(list.contains("NAME") && list.contains(&name) && list.contains("active"), "{list}");
    let changed = shell.json(&["domains", "update", &name, "--status", "inactive"]).await;
    assert_eq!(changed["status"], "inactive");
    assert_eq!(shell.json(&["domains", "delete", &name]).await, json!({}));
    let restored = shell.json(&["domains", "restore", &name]).await;
    assert_eq!(restored["status"], "inactive");
    shell.ok(&["domains", "delete", &name, "--hard"]).await;
    assert_eq!(shell.run(&["domains", "show", &name]).await.code, Some(5));
}

async fn records_are_added_changed_and_removed() {
    let (world, shell) = Shell::admin().await;
    let domain = world.live(&world.admin(), "typed").await;
    let tried = shell.json(&["records", "add", &domain.name, "@", "MX", "10 mail.example.net.", "--dry-run"]).await;
    assert_eq!(tried["applied"], false);
    let added = shell.json(&["records", "add", &domain.id, "@", "MX", "10 mail.example.net."]).await;
    let id = added["id"].as_str().expect("an id");
    let changed = shell.json(&["records", "update", &domain.name, id, "--content", "20 mail.example.net."]).await;
    assert_eq!((&changed["id"], &changed["content"]), (&json!(id), &json!("20 mail.example.net.")));
    let low = shell.run(&["records", "update", &domain.name, id, "--ttl", "30"]).await;
    assert!(low.code == Some(0) && low.stderr.contains("warning: ttl:"), "{low:?}");
    let list = shell.json(&["records", "list", &domain.name, "--type", "mx"]).await;
    assert_eq!((list["total"].as_u64(), &list["data"][0]["ttl"]), (Some(1), &json!(30)));
    let table = shell.ok(&["records", "list", &domain.name]).await;
    assert!(table.contains("CONTENT") && table.contains("20 mail.example.net."), "{table}");
    shell.ok(&["records", "delete", &domain.name, id]).await;
    assert_eq!(shell.run(&["records", "delete", &domain.name, id]).await.code, Some(5));
}

async fn zone_files_go_in_and_come_out() {
    let (world, shell) = Shell::admin().await;
    let domain = world.live(&world.admin(), "typed").await;
    let folder = reaper::folder("zone-file");
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("zone").to_string_lossy().into_owned();
    std::fs::write(&file, "www 300 IN A 192.0.2.1\n    300 IN A 192.0.2.2\nmail 3600 IN A 192.0.2.3\n")
        .expect("written");
    let previewed = shell.json(&["import", &domain.name, &file, "--preview"]).await;
    assert_eq!(previewed["created"], 3);
    assert_eq!(shell.json(&["import", &domain.name, &file]).await["created"], 3);
    let exported = shell.ok(&["export", &domain.name]).await;
    assert!(exported.contains("192.0.2.2") && exported.contains("mail"), "{exported}");
    std::fs::write(&file, &exported).expect("written");
    let again = shell.json(&["import", &domain.name, &file, "--mode", "replace"]).await;
    assert_eq!((&again["created"], &again["updated"], &again["deleted"]), (&json!(0), &json!(0), &json!(0)));
    let csv = shell.json(&["export", &domain.name, "--format", "csv"]).await;
    assert!(csv["zone_file"].as_str().is_some_and(|file| file.starts_with("name,type,content,ttl,disabled")), "{csv}");
    std::fs::write(&file, "good IN A 192.0.2.9\nbad IN A 192.0.2.999\n").expect("written");
    let refused = shell.run(&["import", &domain.name, &file]).await;
    assert!(refused.code == Some(6) && refused.stderr.contains("line 2:"), "{refused:?}");
    assert_eq!(shell.run(&["import", &domain.name, "/does/not/exist"]).await.code, Some(2));
}

async fn reverse_zones_and_grants_are_looked_after() {
    let (world, shell) = Shell::admin().await;
    let previewed = shell.json(&["reverse", "preview", "198.18.7.0/24"]).await;
    assert_eq!(previewed["zone_name"], "7.18.198.in-addr.arpa");
    let claimed = shell.json(&["reverse", "create", "198.18.7.0/24"]).await;
    let domain = Domain::new(claimed.clone());
    world.publish(&domain).await;
    assert_eq!(shell.json(&["validation", "check", &domain.name]).await["is_valid"], true);
    shell.ok(&["reverse", "add", &domain.name, "198.18.7.9", "nine.example.net"]).await;
    let found = shell.json(&["reverse", "lookup", "198.18.7.9"]).await;
    assert_eq!(found["hostname"], "nine.example.net");
    let table = shell.ok(&["reverse", "ptrs", &domain.name]).await;
    assert!(table.contains("198.18.7.9") && table.contains("nine.example.net"), "{table}");
    assert!(shell.ok(&["reverse", "list", "--search", "198.18.7.0/24"]).await.contains(&domain.name));
    let forward = world.live(&world.admin(), "typed").await;
    let added = shell.json(&["records", "add", &forward.name, "ten", "A", "198.18.7.10", "--ptr"]).await;
    assert_eq!(added["ptr"]["status"], "created", "{added}");
    shell.ok(&["reverse", "delete", &domain.name, "198.18.7.9"]).await;
    assert_eq!(shell.run(&["reverse", "lookup", "198.18.7.9"]).await.code, Some(5));

    let user = scaidns::dev::scaikey::directory::NORTHWIND_ADMIN;
    let grant = shell
        .json(&["grants", "add", &domain.name, user, "--role", "record_editor", "--pattern", "1*", "--type", "PTR"])
        .await;
    let id = grant["id"].as_str().expect("an id");
    assert!(shell.ok(&["grants", "list", &domain.name]).await.contains(id));
    shell.ok(&["grants", "delete", &domain.name, id]).await;
    assert_eq!(shell.json(&["grants", "list", &domain.name]).await["total"], 0);
    shell.ok(&["domains", "delete", &domain.name, "--hard"]).await;
}

async fn templates_make_records() {
    let (world, shell) = Shell::admin().await;
    let domain = world.live(&world.admin(), "typed").await;
    let list = shell.ok(&["templates", "list"]).await;
    assert!(list.contains("mail") && list.contains("parked-domain") && list.contains("system"), "{list}");
    let shown = shell.json(&["templates", "show", "mail"]).await;
    assert_eq!(shown["variables"][0]["name"], "dkim_public_key");
    let incomplete = shell.run(&["templates", "preview", "mail", &domain.name]).await;
    assert!(incomplete.code == Some(6) && incomplete.stderr.contains("dkim_public_key"), "{incomplete:?}");
    let previewed = shell.json(&["templates", "preview", "parked-domain", &domain.name]).await;
    assert_eq!((&previewed["applied"], &previewed["total_created"]), (&json!(false), &json!(4)));
    let values = ["--set", "dkim_public_key=c2NhaWRucw==", "--set", "dmarc_policy=reject"];
    let applied = [&["templates", "apply", "mail", &domain.name], &values[..]].concat();
    assert_eq!(shell.json(&applied).await["total_created"], 4);
    assert_eq!(shell.json(&applied).await["total_skipped"], 4);
    let before = shell.ok(&["export", &domain.name, "--revision", "1"]).await;
    assert!(before.contains("SOA") && !before.contains("DMARC1"), "{before}");
}

async fn signing_is_shown() {
    let (world, shell) = Shell::admin().await;
    let domain = world.live(&world.admin(), "typed").await;
    assert_eq!(shell.json(&["dnssec", "show", &domain.name]).await["enabled"], false);
    assert_eq!(shell.run(&["dnssec", "enable", &domain.name, "--algorithm", "5"]).await.code, Some(6));
    let enabled = shell.json(&["dnssec", "enable", &domain.name]).await;
    assert_eq!(enabled["action"], "enable");
    assert_eq!(shell.run(&["dnssec", "enable", &domain.name]).await.code, Some(6), "it is already");
    let shown = shell.ok(&["dnssec", "show", &domain.name]).await;
    assert!(shown.contains("pending_ds"), "{shown}");
}

async fn failures_have_the_exit_code_of_their_kind() {
    let (world, shell) = Shell::admin().await;
    let domain = world.live(&world.admin(), "typed").await;
    let stranger = Shell::new(&world.urls[0], "sdk_live_0000000000000000000000000000000000000000000");
    assert_eq!(stranger.run(&["domains", "list"]).await.code, Some(3));
    let owner = scaidns::dev::scaikey::directory::NORTHWIND_ADMIN;
    let made = ["keys", "create", "--owner", owner, "--name", "viewer", "--json"];
    let scopes = ["--scope", "domains:read", "--scope", "records:read"];
    let made = scaidns(&[made.as_slice(), scopes.as_slice()].concat(), &world.env).await.ok();
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let viewer = Shell::new(&world.urls[0], made["key"].as_str().expect("a key"));
    let refused = viewer.run(&["records", "add", &domain.id, "www", "A", "192.0.2.1"]).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(4), ""), "{refused:?}");
    let other = Shell::new(&world.urls[0], &world.other_key);
    assert_eq!(other.run(&["domains", "show", &domain.id]).await.code, Some(5));
    assert_eq!(other.run(&["records", "list", &domain.name]).await.code, Some(5));
    let wrong = shell.run(&["records", "add", &domain.name, "www", "A", "192.0.2.999"]).await;
    assert!(wrong.code == Some(6) && wrong.stderr.contains("content: "), "{wrong:?}");
    assert_eq!(shell.run(&["records", "add", &domain.name]).await.code, Some(2));
    let nowhere = Shell::new("http://127.0.0.1:9", &world.admin_key);
    assert_eq!(nowhere.run(&["domains", "list"]).await.code, Some(7));
}

async fn settings_come_from_the_environment_or_a_file() {
    let (world, mut shell) = Shell::admin().await;
    let folder = shell.env.iter().find(|(name, _)| name == "XDG_CONFIG_HOME").map(|(_, value)| value.clone());
    let folder = std::path::Path::new(&folder.expect("a folder")).join("scaidns");
    let environment = shell.env.clone();
    shell.env.retain(|(name, _)| name == "XDG_CONFIG_HOME");
    let unset = shell.run(&["domains", "list"]).await;
    assert!(unset.code == Some(2) && unset.stderr.contains("SCAIDNS_URL"), "{unset:?}");
    std::fs::create_dir_all(&folder).expect("a folder");
    let write = |text: &str| std::fs::write(folder.join("config.toml"), text).expect("written");
    write(&format!("url = \"{}\"\napi_key = \"{}\"\n", world.urls[1], world.admin_key));
    shell.ok(&["domains", "list", "--search", "none-of-this-name"]).await;
    write(&format!("url = \"{}\"\napi_key = \"{}\"\n", world.urls[1], "sdk_live_wrong"));
    assert_eq!(shell.run(&["domains", "list"]).await.code, Some(3));
    shell.env = environment;
    shell.ok(&["domains", "list", "--search", "none-of-this-name"]).await;
    // a broken file matters only where something of it is wanted
    write("url = 7\n");
    shell.ok(&["domains", "list", "--search", "none-of-this-name"]).await;
    shell.env.retain(|(name, _)| name != "SCAIDNS_API_KEY");
    let broken = shell.run(&["domains", "list"]).await;
    assert!(broken.code == Some(2) && broken.stderr.contains("config.toml"), "{broken:?}");
    shell.env.push(("SCAIDNS_API_KEY".into(), "sdk_live_\u{7f}\n".into()));
    let no_key = shell.run(&["domains", "list"]).await;
    assert!(no_key.code == Some(2) && !no_key.stderr.contains("sdk_live"), "{no_key:?}");
}

async fn a_migration_without_a_database_is_an_upstreams_failure() {
    let world = World::shared().await;
    let mut env = world.env.clone();
    for (name, value) in &mut env {
        if name == "DATABASE_URL" {
            *value = "mysql://nobody:nothing@127.0.0.1:9/none".into();
        }
    }
    let down = scaidns(&["migrate"], &env).await;
    assert_eq!(down.code, Some(7), "{down:?}");
}

async fn lists_are_walked_to_their_end() {
    let (world, shell) = Shell::admin().await;
    let label = world.fresh("walk").replace(".test", "");
    let (api, label) = (world.admin(), label.as_str());
    let claims = (0..105).map(|n| {
        let name = format!("n{n}-{label}.test");
        let api = api.clone();
        async move { api.create_domain(&name).await }
    });
    // no more at once than a tenant has places for: those who wait too long are told to come back
    futures::stream::iter(claims).buffer_unordered(8).for_each(|_| std::future::ready(())).await;
    let list = shell.json(&["domains", "list", "--search", label, "--status", "pending_validation"]).await;
    assert_eq!((list["total"].as_u64(), list["data"].as_array().map(Vec::len)), (Some(105), Some(105)));
}

async fn shells_are_told_what_completes_a_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = scaidns(&["completions", shell], &[]).await.ok();
        assert!(script.contains("scaidns") && script.contains("validation"), "{shell}: {script}");
    }
    assert_eq!(scaidns(&["completions", "cmd"], &[]).await.code, Some(2));
}
