//! From files to a certificate with its key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{CertificateFiles, CertificateInfo, Identity, TlsError};

impl Identity {
    /// Reads both files.
    ///
    /// # Errors
    /// The administrator's fault, with the file named. A certificate that is expired is not an error here: see
    /// [`Identity::info`].
    pub fn load(files: &CertificateFiles) -> Result<Self, TlsError> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|source| TlsError::Read { path: path.clone(), source });
        Self::from_pem(&read(&files.certificate)?, &read(&files.key)?, files)
    }

    /// The same from the contents of the files; their names are for errors only.
    ///
    /// # Errors
    /// As [`Identity::load`].
    pub fn from_pem(certificate: &[u8], key: &[u8], files: &CertificateFiles) -> Result<Self, TlsError> {
        let path = &files.certificate;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| TlsError::BadCertificate { path: path.clone(), why: error.to_string() })?;
        let first = chain.first().ok_or_else(|| TlsError::NoCertificate(path.clone()))?;
        let (info, end_point) = describe(first, path)?;
        let key = private_key(key, &files.key)?;
        let bad_key = |why: rustls::Error| TlsError::BadKey { path: files.key.clone(), why: why.to_string() };
        let signing = provider().key_provider.load_private_key(key).map_err(bad_key)?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            // `Unknown` is said of keys that do not tell their public half; none of aws-lc-rs's do that.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(TlsError::Mismatch { certificate: path.clone(), key: files.key.clone() });
            }
            Err(error) => return Err(TlsError::BadCertificate { path: path.clone(), why: error.to_string() }),
        }
        Ok(Self { certified: Arc::new(certified), info, end_point, path: path.clone() })
    }
}

fn private_key(pem: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    use rustls::pki_types::pem::Error;
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        Error::NoItemsFound => TlsError::NoKey(path.to_owned()),
        other => TlsError::BadKey { path: path.to_owned(), why: other.to_string() },
    })
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn describe(der: &CertificateDer<'_>, path: &Path) -> Result<(CertificateInfo, Vec<u8>), TlsError> {
    let bad = |why: String| TlsError::BadCertificate { path: path.to_owned(), why };
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| bad(error.to_string()))?;
    let alternative = certificate.subject_alternative_name().map_err(|error| bad(error.to_string()))?;
    let names: Vec<String> = match alternative {
        Some(names) => names.value.general_names.iter().filter_map(dns_name).collect(),
        // Certificates without a subjectAltName are long dead in public, but tests and old private ones have them.
        None => certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok()).map(fold).collect(),
    };
    let validity = certificate.validity();
    let info = CertificateInfo {
        names,
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
    };
    Ok((info, end_point(&certificate.signature_algorithm.algorithm.to_id_string(), der)))
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(fold(name)),
        _ => None,
    }
}

fn fold(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// RFC 5929 §4.1, `tls-server-end-point`: the certificate hashed with the hash of its signature; SHA-256 where that is MD5 or
/// SHA-1 (or has none of its own).
fn end_point(signature_oid: &str, der: &[u8]) -> Vec<u8> {
    use sha2::Digest;
    match signature_oid {
        // sha384WithRSAEncryption, ecdsa-with-SHA384
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => sha2::Sha384::digest(der).to_vec(),
        // sha512WithRSAEncryption, ecdsa-with-SHA512
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => sha2::Sha512::digest(der).to_vec(),
        _ => sha2::Sha256::digest(der).to_vec(),
    }
}
