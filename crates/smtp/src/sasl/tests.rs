//! The vectors of the RFCs, both sides against each other, and what must fail.

use proptest::prelude::*;

use super::*;

const PLUS: &[Mechanism] = &[Mechanism::ScramSha256Plus, Mechanism::ScramSha256];
const NO_PLUS: &[Mechanism] = &[Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes())
}

fn tls(protocol: &'static str) -> TlsInfo {
    TlsInfo {
        protocol,
        cipher: "TLS_AES_256_GCM_SHA384".into(),
        server_name: None,
        exporter: Some(secret("exported key material")),
        end_point: Some(secret("hash of the certificate")),
        verified: Ok(()),
    }
}

fn text(step: &Step) -> &str {
    match step {
        Step::Challenge(message) | Step::Proved { final_message: message, .. } => std::str::from_utf8(message).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// RFC 7677 §3.
mod rfc7677 {
    pub const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    pub const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    pub const CLIENT_FINAL: &str =
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    pub const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
}

fn rfc7677_verifier() -> ScramVerifier {
    ScramVerifier::derive(&secret("pencil"), &decode_base64(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), 4096)
}

fn rfc7677_server() -> ServerExchange {
    let (mut server, step) =
        ServerExchange::start(Mechanism::ScramSha256, NO_PLUS, None, Some(rfc7677::CLIENT_FIRST.as_bytes()));
    assert_eq!(step, Step::NeedVerifier { authcid: "user".into() });
    let step = server.scram_challenge(rfc7677_verifier(), "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0").unwrap();
    assert_eq!(text(&step), rfc7677::SERVER_FIRST);
    server
}

#[test]
fn the_server_speaks_the_vector_of_rfc7677() {
    let step = rfc7677_server().step(rfc7677::CLIENT_FINAL.as_bytes());
    assert_eq!(step, Step::Proved { authcid: "user".into(), final_message: rfc7677::SERVER_FINAL.into() });
}

#[test]
fn the_client_speaks_the_vector_of_rfc7677() {
    let nonce = "rOprNGfwEbeRWgbNEkqO";
    let mut client =
        ClientExchange::with_nonce(Mechanism::ScramSha256, "user", &secret("pencil"), None, nonce).unwrap();
    assert_eq!(client.initial(), Some(secret(rfc7677::CLIENT_FIRST)));
    assert_eq!(client.step(rfc7677::SERVER_FIRST.as_bytes()), Ok(secret(rfc7677::CLIENT_FINAL)));
    assert_eq!(client.finish(), Err(SaslError::ServerUnproved));
    assert_eq!(client.step(rfc7677::SERVER_FINAL.as_bytes()), Ok(secret("")));
    assert_eq!(client.finish(), Ok(()));
}

/// Runs both sides until the server decides; SCRAM's client then hears the server's proof.
fn meet(mechanism: Mechanism, client: &mut ClientExchange, server_tls: Option<&TlsInfo>, password: &str) -> Step {
    let offered = if server_tls.is_some() { PLUS } else { NO_PLUS };
    let initial = client.initial();
    let (mut server, mut step) =
        ServerExchange::start(mechanism, offered, server_tls, initial.as_ref().map(Secret::expose));
    for _ in 0..4 {
        step = match &step {
            Step::Challenge(challenge) => match client.step(challenge) {
                Ok(response) => server.step(response.expose()),
                Err(error) => return Step::Failed(error),
            },
            Step::NeedVerifier { authcid } => {
                assert_eq!(authcid, "jürgen,=@d.example");
                server.handle_verifier(ScramVerifier::derive(&secret(password), b"salt", 4096))
            }
            Step::Proved { final_message, .. } => {
                assert_eq!(client.step(final_message), Ok(secret("")));
                return step;
            }
            Step::NeedPassword { .. } | Step::Failed(_) => return step,
        };
    }
    panic!("it does not end: {step:?}")
}

fn client(mechanism: Mechanism, tls: Option<&TlsInfo>) -> ClientExchange {
    ClientExchange::new(mechanism, "jürgen,=@d.example", &secret("pässword, =\u{a0}n"), tls).unwrap()
}

#[test]
fn each_mechanism_meets_its_other_side() {
    for protocol in ["TLSv1.2", "TLSv1.3"] {
        let tls = tls(protocol);
        for mechanism in [Mechanism::Plain, Mechanism::Login] {
            let mut client = client(mechanism, Some(&tls));
            let step = meet(mechanism, &mut client, Some(&tls), "");
            let password = secret("pässword, = n");
            assert_eq!(step, Step::NeedPassword { authcid: "jürgen,=@d.example".into(), password });
            assert_eq!(client.finish(), Ok(()));
        }
        for (mechanism, tls) in [(Mechanism::ScramSha256, None), (Mechanism::ScramSha256Plus, Some(&tls))] {
            let mut right = client(mechanism, tls);
            let step = meet(mechanism, &mut right, tls, "pässword, = n");
            assert!(matches!(step, Step::Proved { .. }), "{step:?}");
            assert_eq!(right.finish(), Ok(()));
            let mut wrong = client(mechanism, tls);
            assert_eq!(meet(mechanism, &mut wrong, tls, "password"), Step::Failed(SaslError::WrongProof));
            assert_ne!(wrong.finish(), Ok(()));
        }
    }
}

#[test]
fn without_an_initial_response_the_first_challenge_asks_for_it() {
    for (mechanism, challenge) in
        [(Mechanism::Plain, ""), (Mechanism::Login, "Username:"), (Mechanism::ScramSha256, "")]
    {
        let (mut server, step) = ServerExchange::start(mechanism, NO_PLUS, None, None);
        assert_eq!(text(&step), challenge);
        let mut client = client(mechanism, None);
        let step = server.step(client.step(challenge.as_bytes()).unwrap().expose());
        assert!(!matches!(step, Step::Failed(_)), "{step:?}");
    }
    let (_, step) = ServerExchange::start(Mechanism::Login, NO_PLUS, None, Some(b"tim"));
    assert_eq!(text(&step), "Password:");
}

fn plain(message: &[u8]) -> Step {
    ServerExchange::start(Mechanism::Plain, NO_PLUS, None, Some(message)).1
}

#[test]
fn authzid_is_empty_or_the_user() {
    let granted = Step::NeedPassword { authcid: "tim".into(), password: secret("tanstaaftanstaaf") };
    // RFC 4616 §4, both examples; in the second Ursel asks to act for Kurt.
    assert_eq!(plain(b"\0tim\0tanstaaftanstaaf"), granted);
    assert_eq!(plain(b"tim\0tim\0tanstaaftanstaaf"), granted);
    assert_eq!(plain(b"Ursel\0Kurt\0xipj3plmq"), Step::Failed(SaslError::ForeignIdentity));

    let scram = |header: &str| {
        let message = format!("{header}n=user,r=nonce");
        ServerExchange::start(Mechanism::ScramSha256, NO_PLUS, None, Some(message.as_bytes())).1
    };
    assert_eq!(scram("n,a=user,"), Step::NeedVerifier { authcid: "user".into() });
    assert_eq!(scram("n,a=other,"), Step::Failed(SaslError::ForeignIdentity));
    assert_eq!(scram("n,other,"), Step::Failed(SaslError::Malformed));
}

#[test]
fn plain_has_exactly_two_nuls_and_nothing_empty() {
    for bad in [&b""[..], b"tim", b"\0tim", b"\0\0pass", b"\0tim\0", b"\0tim\0pass\0", b"\0tim\0pa\0ss"] {
        assert!(matches!(plain(bad), Step::Failed(SaslError::Malformed | SaslError::BadText)), "{bad:?}");
    }
}

#[test]
fn control_characters_are_in_no_name_and_no_password() {
    for bad in ["a\r\nb", "a\u{85}", "\u{7f}", "a\u{2028}b", "a\tb"] {
        assert_eq!(plain(format!("\0{bad}\0pass").as_bytes()), Step::Failed(SaslError::BadText), "{bad:?}");
        assert_eq!(plain(format!("\0tim\0{bad}").as_bytes()), Step::Failed(SaslError::BadText), "{bad:?}");
    }
    assert_eq!(plain(b"\0tim\0\xff"), Step::Failed(SaslError::BadText));
    assert_eq!(plain(&[b"\0tim\0", &[b'x'; 1025][..]].concat()), Step::Failed(SaslError::BadText));
}

#[test]
fn a_client_that_did_not_see_our_offer_is_being_deceived() {
    let first = |mechanism, offered, flag: &str| {
        let tls = tls("TLSv1.3");
        let message = format!("{flag},,n=user,r=nonce");
        ServerExchange::start(mechanism, offered, Some(&tls), Some(message.as_bytes())).1
    };
    let fine = Step::NeedVerifier { authcid: "user".into() };
    assert_eq!(first(Mechanism::ScramSha256, PLUS, "y"), Step::Failed(SaslError::Downgraded));
    assert_eq!(first(Mechanism::ScramSha256, NO_PLUS, "y"), fine);
    assert_eq!(first(Mechanism::ScramSha256, PLUS, "n"), fine);
    assert_eq!(first(Mechanism::ScramSha256Plus, PLUS, "p=tls-exporter"), fine);
    assert_eq!(first(Mechanism::ScramSha256Plus, PLUS, "p=tls-server-end-point"), fine);
    assert_eq!(first(Mechanism::ScramSha256Plus, PLUS, "p=tls-unique"), Step::Failed(SaslError::UnsupportedBinding));
    assert_eq!(first(Mechanism::ScramSha256Plus, PLUS, "n"), Step::Failed(SaslError::Malformed));
    assert_eq!(first(Mechanism::ScramSha256, PLUS, "p=tls-exporter"), Step::Failed(SaslError::Malformed));
}

#[test]
fn a_proof_for_another_connection_is_refused() {
    let ours = tls("TLSv1.3");
    let theirs = TlsInfo { exporter: Some(secret("another connection")), ..ours.clone() };
    let mut client = client(Mechanism::ScramSha256Plus, Some(&theirs));
    let step = meet(Mechanism::ScramSha256Plus, &mut client, Some(&ours), "pässword, = n");
    assert_eq!(step, Step::Failed(SaslError::WrongBinding));
}

#[test]
fn a_changed_final_message_proves_nothing() {
    for (from, to, error) in [
        ("r=rOpr", "r=xOpr", SaslError::WrongNonce),
        ("c=biws", "c=eSws", SaslError::WrongBinding),
        ("k0,p=", "k0,x=y,p=", SaslError::WrongProof),
        ("p=dHzb", "p=eHzb", SaslError::WrongProof),
        ("p=dHzb", "p=", SaslError::Malformed),
        (",p=dHzb", ",q=dHzb", SaslError::Malformed),
    ] {
        let message = rfc7677::CLIENT_FINAL.replace(from, to);
        assert_ne!(message, rfc7677::CLIENT_FINAL);
        assert_eq!(rfc7677_server().step(message.as_bytes()), Step::Failed(error), "{message}");
    }
}

#[test]
fn malformed_first_messages_are_refused() {
    for bad in [
        "",
        "n",
        "n,,",
        "n,,n=user",
        "n,,r=nonce,n=user",
        "n,,m=ext,n=user,r=nonce",
        "n,,n=us=er,r=nonce",
        "x,,n=u,r=n",
        "n,,n=,r=nonce",
        "n,,n=user,r=",
        "n,,n=user,r=no nce",
        "n,,n=us\0er,r=nonce",
        "n,,n=us\ner,r=nonce",
    ] {
        let (_, step) = ServerExchange::start(Mechanism::ScramSha256, NO_PLUS, None, Some(bad.as_bytes()));
        assert!(matches!(step, Step::Failed(_)), "{bad}: {step:?}");
    }
}

#[test]
fn what_comes_out_of_turn_fails() {
    let out_of_order = Step::Failed(SaslError::OutOfOrder);
    let (mut server, _) = ServerExchange::start(Mechanism::ScramSha256, NO_PLUS, None, None);
    assert_eq!(server.handle_verifier(rfc7677_verifier()), out_of_order);
    let (mut server, _) = ServerExchange::start(Mechanism::ScramSha256, NO_PLUS, None, Some(b"n,,n=user,r=nonce"));
    assert_eq!(server.step(b"anything"), out_of_order);
    let mut server = rfc7677_server();
    assert!(matches!(server.step(rfc7677::CLIENT_FINAL.as_bytes()), Step::Proved { .. }));
    assert_eq!(server.step(rfc7677::CLIENT_FINAL.as_bytes()), out_of_order);
}

fn client_answer(challenge: &str) -> Result<Secret, SaslError> {
    let nonce = "rOprNGfwEbeRWgbNEkqO";
    let mut client =
        ClientExchange::with_nonce(Mechanism::ScramSha256, "user", &secret("pencil"), None, nonce).unwrap();
    client.initial();
    client.step(challenge.as_bytes())
}

#[test]
fn the_client_refuses_what_a_hostile_server_says() {
    let from = |from: &str, to: &str| client_answer(&rfc7677::SERVER_FIRST.replace(from, to));
    assert_eq!(from("i=4096", "i=4095"), Err(SaslError::BadIterations(4095)));
    assert_eq!(from("i=4096", "i=4000000000"), Err(SaslError::BadIterations(4_000_000_000)));
    assert_eq!(from("i=4096", "i=99999999999"), Err(SaslError::Malformed));
    assert_eq!(from("i=4096", "i=+4096"), Err(SaslError::Malformed));
    assert_eq!(from("r=rOpr", "r=xOpr"), Err(SaslError::WrongNonce));
    assert_eq!(from("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", ""), Err(SaslError::WrongNonce));
    assert_eq!(from("s=W22ZaJ0SNY7soEsUEjb6gQ==", "s="), Err(SaslError::Malformed));
    assert_eq!(from("r=", "m=x,r="), Err(SaslError::Malformed));
    assert_eq!(client_answer("e=other-error\u{1b}[2J"), Err(SaslError::ServerRefused("other-error[2J".into())));
}

#[test]
fn a_server_that_does_not_know_the_password_is_not_believed() {
    for (verdict, error) in [
        ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", SaslError::Malformed),
        ("v=AAriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", SaslError::ServerUnproved),
        ("e=invalid-proof", SaslError::ServerRefused("invalid-proof".into())),
        ("", SaslError::Malformed),
    ] {
        let nonce = "rOprNGfwEbeRWgbNEkqO";
        let mut client =
            ClientExchange::with_nonce(Mechanism::ScramSha256, "user", &secret("pencil"), None, nonce).unwrap();
        client.initial();
        client.step(rfc7677::SERVER_FIRST.as_bytes()).unwrap();
        assert_eq!(client.step(verdict.as_bytes()), Err(error), "{verdict}");
        assert_ne!(client.finish(), Ok(()));
    }
}

#[test]
fn the_client_takes_the_strongest_that_fits() {
    let offered: Vec<String> =
        ["LOGIN", "PLAIN", "scram-sha-256", "SCRAM-SHA-256-PLUS", "XOAUTH2"].map(Into::into).into();
    let bare = TlsInfo { exporter: None, end_point: None, ..tls("TLSv1.3") };
    assert_eq!(Mechanism::choose(&offered, Some(&tls("TLSv1.3")), false), Some(Mechanism::ScramSha256Plus));
    assert_eq!(Mechanism::choose(&offered, Some(&bare), false), Some(Mechanism::ScramSha256));
    assert_eq!(Mechanism::choose(&offered[..2], Some(&bare), false), Some(Mechanism::Plain));
    assert_eq!(Mechanism::choose(&offered[..2], None, false), None);
    assert_eq!(Mechanism::choose(&offered[..1], None, true), Some(Mechanism::Login));
}

#[test]
fn mechanism_names_are_read_back() {
    for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256, Mechanism::ScramSha256Plus] {
        assert_eq!(mechanism.to_string().to_lowercase().parse(), Ok(mechanism));
    }
    assert_eq!("CRAM-MD5".parse::<Mechanism>(), Err(UnknownMechanism));
}

#[test]
fn base64_is_strict() {
    assert_eq!(decode_base64(b"dGVzdA=="), Ok(b"test".to_vec()));
    assert_eq!(decode_base64(b""), Ok(vec![]));
    assert_eq!(decode_initial(b"="), Ok(vec![]));
    for bad in ["dGVzdA", "dGVzdA=", "dGVzdB==", "dGVz dA==", "dGVzdA==\r", "=", "dGVzdA==dGVzdA==", "dGVz-_=="] {
        assert_eq!(decode_base64(bad.as_bytes()), Err(SaslError::BadBase64), "{bad}");
    }
}

#[test]
fn a_stored_verifier_is_read_back() {
    let verifier = ScramVerifier::generate(&secret("pencil"), 4096).unwrap();
    assert_eq!(ScramVerifier::decode(&verifier.encode()), Ok(verifier.clone()));
    assert!(verifier.verify(&secret("pencil")) && !verifier.verify(&secret("pencils")));
    assert_eq!(
        rfc7677_verifier().encode(),
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    );
    for bad in ["", "SCRAM-SHA-256$", "SCRAM-SHA-1$4096:AAAA$AA==:AA==", "SCRAM-SHA-256$0:AAAA$AA==:AA=="] {
        assert_eq!(ScramVerifier::decode(bad), Err(BadVerifier));
    }
}

#[test]
fn a_made_up_verifier_stays_the_same_for_its_name() {
    let of = |name, key| ScramVerifier::made_up(name, &secret(key), 4096);
    assert_eq!(of("ghost", "k"), of("ghost", "k"));
    assert_ne!(of("ghost", "k").salt, of("spook", "k").salt);
    assert_ne!(of("ghost", "k").salt, of("ghost", "l").salt);
    assert_eq!(of("ghost", "k").salt.len(), 16);
}

#[test]
fn no_secret_is_printed() {
    let mut client = client(Mechanism::Plain, None);
    let initial = client.initial().unwrap();
    let verifier = rfc7677_verifier();
    let (_, step) = ServerExchange::start(Mechanism::Plain, NO_PLUS, None, Some(initial.expose()));
    let printed = format!("{client:?} {initial:?} {verifier:?} {step:?}");
    assert!(!["pässw", "cMOkc3"].iter().any(|part| printed.contains(part)), "{printed}");
}

proptest! {
    #[test]
    fn no_response_panics(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..4)) {
        for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256, Mechanism::ScramSha256Plus] {
            let tls = tls("TLSv1.3");
            let (mut server, _) = ServerExchange::start(mechanism, PLUS, Some(&tls), None);
            let mut client = client(mechanism, Some(&tls));
            for message in &messages {
                server.step(message);
                let _ = client.step(message);
            }
        }
    }

    #[test]
    fn names_are_escaped_and_back(name in "[a-z=,23CD]{0,20}") {
        prop_assert_eq!(scram::unescape_name(&scram::escape_name(&name)), Some(name));
    }
}
