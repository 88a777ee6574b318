//! No process may stay after the tests, whether they pass, panic, are killed, or Ctrl-C ends them.
//!
//! The reaper is this executable again, as a child in a process group of its own, waiting for the end of its stdin.
//! The kernel closes that pipe however the tests end. Then the reaper ends every process that has a pid file below
//! the run's folder (a pid file holds start time and executable too, so nobody else is hit), `scaidns dev` stacks
//! included, and removes the folder; after a failure it is kept for its logs until the next run.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use scaidns::dev::process::{Identity, RUN_FOLDER, end_leftovers};
use scaidns::dev::supervisor::background;

const ASKED: &str = "SCAIDNS_TEST_REAPER";
/// Written by a run that passed: nothing needs to be looked at.
const PASSED: &str = "passed";
/// Whose run this folder is of.
const OWNER: &str = "owner.pid";
/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);

static ROOT: OnceLock<PathBuf> = OnceLock::new();

/// A new folder of this run for one world or stack.
pub fn folder(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let root = ROOT.get().expect("the reaper runs before any test");
    root.join(format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// The process that ends what this one has started.
pub struct Reaper {
    child: Child,
}

impl Reaper {
    pub fn start() -> Self {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("it");
        remove_old_runs(&all);
        let root = all.join(std::process::id().to_string());
        make_owned(&root, &all.with_file_name(format!("{}.begun", std::process::id())));
        let child = Command::new(std::env::current_exe().expect("this executable"))
            .env(ASKED, &root)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("the reaper");
        ROOT.set(root).expect("one reaper a run");
        Self { child }
    }

    /// Ends everything and waits until that is done.
    pub fn finish(mut self, passed: bool) {
        if let Some(root) = ROOT.get() {
            if passed {
                let _ = fs::write(root.join(PASSED), "");
            } else {
                eprintln!("logs of the servers: {}/*/log", root.display());
            }
        }
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The reaper's own life, when this process is one.
pub fn run_if_asked() -> Option<ExitCode> {
    let root = PathBuf::from(std::env::var_os(ASKED)?);
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let below = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let worlds: Vec<PathBuf> = below(&root).collect();
        // A stack of `scaidns dev` may stand in a folder of a test's folder.
        let stacks: Vec<PathBuf> = worlds.iter().flat_map(|world| below(world)).collect();
        let running = worlds.into_iter().chain(stacks).filter(|folder| folder.join(RUN_FOLDER).is_dir());
        let ends = running.map(|folder| async move {
            let _ = background::stop(&folder).await;
            end_leftovers(&folder, GRACE).await;
        });
        futures::future::join_all(ends).await;
    });
    if root.join(PASSED).exists() {
        let _ = fs::remove_dir_all(&root);
    }
    Some(ExitCode::SUCCESS)
}

/// The folder appears with its owner's mark in it: a run that begins at the same moment takes one without for left
/// behind.
fn make_owned(root: &Path, unmarked: &Path) {
    fs::create_dir_all(root.parent().expect("it is among all runs")).expect("a folder for all runs");
    let _ = fs::remove_dir_all(unmarked);
    fs::create_dir(unmarked).expect("a folder for the run");
    let own = Identity::own().expect("this process is in /proc");
    own.write(&unmarked.join(OWNER)).expect("the owner's mark");
    fs::rename(unmarked, root).expect("the run's folder");
}

/// Folders of runs that are over; only failed ones are left.
fn remove_old_runs(all: &Path) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let owner = Identity::read(&entry.path().join(OWNER));
        if !owner.is_some_and(|owner| owner.is_alive()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
