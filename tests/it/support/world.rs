//! A world: servers, ScaiKey, registrar, replicas of the api, a worker, and callers.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use scaidns::clock::Clock;
use scaidns::dev::process::Program;
use scaidns::dev::registrar::{self, Entry};
use scaidns::dev::scaikey::{self, directory};
use scaidns::dev::secrets::Secrets;
use scaidns::dev::servers::{Probe, Server};
use scaidns::dev::{DevError, Ports, Registrar, ScaiKey, Servers};
use serde_json::Value;
use sqlx::MySqlPool;
use sqlx::mysql::MySqlPoolOptions;
use tokio::sync::OnceCell;

use super::dns::{self, DnsAnswer};
use super::executable::{SCAIDNS, scaidns};
use super::{Api, Domain, eventually, reaper};

/// The platform's nameservers; the registrar leads everything in `scaidns-dev.test` to PowerDNS.
pub const NAMESERVERS: [&str; 2] = ["ns1.scaidns-dev.test", "ns2.scaidns-dev.test"];
const TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);

/// What a world is to be like.
#[derive(Debug, Clone)]
pub struct Builder {
    name: &'static str,
    replicas: u16,
    worker: bool,
    env: Vec<(String, String)>,
    mariadb: Vec<String>,
}

/// Everything one test, or all of them, stands on. Dropping it kills what it has started.
pub struct World {
    pub folder: PathBuf,
    pub ports: Ports,
    /// MariaDB, Redis and PowerDNS: `pause`, `resume`, `kill`, `stop`, `restart`, `pid`.
    pub servers: Servers,
    pub scaikey: ScaiKey,
    pub registrar: Registrar,
    /// The replicas of `scaidns api`, in the order of [`World::urls`].
    pub apis: Vec<Server>,
    pub worker: Option<Server>,
    pub urls: Vec<String>,
    /// The configuration of ScaiDNS, for commands: `scaidns(&["doctor"], &world.env)`.
    pub env: Vec<(String, String)>,
    /// A key of Northwind's tenant admin.
    pub admin_key: String,
    /// A key of Fabrikam's tenant admin.
    pub other_key: String,
    /// Access tokens of the two, and of the platform's admin.
    pub admin_token: String,
    pub other_token: String,
    pub platform_token: String,
    /// ScaiDNS's database, to look at and to disturb.
    pub db: MySqlPool,
    /// PowerDNS's database.
    pub pdns_db: MySqlPool,
}

impl World {
    /// The one that all tests share which only use it. Nothing in it may be stopped.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Result<World, String>> = OnceCell::const_new();
        // Once, even when it fails: the second test would wait for the same failure.
        let started = SHARED.get_or_init(|| async { World::builder("shared").try_start().await }).await;
        started.as_ref().unwrap_or_else(|error| panic!("the shared world does not start: {error}"))
    }

    /// One of this test's own, servers included.
    pub async fn private(name: &'static str) -> Self {
        Self::builder(name).start().await
    }

    pub fn builder(name: &'static str) -> Builder {
        Builder { name, replicas: 2, worker: true, env: Vec::new(), mariadb: Vec::new() }
    }

    /// The tenant admin of Northwind with its key, at the first replica.
    pub fn admin(&self) -> Api {
        Api::with_key(&self.urls[0], &self.admin_key)
    }

    /// The tenant admin of Fabrikam with its key, at the first replica.
    pub fn other(&self) -> Api {
        Api::with_key(&self.urls[0], &self.other_key)
    }

    /// The tenant admin of Northwind, logged in.
    pub fn admin_user(&self) -> Api {
        Api::with_token(&self.urls[0], &self.admin_token)
    }

    pub fn other_user(&self) -> Api {
        Api::with_token(&self.urls[0], &self.other_token)
    }

    /// The platform's admin, logged in. Its own tenant is Northwind.
    pub fn platform(&self) -> Api {
        Api::with_token(&self.urls[0], &self.platform_token)
    }

    /// Any user of [`directory`], logged in.
    pub fn user(&self, user: &str) -> Api {
        Api::with_token(&self.urls[0], &self.token(user))
    }

    pub fn nobody(&self) -> Api {
        Api::anonymous(&self.urls[0])
    }

    /// An access token, as ScaiKey signs it.
    pub fn token(&self, user: &str) -> String {
        self.scaikey.access_token(user, TOKEN_LIFETIME).expect("a user of the directory")
    }

    /// A name nobody has had: `fresh("shop")` is `shop-17.test`.
    pub fn fresh(&self, label: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        format!("{label}-{}.test", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// A domain under a fresh name, claimed and not proven.
    pub async fn pending(&self, api: &Api, label: &str) -> Domain {
        api.create_domain(&self.fresh(label)).await
    }

    /// A domain under a fresh name, proven over real DNS and live.
    pub async fn live(&self, api: &Api, label: &str) -> Domain {
        let domain = self.pending(api, label).await;
        self.publish(&domain).await;
        let checked = api.check(&domain).await;
        assert_eq!(checked["is_valid"], true, "{checked}");
        domain
    }

    /// Registers the domain's name and publishes its challenge where it is served today.
    pub async fn publish(&self, domain: &Domain) {
        self.registrar.register(&domain.name, &[]).await.expect("registered");
        self.publish_text(&domain.name, domain.challenge()).await;
    }

    /// Publishes a text as the challenge of a registered name.
    pub async fn publish_text(&self, name: &str, text: &str) {
        let entry = Entry::new(&format!("_scaidns-verify.{name}"), "TXT", text);
        self.registrar.add_record(name, entry).await.expect("published");
    }

    /// Where PowerDNS answers resolvers.
    pub fn dns_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.dns()).into()
    }

    /// What PowerDNS answers.
    pub async fn dns(&self, name: &str, record_type: RecordType) -> DnsAnswer {
        dns::ask(self.dns_address(), name, record_type).await
    }

    /// The data of the answers, sorted; see [`DnsAnswer::values`].
    pub async fn dns_values(&self, name: &str, record_type: RecordType) -> Vec<String> {
        self.dns(name, record_type).await.values(record_type)
    }

    /// Waits until PowerDNS, which caches for a moment, answers exactly these values.
    pub async fn served(&self, name: &str, record_type: RecordType, values: &[&str]) {
        eventually(&format!("{name} {record_type} is {values:?}"), || async {
            let answer = self.dns(name, record_type).await;
            let found = answer.values(record_type);
            if found == values { Ok(()) } else { Err(format!("{found:?} ({:?})", answer.code)) }
        })
        .await;
    }

    /// Waits until PowerDNS answers with this code.
    pub async fn answers_with(&self, name: &str, record_type: RecordType, code: ResponseCode) {
        eventually(&format!("{name} {record_type} is {code:?}"), || async {
            let found = self.dns(name, record_type).await.code;
            if found == code { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    }

    /// The zone's serial, as PowerDNS serves it.
    pub async fn serial(&self, zone: &str) -> u32 {
        let soa = self.dns(zone, RecordType::SOA).await.values(RecordType::SOA);
        let fields: Vec<&str> = soa.first().unwrap_or_else(|| panic!("{zone} has no SOA")).split(' ').collect();
        fields[2].parse().unwrap_or_else(|_| panic!("no serial in {soa:?}"))
    }

    /// Audit entries of Northwind by a query string, the oldest first; of all pages.
    pub async fn audit(&self, query: &str) -> Vec<Value> {
        Self::audit_as(&self.admin_user(), query).await
    }

    /// [`World::audit`] as another caller.
    pub async fn audit_as(api: &Api, query: &str) -> Vec<Value> {
        let mut entries = Vec::new();
        let mut cursor = String::new();
        loop {
            let body = api.get(&format!("/admin/audit-logs/?page_size=100&{query}{cursor}")).await.ok();
            entries.extend(body["data"].as_array().cloned().unwrap_or_default());
            match body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        entries.reverse();
        entries
    }

    /// The actions of the entries about one thing, in the order they happened.
    pub async fn actions(&self, resource_id: &str) -> Vec<String> {
        let entries = self.audit(&format!("resource_id={resource_id}")).await;
        entries.iter().map(|entry| entry["action"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What PowerDNS's own API says; for looking behind ScaiDNS's back.
    pub async fn pdns_get(&self, path: &str) -> reqwest::Response {
        self.pdns_request(reqwest::Method::GET, path).send().await.expect("an answer of PowerDNS")
    }

    /// A request to PowerDNS's own API: `/zones/shop.test.`
    pub fn pdns_request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/api/v1/servers/localhost{path}", self.servers.pdns_api_url());
        reqwest::Client::new().request(method, url).header("X-API-Key", self.servers.pdns_api_key())
    }

    /// The status of `/health/ready` at the first replica.
    pub async fn readiness(&self) -> (u16, Value) {
        let answer = self.nobody().get("/health/ready").await;
        (answer.status, answer.body)
    }

    /// Waits until the first replica says that it is ready.
    pub async fn until_ready(&self) {
        eventually("ready", || async {
            let (status, body) = self.readiness().await;
            if status == 200 { Ok(()) } else { Err(body.to_string()) }
        })
        .await;
    }

    /// Ends everything in order.
    pub async fn stop(mut self) {
        self.db.close().await;
        self.pdns_db.close().await;
        futures::future::join_all(self.apis.iter_mut().chain(&mut self.worker).map(Server::stop)).await;
        self.servers.stop().await;
    }
}

impl Builder {
    pub fn replicas(self, replicas: u16) -> Self {
        Self { replicas, ..self }
    }

    /// Nothing settles by itself: the test starts recovery when it wants to, see [`World::start_worker`].
    pub fn without_worker(self) -> Self {
        Self { worker: false, ..self }
    }

    /// One more variable, or another value, for ScaiDNS's processes.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// One more option for MariaDB.
    pub fn mariadb(mut self, option: &str) -> Self {
        self.mariadb.push(option.to_owned());
        self
    }

    pub async fn start(self) -> World {
        let name = self.name;
        self.try_start().await.unwrap_or_else(|error| panic!("the world {name} does not start: {error}"))
    }

    async fn try_start(self) -> Result<World, String> {
        let Self { name, replicas, worker, env: more, mariadb } = self;
        let folder = reaper::folder(name);
        let ports = free_ports();
        let servers = start_servers(&folder, ports, &mariadb).await?;
        let folder = folder.canonicalize().map_err(text)?;
        let secrets = servers.connection().secrets.clone();
        let scaikey = ScaiKey::start(scaikey::Settings {
            folder: folder.join("scaikey"),
            address: (Ipv4Addr::LOCALHOST, ports.scaikey()).into(),
            url: None,
            client_secret: secrets.scaikey_client_secret.clone(),
            clock: Clock::system(),
        })
        .await
        .map_err(text)?;
        let registrar = Registrar::start(registrar::Settings {
            folder: folder.join("registrar"),
            dns_port: ports.dns(),
            resolver: (Ipv4Addr::LOCALHOST, ports.resolver()).into(),
            api: (Ipv4Addr::LOCALHOST, ports.registrar_api()).into(),
        })
        .await
        .map_err(text)?;

        let mut env = environment(ports, &servers, &secrets, &scaikey, &registrar);
        for (name, value) in more {
            env.retain(|(known, _)| *known != name);
            env.push((name, value));
        }
        command(&["migrate"], &env).await?;
        command(&["sync"], &env).await?;

        let urls: Vec<String> = (0..replicas).map(|n| format!("http://127.0.0.1:{}", ports.api(n))).collect();
        let mut world = World {
            admin_token: scaikey.access_token(directory::NORTHWIND_ADMIN, TOKEN_LIFETIME).map_err(text)?,
            other_token: scaikey.access_token(directory::FABRIKAM_ADMIN, TOKEN_LIFETIME).map_err(text)?,
            platform_token: scaikey.access_token(directory::SUPER_ADMIN, TOKEN_LIFETIME).map_err(text)?,
            db: pool(&servers.database_url()).await?,
            pdns_db: pool(&servers.pdns_database_url()).await?,
            folder,
            ports,
            servers,
            scaikey,
            registrar,
            apis: Vec::new(),
            worker: None,
            urls,
            env,
            admin_key: String::new(),
            other_key: String::new(),
        };
        for replica in 0..replicas {
            world.start_replica(replica).await?;
        }
        if worker {
            world.start_worker().await?;
        }
        let (admin_key, other_key) = tokio::try_join!(
            create_key(directory::NORTHWIND_ADMIN, &world.env),
            create_key(directory::FABRIKAM_ADMIN, &world.env)
        )?;
        world.admin_key = admin_key;
        world.other_key = other_key;
        world.until_ready().await;
        Ok(world)
    }
}

impl World {
    /// Starts the replica with this number, counted from 0; killed ones are better brought back by
    /// `world.apis[n].restart()`.
    pub async fn start_replica(&mut self, replica: u16) -> Result<(), String> {
        let address = format!("127.0.0.1:{}", self.ports.api(replica));
        let program = self.program(&format!("api-{}", replica + 1), &["api"]).with_env(&[
            ("BIND_ADDRESS".to_owned(), address.clone()),
            ("METRICS_BIND_ADDRESS".to_owned(), format!("127.0.0.1:{}", self.ports.api_metrics(replica))),
        ]);
        // Live, not ready: a replica comes up while other servers are down.
        let probe = Probe::Http { url: format!("http://{address}/health/live") };
        self.apis.push(Server::launch(program, probe).await.map_err(text)?);
        Ok(())
    }

    /// Starts the worker; in worlds that were built without one.
    pub async fn start_worker(&mut self) -> Result<(), String> {
        let metrics = format!("127.0.0.1:{}", self.ports.worker_metrics());
        let program = self.program("worker", &["worker"]).with_env(&[("METRICS_BIND_ADDRESS".to_owned(), metrics)]);
        self.worker = Some(Server::launch(program, Probe::Running).await.map_err(text)?);
        Ok(())
    }

    /// `scaidns <arguments>` as a process of this world, for [`Server::launch`]: log in `log/<name>.log`.
    pub fn program(&self, name: &str, arguments: &[&str]) -> Program {
        Program::new(&self.folder, name, SCAIDNS).args(arguments.iter().copied()).with_env(&self.env)
    }

    /// What a process of this world has written so far.
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join("log").join(format!("{name}.log"))).unwrap_or_default()
    }
}

fn environment(
    ports: Ports,
    servers: &Servers,
    secrets: &Secrets,
    scaikey: &ScaiKey,
    registrar: &Registrar,
) -> Vec<(String, String)> {
    let variables = [
        ("DATABASE_URL", servers.database_url()),
        ("REDIS_URL", servers.redis_url()),
        ("PDNS_API_URL", servers.pdns_api_url()),
        ("PDNS_API_KEY", servers.pdns_api_key().to_owned()),
        ("PDNS_DNS_ADDRESS", servers.dns_address()),
        ("SCAIKEY_URL", scaikey.url().to_owned()),
        ("SCAIKEY_CLIENT_ID", scaikey::CLIENT_ID.to_owned()),
        ("SCAIKEY_CLIENT_SECRET", secrets.scaikey_client_secret.clone()),
        ("SCAIKEY_APPLICATION_ID", scaikey::APPLICATION_ID.to_owned()),
        ("SCAIKEY_WEBHOOK_SECRET", secrets.scaikey_webhook_secret.clone()),
        ("EXTERNAL_URL", format!("http://127.0.0.1:{}", ports.api(0))),
        ("SESSION_SECRET", secrets.session_secret.clone()),
        ("API_KEY_PEPPER", secrets.api_key_pepper.clone()),
        ("AUDIT_SEAL_KEY", secrets.audit_seal_key.clone()),
        ("VALIDATION_RESOLVERS", registrar.resolver_address().to_string()),
        ("VALIDATION_AUTHORITATIVE_PORT", ports.dns().to_string()),
        ("VALIDATION_ALLOW_PRIVATE_NAMESERVERS", "true".to_owned()),
        ("ALLOW_PRIVATE_TARGETS", "127.0.0.0/8".to_owned()),
        ("NAMESERVERS", NAMESERVERS.join(",")),
        // tests call as often as they like; those about limits set their own
        ("RATE_LIMIT_PER_MINUTE", "1000000".to_owned()),
        ("RATE_LIMIT_TENANT_PER_MINUTE", "1000000".to_owned()),
        ("RATE_LIMIT_ANONYMOUS_PER_MINUTE", "1000000".to_owned()),
        ("ENVIRONMENT", "development".to_owned()),
        // one server, whose caches each closing PATCH drops
        ("DNSSEC_PROPAGATION_DELAY", "2".to_owned()),
        ("DNSSEC_MARGIN", "1".to_owned()),
        ("DNSSEC_OVERLAP_DAYS", "0".to_owned()),
        ("DNSSEC_POLL_SECONDS", "2".to_owned()),
        ("RUST_BACKTRACE", "0".to_owned()),
    ];
    variables.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// A free range that no other world of this run has been given.
fn free_ports() -> Ports {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    loop {
        let ports = Ports::free();
        let base = ports.base();
        let near = given.iter().any(|other| base.abs_diff(*other) < scaidns::dev::ports::PORTS_NEEDED);
        if !near && given.insert(base) {
            return ports;
        }
    }
}

/// A range of ports for a stack that a test starts by itself.
pub fn port_base() -> String {
    free_ports().base().to_string()
}

/// One after the other: a MariaDB that starts removes what another one, being installed, has in the common folder for
/// temporary tables. A stack beside this run may do so, too; then the folder is as before and it is tried again.
async fn start_servers(folder: &Path, ports: Ports, mariadb: &[String]) -> Result<Servers, String> {
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    const TRIES: usize = 3;
    let _one = ONE.lock().await;
    let mut last = String::new();
    for _ in 0..TRIES {
        match Servers::start_with(folder, ports, mariadb).await {
            Ok(servers) => return Ok(servers),
            Err(DevError::EndedEarly { name, tail, .. }) if name == "mariadb-install-db" => last = tail,
            Err(other) => return Err(other.to_string()),
        }
    }
    Err(last)
}

async fn pool(url: &str) -> Result<MySqlPool, String> {
    MySqlPoolOptions::new().max_connections(8).connect(url).await.map_err(text)
}

async fn command(arguments: &[&str], env: &[(String, String)]) -> Result<String, String> {
    let output = scaidns(arguments, env).await;
    match output.code {
        Some(0) => Ok(output.stdout),
        _ => Err(format!("scaidns {}: {output:?}", arguments.join(" "))),
    }
}

async fn create_key(owner: &str, env: &[(String, String)]) -> Result<String, String> {
    let output = command(&["keys", "create", "--owner", owner, "--name", "tests", "--json"], env).await?;
    let created: Value = serde_json::from_str(&output).map_err(text)?;
    created["key"].as_str().map(str::to_owned).ok_or_else(|| format!("no key in {output}"))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
