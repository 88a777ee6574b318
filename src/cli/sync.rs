//! `scaidns sync`: the full pull from ScaiKey.

use std::sync::Arc;

use clap::Args;
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::config::Config;
use crate::service::Services;
use crate::service::sync::{Counts, Report, pull};

/// Pull partners, tenants, users, groups and memberships from ScaiKey.
///
/// What ScaiKey states is inserted or updated; what a later event has changed is left alone. Nothing is deactivated
/// because ScaiKey no longer lists it, and no membership is taken away.
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// Only the users and groups of this tenant (its id here or at ScaiKey); partners and tenants are pulled in any
    /// case.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// Print the counts as JSON.
    #[arg(long)]
    pub json: bool,
}

pub async fn run(args: SyncArgs) -> anyhow::Result<()> {
    let SyncArgs { tenant, json } = args;
    let services = Services::new(Arc::new(Config::from_env()?), Clock::system())?;
    let report = pull(&services, tenant.as_deref()).await?;
    services.db.close().await;
    if json {
        println!("{}", serde_json::to_string_pretty(&as_json(&report))?);
    } else {
        println!("{}", as_table(&report));
    }
    Ok(())
}

fn rows(report: &Report) -> [(&'static str, Counts); 5] {
    let Report { partners, tenants, users, groups, members } = *report;
    [("partners", partners), ("tenants", tenants), ("users", users), ("groups", groups), ("members", members)]
}

fn as_json(report: &Report) -> Value {
    let counts = |Counts { seen, created, updated, unchanged, skipped }| json!({ "seen": seen, "created": created, "updated": updated, "unchanged": unchanged, "skipped": skipped });
    rows(report).into_iter().map(|(name, row)| (name.to_owned(), counts(row))).collect::<serde_json::Map<_, _>>().into()
}

fn as_table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["", "seen", "created", "updated", "unchanged", "skipped"]);
    for (name, Counts { seen, created, updated, unchanged, skipped }) in rows(report) {
        let numbers = [seen, created, updated, unchanged, skipped].map(|number| number.to_string());
        table.add_row(std::iter::once(name.to_owned()).chain(numbers));
    }
    table
}
