//! Reports on delivery: nothing that a peer said and nothing in a letter gets out of its place. Each line ends with CR LF
//! and has at most 998 octets, all is 7-bit unless it is said otherwise, and a report has its three parts and no other.
//!
//! The first four octets choose; what follows are texts, each behind an octet with its length, then the letter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::dsn::{Action, Original, RecipientReport, Report};
use mail::header::fields;
use smtp::{EnhancedCode, Mailbox, OriginalRecipient, Reply, ReplyCode, Ret};

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn octet(&mut self) -> u8 {
        let Some((&octet, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        octet
    }

    fn text(&mut self) -> String {
        let length = usize::from(self.octet()).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }

    fn mailbox(&mut self) -> Mailbox {
        self.text().parse().unwrap_or_else(|_| "user@example.org".parse().expect("a mailbox"))
    }
}

/// RFC 3461 §4.2 and xtext: what may reach a report as ORCPT or ENVID holds no control characters.
fn printable(text: String) -> String {
    text.chars().filter(|c| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}')).collect()
}

fn action(choice: u8) -> Action {
    match choice % 5 {
        0 => Action::Failed,
        1 => Action::Delayed,
        2 => Action::Delivered,
        3 => Action::Relayed,
        _ => Action::Expanded,
    }
}

fuzz_target!(|input: &[u8]| {
    let mut input = Input(input);
    let [choice, first, second, code] = [input.octet(), input.octet(), input.octet(), input.octet()];
    let bit = |n: u8| choice & (1 << n) != 0;
    let (to, addresses) = (input.mailbox(), [input.mailbox(), input.mailbox()]);
    let (envid, remote, address) = (printable(input.text()), input.text(), printable(input.text()));
    let (words, status) = (input.text(), EnhancedCode::new(4 + (code & 1), u16::from(code), 0));
    let reply_code = ReplyCode::from_wire(400 + u16::from(code) % 200).expect("a code");
    let reply = Reply::from_peer(reply_code, bit(0).then_some(status), &words);
    let original = OriginalRecipient { address_type: if bit(1) { "utf-8" } else { "rfc822" }.into(), address };
    let letter = input.0;

    let recipient = |address, choice: u8, told: bool| RecipientReport {
        original: told.then_some(&original),
        address,
        action: action(choice),
        status,
        remote: (choice & 0x40 != 0).then_some(&remote),
        reply: (choice & 0x80 != 0).then_some(&reply),
        last_attempt: (choice & 0x20 != 0).then_some(u64::from(choice) << 33),
        will_retry_until: (choice & 0x10 != 0).then_some(u64::MAX),
        advice: None,
    };
    let [one, two] = &addresses;
    let recipients = [recipient(one, first, true), recipient(two, second, false)];
    let report = Report {
        reporting_mta: "mx.example.org",
        to: &to,
        message_id: "<0123456789abcdefghjkmnpqrs@mx.example.org>",
        written: 1_795_470_566_000,
        arrived: 1_795_470_000_000,
        queue_id: "0000000000abc",
        envid: bit(2).then_some(&envid),
        ret: match choice >> 3 & 3 {
            0 => None,
            1 => Some(Ret::Headers),
            _ => Some(Ret::Full),
        },
        smtputf8: bit(5),
        deliver_by: bit(7).then_some(1_795_470_600_000),
        original: Original { beginning: letter, size: letter.len() as u64 + u64::from(bit(6)) },
        recipients: &recipients,
    };
    let written = report.write();
    assert_eq!(report.write(), written, "the same report is written to the same octets");
    check(&written, report.needs_smtputf8());
});

fn check(report: &[u8], utf8: bool) {
    assert!(utf8 || report.is_ascii());
    let content_type = fields(report).find(|field| field.is("Content-Type")).expect("a type").unfolded().into_owned();
    let content_type = String::from_utf8(content_type).expect("our own words");
    let delimiter = format!("--{}", content_type.split('"').nth(1).expect("a boundary"));
    let (mut parts, mut last) = (0, false);
    for line in report.split_inclusive(|&octet| octet == b'\n') {
        let line = line.strip_suffix(b"\r\n").expect("each line ends with CR LF");
        assert!(line.len() <= 998 && !line.iter().any(|octet| matches!(octet, b'\r' | 0)));
        assert!(!last, "something stands behind the end");
        if let Some(rest) = line.strip_prefix(delimiter.as_bytes()) {
            last = rest == b"--";
            assert!(last || rest.is_empty(), "{}", line.escape_ascii());
            parts += usize::from(!last);
        }
    }
    assert!(last && parts == 3, "{parts} parts");
    for name in ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"] {
        assert_eq!(fields(report).filter(|field| field.is(name)).count(), 1, "{name}");
    }
}
