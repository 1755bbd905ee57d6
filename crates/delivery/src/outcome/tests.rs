use smtp::client::RecipientReply;

use super::*;

fn policy() -> TlsPolicy {
    TlsPolicy { level: TlsLevel::Verified, why: "the route".into() }
}

fn reply(code: u16) -> Reply {
    Reply::plain(code, "their words")
}

#[test]
fn a_reply_decides_by_its_first_digit() {
    for (code, expected) in [
        (250, Verdict::Delivered),
        (251, Verdict::Delivered),
        (354, Verdict::Deferred),
        (450, Verdict::Deferred),
        (550, Verdict::Failed),
    ] {
        assert_eq!(verdict(&reply(code), false), expected, "{code}");
        assert_eq!(verdict(&reply(code), true), expected, "{code}");
    }
}

#[test]
fn missing_authentication_at_a_configured_server_is_not_the_senders_fault() {
    for code in [530, 534, 535, 538] {
        assert_eq!(verdict(&reply(code), true), Verdict::Deferred, "{code}");
        assert_eq!(verdict(&reply(code), false), Verdict::Failed, "{code}");
    }
}

#[test]
fn no_way_a_connection_ends_bounces_a_letter() {
    let stages =
        [Stage::Connect, Stage::Greeting, Stage::Ehlo, Stage::StartTls, Stage::Auth, Stage::Mail, Stage::EndOfData];
    let mut endings = vec![
        Closed::Quit,
        Closed::TlsNotOffered,
        Closed::TlsFailed("it is self-signed".into()),
        Closed::AuthNotOffered,
        Closed::AuthNeedsTls,
    ];
    for stage in stages {
        endings.push(Closed::Refused { stage, reply: reply(554) });
        endings.push(Closed::Timeout(stage));
        endings.push(Closed::Disconnected(stage));
        endings.push(Closed::Protocol { stage, what: "no reply code" });
    }
    for closed in endings {
        let trouble = Trouble::closed("mx.example [192.0.2.1]:25", &closed, String::new(), &policy());
        assert_eq!(trouble.verdict, Verdict::Deferred, "{closed:?}");
        assert!(!trouble.reply.text().is_empty());
        if trouble.by == OURSELVES {
            assert!(trouble.reply.is_transient(), "{closed:?}: {}", trouble.reply);
            assert!(trouble.reply.text().contains("mx.example"), "{}", trouble.reply);
        }
    }
}

#[test]
fn the_servers_own_words_are_kept_with_its_name() {
    let closed = Closed::Refused { stage: Stage::Greeting, reply: reply(554) };
    let trouble = Trouble::closed("mx.example [192.0.2.1]:25", &closed, String::new(), &policy());
    assert_eq!((trouble.reply, trouble.by.as_str()), (reply(554), "mx.example [192.0.2.1]:25"));
}

#[test]
fn a_refused_login_says_so() {
    let closed = Closed::Refused { stage: Stage::Auth, reply: reply(535) };
    let text = Trouble::closed("smart.example", &closed, String::new(), &policy()).reply.to_string();
    assert!(text.contains("535") && text.contains("user name and password") && text.contains("their words"), "{text}");
}

#[test]
fn connection_errors_are_told_apart() {
    for (kind, word) in [
        (io::ErrorKind::ConnectionRefused, "nothing listens"),
        (io::ErrorKind::TimedOut, "in time"),
        (io::ErrorKind::NetworkUnreachable, "no connection"),
    ] {
        let trouble = Trouble::connect("mx.example [192.0.2.1]:25", &kind.into());
        assert!(trouble.reply.text().contains(word), "{}", trouble.reply);
        assert_eq!(trouble.reply.enhanced.unwrap().to_string(), "4.4.1");
    }
}

#[test]
fn only_dns_trouble_among_the_unroutable_defers() {
    let dns = dns::DnsError { name: "d.example".into(), what: "SERVFAIL".into() };
    assert_eq!(Trouble::unroutable(&Unroutable::Dns(dns)).verdict, Verdict::Deferred);
    assert_eq!(Trouble::unroutable(&Unroutable::NullMx("d.example".into())).verdict, Verdict::Failed);
}

#[test]
fn a_421_before_the_letter_only_says_that_the_connection_is_old() {
    let said = |stage, code| Delivery { recipients: vec![RecipientReply { stage, reply: reply(code) }; 2] };
    assert!(is_stale(&said(Stage::Mail, 421)));
    assert!(!is_stale(&said(Stage::Mail, 451)));
    assert!(!is_stale(&said(Stage::EndOfData, 421)));
    assert!(!is_stale(&Delivery { recipients: vec![] }));
}
