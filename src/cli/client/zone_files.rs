//! `scaidns import` and `scaidns export`.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::super::Failure;
use super::connection::Connection;
use super::output::Output;

/// Between two looks at a job.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub struct ImportArgs {
    #[command(flatten)]
    pub output: Output,
    /// Name or id
    domain: String,
    /// The file; - for standard input
    file: String,
    /// bind, json or csv
    #[arg(long, default_value = "bind")]
    format: String,
    /// merge: records come, or become as the file has them; replace: the domain holds what the file holds;
    /// skip_existing: records come that are not there
    #[arg(long, default_value = "merge")]
    mode: String,
    /// Say what would become of it, and write nothing
    #[arg(long)]
    preview: bool,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub output: Output,
    /// Name or id
    domain: String,
    /// bind, json or csv
    #[arg(long, default_value = "bind")]
    format: String,
    /// As it was at this revision
    #[arg(long)]
    revision: Option<u64>,
}

pub async fn import(connection: &Connection, args: ImportArgs) -> anyhow::Result<()> {
    let ImportArgs { output, domain, file, format, mode, preview } = args;
    let mut content = String::new();
    match file.as_str() {
        "-" => std::io::stdin().read_to_string(&mut content).map(|_| ()).context("standard input")?,
        path => content = std::fs::read_to_string(path).map_err(|error| Failure::Usage(format!("{path}: {error}")))?,
    }
    let id = connection.domain(&domain).await?;
    let query = preview.then(|| ("preview", "true".to_owned()));
    let body = json!({"format": format, "mode": mode, "content": content});
    let answer = connection.post(&format!("/domains/{id}/import/text"), query.as_slice(), body).await?;
    match answer["job_id"].as_str() {
        Some(job) => output.object(&until_done(connection, job).await?),
        None => output.object(&answer),
    }
    Ok(())
}

/// A large file is a job; its progress is shown on a terminal.
async fn until_done(connection: &Connection, job: &str) -> anyhow::Result<Value> {
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}")?);
    loop {
        let state = connection.get(&format!("/jobs/{job}"), &[]).await?;
        let progress = &state["progress"];
        bar.set_length(progress["total"].as_u64().unwrap_or_default());
        bar.set_position(progress["done"].as_u64().unwrap_or_default());
        bar.set_message(progress["message"].as_str().unwrap_or_default().to_owned());
        match state["status"].as_str() {
            Some("succeeded") => {
                bar.finish_and_clear();
                return Ok(state["result"].clone());
            }
            Some("failed") => {
                bar.finish_and_clear();
                let why = state["error"].as_str().unwrap_or("it is not said why");
                return Err(failure(job, why).into());
            }
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// A job that failed was in the way of something, unless somebody it needed stayed away, which its words begin with.
fn failure(job: &str, why: &str) -> Failure {
    let told = format!("the job {job} failed: {why}");
    let is_upstreams = ["PowerDNS", "ScaiKey", "The database"].iter().any(|name| why.starts_with(name));
    if is_upstreams { Failure::Upstream(told) } else { Failure::Invalid(told) }
}

pub async fn export(connection: &Connection, args: ExportArgs) -> anyhow::Result<()> {
    let ExportArgs { output, domain, format, revision } = args;
    let id = connection.domain(&domain).await?;
    let mut query = vec![("format", format)];
    query.extend(revision.map(|revision| ("revision", revision.to_string())));
    let answer = connection.get(&format!("/domains/{id}/export"), &query).await?;
    if output.json {
        output.object(&answer);
        return Ok(());
    }
    let text = answer["zone_file"].as_str().ok_or_else(|| Failure::Upstream("the answer has no file".into()))?;
    std::io::stdout().write_all(text.as_bytes()).context("standard output")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_failed_is_invalid_unless_somebody_was_away() {
        let away =
            ["PowerDNS cannot be reached or answers wrongly", "PowerDNS is busy; try again", "The database is busy"];
        for why in away {
            assert!(matches!(failure("job_1", why), Failure::Upstream(told) if told.contains(why)), "{why}");
        }
        for why in ["the domain is gone", "2 errors: Not an address", "it is not said why"] {
            assert!(matches!(failure("job_1", why), Failure::Invalid(_)), "{why}");
        }
    }
}
