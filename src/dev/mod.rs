//! The development stack: everything ScaiDNS needs around it, on loopback, from one command.
//!
//! `scaidns dev` stands on it, and so do the integration tests, which start only the pieces they need:
//!
//! - [`servers`]: private MariaDB, Redis and PowerDNS, each with a handle that can stop, kill and restart it
//! - [`scaikey`]: a small ScaiKey over real HTTP
//! - [`registrar`]: the rest of the world's DNS for `.test`, over real UDP and TCP
//! - [`supervisor`]: all of it together, with ScaiDNS's own processes, as `scaidns dev` runs it
//!
//! Never part of a production build (cargo feature `dev`); nothing outside this module and `cli::dev` uses it.

pub mod files;
pub mod http;
pub mod ports;
pub mod process;
pub mod registrar;
pub mod scaikey;
pub mod secrets;
pub mod servers;
pub mod supervisor;

pub use ports::Ports;
pub use registrar::Registrar;
pub use scaikey::ScaiKey;
pub use servers::Servers;

/// What keeps a part of the development stack from working. The message names what to do.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    #[error("port {port} (for {purpose}) is in use; stop what uses it or choose another range with --port-base")]
    PortInUse { port: u16, purpose: String },
    #[error("port base {base} leaves no room for the stack's {needed} ports; choose one from 1024 to {max}")]
    PortBase { base: u16, needed: u16, max: u16 },
    #[error("{binary} is not installed; run scripts/up, or apt-get install {package}")]
    BinaryMissing { binary: &'static str, package: &'static str },
    #[error("{path} is only half initialised ({what}); run `scaidns dev reset` and start again")]
    HalfInitialised { path: String, what: String },
    #[error(
        "a development stack is already running in {path}; end it with `scaidns dev stop` or choose another --data"
    )]
    AlreadyRunning { path: String },
    #[error("{name} ended while starting ({status}); its log ends with:\n{tail}")]
    EndedEarly { name: String, status: String, tail: String },
    #[error("{name} was not ready after {seconds} s; its log ends with:\n{tail}")]
    NotReady { name: String, seconds: u64, tail: String },
    #[error("`scaidns {command}` failed ({status}): {last_line}; the rest is in {log}")]
    Command { command: String, status: String, last_line: String, log: String },
    #[error("cannot {action} {path}: {source}")]
    File { action: &'static str, path: String, source: std::io::Error },
    #[error("cannot start {name}: {source}")]
    Spawn { name: String, source: std::io::Error },
    #[error("cannot set up the databases: {0}")]
    Database(#[from] sqlx::Error),
    #[error("{0}")]
    Invalid(String),
}
