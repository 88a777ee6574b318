//! `scaidns keys`: API keys from the operator's side, where nobody can log in yet.

use std::sync::Arc;

use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::authz::PermissionSet;
use crate::clock::Clock;
use crate::config::Config;
use crate::service::api_keys::{NewApiKey, create_as_operator, owner_of_operator};
use crate::service::{Services, timekeeping};
use crate::storage::api_keys::AllowedNetwork;

/// Manage API keys on the server.
#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    pub command: KeysCommand,
}

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make an API key for a user or a group and print its id and its secret, which cannot be read again.
    Create(CreateArgs),
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Whose permissions the key has: an address, usr_…, grp_…, u_… or g_….
    #[arg(long, value_name = "OWNER")]
    pub owner: String,
    /// What the key is called.
    #[arg(long)]
    pub name: String,
    /// A permission that the key keeps, as records:write; may be repeated. Without any it has all of its owner's.
    #[arg(long = "scope", value_name = "SCOPE", value_parser = known_scope)]
    pub scopes: Vec<String>,
    /// An address or a CIDR that the key may be used from; may be repeated. Without any it may be used from everywhere.
    #[arg(long = "ip", value_name = "CIDR", value_parser = well_formed_network)]
    pub networks: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

pub async fn run(args: KeysArgs) -> anyhow::Result<()> {
    let KeysArgs { command: KeysCommand::Create(args) } = args;
    create(args).await
}

async fn create(args: CreateArgs) -> anyhow::Result<()> {
    let CreateArgs { owner, name, scopes, networks, json } = args;
    let services = Services::new(Arc::new(Config::from_env()?), Clock::led())?;
    timekeeping::read(&services.db).await?;
    let wanted = NewApiKey {
        name,
        description: None,
        source: owner_of_operator(&services, &owner).await?,
        scopes: Some(scopes).filter(|scopes| !scopes.is_empty()),
        rate_limit: None,
        ip_whitelist: networks,
        expires_at: None,
    };
    let issued = create_as_operator(&services, wanted).await?;
    services.db.close().await;
    let secret = issued.secret.ok_or_else(|| anyhow::anyhow!("the key was made before"))?;
    let (id, key) = (issued.key.id.to_string(), secret.expose_secret());
    if json {
        println!("{}", serde_json::to_string_pretty(&json!({ "id": id, "key": key }))?);
    } else {
        println!("id   {id}\nkey  {key}");
    }
    Ok(())
}

fn known_scope(text: &str) -> Result<String, String> {
    PermissionSet::parse_one(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn well_formed_network(text: &str) -> Result<String, String> {
    AllowedNetwork::parse(text).map(|_| text.to_owned()).ok_or_else(|| "neither an address nor a CIDR".to_owned())
}
