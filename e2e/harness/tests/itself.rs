//! The fakes are held against each other, so that a failing end-to-end test speaks of the program.

use std::net::UdpSocket;
use std::time::Duration;

use harness::letter::{base64, dot_stuffed, letter, same_but_trace, to_crlf};
use harness::{Ca, Client, FakeDns, Sink, Stage, free_port};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

#[test]
fn a_letter_arrives_at_the_sink_byte_for_byte() {
    let sink = Sink::start();
    let mut client = Client::connect(sink.address());
    client.hello();
    let sent = b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\nlone \n.\n and \r\n";
    client.say("MAIL FROM:<a@b.test> BODY=8BITMIME", 250);
    client.say("RCPT TO:<c@d.test> NOTIFY=NEVER", 250);
    client.say("DATA", 354);
    client.send(&dot_stuffed(sent));
    client.expect(250);
    let letters = sink.wait_for(1);
    assert_eq!(letters[0].bytes, sent);
    assert_eq!((letters[0].from.as_str(), letters[0].mail.as_str()), ("<a@b.test>", "<a@b.test> BODY=8BITMIME"));
    assert_eq!(letters[0].rcpt, ["<c@d.test> NOTIFY=NEVER"]);
}

#[test]
fn the_sink_takes_chunks() {
    let sink = Sink::builder().offer(&["CHUNKING"]).start();
    let mut client = Client::connect(sink.address());
    client.hello();
    client.say("MAIL FROM:<>", 250);
    client.say("RCPT TO:<c@d.test>", 250);
    client.send(b"BDAT 3\r\nab\rBDAT 2 LAST\r\n\nc");
    client.expect(250);
    client.expect(250);
    assert_eq!(sink.wait_for(1)[0].bytes, b"ab\r\nc");
}

#[test]
fn the_sink_refuses_as_often_as_it_was_told() {
    let sink = Sink::start();
    sink.answer(Stage::Rcpt, "bob@", "450 4.2.1 busy", 1);
    let mut client = Client::connect(sink.address());
    client.hello();
    client.say("MAIL FROM:<a@b.test>", 250);
    client.say("RCPT TO:<eve@d.test>", 250);
    client.say("RCPT TO:<bob@d.test>", 450);
    client.say("RCPT TO:<bob@d.test>", 250);
}

#[test]
fn an_empty_answer_closes_the_connection() {
    let sink = Sink::start();
    sink.answer(Stage::Data, "", "", 1);
    let mut client = Client::connect(sink.address());
    client.hello();
    client.say("MAIL FROM:<a@b.test>", 250);
    client.say("RCPT TO:<eve@d.test>", 250);
    client.send(b"DATA\r\n");
    assert_eq!(client.rest(), "");
}

#[test]
fn lmtp_answers_for_each_recipient() {
    let sink = Sink::builder().lmtp().start();
    sink.answer(Stage::End, "two@", "452 4.2.2 full", 1);
    let mut client = Client::connect(sink.address());
    client.expect(220);
    client.say("LHLO client.test", 250);
    assert_eq!(client.deliver("a@b.test", &["one@d.test", "two@d.test"], b"\r\nhi\r\n").code, 250);
    client.expect(452);
    assert_eq!(sink.wait_for(1)[0].to, ["<one@d.test>"]);
}

#[test]
fn tls_is_spoken_after_starttls_and_from_the_first_byte() {
    let ca = Ca::new();
    let leaf = ca.leaf(&["sink.test"]);
    let later = Sink::builder().start_tls(leaf.server()).start();
    let mut client = Client::connect(later.address());
    client.hello();
    client.start_tls(&ca.trusting(), "sink.test");
    client.deliver("a@b.test", &["c@d.test"], b"\r\nhi\r\n");
    assert!(later.wait_for(1)[0].tls);

    let at_once = Sink::builder().implicit_tls(leaf.server()).start();
    let mut client = Client::connect(at_once.address());
    client.tls(&ca.trusting(), "sink.test");
    client.hello();
    assert!(client.tls_facts().is_some_and(|(version, _)| version == "TLSv1_3"));
}

#[test]
fn an_expired_certificate_and_a_strange_authority_are_refused() {
    let ca = Ca::new();
    for (leaf, trusted) in [(ca.expired_leaf(&["sink.test"]), &ca), (ca.leaf(&["sink.test"]), &Ca::new())] {
        let sink = Sink::builder().implicit_tls(leaf.server()).start();
        let mut client = Client::connect(sink.address());
        assert!(client.try_tls(&trusted.trusting(), "sink.test").is_err());
    }
}

#[test]
fn a_paused_sink_has_the_letter_but_does_not_say_so() {
    let sink = Sink::start();
    sink.pause();
    let mut client = Client::connect(sink.address());
    client.hello();
    client.say("MAIL FROM:<a@b.test>", 250);
    client.say("RCPT TO:<eve@d.test>", 250);
    client.say("DATA", 354);
    client.send(&dot_stuffed(b"\r\nhi\r\n"));
    sink.wait_for(1);
    client.patience(Duration::from_millis(100));
    assert!(client.try_reply().is_err());
    sink.resume();
    client.patience(Duration::from_secs(10));
    client.expect(250);
}

fn look_up(dns: &FakeDns, name: &str, kind: RecordType) -> Option<Message> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut question = Message::query();
    question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    socket.send_to(&question.to_vec().unwrap(), dns.address()).unwrap();
    let mut buffer = [0u8; 2000];
    let (length, _) = socket.recv_from(&mut buffer).ok()?;
    Some(Message::from_vec(&buffer[..length]).unwrap())
}

#[test]
fn the_fake_dns_answers_and_fails_as_its_table_says() {
    let dns = FakeDns::start();
    dns.mx("b.test", &[(10, "mx.b.test")]);
    dns.a("mx.b.test", &["127.0.0.2", "127.0.0.3"]);
    dns.cname("alias.test", "mx.b.test");
    dns.null_mx("no-mail.test");
    dns.serv_fail("ill.test");
    dns.silent("gone.test");

    let answer = |name, kind| look_up(&dns, name, kind).expect("an answer");
    assert!(matches!(&answer("B.test.", RecordType::MX).answers[0].data, RData::MX(mx) if mx.preference == 10));
    assert_eq!(answer("mx.b.test.", RecordType::A).answers.len(), 2);
    assert_eq!(answer("alias.test.", RecordType::A).answers.len(), 3);
    assert!(matches!(&answer("no-mail.test.", RecordType::MX).answers[0].data, RData::MX(mx) if mx.exchange.is_root()));
    assert_eq!(answer("ill.test.", RecordType::MX).metadata.response_code, ResponseCode::ServFail);
    assert_eq!(answer("none.test.", RecordType::MX).metadata.response_code, ResponseCode::NXDomain);
    let no_data = answer("mx.b.test.", RecordType::MX);
    assert_eq!((no_data.metadata.response_code, no_data.answers.len()), (ResponseCode::NoError, 0));
    assert!(look_up(&dns, "gone.test.", RecordType::MX).is_none());
    dns.heal("ill.test");
    assert_eq!(answer("ill.test.", RecordType::MX).metadata.response_code, ResponseCode::NXDomain);
    assert!(dns.was_asked("b.test", "MX"));
}

#[test]
fn no_port_is_given_twice() {
    let ports: std::collections::HashSet<u16> = (0..20).map(|_| free_port()).collect();
    assert_eq!(ports.len(), 20);
}

#[test]
fn only_trace_fields_on_top_are_forgiven() {
    let sent = letter("a@b.test", "c@d.test", "x");
    let with = |top: &str| [top.as_bytes(), &sent].concat();
    assert_eq!(same_but_trace(&sent, &sent), Ok(()));
    assert_eq!(same_but_trace(&sent, &with("Return-Path: <a@b.test>\r\nReceived: from x\r\n\tby y\r\n")), Ok(()));
    assert!(same_but_trace(&sent, &with("X-Other: y\r\n")).is_err());
    assert!(same_but_trace(&sent, &sent[..sent.len() - 1]).is_err());
    let mut changed = sent.clone();
    changed[10] ^= 1;
    assert!(same_but_trace(&sent, &changed).is_err());
}

#[test]
fn every_line_end_becomes_crlf() {
    assert_eq!(to_crlf(b"a\nb\rc\r\nd\r\re"), b"a\r\nb\r\nc\r\nd\r\n\r\ne\r\n");
}

#[test]
fn base64_is_padded() {
    assert_eq!(["", "f", "fo", "foo"].map(|text| base64(text.as_bytes())), ["", "Zg==", "Zm8=", "Zm9v"]);
}
