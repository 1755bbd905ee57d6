//! TLS: what is demanded, what is made the best of, and what is noted.

use dns::Zone;
use queue::Verdict::{Deferred, Delivered, Failed, Relayed};
use rustls::RootCertStore;
use smtp::MailParams;

use super::sink::{Script, Sink, count};
use super::{Authority, House, attempt_with, self_signed, verdicts};

fn offering_starttls() -> Script {
    Script { offers: vec!["PIPELINING", "STARTTLS"], ..Script::default() }
}

fn mx(sink: &Sink, authorities: RootCertStore) -> House {
    let zone = Zone::new().mx("a.example", 10, "mx.example").a("mx.example", [127, 0, 0, 1]);
    House::with(&format!("allow_loopback_mx = true\nmx_port = {}", sink.port()), zone, authorities)
}

fn route(sink: &Sink, more: &str, authorities: RootCertStore) -> House {
    let zone = Zone::new().a("mx.example", [127, 0, 0, 1]);
    let config = format!("[[route]]\ndomain = \"*\"\nto = \"mx.example:{}\"\n{more}", sink.port());
    House::with(&config, zone, authorities)
}

#[tokio::test]
async fn opportunistic_mail_takes_any_certificate_and_notes_what_it_was() {
    let authority = Authority::new();
    for (tls, word) in [
        (authority.server("mx.example"), "verified"),
        (authority.server("other.example"), "not verified: it is for another name (other.example)"),
        (self_signed("mx.example"), "not verified: "),
        (Authority::new().server("mx.example"), "not verified: no known authority has signed it"),
    ] {
        let sink = Sink::new(Script { tls: Some(tls), ..offering_starttls() }).await;
        let outcomes = mx(&sink, authority.roots()).send(&["ann@a.example"]).await;
        assert_eq!(verdicts(&outcomes), [Relayed]);
        assert!(outcomes[0].tls.starts_with("TLSv1.3 TLS_AES_"), "{}", outcomes[0].tls);
        assert!(outcomes[0].tls.contains(word), "{}", outcomes[0].tls);
        assert!(word.starts_with("not") || !outcomes[0].tls.contains("not"), "{}", outcomes[0].tls);
        assert!(sink.seen.letters()[0].tls);
        assert_eq!(sink.seen.connections(), 1);
    }
}

#[tokio::test]
async fn without_any_authority_nothing_counts_as_verified() {
    let sink = Sink::new(Script { tls: Some(self_signed("mx.example")), ..offering_starttls() }).await;
    let outcomes = mx(&sink, RootCertStore::empty()).send(&["ann@a.example"]).await;
    assert_eq!(verdicts(&outcomes), [Relayed]);
    assert!(outcomes[0].tls.contains("not verified"), "{}", outcomes[0].tls);
}

#[tokio::test]
async fn a_resumed_session_is_judged_anew() {
    let sink = Sink::new(Script { tls: Some(self_signed("mx.example")), ..offering_starttls() }).await;
    let mut house = mx(&sink, Authority::new().roots());
    for _ in 0..2 {
        let outcomes = house.send(&["ann@a.example"]).await;
        assert!(outcomes[0].tls.contains("not verified: "), "{}", outcomes[0].tls);
        house.line.take().unwrap().quit().await;
    }
    assert_eq!(sink.seen.connections(), 2);
}

#[tokio::test]
async fn an_opportunistic_handshake_that_fails_is_followed_by_plain_mail() {
    // No TLS behind the 220; or no to STARTTLS; or words behind the 220.
    let refusing = Script::saying(|heard| heard.command.starts_with("STARTTLS").then_some("454 4.7.0 not now"));
    let lying = Script::saying(|heard| heard.command.starts_with("STARTTLS").then_some("220 ready\r\nbut not for TLS"));
    for script in [Script::default(), refusing, lying] {
        let offers = vec!["PIPELINING", "STARTTLS"];
        let sink = Sink::new(Script { offers, ..script }).await;
        let outcomes = mx(&sink, RootCertStore::empty()).send(&["ann@a.example"]).await;
        assert_eq!(verdicts(&outcomes), [Relayed], "{}", outcomes[0].reply);
        assert!(outcomes[0].tls.starts_with("none: "), "{}", outcomes[0].tls);
        assert!(!sink.seen.letters()[0].tls);
    }
}

#[tokio::test]
async fn a_server_that_insists_on_the_tls_that_failed_bounces_nothing() {
    let insists = "530 5.7.0 Must issue a STARTTLS command first";
    let not_now = Script::saying(move |heard| match heard.command.split(' ').next() {
        Some("STARTTLS") => Some("454 4.7.0 TLS not available due to temporary reason"),
        Some("MAIL") => Some(insists),
        _ => None,
    });
    let hangs_up = Script::saying(move |heard| heard.command.starts_with("MAIL").then_some(insists));
    for script in [not_now, hangs_up] {
        let sink = Sink::new(Script { offers: vec!["PIPELINING", "STARTTLS"], ..script.clone() }).await;
        let outcomes = mx(&sink, RootCertStore::empty()).send(&["ann@a.example"]).await;
        assert_eq!(verdicts(&outcomes), [Deferred], "{}", outcomes[0].reply);
        assert_eq!(outcomes[0].reply.to_string(), insists);
        // Where there is no STARTTLS, the same words are about the letter.
        let sink = Sink::new(Script { offers: vec!["PIPELINING"], ..script }).await;
        assert_eq!(verdicts(&mx(&sink, RootCertStore::empty()).send(&["ann@a.example"]).await), [Failed]);
    }
}

#[tokio::test]
async fn required_tls_refuses_a_bad_certificate_and_never_goes_on_in_clear() {
    let authority = Authority::new();
    for (tls, more) in [
        (self_signed("mx.example"), ""),
        (authority.server("other.example"), ""),
        (authority.server("mx.example"), "tls_name = \"other.example\""),
        (Authority::new().server("mx.example"), ""),
    ] {
        let sink = Sink::new(Script { tls: Some(tls), ..offering_starttls() }).await;
        let mut house = route(&sink, &format!("tls = \"required\"\n{more}"), authority.roots());
        let outcomes = house.send(&["ann@a.example"]).await;
        assert_eq!(verdicts(&outcomes), [Deferred]);
        assert_eq!(outcomes[0].reply.enhanced.unwrap().to_string(), "4.7.5");
        assert!(outcomes[0].reply.text().contains("certificate"), "{}", outcomes[0].reply);
        assert!(!count(&sink.seen.commands()).contains_key("MAIL"));
        assert_eq!(sink.seen.connections(), 1);
    }
}

#[tokio::test]
async fn required_tls_takes_a_good_certificate_by_the_name_that_was_asked_for() {
    let authority = Authority::new();
    for (name, more) in [("mx.example", ""), ("other.example", "tls_name = \"other.example\"")] {
        let sink = Sink::new(Script { tls: Some(authority.server(name)), ..offering_starttls() }).await;
        let outcomes =
            route(&sink, &format!("tls = \"required\"\n{more}"), authority.roots()).send(&["ann@a.example"]).await;
        assert_eq!(verdicts(&outcomes), [Relayed], "{}", outcomes[0].reply);
        assert!(outcomes[0].tls.ends_with(" verified; level=verified by the route"), "{}", outcomes[0].tls);
    }
}

#[tokio::test]
async fn required_tls_that_is_not_offered_defers() {
    let sink = Sink::new(Script::default()).await;
    let outcomes = route(&sink, "tls = \"required\"", RootCertStore::empty()).send(&["ann@a.example"]).await;
    assert_eq!(verdicts(&outcomes), [Deferred]);
    assert_eq!(outcomes[0].reply.enhanced.unwrap().to_string(), "4.7.10");
    assert!(sink.seen.letters().is_empty());
}

/// RFC 8689 §4.2.1: who can forge the MX record has a good certificate for the name that it holds.
#[tokio::test]
async fn a_letter_that_requires_tls_is_not_given_to_a_name_that_anyone_could_have_put_there() {
    let params = || MailParams { requiretls: true, ..MailParams::default() };
    let letter = || attempt_with(&["ann@a.example"], b"Subject: x\r\n\r\nx\r\n", params());
    let authority = Authority::new();
    let script = |name| Script {
        offers: vec!["PIPELINING", "STARTTLS", "REQUIRETLS"],
        tls: Some(authority.server(name)),
        ..Script::default()
    };
    let sink = Sink::new(script("mx.example")).await;
    let outcomes = mx(&sink, authority.roots()).send_as(letter()).await;
    assert_eq!(verdicts(&outcomes), [Failed]);
    assert_eq!(outcomes[0].reply.enhanced.unwrap().to_string(), "5.7.10");
    assert!(sink.seen.letters().is_empty());

    // A name that the configuration gives, and the domain's own, are as good as their certificates.
    let outcomes = route(&sink, "tls = \"required\"", authority.roots()).send_as(letter()).await;
    assert_eq!(verdicts(&outcomes), [Relayed], "{}", outcomes[0].reply);
    let sink = Sink::new(script("a.example")).await;
    let zone = Zone::new().a("a.example", [127, 0, 0, 1]);
    let config = format!("allow_loopback_mx = true\nmx_port = {}", sink.port());
    let outcomes = House::with(&config, zone, authority.roots()).send_as(letter()).await;
    assert_eq!(verdicts(&outcomes), [Relayed], "{}", outcomes[0].reply);
    assert!(sink.seen.commands().iter().any(|command| command.ends_with(" REQUIRETLS")));
}

/// RFC 8689 §4.2.1: the other servers of the domain are tried before the letter goes back.
#[tokio::test]
async fn a_letter_that_requires_tls_goes_to_the_server_that_takes_it() {
    let authority = Authority::new();
    let with = |offers, name| Script { offers, tls: Some(authority.server(name)), ..Script::default() };
    let lacking = Sink::new(with(vec!["PIPELINING", "STARTTLS"], "a.example")).await;
    let address = ([127, 0, 0, 2], lacking.port()).into();
    let full = Sink::at(address, with(vec!["PIPELINING", "STARTTLS", "REQUIRETLS"], "a.example")).await;
    let zone = Zone::new().a("a.example", [127, 0, 0, 1]).a("a.example", [127, 0, 0, 2]);
    let config = format!("allow_loopback_mx = true\nmx_port = {}", lacking.port());
    let letter = || {
        let params = MailParams { requiretls: true, ..MailParams::default() };
        attempt_with(&["ann@a.example"], b"Subject: x\r\n\r\nx\r\n", params)
    };
    for _ in 0..4 {
        let outcomes = House::with(&config, zone.clone(), authority.roots()).send_as(letter()).await;
        assert_eq!(verdicts(&outcomes), [Relayed], "{}", outcomes[0].reply);
    }
    assert_eq!((lacking.seen.letters().len(), full.seen.letters().len()), (0, 4));

    let zone = Zone::new().a("a.example", [127, 0, 0, 1]);
    let outcomes = House::with(&config, zone, authority.roots()).send_as(letter()).await;
    assert_eq!(verdicts(&outcomes), [Failed]);
    assert_eq!(outcomes[0].reply.enhanced.unwrap().to_string(), "5.7.30");
}

/// An open line that ordinary mail made, or a handshake that failed before, is no reason to send such a letter back.
#[tokio::test]
async fn a_letter_that_requires_tls_has_a_line_of_its_own_where_the_open_one_will_not_do() {
    let authority = Authority::new();
    let answers = |heard: &super::sink::Heard<'_>| {
        (heard.connection == 1 && heard.command == "STARTTLS").then(|| "220 ready\r\n500 or not".to_owned())
    };
    let sink = Sink::new(Script {
        offers: vec!["PIPELINING", "STARTTLS", "REQUIRETLS"],
        tls: Some(authority.server("a.example")),
        answers: std::sync::Arc::new(answers),
        ..Script::default()
    });
    let sink = sink.await;
    let zone = Zone::new().a("a.example", [127, 0, 0, 1]);
    let config = format!("allow_loopback_mx = true\nmx_port = {}", sink.port());
    let mut house = House::with(&config, zone, authority.roots());
    assert!(house.send(&["ann@a.example"]).await[0].tls.starts_with("none: the handshake failed: "));
    let params = MailParams { requiretls: true, ..MailParams::default() };
    let outcomes = house.send_as(attempt_with(&["ann@a.example"], b"A: b\r\n\r\n", params)).await;
    assert_eq!(verdicts(&outcomes), [Relayed], "{}", outcomes[0].reply);
    assert!(sink.seen.letters()[1].tls && sink.seen.connections() == 3);
}

/// RFC 8689 §5.
#[tokio::test]
async fn a_report_about_a_letter_that_requires_tls_is_not_lost_for_want_of_it() {
    let sink = Sink::new(Script::default()).await;
    let params = MailParams { requiretls: true, ..MailParams::default() };
    let mut attempt = attempt_with(&["ann@a.example"], b"A: b\r\n\r\n", params);
    let mut letter = queue::Letter::clone(&attempt.letter);
    letter.from = smtp::ReversePath::Null;
    attempt.letter = std::sync::Arc::new(letter);
    let outcomes = mx(&sink, RootCertStore::empty()).send_as(attempt).await;
    assert_eq!(verdicts(&outcomes), [Relayed], "{}", outcomes[0].reply);
    assert!(!sink.seen.commands().iter().any(|command| command.contains("REQUIRETLS")));
}

/// RFC 8689 §4.4: the way ends at the mailbox.
#[tokio::test]
async fn a_letter_that_requires_tls_reaches_the_mailbox_server_of_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp");
    let seen = Sink::unix(&path, Script { lmtp: true, ..Script::default() });
    let tcp = Sink::new(Script { lmtp: true, ..Script::default() }).await;
    for (to, seen) in [(path.display().to_string(), seen), (format!("127.0.0.1:{}", tcp.port()), tcp.seen.clone())] {
        let mut house = House::new(&format!("[[local]]\ndomain = \"a.example\"\nto = \"lmtp:{to}\""));
        let params = MailParams { requiretls: true, ..MailParams::default() };
        let outcomes = house.send_as(attempt_with(&["ann@a.example"], b"A: b\r\n\r\n", params)).await;
        assert_eq!(verdicts(&outcomes), [Delivered], "{}", outcomes[0].reply);
        assert!(!seen.commands().iter().any(|command| command.contains("REQUIRETLS")));
    }
}

#[tokio::test]
async fn implicit_tls_begins_with_the_first_byte() {
    let authority = Authority::new();
    let script = |tls| Script { tls: Some(tls), implicit: true, ..Script::default() };
    let good = Sink::new(script(authority.server("mx.example"))).await;
    let outcomes = route(&good, "tls = \"implicit\"", authority.roots()).send(&["ann@a.example"]).await;
    assert_eq!(verdicts(&outcomes), [Relayed], "{}", outcomes[0].reply);
    assert!(good.seen.letters()[0].tls);

    let bad = Sink::new(script(self_signed("mx.example"))).await;
    let outcomes = route(&bad, "tls = \"implicit\"", authority.roots()).send(&["ann@a.example"]).await;
    assert_eq!(verdicts(&outcomes), [Deferred]);
    let more = "tls = \"implicit\"\ninsecure_skip_verify = true";
    let outcomes = route(&bad, more, authority.roots()).send(&["ann@a.example"]).await;
    assert_eq!(verdicts(&outcomes), [Relayed]);
}
