//! `scaidns validation`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::super::Failure;
use super::connection::Connection;
use super::output::Output;

#[derive(Debug, Args)]
pub struct ValidationArgs {
    #[command(flatten)]
    pub output: Output,
    #[command(subcommand)]
    command: ValidationCommand,
}

#[derive(Debug, Subcommand)]
enum ValidationCommand {
    /// Show the challenge: which record proves the domain
    Show {
        /// Name or id
        domain: String,
    },
    /// Make a new challenge, in place of the one before
    Start {
        /// Name or id
        domain: String,
        /// txt_record or nameservers
        #[arg(long = "type", default_value = "txt_record")]
        validation_type: String,
    },
    /// Look for the proof now; ends with 6 where it is not found
    Check {
        /// Name or id
        domain: String,
    },
    /// Give the challenge up
    Cancel {
        /// Name or id
        domain: String,
    },
}

pub async fn run(connection: &Connection, args: ValidationArgs) -> anyhow::Result<()> {
    let output = args.output;
    match args.command {
        ValidationCommand::Show { domain } => match connection.get(&path(connection, &domain).await?, &[]).await? {
            Value::Null => {
                output.object(&Value::Null);
                return Err(Failure::NotFound(format!("{domain} has no challenge to meet")).into());
            }
            challenge => output.object(&challenge),
        },
        ValidationCommand::Start { domain, validation_type } => {
            let body = json!({"validation_type": validation_type});
            output.object(&connection.post(&path(connection, &domain).await?, &[], body).await?);
        }
        ValidationCommand::Check { domain } => {
            let path = format!("{}/check", path(connection, &domain).await?);
            let answer = connection.post(&path, &[], json!({})).await?;
            output.object(&answer);
            if answer["is_valid"] != true {
                return Err(Failure::Invalid(format!("{domain} is not proven")).into());
            }
        }
        ValidationCommand::Cancel { domain } => {
            connection.delete(&path(connection, &domain).await?, &[]).await?;
            output.done(&format!("the challenge of {domain} is given up"));
        }
    }
    Ok(())
}

async fn path(connection: &Connection, domain: &str) -> Result<String, Failure> {
    Ok(format!("/domains/{}/validation", connection.domain(domain).await?))
}
