//! `scaidns sync`: the full pull from ScaiKey.

use std::sync::Arc;

use clap::Args;
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::config::Config;
use crate::service::sync::{Counts, Options, Progress, Report, pull};
use crate::service::{Services, timekeeping};

/// Pull partners, tenants, users, groups and memberships from ScaiKey.
///
/// What ScaiKey states is inserted or updated, what a later event has changed is left alone. What ScaiKey has no more is
/// deactivated once everything was heard and ScaiKey, asked for it by name, does not know it; never because a list came
/// empty or failed.
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// Only the users and groups of this tenant (its id here or at ScaiKey); partners and tenants are pulled in any
    /// case.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print the counts as JSON.
    #[arg(long)]
    pub json: bool,
}

pub async fn run(args: SyncArgs) -> anyhow::Result<()> {
    let SyncArgs { tenant, dry_run, json } = args;
    let services = Services::new(Arc::new(Config::from_env()?), Clock::led())?;
    timekeeping::read(&services.db).await?;
    // hidden by itself where standard error is no terminal
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{prefix:>10} {bar:40} {pos}/{len}")?);
    let told = |Progress { stage, done, total }| {
        bar.set_prefix(stage);
        bar.set_length(total);
        bar.set_position(done);
    };
    let pulled = pull(&services, &Options { tenant, dry_run }, &told).await;
    bar.finish_and_clear();
    let report = pulled?;
    services.db.close().await;
    for warning in &report.warnings {
        eprintln!("warning: {warning}");
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&as_json(&report, dry_run))?);
    } else {
        println!("{}", as_table(&report));
        if dry_run {
            eprintln!("nothing was written: this was a dry run");
        }
    }
    Ok(())
}

fn rows(report: &Report) -> [(&'static str, Counts); 5] {
    let Report { partners, tenants, users, groups, members, warnings: _ } = report;
    [("partners", *partners), ("tenants", *tenants), ("users", *users), ("groups", *groups), ("members", *members)]
}

fn as_json(report: &Report, dry_run: bool) -> Value {
    let counts = |counts| {
        let Counts { seen, created, updated, unchanged, skipped, deactivated } = counts;
        json!({
            "seen": seen,
            "created": created,
            "updated": updated,
            "unchanged": unchanged,
            "skipped": skipped,
            "deactivated": deactivated,
        })
    };
    let mut all: serde_json::Map<_, _> =
        rows(report).into_iter().map(|(name, row)| (name.to_owned(), counts(row))).collect();
    all.insert("dry_run".into(), dry_run.into());
    all.insert("warnings".into(), report.warnings.clone().into());
    all.into()
}

fn as_table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["", "seen", "created", "updated", "unchanged", "skipped", "deactivated"]);
    for (name, Counts { seen, created, updated, unchanged, skipped, deactivated }) in rows(report) {
        let numbers = [seen, created, updated, unchanged, skipped, deactivated].map(|number| number.to_string());
        table.add_row(std::iter::once(name.to_owned()).chain(numbers));
    }
    table
}
