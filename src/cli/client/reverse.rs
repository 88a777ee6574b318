//! `scaidns reverse`.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use serde_json::json;

use super::connection::Connection;
use super::domains::put;
use super::output::Output;

#[derive(Debug, Args)]
pub struct ReverseArgs {
    #[command(flatten)]
    pub output: Output,
    #[command(subcommand)]
    command: ReverseCommand,
}

#[derive(Debug, Subcommand)]
enum ReverseCommand {
    /// List reverse zones
    List {
        /// Part of a name, or a network
        #[arg(long)]
        search: Option<String>,
    },
    /// Say which zones a network needs
    Preview { cidr: String },
    /// Claim the reverse zones of a network
    Create {
        cidr: String,
        #[arg(long)]
        default_ttl: Option<u32>,
        #[arg(long)]
        description: Option<String>,
    },
    /// List the PTR records of a zone
    Ptrs {
        /// Name or id
        zone: String,
    },
    /// Name an address
    Add {
        /// Name or id
        zone: String,
        ip: IpAddr,
        hostname: String,
        #[arg(long)]
        ttl: Option<u32>,
    },
    /// Take an address's name away
    Delete {
        /// Name or id
        zone: String,
        ip: IpAddr,
    },
    /// Say what an address is called
    Lookup { ip: IpAddr },
}

pub async fn run(connection: &Connection, args: ReverseArgs) -> anyhow::Result<()> {
    let output = args.output;
    match args.command {
        ReverseCommand::List { search } => {
            let query = search.map(|search| ("search", search));
            let columns = [("NETWORK", "/cidr"), ("NAME", "/name"), ("ID", "/id"), ("STATUS", "/status")];
            output.list(&connection.list("/reverse-zones/", query.as_slice()).await?, &columns);
        }
        ReverseCommand::Preview { cidr } => {
            output.object(&connection.post("/reverse-zones/preview", &[], json!({"cidr": cidr})).await?);
        }
        ReverseCommand::Create { cidr, default_ttl, description } => {
            let mut body = json!({"cidr": cidr});
            put(&mut body, "default_ttl", default_ttl);
            put(&mut body, "description", description);
            output.object(&connection.post("/reverse-zones/", &[], body).await?);
        }
        ReverseCommand::Ptrs { zone } => {
            let id = connection.domain(&zone).await?;
            let columns = [("ADDRESS", "/ip"), ("NAME", "/hostname"), ("TTL", "/ttl")];
            output.list(&connection.list(&format!("/reverse-zones/{id}/ptr"), &[]).await?, &columns);
        }
        ReverseCommand::Add { zone, ip, hostname, ttl } => {
            let id = connection.domain(&zone).await?;
            let mut body = json!({"ip": ip.to_string(), "hostname": hostname});
            put(&mut body, "ttl", ttl);
            output.object(&connection.post(&format!("/reverse-zones/{id}/ptr"), &[], body).await?);
        }
        ReverseCommand::Delete { zone, ip } => {
            let id = connection.domain(&zone).await?;
            connection.delete(&format!("/reverse-zones/{id}/ptr/{ip}"), &[]).await?;
            output.done(&format!("{ip} has no name any more"));
        }
        ReverseCommand::Lookup { ip } => {
            output.object(&connection.get(&format!("/reverse-zones/lookup/{ip}"), &[]).await?);
        }
    }
    Ok(())
}
