//! The server is told to stop.

use std::time::Duration;

use super::client::Client;
use super::house::Server;
use crate::config::{Listener, Profile};
use crate::shared::Shared;

#[tokio::test]
async fn a_connection_between_letters_is_told_and_closed() {
    let mut server = Server::start(Profile::Relay).await;
    let mut client = Client::greeted(&server).await;
    server.stop.send(true).unwrap();
    assert_eq!(client.reply().await, "421 4.3.2 mx.local.example is stopping; try again in a moment");
    assert!(client.is_closed().await);
    drop(client);
    server.task.take().unwrap().await.unwrap();
}

#[tokio::test]
async fn a_letter_under_way_is_finished_first() {
    let mut server = Server::start(Profile::Relay).await;
    let mut client = Client::greeted(&server).await;
    client.say("MAIL FROM:<friend@far.example>").await;
    client.say("RCPT TO:<user@local.example>").await;
    client.say("DATA").await;
    client.send("Subject: x\r\n").await;
    server.stop.send(true).unwrap();
    assert!(client.say("\r\nthe end\r\n.").await.starts_with("250 2.0.0 queued as "));
    assert!(client.reply().await.starts_with("421 4.3.2"));
    assert!(client.is_closed().await);
    drop(client);
    server.task.take().unwrap().await.unwrap();
    assert_eq!(server.queue.count(), 1);
}

#[tokio::test]
async fn a_letter_that_does_not_end_is_told_at_the_end_of_the_drain() {
    let hasty = |_: &mut Listener, shared: &mut Shared| shared.drain = Duration::from_millis(50);
    let mut server = Server::start_with(Profile::Relay, hasty).await;
    let mut client = Client::greeted(&server).await;
    client.say("MAIL FROM:<friend@far.example>").await;
    client.say("RCPT TO:<user@local.example>").await;
    client.say("DATA").await;
    client.send("Subject: x\r\n").await;
    server.stop.send(true).unwrap();
    assert!(client.reply().await.starts_with("421 4.3.2"));
    assert!(client.is_closed().await);
    drop(client);
    server.task.take().unwrap().await.unwrap();
    assert_eq!(server.queue.count(), 0);
}

// The clock is the runtime's: where all wait, it goes on to the next deadline.
#[tokio::test(start_paused = true)]
async fn new_connections_are_not_taken() {
    let mut server = Server::start(Profile::Relay).await;
    server.stop.send(true).unwrap();
    server.task.take().unwrap().await.unwrap();
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn whoever_could_tell_being_gone_means_stop() {
    let mut server = Server::start(Profile::Relay).await;
    let mut client = Client::greeted(&server).await;
    let (other, _) = tokio::sync::watch::channel(false);
    drop(std::mem::replace(&mut server.stop, other));
    assert!(client.reply().await.starts_with("421 4.3.2"));
    drop(client);
    server.task.take().unwrap().await.unwrap();
}
