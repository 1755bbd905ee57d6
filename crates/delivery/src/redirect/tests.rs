use super::*;
use crate::config::Config;

const HOUSE: &str = r#"
maildir_root = "/var/mail"
[[local]]
domain = "example.org"
[[route]]
domain = "example.net"
to = "relay.example.net:587"
tls = "opportunistic"
connections = 2
[[route]]
domain = "*"
to = "smart.example:25"
"#;

fn router(text: &str) -> Router {
    let config: Config = toml::from_str(text).unwrap();
    Router::new(&config).unwrap()
}

fn goes(router: &Router, recipient: &str, to: &str) -> (String, NextHop) {
    let (site, hop) = router.route_by(&recipient.parse().unwrap(), Some(to));
    (site.0.to_string(), hop)
}

#[test]
fn a_target_is_written_in_one_way_and_a_wrong_one_is_refused() {
    let router = router(HOUSE);
    for (text, kept) in [
        ("smart.example:25", "smart.example:25"),
        (" smtp://smart.example:25/", "smart.example:25"),
        ("lmtp://127.0.0.1:24", "lmtp:127.0.0.1:24"),
        ("lmtp:/run/lists", "lmtp:/run/lists"),
        ("catch:/tmp/caught", "catch:/tmp/caught"),
        ("mx", "mx"),
        ("route:*", "route:*"),
        ("route:example.net", "route:example.net"),
    ] {
        assert_eq!(router.redirect_target(text).as_deref(), Ok(kept), "{text}");
        assert_eq!(router.redirect_target(kept).as_deref(), Ok(kept), "{kept}");
        assert!(router.redirected(kept).is_some(), "{kept}");
    }
    for wrong in ["", "smart.example", "smtp://smart.example", "smart.example:0", "http://x", "route:other.example"] {
        assert!(router.redirect_target(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_server_that_a_route_names_is_reached_as_that_route_says() {
    let router = router(HOUSE);
    let own = router.route(&"bob@example.net".parse().unwrap());
    for to in ["relay.example.net:587", "route:example.net"] {
        assert_eq!(goes(&router, "bob@example.org", to), (own.0.0.to_string(), own.1.clone()), "{to}");
    }
    assert_eq!(router.limit(&own.0), 2);
}

#[test]
fn another_server_is_a_site_of_its_own_and_shares_it_with_nobody() {
    let router = router(HOUSE);
    let (site, hop) = goes(&router, "bob@example.net", "other.example:26");
    assert_eq!(site, "smtp:other.example:26");
    let NextHop::Relay(relay) = hop else { panic!("{hop:?}") };
    assert_eq!((relay.protocol, relay.credentials.is_none()), (Protocol::Smtp, true));
    let by_dns = goes(&router, "bob@example.net", "mx").1;
    assert!(matches!(by_dns, NextHop::Mx(_)), "past the route: {by_dns:?}");
    let bob = "bob@example.net".parse().unwrap();
    assert_eq!(router.configured(&bob, Some("lmtp:/run/x")).unwrap().0.as_ref(), "lmtp:/run/x");
}

#[test]
fn where_the_route_is_gone_a_letter_goes_its_own_way() {
    let before = goes(&router(HOUSE), "bob@other.example", "route:example.net").0;
    assert_eq!(before, "smtp:relay.example.net:587");
    let after = router(&HOUSE.replace("\"example.net\"", "\"else.example\""));
    assert_eq!(goes(&after, "bob@other.example", "route:example.net").0, "smtp:smart.example:25");
}
