//! AUTH (RFC 4954).

use super::peer::{ENVELOPE, Peer, accept_all, answering, config, submission, tls};
use crate::reply::Reply;
use crate::sasl::{ClientExchange, Mechanism, ScramVerifier, decode_base64, encode_base64};
use crate::secret::Secret;
use crate::server::{Answer, AuthQuestion, Event, Question, ServerConfig, ServerLimits};

const PLAIN: &str = "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n"; // \0user\0secret
const WRONG: &str = "AUTH PLAIN AHVzZXIAd3Jvbmc=\r\n"; // \0user\0wrong

fn greeted(config: ServerConfig) -> Peer {
    let mut peer = Peer::with_tls(config, accept_all());
    peer.send("EHLO c.example\r\n");
    peer.take();
    peer
}

#[test]
fn plain_and_login_authenticate() {
    let mut peer = greeted(submission());
    assert_eq!(peer.codes_of("MAIL FROM:<a@example.org>\r\n"), [530]);
    assert_eq!(peer.codes_of(PLAIN), [235]);
    assert_eq!(peer.session.authenticated(), Some("user"));
    assert_eq!(peer.session.protocol_word(), "ESMTPSA");
    assert_eq!(peer.codes_of(ENVELOPE), [250, 250]);

    let mut peer = greeted(submission());
    assert_eq!(peer.ask("AUTH LOGIN\r\n"), "334 VXNlcm5hbWU6\r\n");
    assert_eq!(peer.ask("dXNlcg==\r\n"), "334 UGFzc3dvcmQ6\r\n");
    assert_eq!(peer.codes_of("c2VjcmV0\r\n"), [235]);

    let mut peer = greeted(submission());
    assert_eq!(peer.codes_of("auth plain\r\nAHVzZXIAc2VjcmV0\r\n"), [334, 235]);
}

#[test]
fn auth_1_foreign_authorization_identity_is_refused() {
    let line = format!("AUTH PLAIN {}\r\n", encode_base64(b"admin\0user\0secret"));
    let mut peer = greeted(submission());
    assert_eq!(peer.codes_of(line), [535]);
    assert!(peer.session.authenticated().is_none());
    assert!(!peer.questions.iter().any(|q| matches!(q, Question::Auth(_))), "policy is not even asked");
    let line = format!("AUTH PLAIN {}\r\n", encode_base64(b"user\0user\0secret"));
    assert_eq!(peer.codes_of(line), [235]);
}

/// `AUTH` and the password, the mechanism forgotten.
#[test]
fn auth_3_what_stands_in_the_place_of_a_mechanism_is_not_logged() {
    let mut peer = Peer::with_tls(submission(), accept_all());
    peer.send(
        "EHLO c.example\r\nAUTH aHVudGVyMg==\r\nauth HUNTER2 x\r\nAUTH hunter2\r\nAUTH xoauth2 hunter2\r\nAUTH\r\n",
    );
    let shown = peer.commands()[1..].join("|");
    assert_eq!(shown, "AUTH (mechanism) (response)|".repeat(3) + "AUTH XOAUTH2 (response)|AUTH (mechanism) (response)");
}

#[test]
fn auth_3_no_secret_reaches_the_log() {
    let mut peer = greeted(ServerConfig { starttls: false, ..submission() });
    let typed = [WRONG, "AUTH LOGIN\r\n", "c2VjcmV0\r\n", "c2VjcmV0\r\n", " AUTH PLAIN c2VjcmV0\r\n", "c2VjcmV0\r\n"];
    typed.iter().for_each(|line| peer.send(line));
    let log = format!("{:?} {:?}", peer.events, peer.questions);
    for secret in ["c2VjcmV0", "d3Jvbmc", "wrong", "AHVz"] {
        assert!(!log.replace("\"wrong\"", "").contains(secret), "{secret} in {log}");
    }
    // In the clear AUTH is refused, and the client goes on with its responses.
    let mut peer = Peer::greeted(ServerConfig { auth: vec![Mechanism::Login], ..config() });
    ["AUTH LOGIN\r\n", "c2VjcmV0\r\n"].iter().for_each(|line| peer.send(line));
    assert_eq!(peer.commands()[1..], ["AUTH LOGIN (response)", "(not understood)"]);
}

#[test]
fn auth_4_auth_without_tls_is_refused_and_not_offered() {
    let mut peer = Peer::new(submission(), accept_all());
    assert!(!peer.ask("EHLO c.example\r\n").contains("AUTH"));
    let said = peer.ask(PLAIN);
    assert!(said.starts_with("538 5.7.11 "), "{said}");
    assert_eq!(Peer::greeted(config()).codes_of(PLAIN), [503]);
    assert!(!peer.questions.iter().any(|q| matches!(q, Question::Auth(_))));
}

#[test]
fn auth_5_auth_in_a_transaction_or_twice_is_refused() {
    let mut peer = greeted(ServerConfig { require_auth: false, ..submission() });
    assert_eq!(peer.codes_of(format!("{ENVELOPE}{PLAIN}RSET\r\n{PLAIN}{PLAIN}")), [250, 250, 503, 250, 235, 503]);
}

#[test]
fn auth_5_star_cancels() {
    let mut peer = greeted(submission());
    assert_eq!(peer.codes_of("AUTH PLAIN\r\n*\r\nNOOP\r\n"), [334, 501, 250]);
    assert_eq!(peer.codes_of("AUTH LOGIN\r\ndXNlcg==\r\n*\r\n"), [334, 334, 501]);
    assert!(peer.session.authenticated().is_none());
}

#[test]
fn auth_5_base64_is_strict() {
    for response in ["AHVzZXIAc2VjcmV", "AHVz ZXIA", "AHVzZXIAc2VjcmV0=", "!", "AHVzZXIAc2VjcmV1\u{e9}"] {
        let mut peer = greeted(submission());
        assert_eq!(peer.codes_of(format!("AUTH PLAIN\r\n{response}\r\n"))[1..], [501], "{response}");
    }
    let mut peer = greeted(submission());
    assert_eq!(peer.codes_of("AUTH PLAIN !\r\nAUTH PLAIN =\r\nAUTH CRAM-MD5\r\nAUTH\r\n"), [501, 501, 504, 501]);
}

#[test]
fn auth_5_line_has_its_own_limit() {
    let mut peer = greeted(submission());
    let long = "A".repeat(12_288 - "AUTH PLAIN \r\n".len());
    assert_eq!(peer.codes_of(format!("AUTH PLAIN {long}\r\n")), [501]);
    assert_eq!(peer.codes_of(format!("AUTH PLAIN {long}A\r\n")), [500]);
    let said = peer.ask(format!("AUTH PLAIN\r\n{long}{long}\r\nNOOP\r\n"));
    assert!(said.contains("\r\n500 5.5.6 ") && said.ends_with("250 2.0.0 OK\r\n"), "{said}");
}

#[test]
fn auth_6_failures_end_the_session() {
    let mut peer = greeted(submission());
    assert_eq!(peer.codes_of(WRONG.repeat(5)), [535, 535, 535, 421]);
    assert!(peer.closed);
    let mut peer =
        greeted(ServerConfig { limits: ServerLimits { auth_failures: 0, ..Default::default() }, ..submission() });
    assert_eq!(peer.codes_of(WRONG), [421]);
}

fn scram(mechanism: Mechanism, verifier: ScramVerifier, allowed: bool) -> (Vec<u16>, Option<String>) {
    let policy = answering(move |question| match question {
        Question::Auth(AuthQuestion::ScramVerifier { .. }) => Some(Answer::Scram(verifier.clone())),
        Question::Auth(AuthQuestion::ScramProved { .. }) if !allowed => {
            Some(Answer::Reply(Reply::new(535, (5, 7, 8), "disabled")))
        }
        _ => None,
    });
    let mut peer = Peer::with_tls(submission(), policy);
    peer.send("EHLO c.example\r\n");
    peer.take();
    // Without -PLUS the client is one that cannot bind the channel.
    let tls = (mechanism == Mechanism::ScramSha256Plus).then(tls);
    let mut client = ClientExchange::new(mechanism, "user", &Secret::new(*b"secret"), tls.as_ref()).unwrap();
    let initial = client.initial();
    let mut codes = Vec::new();
    let mut said = peer.ask(match initial {
        Some(initial) => format!("AUTH {mechanism} {}\r\n", encode_base64(initial.expose())),
        None => format!("AUTH {mechanism}\r\n"),
    });
    for _ in 0..5 {
        codes.push(said[..3].parse().unwrap());
        let Some(challenge) = said.strip_prefix("334 ") else { break };
        let response = match client.step(&decode_base64(challenge.trim_end().as_bytes()).unwrap()) {
            Ok(response) => encode_base64(response.expose()),
            Err(_) => "*".to_owned(),
        };
        said = peer.ask(format!("{response}\r\n"));
    }
    (codes, peer.session.authenticated().map(str::to_owned))
}

#[test]
fn auth_8_scram_proves_both_sides() {
    let verifier = || ScramVerifier::derive(&Secret::new(*b"secret"), b"salt", 4096);
    for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha256Plus] {
        let (codes, account) = scram(mechanism, verifier(), true);
        assert_eq!((codes.as_slice(), account.as_deref()), ([334, 334, 235].as_slice(), Some("user")), "{mechanism}");
    }
    let wrong = ScramVerifier::derive(&Secret::new(*b"other"), b"salt", 4096);
    let (codes, account) = scram(Mechanism::ScramSha256Plus, wrong, true);
    assert_eq!((codes.as_slice(), account), ([334, 535].as_slice(), None));
    let (codes, account) = scram(Mechanism::ScramSha256Plus, verifier(), false);
    assert_eq!((codes.as_slice(), account), ([334, 535].as_slice(), None), "proved, but policy says no");
}

#[test]
fn verifier_is_no_authentication() {
    let mut peer = greeted(submission());
    let first = encode_base64(b"n,,n=user,r=abcdefghijklmnop");
    assert_eq!(peer.codes_of(format!("AUTH SCRAM-SHA-256 {first}\r\n")), [454]);
    assert!(peer.session.authenticated().is_none());
    assert!(peer.events.iter().all(|e| !matches!(e, Event::Command(c) if c.contains(&first))));
}
