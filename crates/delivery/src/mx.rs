//! Which servers take the mail of a domain, in what order (RFC 5321 §5.1, RFC 7505).
//!
//! [`exchanges`] and [`Planner::plan`] are pure: DNS answers in, an ordered [`Plan`] out. [`resolve`] asks the questions.
//!
//! # Invariants
//! - What could not be found out ([`DnsError`]) defers a letter and never bounces it.
//! - A plan never leads to ourselves, nor to a server that is preferred less than ourselves (RFC 5321 §5.1).
//!
//! # Limits
//! [`MAX_NAMES`] names are asked for, [`MAX_HOSTS`] servers and [`MAX_ADDRESSES`] addresses are tried.

use std::net::{IpAddr, SocketAddr};

use dns::{Answer, DnsError, Mx, Resolver};
use smtp::{Domain, Host, Reply};

use crate::config::IpVersions;

/// Names of one MX answer that are looked up.
pub const MAX_NAMES: usize = 20;
/// Servers of one domain that are tried in one attempt.
pub const MAX_HOSTS: usize = 5;
/// Addresses that are tried in one attempt.
pub const MAX_ADDRESSES: usize = 10;

/// The servers to try, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub hosts: Vec<PlannedHost>,
    /// The names that the MX records give, servers behind ourselves left out: what two domains with the same servers have in
    /// common. Those without an address are among them.
    pub names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedHost {
    /// The name that it is greeted and verified by.
    pub name: String,
    pub preference: u16,
    pub addresses: Vec<IpAddr>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unroutable {
    #[error("the domain {0} does not accept mail: it has a null MX")]
    NullMx(String),
    #[error("the domain {0} does not exist")]
    NoDomain(String),
    #[error("no server for {0} can be found: neither its MX records nor its own name lead to an address")]
    NoServer(String),
    #[error("the mail servers of {0} have only addresses that cannot be reached from outside, such as 127.0.0.1")]
    OnlyLoopback(String),
    #[error("mail for {0} loops back to this server: it leads here, but this server is not configured to take it")]
    LoopsToUs(String),
    #[error(transparent)]
    Dns(#[from] DnsError),
}

impl Unroutable {
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Dns(_))
    }

    pub fn reply(&self) -> Reply {
        let (code, enhanced) = match self {
            // RFC 7505 §4.2: "556 5.1.10".
            Self::NullMx(_) => (556, (5, 1, 10)),
            Self::NoDomain(_) => (550, (5, 1, 2)),
            Self::NoServer(_) | Self::OnlyLoopback(_) => (550, (5, 4, 4)),
            Self::LoopsToUs(_) => (554, (5, 4, 6)),
            Self::Dns(_) => (451, (4, 4, 3)),
        };
        Reply::new(code, enhanced, "").with_text(self.to_string())
    }
}

/// What this server is, so that it finds itself in an answer, and what it may connect to.
#[derive(Clone, Copy, Debug)]
pub struct Planner<'a> {
    pub domain: &'a Domain,
    pub hostname: &'a Host,
    /// Where we listen ourselves.
    pub listening: &'a [SocketAddr],
    pub port: u16,
    pub allow_loopback: bool,
    pub ip: IpVersions,
}

/// The names to look up, best first, with their preference. `shuffle` orders those that are preferred alike.
///
/// RFC 5321 §5.1: "the sender-SMTP MUST randomize them to spread the load across multiple mail exchangers".
pub fn exchanges(
    planner: &Planner<'_>,
    answer: Answer<Mx>,
    shuffle: &mut dyn FnMut(usize) -> usize,
) -> Result<Vec<Mx>, Unroutable> {
    let domain = planner.domain.as_ascii();
    let mut records = match answer {
        Answer::NoName => return Err(Unroutable::NoDomain(domain.into())),
        // RFC 5321 §5.1: "If an empty list of MXs is returned, the address is treated as if it was associated with an
        // implicit MX RR, with a preference of 0, pointing to that host."
        Answer::NoRecord => vec![Mx { preference: 0, exchange: domain.into() }],
        Answer::Records(records) if records.is_empty() => vec![Mx { preference: 0, exchange: domain.into() }],
        Answer::Records(records) => records,
    };
    // RFC 7505 §3. A null MX beside others is a mistake of that domain; the others are used.
    records.retain(|mx| !mx.exchange.is_empty());
    if records.is_empty() {
        return Err(Unroutable::NullMx(domain.into()));
    }
    shuffled(&mut records, shuffle);
    records.sort_by_key(|mx| mx.preference);
    if let Host::Domain(us) = planner.hostname {
        let ours = records.iter().filter(|mx| mx.exchange.eq_ignore_ascii_case(us.as_ascii()));
        if let Some(ours) = ours.map(|mx| mx.preference).min() {
            records.retain(|mx| mx.preference < ours);
        }
    }
    if records.is_empty() {
        return Err(Unroutable::LoopsToUs(domain.into()));
    }
    records.truncate(MAX_NAMES);
    Ok(records)
}

/// One exchange and what its addresses are.
#[derive(Clone, Debug)]
pub struct Found {
    pub mx: Mx,
    pub addresses: Result<Vec<IpAddr>, DnsError>,
}

impl Planner<'_> {
    /// Puts the plan together from what was found, in the order of [`exchanges`].
    pub fn plan(&self, found: Vec<Found>) -> Result<Plan, Unroutable> {
        let ours = found.iter().filter(|found| found.addresses.iter().flatten().any(|ip| self.is_us(*ip)));
        let cut = ours.map(|found| found.mx.preference).min();
        let (mut hosts, mut trouble, mut unusable, mut names) = (Vec::new(), None, false, Vec::new());
        for found in found.into_iter().filter(|found| cut.is_none_or(|cut| found.mx.preference < cut)) {
            names.push(found.mx.exchange.clone());
            match found.addresses {
                Err(error) => trouble = trouble.or(Some(error)),
                Ok(mut addresses) => {
                    let before = addresses.len();
                    addresses.retain(|ip| self.allow_loopback || is_reachable(*ip));
                    unusable |= addresses.len() < before;
                    if !addresses.is_empty() {
                        hosts.push(PlannedHost { name: found.mx.exchange, preference: found.mx.preference, addresses });
                    }
                }
            }
        }
        let domain = || self.domain.as_ascii().to_string();
        match (hosts.is_empty(), trouble, cut) {
            (false, ..) => Ok(Plan { hosts: limited(hosts), names }),
            (true, Some(error), _) => Err(error.into()),
            (true, None, Some(_)) => Err(Unroutable::LoopsToUs(domain())),
            (true, None, None) if unusable => Err(Unroutable::OnlyLoopback(domain())),
            (true, None, None) => Err(Unroutable::NoServer(domain())),
        }
    }

    fn is_us(&self, ip: IpAddr) -> bool {
        is_us(self.listening, self.port, ip)
    }
}

/// Whether a connection to this address would reach ourselves.
pub(crate) fn is_us(listening: &[SocketAddr], port: u16, ip: IpAddr) -> bool {
    let hears = |at: &SocketAddr| at.ip() == ip || (at.ip().is_unspecified() && ip.is_loopback());
    listening.iter().any(|at| at.port() == port && hears(at))
}

/// Whether an address may be that of somebody else's server at all.
pub fn is_reachable(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets().first() == Some(&0));
    !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || broadcast)
}

/// RFC 5321 §5.1: addresses of a host are tried in order; the two families take turns, so that one broken family costs
/// one time-out and not all.
pub fn interleaved(v6: Vec<IpAddr>, v4: Vec<IpAddr>) -> Vec<IpAddr> {
    let most = v6.len().max(v4.len());
    (0..most).flat_map(|i| [v6.get(i), v4.get(i)]).flatten().copied().collect()
}

fn limited(mut hosts: Vec<PlannedHost>) -> Vec<PlannedHost> {
    hosts.truncate(MAX_HOSTS);
    let (mut left, mut later) = (MAX_ADDRESSES, hosts.len());
    for host in &mut hosts {
        // Each later host keeps at least one address.
        later -= 1;
        host.addresses.truncate(left.saturating_sub(later).max(1));
        left = left.saturating_sub(host.addresses.len());
    }
    hosts
}

impl Plan {
    /// The addresses to try, best first; those preferred alike in another order each time, as in [`exchanges`]: a plan that
    /// is remembered must not lead all letters to one of them.
    pub(crate) fn addresses(&self, shuffle: &mut dyn FnMut(usize) -> usize) -> Vec<(&str, IpAddr)> {
        let mut hosts: Vec<&PlannedHost> = self.hosts.iter().collect();
        shuffled(&mut hosts, shuffle);
        hosts.sort_by_key(|host| host.preference);
        hosts.iter().flat_map(|host| host.addresses.iter().map(|ip| (host.name.as_str(), *ip))).collect()
    }
}

/// Fisher and Yates; `below(n)` gives a number below n.
fn shuffled<T>(items: &mut [T], below: &mut dyn FnMut(usize) -> usize) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1).min(last));
    }
}

/// A random number below `n`, good enough to spread load.
pub(crate) fn random_below(n: usize) -> usize {
    getrandom::u32().map_or(0, |random| random as usize % n.max(1))
}

/// Asks the DNS for the plan of `planner.domain`.
pub async fn resolve(resolver: &dyn Resolver, planner: &Planner<'_>) -> Result<Plan, Unroutable> {
    let answer = resolver.mx(planner.domain.as_ascii()).await?;
    let mut found: Vec<Found> = Vec::new();
    let mut usable = 0;
    let exchanges = exchanges(planner, answer, &mut random_below)?;
    for mx in exchanges.iter().cloned() {
        let addresses = addresses(resolver, &mx.exchange, planner.ip).await;
        let us = addresses.iter().flatten().any(|ip| planner.is_us(*ip));
        usable += usize::from(addresses.as_ref().is_ok_and(|found| !found.is_empty()));
        found.push(Found { mx, addresses });
        // Names behind ourselves are of no use, and neither are more than will be tried.
        if us || usable >= MAX_HOSTS {
            break;
        }
    }
    let asked = found.len();
    let mut plan = planner.plan(found)?;
    if usable >= MAX_HOSTS {
        // The names that were not asked for are servers of the domain all the same.
        plan.names.extend(exchanges.into_iter().skip(asked).map(|mx| mx.exchange));
    }
    Ok(plan)
}

/// The addresses of a host; empty where it has none.
///
/// # Errors
/// Nothing was found, and one of the questions was not answered.
pub async fn addresses(resolver: &dyn Resolver, name: &str, ip: IpVersions) -> Result<Vec<IpAddr>, DnsError> {
    let mut trouble = None;
    let mut v6: Vec<IpAddr> = Vec::new();
    if ip.v6() {
        match resolver.ipv6(name).await {
            Ok(answer) => v6 = records(answer).into_iter().map(IpAddr::V6).collect(),
            Err(error) => trouble = Some(error),
        }
    }
    let mut v4: Vec<IpAddr> = Vec::new();
    if ip.v4() {
        match resolver.ipv4(name).await {
            Ok(answer) => v4 = records(answer).into_iter().map(IpAddr::V4).collect(),
            Err(error) => trouble = Some(error),
        }
    }
    shuffled(&mut v6, &mut random_below);
    shuffled(&mut v4, &mut random_below);
    let all = interleaved(v6, v4);
    match trouble {
        Some(error) if all.is_empty() => Err(error),
        _ => Ok(all),
    }
}

fn records<T>(answer: Answer<T>) -> Vec<T> {
    match answer {
        Answer::Records(records) => records,
        Answer::NoRecord | Answer::NoName => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
