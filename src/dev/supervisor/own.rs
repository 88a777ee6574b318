//! ScaiDNS's own processes: the same executable, with the stack's environment.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;

use super::environment::Environment;
use crate::dev::process::{self, Program};
use crate::dev::servers::{Probe, Server};
use crate::dev::{DevError, Ports, files};

/// How long a command that runs to completion may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

pub(super) struct Own<'a> {
    pub executable: &'a Path,
    pub data: &'a Path,
    pub ports: Ports,
    pub environment: &'a Environment,
}

/// What `scaidns keys create --json` prints.
#[derive(Deserialize)]
struct CreatedKey {
    key: String,
}

impl Own<'_> {
    /// Runs `scaidns <command>` to its end.
    pub(super) async fn run_once(&self, command: &str) -> Result<(), DevError> {
        self.output(command, &[command]).await.map(drop)
    }

    /// The replicas and the worker, once all of them answer.
    pub(super) async fn start_replicas(&self, replicas: u16) -> Result<Vec<Server>, DevError> {
        let apis = (0..replicas).map(|n| {
            let address = format!("127.0.0.1:{}", self.ports.api(n));
            let program = self.program(&format!("api-{}", n + 1), &["api"]).with_env(&[
                ("BIND_ADDRESS".to_owned(), address.clone()),
                ("METRICS_BIND_ADDRESS".to_owned(), format!("127.0.0.1:{}", self.ports.api_metrics(n))),
            ]);
            Server::launch(program, Probe::Http { url: format!("http://{address}/health/ready") })
        });
        let worker = self
            .program("worker", &["worker"])
            .with_env(&[("METRICS_BIND_ADDRESS".to_owned(), format!("127.0.0.1:{}", self.ports.worker_metrics()))]);
        let (mut apis, worker) =
            tokio::try_join!(futures::future::try_join_all(apis), Server::launch(worker, Probe::Running))?;
        apis.push(worker);
        Ok(apis)
    }

    /// Whether the key of the environment still lets its owner in.
    pub(super) async fn key_works(&self) -> bool {
        let key = self.environment.key();
        let url = format!("{}/api/v1/me/", self.environment.get("SCAIDNS_URL"));
        let asked = reqwest::Client::new().get(url).header("X-API-Key", key).send();
        !key.is_empty() && asked.await.is_ok_and(|answer| answer.status().is_success())
    }

    /// A new API key of this ScaiKey user.
    pub(super) async fn create_key(&self, owner: &str) -> Result<String, DevError> {
        let output =
            self.output("keys create", &["keys", "create", "--owner", owner, "--name", "dev", "--json"]).await?;
        serde_json::from_slice(&output).map(|CreatedKey { key }| key).map_err(|_| {
            DevError::Invalid(format!(
                "`scaidns keys create --json` printed no id and key; see {}",
                self.data.join("log/keys-create.log").display()
            ))
        })
    }

    /// Runs a command and returns its stdout; stderr goes to its log.
    async fn output(&self, command: &str, args: &[&str]) -> Result<Vec<u8>, DevError> {
        let program = self.program(&command.replace(' ', "-"), args);
        let log = OpenOptions::new().create(true).append(true).open(&program.log);
        let log = log.map_err(|source| files::failed("open", &program.log, source))?;
        let start = fs::metadata(&program.log).map_or(0, |meta| meta.len());
        // Not `output()`: that would take stderr too.
        let child = program.command().stdout(Stdio::piped()).stderr(log).spawn();
        let child = child.map_err(|source| DevError::Spawn { name: format!("scaidns {command}"), source })?;
        let failed = |status: String, output: &[u8]| {
            let said = [process::tail(&program.log, start), String::from_utf8_lossy(output).into_owned()];
            let last = said.iter().filter_map(|text| text.lines().rfind(|line| !line.trim().is_empty())).next();
            DevError::Command {
                command: command.to_owned(),
                status,
                last_line: last.unwrap_or_default().trim().to_owned(),
                log: program.log.display().to_string(),
            }
        };
        match tokio::time::timeout(COMMAND_LIMIT, child.wait_with_output()).await {
            Err(_) => Err(failed(format!("not done after {} s", COMMAND_LIMIT.as_secs()), &[])),
            Ok(Err(source)) => Err(DevError::Spawn { name: format!("scaidns {command}"), source }),
            Ok(Ok(output)) if output.status.success() => Ok(output.stdout),
            Ok(Ok(output)) => Err(failed(process::describe(output.status), &output.stdout)),
        }
    }

    fn program(&self, name: &str, args: &[&str]) -> Program {
        Program::new(self.data, name, self.executable).args(args.iter().copied()).with_env(self.environment.variables())
    }
}
