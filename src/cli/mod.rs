//! The command line: stdout for data, stderr for the rest, exit codes as documented.

mod audit;
mod changes;
mod client;
#[cfg(feature = "dev")]
mod dev;
mod doctor;
mod exit;
mod health;
mod keys;
mod sync;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::clock::Clock;
use crate::config::Config;
use crate::service::Services;
use crate::storage::{Db, StorageError};
use crate::{app, telemetry};

pub use exit::Failure;

/// A multi-tenant DNS control plane in front of PowerDNS.
///
/// Server commands read their configuration from the environment; each variable is described in docs/configuration.md.
/// Exit codes: 0 ok, 1 general, 2 usage or configuration, 3 authentication, 4 not allowed, 5 not found, 6 conflict or
/// invalid, 7 upstream.
#[derive(Parser)]
#[command(name = "scaidns", version, about, long_about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the REST API at BIND_ADDRESS; the first SIGTERM drains, the second drops
    Api,
    /// Run what no request waits for: recovery of unsettled changes, jobs, cleaning; any number of them
    Worker,
    /// Apply the database migrations that are missing
    Migrate,
    /// Check every dependency and say what to do
    Doctor,
    /// Ask the api of this machine whether it lives, for health checks of containers
    Health(health::HealthArgs),
    /// Pull partners, tenants, users, groups and memberships from ScaiKey
    Sync(sync::SyncArgs),
    /// Make API keys from the operator's side
    Keys(keys::KeysArgs),
    /// Look after changes whose outcome is unknown
    Changes(changes::ChangesArgs),
    /// Verify the audit log
    Audit(audit::AuditArgs),
    /// Print what completes commands in a shell
    Completions {
        /// bash, zsh, fish, …
        shell: clap_complete::Shell,
    },
    #[command(flatten)]
    Client(client::ClientCommand),
    /// Run the whole product on loopback, for development
    #[cfg(feature = "dev")]
    Dev(dev::DevArgs),
}

/// Runs the command and turns its outcome into an exit code.
pub async fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Api => Box::pin(api()).await,
        Command::Worker => Box::pin(worker()).await,
        Command::Migrate => Box::pin(migrate()).await,
        Command::Doctor => Box::pin(doctor::run()).await,
        Command::Health(args) => Box::pin(health::run(args)).await,
        Command::Sync(args) => Box::pin(sync::run(args)).await,
        Command::Keys(args) => Box::pin(keys::run(args)).await,
        Command::Changes(args) => Box::pin(changes::run(args)).await,
        Command::Audit(args) => Box::pin(audit::run(args)).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "scaidns", &mut std::io::stdout());
            Ok(())
        }
        Command::Client(command) => Box::pin(client::run(command)).await,
        #[cfg(feature = "dev")]
        Command::Dev(args) => Box::pin(dev::run(args)).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scaidns: {error:#}");
            exit::code(&error)
        }
    }
}

async fn api() -> anyhow::Result<()> {
    let config = configuration()?;
    telemetry::start(&config.log, &config.metrics).context("METRICS_BIND_ADDRESS")?;
    Ok(app::run_api(config).await?)
}

async fn worker() -> anyhow::Result<()> {
    let config = configuration()?;
    telemetry::start(&config.log, &config.metrics).context("METRICS_BIND_ADDRESS")?;
    Ok(app::run_worker(config).await?)
}

async fn migrate() -> anyhow::Result<()> {
    let config = configuration()?;
    let db = Db::lazy(&config.database)?;
    if let Err(error) = db.migrate().await {
        let is_away = matches!(db.ping().await, Err(StorageError::Unavailable(_) | StorageError::NotAsked(_)));
        return Err(if is_away { Failure::Upstream(error.to_string()).into() } else { error.into() });
    }
    println!("the database is up to date");
    Ok(())
}

fn configuration() -> anyhow::Result<Config> {
    Ok(Config::from_env()?)
}

fn services() -> anyhow::Result<Services> {
    Ok(Services::new(Arc::new(configuration()?), Clock::led())?)
}
