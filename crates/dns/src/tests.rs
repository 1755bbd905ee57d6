//! The fake keeps apart what the real DNS keeps apart.

use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;

/// The fake is always ready; no runtime is needed to ask it.
fn now<T>(lookup: Lookup<'_, T>) -> Result<Answer<T>, DnsError> {
    match pin!(lookup).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the fake waits"),
    }
}

fn zone() -> Zone {
    Zone::new()
        .mx("Example.COM.", 20, "backup.example.net.")
        .mx("example.com", 10, "MX.example.com")
        .a("mx.example.com", [127, 0, 0, 1])
        .aaaa("mx.example.com", [0, 0, 0, 0, 0, 0, 0, 1])
        .txt("_mta-sts.example.com", "v=STSv1; id=1")
        .null_mx("nomail.example")
        .empty("hollow.example")
        .servfail("broken.example")
        .timeout("slow.example")
        .ptr([192, 0, 2, 1], "host.example.com.")
}

fn mx(preference: u16, exchange: &str) -> Mx {
    Mx { preference, exchange: exchange.into() }
}

#[test]
fn names_are_compared_without_case_and_final_dot() {
    let expected = Ok(Answer::Records(vec![mx(20, "backup.example.net"), mx(10, "mx.example.com")]));
    for name in ["example.com", "EXAMPLE.com", "example.com."] {
        assert_eq!(now(Resolver::mx(&zone(), name)), expected);
    }
}

#[test]
fn no_record_and_no_name_are_two_answers() {
    let zone = zone();
    assert_eq!(now(Resolver::ipv4(&zone, "example.com")), Ok(Answer::NoRecord));
    assert_eq!(now(Resolver::ipv4(&zone, "hollow.example")), Ok(Answer::NoRecord));
    assert_eq!(now(Resolver::ipv4(&zone, "com")), Ok(Answer::NoRecord), "an empty non-terminal exists");
    assert_eq!(now(Resolver::ipv4(&zone, "nowhere.example")), Ok(Answer::NoName));
    assert_eq!(now(Resolver::ipv4(&zone, "ample.com")), Ok(Answer::NoName));
}

#[test]
fn a_failure_is_neither() {
    let zone = zone();
    for (name, what) in [("broken.example", "SERVFAIL"), ("slow.example", "the server timed out")] {
        let error = DnsError { name: name.into(), what: what.into() };
        assert_eq!(now(Resolver::mx(&zone, name)), Err(error.clone()));
        assert_eq!(now(Resolver::txt(&zone, name)), Err(error));
    }
}

#[test]
fn null_mx_has_the_empty_exchange() {
    assert_eq!(now(Resolver::mx(&zone(), "nomail.example")), Ok(Answer::Records(vec![mx(0, "")])));
}

#[test]
fn addresses_texts_and_reverse_names_are_found() {
    let zone = zone();
    assert_eq!(now(Resolver::ipv4(&zone, "mx.example.com")), Ok(Answer::Records(vec![[127, 0, 0, 1].into()])));
    assert_eq!(now(Resolver::ipv6(&zone, "mx.example.com")), Ok(Answer::Records(vec![std::net::Ipv6Addr::LOCALHOST])));
    assert_eq!(
        now(Resolver::txt(&zone, "_mta-sts.example.com")),
        Ok(Answer::Records(vec!["v=STSv1; id=1".to_owned()]))
    );
    let host = Ok(Answer::Records(vec!["host.example.com".to_owned()]));
    for address in ["192.0.2.1", "::ffff:192.0.2.1"] {
        assert_eq!(now(Resolver::ptr(&zone, address.parse().unwrap())), host);
    }
    assert_eq!(now(Resolver::ptr(&zone, IpAddr::from([192, 0, 2, 2]))), Ok(Answer::NoName));
}

#[test]
fn reverse_names_follow_the_rfcs() {
    assert_eq!(reverse_name("192.0.2.1".parse().unwrap()), "1.2.0.192.in-addr.arpa");
    // RFC 3596 §2.5.
    assert_eq!(
        reverse_name("4321:0:1:2:3:4:567:89ab".parse().unwrap()),
        "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa"
    );
}
