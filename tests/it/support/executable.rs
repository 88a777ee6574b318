//! The real executable, as commands that run to their end.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

pub const SCAIDNS: &str = env!("CARGO_BIN_EXE_scaidns");
const LIMIT: Duration = Duration::from_secs(300);

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Output {
    /// None: ended by a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Its stdout, once it has succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }
}

/// `scaidns <arguments>` with exactly these variables of ScaiDNS's.
pub async fn scaidns(arguments: &[&str], env: &[(String, String)]) -> Output {
    run(command(SCAIDNS).args(arguments).envs(env.iter().map(|(name, value)| (name, value)))).await
}

/// A program with nothing of this process's environment but what finds programs.
pub fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env_clear();
    for name in ["PATH", "HOME", "LANG", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs a command to its end.
pub async fn run(command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn();
    let child = child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
    let output = output.unwrap_or_else(|_| panic!("{command:?} is not done after {LIMIT:?}"));
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Output {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
