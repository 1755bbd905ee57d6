//! One letter without a queue.

use std::sync::Arc;

use dns::Zone;
use queue::Body;
use rustls::RootCertStore;
use smtp::client::{Credentials, Message, TlsMode};
use smtp::server::Protocol;
use smtp::{MailParams, RcptParams, ReversePath, Secret};

use super::Authority;
use super::sink::{Script, Sink};
use crate::config::Times;
use crate::{Line, SendTo, Sent, Trouble, send_one};

fn to(sink: &Sink, tls: TlsMode, authorities: RootCertStore) -> SendTo {
    SendTo {
        server: format!("mx.example:{}", sink.port()).parse().unwrap(),
        protocol: Protocol::Smtp,
        tls,
        tls_name: None,
        verify: true,
        credentials: None,
        insecure_allow_plaintext_auth: false,
        ehlo: "us.example".parse().unwrap(),
        authorities: Arc::new(authorities),
        times: Times::default(),
    }
}

async fn send(to: &SendTo) -> (Result<Sent, Trouble>, Vec<String>) {
    let zone = Zone::new().a("mx.example", [127, 0, 0, 1]);
    let message = Message {
        from: ReversePath::Null,
        params: MailParams::default(),
        recipients: vec![("ann@a.example".parse().unwrap(), RcptParams::default())],
    };
    let mut lines = Vec::new();
    let mut watch = |line: Line<'_>| lines.push(format!("{line:?}"));
    let sent = send_one(to, &zone, message, &Body::from_bytes(&b"Subject: x\r\n\r\nx\r\n"[..]), &mut watch).await;
    (sent, lines)
}

#[tokio::test]
async fn the_dialog_is_shown_without_the_password() {
    let authority = Authority::new();
    let script = Script {
        offers: vec!["PIPELINING", "STARTTLS", "AUTH PLAIN"],
        tls: Some(authority.server("mx.example")),
        ..Script::default()
    };
    let sink = Sink::new(script).await;
    let credentials = Some(Credentials { user: "me".into(), password: Secret::new("s3cret") });
    let (sent, lines) = send(&SendTo { credentials, ..to(&sink, TlsMode::StartTls, authority.roots()) }).await;
    let sent = sent.unwrap();
    assert!(sent.delivery.recipients[0].reply.is_positive());
    assert_eq!(sent.auth.as_deref(), Some("PLAIN"));
    assert_eq!(sent.tls.as_ref().unwrap().verified, Ok(()));
    assert_eq!(sent.peer, format!("mx.example [127.0.0.1]:{}", sink.port()));
    assert!(sent.opened_in <= sent.took);
    let dialog = lines.join("\n");
    for word in ["Connected", "STARTTLS", "Tls", "AUTH PLAIN", "MAIL FROM:<>", "RCPT TO:<ann@a.example>", "QUIT", "221"]
    {
        assert!(dialog.contains(word), "{word} is missing in\n{dialog}");
    }
    // `me` and `s3cret` as PLAIN sends them.
    assert!(!dialog.contains("AG1lAHMzY3JldA") && !dialog.contains("s3cret"), "{dialog}");
    assert!(sink.seen.commands().iter().any(|command| command.contains("AG1lAHMzY3JldA")));
}

#[tokio::test]
async fn a_refusal_is_a_reply_and_no_server_is_trouble() {
    let sink = Sink::new(Script::saying(|heard| heard.command.starts_with("RCPT").then_some("550 5.1.1 nobody"))).await;
    let (sent, _) = send(&to(&sink, TlsMode::None, RootCertStore::empty())).await;
    assert_eq!(sent.unwrap().delivery.recipients[0].reply.to_string(), "550 5.1.1 nobody");

    let nobody =
        SendTo { server: "nowhere.example:25".parse().unwrap(), ..to(&sink, TlsMode::None, RootCertStore::empty()) };
    assert!(send(&nobody).await.0.unwrap_err().reply.text().contains("nowhere.example"));
}
