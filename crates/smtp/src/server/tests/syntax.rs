//! Cross-protocol openings, relay tricks and other syntax.

use super::peer::{ENVELOPE, Peer, accept_all, config};
use crate::server::{Event, Question, ServerConfig};

#[test]
fn cross_protocol_first_command_ends_the_session() {
    let openings: [&[u8]; 12] = [
        b"GET / HTTP/1.1\r\nHost: mx\r\n\r\nMAIL FROM:<evil@example.org>\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\nEHLO x.example\r\nMAIL FROM:<evil@example.org>\r\n",
        b"CONNECT mx:25 HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"get / http/1.0\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x80\x2e\x01\x03\x01",
        b"\x03\x00\x00\x13\x0e\xe0",
        b"{\"jsonrpc\":\"2.0\"}\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"\0\0\0\x85\xffSMB",
        b" EHLO x.example\r\n",
    ];
    for opening in openings {
        let single: Vec<usize> = (1..opening.len()).collect();
        for cuts in [&[][..], &single] {
            let mut peer = Peer::new(config(), accept_all());
            peer.take();
            peer.send_cut(opening, cuts);
            let said = peer.take();
            assert!(said.starts_with("421 4.7.0 ") && said.lines().count() == 1, "{}: {said}", opening.escape_ascii());
            assert!(peer.closed && peer.mails() == 0);
            assert!(peer.events.iter().any(|e| matches!(e, Event::Misbehaved(_))));
            assert!(said.is_ascii() && !said.contains("mx:25"), "nothing is given back");
        }
    }
}

#[test]
fn cross_protocol_opening_is_also_seen_behind_tls() {
    let mut peer = Peer::with_tls(config(), accept_all());
    peer.take();
    assert_eq!(peer.codes_of("POST / HTTP/1.1\r\n"), [421]);
    let mut peer = Peer::greeted(ServerConfig { starttls: true, ..config() });
    peer.send("STARTTLS\r\n");
    peer.handshake();
    peer.take();
    assert_eq!(peer.codes_of("GET / HTTP/1.1\r\n"), [421]);
}

#[test]
fn later_line_of_another_protocol_is_an_unknown_command() {
    let mut peer = Peer::greeted(config());
    assert_eq!(peer.codes_of("GET / HTTP/1.1\r\n\r\nETRN x\r\nTURN\r\nXCLIENT A=b\r\nEHLOX\r\n"), [500; 6]);
    assert!(!peer.closed);
}

/// What is refused here is refused by the grammar; what is accepted reaches policy as the mailbox that it names, the
/// route dropped, so that relaying is judged by the true domain.
#[test]
fn relay_tricks_are_refused_or_reach_policy_as_what_they_name() {
    let refused = [
        "user@other@local.example",
        "user@other.",
        "user",
        "@local.example",
        "user@",
        "user@local\u{7f}.other",
        "user@[203.0.113.256]",
        "user@[IPv6:::g]",
        "user@[",
        "user@local.example.",
        "(comment)user@local.example",
        "user@local.example (comment)",
        "user name@local.example",
        "\"user@local.example",
        "@a,b:user@local.example",
        "@a,@b:",
        "@-a:user@local.example",
        ".user@local.example",
        "us..er@local.example",
        "a\u{ff20}b@other.example@local.example",
    ];
    for path in refused {
        let mut peer = Peer::greeted(config());
        peer.send("MAIL FROM:<a@example.org>\r\n");
        peer.take();
        let codes = peer.codes_of(format!("RCPT TO:<{path}>\r\n"));
        assert!(matches!(codes[0], 500 | 501 | 553), "{path}: {codes:?}");
        assert!(!peer.questions.iter().any(|q| matches!(q, Question::Rcpt { .. })), "{path}");
    }
    let long = format!("{}@local.example", "x".repeat(65));
    let mut peer = Peer::greeted(config());
    assert_eq!(
        peer.codes_of(format!("MAIL FROM:<{long}>\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<{long}>\r\n")),
        [501, 250, 501]
    );

    let read = [
        ("user%other@local.example", "user%other", "local.example"),
        ("other!user@local.example", "other!user", "local.example"),
        ("@local.example,@x.example:user@other.example", "user", "other.example"),
        ("@local.example:user@other.example", "user", "other.example"),
        ("user+%other@local.example", "user+%other", "local.example"),
        ("\"user@other\"@local.example", "user@other", "local.example"),
        ("\"user%other\"@local.example", "user%other", "local.example"),
        ("\"a b\"@local.example", "a b", "local.example"),
        ("\"a>b\"@local.example", "a>b", "local.example"),
        ("user@LOCAL.example", "user", "local.example"),
        ("|cmd@local.example", "|cmd", "local.example"),
        ("/etc/passwd@local.example", "/etc/passwd", "local.example"),
        ("user@[192.0.2.1]", "user", "[192.0.2.1]"),
        ("user@[IPv6:2001:db8::1]", "user", "[IPv6:2001:db8::1]"),
    ];
    for (path, local, host) in read {
        let mut peer = Peer::greeted(config());
        assert_eq!(peer.codes_of(format!("MAIL FROM:<a@example.org>\r\nRCPT TO:<{path}>\r\n")), [250, 250], "{path}");
        let Some(Question::Rcpt { to: crate::ForwardPath::Mailbox(to), .. }) = peer.questions.last() else {
            panic!("{path}")
        };
        assert_eq!((to.local.as_str(), to.host.to_string().as_str()), (local, host), "{path}");
    }
}

#[test]
fn special_paths_are_read() {
    let mut peer = Peer::greeted(config());
    assert_eq!(
        peer.codes_of("MAIL FROM:<>\r\nRCPT TO:<>\r\nRCPT TO:<Postmaster>\r\nRCPT TO: <b@example.com>\r\n"),
        [250, 501, 250, 250]
    );
    let recipients = &peer.session.transaction().unwrap().recipients;
    assert_eq!(recipients[0].0, crate::ForwardPath::Postmaster);
    assert!(peer.session.transaction().unwrap().from.is_null());
}

#[test]
fn parameters_of_extensions_that_are_not_offered_are_refused() {
    let mail = |parameter: &str, peer: &mut Peer| peer.ask(format!("MAIL FROM:<a@example.org> {parameter}\r\n"));
    let bare = ServerConfig { dsn: false, smtputf8: false, chunking: false, ..config() };
    for parameter in ["SMTPUTF8", "RET=FULL", "ENVID=x", "REQUIRETLS", "AUTH=<>", "X=1", "SOLICIT=a", "=", "SIZE:1"] {
        let said = mail(parameter, &mut Peer::greeted(bare.clone()));
        assert!(said.starts_with("555 5.5.4 "), "{parameter}: {said}");
    }
    for parameter in ["BODY=BINARYMIME", "BODY=9BIT", "SIZE", "SIZE=", "SIZE=-1", "SIZE=+1", "BODY"] {
        let said = mail(parameter, &mut Peer::greeted(bare.clone()));
        assert!(said.starts_with("501 5.5.4 "), "{parameter}: {said}");
    }
    for parameter in ["SIZE=1 SIZE=1", "BODY=7BIT BODY=7BIT", "SMTPUTF8 SMTPUTF8", "SMTPUTF8=1", "RET=ALL", "ENVID="] {
        let said = mail(parameter, &mut Peer::greeted(config()));
        assert!(said.starts_with("501 5.5.4 "), "{parameter}: {said}");
    }
    for parameter in
        ["NOTIFY=NEVER,DELAY", "NOTIFY=", "NOTIFY=ALWAYS", "ORCPT=x", "ORCPT=;x", "NOTIFY=DELAY NOTIFY=DELAY"]
    {
        let mut peer = Peer::greeted(config());
        peer.send("MAIL FROM:<a@example.org>\r\n");
        peer.take();
        let said = peer.ask(format!("RCPT TO:<b@example.com> {parameter}\r\n"));
        assert!(said.starts_with("501 5.5.4 "), "{parameter}: {said}");
    }
}

#[test]
fn nothing_is_offered_behind_helo() {
    let mut peer = Peer::new(config(), accept_all());
    peer.take();
    assert_eq!(peer.ask("HELO c.example\r\n"), "250 mx.example.com\r\n");
    assert_eq!(peer.codes_of("MAIL FROM:<a@example.org> SIZE=1\r\n"), [555]);
    assert_eq!(peer.session.protocol_word(), "SMTP");
    assert_eq!(peer.codes_of(format!("{ENVELOPE}DATA\r\n.\r\n")), [250, 250, 354, 250]);
}

#[test]
fn requiretls_is_offered_and_taken_under_tls_only() {
    let mut peer = Peer::with_tls(config(), accept_all());
    assert!(peer.ask("EHLO c.example\r\n").contains("REQUIRETLS"));
    assert_eq!(peer.codes_of("MAIL FROM:<a@example.org> REQUIRETLS\r\n"), [250]);
    assert!(peer.session.transaction().unwrap().params.requiretls);
    let mut peer = Peer::new(config(), accept_all());
    assert!(!peer.ask("EHLO c.example\r\n").contains("REQUIRETLS"));
}

#[test]
fn commands_without_argument_take_none() {
    let mut peer = Peer::greeted(config());
    assert_eq!(
        peer.codes_of("RSET x\r\nQUIT x\r\nNOOP x\r\nHELP x\r\nrset \r\nMAIL\r\nRCPT\r\nEXPN x\r\n"),
        [501, 501, 250, 214, 250, 501, 503, 502]
    );
    assert!(!peer.closed);
}

#[test]
fn small_devices_are_understood() {
    let mut peer = Peer::new(config(), accept_all());
    peer.take();
    assert_eq!(
        peer.codes_of(
            "ehlo 192.0.2.7\r\nmail from: <a@example.org>  size=3 \r\nRcpt To:<b@example.com> \r\ndata \r\n.\r\n"
        ),
        [250, 250, 250, 354, 250]
    );
    assert_eq!(peer.session.helo().unwrap().to_string(), "[192.0.2.7]");
}
