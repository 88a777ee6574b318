//! Client commands: what people do with ScaiDNS from a shell, over the same REST API as every other client.
//!
//! A command builds one call, or a few, and prints what came back: as a table for people, with `--json` as it came.

mod connection;
mod dnssec;
mod domains;
mod grants;
mod output;
mod records;
mod reverse;
mod settings;
mod templates;
mod validation;
mod zone_files;

use clap::Subcommand;

use connection::Connection;
use settings::Settings;

#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Claim, show, change and remove domains
    Domains(domains::DomainsArgs),
    /// List, add, change and remove records
    Records(records::RecordsArgs),
    /// Prove that a domain is yours
    Validation(validation::ValidationArgs),
    /// Sign a domain and roll its keys
    Dnssec(dnssec::DnssecArgs),
    /// Reverse zones and their PTR records
    Reverse(reverse::ReverseArgs),
    /// Records that come together
    Templates(templates::TemplatesArgs),
    /// Who else may work on a domain
    Grants(grants::GrantsArgs),
    /// Read a zone file into a domain
    Import(zone_files::ImportArgs),
    /// Write a domain's records as a zone file
    Export(zone_files::ExportArgs),
}

/// Runs a client command.
pub async fn run(command: ClientCommand) -> anyhow::Result<()> {
    let connection = Connection::new(Settings::read()?)?;
    match command {
        ClientCommand::Domains(args) => domains::run(&connection, args).await,
        ClientCommand::Records(args) => records::run(&connection, args).await,
        ClientCommand::Validation(args) => validation::run(&connection, args).await,
        ClientCommand::Dnssec(args) => dnssec::run(&connection, args).await,
        ClientCommand::Reverse(args) => reverse::run(&connection, args).await,
        ClientCommand::Templates(args) => templates::run(&connection, args).await,
        ClientCommand::Grants(args) => grants::run(&connection, args).await,
        ClientCommand::Import(args) => zone_files::import(&connection, args).await,
        ClientCommand::Export(args) => zone_files::export(&connection, args).await,
    }
}
