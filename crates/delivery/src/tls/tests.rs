use super::*;

fn certificate(algorithm: &'static rcgen::SignatureAlgorithm) -> CertificateDer<'static> {
    let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
    rcgen::CertificateParams::new(vec!["mx.example".to_owned()]).unwrap().self_signed(&key).unwrap().der().clone()
}

#[test]
fn the_end_point_is_hashed_as_the_certificate_is_signed() {
    for (algorithm, octets) in [(&rcgen::PKCS_ECDSA_P256_SHA256, 32), (&rcgen::PKCS_ECDSA_P384_SHA384, 48)] {
        let certificate = certificate(algorithm);
        assert_eq!(end_point(&certificate).map(|hash| hash.expose().len()), Some(octets));
    }
    let p256 = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
    assert_eq!(end_point(&p256).unwrap().expose(), sha2::Sha256::digest(&p256).as_slice());
    // RFC 5929 §4.1 leaves it undefined where the signature has no hash of its own.
    assert_eq!(end_point(&certificate(&rcgen::PKCS_ED25519)), None);
}

#[test]
fn no_octets_of_a_certificate_are_trusted_to_be_there() {
    let good = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
    for cut in 0..good.len() {
        let _ = end_point(&good[..cut]);
    }
    for (at, _) in good.iter().enumerate().take(64) {
        let mut bad = good.to_vec();
        bad[at] ^= 0xff;
        let _ = end_point(&bad);
    }
    assert_eq!(signature_algorithm(b""), None);
    assert_eq!(signature_algorithm(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
}

#[test]
fn ciphers_have_their_iana_names() {
    assert_eq!(cipher_name(rustls::CipherSuite::TLS13_AES_256_GCM_SHA384), "TLS_AES_256_GCM_SHA384");
    assert_eq!(
        cipher_name(rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    );
}
