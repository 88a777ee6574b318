//! `scaidns templates`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::super::Failure;
use super::connection::Connection;
use super::output::Output;

#[derive(Debug, Args)]
pub struct TemplatesArgs {
    #[command(flatten)]
    pub output: Output,
    #[command(subcommand)]
    command: TemplatesCommand,
}

#[derive(Debug, Subcommand)]
enum TemplatesCommand {
    /// List templates
    List,
    /// Show a template
    Show {
        /// Name or id
        template: String,
    },
    /// Say which records a template would make
    Preview(ApplyArgs),
    /// Make a template's records; those that clash with what is there are skipped
    Apply(ApplyArgs),
}

#[derive(Debug, Args)]
struct ApplyArgs {
    /// Name or id
    template: String,
    /// Name or id
    domain: String,
    /// A variable's value, as selector=k1; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    variables: Vec<(String, String)>,
}

pub async fn run(connection: &Connection, args: TemplatesArgs) -> anyhow::Result<()> {
    let output = args.output;
    match args.command {
        TemplatesCommand::List => {
            let columns =
                [("NAME", "/name"), ("ID", "/id"), ("TYPE", "/template_type"), ("DESCRIPTION", "/description")];
            output.list(&connection.list("/templates/", &[]).await?, &columns);
        }
        TemplatesCommand::Show { template } => {
            let id = id(connection, &template).await?;
            output.object(&connection.get(&format!("/templates/{id}"), &[]).await?);
        }
        TemplatesCommand::Preview(ApplyArgs { template, domain, variables }) => {
            let (id, domain) = (id(connection, &template).await?, connection.domain(&domain).await?);
            let body = json!({"variables": object(variables)});
            output.object(&connection.post(&format!("/templates/{id}/preview/{domain}"), &[], body).await?);
        }
        TemplatesCommand::Apply(ApplyArgs { template, domain, variables }) => {
            let (id, domain) = (id(connection, &template).await?, connection.domain(&domain).await?);
            let body = json!({"template_id": id, "domain_id": domain, "variables": object(variables)});
            output.object(&connection.post("/templates/", &[], body).await?);
        }
    }
    Ok(())
}

async fn id(connection: &Connection, given: &str) -> Result<String, Failure> {
    if given.starts_with("tpl_") {
        return Ok(given.to_owned());
    }
    let found = connection.list("/templates/", &[]).await?;
    let templates = found["data"].as_array().into_iter().flatten();
    let ids: Vec<&str> =
        templates.filter(|template| template["name"] == given).filter_map(|template| template["id"].as_str()).collect();
    match ids.as_slice() {
        [id] => Ok((*id).to_owned()),
        [] => Err(Failure::NotFound(format!("there is no template {given}"))),
        _ => Err(Failure::Invalid(format!("several templates are called {given}; give an id"))),
    }
}

fn object(variables: Vec<(String, String)>) -> Value {
    variables.into_iter().map(|(name, value)| (name, Value::String(value))).collect::<Map<_, _>>().into()
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must have the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
