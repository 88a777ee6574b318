//! `scaidns dev`: the development stack, from one command.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::clock::Clock;
use crate::dev::scaikey::{ScaiKey, Settings};
use crate::dev::supervisor::{self, Options, background};
use crate::shutdown;

/// The first port of a stack that nobody gave another.
const PORT_BASE: u16 = 8000;

/// Runs everything that ScaiDNS needs, and ScaiDNS itself, on this machine.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DevArgs {
    #[command(subcommand)]
    command: Option<DevCommand>,
    #[command(flatten)]
    folder: DataFolder,
    /// The first of the ports the stack listens on
    #[arg(long, value_name = "N", default_value_t = PORT_BASE)]
    port_base: u16,
    /// How many `scaidns api` run, each at a port of its own from the base up
    #[arg(long, value_name = "N", default_value_t = 2)]
    api_replicas: u16,
    /// Return once everything is ready; `scaidns dev stop` ends it
    #[arg(long)]
    detach: bool,
    /// How --detach starts the process that stays
    #[arg(long, hide = true)]
    background: bool,
}

#[derive(Debug, Subcommand)]
enum DevCommand {
    /// End the stack and everything it has started
    Stop(DataFolder),
    /// End the stack and remove all its data
    Reset(DataFolder),
    /// Run the small ScaiKey alone, beside a ScaiDNS in containers
    Scaikey(ScaikeyArgs),
}

#[derive(Debug, Args)]
struct ScaikeyArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8025")]
    listen: SocketAddr,
    /// What its clients call it: SCAIKEY_URL of ScaiDNS
    #[arg(long, value_name = "URL")]
    url: String,
    /// Where it keeps its signing key
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// A file with the secret of the client scaidns-dev
    #[arg(long, value_name = "FILE")]
    client_secret_file: PathBuf,
}

#[derive(Debug, Args)]
struct DataFolder {
    /// Where the stack keeps its data
    #[arg(long, value_name = "DIR", default_value = ".dev")]
    data: PathBuf,
}

/// Runs the command; ends when the stack does, or at once with `--detach`, `stop` and `reset`.
pub async fn run(args: DevArgs) -> anyhow::Result<()> {
    let DevArgs { command, folder, port_base, api_replicas, detach, background } = args;
    match command {
        Some(DevCommand::Stop(DataFolder { data })) => {
            let there_was_one = background::stop(&data).await?;
            eprintln!(
                "{}",
                if there_was_one { "the development stack has ended" } else { "no development stack runs" }
            );
        }
        Some(DevCommand::Reset(DataFolder { data })) => {
            background::reset(&data).await?;
            eprintln!("{} is empty; the next start begins anew", data.display());
        }
        Some(DevCommand::Scaikey(args)) => run_scaikey(args).await?,
        None => {
            let executable = std::env::current_exe()?;
            let options = Options { data: folder.data, port_base, api_replicas, executable };
            if background {
                background::leave_terminal();
            }
            match detach {
                true => background::start(&options).await?,
                false => supervisor::run(&options).await?,
            }
        }
    }
    Ok(())
}

/// Until a signal asks to stop.
async fn run_scaikey(args: ScaikeyArgs) -> anyhow::Result<()> {
    let ScaikeyArgs { listen, url, data, client_secret_file } = args;
    let client_secret = std::fs::read_to_string(&client_secret_file)
        .with_context(|| client_secret_file.display().to_string())?
        .trim()
        .to_owned();
    let settings = Settings { folder: data, address: listen, url: Some(url), client_secret, clock: Clock::system() };
    let scaikey = ScaiKey::start(settings).await?;
    eprintln!("the small ScaiKey is at {}", scaikey.url());
    shutdown::requested().await;
    scaikey.stop().await;
    Ok(())
}
