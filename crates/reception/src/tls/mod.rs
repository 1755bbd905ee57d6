//! Certificates, and the TLS that is made with them.
//!
//! ```text
//! let identity = Identity::load(&files)?;             // key and certificate belong together, or an error names both files
//! let identities = Identities::new(vec![identity])?;  // Shared.tls
//! identities.choose(server_name, schemes)             // per handshake
//! ```
//! A reload makes new [`Identities`] and puts them into a new `Shared`; connections that run are not touched.
//!
//! # Invariants
//! - TLS 1.2 and 1.3 only, by aws-lc-rs.
//! - Session tickets are never given on port 25: some peers abort on them, and a ticket must not be good on another port.
//! - Each certificate has a configuration of its own, so that what `tls-server-end-point` names is what was shown.

mod load;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::server::{ClientHello, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, SignatureScheme};

/// Where a certificate and its key lie.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// PEM: the certificate, then the intermediate ones in the order in which they are sent.
    pub certificate: PathBuf,
    /// PEM: its private key (PKCS #8, PKCS #1 or SEC 1).
    pub key: PathBuf,
}

/// A certificate with its key, loaded and checked against each other.
#[derive(Clone, Debug)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    info: CertificateInfo,
    end_point: Vec<u8>,
    path: PathBuf,
}

/// What an administrator wants to know of a certificate. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    /// The DNS names in it, in small letters; `*.example.org` as it stands there.
    pub names: Vec<String>,
    pub not_before: i64,
    pub not_after: i64,
}

/// All certificates that we show. Which one is chosen by the name asked for (SNI); the first one where none fits.
#[derive(Debug)]
pub struct Identities {
    shown: Vec<Shown>,
    by_name: HashMap<String, Vec<usize>>,
}

/// A certificate with the two ways in which it is served.
#[derive(Debug)]
pub struct Shown {
    identity: Identity,
    with_tickets: Arc<ServerConfig>,
    without_tickets: Arc<ServerConfig>,
}

/// Why there is no TLS. All are the administrator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} holds no private key in PEM form", .0.display())]
    NoKey(PathBuf),
    #[error("{} is not a certificate that can be used: {why}", path.display())]
    BadCertificate { path: PathBuf, why: String },
    #[error("the private key in {} is not one that can be used: {why}", path.display())]
    BadKey { path: PathBuf, why: String },
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error("there is no certificate")]
    None,
}

impl Identity {
    pub fn info(&self) -> &CertificateInfo {
        &self.info
    }

    /// The certificate's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The certificate itself in DER, for pinning in tests and for showing.
    pub fn der(&self) -> &[u8] {
        self.certified.cert.first().map_or(&[], |certificate| certificate.as_ref())
    }
}

impl CertificateInfo {
    /// Whether it is good at this time (seconds since 1970).
    pub fn valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

impl Identities {
    /// The first one is shown where no name is asked for, or one that no certificate has.
    ///
    /// # Errors
    /// [`TlsError::None`] for an empty list; [`TlsError::BadCertificate`] for one that rustls will not serve.
    pub fn new(identities: Vec<Identity>) -> Result<Self, TlsError> {
        if identities.is_empty() {
            return Err(TlsError::None);
        }
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, identity) in identities.iter().enumerate() {
            for name in &identity.info.names {
                by_name.entry(name.clone()).or_default().push(index);
            }
        }
        let shown = identities.into_iter().map(Shown::new).collect::<Result<_, _>>()?;
        Ok(Self { shown, by_name })
    }

    /// All of them, the default first.
    pub fn all(&self) -> impl Iterator<Item = &Identity> {
        self.shown.iter().map(|shown| &shown.identity)
    }

    /// The certificate for this handshake.
    pub fn choose(&self, hello: &ClientHello<'_>) -> &Shown {
        self.choose_for(hello.server_name(), hello.signature_schemes())
    }

    /// RFC 6125 §6.4.3: a wildcard stands for one label. Of several certificates with the name, the first whose key the client
    /// can verify.
    fn choose_for(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> &Shown {
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let named = name.as_deref().and_then(|name| {
            let wildcard = || self.by_name.get(&format!("*.{}", name.split_once('.')?.1));
            self.by_name.get(name).or_else(wildcard)
        });
        let named = named.map_or(&[] as &[usize], Vec::as_slice);
        let mut candidates = named.iter().filter_map(|index| self.shown.get(*index));
        let fits = |shown: &&Shown| shown.identity.certified.key.choose_scheme(schemes).is_some();
        let first = candidates.clone().next();
        // `shown` is never empty: `new` sees to it.
        candidates.find(fits).or(first).or_else(|| self.shown.iter().find(fits)).unwrap_or(&self.shown[0])
    }
}

impl Shown {
    fn new(identity: Identity) -> Result<Self, TlsError> {
        let with_tickets = config(&identity)?;
        let mut without_tickets = with_tickets.clone();
        without_tickets.send_tls13_tickets = 0;
        without_tickets.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { identity, with_tickets: Arc::new(with_tickets), without_tickets: Arc::new(without_tickets) })
    }

    pub fn config(&self, tickets: bool) -> Arc<ServerConfig> {
        Arc::clone(if tickets { &self.with_tickets } else { &self.without_tickets })
    }

    /// `tls-server-end-point` (RFC 5929 §4).
    pub fn end_point(&self) -> &[u8] {
        &self.identity.end_point
    }
}

fn config(identity: &Identity) -> Result<ServerConfig, TlsError> {
    let bad = |error: rustls::Error| TlsError::BadCertificate { path: identity.path.clone(), why: error.to_string() };
    let builder = ServerConfig::builder_with_provider(load::provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(bad)?;
    let resolver = SingleCertAndKey::from(CertifiedKey::clone(&identity.certified));
    Ok(builder.with_no_client_auth().with_cert_resolver(Arc::new(resolver)))
}
