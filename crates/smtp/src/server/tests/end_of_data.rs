//! SMTP smuggling: only CR LF `.` CR LF ends data.

use super::peer::{ENVELOPE, Peer, accept_all, config, lmtp, submission};
use crate::server::{BareNewline, Protocol, ServerConfig, ServerLimits};

/// What stands before the smuggled commands, and whether it ends the letter.
const TABLE: [(&[u8], bool); 34] = [
    (b"A\r\n.\r\n", true),
    (b".\r\n", true),
    (b"A\n.\n", false),
    (b"A\n.\r\n", false),
    (b"A\n\n.\r\n", false),
    (b"A\r\n.\n", false),
    (b"A\r.\r", false),
    (b"A\r.\r\n", false),
    (b"A\r.\n", false),
    (b"A\r\n.\rx", false),
    (b"A\n.\rx", false),
    (b"A\r\n.\r\r\n", false),
    (b"A\r\n\r.\r\n", false),
    (b"A\n\r.\r\n", false),
    (b"A\r\r\n.\r\n", true),
    (b"A\r\n.\0\r\n", false),
    (b"A\r\n.\0xyz\r\n", false),
    (b"A\r\n\0.\r\n", false),
    (b"A\r\n. \r\n", false),
    (b"A\r\n..\r\n", false),
    (b"A\r\n.\t\r\n", false),
    (b"A\x0b.\x0b", false),
    (b"A\x0c.\x0c", false),
    ("A\u{85}.\u{85}".as_bytes(), false),
    ("A\u{2028}.\u{2028}".as_bytes(), false),
    ("A\u{2029}.\u{2029}".as_bytes(), false),
    (b"A\r\n.\r", false),
    (b"A\r\n.", false),
    (b"A\r", false),
    (b".\n", false),
    (b".\r", false),
    (b"\n.\n", false),
    (b"\r.\r", false),
    (b"\n.\r\n", false),
];

const SMUGGLED: &str = "MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nevil\r\n.\r\n";

/// A peer in front of its DATA, under one of the circumstances in which an end of data is looked for.
struct Circumstance {
    name: &'static str,
    start: fn() -> Peer,
    /// What comes before the table's octets, so that the letter is refused for another reason already.
    before: &'static [u8],
    normalize: bool,
}

fn begin(mut peer: Peer) -> Peer {
    peer.take();
    let hello = if peer.codes_of("LHLO c.example\r\n") == [250] { "" } else { "EHLO c.example\r\n" };
    peer.send(hello);
    if peer.session.tls().is_some() {
        peer.send("AUTH PLAIN AHVzZXIAc2VjcmV0\r\n");
        assert!(peer.session.authenticated().is_some());
    }
    peer.send(format!("{ENVELOPE}DATA\r\n"));
    assert!(peer.take().contains("\r\n354 "));
    peer
}

fn limited(limits: ServerLimits) -> ServerConfig {
    ServerConfig { limits, ..config() }
}

fn circumstances() -> Vec<Circumstance> {
    let plain = |name, start: fn() -> Peer| Circumstance { name, start, before: b"", normalize: false };
    vec![
        plain("port 25", || Peer::new(config(), accept_all())),
        plain("port 465", || Peer::with_tls(submission(), accept_all())),
        plain("LMTP", || Peer::new(lmtp(), accept_all())),
        plain("over SIZE", || Peer::new(limited(ServerLimits { message_size: 0, ..Default::default() }), accept_all())),
        plain("over SIZE in LMTP", || {
            let limits = ServerLimits { message_size: 0, ..Default::default() };
            Peer::new(ServerConfig { protocol: Protocol::Lmtp, ..limited(limits) }, accept_all())
        }),
        plain("over the header's limit", || {
            Peer::new(limited(ServerLimits { header_size: 0, ..Default::default() }), accept_all())
        }),
        Circumstance { before: b"\0\r\n", ..plain("behind a NUL", || Peer::new(config(), accept_all())) },
        Circumstance {
            before: b"Received: x\r\n",
            ..plain("in a loop", || Peer::new(limited(ServerLimits { hops: 0, ..Default::default() }), accept_all()))
        },
        Circumstance {
            normalize: true,
            ..plain("normalize", || {
                Peer::new(ServerConfig { bare_newline: BareNewline::Normalize, ..config() }, accept_all())
            })
        },
    ]
}

/// Everything behind DATA: the table's octets, the smuggled commands, and the true end of what is still open.
fn stream(circumstance: &Circumstance, octets: &[u8]) -> Vec<u8> {
    [circumstance.before, octets, SMUGGLED.as_bytes()].concat()
}

fn is_refused_for_its_newlines(octets: &[u8]) -> bool {
    let text: Vec<u8> = octets.to_vec();
    let without = String::from_utf8_lossy(&text).replace("\r\n", "");
    // Behind a CR that ends the octets comes an M.
    without.contains(['\r', '\n'])
}

/// The letter either ends where the table says, or goes on to the end of data within the smuggled commands: then these
/// are its content, and the one MAIL is ours.
fn check(circumstance: &Circumstance, octets: &[u8], ends: bool, cuts: &[usize]) -> (Vec<u16>, usize) {
    let mut peer = begin((circumstance.start)());
    let asked = peer.mails();
    let wire = stream(circumstance, octets);
    peer.send_cut(&wire, cuts);
    let context = format!("{} {:?} cut at {cuts:?}", circumstance.name, octets.escape_ascii().to_string());
    let codes = peer.codes();
    assert_eq!(peer.mails() - asked, usize::from(ends), "{context}");
    assert!(!peer.closed && !peer.has_draft(), "{context}");
    if !ends {
        // EOD-2: one reply, at the true end.
        assert_eq!(codes.len(), 1, "{context}: {codes:?}");
        let clean = circumstance.normalize || !is_refused_for_its_newlines(octets);
        let nul = octets.contains(&0) || circumstance.before.contains(&0);
        let limits = circumstance.name.starts_with("over") || circumstance.name.starts_with("in a");
        let accepted = clean && !nul && !limits;
        assert_eq!(codes[0] == 250, accepted, "{context}: {codes:?}");
        assert_eq!(peer.letters.len(), usize::from(accepted), "{context}");
    }
    // EOD-6: the transaction is over, and the session in step.
    assert_eq!(peer.codes_of("DATA\r\nNOOP\r\n"), [503, 250], "{context}");
    (codes, peer.letters.len())
}

#[test]
fn eod_1_only_crlf_dot_crlf_ends_data_in_one_write_in_single_octets_and_at_every_split() {
    for circumstance in circumstances() {
        for (octets, ends) in TABLE {
            let wire = stream(&circumstance, octets);
            let whole = check(&circumstance, octets, ends, &[]);
            let single: Vec<usize> = (1..wire.len()).collect();
            assert_eq!(check(&circumstance, octets, ends, &single), whole);
            for cut in 1..wire.len() {
                assert_eq!(check(&circumstance, octets, ends, &[cut]), whole);
            }
        }
    }
}

#[test]
fn eod_2_lone_lf_dot_never_ends_data_and_the_letter_is_refused_in_step() {
    let mut peer = Peer::greeted(config());
    peer.send(format!("{ENVELOPE}DATA\r\n"));
    peer.take();
    let said = peer.ask("Subject: x\r\n\r\nA\n.\nMAIL FROM:<evil@example.org>\r\n.\r\nNOOP\r\n");
    assert!(said.starts_with("550 5.6.11 "), "{said}");
    assert!(said.ends_with("\r\n250 2.0.0 OK\r\n"), "{said}");
    assert_eq!((peer.letters.len(), peer.abandoned, peer.mails()), (0, 1, 1));
}

#[test]
fn eod_2_normalized_newlines_are_content() {
    let mut peer = Peer::greeted(ServerConfig { bare_newline: BareNewline::Normalize, ..config() });
    peer.send(format!("{ENVELOPE}DATA\r\nA\n.\nB\r.\r\nC\r\n.\r\n"));
    assert_eq!(peer.letters, [b"A\r\n.\r\nB\r\n.\r\nC\r\n"]);
}

#[test]
fn eod_3_oversize_letter_stays_in_step_and_is_thrown_away_within_bounds() {
    let limits = ServerLimits { message_size: 100, discard: 1000, ..Default::default() };
    let mut peer = Peer::greeted(limited(limits.clone()));
    peer.send(format!("{ENVELOPE}DATA\r\n"));
    peer.take();
    let said = peer.ask([&[b'x'; 900], b"\n.\r\n\r\n.\r\nNOOP\r\n".as_slice()].concat());
    assert!(said.starts_with("550 ") && said.ends_with("250 2.0.0 OK\r\n"), "{said}");

    let mut peer = Peer::greeted(limited(limits));
    peer.send(format!("{ENVELOPE}DATA\r\n"));
    peer.take();
    let said = peer.ask([b'x'; 1101]);
    assert!(said.starts_with("552 5.3.4 "), "{said}");
    assert!(peer.closed && !peer.has_draft());
}

#[test]
fn eod_5_empty_letter_is_answered() {
    let mut peer = Peer::greeted(config());
    assert_eq!(peer.codes_of(format!("{ENVELOPE}DATA\r\n.\r\n")), [250, 250, 354, 250]);
    assert_eq!(peer.letters, [b""]);
}

#[test]
fn eod_6_transaction_is_over_after_every_verdict() {
    for (end, code) in [("x\r\n.\r\n", 250), ("x\ny\r\n.\r\n", 550), ("x\0\r\n.\r\n", 550)] {
        let mut peer = Peer::greeted(config());
        peer.send(format!("{ENVELOPE}DATA\r\n"));
        peer.take();
        assert_eq!(peer.codes_of(format!("{end}DATA\r\nRCPT TO:<b@example.com>\r\n")), [code, 503, 503]);
        assert!(peer.session.transaction().is_none());
    }
}

#[test]
fn eod_7_nul_is_refused_and_ends_nothing() {
    let mut peer = Peer::greeted(config());
    peer.send(format!("{ENVELOPE}DATA\r\n"));
    peer.take();
    let said = peer.ask("A\0B\r\n.\0\r\n.\r\n");
    assert!(said.starts_with("550 5.6.0 ") && said.lines().count() == 1, "{said}");
    assert!(peer.letters.is_empty());
}
