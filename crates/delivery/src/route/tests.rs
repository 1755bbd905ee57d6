use std::path::Path;

use super::*;

fn config(text: &str) -> Config {
    toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn router(text: &str) -> Router {
    Router::new(&config(text)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn goes(router: &Router, recipient: &str) -> (String, NextHop) {
    let (site, hop) = router.route(&recipient.parse().unwrap());
    (site.0.to_string(), hop)
}

const HOUSE: &str = r#"
maildir_root = "/var/mail"
connections_per_site = 20
maildir_writers = 3
[[local]]
domain = "example.org"
[[local]]
domain = "lists.example.org"
to = "lmtp:/run/lists"
[[route]]
domain = "example.net"
to = "relay.example.net:587"
connections = 2
[[route]]
domain = ".example.net"
to = "mx"
[[route]]
domain = ".deep.example.net"
to = "192.0.2.9:25"
[[route]]
domain = "*"
to = "smart.example:25"
"#;

#[test]
fn the_nearest_route_wins() {
    let router = router(HOUSE);
    for (recipient, site) in [
        ("ann@example.org", "maildir:/var/mail"),
        ("Ann@EXAMPLE.ORG", "maildir:/var/mail"),
        ("l@lists.example.org", "lmtp:/run/lists"),
        ("x@other.example.org", "smtp:smart.example:25"),
        ("x@example.net", "smtp:relay.example.net:587"),
        ("x@a.example.net", "mx:a.example.net"),
        ("x@a.deep.example.net", "smtp:192.0.2.9:25"),
        ("x@b.a.deep.example.net", "smtp:192.0.2.9:25"),
        ("x@deep.example.net", "mx:deep.example.net"),
        ("x@notexample.net", "smtp:smart.example:25"),
        ("x@[192.0.2.1]", "smtp:smart.example:25"),
    ] {
        assert_eq!(goes(&router, recipient).0, site, "{recipient}");
    }
}

#[test]
fn without_a_route_the_dns_or_the_literal_decides() {
    let router = router("");
    let (site, hop) = goes(&router, "x@example.net");
    assert_eq!((site.as_str(), hop), ("mx:example.net", NextHop::Mx("example.net".parse().unwrap())));
    let (site, hop) = goes(&router, "x@[127.0.0.1]");
    assert_eq!((site.as_str(), hop), ("mx:[127.0.0.1]", NextHop::Literal([127, 0, 0, 1].into())));
}

#[test]
fn a_catch_keeps_every_letter_on_the_machine() {
    let router = router("[[route]]\ndomain = \"*\"\nto = \"catch:/data/caught\"");
    for recipient in ["x@example.net", "x@[192.0.2.1]", "x@[IPv6:2001:db8::1]", "x@xn--bcher-kva.example"] {
        assert_eq!(goes(&router, recipient).1, NextHop::Catch(Path::new("/data/caught").into()), "{recipient}");
    }
}

#[test]
fn each_site_has_its_limit() {
    let router = router(HOUSE);
    for (recipient, limit) in
        [("a@example.org", 3), ("a@example.net", 2), ("a@lists.example.org", 20), ("a@a.example", 20)]
    {
        assert_eq!(router.limit(&router.route(&recipient.parse().unwrap()).0), limit, "{recipient}");
    }
}

#[test]
fn routes_to_one_server_share_a_site_only_if_they_speak_with_it_alike() {
    let router = router(
        r#"
        [[route]]
        domain = "a.example"
        to = "smart.example:25"
        [[route]]
        domain = "b.example"
        to = "smart.example:25"
        [[route]]
        domain = "c.example"
        to = "smart.example:25"
        tls = "required"
        "#,
    );
    let (a, b, c) = (goes(&router, "x@a.example"), goes(&router, "x@b.example"), goes(&router, "x@c.example"));
    assert_eq!(a, b);
    assert_ne!(a.0, c.0);
    assert_ne!(a.1, c.1);
}

#[test]
fn contradictions_are_refused_by_name() {
    let twice = "[[route]]\ndomain = \"a.example\"\nto = \"mx\"\n[[route]]\ndomain = \"A.example\"\nto = \"mx\"";
    let any = "[[route]]\ndomain = \"*\"\nto = \"a.example:25\"\n[[route]]\ndomain = \"*\"\nto = \"b.example:25\"";
    let below =
        "[[route]]\ndomain = \".a.example\"\nto = \"mx\"\n[[route]]\ndomain = \".a.example\"\nto = \"b.example:25\"";
    let local = "maildir_root = \"/m\"\n[[local]]\ndomain = \"a.example\"\n[[local]]\ndomain = \"a.example\"";
    let both =
        "maildir_root = \"/m\"\n[[local]]\ndomain = \"a.example\"\n[[route]]\ndomain = \"a.example\"\nto = \"mx\"";
    let route = |more: &str| format!("[[route]]\ndomain = \"*\"\nto = \"a.example:587\"\n{more}");
    let mx = |more: &str| format!("[[route]]\ndomain = \"a.example\"\nto = \"mx\"\n{more}");
    for (text, error) in [
        (twice.to_owned(), ConfigError::RouteTwice("A.example".to_lowercase())),
        (any.to_owned(), ConfigError::RouteTwice("*".into())),
        (below.to_owned(), ConfigError::RouteTwice(".a.example".into())),
        (local.to_owned(), ConfigError::LocalTwice("a.example".into())),
        (both.to_owned(), ConfigError::LocalAndRoute("a.example".into())),
        ("[[local]]\ndomain = \"a.example\"".to_owned(), ConfigError::NoMaildirRoot("a.example".into())),
        (route("user = \"me\""), ConfigError::NoPassword("*".into())),
        (route("password_env = \"P\""), ConfigError::NoUser("*".into())),
        (route("user = \"me\"\npassword_env = \"P\"\npassword_file = \"/p\""), ConfigError::TwoPasswords("*".into())),
        (
            route("user = \"me\"\npassword_env = \"P\"\ntls = \"opportunistic\""),
            ConfigError::UnprotectedPassword("*".into()),
        ),
        (route("user = \"me\"\npassword_env = \"P\"\ntls = \"none\""), ConfigError::UnprotectedPassword("*".into())),
        (mx("tls = \"required\""), ConfigError::NotForThisTarget("a.example".into(), "tls")),
        (mx("connections = 3"), ConfigError::NotForThisTarget("a.example".into(), "connections")),
    ] {
        assert_eq!(Router::new(&config(&text)).expect_err(&text), error, "{text}");
    }
}

#[test]
fn a_login_is_read_and_shows_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "s3cret\n").unwrap();
    let text = format!(
        "[[route]]\ndomain = \"*\"\nto = \"smart.example:587\"\nuser = \"me\"\npassword_file = \"{}\"",
        file.display()
    );
    let router = router(&text);
    let (site, hop) = goes(&router, "x@example.net");
    assert_eq!(site, "smtp:me@smart.example:587");
    assert!(!format!("{router:?} {hop:?}").contains("s3cret"));
    let NextHop::Relay(relay) = hop else { panic!("{hop:?}") };
    assert_eq!(relay.credentials.as_ref().map(|login| login.password.expose()), Some(&b"s3cret"[..]));
    assert_eq!(relay.tls, TlsMode::StartTls);
    assert!(relay.verify);
}
