//! Levels of TLS: what each makes of each kind of server, what the record says of it, and what is remembered.

use std::sync::Arc;

use dns::Zone;
use queue::Verdict::{self, Deferred, Relayed};
use rustls::{RootCertStore, ServerConfig};

use super::sink::{Script, Sink, count};
use super::{Authority, House, self_signed, verdicts};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Server {
    Good,
    Expired,
    SelfSigned,
    WrongName,
    /// Offers STARTTLS, and knows no TLS behind its 220.
    Broken,
    /// Offers no STARTTLS.
    Bare,
}

const SERVERS: [Server; 6] =
    [Server::Good, Server::Expired, Server::SelfSigned, Server::WrongName, Server::Broken, Server::Bare];

impl Server {
    fn script(self, authority: &Authority) -> Script {
        let tls = match self {
            Self::Good => Some(authority.server("mx.example")),
            Self::Expired => Some(authority.server_until("mx.example", 2020)),
            Self::SelfSigned => Some(self_signed("mx.example")),
            Self::WrongName => Some(authority.server("other.example")),
            Self::Broken | Self::Bare => None,
        };
        let offers = if self == Self::Bare { vec!["PIPELINING"] } else { vec!["PIPELINING", "STARTTLS"] };
        Script { tls, offers, ..Script::default() }
    }
}

fn house(sink: &Sink, more: &str, authorities: RootCertStore) -> House {
    let zone = Zone::new().mx("a.example", 10, "mx.example").mx("b.example", 10, "mx.example");
    let config = format!("allow_loopback_mx = true\nmx_port = {}\n{more}", sink.port());
    House::with(&config, zone.a("mx.example", [127, 0, 0, 1]), authorities)
}

/// What becomes of a letter, over TLS or not, the enhanced code and the beginning of the record's `tls`.
fn expected(level: &str, server: Server) -> (Verdict, bool, &'static str, &'static str) {
    use Server::*;
    match (level, server) {
        ("none", _) => (Relayed, false, "2.0.0", "none: not wanted; "),
        ("opportunistic", Broken) => (Relayed, false, "2.0.0", "none: the handshake failed: "),
        ("opportunistic", Bare) => (Relayed, false, "2.0.0", "none: STARTTLS not offered; "),
        (_, Broken) => (Deferred, false, "4.7.5", "none: the handshake failed: "),
        (_, Bare) => (Deferred, false, "4.7.10", "none: STARTTLS not offered; "),
        (_, Good) => (Relayed, true, "2.0.0", "TLSv1.3 TLS_AES_256_GCM_SHA384 verified; "),
        ("verified", _) => (Deferred, false, "4.7.5", "none: the handshake failed: the certificate is not good: "),
        (_, Expired) => (Relayed, true, "2.0.0", "TLSv1.3 TLS_AES_256_GCM_SHA384 not verified: it has expired; "),
        (_, SelfSigned) => (Relayed, true, "2.0.0", "TLSv1.3 TLS_AES_256_GCM_SHA384 not verified: "),
        (_, WrongName) => {
            (Relayed, true, "2.0.0", "TLSv1.3 TLS_AES_256_GCM_SHA384 not verified: it is for another name")
        }
    }
}

#[tokio::test]
async fn each_level_makes_of_each_server_what_the_table_says() {
    let authority = Authority::new();
    for level in ["none", "opportunistic", "required", "verified"] {
        for server in SERVERS {
            let sink = Sink::new(server.script(&authority)).await;
            let rules = format!("[tls.domain]\n\"a.example\" = \"{level}\"\n");
            let outcomes = house(&sink, &rules, authority.roots()).send(&["ann@a.example"]).await;
            let (verdict, tls, code, words) = expected(level, server);
            let (said, seen) = (&outcomes[0], sink.seen.letters());
            let case = format!("{level}, {server:?}: {} ({})", said.reply, said.tls);
            assert_eq!((said.verdict, seen.first().is_some_and(|letter| letter.tls)), (verdict, tls), "{case}");
            assert_eq!(said.reply.enhanced.unwrap().to_string(), code, "{case}");
            assert!(said.tls.starts_with(words), "{case}");
            let rule = format!("level={level} by [delivery.tls.domain] a.example");
            assert!(said.tls.ends_with(&format!("; {rule}")), "{case}");
            assert_eq!(verdict == Deferred, said.reply.text().contains(&rule), "{case}");
            assert_eq!(verdict == Deferred, seen.is_empty(), "{case}");
        }
    }
}

#[tokio::test]
async fn the_servers_name_and_the_default_have_a_say_too() {
    let authority = Authority::new();
    for (rules, by) in [
        ("[tls]\ndefault = \"verified\"", "[delivery.tls] default"),
        ("[tls.mx]\n\"example\" = \"verified\"", "[delivery.tls.mx] example"),
    ] {
        let sink = Sink::new(Server::SelfSigned.script(&authority)).await;
        let outcomes = house(&sink, rules, authority.roots()).send(&["ann@a.example"]).await;
        assert_eq!(verdicts(&outcomes), [Deferred]);
        assert!(outcomes[0].tls.ends_with(&format!("level=verified by {by}")), "{}", outcomes[0].tls);
    }
}

#[tokio::test]
async fn a_handshake_that_failed_is_remembered_for_opportunistic_mail_alone() {
    let sink = Sink::new(Server::Broken.script(&Authority::new())).await;
    let mut house = house(&sink, "[tls.domain]\n\"b.example\" = \"required\"", RootCertStore::empty());
    assert!(house.send(&["ann@a.example"]).await[0].tls.starts_with("none: the handshake failed: "));
    house.line.take().unwrap().quit().await;
    let outcomes = house.send(&["ann@a.example"]).await;
    assert!(
        outcomes[0].tls.starts_with("none: the handshake failed before (remembered until 20"),
        "{}",
        outcomes[0].tls
    );
    assert!(outcomes[0].tls.contains("Z): "), "{}", outcomes[0].tls);
    assert_eq!((sink.seen.connections(), count(&sink.seen.commands())["STARTTLS"]), (3, 1));
    // A letter that TLS is required for is not given to the plain line that is open, nor to another.
    assert_eq!(verdicts(&house.send(&["bob@b.example"]).await), [Deferred]);
    assert_eq!((sink.seen.letters().len(), count(&sink.seen.commands())["STARTTLS"]), (2, 2));
}

#[tokio::test]
async fn a_server_that_is_down_is_not_remembered_as_one_without_tls() {
    // The first connection hangs up at STARTTLS, the second at once; from the third on, TLS works.
    let script = Server::Good.script(&Authority::new());
    let answers = |heard: &super::sink::Heard<'_>| match (heard.connection, heard.command) {
        (1, "STARTTLS") | (2, "") => Some("CLOSE".to_owned()),
        _ => None,
    };
    let sink = Sink::new(Script { answers: Arc::new(answers), ..script }).await;
    let mut house = house(&sink, "", RootCertStore::empty());
    assert_eq!(verdicts(&house.send(&["ann@a.example"]).await), [Deferred]);
    assert_eq!(verdicts(&house.send(&["ann@a.example"]).await), [Relayed]);
    assert!(sink.seen.letters()[0].tls);
}

#[tokio::test]
async fn a_line_is_shared_only_by_letters_whose_level_it_meets() {
    let authority = Authority::new();
    let sink = Sink::new(Server::SelfSigned.script(&authority)).await;
    let rules = "[tls.domain]\n\"a.example\" = \"opportunistic\"\n\"b.example\" = \"required\"\n";
    let mut shared = house(&sink, rules, authority.roots());
    shared.send(&["ann@a.example"]).await;
    let outcomes = shared.send(&["bob@b.example"]).await;
    assert_eq!((verdicts(&outcomes), sink.seen.connections()), (vec![Relayed], 1));
    assert!(outcomes[0].tls.ends_with("level=required by [delivery.tls.domain] b.example"), "{}", outcomes[0].tls);

    let rules = "[tls.domain]\n\"b.example\" = \"verified\"\n";
    let mut strict = house(&sink, rules, authority.roots());
    strict.send(&["ann@a.example"]).await;
    assert_eq!(verdicts(&strict.send(&["bob@b.example"]).await), [Deferred]);
    assert_eq!(sink.seen.letters().len(), 3);
}

#[tokio::test]
async fn the_next_server_is_tried_where_the_level_is_not_met() {
    let authority = Authority::new();
    let bad = Sink::new(Server::Bare.script(&authority)).await;
    let good = Sink::at(([127, 0, 0, 2], bad.port()).into(), Server::Good.script(&authority)).await;
    let zone = Zone::new().mx("a.example", 10, "bad.example").mx("a.example", 20, "mx.example");
    let zone = zone.a("bad.example", [127, 0, 0, 1]).a("mx.example", [127, 0, 0, 2]);
    let config = format!("allow_loopback_mx = true\nmx_port = {}\n[tls]\ndefault = \"verified\"", bad.port());
    let outcomes = House::with(&config, zone, authority.roots()).send(&["ann@a.example"]).await;
    assert_eq!((verdicts(&outcomes), good.seen.letters().len()), (vec![Relayed], 1));
}

async fn twice(server: Arc<ServerConfig>, level: &str, authorities: RootCertStore) -> Vec<String> {
    let sink = Sink::new(Script { tls: Some(server), ..Server::Good.script(&Authority::new()) }).await;
    let mut house = house(&sink, &format!("[tls]\ndefault = \"{level}\""), authorities);
    let mut words = Vec::new();
    for _ in 0..2 {
        words.push(house.send(&["ann@a.example"]).await[0].tls.clone());
        house.line.take().unwrap().quit().await;
    }
    words
}

#[tokio::test]
async fn the_second_connection_resumes_the_session_and_says_so() {
    let authority = Authority::new();
    for level in ["opportunistic", "required", "verified"] {
        let words = twice(authority.server("mx.example"), level, authority.roots()).await;
        assert!(words[0].starts_with("TLSv1.3 TLS_AES_256_GCM_SHA384 verified; "), "{words:?}");
        assert!(words[1].starts_with("TLSv1.3 TLS_AES_256_GCM_SHA384 resumed, verified; "), "{words:?}");
    }
    let words = twice(self_signed("mx.example"), "required", authority.roots()).await;
    assert!(words[1].contains(" resumed, not verified: "), "{words:?}");
}

#[tokio::test]
async fn a_session_that_anyone_could_have_given_never_makes_a_verified_line() {
    let sink = Sink::new(Server::SelfSigned.script(&Authority::new())).await;
    let mut house = house(&sink, "[tls.domain]\n\"b.example\" = \"verified\"", Authority::new().roots());
    assert_eq!(verdicts(&house.send(&["ann@a.example"]).await), [Relayed]);
    house.line.take().unwrap().quit().await;
    let outcomes = house.send(&["bob@b.example"]).await;
    assert_eq!(verdicts(&outcomes), [Deferred]);
    assert!(!outcomes[0].tls.contains("resumed"), "{}", outcomes[0].tls);
}
