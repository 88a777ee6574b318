//! `scaidns dnssec`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::connection::Connection;
use super::domains::put;
use super::output::Output;

#[derive(Debug, Args)]
pub struct DnssecArgs {
    #[command(flatten)]
    pub output: Output,
    #[command(subcommand)]
    command: DnssecCommand,
}

#[derive(Debug, Subcommand)]
enum DnssecCommand {
    /// Show keys, DS records, what the parent has, and what comes next
    Show {
        /// Name or id
        domain: String,
    },
    /// Sign the domain; the answer has the DS records for the parent
    Enable {
        /// Name or id
        domain: String,
        /// 8, 10, 13, 14 or 15
        #[arg(long)]
        algorithm: Option<u8>,
        /// narrow, nsec3 or nsec
        #[arg(long)]
        denial: Option<String>,
    },
    /// Stop signing; the DS must have left the parent
    Disable {
        /// Name or id
        domain: String,
        /// Although resolvers that validate will find the domain bogus
        #[arg(long)]
        force: bool,
    },
    /// Roll the zone signing key
    RotateZsk {
        /// Name or id
        domain: String,
    },
    /// Roll the key signing key; the parent needs its DS
    RotateKsk {
        /// Name or id
        domain: String,
    },
    /// Say that the parent has the DS; it is looked up there
    Confirm {
        /// Name or id
        domain: String,
        /// Of the key that the DS is for
        #[arg(long)]
        key_tag: Option<u16>,
        /// Do not look it up
        #[arg(long)]
        force: bool,
    },
}

pub async fn run(connection: &Connection, args: DnssecArgs) -> anyhow::Result<()> {
    let output = args.output;
    let (domain, step, body) = match args.command {
        DnssecCommand::Show { domain } => {
            let id = connection.domain(&domain).await?;
            output.object(&connection.get(&format!("/domains/{id}/dnssec"), &[]).await?);
            return Ok(());
        }
        DnssecCommand::Enable { domain, algorithm, denial } => {
            let mut body = json!({});
            put(&mut body, "algorithm", algorithm);
            put(&mut body, "denial", denial);
            (domain, "enable", body)
        }
        DnssecCommand::Disable { domain, force } => (domain, "disable", forced(force)),
        DnssecCommand::RotateZsk { domain } => (domain, "rotate-zsk", json!({})),
        DnssecCommand::RotateKsk { domain } => (domain, "rotate-ksk", json!({})),
        DnssecCommand::Confirm { domain, key_tag, force } => {
            let mut body = forced(force);
            put(&mut body, "key_tag", key_tag);
            (domain, "confirm-ds-published", body)
        }
    };
    let id = connection.domain(&domain).await?;
    output.object(&connection.post(&format!("/domains/{id}/dnssec/{step}"), &[], body).await?);
    Ok(())
}

fn forced(force: bool) -> Value {
    if force { json!({"force": true}) } else { json!({}) }
}
