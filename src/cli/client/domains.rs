//! `scaidns domains`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::connection::Connection;
use super::output::Output;

#[derive(Debug, Args)]
pub struct DomainsArgs {
    #[command(flatten)]
    pub output: Output,
    #[command(subcommand)]
    command: DomainsCommand,
}

#[derive(Debug, Subcommand)]
enum DomainsCommand {
    /// List the domains that you may read
    List(ListArgs),
    /// Show a domain
    Show {
        /// Name or id
        domain: String,
    },
    /// Claim a domain; the answer says which TXT record proves it
    Create(CreateArgs),
    /// Change a domain
    Update(UpdateArgs),
    /// Delete a domain; it can be restored, unless --hard
    Delete {
        /// Name or id
        domain: String,
        /// For good, with its records and keys
        #[arg(long)]
        hard: bool,
    },
    /// Bring a deleted domain back
    Restore {
        /// Name or id
        domain: String,
    },
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Part of the name
    #[arg(long)]
    search: Option<String>,
    /// pending_validation, active, inactive or deleted
    #[arg(long)]
    status: Option<String>,
    /// primary, secondary, reverse_ipv4 or reverse_ipv6
    #[arg(long = "type")]
    domain_type: Option<String>,
    /// Deleted ones, too
    #[arg(long)]
    include_deleted: bool,
}

#[derive(Debug, Args)]
struct CreateArgs {
    name: String,
    /// primary or secondary
    #[arg(long = "type", default_value = "primary")]
    domain_type: String,
    /// Of records that are made without a TTL, in seconds
    #[arg(long)]
    default_ttl: Option<u32>,
    #[arg(long)]
    description: Option<String>,
    /// Of a secondary domain: an address to transfer from, with or without a port; may be repeated
    #[arg(long = "master")]
    masters: Vec<String>,
    /// Of a secondary domain: the key that its transfers are signed with
    #[arg(long)]
    tsig_key: Option<String>,
}

#[derive(Debug, Args)]
struct UpdateArgs {
    /// Name or id
    domain: String,
    /// active or inactive
    #[arg(long)]
    status: Option<String>,
    /// Of records that are made without a TTL, in seconds
    #[arg(long)]
    default_ttl: Option<u32>,
    #[arg(long)]
    description: Option<String>,
}

pub async fn run(connection: &Connection, args: DomainsArgs) -> anyhow::Result<()> {
    let output = args.output;
    match args.command {
        DomainsCommand::List(args) => {
            let ListArgs { search, status, domain_type, include_deleted } = args;
            let mut query: Vec<(&str, String)> = Vec::new();
            query.extend(search.map(|search| ("search", search)));
            query.extend(status.map(|status| ("status", status)));
            query.extend(domain_type.map(|domain_type| ("domain_type", domain_type)));
            query.extend(include_deleted.then(|| ("include_deleted", "true".to_owned())));
            let columns = [
                ("NAME", "/name"),
                ("ID", "/id"),
                ("TYPE", "/domain_type"),
                ("STATUS", "/status"),
                ("SIGNED", "/dnssec_enabled"),
            ];
            output.list(&connection.list("/domains/", &query).await?, &columns);
        }
        DomainsCommand::Show { domain } => {
            let id = connection.domain(&domain).await?;
            let query = [("include_deleted", "true".to_owned())];
            output.object(&connection.get(&format!("/domains/{id}"), &query).await?);
        }
        DomainsCommand::Create(args) => {
            let CreateArgs { name, domain_type, default_ttl, description, masters, tsig_key } = args;
            let mut body = json!({"name": name, "domain_type": domain_type});
            let masters = (!masters.is_empty()).then(|| json!(masters));
            put(&mut body, "default_ttl", default_ttl);
            put(&mut body, "description", description);
            put(&mut body, "masters", masters);
            put(&mut body, "tsig_key_id", tsig_key);
            output.object(&connection.post("/domains/", &[], body).await?);
        }
        DomainsCommand::Update(args) => {
            let UpdateArgs { domain, status, default_ttl, description } = args;
            let mut body = Value::Object(Map::new());
            put(&mut body, "status", status);
            put(&mut body, "default_ttl", default_ttl);
            put(&mut body, "description", description);
            let id = connection.domain(&domain).await?;
            output.object(&connection.patch(&format!("/domains/{id}"), &[], body).await?);
        }
        DomainsCommand::Delete { domain, hard } => {
            let id = connection.domain(&domain).await?;
            let query = hard.then(|| ("hard", "true".to_owned()));
            connection.delete(&format!("/domains/{id}"), query.as_slice()).await?;
            output.done(&format!("{domain} is deleted"));
        }
        DomainsCommand::Restore { domain } => {
            let id = connection.domain(&domain).await?;
            output.object(&connection.post(&format!("/domains/{id}/restore"), &[], json!({})).await?);
        }
    }
    Ok(())
}

/// A field of a body, if it was given.
pub(super) fn put<T: Into<Value>>(body: &mut Value, name: &str, value: Option<T>) {
    if let Some(value) = value {
        body[name] = value.into();
    }
}
