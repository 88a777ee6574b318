//! MariaDB: initialised beside its place and moved there whole, so that a kill leaves nothing half done.

use std::path::{Path, PathBuf};

use sqlx::{Connection as _, MySqlConnection};

use super::binaries::{MARIADB_INSTALL, MARIADBD};
use super::{Connection, DATABASE, PDNS_DATABASE, Probe, Server};
use crate::dev::process::{self, Process, Program};
use crate::dev::{DevError, files};

/// PowerDNS's tables, shared with compose and the tests.
const PDNS_SCHEMA: &str = include_str!("../../../powerdns/schema.mysql.sql");

pub(super) async fn start(data: &Path, connection: &Connection, more: &[String]) -> Result<Server, DevError> {
    let folder = folder(data);
    if !folder.exists() {
        initialise(data, &folder).await?;
    }
    // Stays, as a restart of the process reads it again; it is as private as the secrets themselves.
    let init_file = data.join("run/mariadb-init.sql");
    files::write_private(&init_file, accounts(connection))?;

    let program = Program::new(data, "mariadb", MARIADBD.find()?)
        .arg("--no-defaults")
        .args(own_user())
        .arg(format!("--datadir={}", folder.display()))
        // Relative to the data folder: a path of any length would not fit into a socket's name.
        .arg("--socket=mariadb.sock")
        .arg("--pid-file=mariadb.own.pid")
        .arg(format!("--port={}", connection.ports.mariadb()))
        .arg(format!("--init-file={}", init_file.display()))
        .arg(format!("--tmpdir={}", temporary(data)?.display()))
        .args([
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            // An acknowledged write survives kill -9 and more; `scaidns doctor` demands it.
            "--innodb-flush-log-at-trx-commit=1",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=32M",
            "--performance-schema=OFF",
            "--max-connections=400",
            "--table-open-cache=800",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_general_ci",
        ])
        .args(more);
    let probe = Probe::MariaDb { url: connection.database_url() };
    let server = Server::start(Process::spawn(program)?, probe).await?;
    create_pdns_tables(connection).await?;
    Ok(server)
}

/// Whether a client is let in and answered.
pub(super) async fn answers(url: &str) -> bool {
    match MySqlConnection::connect(url).await {
        Ok(mut connection) => {
            let pinged = connection.ping().await.is_ok();
            let _ = connection.close().await;
            pinged
        }
        Err(_) => false,
    }
}

pub(super) fn folder(data: &Path) -> PathBuf {
    data.join("mariadb")
}

/// A folder of its own for temporary tables: a starting server clears the shared one of what it takes for its own.
fn temporary(data: &Path) -> Result<PathBuf, DevError> {
    let folder = data.join("run/mariadb-tmp");
    files::make_folder(&folder)?;
    Ok(folder)
}

/// Whether the system tables are where the server looks for them first.
pub(super) fn is_whole(folder: &Path) -> bool {
    folder.join("mysql").is_dir() && folder.join("ibdata1").is_file()
}

async fn initialise(data: &Path, folder: &Path) -> Result<(), DevError> {
    let beside = data.join("mariadb.new");
    files::remove(&beside)?;
    let program = Program::new(data, "mariadb-install", MARIADB_INSTALL.find()?)
        .arg("--no-defaults")
        .args(own_user())
        .arg(format!("--datadir={}", beside.display()))
        .arg(format!("--tmpdir={}", temporary(data)?.display()))
        .args([
            // root only through the socket in the private folder, and only for the user who runs this
            "--auth-root-authentication-method=socket",
            "--skip-test-db",
            "--skip-name-resolve",
            "--innodb-log-file-size=32M",
        ]);
    let mut install = Process::spawn(program)?;
    let status = install.wait().await.map_err(|source| DevError::Spawn { name: "mariadb-install".into(), source })?;
    if !status.success() || !is_whole(&beside) {
        return Err(DevError::EndedEarly {
            name: "mariadb-install-db".into(),
            status: process::describe(status),
            tail: install.log_tail(),
        });
    }
    std::fs::rename(&beside, folder).map_err(|source| files::failed("move into place", folder, source))
}

/// Read by the server before it lets anybody in; each statement on a line, each repeatable.
fn accounts(connection: &Connection) -> String {
    let mut sql = String::new();
    let secrets = &connection.secrets;
    for (database, password) in
        [(DATABASE, &secrets.database_password), (PDNS_DATABASE, &secrets.pdns_database_password)]
    {
        sql += &format!(
            "CREATE DATABASE IF NOT EXISTS `{database}` CHARACTER SET utf8mb4;\n\
             CREATE USER IF NOT EXISTS '{database}'@'127.0.0.1' IDENTIFIED BY '{password}';\n\
             ALTER USER '{database}'@'127.0.0.1' IDENTIFIED BY '{password}';\n\
             GRANT ALL ON `{database}`.* TO '{database}'@'127.0.0.1';\n"
        );
    }
    // Databases that tests make: by Servers::create_database, and by sqlx::test.
    for pattern in [r"scaidns\_%", r"\_sqlx\_test%"] {
        sql += &format!("GRANT ALL ON `{pattern}`.* TO '{DATABASE}'@'127.0.0.1';\n");
    }
    sql
}

async fn create_pdns_tables(connection: &Connection) -> Result<(), DevError> {
    let mut pdns = MySqlConnection::connect(&connection.pdns_database_url()).await?;
    sqlx::raw_sql(PDNS_SCHEMA).execute(&mut pdns).await?;
    pdns.close().await?;
    Ok(())
}

/// MariaDB wants to be told in so many words that it may run as root.
fn own_user() -> Option<String> {
    nix::unistd::geteuid().is_root().then(|| "--user=root".to_owned())
}
