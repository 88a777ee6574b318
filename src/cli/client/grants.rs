//! `scaidns grants`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::connection::Connection;
use super::domains::put;
use super::output::Output;

#[derive(Debug, Args)]
pub struct GrantsArgs {
    #[command(flatten)]
    pub output: Output,
    #[command(subcommand)]
    command: GrantsCommand,
}

#[derive(Debug, Subcommand)]
enum GrantsCommand {
    /// List who was granted access to a domain
    List {
        /// Name or id
        domain: String,
        /// Those that are over, too
        #[arg(long)]
        include_expired: bool,
    },
    /// Let a user or a group work on a domain, or on some of its records
    Add(AddArgs),
    /// Take a grant back
    Delete {
        /// Name or id
        domain: String,
        /// As ag_…
        grant: String,
    },
}

#[derive(Debug, Args)]
struct AddArgs {
    /// Name or id
    domain: String,
    /// The user or the group: u_…, usr_…, g_… or grp_…
    grantee: String,
    /// What it may do, as a role's name
    #[arg(long)]
    role: String,
    /// Only names like this one, relative to the domain: "app-*", "@"
    #[arg(long)]
    pattern: Option<String>,
    /// Only records of this type; may be repeated
    #[arg(long = "type")]
    record_types: Vec<String>,
    /// When it ends, as 2027-01-31T00:00:00Z
    #[arg(long)]
    expires_at: Option<String>,
    #[arg(long)]
    notes: Option<String>,
}

pub async fn run(connection: &Connection, args: GrantsArgs) -> anyhow::Result<()> {
    let output = args.output;
    match args.command {
        GrantsCommand::List { domain, include_expired } => {
            let id = connection.domain(&domain).await?;
            let query = include_expired.then(|| ("include_expired", "true".to_owned()));
            let columns = [
                ("ID", "/id"),
                ("TO", "/grantee_id"),
                ("ROLE", "/role"),
                ("NAMES", "/record_pattern"),
                ("TYPES", "/record_types"),
                ("UNTIL", "/expires_at"),
            ];
            let answer = connection.list(&format!("/domains/{id}/access-grants"), query.as_slice()).await?;
            output.list(&answer, &columns);
        }
        GrantsCommand::Add(args) => {
            let AddArgs { domain, grantee, role, pattern, record_types, expires_at, notes } = args;
            let id = connection.domain(&domain).await?;
            let is_group = grantee.starts_with("g_") || grantee.starts_with("grp_");
            let grant_type = if is_group { "group" } else { "user" };
            let mut body = json!({"grant_type": grant_type, "grantee_id": grantee, "role": role});
            put(&mut body, "record_pattern", pattern);
            put(&mut body, "record_types", (!record_types.is_empty()).then(|| json!(record_types)));
            put(&mut body, "expires_at", expires_at);
            put(&mut body, "notes", notes);
            output.object(&connection.post(&format!("/domains/{id}/access-grants"), &[], body).await?);
        }
        GrantsCommand::Delete { domain, grant } => {
            let id = connection.domain(&domain).await?;
            connection.delete(&format!("/domains/{id}/access-grants/{grant}"), &[]).await?;
            output.done(&format!("{grant} is taken back"));
        }
    }
    Ok(())
}
