//! Logins over the wire.

use smtp::Secret;
use smtp::sasl::Mechanism;

use super::client::Client;
use super::house::{PASSWORD, Server};
use crate::config::Profile;

const ALL: [Mechanism; 4] = [Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256, Mechanism::ScramSha256Plus];

#[tokio::test]
async fn every_mechanism_takes_the_right_password_under_tls_1_3() {
    let server = Server::start(Profile::Submissions).await;
    for mechanism in ALL {
        let mut client = Client::connect(&server).await.encrypt(&server).await;
        client.reply().await;
        client.say("EHLO client.example").await;
        let reply = client.log_in(&server, mechanism, "alice", PASSWORD).await;
        // SCRAM without binding is a downgrade where the client could have bound: refused by design.
        match mechanism {
            Mechanism::ScramSha256 => assert!(!reply.starts_with("235 "), "{reply}"),
            _ => assert!(reply.starts_with("235 "), "{mechanism}: {reply}"),
        }
    }
}

#[tokio::test]
async fn scram_is_bound_to_the_end_point_under_tls_1_2() {
    let server = Server::start(Profile::Submissions).await;
    let mut client = Client::connect(&server).await.encrypt_by(&server, &rustls::version::TLS12).await;
    client.reply().await;
    client.say("EHLO client.example").await;
    let reply = client.log_in(&server, Mechanism::ScramSha256Plus, "alice", PASSWORD).await;
    assert!(reply.starts_with("235 "), "{reply}");
}

#[tokio::test]
async fn every_mechanism_refuses_the_wrong_password_and_unknown_names_alike() {
    let server = Server::start(Profile::Submission).await;
    for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256Plus] {
        let mut replies = Vec::new();
        for (name, password) in [("alice", "wrong"), ("eve", PASSWORD)] {
            let mut client = Client::upgraded(&server).await;
            replies.push(client.log_in(&server, mechanism, name, password).await);
        }
        assert!(replies[0].starts_with("535 5.7.8"), "{mechanism}: {replies:?}");
        assert_eq!(replies[0], replies[1]);
    }
    let records = server.records();
    assert_eq!(records.matches("\"event\":\"login_failed\"").count(), 6, "{records}");
    assert!(records.contains("\"user\":\"alice\"") && !records.contains("\"eve\""), "{records}");
}

#[tokio::test]
async fn too_many_failures_are_answered_421_and_counted_for_scram_too() {
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256Plus] {
        let server = Server::start_with(Profile::Submission, |_, shared| {
            shared.limits.login.failures_per_address = 2;
        })
        .await;
        for _ in 0..2 {
            let reply = Client::upgraded(&server).await.log_in(&server, mechanism, "alice", "wrong").await;
            assert!(reply.starts_with("535 "), "{mechanism}: {reply}");
        }
        let mut client = Client::upgraded(&server).await;
        let reply = client.log_in(&server, mechanism, "alice", PASSWORD).await;
        assert!(reply.starts_with("421 4.7.0"), "{mechanism}: {reply}");
        assert!(client.is_closed().await);
    }
}

#[tokio::test]
async fn a_disabled_account_ends_its_connection_at_the_next_letter() {
    let server = Server::start(Profile::Submission).await;
    let mut client = Client::alice(&server).await;
    assert!(client.letter("alice@local.example", "user@local.example").await.starts_with("250 "));
    server.store.set_enabled("alice", false).unwrap();
    let reply = client.letter("alice@local.example", "user@local.example").await;
    assert!(reply.starts_with("421 4.7.0"), "{reply}");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_changed_password_counts_at_the_next_login() {
    let server = Server::start(Profile::Submission).await;
    drop(Client::alice(&server).await);
    server.store.set_password("alice", &Secret::new("another")).unwrap();
    let mut client = Client::upgraded(&server).await;
    assert!(client.log_in(&server, Mechanism::Plain, "alice", PASSWORD).await.starts_with("535 "));
    let mut client = Client::upgraded(&server).await;
    assert!(client.log_in(&server, Mechanism::ScramSha256Plus, "alice", "another").await.starts_with("235 "));
}

#[tokio::test]
async fn an_account_owns_whole_domains_by_wildcard() {
    let server = Server::start(Profile::Submission).await;
    let mut client = Client::alice(&server).await;
    assert!(client.letter("whoever@own.example", "anyone@far.example").await.starts_with("250 "));
    assert!(client.letter("whoever@sub.own.example", "anyone@far.example").await.starts_with("553 5.7.1"));
    let reply = client.letter("", "anyone@far.example").await;
    assert!(reply.starts_with("550 5.7.1 a letter from the null sender"), "{reply}");
}

/// RFC 8098 §3: a receipt has no return path.
#[tokio::test]
async fn an_account_answers_from_nobody_where_the_letter_shows_whose_it_is() {
    let server = Server::start(Profile::Submission).await;
    let mut client = Client::alice(&server).await;
    for (author, code) in [("Alice <whoever@own.example>", "250 "), ("eve@far.example", "550 5.7.1")] {
        for line in ["MAIL FROM:<>", "RCPT TO:<anyone@far.example>"] {
            assert!(client.say(line).await.starts_with("250 "));
        }
        client.say("DATA").await;
        let reply = client.say(&format!("From: {author}\r\nSubject: read\r\n\r\nRead.\r\n.")).await;
        assert!(reply.starts_with(code), "{author}: {reply}");
    }
    assert!(
        client.letter("whoever@own.example", "anyone@far.example").await.starts_with("250 "),
        "the next is as ever"
    );
}
