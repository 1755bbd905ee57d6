//! Behind a load balancer.

use super::client::Client;
use super::house::Server;
use crate::config::{Listener, Profile};
use crate::shared::Shared;

fn behind(listener: &mut Listener, _: &mut Shared) {
    listener.proxy_protocol_from = vec!["127.0.0.0/8".parse().unwrap()];
}

#[tokio::test]
async fn the_client_is_who_the_balancer_says() {
    let server = Server::start_with(Profile::Relay, behind).await;
    let mut client = Client::connect(&server).await;
    client.send("PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n").await;
    assert!(client.reply().await.starts_with("220 "));
    client.say("EHLO client.example").await;
    assert!(client.letter("friend@far.example", "user@local.example").await.starts_with("250 "));
    let (attempt, text) = server.letter().await;
    assert_eq!(attempt.letter.origin.client, Some("192.0.2.7".parse().unwrap()));
    assert!(text.contains("192.0.2.7"), "{text}");
}

#[tokio::test]
async fn tls_may_follow_the_header_at_once() {
    let server = Server::start_with(Profile::Submissions, behind).await;
    let mut client = Client::connect(&server).await;
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x12\x67\x01\xd1";
    client.send(header).await;
    let mut client = client.encrypt(&server).await;
    assert!(client.reply().await.starts_with("220 "));
}

#[tokio::test]
async fn from_a_balancer_the_header_is_required() {
    let server = Server::start_with(Profile::Relay, behind).await;
    let mut client = Client::connect(&server).await;
    client.send("EHLO client.example\r\n").await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn from_others_the_header_is_not_understood() {
    let server = Server::start(Profile::Relay).await;
    let mut client = Client::connect(&server).await;
    client.send("PROXY TCP4 127.0.0.1 127.0.0.1 1 25\r\n").await;
    client.reply().await;
    assert!(client.reply().await.starts_with("500 "));
}

#[tokio::test]
async fn relaying_is_for_the_clients_network_and_not_the_balancers() {
    let server = Server::start_with(Profile::Relay, |listener, shared| {
        behind(listener, shared);
        shared.relay.relay_from_networks = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let mut client = Client::connect(&server).await;
    client.send("PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n").await;
    client.reply().await;
    client.say("EHLO client.example").await;
    assert!(client.letter("friend@far.example", "victim@far.example").await.starts_with("550 5.7.1"));
}

#[tokio::test]
async fn connections_are_counted_for_the_client() {
    let server = Server::start_with(Profile::Relay, |listener, shared| {
        behind(listener, shared);
        listener.limits.connections_per_client = Some(1);
    })
    .await;
    let mut held = Vec::new();
    for (client, code) in [("192.0.2.7", "220 "), ("192.0.2.8", "220 "), ("192.0.2.7", "421 ")] {
        let mut connection = Client::connect(&server).await;
        connection.send(format!("PROXY TCP4 {client} 192.0.2.1 4711 25\r\n")).await;
        assert!(connection.reply().await.starts_with(code));
        held.push(connection);
    }
}
