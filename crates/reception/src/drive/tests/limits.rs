//! Too many, too slow, too large.

use std::time::Duration;

use super::client::Client;
use super::house::Server;
use crate::config::Profile;

#[tokio::test]
async fn one_connection_too_many_is_answered_421_before_anything_else() {
    let server =
        Server::start_with(Profile::Relay, |_, shared| (shared.limits.connections, shared.limits.haste) = (1, 100))
            .await;
    let first = Client::greeted(&server).await;
    let mut second = Client::connect(&server).await;
    assert!(second.reply().await.starts_with("421 4.3.2 mx.local.example has too many connections"));
    assert!(second.is_closed().await);
    drop(first);
    until_empty(&server).await;
    Client::greeted(&server).await;
}

#[tokio::test]
async fn one_client_cannot_take_all_places() {
    let server = Server::start_with(Profile::Relay, |listener, _| {
        listener.limits.connections_per_client = Some(2);
    })
    .await;
    let _held = [Client::greeted(&server).await, Client::greeted(&server).await];
    let mut third = Client::connect(&server).await;
    assert!(third.reply().await.starts_with("421 4.7.0 mx.local.example has too many connections from your address"));
    assert!(third.is_closed().await);
}

#[tokio::test]
async fn in_haste_the_second_useless_command_ends_the_connection() {
    let server = Server::start_with(Profile::Relay, |_, shared| shared.limits.connections = 2).await;
    let mut first = Client::greeted(&server).await;
    let mut second = Client::greeted(&server).await;
    for client in [&mut first, &mut second] {
        assert!(client.say("NOOP").await.starts_with("250 "));
    }
    assert!(first.say("NOOP").await.starts_with("250 "));
    assert!(second.say("NOOP").await.starts_with("421 "));
}

#[tokio::test]
async fn too_little_memory_is_said_at_once() {
    let server = Server::start_with(Profile::Relay, |_, shared| shared.limits.free_memory = u64::MAX).await;
    let mut client = Client::connect(&server).await;
    assert!(client.reply().await.starts_with("421 4.3.1 mx.local.example has too little memory"));
}

#[tokio::test]
async fn too_little_room_on_the_disk_is_said_at_mail() {
    // More than there is, but not twice as much: below half of it records are not written either.
    let disk = rustix::fs::statvfs(std::env::temp_dir()).unwrap();
    let free = disk.f_bavail * disk.f_frsize;
    let server = Server::start_with(Profile::Relay, |_, shared| {
        shared.queue.reconfigure(queue::QueueConfig { min_free: free + free / 2, ..queue::QueueConfig::default() });
    })
    .await;
    let mut client = Client::greeted(&server).await;
    assert!(client.say("MAIL FROM:<friend@far.example>").await.starts_with("452 4.3.1"));
    assert!(server.records().contains("\"code\":452"));
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go_in_time() {
    let server = Server::start_with(Profile::Relay, |listener, _| {
        listener.limits.command_timeout = Some(Duration::from_millis(50));
    })
    .await;
    let mut client = Client::connect(&server).await;
    assert!(client.reply().await.starts_with("220 "));
    assert!(client.reply().await.starts_with("421 "));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_letter_that_is_too_large_is_refused_and_leaves_nothing() {
    let server = Server::start_with(Profile::Relay, |listener, _| {
        listener.limits.message_size = Some(1000);
    })
    .await;
    let mut client = Client::greeted(&server).await;
    assert!(client.say("MAIL FROM:<friend@far.example> SIZE=2000").await.starts_with("552 "));
    client.say("MAIL FROM:<friend@far.example>").await;
    client.say("RCPT TO:<user@local.example>").await;
    client.say("DATA").await;
    client
        .send("x".repeat(100).as_bytes().chunks(50).map(|_| "y".repeat(50) + "\r\n").collect::<String>().repeat(20))
        .await;
    assert!(client.say(".").await.starts_with("552 "));
    assert!(client.say("NOOP").await.starts_with("250 "));
    assert_eq!(server.queue.count(), 0);
    let records = server.records();
    assert!(records.contains("\"code\":552"), "{records}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_letter_arrives_whole() {
    let server = Server::start(Profile::Relay).await;
    let mut client = Client::greeted(&server).await;
    client.say("MAIL FROM:<friend@far.example>").await;
    client.say("RCPT TO:<user@local.example>").await;
    client.say("DATA").await;
    let line = "abcdefgh".repeat(9) + "\r\n";
    let text = format!("Subject: large\r\n\r\n{}", line.repeat(50_000));
    client.send(&text).await;
    assert!(client.say(".").await.starts_with("250 "));
    let (_, kept) = server.letter().await;
    assert!(kept.ends_with(&text));
}

#[tokio::test]
async fn a_client_that_goes_away_in_a_letter_leaves_nothing() {
    let server = Server::start(Profile::Relay).await;
    let mut client = Client::greeted(&server).await;
    client.say("MAIL FROM:<friend@far.example>").await;
    client.say("RCPT TO:<user@local.example>").await;
    client.say("DATA").await;
    client.send("Subject: half a let").await;
    drop(client);
    until_empty(&server).await;
    assert_eq!(server.queue.count(), 0);
}

/// 5,000 connections that wait may take 100 MB: 20 KB each, the system's share not counted.
#[test]
fn a_connection_that_waits_is_small() {
    let sizes = crate::drive::sizes();
    assert!(sizes <= 4096, "{sizes}");
}

/// Waits until the last connection has ended.
async fn until_empty(server: &Server) {
    let admission = std::sync::Arc::clone(&server.house.load().admission);
    for _ in 0..2000 {
        if admission.connections() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("connections remain");
}
