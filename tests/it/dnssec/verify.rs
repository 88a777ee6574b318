//! Other people's tools on what is served: delv, ldns-verify-zone, dnssec-verify.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;

use tokio::process::Command;

use crate::support::{Domain, World};

async fn run(program: &str, arguments: &[&str]) -> Output {
    let sbin = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(arguments).env("PATH", sbin).output().await;
    output.unwrap_or_else(|error| panic!("{program} does not run ({error}); scripts/test installs it"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A file with the root's key, as delv wants it.
pub fn root_anchor(world: &World, name: &str) -> std::path::PathBuf {
    let anchor = world.registrar.trust_anchor();
    let fields: Vec<&str> = anchor.split(' ').skip(2).collect();
    let [flags, protocol, algorithm, key] = fields.as_slice() else { panic!("{anchor}") };
    let file = world.folder.join(format!("{name}.root"));
    let text = format!("trust-anchors {{ . static-key {flags} {protocol} {algorithm} \"{key}\"; }};\n");
    std::fs::write(&file, text).expect("written");
    file
}

/// Asks through `server`; everything must be proven down from the anchor at `root`.
pub async fn delv(server: SocketAddr, anchor: &Path, root: &str, questions: &[(String, &str)]) {
    for (name, kind) in questions {
        let (ip, port) = (format!("@{}", server.ip()), server.port().to_string());
        let root = format!("+root={root}");
        let anchor = anchor.display().to_string();
        let output = run("delv", &[&ip, "-p", &port, "-a", &anchor, &root, name, kind]).await;
        let text = said(&output);
        let secure = text.contains("; fully validated") || text.contains("; negative response, fully validated");
        assert!(secure, "{name} {kind}: {text}");
    }
}

/// Takes the whole zone over and has it verified. Where the zone cannot be transferred, nothing.
pub async fn whole_zone(world: &World, domain: &Domain) -> Result<(), String> {
    let port = world.ports.dns().to_string();
    let arguments = ["@127.0.0.1", "-p", &port, &domain.name, "AXFR", "+noall", "+answer", "+onesoa"];
    let transferred = run("dig", &arguments).await;
    let file = world.folder.join(format!("{}.axfr", domain.name));
    std::fs::write(&file, &transferred.stdout).expect("written");
    let text = said(&transferred);
    if !text.contains("DNSKEY") {
        return Err(format!("no transfer: {text}"));
    }
    let file = file.display().to_string();
    for (program, arguments) in
        [("ldns-verify-zone", vec![file.as_str()]), ("dnssec-verify", vec!["-o", &domain.name, &file])]
    {
        let output = run(program, &arguments).await;
        if !output.status.success() {
            return Err(format!("{program}: {}", said(&output)));
        }
    }
    Ok(())
}
