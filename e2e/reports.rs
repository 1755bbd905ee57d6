//! What a sender is told, and what the next server is asked to tell (RFC 3461, RFC 8689).

use harness::{FakeDns, Profile, Program, Sink, free_port};

use crate::{ANNA, annas_house, as_anna, from_anna};

/// A letter of Anna's to one recipient, with parameters of MAIL and RCPT.
fn send_with(program: &Program, mail: &str, to: &str, rcpt: &str, text: &[u8]) {
    let mut client = as_anna(program, Profile::Submissions);
    client.say(&format!("MAIL FROM:<{ANNA}>{mail}"), 250);
    client.say(&format!("RCPT TO:<{to}>{rcpt}"), 250);
    client.say("DATA", 354);
    client.send(text);
    client.send(b".\r\n");
    client.expect(250);
}

fn report(program: &Program, mark: &str) -> String {
    String::from_utf8(program.house.maildir(ANNA).wait_for_letter(mark)).expect("a report in ASCII")
}

#[test]
fn what_is_asked_goes_on_to_who_knows_of_it_and_is_answered_here_where_nobody_does() {
    let (knows, plain) = (Sink::builder().offer(&["PIPELINING", "DSN"]).start(), Sink::builder().offer(&[]).start());
    let program = annas_house().route("knows.test", knows.address()).route("plain.test", plain.address()).start();
    let (mail, rcpt) = (" RET=HDRS ENVID=a+2Bb", " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o+3Dld@knows.test");
    for domain in ["knows.test", "plain.test"] {
        let to = format!("x@{domain}");
        send_with(&program, mail, &to, rcpt, &from_anna(&to, "asked"));
    }
    let letter = knows.wait_for(1).remove(0);
    assert!(letter.mail.contains(mail) && letter.rcpt[0].ends_with(rcpt), "{} {:?}", letter.mail, letter.rcpt);
    let letter = plain.wait_for(1).remove(0);
    assert!(!letter.mail.contains("RET=") && !letter.rcpt[0].contains("NOTIFY"), "{} {:?}", letter.mail, letter.rcpt);
    let report = report(&program, "Action: relayed");
    for expected in [
        "Original-Envelope-Id: a+b\r\n",
        "Original-Recipient: rfc822; o=ld@knows.test\r\nFinal-Recipient: rfc822; x@plain.test\r\n",
        "Return-Path: <>\r\n",
        "Content-Type: text/rfc822-headers\r\n",
    ] {
        assert!(report.contains(expected), "{expected} is not in\n{report}");
    }
    assert_eq!(program.house.maildir(ANNA).letters().len(), 1, "who knows of it tells of it");
}

#[test]
fn what_cannot_be_read_is_refused_with_501() {
    let program = annas_house().start();
    for mail in ["RET=BOTH", "RET=FULL RET=FULL", "ENVID=", "ENVID=a+", "ENVID=a+2b", "BY=10", "BY=10;X", "BY=-5;R"] {
        as_anna(&program, Profile::Submissions).say(&format!("MAIL FROM:<{ANNA}> {mail}"), 501);
    }
    for rcpt in ["NOTIFY=NEVER,SUCCESS", "NOTIFY=", "NOTIFY=OFTEN", "ORCPT=rfc822", "ORCPT=rfc822;a=b", "ORCPT=;a"] {
        let mut client = as_anna(&program, Profile::Submissions);
        client.say(&format!("MAIL FROM:<{ANNA}>"), 250);
        client.say(&format!("RCPT TO:<x@b.test> {rcpt}"), 501);
    }
}

#[test]
fn who_waits_behind_a_dead_server_is_told_why_though_nobody_ever_tried() {
    let gone = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let house = annas_house().route("b.test", gone).retry(&["0s", "1h"]);
    let program = house.tail("[queue.reports]\ndelay_after = \"3s\"\n").start();
    for n in 0..12 {
        let to = format!("x{n}@b.test");
        send_with(&program, "", &to, "", &from_anna(&to, "waits"));
    }
    let mut never_tried = 0;
    for n in 0..12 {
        let report = report(&program, &format!("Final-Recipient: rfc822; x{n}@b.test\r\nAction: delayed"));
        assert!(report.contains("refused the connection"), "{report}");
        never_tried += usize::from(!report.contains("Last-Attempt-Date: "));
    }
    assert!(never_tried > 0, "all were tried");
}

/// RFC 8689 §4.2.2.
#[test]
fn a_letter_that_need_not_be_encrypted_goes_where_others_wait_for_tls() {
    let (dns, port) = (FakeDns::start(), free_port());
    let sink = Sink::builder().port(port).start();
    dns.mx("b.test", &[(10, "aspmx.l.google.com")]);
    dns.a("aspmx.l.google.com", &["127.0.0.1"]);
    let program = annas_house().dns(dns.address()).mx_port(port).retry(&["0s", "1h"]).start();
    send_with(&program, "", "strict@b.test", "", &from_anna("strict@b.test", "strict"));
    let loose = [b"TLS-Required: No\r\n", &from_anna("loose@b.test", "loose")[..]].concat();
    send_with(&program, "", "loose@b.test", "", &loose);
    assert_eq!(sink.wait_for(1)[0].to, ["<loose@b.test>"]);
}

#[test]
fn a_receipt_from_nobody_is_taken_from_who_wrote_it() {
    let sink = Sink::start();
    let program = annas_house().route("b.test", sink.address()).start();
    for (author, code) in [(ANNA, 250), ("eve@far.test", 550)] {
        let mut client = as_anna(&program, Profile::Submissions);
        client.say("MAIL FROM:<>", 250);
        client.say("RCPT TO:<x@b.test>", 250);
        client.say("DATA", 354);
        client.send(format!("From: Anna <{author}>\r\nSubject: read\r\n\r\nRead.\r\n.\r\n").as_bytes());
        client.expect(code);
    }
    let letter = sink.wait_for(1).remove(0);
    assert!(letter.from == "<>" && letter.contains("Read."), "{}", letter.from);
}
