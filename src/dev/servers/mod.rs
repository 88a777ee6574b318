//! Private MariaDB, Redis and PowerDNS, on loopback, in a data folder of their own.
//!
//! Each is a [`Server`] that can be stopped, continued, killed and restarted: what the crash tests do to them.
//! Services already on the machine are never touched.

mod binaries;
mod mariadb;
mod pdns;
mod redis;

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

pub use binaries::{PDNS, missing as missing_binaries};

use super::process::{LOG_FOLDER, Process, Program, RUN_FOLDER, STOP_GRACE};
use super::secrets::Secrets;
use super::{DevError, Ports, files};

/// How long a server may take until it answers.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// PowerDNS ends itself a second after its look for zones to transfer has failed.
const PDNS_ENDS_WITHIN: Duration = Duration::from_secs(3);

/// The database ScaiDNS keeps its own data in; its user has the same name, and may make others called `scaidns_…`.
pub const DATABASE: &str = "scaidns";
/// The database and user of PowerDNS.
pub const PDNS_DATABASE: &str = "pdns";

/// The three servers, running and ready.
#[derive(Debug)]
pub struct Servers {
    pub mariadb: Server,
    pub redis: Server,
    pub pdns: Server,
    connection: Connection,
}

/// Where the servers are and how to be let in.
#[derive(Debug, Clone)]
pub struct Connection {
    pub ports: Ports,
    pub secrets: Secrets,
}

impl Servers {
    /// Starts all three in `data`, which is initialised at the first time, and waits until they answer.
    pub async fn start(data: &Path, ports: Ports) -> Result<Self, DevError> {
        Self::start_with(data, ports, &[]).await
    }

    /// The same with more options for MariaDB.
    pub async fn start_with(data: &Path, ports: Ports, mariadb: &[String]) -> Result<Self, DevError> {
        let data = prepare(data)?;
        check_initialised(&data)?;
        let secrets = Secrets::load_or_create(&data)?;
        let connection = Connection { ports, secrets };
        let database = async {
            let mariadb = mariadb::start(&data, &connection, mariadb).await?;
            let pdns = pdns::start(&data, &connection).await?;
            Ok::<_, DevError>((mariadb, pdns))
        };
        let ((mariadb, pdns), redis) = tokio::try_join!(Box::pin(database), redis::start(&data, &connection))?;
        Ok(Self { mariadb, redis, pdns, connection })
    }

    /// Starts MariaDB again, then sees to PowerDNS.
    pub async fn restart_mariadb(&mut self) -> Result<(), DevError> {
        self.mariadb.restart().await?;
        self.revive_pdns().await
    }

    /// Does what a service manager does, for as long as the database's absence may still end PowerDNS: its look for
    /// zones to transfer, which comes every few seconds, ends the whole server where it finds no database.
    pub async fn revive_pdns(&mut self) -> Result<(), DevError> {
        let watched = tokio::time::Instant::now() + PDNS_ENDS_WITHIN;
        while tokio::time::Instant::now() < watched {
            if self.pdns.process.ended().is_some() {
                return self.pdns.restart().await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Ends all three, PowerDNS before the database it stands on.
    pub async fn stop(mut self) {
        self.pdns.stop().await;
        tokio::join!(self.redis.stop(), self.mariadb.stop());
    }

    /// The three by themselves, for a supervisor that keeps each running.
    pub fn into_parts(self) -> (Server, Server, Server, Connection) {
        let Self { mariadb, redis, pdns, connection } = self;
        (mariadb, redis, pdns, connection)
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// `mysql://…` of ScaiDNS's own database.
    pub fn database_url(&self) -> String {
        self.connection.database_url()
    }

    /// Makes an empty database `scaidns_<suffix>` for one test and returns its URL.
    pub async fn create_database(&self, suffix: &str) -> Result<String, DevError> {
        use sqlx::Connection as _;
        if suffix.is_empty() || !suffix.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(DevError::Invalid(format!("database suffix {suffix:?} is not letters, digits and _")));
        }
        let name = format!("{DATABASE}_{suffix}");
        let mut connection = sqlx::MySqlConnection::connect(&self.database_url()).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE `{name}`"))).execute(&mut connection).await?;
        connection.close().await?;
        Ok(self.connection.database_url_of(&name))
    }

    pub fn pdns_database_url(&self) -> String {
        self.connection.pdns_database_url()
    }

    pub fn redis_url(&self) -> String {
        self.connection.redis_url()
    }

    pub fn pdns_api_url(&self) -> String {
        self.connection.pdns_api_url()
    }

    pub fn pdns_api_key(&self) -> &str {
        &self.connection.secrets.pdns_api_key
    }

    /// `address:port` at which PowerDNS answers DNS.
    pub fn dns_address(&self) -> String {
        self.connection.dns_address()
    }
}

impl Connection {
    pub fn database_url(&self) -> String {
        self.database_url_of(DATABASE)
    }

    fn database_url_of(&self, database: &str) -> String {
        let Self { ports, secrets } = self;
        format!("mysql://{DATABASE}:{}@127.0.0.1:{}/{database}", secrets.database_password, ports.mariadb())
    }

    pub fn pdns_database_url(&self) -> String {
        let Self { ports, secrets } = self;
        format!(
            "mysql://{PDNS_DATABASE}:{}@127.0.0.1:{}/{PDNS_DATABASE}",
            secrets.pdns_database_password,
            ports.mariadb()
        )
    }

    pub fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.ports.redis())
    }

    pub fn pdns_api_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.pdns_api())
    }

    pub fn dns_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.dns())
    }
}

/// One server: its process, and how to tell that it answers.
#[derive(Debug)]
pub struct Server {
    process: Process,
    probe: Probe,
}

impl Server {
    /// Starts a program and waits until its probe says that it answers.
    pub async fn launch(program: Program, probe: Probe) -> Result<Self, DevError> {
        Self::start(Process::spawn(program)?, probe).await
    }

    async fn start(process: Process, probe: Probe) -> Result<Self, DevError> {
        let mut server = Self { process, probe };
        server.wait_ready().await?;
        Ok(server)
    }

    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    pub fn name(&self) -> &str {
        self.process.name()
    }

    /// Stops it in its tracks (`SIGSTOP`): it neither answers nor closes its connections.
    pub fn pause(&self) {
        self.process.signal(Signal::SIGSTOP);
    }

    /// Lets it go on (`SIGCONT`).
    pub fn resume(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Ends it in order.
    pub async fn stop(&mut self) {
        self.process.stop(STOP_GRACE).await;
    }

    /// Starts it again (ending it first if it runs) and waits until it answers.
    pub async fn restart(&mut self) -> Result<(), DevError> {
        self.process.respawn().await?;
        self.wait_ready().await
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> std::io::Result<std::process::ExitStatus> {
        self.process.wait().await
    }

    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    async fn wait_ready(&mut self) -> Result<(), DevError> {
        let Self { process, probe } = self;
        let answers = || {
            let probe = probe.clone();
            // Boxed: a client's future is large, and this one is part of many others.
            Box::pin(async move { probe.answers().await })
        };
        process.wait_ready(READY_LIMIT, answers).await
    }
}

/// How a server shows that it is ready for real work.
#[derive(Debug, Clone)]
pub enum Probe {
    /// Lets a client in and answers a ping.
    MariaDb { url: String },
    /// Answers PING.
    Redis { url: String },
    /// Its API lets us in.
    Pdns { url: String, api_key: String },
    /// Answers a GET with 2xx.
    Http { url: String },
    /// It runs; there is nothing to ask.
    Running,
}

impl Probe {
    async fn answers(&self) -> bool {
        let asked = async {
            match self {
                Self::MariaDb { url } => mariadb::answers(url).await,
                Self::Redis { url } => redis::answers(url).await,
                Self::Pdns { url, api_key } => pdns::answers(url, api_key).await,
                Self::Http { url } => reqwest::get(url).await.is_ok_and(|answer| answer.status().is_success()),
                Self::Running => true,
            }
        };
        tokio::time::timeout(Duration::from_secs(2), asked).await.unwrap_or(false)
    }
}

/// The data folder with its subfolders, as an absolute path.
pub(super) fn prepare(data: &Path) -> Result<PathBuf, DevError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.map_err(|source| files::failed("create", data, source))?;
    let data = data.canonicalize().map_err(|source| files::failed("open", data, source))?;
    files::make_folder(&data.join(LOG_FOLDER))?;
    files::make_folder(&data.join(RUN_FOLDER))?;
    Ok(data)
}

/// Databases without the passwords they were made with, or the other way round: nothing to build on.
pub(super) fn check_initialised(data: &Path) -> Result<(), DevError> {
    let database = mariadb::folder(data);
    let half = |what: &str| Err(DevError::HalfInitialised { path: data.display().to_string(), what: what.to_owned() });
    match (database.exists(), Secrets::exist(data)) {
        (true, false) => half("a database without its secrets"),
        (true, true) if !mariadb::is_whole(&database) => half("the database lacks its system tables"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
