//! Certificates from the configuration, and their reading again when the files change.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use reception::tls::{CertificateFiles, CertificateInfo, Identities, Identity, TlsError};
use rustls::RootCertStore;

use crate::config::Config;
use crate::exit::Exit;
use crate::fault::Fault;

/// The certificates of a configuration; `None` where there are none. One that has expired goes on being shown where it is
/// among those `served` until now: a reload for another reason must not wait for its renewal.
///
/// # Errors
/// Exit code 5: unreadable, key and certificate that do not belong together, expired or not yet valid.
pub fn load(config: &Config, served: Option<&Identities>) -> Result<Option<Vec<Identity>>, Fault> {
    if config.tls.certificate.is_empty() {
        return Ok(None);
    }
    let now = unix_now();
    let mut identities = Vec::new();
    for certificate in &config.tls.certificate {
        let files = CertificateFiles { certificate: certificate.cert.clone(), key: certificate.key.clone() };
        let identity = Identity::load(&files).map_err(|error| refuse(&error))?;
        if let Err(fault) = valid(identity.info(), &certificate.cert, now) {
            if !served.is_some_and(|served| served.all().any(|old| old.der() == identity.der())) {
                return Err(fault);
            }
            tracing::warn!(error = %fault.message, "it goes on being served, as it was before; renew it");
        }
        identities.push(identity);
    }
    Ok(Some(identities))
}

/// The value that listeners share.
pub fn identities(loaded: Option<Vec<Identity>>) -> Result<Option<Arc<Identities>>, Fault> {
    loaded.map(|all| Identities::new(all).map(Arc::new)).transpose().map_err(|error| refuse(&error))
}

fn refuse(error: &TlsError) -> Fault {
    let fault = Fault::new(Exit::Certificate, error.to_string());
    match error {
        TlsError::Mismatch { .. } => {
            fault.help("cert and key must be of one pair; `fullchain.pem` goes with the `privkey.pem` beside it")
        }
        _ => fault,
    }
}

fn valid(info: &CertificateInfo, path: &Path, now: i64) -> Result<(), Fault> {
    let name = info.names.first().map_or("", String::as_str);
    let day = |seconds: i64| jiff::Timestamp::from_second(seconds).map_or_else(|_| "?".to_owned(), |t| t.to_string());
    let what = if now > info.not_after {
        format!("expired on {}", day(info.not_after))
    } else if now < info.not_before {
        format!("is valid only from {} on; is this machine's clock right?", day(info.not_before))
    } else {
        return Ok(());
    };
    Err(Fault::new(Exit::Certificate, format!("the certificate {} ({name}) {what}", path.display()))
        .help("renew it; a running server goes on with the one it has, and takes the new one when the file changes"))
}

/// One line a certificate, for `config check`.
pub fn describe(identities: Option<&[Identity]>) -> Vec<String> {
    let now = unix_now();
    identities
        .unwrap_or_default()
        .iter()
        .map(|identity| {
            let days = (identity.info().not_after - now) / 86_400;
            format!(
                "certificate {}: {}, valid for {days} more days",
                identity.path().display(),
                identity.info().names.join(", ")
            )
        })
        .collect()
}

fn unix_now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Authorities trusted outward: the system's and those of the configuration.
pub fn roots(trust: &[std::path::PathBuf]) -> Result<RootCertStore, Fault> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = RootCertStore::empty();
    // Some systems have a broken file among a hundred good ones: what can be read is taken.
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    for path in trust {
        let bad = |why: String| Fault::new(Exit::Certificate, format!("the authority {}: {why}", path.display()));
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|e| bad(e.to_string()))? {
            let certificate = certificate.map_err(|e| bad(e.to_string()))?;
            roots.add(certificate).map_err(|e| bad(e.to_string()))?;
        }
        if roots.len() == before {
            return Err(bad("there is no certificate in PEM form in it".to_owned()));
        }
    }
    Ok(roots)
}

/// What tells that a file has changed: when it was written, which file it is (an older one may be put in the place of a
/// newer one), how long it is.
pub type Stamp = (SystemTime, u64, u64);

/// The stamps of all files; a difference means "read them again".
pub fn stamps(config: &Config) -> Vec<Option<Stamp>> {
    use std::os::unix::fs::MetadataExt;
    let files = config.tls.certificate.iter().flat_map(|c| [&c.cert, &c.key]);
    files.map(|path| std::fs::metadata(path).and_then(|m| Ok((m.modified()?, m.ino(), m.len()))).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Certificate;

    /// A certificate that was good for some days of the year 2000.
    fn expired(folder: &Path) -> Config {
        let mut params = rcgen::CertificateParams::new(vec!["mx.example.org".to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2000, 1, 9);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        let files = Certificate { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
        std::fs::write(&files.cert, certificate.pem()).expect("written");
        std::fs::write(&files.key, key.serialize_pem()).expect("written");
        let text = "[server]\nhostname = \"mx.example.org\"\n";
        let mut config: Config = toml::from_str(text).expect("a configuration");
        config.tls.certificate.push(files);
        config
    }

    #[test]
    fn an_expired_certificate_is_served_only_where_it_was_served_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = expired(folder.path());
        let fault = load(&config, None).expect_err("it must be refused");
        assert!(
            fault.exit == Exit::Certificate && fault.message.contains("expired on 2000-01-09"),
            "{}",
            fault.message
        );
        let files = &config.tls.certificate[0];
        let files = CertificateFiles { certificate: files.cert.clone(), key: files.key.clone() };
        let served = Identities::new(vec![Identity::load(&files).expect("it reads well")]).expect("one");
        assert!(load(&config, Some(&served)).is_ok());
        let other = tempfile::tempdir().expect("a folder");
        assert!(load(&expired(other.path()), Some(&served)).is_err());
    }
}
