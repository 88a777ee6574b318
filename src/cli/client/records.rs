//! `scaidns records`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::connection::Connection;
use super::domains::put;
use super::output::{Column, Output};

#[derive(Debug, Args)]
pub struct RecordsArgs {
    #[command(flatten)]
    pub output: Output,
    #[command(subcommand)]
    command: RecordsCommand,
}

#[derive(Debug, Subcommand)]
enum RecordsCommand {
    /// List a domain's records
    List(ListArgs),
    /// Add a record: scaidns records add example.com www A 192.0.2.1
    Add(AddArgs),
    /// Change a record
    Update(UpdateArgs),
    /// Remove a record
    Delete {
        /// Name or id
        domain: String,
        /// As r_…
        record: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

#[derive(Debug, Args)]
struct DryRun {
    /// Say what would come of it, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl DryRun {
    fn query(&self) -> Vec<(&'static str, String)> {
        self.dry_run.then(|| ("dry_run", "true".to_owned())).into_iter().collect()
    }
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Name or id
    domain: String,
    /// Of this type only
    #[arg(long = "type")]
    record_type: Option<String>,
    /// Part of the name
    #[arg(long)]
    name: Option<String>,
    /// SOA and apex NS, too
    #[arg(long)]
    include_system: bool,
}

#[derive(Debug, Args)]
struct AddArgs {
    /// Name or id
    domain: String,
    /// @ for the domain itself, a name relative to it, or a whole one
    name: String,
    #[arg(value_name = "TYPE")]
    record_type: String,
    /// As in a zone file: 192.0.2.1, or "10 mail.example.com."
    content: String,
    #[arg(long)]
    ttl: Option<u32>,
    /// Kept, not served
    #[arg(long)]
    disabled: bool,
    /// Write the PTR of an address, too, where there is a reverse zone for it
    #[arg(long)]
    ptr: bool,
    #[command(flatten)]
    dry_run: DryRun,
}

#[derive(Debug, Args)]
struct UpdateArgs {
    /// Name or id
    domain: String,
    /// As r_…
    record: String,
    #[arg(long)]
    content: Option<String>,
    /// Of all records of this name and type
    #[arg(long)]
    ttl: Option<u32>,
    /// true: kept, not served
    #[arg(long, value_name = "BOOL")]
    disabled: Option<bool>,
    #[command(flatten)]
    dry_run: DryRun,
}

const COLUMNS: [Column; 6] = [
    ("NAME", "/name"),
    ("TTL", "/ttl"),
    ("TYPE", "/type"),
    ("CONTENT", "/content"),
    ("DISABLED", "/disabled"),
    ("ID", "/id"),
];

pub async fn run(connection: &Connection, args: RecordsArgs) -> anyhow::Result<()> {
    let output = args.output;
    match args.command {
        RecordsCommand::List(args) => {
            let ListArgs { domain, record_type, name, include_system } = args;
            let id = connection.domain(&domain).await?;
            let mut query: Vec<(&str, String)> = Vec::new();
            query.extend(record_type.map(|record_type| ("type", record_type.to_uppercase())));
            query.extend(name.map(|name| ("name", name)));
            query.extend(include_system.then(|| ("include_system", "true".to_owned())));
            output.list(&connection.get(&format!("/domains/{id}/records"), &query).await?, &COLUMNS);
        }
        RecordsCommand::Add(args) => {
            let AddArgs { domain, name, record_type, content, ttl, disabled, ptr, dry_run } = args;
            let id = connection.domain(&domain).await?;
            let mut body = json!({"name": name, "type": record_type.to_uppercase(), "content": content});
            put(&mut body, "ttl", ttl);
            put(&mut body, "disabled", disabled.then_some(true));
            put(&mut body, "ptr", ptr.then_some(true));
            output.object(&connection.post(&format!("/domains/{id}/records"), &dry_run.query(), body).await?);
        }
        RecordsCommand::Update(args) => {
            let UpdateArgs { domain, record, content, ttl, disabled, dry_run } = args;
            let id = connection.domain(&domain).await?;
            let mut body = Value::Object(Map::new());
            put(&mut body, "content", content);
            put(&mut body, "ttl", ttl);
            put(&mut body, "disabled", disabled);
            let path = format!("/domains/{id}/records/{record}");
            output.object(&connection.patch(&path, &dry_run.query(), body).await?);
        }
        RecordsCommand::Delete { domain, record, dry_run } => {
            let id = connection.domain(&domain).await?;
            let path = format!("/domains/{id}/records/{record}");
            let answer = connection.delete(&path, &dry_run.query()).await?;
            if answer.is_null() { output.done(&format!("{record} is gone")) } else { output.object(&answer) }
        }
    }
    Ok(())
}
