//! Our client and our server, mouth to ear: what comes out is byte for byte what went in.

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;

use super::support::{config, credentials, drain, message, tls_info};
use crate::client::{ClientConfig, ClientSession, Closed, Delivery, Message, Output, Stage, TlsMode};
use crate::path::ForwardPath;
use crate::reply::Reply;
use crate::sasl::{Mechanism, ScramVerifier};
use crate::secret::Secret;
use crate::server::{
    self, Answer, AuthQuestion, BareNewline, Protocol, Question, ServerConfig, ServerLimits, ServerSession, Transaction,
};

/// A letter as the server kept it.
#[derive(Debug, PartialEq)]
struct Kept {
    transaction: Transaction,
    letter: Vec<u8>,
}

struct Pair {
    now: Instant,
    client: ClientSession,
    server: ServerSession,
    verifier: Option<ScramVerifier>,
    letter: Vec<u8>,
    kept: Vec<Kept>,
    /// Octets carried at a time.
    cut: usize,
    server_closed: bool,
}

fn server_config() -> ServerConfig {
    ServerConfig {
        hostname: "mx.example.net".parse().unwrap(),
        protocol: Protocol::Smtp,
        starttls: false,
        require_tls: false,
        auth: Vec::new(),
        require_auth: false,
        dsn: true,
        chunking: true,
        smtputf8: true,
        // What our client writes holds no bare CR or LF: this server would refuse it.
        bare_newline: BareNewline::Reject,
        limits: ServerLimits::default(),
        clock: std::time::SystemTime::now,
    }
}

impl Pair {
    fn new(client: ClientConfig, server: ServerConfig) -> Self {
        let now = Instant::now();
        let implicit = client.tls == TlsMode::Implicit;
        let server = Arc::new(server);
        let mut pair = Self {
            now,
            client: ClientSession::new(client, now),
            server: match implicit {
                true => ServerSession::with_tls(server, now, tls_info()),
                false => ServerSession::new(server, now),
            },
            verifier: None,
            letter: Vec::new(),
            kept: Vec::new(),
            cut: usize::MAX,
            server_closed: false,
        };
        if implicit {
            pair.client.handle_tls(now, tls_info());
        }
        pair
    }

    /// Carries octets both ways until both wait; gives what the client's driver is told.
    fn run(&mut self) -> Vec<Output> {
        let mut told = Vec::new();
        loop {
            let mut idle = true;
            for output in self.server_outputs() {
                idle = false;
                for piece in output.chunks(self.cut.min(output.len())) {
                    self.client.handle_input(self.now, piece);
                }
            }
            for output in drain(&mut self.client) {
                match output {
                    Output::Transmit(octets) => {
                        idle = false;
                        for piece in octets.chunks(self.cut.min(octets.len())) {
                            self.server.handle_input(self.now, piece);
                        }
                    }
                    Output::StartTls => {
                        idle = false;
                        self.client.handle_tls(self.now, tls_info());
                    }
                    Output::Closed(why) => {
                        told.push(Output::Closed(why));
                        return told;
                    }
                    output => told.push(output),
                }
            }
            if idle {
                return told;
            }
        }
    }

    fn server_outputs(&mut self) -> Vec<Vec<u8>> {
        let mut transmit = Vec::new();
        loop {
            match self.server.poll_output() {
                server::Output::Ask(question) => {
                    let answer = self.answer(question);
                    self.server.handle_answer(self.now, answer);
                }
                server::Output::Body(piece) => self.letter.extend(piece),
                server::Output::Abandon => self.letter.clear(),
                server::Output::Transmit(octets) => transmit.push(octets),
                server::Output::StartTls => self.server.handle_tls(self.now, tls_info()),
                server::Output::Event(server::Event::Misbehaved(what)) => panic!("the server says: {what}"),
                server::Output::Event(_) => {}
                server::Output::Wait(_) => return transmit,
                server::Output::Close => {
                    self.server_closed = true;
                    return transmit;
                }
            }
        }
    }

    fn answer(&mut self, question: Question) -> Answer {
        let refused = Reply::new(550, (5, 1, 1), "no such user");
        match question {
            Question::Rcpt { to: ForwardPath::Mailbox(to), .. } if to.local.as_str() == "refused" => {
                Answer::Reply(refused)
            }
            Question::Auth(AuthQuestion::Password { authcid, password }) => {
                match authcid == "user" && password == credentials().password {
                    true => Answer::Accept,
                    false => Answer::Reply(Reply::new(535, (5, 7, 8), "wrong")),
                }
            }
            Question::Auth(AuthQuestion::ScramVerifier { authcid }) => {
                assert_eq!(authcid, "user");
                Answer::Scram(self.verifier.clone().unwrap())
            }
            Question::Message => {
                let transaction = self.server.transaction().unwrap().clone();
                let letter = std::mem::take(&mut self.letter);
                let each = (0..transaction.recipients.len())
                    .map(|n| Reply::new(250, (2, 0, 0), "").with_text(format!("kept for recipient {n}")));
                let answer = Answer::PerRecipient(each.collect());
                self.kept.push(Kept { transaction, letter });
                if self.lmtp() { answer } else { Answer::Accept }
            }
            _ => Answer::Accept,
        }
    }

    fn lmtp(&self) -> bool {
        self.server.protocol_word().contains("LMTP")
    }

    /// One letter, in pieces of `cut` octets.
    fn send(&mut self, message: Message, letter: &[u8], cut: usize) -> Delivery {
        self.client.deliver(self.now, message);
        let mut told = self.run();
        if told == [Output::NeedBody] {
            for piece in letter.chunks(cut) {
                self.client.handle_body(self.now, piece);
                assert_eq!(self.run(), []);
            }
            self.client.handle_body_end(self.now);
            told = self.run();
        }
        assert_eq!(told.pop(), Some(Output::Ready));
        match told.pop() {
            Some(Output::Done(delivery)) => delivery,
            other => panic!("{other:?}"),
        }
    }

    fn quit(&mut self) {
        self.client.quit(self.now);
        assert_eq!(self.run(), [Output::Closed(Closed::Quit)]);
        assert!(self.server_closed);
    }
}

const LETTER: &[u8] = b"Subject: dots\r\n\r\n.\r\n..\r\n.a\r\n\r\n.\r\nend\r\n";

fn round_trip(client: ClientConfig, server: ServerConfig) -> Pair {
    let mut pair = Pair::new(client, server);
    assert_eq!(pair.run(), [Output::Ready]);
    for n in 1..4 {
        let delivery = pair.send(message(&["one@example.net", "refused@example.net", "two@example.net"]), LETTER, 7);
        let replies: Vec<_> = delivery.recipients.iter().map(|r| (r.stage, r.reply.code.as_u16())).collect();
        assert_eq!(replies, [(Stage::EndOfData, 250), (Stage::Rcpt, 550), (Stage::EndOfData, 250)]);
        assert_eq!(pair.kept.len(), n);
        assert_eq!(pair.kept[n - 1].letter, LETTER);
        assert_eq!(pair.kept[n - 1].transaction.recipients.len(), 2);
        assert_eq!(pair.client.letters(), n as u32);
    }
    pair.quit();
    pair
}

#[test]
fn letters_arrive_with_and_without_each_extension() {
    for pipelining in [true, false] {
        for chunking in [true, false] {
            for offered in [true, false] {
                let client = ClientConfig { pipelining, chunking, ..config() };
                round_trip(client, ServerConfig { chunking: offered, ..server_config() });
            }
        }
    }
}

#[test]
fn letters_arrive_under_each_kind_of_tls() {
    for tls in [TlsMode::None, TlsMode::Opportunistic, TlsMode::StartTls, TlsMode::Implicit] {
        let server = ServerConfig { starttls: true, require_tls: tls != TlsMode::None, ..server_config() };
        let pair = round_trip(ClientConfig { tls, ..config() }, server);
        assert_eq!(pair.client.tls().is_some(), tls != TlsMode::None);
        assert_eq!(pair.server.tls().is_some(), tls != TlsMode::None);
    }
}

#[test]
fn letters_arrive_behind_each_mechanism() {
    let verifier = ScramVerifier::derive(&credentials().password, b"salt of this", 4096);
    for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256, Mechanism::ScramSha256Plus] {
        for tls in [TlsMode::StartTls, TlsMode::Implicit] {
            let client = ClientConfig { tls, auth: Some(credentials()), ..config() };
            let auth = vec![mechanism];
            let server = ServerConfig { starttls: true, auth, require_auth: true, ..server_config() };
            let mut pair = Pair::new(client, server);
            pair.verifier = Some(verifier.clone());
            // Without a word of -PLUS the server takes our "y" for a downgrade only where it could have offered it.
            assert_eq!(pair.run(), [Output::Ready], "{mechanism} {tls:?}");
            assert_eq!(pair.server.authenticated(), Some("user"));
            pair.send(message(&["one@example.net"]), LETTER, 100);
            assert_eq!(pair.kept[0].letter, LETTER);
        }
    }
}

#[test]
fn a_wrong_password_is_refused_by_each_mechanism() {
    let verifier = ScramVerifier::derive(&Secret::new("another"), b"salt of this", 4096);
    for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256, Mechanism::ScramSha256Plus] {
        let mut wrong = credentials();
        wrong.password = Secret::new("pen");
        let client = ClientConfig { tls: TlsMode::Implicit, auth: Some(wrong), ..config() };
        let mut pair = Pair::new(client, ServerConfig { auth: vec![mechanism], ..server_config() });
        pair.verifier = Some(verifier.clone());
        let told = pair.run();
        let [Output::Closed(Closed::Refused { stage: Stage::Auth, reply })] = &told[..] else { panic!("{told:?}") };
        assert_eq!(reply.code.as_u16(), 535);
    }
}

#[test]
fn lmtp_gives_each_recipient_its_own_reply() {
    for pipelining in [true, false] {
        let server = ServerConfig { protocol: Protocol::Lmtp, ..server_config() };
        let mut pair = Pair::new(ClientConfig { protocol: Protocol::Lmtp, pipelining, ..config() }, server);
        assert_eq!(pair.run(), [Output::Ready]);
        let delivery = pair.send(message(&["a@example.net", "refused@example.net", "b@example.net"]), LETTER, 3);
        let words: Vec<_> = delivery.recipients.iter().map(|r| r.reply.text()).collect();
        assert_eq!(words, ["kept for recipient 0", "no such user", "kept for recipient 1"]);
        assert_eq!(pair.kept[0].letter, LETTER);
        pair.quit();
    }
}

#[test]
fn a_letter_that_nobody_takes_leaves_the_connection_usable() {
    for (pipelining, chunking) in [(true, false), (false, false), (true, true)] {
        let mut pair = Pair::new(ClientConfig { pipelining, chunking, ..config() }, server_config());
        assert_eq!(pair.run(), [Output::Ready]);
        let delivery = pair.send(message(&["refused@example.net"]), LETTER, 9);
        assert_eq!(delivery.recipients[0].stage, Stage::Rcpt);
        let delivery = pair.send(message(&["one@example.net"]), LETTER, 9);
        assert!(delivery.recipients[0].reply.is_positive());
        assert_eq!(pair.kept.len(), 1);
    }
}

#[test]
fn two_thousand_recipients_get_two_thousand_replies() {
    let server = ServerConfig {
        limits: ServerLimits { recipients: 1000, errors: 5000, ..ServerLimits::default() },
        ..server_config()
    };
    let mut pair = Pair::new(config(), server);
    assert_eq!(pair.run(), [Output::Ready]);
    assert_eq!(pair.client.recipients_max(), Some(1000));
    let recipients: Vec<String> = (0..2000).map(|n| format!("r{n}@example.net")).collect();
    let delivery = pair.send(message(&recipients.iter().map(String::as_str).collect::<Vec<_>>()), LETTER, 100);
    assert!(delivery.recipients[..1000].iter().all(|r| r.reply.is_positive()));
    assert!(delivery.recipients[1000..].iter().all(|r| r.reply.code.as_u16() == 452));
}

#[test]
fn the_envelope_arrives_as_it_was_given() {
    let mut pair = Pair::new(config(), server_config());
    assert_eq!(pair.run(), [Output::Ready]);
    let mut sent = message(&["jürgen@bücher.example", "\"quoted @ part\"@example.net", "p@[IPv6:2001:db8::1]"]);
    sent.params = crate::MailParams {
        size: Some(LETTER.len() as u64),
        body: Some(crate::Body::EightBitMime),
        smtputf8: true,
        ret: Some(crate::Ret::Full),
        envid: Some("a+b=c \"d\"".into()),
        ..Default::default()
    };
    sent.recipients[0].1.orcpt = Some(crate::OriginalRecipient {
        address_type: "utf-8".into(),
        address: "jürgen+x=y\\z@bücher.example".into(),
    });
    sent.recipients[1].1.orcpt = Some(crate::OriginalRecipient {
        address_type: "rfc822".into(),
        address: "\"quoted @ part\"@example.net".into(),
    });
    sent.recipients[1].1.notify = Some(crate::Notify { never: true, success: false, failure: false, delay: false });
    sent.recipients[2].1.notify = Some(crate::Notify { never: false, success: true, failure: true, delay: true });
    pair.send(sent.clone(), LETTER, 50);
    let Transaction { from, params, recipients } = &pair.kept[0].transaction;
    let arrived: Vec<_> = recipients
        .iter()
        .map(|(to, params)| match to {
            ForwardPath::Mailbox(to) => (to.clone(), params.clone()),
            ForwardPath::Postmaster => panic!("not sent"),
        })
        .collect();
    assert_eq!((from, params, arrived), (&sent.from, &sent.params, sent.recipients));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_letter_arrives_as_it_is_however_the_line_cuts_it(
        lines in proptest::collection::vec(proptest::collection::vec(
            prop_oneof![Just(b'.'), Just(b' '), 1u8..=9, 11u8..=12, 14u8..=255], 0..40), 0..30),
        pipelining: bool,
        chunking: bool,
        cut in 1usize..50,
        piece in 1usize..200,
    ) {
        // The first lines are none of a header, so that no limit of headers is met.
        let letter = lines.iter().fold(b"X: y\r\n\r\n".to_vec(), |letter, line| [&letter[..], line, b"\r\n"].concat());
        let mut pair = Pair::new(ClientConfig { pipelining, chunking, ..config() }, server_config());
        pair.cut = cut;
        prop_assert_eq!(pair.run(), [Output::Ready]);
        for _ in 0..2 {
            let delivery = pair.send(message(&["one@example.net"]), &letter, piece);
            prop_assert!(delivery.recipients[0].reply.is_positive(), "{:?}", delivery);
            prop_assert_eq!(&pair.kept.pop().unwrap().letter, &letter);
        }
    }

    #[test]
    fn a_long_letter_in_several_chunks_arrives_as_it_is(seed in 0usize..1000, piece in 60_000usize..200_000) {
        let letter: Vec<u8> = (0..30_000).flat_map(|n| format!("line {} of some\r\n", n ^ seed).into_bytes()).collect();
        let mut pair = Pair::new(ClientConfig { chunking: true, ..config() }, server_config());
        prop_assert_eq!(pair.run(), [Output::Ready]);
        pair.send(message(&["one@example.net"]), &letter, piece);
        prop_assert!(pair.kept.pop().unwrap().letter == letter);
    }
}
