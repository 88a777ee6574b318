//! `scaidns changes`: changes of zones that recovery cannot settle by itself.

use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{Table, presets};
use serde_json::json;

use crate::ids::ChangeId;
use crate::service::timekeeping;
use crate::service::zone_writer::Recovered;
use crate::storage::intents;

use super::{Failure, services};

/// Look after changes whose outcome is unknown.
///
/// The worker settles whatever a crash or a time-out left open. What it cannot settle is a change in whose zone somebody
/// else has changed the marker, `_scaidns.<zone>`: nobody can tell any more whether it ran, and the zone takes no
/// changes until an operator has said so.
#[derive(Debug, Args)]
pub struct ChangesArgs {
    #[command(subcommand)]
    command: ChangesCommand,
}

#[derive(Debug, Subcommand)]
enum ChangesCommand {
    /// List changes under way, the oldest first
    Open {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say how a change ended, after a look at the zone. It is fenced off first, so it cannot run later
    Settle {
        /// As chg_…
        change: ChangeId,
        #[arg(long = "as", value_enum)]
        outcome: Outcome,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Outcome {
    /// It ran: history and audit log get their entries
    Applied,
    /// It did not
    Dropped,
}

const SHOWN_MAX: u32 = 1_000;

pub async fn run(args: ChangesArgs) -> anyhow::Result<()> {
    match args.command {
        ChangesCommand::Open { json } => open(json).await,
        ChangesCommand::Settle { change, outcome } => settle(change, outcome).await,
    }
}

async fn open(as_json: bool) -> anyhow::Result<()> {
    let services = services()?;
    let open = intents::open(&services.db, SHOWN_MAX).await?;
    services.db.close().await;
    if as_json {
        let entry = |intent: &intents::OpenIntent| {
            let intents::OpenIntent { zone_name, change, kind, age_seconds, attempts } = intent;
            json!({"change": change.to_string(), "zone": zone_name, "kind": kind, "age": age_seconds, "attempts": attempts})
        };
        let entries: Vec<_> = open.iter().map(entry).collect();
        println!("{:#}", json!(entries));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["CHANGE", "ZONE", "KIND", "SECONDS", "ATTEMPTS"]);
    for intents::OpenIntent { zone_name, change, kind, age_seconds, attempts } in open {
        table.add_row([change.to_string(), zone_name, kind, age_seconds.to_string(), attempts.to_string()]);
    }
    println!("{table}");
    Ok(())
}

async fn settle(change: ChangeId, outcome: Outcome) -> anyhow::Result<()> {
    let services = services()?;
    timekeeping::read(&services.db).await?;
    let settled = services.writer.settle_as(change, matches!(outcome, Outcome::Applied)).await?;
    services.db.close().await;
    match settled {
        Some(Recovered::Applied) => println!("{change} is settled as applied"),
        Some(Recovered::Dropped) => println!("{change} is settled as dropped"),
        Some(Recovered::NotOurs) => {
            return Err(Failure::Invalid("somebody else is settling it; look again".into()).into());
        }
        Some(Recovered::Undecided(why)) => return Err(Failure::Upstream(why).into()),
        None => {
            let none = "no change of this id is open, or its deadline is not over yet (15 s after its last attempt)";
            return Err(Failure::NotFound(none.into()).into());
        }
    }
    Ok(())
}
