//! Certificates and the TLS that they make.

use std::path::{Path, PathBuf};

/// Where a certificate and its key lie.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// PEM: the certificate and the intermediate ones, in the order in which they are sent.
    pub certificate: PathBuf,
    /// PEM: its private key (PKCS #8, PKCS #1 or SEC 1).
    pub key: PathBuf,
}

/// A certificate with its key, loaded and checked against each other.
#[derive(Debug)]
pub struct Identity {}

/// What an administrator wants to know of a certificate. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    /// The DNS names in it, in small letters.
    pub names: Vec<String>,
    pub not_before: i64,
    pub not_after: i64,
}

/// All certificates that we show. Which one is chosen by the name asked for (SNI); the first one where none fits.
#[derive(Debug)]
pub struct Identities {}

/// Why there is no TLS.
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
    /// Reads both files; a key that does not belong to the certificate is an error, an expired one is not (see [`Identity::info`]).
    pub fn load(_files: &CertificateFiles) -> Result<Self, TlsError> {
        Err(TlsError::None)
    }

    pub fn info(&self) -> &CertificateInfo {
        unreachable!()
    }

    pub fn path(&self) -> &Path {
        unreachable!()
    }
}

impl Identities {
    /// The first one is shown where no name is asked for, or one that no certificate has.
    pub fn new(_identities: Vec<Identity>) -> Result<Self, TlsError> {
        Err(TlsError::None)
    }
}
