//! The DNS, by hickory: the adapter behind [`dns::Resolver`].
//!
//! # Invariants
//! - Only NXDOMAIN and NODATA become "no such record"; everything else, a refusal and a lame server too, is an error that
//!   defers.
//! - Names are asked as they stand: no search list, no hosts file, so that a letter's way never depends on either.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use dns::{Answer, DnsError, Lookup, Mx};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as NetDnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

/// A caching stub resolver.
pub struct Hickory {
    resolver: TokioResolver,
}

/// The resolver cannot be set up; nothing was asked yet.
#[derive(Debug, thiserror::Error)]
#[error("the resolver cannot be set up: {0}")]
pub struct ResolverSetup(String);

impl Hickory {
    /// Asks `servers`; with none, those of the system (`/etc/resolv.conf`).
    pub fn new(servers: &[SocketAddr], timeout: Duration) -> Result<Self, ResolverSetup> {
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio().map_err(|e| ResolverSetup(e.to_string()))?
        } else {
            let servers = servers.iter().map(name_server).collect();
            TokioResolver::builder_with_config(
                ResolverConfig::from_parts(None, Vec::new(), servers),
                TokioRuntimeProvider::default(),
            )
        };
        let options = builder.options_mut();
        options.timeout = timeout;
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 8192;
        let resolver = builder.build().map_err(|e| ResolverSetup(e.to_string()))?;
        Ok(Self { resolver })
    }

    async fn ask<T>(
        &self,
        name: &str,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, DnsError> {
        let fault = |what: String| DnsError { name: name.to_owned(), what };
        let mut fqdn = Name::from_ascii(name).map_err(|_| fault("the name is not a domain name".into()))?;
        fqdn.set_fqdn(true);
        match self.resolver.lookup(fqdn, kind).await {
            Ok(lookup) => {
                let records: Vec<T> = lookup.answers().iter().filter_map(|record| pick(&record.data)).collect();
                Ok(if records.is_empty() { Answer::NoRecord } else { Answer::Records(records) })
            }
            Err(NetError::Dns(NetDnsError::NoRecordsFound(none))) => match none.response_code {
                ResponseCode::NXDomain => Ok(Answer::NoName),
                ResponseCode::NoError => Ok(Answer::NoRecord),
                code => Err(fault(format!("the DNS answered {code}"))),
            },
            Err(NetError::Timeout) => Err(fault("the DNS did not answer in time".into())),
            Err(NetError::Dns(NetDnsError::ResponseCode(code))) => Err(fault(format!("the DNS answered {code}"))),
            Err(other) => Err(fault(other.to_string())),
        }
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

fn text_of(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

impl fmt::Debug for Hickory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hickory")
    }
}

impl dns::Resolver for Hickory {
    fn mx<'a>(&'a self, name: &'a str) -> Lookup<'a, Mx> {
        Box::pin(self.ask(name, RecordType::MX, |data| match data {
            RData::MX(mx) => Some(Mx { preference: mx.preference, exchange: text_of(&mx.exchange) }),
            _ => None,
        }))
    }

    fn ipv4<'a>(&'a self, name: &'a str) -> Lookup<'a, Ipv4Addr> {
        Box::pin(self.ask(name, RecordType::A, |data| match data {
            RData::A(a) => Some(a.0),
            _ => None,
        }))
    }

    fn ipv6<'a>(&'a self, name: &'a str) -> Lookup<'a, Ipv6Addr> {
        Box::pin(self.ask(name, RecordType::AAAA, |data| match data {
            RData::AAAA(aaaa) => Some(aaaa.0),
            _ => None,
        }))
    }

    fn txt<'a>(&'a self, name: &'a str) -> Lookup<'a, String> {
        Box::pin(self.ask(name, RecordType::TXT, |data| match data {
            RData::TXT(txt) => {
                let bytes: Vec<u8> = txt.txt_data.iter().flat_map(|part| part.iter().copied()).collect();
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            _ => None,
        }))
    }

    fn ptr(&self, address: IpAddr) -> Lookup<'_, String> {
        let name = Name::from(address).to_ascii();
        Box::pin(async move {
            self.ask(name.trim_end_matches('.'), RecordType::PTR, |data| match data {
                RData::PTR(ptr) => Some(text_of(&ptr.0)),
                _ => None,
            })
            .await
        })
    }
}

/// The names that the system knows, its hosts file among them: for commands that a person types, where `localhost` and a
/// name of /etc/hosts must work. It answers for addresses only.
#[derive(Debug)]
pub struct SystemNames;

impl SystemNames {
    async fn addresses(name: &str) -> Result<Vec<IpAddr>, DnsError> {
        let fault = |error: std::io::Error| DnsError { name: name.to_owned(), what: error.to_string() };
        Ok(tokio::net::lookup_host((name, 0)).await.map_err(fault)?.map(|address| address.ip()).collect())
    }
}

fn records<T>(found: Vec<T>) -> Answer<T> {
    if found.is_empty() { Answer::NoRecord } else { Answer::Records(found) }
}

impl dns::Resolver for SystemNames {
    fn mx<'a>(&'a self, _name: &'a str) -> Lookup<'a, Mx> {
        Box::pin(async { Ok(Answer::NoRecord) })
    }

    fn ipv4<'a>(&'a self, name: &'a str) -> Lookup<'a, Ipv4Addr> {
        Box::pin(async move {
            let all = Self::addresses(name).await?.into_iter();
            Ok(records(all.filter_map(|ip| if let IpAddr::V4(v4) = ip { Some(v4) } else { None }).collect()))
        })
    }

    fn ipv6<'a>(&'a self, name: &'a str) -> Lookup<'a, Ipv6Addr> {
        Box::pin(async move {
            let all = Self::addresses(name).await?.into_iter();
            Ok(records(all.filter_map(|ip| if let IpAddr::V6(v6) = ip { Some(v6) } else { None }).collect()))
        })
    }

    fn txt<'a>(&'a self, _name: &'a str) -> Lookup<'a, String> {
        Box::pin(async { Ok(Answer::NoRecord) })
    }

    fn ptr(&self, _address: IpAddr) -> Lookup<'_, String> {
        Box::pin(async { Ok(Answer::NoRecord) })
    }
}
