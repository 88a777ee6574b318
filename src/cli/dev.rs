//! `scaidns dev`: the development stack, from one command.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::dev::supervisor::{self, Options, background};

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
