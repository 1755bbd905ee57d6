use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Mutex;

use queue::{Lane, Letter, Place, QueueConfig, Recipient, Site, Sites};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::metrics::{ALL, Kind};
use super::*;

#[derive(Debug)]
struct OneSite;

impl Sites for OneSite {
    fn place_of(&self, _: &Letter, _: &Recipient, _: Option<&str>) -> Place {
        Lane::of(Site("one".into())).into()
    }
    fn limits(&self, _: &Lane) -> queue::Limits {
        queue::Limits::connections(1)
    }
}

struct Told {
    queue: Queue,
    unready: Mutex<Vec<String>>,
}

impl Source for Told {
    fn queue(&self) -> &Queue {
        &self.queue
    }
    fn doors(&self) -> Vec<Door> {
        vec![Door { name: "re\"lay".to_owned(), received: 7, tls13: 3, ..Door::default() }]
    }
    fn connections_in(&self) -> u64 {
        2
    }
    fn unready(&self) -> Vec<String> {
        self.unready.lock().unwrap().clone()
    }
}

fn serve(dir: &Path) -> (Arc<Told>, SocketAddr) {
    let config = QueueConfig { data_dir: dir.to_owned(), min_free: 0, ..QueueConfig::default() };
    let queue = Queue::open(config, Arc::new(OneSite)).unwrap();
    let told = Arc::new(Told { queue, unready: Mutex::default() });
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    start(socket, Arc::clone(&told)).unwrap();
    (told, address)
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn page(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn every_metric_of_the_reference_is_written_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (_told, address) = serve(dir.path());
    let text = page(address, "/metrics").await;
    assert!(text.starts_with("HTTP/1.1 200") && text.trim_end().ends_with("# EOF"), "{text}");
    let written: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let kind = |kind| match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let known: Vec<String> = ALL.iter().map(|metric| format!("{} {}", metric.name, kind(metric.kind))).collect();
    assert_eq!(written, known);
    let page = include_str!("../../../docs/reference/metrics.md");
    let described: Vec<String> =
        page.lines().filter(|line| line.starts_with("| `gatepost_")).map(str::to_owned).collect();
    let row = |metric: &metrics::Metric| {
        let labels = if metric.labels.is_empty() { String::new() } else { format!("{} ", metric.labels) };
        format!("| `{}` | {} | {labels}| {} |", metric.name, kind(metric.kind), metric.help)
    };
    assert_eq!(described, ALL.iter().map(row).collect::<Vec<_>>());
}

#[tokio::test]
async fn figures_stand_where_they_belong_and_labels_are_escaped() {
    let dir = tempfile::tempdir().unwrap();
    let (told, address) = serve(dir.path());
    told.queue.counters().received.add();
    told.queue.counters().latency.observe(std::time::Duration::from_secs(3));
    let text = page(address, "/metrics").await;
    for line in [
        "gatepost_letters_taken_total 1",
        "gatepost_connections_in 2",
        "gatepost_queue_letters{state=\"waiting\"} 0",
        "gatepost_attempts_total{outcome=\"expired\"} 0",
        "gatepost_letters_received_total{listener=\"re\\\"lay\"} 7",
        "gatepost_tls_sessions_total{listener=\"re\\\"lay\",version=\"1.3\"} 3",
        "gatepost_delivery_seconds_bucket{le=\"2.5\"} 0",
        "gatepost_delivery_seconds_bucket{le=\"10.0\"} 1",
        "gatepost_delivery_seconds_bucket{le=\"+Inf\"} 1",
        "gatepost_delivery_seconds_sum 3.0",
    ] {
        assert!(text.lines().any(|written| written == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn who_is_not_ready_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let (told, address) = serve(dir.path());
    assert!(page(address, "/healthz").await.ends_with("\r\n\r\nok\n"));
    assert!(page(address, "/readyz").await.contains("200 OK"));
    told.unready.lock().unwrap().push("the server is stopping".to_owned());
    let config = QueueConfig { min_free: u64::MAX / 2, ..QueueConfig::default() };
    told.queue.reconfigure(config);
    let text = page(address, "/readyz").await;
    assert!(text.starts_with("HTTP/1.1 503"), "{text}");
    let body: serde_json::Value = serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!((body["ready"].as_bool(), body["reasons"].as_array().unwrap().len()), (Some(false), 2), "{body}");
    assert!(page(address, "/nothing").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn who_says_too_much_is_cut_off_and_others_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let (_told, address) = serve(dir.path());
    let answer = ask(address, &format!("GET /metrics HTTP/1.1\r\nX: {}\r\n", "x".repeat(64 << 10))).await;
    assert!(!answer.contains("gatepost_"), "{answer}");
    assert!(page(address, "/healthz").await.contains("200 OK"));
}

#[tokio::test(start_paused = true)]
async fn who_is_slow_gives_its_place_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let (_told, address) = serve(dir.path());
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    // All places are taken; the clock of the test runs ahead when nothing else happens.
    assert!(page(address, "/healthz").await.contains("200 OK"));
}

#[test]
fn strangers_see_nothing_unless_somebody_said_so() {
    let config =
        |address: &str, allowed| Config { listen: Some(address.parse().unwrap()), insecure_allow_remote: allowed };
    assert!(config("0.0.0.0:9464", false).is_exposed());
    assert!(config("192.0.2.1:9464", false).is_exposed());
    assert!(!config("192.0.2.1:9464", true).is_exposed());
    assert!(!config("127.0.0.1:9464", false).is_exposed());
    assert!(!config("[::1]:9464", false).is_exposed());
    assert!(!Config::default().is_exposed());
}
