use std::time::Duration;

use super::*;
use crate::directory::Directory;

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, toml::de::Error> {
    toml::from_str(text)
}

#[test]
fn a_listener_is_as_its_profile_says() {
    let listener: Listener = read("address = \"0.0.0.0:587\"\nprofile = \"submission\"").unwrap();
    assert_eq!((listener.name(), listener.tls(), listener.auth()), ("submission", Tls::Required, Auth::Required));
    let listener: Listener = read("address = [\"0.0.0.0:25\", \"[::]:25\"]\nprofile = \"relay\"").unwrap();
    assert_eq!(listener.address.0.len(), 2);
    assert_eq!((listener.tls(), listener.auth()), (Tls::Starttls, Auth::Off));
}

#[test]
fn a_listener_may_differ_from_its_profile() {
    let text = "address = \"127.0.0.1:25\"\nprofile = \"relay\"\nname = \"inner\"\ntls = \"none\"\n\
                bare_newlines = \"normalize\"\nproxy_protocol_from = [\"10.0.0.0/8\"]\nlimits.message_size = \"1KiB\"";
    let listener: Listener = read(text).unwrap();
    assert_eq!((listener.name(), listener.tls()), ("inner", Tls::None));
    assert_eq!(Limits::default().session(&listener.limits).message_size, 1024);
}

#[test]
fn unknown_keys_wrong_units_and_empty_lists_are_errors() {
    for text in [
        "address = \"0.0.0.0:25\"\nprofile = \"relay\"\ntypo = 1",
        "address = \"0.0.0.0:25\"\nprofile = \"rely\"",
        "address = \"0.0.0.0\"\nprofile = \"relay\"",
        "address = []\nprofile = \"relay\"",
        "address = \"0.0.0.0:25\"\nprofile = \"relay\"\nproxy_protocol_from = [\"10.0.0.1/8\"]",
        "address = \"0.0.0.0:25\"\nprofile = \"relay\"\nlimits.message_size = 25",
    ] {
        assert!(read::<Listener>(text).is_err(), "{text}");
    }
    assert!(read::<Limits>("command_timeout = \"5\"").is_err());
    assert!(read::<Limits>("login.windows = \"5m\"").is_err());
}

#[test]
fn nobody_may_relay_by_default() {
    assert_eq!(Relay::default().relay_from_networks, []);
}

#[test]
fn what_is_left_out_is_the_default() {
    assert_eq!(read::<Limits>("").unwrap(), Limits::default());
    let limits: Limits = read("recipients = 100\nlogin.window = \"1m\"").unwrap();
    assert_eq!((limits.recipients, limits.messages), (100, Limits::default().messages));
}

#[test]
fn defaults_are_read_back_as_they_are_written() {
    let text = toml::to_string(&Limits::default()).unwrap();
    assert_eq!(read::<Limits>(&text).unwrap(), Limits::default(), "{text}");
    let text = toml::to_string(&Passwords::default()).unwrap();
    assert_eq!(read::<Passwords>(&text).unwrap(), Passwords::default(), "{text}");
}

#[test]
fn a_domain_twice_is_an_error_whatever_its_case() {
    let error = read::<Domains>("[local.\"example.org\"]\n[local.\"EXAMPLE.org\"]").unwrap_err();
    assert!(error.to_string().contains("there twice"), "{error}");
    let domains: Domains = read("[local.\"example.org\"]\n[relay.\"example.org\"]\nrecipients = \"any\"").unwrap();
    assert!(Directory::new(&domains, 1000).unwrap_err().to_string().contains("example.org"));
}

#[test]
fn an_alias_or_mailbox_twice_is_an_error_whatever_its_case() {
    let error = read::<Domains>("[local.\"example.org\"]\naliases = { info = \"a\", Info = \"b\" }").unwrap_err();
    assert!(error.to_string().contains("there twice"), "{error}");
    let domains: Domains = read("[local.\"example.org\"]\nmailboxes = [\"alice\", \"Alice\"]").unwrap();
    assert!(Directory::new(&domains, 1000).unwrap_err().to_string().contains("Alice"));
}

#[test]
fn a_relay_domain_must_say_who_is_there() {
    assert!(read::<Domains>("[relay.\"example.org\"]").is_err());
    assert!(read::<Domains>("[relay.\"example.org\"]\nrecipients = \"all\"").is_err());
    assert!(read::<Domains>("[relay.\"example.org\"]\nrecipients = [\"a@b\"]").is_err());
    let domains: Domains = read("[relay.\"example.org\"]\nrecipients = [\"a\", \"b\"]").unwrap();
    let names = &domains.relay.values().next().unwrap().recipients;
    assert!(matches!(names, RelayRecipients::These(names) if names.len() == 2));
}

#[test]
fn haste_begins_at_its_share_of_the_places() {
    for (connections, share, from) in [(10_000, 80, 8000), (10, 80, 8), (3, 50, 1), (1, 80, 0), (7, 100, 7), (7, 0, 0)]
    {
        let limits = Limits { connections, haste: share, ..Limits::default() };
        assert_eq!(limits.haste_from(), from, "{share}% of {connections}");
    }
    assert!(read::<Limits>("haste = \"101%\"").is_err());
}

#[test]
fn haste_leaves_little_patience_and_never_more_than_there_was() {
    let usual = Limits::default().session(&LimitOverrides::default());
    let hasty = in_haste(usual.clone());
    assert_eq!((hasty.command_timeout.as_secs(), hasty.errors, hasty.junk_commands), (10, 1, 1));
    assert_eq!((hasty.message_size, hasty.recipients), (usual.message_size, usual.recipients));
    let strict =
        LimitOverrides { errors: Some(0), command_timeout: Some(Duration::from_secs(3)), ..Default::default() };
    let hasty = in_haste(Limits::default().session(&strict));
    assert_eq!((hasty.command_timeout.as_secs(), hasty.errors), (3, 0));
}
