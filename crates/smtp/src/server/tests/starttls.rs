//! STARTTLS (RFC 3207), and what is put behind it.

use super::peer::{ENVELOPE, Peer, accept_all, config, submission};
use crate::server::{Event, ServerConfig};

fn offering() -> ServerConfig {
    ServerConfig { starttls: true, ..config() }
}

#[test]
fn starttls_injection_is_refused_and_never_run() {
    for behind in ["MAIL FROM:<evil@example.org>\r\n", "EHLO evil.example\r\n", "x", "\n", "\r\n", "\x16\x03\x01"] {
        let mut peer = Peer::greeted(offering());
        let said = peer.ask(format!("STARTTLS\r\n{behind}"));
        assert!(said.starts_with("554 5.5.1 ") && said.lines().count() == 1, "{behind:?}: {said}");
        assert!(peer.closed && !peer.starts_tls && peer.mails() == 0, "{behind:?}");
        assert!(peer.events.iter().any(|e| matches!(e, Event::Misbehaved(_))));
    }
}

#[test]
fn octets_between_the_220_and_the_handshake_end_the_session() {
    let mut peer = Peer::greeted(offering());
    assert_eq!(peer.codes_of("STARTTLS\r\n"), [220]);
    assert!(peer.starts_tls);
    peer.send("MAIL FROM:<evil@example.org>\r\n");
    assert!(peer.closed && peer.mails() == 0);
    peer.session.handle_tls(peer.now, super::peer::tls());
    peer.drain();
    assert!(peer.session.tls().is_none(), "a session that ended does not begin again");
}

#[test]
fn everything_is_forgotten_at_the_handshake() {
    let mut peer = Peer::greeted(offering());
    assert_eq!(peer.codes_of(format!("{ENVELOPE}STARTTLS\r\n")), [250, 250, 220]);
    assert!(peer.session.transaction().is_none(), "STARTTLS in a transaction ends it");
    peer.handshake();
    assert!(peer.take().is_empty(), "no second greeting");
    assert!(peer.session.helo().is_none());
    assert_eq!(peer.codes_of("MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"), [503, 503, 503]);
    assert_eq!(peer.codes_of("EHLO c.example\r\nDATA\r\n"), [250, 503]);
}

#[test]
fn starttls_ends_a_letter_in_chunks() {
    let mut peer = Peer::greeted(offering());
    assert_eq!(peer.codes_of(format!("{ENVELOPE}BDAT 1\r\nxSTARTTLS\r\n")), [250, 250, 250, 220]);
    assert_eq!((peer.abandoned, peer.has_draft()), (1, false));
}

#[test]
fn starttls_twice_with_an_argument_or_not_offered_is_refused() {
    let mut peer = Peer::greeted(offering());
    assert_eq!(peer.codes_of("STARTTLS now\r\n"), [501]);
    assert_eq!(peer.codes_of("STARTTLS\r\n"), [220]);
    peer.handshake();
    let offer = peer.ask("EHLO c.example\r\n");
    assert!(!offer.contains("STARTTLS") && offer.contains("REQUIRETLS"), "{offer}");
    assert_eq!(peer.codes_of("STARTTLS\r\n"), [503]);
    assert_eq!(Peer::greeted(config()).codes_of("STARTTLS\r\n"), [502]);
    let mut peer = Peer::with_tls(offering(), accept_all());
    peer.take();
    assert_eq!(peer.codes_of("EHLO c.example\r\nSTARTTLS\r\n"), [250, 503]);
}

#[test]
fn mail_needs_tls_where_it_is_required() {
    let mut peer = Peer::greeted(ServerConfig { require_tls: true, ..offering() });
    let said = peer.ask("MAIL FROM:<a@example.org>\r\n");
    assert!(said.starts_with("530 5.7.0 Must issue STARTTLS first"), "{said}");
    peer.send("STARTTLS\r\n");
    peer.handshake();
    peer.take();
    assert_eq!(peer.codes_of(format!("EHLO c.example\r\n{ENVELOPE}")), [250, 250, 250]);
}

#[test]
fn authentication_is_offered_and_taken_under_tls_only() {
    let mut peer = Peer::new(submission(), accept_all());
    assert!(!peer.ask("EHLO c.example\r\n").contains("AUTH"));
    peer.send("STARTTLS\r\n");
    peer.handshake();
    peer.take();
    let offer = peer.ask("EHLO c.example\r\n");
    assert!(offer.contains("AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN\r\n"), "{offer}");
}
