//! BDAT in all its corners (RFC 3030).

use super::peer::{ENVELOPE, Peer, accept_all, answering, config, lmtp};
use crate::reply::Reply;
use crate::server::{Answer, BareNewline, Question, ServerConfig, ServerLimits};

fn in_transaction(limits: ServerLimits) -> Peer {
    let mut peer = Peer::greeted(ServerConfig { limits, ..config() });
    assert_eq!(peer.codes_of(ENVELOPE), [250, 250]);
    peer
}

fn small(message_size: u64) -> ServerLimits {
    ServerLimits { message_size, ..Default::default() }
}

#[test]
fn chunks_make_one_letter() {
    let mut peer = in_transaction(ServerLimits::default());
    assert_eq!(peer.codes_of("BDAT 3\r\nA\r\nBDAT 5 last\r\n.\r\nB\nBDAT 0 LAST\r\n"), [250, 550, 503]);
    let mut peer = in_transaction(ServerLimits::default());
    assert_eq!(peer.codes_of("BDAT 3\r\nA\r\nBDAT 6\r\n.\r\nB\r\nBDAT 0 LAST\r\nNOOP\r\n"), [250, 250, 250, 250]);
    assert_eq!(peer.letters, [b"A\r\n.\r\nB\r\n"]);
}

#[test]
fn bdat_1_sum_of_chunks_is_checked_before_a_chunk_is_read() {
    let mut peer = in_transaction(small(10));
    assert_eq!(peer.codes_of("BDAT 6\r\nabcdefBDAT 5 LAST\r\n"), [250]);
    assert!(!peer.has_draft(), "the letter is given up before the octets come");
    assert_eq!(peer.codes_of("ghijkNOOP\r\n"), [552, 250]);
    assert!(peer.letters.is_empty());
}

#[test]
fn bdat_2_sizes_are_read_without_sign_and_overflow() {
    for line in
        ["BDAT 18446744073709551616", "BDAT -1", "BDAT +5", "BDAT", "BDAT 5 LASTED", "BDAT 0x5", "BDAT 5 LAST 1"]
    {
        let mut peer = in_transaction(ServerLimits::default());
        let said = peer.ask(format!("{line}\r\nMAIL FROM:<evil@example.org>\r\n"));
        assert!(said.starts_with("501 5.5.4 ") && said.lines().count() == 1, "{line}: {said}");
        // Where the chunk ends is unknown, so nothing behind it is run.
        assert!(peer.closed && peer.mails() == 1, "{line}");
    }
    let mut peer = in_transaction(ServerLimits::default());
    assert_eq!(peer.codes_of("BDAT 0\r\nBDAT 0 LAST\r\n"), [250, 250]);
    assert_eq!(peer.letters, [b""]);
    let mut peer = in_transaction(ServerLimits::default());
    assert_eq!(peer.codes_of("BDAT 18446744073709551615 LAST\r\nx"), [552]);
    assert!(peer.closed);
}

#[test]
fn bdat_3_octets_of_a_refused_chunk_are_passed_over_and_later_chunks_are_refused_until_rset() {
    let mut peer = in_transaction(small(10));
    let wire = "BDAT 11\r\nQUIT\r\nQUIT\rBDAT 1 LAST\r\nxBDAT 0 LAST\r\nMAIL FROM:<c@example.org>\r\nDATA\r\n";
    assert_eq!(peer.codes_of(wire), [552, 503, 503, 503, 503]);
    assert!(peer.letters.is_empty() && !peer.closed);
    assert_eq!(peer.codes_of(format!("RSET\r\n{ENVELOPE}BDAT 1 LAST\r\ny")), [250, 250, 250, 250]);
    assert_eq!(peer.letters, [b"y"]);
}

#[test]
fn bdat_3_refused_chunk_beyond_all_bounds_ends_the_session() {
    let limits = ServerLimits { message_size: 10, discard: 100, ..Default::default() };
    let mut peer = in_transaction(limits.clone());
    assert!(peer.ask("BDAT 101\r\n").starts_with("552 5.3.4 "));
    assert!(peer.closed);
    let mut peer = Peer::greeted(ServerConfig { limits, ..config() });
    assert!(peer.ask("BDAT 101\r\n").starts_with("421 4.7.0 "));
    assert!(peer.closed);
}

#[test]
fn bdat_4_data_and_mail_and_rcpt_are_refused_between_chunks_and_rset_forgets_them() {
    let mut peer = in_transaction(ServerLimits::default());
    let between = "DATA\r\nMAIL FROM:<c@example.org>\r\nRCPT TO:<d@example.com>\r\n";
    assert_eq!(peer.codes_of(format!("BDAT 1\r\nx{between}")), [250, 503, 503, 503]);
    assert_eq!(peer.codes_of("RSET\r\n"), [250]);
    assert_eq!((peer.abandoned, peer.has_draft()), (1, false));
    assert_eq!(peer.codes_of("BDAT 1 LAST\r\nyDATA\r\n"), [503, 503]);
    assert!(peer.letters.is_empty());
}

#[test]
fn bdat_5_chunk_without_mail_or_without_recipient_is_passed_over() {
    let mut peer = Peer::greeted(config());
    assert_eq!(peer.codes_of("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"), [503, 250]);
    let refuse_rcpt =
        |q: &Question| matches!(q, Question::Rcpt { .. }).then(|| Answer::Reply(Reply::new(550, (5, 1, 1), "unknown")));
    let mut peer = Peer::new(config(), answering(refuse_rcpt));
    peer.send("EHLO c.example\r\n");
    peer.take();
    let wire = format!("{ENVELOPE}BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
    assert_eq!(peer.codes_of(wire), [250, 550, 554, 503, 250]);
    assert!(!peer.closed && !peer.questions.contains(&Question::Data));
}

#[test]
fn bdat_6_tiny_chunks_cost_nothing_and_count_as_junk() {
    let unbounded = ServerLimits { junk_commands: u32::MAX, ..Default::default() };
    let mut peer = in_transaction(unbounded);
    let wire = "BDAT 1\r\nx".repeat(1000);
    for _ in 0..100 {
        peer.send(&wire);
        peer.take();
        peer.events.clear();
    }
    assert_eq!(peer.codes_of("BDAT 0 LAST\r\n"), [250]);
    assert_eq!(peer.letters[0].len(), 100_000);

    let mut peer = in_transaction(ServerLimits::default());
    let codes = peer.codes_of("BDAT 1\r\nx".repeat(200));
    assert_eq!((codes.len(), codes.last()), (101, Some(&421)));
    assert!(peer.closed && peer.abandoned == 1);
}

#[test]
fn bdat_7_bare_newline_in_text_is_refused_as_in_data() {
    for (chunk, refused) in [("a\nb", true), ("a\rb", true), ("a\r", true), (".\r\n", false), ("a\0b", true)] {
        let mut peer = in_transaction(ServerLimits::default());
        let said = peer.ask(format!("BDAT {} LAST\r\n{chunk}NOOP\r\n", chunk.len()));
        assert_eq!(said.starts_with("550 5.6."), refused, "{chunk:?}: {said}");
        assert!(said.ends_with("250 2.0.0 OK\r\n"));
    }
    // A CR LF that two chunks share is none of them.
    let mut peer = in_transaction(ServerLimits::default());
    assert_eq!(peer.codes_of("BDAT 2\r\na\rBDAT 1 LAST\r\n\n"), [250, 250]);
    assert_eq!(peer.letters, [b"a\r\n"]);
    let mut peer = Peer::greeted(ServerConfig { bare_newline: BareNewline::Normalize, ..config() });
    peer.send(format!("{ENVELOPE}BDAT 3 LAST\r\n.\nb"));
    assert_eq!(peer.letters, [b".\r\nb"]);
}

#[test]
fn bdat_7_bare_newline_refuses_the_chunk_that_holds_it_and_all_behind_it() {
    let mut peer = in_transaction(ServerLimits::default());
    assert_eq!(peer.codes_of("BDAT 3\r\na\nbBDAT 1 LAST\r\nxNOOP\r\n"), [550, 503, 250]);
    assert_eq!((peer.letters.len(), peer.abandoned), (0, 1));
}

#[test]
fn bdat_8_nothing_is_reserved_for_an_announced_size() {
    let mut peer = in_transaction(small(u64::MAX));
    peer.send("BDAT 18446744073709551615\r\nx");
    assert!(peer.take().is_empty() && !peer.closed);
    assert!(peer.session.input.is_empty());
}

#[test]
fn binary_letter_keeps_every_octet_and_needs_bdat() {
    let mut peer = Peer::greeted(config());
    let mail = "MAIL FROM:<a@example.org> BODY=BINARYMIME\r\nRCPT TO:<b@example.com>\r\n";
    assert_eq!(
        peer.codes_of(format!("{mail}DATA\r\nBDAT 6\r\n\0\n\r.\r\nBDAT 1 LAST\r\n\r")),
        [250, 250, 503, 250, 250]
    );
    assert_eq!(peer.letters, [b"\0\n\r.\r\n\r"]);
}

#[test]
fn chunk_that_policy_refuses_is_passed_over() {
    let no = |q: &Question| (*q == Question::Data).then(|| Answer::Reply(Reply::new(451, (4, 7, 1), "later")));
    let mut peer = Peer::new(config(), answering(no));
    peer.send("EHLO c.example\r\n");
    peer.take();
    assert_eq!(peer.codes_of(format!("{ENVELOPE}BDAT 6\r\nQUIT\r\nBDAT 0 LAST\r\n")), [250, 250, 451, 503]);
}

#[test]
fn bdat_is_passed_over_where_it_is_not_offered() {
    let mut peer = Peer::greeted(ServerConfig { chunking: false, ..config() });
    assert_eq!(peer.codes_of(format!("{ENVELOPE}BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")), [250, 250, 502, 250]);
}

/// RFC 2033 §4.3: "one reply for each previously successful RCPT command"; here two.
#[test]
fn last_chunk_in_lmtp_is_answered_for_each_recipient() {
    let mut peer = Peer::new(ServerConfig { limits: small(10), ..lmtp() }, accept_all());
    peer.send("LHLO c.example\r\n");
    peer.take();
    let envelope = format!("{ENVELOPE}RCPT TO:<c@example.com>\r\n");
    assert_eq!(peer.codes_of(format!("{envelope}BDAT 1\r\nxBDAT 1 LAST\r\ny")), [250, 250, 250, 250, 250, 250]);
    assert_eq!(peer.codes_of(format!("{envelope}BDAT 11 LAST\r\n01234567890")), [250, 250, 250, 552, 552]);
    assert_eq!(peer.codes_of(format!("{envelope}BDAT 2 LAST\r\n\n\n")), [250, 250, 250, 550, 550]);
}

#[test]
fn last_chunk_behind_a_failed_one_in_lmtp_is_answered_for_each_recipient() {
    let mut peer = Peer::greeted(ServerConfig { limits: small(10), ..lmtp() });
    let envelope = format!("{ENVELOPE}RCPT TO:<c@example.com>\r\n");
    for failed in ["BDAT 11\r\n01234567890", "BDAT 3\r\na\nb"] {
        let codes = peer.codes_of(format!("{envelope}{failed}BDAT 1\r\nxBDAT 1 LAST\r\nyRSET\r\n"));
        assert_eq!(codes[3..4].iter().filter(|code| [550, 552].contains(code)).count(), 1);
        assert_eq!(codes[4..], [503, 503, 503, 250]);
    }
    // What was accepted before RSET counts no more.
    assert_eq!(peer.codes_of(format!("{ENVELOPE}BDAT 1 LAST\r\nx")), [250, 250, 250]);
    assert_eq!(peer.letters, [b"x"]);
}

#[test]
fn last_chunk_without_recipients_in_lmtp_is_not_answered() {
    let mut peer = Peer::greeted(lmtp());
    assert_eq!(peer.codes_of("BDAT 1 LAST\r\nxNOOP\r\n"), [250]);
    assert_eq!(peer.codes_of("MAIL FROM:<a@example.org>\r\nBDAT 5 LAST\r\nQUIT\nNOOP\r\n"), [250, 250]);
    assert_eq!(peer.codes_of("MAIL FROM:<a@example.org>\r\nBDAT 5\r\nQUIT\nBDAT 0 LAST\r\nNOOP\r\n"), [250, 503, 250]);
    // Where nothing is offered, nobody counts on silence.
    let mut peer = Peer::greeted(ServerConfig { chunking: false, ..lmtp() });
    assert_eq!(peer.codes_of("BDAT 1 LAST\r\nxNOOP\r\n"), [503, 250]);
    assert_eq!(peer.codes_of(format!("{ENVELOPE}BDAT 1 LAST\r\nxNOOP\r\n")), [250, 250, 502, 250]);
    // Nor without end.
    let mut peer = Peer::greeted(lmtp());
    assert_eq!(peer.codes_of("BDAT 0 LAST\r\n".repeat(21)), [421]);
}

#[test]
fn last_chunk_that_policy_refuses_in_lmtp_is_answered_for_each_recipient() {
    let no = |q: &Question| (*q == Question::Data).then(|| Answer::Reply(Reply::new(451, (4, 7, 1), "later")));
    let mut peer = Peer::new(lmtp(), answering(no));
    peer.send(format!("LHLO c.example\r\n{ENVELOPE}RCPT TO:<c@example.com>\r\n"));
    peer.take();
    assert_eq!(peer.codes_of("BDAT 1 LAST\r\nxNOOP\r\n"), [451, 451, 250]);
}

#[test]
fn chunks_are_the_same_at_every_split() {
    let wire = format!(
        "{ENVELOPE}BDAT 4\r\na\r\n.BDAT 5\r\n\r\nQUIBDAT 3 LAST\r\nT\r\nMAIL FROM:<x@example.org>\r\nBDAT 2\r\n\r\nNOOP\r\n"
    );
    let run = |cuts: &[usize]| {
        let mut peer = Peer::greeted(config());
        peer.send_cut(wire.as_bytes(), cuts);
        (peer.take(), peer.letters)
    };
    let whole = run(&[]);
    assert_eq!(whole.1, [b"a\r\n.\r\nQUIT\r\n"]);
    assert_eq!(run(&(1..wire.len()).collect::<Vec<_>>()), whole);
    (1..wire.len()).for_each(|cut| assert_eq!(run(&[cut]), whole, "cut at {cut}"));
}
