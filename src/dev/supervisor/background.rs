//! `scaidns dev --detach`, `scaidns dev stop` and `scaidns dev reset`.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};

use super::{LEFTOVER_GRACE, Options, lock, ready_file, supervisor_file};
use crate::dev::process::{self, Identity, LOG_FOLDER, RUN_FOLDER, end_leftovers};
use crate::dev::{DevError, files, servers};

/// How long a supervisor may take for an orderly end.
const STOP_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// What a stack puts into its data folder; nothing else is ever removed from it.
const CONTENTS: [&str; 12] = [
    "mariadb",
    "mariadb.new",
    "pdns",
    "scaikey",
    "registrar",
    LOG_FOLDER,
    RUN_FOLDER,
    "env",
    "env.new",
    "secrets.json",
    "secrets.json.new",
    "lock",
];

/// Starts the stack in a process of its own and returns once it is ready, showing what that one says.
pub async fn start(options: &Options) -> Result<(), DevError> {
    let data = servers::prepare(&options.data)?;
    drop(lock(&data)?); // says so at once when a stack runs
    let log_path = data.join(LOG_FOLDER).join("dev.log");
    let failed = |source| files::failed("open", &log_path, source);
    let log = File::create(&log_path).map_err(failed)?;
    let mut said = File::open(&log_path).map_err(failed)?;
    let mut child = Command::new(&options.executable)
        .args(["dev", "--background", "--data"])
        .arg(&data)
        .args(["--port-base", &options.port_base.to_string(), "--api-replicas", &options.api_replicas.to_string()])
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .spawn()
        .map_err(|source| DevError::Spawn { name: "scaidns dev".into(), source })?;
    let ready = child.id().to_string();
    loop {
        let is_ready = fs::read_to_string(ready_file(&data)).is_ok_and(|pid| pid == ready);
        let ended = child.try_wait().map_err(|source| DevError::Spawn { name: "scaidns dev".into(), source })?;
        if is_ready {
            sleep(POLL).await; // the summary follows the mark
        }
        show_more(&mut said);
        match ended {
            _ if is_ready => return Ok(()),
            None => sleep(POLL).await,
            Some(status) => {
                let status = process::describe(status);
                return Err(DevError::Invalid(format!("the development stack did not start ({status}), see above")));
            }
        }
    }
}

/// Lets this process outlive the terminal it was started from.
pub fn leave_terminal() {
    // Fails only for a process that leads a group, and that is none of the terminal's either.
    let _ = nix::unistd::setsid();
}

/// Ends the stack in this folder; tells whether there was one.
pub async fn stop(data: &Path) -> Result<bool, DevError> {
    let Ok(data) = data.canonicalize() else { return Ok(false) };
    if let Some(supervisor) = Identity::read(&supervisor_file(&data)).filter(Identity::is_alive) {
        let _ = kill(Pid::from_raw(supervisor.pid), Signal::SIGTERM);
        let gone = async {
            while supervisor.is_alive() {
                sleep(POLL).await;
            }
        };
        if timeout(STOP_LIMIT, gone).await.is_err() {
            supervisor.end(Duration::ZERO).await;
        }
        end_leftovers(&data, LEFTOVER_GRACE).await;
        return Ok(true);
    }
    if !data.join("lock").exists() {
        return Ok(false);
    }
    let _lock = lock(&data)?;
    Ok(!end_leftovers(&data, LEFTOVER_GRACE).await.is_empty())
}

/// Ends the stack and removes what it has put into the folder, and the folder too when nothing else is in it.
pub async fn reset(data: &Path) -> Result<(), DevError> {
    stop(data).await?;
    let Ok(data) = data.canonicalize() else { return Ok(()) };
    for name in CONTENTS {
        files::remove(&data.join(name))?;
    }
    let _ = fs::remove_dir(&data);
    Ok(())
}

fn show_more(log: &mut File) {
    let mut more = Vec::new();
    let from = log.stream_position().unwrap_or_default();
    if log.seek(SeekFrom::Start(from)).is_ok() && log.read_to_end(&mut more).is_ok() {
        let _ = std::io::stdout().write_all(&more);
        let _ = std::io::stdout().flush();
    }
}
