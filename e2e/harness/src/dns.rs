//! A DNS server whose zone is a table and whose failures are data.
//!
//! ```no_run
//! # use harness::FakeDns;
//! let dns = FakeDns::start();
//! dns.mx("b.test", &[(10, "mx.b.test")]);
//! dns.a("mx.b.test", &["127.0.0.1"]);
//! dns.serv_fail("ill.test");
//! dns.silent("gone.test");
//! dns.null_mx("no-mail.test");
//! ```
//!
//! It answers on one port by UDP and TCP. A name without any record does not exist (NXDOMAIN); a name without a record
//! of the type asked for has none (NODATA).

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::ports::free_port;

/// How the server fails for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    ServFail,
    Refused,
    Silent,
}

#[derive(Default)]
struct Zone {
    records: HashMap<String, Vec<RData>>,
    failures: HashMap<String, Failure>,
    asked: Vec<(String, String)>,
}

/// A running fake; it stops when dropped.
pub struct FakeDns {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    stop: Arc<AtomicBool>,
}

impl FakeDns {
    /// Starts a server with an empty zone.
    pub fn start() -> FakeDns {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let (zone, stop) = (Arc::new(Mutex::new(Zone::default())), Arc::new(AtomicBool::new(false)));
        let udp = UdpSocket::bind(address).expect("a UDP port");
        let tcp = TcpListener::bind(address).expect("the TCP port of the same number");
        udp.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        tcp.set_nonblocking(true).expect("a listener that does not block");
        let (zone_of_udp, stop_of_udp) = (Arc::clone(&zone), Arc::clone(&stop));
        std::thread::spawn(move || serve_udp(&udp, &zone_of_udp, &stop_of_udp));
        let (zone_of_tcp, stop_of_tcp) = (Arc::clone(&zone), Arc::clone(&stop));
        std::thread::spawn(move || serve_tcp(&tcp, &zone_of_tcp, &stop_of_tcp));
        FakeDns { address, zone, stop }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn mx(&self, domain: &str, hosts: &[(u16, &str)]) {
        let records = hosts.iter().map(|(preference, host)| RData::MX(MX::new(*preference, name(host)))).collect();
        self.put(domain, RecordType::MX, records);
    }

    /// RFC 7505: the domain takes no mail.
    pub fn null_mx(&self, domain: &str) {
        self.mx(domain, &[(0, ".")]);
    }

    pub fn a(&self, host: &str, addresses: &[&str]) {
        let records = addresses.iter().map(|a| RData::A(A(a.parse().expect("an IPv4 address")))).collect();
        self.put(host, RecordType::A, records);
    }

    pub fn aaaa(&self, host: &str, addresses: &[&str]) {
        let records = addresses.iter().map(|a| RData::AAAA(AAAA(a.parse().expect("an IPv6 address")))).collect();
        self.put(host, RecordType::AAAA, records);
    }

    pub fn cname(&self, host: &str, target: &str) {
        self.put(host, RecordType::CNAME, vec![RData::CNAME(CNAME(name(target)))]);
    }

    pub fn txt(&self, host: &str, text: &str) {
        self.put(host, RecordType::TXT, vec![RData::TXT(TXT::new(vec![text.to_owned()]))]);
    }

    /// Every question about this name is answered SERVFAIL.
    pub fn serv_fail(&self, host: &str) {
        self.zone().failures.insert(key(host), Failure::ServFail);
    }

    /// Every question about this name is answered REFUSED.
    pub fn refused(&self, host: &str) {
        self.zone().failures.insert(key(host), Failure::Refused);
    }

    /// No question about this name is answered.
    pub fn silent(&self, host: &str) {
        self.zone().failures.insert(key(host), Failure::Silent);
    }

    /// The name is well again.
    pub fn heal(&self, host: &str) {
        self.zone().failures.remove(&key(host));
    }

    /// Every question so far: name and type.
    pub fn asked(&self) -> Vec<(String, String)> {
        self.zone().asked.clone()
    }

    /// Whether this was asked.
    pub fn was_asked(&self, host: &str, kind: &str) -> bool {
        self.zone().asked.iter().any(|(name, of)| *name == key(host) && of == kind)
    }

    fn put(&self, host: &str, kind: RecordType, records: Vec<RData>) {
        let mut zone = self.zone();
        let all = zone.records.entry(key(host)).or_default();
        all.retain(|record| record.record_type() != kind);
        all.extend(records);
    }

    fn zone(&self) -> MutexGuard<'_, Zone> {
        lock(&self.zone)
    }
}

impl Drop for FakeDns {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn lock(zone: &Mutex<Zone>) -> MutexGuard<'_, Zone> {
    zone.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn name(host: &str) -> Name {
    let mut name = Name::from_ascii(host).expect("a DNS name");
    name.set_fqdn(true);
    name
}

fn key(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

fn serve_udp(socket: &UdpSocket, zone: &Mutex<Zone>, stop: &AtomicBool) {
    let mut buffer = [0u8; 4096];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        if let Some(answer) = answer(&buffer[..length], zone) {
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn serve_tcp(listener: &TcpListener, zone: &Arc<Mutex<Zone>>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                let zone = Arc::clone(zone);
                std::thread::spawn(move || while one_tcp_answer(&stream, &zone).is_ok() {});
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn one_tcp_answer(mut stream: &TcpStream, zone: &Mutex<Zone>) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    let mut length = [0u8; 2];
    stream.read_exact(&mut length)?;
    let mut question = vec![0u8; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut question)?;
    if let Some(answer) = answer(&question, zone) {
        stream.write_all(&(answer.len() as u16).to_be_bytes())?;
        stream.write_all(&answer)?;
    }
    Ok(())
}

/// The answer, or nothing where the zone says silence.
fn answer(question: &[u8], zone: &Mutex<Zone>) -> Option<Vec<u8>> {
    let asked = Message::from_vec(question).ok()?;
    let query = asked.queries.first()?.clone();
    let host = key(&query.name().to_ascii());
    let mut zone = lock(zone);
    zone.asked.push((host.clone(), query.query_type().to_string()));
    let mut message = Message::response(asked.metadata.id, OpCode::Query);
    message.metadata.recursion_desired = asked.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    match zone.failures.get(&host) {
        Some(Failure::Silent) => return None,
        Some(Failure::ServFail) => message.metadata.response_code = ResponseCode::ServFail,
        Some(Failure::Refused) => message.metadata.response_code = ResponseCode::Refused,
        None => fill(&mut message, &zone, &host, &query),
    }
    message.add_query(query);
    message.to_vec().ok()
}

fn fill(message: &mut Message, zone: &Zone, host: &str, query: &Query) {
    let mut at = host.to_owned();
    for _ in 0..8 {
        let Some(records) = zone.records.get(&at) else {
            message.metadata.response_code = ResponseCode::NXDomain;
            break;
        };
        let found: Vec<&RData> = records.iter().filter(|r| r.record_type() == query.query_type()).collect();
        let alias = records.iter().find_map(|record| match record {
            RData::CNAME(target) if found.is_empty() => Some(target.0.clone()),
            _ => None,
        });
        for data in found {
            message.add_answer(Record::from_rdata(name(&at), 60, data.clone()));
        }
        let Some(target) = alias else { break };
        message.add_answer(Record::from_rdata(name(&at), 60, RData::CNAME(CNAME(target.clone()))));
        at = key(&target.to_ascii());
    }
    if message.answers.is_empty() {
        // RFC 2308 §3: a negative answer carries the SOA. A lifetime of nothing lets a test change its mind.
        let soa = SOA::new(name("ns.test"), name("hostmaster.test"), 1, 60, 60, 60, 0);
        message.add_authority(Record::from_rdata(name("test"), 0, RData::SOA(soa)));
    }
}
