//! The servers that are measured: a `scaidns dev` of the bench's own, with a data folder and ports of its own.
//!
//! One replica of the api runs in it. Works that need more, or one that has just been started, start their own here.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use scaidns::dev::Ports;
use scaidns::dev::process::{Identity, Process, Program, RUN_FOLDER, STOP_GRACE};
use scaidns::dev::servers::PDNS;
use scaidns::dev::supervisor::background;
use sqlx::{Connection, MySqlConnection};
use tokio::net::UdpSocket;
use tokio::process::Command;
use tokio::time::sleep;

use crate::client::Client;
use crate::powerdns::{PowerDns, Settings};
use crate::scaidns_api::Api;

/// The executable that is measured where nobody names another one.
pub const SCAIDNS: &str = env!("CARGO_BIN_EXE_scaidns");
/// Between two looks whether an api is ready: also how exactly its start is measured.
const READY_POLL: Duration = Duration::from_millis(5);
const DNS_PATIENCE: Duration = Duration::from_millis(500);
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Servers, ScaiDNS's processes, and how to be let in.
pub struct Stack {
    executable: PathBuf,
    data: PathBuf,
    ports: Ports,
    environment: Vec<(String, String)>,
    /// A PowerDNS on the same database, with the configuration it is shipped with. Dropping it ends it.
    shipped: Process,
}

/// A `scaidns api` beside the stack's own; dropping it ends it.
pub struct Replica {
    process: Process,
    pub url: String,
    /// From its start to its first 200 at `/health/ready`.
    pub ready_after: Duration,
}

/// Where the stack of a bench lives.
pub fn folder(bench: &Path) -> PathBuf {
    bench.join("stack")
}

impl Stack {
    /// Starts one in a fresh folder.
    pub async fn start(bench: &Path, executable: &Path) -> Result<Self> {
        let data = folder(bench);
        background::reset(&data).await?;
        let ports = Ports::free();
        let base = ports.base().to_string();
        let started = Command::new(executable)
            .args(["dev", "--detach", "--api-replicas", "1", "--port-base", &base, "--data"])
            .arg(&data)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&started.stderr);
        anyhow::ensure!(started.status.success(), "the stack does not start: {said}");
        let data = data.canonicalize()?;
        let text = std::fs::read_to_string(data.join("env")).context("the stack's env")?;
        let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment: Vec<_> = text.lines().filter_map(pair).collect();
        let shipped = start_shipped(&data, ports, &environment)?;
        let stack = Self { executable: executable.to_owned(), data, ports, environment, shipped };
        stack.until_shipped_answers().await?;
        Ok(stack)
    }

    /// Ends it and removes its data.
    pub async fn end(mut self) -> Result<()> {
        self.shipped.stop(STOP_GRACE).await;
        Ok(background::reset(&self.data).await?)
    }

    fn variable(&self, name: &str) -> &str {
        self.environment.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// ScaiDNS, as the tenant admin of Northwind with its key.
    pub fn api(&self) -> Result<Api> {
        let credentials = ("x-api-key", self.variable("SCAIDNS_API_KEY"));
        Ok(Api::new(Client::new(self.variable("SCAIDNS_URL"), "/api/v1", credentials, true)?))
    }

    /// ScaiDNS, as the platform's admin: its zones need no proof, and belong to Northwind too.
    pub fn platform(&self) -> Result<Api> {
        let credentials = ("authorization", &*format!("Bearer {}", self.variable("SCAIDNS_PLATFORM_TOKEN")));
        Ok(Api::new(Client::new(self.variable("SCAIDNS_URL"), "/api/v1", credentials, true)?))
    }

    /// PowerDNS itself.
    pub fn powerdns(&self) -> Result<PowerDns> {
        self.powerdns_as(Settings::Same)
    }

    /// PowerDNS with ScaiDNS's configuration, or with the one that it is shipped with.
    pub fn powerdns_as(&self, settings: Settings) -> Result<PowerDns> {
        let credentials = ("x-api-key", self.variable("PDNS_API_KEY"));
        let url = match settings {
            Settings::Same => self.variable("PDNS_API_URL").to_owned(),
            Settings::Shipped => format!("http://127.0.0.1:{}", shipped_api_port(self.ports)),
        };
        Ok(PowerDns::new(Client::new(&url, "/api/v1/servers/localhost", credentials, false)?))
    }

    async fn until_shipped_answers(&self) -> Result<()> {
        let begun = Instant::now();
        while self.powerdns_as(Settings::Shipped)?.version().await.is_err() {
            anyhow::ensure!(begun.elapsed() < READY_LIMIT, "PowerDNS as shipped: {}", self.shipped.log_tail());
            sleep(READY_POLL).await;
        }
        Ok(())
    }

    /// ScaiDNS's own database.
    pub async fn database(&self) -> Result<MySqlConnection> {
        Ok(MySqlConnection::connect(self.variable("DATABASE_URL")).await?)
    }

    /// PowerDNS's.
    pub async fn powerdns_database(&self) -> Result<MySqlConnection> {
        Ok(MySqlConnection::connect(self.variable("PDNS_DATABASE_URL")).await?)
    }

    /// The processes whose names begin so: `api`, `mariadb`, `pdns`.
    pub fn pids(&self, name: &str) -> Vec<i32> {
        let files = std::fs::read_dir(self.data.join(RUN_FOLDER)).into_iter().flatten().flatten();
        files
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "pid"))
            .filter(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name)))
            .filter_map(|path| Identity::read(&path).filter(Identity::is_alive))
            .map(|identity| identity.pid)
            .collect()
    }

    /// Starts the replica with this number, from 1 up; 0 is the stack's own.
    pub async fn start_replica(&self, number: u16) -> Result<Replica> {
        let address = format!("127.0.0.1:{}", self.ports.api(number));
        let mut environment = self.environment.clone();
        environment.push(("BIND_ADDRESS".to_owned(), address.clone()));
        environment.push(("METRICS_BIND_ADDRESS".to_owned(), format!("127.0.0.1:{}", self.ports.api_metrics(number))));
        let program = Program::new(&self.data, format!("api-{}", number + 1), &self.executable);
        let begun = Instant::now();
        let mut process = Process::spawn(program.args(["api"]).with_env(&environment))?;
        let url = format!("http://{address}");
        let mut client = Client::new(&url, "", ("accept", "*/*"), true)?;
        loop {
            if client.get("/health/ready").await.is_ok_and(|answer| answer.status == 200) {
                return Ok(Replica { process, url, ready_after: begun.elapsed() });
            }
            if let Some(status) = process.ended() {
                return Err(process.ended_early(status).into());
            }
            anyhow::ensure!(begun.elapsed() < READY_LIMIT, "a replica is not ready: {}", process.log_tail());
            sleep(READY_POLL).await;
        }
    }

    /// Starts PowerDNS anew, so that it serves zones that were not made by its API, as this one. The supervisor brings it
    /// back.
    pub async fn restart_powerdns(&self, zone: &str) -> Result<()> {
        let pid_file = self.data.join(RUN_FOLDER).join("pdns.pid");
        let identity = Identity::read(&pid_file).context("PowerDNS's pid file")?;
        identity.end(STOP_GRACE).await;
        let begun = Instant::now();
        let mut api = Client::new(self.variable("SCAIDNS_URL"), "", ("accept", "*/*"), true)?;
        let address = self.variable("PDNS_DNS_ADDRESS");
        let mut is_back = async || {
            serves(address, zone).await.unwrap_or(false)
                && api.get("/health/ready").await.is_ok_and(|answer| answer.status == 200)
        };
        while !is_back().await {
            anyhow::ensure!(begun.elapsed() < READY_LIMIT, "PowerDNS does not come back, or does not serve {zone}");
            sleep(READY_POLL * 10).await;
        }
        Ok(())
    }
}

/// PowerDNS with nothing set but what it cannot do without: where its database, its API and its DNS port are.
fn start_shipped(data: &Path, ports: Ports, environment: &[(String, String)]) -> Result<Process> {
    let value = |name: &str| environment.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
    let database = reqwest::Url::parse(value("PDNS_DATABASE_URL"))?;
    let folder = data.join("pdns-shipped");
    std::fs::create_dir_all(&folder)?;
    let configuration = format!(
        "launch=gmysql\ngmysql-host=127.0.0.1\ngmysql-port={}\ngmysql-dbname={}\ngmysql-user={}\ngmysql-password={}\n\
         api=yes\napi-key={}\nwebserver-address=127.0.0.1\nwebserver-port={}\nlocal-address=127.0.0.1\n\
         local-port={}\nsocket-dir=../pdns-shipped\n",
        database.port().context("the database's port")?,
        database.path().trim_start_matches('/'),
        database.username(),
        database.password().unwrap_or_default(),
        value("PDNS_API_KEY"),
        shipped_api_port(ports),
        shipped_dns_port(ports),
    );
    std::fs::write(folder.join("pdns.conf"), configuration)?;
    let program = Program::new(data, "pdns-shipped", PDNS.find()?).arg(format!("--config-dir={}", folder.display()));
    Ok(Process::spawn(program)?)
}

/// The bench runs no more than four replicas: the places of the ninth and the tenth are free.
fn shipped_api_port(ports: Ports) -> u16 {
    ports.api(8)
}

fn shipped_dns_port(ports: Ports) -> u16 {
    ports.api(9)
}

/// Whether a resolver would get the zone's SOA here.
async fn serves(address: &str, zone: &str) -> Result<bool> {
    // one question: id 1, no flags; SOA, IN
    let mut question = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in zone.split('.') {
        question.push(u8::try_from(label.len())?);
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 6, 0, 1]);
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(address).await?;
    socket.send(&question).await?;
    let mut answer = [0; 512];
    let length = tokio::time::timeout(DNS_PATIENCE, socket.recv(&mut answer)).await??;
    let (code, answers) = (answer[3] & 0x0f, u16::from_be_bytes([answer[6], answer[7]]));
    Ok(length > 12 && code == 0 && answers == 1)
}

impl Replica {
    pub async fn stop(mut self) {
        self.process.stop(STOP_GRACE).await;
    }
}
