//! Redis: nothing it holds is worth keeping, so nothing is written to disk.

use std::path::Path;

use super::binaries::REDIS;
use super::{Connection, Probe, Server};
use crate::dev::DevError;
use crate::dev::process::{Process, Program};

pub(super) async fn start(data: &Path, connection: &Connection) -> Result<Server, DevError> {
    let port = connection.ports.redis().to_string();
    let program = Program::new(data, "redis", REDIS.find()?).args([
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--daemonize",
        "no",
    ]);
    let probe = Probe::Redis { url: connection.redis_url() };
    Server::start(Process::spawn(program)?, probe).await
}

/// Whether it answers a PING.
pub(super) async fn answers(url: &str) -> bool {
    let asked = async {
        let client = redis::Client::open(url)?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("PING").query_async::<String>(&mut connection).await
    };
    asked.await.is_ok_and(|answer| answer == "PONG")
}
