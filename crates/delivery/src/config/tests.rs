use std::path::PathBuf;

use smtp::client::TlsMode;

use super::*;

fn read(text: &str) -> Result<Config, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

fn error(text: &str) -> String {
    read(text).expect_err("it must not be accepted")
}

fn route(to: &str, more: &str) -> Route {
    let text = format!("[[route]]\ndomain = \"*\"\nto = \"{to}\"\n{more}");
    read(&text).unwrap_or_else(|error| panic!("{text}: {error}")).route.remove(0)
}

#[test]
fn an_empty_table_is_a_configuration_with_the_times_of_rfc_5321() {
    let config = read("").unwrap();
    assert_eq!(config.mx_port, 25);
    assert!(!config.allow_loopback_mx);
    assert_eq!(config.timeout.data_end, Duration::from_secs(600));
    assert_eq!(config.timeout.session().mail, Duration::from_secs(300));
    config.check().unwrap();
}

#[test]
fn an_unknown_key_is_refused_in_every_table() {
    assert!(error("mx_prot = 25").contains("mx_prot"));
    assert!(error("[timeout]\nconect = \"3s\"").contains("conect"));
    assert!(error("[[route]]\ndomain = \"*\"\nto = \"a.example:25\"\npassword = \"x\"").contains("password"));
    assert!(error("[[local]]\ndomain = \"a.example\"\ndir = \"/x\"").contains("dir"));
}

#[test]
fn times_need_a_unit() {
    assert_eq!(read("idle = \"90s\"").unwrap().idle, Duration::from_secs(90));
    assert!(error("idle = \"90\"").contains("unit"));
    assert!(error("idle = 90").contains("90"));
}

#[test]
fn what_is_written_is_read_back() {
    let text = "[[local]]\ndomain = \"a.example\"\nto = \"lmtp:/run/lmtp\"\n[[route]]\ndomain = \".b.example\"\nto = \"[2001:db8::1]:25\"\ntls = \"required\"\n";
    let config = read(text).unwrap();
    let again = read(&toml::to_string(&config).unwrap()).unwrap();
    assert_eq!((config.local, config.route), (again.local, again.route));
}

#[test]
fn targets_are_read_in_every_form_and_written_the_same() {
    for text in [
        "mx.example:25",
        "192.0.2.1:2525",
        "[2001:db8::1]:25",
        "lmtp:mx.example:24",
        "lmtp:/run/lmtp",
        "mx",
        "catch:/tmp/all",
    ] {
        assert_eq!(text.parse::<RouteTarget>().unwrap().to_string(), text);
    }
    for text in ["maildir", "maildir:/var/mail", "lmtp:127.0.0.1:24", "lmtp:/run/lmtp"] {
        assert_eq!(text.parse::<LocalTarget>().unwrap().to_string(), text);
    }
    for text in ["*", ".example.net", "example.net"] {
        assert_eq!(text.parse::<RouteDomain>().unwrap().to_string(), text);
    }
}

#[test]
fn a_target_that_makes_no_sense_is_refused_in_words() {
    for (text, word) in [
        ("mx.example", "no port"),
        ("mx.example:", "no port"),
        ("mx.example:0", "port"),
        ("mx.example:99999", "port"),
        (":25", "no port"),
        ("2001:db8::1", "brackets"),
        ("[::1:25", "brackets"),
        ("a b:25", "host name"),
        ("catch:relative", "absolute"),
        ("lmtp:", "no port"),
    ] {
        let error = text.parse::<RouteTarget>().expect_err(text).to_string();
        assert!(error.contains(word), "{text}: {error}");
    }
    for text in ["", "mbox", "maildir:", "maildir:relative", "mx", "mx.example:25"] {
        assert!(text.parse::<LocalTarget>().is_err(), "{text}");
    }
    for text in ["", ".", "**", "*.example.net", "a b"] {
        assert!(text.parse::<RouteDomain>().is_err(), "{text}");
    }
}

#[test]
fn a_host_called_lmtp_or_catch_is_still_a_host() {
    for text in ["lmtp:25", "catch:25", "Catch:25"] {
        let target = text.parse::<RouteTarget>().unwrap();
        assert!(matches!(target, RouteTarget::Smtp(Endpoint { port: 25, .. })));
        assert_eq!(target.to_string().parse::<RouteTarget>().unwrap(), target);
    }
}

#[test]
fn tls_is_as_strict_as_the_route_suggests() {
    assert_eq!(route("a.example:25", "").tls_mode(), TlsMode::Opportunistic);
    assert_eq!(route("a.example:465", "").tls_mode(), TlsMode::Implicit);
    assert_eq!(route("a.example:587", "user = \"me\"\npassword_env = \"P\"").tls_mode(), TlsMode::StartTls);
    assert_eq!(route("a.example:587", "tls = \"none\"").tls_mode(), TlsMode::None);
    assert_eq!(route("a.example:25", "tls = \"required\"").tls_mode(), TlsMode::StartTls);
    assert_eq!(route("lmtp:a.example:24", "").tls_mode(), TlsMode::None);
}

#[test]
fn a_limit_of_nothing_is_refused_by_name() {
    assert_eq!(read("connections_per_site = 0").unwrap().check(), Err(ConfigError::Zero("connections_per_site")));
}

#[test]
fn a_password_is_the_first_line_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "s3cret\r\nsecond line\n").unwrap();
    let secret = password_from_file(&file).unwrap();
    assert_eq!(secret.expose(), b"s3cret");
    assert!(!format!("{secret:?}").contains("s3cret"));

    std::fs::write(&file, "\n").unwrap();
    assert_eq!(password_from_file(&file), Err(SecretError::EmptyFile(file.clone())));
    let missing = folder.path().join("missing");
    assert!(password_from_file(&missing).expect_err("there is none").to_string().contains("missing"));
    assert_eq!(
        password_from_env("GATEPOST_TEST_NO_SUCH_VARIABLE"),
        Err(SecretError::NoVariable("GATEPOST_TEST_NO_SUCH_VARIABLE".into()))
    );
}

#[test]
fn the_maildir_root_is_a_path() {
    assert_eq!(read("maildir_root = \"/var/mail\"").unwrap().maildir_root, Some(PathBuf::from("/var/mail")));
}
