//! No process may stay after a bench, however it ends.
//!
//! The reaper is this executable again, in a process group of its own, waiting for the end of its stdin. The kernel
//! closes that pipe when the bench ends; then the reaper ends the stack and everything that was started beside it.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use scaidns::dev::process::end_leftovers;
use scaidns::dev::supervisor::background;

const ASKED: &str = "SCAIDNS_BENCH_REAPER";
/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);
/// What a bench says that came to its end.
const IN_ORDER: &[u8] = b"in order";
const ROUNDS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// The process that ends what this one has started.
pub struct Reaper {
    child: Child,
}

impl Reaper {
    /// Watches over the stack in this folder.
    pub fn start(stack: &Path) -> anyhow::Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .env(ASKED, stack)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { child })
    }

    /// Ends what is left and waits until that is done.
    pub fn finish(mut self) {
        if let Some(mut pipe) = self.child.stdin.take() {
            let _ = pipe.write_all(IN_ORDER);
        }
        let _ = self.child.wait();
    }
}

/// The reaper's own life, when this process is one.
pub fn run_if_asked() -> Option<ExitCode> {
    let stack = PathBuf::from(std::env::var_os(ASKED)?);
    let mut said = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut said);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        for round in 1..=ROUNDS {
            let stopped = background::stop(&stack).await;
            let left = end_leftovers(&stack, GRACE).await;
            if said == IN_ORDER && stopped.is_ok() && left.is_empty() {
                break;
            }
            // a bench that was killed while it started the stack has one that is still coming up
            if round < ROUNDS {
                tokio::time::sleep(PAUSE).await;
            }
        }
    });
    Some(ExitCode::SUCCESS)
}
