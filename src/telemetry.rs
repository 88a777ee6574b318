//! Logs: to stdout for servers, text or JSON, one request id through all lines. No secret is ever logged.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::LogConfig;

/// Starts logging for a server process.
pub fn start(config: &LogConfig) {
    let filter = EnvFilter::try_new(format!("{},sqlx=warn,hyper=warn,h2=warn,reqwest=warn", config.level))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    // a second start in one process (tests) keeps the first
    let _ = if config.json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(std::io::stdout().is_terminal()).try_init()
    };
}
