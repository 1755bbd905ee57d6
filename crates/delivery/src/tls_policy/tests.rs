use super::*;
use crate::tests::shipped;

const RULES: &str = r#"
default = "required"
[domain]
"example.com" = "verified"
".example.com" = "none"
".mail.example.com" = "opportunistic"
"Bücher.example" = "verified"
[mx]
"google.com" = "verified"
"smtp.google.com" = "none"
".outlook.example" = "opportunistic"
"#;

fn rules() -> TlsRules {
    toml::from_str(RULES).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_nearest_rule_of_the_first_source_decides_and_is_named() {
    use TlsLevel::{None, Opportunistic, Required, Verified};
    for (domain, mx, level, why) in [
        ("example.com", "smtp.google.com", Verified, "[delivery.tls.domain] example.com"),
        ("a.example.com", "smtp.google.com", None, "[delivery.tls.domain] .example.com"),
        ("b.mail.example.com", "mx.test", Opportunistic, "[delivery.tls.domain] .mail.example.com"),
        ("xn--bcher-kva.example", "mx.test", Verified, "[delivery.tls.domain] xn--bcher-kva.example"),
        ("notexample.com", "google.com", Verified, "[delivery.tls.mx] google.com"),
        ("other.test", "aspmx.l.Google.com.", Verified, "[delivery.tls.mx] google.com"),
        ("other.test", "alt1.smtp.google.com", None, "[delivery.tls.mx] smtp.google.com"),
        ("other.test", "notgoogle.com", Required, "[delivery.tls] default"),
        ("other.test", "outlook.example", Required, "[delivery.tls] default"),
        ("other.test", "a.b.outlook.example", Opportunistic, "[delivery.tls.mx] .outlook.example"),
        ("", "192.0.2.1", Required, "[delivery.tls] default"),
    ] {
        let policy = by_rules(&rules(), shipped(), &Next { domain, mx, site: "", source: "" });
        assert_eq!(policy, TlsPolicy { level, why: why.into() }, "{domain} by {mx}");
    }
    let policy =
        by_rules(&TlsRules::default(), shipped(), &Next { domain: "example.com", mx: "mx.test", site: "", source: "" });
    assert_eq!(policy.to_string(), "level=opportunistic by default");
}

#[test]
fn a_source_that_says_nothing_leaves_it_to_the_next() {
    struct Published(Option<TlsLevel>);
    impl Source for Published {
        fn policy(&self, next: &Next<'_>) -> Option<TlsPolicy> {
            self.0.map(|level| TlsPolicy { level, why: format!("what {} publishes", next.domain) })
        }
    }
    let next = Next { domain: "a.example", mx: "mx.a.example", site: "", source: "" };
    let (some, none) = (Published(Some(TlsLevel::Verified)), Published(None));
    assert_eq!(decide(&[&none, &some], &next).why, "what a.example publishes");
    assert_eq!(decide(&[&none], &next).level, TlsLevel::Opportunistic);
}

#[test]
fn a_line_carries_only_letters_whose_level_it_meets() {
    use TlsLevel::{None, Opportunistic, Required, Verified};
    for (level, plain, encrypted, verified) in [
        (None, true, true, true),
        (Opportunistic, true, true, true),
        (Required, false, true, true),
        (Verified, false, false, true),
    ] {
        let policy = TlsPolicy { level, why: String::new() };
        let lines = [(false, false), (true, false), (true, true)];
        assert_eq!(lines.map(|(tls, good)| policy.is_met(tls, good)), [plain, encrypted, verified], "{level}");
    }
}

#[test]
fn rules_that_make_no_sense_are_refused_and_good_ones_are_written_as_read() {
    for text in ["[domain]\n\"*\" = \"none\"", "[mx]\n\"a b\" = \"none\"", "[mx]\n\"a.test\" = \"strict\"", "mxs = 1"] {
        assert!(toml::from_str::<TlsRules>(text).is_err(), "{text}");
    }
    assert_eq!(toml::from_str::<TlsRules>(&toml::to_string(&rules()).unwrap()).unwrap(), rules());
}

#[test]
fn a_providers_need_stands_between_the_operators_rules_and_the_default() {
    use TlsLevel::{None, Opportunistic, Required, Verified};
    let at_google = |rules: &TlsRules, domain| {
        let next = Next { domain, mx: "aspmx.l.google.com", site: "google.com", source: "" };
        by_rules(rules, shipped(), &next)
    };
    let shipped_need = TlsPolicy { level: Required, why: "[shaping.provider] google, shipped".into() };
    assert_eq!(at_google(&TlsRules::default(), "a.example"), shipped_need);
    let of = |text: &str| toml::from_str::<TlsRules>(text).unwrap();
    assert_eq!(at_google(&of("default = \"none\""), "a.example"), shipped_need);
    assert_eq!(at_google(&of("default = \"verified\""), "a.example").level, Verified, "nothing is weakened");
    assert_eq!(at_google(&of("domain = { \"a.example\" = \"none\" }"), "a.example").level, None);
    assert_eq!(at_google(&of("mx = { \"google.com\" = \"opportunistic\" }"), "a.example").level, Opportunistic);
}

/// RFC 8689 §4.2.2.
#[test]
fn a_letter_that_does_without_tls_passes_over_what_others_ask_for_and_not_what_the_operator_wrote() {
    use TlsLevel::{Opportunistic, Required, Verified};
    let next = |domain| Next { domain, mx: "aspmx.l.google.com", site: "google.com", source: "" };
    let of = |text: &str| toml::from_str::<TlsRules>(text).unwrap();
    let plain = by_own_rules(&TlsRules::default(), shipped(), &next("a.example"));
    assert_eq!(plain.to_string(), "level=opportunistic by TLS-Required: No");
    for (rules, level) in [
        ("default = \"required\"", Required),
        ("domain = { \"a.example\" = \"verified\" }", Verified),
        ("mx = { \"google.com\" = \"required\" }", Required),
        ("domain = { \"b.example\" = \"verified\" }", Opportunistic),
    ] {
        assert_eq!(by_own_rules(&of(rules), shipped(), &next("a.example")).level, level, "{rules}");
    }
    let own = toml::from_str("[provider.google]\ntls = \"verified\"").unwrap();
    let own = Shaping::new(&own).unwrap();
    assert_eq!(by_own_rules(&TlsRules::default(), &own, &next("a.example")).level, Verified);
}
