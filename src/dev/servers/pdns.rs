//! PowerDNS, with the configuration that compose uses too.

use std::path::Path;

use super::binaries::PDNS;
use super::{Connection, PDNS_DATABASE, Probe, Server};
use crate::dev::process::{Process, Program};
use crate::dev::{DevError, files};

/// The template; `{{name}}` stands for a value.
const CONFIGURATION: &str = include_str!("../../../powerdns/pdns.conf");

pub(super) async fn start(data: &Path, connection: &Connection) -> Result<Server, DevError> {
    let folder = data.join("pdns");
    files::make_folder(&folder)?;
    files::write_private(&folder.join("pdns.conf"), render(connection)?)?;
    let program = Program::new(data, "pdns", PDNS.find()?).arg(format!("--config-dir={}", folder.display()));
    let probe = Probe::Pdns { url: connection.pdns_api_url(), api_key: connection.secrets.pdns_api_key.clone() };
    Server::start(Process::spawn(program)?, probe).await
}

/// Whether its API lets us in.
pub(super) async fn answers(url: &str, api_key: &str) -> bool {
    let request = reqwest::Client::new().get(format!("{url}/api/v1/servers/localhost")).header("X-API-Key", api_key);
    request.send().await.is_ok_and(|answer| answer.status().is_success())
}

fn render(connection: &Connection) -> Result<String, DevError> {
    let Connection { ports, secrets } = connection;
    let values = [
        ("database_host", "127.0.0.1".to_owned()),
        ("database_port", ports.mariadb().to_string()),
        ("database_name", PDNS_DATABASE.to_owned()),
        ("database_user", PDNS_DATABASE.to_owned()),
        ("database_password", secrets.pdns_database_password.clone()),
        ("dns_address", "127.0.0.1".to_owned()),
        ("dns_port", ports.dns().to_string()),
        ("resolver", format!("127.0.0.1:{}", ports.resolver())),
        ("api_key", secrets.pdns_api_key.clone()),
        ("api_address", "127.0.0.1".to_owned()),
        ("api_port", ports.pdns_api().to_string()),
        ("api_allow_from", "127.0.0.0/8".to_owned()),
        // Its working folder, run/: an absolute path may be too long for a socket's name.
        ("socket_dir", ".".to_owned()),
    ];
    let mut text = String::new();
    for line in CONFIGURATION.lines().filter(|line| !line.starts_with('#')) {
        let mut line = line.to_owned();
        for (name, value) in &values {
            line = line.replace(&format!("{{{{{name}}}}}"), value);
        }
        if line.contains("{{") {
            return Err(DevError::Invalid(format!("powerdns/pdns.conf wants a value nobody gives: {line}")));
        }
        text += &line;
        text.push('\n');
    }
    Ok(text)
}
