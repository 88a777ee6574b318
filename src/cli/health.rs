//! `scaidns health`: whether the process beside it answers, for containers that have no other client.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;

use super::{Failure, configuration};

/// Shorter than whoever asks waits.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Ask the api of this machine whether it lives; ends with 0 if it does.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Ask for metrics instead: a worker serves nothing else.
    #[arg(long)]
    pub metrics: bool,
}

pub async fn run(args: HealthArgs) -> anyhow::Result<()> {
    let config = configuration()?;
    let (address, path) = match args.metrics {
        false => (config.bind_address, "/health/live"),
        true => (config.metrics.bind_address, "/metrics"),
    };
    let url = format!("http://{}{path}", reachable(address));
    let unwell = |why: String| Failure::Upstream(format!("{url}: {why}"));
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let answer = client.get(&url).send().await.map_err(|error| unwell(error.without_url().to_string()))?;
    if answer.status().is_success() { Ok(()) } else { Err(unwell(answer.status().to_string()).into()) }
}

/// Who listens on every address is asked on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other.ip(),
    };
    SocketAddr::new(ip, address.port())
}
