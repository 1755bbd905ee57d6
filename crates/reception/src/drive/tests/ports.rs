//! What each port is for, and clients in the wrong mode.

use std::time::Duration;

use queue::RecipientState;

use super::client::Client;
use super::house::{DOMAINS, Server, directory};
use crate::config::{Listener, Profile};
use crate::shared::Shared;

#[tokio::test]
async fn relay_takes_letters_for_us_and_keeps_them() {
    let server = Server::start(Profile::Relay).await;
    let mut client = Client::greeted(&server).await;
    let reply = client.letter("friend@far.example", "user@local.example").await;
    let id = reply.strip_prefix("250 2.0.0 queued as ").expect(&reply).to_owned();
    let (attempt, text) = server.letter().await;
    assert_eq!(attempt.letter.id.to_string(), id);
    assert_eq!(attempt.letter.from.to_string(), "friend@far.example");
    assert_eq!(attempt.letter.recipients[0].address.to_string(), "user@local.example");
    assert!(matches!(attempt.letter.recipients[0].state, RecipientState::Pending { .. }));
    assert!(text.starts_with("Received: from client.example"), "{text}");
    assert!(text.contains("with ESMTP"), "{text}");
    assert!(text.ends_with("Subject: hello\r\n\r\nworld\r\n"), "{text}");
}

#[tokio::test]
async fn relay_does_not_add_what_only_a_submission_server_adds() {
    let server = Server::start(Profile::Relay).await;
    Client::greeted(&server).await.letter("friend@far.example", "user@local.example").await;
    let (_, text) = server.letter().await;
    assert!(!text.contains("Message-ID"), "{text}");
}

#[tokio::test]
async fn relay_refuses_strangers_who_want_to_go_elsewhere() {
    let server = Server::start(Profile::Relay).await;
    let mut client = Client::greeted(&server).await;
    client.say("MAIL FROM:<friend@far.example>").await;
    assert!(client.say("RCPT TO:<victim@far.example>").await.starts_with("550 5.7.1 relaying is not permitted"));
    assert!(client.say("RCPT TO:<nobody@local.example>").await.starts_with("550 5.1.1"));
    assert!(client.say("RCPT TO:<postmaster>").await.starts_with("250"));
    assert!(client.say("RCPT TO:<known@relay.example>").await.starts_with("250"));
    let records = server.records();
    assert_eq!(records.matches("\"event\":\"refused\"").count(), 2, "{records}");
    assert!(records.contains("victim@far.example") && records.contains("friend@far.example"), "{records}");
}

#[tokio::test]
async fn relay_takes_any_recipient_from_a_network_that_is_named() {
    let server = Server::start_with(Profile::Relay, |_, shared| {
        shared.relay.relay_from_networks = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let reply = Client::greeted(&server).await.letter("app@local.example", "anyone@far.example").await;
    assert!(reply.starts_with("250 "), "{reply}");
}

#[tokio::test]
async fn relay_offers_starttls_and_no_logins() {
    let server = Server::start(Profile::Relay).await;
    let mut client = Client::greeted(&server).await;
    let offer = client.say("EHLO client.example").await;
    assert!(offer.contains("STARTTLS") && !offer.contains("AUTH"), "{offer}");
    let mut client = Client::upgraded(&server).await;
    let offer = client.say("EHLO client.example").await;
    assert!(!offer.contains("STARTTLS") && !offer.contains("AUTH"), "{offer}");
    assert!(client.letter("friend@far.example", "user@local.example").await.starts_with("250 "));
    let (_, text) = server.letter().await;
    assert!(text.contains("with ESMTPS") && text.contains("TLSv1.3 TLS_AES"), "{text}");
}

#[tokio::test]
async fn an_alias_reaches_each_of_its_mailboxes() {
    let server = Server::start(Profile::Relay).await;
    Client::greeted(&server).await.letter("friend@far.example", "both@local.example").await;
    let (attempt, _) = server.letter().await;
    let to: Vec<String> = attempt.letter.recipients.iter().map(|recipient| recipient.address.to_string()).collect();
    assert_eq!(to, ["user@local.example", "alice@local.example"]);
}

#[tokio::test]
async fn submission_wants_tls_then_a_login_then_an_address_of_ones_own() {
    let server = Server::start(Profile::Submission).await;
    let mut client = Client::greeted(&server).await;
    assert!(client.say("MAIL FROM:<alice@local.example>").await.starts_with("530 5.7.0"));
    let mut client = Client::upgraded(&server).await;
    assert!(client.say("MAIL FROM:<alice@local.example>").await.starts_with("530 5.7.0"));
    let mut client = Client::alice(&server).await;
    let reply = client.letter("user@local.example", "anyone@far.example").await;
    assert!(reply.starts_with("553 5.7.1 you may not send as user@local.example"), "{reply}");
    let reply = client.letter("alice@local.example", "anyone@far.example").await;
    assert!(reply.starts_with("250 "), "{reply}");
    let (attempt, text) = server.letter().await;
    assert_eq!(attempt.letter.origin.user.as_deref(), Some("alice"));
    assert!(text.contains("with ESMTPSA") && text.contains("Message-ID"), "{text}");
}

#[tokio::test]
async fn submissions_speaks_tls_from_the_first_byte() {
    let server = Server::start(Profile::Submissions).await;
    let mut client = Client::connect(&server).await.encrypt(&server).await;
    assert!(client.reply().await.starts_with("220 "));
    assert!(client.say("EHLO client.example").await.contains("AUTH"));
}

#[tokio::test]
async fn a_client_that_says_ehlo_on_465_is_told_what_to_do() {
    let server = Server::start(Profile::Submissions).await;
    let mut client = Client::connect(&server).await;
    let reply = client.say("EHLO client.example").await;
    assert_eq!(
        reply,
        "421 4.7.0 mx.local.example this port speaks TLS from the first byte; use implicit TLS here, or port 587 with STARTTLS"
    );
    assert!(client.is_closed().await);
}

// The clock is the runtime's: where all wait, it goes on to the next deadline.
#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_on_465_is_told_what_to_do() {
    let server = Server::start(Profile::Submissions).await;
    let begun = tokio::time::Instant::now();
    let mut client = Client::connect(&server).await;
    let reply = client.reply().await;
    assert!(reply.starts_with("421 4.7.0") && reply.contains("port 587 with STARTTLS"), "{reply}");
    assert!(begun.elapsed().as_secs() >= 5);
}

#[tokio::test]
async fn a_client_that_begins_with_tls_on_587_or_2525_is_served_so() {
    for profile in [Profile::Submission, Profile::Alternative] {
        // The first byte ends the wait; a busy machine may be late with it.
        let patient = |_: &mut Listener, shared: &mut Shared| shared.limits.first_byte_wait = Duration::from_secs(20);
        let server = Server::start_with(profile, patient).await;
        let mut client = Client::connect(&server).await.encrypt(&server).await;
        assert!(client.reply().await.starts_with("220 "));
        let offer = client.say("EHLO client.example").await;
        assert!(offer.contains("AUTH") && !offer.contains("STARTTLS"), "{offer}");
    }
}

#[tokio::test]
async fn a_client_that_begins_with_tls_on_25_is_greeted_in_the_clear() {
    let server = Server::start(Profile::Relay).await;
    let mut client = Client::connect(&server).await;
    client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    assert!(client.reply().await.starts_with("220 "));
}

#[tokio::test]
async fn lmtp_answers_for_each_recipient() {
    let server = Server::start(Profile::Lmtp).await;
    let mut client = Client::connect(&server).await;
    assert!(client.reply().await.starts_with("220 "));
    client.say("LHLO client.example").await;
    client.say("MAIL FROM:<friend@far.example>").await;
    assert!(client.say("RCPT TO:<user@local.example>").await.starts_with("250"));
    assert!(client.say("RCPT TO:<victim@far.example>").await.starts_with("550 5.7.1"));
    assert!(client.say("RCPT TO:<alice@local.example>").await.starts_with("250"));
    assert!(client.say("DATA").await.starts_with("354"));
    assert!(client.say("Subject: x\r\n\r\ny\r\n.").await.starts_with("250 "));
    assert!(client.reply().await.starts_with("250 "));
    assert!(client.say("NOOP").await.starts_with("250 "));
}

#[tokio::test]
async fn octets_behind_starttls_end_the_connection() {
    let server = Server::start(Profile::Relay).await;
    let mut client = Client::greeted(&server).await;
    client.send("STARTTLS\r\nMAIL FROM:<evil@far.example>\r\n").await;
    let reply = client.reply().await;
    assert!(!reply.contains("Sender OK"), "{reply}");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_pipelined_group_is_answered_whole() {
    let server = Server::start(Profile::Relay).await;
    let mut client = Client::greeted(&server).await;
    let group =
        "MAIL FROM:<friend@far.example>\r\nRCPT TO:<nobody@local.example>\r\nRCPT TO:<user@local.example>\r\nDATA\r\n";
    client.send(group).await;
    let codes = ["250 ", "550 ", "250 ", "354 "];
    for code in codes {
        assert!(client.reply().await.starts_with(code));
    }
    client.send("\r\nx\r\n.\r\nQUIT\r\n").await;
    assert!(client.reply().await.starts_with("250 2.0.0 queued as "));
    assert!(client.reply().await.starts_with("221 "));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn what_this_machine_sends_to_its_own_name_is_the_postmasters() {
    let server = Server::start(Profile::Relay).await;
    let resolve = |text: &str| crate::resolve(&server.house.load(), &text.parse().unwrap()).unwrap();
    let postmaster = resolve("postmaster@local.example");
    assert_eq!(resolve("root@mx.local.example"), postmaster);
    assert_eq!(resolve("root@far.example"), ["root@far.example".parse().unwrap()]);
}

#[tokio::test]
async fn a_reload_counts_for_new_connections_and_ends_no_old_one() {
    let server = Server::start(Profile::Relay).await;
    let mut old = Client::greeted(&server).await;
    let now = server.house.load_full();
    let shared = crate::Shared {
        hostname: now.hostname.clone(),
        directory: directory(&DOMAINS.replace("local.example", "new.example")),
        limits: now.limits.clone(),
        relay: now.relay.clone(),
        tls: now.tls.clone(),
        verifier: now.verifier.clone(),
        queue: now.queue.clone(),
        recorder: now.recorder.clone(),
        admission: now.admission.clone(),
        drain: now.drain,
    };
    server.house.store(std::sync::Arc::new(shared));
    assert!(old.letter("friend@far.example", "user@local.example").await.starts_with("250 "));
    let mut new = Client::greeted(&server).await;
    assert!(new.letter("friend@far.example", "user@local.example").await.starts_with("550 5.7.1"));
    assert!(new.say("RCPT TO:<user@new.example>").await.starts_with("250 "));
}
