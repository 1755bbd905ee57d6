//! One letter to one server, for the command line and the quickstart: the same client as the queue's, without the queue.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns::Resolver;
use queue::Body;
use rustls::RootCertStore;
use smtp::client::{ClientConfig, Credentials, Delivery, Message, TlsMode};
use smtp::server::Protocol;
use smtp::{Capabilities, Host, TlsInfo};

use crate::config::{Endpoint, IpVersions, Times};
use crate::connect::{addresses_of, first_open, name_of, peer_words, server_name};
use crate::dead::DeadServers;
use crate::dial::{Address, Dial};
use crate::drive::Line;
use crate::outcome::Trouble;
use crate::tls::Tls;
use crate::tls_policy::TlsPolicy;

/// Where to, and how.
#[derive(Clone, Debug)]
pub struct SendTo {
    pub server: Endpoint,
    pub protocol: Protocol,
    pub tls: TlsMode,
    /// The name that the certificate must have, where it is not the server's host.
    pub tls_name: Option<String>,
    /// Under [`TlsMode::StartTls`] and [`TlsMode::Implicit`]: the certificate must be good.
    pub verify: bool,
    pub credentials: Option<Credentials>,
    pub insecure_allow_plaintext_auth: bool,
    /// What we call ourselves.
    pub ehlo: Host,
    pub authorities: Arc<RootCertStore>,
    pub times: Times,
}

/// A dialog that came to its end: each recipient has a reply. Whether it is a good one is in [`Sent::delivery`].
#[derive(Clone, Debug)]
pub struct Sent {
    pub delivery: Delivery,
    /// `mx1.example.net [192.0.2.1]:25`.
    pub peer: String,
    pub tls: Option<TlsInfo>,
    /// The SASL mechanism that was used.
    pub auth: Option<String>,
    pub capabilities: Option<Capabilities>,
    /// Until letters could be sent: connection, greeting, TLS, AUTH.
    pub opened_in: Duration,
    /// All of it, QUIT aside.
    pub took: Duration,
}

/// Sends one letter now and waits for the replies.
///
/// # Errors
/// The server could not be reached, or took no letter at all: its words, or ours.
pub async fn send_one(
    to: &SendTo,
    resolver: &dyn Resolver,
    message: Message,
    body: &Body,
    watch: &mut (dyn FnMut(Line<'_>) + Send),
) -> Result<Sent, Trouble> {
    let begun = Instant::now();
    let tls = Tls::new(to.authorities.clone()).map_err(|error| Trouble::tls_setup(&error))?;
    let mut auth = None;
    let mut watch_auth = |line: Line<'_>| {
        if let Line::Sent(command) = &line
            && let Some(mechanism) = command.strip_prefix("AUTH ")
        {
            auth = mechanism.split(' ').next().map(str::to_owned);
        }
        watch(line);
    };
    let dials = dials(to, resolver, &tls).await?;
    let mut connection = first_open(dials, &DeadServers::default(), &mut watch_auth).await?;
    let opened_in = begun.elapsed();
    let delivery = connection.deliver(message, body, &mut watch_auth).await;
    let took = begun.elapsed();
    let peer = connection.peer().to_owned();
    let tls = connection.session().tls().cloned();
    let capabilities = connection.session().capabilities().cloned();
    let delivery = delivery.map_err(|closed| connection.trouble(&closed))?;
    if connection.settle(&mut watch_auth).await.is_ok() {
        connection.quit(&mut watch_auth).await;
    }
    Ok(Sent { delivery, peer, tls, auth, capabilities, opened_in, took })
}

async fn dials<'a>(to: &'a SendTo, resolver: &dyn Resolver, tls: &'a Tls) -> Result<Vec<Dial<'a>>, Trouble> {
    let name = name_of(&to.server, to.tls_name.as_deref());
    let host = to.server.host.to_string();
    let session = ClientConfig {
        ehlo: to.ehlo.clone(),
        protocol: to.protocol,
        tls: to.tls,
        auth: to.credentials.clone(),
        insecure_allow_plaintext_auth: to.insecure_allow_plaintext_auth,
        pipelining: true,
        chunking: true,
        timeouts: to.times.session(),
    };
    let dial = |ip| {
        let address = SocketAddr::new(ip, to.server.port);
        Dial {
            peer: peer_words(&host, address),
            address: Address::Tcp(address),
            name: server_name(&name),
            policy: TlsPolicy::named(to.tls, to.verify, "the command"),
            plain_because: None,
            memory: None,
            session: session.clone(),
            tls,
            times: &to.times,
            transcript: true,
        }
    };
    Ok(addresses_of(resolver, &to.server, IpVersions::Both).await?.into_iter().map(dial).collect())
}
