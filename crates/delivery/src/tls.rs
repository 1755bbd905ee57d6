//! TLS towards servers: what is trusted, and what is told to the session afterwards.
//!
//! There are two manners. *Verified*: the handshake fails unless the certificate chains to an authority and has the name.
//! *Unverified*, for opportunistic mail: any certificate will do, since the alternative is no encryption at all; the
//! verdict on it is noted all the same.
//!
//! # Invariants
//! - A session resumed in one manner never came from the other, nor from another port of a server of that name: each
//!   manner has a bounded store of its own for each port.
//! - The verdict in [`TlsInfo::verified`] is reached anew for each connection, resumed ones included; where it has to be a
//!   good one, it is asked for there again.
//!
//! # Limits
//! - TLS 1.2 and 1.3. An older server, or one with an X.509 v1 certificate, gets opportunistic mail without TLS.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, ProtocolVersion, RootCertStore,
    SignatureScheme,
};
use sha2::Digest;
use smtp::{Secret, TlsInfo};

/// Both manners over one set of authorities. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    verified: Arc<ClientConfig>,
    unverified: Arc<ClientConfig>,
    /// The same with the sessions of one port. There are as many ports as the configuration names.
    by_port: ByPort,
    judge: Arc<Judge>,
}

type ByPort = Arc<Mutex<HashMap<(Trust, u16), Arc<ClientConfig>>>>;

/// Servers of one port and manner whose sessions are kept.
const SESSIONS: usize = 512;

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("authorities", &self.judge.webpki.is_some()).finish_non_exhaustive()
    }
}

/// Whether a handshake may succeed with a bad certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    Verified,
    Any,
}

impl Tls {
    /// # Errors
    /// An authority that cannot be used.
    pub fn new(authorities: Arc<RootCertStore>) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let webpki = if authorities.is_empty() {
            None
        } else {
            let builder = WebPkiServerVerifier::builder_with_provider(authorities, provider.clone());
            Some(builder.build().map_err(|e| Error::General(e.to_string()))?)
        };
        let judge = Arc::new(Judge { webpki, provider: provider.clone(), accept_any: false });
        let lenient = Arc::new(Judge { accept_any: true, ..Judge::clone(&judge) });
        Ok(Self {
            verified: client_config(provider.clone(), judge.clone())?,
            unverified: client_config(provider, lenient)?,
            by_port: ByPort::default(),
            judge,
        })
    }

    /// With the sessions that servers at this port gave to this manner before.
    pub(crate) fn config(&self, trust: Trust, port: u16) -> Arc<ClientConfig> {
        let mut by_port = self.by_port.lock().unwrap_or_else(PoisonError::into_inner);
        let config = by_port.entry((trust, port)).or_insert_with(|| {
            let mut config = ClientConfig::clone(match trust {
                Trust::Verified => &self.verified,
                Trust::Any => &self.unverified,
            });
            config.resumption = Resumption::in_memory_sessions(SESSIONS);
            Arc::new(config)
        });
        config.clone()
    }

    /// What a session wants to know of a finished handshake.
    pub(crate) fn info(&self, connection: &ClientConnection, name: &ServerName<'_>) -> TlsInfo {
        let certificates = connection.peer_certificates().unwrap_or_default();
        let tls13 = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        TlsInfo {
            protocol: if tls13 { "TLSv1.3" } else { "TLSv1.2" },
            cipher: connection.negotiated_cipher_suite().map_or_else(String::new, |suite| cipher_name(suite.suite())),
            server_name: Some(name.to_str().into_owned()),
            // RFC 9266 §3: under TLS 1.2 the exporter binds only with the extended master secret, which rustls does not
            // tell; the end point serves there.
            exporter: if tls13 { exporter(connection) } else { None },
            end_point: certificates.first().and_then(|certificate| end_point(certificate)),
            verified: self.judge.verdict(certificates, name),
        }
    }
}

/// The IANA name: rustls writes TLS 1.3 suites as `TLS13_…`.
fn cipher_name(suite: rustls::CipherSuite) -> String {
    let name = suite.as_str().unwrap_or("unknown");
    name.strip_prefix("TLS13_").map_or_else(|| name.into(), |rest| format!("TLS_{rest}"))
}

/// `tls-exporter` (RFC 9266 §2).
fn exporter(connection: &ClientConnection) -> Option<Secret> {
    let key = connection.export_keying_material([0u8; 32], b"EXPORTER-Channel-Binding", Some(b""));
    key.ok().map(Secret::new)
}

/// `tls-server-end-point` (RFC 5929 §4.1): the certificate, hashed as its signature is, with SHA-256 for MD5 and SHA-1.
/// `None` where the signature has no such hash.
fn end_point(certificate: &[u8]) -> Option<Secret> {
    const SHA1: [&[u8]; 2] =
        [&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01]];
    const SHA256: [&[u8]; 2] =
        [&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]];
    const SHA384: [&[u8]; 2] =
        [&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03]];
    const SHA512: [&[u8]; 2] =
        [&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04]];
    let algorithm = signature_algorithm(certificate)?;
    if SHA256.contains(&algorithm) || SHA1.contains(&algorithm) {
        Some(Secret::new(sha2::Sha256::digest(certificate).to_vec()))
    } else if SHA384.contains(&algorithm) {
        Some(Secret::new(sha2::Sha384::digest(certificate).to_vec()))
    } else if SHA512.contains(&algorithm) {
        Some(Secret::new(sha2::Sha512::digest(certificate).to_vec()))
    } else {
        None
    }
}

/// The object identifier in `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, … }, … }`
/// (RFC 5280 §4.1).
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (inside, _) = der_value(certificate, 0x30)?;
    let (_, behind_tbs) = der_value(inside, 0x30)?;
    let (algorithm, _) = der_value(behind_tbs, 0x30)?;
    der_value(algorithm, 0x06).map(|(oid, _)| oid)
}

/// The value of the DER element at the start, which must have this tag, and what follows it.
fn der_value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().fold(0, |sum, &digit| sum << 8 | usize::from(digit)), rest)
        }
        _ => return None,
    };
    (first == tag).then(|| rest.split_at_checked(length)).flatten()
}

fn client_config(provider: Arc<CryptoProvider>, judge: Arc<Judge>) -> Result<Arc<ClientConfig>, Error> {
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(judge)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Judges certificates by the authorities; lets the handshake fail for a bad one unless told otherwise.
#[derive(Clone, Debug)]
struct Judge {
    /// `None` where no authority is known.
    webpki: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    accept_any: bool,
}

impl Judge {
    fn judge(&self, chain: &[CertificateDer<'_>], name: &ServerName<'_>) -> Result<(), Error> {
        let Some((certificate, intermediates)) = chain.split_first() else {
            return Err(Error::NoCertificatesPresented);
        };
        match &self.webpki {
            Some(webpki) => {
                webpki.verify_server_cert(certificate, intermediates, name, &[], UnixTime::now()).map(|_| ())
            }
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verdict(&self, chain: &[CertificateDer<'_>], name: &ServerName<'_>) -> Result<(), String> {
        self.judge(chain, name).map_err(|error| plain_words(&error))
    }
}

/// What is wrong with a certificate, for a person.
pub(crate) fn plain_words(error: &Error) -> String {
    let Error::InvalidCertificate(why) = error else { return error.to_string() };
    match why {
        CertificateError::UnknownIssuer => "no known authority has signed it".into(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet".into(),
        CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            let names: Vec<&str> = presented.iter().take(3).map(|name| bare(name)).collect();
            format!("it is for another name ({})", names.join(", "))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name".into()
        }
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => "it is self-signed".into(),
        other => other.to_string(),
    }
}

/// `DnsName("mx.example.org")` and `IpAddress(192.0.2.1)`, as webpki writes them, without what is around them.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.accept_any {
            let chain: Vec<_> = std::iter::once(end_entity).chain(intermediates).cloned().collect();
            self.judge(&chain, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    // Signatures are checked in both manners: the verdict afterwards is worth nothing if the peer does not hold the key.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
