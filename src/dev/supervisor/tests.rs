//! The supervisor with a stand-in for the executable, so that only the supervisor itself is on trial.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// Plays `scaidns`: commands succeed, `api` serves a folder, `worker` sleeps.
const STAND_IN: &str = r#"#!/bin/sh
here=$(dirname "$0")
case "$1" in
  migrate) [ ! -e "$here/broken" ] || { echo "cannot migrate: table is gone" >&2; exit 2; } ;;
  sync) echo "synced" >&2 ;;
  api) python3 -m http.server --bind 127.0.0.1 --directory "$here/www" "${BIND_ADDRESS#*:}" ;;
  worker) sleep 600 ;;
  keys) echo '{"id": "key_1", "key": "sdk_stand_in"}' ;;
esac
"#;

fn options(folder: &Path) -> Options {
    let executable = folder.join("scaidns");
    std::fs::write(&executable, STAND_IN).unwrap();
    std::fs::set_permissions(&executable, std::fs::Permissions::from_mode(0o755)).unwrap();
    for page in ["www/health/ready", "www/api/v1/me/index.html"] {
        files::make_folder(folder.join(page).parent().unwrap()).unwrap();
        std::fs::write(folder.join(page), "ok").unwrap();
    }
    Options { data: folder.join("data"), port_base: Ports::free().base(), api_replicas: 2, executable }
}

fn running(claim: &Claim) -> Vec<String> {
    let entries = std::fs::read_dir(claim.data.join(RUN_FOLDER)).unwrap().flatten();
    let pid_files = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "pid"));
    let alive = pid_files.filter(|path| Identity::read(path).is_some_and(|identity| identity.is_alive()));
    let mut names: Vec<String> = alive.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_stack_starts_restarts_what_dies_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let claim = Claim::take(&options).await.unwrap();
    let mut stack = Stack::default();
    let environment = stack.start(&options, &claim).await.unwrap();
    assert_eq!(environment.key(), "sdk_stand_in");
    assert_eq!(running(&claim), ["api-1", "api-2", "mariadb", "pdns", "redis", "worker"]);

    let env = std::fs::read_to_string(options.data.join("env")).unwrap();
    assert!(env.lines().all(|line| line.split_once('=').is_some_and(|(_, value)| !value.is_empty())), "{env}");
    assert!(env.contains("SCAIDNS_API_KEY=sdk_stand_in\n"));

    let second = Claim::take(&options).await.err().unwrap().to_string();
    assert!(second.contains("already running"), "{second}");

    let first = Identity::read(&claim.data.join("run/api-2.pid")).unwrap();
    first.end(Duration::ZERO).await;
    let back = async {
        while !Identity::read(&claim.data.join("run/api-2.pid")).is_some_and(|now| now != first && now.is_alive()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), back).await.unwrap();

    stack.stop().await;
    assert!(running(&claim).is_empty());
    claim.ports.check(2).unwrap();
}

#[tokio::test]
async fn a_command_that_fails_is_one_line_and_everything_ends() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    std::fs::write(folder.path().join("broken"), "").unwrap();
    let claim = Claim::take(&options).await.unwrap();
    let mut stack = Stack::default();
    let error = stack.start(&options, &claim).await.unwrap_err().to_string();
    let log = claim.data.join("log/migrate.log");
    assert_eq!(
        error,
        format!("`scaidns migrate` failed (exit 2): cannot migrate: table is gone; the rest is in {}", log.display())
    );
    stack.stop().await;
    assert!(running(&claim).is_empty());
}

#[tokio::test]
async fn what_a_killed_supervisor_left_is_ended_at_the_next_start_and_by_stop() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let data = servers::prepare(&options.data).unwrap();
    let left = |name: &str| {
        let program = crate::dev::process::Program::new(&data, name, "/bin/sleep").arg("600");
        let mut process = crate::dev::process::Process::spawn(program).unwrap();
        tokio::spawn(async move { process.wait().await })
    };
    let worker = left("worker");
    // Released, or `stop` would take this test for the supervisor.
    Claim::take(&options).await.unwrap().release();
    worker.await.unwrap().unwrap();

    let worker = left("worker");
    assert!(background::stop(&data).await.unwrap());
    worker.await.unwrap().unwrap();
    assert!(!background::stop(&data).await.unwrap());

    std::fs::write(data.join("not ours"), "").unwrap();
    background::reset(&data).await.unwrap();
    let left: Vec<_> = std::fs::read_dir(&data).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["not ours"]);
}
