use crate::extension::{Capabilities, FutureRelease, Limits};
use crate::reply::ReplyParser;

fn read(lines: &str) -> Capabilities {
    let mut parser = ReplyParser::new();
    let reply = parser.read(&mut lines.as_bytes()).unwrap().unwrap();
    Capabilities::from_ehlo(&reply)
}

#[test]
fn everything_that_is_offered_is_seen() {
    let offered = read(
        "250-mx.example.net greets you\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
         250-CHUNKING\r\n250-BINARYMIME\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n250-STARTTLS\r\n250-REQUIRETLS\r\n\
         250-DELIVERBY 120\r\n250-FUTURERELEASE 86400 2027-01-15T08:00:00Z\r\n250-MT-PRIORITY MIXER\r\n\
         250-AUTH SCRAM-SHA-256 PLAIN\r\n250 LIMITS MAILMAX=10 RCPTMAX=100 RCPTDOMAINMAX=1\r\n",
    );
    let limits = Limits { mail_max: Some(10), rcpt_max: Some(100), rcpt_domain_max: Some(1) };
    let all = Capabilities {
        pipelining: true,
        size: Some(52_428_800),
        eight_bit_mime: true,
        smtputf8: true,
        chunking: true,
        binarymime: true,
        dsn: true,
        enhanced_status_codes: true,
        starttls: true,
        requiretls: true,
        auth: vec!["SCRAM-SHA-256".into(), "PLAIN".into()],
        limits,
        deliver_by: Some(120),
        future_release: Some(FutureRelease { longest: 86_400, latest: 1_800_000_000 }),
        mt_priority: true,
    };
    assert_eq!(offered, all);
}

#[test]
fn the_first_line_offers_nothing() {
    assert_eq!(read("250 STARTTLS\r\n"), Capabilities::default());
    assert_eq!(read("250-SIZE 5\r\n250 HELP\r\n"), Capabilities::default());
}

#[test]
fn keywords_are_read_in_any_case() {
    assert!(read("250-x\r\n250 pipeLining\r\n").pipelining);
}

#[test]
fn quirk_auth_with_an_equals_sign_is_read_and_named_once() {
    let offered = read("250-x\r\n250-AUTH=PLAIN LOGIN\r\n250 AUTH login plain\r\n");
    assert_eq!(offered.auth, ["PLAIN", "LOGIN"]);
}

#[test]
fn size_without_a_usable_number_is_without_a_limit() {
    for line in ["SIZE", "SIZE 0", "SIZE -1", "SIZE 18446744073709551616"] {
        assert_eq!(read(&format!("250-x\r\n250 {line}\r\n")).size, Some(0), "{line}");
    }
}

#[test]
fn limits_that_are_no_numbers_are_none() {
    let offered = read("250-x\r\n250 LIMITS RCPTMAX=0 MAILMAX=-3 RCPTDOMAINMAX X=5 rcptmax=x\r\n");
    assert_eq!(offered.limits, Limits::default());
}

#[test]
fn deliverby_without_a_usable_number_is_without_a_limit() {
    for line in ["DELIVERBY", "DELIVERBY x", "DELIVERBY -5", "DELIVERBY 4294967296"] {
        assert_eq!(read(&format!("250-x\r\n250 {line}\r\n")).deliver_by, Some(0), "{line}");
    }
    assert_eq!(read("250-x\r\n250 DELIVERBY later,7\r\n").deliver_by, Some(7));
}

#[test]
fn futurerelease_without_both_limits_is_none() {
    for line in ["", " 60", " 60 tomorrow", " x 2027-01-15T08:00:00Z"] {
        assert_eq!(read(&format!("250-x\r\n250 FUTURERELEASE{line}\r\n")).future_release, None, "{line}");
    }
}

#[test]
fn mechanisms_without_end_are_cut() {
    let many: String = (0..500).map(|n| format!(" M{n}")).collect();
    assert_eq!(read(&format!("250-x\r\n250 AUTH{many}\r\n")).auth.len(), 32);
}
