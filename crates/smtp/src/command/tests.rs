use proptest::prelude::*;

use super::*;
use crate::envelope::{Body, ByMode, DeliverBy, Hold, Notify, OriginalRecipient, Ret};
use crate::extension::{Capabilities, FutureRelease};
use crate::reply::Reply;

/// Everything offered.
fn offered() -> Capabilities {
    Capabilities {
        size: Some(0),
        eight_bit_mime: true,
        smtputf8: true,
        chunking: true,
        binarymime: true,
        dsn: true,
        requiretls: true,
        auth: vec!["PLAIN".into()],
        deliver_by: Some(10),
        future_release: Some(FutureRelease { longest: 86_400, latest: 1_800_000_000 }),
        mt_priority: true,
        ..Default::default()
    }
}

fn parse(line: &[u8]) -> Result<Command, Reply> {
    Command::parse(line, &ParseContext { offered: &offered(), smtputf8: true })
}

fn mail(parameters: &str) -> Result<MailParams, u16> {
    match parse(format!("MAIL FROM:<a@example.org>{parameters}").as_bytes()) {
        Ok(Command::Mail { params, .. }) => Ok(params),
        Ok(other) => panic!("{other:?}"),
        Err(reply) => Err(reply.code.as_u16()),
    }
}

fn rcpt(parameters: &str) -> Result<RcptParams, u16> {
    match parse(format!("RCPT TO:<a@example.org>{parameters}").as_bytes()) {
        Ok(Command::Rcpt { params, .. }) => Ok(params),
        Ok(other) => panic!("{other:?}"),
        Err(reply) => Err(reply.code.as_u16()),
    }
}

fn code(line: impl AsRef<[u8]>) -> u16 {
    parse(line.as_ref()).map_or_else(|reply| reply.code.as_u16(), |command| panic!("{command:?}"))
}

#[test]
fn verbs_are_known_in_any_case_and_in_full_only() {
    for verb in Verb::ALL {
        let lower = verb.as_str().to_ascii_lowercase();
        assert_eq!(Verb::split(lower.as_bytes()), Ok((verb, "")));
        assert_eq!(Verb::split(format!("{verb} x", verb = verb.as_str()).as_bytes()), Ok((verb, "x")));
        assert!(Verb::split(format!("{lower}x").as_bytes()).is_err());
        assert!(Verb::split(&lower.as_bytes()[1..]).is_err());
        assert!(Verb::split(format!(" {lower}").as_bytes()).is_err());
    }
}

#[test]
fn all_parameters_of_mail_are_read() {
    let line = " SIZE=42 BODY=8bitmime SMTPUTF8 RET=hdrs ENVID=a+2Bb AUTH=e+3Dmc2@example.com REQUIRETLS";
    let wanted = MailParams {
        size: Some(42),
        body: Some(Body::EightBitMime),
        smtputf8: true,
        ret: Some(Ret::Headers),
        envid: Some("a+b".into()),
        auth: Some(Some("e=mc2@example.com".parse().unwrap())),
        requiretls: true,
        ..Default::default()
    };
    assert_eq!(mail(line), Ok(wanted));
    assert_eq!(mail(" AUTH=<>"), Ok(MailParams { auth: Some(None), ..Default::default() }));
    assert_eq!(mail(""), Ok(MailParams::default()));
}

#[test]
fn times_and_priorities_are_read() {
    let by = |seconds, mode, trace| Ok(Some(DeliverBy { seconds, mode, trace }));
    for (value, wanted) in [
        ("120;R", by(120, ByMode::Return, false)),
        ("+000000120;rT", by(120, ByMode::Return, true)),
        ("-999999999;n", by(-999_999_999, ByMode::Notify, false)),
        ("0;Nt", by(0, ByMode::Notify, true)),
        ("9;N", by(9, ByMode::Notify, false)),
        ("10;R", by(10, ByMode::Return, false)),
        // Less than was offered: RFC 2852 §2.
        ("9;R", Err(555)),
        ("0;R", Err(501)),
        ("-5;R", Err(501)),
    ] {
        assert_eq!(mail(&format!(" BY={value}")).map(|params| params.by), wanted, "{value}");
    }
    for (parameter, wanted) in [
        ("HOLDFOR=1", Ok(Some(Hold::For(1)))),
        ("holdfor=86400", Ok(Some(Hold::For(86_400)))),
        ("HOLDFOR=86401", Err(501)),
        ("HOLDUNTIL=2027-01-15T08:00:00Z", Ok(Some(Hold::Until(1_800_000_000)))),
        ("HOLDUNTIL=2027-01-15T08:00:01Z", Err(501)),
    ] {
        assert_eq!(mail(&format!(" {parameter}")).map(|params| params.hold), wanted, "{parameter}");
    }
    for priority in -9..=9 {
        assert_eq!(mail(&format!(" MT-PRIORITY={priority}")).map(|params| params.mt_priority), Ok(Some(priority)));
    }
}

#[test]
fn times_and_priorities_that_are_none_get_501() {
    for parameter in [
        "BY",
        "BY=",
        "BY=120",
        "BY=120;",
        "BY=;R",
        "BY=120;X",
        "BY=120;RX",
        "BY=120;RTT",
        "BY=1234567890;R",
        "BY=+-1;N",
        "BY=1.5;N",
        "BY=120;R BY=120;R",
        "HOLDFOR",
        "HOLDFOR=0",
        "HOLDFOR=007",
        "HOLDFOR=-1",
        "HOLDFOR=1234567890",
        "HOLDFOR=1h",
        "HOLDUNTIL=",
        "HOLDUNTIL=tomorrow",
        "HOLDUNTIL=1700000000",
        "HOLDFOR=5 HOLDFOR=5",
        "HOLDFOR=5 HOLDUNTIL=2026-01-15T08:00:00Z",
        "MT-PRIORITY",
        "MT-PRIORITY=",
        "MT-PRIORITY=10",
        "MT-PRIORITY=-10",
        "MT-PRIORITY=+3",
        "MT-PRIORITY=-0",
        "MT-PRIORITY=03",
        "MT-PRIORITY=high",
        "MT-PRIORITY=1 MT-PRIORITY=1",
    ] {
        assert_eq!(mail(&format!(" {parameter}")), Err(501), "{parameter}");
    }
}

#[test]
fn times_and_priorities_that_are_not_offered_get_555() {
    for parameter in ["BY=120;R", "HOLDFOR=5", "HOLDUNTIL=2026-01-15T08:00:00Z", "MT-PRIORITY=1"] {
        let line = format!("MAIL FROM:<a@example.org> {parameter}");
        let context = ParseContext { offered: &Capabilities::default(), smtputf8: false };
        let reply = Command::parse(line.as_bytes(), &context).unwrap_err();
        assert_eq!(reply.code.as_u16(), 555, "{parameter}");
    }
}

#[test]
fn all_parameters_of_rcpt_are_read() {
    let notify = Some(Notify { never: false, success: true, failure: false, delay: true });
    let orcpt = Some(OriginalRecipient { address_type: "rfc822".into(), address: "a+b@c".into() });
    assert_eq!(rcpt(" notify=success,DELAY orcpt=RFC822;a+2Bb@c"), Ok(RcptParams { notify, orcpt }));
    let orcpt = Some(OriginalRecipient { address_type: "X400".into(), address: "/S=x".into() });
    assert_eq!(rcpt(" ORCPT=X400;/S+3Dx"), Ok(RcptParams { notify: None, orcpt }));
}

#[test]
fn size_has_one_to_twenty_digits() {
    assert_eq!(mail(" SIZE=99999999999999999999").map(|p| p.size), Ok(Some(u64::MAX)));
    for size in ["", "-1", "+1", "1x", "0x1", "999999999999999999999", "1 1"] {
        assert!(mail(&format!(" SIZE={size}")).is_err(), "{size}");
    }
}

#[test]
fn names_that_real_clients_greet_with_are_taken() {
    for (line, host) in [
        ("EHLO mail.example.com.", "mail.example.com"),
        ("HELO 192.0.2.1", "[192.0.2.1]"),
        ("EHLO [192.0.2.1]", "[192.0.2.1]"),
        ("EHLO [IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
        ("EHLO [2001:db8:0:0:0:0:0:1]", "[IPv6:2001:db8::1]"),
        ("EHLO [fe80:0:0:0:0:0:0:1%eth0]", "[IPv6:fe80::1]"),
        ("EHLO fe80::1%12", "[IPv6:fe80::1]"),
        ("EHLO [ipv6:fe80::1%en0]", "[IPv6:fe80::1]"),
        ("EHLO desktop_7", "desktop_7"),
    ] {
        let Ok(Command::Ehlo(greeted) | Command::Helo(greeted)) = parse(line.as_bytes()) else { panic!("{line}") };
        assert_eq!(greeted.to_string(), host, "{line}");
    }
    for line in [
        "EHLO",
        "EHLO .",
        "EHLO a..",
        "EHLO x) by y",
        "EHLO [192.0.2.1%eth0]",
        "EHLO [IPv6:192.0.2.1]",
        "EHLO [192.0.2.1",
        "EHLO [x]",
        "EHLO %",
    ] {
        assert_eq!(code(line), 501, "{line}");
    }
}

#[test]
fn path_must_be_in_angle_brackets_and_end_there() {
    for line in [
        "MAIL",
        "MAIL FROM",
        "MAIL FROM:",
        "MAIL FROM:a@b.example",
        "MAIL FROM:<a@b.example",
        "MAIL TO:<a@b.example>",
        "MAIL FROM:<a@b.example>x",
        "MAIL FROM:<a@b.example>SIZE=1",
        "MAIL FROM<a@b.example>",
        "RCPT TO:<a@b.example>>",
    ] {
        assert_eq!(code(line), 501, "{line}");
    }
    assert!(parse(b"MAIL FROM:  <a@b.example>").is_ok());
    assert!(parse(b"mail from:<\"a>b\\\"c\"@b.example>").is_ok());
}

#[test]
fn refusals_of_addresses_say_which_and_why() {
    let Err(reply) = parse(b"MAIL FROM:<a..b@c.example>") else { panic!() };
    assert!(reply.to_string().starts_with("501 5.1.7 This sender address is not valid: "), "{reply}");
    let Err(reply) = parse(b"RCPT TO:<a@[1.2.3]>") else { panic!() };
    assert!(reply.to_string().starts_with("501 5.1.3 This recipient address is not valid: "), "{reply}");
}

#[test]
fn source_route_is_dropped_only_when_it_is_one() {
    let to = |path: &str| match parse(format!("RCPT TO:<{path}>").as_bytes()) {
        Ok(Command::Rcpt { to, .. }) => Some(to.to_string()),
        _ => None,
    };
    assert_eq!(to("@a.example,@b.example:user@c.example").as_deref(), Some("user@c.example"));
    assert_eq!(to("@a.example:postmaster@c.example").as_deref(), Some("postmaster@c.example"));
    for path in
        ["@a.example,b.example:user@c.example", "@:user@c.example", "@a.example:", "@a.example", "@a..b:user@c.example"]
    {
        assert_eq!(to(path), None, "{path}");
    }
}

#[test]
fn debug_of_auth_shows_no_secret() {
    let command = parse(b"AUTH PLAIN c2VjcmV0").unwrap();
    assert!(!format!("{command:?}").contains("c2VjcmV0"));
}

fn xtext() -> impl Strategy<Value = String> {
    "[ -~]{1,30}"
}

fn mailbox() -> impl Strategy<Value = crate::Mailbox> {
    let local = prop_oneof![
        "[a-z+=.!%-]{1,10}".prop_filter("dots", |l| !l.contains("..") && !l.starts_with('.') && !l.ends_with('.')),
        Just("\"a b>\\\"\"".to_owned()),
        Just("ü".to_owned())
    ];
    let host =
        prop_oneof!["[a-z]{1,8}\\.example", Just("[192.0.2.1]".to_owned()), Just("[IPv6:2001:db8::1]".to_owned())];
    (local, host).prop_map(|(local, host)| format!("{local}@{host}").parse().unwrap())
}

fn by() -> impl Strategy<Value = DeliverBy> {
    let mode = |notify| if notify { ByMode::Notify } else { ByMode::Return };
    (-999_999_999i64..=999_999_999, any::<bool>()).prop_map(move |(seconds, trace)| DeliverBy {
        seconds,
        mode: mode(seconds < 10 || trace),
        trace,
    })
}

fn hold() -> impl Strategy<Value = Hold> {
    prop_oneof![(1u64..=86_400).prop_map(Hold::For), (0u64..=1_800_000_000).prop_map(Hold::Until)]
}

fn mail_params() -> impl Strategy<Value = MailParams> {
    let body = prop_oneof![Just(Body::SevenBit), Just(Body::EightBitMime), Just(Body::BinaryMime)];
    let auth = prop::option::of(mailbox().prop_filter("xtext is ASCII", |m| m.to_string().is_ascii()));
    (
        any::<Option<u64>>(),
        prop::option::of(body),
        prop::option::of(prop_oneof![Just(Ret::Full), Just(Ret::Headers)]),
        prop::option::of(xtext()),
        prop::option::of(auth),
        any::<bool>(),
        (prop::option::of(by()), prop::option::of(hold()), prop::option::of(-9i8..=9)),
    )
        .prop_map(|(size, body, ret, envid, auth, requiretls, (by, hold, mt_priority))| MailParams {
            size,
            body,
            smtputf8: true,
            ret,
            envid,
            auth,
            requiretls,
            by,
            hold,
            mt_priority,
        })
}

fn rcpt_params() -> impl Strategy<Value = RcptParams> {
    let notify = any::<[bool; 3]>().prop_map(|[success, failure, delay]| Notify {
        never: !(success || failure || delay),
        success,
        failure,
        delay,
    });
    let orcpt = prop_oneof![
        xtext().prop_map(|address| OriginalRecipient { address_type: "rfc822".into(), address }),
        "[a-zäü+=\\\\用 ]{1,10}".prop_map(|address| OriginalRecipient { address_type: "utf-8".into(), address }),
        xtext().prop_map(|address| OriginalRecipient { address_type: "x400".into(), address }),
    ];
    (prop::option::of(notify), prop::option::of(orcpt)).prop_map(|(notify, orcpt)| RcptParams { notify, orcpt })
}

fn command() -> impl Strategy<Value = Command> {
    let host = || "[a-z]{1,8}\\.example".prop_map(|host| host.parse::<Host>().unwrap());
    prop_oneof![
        host().prop_map(Command::Ehlo),
        host().prop_map(Command::Helo),
        host().prop_map(Command::Lhlo),
        (prop::option::of(mailbox()), mail_params()).prop_map(|(from, params)| Command::Mail {
            from: from.map_or(ReversePath::Null, ReversePath::Mailbox),
            params,
        }),
        (prop::option::of(mailbox()), rcpt_params()).prop_map(|(to, params)| Command::Rcpt {
            to: to.map_or(ForwardPath::Postmaster, ForwardPath::Mailbox),
            params,
        }),
        any::<(u64, bool)>().prop_map(|(size, last)| Command::Bdat { size, last }),
        "[a-zü@]{1,10}".prop_map(Command::Vrfy),
        "[a-zü@]{1,10}".prop_map(Command::Expn),
        ("[A-Z0-9-]{1,20}", prop::option::of("[A-Za-z0-9+/]{1,20}={0,2}"))
            .prop_map(|(mechanism, initial)| { Command::Auth { mechanism, initial: initial.map(Secret::new) } }),
        prop::sample::select(vec![
            Command::Data,
            Command::Rset,
            Command::Noop,
            Command::Quit,
            Command::Help,
            Command::StartTls,
        ]),
    ]
}

/// The law, for a command that was read or made up.
fn reads_back(command: &Command) {
    let mut line = Vec::new();
    command.write(&mut line);
    let line = line.strip_suffix(b"\r\n").unwrap();
    assert_eq!(parse(line).as_ref(), Ok(command), "{}", line.escape_ascii());
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(command in command()) {
        reads_back(&command);
    }

    #[test]
    fn what_is_read_is_written_back(
        line in "(MAIL FROM:|RCPT TO:|BDAT |VRFY |EHLO |AUTH )<?[@a-z.,:\"\\\\ \\[\\]0-9é-]{0,20}>?( (SIZE|BODY|RET|ENVID|AUTH|ORCPT|NOTIFY|SMTPUTF8)=?[a-zA-Z0-9;+\\\\x{}<>]{0,8}){0,3}( LAST| SMTPUTF8){0,2}",
    ) {
        if let Ok(command) = parse(line.as_bytes()) {
            reads_back(&command);
        }
    }

    #[test]
    fn no_line_is_too_strange(line in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(command) = parse(&line) {
            reads_back(&command);
        }
    }
}
