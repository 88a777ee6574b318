//! Processes of the stack: started with a log and a pid file, ended only when surely ours.
//!
//! A pid alone proves nothing, as the kernel hands it out again. So the pid file also holds the process's start
//! time and executable, and nobody is sent a signal unless all three match (`/proc`, Linux only).

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::{DevError, files};

/// How many bytes of a log's end are looked at for its last lines.
const TAIL_BYTES: u64 = 16 * 1024;
/// How many lines of a log are shown when its process failed.
pub const TAIL_LINES: usize = 12;
/// How long a process may take to end by itself before it is killed.
pub const STOP_GRACE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

/// What to run, and where it leaves its traces.
#[derive(Debug, Clone)]
pub struct Program {
    /// Short and unique in a stack; names the log and the pid file.
    pub name: String,
    pub binary: PathBuf,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub folder: PathBuf,
    pub log: PathBuf,
    pub pid_file: PathBuf,
}

impl Program {
    /// A program of the stack in `data`: log in `log/`, pid file and working folder in `run/`.
    pub fn new(data: &Path, name: impl Into<String>, binary: impl Into<PathBuf>) -> Self {
        let name = name.into();
        Self {
            binary: binary.into(),
            args: Vec::new(),
            env: Vec::new(),
            folder: data.join(RUN_FOLDER),
            log: data.join(LOG_FOLDER).join(format!("{name}.log")),
            pid_file: data.join(RUN_FOLDER).join(format!("{name}.pid")),
            name,
        }
    }

    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub fn args<I: IntoIterator<Item = S>, S: Into<String>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// These variables, beside those of the caller's environment; they win over a `…_FILE` that the shell has set.
    pub fn with_env(mut self, env: &[(String, String)]) -> Self {
        self.env.extend_from_slice(env);
        self
    }

    /// The command, in a process group of its own (Ctrl-C reaches the supervisor alone, which knows the order).
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(&self.args).current_dir(&self.folder).process_group(0).kill_on_drop(true).stdin(Stdio::null());
        for (name, _) in &self.env {
            command.env_remove(format!("{name}_FILE"));
        }
        command.envs(self.env.iter().map(|(k, v)| (k, v)));
        command
    }
}

/// Where logs go, below the data folder.
pub const LOG_FOLDER: &str = "log";
/// Where pid files and sockets go, below the data folder.
pub const RUN_FOLDER: &str = "run";

/// A running process. Dropping it kills it, so that a failed test leaves nothing behind.
#[derive(Debug)]
pub struct Process {
    program: Program,
    child: Child,
    pid: i32,
    log_start: u64,
}

impl Process {
    /// Starts it; its output goes to the end of its log.
    pub fn spawn(program: Program) -> Result<Self, DevError> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&program.log)
            .map_err(|source| files::failed("open", &program.log, source))?;
        let spawn_failed = |source| DevError::Spawn { name: program.name.clone(), source };
        let log_start = log.metadata().map_err(spawn_failed)?.len();
        let error_log = log.try_clone().map_err(spawn_failed)?;
        let child = program.command().stdout(log).stderr(error_log).spawn().map_err(spawn_failed)?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
        let process = Self { program, child, pid, log_start };
        if let Some(identity) = Identity::of(pid) {
            identity.write(&process.program.pid_file)?; // on failure the drop ends it again
        }
        Ok(process)
    }

    pub fn name(&self) -> &str {
        &self.program.name
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal, such as `SIGSTOP` and `SIGCONT`; a process that has ended gets none.
    pub fn signal(&self, signal: Signal) {
        if self.child.id().is_some() {
            send(self.pid, signal);
        }
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await;
        let _ = fs::remove_file(&self.program.pid_file);
        status
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to end, and kills it when it has not done so in time.
    pub async fn stop(&mut self, grace: Duration) {
        self.signal(Signal::SIGTERM);
        self.signal(Signal::SIGCONT);
        if timeout(grace, self.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.wait().await;
    }

    /// Starts the same program again, ending it first if it still runs.
    pub async fn respawn(&mut self) -> Result<(), DevError> {
        if self.ended().is_none() {
            self.stop(STOP_GRACE).await;
        }
        *self = Self::spawn(self.program.clone())?;
        Ok(())
    }

    /// The last lines that this run has written.
    pub fn log_tail(&self) -> String {
        tail(&self.program.log, self.log_start)
    }

    /// The error for a process that ended before it was ready.
    pub fn ended_early(&self, status: ExitStatus) -> DevError {
        DevError::EndedEarly { name: self.program.name.clone(), status: describe(status), tail: self.log_tail() }
    }

    /// Waits until `ready` says so; an early end or a time-out is an error that shows the log.
    pub async fn wait_ready<F, R>(&mut self, limit: Duration, mut ready: F) -> Result<(), DevError>
    where
        F: FnMut() -> R,
        R: Future<Output = bool>,
    {
        let wait = async {
            loop {
                if let Some(status) = self.ended() {
                    return Err(self.ended_early(status));
                }
                if ready().await {
                    return Ok(());
                }
                sleep(POLL).await;
            }
        };
        match timeout(limit, wait).await {
            Ok(outcome) => outcome,
            Err(_) => Err(DevError::NotReady {
                name: self.program.name.clone(),
                seconds: limit.as_secs(),
                tail: self.log_tail(),
            }),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Signals a process, with its group when it leads one: a script's own children end with it.
fn send(pid: i32, signal: Signal) {
    let pid = Pid::from_raw(pid);
    let _ = if nix::unistd::getpgid(Some(pid)) == Ok(pid) { killpg(pid, signal) } else { kill(pid, signal) };
}

/// An exit status in words: `exit 2`, `signal 9`.
pub fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// The last lines of a log, from byte `start` on.
pub fn tail(log: &Path, start: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(start.max(length.saturating_sub(TAIL_BYTES)).min(length)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return format!("  (nothing in {})", log.display());
    }
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    last.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// Which process is meant: pid, start time in clock ticks since boot, executable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub pid: i32,
    pub started: u64,
    pub exe: PathBuf,
}

impl Identity {
    /// The process that has this pid now; none for one that has ended, zombies included.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The command's name, in parentheses, may itself hold spaces and parentheses.
        let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
        let state = fields.next()?;
        let started = fields.nth(START_TIME_AFTER_STATE)?.parse().ok()?;
        let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let exe = match exe.to_string_lossy().strip_suffix(" (deleted)") {
            Some(before) => PathBuf::from(before),
            None => exe,
        };
        (state != "Z" && state != "X").then_some(Self { pid, started, exe })
    }

    /// This process.
    pub fn own() -> Option<Self> {
        Self::of(i32::try_from(std::process::id()).ok()?)
    }

    /// Whether the very process still runs.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    pub fn write(&self, path: &Path) -> Result<(), DevError> {
        let text = serde_json::to_string(self).map_err(|e| DevError::Invalid(e.to_string()))?;
        files::write_private(path, text)
    }

    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
    }

    /// Ends the process if it is still this one; waits until it is gone.
    pub async fn end(&self, grace: Duration) {
        for (signal, limit) in [(Signal::SIGTERM, grace), (Signal::SIGKILL, STOP_GRACE)] {
            if !self.is_alive() {
                return;
            }
            send(self.pid, signal);
            send(self.pid, Signal::SIGCONT);
            let gone = async {
                while self.is_alive() {
                    sleep(POLL).await;
                }
            };
            let _ = timeout(limit, gone).await;
        }
    }
}

/// Fields between the state (3) and the start time (22) in `/proc/<pid>/stat`.
const START_TIME_AFTER_STATE: usize = 18;

/// Ends what a killed supervisor has left running in `data`, ScaiDNS's own processes before the servers.
/// Returns the names of those ended.
pub async fn end_leftovers(data: &Path, grace: Duration) -> Vec<String> {
    let mut left: Vec<(u8, String, PathBuf)> = fs::read_dir(data.join(RUN_FOLDER))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let name = path.file_name()?.to_str()?.strip_suffix(".pid")?.to_owned();
            Some((stop_rank(&name), name, path))
        })
        .collect();
    left.sort();
    let mut ended = Vec::new();
    for (_, name, path) in left {
        if let Some(identity) = Identity::read(&path).filter(Identity::is_alive) {
            identity.end(grace).await;
            ended.push(name);
        }
        let _ = fs::remove_file(&path);
    }
    ended
}

/// Those that use others end first.
fn stop_rank(name: &str) -> u8 {
    match name {
        "mariadb" => 3,
        "redis" => 2,
        "pdns" => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files::make_folder(&folder.path().join(RUN_FOLDER)).unwrap();
        files::make_folder(&folder.path().join(LOG_FOLDER)).unwrap();
        folder
    }

    #[tokio::test]
    async fn a_process_that_ends_early_is_reported_with_the_end_of_its_log() {
        let folder = data();
        let program = Program::new(folder.path(), "job", "/bin/sh").args(["-c", "echo it broke >&2; exit 3"]);
        let mut process = Process::spawn(program).unwrap();
        let error = process.wait_ready(Duration::from_secs(5), || async { false }).await.unwrap_err().to_string();
        assert_eq!(error, "job ended while starting (exit 3); its log ends with:\n  it broke");
    }

    #[tokio::test]
    async fn leftovers_are_ended_and_strangers_are_left_alone() {
        let folder = data();
        let mut ours = Process::spawn(Program::new(folder.path(), "ours", "/bin/sleep").arg("60")).unwrap();
        let stranger = Process::spawn(Program::new(folder.path(), "stranger", "/bin/sleep").arg("60")).unwrap();
        let mut identity = Identity::of(stranger.pid()).unwrap();
        identity.started += 1; // the pid has been handed out again
        identity.write(&folder.path().join("run/stranger.pid")).unwrap();

        let (ended, status) = tokio::join!(end_leftovers(folder.path(), STOP_GRACE), ours.wait());
        assert_eq!(ended, ["ours"]);
        assert_eq!(describe(status.unwrap()), "signal 15");
        assert!(Identity::of(stranger.pid()).is_some());
    }

    #[tokio::test]
    async fn a_stopped_process_can_be_ended_and_started_again() {
        let folder = data();
        let mut process = Process::spawn(Program::new(folder.path(), "sleeper", "/bin/sleep").arg("60")).unwrap();
        let first = process.pid();
        process.signal(Signal::SIGSTOP);
        process.respawn().await.unwrap();
        assert_ne!(process.pid(), first);
        assert!(Identity::of(first).is_none());
        process.kill().await;
        assert!(Identity::of(process.pid()).is_none());
    }
}
