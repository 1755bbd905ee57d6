//! Behind a load balancer: the PROXY protocol says who the client is, and only named networks may say so.

use harness::{Profile, Program, Sink};

use crate::{from_anna, house};

fn behind_a_balancer(sink: &Sink) -> Program {
    house()
        .listen_with(Profile::Relay, "proxy_protocol_from = [\"127.0.0.1/32\"]")
        .set("relay", "relay_from_networks = [\"192.0.2.0/24\"]")
        .route("*", sink.address())
        .start()
}

/// PROXY protocol version 2, TCP over IPv4.
fn version_2(source: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend_from_slice(&source);
    header.extend_from_slice(&[127, 0, 0, 1]);
    header.extend_from_slice(&[0x30, 0x39, 0, 25]);
    header
}

#[test]
fn the_client_is_who_the_balancer_says() {
    let sink = Sink::start();
    let program = behind_a_balancer(&sink);
    let headers = [b"PROXY TCP4 192.0.2.7 127.0.0.1 12345 25\r\n".to_vec(), version_2([192, 0, 2, 7])];
    for (number, header) in headers.into_iter().enumerate() {
        let mut client = program.client(Profile::Relay);
        client.send(&header);
        client.hello();
        client.deliver("a@b.test", &["c@d.test"], &from_anna("c@d.test", &format!("proxy-{number}")));
        assert!(sink.wait_for(number + 1)[number].contains("192.0.2.7"));
    }
}

#[test]
fn a_stranger_behind_the_balancer_stays_a_stranger() {
    let sink = Sink::start();
    let program = behind_a_balancer(&sink);
    for header in [b"PROXY TCP4 198.51.100.9 127.0.0.1 12345 25\r\n".to_vec(), version_2([198, 51, 100, 9])] {
        let mut client = program.client(Profile::Relay);
        client.send(&header);
        client.hello();
        client.say("MAIL FROM:<a@b.test>", 250);
        client.say("RCPT TO:<c@d.test>", 550);
    }
}

#[test]
fn a_connection_without_the_header_is_not_served() {
    let sink = Sink::start();
    let program = behind_a_balancer(&sink);
    for opening in [&b"EHLO client.test\r\n"[..], b"PROXY nonsense\r\n", b"PROXY TCP4 999.1.1.1 1.1.1.1 1 1\r\n"] {
        let mut client = program.client(Profile::Relay);
        client.send(opening);
        let rest = client.rest();
        assert!(!rest.contains("250"), "{rest}");
    }
}

#[test]
fn who_is_not_named_cannot_use_it() {
    let program = house()
        .listen_with(Profile::Relay, "proxy_protocol_from = [\"192.0.2.1/32\"]")
        .local("example.test", &["bob"])
        .set("relay", "relay_from_networks = [\"192.0.2.7/32\"]")
        .start();
    let mut client = program.client(Profile::Relay);
    client.send(b"PROXY TCP4 192.0.2.7 127.0.0.1 12345 25\r\n");
    client.expect(220);
    let reply = client.reply();
    assert!(reply.code >= 500 || reply.code == 421, "{reply}");
}
