use super::*;

fn files() -> CertificateFiles {
    CertificateFiles { certificate: "cert.pem".into(), key: "key.pem".into() }
}

fn pem(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn identity(names: &[&str]) -> Identity {
    let (certificate, key) = pem(names);
    Identity::from_pem(certificate.as_bytes(), key.as_bytes(), &files()).unwrap()
}

fn names_of(identities: &Identities, asked: Option<&str>) -> Vec<String> {
    let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
    identities.choose_for(asked, &schemes).identity.info.names.clone()
}

#[test]
fn a_key_of_another_certificate_is_an_error_that_names_both_files() {
    let (certificate, _) = pem(&["mx.example.org"]);
    let (_, key) = pem(&["mx.example.org"]);
    let error = Identity::from_pem(certificate.as_bytes(), key.as_bytes(), &files()).unwrap_err();
    assert!(matches!(error, TlsError::Mismatch { .. }), "{error:?}");
    assert!(error.to_string().contains("cert.pem") && error.to_string().contains("key.pem"));
}

#[test]
fn a_file_without_certificate_or_key_is_named() {
    let (certificate, key) = pem(&["mx.example.org"]);
    let error = Identity::from_pem(b"hello", key.as_bytes(), &files()).unwrap_err();
    assert!(matches!(error, TlsError::NoCertificate(_)), "{error:?}");
    let error = Identity::from_pem(certificate.as_bytes(), b"hello", &files()).unwrap_err();
    assert!(matches!(error, TlsError::NoKey(_)), "{error:?}");
    let missing = CertificateFiles { certificate: "/nonexistent/cert.pem".into(), key: "/nonexistent/key.pem".into() };
    assert!(matches!(Identity::load(&missing).unwrap_err(), TlsError::Read { .. }));
}

#[test]
fn the_certificate_is_chosen_by_the_name_asked_for() {
    let all = vec![identity(&["mx.example.org"]), identity(&["*.example.net"]), identity(&["mail.example.com"])];
    let identities = Identities::new(all).unwrap();
    assert_eq!(names_of(&identities, Some("MAIL.example.com")), ["mail.example.com"]);
    assert_eq!(names_of(&identities, Some("a.example.net")), ["*.example.net"]);
}

#[test]
fn a_wildcard_stands_for_one_label_only() {
    let identities = Identities::new(vec![identity(&["mx.example.org"]), identity(&["*.example.net"])]).unwrap();
    assert_eq!(names_of(&identities, Some("a.b.example.net")), ["mx.example.org"]);
    assert_eq!(names_of(&identities, Some("example.net")), ["mx.example.org"]);
}

#[test]
fn an_unknown_name_or_none_gets_the_first_certificate() {
    let identities = Identities::new(vec![identity(&["mx.example.org"]), identity(&["mail.example.com"])]).unwrap();
    assert_eq!(names_of(&identities, None), ["mx.example.org"]);
    assert_eq!(names_of(&identities, Some("nobody.example")), ["mx.example.org"]);
}

#[test]
fn no_tickets_are_given_where_they_are_off() {
    let identities = Identities::new(vec![identity(&["mx.example.org"])]).unwrap();
    let shown = identities.choose_for(None, &[]);
    assert_eq!(shown.config(false).send_tls13_tickets, 0);
    assert!(shown.config(true).send_tls13_tickets > 0);
    assert!(!shown.config(false).session_storage.can_cache());
}

#[test]
fn the_end_point_is_the_sha_256_of_a_sha_256_certificate() {
    use sha2::Digest;
    let identity = identity(&["mx.example.org"]);
    assert_eq!(identity.end_point, sha2::Sha256::digest(identity.der()).to_vec());
}

#[test]
fn validity_is_told() {
    let identity = identity(&["mx.example.org"]);
    assert!(identity.info().valid_at(1_800_000_000));
    assert!(!identity.info().valid_at(identity.info().not_after + 1));
}
