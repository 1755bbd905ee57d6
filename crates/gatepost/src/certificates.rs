//! Certificates that we make ourselves: an authority and a certificate for localhost, for `quickstart`.
//!
//! Keys are ECDSA P-256; files of keys have mode 0600.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// Where the files lie.
#[derive(Clone, Debug)]
pub struct LocalCertificate {
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Why none could be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    #[error("the certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error("{path}: {source}")]
    Write { path: PathBuf, source: io::Error },
}

impl LocalCertificate {
    /// Makes an authority and a certificate of it for `names` (host names and IP addresses) in `folder`; what is there
    /// already is used again. The authority's key is thrown away, so nobody can make a second certificate that those who
    /// trust it would accept.
    pub fn make(folder: &Path, names: &[String]) -> Result<Self, MakeError> {
        let files = Self {
            authority: folder.join("ca.pem"),
            certificate: folder.join("localhost.pem"),
            key: folder.join("localhost.key"),
        };
        if files.authority.exists() && files.certificate.exists() && files.key.exists() {
            return Ok(files);
        }
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.distinguished_name.push(DnType::CommonName, "Gatepost quickstart authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority_key = KeyPair::generate()?;
        let authority_certificate = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);

        let mut leaf = CertificateParams::new(names.to_vec())?;
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.use_authority_key_identifier_extension = true;
        let leaf_key = KeyPair::generate()?;
        let leaf_certificate = leaf.signed_by(&leaf_key, &issuer)?;

        write(&files.authority, &authority_certificate.pem(), 0o644)?;
        write(&files.certificate, &leaf_certificate.pem(), 0o644)?;
        write(&files.key, &leaf_key.serialize_pem(), 0o600)?;
        Ok(files)
    }
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), MakeError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| MakeError::Write { path: path.to_owned(), source })
}
