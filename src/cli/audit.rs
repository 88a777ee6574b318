//! `scaidns audit`: whether the audit log is what was written.

use std::fmt;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::service::audit_seal::{Chain, Head, Problem, Report, verify};

use super::{Failure, services};

/// Look after the audit log.
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    pub command: AuditCommand,
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Walk the whole log and say where an entry was changed, removed, moved or cut off. Needs AUDIT_SEAL_KEY; ends with
    /// 6 where something is wrong.
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A head that the worker has logged, as 1234:9f86…; without it nobody can tell whether the last entries were
    /// cut off by somebody who knew how.
    #[arg(long, value_name = "HEAD")]
    pub head: Option<Head>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

pub async fn run(args: AuditArgs) -> anyhow::Result<()> {
    let AuditArgs { command: AuditCommand::Verify(VerifyArgs { head, json }) } = args;
    let services = services()?;
    let Some(chain) = Chain::new(&services.config.secrets.audit_seal_keys) else {
        return Err(Failure::Usage("AUDIT_SEAL_KEY is not set, so nothing was sealed".into()).into());
    };
    let bar = ProgressBar::new_spinner();
    let verified = verify(&services.db, &chain, head, &|sealed| bar.set_message(format!("{sealed} entries"))).await;
    bar.finish_and_clear();
    services.db.close().await;
    let report = verified?;
    if json {
        println!("{}", serde_json::to_string_pretty(&as_json(&report))?);
    } else {
        print!("{}", Told(&report));
    }
    match report.problems.len() {
        0 => Ok(()),
        count => Err(Failure::Invalid(format!("the audit log is not what was written: {count} problems")).into()),
    }
}

struct Told<'a>(&'a Report);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { sealed, unsealed, first, head, problems } = self.0;
        writeln!(f, "entries  {sealed} sealed, the first is number {first}; {unsealed} not sealed yet")?;
        writeln!(f, "head     {head}")?;
        for problem in problems {
            writeln!(f, "PROBLEM  {}", words(problem))?;
        }
        Ok(())
    }
}

fn words(problem: &Problem) -> String {
    match problem {
        Problem::Missing { first, last } if first == last => format!("entry {first} is missing"),
        Problem::Missing { first, last } => format!("entries {first} to {last} are missing"),
        Problem::Altered { sequence, id } => format!("entry {sequence} ({id}) is not what was sealed"),
        Problem::ForgedStart { sequence } => {
            format!("the entries up to {sequence} were not removed by who has the key")
        }
        Problem::Cut { last, known } => format!("the log ends with {last}, but has had {known} entries"),
        Problem::OtherHead { sequence } => format!("entry {sequence} has another seal than the head given"),
        Problem::HeadTooOld { sequence } => {
            format!("the head given, {sequence}, is older than the first entry that is kept")
        }
    }
}

fn as_json(report: &Report) -> Value {
    let Report { sealed, unsealed, first, head, problems } = report;
    let problems: Vec<String> = problems.iter().map(words).collect();
    json!({"sealed": sealed, "unsealed": unsealed, "first": first, "head": head.to_string(), "problems": problems})
}
