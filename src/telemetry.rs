//! Logs to stdout for servers, text or JSON, one request id through all lines; metrics for Prometheus at an address of
//! their own. No secret is ever logged.

use std::fmt::Debug;
use std::io::{ErrorKind, IsTerminal};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{LogConfig, MetricsConfig};

/// The target under which sqlx tells of each statement.
const STATEMENTS: &str = "sqlx::query";

/// Bounds of the times that are told apart, in seconds: from an answer out of memory to a time-out.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Bounds of the sizes of batches: from one alone to the most that goes at once.
const SIZES: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];
/// With what the names of sizes begin; all else is a time.
const SIZE_NAMES: &str = "scaidns_batch_";

/// Starts logging for a server process, and counting where that is wanted.
pub fn start(log: &LogConfig, metrics: &MetricsConfig) -> Result<(), BuildError> {
    let filter = EnvFilter::try_new(format!("{},sqlx=warn,hyper=warn,h2=warn,reqwest=warn", log.level))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = fmt::layer().with_target(false);
    let lines = if log.json {
        lines.json().flatten_event(true).with_filter(filter).boxed()
    } else {
        lines.with_ansi(std::io::stdout().is_terminal()).with_filter(filter).boxed()
    };
    let statements =
        metrics.enabled.then(|| Statements.with_filter(Targets::new().with_target(STATEMENTS, Level::DEBUG)));
    // a second start in one process (tests) keeps the first
    let _ = tracing_subscriber::registry().with(lines).with(statements).try_init();
    if metrics.enabled { serve(metrics) } else { Ok(()) }
}

/// Listens where Prometheus asks, in a task of its own. Where another process does, such as the worker beside the api
/// with the same environment, this one goes on without: nothing that anybody asks of it depends on being counted.
fn serve(config: &MetricsConfig) -> Result<(), BuildError> {
    let address = config.bind_address;
    let installed = PrometheusBuilder::new()
        .with_http_listener(address)
        .set_buckets(&BUCKETS)?
        .set_buckets_for_metric(Matcher::Prefix(SIZE_NAMES.to_owned()), &SIZES)?
        .install();
    match installed {
        Ok(()) => {
            tracing::info!(%address, "metrics are served");
            begin_at_zero();
            Ok(())
        }
        Err(BuildError::FailedToCreateHTTPListener(_)) if is_in_use(address) => {
            tracing::warn!(%address, "another program has METRICS_BIND_ADDRESS: this process serves no metrics");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn is_in_use(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

/// What is counted shows from the beginning, where its labels are known: a rate of what is not there is no zero.
fn begin_at_zero() {
    metrics::counter!("scaidns_db_queries_total").absolute(0);
    metrics::counter!("scaidns_unknown_callers_total").absolute(0);
    metrics::counter!("scaidns_pdns_requests_total", "status" => "none").absolute(0);
    for result in ["valid", "invalid", "error"] {
        metrics::counter!("scaidns_validation_checks_total", "result" => result).absolute(0);
    }
    for status in ["ignored", "refused"] {
        let labels = [("event_type", "unknown"), ("status", status)];
        metrics::counter!("scaidns_webhook_events_total", &labels).absolute(0);
    }
}

/// Counts and times the statements that sqlx tells of.
struct Statements;

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut elapsed = Elapsed::default();
        event.record(&mut elapsed);
        if let Some(seconds) = elapsed.0 {
            metrics::counter!("scaidns_db_queries_total").increment(1);
            metrics::histogram!("scaidns_db_query_duration_seconds").record(Duration::from_secs_f64(seconds));
        }
    }
}

#[derive(Default)]
struct Elapsed(Option<f64>);

impl Visit for Elapsed {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" && value >= 0.0 {
            self.0 = Some(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_another_process_has_stops_nothing() {
        let other = TcpListener::bind("127.0.0.1:0").expect("an address");
        let taken = MetricsConfig { enabled: true, bind_address: other.local_addr().expect("an address") };
        serve(&taken).expect("it goes on without metrics");
        let elsewhere = MetricsConfig { enabled: true, bind_address: "192.0.2.1:9090".parse().expect("an address") };
        assert!(serve(&elsewhere).is_err(), "an address that is not this machine's is a mistake");
    }
}
