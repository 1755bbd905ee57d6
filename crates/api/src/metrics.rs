//! What is counted, and its text (OpenMetrics 1.0). docs/reference/metrics.md is held against [`ALL`] by a test.

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use queue::counters::Histogram;

use crate::Source;

/// What happened at one listener since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Door {
    pub name: String,
    pub connections: u64,
    pub crowded: u64,
    pub tls12: u64,
    pub tls13: u64,
    pub tls_failed: u64,
    pub received: u64,
    pub refused: u64,
    pub auth_failed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One metric, as it is described to Prometheus and in the reference.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Without the suffix that its kind adds: `_total`, or `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    pub kind: Kind,
    /// The label and its values, where there is one; the listener's name has those of the configuration.
    pub labels: &'static str,
    pub help: &'static str,
}

const fn metric(name: &'static str, kind: Kind, labels: &'static str, help: &'static str) -> Metric {
    Metric { name, kind, labels, help }
}

use Kind::{Counter, Gauge, Histogram as Times};

const QUEUE: Metric = metric("gatepost_queue_letters", Gauge, "state", "Letters that are not done");
const ATTEMPTS: Metric = metric("gatepost_attempts", Counter, "outcome", "What attempts came to, by recipient");
const TAKEN: Metric = metric("gatepost_letters_taken", Counter, "", "Letters taken into the queue, reports included");
const LATENCY: Metric =
    metric("gatepost_delivery_seconds", Times, "", "Time from taking a letter to the delivery to a recipient");
const SYNC: Metric = metric("gatepost_spool_sync_seconds", Times, "", "Time to make a batch of letters durable");
const OUT: Metric = metric("gatepost_connections_out", Gauge, "state", "Workers, each with a connection outward");
const LOST: Metric = metric("gatepost_records_lost", Counter, "", "Lines of records that could not be written");
const SHAPING: Metric =
    metric("gatepost_shaping_changes", Counter, "change", "Changes of what a site takes, by rules on its replies");
const IN: Metric = metric("gatepost_connections_in", Gauge, "", "Connections inward at this moment");
const ACCEPTED: Metric = metric("gatepost_connections_accepted", Counter, "listener", "Connections that were accepted");
const CROWDED: Metric =
    metric("gatepost_connections_refused", Counter, "listener", "Connections that got 421 for want of room");
const TLS: Metric = metric("gatepost_tls_sessions", Counter, "listener, version", "TLS handshakes that were done");
const TLS_FAILED: Metric = metric("gatepost_tls_failures", Counter, "listener", "TLS handshakes that failed");
const RECEIVED: Metric = metric("gatepost_letters_received", Counter, "listener", "Letters that were answered 250");
const REFUSED: Metric = metric("gatepost_refusals", Counter, "listener", "Senders, recipients and letters refused");
const AUTH: Metric = metric("gatepost_auth_failures", Counter, "listener", "Logins that failed");

/// Every metric, in the order in which they are written.
pub const ALL: [Metric; 16] = [
    QUEUE, ATTEMPTS, TAKEN, LATENCY, SYNC, OUT, LOST, SHAPING, IN, ACCEPTED, CROWDED, TLS, TLS_FAILED, RECEIVED,
    REFUSED, AUTH,
];

/// All of them now.
///
/// # Errors
/// Never, as long as memory lasts.
pub(crate) fn text(source: &impl Source) -> Result<String, fmt::Error> {
    // The encoder is to be had only by way of a registry, which wants what lives for ever: so it is given values.
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot::take(source)));
    let mut text = String::with_capacity(8 << 10);
    encode(&mut text, &registry)?;
    Ok(text)
}

/// Value and labels.
type Row = (Vec<(&'static str, String)>, u64);

#[derive(Debug)]
enum Value {
    Rows(Vec<Row>),
    Times { sum: f64, buckets: Vec<(f64, u64)> },
}

#[derive(Debug)]
struct Snapshot(Vec<(Metric, Value)>);

impl Snapshot {
    fn take(source: &impl Source) -> Self {
        let (queue, doors) = (source.queue(), source.doors());
        let (census, counters) = (queue.census(), queue.counters());
        let idle = census.workers.saturating_sub(census.busy);
        let outcomes = [
            ("delivered", counters.delivered.get()),
            ("deferred", counters.deferred.get()),
            ("failed", counters.failed.get()),
            ("expired", counters.expired.get()),
        ];
        let shaping = [("begun", counters.shaping_begun.get()), ("over", counters.shaping_over.get())];
        let by_door = |value: fn(&Door) -> u64| {
            Value::Rows(doors.iter().map(|door| (vec![("listener", door.name.clone())], value(door))).collect())
        };
        let versions = |door: &Door| [("1.2", door.tls12), ("1.3", door.tls13)].map(|(v, n)| (door.name.clone(), v, n));
        let tls = doors.iter().flat_map(versions);
        let tls = tls.map(|(name, version, n)| (vec![("listener", name), ("version", version.to_owned())], n));
        Self(vec![
            (QUEUE, labelled("state", [("waiting", census.waiting as u64), ("active", census.active as u64)])),
            (ATTEMPTS, labelled("outcome", outcomes)),
            (TAKEN, single(counters.received.get())),
            (LATENCY, times(&counters.latency)),
            (SYNC, times(queue.sync_times())),
            (OUT, labelled("state", [("busy", census.busy as u64), ("idle", idle as u64)])),
            (LOST, single(queue.recorder().lost())),
            (SHAPING, labelled("change", shaping)),
            (IN, single(source.connections_in())),
            (ACCEPTED, by_door(|door| door.connections)),
            (CROWDED, by_door(|door| door.crowded)),
            (TLS, Value::Rows(tls.collect())),
            (TLS_FAILED, by_door(|door| door.tls_failed)),
            (RECEIVED, by_door(|door| door.received)),
            (REFUSED, by_door(|door| door.refused)),
            (AUTH, by_door(|door| door.auth_failed)),
        ])
    }
}

fn single(value: u64) -> Value {
    Value::Rows(vec![(Vec::new(), value)])
}

fn labelled<const N: usize>(label: &'static str, rows: [(&str, u64); N]) -> Value {
    Value::Rows(rows.into_iter().map(|(name, value)| (vec![(label, name.to_owned())], value)).collect())
}

fn times(histogram: &Histogram) -> Value {
    let buckets = histogram.buckets().collect();
    Value::Times { sum: histogram.sum(), buckets }
}

impl prometheus_client::collector::Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for (metric, value) in &self.0 {
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let encoder = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            write(encoder, metric.kind, value)?;
        }
        Ok(())
    }
}

fn write(mut encoder: MetricEncoder<'_>, kind: Kind, value: &Value) -> fmt::Result {
    match value {
        Value::Times { sum, buckets } => {
            let count = buckets.iter().map(|(_, count)| count).sum();
            encoder.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
        }
        Value::Rows(rows) => rows.iter().try_for_each(|(labels, value)| match labels.is_empty() {
            true => number(&mut encoder, kind, value),
            false => number(&mut encoder.encode_family(labels)?, kind, value),
        }),
    }
}

fn number(encoder: &mut MetricEncoder<'_>, kind: Kind, value: &u64) -> fmt::Result {
    match kind {
        Kind::Counter => encoder.encode_counter::<NoLabelSet, _, f64>(value, None),
        Kind::Gauge | Kind::Histogram => encoder.encode_gauge(value),
    }
}
