use serde::Deserialize;

use super::*;

fn shipped() -> Shaping {
    Shaping::shipped().unwrap()
}

fn user(text: &str) -> ShapingConfig {
    toml::from_str(text).unwrap()
}

const BASE: SiteLimits = SiteLimits {
    connections: 20,
    letters_per_connection: 1000,
    recipients_per_transaction: 100,
    rate: None,
    suspended_until: None,
};

fn limits(shaping: &Shaping, site: &str, source: &str) -> SiteLimits {
    shaping.limits(BASE, site, source)
}

fn refused(text: &str) -> String {
    Shaping::new(&user(text)).unwrap_err().to_string()
}

/// For each shipped rule: its site, its name, a reply that it is for, and one that is near but not meant.
#[rustfmt::skip]
const RULES: &[(&str, &str, &str, &str)] = &[
    ("x", "default/temporarily-deferred", "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.", "550 5.7.1 temporarily rate limited due to IP reputation"),
    ("x", "default/permanently-deferred", "553 5.7.2 All messages from 192.0.2.1 will be permanently deferred", "553 5.7.2 All messages will be deferred"),
    ("x", "default/too-many-connections", "421 4.7.0 example.com Error: too many connections from 192.0.2.1", "452 4.5.3 Too many recipients"),
    ("google.com", "provider.google/unusual-rate", "421 4.7.28 Our system has detected an unusual rate of unsolicited mail", "550 5.7.26 unauthenticated"),
    ("google.com", "provider.google/system-detected", "550 5.7.1 Our system has detected that this message is likely unsolicited mail.", "550 5.7.1 This message is not RFC 5322 compliant"),
    ("google.com", "provider.google/very-low-reputation", "421 4.7.0 suspicious due to the very low reputation of the sending domain.", "421 4.7.0 low storage"),
    ("yahoodns.net", "provider.yahoo/ts02", "421 4.7.0 [TS02] Messages from 192.0.2.1 temporarily deferred", "421 4.7.0 [TS01] Messages deferred"),
    ("yahoodns.net", "provider.yahoo/ts03", "421 4.7.1 [TS03] All messages from 192.0.2.1 deferred", "553 5.7.1 [TS03]"),
    ("yahoodns.net", "provider.yahoo/tss04", "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred", "421 4.7.0 [TSS14] Messages"),
    ("yahoodns.net", "provider.yahoo/tss05", "421 [IPTS05] Messages from 192.0.2.1 temporarily deferred", "421 IPTS05"),
    ("yahoodns.net", "provider.yahoo/permanently-deferred", "553 5.7.2 [TSS09] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed.", "421 4.7.0 [TSS09]"),
    ("yahoodns.net", "provider.yahoo/block-list", "553 5.7.1 [BL21] Connections will not be accepted", "553 5.7.1 [BLUE]"),
    ("yahoodns.net", "provider.yahoo/letters-per-connection", "421 Max message per connection reached, closing transmission channel", "421 Max connections reached"),
    ("olc.protection.outlook.com", "provider.outlook/block-list", "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. part of their network is on our block list (S3150).", "550 5.7.1 (S315)"),
    ("olc.protection.outlook.com", "provider.outlook/server-busy", "451 4.7.500 Server busy. Please try again later from [192.0.2.1].", "550 5.7.500 Server busy. Please try again later"),
    ("olc.protection.outlook.com", "provider.outlook/rate-limited", "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.", "451 4.7.650 rate"),
    ("olc.protection.outlook.com", "provider.outlook/connections", "421 Connection refused from 192.0.2.1 due to exceed max concurrent connections. IB007", "421 IB0071"),
    ("olc.protection.outlook.com", "provider.outlook/letters-per-connection", "421 4.7.0 The mail server has exceeded maximum number of messages per connection", "421 exceeded the maximum size of a message"),
    ("mail.protection.outlook.com", "provider.office365/ip-throttled", "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)", "451 4.3.0 Server busy"),
    ("mail.protection.outlook.com", "provider.office365/block-list", "550 5.7.606 Access denied, banned sending IP [192.0.2.1].", "550 5.7.60 Client does not have permissions"),
    ("mail.icloud.com", "provider.icloud/deferred", "421 [HCM1] Your mail from 192.0.2.1 was deferred.", "550 [CS01] Message rejected due to local policy."),
    ("mail.icloud.com", "provider.icloud/domain-block-list", "554 Your email was rejected due to having a domain present in the Spamhaus DBL", "554 Spamhaus"),
    ("comcast.net", "provider.comcast/rl000000", "421 4.1.0 192.0.2.1 Throttled - try again later. RL000001", "421 XRL000001"),
    ("comcast.net", "provider.comcast/rl000010", "421 4.1.0 192.0.2.1 Throttled - try again later. RL000010", "421 RL0000100"),
    ("gmx.net", "provider.gmx/too-many-connections", "421 Service not available Too many connections", "421 Too many recipients"),
    ("gmx.net", "provider.gmx/policy-restrictions", "450 mailbox unavailable Reject due to policy restrictions.", "450 mailbox unavailable"),
    ("gmx.net", "provider.gmx/policy-block", "554 Transaction failed Reject due to policy restrictions.", "450 Reject due to policy restrictions."),
    ("orange.fr", "provider.orange/connections", "421 Trop de connexions, veuillez verifier votre configuration. OFR_102", "421 Trop de destinataires"),
    ("orange.fr", "provider.orange/refused", "421 Service refusé. Veuillez essayer plus tard. OFR_104", "421 Service indisponible"),
    ("orange.fr", "provider.orange/block-list", "550 5.2.0 Mail rejete. 192.0.2.1 Client host blocked for spamming issues", "550 5.1.1 Adresse d au moins un destinataire invalide"),
    ("mimecast.com", "provider.mimecast/resource", "451 Internal resource temporarily unavailable - https://community.mimecast.com", "550 Internal resource temporarily unavailable"),
    ("qq.com", "provider.qq/frequency", "550 Ip frequency limited. http://service.mail.qq.com", "550 Ip limited"),
    ("qq.com", "provider.qq/content", "550 Mail content denied. http://service.mail.qq.com", "550 Mail denied"),
    ("netease.com", "provider.163/connections", "421 Too many connections", "550 Too many connections"),
    ("netease.com", "provider.163/spam", "554 DT:SPM 163 mx1,abc", "554 DT:SPMX"),
    ("netease.com", "provider.163/daily-limit", "550 RP:ORQ", "550 RP:TRC"),
    ("yahoo.co.jp", "provider.yahoo.co.jp/deferred", "553 Mail from 192.0.2.1 not allowed - VS98-IP0 deferred", "421 [TS01]"),
    ("netvigator.com", "provider.netvigator/letters-per-connection", "421 Too many messages for this session", "421 Too many messages"),
];

#[test]
fn each_shipped_rule_matches_its_reply_and_not_a_near_one() {
    let shaping = shipped();
    for (site, rule, meant, near) in RULES {
        let names = |reply: &str| shaping.matching(site, reply).map(|rule| rule.name.clone()).collect::<Vec<_>>();
        assert!(names(meant).iter().any(|name| name == rule), "{rule}: {meant}");
        assert!(names(&meant.to_uppercase()).iter().any(|name| name == rule), "{rule}: in capitals");
        assert!(names(near).iter().all(|name| name != rule), "{rule}: {near}");
    }
}

#[test]
fn each_shipped_rule_has_texts_and_a_reason() {
    let shaping = shipped();
    let rules = &shaping.rules;
    let all = rules.provider.values().chain(rules.site.values()).chain([&rules.default]).flat_map(Rules::iter);
    let mut count = 0;
    for rule in all {
        assert!(RULES.iter().any(|(_, name, ..)| *name == rule.name), "{} has no texts", rule.name);
        assert!(!rule.reason.is_empty(), "{}", rule.name);
        count += 1;
    }
    assert_eq!(count, RULES.len());
}

#[test]
fn each_shipped_entry_says_when_and_from_where() {
    let config = shipped_config().unwrap();
    for (name, entry) in
        config.provider.iter().map(|(name, entry)| (name.as_str(), entry)).chain([("default", &config.default)])
    {
        assert!(entry.source.as_ref().is_some_and(|source| !source.is_empty()), "{name}");
        assert!(entry.date.as_ref().is_some_and(|date| date.len() == 10 && date.starts_with("20")), "{name}");
    }
    for name in [
        "google",
        "yahoo",
        "outlook",
        "office365",
        "icloud",
        "comcast",
        "gmx",
        "orange",
        "mimecast",
        "mail.com",
        "barracuda",
        "kpn",
        "qq",
        "163",
        "yahoo.co.jp",
        "netvigator",
    ] {
        assert!(config.provider.contains_key(name), "{name}");
    }
}

#[test]
fn a_provider_is_found_by_its_mx_hosts() {
    let shaping = shipped();
    let of = |hosts: &[&str]| shaping.provider_of(hosts).map(str::to_owned);
    assert_eq!(of(&["gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com"]).as_deref(), Some("google.com"));
    assert_eq!(of(&["ASPMX.L.GOOGLE.COM.", "aspmx2.googlemail.com"]).as_deref(), Some("google.com"));
    assert_eq!(of(&["example-com.mail.protection.outlook.com"]).as_deref(), Some("mail.protection.outlook.com"));
    assert_eq!(of(&["outlook-com.olc.protection.outlook.com"]).as_deref(), Some("olc.protection.outlook.com"));
    assert_eq!(of(&["mta5.am0.yahoodns.net"]).as_deref(), Some("yahoodns.net"));
    assert_eq!(of(&["mx1.mail.yahoo.co.jp"]).as_deref(), Some("yahoo.co.jp"));
}

#[test]
fn a_provider_is_found_only_when_all_hosts_are_its_own() {
    let shaping = shipped();
    assert_eq!(shaping.provider_of(&["aspmx.l.google.com", "mx.example.net"]), None);
    assert_eq!(shaping.provider_of(&["mx.example.net", "aspmx.l.google.com"]), None);
    assert_eq!(shaping.provider_of(&["aspmx.l.google.com", "mx1.comcast.net"]), None);
    assert_eq!(shaping.provider_of(&[]), None);
    assert_eq!(shaping.provider_of(&[""]), None);
}

#[test]
fn a_suffix_ends_at_the_border_of_a_label() {
    let shaping = shipped();
    assert_eq!(shaping.provider_of(&["notsmtp.google.com"]), None);
    assert_eq!(shaping.provider_of(&["smtp.google.com.example.net"]), None);
    assert_eq!(shaping.provider_of(&["smtp.google.com"]), Some("google.com"));
}

#[test]
fn limits_come_from_the_base_and_the_provider() {
    let shaping = shipped();
    let google = limits(&shaping, "google.com", "");
    assert_eq!((google.connections, google.letters_per_connection, google.rate), (5, 50, None));
    assert_eq!(limits(&shaping, "mx.example.net", ""), BASE);
    assert_eq!(limits(&shaping, "yahoo.co.jp", "").rate, Some(Rate::per_second(10)));
}

#[test]
fn what_is_shipped_only_makes_stricter_and_what_the_operator_wrote_is_taken() {
    let careful = SiteLimits { connections: 2, ..BASE };
    assert_eq!(shipped().limits(careful, "google.com", "").connections, 2);
    assert_eq!(limits(&shipped(), "comcast.net", "").connections, 20, "25 are shipped");
    let shaping = Shaping::new(&user("[default]\nconnections = 30\n[provider.comcast]\nconnections = 40")).unwrap();
    assert_eq!(shaping.limits(careful, "comcast.net", "").connections, 40);
    assert_eq!(limits(&shaping, "google.com", "").connections, 5, "a general figure is not about one provider");
    assert_eq!(limits(&shaping, "mx.example.net", "").connections, 30);
}

#[test]
fn a_site_that_the_configuration_names_has_only_what_is_said_of_it() {
    let own = user("[default]\nconnections = 1\n[site.'smtp:relay.example:25']\nrate = '5/min'");
    let shaping = Shaping::new(&own).unwrap();
    let relay = shaping.limits_of_named(BASE, "smtp:relay.example:25", "");
    assert_eq!((relay.connections, relay.rate), (20, Some(Rate::per_minute(5))));
    assert_eq!(shaping.limits_of_named(BASE, "lmtp:127.0.0.1:24", ""), BASE);
}

#[test]
fn an_operators_table_is_laid_over_the_shipped_one() {
    let shaping = Shaping::new(&user(
        r#"
        [default]
        letters_per_connection = 33
        [provider.google]
        connections = 2
        [provider.google.from.a]
        rate = "5/min"
        [site."MX1.example.net."]
        connections = 7
        "#,
    ))
    .unwrap();
    let google = limits(&shaping, "google.com", "b");
    assert_eq!((google.connections, google.letters_per_connection), (2, 33));
    assert_eq!(google.rate, None);
    assert_eq!(limits(&shaping, "google.com", "a").rate, Some("5/min".parse().unwrap()));
    let site = limits(&shaping, "mx1.EXAMPLE.net", "");
    assert_eq!((site.connections, site.letters_per_connection), (7, 33));
    assert_eq!(shaping.provider_of(&["aspmx.l.google.com"]), Some("google.com"), "its hosts are still known");
}

#[test]
fn tls_is_asked_for_by_the_nearest_entry_and_what_is_shipped_weakens_nothing() {
    let own = user(
        r#"
        [default]
        tls = "none"
        [site."mx.example.net"]
        tls = "verified"
        [site."mx.example.net".from.b]
        tls = "required"
        [domain."example.com"]
        tls = "opportunistic"
        recipients_per_transaction = 1
        "#,
    );
    let shaping = Shaping::new(&own).unwrap();
    let asked = |base, site, source, domain| {
        shaping.tls(base, site, source, domain).map(|TlsAsked { need, why, .. }| (need, why)).unwrap()
    };
    use TlsNeed::{None, Opportunistic, Required, Verified};
    let by = |need, why: &str| (need, why.to_owned());
    assert_eq!(asked(None, "google.com", "", "x"), by(Required, "[shaping.provider] google, shipped"));
    assert_eq!(asked(Verified, "google.com", "", "x"), by(None, "[shaping.default]"), "the operator's own word");
    assert_eq!(asked(None, "mx.example.net", "", "x"), by(Verified, "[shaping.site] mx.example.net"));
    assert_eq!(asked(None, "mx.example.net", "b", "x").0, Required);
    assert_eq!(asked(None, "google.com", "", "Example.COM."), by(Opportunistic, "[shaping.domain] example.com"));
    assert_eq!((shaping.recipients_of("Example.com", ""), shaping.recipients_of("x", "")), (Some(1), Option::None));
    let shipped = shipped();
    assert_eq!(shipped.tls(Verified, "google.com", "", "x"), Option::None);
    assert_eq!(shipped.tls(Opportunistic, "mx.example.net", "", "x"), Option::None);
}

#[test]
fn a_site_that_is_a_set_of_hosts_is_found_by_any_of_them() {
    let own = user(
        "[site.\"mx2.example.net\"]\nconnections = 2\n[[site.\"mx2.example.net\".automation]]\nname = 'x'\nmatch = 'x'\naction = { connections = 1 }\nfor = '1h'",
    );
    let shaping = Shaping::new(&own).unwrap();
    assert_eq!(limits(&shaping, "mx1.example.net,mx2.example.net", "").connections, 2);
    assert_eq!(shaping.matching("MX1.example.net,MX2.example.net", "450 x").count(), 1);
    assert_eq!(limits(&shaping, "mx1.example.net,mx3.example.net", "").connections, 20);
}

#[test]
fn a_rule_of_the_operator_takes_the_place_of_the_shipped_one() {
    let text = "421 4.7.28 unusual rate";
    let own = user(
        r#"
        [[provider.google.automation]]
        name = "unusual-rate"
        match = "4\\.7\\.28"
        action = { connections = 3 }
        for = "5m"
        reason = "ours"
        "#,
    );
    let shaping = Shaping::new(&own).unwrap();
    let found: Vec<&Rule> = shaping.matching("google.com", text).collect();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].overlay.connections, found[0].reason.as_str()), (Some(3), "ours"));
    let off = user("[[provider.google.automation]]\nname = \"unusual-rate\"\noff = true\n");
    assert_eq!(Shaping::new(&off).unwrap().matching("google.com", text).count(), 0);
}

#[test]
fn a_provider_of_the_operators_own_is_known() {
    let own = user("[provider.house]\nsite = \"house\"\nmx = [\".mx.example.org.\"]\nconnections = 3\n");
    let shaping = Shaping::new(&own).unwrap();
    assert_eq!(shaping.provider_of(&["a.mx.example.org"]), Some("house"));
    assert_eq!(limits(&shaping, "house", "").connections, 3);
}

#[test]
fn what_is_wrong_is_named_with_its_entry() {
    let rule = |lines: &str| format!("[[provider.google.automation]]\nname = \"x\"\n{lines}");
    let good = "match = 'a'\naction = { connections = 1 }\nfor = '1h'\n";
    assert!(Shaping::new(&user(&rule(good))).is_ok());
    for (text, words) in [
        ("[provider.google]\nrate = 'fast'".to_owned(), ["shaping.provider.google:", "\"fast\" is no rate"]),
        ("[domain.'example.com']\nconnections = 0".to_owned(), ["shaping.domain.example.com:", "`connections`"]),
        ("[domain.'example.com']\nrate = '1/s'".to_owned(), ["shaping.domain.example.com:", "counted by site"]),
        ("[default]\nmx = ['a']".to_owned(), ["shaping.default:", "`mx` has no place"]),
        ("[provider.house]\nsite = 'house'".to_owned(), ["shaping.provider.house:", "`mx` is missing"]),
        ("[provider.house]\nmx = ['a.example']".to_owned(), ["shaping.provider.house:", "`site` is missing"]),
        (
            "[provider.house]\nmx = ['a.example']\nsite = 'google.com'".to_owned(),
            ["google.com", "belongs to the provider"],
        ),
        (rule(&good.replace("'a'", "'(a'")), ["shaping.provider.google.automation.x:", "no regular expression"]),
        (rule(&good.replace("1h", "soon")), ["shaping.provider.google.automation.x:", "`for`: `soon` does not begin"]),
        (rule("match = 'a'\naction = { connections = 1 }"), ["automation.x:", "`for` is missing"]),
        (rule("action = { connections = 1 }\nfor = '1h'"), ["automation.x:", "`match` is missing"]),
        (rule("match = 'a'\nfor = '1h'"), ["automation.x:", "`action` says nothing"]),
        (rule(&format!("{good}threshold = '5000/h'")), ["automation.x:", "at most 1000"]),
        (rule(&format!("{good}[[provider.google.automation]]\nname = 'x'\n{good}")), ["automation.x:", "used twice"]),
        (
            format!("[[domain.'example.com'.automation]]\nname='x'\n{good}"),
            ["shaping.domain.example.com:", "`automation`"],
        ),
    ] {
        let error = refused(&text);
        assert!(words.iter().all(|word| error.contains(word)), "{text}\n{error}");
    }
}

#[test]
fn unknown_keys_are_refused() {
    for text in [
        "[default]\nconections = 1",
        "[providers.google]",
        "[provider.google.from.a]\nmx = []",
        "[[default.automation]]\nregex = 'a'",
    ] {
        assert!(toml::from_str::<ShapingConfig>(text).is_err(), "{text}");
    }
}

#[test]
fn a_pattern_that_would_eat_the_memory_is_refused() {
    let text =
        "[[default.automation]]\nname = 'x'\nmatch = '(?:\\w{1000}){1000}'\naction = { connections = 1 }\nfor = '1h'";
    assert!(refused(text).contains("shaping.default.automation.x: `match`"));
}

#[test]
fn patterns_are_compiled_when_the_first_reply_is_looked_at() {
    let shaping = shipped();
    let compiled = |name: &str| shaping.rules.provider[name].is_compiled();
    assert!(!compiled("google"));
    shaping.examine("google.com", &Reply::new(250, (2, 0, 0), "OK"));
    assert!(!compiled("google"), "what is no refusal is not looked at");
    let refusal = Reply::new(421, (4, 7, 28), "unusual rate");
    assert_eq!(shaping.examine("google.com", &refusal).rules.len(), 1);
    assert!(compiled("google") && !compiled("yahoo"));
}

#[test]
fn a_rule_for_everybody_acts_only_where_no_nearer_one_matches() {
    let shaping = shipped();
    let names = |site: &str, text: &str| shaping.matching(site, text).map(|rule| rule.name.clone()).collect::<Vec<_>>();
    let text = "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred";
    assert_eq!(names("yahoodns.net", text), ["provider.yahoo/tss04"]);
    assert_eq!(names("mx.example.net", text), ["default/temporarily-deferred"]);
    assert_eq!(names("yahoodns.net", "421 4.7.0 too many connections"), ["default/too-many-connections"]);
}

#[test]
fn a_reply_of_several_lines_is_one_text() {
    let lines = "Our system has detected that this message is \nsuspicious due to the very low\n reputation of the sending  domain.";
    let reply = Reply::from_peer(smtp::ReplyCode::from_wire(421).unwrap(), None, lines);
    let shaping = shipped();
    let names: Vec<&str> = shaping.examine("google.com", &reply).rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["provider.google/system-detected", "provider.google/very-low-reputation"]);
}

#[test]
fn what_is_shipped_is_told_as_an_operator_would_write_it() {
    let told: toml::Table = toml::from_str(&shipped_text()).unwrap();
    let shaping = ShapingConfig::deserialize(told["shaping"].clone()).unwrap();
    assert_eq!((told.len(), shaping), (1, shipped_config().unwrap()));
}
