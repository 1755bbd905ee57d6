use super::*;
use crate::tests::shipped;

fn site_and_via(domain: &str, names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let (site, via) = of_servers(shipped(), domain, &names);
    (site.0.to_string(), via.0.to_string())
}

#[test]
fn domains_with_the_same_servers_are_one_site() {
    let one = site_and_via("a.example", &["mx2.host.example", "MX1.host.example"]);
    assert_eq!(one, site_and_via("b.example", &["mx1.host.example", "mx2.host.example"]));
    assert_eq!(one.0, "mx1.host.example,mx2.host.example");
    assert_ne!(one.0, site_and_via("c.example", &["mx1.host.example"]).0);
}

#[test]
fn a_provider_is_one_site_with_several_ways_in() {
    let consumer = site_and_via("gmail.com", &["gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com"]);
    let company = site_and_via("a.example", &["aspmx.l.google.com", "ALT1.ASPMX.L.GOOGLE.COM"]);
    assert_eq!((consumer.0.as_str(), company.0.as_str()), ("google.com", "google.com"));
    assert_ne!(consumer.1, company.1);
}

#[test]
fn consumers_and_companies_of_microsoft_are_two_sites() {
    assert_eq!(
        site_and_via("hotmail.com", &["hotmail-com.olc.protection.outlook.com"]).0,
        "olc.protection.outlook.com"
    );
    assert_eq!(site_and_via("a.example", &["a-example.mail.protection.outlook.com"]).0, "mail.protection.outlook.com");
}

#[test]
fn nobody_joins_a_provider_by_a_part_of_a_name_or_of_a_set() {
    for names in [
        &["mx.notgoogle.com"] as &[&str],
        &["aspmx.l.google.com.evil.example"],
        &["aspmx.l.google.com", "mx.evil.example"],
    ] {
        assert_ne!(site_and_via("evil.example", names).0, "google.com", "{names:?}");
    }
}

#[test]
fn a_server_with_the_domains_own_name_is_shared_with_nobody() {
    let (owner, guest) = (site_and_via("a.example", &["a.example"]), site_and_via("b.example", &["a.example"]));
    assert_eq!(owner.0, guest.0);
    assert_ne!(owner.1, guest.1);
}

#[test]
fn long_sets_are_short_and_stay_apart() {
    let names = |last: &str| {
        let mut names: Vec<String> = (0..19).map(|n| format!("{n}.{}.example", "x".repeat(40))).collect();
        names.push(last.to_owned());
        of_servers(shipped(), "d.example", &names).0.0
    };
    assert!(names("a.example").len() < 300);
    assert_ne!(names("a.example"), names("b.example"));
}

#[test]
fn no_server_takes_the_name_of_a_configured_site() {
    for name in ["smtp:relay.example:25", "mx:b.example", "a.example,b.example", "", "maildir:/var/mail"] {
        let site = site_and_via("d.example", &[name]).0;
        assert!(site.starts_with("+1#"), "{site}");
    }
}
