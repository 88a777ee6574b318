//! `scaidns dev`: the whole stack from one process, and nothing left of it afterwards.
//!
//! MariaDB, Redis and PowerDNS are children; ScaiKey and the registrar live in this process; then `scaidns migrate`
//! and `scaidns sync` run to completion, and the replicas of `scaidns api` and `scaidns worker` are children again.
//! A child that dies is reported and started again. The end goes backwards: ScaiDNS's own processes, PowerDNS,
//! Redis, MariaDB.
//!
//! Whether a stack runs is told by a lock on `<data>/lock`, which the kernel gives back however this process ends.
//! What a killed supervisor has left running is found by pid files and ended at the next start
//! ([`crate::dev::process`]).

pub mod background;
mod environment;
mod keep;
mod own;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

pub use self::environment::Environment;

use self::keep::Kept;
use super::ports::API_REPLICAS_MAX;
use super::process::{Identity, RUN_FOLDER, end_leftovers};
use super::secrets::Secrets;
use super::servers::{self, Servers};
use super::{DevError, Ports, Registrar, ScaiKey, files, registrar, scaikey};
use crate::clock::Clock;

/// How long leftovers of a killed supervisor get to end by themselves.
const LEFTOVER_GRACE: Duration = Duration::from_secs(10);

/// What to run, and where.
#[derive(Debug, Clone)]
pub struct Options {
    pub data: PathBuf,
    pub port_base: u16,
    pub api_replicas: u16,
    /// The `scaidns` executable that the children run.
    pub executable: PathBuf,
}

/// Runs the stack until a signal asks it to end. Progress goes to stderr, the summary to stdout.
pub async fn run(options: &Options) -> Result<(), DevError> {
    let begun = Instant::now();
    let mut signals = Signals::new()?;
    let claim = Claim::take(options).await?;
    let mut stack = Stack::default();
    let outcome = tokio::select! {
        started = Box::pin(stack.start(options, &claim)) => match started {
            Ok(environment) => {
                claim.mark_ready()?;
                let seconds = begun.elapsed().as_secs_f32();
                println!("{}\nready after {seconds:.1} s; Ctrl-C or `scaidns dev stop` ends it", environment.summary());
                signals.next().await;
                Ok(())
            }
            Err(error) => Err(error),
        },
        () = signals.next() => Ok(()),
    };
    claim.mark_not_ready();
    if outcome.is_ok() {
        eprintln!("ending the development stack; once more to kill it");
    }
    tokio::select! {
        () = stack.stop() => {}
        () = signals.next() => {}
    }
    // Nothing is left of an orderly end; after a second signal this kills what is.
    end_leftovers(&claim.data, Duration::ZERO).await;
    claim.release();
    outcome
}

/// The right to run in a data folder, and the word that somebody does.
struct Claim {
    data: PathBuf,
    ports: Ports,
    _lock: File,
}

impl Claim {
    /// Takes the folder, ends what an earlier supervisor left behind, and makes sure that every port is free.
    async fn take(options: &Options) -> Result<Self, DevError> {
        let ports = Ports::from_base(options.port_base)?;
        if !(1..=API_REPLICAS_MAX).contains(&options.api_replicas) {
            return Err(DevError::Invalid(format!("--api-replicas takes 1 to {API_REPLICAS_MAX}")));
        }
        if let Some(missing) = servers::missing_binaries() {
            return Err(missing);
        }
        let data = servers::prepare(&options.data)?;
        let lock = lock(&data)?;
        for name in end_leftovers(&data, LEFTOVER_GRACE).await {
            eprintln!("ended {name}, left running by an earlier start");
        }
        ports.check(options.api_replicas)?;
        let claim = Self { data, ports, _lock: lock };
        claim.mark_not_ready();
        if let Some(identity) = Identity::own() {
            identity.write(&supervisor_file(&claim.data))?;
        }
        Ok(claim)
    }

    fn mark_ready(&self) -> Result<(), DevError> {
        files::write_private(&ready_file(&self.data), std::process::id().to_string())
    }

    fn mark_not_ready(&self) {
        let _ = files::remove(&ready_file(&self.data));
    }

    fn release(&self) {
        let _ = files::remove(&supervisor_file(&self.data));
    }
}

/// The lock that tells whether a stack runs in this folder.
fn lock(data: &Path) -> Result<File, DevError> {
    let path = data.join("lock");
    let file = File::create(&path).map_err(|source| files::failed("open", &path, source))?;
    file.try_lock().map_err(|_| DevError::AlreadyRunning { path: data.display().to_string() })?;
    Ok(file)
}

fn supervisor_file(data: &Path) -> PathBuf {
    data.join(RUN_FOLDER).join("supervisor.json")
}

fn ready_file(data: &Path) -> PathBuf {
    data.join(RUN_FOLDER).join("ready")
}

/// What runs, in the order of its start.
#[derive(Default)]
struct Stack {
    groups: Vec<Vec<Kept>>,
    scaikey: Option<ScaiKey>,
    registrar: Option<Registrar>,
}

impl Stack {
    async fn start(&mut self, options: &Options, claim: &Claim) -> Result<Environment, DevError> {
        let Claim { data, ports, .. } = claim;
        eprintln!("starting MariaDB, Redis, PowerDNS, ScaiKey and the registrar in {}", data.display());
        let (servers, scaikey, registrar) = start_surroundings(data, *ports).await?;
        let (mariadb, redis, pdns, connection) = servers.into_parts();
        self.groups.push(vec![Kept::running(mariadb), Kept::running(redis)]);
        self.groups.push(vec![Kept::running(pdns)]);

        let mut environment = Environment::build(data, &connection, options.api_replicas, &scaikey, &registrar)?;
        self.scaikey = Some(scaikey);
        self.registrar = Some(registrar);
        environment.take_over_key(data)?;
        environment.write(data)?;

        let own = own::Own { executable: &options.executable, data, ports: *ports, environment: &environment };
        eprintln!("running scaidns migrate and scaidns sync");
        own.run_once("migrate").await?;
        own.run_once("sync").await?;
        eprintln!("starting {} × scaidns api and scaidns worker", options.api_replicas);
        let started = own.start_replicas(options.api_replicas).await?;
        self.groups.push(started.into_iter().map(Kept::running).collect());

        if !own.key_works().await {
            let key = own.create_key(scaikey::directory::NORTHWIND_ADMIN).await?;
            environment.set_key(key);
            environment.write(data)?;
        }
        Ok(environment)
    }

    /// Ends everything, those that use others first.
    async fn stop(&mut self) {
        while let Some(group) = self.groups.pop() {
            futures::future::join_all(group.into_iter().map(Kept::stop)).await;
        }
        if let Some(registrar) = self.registrar.take() {
            registrar.stop().await;
        }
        if let Some(scaikey) = self.scaikey.take() {
            scaikey.stop().await;
        }
    }
}

/// Everything that ScaiDNS needs around it.
async fn start_surroundings(data: &Path, ports: Ports) -> Result<(Servers, ScaiKey, Registrar), DevError> {
    let local = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let servers = Servers::start(data, ports);
    let around = async {
        servers::check_initialised(data)?; // before anything else makes the secrets
        let client_secret = Secrets::load_or_create(data)?.scaikey_client_secret;
        let scaikey = ScaiKey::start(scaikey::Settings {
            folder: data.join("scaikey"),
            address: local(ports.scaikey()),
            url: None,
            client_secret,
            clock: Clock::system(),
        });
        let registrar = Registrar::start(registrar::Settings {
            folder: data.join("registrar"),
            dns_port: ports.dns(),
            resolver: local(ports.resolver()),
            api: local(ports.registrar_api()),
        });
        tokio::try_join!(scaikey, registrar)
    };
    let (servers, (scaikey, registrar)) = tokio::try_join!(servers, around)?;
    Ok((servers, scaikey, registrar))
}

/// What asks a supervisor to end: Ctrl-C, `scaidns dev stop`, a terminal that closes.
struct Signals {
    streams: [SignalStream; 3],
}

impl Signals {
    fn new() -> Result<Self, DevError> {
        let stream = |kind| signal(kind).map_err(|source| DevError::Spawn { name: "signal handler".into(), source });
        let streams =
            [stream(SignalKind::interrupt())?, stream(SignalKind::terminate())?, stream(SignalKind::hangup())?];
        Ok(Self { streams })
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.streams;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests;
