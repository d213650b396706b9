//! Logs on standard error and metrics for Prometheus. What is logged never holds query strings, headers, bodies,
//! email addresses or tokens.

use std::io::IsTerminal;
use std::net::SocketAddr;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};

/// Seconds; from a cache hit to the request timeout.
const LATENCY_BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Why telemetry can't start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log.filter is not a filter: {0}. Write, for example, info,sqlx=warn")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("metrics.listen: {0}")]
    Metrics(#[from] BuildError),
}

/// Starts logging. A second call changes nothing: with both services in one process, the first decides.
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder().parse(&log.filter)?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // The only way it fails is that a subscriber is set already.
    let _ = match log.format {
        LogFormat::Text => registry.with(layer).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    Ok(())
}

/// Serves `/metrics` on a listener of its own, so that it is never reachable where the public is. Call it once, in the
/// runtime.
pub fn metrics_listener(address: SocketAddr) -> Result<(), TelemetryError> {
    PrometheusBuilder::new()
        .with_http_listener(address)
        .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".into()), &LATENCY_BUCKETS)?
        .install()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_is_named_and_starting_twice_is_harmless() {
        let mut log = Log { filter: "info,sqlx=loud".into(), format: LogFormat::Text };
        assert!(init(&log).unwrap_err().to_string().contains("log.filter"));
        log.filter = "error".into();
        init(&log).unwrap();
        init(&log).unwrap();
    }

    #[tokio::test]
    async fn metrics_are_served_on_their_own_listener_and_a_taken_address_is_an_error() {
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        assert!(metrics_listener(address).is_err());
        drop(taken);
        metrics_listener(address).unwrap();
        metrics::counter!("tests_total").increment(1);
        let outbound = crate::outbound::Outbound::new::<&str>(&[], crate::clock::Clock::system()).unwrap();
        let page = outbound.trusted().get(format!("http://{address}/metrics")).send().await.unwrap();
        assert!(page.text().await.unwrap().contains("tests_total 1"));
    }
}
